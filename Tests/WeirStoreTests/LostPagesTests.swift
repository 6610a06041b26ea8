import Foundation
import Testing
import WeirCore
import WeirTesting

@testable import WeirStore

/// The system fails to write a file whose descriptor was closed before it was synchronised. The journal has what is missing, and
/// keeps it until the store is opened again.
@Suite struct LostPagesTests {
  typealias Bench = FileStreamStoreTests.Bench
  private static let file = "/tmp/streams/lost@0000000000000000.log"

  private static func bench(seed: UInt64 = 1, restLimit: Int = 2) -> Bench {
    var faults = SimulatedFaults.calm
    (faults.lostWrite, faults.tornWrite) = (1, 0)
    var limits = FileStreamStore.Limits()
    (limits.openLimit, limits.restLimit, limits.journalLimit) = (restLimit, restLimit, 4_000)
    return Bench(seed: seed, faults: faults, limits: limits)
  }

  /// A stream of three items, whose file is closed. `synced` of them are on disk in it.
  private static func closed(_ synced: Int) throws -> (Bench, StoreUnderTest) {
    let bench = bench()
    let under = try bench.open()
    for name in ["lost", "a", "b", "c"] { try under.create(name, contentType: "text/plain") }
    for number in 0..<3 {
      try under.append("lost", ["item \(number)"])
      guard synced == number + 1 else { continue }
      bench.store?.synchronize { _ in }
      under.pump()
    }
    for name in ["a", "b", "c"] { try under.append(name, ["x"]) }
    #expect(bench.store?.active[try StreamName("lost")] == nil && bench.store?.unsettled.count ?? 0 > 0)
    return (bench, under)
  }

