import Foundation
import Testing
import WeirCore
import WeirTesting

@testable import WeirStore

@Suite struct FileStreamStoreTests {
  /// A store on a simulated disk, which may be cut off and opened again.
  final class Bench {
    let simulation: SimulatedWorld
    let limits: FileStreamStore.Limits
    let synchronization: FileStreamStore.Synchronization
    var store: FileStreamStore?

    init(
      seed: UInt64 = 1, faults: SimulatedFaults = .calm, limits: FileStreamStore.Limits = .init(),
      synchronization: FileStreamStore.Synchronization = .always
    ) {
      simulation = SimulatedWorld(seed: seed, faults: faults)
      self.limits = limits
      self.synchronization = synchronization
    }

    var disk: SimulatedDisk { simulation.disk }

    @discardableResult
    func open() throws -> StoreUnderTest {
      var result: Result<FileStreamStore, StoreFailure>?
      FileStreamStore.open(
        directory: "/tmp/streams", disk: simulation.disk, loop: simulation.loop, synchronization: synchronization,
        limits: limits
      ) { result = $0 }
      simulation.loop.run()
      let store = try #require(result).get()
      self.store = store
      return StoreUnderTest(store, simulation.loop)
    }

    /// After a crash, while timers of the one before may still be there: time goes on a little, and no further.
    func openTimed() throws -> StoreUnderTest {
      var result: Result<FileStreamStore, StoreFailure>?
      FileStreamStore.open(directory: "/tmp/streams", disk: disk, loop: simulation.loop, limits: limits) { result = $0 }
      simulation.loop.advance(by: .milliseconds(200))
      let under = StoreUnderTest(try #require(result).get(), simulation.loop)
      under.isTimed = true
      return under
    }

    /// Nothing but what is synchronised reaches the disk by itself.
    static func forgetful(seed: UInt64 = 1, journalLimit: Int = 8 << 20) -> Bench {
      var faults = SimulatedFaults.calm
      (faults.lostWrite, faults.tornWrite) = (1, 0)
      var limits = FileStreamStore.Limits()
      limits.journalLimit = journalLimit
      return Bench(seed: seed, faults: faults, limits: limits)
    }

    /// What was answered is there, in its order; between it may be what was not answered, which counts from now on.
    static func expectAll(_ answered: inout [String: [String]], in under: StoreUnderTest, _ what: String) throws {
      for (name, texts) in answered {
        let found = (try? under.readAll(name).texts) ?? []
        var rest = texts[...]
        for text in found where text == rest.first { rest.removeFirst() }
        try #require(rest.isEmpty, "\(what), \(name): \(rest) of \(texts) in \(found)")
        answered[name] = found
      }
    }

    /// An orderly end: everything is in the streams' own files, and the lock is free.
    func close() {
      store?.synchronize { _ in }
      simulation.loop.run()
      store?.close()
      store = nil
    }

    func crash() {
      store = nil
      simulation.disk.crash()
    }
  }

  @Test(arguments: StreamStoreConformance.checks) func conforms(_ check: StreamStoreConformance) throws {
    let bench = Bench()
    try check.run(try bench.open())
    #expect(bench.store?.watcherCount == 0)
  }

  /// The same with files of a few kilobytes and few of them open, so that everything crosses segments and is opened again.
  @Test(arguments: StreamStoreConformance.checks) func conformsInSmallSegments(_ check: StreamStoreConformance) throws {
    var limits = FileStreamStore.Limits()
    limits.segmentLimit = 8192
    limits.openLimit = 4
    let bench = Bench(limits: limits, synchronization: .everyMilliseconds(20))
    try check.run(try bench.open())
  }

  /// What nobody holds goes, and its lock with it: nothing of it waits in the loop for ever.
  @Test(arguments: [FileStreamStore.Synchronization.always, .everyMilliseconds(10)])
  func aStoreThatNobodyHoldsGoes(_ synchronization: FileStreamStore.Synchronization) throws {
    var limits = FileStreamStore.Limits()
    limits.segmentLimit = 500
    let bench = Bench(limits: limits, synchronization: synchronization)
    weak var store: FileStreamStore?
    do {
      let under = try bench.open()
      store = bench.store
      try under.create("a")
      for number in 0..<50 { try under.append("a", ["item \(number)"]) }
      #expect(try under.readAll("a").items.count == 50)
      bench.store?.synchronize { _ in }
      bench.simulation.loop.run()
      bench.store = nil
    }
    bench.simulation.loop.run()
    #expect(store == nil)
  }

