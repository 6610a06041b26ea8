import Testing
import WeirCore
import WeirStore
import WeirTesting

@testable import WeirServe

/// What clients see of a run, byte for byte.
@Suite struct TranscriptTests {
  static let events: [RunEvent] = [
    .start(model: "m"), .reasoning("hm"), .text("Hel"), .text("lo \"you\"\n"),
    .toolStart(id: "c1", name: "add", arguments: #"{"a":1}"#), .toolEnd(id: "c1", name: "add", ok: true),
    .usage(Usage(inputTokens: 7, outputTokens: 2)),
  ]

  @Test func weirFrames() throws {
    let bench = try Bench()
    let client = bench.chat()
    #expect(client.status == 200)
    #expect(client["Content-Type"] == "text/event-stream")
    #expect(client["Stream-Id"] == "runs/run1")
    #expect(client["Location"] == "/streams/runs/run1")
    #expect(client["Cache-Control"] == "no-cache")
    #expect(client["X-Accel-Buffering"] == "no")
    #expect(client["Vary"] == "Accept")
    // Before the first token there is an id, so that a reconnect finds its run.
    #expect(client.text == "id: 0000000000000000@run1\n\n")
    bench.finish("run1", Self.events)
    #expect(
      client.text == """
        id: 0000000000000000@run1

        id: 0000000000000002@run1
        event: reasoning
        data: {"content":"hm"}

        id: 0000000000000003@run1
        data: {"content":"Hel","delta":"Hel"}

        id: 0000000000000004@run1
        data: {"content":"lo \\"you\\"\\n","delta":"lo \\"you\\"\\n"}

        id: 0000000000000005@run1
        event: tool_start
        data: {"id":"c1","tool":"add","args":{"a":1}}

        id: 0000000000000006@run1
        event: tool_end
        data: {"id":"c1","tool":"add","ok":true}

        id: 0000000000000007@run1
        event: usage
        data: {"input_tokens":7,"output_tokens":2,"cached_input_tokens":0,"estimated":false}

        event: end
        data: {"finish":"completed"}

        id: 0000000000000008@run1
        event: done
        data: [DONE]


        """)
    #expect(client.isFinished)
  }

