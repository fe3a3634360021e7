import CLinux
import LinuxSystem
import Seccomp

// mount, umount2, pivot_root, where the policy permits user namespaces.
//
// They decide nothing and race with nothing: what is found by way of a mount is decided by the name that it has in our
// mount namespace (MountNames.swift). They are made by a child of ours in the caller's namespaces, because a process with
// a Landlock domain may not make them; and only there, by who has the capability there: our own mount namespace is left
// as it is. The texts are copied once. File systems that would show other objects' contents (overlays), or have a process
// answer (FUSE), are not made.

private struct MountTexts {
  var source = PathText()
  var target = PathText()
  var type = PathText()
  var data = PathText()
}

extension Mediator {
  private static let administration: UInt64 = 1 << 21  // CAP_SYS_ADMIN
  // MS_REMOUNT, MS_BIND, MS_MOVE, MS_REC; MS_UNBINDABLE, MS_PRIVATE, MS_SLAVE, MS_SHARED. `mount(2)`
  private static let remount: UInt64 = 32
  private static let bind: UInt64 = 4096
  private static let move: UInt64 = 8192
  private static let recursive: UInt64 = 16384
  private static let propagation: UInt64 = 0b1111 << 17

  func mountCall(_ n: consuming PendingNotification, _ scratch: inout Scratch) {
    guard scratch.mayBlock else {
      handOver(n)  // it takes a fork
      return
    }
    let thread = n.thread
    guard !Frame.sharesNamespace("mnt", with: thread), !Frame.sharesNamespace("user", with: thread),
      let status = ThreadStatus(reading: thread), status.capabilities & Self.administration != 0
    else {
      n.fail(EPERM)
      return
    }
    var texts = MountTexts()
    let failed = read(n, &texts)
    guard failed == 0 else {
      n.fail(failed)
      return
    }
    let call = Int(n.call)
    let flags = n.arguments[call == Int(SYS_umount2) ? 1 : 3]
    let result: Int =
      switch call {
      case Int(SYS_umount2):
        texts.target.withAddress { within(n, mounts: true, [call, $0, Int(flags), 0, 0, 0, 0]) }
      case Int(SYS_pivot_root):
        texts.source.withAddress { new in
          texts.target.withAddress { within(n, mounts: true, [call, new, $0, 0, 0, 0, 0]) }
        }
      default: mount(n, &texts, flags: flags)
      }
    if result == 0 { n.complete(0) } else { n.fail(Int32(truncatingIfNeeded: -result)) }
  }

  /// Returns 0 or an errno.
  private func read(_ n: borrowing PendingNotification, _ texts: inout MountTexts) -> Int32 {
    func text(_ index: Int, _ text: inout PathText) -> Int32 {
      n.arguments[index] == 0 ? 0 : n.readPath(n.arguments[index], into: &text)
    }
    if n.call == Int32(SYS_umount2) { return n.readPath(n.arguments[0], into: &texts.target) }
    var failed = text(0, &texts.source)
    if failed == 0 { failed = n.readPath(n.arguments[1], into: &texts.target) }
    guard failed == 0, n.call == Int32(SYS_mount) else { return failed }
    failed = text(2, &texts.type)
    return failed == 0 ? text(4, &texts.data) : failed
  }

  private func mount(
    _ n: borrowing PendingNotification, _ texts: inout MountTexts, flags: UInt64
  ) -> Int {
    // The word that old programs put before the flags.
    var flags = flags & 0xffff_0000 == 0xc0ed_0000 ? flags & 0xffff : flags
    if flags & (Self.remount | Self.bind) == Self.remount { return -Int(EPERM) }
    if flags & (Self.bind | Self.move | Self.propagation) == 0 {
      switch texts.type.text {
      case "tmpfs", "devpts": break
      case "proc":
        // Ours, with its numbers: the only one on which anything is permitted.
        guard let place = placeOfProc(for: n.thread) else { return -Int(EPERM) }
        texts.source = place
        flags = Self.bind | Self.recursive
      default: return -Int(EPERM)
      }
    }
    let chosen = Int(bitPattern: UInt(flags))
    return texts.source.withAddress { source in
      texts.target.withAddress { target in
        texts.type.withAddress { type in
          texts.data.withAddress { data in
            within(
              n, mounts: true,
              [Int(SYS_mount), source, target, type, chosen, n.arguments[4] != 0 ? data : 0, 0])
          }
        }
      }
    }
  }

  /// Where the thread has our /proc.
  private func placeOfProc(for thread: Int32) -> PathText? {
    var proc = stat()
    guard statAt(frame.root, PathText("proc"), &proc, flags: 0) == 0 else { return nil }
    let (major, minor) = (clinux_major(UInt(proc.st_dev)), clinux_minor(UInt(proc.st_dev)))
    let device = UInt64(major) << 32 | UInt64(minor)
    let text = try? Mount.text(of: "\(thread)")
    return text.flatMap { Mount.all(on: device, in: $0).first { $0.root.count == 1 } }
      .map { PathText($0.point) }
  }
}
