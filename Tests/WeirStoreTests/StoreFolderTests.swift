import Testing
import WeirCore
import WeirTesting

@testable import WeirStore

/// A store's folder: when it is opened by several, when it goes, and what waits for it.
@Suite struct StoreFolderTests {
  typealias Bench = FileStreamStoreTests.Bench
  private static let folder = "/tmp/streams"

  /// After power loss: whoever only reads has everything, whoever it is, and changes nothing.
  @Test func aReaderHasWhatTheJournalHas() throws {
    for seed in 1...10 as ClosedRange<UInt64> {
      let bench = Bench.forgetful(seed: seed, journalLimit: 2_000)
      var under = try bench.open()
      for name in ["a", "b", "gone"] { try under.create(name, contentType: "text/plain") }
      for number in 0..<30 { try under.append(number % 2 == 0 ? "a" : "b", ["item \(number)"]) }
      try under.delete("gone")
      bench.crash()
      bench.disk.isReadOnly = true
      let before = Dictionary(uniqueKeysWithValues: bench.disk.paths.map { ($0, bench.disk.content($0)) })
      let follower = StoreUnderTest(try FollowedStoreTests.Pair.follow(bench.simulation), bench.simulation.loop)
      #expect(try follower.readAll("a").texts == (0..<15).map { "item \(2 * $0)" }, "seed \(seed)")
      #expect(try follower.readAll("b").items.count == 15, "seed \(seed)")
      #expect(try follower.list().map(\.name.path) == ["a", "b"], "seed \(seed)")
      #expect(Dictionary(uniqueKeysWithValues: bench.disk.paths.map { ($0, bench.disk.content($0)) }) == before)
      // A writer comes, and what it does is seen.
      bench.disk.isReadOnly = false
      under = try bench.open()
      try under.append("a", ["new"])
      try under.delete("b")
      try under.create("b", contentType: "text/plain")
      #expect(try follower.readAll("a").texts.last == "new", "seed \(seed)")
      #expect(try follower.readAll("b").items.isEmpty, "seed \(seed)")
    }
  }

  /// Whoever looks whether a writer is there keeps no writer out.
  @Test func aLookAtTheLockKeepsNobodyOut() throws {
    let bench = Bench()
    try bench.open()
    bench.close()
    var held: (any DiskFile)?
    bench.disk.open(Self.folder + "/lock", .lock) { held = try? $0.get() }
    bench.simulation.loop.run()
    var opened: Result<FileStreamStore, StoreFailure>?
    FileStreamStore.open(directory: Self.folder, disk: bench.disk, loop: bench.simulation.loop) { opened = $0 }
    bench.simulation.loop.advance(by: .milliseconds(15))
    #expect(opened == nil)
    held?.close()
    bench.simulation.loop.run()
    #expect((try? opened?.get()) != nil)
  }

