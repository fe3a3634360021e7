import AgentshPolicy
import CallCount
import Glibc

/// File decisions per second, with 100 and with 1,000 rules, and by two policies together; ends with 1 below its limits.
@main
struct PolicyBenchmark {
  /// Decisions per second on one core.
  static let leastPerSecond = 2_000_000.0
  /// With ten times the rules.
  static let leastShare = 0.8
  static let decisionsPerRound = 20_000
  static let rounds = 400

  static func main() throws {
    let paths = Self.paths
    var hundred = FileDecider(try CompiledPolicy(rules(100)))
    var thousand = FileDecider(try CompiledPolicy(rules(1000)))
    var both = FileDecider(try CompiledPolicy(SessionRules(rules(100), narrowedBy: rules(100))))
    var named = FileDecider(try CompiledPolicy(rules(100)))
    named.know(aliases)
    precondition(callcount_allocations() > 1000 && callcount_retains() > 100, "nothing is counted")
    // Interleaved, so that a busy moment hits both; the best round of each counts.
    var best = (Duration.seconds(100), Duration.seconds(100))
    var (bestOfBoth, bestOfNamed) = (Duration.seconds(100), Duration.seconds(100))
    var (allocations, retains): (UInt64, UInt64) = (0, 0)
    _ = (round(&hundred, paths), round(&thousand, paths), round(&both, paths), round(&named, paths))
    for _ in 0..<rounds {
      let before = (callcount_allocations(), callcount_retains())
      let (a, b) = (round(&hundred, paths), round(&thousand, paths))
      allocations += callcount_allocations() - before.0
      retains += callcount_retains() - before.1
      best = (min(best.0, a), min(best.1, b))
    }
    let before = (callcount_allocations(), callcount_retains())
    for _ in 0..<rounds {
      bestOfBoth = min(bestOfBoth, round(&both, paths))
      bestOfNamed = min(bestOfNamed, round(&named, paths))
    }
    allocations += callcount_allocations() - before.0
    retains += callcount_retains() - before.1
    let perSecond = (Self.perSecond(best.0), Self.perSecond(best.1))
    let share = perSecond.1 / perSecond.0
    let decisions = 4 * rounds * decisionsPerRound
    let bytes = Double(paths.bytes.count) / Double(paths.ends.count)
    print("\(paths.ends.count) paths of \(rounded(bytes)) bytes, \(FileOperation.allCases.count) operations")
    print("100 rules: \(rounded(perSecond.0 / 1e6)) M decisions/s, \(hundred.learntStates) states")
    print("1000 rules: \(rounded(perSecond.1 / 1e6)) M decisions/s, \(thousand.learntStates) states")
    print("100 rules and 100 that narrow them: \(rounded(Self.perSecond(bestOfBoth) / 1e6)) M decisions/s")
    print(
      "100 rules, 40 mounts, four of ten paths with a second name: \(rounded(Self.perSecond(bestOfNamed) / 1e6)) M decisions/s"
    )
    print("share: \(rounded(100 * share)) % (limit \(rounded(100 * leastShare)) %)")
    print("\(decisions) repeated decisions: \(allocations) allocations, \(retains) retains")
    let isFast = min(perSecond.0, perSecond.1) >= leastPerSecond && share >= leastShare
    if !isFast || allocations + retains > 0 { exit(1) }
  }

  private static func round(_ decider: inout FileDecider, _ paths: Paths) -> Duration {
    let start = processorTime()
    var (index, permitted) = (0, 0)
    let (bytes, ends) = (paths.bytes.span, paths.ends.span)
    for _ in 0..<decisionsPerRound {
      let operation: FileOperation = index & 1 == 0 ? .open : .write
      let path = bytes.extracting((index == 0 ? 0 : ends[index - 1])..<ends[index])
      if decider.decide(operation, path: path).permits { permitted += 1 }
      index = index + 1 == ends.count ? 0 : index + 1
    }
    let duration = processorTime() - start
    precondition(permitted > decisionsPerRound / 10 && permitted < decisionsPerRound, "\(permitted)")
    return duration
  }

