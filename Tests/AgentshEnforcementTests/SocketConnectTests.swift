import AgentshEnforcement
import AgentshPolicy
import AgentshWire
import CLinux
import LinuxSystem
import Synchronization
import Testing

extension SocketTests {
  @Suite struct SocketConnectTests {
    @Test func `TCP to an allowed port connects, to another it is EPERM, and both are recorded`() throws {
      let (allowed, allowedPort) = server(tcp)
      let (denied, deniedPort) = server(tcp)
      defer { [allowed, denied].forEach(close) }
      let bare = socket(AF_INET, tcp)
      #expect(connect(bare, loopback(deniedPort)) == 0)
      close(bare)

      let harness = try SocketHarness(allowing(allowedPort))
      let results = harness.run {
        let (a, b) = (socket(AF_INET, tcp), socket(AF_INET, tcp))
        defer { [a, b].forEach(close) }
        return [connect(a, loopback(allowedPort)), connect(b, loopback(deniedPort)), getpeername(a).count]
      }
      #expect(results == [0, failed(EPERM), 16])
      let records = harness.records(atLeast: 2)
      #expect(records.map(\.path) == ["127.0.0.1:\(allowedPort)", "127.0.0.1:\(deniedPort)"])
      #expect(records.map(\.effect) == [.allowed, .blocked])
      #expect(records.map(\.kind) == [.connect, .connect])
      #expect(records.last?.errno == UInt16(EPERM))
    }

    @Test func `Other spellings of a denied address are denied too`() throws {
      let (denied, deniedPort) = server(tcp)
      let (datagrams, datagramPort) = server(udp)
      defer { [denied, datagrams].forEach(close) }
      let mapped: [UInt8] = [0xff, 0xff, 127, 0, 0, 1]
      let bare = (socket(AF_INET6, tcp), socket(AF_INET, tcp), socket(AF_INET6, tcp))
      #expect(connect(bare.0, ipv6(mapped, port: deniedPort)) == 0)
      #expect(connect(bare.1, ipv4(0, 0, 0, 0, port: deniedPort)) == 0)
      close(bare.0)
      close(bare.1)
      close(bare.2)
      let bareDatagram = socket(AF_INET, udp)
      #expect(sendTo(bareDatagram, [1], ipv4(127, 0, 0, 1, port: datagramPort, family: 0)) == 1)
      #expect(receive(datagrams) == [1])
      close(bareDatagram)

      let harness = try SocketHarness(allowing(1))
      let results = harness.run {
        let six = socket(AF_INET6, tcp)
        let four = socket(AF_INET, tcp)
        let (four2, six2) = (socket(AF_INET, udp), socket(AF_INET6, udp))
        defer { [six, four, four2, six2].forEach(close) }
        return [
          connect(six, ipv6(mapped, port: deniedPort)), connect(four, ipv4(0, 0, 0, 0, port: deniedPort)),
          connect(six, ipv6([], port: deniedPort)),
          connect(six, ipv6([0xff, 0xff, 0, 0, 0, 0], port: deniedPort)),
          sendTo(four2, [1], ipv4(127, 0, 0, 1, port: datagramPort, family: 0)),
          sendTo(six2, [1], loopback(datagramPort)), connect(six2, loopback(datagramPort)),
          connect(six, Array(ipv6(mapped, port: deniedPort).prefix(24))),
        ]
      }
      #expect(results == [Int](repeating: failed(EPERM), count: 8))
      #expect(receive(datagrams) == nil)
    }

    @Test func `The any-address reaches loopback when that is allowed`() throws {
      let (fd, number) = server(tcp)
      defer { close(fd) }
      let harness = try SocketHarness(allowing(number))
      let results = harness.run {
        let (four, six) = (socket(AF_INET, tcp), socket(AF_INET6, tcp))
        defer { [four, six].forEach(close) }
        return [
          connect(four, ipv4(0, 0, 0, 0, port: number)),
          connect(six, ipv6([0xff, 0xff, 0, 0, 0, 0], port: number)),
        ]
      }
      #expect(results == [0, 0])
    }

    @Test func `Bad arguments get the kernel's errno`() throws {
      let harness = try SocketHarness(allowing(1))
      let attempt: @Sendable () -> [Int] = {
        let (fd, unix) = (socket(AF_INET, tcp), socket(AF_UNIX, tcp))
        let path = Int(openAt(-100, PathText("/"), flags: O_PATH))
        let file = Int(openAt(-100, PathText("/dev/null"), flags: O_RDONLY))
        defer { [fd, unix, path, file].forEach(close) }
        return [
          connect(9999, loopback(1)), connect(file, loopback(1)), connect(path, loopback(1)),
          connect(fd, Array(loopback(1).prefix(8))), connect(fd, []),
          connect(fd, [UInt8](repeating: 2, count: 200)),
          call(SYS_connect, fd, 8, 16), call(SYS_connect, fd, 0, 16),
          connect(unix, unixPath("/nonexistent/x")),
          connect(unix, [1, 0]), connect(unix, unixPath("/dev/null")), connect(unix, loopback(1)),
        ]
      }
      let bare = attempt()
      let held = harness.run(attempt)
      // The kernel takes a file that is no socket for a server that is away; rules may say EACCES first.
      #expect(held.dropLast(2) == bare.dropLast(2))
      #expect(held.last == bare.last)
    }

