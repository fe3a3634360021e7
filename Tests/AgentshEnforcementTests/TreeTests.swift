import AgentshEnforcement
import CLinux
import Glibc
import LinuxSystem
import Testing

/// In a process of one test at a time: the limit is everybody's.
@Suite(.serialized) struct TreeTests {
  @Test("Where /proc cannot be read, it is not said that nobody is left")
  func unreadable() throws {
    let tree = Tree(roots: [currentProcess()], own: currentProcess())
    let before = tree.members()
    #expect(before.areAll)
    #expect(Tree.allProcesses()?.contains(currentProcess()) == true)
    var limit = rlimit()
    try #require(getrlimit(__rlimit_resource_t(7), &limit) == 0)  // RLIMIT_NOFILE
    var none = limit
    none.rlim_cur = 0
    try #require(setrlimit(__rlimit_resource_t(7), &none) == 0)
    let members = tree.members()
    let all = Tree.allProcesses()
    let nobodyIsLeft = tree.signal(0)
    try #require(setrlimit(__rlimit_resource_t(7), &limit) == 0)
    #expect(!members.areAll)
    #expect(all == nil)
    #expect(!nobodyIsLeft)
  }
}
