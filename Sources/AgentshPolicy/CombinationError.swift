/// Why a policy cannot narrow another: what both together would mean cannot be said.
package enum CombinationError: Error, Equatable, Sendable, CustomStringConvertible {
  /// Names that match both of these, and others that match one.
  case overlappingNames(main: String, narrowing: String)
  /// A variable that the narrowing policy sets and the other removes, or sets to something else.
  case setVariable(String)
  case environment(EnvironmentError)

  /// A sentence after "MAIN and NARROWING cannot be combined: ".
  package var description: String {
    switch self {
    case .overlappingNames(let main, let narrowing):
      "env_policy.allow has \"\(main)\" in the first and \"\(narrowing)\" in the second, which overlap in part"
    case .setVariable(let name):
      "env_inject of the second sets \(name), which the first removes or sets to something else"
    case .environment(let error): "env_policy: \(error)"
    }
  }

  package var wayOut: String {
    switch self {
    case .overlappingNames: "name the variables, or write PREFIX_*"
    case .setVariable: "leave it out"
    case .environment: "correct the pattern"
    }
  }
}
