/// Rows of text in columns, for people.
enum Table {
  /// The first row is the heading. What an agent may have named is shown without control characters: none of it reaches the
  /// terminal as such.
  static func text(_ rows: [[String]]) -> String {
    let shown = rows.map { row in
      row.map { String(String.UnicodeScalarView($0.unicodeScalars.map { isPlain($0) ? $0 : "?" })) }
    }
    let widths = (0..<(shown.first?.count ?? 0)).map { column in
      shown.map { $0[column].count }.max() ?? 0
    }
    return shown.map { row in
      let cells = zip(row, widths).map { $0 + String(repeating: " ", count: $1 - $0.count) }
      var line = cells.joined(separator: "  ")
      while line.hasSuffix(" ") { line.removeLast() }
      return line + "\n"
    }.joined()
  }

  private static func isPlain(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.properties.generalCategory {
    case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate: false
    default: true
    }
  }
}
