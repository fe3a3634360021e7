import AgentshServer
import Foundation

do {
  let options = try DaemonOptions(parsing: Array(CommandLine.arguments.dropFirst()))
  let environment = ProcessInfo.processInfo.environment
  exit(await AgentshDaemon.run(options) { environment[$0] })
} catch {
  FileHandle.standardError.write(Data("agentshd: \(error)\n".utf8))
  exit(2)
}
