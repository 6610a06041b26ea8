import Testing
import WeirCore
import WeirStore
import WeirTesting

@testable import WeirAI

/// What a day has cost outlives the process: read before a call, written behind it, and never taken for nothing.
@Suite struct SpendingLogTests {
  private let base = BudgetTests()
  /// Its calls cost 30 tokens of 0.0001.
  private static let cost = 0.003
  private static let day: Int64 = 86_400_000

  private func ledger(_ store: any StreamStore, _ simulation: SimulatedWorld) -> BudgetLedger {
    BudgetLedger(
      log: SpendingLog(store) { simulation.random.identifier() }, wallClock: { simulation.loop.wallClock })
  }

  private func provider(_ usd: Double) -> ProviderConfig {
    base.provider {
      $0.budget = ProviderBudget(usdPerDay: usd)
      $0.retry.max = 0
    }
  }

  private func stream(_ simulation: SimulatedWorld, later days: Int64 = 0) throws -> StreamName {
    try SpendingLog.name(of: SpendingLog.day(of: simulation.loop.wallClock) + days)
  }

  private func items(_ store: any StreamStore, _ name: StreamName) -> [JSONValue] {
    var items: [JSONValue] = []
    store.read(name, from: .start, byteLimit: 1 << 20) {
      items = ((try? $0.get())?.items ?? []).compactMap { try? JSONValue.parse($0.bytes) }
    }
    return items
  }

  /// Long enough for calls, not for the end of a day.
  private func settle(_ simulation: SimulatedWorld) { simulation.loop.advance(by: .seconds(60)) }

