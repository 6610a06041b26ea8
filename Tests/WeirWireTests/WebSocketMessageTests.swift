import Testing
import WeirCore
import WeirTesting

@testable import WeirWire

/// What a peer's bytes gave, one line for each event; a failure is the last line.
private func read(
  _ pieces: [[UInt8]], role: WebSocketRole = .client, limit: Int = 1 << 20, deflate: PermessageDeflate? = nil
) -> [String] {
  var parser = WebSocketMessageParser(role: role, messageLimit: limit, deflate: deflate)
  var lines: [String] = []
  do throws(WebSocketFailure) {
    for piece in pieces {
      var position = 0
      while let event = try parser.next(piece.span, &position) {
        switch event {
        case .text(let text): lines.append("text \(text)")
        case .binary(let bytes): lines.append("binary \(hex(bytes))")
        case .ping(let bytes): lines.append("ping \(hex(bytes))")
        case .pong(let bytes): lines.append("pong \(hex(bytes))")
        case .close(let close): lines.append("close " + (close.map { "\($0.code) \($0.reason)" } ?? "none"))
        }
      }
      #expect(position == piece.count, "everything is read")
    }
    if !parser.isBetweenMessages { lines.append("unfinished") }
  } catch { lines.append("\(error.closeCode) \(error.message)") }
  return lines
}

private func hex(_ bytes: [UInt8]) -> String {
  bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
}

private func bytes(_ hex: String) -> [UInt8] {
  let digits = hex.utf8.filter { $0 != UInt8(ascii: " ") }.map { UInt8(String(UnicodeScalar($0)), radix: 16) ?? 0 }
  return stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
}

private struct FrameCase: CustomTestStringConvertible, Sendable {
  var name: String
  var input: String
  var lines: [String]
  var role = WebSocketRole.client
  var deflate: PermessageDeflate?
  var testDescription: String { name }
  init(
    _ name: String, _ input: String, _ lines: [String], _ role: WebSocketRole = .client,
    deflate: PermessageDeflate? = nil
  ) { (self.name, self.input, self.lines, self.role, self.deflate) = (name, input, lines, role, deflate) }
}

