import AgentshEnforcement

extension Decoder {
  /// The beginning of a file that is executed. What a script's first line says is found again in it, and a line made of
  /// interpreter and argument says the same.
  static let execHead = Decoder("exec-head") { (bytes) throws(Broken) in
    let head = Array((bytes + [UInt8](repeating: 0, count: ExecFormat.headSize)).prefix(ExecFormat.headSize))
    switch ExecFormat(head: head) {
    case .native:
      let isOurs = head[1..<4].elementsEqual("ELF".utf8) && head[4] == 2 && head[18] == 62
      try hold(isOurs, "native: \(head)")
    case .script(let interpreter, let argument):
      try hold(head.starts(with: [0x23, 0x21]), "no script: \(head)")
      try checkScript(head, interpreter, argument)
    case .other:
      try hold(!isPlainScript(head), "a script that is none: \(head)")
    }
  }
}

private let blank: Set<UInt8> = [0x20, 0x09]

/// `#!`, a path without anything special, and the line's end.
private func isPlainScript(_ head: [UInt8]) -> Bool {
  guard head.starts(with: [0x23, 0x21, 0x2F]), let end = head.firstIndex(of: 10) else { return false }
  return head[2..<end].allSatisfy { $0 > 0x20 }
}

private func checkScript(_ head: [UInt8], _ interpreter: [UInt8], _ argument: [UInt8]?) throws(Broken) {
  try hold(
    !interpreter.isEmpty && !interpreter.contains { blank.contains($0) || $0 == 0 || $0 == 10 },
    "interpreter \(interpreter)")
  if let argument, let first = argument.first, let last = argument.last {
    try hold(
      !blank.contains(first) && (!blank.contains(last) || head.contains(0)) && !argument.contains(0)
        && !argument.contains(10), "argument \(argument)")
  }
  let line = [0x23, 0x21] + interpreter + (argument.map { [0x20] + $0 } ?? []) + [10]
  guard line.count <= ExecFormat.headSize else { return }
  let again = Array((line + [UInt8](repeating: 0, count: ExecFormat.headSize)).prefix(ExecFormat.headSize))
  let trimmed = argument.flatMap { text -> [UInt8]? in
    let end = text.lastIndex { !blank.contains($0) }
    return end.map { Array(text[...$0]) }
  }
  let same = ExecFormat(head: again) == .script(interpreter: interpreter, argument: trimmed)
  try hold(same, "\(line) is \(ExecFormat(head: again)), not \(interpreter) \(argument ?? [])")
}