  @Test func aProcessThatIsStartedAgainGoesOn() throws {
    let simulation = SimulatedWorld(seed: 1, faults: .calm)
    base.serve(simulation, pieces: 20)
    let store = MemoryStreamStore(loop: simulation.loop)
    var ends: [EndState?] = []
    // Each is a process of its own.
    for _ in 0..<4 {
      let recorder = base.call(simulation, ledger(store, simulation), provider(0.0095), maxTokens: 20)
      settle(simulation)
      ends.append(recorder.end)
      if recorder.end == .budget {
        #expect(
          recorder.failure?.message.contains("usd_per_day) has 0.000500 USD left") == true, "\(recorder.failure!)")
      }
    }
    #expect(ends == [.completed, .completed, .completed, .budget])
    let kept = items(store, try stream(simulation))
    #expect(kept.count == 3 && kept.allSatisfy { $0["provider"] == "p" }, "\(kept)")
    #expect(Set(kept.compactMap { $0["by"]?.string }).count == 3)
    guard case .double(let usd)? = kept[0]["usd"] else { throw NotThere() }
    #expect(abs(usd - Self.cost) < 1e-12)
    // Whoever has no such limit is not asked, and leaves nothing.
    let free = base.call(simulation, ledger(store, simulation), base.provider())
    settle(simulation)
    #expect(try free.end == .completed && items(store, stream(simulation)).count == 3)
  }

  private struct NotThere: Error {}

  @Test func midnight() throws {
    let simulation = SimulatedWorld(seed: 1, faults: .calm)
    base.serve(simulation, pieces: 20)
    let store = MemoryStreamStore(loop: simulation.loop)
    let first = try stream(simulation)
    let ledger = ledger(store, simulation)
    func call(_ ledger: BudgetLedger) -> EndState? {
      let recorder = base.call(simulation, ledger, provider(0.0045), maxTokens: 20)
      settle(simulation)
      return recorder.end
    }
    #expect(call(ledger) == .completed && call(ledger) == .budget)
    // A call that begins on one day and ends on the next counts for the day of its end.
    let left = Self.day - simulation.loop.wallClock % Self.day
    simulation.loop.advance(by: .milliseconds(left - 1))
    let late = base.call(simulation, self.ledger(store, simulation), provider(1), maxTokens: 20)
    settle(simulation)
    #expect(late.end == .completed)
    let second = try stream(simulation)
    #expect(second != first)
    // The second call of the first day was cut when the money was used up.
    #expect(items(store, first).count == 2 && items(store, second).count == 1)
    #expect(call(ledger) == .budget, "what the other has spent on this day counts")
    #expect(call(self.ledger(store, simulation)) == .budget)
    simulation.loop.advance(by: .milliseconds(Self.day))
    #expect(call(ledger) == .completed, "the next day, in the same process")
    // Days that are over go by themselves.
    #expect(items(store, first).isEmpty)
    simulation.loop.advance(by: .milliseconds(3 * Self.day))
    var streams = 0
    store.list(prefix: "_weir/budget/", after: nil, limit: 10) { streams = ((try? $0.get()) ?? []).count }
    #expect(streams == 0)
  }

  @Test func aClockThatGoesBackFindsTheDayAsItWas() throws {
    let simulation = SimulatedWorld(seed: 1, faults: .calm)
    base.serve(simulation, pieces: 20)
    let store = MemoryStreamStore(loop: simulation.loop)
    var shift: Int64 = 0
    let ledger = BudgetLedger(
      log: SpendingLog(store) { "me" }, wallClock: { simulation.loop.wallClock + shift })
    var ends: [EndState?] = []
    for next in [0, Self.day, 0, Self.day, -Self.day] {
      shift = next
      for _ in 0..<2 {
        let recorder = base.call(simulation, ledger, provider(0.0045), maxTokens: 20)
        settle(simulation)
        ends.append(recorder.end)
      }
    }
    let expected: [EndState?] = [
      .completed, .budget, .completed, .budget, .budget, .budget, .budget, .budget, .completed, .budget,
    ]
    #expect(ends == expected)
  }

  @Test(arguments: [
    "{}", "[]", "1", #"{"provider":"p","usd":"0.1","by":"x"}"#, #"{"provider":"p","usd":-1,"by":"x"}"#,
    #"{"provider":"p","by":"x"}"#, #"{"provider":"p","usd":1}"#, "\u{0}",
  ])
  func aRecordThatIsNoneIsNotNothing(_ text: String) throws {
    let simulation = SimulatedWorld(seed: 1, faults: .calm)
    base.serve(simulation, pieces: 20)
    let store = MemoryStreamStore(loop: simulation.loop)
    #expect(base.call(simulation, ledger(store, simulation), provider(1)).end == nil)
    settle(simulation)
    let name = try stream(simulation)
    store.append(name, [Array(text.utf8)], ending: nil) { _ in }
    let next = ledger(store, simulation)
    for _ in 0..<2 {
      let recorder = base.call(simulation, next, provider(1))
      settle(simulation)
      #expect(recorder.end == .error && recorder.failure?.code == "Internal" && recorder.failure?.retryable == false)
      #expect(recorder.failure?.message.contains("position 1 of stream \"\(name)\"") == true)
    }
    #expect(simulation.http.requests.count == 1)
    // A provider without such a limit goes on, and a day that was removed begins anew.
    let registry = ProviderRegistry(environment: simulation.environment)
    var other = provider(1)
    other.fallback = ["eliza"]
    let recorder = base.call(simulation, next, other, registry: registry)
    settle(simulation)
    #expect(recorder.end == .completed && recorder.text.contains("eliza"))
    store.delete(name) { _ in }
    let anew = base.call(simulation, next, provider(1))
    settle(simulation)
    #expect(anew.end == .completed)
  }

  /// A store that does not take what was spent, or cannot be read.
  @Test func aStoreThatFailsMakesNoCallFree() throws {
    let simulation = SimulatedWorld(seed: 1, faults: .calm)
    base.serve(simulation, pieces: 20)
    let store = FailingStore(simulation.loop)
    let ledger = ledger(store, simulation)
    func call(_ usd: Double = 0.0095) -> EventRecorder {
      let recorder = base.call(simulation, ledger, provider(usd), maxTokens: 20)
      settle(simulation)
      return recorder
    }
    store.isFailing = true
    let refused = call()
    #expect(refused.end == .error && refused.failure?.code == "Internal" && refused.failure?.retryable == true)
    #expect(refused.failure?.message.contains("no disk") == true && simulation.http.requests.isEmpty)
    store.isFailing = false
    #expect(call().end == .completed)
    // It fails while an answer is under way: that one is whole, the next is not made.
    let recorder = base.call(simulation, ledger, provider(0.0095), maxTokens: 20)
    store.isFailing = true
    settle(simulation)
    #expect(recorder.end == .completed && call().end == .error && simulation.http.requests.count == 2)
    store.isFailing = false
    // What could not be written down then is now.
    #expect(call().end == .completed && call().end == .budget)
    #expect(base.call(simulation, self.ledger(store, simulation), provider(0.0095), maxTokens: 20).end == nil)
    settle(simulation)
    #expect(simulation.http.requests.count == 3)
    var sum = 0.0
    for item in items(store, try stream(simulation)) { if case .double(let usd)? = item["usd"] { sum += usd } }
    #expect(abs(sum - 3 * Self.cost) < 1e-12)
    // It never answers: the call ends in time, or when it is stopped.
    store.isSilent = true
    let fresh = self.ledger(store, simulation)
    let silent = base.call(simulation, fresh, provider(1))
    simulation.loop.advance(by: .seconds(29))
    #expect(silent.end == nil)
    simulation.loop.advance(by: .seconds(2))
    #expect(silent.end == .error && silent.failure?.code == "Timeout" && silent.endCount == 1)
    let stopped = EventRecorder()
    let under = ChatClient(world: simulation.world, budget: fresh).start(
      request(), provider: provider(1), sink: stopped)
    settle(simulation.loop)
    under.stop()
    store.isSilent = false
    settle(simulation)
    #expect(stopped.end == .aborted && stopped.endCount == 1 && simulation.http.requests.count == 3)
  }

  /// What is spent while the day is read must not begin a second read: each would count what others have spent.
  @Test func whatOthersHaveSpentIsCountedOnce() throws {
    let simulation = SimulatedWorld(seed: 1, faults: .calm)
    let store = FailingStore(simulation.loop)
    let day = SpendingLog.day(of: simulation.loop.wallClock)
    store.isExclusive = false
    let other = SpendingLog(store) { "other" }
    other.add(1, by: "p", on: day)
    settle(simulation)
    let log = SpendingLog(store) { "me" }
    store.readDelay = .milliseconds(1)
    var answers = 0
    log.refresh(on: day) { failure in
      #expect(failure == nil)
      answers += 1
    }
    for _ in 0..<3 {
      log.add(0.25, by: "p", on: day)
      simulation.loop.advance(by: .microseconds(150))
    }
    #expect(answers == 0)
    settle(simulation)
    #expect(answers == 1 && log.others(of: "p") == 1 && store.readsAtOnce == 1)
    // A write fails while it is read: whoever waits is told, and the next one waits for the same read.
    store.isFailing = true
    log.refresh(on: day) { _ in answers += 1 }
    store.isFailing = false
    log.add(0.25, by: "p", on: day)
    other.add(1, by: "p", on: day)
    log.refresh(on: day) { _ in answers += 1 }
    settle(simulation)
    log.refresh(on: day) { _ in answers += 1 }
    settle(simulation)
    #expect(answers == 4 && log.others(of: "p") == 2 && store.readsAtOnce == 1)
  }

  /// Midnight comes while a call is under way: until the new day is read, it costs what the old one did.
  @Test func aNewDayIsNotFreeUntilItIsRead() throws {
    let simulation = SimulatedWorld(seed: 1, faults: .calm)
    let store = FailingStore(simulation.loop)
    let day = SpendingLog.day(of: simulation.loop.wallClock)
    SpendingLog(store) { "other" }.add(1, by: "p", on: day)
    settle(simulation)
    let log = SpendingLog(store) { "me" }
    log.turned(to: day)
    log.refresh(on: day) { _ in }
    settle(simulation)
    #expect(log.others(of: "p") == 1)
    SpendingLog(store) { "other" }.add(0.5, by: "p", on: day + 1)
    settle(simulation)
    store.readDelay = .milliseconds(1)
    log.turned(to: day + 1)
    #expect(log.others(of: "p") == 1)
    settle(simulation)
    #expect(log.others(of: "p") == 0.5)
  }

  /// In a store of its own the day is read once; what was spent is still written down before the next call.
  @Test func aCallWaitsForWhatIsBeingWritten() throws {
    let simulation = SimulatedWorld(seed: 1, faults: .calm)
    let store = FailingStore(simulation.loop)
    let day = SpendingLog.day(of: simulation.loop.wallClock)
    let log = SpendingLog(store) { "me" }
    var answers = 0
    log.refresh(on: day) { _ in answers += 1 }
    settle(simulation)
    #expect(answers == 1)
    log.add(0.25, by: "p", on: day)
    log.refresh(on: day) { _ in answers += 1 }
    #expect(answers == 1, "it is under way to the store")
    settle(simulation)
    #expect(answers == 2)
    log.refresh(on: day) { _ in answers += 1 }
    #expect(answers == 3, "inside the call")
  }

  private func settle(_ loop: SimulatedLoop) { loop.advance(by: .seconds(1)) }

  /// In one process exactly; beside it a process knows what others had settled when its call began.
  @Test(arguments: [1, 2, 3]) func races(_ seed: UInt64) throws {
    for isShared in [false, true] {
      let simulation = SimulatedWorld(seed: seed, faults: .calm)
      base.serve(simulation, pieces: 20)
      let store = FailingStore(simulation.loop)
      store.isExclusive = !isShared
      let ledgers = isShared ? (0..<4).map { _ in ledger(store, simulation) } : [ledger(store, simulation)]
      let limit = 100.5 * Self.cost
      let random = SeededRandom(seed: seed)
      var recorders: [EventRecorder] = []
      for number in 0..<256 {
        _ = simulation.loop.after(.milliseconds(random.int(0...2_000))) {
          recorders.append(
            base.call(simulation, ledgers[number % ledgers.count], provider(limit), maxTokens: 20))
        }
      }
      settle(simulation)
      #expect(recorders.count == 256 && recorders.allSatisfy { $0.endCount == 1 })
      let made = recorders.count { $0.end == .completed }
      var sum = 0.0
      for item in items(store, try stream(simulation)) { if case .double(let usd)? = item["usd"] { sum += usd } }
      #expect(abs(sum - ledgers.reduce(0) { $0 + $1.spent }) < 1e-9, "seed \(seed)")
      #expect(made >= 95, "seed \(seed): \(made)")
      // The service counts two tokens more than were set aside for a question. Ledgers beside each other spend more by what
      // they have under way, at most.
      let more = isShared ? 30 * Self.cost : 10 * BudgetTests.price
      #expect(sum <= limit + more, "seed \(seed): \(sum)")
    }
  }
}

