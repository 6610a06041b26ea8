import Testing
import WeirTesting

@testable import WeirFlow

@Suite struct InputCutterTests {
  private static let texts: [(bytes: String, lines: [String])] = [
    ("", []), ("a", ["a"]), ("a\n", ["a"]), ("a\nb", ["a", "b"]), ("\n\n", ["", ""]), ("a\r\nb\r", ["a", "b\r"]),
    ("\r\n\r\nx", ["", "", "x"]), ("ä\nö\r\n€", ["ä", "ö", "€"]), ("a\rb\n", ["a\rb"]),
  ]

  /// Any cut of the same bytes gives the same lines and chunks.
  @Test(arguments: texts.indices) func everyCut(_ index: Int) {
    let (text, lines) = Self.texts[index]
    let bytes = Array(text.utf8)
    for cut in 0...bytes.count {
      for other in cut...bytes.count {
        let pieces = [bytes[..<cut], bytes[cut..<other], bytes[other...]].map(Array.init)
        #expect(read(pieces) { $0.nextLine() } == lines)
        let chunks = read(pieces) { $0.nextChunk(3) }
        #expect(chunks.flatMap(\.self) == bytes)
        #expect(chunks.dropLast().allSatisfy { $0.count == 3 })
      }
    }
  }

  @Test func aLongLineComesInParts() {
    var cutter = InputCutter(lineLimit: 4)
    cutter.receive(Array("abcd\nabcde\nabcdefghij".utf8))
    var found: [String] = []
    while let line = cutter.nextLine() { found.append(line) }
    #expect(found == ["abcd", "abcd", "e", "abcd", "efgh"])
    cutter.finish()
    #expect(cutter.nextLine() == "ij")
    #expect(cutter.isEnded)
  }

  @Test func randomTextInRandomPieces() {
    for seed in UInt64(1)...200 {
      let random = SeededRandom(seed: seed)
      let text = (0..<random.int(0...60)).map { _ in random.pick(["\n", "\r\n", "x", "yz", "\r"]) }.joined()
      let bytes = Array(text.utf8)
      let whole = read([bytes]) { $0.nextLine() }
      #expect(read(random.cut(bytes, pieceLimit: 5)) { $0.nextLine() } == whole, "seed \(seed)")
      let joined = whole.joined(separator: "\n")
      let expected = text.replacingLineEnds()
      #expect(joined == expected || joined + "\n" == expected, "seed \(seed)")
    }
  }

  private func read<T>(_ pieces: [[UInt8]], _ next: (inout InputCutter) -> T?) -> [T] {
    var cutter = InputCutter()
    var found: [T] = []
    for piece in pieces where !piece.isEmpty {
      cutter.receive(piece)
      while let item = next(&cutter) { found.append(item) }
    }
    cutter.finish()
    while let item = next(&cutter) { found.append(item) }
    #expect(cutter.isEnded)
    return found
  }
}

extension String {
  /// What the lines of a text are, told another way: `\r\n` is one `\n`.
  fileprivate func replacingLineEnds() -> String {
    var out: [UInt8] = []
    for byte in utf8 {
      if byte == 0x0A, out.last == 0x0D { out.removeLast() }
      out.append(byte)
    }
    return String(decoding: out, as: UTF8.self)
  }
}
