/// How much of what was asked for the kernel holds.
package enum Enforcement: Equatable, Sendable, CustomStringConvertible {
  case enforced
  case partial(String)
  case absent(String)

  package var description: String {
    switch self {
    case .enforced: "enforced"
    case .partial(let reason): "partial: \(reason)"
    case .absent(let reason): "absent: \(reason)"
    }
  }
}
