import Testing
import WeirTesting

@testable import WeirWire

@Suite struct SSEWriterTests {
  private func text(_ write: (inout [UInt8]) -> Void) -> String {
    var output: [UInt8] = []
    write(&output)
    return String(decoding: output, as: UTF8.self)
  }

  @Test func frames() {
    #expect(text { SSEWriter.append(data: "hi", to: &$0) } == "data:hi\n\n")
    #expect(text { SSEWriter.append(data: "", to: &$0) } == "data:\n\n")
    #expect(
      text { SSEWriter.append(data: "{}", event: "usage", id: "0000000000000007", retry: .seconds(2), to: &$0) }
        == "id: 0000000000000007\nretry: 2000\nevent: usage\ndata:{}\n\n")
    #expect(
      text { SSEWriter.append(data: "a\nb\r\nc\rd\n", to: &$0) } == "data:a\ndata:b\ndata:c\ndata:d\ndata:\n\n")
    #expect(text { SSEWriter.append(data: "\r\n\n\r", to: &$0) } == "data:\ndata:\ndata:\ndata:\n\n")
    // The receiver takes one space off.
    #expect(text { SSEWriter.append(data: " a\n\n  b", to: &$0) } == "data:  a\ndata:\ndata:   b\n\n")
    #expect(text { SSEWriter.append(comment: "keep\nalive", to: &$0) } == ": keep\n: alive\n\n")
    #expect(text { SSEWriter.append(retry: .milliseconds(250), to: &$0) } == "retry: 250\n\n")
  }

  @Test func nothingCanStartAnotherField() {
    #expect(
      text { SSEWriter.append(data: "x", event: "a\ndata: evil", id: "1\r\n\n\u{0}2", to: &$0) }
        == "id: 12\nevent: adata: evil\ndata:x\n\n")
  }

  /// Whatever is written comes back as one event, for random text.
  @Test(arguments: UInt64(1)...80) func comesBack(seed: UInt64) {
    let random = SeededRandom(seed: seed)
    let words = ["a", " ", ":", "\n", "data", "žluť", "\u{FEFF}", "\u{0}", "🐎", "\n\n", "x: y"]
    func word(_ count: Int, without: String = "") -> String {
      (0..<count).map { _ in random.pick(words) }.filter { $0 != without }.joined()
    }
    let data = word(12)
    let type = "t" + word(3).filter { $0 != "\n" && $0 != "\u{0}" }
    let id = word(3).filter { $0 != "\n" && $0 != "\u{0}" }
    var bytes: [UInt8] = []
    SSEWriter.append(data: data, event: type, id: id, to: &bytes)
    let result = visitAll([bytes])
    #expect(result.events == [SSEEvent(type: type, data: Array(data.utf8), lastEventID: id)], "seed \(seed)")
  }
}
