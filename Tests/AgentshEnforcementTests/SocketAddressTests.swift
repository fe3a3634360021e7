import LinuxSystem
import Testing

@Suite struct SocketAddressTests {
  private func decode(_ bytes: [UInt8]) -> SocketAddress? { try? SocketAddress(decoding: bytes.span) }

  private func text(_ address: SocketAddress) -> String {
    var text = PathText()
    address.write(to: &text)
    return text.text
  }

  @Test func `Random bytes of every length decode or are malformed, and never trap`() {
    var generator = SystemRandomNumberGenerator()
    let families: [UInt8] = [0, 1, 2, 10, 16, 17, 40, 255]
    for length in 0...140 {
      for round in 0..<200 {
        var bytes = (0..<length).map { _ in UInt8.random(in: 0...255, using: &generator) }
        if length >= 2, round % 4 != 0 {
          bytes[0] = families.randomElement(using: &generator)!
          bytes[1] = 0
        }
        guard let address = decode(bytes) else { continue }
        #expect(length >= 2 && length <= 128)
        switch address {
        case .unixPath(let count): #expect(count > 0 && count + 2 <= length)
        case .unixAbstract(let count): #expect(count >= 0 && count + 3 == length)
        default: break
        }
        _ = text(address)
        var target = PathText(bytes)
        var spare = PathText()
        address.withoutAny.replaceAddress(in: &target, spare: &spare)
        #expect(target.count == length)
      }
    }
  }

  @Test func `Addresses too short for their family are malformed, as the kernel says`() {
    #expect(decode([]) == nil)
    #expect(decode([2]) == nil)
    #expect(decode(Array(loopback(80).prefix(15))) == nil)
    #expect(decode(Array(ipv6([1], port: 80).prefix(23))) == nil)
    #expect(decode(Array(ipv6([1], port: 80).prefix(24))) == .ipv6(high: 0, low: 1, port: 80))
    #expect(decode([1, 0] + [UInt8](repeating: 65, count: 108)) == .unixPath(length: 108))
    #expect(decode([1, 0] + [UInt8](repeating: 65, count: 109)) == nil)
  }

  @Test func `A path ends at its NUL, an abstract name does not`() {
    #expect(decode([1, 0] + Array("/a".utf8) + [0, 66, 66]) == .unixPath(length: 2))
    #expect(decode([1, 0, 0, 65, 0, 66]) == .unixAbstract(length: 3))
    #expect(decode([1, 0]) == .unixUnnamed)
    #expect(decode([1, 0, 0]) == .unixAbstract(length: 0))
  }

  @Test func `Addresses are written as people write them`() throws {
    #expect(text(.ipv4(0x7f00_0001, port: 80)) == "127.0.0.1:80")
    #expect(text(.ipv6(high: 0, low: 1, port: 443)) == "[::1]:443")
    #expect(text(.ipv6(high: 0, low: 0, port: 1)) == "[::]:1")
    #expect(
      text(.ipv6(high: 0x2001_0db8_0000_0000, low: 0x0000_0000_0000_0001, port: 1)) == "[2001:db8::1]:1")
    #expect(text(.ipv6(high: 0x2001_0db8_0000_0001, low: 0, port: 1)) == "[2001:db8:0:1::]:1")
    #expect(
      text(.ipv6(high: 0x2001_0000_0000_0001, low: 0x0000_0000_0000_0001, port: 1)) == "[2001:0:0:1::1]:1")
    #expect(
      text(.ipv6(high: 0x0001_0002_0003_0004, low: 0x0005_0006_0007_0008, port: 9)) == "[1:2:3:4:5:6:7:8]:9")
    #expect(text(.ipv6(high: 0, low: 0xffff_7f00_0001, port: 9)) == "127.0.0.1:9")
  }

  @Test func `The any-address becomes loopback in the bytes, and nothing else in them changes`() throws {
    var bytes = PathText(ipv4(0, 0, 0, 0, port: 0x1234))
    var spare = PathText()
    let any = try SocketAddress(decoding: bytes.span)
    any.withoutAny.replaceAddress(in: &bytes, spare: &spare)
    #expect(Array(bytes.bytes) == loopback(0x1234))
    for (given, wanted) in [
      ([UInt8](), [UInt8(1)]), ([0xff, 0xff, 0, 0, 0, 0], [0xff, 0xff, 127, 0, 0, 1]),
    ] {
      var bytes = PathText(ipv6(given, port: 7))
      let any = try SocketAddress(decoding: bytes.span)
      #expect(any.isAny)
      any.withoutAny.replaceAddress(in: &bytes, spare: &spare)
      #expect(Array(bytes.bytes) == ipv6(wanted, port: 7))
    }
  }
}
