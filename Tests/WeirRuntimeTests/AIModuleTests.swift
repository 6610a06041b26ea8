import Testing
import WeirAI
import WeirCore
import WeirLang
import WeirTesting

@testable import WeirRuntime

/// std/ai and std/ai/streaming in a simulated world: what a program sends, sees and is told.
@Suite struct AIModuleTests {
  static let head = """
    import std/ai (call, callJson, callJsonSimple, callJsonWith)
    import std/ai/streaming (callStream, callStreamWithReasoning, openaiCompatStream, anthropicStream, aiStream, parseDelta,
      tokens, Message, ToolCall, onEvent, runEventLoop, disconnect)
    import std/stream (StreamConn, SSEData, Closed, StreamError, Opened)
    import std/json (decode)

    """
  static let claude = """
    provider claude {
      endpoint: "https://claude.test/v1/messages"
      shape: "anthropic_messages"
      model: "c"
    }

    """

  func bench(
    _ body: String, _ more: String = "", environment: [String: String] = ["KEY": "key-12345678"],
    serve: @escaping (SimulatedHTTPExchange) -> Void = { $0.answer("Hel", "lo") },
    configure: (inout ProgramInstance.Options) -> Void = { _ in }
  ) throws -> Bench {
    let text =
      Self.head + Programs.provider + Self.claude + more
      + "func main() -> unit ! {AI, Stream, Net, IO} {\n\(body)\n}\n"
    let bench = try Bench(text, environment: environment, configure: configure)
    for host in ["model.test/v1", "claude.test"] { bench.simulation.http.serve("https://\(host)", serve) }
    bench.run()
    bench.simulation.loop.advance(by: .seconds(30))
    #expect(bench.exits.count == 1, "\(bench.output)\(bench.errors)")
    bench.expectQuiet(body)
    return bench
  }

