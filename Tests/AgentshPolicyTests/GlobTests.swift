import Testing

import AgentshPolicy

/// Whether a pattern matches, without cache and with it, and again from what the cache learnt.
func glob(_ pattern: String, _ path: [UInt8]) throws -> Bool {
  let plain = try Glob(pattern).matches(path.span)
  var rules = PolicyRules()
  rules.unixSocketRules = [UnixSocketRule(name: "it", paths: [pattern], decision: .allow)]
  var decider = FileDecider(try CompiledPolicy(rules))
  #expect(decider.decideSocket(.bind, path: path.span).permits == plain)
  #expect(decider.decideSocket(.bind, path: path.span).permits == plain)
  return plain
}

func glob(_ pattern: String, _ path: String) throws -> Bool { try glob(pattern, Array(path.utf8)) }

struct GlobTests {
  @Test(
    "The glob language means what its documentation says",
    arguments: [
      ("/a", "/a", true), ("/a", "/A", false), ("/a", "/a/", false), ("/a", "/ab", false),
      ("/a/*", "/a/b", true), ("/a/*", "/a/.hidden", true), ("/a/*", "/a/b/c", false), ("/a/*", "/a/", true),
      ("/*.txt", "/x.txt", true), ("/*.txt", "/.txt", true), ("/*.txt", "/x/y.txt", false),
      ("/x/**", "/x", false), ("/x/**", "/x/", false), ("/x/**", "/x/y", true), ("/x/**", "/x/y/z", true),
      ("/x/**", "/xy", false), ("/**", "/", false), ("/**", "/a", true), ("/**", "@a", false),
      ("**", "", true), ("**", "/", true), ("**", "/a/b", true), ("**", "@abstract", true),
      ("**/.env", "/.env", true), ("**/.env", "/a/b/.env", true), ("**/.env", "/a.env", false),
      ("**/.env", ".env", false), ("**/.env", "/.env/x", false), ("**/.git/**", "/a/.git/config", true),
      ("**/.git/**", "/a/.git", false), ("/a/**/b", "/a/b", true), ("/a/**/b", "/a/x/b", true),
      ("/a/**/b", "/a/x/y/b", true), ("/a/**/b", "/a/xb", false), ("/a/**/b", "/ab", false),
      ("/a/**/**/b", "/a/b", true), ("/a/**/*", "/a/b", true), ("/a/**/*.c", "/a/b/x.c", true),
      ("/a/**/**", "/a/", false), ("/a/**/**", "/a/b", true), ("/a**", "/a", true), ("/a**", "/ab/c", true),
      ("/a/**b", "/a/x/yb", true), ("/a/**b", "/a/b", true), ("/a***", "/a/b", true),
      ("/?", "/a", true), ("/?", "/", false), ("/?", "//", false), ("/?", "/ab", false), ("/?", "/é", true),
      ("/??", "/é", false), ("/*?", "/€", true), ("/*??", "/€", false), ("/?", "/🎉", true),
      ("/[abc]", "/b", true), ("/[abc]", "/d", false), ("/[a-c]x", "/bx", true), ("/[!a]", "/b", true),
      ("/[!a]", "/a", false), ("/[^a]", "/é", true), ("/[!é]", "/é", false), ("/[!é]", "/è", true),
      ("/[!é]", "/x", true), ("/[à-ü]", "/é", true), ("/[à-ü]", "/e", false), ("/[!é]*", "/é", false),
      ("/a[!b]c", "/a/c", false), ("/a[.-/]c", "/a/c", false), ("/[]]", "/]", true), ("/[a-]", "/-", true),
      ("/{a,b}", "/a", true), ("/{a,b}", "/b", true), ("/{a,b}", "/c", false), ("/{a,{b,c}d}e", "/cde", true),
      ("/x{,y}", "/x", true), ("/x{,y}", "/xy", true), ("/x/{**,y}", "/x/", false),
      ("/x/{**/.env,y}", "/x/.env", true),
      ("/x/{**,y}/z", "/x/z", true), ("/x{/**,}/z", "/x/z", true), ("/{a,b}{c,d}", "/bd", true),
      ("/a\\*", "/a*", true), ("/a\\*", "/ab", false), ("/\\{a\\,b}", "/a", false), ("/a,b", "/a,b", true),
      ("/a\\[b", "/a[b", true), ("/[\\]]", "/]", true), ("/é*", "/éa", true), ("/é*", "/ê", false),
    ])
  func means(_ row: (pattern: String, path: String, matches: Bool)) throws {
    if row.pattern == "/\\{a\\,b}" {
      #expect(throws: PatternError.self) { try Glob(row.pattern) }
    } else {
      #expect(try glob(row.pattern, row.path) == row.matches, "\(row.pattern) on \(row.path)")
    }
  }

  @Test(
    "A pattern that is wrong is refused with the place",
    arguments: [
      ("", 0), ("/a[", 2), ("/[z-a]", 5), ("/{a", 3), ("/a}", 2), ("/é\\", 4), ("/[/]", 1),
      ("/[[:alpha:]]", 2),
    ])
  func refuses(_ row: (pattern: String, offset: Int)) {
    let error = #expect(throws: PatternError.self) { try Glob(row.pattern) }
    #expect(error?.offset == row.offset, "\(row.pattern): \(String(describing: error))")
  }

  @Test("Braces that stand for too many patterns are refused")
  func bounded() {
    #expect(throws: PatternError.self) { try Glob(String(repeating: "{a,b}", count: 11)) }
    #expect(throws: PatternError.self) { try Glob(String(repeating: "{", count: 40)) }
    #expect(throws: Never.self) { try Glob(String(repeating: "{a,b}", count: 10)) }
  }

  @Test("Bytes that are not UTF-8 fall into characters, one for each stray byte")
  func invalidBytes() throws {
    #expect(try glob("/?", [0x2F, 0xFF]))
    #expect(try glob("/?", [0x2F, 0xC3]))
    #expect(try glob("/??", [0x2F, 0xC3, 0x41]))
    #expect(try glob("/[!é]", [0x2F, 0xC3]))
    #expect(try glob("/[!é]*", [0x2F, 0xC3, 0x41]))
    #expect(try !glob("/[!é]*", [0x2F, 0xC3, 0xA9]))
    #expect(try glob("/*", [0x2F, 0x80, 0xC3, 0x00]))
    #expect(try glob("/?", [0x2F, 0xE2, 0x82]))
  }
}
