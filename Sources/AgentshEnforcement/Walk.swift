import CLinux
import LinuxSystem
import Seccomp
import Synchronization

// The slow way of resolution: one component at a time, each opened with O_PATH|O_NOFOLLOW on the handle of the one
// before, so nothing is looked up twice. Links are read through their own handle. `/proc/self` and `/proc/thread-self`
// are the caller's; magic links are followed for processes of the tree only. At most 40 links, as the kernel has it.

extension Mediator {
  private static let linkLimit = 40
  private static let procMagic = 0x9fa0

  /// Resolves all of `raw`; the last component too when `follow`.
  func walk(
    _ notification: borrowing PendingNotification, directory: Int32, raw: PathText, follow: Bool,
    name: inout PathText, mayBlock: Bool, magic: Bool = true, links: Bool = true
  ) -> Pin {
    let ownRoot = hasOwnRoot(notification.thread)
    if links,
      let pin = resolveCached(
        notification, directory: directory, raw: raw, follow: follow, ownRoot: ownRoot, name: &name,
        mayBlock: mayBlock)
    {
      return pin
    }
    var walker = Walker(raw, self, notification.thread)
    walker.mayFollowMagic = magic
    walker.mayFollowLinks = links
    let failed = walker.start(directory, raw, ownRoot: ownRoot)
    if failed != 0 { return .failed(errno: failed) }
    while let component = walker.nextComponent() {
      if !mayBlock, takesTime(walker) { return .mustWait }
      let last = walker.isFinished
      let errno = step(notification, &walker, component, follow: !last || follow || walker.wantsDirectory)
      if errno != 0 { return .failed(errno: errno) }
    }
    let unnamed = walker.nameAnew()
    if unnamed != 0 { return .failed(errno: unnamed) }
    if walker.name.isTooLong { return .failed(errno: ENAMETOOLONG) }
    name = walker.name
    if name.isEmpty { name.append(UInt8(ascii: "/")) }
    guard let handle = walker.takeHandle() else { return .failed(errno: ENOENT) }
    if walker.wantsDirectory, !isDirectory(handle.number) { return .failed(errno: ENOTDIR) }
    return .object(handle)
  }

  /// Resolves all but the last component of `raw`.
  func walkToParent(
    _ notification: borrowing PendingNotification, directory: Int32, raw: PathText, name: inout PathText,
    wantsDirectory: Bool, mayBlock: Bool
  ) -> Place {
    var walker = Walker(raw, self, notification.thread)
    let failed = walker.start(directory, raw, ownRoot: hasOwnRoot(notification.thread))
    if failed != 0 { return .failed(errno: failed) }
    while let component = walker.nextComponent() {
      if !mayBlock, takesTime(walker) { return .mustWait }
      if walker.isFinished {
        if component.count <= 2, component.allSatisfy({ $0 == UInt8(ascii: ".") }) {
          return .failed(errno: EBUSY)
        }
        let unnamed = walker.nameAnew()
        if unnamed != 0 { return .failed(errno: unnamed) }
        guard let parent = walker.takeHandle() else { return .failed(errno: ENOENT) }
        guard isDirectory(parent.number) else { return .failed(errno: ENOTDIR) }
        name = walker.name
        name.append(UInt8(ascii: "/"))
        let leaf = name.count
        name.append(component)
        // Links lead where no path does: what is cut off here would be decided by a name that is not its own.
        if name.isTooLong { return .failed(errno: ENAMETOOLONG) }
        if wantsDirectory { name.append(UInt8(ascii: "/")) }
        return .parent(parent, leafStart: leaf)
      }
      let errno = step(notification, &walker, component, follow: true)
      if errno != 0 { return .failed(errno: errno) }
    }
    return .failed(errno: EBUSY)
  }

  /// Whether the next step is a helper's.
  private func takesTime(_ walker: borrowing Walker) -> Bool {
    frame.isRemote(walker.name) || asksForNumbers(walker.thread, at: walker.name)
  }

