import AgentshPolicy
import CLinux
import LinuxSystem
import Seccomp

// What an exec would start besides the file that it names: the interpreters of `#!` lines, which the kernel starts
// without a second notification; the program that a loader is given (`ld.so FILE`); and, where a rule has a word on
// it, the command inside a transparent one (`env X`, `timeout 5 X`), which will be decided again when it starts.
// The strictest decision is the exec's.
//
// A script is run by its interpreter, and a program by ld.so, under a name that is looked up once more: that second
// look is an open, and decided as one.

/// One program in the chain that an exec starts.
private struct Link {
  /// Canonical name.
  var name: [UInt8]
  /// Its arguments, with argv[0].
  var arguments: ExecArguments
  /// How the `#!` line before, or the call, names it.
  var kernelName: [UInt8]
}

private enum Progress {
  case done
  case failed(errno: Int32)
  case refused(reason: String)
  case mustWait
}

extension Mediator {
  private static let payloadLimit = 8

  func decideAll(
    _ n: borrowing PendingNotification, _ scratch: inout Scratch, _ target: ExecTarget,
    _ arguments: ExecArguments, _ called: [[UInt8]], _ object: consuming FileDescriptor
  ) -> Preparation {
    var information = stat()
    let errno = startable(object.number, &information)
    if errno != 0 { return .failed(errno: errno) }
    let canonical = canonicalName(object.number, information, &scratch)
    let entry = processes.refresh(n.thread)
    var names = CommandNames(canonical: canonical, called: called, depth: processes.commandDepth(entry))
    if policy.commandsNeedArguments { names.arguments = arguments.joined(from: 1) }
    var exec = PreparedExec(
      raw: scratch.raw.text, canonical: String(decoding: canonical, as: UTF8.self), arguments: arguments,
      expected: arguments, object: object, interpreter: nil, format: .other,
      decision: decide(names, &scratch),
      depth: names.depth, entry: entry)
    var link = Link(name: canonical, arguments: arguments, kernelName: target.kernelName)
    var level = 0
    // Where every command has the same verdict, nothing rests on what stands in the file; one that cannot be read is
    // looked at all the same, and refused, as its process could not be read either.
    let isSettled = uniformCommand?.permits == true && isReadable(object: exec.object.number)
    while !isSettled, exec.decision.permits || exec.decision.asks {
      let progress = follow(n, &exec, &link, level, &scratch)
      switch progress {
      case .mustWait: return .mustWait
      case .failed(let errno): return .failed(errno: errno)
      case .refused(let reason):
        return .refused(errno: EACCES, canonical: exec.canonical, reason: reason)
      case .done: break
      }
      guard case .script = exec.format else { break }
      level += 1
    }
    exec.expected = link.arguments
    return .ready(exec)
  }

  /// Looks into the image that the chain has come to; where it is a script, the interpreter becomes the image.
  private func follow(
    _ n: borrowing PendingNotification, _ exec: inout PreparedExec, _ link: inout Link, _ level: Int,
    _ scratch: inout Scratch
  ) -> Progress {
    for source in policy.sources {
      let inside = decidePayload(n, &exec, link, by: source, &scratch)
      guard case .done = inside else { return inside }
    }
    var head: [UInt8] = []
    switch readHead(ofPinned: exec.image, mayBlock: scratch.mayBlock, into: &head) {
    case 0: break
    case EAGAIN where !scratch.mayBlock: return .mustWait
    case EACCES, EPERM:
      return .refused(
        reason: "may be run but not read: what it starts could not be decided nor its calls seen")
    case let errno: return .refused(reason: "could not be read: \(errnoText(errno))")
    }
    exec.format = ExecFormat(head: head)
    guard case .script(let interpreter, let argument) = exec.format else { return .done }
    guard level < ExecFormat.interpreterLimit else { return .failed(errno: ELOOP) }
    return enter(n, &exec, &link, interpreter, argument, &scratch)
  }

