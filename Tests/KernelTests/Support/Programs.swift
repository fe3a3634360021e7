import Foundation

/// Our own programs, built beside the tests.
enum Programs {
  static let launcher = path("agentsh-launch")
  static let supervisor = path("agentsh-supervisor")

  private static func path(_ name: String) -> String {
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent().deletingLastPathComponent().path
    #if DEBUG
      let builds = ["debug", "release"]
    #else
      let builds = ["release", "debug"]
    #endif
    let given = ProcessInfo.processInfo.environment["AGENTSH_BIN_DIR"].map { [$0] } ?? []
    let places = (given + builds.map { root + "/.build/" + $0 }).map { $0 + "/" + name }
    guard let found = places.first(where: FileManager.default.isExecutableFile(atPath:)) else {
      fatalError("\(name) is not built")
    }
    return found
  }
}

/// A directory of its own that everybody may enter, removed afterwards.
func withDirectory<T>(_ body: (String) throws -> T) throws -> T {
  let path = "/tmp/agentsh-kernel-" + UUID().uuidString
  try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
  chmod(path, 0o777)
  defer { try? FileManager.default.removeItem(atPath: path) }
  return try body(path)
}

/// Runs on a thread of its own, which may restrict itself, and waits for its end.
func onThread<T>(_ body: @escaping () throws -> T) throws -> T {
  nonisolated(unsafe) var result: Result<T, any Error>?
  nonisolated(unsafe) let body = body
  let done = DispatchSemaphore(value: 0)
  Thread.detachNewThread {
    result = Result { try body() }
    done.signal()
  }
  done.wait()
  return try result!.get()
}
