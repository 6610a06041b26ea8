import Testing
import WeirTesting

@testable import WeirStore

@Suite struct StreamNameTests {
  static let good = [
    "a", "a/b", "runs/abc-DEF_123", "...", ".a", "a.", "a..b", "a b", " ", "%2e%2e", "~", "é", "日本/語", "😀", "-rf",
    String(repeating: "x", count: 255), Array(repeating: "a", count: 16).joined(separator: "/"),
  ]

  @Test(arguments: good) func accepts(_ path: String) throws { #expect(try StreamName(path).path == path) }

  static let bad = [
    "", "/", "a/", "/a", "a//b", ".", "..", "../x", "a/../b", "a/..", "./a", "a/./b", "a\\b", "..\\x", "a:b", "c:",
    "a\0b", "\0", "a\nb", "a\r", "\t", "a\u{7F}", "a\u{85}", "a\u{9F}b",
    String(repeating: "x", count: 256), String(repeating: "x", count: 300), String(repeating: "é", count: 128),
    Array(repeating: "a", count: 17).joined(separator: "/"),
    // With a combining mark behind it, each of these is another `Character`, and still the same byte on a disk.
    "..\u{2F}\u{301}x/../y", "a:\u{301}b", "a\\\u{301}b", "../\u{301}", "/\u{301}", "a\r\n\u{301}",
  ]

  @Test(arguments: bad) func refuses(_ path: String) {
    do {
      let name = try StreamName(path)
      Issue.record("took \(name.path.debugDescription)")
    } catch {
      #expect(error.code == "BadStreamName" && error.hint != nil)
    }
  }

  @Test func namesAreComparedByBytes() throws {
    let one = try StreamName("\u{E9}")
    let two = try StreamName("e\u{301}")
    #expect(one.path == two.path)
    #expect(one != two && Set([one, two]).count == 2)
    #expect(two < one)
    #expect(
      try [StreamName("b"), StreamName("a/b"), StreamName("a"), StreamName("B")].sorted().map(\.path) == [
        "B", "a", "a/b", "b",
      ])
  }

  @Test func noBytesMakeANameThatLeavesItsDirectory() {
    let random = SeededRandom(seed: 6)
    let scalars: [Unicode.Scalar] = ["/", ".", ".", ":", "\\", "\0", "\u{301}", "a", "\u{200D}", "é"]
    for _ in 0..<20_000 {
      var path = ""
      for _ in 0..<random.int(0...8) { path.unicodeScalars.append(random.pick(scalars)) }
      guard let name = try? StreamName(path) else { continue }
      let parts = Array(name.path.utf8).split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
      #expect(parts.allSatisfy { !$0.isEmpty && Array($0) != Array(".".utf8) && Array($0) != Array("..".utf8) })
      #expect(!name.path.utf8.contains { $0 < 0x20 || $0 == UInt8(ascii: ":") || $0 == UInt8(ascii: "\\") })
    }
  }

  @Test func theIndexIsASortedSet() throws {
    let random = SeededRandom(seed: 7)
    var index = StreamNameIndex()
    var model: Set<StreamName> = []
    for _ in 0..<3000 {
      let name = try StreamName("n\(random.int(0...60))")
      if model.remove(name) != nil {
        index.remove(name)
      } else {
        index.insert(name)
        model.insert(name)
      }
      if random.chance(0.2) {
        let prefix = random.pick(["", "n", "n1", "n22", "o"])
        let after = random.chance(0.5) ? name : nil
        let limit = random.int(0...20)
        let expected = model.sorted().filter { $0.starts(with: prefix) && (after == nil || $0 > after!) }.prefix(limit)
        #expect(Array(index.names(prefix: prefix, after: after, limit: limit)) == Array(expected))
      }
    }
  }
}