  /// One component further. Returns 0 or an errno.
  private func step(
    _ notification: borrowing PendingNotification, _ walker: inout Walker, _ component: ArraySlice<UInt8>,
    follow: Bool
  ) -> Int32 {
    if component.elementsEqual(".".utf8) { return isDirectory(walker.current) ? 0 : ENOTDIR }
    if component.elementsEqual("..".utf8) { return walker.goUp() }
    let inProc = isProc(walker.current)
    if inProc, !isOurProc(walker.name) || !mayEnter(notification.thread, walker.name, component) {
      return EACCES
    }
    if inProc, walker.name.equals("/proc") {
      guard let own = processID(of: notification.thread) else { return ESRCH }
      if component.elementsEqual("self".utf8), follow { return walker.splice("\(own)", inDirectory: true) }
      if component.elementsEqual("thread-self".utf8), follow {
        return walker.splice("\(own)/task/\(notification.thread)", inDirectory: true)
      }
    }
    var component = component
    if inProc, walker.name.equals("/proc"), let number = numberOutside(component, for: notification.thread) {
      component = Array("\(number)".utf8)[...]
    }
    let opened = openAt(
      walker.current, PathText(component), flags: O_PATH | O_NOFOLLOW | O_CLOEXEC)
    guard opened >= 0 else { return Int32(truncatingIfNeeded: -opened) }
    let child = FileDescriptor(owning: Int32(opened))
    var information = stat()
    guard statDescriptor(child.number, &information) == 0 else { return EACCES }
    guard FileType(mode: information.st_mode) == .link, follow else {
      if !walker.isFinished, FileType(mode: information.st_mode) != .directory { return ENOTDIR }
      let failed = walker.enter(child, component)
      return failed == 0 && walker.name.isTooLong ? ENAMETOOLONG : failed
    }
    walker.links += 1
    if walker.links > Self.linkLimit || !walker.mayFollowLinks { return ELOOP }
    if inProc, isMagic(walker.name, component) {
      return walker.mayFollowMagic ? followMagic(&walker, component) : ELOOP
    }
    if !mayFollow(notification, link: information, in: walker.current) { return EACCES }
    var target = PathText()
    let length = readLinkAt(child.number, PathText(), into: &target)
    guard length > 0 else { return length == 0 ? ENOENT : Int32(truncatingIfNeeded: -length) }
    if target[0] == UInt8(ascii: "/") {
      let errno = walker.restart()
      if errno != 0 { return errno }
    }
    return walker.splice(target.text, bytes: target.bytes)
  }

  /// The process that a thread belongs to; nil when it is gone.
  func processID(of thread: Int32) -> Int32? {
    processes.entry(thread)?.process ?? ThreadStatus(reading: thread)?.process
  }

  /// A magic link leads to an object, not to a name: it is opened through the kernel and named afterwards.
  private func followMagic(_ walker: inout Walker, _ component: ArraySlice<UInt8>) -> Int32 {
    let opened = openAt(walker.current, PathText(component), flags: O_PATH | O_CLOEXEC)
    guard opened >= 0 else { return Int32(truncatingIfNeeded: -opened) }
    let object = FileDescriptor(owning: Int32(opened))
    if !walker.isFinished, !isDirectory(object.number) { return ENOTDIR }
    var name = PathText()
    let errno = nameOfDescriptor(object.number, of: walker.thread, into: &name)
    if errno != 0 { return errno }
    if name.count == 1, name[0] == UInt8(ascii: "/") { name.removeAll() }
    walker.arrive(object, name)
    return 0
  }

  /// fs.protected_symlinks, which the kernel applies to whoever follows: in a sticky directory that all may write,
  /// only links of one's own or of the directory's owner are followed. `proc_sys_fs(5)`.
  private func mayFollow(_ notification: borrowing PendingNotification, link: stat, in directory: Int32)
    -> Bool
  {
    var information = stat()
    guard statDescriptor(directory, &information) == 0 else { return false }
    guard information.st_mode & 0o1002 == 0o1002, link.st_uid != information.st_uid else { return true }
    let identity = frame.ownerUID == 0 ? ThreadStatus(reading: notification.thread)?.fsUID : frame.ownerUID
    return identity == link.st_uid
  }

