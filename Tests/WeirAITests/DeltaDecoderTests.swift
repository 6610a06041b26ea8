import Testing
import WeirCore
import WeirTesting

@testable import WeirAI

/// What providers send, and what it becomes: each row under every cut of its bytes.
struct DeltaDecoderTests {
  static func decode(
    _ pieces: [[UInt8]], _ config: ProviderConfig = openAIProvider(), cut: String? = nil
  ) -> [RunEvent] {
    let decoder = Dialect.decoder(config, model: "asked")
    var events: [RunEvent] = []
    for piece in pieces { decoder.receive(piece.span, into: &events) }
    decoder.finish(cut: cut, into: &events)
    return events
  }

  /// A row's expectation as short text: `start(m) "text" r"thought" tool(id,name,{}) usage(1,2,0) error(Code) end(x)`.
  static func show(_ events: [RunEvent]) -> String {
    events.map { event in
      switch event {
      case .start(let model): "start(\(model))"
      case .text(let text): "\"\(text)\""
      case .reasoning(let text): "r\"\(text)\""
      case .toolDelta(let id, let name, let arguments): "tool(\(id),\(name),\(arguments))"
      case .usage(let usage): "usage(\(usage.inputTokens),\(usage.outputTokens),\(usage.cachedInputTokens))"
      case .error(let failure): "error(\(failure.code))"
      case .end(let state): "end(\(state.rawValue))"
      default: "?\(event)"
      }
    }.joined(separator: " ")
  }

  struct Row: CustomTestStringConvertible, Sendable {
    var name: String
    var bytes: String
    var expected: String
    var testDescription: String { name }
  }

  static let done = "data: [DONE]\n\n"

