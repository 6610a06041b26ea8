import Foundation
import Testing
import WeirCore
import WeirTesting

@testable import WeirStore

/// A store that reads what another one writes, both over one simulated disk.
@Suite struct FollowedStoreTests {
  final class Pair {
    let simulation: SimulatedWorld
    let writer: StoreUnderTest
    let follower: StoreUnderTest
    static let folder = "/tmp/streams"

    init(seed: UInt64 = 1, limits: FileStreamStore.Limits = .init()) throws {
      simulation = SimulatedWorld(seed: seed, faults: .calm)
      var written: Result<FileStreamStore, StoreFailure>?
      FileStreamStore.open(
        directory: Self.folder, disk: simulation.disk, loop: simulation.loop, limits: limits
      ) { written = $0 }
      simulation.loop.run()
      writer = StoreUnderTest(try #require(written).get(), simulation.loop)
      follower = StoreUnderTest(try Self.follow(simulation, limits), simulation.loop)
    }

    static func follow(_ simulation: SimulatedWorld, _ limits: FileStreamStore.Limits = .init()) throws
      -> FileStreamStore
    {
      var followed: Result<FileStreamStore, StoreFailure>?
      FileStreamStore.follow(directory: folder, disk: simulation.disk, loop: simulation.loop, limits: limits) {
        followed = $0
      }
      simulation.loop.run()
      return try #require(followed).get()
    }

    var disk: SimulatedDisk { simulation.disk }
  }

  /// After every operation of the writer the follower says what the model says, streams deleted and made anew, forks and
  /// sources that wait for them included. `WEIR_SEED=n` repeats one, `WEIR_ROUNDS=n` makes n times as many.
  @Test func saysWhatTheWriterHasDone() throws {
    let environment = ProcessInfo.processInfo.environment
    let first = environment["WEIR_SEED"].flatMap { UInt64($0) } ?? 1
    let rounds = 40 * (environment["WEIR_ROUNDS"].flatMap { UInt64($0) } ?? 1)
    for seed in first..<first + rounds {
      let random = SeededRandom(seed: seed)
      var limits = FileStreamStore.Limits()
      limits.segmentLimit = 200 + random.int(below: 1_000)
      limits.openLimit = 3
      let pair = try Pair(seed: seed, limits: limits)
      var model = StreamStoreModel(prefix: "m", names: 5)
      for step in 0..<80 {
        let operation = model.operation(random, step)
        if case .read = operation { continue }
        _ = model.apply(operation)
        _ = StreamStoreModel.perform(operation, model.prefix, pair.writer)
        if random.chance(0.5) { continue }
        let found = try model.state(of: pair.follower)
        try hold(
          found == model.state, "seed \(seed), step \(step), \(operation): expected \(model.state), found \(found)")
        let listed = try pair.follower.list().map(\.name)
        try hold(try listed == pair.writer.list().map(\.name), "seed \(seed), step \(step): listed \(listed)")
      }
      #expect(try pair.follower.list() == pair.writer.list(), "seed \(seed)")
    }
  }

  /// A reader that waits and is woken has every item once, in order, wherever segments end and however writes are cut.
  @Test func aReaderThatWaitsHasEveryItemOnce() throws {
    for seed in 1...30 as ClosedRange<UInt64> {
      let random = SeededRandom(seed: seed)
      var limits = FileStreamStore.Limits()
      limits.segmentLimit = 300 + random.int(below: 2_000)
      let pair = try Pair(seed: seed, limits: limits)
      let name = try StreamName("s")
      var seen: [[UInt8]] = []
      var ending: StreamEnding?
      var isReading = false
      var isWoken = false
      func read() {
        isWoken = isReading
        if isReading { return }
        isReading = true
        pair.follower.store.read(name, from: Offset(UInt64(seen.count)), byteLimit: 100) { result in
          isReading = false
          // Before it is made there is nothing to read.
          if case .success(let batch) = result {
            seen += batch.items.map(\.bytes)
            ending = batch.ending
            if !batch.items.isEmpty { isWoken = true }
          }
          if isWoken { pair.simulation.loop.soon { read() } }
        }
      }
      let watch = pair.follower.store.watch(name) { read() }
      pair.writer.store.create(name, contentType: "text/plain") { _ in }
      var sent: [[UInt8]] = []
      for number in 0..<200 {
        let items = (0..<random.int(1...3)).map { Array("\(number)-\($0)".utf8) + random.bytes(random.int(below: 60)) }
        sent += items
        pair.writer.store.append(name, items, ending: number == 199 ? .aborted(reason: "enough") : nil) { _ in }
        if random.chance(0.6) { pair.simulation.loop.advance(by: .microseconds(random.int(below: 2_000))) }
      }
      pair.simulation.loop.run()
      #expect(seen == sent && ending == .aborted(reason: "enough"), "seed \(seed): \(seen.count) of \(sent.count)")
      watch.cancel()
    }
  }

