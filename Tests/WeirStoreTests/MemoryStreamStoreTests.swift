import Testing
import WeirCore
import WeirTesting

@testable import WeirStore

@Suite struct MemoryStreamStoreTests {
  private func store(_ limits: MemoryStreamStore.Limits = .init()) -> (SimulatedLoop, MemoryStreamStore, StoreUnderTest)
  {
    let simulation = SimulatedWorld(seed: 1)
    let loop = simulation.loop
    let store = MemoryStreamStore(loop: loop, limits: limits)
    return (loop, store, StoreUnderTest(store, loop))
  }

  @Test(arguments: StreamStoreConformance.checks) func conforms(_ check: StreamStoreConformance) throws {
    let (_, memory, store) = store()
    try check.run(store)
    #expect(memory.watcherCount == 0)
  }

  @Test(arguments: StreamStoreConformance.checks) func conformsObserved(_ check: StreamStoreConformance) throws {
    let (loop, memory, _) = store()
    try check.run(StoreUnderTest(ObservedStore(memory), loop))
    #expect(memory.watcherCount == 0)
  }

  /// Asked in the very moment in which they are over, before they are taken away.
  @Test func aPageIsFullWhateverIsOver() throws {
    let (loop, memory, store) = store()
    store.isTimed = true
    var pages: [[String]] = []
    _ = loop.after(.seconds(5)) {
      for limit in [1, 2, 5] {
        memory.list(prefix: "", after: nil, limit: limit) { pages.append(((try? $0.get()) ?? []).map(\.name.path)) }
      }
    }
    let start = loop.now
    for name in ["a", "b", "c", "e"] {
      memory.create(try StreamName(name), StreamCreation(contentType: "t", lifetime: .until(loop.wallClock + 5000))) {
        _ in
      }
    }
    for name in ["d", "f"] { memory.create(try StreamName(name), contentType: "t") { _ in } }
    // One that is kept for its fork is none either.
    let fork = StreamFork(source: try StreamName("b"))
    memory.create(try StreamName("g"), StreamCreation(lifetime: .until(loop.wallClock + 60_000), fork: fork)) { _ in }
    loop.run(until: start + .seconds(5))
    #expect(pages == [["d"], ["d", "f"], ["d", "f", "g"]])
  }

  @Test func anObserverHearsOfWhatChangesAndOfNothingElse() throws {
    let (loop, memory, _) = store()
    let observed = ObservedStore(memory)
    let store = StoreUnderTest(observed, loop)
    var heard: [String] = []
    observed.observer = { change in
      switch change {
      case .made(let status): heard.append("made \(status.name) \(status.tail.value)")
      case .grew(let name, let from, let to): heard.append("grew \(name) \(from.value) \(to.value)")
      case .deleted(let name): heard.append("deleted \(name)")
      }
    }
    try store.create("a")
    try store.create("a")
    try store.append("a", ["1", "2"])
    try store.append("a", ["3"], ending: .closed)
    _ = store.failure { try $0.append("a", ["4"]) }
    _ = try store.readAll("a")
    _ = try store.fork("b", of: "a")
    try store.delete("a")
    #expect(heard == ["made a 0", "grew a 0 2", "grew a 2 3", "made b 3", "deleted a"])
  }

  @Test func itemsPerStreamAreLimitedAllOrNone() throws {
    var limits = MemoryStreamStore.Limits()
    limits.itemsPerStreamLimit = 3
    let (_, _, store) = store(limits)
    try store.create("a")
    try store.create("b")
    try store.append("a", ["1", "2"])
    #expect(store.failure { try $0.append("a", ["3", "4"], ending: .closed) }?.code == "StoreFull")
    #expect(try store.readAll("a").texts == ["1", "2"])
    #expect(try store.append("a", ["3"]) == Offset(3))
    #expect(store.failure { try $0.append("a", ["4"]) }?.code == "StoreFull")
    try store.append("b", ["1"])
    // A full stream can still be told how it ended: that is when it matters.
    try store.append("a", [], ending: .aborted(reason: "full"))
    #expect(try store.status("a").ending == .aborted(reason: "full"))
  }