  static let rows: [Row] = [
    Row(
      name: "role first, text, finish, usage, sentinel",
      bytes: """
        data: {"model":"gpt","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}],"usage":null}

        data: {"model":"gpt","choices":[{"index":0,"delta":{"content":"Hel"},"finish_reason":null}],"usage":null}

        data: {"model":"gpt","choices":[{"index":0,"delta":{"content":"lo \\u00e9\\ud83d\\ude00"},"finish_reason":null}]}

        data: {"model":"gpt","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}

        data: {"model":"gpt","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":4}}}

        data: [DONE]


        """,
      expected: "start(gpt) \"Hel\" \"lo é😀\" usage(9,2,4) end(completed)"),
    Row(
      name: "CRLF, comments, no space after the colon, empty choices, null deltas",
      bytes:
        ": ping\r\n\r\ndata:{\"choices\":[]}\r\n\r\n: again\r\ndata:{\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\r\n\r\n"
        + "data:{\"choices\":[{\"delta\":null}]}\r\n\r\ndata:{\"choices\":[{\"delta\":{\"content\":null},\"finish_reason\":\"stop\"}]}\r\n\r\ndata:[DONE]\r\n\r\n",
      expected: "start(asked) \"a\" end(completed)"),
    Row(
      name: "text after the sentinel", bytes: delta("a", finish: "stop") + done + delta("b") + "{\"error\":\"late\"}\n",
      expected: "start(m-1) \"a\" end(completed)"),
    Row(
      name: "sentinel without a finish reason", bytes: delta("a") + done, expected: "start(m-1) \"a\" end(completed)"),
    Row(
      name: "finish reason without a sentinel", bytes: delta("a", finish: "stop"),
      expected: "start(m-1) \"a\" end(completed)"),
    Row(
      name: "no blank line after the last event", bytes: delta("a") + "data: [DONE]",
      expected: "start(m-1) \"a\" end(completed)"),
    Row(
      name: "clean end without any marker", bytes: delta("a"),
      expected: "start(m-1) \"a\" error(Truncated) end(truncated)"),
    Row(name: "empty body", bytes: "", expected: "error(Truncated) end(truncated)"),
    Row(
      name: "garbage", bytes: "\u{0}\u{1}garbage\n\ndata: nonsense\n\ndata: {]\n\n{\n",
      expected: "error(Truncated) end(truncated)"),
    Row(
      name: "length", bytes: delta("a", finish: "length") + done, expected: "start(m-1) \"a\" end(length)"),
    Row(
      name: "filtered", bytes: delta("a", finish: "content_filter") + done,
      expected: "start(m-1) \"a\" end(filtered)"),
    Row(
      name: "one malformed event in the middle",
      bytes: delta("a") + "data: {\"choices\":[{\n\n" + delta("b", finish: "stop"),
      expected: "start(m-1) \"a\" \"b\" end(completed)"),
    Row(
      name: "reasoning under its three names",
      bytes:
        "data: {\"choices\":[{\"delta\":{\"reasoning_content\":\"x\",\"reasoning\":\"x\"}}]}\n\ndata: {\"choices\":[{\"delta\":{\"reasoning\":\"y\",\"content\":\"\"}}]}\n\n"
        + "data: {\"choices\":[{\"delta\":{\"thinking\":\"z\",\"content\":null}}]}\n\n" + delta("t", finish: "stop"),
      expected: "start(asked) r\"x\" r\"y\" r\"z\" \"t\" end(completed)"),
    Row(
      name: "content as parts",
      bytes:
        "data: {\"choices\":[{\"delta\":{\"content\":[{\"type\":\"thinking\",\"thinking\":[{\"type\":\"text\",\"text\":\"hm\"}]},{\"type\":\"text\",\"text\":\"ok\"}]},\"finish_reason\":\"stop\"}]}\n\n",
      expected: "start(asked) r\"hm\" \"ok\" end(completed)"),
    Row(
      name: "tools by index, two at once",
      bytes: """
        data: {"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":""}}]}}]}

        data: {"choices":[{"delta":{"tool_calls":[{"index":1,"id":"b","function":{"name":"g","arguments":"{"}}]}}]}

        data: {"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\\"x\\":"}},{"index":1,"function":{"arguments":"}"}}]}}]}

        data: {"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"1}"}}]}}]}

        data: {"choices":[{"delta":{},"finish_reason":"tool_calls"}]}

        data: [DONE]


        """,
      expected:
        "start(asked) tool(a,f,) tool(b,g,{) tool(a,f,{\"x\":) tool(b,g,}) tool(a,f,1}) end(tool_calls)"),
    Row(
      name: "tools without an index: by id, then the current one; arguments as an object; finish says stop",
      bytes: """
        data: {"choices":[{"delta":{"tool_calls":[{"id":"a","function":{"name":"f","arguments":"{"}}]}}]}

        data: {"choices":[{"delta":{"tool_calls":[{"function":{"arguments":"}"}}]}}]}

        data: {"choices":[{"delta":{"tool_calls":[{"id":"b","index":0,"function":{"name":"g","arguments":{"y":2}}}]}}]}

        data: {"choices":[{"delta":{"tool_calls":[{"id":"a","function":{"arguments":" "}}]},"finish_reason":"stop"}]}


        """,
      expected: "start(asked) tool(a,f,{) tool(a,f,}) tool(b,g,{\"y\":2}) tool(a,f, ) end(tool_calls)"),
    Row(
      name: "one index, two ids",
      bytes:
        "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}},{\"index\":0,\"id\":\"b\",\"function\":{\"name\":\"g\",\"arguments\":\"[]\"}}]},\"finish_reason\":\"tool_calls\"}]}\n\n",
      expected: "start(asked) tool(a,f,{}) tool(b,g,[]) end(tool_calls)"),
    Row(
      name: "error in an event",
      bytes: delta("a")
        + "data: {\"error\":{\"message\":\"slow down\",\"type\":\"rate_limit_error\",\"code\":429}}\n\n" + done,
      expected: "start(m-1) \"a\" error(RateLimit) end(error)"),
    Row(
      name: "error as an event type",
      bytes: delta("a") + "event: error\ndata: {\"message\":\"key revoked\",\"code\":\"invalid_api_key\"}\n\n",
      expected: "start(m-1) \"a\" error(AuthFailed) end(error)"),
    Row(
      name: "error event that is not JSON", bytes: "event: error\ndata: it broke\n\n",
      expected: "error(ConnectionFailed) end(error)"),
    Row(
      name: "error as a raw body",
      bytes: "{\n  \"error\": {\n    \"message\": \"no such model\", \"code\": \"model_not_found\"\n  }\n}",
      expected: "error(ModelNotFound) end(error)"),
    Row(
      name: "error as a raw line between events",
      bytes: delta("a") + "{\"error\": {\"message\": \"out of memory\", \"code\": 500}}\n" + delta("b", finish: "stop"),
      expected: "start(m-1) \"a\" error(ConnectionFailed) end(error)"),
    Row(
      name: "error as a field",
      bytes: delta("a") + "error: {\"code\":503,\"message\":\"loading\",\"type\":\"unavailable_error\"}\n\n",
      expected: "start(m-1) \"a\" error(ConnectionFailed) end(error)"),
    Row(
      name: "finish reason error", bytes: delta("a", finish: "error") + done,
      expected: "start(m-1) \"a\" error(ConnectionFailed) end(error)"),
    Row(
      name: "broken off by the server", bytes: delta("a", finish: "abort") + done,
      expected: "start(m-1) \"a\" error(Truncated) end(truncated)"),
    Row(
      name: "no error at all",
      bytes: "data: {\"error\":null,\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}]}\n\n",
      expected: "start(asked) \"a\" end(completed)"),
    Row(
      name: "a whole answer instead of a stream",
      bytes:
        "{\"model\":\"w\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"all at once\",\"reasoning_content\":\"hm\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":3}}",
      expected: "start(w) r\"hm\" \"all at once\" usage(1,3,0) end(completed)"),
    Row(
      name: "cumulative usage is set, not added",
      bytes:
        "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":1}}\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"b\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":2}}\n\n",
      expected: "start(asked) \"a\" \"b\" usage(5,2,0) end(completed)"),
    Row(
      name: "a second alternative",
      bytes: "data: {\"choices\":[{\"index\":1,\"delta\":{\"content\":\"no\"},\"finish_reason\":\"stop\"}]}\n\n"
        + delta("yes", finish: "stop"),
      expected: "start(asked) \"yes\" end(completed)"),
    Row(
      name: "refusal",
      bytes: "data: {\"choices\":[{\"delta\":{\"refusal\":\"I won't\"},\"finish_reason\":\"stop\"}]}\n\n",
      expected: "start(asked) \"I won't\" end(completed)"),
  ]

  @Test(arguments: rows) func everyCutGivesTheSameEvents(_ row: Row) throws {
    let events = try everyCut(row.bytes) { Self.decode($0) }
    #expect(Self.show(events) == row.expected)
  }

  /// Whatever byte the network is cut at: truncated before the finish reason is whole, completed after.
  @Test func cutAtEveryByte() {
    let bytes = Array((delta("Hel") + delta("lo") + delta("", finish: "stop") + Self.done).utf8)
    let marker = Array((delta("Hel") + delta("lo") + delta("", finish: "stop")).utf8).count - 2
    for length in 0..<bytes.count {
      for cut in [nil, "the connection was reset by the other side"] {
        let events = Self.decode([Array(bytes[..<length])], cut: cut)
        let expected: EndState = length < marker ? .truncated : .completed
        #expect(events.last == .end(expected), "cut at \(length)")
        #expect(events.count { if case .end = $0 { true } else { false } } == 1)
        if expected == .truncated, case .error(let failure)? = events.dropLast().last {
          #expect(failure.code == "Truncated" && failure.retryable)
        }
      }
    }
  }

  /// What the shortcut must see through: each event is like the one before it but for something that matters.
  @Test func eventsThatLookLikeTheOneBefore() throws {
    let like = [
      ("b", "\"b\""), ("b\\n", "\"b\n\""), ("b\",\"reasoning\":\"r", "r\"r\" \"b\""), ("", ""), ("b\\", ""),
      ("\u{1}", ""),
      ("b\"},\"finish_reason\":\"length\",\"x\":{\"y\":\"", "\"b\""), ("é", "\"é\""),
      ("b\"}},{\"index\":1,\"delta\":{\"content\":\"c", "\"b\""),
    ]
    func event(_ text: String) -> String { "data: {\"choices\":[{\"delta\":{\"content\":\"\(text)\"}}]}\n\n" }
    for (text, shown) in like {
      let bytes = event("a") + event(text) + event("z")
      let expected = ["start(asked)", "\"a\"", shown, "\"z\""].filter { !$0.isEmpty }.joined(separator: " ")
      let events = try everyCut(bytes, randomCuts: 5) { Self.decode($0) }
      #expect(Self.show(events).hasPrefix(expected), "\(text): \(Self.show(events))")
      // The same events with something changing in each, so that the shortcut never applies.
      let slow = [event("a"), event(text), event("z")].enumerated().map { index, event in
        event.replacing("{\"choices\"", with: "{\"n\":\(index),\"choices\"")
      }
      #expect(Self.show(Self.decode([Array(slow.joined().utf8)])) == Self.show(events))
    }
  }

  @Test func skippedEventsAreCounted() {
    let decoder = Dialect.decoder(openAIProvider(), model: "m")
    var events: [RunEvent] = []
    decoder.receive(Array("data: {\n\ndata: x\n\n".utf8).span, into: &events)
    #expect(decoder.skippedEvents == 2 && events.isEmpty)
  }

  @Test func fourMegabyteEvent() throws {
    let text = String(repeating: "x", count: 4 << 20)
    let bytes = Array((delta(text, finish: "stop") + Self.done).utf8)
    let pieces = stride(from: 0, to: bytes.count, by: 100_000).map { Array(bytes[$0..<min($0 + 100_000, bytes.count)]) }
    let events = Self.decode(pieces)
    #expect(events == [.start(model: "m-1"), .text(text), .end(.completed)])
  }

  @Test func eventOverTheLimitEndsTheStream() {
    let decoder = Dialect.decoder(openAIProvider(), model: "m")
    var events: [RunEvent] = []
    let piece = [UInt8](repeating: UInt8(ascii: "x"), count: 1 << 20)
    decoder.receive(Array("data: ".utf8).span, into: &events)
    for _ in 0..<18 { decoder.receive(piece.span, into: &events) }
    #expect(Self.show(events) == "error(ProtocolError) end(error)")
  }

  @Test func paths() throws {
    var config = ProviderConfig(name: "c", endpoint: "https://api.test/x", shape: .custom)
    config.streaming.deltaPath = try JSONPath("$.output[*].text")
    config.streaming.format = .ndjson
    let lines = "{\"output\":[{\"n\":1},{\"text\":\"a\"}]}\n{\"output\":[{\"text\":\"b\"}]}\n"
    #expect(try Self.show(everyCut(lines) { Self.decode($0, config) }) == "start(asked) \"a\" \"b\" end(completed)")
    #expect(
      Self.show(Self.decode([Array(lines.utf8)], config, cut: "reset")).hasSuffix("error(Truncated) end(truncated)"))

    config.streaming.format = .jsonArray
    config.streaming.finishPath = try JSONPath("$.why")
    let array = "[{\"output\":[{\"text\":\"a\"}]},\n {\"output\":[{\"text\":\"}b{\"}],\"why\":\"MAX_TOKENS\"}\n]"
    #expect(try Self.show(everyCut(array) { Self.decode($0, config) }) == "start(asked) \"a\" \"}b{\" end(length)")

    var completion = ProviderConfig(name: "s", endpoint: "https://api.test/v1/completions", shape: .simpleCompletion)
    completion.streaming.doneEvent = "fin"
    let stream =
      "data: {\"choices\":[{\"text\":\"a\"}]}\n\nevent: fin\ndata: {}\n\ndata: {\"choices\":[{\"text\":\"b\"}]}\n\n"
    #expect(try Self.show(everyCut(stream) { Self.decode($0, completion) }) == "start(asked) \"a\" end(completed)")
  }

  @Test(arguments: [1, 2, 3]) func randomBytesEndInOneState(_ seed: UInt64) throws {
    let random = SeededRandom(seed: seed)
    let alphabet = Array("data: event:error{}[]\"\\\n\r:,.0choices".utf8)
    for _ in 0..<300 {
      let bytes = (0..<random.int(0...200)).map { _ in random.pick(alphabet) }
      let events = try everyCut(bytes, randomCuts: 5, seed: seed, everyPlaceLimit: 20) { Self.decode($0) }
      #expect(events.count { if case .end = $0 { true } else { false } } == 1, "seed \(seed)")
      if case .end = events.last {} else { Issue.record("no end last, seed \(seed)") }
    }
  }
}
