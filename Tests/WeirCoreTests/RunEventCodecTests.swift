import Testing
import WeirTesting

@testable import WeirCore

@Suite struct RunEventCodecTests {
  static let written: [(RunEvent, String)] = [
    (.restart, #"{"type":"restart"}"#),
    (.start(model: "gpt-4o"), #"{"type":"start","model":"gpt-4o"}"#),
    (.text("Hé\"\n"), #"{"type":"text","delta":"Hé\"\n"}"#),
    (.reasoning(""), #"{"type":"reasoning","delta":""}"#),
    (
      .toolDelta(id: "c1", name: "add", arguments: "{\"a\":"),
      #"{"type":"tool_delta","id":"c1","name":"add","arguments":"{\"a\":"}"#
    ),
    (
      .toolStart(id: "c1", name: "add", arguments: "{}"),
      #"{"type":"tool_start","id":"c1","name":"add","arguments":"{}"}"#
    ),
    (.toolEnd(id: "c1", name: "add", ok: false), #"{"type":"tool_end","id":"c1","name":"add","ok":false}"#),
    (.value(["a": [1, .null]]), #"{"type":"value","value":{"a":[1,null]}}"#),
    (
      .usage(Usage(inputTokens: 7, outputTokens: 2, cachedInputTokens: 1, estimated: true)),
      #"{"type":"usage","input_tokens":7,"output_tokens":2,"cached_input_tokens":1,"estimated":true}"#
    ),
    (
      .error(RunFailure(code: "X", message: "m")), #"{"type":"error","code":"X","message":"m","retryable":false}"#
    ),
    (
      .error(RunFailure(code: "X", message: "m", hint: "h", retryable: true, status: 429, retryAfterMs: 20)),
      #"{"type":"error","code":"X","message":"m","retryable":true,"hint":"h","status":429,"retry_after_ms":20}"#
    ),
    (.end(.toolCalls), #"{"type":"end","state":"tool_calls"}"#),
  ]

  @Test(arguments: written) func theFormatIsWhatIsDocumented(_ event: RunEvent, _ text: String) throws {
    #expect(String(decoding: RunEventCodec.encode(event), as: UTF8.self) == text)
    #expect(try RunEventCodec.decode(Array(text.utf8)) == event)
  }

  static let tolerated: [(String, RunEvent?)] = [
    (#"{"type":"sparkle","x":1}"#, nil),
    (#" { "delta" : "a" , "type" : "text", "new": [1] } "#, .text("a")),
    (#"{"type":"text","delta":"a","delta":"b"}"#, .text("b")),
    (#"{"type":"text","delta":"a\u0041"}"#, .text("aA")),
    (#"{"type":"usage"}"#, .usage(Usage())),
    (#"{"type":"error","code":"c","message":"m","hint":null}"#, .error(RunFailure(code: "c", message: "m"))),
    (#"{"type":"value","value":null}"#, .value(.null)),
  ]

  @Test(arguments: tolerated) func toleratesWhatItDoesNotKnow(_ text: String, _ event: RunEvent?) throws {
    #expect(try RunEventCodec.decode(Array(text.utf8)) == event)
  }

  static let malformed = [
    "", "{", "null", "[]", "\"text\"", "{}", #"{"type":1}"#, #"{"type":"text"}"#, #"{"type":"text","delta":null}"#,
    #"{"type":"text","delta":"}"#, #"{"type":"text","delta":"a""}"#, #"{"type":"text","delta":"\"}"#,
    "{\"type\":\"text\",\"delta\":\"\u{1}\"}", #"{"type":"text","delta":"a"}}"#, #"{"type":"end"}"#,
    #"{"type":"end","state":"fine"}"#, #"{"type":"value"}"#, #"{"type":"tool_end","id":"a","name":"b"}"#,
    #"{"type":"usage","input_tokens":"7"}"#, #"{"type":"usage","input_tokens":1.5}"#,
    #"{"type":"error","code":"c","message":"m","status":"x"}"#, #"{"type":"error","code":"c"}"#,
  ]

  @Test(arguments: malformed) func refusesWhatIsNotAnEvent(_ text: String) {
    #expect(throws: RunEventFailure.self) { try RunEventCodec.decode(Array(text.utf8)) }
  }

  /// What may be copied as it stands must be the text that decoding gives; what is not sure is decoded.
  @Test(arguments: [
    ("", true), ("Hel", true), (" /{}[]:,'", true), ("\u{7F}", true), ("a\"b", false), ("a\\b", false), ("é", false),
    ("\n", false), ("\u{0}", false),
  ])
  func plainTextIsTheSameInJSONAndOutOfIt(_ text: String, _ isPlain: Bool) throws {
    let item = RunEventCodec.encode(.text(text))
    let range = RunEventCodec.plainTextRange(item.span)
    #expect((range != nil) == isPlain)
    if let range { #expect(Array(item[range]) == Array(text.utf8)) }
    for event in [RunEvent.reasoning(text), .start(model: text), .end(.completed)] {
      #expect(RunEventCodec.plainTextRange(RunEventCodec.encode(event).span) == nil)
    }
  }

  @Test(arguments: malformed) func whatIsNotAnEventIsNoPlainText(_ text: String) {
    #expect(RunEventCodec.plainTextRange(Array(text.utf8).span) == nil)
  }

  @Test func refusesBytesThatAreNotText() {
    let head = Array(#"{"type":"text","delta":""#.utf8)
    #expect(throws: RunEventFailure.self) { try RunEventCodec.decode(head + [0xFF] + Array("\"}".utf8)) }
    #expect(throws: RunEventFailure.self) { try RunEventCodec.decode(head + [0xE2, 0x82] + Array("\"}".utf8)) }
  }

  @Test func everyEventComesBackWhateverTheSeed() throws {
    for seed in 1...4000 as ClosedRange<UInt64> {
      let event = randomEvent(SeededRandom(seed: seed))
      let bytes = RunEventCodec.encode(event)
      #expect(try RunEventCodec.decode(bytes) == event, "seed \(seed)")
      #expect(!bytes.contains(0x0A), "seed \(seed)")
    }
  }

  @Test func everyTruncationIsRefused() throws {
    for (event, _) in Self.written {
      let bytes = RunEventCodec.encode(event)
      for count in 0..<bytes.count {
        #expect(throws: RunEventFailure.self) { try RunEventCodec.decode(Array(bytes[..<count])) }
      }
    }
  }

  private func randomEvent(_ random: SeededRandom) -> RunEvent {
    func text() -> String {
      let scalars: [Unicode.Scalar] = [
        "a", "\"", "\\", "\n", "\u{0}", "\u{1F}", "é", "😀", "\u{2028}", "/", "}", "\u{7F}",
      ]
      var text = ""
      for _ in 0..<random.int(0...12) { text.unicodeScalars.append(random.pick(scalars)) }
      return text
    }
    func value(_ depth: Int) -> JSONValue {
      switch random.int(0...(depth > 0 ? 6 : 4)) {
      case 0: .null
      case 1: .bool(random.chance(0.5))
      case 2: .int(Int(truncatingIfNeeded: random.next()))
      case 3: .double(Double(Int32(truncatingIfNeeded: random.next())) / 1024 + 0.5)
      case 4: .string(text())
      case 5: .array((0..<random.int(0...3)).map { _ in value(depth - 1) })
      default: .object((0..<random.int(0...3)).map { JSONMember("\($0)" + text(), value(depth - 1)) })
      }
    }
    switch random.int(0...9) {
    case 0: return .start(model: text())
    case 1: return .text(text())
    case 2: return .reasoning(text())
    case 3: return .toolDelta(id: text(), name: text(), arguments: text())
    case 4: return .toolStart(id: text(), name: text(), arguments: text())
    case 5: return .toolEnd(id: text(), name: text(), ok: random.chance(0.5))
    case 6: return .value(value(3))
    case 7:
      return .usage(
        Usage(
          inputTokens: random.int(0...1_000_000), outputTokens: random.int(-1...9),
          cachedInputTokens: random.int(0...99), estimated: random.chance(0.5)))
    case 8:
      return .error(
        RunFailure(
          code: text(), message: text(), hint: random.chance(0.5) ? text() : nil, retryable: random.chance(0.5),
          status: random.chance(0.5) ? random.int(100...599) : nil,
          retryAfterMs: random.chance(0.5) ? random.int(0...100_000) : nil))
    default: return .end(random.pick(EndState.allCases))
    }
  }
}