  @Test func bytesOfTheWholeStoreAreLimitedAndFreedByDelete() throws {
    var limits = MemoryStreamStore.Limits()
    limits.bytesLimit = 2 * (MemoryStreamStore.itemOverhead + 100)
    let (_, memory, store) = store(limits)
    let item = [UInt8](repeating: 1, count: 100)
    try store.create("a")
    try store.create("b")
    try store.append("a", bytes: [item])
    #expect(store.failure { try $0.append("b", bytes: [item, item]) }?.code == "StoreFull")
    try store.append("b", bytes: [item])
    #expect(memory.bytesUsed == limits.bytesLimit)
    #expect(store.failure { try $0.append("b", bytes: [[]]) }?.code == "StoreFull")
    try store.delete("a")
    #expect(memory.bytesUsed == limits.bytesLimit / 2)
    try store.append("b", bytes: [item])
    try store.delete("b")
    #expect(memory.bytesUsed == 0)
  }

  @Test func streamsAreLimited() throws {
    var limits = MemoryStreamStore.Limits()
    limits.streamsLimit = 2
    let (_, _, store) = store(limits)
    try store.create("a")
    try store.create("b")
    #expect(store.failure { try $0.create("c") }?.code == "StoreFull")
    #expect(try store.create("a").existed)
    try store.delete("a")
    try store.create("c")
  }

  // MARK: Retention

  @Test func theOldestEndedStreamsMakeRoom() throws {
    var limits = MemoryStreamStore.Limits()
    limits.retention = .dropOldest
    limits.bytesLimit = 16 * (MemoryStreamStore.itemOverhead + 100)
    let (_, memory, store) = store(limits)
    let item = [UInt8](repeating: 1, count: 100)
    try store.create("open")
    try store.append("open", bytes: [item])
    for number in 0..<15 {
      try store.create("run\(number)")
      try store.append("run\(number)", bytes: [item], ending: number == 3 ? nil : .closed)
    }
    #expect(memory.bytesUsed == limits.bytesLimit)
    try store.append("open", bytes: [item])
    // Room for one item and a sixteenth of the store: two streams. 0 and 1 ended first.
    let names = (0..<15).filter { number in store.failure { _ = try $0.status("run\(number)") } == nil }
    #expect(names == Array(2..<15))
    // Streams that are being written stay, however much is asked for.
    try store.append("open", bytes: Array(repeating: item, count: 11))
    #expect(store.failure { _ = try $0.status("run3") } == nil)
    #expect(try store.readAll("open").items.count == 13)
    #expect(store.failure { try $0.append("open", bytes: Array(repeating: item, count: 14)) }?.code == "StoreFull")
    #expect(memory.bytesUsed <= limits.bytesLimit)
  }

  @Test func conversationsThatWereLeftAloneGoLast() throws {
    var limits = MemoryStreamStore.Limits()
    limits.retention = .dropOldest
    limits.streamsLimit = 4
    limits.idleLimit = .seconds(60)
    let (loop, _, store) = store(limits)
    for name in ["a", "b", "c", "d"] { try store.create(name) }
    #expect(store.failure { try $0.create("e") }?.code == "StoreFull")
    loop.advance(by: .seconds(61))
    try store.append("a", ["still here"])
    try store.create("e")
    #expect(store.failure { _ = try $0.status("a") } == nil)
    #expect(["b", "c", "d"].filter { name in store.failure { _ = try $0.status(name) } != nil }.count == 1)
  }

