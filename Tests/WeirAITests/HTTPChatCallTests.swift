import Testing
import WeirCore
import WeirTesting

@testable import WeirAI

/// Calls against simulated providers, in virtual time: what may go wrong on the way, and the one end state of each.
struct HTTPChatCallTests {
  static let canary = "sk-canary-0123456789abcdef"

  func simulation(_ faults: SimulatedFaults = .calm, seed: UInt64 = 1) -> SimulatedWorld {
    SimulatedWorld(seed: seed, faults: faults, environment: ["TEST_KEY": Self.canary])
  }

  func run(
    _ simulation: SimulatedWorld, _ provider: ProviderConfig = openAIProvider(), _ chat: ChatRequest = request(),
    serve: @escaping (SimulatedHTTPExchange) -> Void
  ) -> EventRecorder {
    simulation.http.serve("https://", serve)
    let recorder = EventRecorder()
    recorder.onEvent = { if case .end = $0 { recorder.endedAfter = simulation.loop.elapsed } }
    ChatClient(world: simulation.world).start(chat, provider: provider, sink: recorder)
    #expect(recorder.events.isEmpty)
    simulation.loop.run()
    #expect(recorder.endCount == 1 && recorder.end != nil, "\(simulation)")
    #expect(simulation.http.openExchangeCount == 0 && simulation.loop.pendingTimerCount == 0, "\(simulation)")
    #expect(!"\(recorder.events)".contains(Self.canary))
    return recorder
  }

  @Test func wholeStreamUnderRoughNetwork() {
    var faults = SimulatedFaults.rough
    faults.httpRefused = 0
    faults.httpReset = 0
    for seed in UInt64(1)...20 {
      let simulation = simulation(faults, seed: seed)
      let recorder = run(simulation) { exchange in
        exchange.head(200, [("Content-Type", "text/event-stream")])
        for word in ["Once ", "upon ", "a time"] { exchange.body(delta(word), after: .milliseconds(20)) }
        exchange.body(delta("", finish: "stop") + DeltaDecoderTests.done)
        exchange.finish()
      }
      #expect(recorder.text == "Once upon a time" && recorder.end == .completed, "\(simulation)")
      #expect(recorder.usage?.estimated == true && recorder.usage?.outputTokens == 4)
    }
  }

  /// What a provider counted at the beginning is not what a cut answer cost.
  @Test func aCutAnswerCostsWhatWasDelivered() {
    let simulation = simulation()
    var provider = openAIProvider()
    provider.shape = .anthropicMessages
    provider.retry.max = 0
    let recorder = run(simulation, provider) { exchange in
      exchange.head(200, [("Content-Type", "text/event-stream")])
      exchange.body(DialectDecoderTests.typed(DialectDecoderTests.anthropicStart))
      for _ in 0..<100 {
        exchange.body(
          DialectDecoderTests.typed(DialectDecoderTests.anthropicText("eight by ")), after: .milliseconds(1))
      }
      exchange.finish()
    }
    #expect(recorder.end == .truncated)
    #expect(recorder.usage == Usage(inputTokens: 15, outputTokens: 200, cachedInputTokens: 4, estimated: true))
  }