  /// The journal goes through many rounds, power goes, and everything is there.
  private static func holds(_ bench: Bench, _ under: StoreUnderTest, _ what: String) throws {
    for number in 0..<240 { try under.append(["a", "b", "c"][number % 3], ["item \(number)"]) }
    bench.crash()
    let after = try bench.open()
    #expect(try after.readAll("lost").texts == ["item 0", "item 1", "item 2"], "\(what)")
    for name in ["a", "b"] { #expect(try after.readAll(name).items.count == 81, "\(what)") }
    try after.append("lost", ["more"])
  }

  @Test(arguments: [0, 2], [true, false]) func whatIsAskedForAgain(_ synced: Int, _ tells: Bool) throws {
    for isLong in [true, false] {
      let what = "\(synced) synchronised, tells: \(tells), long: \(isLong)"
      let (bench, under) = try Self.closed(synced)
      bench.disk.losePages(Self.file, tells: tells, isLong: isLong)
      for _ in 0..<2 {
        #expect(under.failure { try $0.append("lost", ["on top"]) }?.code == "StoreUnavailable", "\(what)")
        #expect(try under.status("lost").damage?.code == "StoreUnavailable", "\(what)")
      }
      if synced > 0 { #expect(try under.read("lost").texts == ["item 0", "item 1"], "\(what)") }
      try Self.holds(bench, under, what)
    }
  }

  @Test(arguments: [0, 2], [true, false]) func whatNobodyAsksFor(_ synced: Int, _ tells: Bool) throws {
    for isLong in [true, false] {
      let what = "\(synced) synchronised, tells: \(tells), long: \(isLong)"
      let (bench, under) = try Self.closed(synced)
      bench.disk.losePages(Self.file, tells: tells, isLong: isLong)
      try Self.holds(bench, under, what)
    }
  }

  /// A record in the middle is lost and one behind it is not: that is no reason to take less care.
  @Test func aHoleIsNoSmallerLoss() throws {
    let (bench, under) = try Self.closed(0)
    var bytes = try #require(bench.disk.content(Self.file))
    let place = try #require(bytes.indices.first { bytes[$0...].starts(with: "item 1".utf8) })
    for at in place..<place + 6 { bytes[at] = 0 }
    bench.disk.setContent(Self.file, bytes)
    #expect(under.failure { try $0.append("lost", ["on top"]) }?.code == "StoreUnavailable")
    try Self.holds(bench, under, "a hole")
  }

  /// At random moments of random work the system lets go of what it could not write; then power goes. `WEIR_SEED=n` repeats one,
  /// `WEIR_ROUNDS=n` makes n times as many.
  @Test func whatWasAnsweredSurvivesLostPagesAndPowerLoss() throws {
    let environment = ProcessInfo.processInfo.environment
    let first = environment["WEIR_SEED"].flatMap { UInt64($0) } ?? 1
    let rounds = 40 * (environment["WEIR_ROUNDS"].flatMap { UInt64($0) } ?? 1)
    for seed in first..<first + rounds {
      let random = SeededRandom(seed: seed)
      var faults = SimulatedFaults.calm
      (faults.lostWrite, faults.tornWrite) = (random.chance(0.5) ? 1 : 0.5, 0.3)
      var limits = FileStreamStore.Limits()
      (limits.openLimit, limits.restLimit) = (2, 2)
      limits.journalLimit = 300 + random.int(below: 3_000)
      limits.segmentLimit = random.chance(0.5) ? 8 << 20 : 400
      let bench = Bench(seed: seed, faults: faults, limits: limits)
      var answered: [String: [String]] = [:]
      var number = 0
      for life in 0..<3 {
        let under = try bench.open()
        try Bench.expectAll(&answered, in: under, "seed \(seed), life \(life)")
        let store = try #require(bench.store)
        let names = try ["a", "b", "c", "d", "e"].map { try StreamName($0) }
        for name in names { store.create(name, contentType: "text/plain") { _ in } }
        for _ in 0..<60 {
          let name = names[random.int(below: names.count)]
          number += 1
          let text = "\(number)"
          store.append(name, [Array(text.utf8)], ending: nil) { result in
            if case .success = result { answered[name.path, default: []].append(text) }
          }
          if random.chance(0.6) { bench.simulation.loop.advance(by: .microseconds(random.int(below: 3_000))) }
          guard random.chance(0.05) else { continue }
          let lost = names[random.int(below: names.count)]
          let path = bench.disk.paths.last { $0.contains("/\(lost.path)@") }
          // Whoever has it open is told.
          let isOpen = store.active[lost] != nil
          if let path { bench.disk.losePages(path, tells: isOpen || random.chance(0.5), isLong: random.chance(0.5)) }
        }
        bench.crash()
      }
    }
  }

  /// A use that was half written to a full disk is cut off when the stream, which is new, is opened again: its name is still owed.
  @Test func whatIsCutOffIsStillNew() throws {
    for seed in 1...12 as ClosedRange<UInt64> {
      let bench = Self.bench(seed: seed)
      var under = try bench.open()
      under.isTimed = true
      for name in ["a", "b", "c"] { try under.create(name, contentType: "text/plain") }
      // Both files of the journal are there: nothing else makes a name durable.
      for number in 0..<200 { try under.append("a", ["item \(number)"]) }
      try under.create("lost", StreamCreation(contentType: "text/plain", lifetime: .idle(seconds: 1_000)))
      for number in 0..<3 { try under.append("lost", ["item \(number)"]) }
      under.pass(milliseconds: 200_000)
      bench.disk.capacity = bench.disk.bytesUsed + 10
      _ = try under.read("lost")
      bench.disk.capacity = nil
      for name in ["a", "b", "c"] { try under.append(name, ["x"]) }
      let name = try StreamName("lost")
      #expect(bench.store?.active[name] == nil && bench.store?.unsettled[name] != nil, "seed \(seed)")
      #expect(try under.readAll("lost").items.count == 3)
      for number in 0..<200 { try under.append(["a", "b", "c"][number % 3], ["item \(number)"]) }
      bench.crash()
      under = try bench.openTimed()
      #expect(try under.readAll("lost").items.count == 3, "seed \(seed)")
    }
  }
}