  @Test func isWokenByEveryChangeAndByNothingElse() throws {
    let pair = try Pair()
    var wakes = 0
    let watch = pair.follower.store.watch(try StreamName("a")) { wakes += 1 }
    defer { watch.cancel() }
    func expectWoken(_ what: String, _ change: () throws -> Void) throws {
      let before = wakes
      try change()
      pair.simulation.loop.run()
      #expect(wakes > before, "\(what)")
    }
    try expectWoken("made") { try pair.writer.create("a") }
    try expectWoken("appended") { try pair.writer.append("a", ["1"]) }
    try expectWoken("closed") { try pair.writer.append("a", [], ending: .closed) }
    try expectWoken("deleted") { try pair.writer.delete("a") }
    let before = wakes
    try pair.writer.create("b")
    try pair.writer.append("b", ["1"])
    pair.simulation.loop.run()
    #expect(wakes == before, "another stream")
  }

  @Test func aNameThatIsHiddenByAHashIsFollowed() throws {
    let pair = try Pair()
    let long = String(repeating: "É", count: 100)
    var wakes = 0
    let watch = pair.follower.store.watch(try StreamName(long)) { wakes += 1 }
    defer { watch.cancel() }
    #expect(pair.follower.failure { try $0.read(long) }?.code == "StreamNotFound")
    try pair.writer.create(long)
    try pair.writer.append(long, ["1"])
    #expect(try pair.follower.readAll(long).texts == ["1"] && wakes > 0)
    try pair.writer.append(long, ["2"])
    #expect(try pair.follower.readAll(long).texts == ["1", "2"])
    #expect(try pair.follower.list().map(\.name.path) == [long])
  }

  @Test func refusesToWrite() throws {
    let pair = try Pair()
    try pair.writer.create("a")
    for failure in [
      pair.follower.failure { try $0.create("b") }, pair.follower.failure { try $0.append("a", ["1"]) },
      pair.follower.failure { try $0.delete("a") }, pair.follower.failure { try $0.fork("f", of: "a") },
    ] {
      #expect(failure?.code == "StoreUnavailable")
    }
    #expect(try pair.writer.list().map(\.name.path) == ["a"])
  }

