import Testing
import WeirCore
import WeirTesting

@testable import WeirAI

/// Budgets in a simulated world: refused before, cut in the middle, settled at the end, and kept by many calls at once.
struct BudgetTests {
  /// 100 USD for a million tokens either way: a token costs 0.0001.
  static let price = 1e-4

  func provider(_ change: (inout ProviderConfig) -> Void = { _ in }) -> ProviderConfig {
    var config = openAIProvider()
    config.auth = .none
    config.cost = ProviderCost(inputPer1MUSD: 100, outputPer1MUSD: 100)
    change(&config)
    return config
  }

  /// A service that says what it counted. " word" is a token for it as for Weir.
  func serve(
    _ simulation: SimulatedWorld, pieces: Int, of piece: String = " word", tokens: Int = 1, finish: String = "stop",
    saysUsage: Bool = true
  ) {
    simulation.http.serve("https://") { exchange in
      exchange.head(200)
      let random = SeededRandom(seed: UInt64(simulation.http.exchanges.count))
      for _ in 0..<pieces { exchange.body(delta(piece), after: .microseconds(random.int(0...2_000))) }
      exchange.body(delta("", finish: finish))
      if saysUsage {
        exchange.body(
          "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":\(pieces * tokens)}}\n\n"
            + DeltaDecoderTests.done)
      }
      exchange.finish()
    }
  }

  func call(
    _ simulation: SimulatedWorld, _ ledger: BudgetLedger, _ provider: ProviderConfig, maxTokens: Int? = nil,
    registry: ProviderRegistry? = nil
  ) -> EventRecorder {
    let recorder = EventRecorder()
    var chat = request()
    chat.maxTokens = maxTokens
    ChatClient(world: simulation.world, registry: registry, budget: ledger)
      .start(chat, provider: provider, sink: recorder)
    return recorder
  }

  @Test func settledFromWhatTheProviderSays() {
    let simulation = SimulatedWorld(seed: 1, faults: .calm)
    serve(simulation, pieces: 20)
    let ledger = BudgetLedger(limit: 1, wallClock: { simulation.loop.wallClock })
    let recorder = call(simulation, ledger, provider())
    #expect(ledger.reserved > 0.02 && ledger.spent == 0)
    simulation.loop.run()
    #expect(recorder.end == .completed && ledger.reserved == 0)
    #expect(abs(ledger.spent - 30 * Self.price) < 1e-9)
    #expect(
      ledger.rows == [
        BudgetLedger.Row(
          provider: "p", model: "m", calls: 1, usage: Usage(inputTokens: 10, outputTokens: 20), usd: ledger.spent)
      ])
    #expect(
      ledger.report == """
        provider  model  calls  input  output       USD
        p         m          1     10      20  0.003000
        total                1     10      20  0.003000

        """)
  }

  @Test func cutInTheMiddle() {
    for maxTokens in [nil, 1_000] {
      let simulation = SimulatedWorld(seed: 1, faults: .calm)
      serve(simulation, pieces: 500)
      let ledger = BudgetLedger(limit: 0.01, wallClock: { simulation.loop.wallClock })
      let recorder = call(simulation, ledger, provider(), maxTokens: maxTokens)
      simulation.loop.run()
      #expect(recorder.end == .budget && recorder.failure?.code == "BudgetExhausted" && recorder.endCount == 1)
      #expect(recorder.failure?.retryable == false && recorder.usage?.estimated == true)
      #expect(ledger.spent <= 0.01 + 1e-9 && ledger.spent > 0.009 && ledger.reserved == 0, "\(ledger.spent)")
      #expect(recorder.text.count > 300 && simulation.http.exchanges[0].isCancelled)
    }
  }

  /// Pieces whose guess is above the provider's count, and pieces of many tokens: who keeps to its limit is never cut.
  @Test(arguments: [(" internationalisation", 3), ("水", 1), (" a", 1), ("{\"key\": [1, 2, 3]}, ", 9), ("x", 1)])
  func whatIsWithinItsLimitAndTheMoneyIsNotCut(_ piece: String, _ tokens: Int) {
    for pieces in [1, 57, 100] {
      let simulation = SimulatedWorld(seed: 1, faults: .calm)
      serve(simulation, pieces: pieces, of: piece, tokens: tokens, finish: "length")
      // Just what the question and the longest answer cost.
      let limit = Double(8 + 100 * tokens) * Self.price
      let ledger = BudgetLedger(limit: limit, wallClock: { simulation.loop.wallClock })
      let recorder = call(simulation, ledger, provider(), maxTokens: 100 * tokens)
      simulation.loop.run()
      #expect(recorder.end == .length && recorder.text.count == pieces * piece.count, "\(pieces) × \(piece)")
      #expect(ledger.reserved == 0 && recorder.usage?.estimated == false)
    }
  }

  @Test func moreIsSetAsideWhileThereIsMore() {
    let simulation = SimulatedWorld(seed: 1, faults: .calm)
    serve(simulation, pieces: 300)
    for (limit, end, most) in [(1.0, EndState.completed, 300), (0.01, .budget, 92)] {
      let ledger = BudgetLedger(limit: limit, wallClock: { simulation.loop.wallClock })
      // Its limit is ignored.
      let recorder = call(simulation, ledger, provider(), maxTokens: 20)
      simulation.loop.run()
      #expect(recorder.end == end && recorder.text.count / 5 <= most, "\(recorder.text.count / 5)")
      #expect(ledger.reserved == 0)
    }
  }

  /// What is guessed of a stopped call goes by what the provider has counted before.
  @Test func guessesAreLearnt() {
    let simulation = SimulatedWorld(seed: 1, faults: .calm)
    serve(simulation, pieces: 400, tokens: 2)
    let client = ChatClient(world: simulation.world)
    for _ in 0..<4 {
      client.start(request(), provider: provider(), sink: EventRecorder())
      simulation.loop.run()
    }
    let recorder = EventRecorder()
    let stopped = client.start(request(), provider: provider(), sink: recorder)
    recorder.onEvent = { _ in if recorder.events.count == 101 { stopped.stop() } }
    simulation.loop.run()
    #expect(recorder.end == .aborted && recorder.usage?.estimated == true)
    let said = Double(recorder.usage?.outputTokens ?? 0)
    #expect(abs(said / 200 - 1) < 0.1, "\(said)")
  }

  @Test func refusedWhenNothingIsLeft() {
    let simulation = SimulatedWorld(seed: 1, faults: .calm)
    serve(simulation, pieces: 5)
    let ledger = BudgetLedger(limit: 0.0001, wallClock: { simulation.loop.wallClock })
    let recorder = call(simulation, ledger, provider())
    simulation.loop.run()
    #expect(recorder.events.count == 2 && recorder.end == .budget && recorder.failure?.code == "BudgetExhausted")
    #expect(recorder.failure?.message.contains("the budget of this run (0.000100 USD)") == true)
    #expect(simulation.http.requests.isEmpty && ledger.rows.isEmpty)

    let unpriced = call(simulation, ledger, provider { $0.cost = nil })
    simulation.loop.run()
    #expect(unpriced.failure?.message.contains("says nothing of its prices") == true)

    // What costs nothing goes on, also as the way out of an empty budget.
    let registry = ProviderRegistry(environment: simulation.environment)
    let free = call(simulation, ledger, provider { $0.fallback = ["eliza"] }, registry: registry)
    simulation.loop.run()
    #expect(free.end == .completed && free.text.contains("eliza"))
  }

  @Test func limitsOfAProvider() {
    let simulation = SimulatedWorld(seed: 1, faults: .calm)
    serve(simulation, pieces: 20)
    let ledger = BudgetLedger(wallClock: { simulation.loop.wallClock })
    let bound = provider {
      $0.budget = ProviderBudget(usdPerRun: 0.01, usdPerDay: 0.0045)
      $0.retry.max = 0
    }
    var ends: [EndState?] = []
    for _ in 0..<2 {
      let recorder = call(simulation, ledger, bound, maxTokens: 20)
      simulation.loop.run()
      ends.append(recorder.end)
    }
    #expect(ends == [.completed, .budget])
    // The next day, but still the same run.
    simulation.loop.advance(by: .seconds(86_400))
    for _ in 0..<3 {
      let recorder = call(simulation, ledger, bound, maxTokens: 20)
      simulation.loop.run()
      ends.append(recorder.end)
    }
    #expect(ends[2] == .completed && ends[3] == .budget && ends[4] == .budget, "\(ends)")
  }

  @Test(arguments: [1, 2, 3, 4]) func aRaceOf256Calls(_ seed: UInt64) {
    for (maxTokens, limit) in [(nil, 1.0), (12, 1.0), (12, 0.1), (400, 1.0), (250, 0.1)] {
      let simulation = SimulatedWorld(seed: seed, faults: .calm)
      serve(simulation, pieces: 300, saysUsage: false)
      let ledger = BudgetLedger(limit: limit, wallClock: { simulation.loop.wallClock })
      let random = SeededRandom(seed: seed)
      var recorders: [EventRecorder] = []
      for _ in 0..<256 {
        _ = simulation.loop.after(.microseconds(random.int(0...200_000))) {
          recorders.append(call(simulation, ledger, provider(), maxTokens: maxTokens))
          #expect(ledger.spent + ledger.reserved <= limit + 1e-9, "seed \(seed)")
        }
      }
      simulation.loop.run()
      #expect(recorders.count == 256 && recorders.allSatisfy { $0.endCount == 1 }, "seed \(seed)")
      #expect(ledger.reserved < 1e-9, "seed \(seed)")
      // What was really produced, at the price of each: every question and every piece.
      let produced = recorders.filter { !$0.text.isEmpty }.reduce(0.0) { sum, recorder in
        sum + (Double(recorder.usage?.inputTokens ?? 0) + Double(recorder.text.count / 5)) * Self.price
      }
      #expect(produced <= limit + Self.price, "seed \(seed), max_tokens \(String(describing: maxTokens)): \(produced)")
      #expect(abs(ledger.spent - produced) < Self.price, "seed \(seed): \(ledger.spent)")
      // And most of it was used: a budget that nobody may touch is kept easily.
      if maxTokens == nil { #expect(produced > limit * 0.9, "seed \(seed): \(produced)") }
      let ends = Set(recorders.compactMap(\.end))
      #expect(ends.isSubset(of: [.completed, .budget]), "seed \(seed): \(ends)")
    }
  }

  @Test func amountsAsText() {
    for (usd, shown) in [(0.0, "0.000000"), (0.5, "0.500000"), (12.0000014, "12.000001"), (1e-9, "0.000000")] {
      #expect(BudgetLedger.shown(usd) == shown)
    }
    let cost = ProviderCost(inputPer1MUSD: 2, outputPer1MUSD: 10, cachedInputPer1MUSD: 1, perCallUSD: 0.5)
    #expect(
      cost.usd(Usage(inputTokens: 1_000_000, outputTokens: 100_000, cachedInputTokens: 400_000)) == 0.5 + 1.2 + 0.4 + 1)
  }
}
