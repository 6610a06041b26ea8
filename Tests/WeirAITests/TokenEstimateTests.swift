import Foundation
import Testing
import WeirTesting

@testable import WeirAI

/// Guesses at tokens, beside what real vocabularies count.
struct TokenEstimateTests {
  static func tokens(_ text: String) -> Int {
    var counter = TokenCounter()
    counter.add(text)
    return counter.tokens
  }

  @Test func anyCutIsTheSame() {
    let seed = ProcessInfo.processInfo.environment["WEIR_SEED"].flatMap { UInt64($0) } ?? 1
    let random = SeededRandom(seed: seed)
    let text = "camelCase, naïve 12 345.6\n\n    return x_1 + 水曜日 — да 🎉 {\"a\": [1, null]}\r\n"
    let whole = Self.tokens(text)
    for _ in 0..<200 {
      var counter = TokenCounter()
      var rest = text.unicodeScalars[...]
      while !rest.isEmpty {
        let piece = rest.prefix(random.int(1...7))
        counter.add(String(String.UnicodeScalarView(piece)))
        rest = rest.dropFirst(piece.count)
      }
      #expect(counter.tokens == whole, "WEIR_SEED=\(seed)")
    }
  }

  @Test func kinds() {
    for (text, tokens) in [
      ("", 0), ("word", 1), (" word", 1), ("word word word", 3), ("a 1", 3), ("123456", 2), ("\n\n\n", 1), ("  ", 1),
      ("internationalisation", 5), ("🎉", 2), ("水", 1), ("水水水水", 4), ("é", 2),
    ] { #expect(Self.tokens(text) == tokens, "\(text)") }
    #expect(TokenCounter().isEmpty)
  }
}
