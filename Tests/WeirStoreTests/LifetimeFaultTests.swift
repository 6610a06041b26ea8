import Testing
import WeirCore
import WeirTesting

@testable import WeirStore

/// Lifetimes on a disk that fails, or loses power.
@Suite struct LifetimeFaultTests {
  typealias Bench = FileStreamStoreTests.Bench

  static func openTimed(_ bench: Bench) throws -> StoreUnderTest {
    var opened: Result<FileStreamStore, StoreFailure>?
    FileStreamStore.open(
      directory: "/tmp/streams", disk: bench.disk, loop: bench.simulation.loop, synchronization: bench.synchronization,
      limits: bench.limits
    ) {
      opened = $0
    }
    bench.simulation.loop.advance(by: .milliseconds(200))
    bench.store = try #require(opened).get()
    let under = StoreUnderTest(try #require(bench.store), bench.simulation.loop)
    under.isTimed = true
    return under
  }

  /// Its file cannot be removed, or not be opened, when it is over: a minute later it is tried again, whoever asks for it.
  @Test(arguments: [true, false]) func whatCannotGoGoesLater(_ isOpen: Bool) throws {
    let bench = Bench()
    var under = try Self.openTimed(bench)
    try under.create("a", StreamCreation(lifetime: .idle(seconds: 80)))
    if !isOpen {
      bench.store?.synchronize { _ in }
      under.pump()
      bench.crash()
      bench.disk.failsToRead = { $0.contains("/a@") }
      under = try Self.openTimed(bench)
    }
    bench.disk.isReadOnly = true
    under.pass(milliseconds: 150_000)
    #expect(bench.disk.paths.contains { $0.contains("/a@") })
    bench.disk.isReadOnly = false
    bench.disk.failsToRead = { _ in false }
    under.pass(milliseconds: 61_000)
    #expect(!bench.disk.paths.contains { $0.contains("/a@") })
  }

  /// A use is written over one that is on disk, an append comes behind it, and power goes before either is: nobody was promised
  /// the second, and nothing is damaged.
  @Test func aUseThatIsWrittenOverIsNotOnDisk() throws {
    for seed in 1...60 as ClosedRange<UInt64> {
      var faults = SimulatedFaults.calm
      (faults.lostWrite, faults.tornWrite) = (0.2, 0.7)
      let bench = Bench(seed: seed, faults: faults, synchronization: .everyMilliseconds(50))
      var under = try Self.openTimed(bench)
      try under.create("a", StreamCreation(lifetime: .idle(seconds: 800)))
      try under.append("a", bytes: [[1]])
      for _ in 0..<2 {
        under.pass(milliseconds: 150_000)
        _ = try under.read("a")
      }
      try under.append("a", bytes: [[2]])
      bench.crash()
      under = try Self.openTimed(bench)
      #expect(try under.status("a").damage == nil, "seed \(seed)")
      #expect(try under.readAll("a").items.first?.bytes == [1], "seed \(seed)")
    }
  }
}