/// "Hello" and the like from RFC 6455 5.7 and RFC 7692 7.2.3.
private let cases: [FrameCase] = [
  FrameCase("text", "8105 48656c6c6f", ["text Hello"]),
  FrameCase("masked text", "8185 37fa213d 7f9f4d5158", ["text Hello"], .server),
  FrameCase("fragmented text", "0103 48656c 8002 6c6f", ["text Hello"]),
  FrameCase("ping and pong", "8905 48656c6c6f 8a00", ["ping 48656c6c6f", "pong "]),
  FrameCase("control between fragments", "0103 48656c 8901 78 8002 6c6f", ["ping 78", "text Hello"]),
  FrameCase(
    "binary of 256", "827e0100" + String(repeating: "ab", count: 256), ["binary " + String(repeating: "ab", count: 256)]
  ),
  FrameCase("empty text", "8100 8200", ["text ", "binary "]),
  FrameCase("empty fragments", "0100 0000 0001 61 8000", ["text a"]),
  FrameCase("masked empty", "8180 01020304", ["text "], .server),
  FrameCase("character across fragments", "0101 e2 0001 82 8001 ac", ["text €"]),
  FrameCase("compressed", "c107 f248cdc9c90700", ["text Hello"], deflate: PermessageDeflate()),
  FrameCase("compressed, fragmented", "4103 f248cd 8004 c9c90700", ["text Hello"], deflate: PermessageDeflate()),
  FrameCase(
    "compressed twice, shared window", "c107 f248cdc9c90700 c105 f200110000", ["text Hello", "text Hello"],
    deflate: PermessageDeflate()),
  FrameCase("compressed, stored block", "c10b 000500faff48656c6c6f00", ["text Hello"], deflate: PermessageDeflate()),
  FrameCase("compressed, final block", "c108 f348cdc9c9070000", ["text Hello"], deflate: PermessageDeflate()),
  FrameCase("compressed, two blocks", "c10d f248050000 00ffffcac9c90700", ["text Hello"], deflate: PermessageDeflate()),
  FrameCase("compressed empty", "c101 00", ["text "], deflate: PermessageDeflate()),
  FrameCase("uncompressed though it could be", "8105 48656c6c6f", ["text Hello"], deflate: PermessageDeflate()),
  FrameCase("close", "8802 03e8", ["close 1000 "]),
  FrameCase("close with reason", "8805 0fa0 627965", ["close 4000 bye"]),
  FrameCase("close without code", "8800", ["close none"]),
  FrameCase("unfinished frame", "8105 4865", ["unfinished"]),
  FrameCase("unfinished message", "0105 48656c6c6f", ["unfinished"]),
  FrameCase("unfinished header", "81", ["unfinished"]),

  FrameCase("reserved opcode 3", "8300", ["1002 a frame with the reserved opcode 3"]),
  FrameCase("reserved opcode 15", "8f00", ["1002 a frame with the reserved opcode 15"]),
  FrameCase("RSV1 without the extension", "c100", ["1002 a frame with a reserved bit set"]),
  FrameCase("RSV2", "a100", ["1002 a frame with a reserved bit set"], deflate: PermessageDeflate()),
  FrameCase("RSV3", "9100", ["1002 a frame with a reserved bit set"]),
  FrameCase("RSV1 on a control frame", "c900", ["1002 a frame with a reserved bit set"], deflate: PermessageDeflate()),
  FrameCase(
    "RSV1 on a continuation", "0100 c000", ["1002 a frame with a reserved bit set"], deflate: PermessageDeflate()),
  FrameCase("fragmented ping", "0900", ["1002 a fragmented control frame"]),
  FrameCase("long ping", "897e", ["1002 a control frame of more than 125 bytes"]),
  FrameCase("masked by a server", "8185", ["1002 a server's frame that is masked"]),
  FrameCase("not masked by a client", "8105", ["1002 a client's frame that is not masked"], .server),
  FrameCase("length in too many bytes", "827e007d", ["1002 a frame's length is not written in the shortest way"]),
  FrameCase(
    "length in eight bytes", "827f000000000000ffff", ["1002 a frame's length is not written in the shortest way"]),
  FrameCase("length with the highest bit", "827f8000000000000000", ["1002 a frame's length has its highest bit set"]),
  FrameCase("length beyond the limit", "827f0000000000100001", ["1009 message size 1048577 exceeds limit 1048576"]),
  FrameCase("continuation of nothing", "8000", ["1002 a continuation of no message"]),
  FrameCase("new message within another", "0101 61 8101 62", ["1002 a new message within a fragmented one"]),
  FrameCase("text before the failure counts", "8101 61 8000", ["text a", "1002 a continuation of no message"]),
  FrameCase("close with half a code", "8801 03", ["1002 a Close frame with half a code"]),
  FrameCase("close with a code for no wire", "8802 03ed", ["1002 a Close frame with the code 1005"]),
  FrameCase("close with a bad reason", "8803 03e8 ff", ["1007 a Close frame whose reason is not UTF-8"]),
  FrameCase("text that is not UTF-8", "8102 c328", ["1007 a text message that is not UTF-8"]),
  FrameCase("text that ends within a character", "8102 e282", ["1007 a text message that is not UTF-8"]),
  FrameCase("a surrogate in a fragment", "0102 eda0", ["1007 a text message that is not UTF-8"]),
  FrameCase(
    "compressed text that is not UTF-8", "c104 aa980300", ["1007 a text message that is not UTF-8"],
    deflate: PermessageDeflate()),
  FrameCase(
    "compressed rubbish", "c102 ffff", ["1007 compressed data that cannot be inflated"], deflate: PermessageDeflate()),
]

