import Testing
import WeirCore
import WeirTesting

@testable import WeirAI

/// Retries and fallbacks, in virtual time: invisible before the first content, and honest after it.
struct RoutedCallTests {
  func provider(_ name: String, _ change: (inout ProviderConfig) -> Void = { _ in }) -> ProviderConfig {
    var config = openAIProvider(name, endpoint: "https://\(name).test/v1/chat/completions")
    config.auth = .none
    change(&config)
    return config
  }

  func run(
    _ simulation: SimulatedWorld, _ providers: [ProviderConfig], stopAfter: Duration? = nil,
    tap: (any ProviderTap)? = nil, _ servers: () -> [String: (SimulatedHTTPExchange, Int) -> Void]
  ) -> EventRecorder {
    var counts: [String: Int] = [:]
    for (name, serve) in servers() {
      simulation.http.serve("https://\(name).test/") { exchange in
        counts[name, default: 0] += 1
        serve(exchange, counts[name, default: 0])
      }
    }
    let recorder = EventRecorder()
    recorder.onEvent = { if case .end = $0 { recorder.endedAfter = simulation.loop.elapsed } }
    let registry = ProviderRegistry(configured: providers, environment: simulation.environment)
    let call = ChatClient(world: simulation.world, registry: registry)
      .start(request(), provider: providers[0], sink: recorder, tap: tap)
    if let stopAfter { _ = simulation.loop.after(stopAfter) { call.stop() } }
    simulation.loop.run()
    #expect(recorder.endCount == 1 && recorder.end != nil && call.isEnded, "\(simulation)")
    #expect(simulation.http.openExchangeCount == 0 && simulation.loop.pendingTimerCount == 0, "\(simulation)")
    return recorder
  }

  static func answer(_ words: String..., to exchange: SimulatedHTTPExchange) {
    exchange.head(200, [("Content-Type", "text/event-stream")])
    for word in words { exchange.body(delta(word), after: .milliseconds(10)) }
    exchange.body(
      "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2}}\n\n"
        + DeltaDecoderTests.done)
    exchange.finish()
  }

  static func refuse(_ status: Int, _ exchange: SimulatedHTTPExchange, headers: [(String, String)] = []) {
    exchange.head(status, headers)
    exchange.body("{\"error\":{\"message\":\"no\"}}")
    exchange.finish()
  }

  @Test func secondTryIsInvisible() {
    for status in [429, 500, 503, 529, 408] {
      let simulation = SimulatedWorld(seed: 1, faults: .calm)
      let recorder = run(simulation, [provider("a") { $0.retry.max = 2 }]) {
        ["a": { exchange, count in count == 1 ? Self.refuse(status, exchange) : Self.answer("hi", to: exchange) }]
      }
      #expect(DeltaDecoderTests.show(recorder.events) == "start(m-1) \"hi\" usage(3,2,0) end(completed)")
      #expect((Duration.milliseconds(250)...(.seconds(2))).contains(recorder.endedAfter), "\(recorder.endedAfter)")
    }
  }

  @Test func retryAfterIsHonoured() {
    // The simulation begins at 2026-01-01T00:00:00Z.
    for (value, least) in [("7", 7), ("Thu, 01 Jan 2026 00:00:09 GMT", 8)] {
      let simulation = SimulatedWorld(seed: 1, faults: .calm)
      let recorder = run(simulation, [provider("a") { $0.retry.max = 1 }]) {
        [
          "a": { exchange, count in
            count == 1
              ? Self.refuse(429, exchange, headers: [("Retry-After", value)]) : Self.answer("hi", to: exchange)
          }
        ]
      }
      #expect(recorder.end == .completed)
      #expect((Duration.seconds(least)...(.seconds(least + 2))).contains(recorder.endedAfter), "\(recorder.endedAfter)")
    }
    // Longer than the call may take: no use to wait.
    let simulation = SimulatedWorld(seed: 1, faults: .calm)
    let recorder = run(simulation, [provider("a") { $0.retry.max = 1 }]) {
      ["a": { exchange, _ in Self.refuse(429, exchange, headers: [("Retry-After", "3600")]) }]
    }
    #expect(recorder.failure?.code == "RateLimit" && recorder.failure?.retryAfterMs == 3_600_000)
    #expect(recorder.endedAfter < .seconds(1))
  }

  @Test func onlyWhatMayBeTriedAgainIs() {
    let rows: [(status: Int, on: [AIErrorCode], tries: Int)] = [
      (401, [.rateLimit, .connectionFailed, .timeout, .authFailed], 1), (404, [.rateLimit], 1),
      (500, [.rateLimit], 1), (500, [.connectionFailed], 4), (429, [.rateLimit], 4),
    ]
    for row in rows {
      let simulation = SimulatedWorld(seed: 1, faults: .calm)
      let only = provider("a") {
        $0.retry.max = 3
        $0.retry.on = row.on
      }
      let recorder = run(simulation, [only]) { ["a": { exchange, _ in Self.refuse(row.status, exchange) }] }
      #expect(recorder.failure?.status == row.status && simulation.http.requests.count == row.tries, "\(row)")
      #expect(recorder.events.count == 2)
    }
  }

