import Synchronization

/// The policies that were loaded last, so that a daemon parses and checks a file once and not for every session.
///
/// The files are read each time; what is remembered is what their bytes came to in a context.
package final class PolicyCache: Sendable {
  private struct Entry {
    let bytes: [UInt8]
    let file: String
    let context: PolicyContext
    let allowUnenforced: Bool
    let policy: LoadedPolicy
  }

  /// Least recently used first.
  private let entries = Mutex<[Entry]>([])
  private static let limit = 16

  package init() {}

  /// As `PolicyLibrary.load`. Failures are not remembered.
  package func load(
    _ nameOrFile: String, directories: [String], context: PolicyContext, allowUnenforced: Bool
  ) throws(LoadFailure) -> LoadedPolicy {
    let (bytes, file) = try PolicyLibrary.source(nameOrFile, directories: directories)
    return try load(yaml: bytes, file: file, context: context, allowUnenforced: allowUnenforced)
  }

  /// As `LoadedPolicy.init(yaml:)`.
  package func load(
    yaml bytes: [UInt8], file: String, context: PolicyContext, allowUnenforced: Bool
  ) throws(LoadFailure) -> LoadedPolicy {
    let known = entries.withLock { entries -> LoadedPolicy? in
      let found = entries.firstIndex {
        $0.allowUnenforced == allowUnenforced && $0.file == file && $0.context == context && $0.bytes == bytes
      }
      guard let found else { return nil }
      let entry = entries.remove(at: found)
      entries.append(entry)
      return entry.policy
    }
    if let known { return known }
    let policy = try LoadedPolicy(yaml: bytes, file: file, context: context, allowUnenforced: allowUnenforced)
    entries.withLock { entries in
      entries.append(
        Entry(bytes: bytes, file: file, context: context, allowUnenforced: allowUnenforced, policy: policy))
      if entries.count > Self.limit { entries.removeFirst() }
    }
    return policy
  }
}