  /// Whether the caller may look below /proc/PID at `component`. Its own tree, as far as the kernel gives it rights there:
  /// all but writing memory, which the open itself refuses. Others: what everybody may read of them; the rest would be had with the supervisor's
  /// rights, and a caller inside its Landlock domain has none there.
  func mayEnter(_ thread: Int32, _ name: PathText, _ component: ArraySlice<UInt8>) -> Bool {
    guard touchesProcess(name) else { return true }
    guard let process = processNumber(name) else { return false }
    if process == frame.ownPid {
      return Self.publicFiles.contains(String(decoding: component, as: UTF8.self))
    }
    if processes.isMember(process, reaper: frame.ownPid), hasRights(thread, over: process) { return true }
    return Self.publicFiles.contains(String(decoding: component, as: UTF8.self))
  }

  private static let publicFiles: Set<String> = [
    "stat", "statm", "status", "cmdline", "comm", "cgroup", "loginuid", "sessionid", "oom_score",
    "oom_score_adj",
    "oom_adj", "schedstat", "limits", "mounts", "mountinfo", "task",
  ]

  /// The number in `/proc/NUMBER…`.
  func processNumber(_ name: PathText) -> Int32? {
    var index = 6
    var value: Int64 = 0
    while index < name.count, name[index] >= 0x30, name[index] <= 0x39 {
      value = value * 10 + Int64(name[index] - 0x30)
      if value > Int64(Int32.max) { return nil }
      index += 1
    }
    guard index > 6, index == name.count || name[index] == UInt8(ascii: "/") else { return nil }
    return Int32(value)
  }

  /// cwd, root, exe and everything in fd, ns and map_files.
  private func isMagic(_ name: PathText, _ component: ArraySlice<UInt8>) -> Bool {
    guard touchesProcess(name) else { return false }
    switch String(decoding: name.bytes[leafStart(name)...], as: UTF8.self) {
    case "fd", "ns", "map_files": return true
    default:
      let word = String(decoding: component, as: UTF8.self)
      return word == "cwd" || word == "root" || word == "exe"
    }
  }

  func isProc(_ descriptor: Int32) -> Bool {
    var information = statfs()
    // SAFETY: `information` lives across the call.
    let result = unsafe withUnsafeMutablePointer(to: &information) {
      rawCall(Int(SYS_fstatfs), Int(descriptor), kernelAddress($0))
    }
    return result == 0 && Int(information.f_type) == Self.procMagic
  }

  func isDirectory(_ descriptor: Int32) -> Bool {
    var information = stat()
    return statDescriptor(descriptor, &information) == 0 && FileType(mode: information.st_mode) == .directory
  }
}

/// A walk's state: where it is, what that is called, and what remains of the path.
struct Walker: ~Copyable {
  private var handle: FileDescriptor?
  private let mediator: Mediator
  /// Whose walk it is.
  let thread: Int32
  /// The caller's root where it is not ours, and its name, which is empty for ours.
  private var ownRoot: FileDescriptor?
  private var rootName = PathText()
  /// Canonical name of `current`; empty for the root.
  private(set) var name = PathText()
  private var rest: [UInt8]
  private var index = 0
  var links = 0
  /// openat2 with RESOLVE_NO_MAGICLINKS or RESOLVE_NO_SYMLINKS: such a link is ELOOP.
  var mayFollowMagic = true
  var mayFollowLinks = true
  private(set) var wantsDirectory: Bool

  init(_ raw: PathText, _ mediator: Mediator, _ thread: Int32) {
    self.mediator = mediator
    self.thread = thread
    rest = Array(raw.bytes)
    wantsDirectory = rest.last == UInt8(ascii: "/")
  }

  var current: Int32 {
    switch handle {
    case .some(let open): open.number
    case .none: -1
    }
  }

  /// Nothing but slashes is left.
  var isFinished: Bool { rest[index...].allSatisfy { $0 == UInt8(ascii: "/") } }

