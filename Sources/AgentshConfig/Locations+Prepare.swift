import LinuxSystem

extension Locations {
  /// The places of a user, with the runtime directory made and checked: the first candidate that holds.
  ///
  /// Client and daemon both call it, so that a directory which somebody else made first is passed over by both.
  /// - Throws: when no candidate holds; the message has one line for each.
  package static func prepare(
    uid: UInt32, home: String, runtimeVariable: String?
  ) throws(NoRuntimeDirectory) -> Locations {
    var reasons: [String] = []
    do throws(LocationError) {
      for candidate in try candidates(uid: uid, home: home, runtimeVariable: runtimeVariable) {
        do throws(PrivateDirectoryError) {
          // The descriptor goes: the name cannot be taken by others, as its parents were checked too.
          _ = try PrivateDirectory.open(candidate.runtimeDirectory, ownedBy: uid)
          return candidate
        } catch { reasons.append(error.description) }
      }
    } catch { reasons.append(error.description) }
    throw NoRuntimeDirectory(reasons: reasons)
  }
}

/// There is no directory for sockets that only the user can change.
package struct NoRuntimeDirectory: Error, Equatable, Sendable, CustomStringConvertible {
  /// Why each place was passed over.
  package let reasons: [String]

  package var description: String {
    "no private runtime directory (set XDG_RUNTIME_DIR to one of your own):"
      + reasons.map { "\n  " + $0 }.joined()
  }
}
