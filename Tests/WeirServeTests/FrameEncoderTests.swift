import Testing
import WeirCore
import WeirStore

@testable import WeirServe

/// Frames by themselves: their chunks whatever their size, and the copied text beside the decoded one.
@Suite struct FrameEncoderTests {
  private func frame(_ item: [UInt8], _ format: OutputFormat, isChunked: Bool) -> [UInt8] {
    let encoder = FrameEncoder(format: format, run: "r1", model: "m", isChunked: isChunked)
    var out: [UInt8] = []
    _ = encoder.item(StreamItem(bytes: item, time: 0), after: Offset(7), to: &out)
    return out
  }

  /// 1 to 4 hexadecimal digits: below, at and above each power of 16.
  @Test(arguments: [1, 9, 15, 16, 17, 255, 256, 257, 4095, 4096, 4097])
  func aChunkSaysItsSize(_ size: Int) {
    let item = RunEventCodec.encode(.text(String(repeating: "x", count: size)))
    let body = frame(item, .text, isChunked: false)
    #expect(body.count == size)
    #expect(frame(item, .text, isChunked: true) == Array("\(String(size, radix: 16))\r\n".utf8) + body + [0x0D, 0x0A])
  }

  @Test func nothingIsNoChunk() {
    #expect(frame(RunEventCodec.encode(.text("")), .text, isChunked: true) == [])
  }

  @Test(arguments: ["", "Hel", "l{o}: [1,2]", "a\"b", "a\\b\n", "é", "日本", "\u{1F600}\u{7F}"])
  func copiedTextIsTheFrameOfTheEvent(_ text: String) {
    let encoder = FrameEncoder(format: .weir, run: "r1", model: "m", isChunked: false)
    var decoded: [UInt8] = []
    encoder.weir(.text(text), Offset(7), to: &decoded)
    #expect(frame(RunEventCodec.encode(.text(text)), .weir, isChunked: false) == decoded)
  }
}