  @Test func whatIsSent() throws {
    let simulation = simulation()
    var provider = openAIProvider()
    provider.headers = [HeaderTemplate(name: "X-Org", value: "org ${TEST_KEY}")]
    let chat = ChatRequest(
      messages: .json(" [{\"role\":\"user\",\"content\":\"é\\n\"}] "), model: "m\"x", temperature: 0.5, maxTokens: 7)
    _ = run(simulation, provider, chat) {
      $0.head(200)
      $0.finish()
    }
    let sent = try #require(simulation.http.requests.first)
    #expect(sent.method == "POST" && sent.url == "https://api.test/v1/chat/completions")
    #expect(
      String(decoding: sent.body ?? [], as: UTF8.self)
        == "{\"model\":\"m\\\"x\",\"messages\": [{\"role\":\"user\",\"content\":\"é\\n\"}] ,\"stream\":true,\"stream_options\":{\"include_usage\":true},\"temperature\":0.5,\"max_tokens\":7}"
    )
    #expect(try JSONValue.parse(sent.body ?? [])["stream"] == true)
    let headers = Dictionary(sent.headers.map { ($0.name, $0.value) }) { $1 }
    #expect(headers["Authorization"] == "Bearer \(Self.canary)" && headers["X-Org"] == "org \(Self.canary)")
    #expect(headers["Accept"] == "text/event-stream" && headers["Content-Type"] == "application/json")
  }

  struct Refusal: Sendable {
    var status: Int
    var headers: [String: String] = [:]
    var body = "{\"error\":{\"message\":\"because\"}}"
    var code: String
    var retryable: Bool
    var retryAfterMs: Int?
  }

  /// The simulation begins at 2026-01-01T00:00:00Z.
  static let refusals: [Refusal] = [
    Refusal(
      status: 401, body: "{\"error\":{\"message\":\"bad key \(canary), because\"}}", code: "AuthFailed",
      retryable: false),
    Refusal(status: 403, body: "because \(canary)", code: "AuthFailed", retryable: false),
    Refusal(status: 404, code: "ModelNotFound", retryable: false),
    Refusal(
      status: 400, body: "{\"error\":{\"message\":\"because\",\"code\":\"context_length_exceeded\"}}",
      code: "ContextLength", retryable: false),
    Refusal(status: 422, body: "{\"detail\":[{\"msg\":\"because\"}]}", code: "ProtocolError", retryable: false),
    Refusal(status: 402, code: "BudgetExhausted", retryable: false),
    Refusal(status: 408, code: "Timeout", retryable: true),
    Refusal(status: 429, code: "RateLimit", retryable: true),
    Refusal(status: 429, headers: ["Retry-After": "7"], code: "RateLimit", retryable: true, retryAfterMs: 7_000),
    Refusal(
      status: 429, headers: ["retry-after": "Thu, 01 Jan 2026 00:01:00 GMT"], code: "RateLimit", retryable: true,
      retryAfterMs: 60_000),
    Refusal(
      status: 429, headers: ["Retry-After": "9", "retry-after-ms": "250"], code: "RateLimit", retryable: true,
      retryAfterMs: 250),
    Refusal(status: 429, headers: ["Retry-After": "soon"], code: "RateLimit", retryable: true),
    Refusal(
      status: 429, body: "{\"error\":{\"message\":\"because\",\"code\":\"insufficient_quota\"}}", code: "RateLimit",
      retryable: false),
    Refusal(status: 500, body: "<html><body><h1>because</h1></body></html>", code: "ConnectionFailed", retryable: true),
    Refusal(status: 503, code: "ConnectionFailed", retryable: true),
    Refusal(status: 503, headers: ["Retry-After": "1"], code: "RateLimit", retryable: true, retryAfterMs: 1_000),
    Refusal(status: 504, code: "Timeout", retryable: true),
    Refusal(
      status: 529, body: "[{\"error\":{\"message\":\"because\",\"type\":\"overloaded_error\"}}]", code: "RateLimit",
      retryable: true),
  ]

  @Test(arguments: refusals) func statuses(_ row: Refusal) throws {
    let recorder = run(simulation()) { exchange in
      exchange.head(row.status, row.headers.map { ($0.key, $0.value) })
      exchange.body(row.body)
      exchange.finish()
    }
    let failure = try #require(recorder.failure)
    #expect(recorder.events.count == 2 && recorder.end == .error)
    #expect(failure.code == row.code && failure.retryable == row.retryable && failure.status == row.status)
    #expect(failure.message.contains("because") && failure.message.contains("HTTP \(row.status)"))
    if let wait = row.retryAfterMs { #expect(abs((failure.retryAfterMs ?? 0) - wait) <= 1_000) }
    #expect((failure.retryAfterMs == nil) == (row.retryAfterMs == nil))
  }

  @Test func anEndlessErrorBodyIsBounded() throws {
    let simulation = simulation()
    let recorder = run(simulation) { exchange in
      exchange.head(500)
      for _ in 0..<100 { exchange.body(String(repeating: "x", count: 10_000)) }
    }
    #expect(try #require(recorder.failure).message.utf8.count < 1_200)
    #expect(simulation.http.exchanges[0].isCancelled)
  }

  @Test func aRefusalWhoseBodyNeverEndsIsStillARefusal() {
    let recorder = run(simulation()) { exchange in
      exchange.head(401)
      exchange.body("{\"error\":")
    }
    #expect(recorder.failure?.code == "AuthFailed" && recorder.failure?.status == 401)
    #expect(recorder.endedAfter < .milliseconds(5_500))
  }

  @Test func redirectsAndWebPagesAreErrors() throws {
    let redirect = run(simulation()) {
      $0.head(307, [("Location", "https://elsewhere")])
      $0.finish()
    }
    #expect(redirect.failure?.code == "ProtocolError")
    let page = run(simulation()) { exchange in
      exchange.head(200, [("content-type", "text/html; charset=utf-8")])
      exchange.body("<html><title>Log in</title></html>")
      exchange.finish()
    }
    #expect(page.failure?.code == "ProtocolError" && page.failure?.message.contains("Log in") == true)
  }

  @Test func connectionFailures() {
    let cases: [(NetworkFailure, String, Bool)] = [
      (.refused(SocketAddress(host: "h", port: 1)), "ConnectionFailed", true),
      (.nameNotFound(host: "h"), "ConnectionFailed", true), (.timedOut(what: "connect"), "Timeout", true),
      (.reset, "ConnectionFailed", true), (.tls("x"), "ConnectionFailed", true),
      (.badURL("https://x?key=\(Self.canary)"), "ProtocolError", false),
    ]
    for (failure, code, retryable) in cases {
      let recorder = run(simulation()) { $0.fail(failure) }
      #expect(recorder.failure?.code == code && recorder.failure?.retryable == retryable)
      #expect(recorder.events.count == 2 && recorder.end == .error)
    }
  }

  @Test func aResetInTheMiddleIsTruncatedWithUsage() {
    let recorder = run(simulation()) { exchange in
      exchange.head(200)
      exchange.body(delta("half an ans"))
      exchange.fail(.reset, after: .milliseconds(5))
    }
    #expect(recorder.end == .truncated && recorder.failure?.code == "Truncated" && recorder.failure?.retryable == true)
    #expect(recorder.usage == Usage(inputTokens: 8, outputTokens: 3, estimated: true))
  }

  @Test func timeLimits() {
    func elapsed(_ what: String, _ serve: @escaping (SimulatedHTTPExchange) -> Void) -> Duration {
      let simulation = simulation()
      let recorder = run(simulation, serve: serve)
      #expect(recorder.failure?.code == "Timeout" && recorder.end == .error)
      #expect(recorder.failure?.message.contains(what) == true, "\(recorder.events)")
      #expect(simulation.http.exchanges[0].isCancelled)
      // Rounded: the simulated network has latency.
      return .seconds((recorder.endedAfter + .milliseconds(500)).components.seconds)
    }
    #expect(elapsed("first_content, 1m0s") { _ in } == .seconds(60))
    #expect(
      elapsed("first_content") {
        $0.head(200)
        $0.body(": waiting\n\n", after: .seconds(59))
      } == .seconds(60))
    #expect(
      elapsed("between_content, 30s") {
        $0.head(200)
        $0.body(delta("a"), after: .seconds(10))
      } == .seconds(40))
    #expect(
      elapsed("total, 10m0s") { exchange in
        exchange.head(200)
        for _ in 0..<100 { exchange.body(delta("a"), after: .seconds(20)) }
      } == .seconds(600))
  }

  @Test func aConnectionHeldOpenAfterTheFinishMarkerIsNoFailure() {
    let simulation = simulation()
    let recorder = run(simulation) { exchange in
      exchange.head(200)
      exchange.body(delta("all", finish: "stop"))
    }
    #expect(recorder.end == .completed && recorder.text == "all")
    #expect(recorder.endedAfter < .milliseconds(5_500))
  }

  @Test func afterTheSentinelTheEndIsImmediate() {
    let simulation = simulation()
    simulation.http.serve("https://") { exchange in
      exchange.head(200)
      exchange.body(delta("all", finish: "stop") + DeltaDecoderTests.done)
    }
    let recorder = EventRecorder()
    ChatClient(world: simulation.world).start(request(), provider: openAIProvider(), sink: recorder)
    simulation.loop.advance(by: .milliseconds(100))
    #expect(recorder.end == .completed)
    simulation.loop.run()
    #expect(simulation.http.exchanges[0].isCancelled && recorder.endCount == 1)
  }

  @Test(arguments: [0, 1, 2]) func stopping(_ when: Int) {
    let simulation = simulation()
    simulation.http.serve("https://") { exchange in
      exchange.head(200)
      for _ in 0..<50 { exchange.body(delta("word "), after: .milliseconds(10)) }
    }
    let recorder = EventRecorder()
    let call = ChatClient(world: simulation.world).start(request(), provider: openAIProvider(), sink: recorder)
    switch when {
    case 0: call.stop()  // before anything
    case 1:
      simulation.loop.advance(by: .milliseconds(105))
      call.stop()
    default:  // by the sink, in the middle of a batch
      recorder.onEvent = { if case .text = $0 { call.stop() } }
      simulation.loop.advance(by: .milliseconds(500))
    }
    #expect(simulation.http.exchanges[0].isCancelled)
    let before = recorder.events.count
    simulation.loop.settle()
    call.stop()
    simulation.loop.run()
    #expect(recorder.end == .aborted && recorder.endCount == 1 && recorder.failure == nil && call.isEnded)
    #expect(recorder.usage?.estimated == true)
    if when < 2 { #expect(recorder.events.count == before + 2) }
    if when == 2 { #expect(recorder.text == "word ") }
  }

  @Test func backpressurePausesTheSocketAndTheSilenceLimit() {
    let simulation = simulation()
    simulation.http.serve("https://") { exchange in
      exchange.head(200)
      exchange.body(delta("a"))
      exchange.body(delta("b", finish: "stop") + DeltaDecoderTests.done, after: .seconds(1))
      exchange.finish()
    }
    let recorder = EventRecorder()
    let call = ChatClient(world: simulation.world).start(request(), provider: openAIProvider(), sink: recorder)
    simulation.loop.advance(by: .milliseconds(500))
    call.isReading = false
    simulation.loop.advance(by: .seconds(300))
    #expect(recorder.text == "a" && recorder.end == nil)
    call.isReading = true
    simulation.loop.advance(by: .seconds(1))
    #expect(recorder.text == "ab" && recorder.end == .completed)
    simulation.loop.run()
    #expect(recorder.endCount == 1 && simulation.loop.pendingTimerCount == 0)
  }

  @Test func secretsEchoedInTheStreamsErrorAreRemoved() {
    var provider = openAIProvider()
    provider.auth = .query("key", .literal(Secret("a/b+c-canary")))
    let simulation = simulation()
    let recorder = run(simulation, provider) { exchange in
      exchange.head(200)
      exchange.body("data: {\"error\":\"a/b+c-canary and a%2Fb%2Bc-canary are wrong\"}\n\n")
    }
    #expect(simulation.http.requests[0].url.hasSuffix("?key=a%2Fb%2Bc-canary"))
    #expect(recorder.failure?.message.contains("canary") == false)
    #expect(recorder.failure?.message.contains("[redacted] and [redacted] are wrong") == true)
    #expect(!String(reflecting: provider).contains("canary"))
  }

  @Test func theAccumulatorGivesTextOrFailure() throws {
    func result(_ body: String) -> Result<String, RunFailure> {
      let simulation = simulation()
      simulation.http.reply("https://", body: body)
      var ended = 0
      let accumulator = ChatAccumulator { _ in ended += 1 }
      ChatClient(world: simulation.world).start(request(), provider: openAIProvider(), sink: accumulator)
      simulation.loop.run()
      #expect(ended == 1)
      return accumulator.result
    }
    #expect(try result(delta("ab") + delta("c", finish: "stop")).get() == "abc")
    #expect(try result(delta("ab", finish: "length")).get() == "ab")
    guard case .failure(let failure) = result(delta("ab")) else {
      Issue.record("a truncated stream is never a success")
      return
    }
    #expect(failure.code == "Truncated" && failure.retryable && failure.message.hasSuffix("text so far: ab"))
  }
}
