import Testing
import WeirTesting

@testable import WeirWire

/// What a stream gave, in one comparable value.
struct SSETranscript: Equatable, CustomStringConvertible {
  var events: [SSEEvent] = []
  var lastEventID = ""
  var retry: Duration?
  var failure: SSEFailure?
  var description: String {
    events.map { "(\($0.type) \($0.text.debugDescription) #\($0.lastEventID))" }.joined()
      + " last #\(lastEventID) retry \(retry.map { "\($0)" } ?? "-") \(failure.map { "\($0)" } ?? "")"
  }
}

/// Reads with `parse`.
func visitAll(_ pieces: [[UInt8]], limit: Int = SSEParser.eventByteLimit) -> SSETranscript {
  var parser = SSEParser(eventByteLimit: limit)
  var result = SSETranscript()
  do throws(SSEFailure) {
    for piece in pieces {
      try parser.parse(piece.span) { head, data in
        var bytes: [UInt8] = []
        for i in data.indices { bytes.append(data[i]) }
        result.events.append(SSEEvent(type: head.type, data: bytes, lastEventID: head.lastEventID))
      }
    }
    parser.finish()
  } catch { result.failure = error }
  result.lastEventID = parser.lastEventID
  result.retry = parser.reconnectionTime
  return result
}

/// Reads with `receive` and `next`.
func takeAll(_ pieces: [[UInt8]], limit: Int = SSEParser.eventByteLimit) -> SSETranscript {
  var parser = SSEParser(eventByteLimit: limit)
  var result = SSETranscript()
  do throws(SSEFailure) {
    for piece in pieces {
      parser.receive(piece.span)
      while let event = try parser.next() { result.events.append(event) }
    }
    parser.finish()
    while let event = try parser.next() { result.events.append(event) }
  } catch { result.failure = error }
  result.lastEventID = parser.lastEventID
  result.retry = parser.reconnectionTime
  return result
}

struct SSECase: CustomTestStringConvertible, Sendable {
  var rule: String
  var input: [UInt8]
  /// `type:data#id`, separated by `|`; line ends written as they are.
  var events: [String]
  var lastEventID = ""
  var retry: Int?
  var testDescription: String { rule }

  init(_ rule: String, _ input: String, _ events: [String], last: String = "", retry: Int? = nil) {
    self.init(rule, Array(input.utf8), events, last: last, retry: retry)
  }
  init(_ rule: String, _ input: [UInt8], _ events: [String], last: String = "", retry: Int? = nil) {
    self.rule = rule
    self.input = input
    self.events = events
    self.lastEventID = last
    self.retry = retry
  }
}

