import AgentshClient
import ArgumentParser
import CLinux
import FoundationEssentials
import LinuxSystem

struct DetectCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "detect",
    abstract: "Show what this machine can enforce.",
    discussion:
      "Found out by doing it in a throw-away process, not by asking for versions. Exit status 0 also where something is missing."
  )

  @Flag(help: "Print JSON: {\"platform\": …, \"capabilities\": [{\"name\", \"available\", \"detail\"}]}.")
  var json = false

  func run() throws {
    let program = try InstalledPrograms.ofThisProcess().path(of: "agentsh-supervisor")
    let output = try Self.capture(program)
    let found = try Self.parse(output)
    if json {
      let lines = output.split(separator: 0x0A).map { String(decoding: $0, as: UTF8.self) }
      let text = "{\"platform\":\"linux\",\"capabilities\":[\(lines.joined(separator: ","))]}"
      Output.write(indented(json: text.utf8))
    } else {
      Output.write(Array(Self.table(found).utf8))
    }
  }

  struct Finding: Codable, Equatable {
    let name: String
    let available: Bool
    let detail: String
  }

  static func findings(_ supervisor: String) throws(CommandFailure) -> [Finding] {
    try parse(capture(supervisor))
  }

  static func parse(_ output: [UInt8]) throws(CommandFailure) -> [Finding] {
    var result: [Finding] = []
    for line in output.split(separator: 0x0A) {
      do { result.append(try JSONDecoder().decode(Finding.self, from: Data(line))) } catch {
        throw CommandFailure("agentsh-supervisor --detect said: \(String(decoding: line, as: UTF8.self))")
      }
    }
    guard !result.isEmpty else { throw CommandFailure("agentsh-supervisor --detect found nothing") }
    return result
  }

  static func table(_ found: [Finding]) -> String {
    let width = found.map(\.name.count).max() ?? 0
    return found.map { finding in
      let name = finding.name + String(repeating: " ", count: width - finding.name.count)
      return "\(name)  \(finding.available ? "yes" : "no ")  \(finding.detail)\n"
    }.joined()
  }

  /// The program's standard output; its errors go where ours go.
  private static func capture(_ program: String) throws(CommandFailure) -> [UInt8] {
    do throws(SystemCallError) {
      let child = try OutputOfProgram.start(program, ["agentsh-supervisor", "--detect"])
      let result = try child.all(limit: 1 << 20)
      guard result.status == 0 else { throw SystemCallError("agentsh-supervisor --detect", ECHILD) }
      return result.output
    } catch { throw CommandFailure("\(error)") }
  }
}
