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
      let loop = simulation.loop
      return StoreUnderTest(store) { loop.run() }
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

  // MARK: Rot

  /// One bit of what was acknowledged flips, while something acknowledged lies behind it: somebody is told, nothing is invented.
  @Test func aFlippedBitInTheMiddleIsReported() throws {
    for seed in 1...60 as ClosedRange<UInt64> {
      let random = SeededRandom(seed: seed)
      let bench = Bench(seed: seed)
      var under = try bench.open()
      try under.create("a")
      for item in 0..<20 { try under.append("a", ["item \(item)"]) }
      bench.store = nil
      let path = try #require(bench.disk.paths.first { $0.contains("a@") })
      var bytes = try #require(bench.disk.content(path))
      let place = random.int(below: bytes.count * 3 / 4)
      bytes[place] ^= 1 << UInt8(random.int(below: 8))
      bench.disk.setContent(path, bytes)
      under = try bench.open()
      let failure = under.failure { _ = try $0.readAll("a") }
      #expect(failure?.code == "StoreUnavailable", "seed \(seed), byte \(place)")
      #expect(failure?.message.contains("damaged") == true)
      #expect(under.failure { try $0.append("a", ["more"]) }?.code == "StoreUnavailable")
      #expect(try under.list().first?.ending != nil)
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