    @Test func `AF_UNSPEC dissolves an association without a decision`() throws {
      let (fd, number) = server(udp)
      defer { close(fd) }
      let harness = try SocketHarness(allowing(number))
      let results = harness.run {
        let sender = socket(AF_INET, udp)
        defer { close(sender) }
        let first = connect(sender, loopback(number))
        let before = getpeername(sender).count
        let second = connect(sender, [UInt8](repeating: 0, count: 16))
        return [first, before, second, getpeername(sender).count]
      }
      #expect(results == [0, 16, 0, 0])
    }

    @Test func `A non-blocking connect comes back with EINPROGRESS and ends by itself`() throws {
      // A full backlog: the handshake cannot end now.
      let (fd, number) = server(tcp, backlog: 0)
      let fillers = (0..<3).map { _ in socket(AF_INET, tcp | Int32(SOCK_NONBLOCK.rawValue)) }
      for filler in fillers { _ = connect(filler, loopback(number)) }
      defer { ([fd] + fillers).forEach(close) }
      let harness = try SocketHarness(allowing(number))
      let result = harness.run {
        let caller = socket(AF_INET, tcp | Int32(SOCK_NONBLOCK.rawValue))
        defer { close(caller) }
        return connect(caller, loopback(number))
      }
      #expect(result == failed(EINPROGRESS))
    }

    @Test func `A blocking connect is interrupted by the caller's signal`() throws {
      let (fd, number) = server(tcp, backlog: 0)
      let fillers = (0..<3).map { _ in socket(AF_INET, tcp | Int32(SOCK_NONBLOCK.rawValue)) }
      for filler in fillers { _ = connect(filler, loopback(number)) }
      defer { ([fd] + fillers).forEach(close) }
      catchQuietly(SIGUSR2)
      let harness = try SocketHarness(allowing(number))
      let thread = harness.caller
      try NamedThread.start("signaller") {
        usleep(150_000)
        rawCall(Int(SYS_tkill), Int(thread), Int(SIGUSR2))
      }
      let result = harness.run {
        unblockSignal(SIGUSR2)
        let caller = socket(AF_INET, tcp)
        defer { close(caller) }
        return connect(caller, loopback(number))
      }
      #expect(result == failed(EINTR))
    }

    @Test func `A refused connection is ECONNREFUSED`() throws {
      let (fd, number) = server(tcp)
      close(fd)
      let harness = try SocketHarness(allowing(number))
      let result = harness.run {
        let caller = socket(AF_INET, tcp)
        defer { close(caller) }
        return connect(caller, loopback(number))
      }
      #expect(result == failed(ECONNREFUSED))
    }

    @Test func `A socket address that a second thread rewrites never leads to a denied port`() throws {
      let (allowed, allowedPort) = server(tcp, backlog: 4096)
      let (denied, deniedPort) = server(tcp, backlog: 4096)
      defer { [allowed, denied].forEach(close) }
      let harness = try SocketHarness(allowing(allowedPort))
      let shared = Shared(loopback(allowedPort))
      do {
        let flip = Flip()
        try NamedThread.start("rewriter") { flip.run(shared, allowedPort, deniedPort) }
        let (connected, refused) = harness.run {
          var (connected, refused) = (0, 0)
          let end = monotonicClock() + 3_000_000_000
          while monotonicClock() < end {
            let fd = socket(AF_INET, tcp | Int32(SOCK_NONBLOCK.rawValue))
            let result = call(SYS_connect, fd, shared.address, 16)
            if result == failed(EPERM) { refused += 1 } else { connected += 1 }
            close(fd)
            while let taken = accept(allowed) { close(taken) }
          }
          return (connected, refused)
        }
        flip.stop.store(true, ordering: .relaxed)
        #expect(connected > 0 && refused > 0)
        #expect(accept(denied) == nil)
      }
    }

    /// Bytes at an address that stays.
    private final class Shared: @unchecked Sendable {
      // Raced on purpose; freed never.
      let bytes: UnsafeMutablePointer<UInt8>
      var address: Int { kernelAddress(bytes) }
      init(_ start: [UInt8]) {
        bytes = .allocate(capacity: start.count)
        for (index, byte) in start.enumerated() { bytes[index] = byte }
      }
    }

    private final class Flip: Sendable {
      let stop = Atomic<Bool>(false)
      func run(_ shared: Shared, _ one: UInt16, _ other: UInt16) {
        let word = UnsafeMutableRawPointer(shared.bytes + 2).assumingMemoryBound(to: Atomic<UInt16>.self)
        while !stop.load(ordering: .relaxed) {
          word.pointee.store(one.bigEndian, ordering: .sequentiallyConsistent)
          word.pointee.store(other.bigEndian, ordering: .sequentiallyConsistent)
        }
      }
    }
  }
}

/// A connection that waits, or nil. Never waits itself.
func accept(_ fd: Int) -> Int? {
  var entry = pollfd(fd: Int32(fd), events: Int16(POLLIN), revents: 0)
  guard poll(&entry, 1, 0) > 0 else { return nil }
  let taken = call(SYS_accept4, fd)
  return taken >= 0 ? taken : nil
}
