import Testing
import WeirCore
import WeirStore
import WeirTesting

@testable import WeirAI

/// Many conversations at once over a bad network, with stops at any moment: what must hold for every seed.
struct AgentSimulationTests {
  /// Runs one simulation and returns its trace's fingerprint.
  static func simulate(_ seed: UInt64) throws -> UInt64 {
    let simulation = SimulatedWorld(seed: seed, faults: .rough, environment: ["TEST_KEY": "key-1234"])
    let random = SeededRandom(seed: seed &* 31)
    let store = MemoryStreamStore(loop: simulation.loop)
    let sessions = AgentSessions(
      client: ChatClient(world: simulation.world),
      registry: ProviderRegistry(configured: [openAIProvider()], environment: simulation.environment), store: store)
    simulation.http.serve("https://") { exchange in
      guard !random.chance(0.1) else {
        exchange.head(503, [("Retry-After", "1")])
        return exchange.finish()
      }
      exchange.head(200)
      for i in 0..<random.int(0...8) { exchange.body(delta("w\(i) "), after: random.duration(.zero ... .seconds(2))) }
      if random.chance(0.8) { exchange.body(delta("", finish: "stop") + DeltaDecoderTests.done) }
      if random.chance(0.9) { exchange.finish() }
    }
    let agent = Agent(name: "A", provider: "p", memory: .conversation(maxTurns: 3))
    var sinks: [EventRecorder] = []
    for i in 0..<30 {
      let session = random.pick(["x", "y", "../z"])
      let text = "\(session) \(i)"
      let stopAfter = random.chance(0.3) ? random.duration(.zero ... .seconds(5)) : nil
      let sink = EventRecorder()
      sink.onEvent = { simulation.trace.note("\(i) \($0)") }
      sinks.append(sink)
      _ = simulation.loop.after(random.duration(.zero ... .seconds(20))) {
        let call = sessions.start(
          agent, text: text, session: session, run: i.isMultiple(of: 2) ? "run\(i)" : nil, sink: sink)
        if let stopAfter { _ = simulation.loop.after(stopAfter) { call.stop() } }
      }
    }
    simulation.loop.run()

    for sink in sinks {
      try #require(sink.endCount == 1 && sink.end != nil, "\(simulation)")
      let errors = sink.events.count { if case .error = $0 { true } else { false } }
      #expect(errors == (sink.end == .error || sink.end == .truncated ? 1 : 0), "\(simulation)")
    }
    #expect(simulation.http.openExchangeCount == 0 && simulation.loop.pendingTimerCount == 0, "\(simulation)")

    // Nobody is asked about another session, and every user's message has its reply.
    for request in simulation.http.requests {
      let messages = try JSONValue.parse(request.body ?? [])["messages"]?.array ?? []
      let session = messages.last?["content"]?.string?.split(separator: " ").first
      #expect(messages.count <= 7)
      for (i, message) in messages.enumerated() {
        #expect(message["role"]?.string == (i % 2 == 0 ? "user" : "assistant"), "\(simulation)")
        if i % 2 == 0 { #expect(message["content"]?.string?.split(separator: " ").first == session, "\(simulation)") }
      }
    }
    store.list(prefix: "memory/", after: nil, limit: 100) { listed in
      for status in (try? listed.get()) ?? [] { #expect(status.tail.value % 2 == 0, "\(simulation)") }
    }
    return simulation.trace.fingerprint
  }

  @Test func everySeedHoldsAndRepeats() throws {
    for seed in UInt64(1)...60 {
      let first = try Self.simulate(seed)
      if seed % 10 == 0 { #expect(try Self.simulate(seed) == first, "seed \(seed) gave another trace") }
    }
  }
}
