import Testing
import WeirCore
import WeirTesting

@testable import WeirAI

/// The dialects whose events have types and places of their own: what their services send, each row under every cut.
struct DialectDecoderTests {
  struct Row: CustomTestStringConvertible, Sendable {
    var name: String
    var shape: RequestShape
    var format: ProviderStreaming.Format?
    var bytes: String
    var expected: String
    var testDescription: String { "\(shape.rawValue): \(name)" }
  }

  /// `event: type` and its data, as services with typed events send them.
  static func typed(_ events: String...) -> String {
    events.map { data in
      let type = (try? JSONValue.parse(Array(data.utf8)))?["type"]?.string ?? "message"
      return "event: \(type)\ndata: \(data)\n\n"
    }.joined()
  }

  static let anthropicStart =
    #"{"type":"message_start","message":{"id":"m1","type":"message","role":"assistant","model":"claude-x","content":[],"stop_reason":null,"usage":{"input_tokens":10,"cache_read_input_tokens":4,"cache_creation_input_tokens":1,"output_tokens":1}}}"#
  static let anthropicStop = #"{"type":"message_stop"}"#
  static func anthropicText(_ text: String, index: Int = 0) -> String {
    #"{"type":"content_block_delta","index":\#(index),"delta":{"type":"text_delta","text":\#(JSONValue.string(text).text)}}"#
  }
  static func anthropicEnd(_ reason: String, output: Int) -> String {
    #"{"type":"message_delta","delta":{"stop_reason":"\#(reason)","stop_sequence":null},"usage":{"output_tokens":\#(output)}}"#
  }

