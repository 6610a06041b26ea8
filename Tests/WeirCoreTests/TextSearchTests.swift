/// Searching text, beside the plainest way to do it, on random texts of few letters (`WEIR_SEED=n` repeats one).
import Foundation
import Testing
import WeirTesting

@testable import WeirCore

@Suite struct TextSearchTests {
  static let seed = ProcessInfo.processInfo.environment["WEIR_SEED"].flatMap { UInt64($0) } ?? 1

  private static func plainly(_ bytes: [UInt8], _ wanted: [UInt8]) -> Int? {
    (0...bytes.count).first { $0 + wanted.count <= bytes.count && Array(bytes[$0..<$0 + wanted.count]) == wanted }
  }

  @Test func findsWhatIsThere() {
    let random = SeededRandom(seed: Self.seed)
    func text(_ limit: Int) -> String {
      (0..<random.int(below: limit)).map { _ in ["a", "b", "é", "👩‍👩‍👧"][random.int(below: 4)] }.joined()
    }
    for round in 0..<2_000 {
      let (whole, piece) = (text(12), text(3))
      let place = Self.plainly(Array(whole.utf8), Array(piece.utf8))
      let found = whole.range(ofText: piece)
      #expect(
        found.map { whole.utf8.distance(from: whole.startIndex, to: $0.lowerBound) } == place,
        "seed \(Self.seed), round \(round): \(piece) in \(whole)")
      if let found { #expect(Array(whole[found].utf8) == Array(piece.utf8)) }
      #expect(whole.contains(text: piece) == (place != nil))
    }
  }

  @Test(arguments: [
    ("", "a", "b", ""), ("aaa", "a", "", ""), ("aaaa", "aa", "b", "bb"), ("a/b/", "/", "\\/", "a\\/b\\/"),
    ("none", "x", "y", "none"), ("text", "", "x", "text"), ("a&b", "&", "&amp;", "a&amp;b"),
  ])
  func replaces(_ whole: String, _ piece: String, _ other: String, _ result: String) {
    #expect(whole.replacing(text: piece, with: other) == result)
  }
}
