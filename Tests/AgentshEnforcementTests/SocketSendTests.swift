import AgentshEnforcement
import AgentshPolicy
import AgentshWire
import CLinux
import LinuxSystem
import Synchronization
import Testing

private func pair(_ type: Int32) -> (Int, Int) {
  var fds: (Int32, Int32) = (-1, -1)
  withUnsafeMutablePointer(to: &fds) {
    _ = call(SYS_socketpair, Int(AF_UNIX), Int(type), 0, kernelAddress($0))
  }
  return (Int(fds.0), Int(fds.1))
}

private func rights(_ numbers: [Int]) -> [UInt8] { control(1, 1, numbers.flatMap { bytes(UInt32($0)) }) }
private func bytes(_ value: UInt32) -> [UInt8] {
  (0..<4).map { UInt8(truncatingIfNeeded: value >> ($0 * 8)) }
}
private func control(_ level: UInt32, _ type: UInt32, _ body: [UInt8]) -> [UInt8] {
  var out = bytes(UInt32(16 + body.count)) + [0, 0, 0, 0] + bytes(level) + bytes(type) + body
  while out.count % 8 != 0 { out.append(0) }
  return out
}

/// sendmmsg of one-byte messages to these addresses. Returns the result and the lengths that were written back.
private func sendMany(_ fd: Int, _ addresses: [[UInt8]], flags: Int = 0) -> (result: Int, lengths: [UInt32]) {
  let names = UnsafeMutablePointer<UInt8>.allocate(capacity: 128 * addresses.count)
  let parts = UnsafeMutablePointer<iovec>.allocate(capacity: addresses.count)
  let headers = UnsafeMutablePointer<UInt64>.allocate(capacity: 8 * addresses.count)
  let payload = UnsafeMutablePointer<UInt8>.allocate(capacity: 1)
  payload.pointee = 7
  headers.initialize(repeating: 0, count: 8 * addresses.count)
  for (index, address) in addresses.enumerated() {
    for (offset, byte) in address.enumerated() { names[index * 128 + offset] = byte }
    parts[index] = iovec(iov_base: payload, iov_len: 1)
    headers[index * 8] = UInt64(UInt(bitPattern: names + index * 128))
    headers[index * 8 + 1] = UInt64(address.count)
    headers[index * 8 + 2] = UInt64(UInt(bitPattern: parts + index))
    headers[index * 8 + 3] = 1
  }
  let result = call(SYS_sendmmsg, fd, kernelAddress(headers), addresses.count, flags)
  return (result, addresses.indices.map { UInt32(truncatingIfNeeded: headers[$0 * 8 + 7]) })
}

extension SocketTests {
  @Suite struct SocketSendTests {
    @Test func `Datagrams go to allowed ports only, by sendto and by sendmsg`() throws {
      let (allowed, allowedPort) = server(udp)
      let (denied, deniedPort) = server(udp)
      defer { [allowed, denied].forEach(close) }
      let bare = socket(AF_INET, udp)
      #expect(sendTo(bare, [9], loopback(deniedPort)) == 1)
      #expect(sendMessage(bare, [[9]], to: loopback(deniedPort)) == 1)
      #expect(receive(denied) == [9] && receive(denied) == [9])
      close(bare)
      let harness = try SocketHarness(allowing(allowedPort))
      let results = harness.run {
        let fd = socket(AF_INET, udp)
        defer { close(fd) }
        return [
          sendTo(fd, [1, 2], loopback(allowedPort)), sendTo(fd, [3], loopback(deniedPort)),
          sendMessage(fd, [[4], [], [5, 6]], to: loopback(allowedPort)),
          sendMessage(fd, [[7]], to: loopback(deniedPort)),
          sendTo(fd, [UInt8](repeating: 1, count: 65535), loopback(allowedPort)),
          connect(fd, loopback(allowedPort)), sendMessage(fd, [[8]]),
          sendMessage(fd, [[7]], to: loopback(deniedPort)),
        ]
      }
      let no = failed(EPERM)
      #expect(results == [2, no, 3, no, failed(EMSGSIZE), 0, 1, no])
      #expect(receive(allowed) == [1, 2] && receive(allowed) == [4, 5, 6] && receive(allowed) == [8])
      #expect(receive(denied) == nil)
      #expect(
        harness.records(atLeast: 7).map(\.kind) == [.send, .send, .send, .send, .send, .connect, .send])
    }

