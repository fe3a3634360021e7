/// A place in a text: line and column, both from 1, columns in Unicode scalars. 0:0 stands for the text as a whole.
package struct Place: Sendable, Equatable, Comparable {
  package let line: Int
  package let column: Int
  package static let whole = Place(line: 0, column: 0)

  package init(line: Int, column: Int) {
    self.line = line
    self.column = column
  }

  package static func < (a: Place, b: Place) -> Bool { (a.line, a.column) < (b.line, b.column) }
}

/// One thing that is wrong: where, why, and what to do about it.
package struct Diagnostic: Sendable, Equatable {
  package let place: Place
  package let cause: String
  /// What would be right; empty when the cause says it.
  package let wayOut: String

  package init(_ place: Place, _ cause: String, wayOut: String = "") {
    self.place = place
    self.cause = cause
    self.wayOut = wayOut
  }

  /// `file:line:column: cause (way out)`
  package func text(file: String) -> String {
    let position = place == .whole ? file : "\(file):\(place.line):\(place.column)"
    return "\(position): \(cause)" + (wayOut.isEmpty ? "" : " (\(wayOut))")
  }
}

/// A file that was not accepted, with everything that is wrong in it, in the order of the file.
package struct LoadFailure: Error, Sendable, Equatable, CustomStringConvertible {
  package let file: String
  package let diagnostics: [Diagnostic]

  package init(file: String, diagnostics: [Diagnostic]) {
    self.file = file
    self.diagnostics = diagnostics.enumerated()
      .sorted { ($0.element.place, $0.offset) < ($1.element.place, $1.offset) }.map(\.element)
  }

  /// One line for each.
  package var description: String { diagnostics.map { $0.text(file: file) }.joined(separator: "\n") }
}

/// What is wrong so far; reading goes on after each, so that all of it is found at once.
struct Problems {
  private(set) var list: [Diagnostic] = []
  /// Nobody reads more, and a hostile file shall not make us write more.
  static let limit = 100

  mutating func add(_ place: Place, _ cause: String, wayOut: String = "") {
    if list.count < Self.limit { list.append(Diagnostic(place, cause, wayOut: wayOut)) }
  }
}