  @Test(arguments: EndState.allCases)
  func everyEndSaysItsState(state: EndState) throws {
    let bench = try Bench()
    let client = bench.chat()
    bench.finish("run1", [.text("a")], state)
    #expect(
      client.text.hasSuffix(
        "event: end\ndata: {\"finish\":\"\(state.rawValue)\"}\n\n"
          + "id: 0000000000000002@run1\nevent: done\ndata: [DONE]\n\n"))
  }

  @Test func aWriterThatDiedIsTruncated() throws {
    let bench = try Bench()
    let client = bench.chat()
    bench.host.write("run1", [.text("a")], ending: .closed)
    bench.loop.settle()
    #expect(client.text.contains("data: {\"finish\":\"truncated\"}"))
    #expect(client.text.hasSuffix("event: done\ndata: [DONE]\n\n"))
    #expect(client.isFinished)
  }

  /// Its writer's reason is how the run ended, or what cut it: the same for readers, in a JSON answer and in the list of runs.
  @Test(
    arguments: [
      ("aborted", EndState.aborted, nil), ("budget", .budget, nil), ("error", .error, nil),
      ("truncated", .truncated, nil), ("StoreFull", .error, "StoreFull"), ("completed", .error, "completed"),
    ] as [(String, EndState, String?)])
  func aStreamWithoutItsLastWordEndsAsItsReasonSays(_ reason: String, _ state: EndState, _ code: String?) throws {
    let bench = try Bench()
    let client = bench.chat()
    let json = bench.chat([("Accept", "application/json")])
    let text = bench.chat([("Accept", "text/plain")])
    for run in ["run1", "run2", "run3"] { bench.host.write(run, [.text("a")], ending: .aborted(reason: reason)) }
    bench.loop.settle()
    #expect(client.text.contains("data: {\"finish\":\"\(state.rawValue)\"}"))
    #expect(client.text.contains("event: error") == (code != nil))
    if let code {
      #expect(
        client.text.contains(#"event: error\#ndata: {"code":"\#(code)","message":"the run's stream was cut: \#(code)""#)
      )
      #expect(json.json?["error"]?["code"]?.string == code)
    }
    #expect(json.json?["finish"]?.string == state.rawValue && text.isAborted)
    bench.app.index.learnEnd(of: "run1")
    bench.loop.settle()
    #expect(bench.app.index["run1"]?.end == state)
  }

  @Test func aFeedThatBeganAtTheTailKnowsWhetherTheEndWasSaid() throws {
    let bench = try Bench()
    bench.chat()
    bench.tell("run1", .text("a"), .end(.completed))
    let late = bench.ask("GET", "/streams/runs/run1?offset=2", Bench.events)
    bench.host.write("run1", [], ending: .closed)
    bench.loop.settle()
    #expect(late.text == "id: 0000000000000002@run1\n\n")
    #expect(late.isFinished)
  }

  @Test func errorsCarryTheirCode() throws {
    let bench = try Bench()
    let client = bench.chat()
    bench.finish("run1", [.error(RunFailure(code: "RateLimit", message: "slow down", retryable: true))], .error)
    #expect(
      client.text.contains(
        "event: error\ndata: {\"code\":\"RateLimit\",\"message\":\"slow down\",\"retryable\":true}\n\n"))
  }

  @Test func textIsOnlyText() throws {
    let bench = try Bench()
    let client = bench.chat([("Accept", "text/plain")])
    bench.finish("run1", Self.events)
    #expect(client["Content-Type"] == "text/plain; charset=utf-8")
    #expect(client.text == "Hello \"you\"\n")
    #expect(client.isFinished)
  }

  @Test(arguments: [EndState.aborted, .truncated, .error, .budget])
  func textCannotSayHowItEndedSoItIsCut(state: EndState) throws {
    let bench = try Bench()
    let client = bench.ask("POST", "/chat?format=text", body: #"{"message":"hi"}"#)
    bench.finish("run1", [.text("half")], state)
    #expect(client.text == "half")
    #expect(client.isAborted)
  }

  @Test func openAIChunks() throws {
    let bench = try Bench()
    let client = bench.ask("POST", "/chat?format=openai", body: #"{"message":"hi"}"#)
    bench.finish("run1", [.start(model: "m"), .text("a")])
    let data = client.text.split(separator: "\n").filter { $0.hasPrefix("data: ") }.map { String($0.dropFirst(6)) }
    #expect(data.last == "[DONE]")
    let chunks = try data.dropLast().map { try JSONValue.parse($0) }
    #expect(chunks.map { $0["choices"]?[0]?["delta"]?["content"]?.string } == ["", "a", nil])
    #expect(chunks.last?["choices"]?[0]?["finish_reason"]?.string == "stop")
    #expect(
      chunks.allSatisfy { $0["object"]?.string == "chat.completion.chunk" && $0["id"]?.string == "chatcmpl-run1" })
  }

  @Test func aiSDKParts() throws {
    let bench = try Bench()
    let client = bench.ask("POST", "/chat?format=ai-sdk", body: #"{"message":"hi"}"#)
    bench.finish("run1", Self.events)
    #expect(client["X-Vercel-AI-UI-Message-Stream"] == "v1")
    let data = client.text.split(separator: "\n").filter { $0.hasPrefix("data: ") }.map { String($0.dropFirst(6)) }
    let types = try data.dropLast().compactMap { try JSONValue.parse($0)["type"]?.string }
    #expect(
      types == [
        "start", "text-start", "reasoning-start", "reasoning-delta", "reasoning-end", "text-delta", "text-delta",
        "tool-input-start", "tool-input-available", "tool-output-available", "text-end", "finish",
      ])
    #expect(data.last == "[DONE]")
  }

  /// What was said is void (`fallback_after_content = "restart"`): told in every format that has a place for it.
  @Test(arguments: [
    ("weir", "event: restart\ndata: {}\n\n"), ("openai", "\"choices\":[],\"weir\":{\"restart\":true}}\n\n"),
    ("ai-sdk", "data: {\"type\":\"data-restart\",\"data\":{},\"transient\":true}\n\n"), ("text", ""),
  ]) func aRestartIsTold(_ format: String, _ said: String) throws {
    let bench = try Bench()
    let client = bench.ask("POST", "/chat?format=\(format)", body: #"{"message":"hi"}"#)
    bench.finish("run1", [.text("void"), .restart, .text("anew")])
    #expect(client.text.contains(text: said) || said.isEmpty, "\(client.text)")
    if format == "text" { #expect(client.text == "voidanew") }
  }

  @Test func chunkedAndPlainCarryTheSameBytes() throws {
    let bench = try Bench()
    let plain = bench.chat()
    let chunked = bench.ask("GET", "/chat", [("Last-Event-ID", "-1@run1")], chunked: true)
    bench.finish("run1", Self.events + [.text(String(repeating: "long ", count: 20_000))])
    #expect(dechunked(chunked.received) == plain.received)
  }

  @Test func itemsOfOtherStreamsCannotForgeFields() throws {
    let bench = try Bench { $0.publicStreams = true }
    let text = [(name: "Content-Type", value: "text/plain")]
    bench.ask("PUT", "/streams/room", text)
    let client = bench.ask("GET", "/streams/room", Bench.events)
    bench.ask("POST", "/streams/room", text, body: "one\ntwo\r\nevent: end\rthree")
    #expect(
      client.text == "id: 0000000000000000\n\n"
        + "id: 0000000000000001\ndata: one\ndata: two\ndata: event: end\ndata: three\n\n")
  }
}
