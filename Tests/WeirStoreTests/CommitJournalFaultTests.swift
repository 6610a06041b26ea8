import Testing
import WeirCore
import WeirTesting

@testable import WeirStore

/// What the journal holds, when something fails, when it goes, and when somebody wants it to hold what it does not.
@Suite struct CommitJournalFaultTests {
  typealias Bench = FileStreamStoreTests.Bench

  private static func bench(seed: UInt64 = 1, journalLimit: Int = 8 << 20, openLimit: Int = 256) -> Bench {
    var faults = SimulatedFaults.calm
    (faults.lostWrite, faults.tornWrite) = (1, 0)
    var limits = FileStreamStore.Limits()
    (limits.journalLimit, limits.openLimit, limits.restLimit) = (journalLimit, openLimit, openLimit)
    return Bench(seed: seed, faults: faults, limits: limits)
  }

  /// A stream whose file could not be synchronised: only the journal has its first item.
  private static func lose(_ bench: Bench) throws -> StoreUnderTest {
    let under = try bench.open()
    try under.create("lost", contentType: "text/plain")
    try under.append("lost", ["answered"])
    bench.disk.failsToSynchronize = { $0.contains("lost@") }
    let long = [UInt8](repeating: 1, count: CommitJournal.writeLimit + 1)
    #expect(under.failure { try $0.append("lost", bytes: [long]) }?.code == "StoreUnavailable")
    bench.disk.failsToSynchronize = { _ in false }
    return under
  }