  @Test func aServerThatNeverStopsStaysWithinItsLimits() throws {
    var limits = MemoryStreamStore.Limits()
    limits.retention = .dropOldest
    limits.bytesLimit = 100_000
    limits.streamsLimit = 50
    let (_, memory, store) = store(limits)
    for number in 0..<5_000 {
      try store.create("runs/\(number)")
      try store.append("runs/\(number)", ["some", "words", "of an answer"], ending: .closed)
      #expect(memory.bytesUsed <= limits.bytesLimit && memory.streamCount <= 50)
    }
    #expect(try store.readAll("runs/4999").texts == ["some", "words", "of an answer"])
  }

  @Test func itemsCarryTheLoopsTime() throws {
    let (loop, _, store) = store()
    try store.create("a")
    try store.append("a", ["x"])
    loop.advance(by: .seconds(2))
    try store.append("a", ["y"])
    let times = try store.read("a").items.map(\.time)
    #expect(times == [1_767_225_600_000, 1_767_225_602_000])
    #expect(try store.status("a").createdAt == 1_767_225_600_000)
  }

  @Test func answersComeInsideTheCallAndWakesWithoutATimer() throws {
    let (loop, memory, store) = store()
    try store.create("a")
    let name = try StreamName("a")
    var wakes = 0
    let watch = memory.watch(name) { wakes += 1 }
    var isAnswered = false
    memory.append(name, [[1]], ending: nil) { _ in isAnswered = true }
    #expect(isAnswered && wakes == 0)
    loop.settle()
    #expect(wakes == 1 && loop.elapsed == .zero)
    // Idle readers cost nothing: nothing is left to run.
    #expect(loop.isIdle)
    watch.cancel()
  }

  @Test func aWatcherIsNotWokenForWhatWasBeforeIt() throws {
    let (loop, memory, store) = store()
    try store.create("a")
    let name = try StreamName("a")
    var wakes = 0
    memory.append(name, [[1]], ending: nil) { _ in }
    let first = memory.watch(name) { wakes += 1 }
    loop.run()
    #expect(wakes == 0)
    first.cancel()
  }

  @Test func cancelledWatchesLeaveNothingBehind() throws {
    let (loop, memory, store) = store()
    try store.create("a")
    let names = [try StreamName("a"), try StreamName("unknown")]
    final class Token {}
    weak var leaked: Token?
    for name in names {
      var watches: [any Cancellable] = []
      do {
        let token = Token()
        leaked = token
        for _ in 0..<100 { watches.append(memory.watch(name) { _ = token }) }
      }
      #expect(leaked != nil && memory.watcherCount == 100)
      for watch in watches.shuffled() { watch.cancel() }
      #expect(leaked == nil && memory.watcherCount == 0)
    }
    // Cancelled between the change and the wake, and followed by a new watch of the same name.
    var wakes = 0
    let old = memory.watch(names[0]) { wakes += 100 }
    memory.append(names[0], [[1]], ending: nil) { _ in }
    old.cancel()
    let new = memory.watch(names[0]) { wakes += 1 }
    loop.run()
    #expect(wakes == 0)
    memory.append(names[0], [[1]], ending: nil) { _ in }
    loop.run()
    #expect(wakes == 1)
    new.cancel()
    #expect(memory.watcherCount == 0)
  }

  @Test func thousandsOfWatchersComeAndGo() throws {
    let (loop, memory, store) = store()
    try store.create("a")
    let name = try StreamName("a")
    let random = SeededRandom(seed: 8)
    var wakes: [Int: Int] = [:]
    var watches: [Int: any Cancellable] = [:]
    for i in 0..<5000 { watches[i] = memory.watch(name) { wakes[i, default: 0] += 1 } }
    var expected: [Int: Int] = [:]
    for _ in 0..<20 {
      for _ in 0..<200 {
        let i = random.int(below: 5000)
        watches.removeValue(forKey: i)?.cancel()
      }
      for i in watches.keys { expected[i, default: 0] += 1 }
      memory.append(name, [[1]], ending: nil) { _ in }
      loop.run()
    }
    #expect(wakes == expected)
    #expect(memory.watcherCount == watches.count)
    for watch in watches.values { watch.cancel() }
    #expect(memory.watcherCount == 0)
  }
}
