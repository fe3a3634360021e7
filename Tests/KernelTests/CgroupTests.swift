import Cgroup
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
}
