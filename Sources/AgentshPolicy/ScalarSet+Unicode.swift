extension ScalarSet {
  /// With each scalar also those that differ from it in case only (simple folding, as RE2 folds).
  var ignoringCase: ScalarSet {
    if let simple = ignoringCaseOfASCII { return simple }
    var added: [ClosedRange<UInt32>] = []
    for orbit in CaseOrbits.all where orbit.contains(where: contains) { added += orbit.map { $0...$0 } }
    var result = self
    result.formUnion(ScalarSet(added))
    return result
  }

  /// The same for a set within ASCII, without Unicode's tables (which take milliseconds to find): letters have the
  /// other case, and k and s one more form each, U+212A and U+017F. nil for other sets.
  private var ignoringCaseOfASCII: ScalarSet? {
    guard ranges.allSatisfy({ $0.upperBound < 0x80 }) else { return nil }
    var added: [ClosedRange<UInt32>] = []
    for letter in UInt32(0x61)...0x7A where contains(letter) || contains(letter - 32) {
      added += [letter...letter, (letter - 32)...(letter - 32)]
      if letter == 0x6B { added.append(0x212A...0x212A) }
      if letter == 0x73 { added.append(0x17F...0x17F) }
    }
    var result = self
    result.formUnion(ScalarSet(added))
    return result
  }

  /// `L`, `Lu`, `Nd`, …: a Unicode general category or a whole group of them. nil: no such category.
  init?(generalCategory name: String) {
    if name == "Any" {
      self.init([0...Self.maximum])
      return
    }
    let members = CategoryNames.ranges.filter { $0.key.hasPrefix(name) }
    if members.isEmpty || !(1...2).contains(name.utf8.count) { return nil }
    self.init(members.flatMap(\.value))
  }
}

enum CategoryNames {
  /// The scalars of each category. Found once, when the first expression names one.
  static let ranges: [String: [ClosedRange<UInt32>]] = {
    var result: [String: [ClosedRange<UInt32>]] = [:]
    var start: UInt32 = 0
    var category = Unicode.GeneralCategory.control
    for value in 1...ScalarSet.maximum + 1 {
      let next = Unicode.Scalar(value)?.properties.generalCategory ?? .unassigned
      if next == category, value <= ScalarSet.maximum { continue }
      if let name = name(category) { result[name, default: []].append(start...(value - 1)) }
      (start, category) = (value, next)
    }
    return result
  }()

  /// nil for what RE2 has not: unassigned, and surrogates, which have no spelling.
  static func name(_ category: Unicode.GeneralCategory) -> String? {
    switch category {
    case .uppercaseLetter: "Lu"
    case .lowercaseLetter: "Ll"
    case .titlecaseLetter: "Lt"
    case .modifierLetter: "Lm"
    case .otherLetter: "Lo"
    case .nonspacingMark: "Mn"
    case .spacingMark: "Mc"
    case .enclosingMark: "Me"
    case .decimalNumber: "Nd"
    case .letterNumber: "Nl"
    case .otherNumber: "No"
    case .connectorPunctuation: "Pc"
    case .dashPunctuation: "Pd"
    case .openPunctuation: "Ps"
    case .closePunctuation: "Pe"
    case .initialPunctuation: "Pi"
    case .finalPunctuation: "Pf"
    case .otherPunctuation: "Po"
    case .mathSymbol: "Sm"
    case .currencySymbol: "Sc"
    case .modifierSymbol: "Sk"
    case .otherSymbol: "So"
    case .spaceSeparator: "Zs"
    case .lineSeparator: "Zl"
    case .paragraphSeparator: "Zp"
    case .control: "Cc"
    case .format: "Cf"
    case .privateUse: "Co"
    case .surrogate, .unassigned: nil
    @unknown default: nil
    }
  }
}

/// Scalars that are the same letter in another case.
enum CaseOrbits {
  /// Each of two or more. Found once, when the first expression ignores case.
  static let all: [[UInt32]] = {
    var orbits: [UInt32: [UInt32]] = [:]
    for value: UInt32 in 0...0x1_FFFF {
      guard let scalar = Unicode.Scalar(value), scalar.properties.changesWhenCaseMapped else { continue }
      let folded = simple(scalar.properties.uppercaseMapping, else: scalar)
      let key = simple(folded.properties.lowercaseMapping, else: folded)
      orbits[key.value, default: []].append(value)
    }
    return orbits.values.filter { $0.count > 1 }
  }()

  private static func simple(_ mapping: String, else scalar: Unicode.Scalar) -> Unicode.Scalar {
    let scalars = mapping.unicodeScalars
    return scalars.count == 1 ? scalars.first ?? scalar : scalar
  }
}