@Suite struct WebSocketMessageTests {
  @Test(arguments: cases) fileprivate func everyCutGivesTheSameEvents(_ test: FrameCase) throws {
    let lines = try everyCut(bytes(test.input)) { read($0, role: test.role, deflate: test.deflate) }
    #expect(lines == test.lines)
  }

  @Test func closeCodes() {
    let sendable = Set([1000, 1001, 1002, 1003] + Array(1007...1014) + Array(3000...4999))
    for code in Array(0...5100) + [65_535] {
      let lines = read([[0x88, 2, UInt8(code >> 8), UInt8(code & 255)]])
      let expected = sendable.contains(code) ? "close \(code) " : "1002 a Close frame with the code \(code)"
      if lines != [expected] { Issue.record("\(lines)") }
    }
  }

  @Test func limitsAreExact() {
    let fits = [UInt8](repeating: 0x61, count: 100)
    #expect(read([frame(.text, fits)], limit: 100).count == 1)
    #expect(read([frame(.text, fits)], limit: 99) == ["1009 message size 100 exceeds limit 99"])
    // Fragments add up, and the one that goes over is refused at its header.
    let half = Array(fits.prefix(50))
    #expect(read([frame(.text, half, isFinal: false) + frame(.continuation, half)], limit: 100).count == 1)
    let over = frame(.text, half, isFinal: false) + frame(.continuation, half + [0x61], isFinal: false).prefix(2)
    #expect(read([Array(over)], limit: 100) == ["1009 message size exceeds limit 100"])
  }

  @Test(arguments: UInt64(1)...12) func whatAWriterWritesAParserReads(seed: UInt64) throws {
    let random = SeededRandom(seed: seed)
    let deflate = seed % 3 == 0 ? nil : PermessageDeflate(client: seed, server: seed + 1)
    let role: WebSocketRole = seed % 2 == 0 ? .server : .client
    let direction = role == .server ? deflate?.client : deflate?.server
    let deflater = direction.flatMap { Deflater($0) }
    var wire: [UInt8] = []
    var expected: [String] = []
    for _ in 0..<20 {
      let size = random.pick([0, 1, 5, 125, 126, 127, 1000, 3000])
      let letters = random.pick([1, 3, 26])
      let text = (0..<size).map { _ in random.int(0...letters) == 0 ? "é" : "\(random.int(0...letters))" }.joined()
      var payload = Array(text.utf8)
      let isText = random.chance(0.5)
      let isCompressed = deflater != nil && random.chance(0.6)
      expected.append(isText ? "text \(text)" : "binary \(hex(payload))")
      if isCompressed, let deflater { payload = deflater.deflate(payload.span) }
      // In fragments, with pings between them.
      let pieces = payload.isEmpty ? [payload] : random.cut(payload, pieceLimit: random.pick([7, 200, 5000]))
      for (index, piece) in pieces.enumerated() {
        wire += frame(
          index > 0 ? .continuation : isText ? .text : .binary, piece, isFinal: index == pieces.count - 1,
          isCompressed: isCompressed && index == 0,
          key: role == .server ? UInt32(truncatingIfNeeded: random.next()) : nil)
        if random.chance(0.2), index < pieces.count - 1 {
          wire += frame(.ping, [7], key: role == .server ? 0x0102_0304 : nil)
          expected.insert("ping 07", at: expected.count - 1)
        }
      }
    }
    let lines = try everyCut(wire, randomCuts: 10, seed: seed, everyPlaceLimit: 40) {
      read($0, role: role, deflate: deflate)
    }
    #expect(lines == expected, "seed \(seed)")
  }

  /// A bomb: 32 MiB in some 150 KiB. It ends at the limit, and nothing near its size is ever held.
  @Test func aBombIsTooLarge() throws {
    let deflater = try #require(Deflater(.init()))
    let zeros = [UInt8](repeating: 0, count: 1 << 20)
    var payload: [UInt8] = []
    for _ in 0..<32 { payload += deflater.deflate(zeros.span) + [0, 0, 0xFF, 0xFF] }
    #expect(payload.count < 256 << 10)
    let wire = frame(.binary, payload, isCompressed: true)
    #expect(read([wire], deflate: PermessageDeflate()) == ["1009 message size exceeds limit 1048576"])
    let cut = stride(from: 0, to: wire.count, by: 1000).map { Array(wire[$0..<min($0 + 1000, wire.count)]) }
    #expect(read(cut, deflate: PermessageDeflate()) == ["1009 message size exceeds limit 1048576"])
  }