  /// What a crash left is not cleared away: a torn end is not there, a stream that was being made is none.
  @Test func changesNothing() throws {
    var limits = FileStreamStore.Limits()
    limits.segmentLimit = 400
    let pair = try Pair(limits: limits)
    try pair.writer.create("whole")
    for number in 0..<20 { try pair.writer.append("whole", ["item \(number)"]) }
    try pair.writer.create("torn")
    try pair.writer.append("torn", ["1"])
    try pair.writer.append("torn", ["2"])
    let torn = Pair.folder + "/torn@0000000000000000.log"
    let bytes = try #require(pair.disk.content(torn))
    pair.disk.setContent(torn, Array(bytes.dropLast(3)))
    pair.disk.setContent(Pair.folder + "/unmade@0000000000000000.log", Array(bytes.prefix(20)))
    pair.disk.setContent(Pair.folder + "/left@0000000000000007.log", bytes)
    pair.disk.isReadOnly = true
    func files() -> [String: [UInt8]] {
      Dictionary(uniqueKeysWithValues: pair.disk.paths.map { ($0, pair.disk.content($0) ?? []) })
    }
    let before = files()
    let follower = StoreUnderTest(try Pair.follow(pair.simulation, limits), pair.simulation.loop)
    #expect(try follower.readAll("whole").items.count == 20)
    #expect(try follower.readAll("torn").texts == ["1"])
    #expect(follower.failure { try $0.status("unmade") }?.code == "StreamNotFound")
    #expect(try follower.list().map(\.name.path) == ["torn", "whole"])
    #expect(files() == before)
    // The rest of the record comes: it was only not there yet.
    pair.disk.isReadOnly = false
    pair.disk.setContent(torn, bytes)
    #expect(try follower.readAll("torn").texts == ["1", "2"])
  }

  @Test func anAppendThatWasTakenBackIsTakenBackHere() throws {
    let pair = try Pair()
    try pair.writer.create("a")
    try pair.writer.append("a", ["1"])
    let path = Pair.folder + "/a@0000000000000000.log"
    let short = try #require(pair.disk.content(path))
    try pair.writer.append("a", ["2", "3"])
    #expect(try pair.follower.readAll("a").texts == ["1", "2", "3"])
    pair.disk.setContent(path, short)
    #expect(try pair.follower.readAll("a").texts == ["1"])
    #expect(pair.follower.failure { try $0.read("a", from: 3) }?.code == "OffsetBeyondTail")
  }

  @Test func damageIsToldAndLastsUntilTheFileIsAnother() throws {
    let pair = try Pair()
    try pair.writer.create("a")
    for number in 0..<5 { try pair.writer.append("a", ["\(number)"]) }
    pair.writer.store.synchronize { _ in }
    pair.writer.pump()
    let path = Pair.folder + "/a@0000000000000000.log"
    var bytes = try #require(pair.disk.content(path))
    bytes[bytes.count / 2] ^= 1
    pair.disk.setContent(path, bytes)
    let follower = StoreUnderTest(try Pair.follow(pair.simulation), pair.simulation.loop)
    #expect(try follower.status("a").damage?.code == "StreamDamaged")
    #expect(try follower.read("a").items.isEmpty == false)
    #expect(follower.failure { try $0.readAll("a") }?.code == "StreamDamaged")
  }

  @Test func aStreamThatIsOverIsNotFoundAndNotRemoved() throws {
    let pair = try Pair()
    pair.writer.isTimed = true
    pair.follower.isTimed = true
    try pair.writer.create("a", StreamCreation(lifetime: .until(pair.simulation.loop.wallClock + 1_000)))
    #expect(try pair.follower.status("a").expiresAt != nil)
    let files = pair.disk.paths
    let after = StoreUnderTest(
      try {
        var followed: Result<FileStreamStore, StoreFailure>?
        FileStreamStore.follow(directory: Pair.folder, disk: pair.disk, loop: pair.simulation.loop) { followed = $0 }
        pair.simulation.loop.advance(by: .milliseconds(20))
        return try #require(followed).get()
      }(), pair.simulation.loop)
    after.isTimed = true
    #expect(try after.status("a").tail == .start)
    #expect(pair.disk.paths == files)
    pair.follower.pass(milliseconds: 2_000)
    #expect(after.failure { try $0.status("a") }?.code == "StreamNotFound")
  }

  @Test func aFolderThatIsNotThereIsAFailure() throws {
    let simulation = SimulatedWorld(seed: 1)
    var followed: Result<FileStreamStore, StoreFailure>?
    FileStreamStore.follow(directory: "/tmp/none", disk: simulation.disk, loop: simulation.loop) { followed = $0 }
    simulation.loop.run()
    guard case .failure(let failure)? = followed else {
      Issue.record("opened")
      return
    }
    #expect(failure.code == "StoreUnavailable" && simulation.disk.paths.isEmpty)
  }
}