  mutating func start(_ directory: Int32, _ raw: PathText, ownRoot: Bool) -> Int32 {
    if ownRoot {
      let failed = confine()
      if failed != 0 { return failed }
    }
    if !raw.isEmpty, raw[0] == UInt8(ascii: "/") { return restart() }
    let flags = O_PATH | O_CLOEXEC
    let opened =
      directory == AT_FDCWD
      ? ProcPath(thread, "cwd").open(flags: flags) : ProcPath(thread, "fd", directory).open(flags: flags)
    guard opened >= 0 else { return directory == AT_FDCWD ? ENOENT : EBADF }
    handle = FileDescriptor(owning: Int32(opened))
    return readName()
  }

  /// The root of the thread becomes the walk's.
  private mutating func confine() -> Int32 {
    let opened = ProcPath(thread, "root").open(flags: O_PATH | O_CLOEXEC)
    guard opened >= 0 else { return ENOENT }
    handle = FileDescriptor(owning: Int32(opened))
    let failed = readName()
    if failed != 0 { return failed }
    ownRoot = handle.take()
    rootName = name
    return 0
  }

  mutating func restart() -> Int32 {
    let from =
      switch ownRoot {
      case .some(let own): own.number
      case .none: mediator.frame.root
      }
    let copy = controlDescriptor(from, Int32(F_DUPFD_CLOEXEC), 3)
    guard copy >= 0 else { return Int32(truncatingIfNeeded: -copy) }
    handle = FileDescriptor(owning: Int32(copy))
    name = rootName
    return 0
  }

  /// The kernel's name of the current handle.
  private mutating func readName() -> Int32 {
    let failed = mediator.nameOfDescriptor(current, of: thread, into: &name)
    guard failed == 0 else { return failed == ENAMETOOLONG || failed == EACCES ? failed : ENOENT }
    guard name[0] == UInt8(ascii: "/") else { return ENOTDIR }
    if name.count == 1 { name.removeAll() }
    return 0
  }

  mutating func nextComponent() -> ArraySlice<UInt8>? {
    while index < rest.count, rest[index] == UInt8(ascii: "/") { index += 1 }
    guard index < rest.count else { return nil }
    var end = index
    while end < rest.count, rest[end] != UInt8(ascii: "/") { end += 1 }
    defer { index = end }
    return rest[index..<end]
  }

  /// Returns 0 or an errno.
  mutating func enter(_ child: consuming FileDescriptor, _ component: ArraySlice<UInt8>) -> Int32 {
    handle = consume child
    name.append(UInt8(ascii: "/"))
    name.append(component)
    // Whose process it is, is asked by name on the way.
    let varies = mediator.mountsVary.load(ordering: .sequentiallyConsistent)
    return varies && mediator.isProc(current) ? readName() : 0
  }

  /// What is mounted on the way may have another name. Returns 0 or an errno.
  mutating func nameAnew() -> Int32 {
    mediator.mountsVary.load(ordering: .sequentiallyConsistent) ? readName() : 0
  }

  mutating func arrive(_ object: consuming FileDescriptor, _ called: PathText) {
    handle = consume object
    name = called
  }

  /// `..`: the parent of the handle, not of the text; named afresh, for it may have been moved.
  mutating func goUp() -> Int32 {
    switch ownRoot {
    case .some(let own) where isSamePlace(own.number, current): return 0
    case .none where name.isEmpty: return 0
    default: break
    }
    let opened = openAt(current, PathText(".."), flags: O_PATH | O_DIRECTORY | O_CLOEXEC)
    guard opened >= 0 else { return Int32(truncatingIfNeeded: -opened) }
    handle = FileDescriptor(owning: Int32(opened))
    return readName()
  }

  /// Puts a link's target before what remains.
  mutating func splice(_ text: String, bytes: ArraySlice<UInt8>? = nil, inDirectory: Bool = false) -> Int32 {
    let target = bytes.map(Array.init) ?? Array(text.utf8)
    let finished = isFinished
    let remaining = rest[index...]
    guard target.count + remaining.count < 2 * PathText.limit else { return ENAMETOOLONG }
    if finished, target.last == UInt8(ascii: "/") { wantsDirectory = true }
    rest = target + remaining
    index = 0
    return 0
  }

  mutating func takeHandle() -> FileDescriptor? { handle.take() }
}