  /// A header that announces a megabyte makes nobody reserve it.
  @Test func aHeaderReservesLittle() throws {
    var parser = WebSocketMessageParser(role: .client)
    var position = 0
    let start: [UInt8] = [0x82, 0x7F, 0, 0, 0, 0, 0, 0x10, 0, 0, 1]
    #expect(try parser.next(start.span, &position) == nil && position == start.count)
  }

  @Test func masksAreXOR() {
    for count in 0...70 {
      for phase in 0..<5 {
        var bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 37) }
        let key: [UInt8] = [0x12, 0xAB, 0x00, 0xFF]
        let expected = bytes.enumerated().map { $1 ^ key[($0 + phase) % 4] }
        bytes.withUnsafeMutableBufferPointer { WebSocketMask.apply(0x12AB_00FF, phase: phase, $0) }
        #expect(bytes == expected, "\(count) bytes from \(phase)")
      }
    }
  }

  @Test func closeReasonsAreCutBetweenCharacters() {
    let payload = WebSocketFrameWriter.closePayload(WebSocketClose(1000, String(repeating: "é", count: 100)))
    #expect(payload.count == 2 + 122 && String(validating: payload[2...], as: UTF8.self) != nil)
    #expect(WebSocketFrameWriter.closePayload(nil).isEmpty)
  }
}

private func frame(
  _ opcode: WebSocketOpcode, _ payload: [UInt8], isFinal: Bool = true, isCompressed: Bool = false, key: UInt32? = nil
) -> [UInt8] {
  var wire: [UInt8] = []
  let header = WebSocketFrameHeader(
    opcode, isFinal: isFinal, isCompressed: isCompressed, maskKey: key, length: payload.count)
  WebSocketFrameWriter.append(header, payload.span, to: &wire)
  return wire
}

extension PermessageDeflate {
  /// Some agreement, for a seed.
  fileprivate init(client: UInt64, server: UInt64) {
    self.init()
    self.client.forgets = client % 2 == 0
    self.client.windowBits = 9 + Int(client % 7)
    self.server.forgets = server % 2 == 0
    self.server.windowBits = 9 + Int(server % 7)
  }
}

@Suite struct UTF8ValidatorTests {
  private func verdict(_ bytes: [UInt8]) -> Bool {
    var validator = UTF8Validator()
    return validator.accepts(bytes.span) && validator.isComplete
  }

  @Test func everySequenceOfThreeBytesIsJudgedAsStringDoes() {
    let interesting: [UInt8] = [
      0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1, 0xEC, 0xED, 0xEE, 0xEF,
      0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xFF,
    ]
    for a in UInt8.min...UInt8.max {
      for b in interesting {
        let pair = [a, b]
        if verdict(pair) != (String(validating: pair, as: UTF8.self) != nil) { Issue.record("\(pair)") }
      }
    }
    for a in interesting {
      for b in interesting {
        for c in interesting {
          for d in [0x41, 0x80, 0xBF, 0xC2] as [UInt8] {
            let bytes = [a, b, c, d]
            if verdict(bytes) != (String(validating: bytes, as: UTF8.self) != nil) { Issue.record("\(bytes)") }
          }
        }
      }
    }
  }

  @Test func aCutChangesNothing() throws {
    for text in ["plain text that is longer than a word", "κόσμε €\u{10FFFF}𝄞", "ascii then é and a long ascii tail"] {
      try everyCut(text) { pieces in
        var validator = UTF8Validator()
        return pieces.allSatisfy { validator.accepts($0.span) } && validator.isComplete
      }
    }
  }
}