  func sent(_ bench: Bench, _ index: Int = 0) throws -> JSONValue {
    try JSONValue.parse(try #require(bench.simulation.http.requests.dropFirst(index).first?.body))
  }

  static let hello = #"[{role: "user", content: "hi"}]"#

  // MARK: Messages

  @Test func everyWayToWriteMessages() throws {
    let ways: [(written: String, sent: JSONValue)] = [
      (#""[{\"role\":\"user\",\"content\":\"hi\",\"x\":1}]""#, [["role": "user", "content": "hi", "x": 1]]),
      (hello(), [["role": "user", "content": "hi"]]),
      (
        #"[{role: "user", content: "hi", extra: 1}, {role: "assistant", content: "yes", extra: 2}]"#,
        [["role": "user", "content": "hi", "extra": 1], ["role": "assistant", "content": "yes", "extra": 2]]
      ),
      (
        "talk()",
        [
          ["role": "user", "content": "hi"],
          [
            "role": "assistant", "content": "",
            "tool_calls": [["id": "c", "type": "function", "function": ["name": "f", "arguments": "{}"]]],
          ], ["role": "tool", "content": "2", "tool_call_id": "c"],
        ]
      ),
    ]
    for way in ways {
      let bench = try bench(
        "match callStream(\"model\", \"m\", \(way.written)) { Ok(text) => println(text), Err(e) => println(e.message) }",
        """
        func talk() -> [Message] {
          [
            {role: "user", content: "hi"},
            {role: "assistant", content: "", tool_calls: [{id: "c", name: "f", arguments: "{}"}]},
            {role: "tool", content: "2", tool_call_id: "c"}
          ]
        }

        """)
      #expect(bench.output == "Hello\n")
      let messages = try #require(try sent(bench)["messages"]?.array)
      let wanted = try #require(way.sent.array)
      #expect(messages.count == wanted.count)
      for (message, wanted) in zip(messages, wanted) {
        #expect(Set((message.members ?? []).map { "\($0)" }) == Set((wanted.members ?? []).map { "\($0)" }))
      }
    }
  }
  func hello() -> String { Self.hello }

  @Test func whatIsNoListOfMessagesIsRefused() throws {
    for wrong in ["1", #"["hi"]"#, #"[{role: "user"}]"#, "true"] {
      let text = Self.head + "func main() { callStream(\"model\", \"m\", \(wrong)) }\n"
      let checked = Bench.check(text)
      #expect(checked.diagnostics.hasErrors, "\(wrong)")
    }
  }

  // MARK: Whole answers

  @Test func replyWithReasoning() throws {
    let bench = try bench(
      """
      match callStreamWithReasoning("model", "m", \(hello())) {
        Ok(r) => println("${r.text}|${r.reasoning}|${r.finish}|${show(r.usage)}"),
        Err(e) => println(e.code)
      }
      """
    ) { exchange in
      exchange.head(200)
      exchange.body(
        "data: {\"choices\":[{\"delta\":{\"reasoning_content\":\"hm\"}}]}\n\n" + delta("yes", finish: "length")
          + "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}\n\n" + done)
      exchange.finish()
    }
    #expect(bench.output == "yes|hm|length|Some({estimated: false, input_tokens: 3, output_tokens: 4})\n")
  }

  @Test func failuresAreValues() throws {
    let program = """
      match callStream("model", "m", \(hello())) {
        Ok(text) => println(text),
        Err(e) => println("${e.code} ${e.retryable} ${show(e.status)} ${show(e.retryAfterMs)}")
      }
      """
    let cut = try bench(program) { exchange in
      exchange.head(200)
      exchange.body(delta("half"))
      exchange.finish()
    }
    #expect(cut.output == "Truncated true None None\n")
    let limited = try bench(program) { exchange in
      exchange.head(429, [("Retry-After", "7200")])
      exchange.finish()
    }
    #expect(limited.output == "RateLimit true Some(429) Some(7200000)\n")
    let unset = try bench(program, environment: [:])
    #expect(unset.output == "AuthFailed false None None\n" && unset.simulation.http.requests.isEmpty)
  }

  // MARK: Events

  @Test func eventsAsTheyCame() throws {
    let bench = try bench(
      """
      match openaiCompatStream("model", "m", \(hello())) {
        Ok(conn) => {
          onEvent(conn, \\e. match e {
            Opened(url) => { println("opened ${url}"); true },
            SSEData(_, data) => if data == "[DONE]" { println("done"); false } else { println(data); true },
            _ => { println("?"); true }
          })
          runEventLoop(conn)
          disconnect(conn)
        },
        Err(e) => println(e)
      }
      """)
    let lines = bench.output.split(separator: "\n")
    try #require(lines.count == 5)
    #expect(lines.first == "opened https://model.test/v1/chat/completions" && lines.last == "done" && lines.count == 5)
    #expect(lines[1].contains("\"content\":\"Hel\""))
  }

  /// Every event as it is shown, and how the connection ends.
  static let show = """
    func watch(conn: StreamConn) -> unit ! {Stream, IO} {
      onEvent(conn, \\e. { println(e); true })
      runEventLoop(conn)
    }

    """

  @Test func aCutAnswerIsAnErrorBeforeTheEnd() throws {
    let bench = try bench(
      "match openaiCompatStream(\"model\", \"m\", \(hello())) { Ok(conn) => watch(conn), Err(e) => println(e) }",
      Self.show
    ) { exchange in
      exchange.head(200)
      exchange.body(delta("half"))
      exchange.finish()
    }
    #expect(bench.output.contains("StreamError(ProtocolError(\"[Truncated] ") && bench.output.contains("Closed(1006"))
  }

  @Test func aTryThatSaidNothingIsNeverSeen() throws {
    var count = 0
    let bench = try bench(
      "match anthropicStream(\"claude\", \"c\", \(hello())) { Ok(conn) => watch(conn), Err(e) => println(e) }",
      Self.show
    ) { exchange in
      count += 1
      exchange.head(200)
      if count == 1 {
        exchange.body(
          "event: message_start\ndata: {\"type\":\"message_start\",\"n\":1}\n\nevent: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\"}}\n\n"
        )
      } else {
        exchange.body(
          "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"text\":\"hi\"}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"
        )
      }
      exchange.finish()
    }
    #expect(count == 2 && !bench.output.contains("overloaded") && !bench.output.contains("message_start"))
    #expect(bench.output.contains("SSEData(\"message_stop\"") && bench.output.contains("Closed(0, \"completed\")"))
  }

  static let refusals: [(call: String, says: String)] = [
    (#"openaiCompatStream("nobody", "m", [])"#, "ProtocolError(\"[ProviderNotFound] no provider"),
    (#"openaiCompatStream("claude", "m", "[]")"#, "ProtocolError(\"[CapabilityNotSupported] provider \\\"claude\\\""),
    (#"anthropicStream("model", "m", "[]")"#, "use `openaiCompatStream`"),
    (#"openaiCompatStream("model", "m", "[]")"#, "ProtocolError(\"[SchemaValidation] messages are empty"),
    (#"openaiCompatStream("model", "m", "nonsense")"#, "ProtocolError(\"[SchemaValidation]"),
    (
      #"openaiCompatStream("openai", "m", [{role: "user", content: "x"}])"#,
      "[AuthFailed] env var OPENAI_API_KEY is unset (required for provider \\\"openai\\\")"
    ),
  ]

  @Test(arguments: refusals) func refusedBeforeAnythingIsSent(_ row: (call: String, says: String)) throws {
    let bench = try bench("match \(row.call) { Ok(_) => println(\"opened\"), Err(e) => println(show(e)) }")
    #expect(bench.output.contains(row.says), "\(bench.output)")
    #expect(bench.simulation.http.requests.isEmpty)
  }

  @Test func refusedByTheProvider() throws {
    let bench = try bench(
      "match openaiCompatStream(\"model\", \"m\", \(hello())) { Ok(_) => println(\"opened\"), Err(e) => println(e) }"
    ) { exchange in
      exchange.head(401)
      exchange.body("{\"error\":{\"message\":\"bad key key-12345678\"}}")
      exchange.finish()
    }
    #expect(bench.output.hasPrefix("ProtocolError(\"[AuthFailed] ") && !bench.output.contains("key-12345678"))
  }

  // MARK: Deltas

  @Test func tokensOfAnyDialect() throws {
    let program = """
      match aiStream("claude", "c", \(hello()), {system: "Be brief.", max_tokens: 9}) {
        Ok(conn) => {
          for t in tokens(conn) {
            println("${t.text}|${t.reasoning}|${t.done}|${show(t.tool)}|${show(t.finish)}")
          }
        },
        Err(e) => println(e)
      }
      """
    let bench = try bench(program) { exchange in
      exchange.head(200)
      for event in [
        #"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"hm"}}"#,
        #"{"type":"ping"}"#, #"{"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"yes"}}"#,
        #"{"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"t","name":"f","input":{}}}"#,
        #"{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"{}"}}"#,
        #"{"type":"message_delta","delta":{"stop_reason":"tool_use"},"usage":{"output_tokens":1}}"#,
        #"{"type":"message_stop"}"#,
      ] { exchange.body("data: \(event)\n\n", after: .milliseconds(1)) }
      exchange.finish()
    }
    #expect(
      bench.output == """
        |hm|false|None|None
        yes||false|None|None
        ||false|Some({arguments: "", id: "t", index: 2, name: "f"})|None
        ||false|Some({arguments: "{}", id: "t", index: 2, name: "f"})|None
        ||false|None|Some("tool_calls")
        ||true|None|None

        """)
    #expect(try sent(bench)["system"] == "Be brief." && sent(bench)["max_tokens"] == 9)
    let cut = try self.bench(program) { exchange in
      exchange.head(200)
      exchange.body("data: {\"type\":\"content_block_delta\",\"delta\":{\"text\":\"half\"}}\n\n")
      exchange.finish()
    }
    #expect(cut.output == "half||false|None|None\n" && cut.errors.contains("Truncated") && cut.exits == [1])
  }

  @Test func parseDeltaOfOneEvent() throws {
    let rows: [(event: String, shown: String)] = [
      (
        #"SSEData("message", "{\"choices\":[{\"delta\":{\"content\":\"a\",\"reasoning\":\"b\"}}]}")"#, "Some(a|b|false)"
      ),
      (#"SSEData("message", "[DONE]")"#, "Some(||true)"), (#"SSEData("message", "{oops")"#, "None"),
      (#"SSEData("message", "{}")"#, "Some(||false)"), (#"Closed(0, "")"#, "None"),
    ]
    for row in rows {
      let bench = try bench(
        """
        match parseDelta("model", \(row.event)) {
          Some(d) => println("Some(${d.text}|${d.reasoning}|${d.done})"),
          None => println("None")
        }
        """)
      #expect(bench.output == row.shown + "\n", "\(row.event)")
    }
    let anthropic = try bench(
      #"println(parseDelta("claude", SSEData("message_stop", "{\"type\":\"message_stop\"}")) != None)"#)
    #expect(anthropic.output == "true\n")
  }

  @Test func tokensNeedAModelsAnswer() throws {
    let bench = try Bench(
      """
      import std/stream (sseConnect, defaultConfig)
      import std/ai/streaming (tokens)
      func main() {
        match sseConnect("https://other.test/", defaultConfig()) {
          Ok(conn) => { for t in tokens(conn) { println(t.text) } },
          Err(e) => println(e)
        }
      }
      """)
    bench.simulation.http.serve("https://") { exchange in
      exchange.head(200, [("content-type", "text/event-stream")])
      exchange.finish()
    }
    bench.run()
    #expect(bench.errors.contains("`tokens` reads a model's answer"))
  }

  // MARK: JSON

  static let schema =
    #""{\"type\":\"object\",\"properties\":{\"n\":{\"type\":\"integer\"}},\"required\":[\"n\"],\"additionalProperties\":false}""#

  @Test func jsonIsChecked() throws {
    let rows: [(answer: String, shown: String)] = [
      (#"{"n": 1}"#, "{\"n\":1}"), ("```json\n{\"n\":2}\n```", "{\"n\":2}"), (#"{"n":"x"}"#, "SchemaValidation"),
      (#"{"n":1,"m":2}"#, "SchemaValidation"), ("nonsense", "SchemaValidation"),
    ]
    for row in rows {
      let bench = try bench(
        "match callJson(\"count\", \(Self.schema)) { Ok(json) => println(json), Err(e) => println(e.code) }",
        serve: { exchange in
          exchange.head(200, [("content-type", "application/json")])
          exchange.body(
            JSONValue.object(of: row.answer).text)
          exchange.finish()
        }, configure: { $0.provider = "model" })
      #expect(bench.output == row.shown + "\n", "\(row.answer)")
      let body = try sent(bench)
      #expect(body["stream"] == nil && body["response_format"]?["type"] == "json_schema")
    }
  }

  @Test func anthropicIsToldInWords() throws {
    let bench = try bench(
      #"match callJsonWith("claude", "c", [{role: "user", content: "x"}], "") { Ok(json) => println(json), Err(e) => println(e.message) }"#
    ) { exchange in
      exchange.head(200)
      exchange.body(
        #"{"type":"message","model":"c","content":[{"type":"text","text":"```json\n[1, 2]\n```"}],"stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":2}}"#
      )
      exchange.finish()
    }
    #expect(bench.output == "[1,2]\n")
    #expect(try sent(bench)["system"]?.string?.contains("JSON alone") == true)
  }

  @Test func aSchemaThatCannotBeCheckedIsRefused() throws {
    let bench = try bench(
      #"match callJson("x", "{\"pattern\":\"a+\"}") { Ok(json) => println(json), Err(e) => println(e.message) }"#,
      configure: { $0.provider = "model" })
    #expect(bench.output.contains("the keyword \"pattern\" is not supported") && bench.simulation.http.requests.isEmpty)
    let nobody = try self.bench(#"match call("x") { Ok(text) => println(text), Err(e) => println(e.code) }"#)
    #expect(nobody.output == "ProviderNotFound\n")
  }
}

extension JSONValue {
  /// A whole answer of `openai_chat`.
  fileprivate static func object(of content: String) -> JSONValue {
    [
      "model": "m",
      "choices": [
        ["index": 0, "message": ["role": "assistant", "content": .string(content)], "finish_reason": "stop"]
      ],
    ]
  }
}