/// A store in memory that answers a little later, with a failure, or never.
private final class FailingStore: StreamStore {
  private let inner: MemoryStreamStore
  private let loop: any Loop
  var isFailing = false
  var isSilent = false
  var isExclusive = true
  var readDelay = Duration.microseconds(100)
  private var reads = 0
  private(set) var readsAtOnce = 0

  init(_ loop: any Loop) {
    inner = MemoryStreamStore(loop: loop)
    self.loop = loop
  }

  private func later<T>(_ answer: @escaping Answer<T>, _ ask: (@escaping Answer<T>) -> Void) {
    if isSilent { return }
    if isFailing {
      _ = loop.after(.microseconds(100)) { answer(.failure(.unavailable("no disk"))) }
    } else {
      ask { [loop] result in _ = loop.after(.microseconds(100)) { answer(result) } }
    }
  }

  func create(_ name: StreamName, _ creation: StreamCreation, _ answer: @escaping Answer<StreamStatus>) {
    later(answer) { inner.create(name, creation, $0) }
  }
  func append(_ name: StreamName, _ append: StreamAppend, _ answer: @escaping Answer<StreamAppended>) {
    later(answer) { inner.append(name, append, $0) }
  }
  func status(_ name: StreamName, _ answer: @escaping Answer<StreamStatus>) { inner.status(name, answer) }
  func read(_ name: StreamName, from offset: Offset, byteLimit: Int, _ answer: @escaping Answer<StreamBatch>) {
    // A test looks at once.
    if byteLimit == 1 << 20 { return inner.read(name, from: offset, byteLimit: byteLimit, answer) }
    reads += 1
    readsAtOnce = max(readsAtOnce, reads)
    let slowly: Answer<StreamBatch> = { [loop] result in
      _ = loop.after(self.readDelay - .microseconds(100)) {
        self.reads -= 1
        answer(result)
      }
    }
    later(slowly) { inner.read(name, from: offset, byteLimit: byteLimit, $0) }
  }
  func watch(_ name: StreamName, _ wake: @escaping () -> Void) -> any Cancellable { inner.watch(name, wake) }
  func delete(_ name: StreamName, _ answer: @escaping Answer<Void>) { inner.delete(name, answer) }
  func list(prefix: String, after: StreamName?, limit: Int, _ answer: @escaping Answer<[StreamStatus]>) {
    inner.list(prefix: prefix, after: after, limit: limit, answer)
  }
}