  @Test func neverAfterTheFirstContent() {
    let simulation = SimulatedWorld(seed: 1, faults: .calm)
    let recorder = run(simulation, [provider("a") { $0.retry.max = 3 }]) {
      [
        "a": { exchange, _ in
          exchange.head(200)
          exchange.body(delta("half"))
          exchange.fail(.reset)
        }
      ]
    }
    #expect(simulation.http.requests.count == 1)
    #expect(
      DeltaDecoderTests.show(recorder.events).hasPrefix("start(m-1) \"half\" usage(")
        && recorder.end == .truncated && recorder.usage?.estimated == true)
  }

  @Test func fallbackIsInvisibleBeforeContent() {
    let failures: [(SimulatedHTTPExchange) -> Void] = [
      { Self.refuse(500, $0) }, { Self.refuse(401, $0) }, { $0.fail(.reset) },
      {
        $0.head(200)
        $0.finish()
      },
      { $0.head(200) },
    ]
    for fail in failures {
      let simulation = SimulatedWorld(seed: 1, faults: .calm)
      let providers = [
        provider("a") {
          $0.fallback = ["azure", "b/other"]
          $0.timeouts.firstContent = .seconds(5)
        }, provider("b"),
      ]
      let recorder = run(simulation, providers) {
        ["a": { exchange, _ in fail(exchange) }, "b": { exchange, _ in Self.answer("hi", to: exchange) }]
      }
      #expect(recorder.text == "hi" && recorder.end == .completed && recorder.failure == nil)
      #expect(recorder.events.first == .start(model: "m-1"))
      #expect((try? JSONValue.parse(simulation.http.requests.last?.body ?? []))?["model"] == "other")
    }
  }

  /// Before the first try, not when the first provider is out.
  @Test func aMisspeltFallbackIsRefusedAtOnce() {
    let simulation = SimulatedWorld(seed: 1, faults: .calm)
    let recorder = run(simulation, [provider("lab") { $0.fallback = ["eliza", "labb/x"] }]) {
      ["lab": { exchange, _ in Self.answer("hi", to: exchange) }]
    }
    #expect(recorder.failure?.code == "ProviderNotFound" && simulation.http.requests.isEmpty)
    #expect(recorder.failure?.message == "provider \"lab\": fallback: there is no provider \"labb\"")
    #expect(recorder.failure?.hint == "did you mean \"lab\"?")
  }

  /// Events that are handed on as they came: another provider of the same dialect may send them, before there was content.
  @Test func whoReadsEventsFallsBackWithinADialect() {
    final class Tap: ProviderTap {
      var answered = 0
      var events = 0
      func providerAnswered() { answered += 1 }
      func providerSent(_ type: String, _ data: Span<UInt8>) { events += 1 }
      func providerIsTriedAgain() { events = 0 }
    }
    for (fails, end) in [(true, EndState.completed), (false, .truncated)] {
      let simulation = SimulatedWorld(seed: 1, faults: .calm)
      let tap = Tap()
      let providers = [
        provider("a") {
          $0.fallback = ["claude", "eliza", "b"]
          $0.afterContent = .restart
        }, provider("b"),
        provider("claude") { $0.use(.anthropicMessages) },
      ]
      let recorder = run(simulation, providers, tap: tap) {
        [
          "a": { exchange, _ in
            if fails { return Self.refuse(500, exchange) }
            exchange.head(200)
            exchange.body(delta("half"))
            exchange.finish()
          }, "b": { exchange, _ in Self.answer("hi", to: exchange) },
        ]
      }
      #expect(recorder.end == end && recorder.text == (fails ? "hi" : "half"), "\(recorder.events)")
      #expect(simulation.http.requests.count == (fails ? 2 : 1) && tap.answered == 1 && tap.events > 0)
    }
  }

  @Test func theLastFailureIsTold() {
    let simulation = SimulatedWorld(seed: 1, faults: .calm)
    let recorder = run(simulation, [provider("a") { $0.fallback = ["b"] }, provider("b")]) {
      ["a": { exchange, _ in Self.refuse(500, exchange) }, "b": { exchange, _ in Self.refuse(403, exchange) }]
    }
    #expect(recorder.failure?.status == 403 && recorder.events.count == 2)
  }

  func broken(_ mode: FallbackAfterContent, _ recorder: (EventRecorder, SimulatedWorld) throws -> Void) rethrows {
    let simulation = SimulatedWorld(seed: 1, faults: .calm)
    let providers = [
      provider("a") {
        $0.fallback = ["b"]
        $0.afterContent = mode
      }, provider("b"),
    ]
    try recorder(
      run(simulation, providers) {
        [
          "a": { exchange, _ in
            exchange.head(200)
            exchange.body(delta("Once upon"))
            exchange.finish()
          }, "b": { exchange, _ in Self.answer(" a time", to: exchange) },
        ]
      }, simulation)
  }

  @Test func afterContentAsConfigured() throws {
    broken(.terminate) { recorder, simulation in
      #expect(recorder.text == "Once upon" && recorder.end == .truncated && simulation.http.requests.count == 1)
    }
    broken(.restart) { recorder, _ in
      let accumulator = ChatAccumulator()
      for event in recorder.events { accumulator.runEvent(event) }
      #expect(recorder.events.contains(.restart) && accumulator.text == " a time" && recorder.end == .completed)
    }
    try broken(.continue) { recorder, simulation in
      #expect(recorder.text == "Once upon a time" && recorder.end == .completed && !recorder.events.contains(.restart))
      let sent = try JSONValue.parse(simulation.http.requests[1].body ?? [])["messages"]
      #expect(sent?[1] == ["role": "assistant", "content": "Once upon"] && sent?[2]?["role"] == "user")
      // What both took.
      #expect((recorder.usage?.inputTokens ?? 0) > 3 && recorder.usage?.estimated == true)
    }
  }

  @Test func stoppedBetweenTries() {
    let simulation = SimulatedWorld(seed: 1, faults: .calm)
    let recorder = run(simulation, [provider("a") { $0.retry.max = 3 }], stopAfter: .seconds(1)) {
      ["a": { exchange, _ in Self.refuse(429, exchange, headers: [("Retry-After", "60")]) }]
    }
    #expect(recorder.events == [.end(.aborted)] && recorder.endedAfter == .seconds(1))
  }
}
