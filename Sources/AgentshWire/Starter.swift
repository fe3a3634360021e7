/// The child of a supervisor that was the client: it goes on as the client, asks the daemon, and becomes the command.
package struct Starter: Equatable, Sendable {
  package let pid: Int32
  /// SOCK_SEQPACKET: two messages come, `HandIn` and `Started`. It ends without them when the start has failed; the person
  /// knows why then, and its exit code is the supervisor's.
  package let socket: Int32
  /// The controlling terminal, where there is one.
  package let tty: Int32?
  /// No word at the end about what was denied.
  package let quiet: Bool

  package init(pid: Int32, socket: Int32, tty: Int32?, quiet: Bool) {
    self.pid = pid
    self.socket = socket
    self.tty = tty
    self.quiet = quiet
  }
}

/// The launcher runs, with three descriptors: the socket to it, its pidfd, the memory file with its diagnostics.
package struct Started: Equatable, Sendable {
  package static let descriptorCount = 3
  /// Its pid, a child of the supervisor's.
  package let target: Int32
  /// Ptrace mode.
  package let traces: Bool

  package init(target: Int32, traces: Bool) {
    self.target = target
    self.traces = traces
  }
}

extension Started: WireCodable {
  package func encode(to writer: inout WireWriter) {
    writer.value(target)
    writer.value(traces)
  }

  package init(from reader: inout WireReader) throws(WireError) {
    target = try reader.value()
    traces = try reader.value()
  }
}
