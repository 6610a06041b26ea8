import Testing
import WeirCore
import WeirTesting

@testable import WeirStore

/// The journal fails while streams wait for it, for the disk and for each other. Everybody is answered, and nothing is lost.
@Suite struct JournalHealingTests {
  typealias Bench = FileStreamStoreTests.Bench

  private static func bench(_ seed: UInt64) -> Bench {
    var faults = SimulatedFaults.calm
    (faults.lostWrite, faults.tornWrite) = (1, 0)
    var limits = FileStreamStore.Limits()
    limits.segmentLimit = 400
    return Bench(seed: seed, faults: faults, limits: limits)
  }

  /// Deletes that are being synchronised take no place from a stream that only has to be made durable.
  @Test func deletesAndWhatIsOnlyDirty() throws {
    for seed in 1...60 as ClosedRange<UInt64> {
      let random = SeededRandom(seed: seed)
      let bench = Self.bench(seed)
      let under = try bench.open()
      let deleted = try (0..<12).map { try StreamName("deleted/\($0)") }
      let dirty = try (0..<2).map { try StreamName("dirty/\($0)") }
      for name in deleted + dirty { try under.create(name.path, contentType: "text/plain") }
      bench.disk.failsToSynchronize = { $0.contains("journal") }
      var answers = 0
      for name in dirty { under.store.append(name, [[1]], ending: nil) { _ in answers += 1 } }
      bench.simulation.loop.advance(by: .microseconds(random.int(below: 1_500)))
      for name in deleted { under.store.delete(name) { _ in answers += 1 } }
      under.pump()
      #expect(answers == 14, "seed \(seed)")
    }
  }

  /// Sources that go on in other files, are given lifetimes, or are deleted, while forks of them are made and read.
  @Test func forksAndTheirSources() throws {
    for seed in 1...120 as ClosedRange<UInt64> {
      let random = SeededRandom(seed: seed)
      let bench = Self.bench(seed)
      var under = try bench.open()
      under.isTimed = true
      let store = under.store
      for number in 0..<3 {
        for name in ["source/\(number)", "alone/\(number)"] {
          try under.create(name, contentType: "text/plain")
          for item in 0..<3 { try under.append(name, ["item \(item) " + String(repeating: "x", count: 60)]) }
        }
        try under.fork("fork/\(number)", of: "source/\(number)")
        try under.fork("again/\(number)", of: "fork/\(number)")
        try under.append("fork/\(number)", ["own"])
        try under.append("again/\(number)", ["own"])
      }
      var (asked, answers) = (0, 0)
      var answered: [StreamName: Int] = [:]
      let failsBeside = random.chance(0.5)
      bench.disk.failsToSynchronize = {
        $0.contains("journal") || failsBeside && $0.contains("source") && !$0.contains("@0000000000000000")
      }
      for round in 0..<14 {
        let number = random.int(below: 3)
        let source = try StreamName("source/\(number)")
        let alone = try StreamName("alone/\(number)")
        let item = Array(("more " + String(repeating: "y", count: 80)).utf8)
        asked += 2
        switch random.int(below: 5) {
        case 0:
          store.append(source, [item], ending: nil) { result in
            answers += 1
            if case .success = result { answered[source, default: 0] += 1 }
          }
        case 1:
          store.append(source, StreamAppend(items: [item], lifetime: .idle(seconds: 10_000))) { result in
            answers += 1
            if case .success = result { answered[source, default: 0] += 1 }
          }
        case 2: store.delete(alone) { _ in answers += 1 }
        case 3:
          let fork = StreamFork(source: alone)
          store.create(try StreamName("new/\(round)"), StreamCreation(fork: fork)) { _ in answers += 1 }
        default:
          store.append(try StreamName("fork/\(number)"), [[1]], ending: nil) { _ in answers += 1 }
        }
        let reader = try StreamName("\(random.chance(0.5) ? "fork" : "again")/\(number)")
        store.read(reader, from: .start, byteLimit: 10) { _ in answers += 1 }
        if random.chance(0.6) { bench.simulation.loop.advance(by: .microseconds(random.int(below: 1_000))) }
      }
      bench.simulation.loop.advance(by: .seconds(2))
      #expect(answers == asked, "seed \(seed)")
      bench.crash()
      bench.disk.failsToSynchronize = { _ in false }
      under = try bench.openTimed()
      for number in 0..<3 {
        let source = try StreamName("source/\(number)")
        let found = try under.readAll(source.path).items.count
        #expect(found >= 3 + answered[source, default: 0], "seed \(seed), source \(number)")
        #expect(try under.readAll("again/\(number)").items.count == 4, "seed \(seed), fork \(number)")
      }
    }
  }
}