  private func enter(
    _ n: borrowing PendingNotification, _ exec: inout PreparedExec, _ link: inout Link,
    _ interpreter: [UInt8],
    _ argument: [UInt8]?, _ scratch: inout Scratch
  ) -> Progress {
    var arguments = ExecArguments()
    arguments.append(interpreter)
    if let argument { arguments.append(argument) }
    arguments.append(link.kernelName)
    arguments.append(contentsOf: link.arguments, from: 1)
    let path = PathText(interpreter)
    let pinned = pin(
      n, directory: AT_FDCWD, raw: path, follow: true, name: &scratch.name, mayBlock: scratch.mayBlock)
    switch consume pinned {
    case .mustWait: return .mustWait
    case .failed(let errno): return .failed(errno: errno)
    case .object(let object):
      var information = stat()
      let errno = startable(object.number, &information)
      if errno != 0 { return .failed(errno: errno) }
      let canonical = canonicalName(object.number, information, &scratch)
      var names = CommandNames(canonical: canonical, called: [interpreter], depth: exec.depth)
      if interpreter.first != UInt8(ascii: "/") { names.called = [] }
      if policy.commandsNeedArguments { names.arguments = arguments.joined(from: 1) }
      exec.decision = exec.decision.stricter(decide(names, &scratch))
      exec.started.append(ObjectIdentity(information, content: true))
      exec.interpreter = consume object
      link = Link(name: canonical, arguments: arguments, kernelName: interpreter)
      return .done
    }
  }

  // MARK: - Commands inside commands

  /// The command inside, where by this policy there is one.
  private func decidePayload(
    _ n: borrowing PendingNotification, _ exec: inout PreparedExec, _ link: Link, by source: PolicySource,
    _ scratch: inout Scratch
  ) -> Progress {
    var argv = link.arguments.list()
    let base = link.name[((link.name.lastIndex(of: UInt8(ascii: "/")) ?? -1) + 1)...]
    let loader =
      base.starts(with: "ld-".utf8) && base.contains(UInt8(ascii: ".")) || base.elementsEqual("ld.so".utf8)
    // The object's own name: argv[0] is the caller's to choose.
    if loader {
      argv[0] = Array("ld-linux".utf8)
    } else if !(base.elementsEqual("busybox".utf8) && !isNamed("busybox", argv[0])) {
      argv[0] = Array(base)
    } else {
      argv.insert(Array(base), at: 0)
    }
    guard var payload = policy.payload(of: argv, by: source) else {
      return loader && startsSomething(argv)
        ? .refused(reason: "what the loader is to start could not be told") : .done
    }
    if loader {
      let progress = decideLoaded(n, &exec, payload, &scratch)
      guard case .done = progress else { return progress }
    }
    for _ in 0..<Self.payloadLimit {
      guard let first = payload.first else { return .done }
      // A base name means the same in every directory.
      let name = first.contains(UInt8(ascii: "/")) ? first : [UInt8(ascii: "/")] + first
      var names = CommandNames(canonical: name, depth: max(1, exec.depth))
      if policy.commandsNeedArguments {
        names.arguments = Array(payload.dropFirst().joined(separator: [UInt8(ascii: " ")]))
      }
      if let decision = explicit(name, names, by: source, &scratch) {
        exec.decision = exec.decision.stricter(decision)
      }
      guard let next = policy.payload(of: payload, by: source) else { return .done }
      payload = next
    }
    return .done
  }

  /// `ld.so FILE`: the loader maps the file and jumps into it. It is a command like any other.
  private func decideLoaded(
    _ n: borrowing PendingNotification, _ exec: inout PreparedExec, _ payload: [[UInt8]],
    _ scratch: inout Scratch
  ) -> Progress {
    let path = PathText(payload[0])
    let pinned = pin(
      n, directory: AT_FDCWD, raw: path, follow: true, name: &scratch.name, mayBlock: scratch.mayBlock)
    switch consume pinned {
    case .mustWait: return .mustWait
    case .failed(let errno): return .failed(errno: errno)
    case .object(let object):
      var information = stat()
      guard statDescriptor(object.number, &information) == 0 else {
        return .refused(reason: "what it starts could not be looked at")
      }
      var names = CommandNames(
        canonical: canonicalName(object.number, information, &scratch), depth: exec.depth)
      if payload[0].first == UInt8(ascii: "/") { names.called = [payload[0]] }
      if policy.commandsNeedArguments {
        names.arguments = Array(payload.dropFirst().joined(separator: [UInt8(ascii: " ")]))
      }
      exec.decision = exec.decision.stricter(decide(names, &scratch))
      exec.started.append(ObjectIdentity(information, content: true))
      return .done
    }
  }

  private static let harmless: Set<String> = [
    "--list", "--verify", "--help", "--version", "--list-tunables", "--list-diagnostics",
  ]

  /// A loader's command line that was not understood starts something unless its first option only asks.
  private func startsSomething(_ argv: [[UInt8]]) -> Bool {
    argv.count > 1 && !Self.harmless.contains(String(decoding: argv[1], as: UTF8.self))
  }

  private func isNamed(_ name: String, _ path: [UInt8]) -> Bool {
    path[((path.lastIndex(of: UInt8(ascii: "/")) ?? -1) + 1)...].elementsEqual(name.utf8)
  }
}