    @Test func `sendmmsg stops at the first denied destination and says how many went`() throws {
      let (allowed, allowedPort) = server(udp)
      let (denied, deniedPort) = server(udp)
      defer { [allowed, denied].forEach(close) }
      let (good, bad) = (loopback(allowedPort), loopback(deniedPort))
      let bare = socket(AF_INET, udp)
      #expect(sendMany(bare, [good, bad]).result == 2)
      _ = (receive(allowed), receive(denied))
      close(bare)
      let harness = try SocketHarness(allowing(allowedPort))
      let (some, none) = harness.run {
        let fd = socket(AF_INET, udp)
        defer { close(fd) }
        return (sendMany(fd, [good, good, bad, good]), sendMany(fd, [bad, good]))
      }
      #expect(some.result == 2 && some.lengths == [1, 1, 0, 0])
      #expect(none.result == failed(EPERM) && none.lengths == [0, 0])
      #expect(receive(allowed) == [7] && receive(allowed) == [7] && receive(allowed) == nil)
      #expect(receive(denied) == nil)
      let records = harness.records(atLeast: 4)
      #expect(records.filter { $0.effect == .allowed }.count == 2)
      #expect(
        records.filter { $0.effect == .blocked }.map(\.path) == [
          "127.0.0.1:\(deniedPort)", "127.0.0.1:\(deniedPort)",
        ])
    }

    @Test func `Unix datagrams are decided by the socket that the path leads to`() throws {
      let directory = freshDirectory("send")
      defer { removeTree(directory) }
      let (open, secret) = (socket(AF_UNIX, udp), socket(AF_UNIX, udp))
      defer { [open, secret].forEach(close) }
      _ = bind(open, unixPath(directory + "/open"))
      _ = bind(secret, unixPath(directory + "/secret"))
      _ = symlinkAt(PathText("secret"), -100, PathText(directory + "/link"))
      let bare = socket(AF_UNIX, udp)
      #expect(sendTo(bare, [1], unixPath(directory + "/link")) == 1)
      #expect(receive(secret) == [1])
      close(bare)
      var rules = PolicyRules()
      rules.unixSocketRules = [UnixSocketRule(name: "open", paths: [directory + "/open"], decision: .allow)]
      let harness = try SocketHarness(rules)
      let results = harness.run {
        let fd = socket(AF_UNIX, udp)
        defer { close(fd) }
        return [
          sendTo(fd, [2], unixPath(directory + "/open")), sendTo(fd, [3], unixPath(directory + "/link")),
          sendMessage(fd, [[4]], to: unixPath(directory + "/secret")),
          sendTo(fd, [5], unixPath(directory + "/none")),
        ]
      }
      #expect(results == [1, failed(EACCES), failed(EACCES), failed(ENOENT)])
      #expect(receive(open) == [2])
      #expect(receive(secret) == nil)
    }

    @Test func `Descriptors pass through`() throws {
      let (near, far) = pair(tcp)
      defer { [near, far].forEach(close) }
      let harness = try SocketHarness(PolicyRules())
      let results = harness.run {
        let (one, other) = pair(tcp)
        defer { [one, other].forEach(close) }
        let sent = sendMessage(near, [[1]], control: rights([one]))
        let wrong = sendMessage(near, [[1]], control: rights([9999]))
        let broken = sendMessage(near, [[1]], control: [200, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0])
        let route = sendMessage(near, [[1]], control: control(0, 7, [1, 2, 3, 4]))
        _ = call(
          SYS_write, other, kernelAddress("x".utf8CString.withUnsafeBufferPointer { $0.baseAddress }), 0)
        return [sent, wrong, broken, route, sendMessage(other, [[42]])]
      }
      #expect(results == [1, failed(EBADF), failed(EINVAL), failed(EPERM), 1])
      var byte: UInt8 = 0
      var numbers = [Int32](repeating: -1, count: 4)
      var (count, truncated) = (Int32(0), Int32(0))
      let got = withUnsafeMutablePointer(to: &byte) {
        clinux_receive_fds(Int32(far), $0, 1, &numbers, 4, &count, &truncated)
      }
      #expect(got == 1 && count == 1)
      #expect(receive(Int(numbers[0])) == [42])
      close(Int(numbers[0]))
    }

    @Test func `One's own credentials may be sent, another's may not`() throws {
      let (near, far) = pair(udp)
      defer { [near, far].forEach(close) }
      let own = bytes(UInt32(currentProcess())) + bytes(currentUser()) + bytes(UInt32(getegid()))
      let other = bytes(1) + bytes(currentUser()) + bytes(UInt32(getegid()))
      let harness = try SocketHarness(PolicyRules())
      let results = harness.run {
        [
          sendMessage(near, [[1]], control: control(1, 2, own)),
          sendMessage(near, [[2]], control: control(1, 2, other)),
        ]
      }
      #expect(results == [1, failed(EPERM)])
      #expect(receive(far) == [1])
    }

    @Test
    func `A long message on a blocking stream goes whole, on a non-blocking one as far as there is room`()
      throws
    {
      let (near, far) = pair(tcp)
      let (quick, unread) = pair(tcp | Int32(SOCK_NONBLOCK.rawValue))
      defer { [near, far, quick, unread].forEach(close) }
      let long = Self.pattern(3_000_000)
      let reader = Reader()
      try NamedThread.start("reader") { reader.read(far, long.count) }
      let harness = try SocketHarness(PolicyRules())
      let results = harness.run {
        [
          sendMessage(near, [Array(long.prefix(1_000_001)), Array(long.dropFirst(1_000_001))]),
          sendMessage(quick, [long]), sendMessage(quick, [[1]]),
        ]
      }
      #expect(results[0] == long.count)
      #expect(results[1] > 0 && results[1] < long.count)
      #expect(results[2] == failed(EAGAIN))
      #expect(reader.wait() == long)
    }

    @Test func `A closed peer is EPIPE, and SIGPIPE for the calling thread unless it said otherwise`() throws
    {
      let (near, far) = pair(tcp)
      close(far)
      let harness = try SocketHarness(PolicyRules())
      let thread = harness.caller
      let result = harness.run {
        let quiet = sendMessage(near, [[1]], flags: 0x4000)
        let before = ThreadStatus(reading: thread)?.pending ?? 0
        let loud = sendMessage(near, [[1]])
        let after = ThreadStatus(reading: thread)?.pending ?? 0
        return (quiet, before, loud, after)
      }
      close(near)
      #expect(result.0 == failed(EPIPE) && result.2 == failed(EPIPE))
      #expect(result.1 == 0 && result.3 == 1 << UInt64(SIGPIPE - 1))
    }

    @Test func `A blocking send waits on a helper while other calls go on, and a signal ends it`() throws {
      let (near, far) = pair(udp)
      defer { [near, far].forEach(close) }
      catchQuietly(SIGUSR2)
      let harness = try SocketHarness(PolicyRules())
      let thread = harness.caller
      try NamedThread.start("signaller") {
        usleep(200_000)
        rawCall(Int(SYS_tkill), Int(thread), Int(SIGUSR2))
      }
      let results = harness.run {
        unblockSignal(SIGUSR2)
        var sent = 0
        while true {
          let result = sendMessage(near, [[1]])
          if result != 1 { return (sent, result) }
          sent += 1
        }
      }
      #expect(results.0 > 0 && results.1 == failed(EINTR))
    }

    /// Bytes whose order shows when it is disturbed.
    private static func pattern(_ count: Int) -> [UInt8] {
      [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
        for index in 0..<count { buffer[index] = UInt8(truncatingIfNeeded: index &* 31 &>> 3) }
        filled = count
      }
    }

    private final class Reader: Sendable {
      private let found = Mutex<[UInt8]>([])
      private let done = FutexWord()
      func read(_ fd: Int, _ wanted: Int) {
        while found.withLock({ $0.count }) < wanted, let part = receive(fd, flags: 0), !part.isEmpty {
          found.withLock { $0 += part }
        }
        done.wakeAll()
      }
      func wait() -> [UInt8] {
        while done.value == 0 { done.wait(while: 0) }
        return found.withLock { $0 }
      }
    }
  }
}
