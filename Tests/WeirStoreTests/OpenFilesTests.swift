import Testing
import WeirCore
import WeirTesting

@testable import WeirStore

/// A store has few files open however many streams are used at once, and outlives a process that has no descriptor left.
@Suite struct OpenFilesTests {
  typealias Bench = FileStreamStoreTests.Bench

  private static func bench(
    openLimit: Int, synchronization: FileStreamStore.Synchronization = .always, journalLimit: Int = 8 << 20
  ) -> Bench {
    var faults = SimulatedFaults.calm
    (faults.lostWrite, faults.tornWrite) = (1, 0)
    var limits = FileStreamStore.Limits()
    (limits.openLimit, limits.restLimit, limits.journalLimit) = (openLimit, openLimit, journalLimit)
    return Bench(faults: faults, limits: limits, synchronization: synchronization)
  }

  /// The lock, the folder, two of the journal, and those that are being settled.
  private static let besides = 4 + FileStreamStore.Settling.limit

  @Test(arguments: [
    (FileStreamStore.Synchronization.always, 8 << 20), (.always, 3_000), (.everyMilliseconds(20), 8 << 20),
  ])
  func aBurstOfNewStreams(_ synchronization: FileStreamStore.Synchronization, _ journalLimit: Int) throws {
    let bench = Self.bench(openLimit: 8, synchronization: synchronization, journalLimit: journalLimit)
    var under = try bench.open()
    let store = try #require(bench.store)
    let names = try (0..<300).map { try StreamName("runs/\($0)") }
    var (made, appended) = (0, 0)
    for name in names {
      store.create(name, contentType: "text/plain") { if case .success = $0 { made += 1 } }
    }
    for name in names {
      store.append(name, [Array(name.path.utf8)], ending: nil) { if case .success = $0 { appended += 1 } }
    }
    under.pump()
    #expect(made == 300 && appended == 300)
    for name in names { try under.append(name.path, ["more"]) }
    #expect(bench.disk.mostOpenFiles <= 8 + Self.besides, "\(bench.disk.mostOpenFiles)")
    bench.simulation.loop.advance(by: .seconds(1))
    bench.crash()
    under = try bench.open()
    for name in names { #expect(try under.readAll(name.path).texts == [name.path, "more"]) }
    try under.delete("runs/7")
    bench.close()
    #expect(!bench.disk.paths.contains { $0.contains("journal") })
    bench.crash()
    #expect(try bench.open().list().count == 299)
  }

  /// Who waits for a fork's source holds files itself.
  @Test func forksThatWaitForTheirSources() throws {
    let bench = Self.bench(openLimit: 2)
    let under = try bench.open()
    let store = try #require(bench.store)
    for number in 0..<12 {
      try under.create("source/\(number)", contentType: "text/plain")
      try under.append("source/\(number)", ["from the source"])
      try under.fork("fork/\(number)", of: "source/\(number)")
      try under.fork("again/\(number)", of: "fork/\(number)")
    }
    var read = 0
    for _ in 0..<3 {
      for number in 0..<12 {
        for kind in ["again", "source", "fork"] {
          store.read(try StreamName("\(kind)/\(number)"), from: .start, byteLimit: 100) {
            if case .success(let batch) = $0, batch.texts == ["from the source"] { read += 1 }
          }
        }
      }
    }
    under.pump()
    #expect(read == 108 && bench.disk.mostOpenFiles < 100)
  }

  /// Clients took all of them. What needs none goes on, the rest is refused, and nothing of that lasts.
  @Test func withoutADescriptorNothingIsLost() throws {
    let bench = Self.bench(openLimit: 64)
    var under = try bench.open()
    for name in ["a", "b", "c"] { try under.create(name, contentType: "text/plain") }
    bench.disk.openLimit = bench.disk.openFiles
    let long = [UInt8](repeating: 1, count: CommitJournal.writeLimit + 1)
    try under.append("a", ["needs none"])
    // Synchronised in its own file, and so is the folder, in which that file is new.
    try under.append("a", bytes: [long])
    #expect(
      under.failure { try $0.create("d") }?.message == "no descriptor left for a file of this store (see ulimit -n)")
    try under.delete("b")
    bench.disk.openLimit = bench.disk.openFiles
    #expect(under.failure { try $0.create("b") }?.code == "StoreUnavailable")
    bench.disk.openLimit = nil
    try under.append("a", bytes: [long])
    try under.create("d", StreamCreation(items: [long]))
    try under.delete("c")
    try under.create("b", contentType: "text/plain")
    bench.crash()
    under = try bench.open()
    #expect(try under.list().map(\.name.path) == ["a", "b", "d"])
    #expect(try under.status("a").tail == Offset(3))
  }

  /// What an earlier checkpoint has made durable is settled at once, thousands of streams in one call.
  @Test func thousandsAreSettledTwice() throws {
    let bench = Self.bench(openLimit: 20_000)
    let under = try bench.open()
    let store = try #require(bench.store)
    for number in 0..<10_000 { store.create(try StreamName("\(number)"), contentType: "text/plain") { _ in } }
    under.pump()
    var done = 0
    store.synchronize { if $0 == nil { done += 1 } }
    store.settleAll { if $0 == nil { done += 1 } }
    for stream in store.active.values { store.ask(stream.name, .synchronize { _ in }) }
    under.pump()
    store.settleAll { if $0 == nil { done += 1 } }
    #expect(done == 3)
    #expect(store.unsettled.isEmpty && store.settling.done.isEmpty && store.settling.asked.isEmpty)
  }

  /// No descriptor is left when a closed stream's time has come: it is made durable as soon as there is one.
  @Test func whatCouldNotBeTriedInTimeIsTriedAgain() throws {
    let bench = Self.bench(openLimit: 2, synchronization: .everyMilliseconds(20))
    let under = try bench.open()
    under.isTimed = true
    let store = try #require(bench.store)
    for name in ["a", "b", "c"] { try under.create(name, contentType: "text/plain") }
    under.pass(milliseconds: 100)
    for name in ["a", "b", "c"] {
      store.append(try StreamName(name), [Array("answered".utf8)], ending: nil) { _ in }
      bench.simulation.loop.advance(by: .milliseconds(3))
    }
    let name = try StreamName("a")
    #expect(store.active[name] == nil && store.unsettled[name] != nil)
    bench.disk.openLimit = bench.disk.openFiles
    under.pass(milliseconds: 100)
    #expect(store.unsettled[name] != nil)
    bench.disk.openLimit = nil
    under.pass(milliseconds: 100)
    #expect(store.unsettled.isEmpty)
    bench.crash()
    #expect(try bench.open().read("a").texts == ["answered"])
  }

  /// A stream that lost a write while its file was closed takes nothing more, and the journal keeps what it has of it.
  @Test func whatIsLostWhileAFileIsClosedIsTold() throws {
    let bench = Self.bench(openLimit: 2, journalLimit: 1_000)
    let under = try bench.open()
    try under.create("lost", contentType: "text/plain")
    try under.append("lost", ["answered"])
    bench.disk.failsToSynchronize = { $0.contains("lost@") }
    for number in 0..<40 { try under.create("\(number)", contentType: "text/plain") }
    bench.disk.failsToSynchronize = { _ in false }
    #expect(under.failure { try $0.append("lost", ["more"]) }?.code == "StoreUnavailable")
    for number in 0..<40 { try under.append("\(number)", ["x"]) }
    bench.crash()
    let after = try bench.open()
    #expect(try after.read("lost").texts == ["answered"])
    for number in 0..<40 { #expect(try after.readAll("\(number)").texts == ["x"]) }
  }
}
