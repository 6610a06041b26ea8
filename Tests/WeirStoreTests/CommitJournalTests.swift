import Foundation
import Testing
import WeirCore
import WeirTesting

@testable import WeirStore

/// What many streams' appends share: it is on disk before an answer, wherever their own files stand.
@Suite struct CommitJournalTests {
  typealias Bench = FileStreamStoreTests.Bench
  static let folder = "/tmp/streams"

  /// 30 streams of 10 items, each answered.
  @discardableResult
  private static func fill(_ bench: Bench) throws -> [String] {
    let under = try bench.open()
    let names = (0..<30).map { "runs/\($0)" }
    for name in names { try under.create(name, contentType: "text/plain") }
    for number in 0..<10 { for name in names { try under.append(name, ["\(name) \(number)"]) } }
    return names
  }

  @Test(arguments: [200, 3_000, 8 << 20]) func whatOnlyTheJournalHasIsThereAfterPowerLoss(_ limit: Int) throws {
    for seed in 1...5 as ClosedRange<UInt64> {
      let bench = Bench.forgetful(seed: seed, journalLimit: limit)
      let names = try Self.fill(bench)
      for _ in 0..<2 {
        bench.crash()
        let under = try bench.open()
        for name in names {
          #expect(try under.readAll(name).texts == (0..<10).map { "\(name) \($0)" }, "seed \(seed): \(name)")
        }
        #expect(!bench.disk.paths.contains { $0.contains("journal") })
      }
    }
  }

  /// Thousands of streams are synchronised as one, and the journal's files do not grow.
  @Test func manyStreamsShareASynchronisation() throws {
    var limits = FileStreamStore.Limits()
    limits.journalLimit = 64 << 10
    let bench = Bench(limits: limits)
    let under = try bench.open()
    let names = try (0..<100).map { try StreamName("runs/\($0)") }
    for name in names { try under.create(name.path, contentType: "text/plain") }
    let before = bench.disk.synchronizations
    var answered = 0
    for _ in 0..<50 {
      for name in names {
        under.store.append(name, [[1, 2, 3]], ending: nil) { if case .success = $0 { answered += 1 } }
      }
      under.pump()
    }
    #expect(answered == 5_000)
    let synchronised = bench.disk.synchronizations - before
    #expect(synchronised < 2_500, "\(synchronised) for 5000 appends")
    let sizes = CommitJournal.fileNames.map { bench.disk.content(Self.folder + "/" + $0)?.count ?? 0 }
    #expect((sizes.max() ?? 0) <= 512 << 10, "\(sizes)")
    bench.close()
    #expect(bench.disk.paths.filter { !$0.contains("runs%2f") } == [Self.folder + "/lock"])
  }

  /// There is no room for a journal: each stream is synchronised by itself, and nothing is promised that is not so.
  @Test func aFullDiskDoesWithoutTheJournal() throws {
    let bench = Bench.forgetful(seed: 1)
    bench.disk.capacity = 80_000
    let names = try Self.fill(bench)
    bench.crash()
    let under = try bench.open()
    for name in names { #expect(try under.readAll(name).texts == (0..<10).map { "\(name) \($0)" }) }
    #expect(
      under.failure { try $0.append(names[0], bytes: [[UInt8](repeating: 1, count: 63_000)]) }?.code == "StoreFull")
  }

  /// Another stream of the same name has nothing of the one that was deleted.
  @Test func aDeletedStreamDoesNotComeBack() throws {
    for seed in 1...40 as ClosedRange<UInt64> {
      let bench = Bench.forgetful(seed: seed, journalLimit: 400)
      let under = try bench.open()
      for life in 0..<6 {
        try under.create("a", contentType: "text/plain")
        for number in 0..<(6 - life) { try under.append("a", ["\(life) \(number)"]) }
        if life < 5 { try under.delete("a") }
      }
      bench.crash()
      #expect(try bench.open().readAll("a").texts == ["5 0"], "seed \(seed)")
    }
  }