let sseCases: [SSECase] = [
  SSECase("nothing", "", []),
  SSECase("one event", "data: hello\n\n", ["message:hello#"]),
  SSECase("LF", "data: a\n\ndata: b\n\n", ["message:a#", "message:b#"]),
  SSECase("CR", "data: a\r\rdata: b\r\r", ["message:a#", "message:b#"]),
  SSECase("CRLF", "data: a\r\n\r\ndata: b\r\n\r\n", ["message:a#", "message:b#"]),
  SSECase(
    "mixed line ends", "data: a\r\n\ndata: b\n\rdata: c\r\r\ndata: d\n\r\n",
    ["message:a#", "message:b#", "message:c#", "message:d#"]),
  SSECase("CR then CRLF is two line ends", "data: a\r\r\n\n", ["message:a#"]),
  SSECase("a final CR dispatches at once", "data: a\n\r", ["message:a#"]),
  SSECase("several data lines", "data: a\ndata: b\ndata: c\n\n", ["message:a\nb\nc#"]),
  SSECase("several data lines with CRLF join with LF", "data: a\r\ndata: b\r\n\r\n", ["message:a\nb#"]),
  SSECase(
    "data in two parts with others between", "data: a\nid: 7\n: note\ndata: b\n\n", ["message:a\nb#7"], last: "7"),
  SSECase("no space after colon", "data:a\n\n", ["message:a#"]),
  SSECase("only one space is optional", "data:  a \n\n", ["message: a #"]),
  SSECase("a tab is not the optional space", "data:\ta\n\n", ["message:\ta#"]),
  SSECase("empty data line is an event", "data\n\ndata:\n\ndata: \n\n", ["message:#", "message:#", "message:#"]),
  SSECase("two empty data lines are one LF", "data\ndata\n\n", ["message:\n#"]),
  SSECase("trailing empty data line", "data: a\ndata\n\n", ["message:a\n#"]),
  SSECase("leading empty data line", "data:\ndata: a\n\n", ["message:\na#"]),
  SSECase("colons in a value stay", "data: a:b: c\n\n", ["message:a:b: c#"]),
  SSECase("event type", "event: add\ndata: 1\n\ndata: 2\n\n", ["add:1#", "message:2#"]),
  SSECase("empty event type is message", "event:\ndata: 1\n\n", ["message:1#"]),
  SSECase("last event type wins", "event: a\nevent: b\ndata: 1\n\n", ["b:1#"]),
  SSECase("empty event type resets", "event: a\nevent\ndata: 1\n\n", ["message:1#"]),
  SSECase("no data is no event but resets the type", "event: a\n\ndata: 1\n\n", ["message:1#"]),
  SSECase("type keeps a space beyond the first", "event:  a\ndata: 1\n\n", [" a:1#"]),
  SSECase("comments", ": hi\ndata: a\n:\n:data: no\n\n", ["message:a#"]),
  SSECase("only comments", ":\n\n: keep-alive\n\n", []),
  SSECase("comment between CRLFs", ":x\r\n\r\ndata: a\r\n\r\n", ["message:a#"]),
  SSECase("id stays for later events", "id: 1\ndata: a\n\ndata: b\n\n", ["message:a#1", "message:b#1"], last: "1"),
  SSECase("empty id resets", "id: 1\ndata: a\n\nid\ndata: b\n\n", ["message:a#1", "message:b#"]),
  SSECase(
    "id with NUL is ignored", "id: 1\ndata: a\n\nid: 2\u{0}3\ndata: b\n\n", ["message:a#1", "message:b#1"], last: "1"),
  SSECase("id without data counts from its blank line", "id: 9\n\n", [], last: "9"),
  SSECase("id of an unfinished block does not count", "id: 1\ndata: a\n\nid: 2\ndata: b\n", ["message:a#1"], last: "1"),
  SSECase("retry", "retry: 1500\n\n", [], retry: 1500),
  SSECase("retry counts without a blank line", "retry: 1500\n", [], retry: 1500),
  SSECase("retry that is no number", "retry: 10s\nretry: -1\nretry: 1.5\nretry:  5\nretry\n\n", []),
  SSECase("retry keeps the last good one", "retry: 10\nretry: x\n\n", [], retry: 10),
  SSECase("retry leading zeros", "retry: 0010\n\n", [], retry: 10),
  SSECase("unknown field", "datas: a\nfoo\nda: x\n: \ndata: b\n\n", ["message:b#"]),
  SSECase("names are case-sensitive", "Data: a\nDATA: b\ndata: c\n\n", ["message:c#"]),
  SSECase("a space before the name is another name", " data: a\n\ndata: b\n\n", ["message:b#"]),
  SSECase("a space before the colon is another name", "data : a\n\ndata: b\n\n", ["message:b#"]),
  SSECase("unfinished event is dropped", "data: a\n\ndata: b\n", ["message:a#"]),
  SSECase("unfinished line is dropped", "data: a\n\ndata: b", ["message:a#"]),
  SSECase("blank lines alone", "\n\r\n\r\r\n\n", []),
  SSECase("byte order mark", "\u{FEFF}data: a\n\n", ["message:a#"]),
  SSECase("byte order mark before a comment", "\u{FEFF}: c\ndata: a\n\n", ["message:a#"]),
  SSECase("byte order mark before a blank line", "\u{FEFF}\ndata: a\n\n", ["message:a#"]),
  SSECase("only the first byte order mark", "\u{FEFF}\u{FEFF}data: a\n\ndata: b\n\n", ["message:b#"]),
  SSECase(
    "a byte order mark later is text", "data: a\n\n\u{FEFF}data: b\n\ndata: \u{FEFF}c\n\n",
    ["message:a#", "message:\u{FEFF}c#"]),
  SSECase("half a byte order mark is text", [0xEF, 0xBB] + Array("data: a\n\ndata: b\n\n".utf8), ["message:b#"]),
  SSECase("a byte order mark alone", [0xEF, 0xBB, 0xBF], []),
  SSECase("more than one byte a character", "data: žluťoučký 🐎 кінь\n\n", ["message:žluťoučký 🐎 кінь#"]),
  SSECase(
    "U+2028 and U+0085 do not end lines", "data: a\u{2028}b\u{85}c\u{B}d\n\n", ["message:a\u{2028}b\u{85}c\u{B}d#"]),
  SSECase(
    "invalid bytes are U+FFFD", Array("data: a".utf8) + [0xFF, 0xC0, 0x80] + Array("b\n\n".utf8),
    ["message:a\u{FFFD}\u{FFFD}\u{FFFD}b#"]),
  SSECase(
    "a character cut off by a line end is one U+FFFD",
    Array("data: a".utf8) + [0xE2, 0x82] + Array("\ndata: b\n\n".utf8), ["message:a\u{FFFD}\nb#"]),
  SSECase(
    "maximal subparts", Array("data: ".utf8) + [0xF0, 0x9F, 0x90, 0x41, 0xED, 0xA0, 0x80] + Array("\n\n".utf8),
    ["message:\u{FFFD}A\u{FFFD}\u{FFFD}\u{FFFD}#"]),
  SSECase(
    "invalid bytes in type and id",
    Array("event: ".utf8) + [0x80] + Array("\nid: ".utf8) + [0xFE] + Array("\ndata: b\n\n".utf8),
    ["\u{FFFD}:b#\u{FFFD}"], last: "\u{FFFD}"),
  SSECase("NUL in data stays", "data: a\u{0}b\n\n", ["message:a\u{0}b#"]),
  SSECase(
    "a provider's stream",
    "event: content_block_delta\ndata: {\"delta\":{\"text\":\"Hi\"}}\n\n: ping\n\nevent: done\ndata: [DONE]\n\n",
    ["content_block_delta:{\"delta\":{\"text\":\"Hi\"}}#", "done:[DONE]#"]),
]