  // MARK: Crashes

  /// Power is cut at a random moment of random work, again and again: what was answered is there, once and in order; what was not
  /// answered is there whole or not at all; and the store takes more. `WEIR_SEED=n` repeats one, `WEIR_ROUNDS=n` makes n times as many.
  @Test func whatWasAnsweredSurvivesPowerLoss() throws {
    let environment = ProcessInfo.processInfo.environment
    let first = environment["WEIR_SEED"].flatMap { UInt64($0) } ?? 1
    let rounds = 150 * (environment["WEIR_ROUNDS"].flatMap { UInt64($0) } ?? 1)
    for seed in first..<first + rounds { try Self.crashes(seed: seed) }
  }

  /// What may be in a stream: everything acknowledged, then any part of what was asked for and not answered, in order.
  private struct Expectation {
    var acknowledged: [[UInt8]] = []
    /// Appends under way when power went, each whole or not there.
    var unanswered: [[[UInt8]]] = []

    func allows(_ items: [[UInt8]]) -> Bool {
      guard items.starts(with: acknowledged) else { return false }
      var rest = items.dropFirst(acknowledged.count)
      for append in unanswered {
        if rest.isEmpty { return true }
        guard rest.starts(with: append) else { return false }
        rest = rest.dropFirst(append.count)
      }
      return rest.isEmpty
    }
  }

  private static func crashes(seed: UInt64) throws {
    let random = SeededRandom(seed: seed)
    var limits = FileStreamStore.Limits()
    limits.segmentLimit = 200 + random.int(below: 2_000)
    limits.journalLimit = random.chance(0.2) ? 8 << 20 : 200 + random.int(below: 4_000)
    limits.openLimit = 2
    let bench = Bench(seed: seed, limits: limits)
    var expected: [String: Expectation] = [:]
    var number = 0
    for life in 0..<4 {
      let under = try bench.open()
      for (path, expectation) in expected {
        let found = (try? under.readAll(path).items.map(\.bytes)) ?? []
        let isAllowed = expectation.allows(found)
        try #require(isAllowed, "seed \(seed), life \(life), \(path): \(found.count) items")
        if under.failure({ _ = try $0.status(path) }) != nil {
          try #require(expectation.acknowledged.isEmpty, "seed \(seed), life \(life): \(path) is gone")
          try under.create(path)
        }
        expected[path] = Expectation(acknowledged: found)
      }
      let store = try #require(bench.store)
      for _ in 0..<random.int(below: 30) {
        let path = ["a", "b/c", "D"][random.int(below: 3)]
        let name = try StreamName(path)
        if expected[path] == nil {
          expected[path] = Expectation()
          store.create(name, contentType: "t") { _ in }
        }
        let items = (0..<1 + random.int(below: 3)).map { _ -> [UInt8] in
          number += 1
          return Array("\(number)".utf8) + random.bytes(random.int(below: 300))
        }
        expected[path]?.unanswered.append(items)
        store.append(name, items, ending: nil) { result in
          guard case .success = result, expected[path]?.unanswered.first == items else { return }
          expected[path]?.unanswered.removeFirst()
          expected[path]?.acknowledged += items
        }
        if random.chance(0.4) { bench.simulation.loop.advance(by: .microseconds(random.int(below: 3_000))) }
      }
      bench.crash()
    }
  }

