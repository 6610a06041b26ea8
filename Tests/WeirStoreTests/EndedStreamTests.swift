import Testing
import WeirCore
import WeirTesting

@testable import WeirStore

/// A stream that has ended has ended for good, whatever file its end is in and whatever came behind it.
@Suite struct EndedStreamTests {
  typealias Bench = FileStreamStoreTests.Bench
  private static let folder = "/tmp/streams"
  private static let closer = ProducerStamp(id: "p", epoch: 1, sequence: 0)

  private static func expectEnded(_ under: StoreUnderTest, _ ending: StreamEnding = .closed) throws {
    let status = try under.status("a")
    #expect(status.ending == ending && status.lifetime == .idle(seconds: 100))
    #expect(under.failure { try $0.append("a", ["behind the end"]) }?.code == "StreamEnded")
    let last = StreamAppend(items: [[7]], ending: .closed, producer: closer)
    #expect(try under.append("a", last).isRepeat)
    #expect(try under.readAll("a").ending == ending)
  }

  /// The append that ends it fills the segment.
  @Test func aLifetimeBehindTheEndStaysWhereTheEndIs() throws {
    var limits = FileStreamStore.Limits()
    limits.segmentLimit = 500
    let bench = Bench(limits: limits)
    var under = try bench.open()
    under.isTimed = true
    try under.create("a", StreamCreation(expectsLifetime: true))
    try under.append("a", bytes: [[UInt8](repeating: 1, count: 600)])
    try under.append("a", StreamAppend(items: [[7]], ending: .closed, producer: Self.closer))
    for _ in 0..<30 { try under.append("a", StreamAppend(items: [], lifetime: .idle(seconds: 100))) }
    try Self.expectEnded(under)
    for _ in 0..<2 {
      bench.crash()
      under = try Self.openTimed(bench)
      try Self.expectEnded(under)
    }
    #expect(bench.disk.paths.count { $0.contains("/a@") } == 2)
  }

  /// What an earlier version wrote: the lifetime in a segment of its own, whose header knows of no end.
  @Test func anEndInTheSegmentBeforeIsKept() throws {
    let bench = Bench()
    var header = LogRecord.Header(name: "a", contentType: "t", createdAt: 1, usedAt: 1)
    var first: [UInt8] = []
    LogRecord(position: 0, synced: 0, body: .header(header)).append(to: &first)
    let last = StreamAppend(items: [[7]], ending: .closed, producer: Self.closer)
    let time = bench.simulation.loop.wallClock
    LogRecord(position: 0, synced: UInt64(first.count), body: .items(last, time: time)).append(to: &first)
    var second: [UInt8] = []
    header.writers.took(StreamAppend(items: [[7]], producer: Self.closer), at: time)
    LogRecord(position: 1, synced: 0, body: .header(header)).append(to: &second)
    let lifetime = StreamAppend(items: [], lifetime: .idle(seconds: 100))
    LogRecord(position: 1, synced: UInt64(second.count), body: .items(lifetime, time: time)).append(to: &second)
    bench.disk.setContent(Self.folder + "/a@0000000000000000.kept", first)
    bench.disk.setContent(Self.folder + "/a@0000000000000001.log", second)
    bench.disk.setContent(Self.folder + "/lock", [])
    let follower = StoreUnderTest(try Self.follow(bench), bench.simulation.loop)
    follower.isTimed = true
    #expect(try follower.readAll("a").ending == .closed)
    for _ in 0..<2 {
      let under = try Self.openTimed(bench)
      try Self.expectEnded(under)
      try under.append("a", lifetime)
      #expect(try follower.status("a").ending == .closed)
      bench.crash()
    }
    var report: Result<StoreCheck.Report, StoreFailure>?
    StoreCheck.run(directory: Self.folder, disk: bench.disk) { report = $0 }
    bench.simulation.loop.advance(by: .milliseconds(100))
    #expect(try #require(report).get().findings == [])
  }

  private static func openTimed(_ bench: Bench) throws -> StoreUnderTest {
    var result: Result<FileStreamStore, StoreFailure>?
    FileStreamStore.open(directory: folder, disk: bench.disk, loop: bench.simulation.loop, limits: bench.limits) {
      result = $0
    }
    bench.simulation.loop.advance(by: .milliseconds(100))
    let store = try #require(result).get()
    bench.store = store
    let under = StoreUnderTest(store, bench.simulation.loop)
    under.isTimed = true
    return under
  }

  private static func follow(_ bench: Bench) throws -> FileStreamStore {
    var result: Result<FileStreamStore, StoreFailure>?
    FileStreamStore.follow(directory: folder, disk: bench.disk, loop: bench.simulation.loop) { result = $0 }
    bench.simulation.loop.advance(by: .milliseconds(100))
    return try #require(result).get()
  }
}
