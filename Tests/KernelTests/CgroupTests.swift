import CLinux
import Cgroup
import Glibc
import LinuxSystem
import Testing

@Suite("Control groups")
struct CgroupTests {
  private static let hybrid =
    "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
    + "41 31 0:38 / /sys/fs/cgroup/unified rw shared:7 - cgroup2 cgroup2 rw\n"

  @Test(
    "the group's directory is found under its mount",
    arguments: [
      ("0::/\n", "/sys/fs/cgroup/unified"),
      ("9:name=systemd:/x\n0::/user.slice/a.scope\n", "/sys/fs/cgroup/unified/user.slice/a.scope"),
    ])
  func found(groups: String, place: String) {
    #expect(CgroupPlace.directory(groups: groups, mounts: Self.hybrid) == place)
  }

  @Test("a container's mount shows a part of the tree, under a name with a space")
  func part() {
    let mounts = #"50 40 0:38 /docker/a /my\040groups rw - cgroup2 cgroup rw"#
    #expect(CgroupPlace.directory(groups: "0::/docker/a\n", mounts: mounts) == "/my groups")
    #expect(CgroupPlace.directory(groups: "0::/docker/a/b\n", mounts: mounts) == "/my groups/b")
    #expect(CgroupPlace.directory(groups: "0::/docker/ab\n", mounts: mounts) == nil)
  }

  @Test("without cgroup2 there is no place")
  func none() {
    #expect(CgroupPlace.directory(groups: "9:cpu:/\n", mounts: Self.hybrid) == nil)
    #expect(
      CgroupPlace.directory(groups: "0::/\n", mounts: "32 31 0:29 / /x rw - cgroup cgroup rw,cpu\n") == nil)
    #expect(CgroupPlace.directory(groups: "0::/\n", mounts: "nonsense\n\n - \n") == nil)
  }

  @Test("a name that is no single component makes no group", arguments: ["", ".", "..", "a/b", "/"])
  func names(name: String) {
    #expect(throws: CgroupAbsent.badName) { _ = try CgroupTree.make(named: name).path }
  }

  @Test("what lies outside of the groups that we see has no place")
  func outside() {
    #expect(CgroupPlace.directory(groups: "0::/../a\n", mounts: Self.hybrid) == nil)
    #expect(CgroupPlace.directory(of: "/no/such/group").map { access($0, F_OK) } != 0)
  }

  @Test("a directory that is no group is not taken for one")
  func plain() {
    #expect(throws: CgroupAbsent.notMounted) { _ = try CgroupTree.open(at: "/tmp").path }
    #expect(throws: CgroupAbsent.notMounted) {
      _ = try CgroupTree.make(named: "a", below: "/tmp").path
    }
    #expect(access("/tmp/a", F_OK) != 0)
    #expect(throws: CgroupAbsent.notThere(SystemCallError("open", ENOENT))) {
      _ = try CgroupTree.open(at: "/no/such/group").path
    }
  }

  @Test("a group lists who is in it, ends them, and is gone; or the machine says why it cannot be")
  func whole() throws {
    do {
      try Self.use(CgroupTree.make(named: "agentsh-kernel-test-\(getpid())"))
    } catch let error as CgroupAbsent {
      // Not root, or no cgroup2: then there is nothing to write to.
      let own = CgroupPlace.own() ?? "/no/such/group"
      #expect(access(own, W_OK) != 0 || access(own + "/cgroup.procs", W_OK) != 0, "\(error)")
    }
  }

  @Test(
    "a process is born again in the group that it names, as its parent's, and goes on where that is none or not ours"
  )
  func born() throws {
    let plain = openAt(AT_FDCWD, PathText("/tmp"), flags: O_PATH | O_CLOEXEC)
    #expect(Self.bear(in: Int32(plain)) == -Int(EBADF))
    closeDescriptor(Int32(plain))
    guard let tree = try? CgroupTree.make(named: "agentsh-kernel-born-\(getpid())") else { return }
    let directory = FileDescriptor(
      owning: Int32(openAt(AT_FDCWD, PathText(tree.path), flags: O_PATH | O_CLOEXEC)))
    let pid = Self.bear(in: directory.number)
    try #require(pid > 0)
    #expect(kill(pid_t(pid), 0) == 0)
    #expect(CgroupPlace.group(of: Int32(pid)).flatMap(CgroupPlace.directory(of:)) == tree.path)
    try tree.kill()
    #expect(waitpid(pid_t(pid), nil, 0) == pid_t(pid))
    // As another uid: the kernel asks for the right to write there.
    let child = clinux_fork()
    if child == 0 {
      _exit(
        rawCall(Int(SYS_setresuid), 4242, 4242, 4242) == 0 && Self.bear(in: directory.number) == -Int(EACCES)
          ? 0 : 1)
    }
    var status: Int32 = 0
    _ = waitpid(pid_t(child), &status, 0)
    #expect(status == 0 || getuid() != 0)
    try tree.remove()
    #expect(Self.bear(in: directory.number) == -Int(ENOENT))
  }

  /// The pid of a child that waits for its end where it was born, or the negative errno.
  private static func bear(in group: Int32) -> Int {
    var ends: [Int32] = [-1, -1]
    guard pipe(&ends) == 0 else { return -Int(errno) }
    let (reading, writing) = (ends[0], ends[1])
    var told: Int32 = 0
    let child = pid_t(clinux_fork())
    if child == 0 {
      let born = clinux_be_reborn(group)
      told = born < 0 ? Int32(born) : getpid()
      write(writing, &told, 4)
      while born == 0 { pause() }
      _exit(0)
    }
    close(writing)
    defer { close(reading) }
    guard read(reading, &told, 4) == 4 else { return -Int(EIO) }
    var status: Int32 = 1
    // What called has ended in each case.
    guard waitpid(child, &status, 0) == child, status == 0, told != child else { return -Int(ECHILD) }
    return Int(told)
  }

  private static func use(_ tree: borrowing CgroupTree) throws {
    var pid: pid_t = 0
    var words: [UnsafeMutablePointer<CChar>?] = [strdup("sleep"), strdup("60"), nil]
    defer { for word in words { free(word) } }
    try #require(posix_spawn(&pid, "/bin/sleep", nil, nil, &words, nil) == 0)
    let list = SharedFile(try tree.openMembers())
    #expect(list.members == [])
    try tree.add(pid: pid)
    #expect(list.members == [pid])
    let path = tree.path
    #expect(CgroupPlace.group(of: pid).flatMap(CgroupPlace.directory(of:)) == path)
    let isEmpty = try tree.waitUntilEmpty(milliseconds: 0)
    #expect(!isEmpty)
    do throws(SystemCallError) {
      try tree.remove()
      Issue.record("removed with a process in it")
    } catch { #expect(error.errno == EBUSY) }
    // Another hold on it, as the next daemon has.
    let again = try CgroupTree.open(at: path)
    try again.kill()
    let isEmptyThen = try tree.waitUntilEmpty(milliseconds: 5000)
    #expect(isEmptyThen)
    // A zombie still, and not there any more.
    #expect(list.members == [])
    try tree.remove()
    #expect(list.members == [])
    #expect(waitpid(pid, nil, 0) == pid)
  }
}

private final class SharedFile {
  private let file: FileDescriptor
  init(_ file: consuming FileDescriptor) { self.file = file }
  var members: [Int32]? { cgroupMembers(file.number) }
}