  static let anthropic: [Row] = [
    Row(
      name: "text, pings, cumulative usage", shape: .anthropicMessages,
      bytes: typed(
        anthropicStart, #"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
        #"{"type":"ping"}"#, anthropicText("Hel"), anthropicText("lo"), anthropicText(" \"é😀\""), anthropicText("."),
        #"{"type":"content_block_stop","index":0}"#, anthropicEnd("end_turn", output: 12), anthropicStop),
      expected: "start(claude-x) \"Hel\" \"lo\" \" \"é😀\"\" \".\" usage(15,12,4) end(completed)"),
    Row(
      name: "thinking, then a tool in pieces, another with its input at once", shape: .anthropicMessages,
      bytes: typed(
        anthropicStart, #"{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":""}}"#,
        #"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"hm"}}"#,
        #"{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"Ab=="}}"#,
        #"{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"t1","name":"f","input":{}}}"#,
        #"{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":""}}"#,
        #"{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"x\":"}}"#,
        #"{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"1}"}}"#,
        #"{"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"t2","name":"g","input":{"y":2}}}"#,
        anthropicEnd("tool_use", output: 30), anthropicStop),
      expected:
        "start(claude-x) r\"hm\" tool(t1,f,) tool(t1,f,{\"x\":) tool(t1,f,1}) tool(t2,g,{\"y\":2}) usage(15,30,4) end(tool_calls)"
    ),
    Row(
      name: "absurd counts do not overflow", shape: .anthropicMessages,
      bytes: typed(
        #"{"type":"message_start","message":{"model":"m","usage":{"input_tokens":9223372036854775807,"cache_read_input_tokens":9223372036854775807,"output_tokens":-3}}}"#,
        anthropicText("a"), anthropicEnd("end_turn", output: 2), anthropicStop),
      expected: "start(m) \"a\" usage(1099511627776,2,1099511627776) end(completed)"),
    Row(
      name: "usage at the end replaces that of the beginning", shape: .anthropicMessages,
      bytes: typed(
        anthropicStart, anthropicText("a"),
        #"{"type":"message_delta","delta":{"stop_reason":"max_tokens"},"usage":{"input_tokens":20,"cache_read_input_tokens":0,"output_tokens":3}}"#,
        anthropicStop),
      expected: "start(claude-x) \"a\" usage(21,3,0) end(length)"),
    Row(
      name: "refused", shape: .anthropicMessages,
      bytes: typed(anthropicStart, anthropicEnd("refusal", output: 1), anthropicStop),
      expected: "start(claude-x) usage(15,1,4) end(filtered)"),
    Row(
      name: "overloaded in the middle", shape: .anthropicMessages,
      bytes: typed(
        anthropicStart, anthropicText("a"),
        #"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#, anthropicStop),
      expected: "start(claude-x) \"a\" usage(15,1,4) error(RateLimit) end(error)"),
    Row(
      name: "an error without an event type", shape: .anthropicMessages,
      bytes: typed(anthropicStart) + #"{"type":"error","error":{"type":"invalid_request_error","message":"no"}}"#
        + "\n",
      expected: "start(claude-x) usage(15,1,4) error(ProtocolError) end(error)"),
    Row(
      name: "no message_stop after the stop reason", shape: .anthropicMessages,
      bytes: typed(anthropicStart, anthropicText("a"), anthropicEnd("end_turn", output: 2)),
      expected: "start(claude-x) \"a\" usage(15,2,4) end(completed)"),
    Row(
      name: "message_stop without a stop reason", shape: .anthropicMessages,
      bytes: typed(anthropicStart, anthropicText("a"), anthropicStop, anthropicText("late")),
      expected: "start(claude-x) \"a\" usage(15,1,4) end(completed)"),
    Row(
      name: "no end", shape: .anthropicMessages, bytes: typed(anthropicStart, anthropicText("a")),
      expected: "start(claude-x) \"a\" usage(15,1,4) error(Truncated) end(truncated)"),
    Row(
      name: "malformed event in the middle, unknown types", shape: .anthropicMessages,
      bytes: typed(anthropicStart, anthropicText("a")) + "event: content_block_delta\ndata: {\"type\":\n\n"
        + typed(#"{"type":"news","x":1}"#, anthropicText("b"), anthropicEnd("stop_sequence", output: 2), anthropicStop),
      expected: "start(claude-x) \"a\" \"b\" usage(15,2,4) end(completed)"),
    Row(
      name: "without `event:` lines", shape: .anthropicMessages,
      bytes: "data: \(anthropicText("a"))\r\n\r\ndata: \(anthropicText("b"))\r\n\r\ndata: \(anthropicStop)\r\n\r\n",
      expected: "start(asked) \"a\" \"b\" end(completed)"),
    Row(
      name: "whole", shape: .anthropicMessages,
      bytes:
        #"{"type":"message","model":"c","content":[{"type":"thinking","thinking":"hm"},{"type":"text","text":"all"},{"type":"tool_use","id":"t","name":"f","input":{"a":1}}],"stop_reason":"tool_use","usage":{"input_tokens":1,"output_tokens":2}}"#,
      expected: "start(c) r\"hm\" \"all\" tool(t,f,{\"a\":1}) usage(1,2,0) end(tool_calls)"),
  ]

  static func responsesText(_ text: String) -> String {
    #"{"type":"response.output_text.delta","item_id":"i","output_index":0,"content_index":0,"delta":\#(JSONValue.string(text).text)}"#
  }
  static let responsesStart =
    #"{"type":"response.created","response":{"id":"r","model":"gpt-r","status":"in_progress"}}"#
  static let responsesEnd =
    #"{"type":"response.completed","response":{"model":"gpt-r","status":"completed","usage":{"input_tokens":9,"input_tokens_details":{"cached_tokens":4},"output_tokens":2}}}"#

  static let responses: [Row] = [
    Row(
      name: "text with its frame", shape: .openaiResponses,
      bytes: typed(
        responsesStart, #"{"type":"response.in_progress","response":{}}"#,
        #"{"type":"response.output_item.added","output_index":0,"item":{"type":"message"}}"#, responsesText("Hel"),
        responsesText("lo"), #"{"type":"response.output_text.done","text":"Hello"}"#, responsesEnd,
        responsesText("late")),
      expected: "start(gpt-r) \"Hel\" \"lo\" usage(9,2,4) end(completed)"),
    Row(
      name: "reasoning, two tools at once", shape: .openaiResponses,
      bytes: typed(
        responsesStart, #"{"type":"response.reasoning_summary_text.delta","delta":"hm"}"#,
        #"{"type":"response.output_item.added","output_index":1,"item":{"type":"function_call","id":"fc1","call_id":"c1","name":"f","arguments":""}}"#,
        #"{"type":"response.output_item.added","output_index":2,"item":{"type":"function_call","id":"fc2","call_id":"c2","name":"g","arguments":""}}"#,
        #"{"type":"response.function_call_arguments.delta","item_id":"fc1","output_index":1,"delta":"{\"x\":"}"#,
        #"{"type":"response.function_call_arguments.delta","item_id":"fc2","output_index":2,"delta":"{}"}"#,
        #"{"type":"response.function_call_arguments.delta","item_id":"fc1","output_index":1,"delta":"1}"}"#,
        #"{"type":"response.function_call_arguments.done","output_index":1,"arguments":"{\"x\":1}"}"#, responsesEnd),
      expected:
        "start(gpt-r) r\"hm\" tool(c1,f,) tool(c2,g,) tool(c1,f,{\"x\":) tool(c2,g,{}) tool(c1,f,1}) usage(9,2,4) end(tool_calls)"
    ),
    Row(
      name: "incomplete", shape: .openaiResponses,
      bytes: typed(
        responsesStart, responsesText("a"),
        #"{"type":"response.incomplete","response":{"status":"incomplete","incomplete_details":{"reason":"max_output_tokens"}}}"#
      ),
      expected: "start(gpt-r) \"a\" end(length)"),
    Row(
      name: "failed", shape: .openaiResponses,
      bytes: typed(
        responsesStart, responsesText("a"),
        #"{"type":"response.failed","response":{"status":"failed","error":{"code":"rate_limit_exceeded","message":"slow down"}}}"#
      ),
      expected: "start(gpt-r) \"a\" error(RateLimit) end(error)"),
    Row(
      name: "error event", shape: .openaiResponses,
      bytes: typed(responsesStart, #"{"type":"error","code":"server_error","message":"it broke","param":null}"#),
      expected: "start(gpt-r) error(ConnectionFailed) end(error)"),
    Row(
      name: "refused by a filter", shape: .openaiResponses,
      bytes: typed(
        responsesStart, #"{"type":"response.refusal.delta","delta":"I can't"}"#,
        #"{"type":"response.incomplete","response":{"incomplete_details":{"reason":"content_filter"}}}"#),
      expected: "start(gpt-r) \"I can't\" end(filtered)"),
    Row(
      name: "no end", shape: .openaiResponses,
      bytes: typed(responsesStart, responsesText("a"), #"{"type":"response.output_text.done","text":"a"}"#),
      expected: "start(gpt-r) \"a\" error(Truncated) end(truncated)"),
    Row(
      name: "whole", shape: .openaiResponses,
      bytes:
        #"{"model":"w","status":"completed","error":null,"output":[{"type":"reasoning","summary":[{"type":"summary_text","text":"hm"}]},{"type":"message","content":[{"type":"output_text","text":"all"}]},{"type":"function_call","call_id":"c","name":"f","arguments":"{}"}],"usage":{"input_tokens":1,"output_tokens":3}}"#,
      expected: "start(w) r\"hm\" \"all\" tool(c,f,{}) usage(1,3,0) end(tool_calls)"),
  ]

  static func gemini(_ parts: String, finish: String? = nil, more: String = "") -> String {
    let reason = finish.map { #","finishReason":"\#($0)""# } ?? ""
    return
      #"{"candidates":[{"content":{"parts":[\#(parts)],"role":"model"}\#(reason),"index":0}],"modelVersion":"gemini-x"\#(more)}"#
  }
  static let geminiUsage =
    #","usageMetadata":{"promptTokenCount":7,"candidatesTokenCount":2,"thoughtsTokenCount":3,"cachedContentTokenCount":1}"#

  static let geminis: [Row] = [
    Row(
      name: "events", shape: .gemini,
      bytes:
        "data: \(gemini(#"{"text":"hm","thought":true}"#))\r\n\r\ndata: \(gemini(#"{"text":"Hel"},{"text":"lo"}"#))\r\n\r\n"
        + "data: \(gemini(#"{"text":""}"#, finish: "STOP", more: geminiUsage))\r\n\r\n",
      expected: "start(gemini-x) r\"hm\" \"Hel\" \"lo\" usage(7,5,1) end(completed)"),
    Row(
      name: "one array", shape: .gemini, format: .jsonArray,
      bytes:
        "[\(gemini(#"{"text":"a}]"}"#))\n,\r\n\(gemini(#"{"text":"b"}"#, finish: "MAX_TOKENS", more: geminiUsage))\n]",
      expected: "start(gemini-x) \"a}]\" \"b\" usage(7,5,1) end(length)"),
    Row(
      name: "two calls of one function, without IDs", shape: .gemini,
      bytes:
        "data: \(gemini(#"{"functionCall":{"name":"f","args":{"x":1}}},{"functionCall":{"name":"f","args":{"x":2}}}"#, finish: "STOP"))\n\n",
      expected: "start(gemini-x) tool(call_0,f,{\"x\":1}) tool(call_1,f,{\"x\":2}) end(tool_calls)"),
    Row(
      name: "a call that is none", shape: .gemini,
      bytes: "data: \(gemini(#"{"text":"a"}"#, finish: "MALFORMED_FUNCTION_CALL"))\n\n",
      expected: "start(gemini-x) \"a\" error(ProtocolError) end(error)"),
    Row(
      name: "filtered", shape: .gemini, bytes: "data: \(gemini(#"{"text":"a"}"#, finish: "RECITATION"))\n\n",
      expected: "start(gemini-x) \"a\" end(filtered)"),
    Row(
      name: "the question was refused", shape: .gemini,
      bytes: "data: {\"promptFeedback\":{\"blockReason\":\"SAFETY\"},\"modelVersion\":\"g\"}\n\n",
      expected: "start(g) end(filtered)"),
    Row(
      name: "error in the stream", shape: .gemini,
      bytes: "data: \(gemini(#"{"text":"a"}"#))\n\n"
        + #"data: {"error":{"code":429,"message":"quota","status":"RESOURCE_EXHAUSTED"}}"# + "\n\n",
      expected: "start(gemini-x) \"a\" error(RateLimit) end(error)"),
    Row(
      name: "error as a list", shape: .gemini,
      bytes:
        "[{\n  \"error\": {\n    \"code\": 503,\n    \"message\": \"busy\",\n    \"status\": \"UNAVAILABLE\"\n  }\n}\n]\n",
      expected: "error(ConnectionFailed) end(error)"),
    Row(
      name: "error as a list, as an array was asked for", shape: .gemini, format: .jsonArray,
      bytes: #"[{"error":{"code":401,"message":"key","status":"UNAUTHENTICATED"}}]"#,
      expected: "error(AuthFailed) end(error)"),
    Row(
      name: "no end", shape: .gemini, bytes: "data: \(gemini(#"{"text":"a"}"#))\n\n",
      expected: "start(gemini-x) \"a\" error(Truncated) end(truncated)"),
    Row(
      name: "array that is cut", shape: .gemini, format: .jsonArray,
      bytes: "[\(gemini(#"{"text":"a"}"#)),{\"candidates\"",
      expected: "start(gemini-x) \"a\" error(Truncated) end(truncated)"),
  ]

  static func ollama(_ text: String, more: String = "") -> String {
    #"{"model":"llama","created_at":"2026-01-01T00:00:00Z","message":{"role":"assistant","content":\#(JSONValue.string(text).text)\#(more)},"done":false}"#
      + "\n"
  }
  static let ollamaEnd =
    #"{"model":"llama","message":{"role":"assistant","content":""},"done_reason":"stop","done":true,"total_duration":5,"prompt_eval_count":11,"eval_count":3}"#
    + "\n"

  static let ollamas: [Row] = [
    Row(
      name: "lines", shape: .ollamaChat,
      bytes: ollama("Hel") + "\n" + ollama("lo {\"x\"}") + ollamaEnd + ollama("late"),
      expected: "start(llama) \"Hel\" \"lo {\"x\"}\" usage(11,3,0) end(completed)"),
    Row(
      name: "thinking and tools", shape: .ollamaChat,
      bytes: ollama("", more: #","thinking":"hm""#)
        + ollama(
          "",
          more:
            #","tool_calls":[{"function":{"name":"f","arguments":{"x":1}}},{"function":{"index":1,"name":"f","arguments":{}}}]"#
        ) + ollamaEnd,
      expected: "start(llama) r\"hm\" tool(call_0,f,{\"x\":1}) tool(call_1,f,{}) usage(11,3,0) end(tool_calls)"),
    Row(
      name: "length", shape: .ollamaChat,
      bytes: ollama("a") + ollamaEnd.replacing("\"stop\"", with: "\"length\""),
      expected: "start(llama) \"a\" usage(11,3,0) end(length)"),
    Row(
      name: "done without a reason", shape: .ollamaChat,
      bytes: ollama("a").replacing("false", with: "true"), expected: "start(llama) \"a\" end(completed)"),
    Row(
      name: "error line", shape: .ollamaChat, bytes: ollama("a") + "{\"error\":\"model runner has stopped\"}\n",
      expected: "start(llama) \"a\" error(ConnectionFailed) end(error)"),
    Row(
      name: "no end", shape: .ollamaChat, bytes: ollama("a") + "{\"model\":\"llama\",\"mess",
      expected: "start(llama) \"a\" error(Truncated) end(truncated)"),
    Row(
      name: "whole", shape: .ollamaChat,
      bytes: ollama("all").replacing("\"done\":false", with: "\"done\":true,\"done_reason\":\"stop\",\"eval_count\":1"),
      expected: "start(llama) \"all\" usage(0,1,0) end(completed)"),
  ]

  @Test(arguments: anthropic + responses + geminis + ollamas) func everyCutGivesTheSameEvents(_ row: Row) throws {
    var config = ProviderConfig(name: "p", endpoint: "https://api.test/x", shape: row.shape)
    if let format = row.format { config.streaming.format = format }
    let events = try everyCut(row.bytes) { DeltaDecoderTests.decode($0, config) }
    #expect(DeltaDecoderTests.show(events) == row.expected)
  }

  static let shapes: [RequestShape] = [.anthropicMessages, .openaiResponses, .gemini, .ollamaChat]

  @Test(arguments: shapes) func randomBytesEndInOneState(_ shape: RequestShape) throws {
    let seed: UInt64 = 7
    let random = SeededRandom(seed: seed)
    let words = [
      "data: ", "event: ", "error", "{", "}", "[", "]", "\"", "\\", "\n", "\n\n", ":", ",", "0", "null", "\"type\"",
      "\"delta\"", "\"done\":true", "\"candidates\":[{", "\"message_stop\"", "\"usage\"", "\"response.completed\"",
    ]
    let config = ProviderConfig(name: "p", endpoint: "https://api.test/x", shape: shape)
    for _ in 0..<200 {
      let bytes = (0..<random.int(0...40)).flatMap { _ in Array(random.pick(words).utf8) }
      let events = try everyCut(bytes, randomCuts: 5, seed: seed, everyPlaceLimit: 20) {
        DeltaDecoderTests.decode($0, config)
      }
      #expect(events.count { if case .end = $0 { true } else { false } } == 1, "seed \(seed)")
    }
  }

  /// The shortcut sees through what is like the event before but for something that matters.
  @Test func eventsThatLookLikeTheOneBefore() throws {
    let config = ProviderConfig(name: "p", endpoint: "https://api.test/x", shape: .anthropicMessages)
    let bytes = Self.typed(
      Self.anthropicText("a"), Self.anthropicText("b"), Self.anthropicText("b\n"),
      #"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"c","thinking":"t"}}"#,
      #"{"type":"message_delta","index":0,"delta":{"type":"text_delta","text":"not text"}}"#, Self.anthropicText("d"),
      Self.anthropicStop)
    let events = try everyCut(bytes) { DeltaDecoderTests.decode($0, config) }
    #expect(
      DeltaDecoderTests.show(events) == "start(asked) \"a\" \"b\" \"b\n\" \"c\" r\"t\" \"d\" end(completed)")
  }

  @Test func pathsOfAConfiguration() throws {
    var anthropic = ProviderConfig(name: "p", endpoint: "https://api.test/x", shape: .anthropicMessages)
    anthropic.streaming.deltaPath = try JSONPath("$.delta.text")
    let bytes = Self.typed(Self.anthropicText("a"), Self.anthropicText("b"), Self.anthropicStop)
    #expect(
      DeltaDecoderTests.show(DeltaDecoderTests.decode([Array(bytes.utf8)], anthropic))
        == "start(asked) \"a\" \"b\" end(completed)")
    var gemini = ProviderConfig(name: "p", endpoint: "https://api.test/x", shape: .gemini)
    gemini.streaming.deltaPath = try JSONPath("$.candidates[0].content.parts[-1].text")
    let parts = "data: \(Self.gemini(#"{"text":"a"},{"text":"b"}"#, finish: "STOP"))\n\n"
    #expect(
      DeltaDecoderTests.show(DeltaDecoderTests.decode([Array(parts.utf8)], gemini))
        == "start(gemini-x) \"b\" end(completed)")
    var responses = ProviderConfig(name: "p", endpoint: "https://api.test/x", shape: .openaiResponses)
    responses.streaming.reasoningPath = try JSONPath("$.thought")
    let thought = Self.typed(
      #"{"type":"response.reasoning_text.delta","thought":"t"}"#, Self.responsesText("a"), Self.responsesEnd)
    #expect(
      DeltaDecoderTests.show(DeltaDecoderTests.decode([Array(thought.utf8)], responses))
        == "start(asked) r\"t\" \"a\" usage(9,2,4) end(completed)")
  }
}
