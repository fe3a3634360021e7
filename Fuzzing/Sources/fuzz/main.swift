import CFuzzer
import Decoders

#if canImport(Glibc)
  import Glibc
#endif

// fuzz DECODER [libFuzzer's options and directories…]; without arguments the decoders' names.

let words = CommandLine.arguments
guard words.count > 1, let decoder = Decoder.all.first(where: { $0.name == words[1] }) else {
  Decoder.all.forEach { print($0.name) }
  exit(words.count > 1 ? 64 : 0)
}
let check = decoder.check

var arguments: [UnsafeMutablePointer<CChar>?] = ([words[0]] + words.dropFirst(2)).map { strdup($0) } + [nil]
var count = Int32(arguments.count - 1)
let status = arguments.withUnsafeMutableBufferPointer { buffer in
  var start = buffer.baseAddress
  return LLVMFuzzerRunDriver(&count, &start) { data, size in
    do {
      try check(Array(UnsafeBufferPointer(start: data, count: size)))
    } catch {
      // libFuzzer knows a finding by the crash, and keeps the input.
      fatalError("\(error)")
    }
    return 0
  }
}
exit(status)
