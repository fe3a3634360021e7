/// Something that takes apart bytes which another party wrote, and what must hold whatever they are: it ends, it does
/// not trap, and what it says can be checked. The same checks serve the fuzzer and the test that replays the corpus.
package struct Decoder: Sendable {
  package let name: String
  /// Throws what does not hold.
  package let check: @Sendable ([UInt8]) throws(Broken) -> Void

  init(_ name: String, _ check: @escaping @Sendable ([UInt8]) throws(Broken) -> Void) {
    self.name = name
    self.check = check
  }

  package static let all: [Decoder] = [
    .handoff, .frame, .launchPlan, .notification, .sockaddr, .address, .path, .argv, .message, .control,
    .execHead, .answer, .policy, .config, .glob, .regex,
  ]
}

/// Something that must hold and does not.
package struct Broken: Error, CustomStringConvertible {
  package let description: String
  init(_ text: String) { description = text }
}

func hold(_ condition: Bool, _ text: @autoclosure () -> String) throws(Broken) {
  if !condition { throw Broken(text()) }
}
