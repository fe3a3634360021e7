import Foundation
import Harness
import Testing

/// `wrap -- bash` on a terminal is bash on a terminal.
@Suite(.serialized) struct TerminalTests {
  @Test(arguments: Caller.allCases) func `Ctrl-C ends what runs in front, not the shell`(caller: Caller)
    throws
  {
    let terminal = try Terminal(caller)
    try terminal.type("sleep 300")
    #expect(terminal.runs("sleep"))
    try terminal.key("C-c")
    try terminal.type("echo status=$?")
    #expect(terminal.shows("status=130"), "\(terminal.screen)")
    #expect(terminal.place.processes(named: "sleep").isEmpty)
  }

  @Test(arguments: Caller.allCases) func `Ctrl-Z stops, fg goes on`(caller: Caller) throws {
    let terminal = try Terminal(caller)
    try terminal.type("sh -c 'sleep 2; echo woke-up'")
    #expect(terminal.runs("sleep"))
    try terminal.key("C-z")
    #expect(terminal.shows("Stopped"), "\(terminal.screen)")
    try terminal.type("jobs | wc -l; fg")
    #expect(terminal.shows("woke-up\n"), "\(terminal.screen)")
  }

  @Test(arguments: Caller.allCases) func `a wrap in a job-control shell stops and goes on as a whole`(
    caller: Caller
  ) throws {
    let terminal = try Terminal(caller, bare: true)
    let command = try terminal.place.wrapping(
      ["sh", "-c", "sleep 2; echo woke-up"], policy: nil, options: ["--quiet"])
    try terminal.type(command.map { "'\($0.replacing("'", with: "'\\''"))'" }.joined(separator: " "))
    #expect(terminal.runs("sleep"))
    try terminal.key("C-z")
    #expect(terminal.shows("Stopped"), "\(terminal.screen)")
    try terminal.type("fg; echo status=$?")
    #expect(terminal.shows("woke-up\n"), "\(terminal.screen)")
    #expect(terminal.shows("status=0"), "\(terminal.screen)")
  }

  @Test(arguments: Caller.allCases) func `the window has its size, also after a change`(caller: Caller) throws
  {
    let terminal = try Terminal(caller)
    try terminal.type("stty size")
    #expect(terminal.shows("30 100"), "\(terminal.screen)")
    try terminal.type("trap 'echo changed to $(stty size)' WINCH")
    try terminal.tmux(["resize-window", "-x", "80", "-y", "20"])
    try terminal.type("sleep 0.1; stty size")
    #expect(eventually { terminal.screen.contains("changed to 20 80") }, "\(terminal.screen)")
  }

  @Test(arguments: Caller.allCases) func `the terminal itself opens and the exit code comes back`(
    caller: Caller
  ) throws {
    let terminal = try Terminal(caller)
    try terminal.type("echo through-tty >/dev/tty; tty; test -t 0 && test -t 1 && echo both")
    #expect(
      terminal.shows("through-tty\n") && terminal.shows("/dev/pts/") && terminal.shows("both\n"),
      "\(terminal.screen)")
    try terminal.type("exit 37")
    #expect(eventually { terminal.place.read(terminal.statusFile) == "37\n" }, "\(terminal.screen)")
  }

  @Test(arguments: Caller.allCases) func `Ctrl-D and Ctrl-backslash do what they do`(caller: Caller) throws {
    let terminal = try Terminal(caller)
    try terminal.type("sleep 300")
    #expect(terminal.runs("sleep"))
    try terminal.key("C-\\")
    #expect(terminal.shows("Quit"), "\(terminal.screen)")
    try terminal.key("C-d")
    #expect(eventually { terminal.place.read(terminal.statusFile) != nil }, "\(terminal.screen)")
  }
}

/// A tmux window with `agentsh wrap -- bash` in it.
private final class Terminal {
  let place: Place
  let statusFile: String
  private let socket: String

  init(_ caller: Caller, bare: Bool = false) throws {
    place = try Place(as: caller)
    socket = place.directory + "/run/tmux"
    statusFile = place.workspace + "/status"
    try place.write("PS1='ready> '\n", to: place.workspace + "/bashrc")
    let shell = ["bash", "--noprofile", "--rcfile", "bashrc", "-i"]
    let words = bare ? shell : try place.wrapping(shell, policy: nil, options: ["--quiet"])
    let script = words.joined(separator: " ") + "; echo $? >status"
    let made = try place.run(
      [
        "/usr/bin/tmux", "-S", socket, "-f", "/dev/null", "new-session", "-d", "-x", "100", "-y", "30", "sh",
        "-c", script,
      ])
    guard made.succeeded else { throw HarnessError("tmux: \(made)") }
    guard shows("ready>") else { throw HarnessError("no prompt: \(screen)") }
  }

  deinit { _ = try? tmux(["kill-server"]) }

  @discardableResult func tmux(_ words: [String]) throws -> Outcome {
    try place.run(["/usr/bin/tmux", "-S", socket] + words)
  }

  func type(_ line: String) throws {
    try tmux(["send-keys", "-l", line])
    try tmux(["send-keys", "Enter"])
  }

  func key(_ name: String) throws { try tmux(["send-keys", name]) }

  /// The window's text, prompts and all.
  var screen: String {
    ((try? tmux(["capture-pane", "-p", "-J"]))?.output ?? "").split(separator: "\n").map { line in
      line.reversed().drop { $0 == " " }.reversed().map(String.init).joined() + "\n"
    }.joined()
  }

  /// A line that is output, not the command that was typed: it follows no prompt.
  func shows(_ text: String) -> Bool {
    eventually(within: .seconds(10)) {
      if text == "ready>" { return self.screen.contains(text) }
      return self.screen.split(separator: "\n").contains { line in
        !line.contains("ready>") && (String(line) + "\n").contains(text)
      }
    }
  }

  func runs(_ name: String) -> Bool { eventually { !self.place.processes(named: name).isEmpty } }
}
