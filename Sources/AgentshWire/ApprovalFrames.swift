/// `.approvalRequest`: a call that is held. Numbers and text of the supervisor's, which the daemon shows and never acts on.
package struct ApprovalRequest: Sendable, Equatable {
  package enum Kind: UInt8, Sendable { case file = 1, command, network, unixSocket }

  /// No longer than this, in bytes, is what is shown of a call: of its names and arguments each, and of all arguments.
  package static let textLimit = 4096
  package static let argumentsLimit = 16_384
  /// No longer is the whole, also where each byte is none of UTF-8 and shown by three.
  package static let sizeLimit = 128 << 10

  /// Of the request within its launch.
  package var number: UInt64
  package var kind: Kind
  /// How long the call still waits.
  package var milliseconds: UInt32
  package var pid: Int32
  /// As in `EventRecord`.
  package var list: UInt8
  package var rule: Int32
  /// The word of the operation; empty for a command.
  package var operation: String
  /// Canonical path, socket, `address:port`.
  package var target: String
  /// rename and link: the other name.
  package var other: String
  /// Name of the calling program.
  package var command: String
  /// A command's arguments, without argv[0].
  package var arguments: [String]

  package init(
    number: UInt64, kind: Kind, milliseconds: UInt32, pid: Int32, list: UInt8, rule: Int32, operation: String,
    target: String, other: String, command: String, arguments: [String]
  ) {
    self.number = number
    self.kind = kind
    self.milliseconds = milliseconds
    self.pid = pid
    self.list = list
    self.rule = rule
    self.operation = operation
    self.target = target
    self.other = other
    self.command = command
    self.arguments = arguments
  }
}

/// `.approvalAnswer`
package struct ApprovalAnswer: Sendable, Equatable {
  package enum Word: UInt8, Sendable { case denied, approved, limit }
  package var number: UInt64
  package var word: Word
  package init(number: UInt64, word: Word) {
    self.number = number
    self.word = word
  }
}

/// `.approvalWithdrawn`
package struct ApprovalWithdrawal: Sendable, Equatable {
  package enum Cause: UInt8, Sendable {
    /// Nobody answered in time.
    case timedOut
    /// The call was interrupted by a signal, or its process ended.
    case cancelled
  }
  package var number: UInt64
  package var cause: Cause
  package init(number: UInt64, cause: Cause) {
    self.number = number
    self.cause = cause
  }
}

extension ApprovalRequest: WireCodable {
  package func encode(to writer: inout WireWriter) {
    writer.integer(number)
    writer.byte(kind.rawValue)
    writer.integer(milliseconds)
    writer.integer(pid)
    writer.byte(list)
    writer.integer(rule)
    writer.value(operation)
    writer.value(target)
    writer.value(other)
    writer.value(command)
    writer.value(arguments)
  }

  package init(from reader: inout WireReader) throws(WireError) {
    number = try reader.value()
    kind = try reader.choice("kind of approval")
    milliseconds = try reader.value()
    pid = try reader.value()
    list = try reader.value()
    rule = try reader.value()
    operation = try reader.value()
    target = try reader.value()
    other = try reader.value()
    command = try reader.value()
    arguments = try reader.value()
  }
}

extension ApprovalAnswer: WireCodable {
  package func encode(to writer: inout WireWriter) {
    writer.integer(number)
    writer.byte(word.rawValue)
  }

  package init(from reader: inout WireReader) throws(WireError) {
    number = try reader.value()
    word = try reader.choice("approval answer")
  }
}

extension ApprovalWithdrawal: WireCodable {
  package func encode(to writer: inout WireWriter) {
    writer.integer(number)
    writer.byte(cause.rawValue)
  }

  package init(from reader: inout WireReader) throws(WireError) {
    number = try reader.value()
    cause = try reader.choice("end of an approval")
  }
}
