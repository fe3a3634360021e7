import LinuxSystem
import Testing

/// What mountinfo says, by bytes.
@Suite struct MountListTests {
  private func mounts(_ text: [UInt8]) -> [Mount] { Mount.all(in: text) }

  @Test func `names are bytes`() throws {
    let odd =
      Array("36 24 8:1 /a\\040b /x".utf8) + [0xFF]
      + Array("\\134y rw shared:1 - fuse.\u{301}z \u{301} rw\n".utf8)
    // A source that begins with what joins the blank before it, and a line after it.
    let text =
      odd
      + Array("37 36 259:70000 / /next rw - ext4 /dev/sda1 rw\r\n38 36 0:5 / /last rw - proc proc rw\n".utf8)
    let found = mounts(text)
    try #require(found.count == 3)
    #expect(found[0].id == 36 && found[0].parent == 24 && found[0].device == 8 << 32 | 1)
    #expect(
      found[0].root == Array("/a b".utf8) && found[0].point == Array("/x".utf8) + [0xFF] + Array("\\y".utf8))
    #expect(found[0].type == "fuse.\u{301}z")
    #expect(found[1].device == 259 << 32 | 70000 && found[1].point == Array("/next".utf8))
    #expect(found[2].point == Array("/last".utf8))
  }

  @Test func `what is no mount is passed over`() {
    for line in [
      "", "1", "a b c", "1 2 8 / / rw - ext4 x rw", "x 2 8:1 / / rw - ext4 x rw", "1 2 8:1 / / rw ext4 x rw",
    ] {
      #expect(mounts(Array(line.utf8)).isEmpty, "\(line)")
    }
  }

  @Test func `a procfs elsewhere than at /proc is told apart`() {
    for (root, point, elsewhere) in [
      ("/", "/proc", false), ("/sys", "/proc/sys", false), ("/irq", "/proc/irq", false),
      ("/", "/jail/proc", true),
      ("/", "/proc/tty", true), ("/12", "/proc/99", true), ("/12", "/x", true), ("/", "/proc2", true),
    ] {
      let found = mounts(Array("9 8 0:21 \(root) \(point) rw - proc proc rw\n".utf8))
      #expect(found.map(\.showsProcessesElsewhere) == [elsewhere], "\(root) \(point)")
    }
    #expect(
      mounts(Array("9 8 0:22 / /x rw - sysfs sysfs rw\n".utf8)).map(\.showsProcessesElsewhere) == [false])
  }

  @Test func `the root is among our own`() throws {
    let found = try Mount.all()
    #expect(found.contains { $0.point == [UInt8(ascii: "/")] } && Set(found.map(\.id)).count == found.count)
  }
}
