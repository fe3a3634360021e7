import AgentshPolicy
import CLinux
import LinuxSystem
import Synchronization

// Which names of a command count, and what the rules say of them (DECISIONS 25).
//
// The canonical name is the object's. The name as called matters too, because people write `python3` and `cc`. When it
// is stricter it counts: a name that the tree made itself can only take from it. When only it is allowed, it counts if
// no link on its way can be changed by the tree; else any program could be given an allowed name.

/// One thing that would be started.
struct CommandNames {
  var canonical: [UInt8]
  /// As called, absolute, before links are followed.
  var called: [[UInt8]] = []
  /// Without argv[0], joined by one space; empty where no rule asks.
  var arguments: [UInt8] = []
  var depth: UInt32
}

extension Mediator {
  /// The stricter explicit match of the names, or the default; of two policies the stricter of what each says alone.
  func decide(_ names: CommandNames, _ scratch: inout Scratch) -> Decision {
    var result: Decision?
    for source in policy.sources {
      let decision = decide(names, by: source, &scratch)
      result = result?.stricter(decision) ?? decision
    }
    return result ?? FileDecider.commandDefault(depth: names.depth)
  }

  private func decide(_ names: CommandNames, by source: PolicySource, _ scratch: inout Scratch) -> Decision {
    var result = explicit(names.canonical, names, by: source, &scratch)
    for called in names.called where called != names.canonical {
      guard let decision = explicit(called, names, by: source, &scratch) else { continue }
      if let known = result {
        result = known.stricter(decision)
      } else if !decision.permits || linksAreFixed(from: called, to: names.canonical, by: source, &scratch) {
        result = decision
      }
    }
    return result ?? FileDecider.commandDefault(depth: names.depth, by: source)
  }

  /// What a policy's rule says of one name; nil where none matches.
  func explicit(
    _ name: [UInt8], _ names: CommandNames, by source: PolicySource, _ scratch: inout Scratch
  ) -> Decision? {
    scratch.decider.explicitCommandDecision(
      CommandRequest(
        canonical: name, called: name, calledNameCounts: false, arguments: names.arguments, depth: names.depth
      ), by: source)
  }

  private static let hopLimit = 8

  /// Whether the way from a called name to the object leads only through directories that the tree cannot change.
  private func linksAreFixed(
    from called: [UInt8], to canonical: [UInt8], by source: PolicySource, _ scratch: inout Scratch
  ) -> Bool {
    var current = PathText(called)
    for _ in 0..<Self.hopLimit {
      replaceRootLinks(&current)
      guard isFixed(directoryOf: current, by: source, &scratch) else { return false }
      if current.bytes.elementsEqual(canonical) { return true }
      var target = PathText()
      guard readLinkAt(frame.root, PathText(current.bytes.dropFirst()), into: &target) > 0 else {
        return false
      }
      if target[0] == UInt8(ascii: "/") {
        current = target
      } else {
        current.truncate(to: leafStart(current))
        current.append(target)
      }
      guard let clean = Self.withoutDots(current) else { return false }
      current = clean
    }
    return false
  }

  private func replaceRootLinks(_ name: inout PathText) {
    for from in frame.rootLinks where name.count > from.count && name[from.count] == UInt8(ascii: "/") {
      guard name.bytes.starts(with: from.bytes) else { continue }
      name.prepend("/usr")
      return
    }
  }

  /// As text: right only because every directory on the way is checked to be a directory. nil for too long a name.
  private static func withoutDots(_ name: PathText) -> PathText? {
    var parts: [ArraySlice<UInt8>] = []
    for part in name.bytes.split(separator: UInt8(ascii: "/")) {
      if part.elementsEqual(".".utf8) { continue }
      if part.elementsEqual("..".utf8) {
        _ = parts.popLast()
      } else {
        parts.append(part)
      }
    }
    var result = PathText()
    for part in parts {
      result.append(UInt8(ascii: "/"))
      result.append(part)
    }
    return result.isTooLong ? nil : result
  }

  /// Whether nobody in the tree can put another thing at this name: each directory on the way is a directory, and
  /// either root's alone to write (the tree is not root), or closed by the policy for every change of an entry. By this
  /// policy alone: another session, without the one that narrows it, could have made the link.
  private func isFixed(
    directoryOf name: PathText, by source: PolicySource, _ scratch: inout Scratch
  ) -> Bool {
    var prefix = PathText()
    for part in name.bytes.split(separator: UInt8(ascii: "/")) {
      let path = prefix.isEmpty ? PathText("/") : prefix
      var information = stat()
      guard statAt(-1, path, &information, flags: AT_SYMLINK_NOFOLLOW) == 0,
        FileType(mode: information.st_mode) == .directory
      else { return false }
      prefix.append(UInt8(ascii: "/"))
      prefix.append(part)
      let rootsAlone =
        frame.ownerUID != 0 && information.st_uid == 0 && information.st_mode & 0o022 == 0
        && !identitiesVary.load(ordering: .relaxed)
      if !rootsAlone, !isClosed(prefix, by: source, &scratch) { return false }
    }
    return true
  }

  private static let changes: [FileOperation] = [
    .create, .delete, .rmdir, .mkdir, .rename, .link, .symlink, .mknod,
  ]

  private func isClosed(_ name: PathText, by source: PolicySource, _ scratch: inout Scratch) -> Bool {
    // What is asked about may be approved, and what is deleted softly is gone from its place.
    for operation in Self.changes
    where scratch.decider.decide(operation, name, by: source)?.verdict != .deny { return false }
    return true
  }
}
