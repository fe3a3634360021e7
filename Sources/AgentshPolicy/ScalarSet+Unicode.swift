extension ScalarSet {
  /// With each scalar also those that differ from it in case only (simple folding, as RE2 folds).
  var ignoringCase: ScalarSet {
    var result = self
    for orbit in CaseOrbits.all where orbit.contains(where: contains) {
      for scalar in orbit where !result.contains(scalar) { result.insert(scalar...scalar) }
    }
    return result
  }

  /// `L`, `Lu`, `Nd`, …: a Unicode general category or a whole group of them. nil: no such category.
  init?(generalCategory name: String) {
    if name == "Any" {
      self.init([0...Self.maximum])
      return
    }
    guard name == "C" || CategoryNames.all.contains(where: { $0.hasPrefix(name) }),
      (1...2).contains(name.utf8.count)
    else { return nil }
    var ranges: [ClosedRange<UInt32>] = []
    var start: UInt32?
    for value in 0...Self.maximum {
      let isMember = Unicode.Scalar(value).map {
        CategoryNames.name($0.properties.generalCategory).hasPrefix(name)
      }
      if isMember ?? false {
        if start == nil { start = value }
      } else if let first = start {
        ranges.append(first...(value - 1))
        start = nil
      }
    }
    if let first = start { ranges.append(first...Self.maximum) }
    self.init(ranges)
  }
}

enum CategoryNames {
  /// Without Cn and Cs, which RE2 has not.
  static let all = [
    "Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "No", "Pc", "Pd", "Ps", "Pe", "Pi", "Pf",
    "Po", "Sm",
    "Sc", "Sk", "So", "Zs", "Zl", "Zp", "Cc", "Cf", "Co",
  ]

  static func name(_ category: Unicode.GeneralCategory) -> String {
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
    case .surrogate, .unassigned: "-"
    @unknown default: "-"
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