  /// The same for everything a stream can be made of: forks, ends, deletions, producers, sources that wait for their last
  /// fork. Power is cut within an operation: it was done or it was not, and nothing else has changed.
  @Test func anOperationIsDoneOrNotWhenPowerGoes() throws {
    let environment = ProcessInfo.processInfo.environment
    let first = environment["WEIR_SEED"].flatMap { UInt64($0) } ?? 1
    let rounds = 60 * (environment["WEIR_ROUNDS"].flatMap { UInt64($0) } ?? 1)
    for seed in first..<first + rounds {
      let random = SeededRandom(seed: seed)
      var limits = FileStreamStore.Limits()
      limits.segmentLimit = 200 + random.int(below: 1_000)
      limits.journalLimit = random.chance(0.2) ? 8 << 20 : 200 + random.int(below: 2_000)
      limits.openLimit = 2
      let bench = Bench(seed: seed, limits: limits)
      var possible = [StreamStoreModel(prefix: "m", names: 5)]
      for life in 0..<6 {
        let under = try bench.open()
        let found = try possible[0].state(of: under)
        let last = possible
        possible = possible.filter { $0.state == found }
        guard var model = possible.first else {
          throw Violation(line: #line, why: "seed \(seed), life \(life): \(found), not \(last.map(\.state))")
        }
        for step in 0..<1 + random.int(below: 40) {
          let operation = model.operation(random, step)
          // Where a batch stops depends on where files do.
          if case .read = operation { continue }
          let expected = model.apply(operation)
          let answer = StreamStoreModel.perform(operation, model.prefix, under)
          try hold(answer == expected, "seed \(seed), life \(life), step \(step), \(operation): \(expected), \(answer)")
        }
        var cut = model.operation(random, 100)
        while true {
          if case .read = cut {} else if case .status = cut {} else if case .list = cut {} else { break }
          cut = model.operation(random, 100)
        }
        possible = [model]
        _ = model.apply(cut)
        possible.append(model)
        bench.store.map { StreamStoreModel.begin(cut, $0) }
        bench.simulation.loop.advance(by: .microseconds(random.int(below: 2_000)))
        bench.crash()
      }
    }
  }

  @Test func writersAreKnownAfterARestartAndInAnotherSegment() throws {
    var limits = FileStreamStore.Limits()
    limits.segmentLimit = 500
    let bench = Bench(limits: limits)
    var under = try bench.open()
    try under.create("a")
    func append(_ sequence: UInt64, _ id: String, _ text: String? = nil) throws -> StreamAppended {
      try under.append(
        "a",
        StreamAppend(
          items: [[UInt8](repeating: 7, count: 100)], producer: ProducerStamp(id: id, epoch: 3, sequence: sequence),
          sequence: text))
    }
    for sequence in 0..<20 as Range<UInt64> { _ = try append(sequence, "p", "\(sequence + 100)") }
    _ = try append(0, "q")
    for _ in 0..<2 {
      for sequence in 0..<20 as Range<UInt64> { try #require(try append(sequence, "p").isRepeat) }
      try #require(try append(0, "q").isRepeat)
      #expect(under.failure { _ in _ = try append(2, "q") }?.code == "ProducerGap")
      #expect(under.failure { _ in _ = try append(20, "p", "119") }?.code == "SequenceRegression")
      bench.crash()
      under = try bench.open()
    }
    #expect(bench.disk.paths.count { $0.contains("a@") } > 3)
  }

  // MARK: Lifetimes

  /// A restart neither revives a stream nor ends one: it is over at the same moment as it would have been.
  @Test func aLifetimeGoesOnOverARestart() throws {
    for seed in 1...40 as ClosedRange<UInt64> {
      let random = SeededRandom(seed: seed)
      let bench = Bench(seed: seed)
      var under = try bench.open()
      under.isTimed = true
      try under.create("a", StreamCreation(contentType: "t", lifetime: .idle(seconds: 100), items: [[1]]))
      var used = bench.simulation.loop.now
      for _ in 0..<random.int(1...6) {
        bench.simulation.loop.advance(by: .seconds(random.int(1...95)))
        if random.chance(0.5) {
          _ = try under.read("a")
        } else {
          try under.append("a", ["x"])
        }
        used = bench.simulation.loop.now
        bench.simulation.loop.advance(by: .milliseconds(200))
        if random.chance(0.7) {
          bench.crash()
          under = try Self.openTimed(bench)
        }
      }
      bench.simulation.loop.run(until: used + .seconds(99))
      #expect(under.failure { _ = try $0.status("a") } == nil, "seed \(seed)")
      bench.simulation.loop.run(until: used + .seconds(114))
      // Nobody looks before it has been removed.
      #expect(bench.disk.paths.contains { $0.contains("a@") } == false, "seed \(seed): \(bench.disk.paths)")
      #expect(under.failure { _ = try $0.status("a") }?.code == "StreamNotFound", "seed \(seed)")
      bench.crash()
      #expect(try Self.openTimed(bench).list().isEmpty)
    }
  }

  /// Streams that were over before it was opened, and that nobody has looked at yet, are no part of a page.
  @Test func aPageIsFullWhateverIsOver() throws {
    let bench = Bench()
    var under = try bench.open()
    under.isTimed = true
    for number in 0..<30 {
      let lifetime: StreamLifetime? = number % 3 == 2 ? nil : .idle(seconds: 5)
      try under.create("a/\(number + 100)", StreamCreation(contentType: "t", lifetime: lifetime))
    }
    bench.close()
    bench.simulation.loop.advance(by: .seconds(60))
    var opened: FileStreamStore?
    FileStreamStore.open(directory: "/tmp/streams", disk: bench.disk, loop: bench.simulation.loop) { result in
      opened = try? result.get()
      bench.store = opened
    }
    while opened == nil { bench.simulation.loop.advance(by: .microseconds(100)) }
    under = StoreUnderTest(try #require(opened), bench.simulation.loop)
    under.isTimed = true
    #expect(try under.list(prefix: "a/", limit: 7).map(\.name.path) == (0..<7).map { "a/\($0 * 3 + 102)" })
    let rest = try under.list(prefix: "a/", after: StreamName("a/120"), limit: 7)
    #expect(rest.map(\.name.path) == ["a/123", "a/126", "a/129"])
  }

  /// Given to a stream that has ended, in one file or several, and whatever crash comes: known after the crash or not at all.
  @Test func aLifetimeThatIsGivenLaterGoesOnOverARestart() throws {
    for seed in 1...40 as ClosedRange<UInt64> {
      let random = SeededRandom(seed: seed)
      let bench = Bench(seed: seed)
      var under = try bench.open()
      under.isTimed = true
      // One that was made for it, or one that is made fit for it then.
      try under.create("a", StreamCreation(expectsLifetime: random.chance(0.5)))
      try under.create("b")
      for _ in 0..<random.int(1...40) { try under.append("a", [String(repeating: "x", count: 100)]) }
      if random.chance(0.5) { try under.append("a", [], ending: .closed) }
      let count = try under.readAll("a").items.count
      try under.append("a", StreamAppend(items: [], lifetime: .idle(seconds: 100)))
      let given = bench.simulation.loop.now
      if random.chance(0.5) {
        // One that nobody was told of.
        under.store.append(try StreamName("b"), StreamAppend(items: [], lifetime: .idle(seconds: 50))) { _ in }
        bench.simulation.loop.advance(by: .microseconds(random.int(0...400)))
      }
      bench.crash()
      under = try Self.openTimed(bench)
      #expect(try under.status("a").lifetime == .idle(seconds: 100), "seed \(seed)")
      #expect(bench.disk.paths.contains { $0.contains("a@") && $0.hasSuffix(".kept") }, "seed \(seed)")
      #expect(try under.readAll("a").items.count == count, "seed \(seed)")
      #expect(try Self.findings(bench) == [], "seed \(seed)")
      bench.simulation.loop.run(until: given + .seconds(99))
      #expect(under.failure { _ = try $0.status("a") } == nil, "seed \(seed)")
      bench.crash()
      under = try Self.openTimed(bench)
      bench.simulation.loop.run(until: given + .seconds(125))
      // Nobody has asked for it.
      #expect(bench.disk.paths.contains { $0.contains("a@") } == false, "seed \(seed): \(bench.disk.paths)")
      #expect(["StreamNotFound", nil].contains(under.failure { _ = try $0.status("b") }?.code), "seed \(seed)")
    }
  }

  private static func findings(_ bench: Bench) throws -> [StoreCheck.Finding] {
    var report: Result<StoreCheck.Report, StoreFailure>?
    StoreCheck.run(directory: "/tmp/streams", disk: bench.disk) { report = $0 }
    bench.simulation.loop.advance(by: .milliseconds(100))
    return try #require(report).get().findings
  }

  /// Reading a stream for a day writes what reading it once does.
  @Test func usesAreWrittenOverEachOther() throws {
    let bench = Bench()
    let under = try bench.open()
    under.isTimed = true
    try under.create("a", StreamCreation(contentType: "t", lifetime: .idle(seconds: 10), items: [[1]]))
    var sizes: Set<Int> = []
    for _ in 0..<1000 {
      bench.simulation.loop.advance(by: .seconds(3))
      _ = try under.read("a")
      sizes.insert(bench.disk.paths.reduce(0) { $0 + ($1.contains("a@") ? bench.disk.content($1)?.count ?? 0 : 0) })
    }
    #expect(sizes.count <= 2 && (sizes.max() ?? 0) < 300)
    try under.append("a", ["x"])
    #expect(try under.readAll("a").items.count == 2)
  }

  private static func openTimed(_ bench: Bench) throws -> StoreUnderTest {
    var result: Result<FileStreamStore, StoreFailure>?
    FileStreamStore.open(directory: "/tmp/streams", disk: bench.disk, loop: bench.simulation.loop) { result = $0 }
    bench.simulation.loop.advance(by: .milliseconds(100))
    let store = try #require(result).get()
    bench.store = store
    let under = StoreUnderTest(store, bench.simulation.loop)
    under.isTimed = true
    return under
  }

  // MARK: Rot

  /// One bit of what was acknowledged flips, while something acknowledged lies behind it: somebody is told, nothing is invented.
  @Test func aFlippedBitInTheMiddleIsReported() throws {
    for seed in 1...60 as ClosedRange<UInt64> {
      let random = SeededRandom(seed: seed)
      let bench = Bench(seed: seed)
      var under = try bench.open()
      try under.create("a")
      for item in 0..<20 { try under.append("a", ["item \(item)"]) }
      bench.close()
      let path = try #require(bench.disk.paths.first { $0.contains("a@") })
      var bytes = try #require(bench.disk.content(path))
      let place = random.int(below: bytes.count * 3 / 4)
      bytes[place] ^= 1 << UInt8(random.int(below: 8))
      bench.disk.setContent(path, bytes)
      under = try bench.open()
      let failure = under.failure { _ = try $0.readAll("a") }
      #expect(failure?.code == "StreamDamaged", "seed \(seed), byte \(place)")
      #expect(under.failure { try $0.append("a", ["more"]) }?.code == "StreamDamaged")
      #expect(try under.list().first?.damage?.code == "StreamDamaged")
      // What comes before it can be read.
      if let batch = try? under.read("a", byteLimit: 1) { #expect(batch.texts == ["item 0"]) }
    }
  }

  @Test func aFullDiskRefusesAndLosesNothing() throws {
    let bench = Bench()
    var under = try bench.open()
    try under.create("a")
    try under.append("a", ["first"])
    bench.disk.capacity = bench.disk.bytesUsed + 100
    #expect(under.failure { try $0.append("a", bytes: [[UInt8](repeating: 7, count: 500)]) }?.code == "StoreFull")
    #expect(try under.append("a", ["small"]) == Offset(2))
    bench.disk.capacity = nil
    #expect(try under.append("a", ["last"]) == Offset(3))
    bench.crash()
    under = try bench.open()
    #expect(try under.readAll("a").texts == ["first", "small", "last"])
  }

  @Test func aReadOnlyFolderIsAnErrorAtOnce() throws {
    let bench = Bench()
    bench.disk.isReadOnly = true
    #expect(throws: StoreFailure.self) { try bench.open() }
  }

  @Test func relaxedAppendsAreDurableAfterTheInterval() throws {
    let bench = Bench(synchronization: .everyMilliseconds(50))
    var under = try bench.open()
    try under.create("a")
    try under.append("a", ["x"])
    bench.simulation.loop.advance(by: .seconds(1))
    bench.crash()
    under = try bench.open()
    #expect(try under.readAll("a").texts == ["x"])
  }
}
