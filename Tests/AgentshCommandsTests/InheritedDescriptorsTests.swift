import AgentshCommands
import Glibc
import Testing

@Suite(.serialized) struct InheritedDescriptorsTests {
  private func pipes() -> (Int32, Int32) {
    var ends: [Int32] = [0, 0]
    precondition(pipe(&ends) == 0)
    return (ends[0], ends[1])
  }

  @Test func standardDescriptorsAndFilesCanBeKept() throws {
    let file = open("/dev/null", O_RDONLY)
    let (read, write) = pipes()
    defer { for fd in [file, read, write] { close(fd) } }
    #expect(
      try InheritedDescriptors(asked: [write, 0, 2, file, read], makeFlags: nil).kept
        == [file, read, write].sorted())
  }

  @Test func directoriesAndConnectionsCannot() {
    let directory = open("/", O_RDONLY | O_DIRECTORY)
    var pair: [Int32] = [0, 0]
    precondition(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &pair) == 0)
    defer { for fd in [directory] + pair { close(fd) } }
    for number in [directory, pair[0], 200, -1, 4000] {
      #expect(InheritedDescriptors.problem(with: number) != nil)
      #expect(throws: CommandFailure.self) { try InheritedDescriptors(asked: [number], makeFlags: nil) }
    }
  }

  @Test func aNetworkSocketIsAFileLikeAnother() {
    let socket = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(socket) }
    #expect(InheritedDescriptors.problem(with: socket) == nil)
  }

  @Test func makesJobServerIsRecognised() throws {
    #expect(InheritedDescriptors.jobServer(" -j4 --jobserver-auth=3,4") == [3, 4])
    #expect(InheritedDescriptors.jobServer("w -j --jobserver-fds=5,6 --jobserver-auth=7,8") == [7, 8])
    for flags in [
      "", "-j4", "--jobserver-auth=fifo:/tmp/GMfifo1", "--jobserver-auth=-2,-2", "--jobserver-auth=3",
      "--jobserver-auth=0,1",
    ] {
      #expect(InheritedDescriptors.jobServer(flags).isEmpty, "\(flags)")
    }
    let (read, write) = pipes()
    defer { for fd in [read, write] { close(fd) } }
    #expect(
      try InheritedDescriptors(asked: [], makeFlags: "-j --jobserver-auth=\(read),\(write)").kept == [
        read, write,
      ])
  }

  @Test func aJobServerThatIsNoPipeIsNotKept() throws {
    let directory = open("/", O_RDONLY | O_DIRECTORY)
    defer { close(directory) }
    let flags = "--jobserver-auth=\(directory),\(directory)"
    #expect(try InheritedDescriptors(asked: [], makeFlags: flags).kept.isEmpty)
  }
}