  /// Of this thread: other programs on a busy machine do not count.
  private static func processorTime() -> Duration {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
  }

  private static func perSecond(_ duration: Duration) -> Double {
    let (seconds, attoseconds) = duration.components
    return Double(decisionsPerRound) / (Double(seconds) + Double(attoseconds) / 1e18)
  }

  private static func rounded(_ value: Double) -> String {
    "\(Int(value * 10 + 0.5) / 10).\(Int(value * 10 + 0.5) % 10)"
  }

  /// What policies consist of: directories, single files, names anywhere, extensions.
  private static func rules(_ count: Int) -> PolicyRules {
    var rules = PolicyRules()
    rules.floor = ["/run/user/1000/agentsh", "/home/dev/.local/state/agentsh", "/usr/local/bin/agentsh"]
    let fixed: [(String, Verdict)] = [
      ("**/.env", .deny), ("**/.env.*", .deny), ("**/id_ed25519*", .deny), ("/home/dev/.ssh/**", .deny),
      ("/home/dev/.aws/**", .deny), ("**/*.pem", .deny), ("/etc/shadow", .deny),
    ]
    for (path, verdict) in fixed { add(path, verdict, to: &rules) }
    for number in 0..<(count - fixed.count - 5) {
      switch number % 10 {
      case 0..<4: add("/home/dev/code/service-\(number)/{src,include,tests}/**", .allow, to: &rules)
      case 4, 5: add("/srv/data/set\(number)/**", .deny, to: &rules)
      case 6, 7: add("/etc/program\(number)/main.conf", .allow, to: &rules)
      case 8: add("**/.secret-\(number)", .deny, to: &rules)
      default: add("/var/lib/app\(number)/*.db\(number)", .audit, to: &rules)
      }
    }
    for path in ["/usr/**", "/lib/**", "/home/dev/code/**", "/tmp/**", "/proc/*/stat"] {
      add(path, .allow, to: &rules)
    }
    return rules
  }

  private static func add(_ path: String, _ verdict: Verdict, to rules: inout PolicyRules) {
    rules.fileRules.append(FileRule(name: "rule \(rules.fileRules.count)", paths: [path], decision: verdict))
  }

  /// As on a machine with containers: file systems of their own, and one directory of the root's in another place.
  private static let aliases = MountTable(
    (1...40).map { (number: UInt32) in
      let (root, point) =
        number == 1
        ? ("/", "/") : number == 2 ? ("/home/dev/code", "/srv/code") : ("/", "/var/lib/containers/\(number)")
      return MountPoint(
        id: number, parent: number == 1 ? 0 : 1, device: number <= 2 ? 8 : UInt64(100 + number),
        root: Array(root.utf8),
        point: Array(point.utf8))
    })

  /// One after the other, so that reading them retains nothing.
  private struct Paths {
    var bytes: [UInt8] = []
    var ends: [Int] = []
  }

  private static let paths: Paths = {
    var paths: [String] = []
    for number in 0..<100 {
      paths.append("/home/dev/code/service-\(number)/src/module/handler\(number % 7).swift")
      paths.append(
        "/usr/lib/x86_64-linux-gnu/lib\(["ssl", "crypto", "z", "c"][number % 4])-\(number).so.\(number % 3).0"
      )
      paths.append("/home/dev/code/node_modules/package-\(number)/dist/index.js")
      paths.append(
        [
          "/etc/program\(number)/main.conf", "/tmp/build-\(number)/objects/part.o",
          "/home/dev/.ssh/known_hosts",
          "/usr/include/c++/12/bits/stl_vector.h",
        ][number % 4])
    }
    var result = Paths()
    for path in paths {
      result.bytes += Array(path.utf8)
      result.ends.append(result.bytes.count)
    }
    return result
  }()
}
