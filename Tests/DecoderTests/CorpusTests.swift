import Decoders
import Foundation
import Testing

/// The fuzzer's inputs, checked again by every run of the tests (`Scripts/fuzz` makes them).
@Suite(.serialized) struct CorpusTests {
  private static let corpus = URL(filePath: #filePath).deletingLastPathComponent()
    .appending(path: "../fixtures/corpus").standardizedFileURL

  private static func files(_ decoder: String) throws -> [URL] {
    try FileManager.default.contentsOfDirectory(
      at: corpus.appending(path: decoder), includingPropertiesForKeys: nil
    ).sorted { $0.path < $1.path }
  }

  @Test("What must hold of a decoder holds for every input of its corpus", arguments: Decoder.all.map(\.name))
  func replay(_ name: String) throws {
    let decoder = try #require(Decoder.all.first { $0.name == name })
    let files = try Self.files(name)
    #expect(files.count >= 5, "the corpus of \(name) is gone")
    for file in files {
      let bytes = Array(try Data(contentsOf: file))
      do throws(Broken) { try decoder.check(bytes) } catch {
        Issue.record("\(file.lastPathComponent): \(error)")
      }
    }
  }

  @Test(
    "It holds for what becomes of them when bytes are changed, cut off and doubled",
    arguments: Decoder.all.map(\.name))
  func replayChanged(_ name: String) throws {
    let decoder = try #require(Decoder.all.first { $0.name == name })
    var random = Seeded(state: 1)
    for file in try Self.files(name) {
      let bytes = Array(try Data(contentsOf: file))
      for _ in 0..<50 {
        let changed = Self.changed(bytes, &random)
        do throws(Broken) { try decoder.check(changed) } catch { Issue.record("\(changed): \(error)") }
      }
    }
  }

  private static func changed(_ bytes: [UInt8], _ random: inout Seeded) -> [UInt8] {
    var result = bytes
    for _ in 0..<Int.random(in: 1...4, using: &random) {
      let place = Int.random(in: 0...result.count, using: &random)
      switch Int.random(in: 0..<4, using: &random) {
      case 0 where place < result.count: result[place] = UInt8.random(in: 0...255, using: &random)
      case 1: result.insert(UInt8.random(in: 0...255, using: &random), at: place)
      case 2: result.removeSubrange(place...)
      default: result.insert(contentsOf: result[place...].prefix(32), at: place)
      }
    }
    return result
  }

  @Test("The corpus is small, and each directory of it is some decoder's")
  func isSmall() throws {
    let directories = try FileManager.default.contentsOfDirectory(atPath: Self.corpus.path)
    #expect(Set(directories) == Set(Decoder.all.map(\.name)))
    let sizes = try directories.flatMap(Self.files).map { try Data(contentsOf: $0).count }
    #expect(sizes.reduce(0, +) <= 200_000)
  }
}