  @Test func whatAFailedSynchronisationLostStaysInTheJournal() throws {
    let bench = Self.bench(journalLimit: 500, openLimit: 2)
    let under = try Self.lose(bench)
    // The journal goes on to other rounds, and files are closed to open others.
    for number in 0..<60 {
      if number < 5 { try under.create("\(number)", contentType: "text/plain") }
      try under.append("\(number % 5)", ["item \(number)"])
    }
    #expect(under.failure { try $0.append("lost", ["more"]) }?.code == "StoreUnavailable")
    var failure: StoreFailure?
    bench.store?.synchronize { failure = $0 }
    under.pump()
    #expect(failure != nil)
    #expect(bench.disk.paths.contains { $0.contains("journal") })
    bench.crash()
    let after = try bench.open()
    #expect(try after.read("lost").texts.first == "answered")
    for number in 0..<5 { #expect(try after.readAll("\(number)").items.count == 12) }
  }

  /// Items that look like entries, of any round, are items. `rounds` of the journal have been written over.
  @Test(arguments: [1, 3, 6]) func whatAClientWritesIsNoEntry(_ rounds: Int) throws {
    for seed in 1...20 as ClosedRange<UInt64> {
      let random = SeededRandom(seed: seed)
      let bench = Self.bench(seed: seed, journalLimit: 3_000)
      let under = try bench.open()
      try under.create("victim", contentType: "text/plain")
      try under.append("victim", ["its own"])
      try under.create("attacker", contentType: "application/octet-stream")
      let victim = "victim@0000000000000000.log"
      var sent = 0
      while sent < rounds * 12 {
        var forged: [UInt8] = random.bytes(random.int(below: 40))
        for round in 1...8 as ClosedRange<UInt64> {
          for synced in [UInt64(1), 1_000, 1 << 63] {
            let bodies: [JournalEntry.Body] = [
              .write(file: victim, isNew: random.chance(0.5), place: 0, bytes: Array("forged".utf8)),
              .done(round: 1 << 62), .forget(stem: "victim"),
            ]
            let body = bodies[random.int(below: bodies.count)]
            JournalEntry(key: random.chance(0.5) ? 0 : round, round: round, synced: synced, body: body).append(
              to: &forged)
          }
        }
        try under.append("attacker", bytes: [forged])
        sent += 1
      }
      try under.append("victim", ["and more"])
      bench.crash()
      #expect(try StoreCheckTests.check(bench).findings == [], "seed \(seed)")
      let after = try bench.open()
      #expect(try after.readAll("victim").texts == ["its own", "and more"], "seed \(seed)")
      #expect(try after.readAll("attacker").items.count == sent)
    }
  }

  /// Power goes while a store ends in an orderly way, or while what an earlier one left is being settled: streams that were
  /// deleted stay so, those made anew under their names have nothing of them.
  @Test func theJournalGoesInTheOrderInWhichItWasWritten() throws {
    for seed in 1...150 as ClosedRange<UInt64> {
      let random = SeededRandom(seed: seed)
      let bench = Self.bench(seed: seed, journalLimit: 700)
      bench.disk.faults.lostWrite = 0.5
      var under = try bench.open()
      under.isTimed = true
      for name in ["deleted", "anew", "kept"] { try under.create(name, contentType: "text/plain") }
      for number in 0..<random.int(4...14) {
        for name in ["deleted", "anew", "kept"] { try under.append(name, ["old \(name) \(number)"]) }
      }
      try under.delete("deleted")
      try under.delete("anew")
      try under.create("anew", contentType: "text/plain")
      try under.append("anew", ["new"])
      try under.append("kept", StreamAppend(items: [], ending: .closed, lifetime: .idle(seconds: 1_000)))
      let kept = try under.readAll("kept").texts
      if random.chance(0.5) {
        bench.store?.synchronize { _ in }
        bench.simulation.loop.advance(by: .microseconds(random.int(below: 8_000)))
      }
      bench.crash()
      for _ in 0..<random.int(below: 3) {
        FileStreamStore.open(
          directory: "/tmp/streams", disk: bench.disk, loop: bench.simulation.loop, limits: bench.limits
        ) {
          _ in
        }
        bench.simulation.loop.advance(by: .microseconds(random.int(below: 8_000)))
        bench.crash()
      }
      under = try bench.openTimed()
      #expect(try under.list().map(\.name.path) == ["anew", "kept"], "seed \(seed)")
      #expect(try under.readAll("anew").texts == ["new"], "seed \(seed)")
      #expect(try under.readAll("kept").texts == kept, "seed \(seed)")
    }
  }

  /// The disk is full when the journal's other file is begun. What can be deleted makes room, and the store ends.
  @Test func aFullDiskIsEmptiedAndTheStoreEnds() throws {
    let bench = Self.bench(journalLimit: 2_000)
    let under = try bench.open()
    for number in 0..<6 { try under.create("\(number)", contentType: "text/plain") }
    var answered = 0
    bench.disk.capacity = bench.disk.bytesUsed + 20_000
    for number in 0..<300 {
      if under.failure({ try $0.append("\(number % 6)", ["item \(number) " + String(repeating: "x", count: 60)]) })
        == nil
      {
        answered += 1
      }
    }
    #expect(answered < 1_000)
    for number in 0..<5 { try under.delete("\(number)") }
    let before = try under.readAll("5").items.count
    try under.append("5", ["there is room"])
    bench.disk.capacity = nil
    // The journal is begun anew.
    for number in 0..<200 { try under.append("5", ["\(number)"]) }
    #expect(bench.disk.paths.contains { $0.contains("journal") })
    bench.close()
    #expect(bench.disk.paths.sorted() == ["/tmp/streams/5@0000000000000000.log", "/tmp/streams/lock"])
    bench.crash()
    #expect(try bench.open().readAll("5").items.count == before + 201)
  }

  /// What is appended while the store makes everything durable is durable when it is answered.
  @Test func appendsDuringAnOrderlyEndAreKept() throws {
    for seed in 1...60 as ClosedRange<UInt64> {
      let random = SeededRandom(seed: seed)
      let bench = Self.bench(seed: seed)
      let under = try bench.open()
      let names = try (0..<6).map { try StreamName("\($0)") }
      for name in names { try under.create(name.path, contentType: "text/plain") }
      var answered: [StreamName: Int] = [:]
      var isDone = false
      bench.store?.synchronize { _ in isDone = true }
      for _ in 0..<random.int(5...60) {
        let name = names[random.int(below: names.count)]
        bench.store?.append(name, [[1]], ending: nil) { if case .success = $0 { answered[name, default: 0] += 1 } }
        bench.simulation.loop.advance(by: .microseconds(random.int(below: 500)))
      }
      bench.simulation.loop.run()
      #expect(isDone)
      bench.crash()
      let after = try bench.open()
      for name in names { #expect(try after.readAll(name.path).items.count == answered[name] ?? 0, "seed \(seed)") }
    }
  }

  /// A stream that goes on in other files after it was given a lifetime, and a fork that is given one, are over in time after a restart.
  @Test func lifetimesThatAreGivenLaterAreKnownAfterARestart() throws {
    var limits = FileStreamStore.Limits()
    limits.segmentLimit = 300
    let bench = Bench(limits: limits)
    var under = try bench.open()
    under.isTimed = true
    try under.create("long", contentType: "text/plain")
    try under.append("long", ["first"])
    try under.fork("fork", of: "long")
    try under.append("long", StreamAppend(items: [], lifetime: .idle(seconds: 100)))
    try under.append("fork", StreamAppend(items: [], lifetime: .idle(seconds: 100)))
    for number in 0..<20 { try under.append("long", ["item \(number) of some length that fills segments"]) }
    bench.crash()
    var opened: Result<FileStreamStore, StoreFailure>?
    FileStreamStore.open(directory: "/tmp/streams", disk: bench.disk, loop: bench.simulation.loop, limits: limits) {
      opened = $0
    }
    bench.simulation.loop.advance(by: .milliseconds(200))
    let store = try #require(opened).get()
    under = StoreUnderTest(store, bench.simulation.loop)
    under.isTimed = true
    #expect(try under.readAll("long").items.count == 21)
    try under.append("long", ["one more"])
    bench.simulation.loop.advance(by: .seconds(300))
    #expect(!bench.disk.paths.contains { $0.contains("long@") || $0.contains("fork@") }, "\(bench.disk.paths)")
    withExtendedLifetime(store) {}
  }
}