@Suite struct SSEParserTests {
  @Test(arguments: sseCases) func rule(_ example: SSECase) {
    let result = visitAll([example.input])
    #expect(result.events.map { "\($0.type):\($0.text)#\($0.lastEventID)" } == example.events)
    #expect(result.lastEventID == example.lastEventID)
    #expect(result.retry == example.retry.map { .milliseconds($0) })
    #expect(result.failure == nil)
    #expect(takeAll([example.input]) == result)
  }

  @Test(arguments: sseCases) func anyCutGivesTheSame(_ example: SSECase) throws {
    try everyCut(example.input) { visitAll($0) }
    try everyCut(example.input) { takeAll($0) }
  }

  @Test(arguments: UInt64(1)...60) func randomBytesCutAnywhere(seed: UInt64) throws {
    let random = SeededRandom(seed: seed)
    let words = [
      "data", "event", "id", "retry", ":", ": ", " ", "\n", "\r", "\r\n", "\n\n", "x", "\u{0}", "é", "\u{FEFF}", "12",
    ]
    var bytes: [UInt8] = []
    for _ in 0..<random.int(1...40) {
      if random.chance(0.08) {
        bytes += random.bytes(1)
      } else {
        bytes += Array(random.pick(words).utf8)
      }
    }
    try everyCut(bytes, seed: seed) { visitAll($0) }
    try everyCut(bytes, seed: seed) { visitAll($0, limit: 12) }
    #expect(visitAll([bytes]) == takeAll([bytes]), "seed \(seed)")
    #expect(visitAll([bytes], limit: 12) == takeAll([bytes], limit: 12), "seed \(seed)")
  }

  @Test func eventLimit() throws {
    func outcome(_ text: String, limit: Int) throws -> SSETranscript {
      try everyCut(text) { visitAll($0, limit: limit) }
    }
    let fits = try outcome("data:12345\n\ndata:12345\n\n", limit: 10)
    #expect(fits.events.count == 2 && fits.failure == nil)
    let over = try outcome("data:12345\n\ndata:123456\n\ndata:1\n\n", limit: 10)
    #expect(over.events.count == 1 && over.failure == .eventTooLarge(limit: 10))
    #expect(try outcome("data:1\ndata:1\n\n", limit: 11).failure == .eventTooLarge(limit: 11))
    #expect(try outcome("data:1\ndata:1\n\n", limit: 12).failure == nil)
    #expect(try outcome("data:12345678", limit: 10).failure == .eventTooLarge(limit: 10))
    #expect(try outcome(": a comment longer than the limit\ndata:1\n\n", limit: 10).events.count == 1)
    #expect(try outcome("\u{FEFF}: a comment longer than the limit\ndata:1\n\n", limit: 10).events.count == 1)
  }

  @Test func defaultLimitIs16MiB() {
    let big = [UInt8](repeating: 0x61, count: SSEParser.eventByteLimit - 5)
    let fits = visitAll([Array("data:".utf8), big, Array("\n\n".utf8)])
    #expect(fits.events.first?.data.count == big.count && fits.failure == nil)
    let over = visitAll([Array("data: ".utf8), big, Array("\n\n".utf8)])
    #expect(over.failure == .eventTooLarge(limit: 16 << 20))
    // As it comes from a socket: what was read is not read again for each piece.
    let pieces = stride(from: 0, to: big.count, by: 16_384).map { Array(big[$0..<min($0 + 16_384, big.count)]) }
    #expect(visitAll([Array("data:".utf8)] + pieces + [Array("\n\n".utf8)]) == fits)
    #expect(visitAll([Array("data: ".utf8)] + pieces).failure == .eventTooLarge(limit: 16 << 20))
  }

  @Test func aReconnectionStartsWithTheOldID() throws {
    var parser = SSEParser(lastEventID: "41")
    parser.receive(Array("data: a\n\n".utf8).span)
    let event = try parser.next()
    #expect(event == SSEEvent(data: [0x61], lastEventID: "41"))
    #expect(parser.lastEventID == "41")
  }
}
