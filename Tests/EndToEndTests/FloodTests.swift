import Foundation
import Harness
import Synchronization
import Testing

/// Strangers at the hand-off socket, where its modes let them come: a daemon without CAP_CHOWN, and a name that has leaked.
@Suite(.serialized) struct FloodTests {
  @Test
  func `ten thousand connects a second from another user delay the owner by less than a tenth of a second`()
    throws
  {
    let machine = try Machine()
    try machine.startDaemon(without: "chown")
    let told = machine.alice.home + "/told"
    let rounds = 50
    func launches() throws -> [Double] {
      let said = try machine.launch(
        ["/bin/true"], as: machine.alice,
        options: ["--form", "current", "--times", "\(rounds)", "--wait", "0.1", "--tell", told])
      #expect(said["accepted"] as? [Int] == Array(repeating: 1, count: rounds), "\(said)")
      #expect(said["exits"] as? [Int] == Array(repeating: 0, count: rounds), "\(said)")
      return try #require(said["milliseconds"] as? [Double]).sorted()
    }
    let quiet = try launches()
    let before = (descriptors: Self.descriptors(machine.daemonPid), memory: Self.memory(machine.daemonPid))
    // Its standard input is a pipe that stays open until it is to end.
    let stop = machine.directory + "/stop"
    let flood = try machine.start(
      [
        "/bin/sh", "-c",
        "(while [ ! -e \(stop) ]; do sleep 0.05; done) | exec /usr/bin/python3 \(machine.client) strangle \(told)",
      ],
      as: machine.bob)
    let pid = machine.daemonPid
    let sampler = Sampler { (Self.descriptors(pid), Self.memory(pid)) }
    let loud = try launches()
    let highest = sampler.stop()
    try Data().write(to: URL(filePath: stop))
    let said = try Machine.answer(flood.finish(timeout: .seconds(20)))
    let perSecond = said["per second"] as? Double ?? 0
    let p99 = loud[loud.count * 99 / 100]
    let added = p99 - quiet[quiet.count / 2]
    print(
      "flood: \(Int(perSecond)) connects/s; hand-off p50 \(quiet[quiet.count / 2]) → \(loud[loud.count / 2]) ms, p99 \(p99) ms;",
      "descriptors \(before.descriptors) → \(highest.descriptors), memory \(before.memory) → \(highest.memory) KiB; \(said)"
    )
    #expect(perSecond > 5000, "\(said)")
    #expect(added < 100, "p99 \(p99) ms under the flood; quiet: \(quiet)")
    #expect(highest.descriptors < before.descriptors + 64)
    #expect(highest.memory < before.memory + 64 << 10)
  }

  private static func descriptors(_ pid: Int32) -> Int {
    (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/fd").count) ?? 0
  }

  /// Resident, in KiB.
  private static func memory(_ pid: Int32) -> Int {
    let status = (try? String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8)) ?? ""
    let line = status.split(separator: "\n").first { $0.hasPrefix("VmRSS:") } ?? ""
    return line.split { $0 == " " || $0 == "\t" }.dropFirst().first.flatMap { Int($0) } ?? 0
  }
}

/// The highest of what is asked every twenty milliseconds, on a thread of its own.
private final class Sampler: Sendable {
  private let state = Mutex((descriptors: 0, memory: 0, isOver: false))

  init(_ ask: @escaping @Sendable () -> (Int, Int)) {
    Thread { [self] in
      while !state.withLock({ $0.isOver }) {
        let (descriptors, memory) = ask()
        state.withLock {
          $0.descriptors = max($0.descriptors, descriptors)
          $0.memory = max($0.memory, memory)
        }
        usleep(20_000)
      }
    }.start()
  }

  func stop() -> (descriptors: Int, memory: Int) {
    state.withLock { state in
      state.isOver = true
      return (state.descriptors, state.memory)
    }
  }
}