  /// Power goes, and the journal is not what it was: what is missing is told, and nothing is invented. Of its last entries, which
  /// nothing stands behind, nobody can tell that they were there.
  @Test func everyFlippedBitOfTheJournalIsTold() throws {
    for seed in 1...200 as ClosedRange<UInt64> {
      let random = SeededRandom(seed: seed)
      let bench = Bench.forgetful(seed: seed)
      let names = try Self.fill(bench)
      bench.crash()
      let path = Self.folder + "/journal-0"
      var bytes = try #require(bench.disk.content(path))
      let used = JournalEntry.Scan(bytes).end
      let place = random.int(below: used * 3 / 4)
      bytes[place] ^= 1 << UInt8(random.int(below: 8))
      bench.disk.setContent(path, bytes)
      #expect(try StoreCheckTests.check(bench).isDamaged, "seed \(seed), byte \(place)")
      let under = try bench.open()
      var missing = 0
      for name in names {
        let all = (0..<10).map { "\(name) \($0)" }
        let found = (try? under.readAll(name).texts) ?? []
        #expect(all.starts(with: found), "seed \(seed), byte \(place): \(found)")
        missing += all.count - found.count
      }
      #expect(missing > 0, "seed \(seed): the flipped entry was taken")
      #expect(try StoreCheckTests.check(bench).findings.contains { $0.file == "journal-0.damaged" }, "seed \(seed)")
    }
  }

  /// Before it is opened again: what the journal has counts as there, and whoever only reads has all of it.
  @Test func lookingAfterPowerLossShowsWhatTheJournalHas() throws {
    let bench = Bench.forgetful(seed: 3)
    let names = try Self.fill(bench)
    bench.crash()
    let report = try StoreCheckTests.check(bench)
    #expect(report.findings == [] && report.items == 300 && report.streams == 30)
    let follower = StoreUnderTest(try FollowedStoreTests.Pair.follow(bench.simulation), bench.simulation.loop)
    for name in names { #expect(try follower.readAll(name).items.count == 10) }
    // A copy of the folder, without its lock.
    bench.disk.remove(FollowedStoreTests.Pair.folder + "/" + StoreFolder.lockName) { _ in }
    bench.simulation.loop.run()
    let copied = StoreUnderTest(try FollowedStoreTests.Pair.follow(bench.simulation), bench.simulation.loop)
    for name in names { #expect(try copied.readAll(name).items.count == 10) }
  }

  /// A disk that fails now and then, and power that goes: what was answered is there. `WEIR_SEED=n` repeats one,
  /// `WEIR_ROUNDS=n` makes n times as many.
  @Test func whatWasAnsweredSurvivesFailuresAndPowerLoss() throws {
    let environment = ProcessInfo.processInfo.environment
    let first = environment["WEIR_SEED"].flatMap { UInt64($0) } ?? 1
    let rounds = 150 * (environment["WEIR_ROUNDS"].flatMap { UInt64($0) } ?? 1)
    for seed in first..<first + rounds {
      let random = SeededRandom(seed: seed)
      let bench = Bench.forgetful(seed: seed, journalLimit: 300 + random.int(below: 3_000))
      bench.disk.faults.lostWrite = random.chance(0.5) ? 1 : 0.5
      bench.disk.faults.tornWrite = 0.3
      var answered: [String: [String]] = [:]
      var number = 0
      for life in 0..<3 {
        bench.disk.faults.diskError = 0
        let under = try bench.open()
        try Bench.expectAll(&answered, in: under, "seed \(seed), life \(life)")
        let store = try #require(bench.store)
        bench.disk.faults.diskError = 0.01
        for _ in 0..<60 {
          let path = ["a", "b", "c", "d"][random.int(below: 4)]
          let name = try StreamName(path)
          store.create(name, contentType: "text/plain") { _ in }
          number += 1
          let text = "\(number)"
          store.append(name, [Array(text.utf8)], ending: nil) { result in
            if case .success = result { answered[path, default: []].append(text) }
          }
          if random.chance(0.5) { bench.simulation.loop.advance(by: .microseconds(random.int(below: 3_000))) }
        }
        bench.crash()
      }
    }
  }
}