  /// Somebody removes the folder of a store that is in use. Nothing that is answered from then on is lost.
  @Test func aFolderThatIsRemovedIsTold() throws {
    let bench = Bench()
    let under = try bench.open()
    var told: [String] = []
    bench.store?.onTrouble = { told.append($0) }
    for name in ["a", "b"] { try under.create(name, contentType: "text/plain") }
    for path in bench.disk.paths where path.hasPrefix(Self.folder) { bench.remove(path) }
    bench.remove(Self.folder)
    for _ in 0..<3 { #expect(under.failure { try $0.append("a", ["x"]) }?.message.contains("removed") == true) }
    let long = [UInt8](repeating: 1, count: CommitJournal.writeLimit + 1)
    #expect(under.failure { try $0.append("b", bytes: [long]) }?.code == "StoreUnavailable")
    #expect(under.failure { try $0.create("c") }?.code == "StoreUnavailable")
    #expect(told.count == 1)
    var failure: StoreFailure?
    bench.store?.synchronize { failure = $0 }
    under.pump()
    #expect(failure != nil)
  }

  /// A write whose own journal has gone first: what is longer than the journal takes.
  @Test func aLongAppendToARemovedFileIsRefused() throws {
    let bench = Bench()
    let under = try bench.open()
    try under.create("a", contentType: "text/plain")
    for path in bench.disk.paths where path.hasPrefix(Self.folder) { bench.remove(path) }
    let long = [UInt8](repeating: 1, count: CommitJournal.writeLimit + 1)
    #expect(under.failure { try $0.append("a", bytes: [long]) }?.code == "StoreUnavailable")
  }

  /// A process was cut off between making a long stream and making its name durable: the next one answers for it, and power goes.
  @Test func aNameIsDurableBeforeItIsBuiltOn() throws {
    for seed in 1...20 as ClosedRange<UInt64> {
      let bench = Bench.forgetful(seed: seed)
      var under = try bench.open()
      let long = [UInt8](repeating: 1, count: CommitJournal.writeLimit + 1)
      under.store.create(try StreamName("a"), StreamCreation(items: [long])) { _ in }
      // The file is written and synchronised, the folder is not.
      let isThere = bench.simulation.loop.run {
        (bench.disk.content(Self.folder + "/a@0000000000000000.log")?.count ?? 0) > long.count
      }
      try #require(isThere)
      bench.simulation.loop.advance(by: .microseconds(300))
      // The process has gone.
      bench.store?.close()
      bench.store = nil
      under = try bench.open()
      if under.failure({ try $0.append("a", ["answered"]) }) != nil { continue }
      bench.crash()
      under = try bench.open()
      #expect(try under.status("a").tail == Offset(2), "seed \(seed)")
    }
  }

  /// Making it failed behind the journal, which has it all the same.
  @Test func whatCouldNotBeMadeDoesNotComeBack() throws {
    var faults = SimulatedFaults.calm
    (faults.lostWrite, faults.tornWrite) = (0, 0)
    let bench = Bench(faults: faults)
    var under = try bench.open()
    try under.create("other", contentType: "text/plain")
    bench.disk.failsBehindSynchronizing = { $0.contains("journal") || $0.contains("a@") }
    #expect(under.failure { try $0.create("a", StreamCreation(items: [Array("first".utf8)])) } != nil)
    bench.disk.failsBehindSynchronizing = { _ in false }
    #expect(under.failure { try $0.status("a") }?.code == "StreamNotFound")
    bench.crash()
    under = try bench.open()
    #expect(under.failure { try $0.status("a") }?.code == "StreamNotFound")
    #expect(try under.list().map(\.name.path) == ["other"])
  }

  /// A lost stream keeps the journal from beginning anew; when it is deleted it does again.
  @Test func theJournalGoesOnWhenALostStreamIsDeleted() throws {
    let bench = Bench.forgetful(journalLimit: 2_000)
    let under = try bench.open()
    for name in ["lost", "a"] { try under.create(name, contentType: "text/plain") }
    bench.disk.failsToSynchronize = { $0.contains("lost@") }
    let long = [UInt8](repeating: 1, count: CommitJournal.writeLimit + 1)
    #expect(under.failure { try $0.append("lost", bytes: [long]) }?.code == "StoreUnavailable")
    bench.disk.failsToSynchronize = { _ in false }
    for number in 0..<60 { try under.append("a", ["item \(number) of some length, so that it fills the journal"]) }
    try under.delete("lost")
    func round() -> UInt64 {
      let scans = CommitJournal.fileNames.map { JournalEntry.Scan(bench.disk.content(Self.folder + "/" + $0) ?? []) }
      return scans.compactMap { $0.entries.first?.round }.max() ?? 0
    }
    let before = round()
    for number in 0..<600 { try under.append("a", ["item \(number) of some length, so that it fills the journal"]) }
    #expect(round() > before + 3)
  }

  /// A delete waits for a journal that is broken, whose healing does not wait for the delete.
  @Test func aDeleteThatWaitsForABrokenJournal() throws {
    for seed in 1...30 as ClosedRange<UInt64> {
      let bench = Bench.forgetful(seed: seed)
      let under = try bench.open()
      let names = try (0..<6).map { try StreamName("\($0)") }
      for name in names { try under.create(name.path, contentType: "text/plain") }
      bench.disk.failsToSynchronize = { $0.contains("journal") }
      var answers = 0
      for name in names {
        under.store.append(name, [[1]], ending: nil) { _ in answers += 1 }
        under.store.delete(name) { _ in answers += 1 }
        bench.simulation.loop.advance(by: .microseconds(SeededRandom(seed: seed).int(below: 600)))
      }
      under.pump()
      #expect(answers == 12, "seed \(seed)")
      bench.disk.failsToSynchronize = { _ in false }
      try under.create("new", contentType: "text/plain")
    }
  }

  /// The sign that it was deleted is there, and could not be made durable: the next process finds it.
  @Test func aDeleteThatFailedHalfWay() throws {
    let bench = Bench()
    var under = try bench.open()
    try under.create("source", contentType: "text/plain")
    try under.append("source", ["inherited"])
    try under.fork("fork", of: "source")
    bench.disk.failsToSynchronize = { $0 == Self.folder }
    #expect(under.failure { try $0.delete("source") }?.code == "StoreUnavailable")
    bench.disk.failsToSynchronize = { _ in false }
    let isTaken = under.failure { try $0.append("source", ["answered"]) } == nil
    // The process goes, the machine does not.
    bench.store?.close()
    under = try bench.open()
    #expect(try under.readAll("fork").texts == ["inherited"])
    #expect(!isTaken || (try? under.readAll("source").texts) == ["inherited", "answered"])
  }

  /// It was closed while it was being opened: nothing holds its lock afterwards.
  @Test func aStoreThatIsClosedWhileItOpens() throws {
    let bench = Bench()
    let store = DeferredStore(isExclusive: true) { answer in
      FileStreamStore.open(directory: Self.folder, disk: bench.disk, loop: bench.simulation.loop) {
        answer($0.map { $0 })
      }
    }
    var refused: StoreFailure?
    store.create(try StreamName("a"), contentType: "t") { if case .failure(let failure) = $0 { refused = failure } }
    store.close()
    bench.simulation.loop.run()
    #expect(refused?.code == "StoreUnavailable")
    try bench.open().create("a")
  }

  /// An append that is too large is nobody's stream, and no full store.
  @Test func anAppendThatIsTooLarge() throws {
    let bench = Bench()
    let under = try bench.open()
    let failure = under.failure { try $0.append("none", bytes: [[UInt8](repeating: 0, count: 65 << 20)]) }
    #expect(failure?.code == "AppendTooLarge" && failure?.hint == "split it into several")
    #expect(bench.store?.active.isEmpty == true)
  }

  /// Streams that have gone are kept by nothing: neither by when they would have been over nor by when they ended.
  @Test func whatHasGoneIsForgotten() throws {
    let simulation = SimulatedWorld(seed: 1)
    var limits = MemoryStreamStore.Limits()
    (limits.retention, limits.bytesLimit) = (.dropOldest, 256 << 10)
    let store = MemoryStreamStore(loop: simulation.loop, limits: limits)
    for number in 0..<5_000 {
      let name = try StreamName("\(number % 10)")
      store.create(name, StreamCreation(lifetime: .idle(seconds: 1_000_000), ending: .closed)) { _ in }
      store.delete(name) { _ in }
    }
    #expect(store.keptNames < 300)
    // Made and ended again, it is no older than it is.
    let names = try (0..<3).map { try StreamName("again/\($0)") }
    for name in names {
      store.create(name, StreamCreation(items: [[UInt8](repeating: 0, count: 18 << 10)], ending: .closed)) { _ in }
    }
    store.delete(names[0]) { _ in }
    store.create(names[0], StreamCreation(items: [[1]], ending: .closed)) { _ in }
    let big = try StreamName("big")
    store.create(big, StreamCreation(items: [[UInt8](repeating: 0, count: 221 << 10)])) { _ in }
    var left: [String] = []
    store.list(prefix: "again/", after: nil, limit: 10) { left = ((try? $0.get()) ?? []).map(\.name.path) }
    #expect(left == ["again/0", "again/2"])
  }
}
