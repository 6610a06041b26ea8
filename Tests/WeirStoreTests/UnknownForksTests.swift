import Testing
import WeirCore
import WeirTesting

@testable import WeirStore

/// The header of a fork cannot be read, so nobody knows what it is a fork of: what was deleted and may be its source is kept.
@Suite struct UnknownForksTests {
  typealias Bench = FileStreamStoreTests.Bench
  private static let folder = "/tmp/streams/"
  private static let fork = folder + "fork@0000000000000002.origin"

  /// A source that was deleted, and its fork, which has items of its own.
  private static func forked(segmentLimit: Int = 8 << 20) throws -> Bench {
    var limits = FileStreamStore.Limits()
    limits.segmentLimit = segmentLimit
    let bench = Bench(limits: limits)
    let under = try bench.open()
    for name in ["source", "other"] { try under.create(name, contentType: "text/plain") }
    try under.append("source", ["first", "second"])
    try under.fork("fork", of: "source")
    for number in 0..<6 { try under.append("fork", ["own \(number)"]) }
    try under.delete("source")
    bench.close()
    return bench
  }

  private static func rot(_ bench: Bench, _ path: String) throws {
    var bytes = try #require(bench.disk.content(path))
    bytes[40] ^= 1
    bench.disk.setContent(path, bytes)
  }

  @Test func aRottenHeaderCostsNoSource() throws {
    let bench = try Self.forked()
    let sound = try #require(bench.disk.content(Self.fork))
    try Self.rot(bench, Self.fork)
    #expect(try Self.check(bench).map(\.file) == ["fork@0000000000000002.origin"])
    for _ in 0..<2 {
      let under = try bench.open()
      #expect(under.failure { try $0.read("fork") }?.code == "StreamDamaged")
      // This one may be its source as well.
      try? under.delete("other")
      #expect(under.failure { try $0.status("other") }?.code == "StreamGone")
      bench.close()
    }
    #expect(try Self.check(bench).allSatisfy { $0.file.hasPrefix("fork@") })
    bench.disk.setContent(Self.fork, sound)
    let under = try bench.open()
    #expect(try under.readAll("fork").texts.prefix(3) == ["first", "second", "own 0"])
    // Now it is known that nothing is a fork of it.
    #expect(under.failure { try $0.status("other") }?.code == "StreamNotFound")
    try under.delete("fork")
    #expect(bench.disk.paths.filter { !$0.contains("journal") } == [Self.folder + "lock"])
  }

  /// The damaged one is given up: what was kept for it goes.
  @Test func theDamagedForkIsDeleted() throws {
    let bench = try Self.forked()
    try Self.rot(bench, Self.fork)
    let under = try bench.open()
    try under.delete("other")
    try under.delete("fork")
    #expect(bench.disk.paths.filter { !$0.contains("journal") } == [Self.folder + "lock"])
  }

  /// What the first header said the last one says too.
  @Test func aLaterSegmentTells() throws {
    let bench = try Self.forked(segmentLimit: 200)
    try Self.rot(bench, Self.fork)
    let under = try bench.open()
    #expect(try under.status("fork").fork?.source.path == "source")
    try under.delete("other")
    #expect(!bench.disk.paths.contains { $0.contains("other") })
    #expect(bench.disk.paths.contains(Self.folder + "source.gone"))
    try under.delete("fork")
    #expect(bench.disk.paths.filter { !$0.contains("journal") } == [Self.folder + "lock"])
  }

  /// A sector that cannot be read while the store is opened, or at all, keeps no other stream from being used.
  @Test(arguments: [true, false]) func aHeaderThatCannotBeRead(_ isForGood: Bool) throws {
    let bench = try Self.forked()
    bench.disk.failsToRead = { $0 == Self.fork }
    var under: StoreUnderTest
    if isForGood {
      // It is looked at every minute, so the loop never comes to rest.
      under = try LifetimeFaultTests.openTimed(bench)
      #expect(under.failure { try $0.read("fork") }?.code == "StoreUnavailable")
    } else {
      var result: Result<FileStreamStore, StoreFailure>?
      FileStreamStore.open(directory: "/tmp/streams", disk: bench.disk, loop: bench.simulation.loop) { result = $0 }
      _ = bench.simulation.loop.run { result != nil }
      bench.disk.failsToRead = { _ in false }
      bench.store = try #require(result).get()
      under = StoreUnderTest(try #require(bench.store), bench.simulation.loop)
      #expect(try under.readAll("fork").items.count == 8)
    }
    try under.append("other", ["goes on"])
    #expect(bench.disk.paths.contains(Self.folder + "source.gone"))
    bench.disk.failsToRead = { _ in false }
    bench.close()
    #expect(try bench.open().readAll("fork").items.count == 8)
  }

  /// A name that its file hides behind a hash, and whose header cannot be read.
  @Test func aLongNameIsToldWhatIsWrong() throws {
    let bench = Bench()
    let name = String(repeating: "é", count: 100)
    var under = try bench.open()
    try under.create(name, contentType: "text/plain")
    for number in 0..<3 { try under.append(name, ["\(number)"]) }
    bench.close()
    try Self.rot(bench, try #require(bench.disk.paths.first { $0.contains("/=") }))
    under = try bench.open()
    #expect(under.failure { try $0.create(name, contentType: "text/plain") }?.code == "StreamDamaged")
    #expect(try under.list().map(\.name.path) == [name])
    try under.delete(name)
    try under.create(name, contentType: "text/plain")
  }

  private static func check(_ bench: Bench) throws -> [StoreCheck.Finding] { try StoreCheckTests.check(bench).findings }
}
