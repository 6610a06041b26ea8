import Testing
import WeirCore
import WeirTesting

@testable import WeirStore

/// One byte in the middle is not what it was: everything before it is there.
@Suite struct DamagedStreamTests {
  typealias Bench = FileStreamStoreTests.Bench

  /// Ten items, the fifth of which is damaged, a fork of eight of them, and one of three.
  private static func damaged() throws -> (Bench, StoreUnderTest) {
    let bench = Bench()
    let under = try bench.open()
    try under.create("a", contentType: "text/plain")
    for number in 0..<10 { try under.append("a", ["item \(number)"]) }
    try under.fork("early", of: "a", at: 3)
    try under.append("early", ["own"])
    try under.fork("late", of: "a", at: 8)
    try under.append("late", ["own"])
    bench.close()
    let path = "/tmp/streams/a@0000000000000000.log"
    var bytes = try #require(bench.disk.content(path))
    let place = try #require(bytes.indices.first { bytes[$0...].starts(with: "item 4".utf8) })
    bytes[place] ^= 0x20
    bench.disk.setContent(path, bytes)
    return (bench, try bench.open())
  }

  @Test func whatComesBeforeIsRead() throws {
    let (_, under) = try Self.damaged()
    let status = try under.status("a")
    #expect(status.tail == Offset(4) && status.contentType == "text/plain" && status.createdAt != 0)
    #expect(status.damage == .damaged(try StreamName("a"), at: Offset(4)))
    let batch = try under.read("a", from: 0)
    #expect(batch.texts == ["item 0", "item 1", "item 2", "item 3"] && !batch.reachedTail && batch.ending == nil)
    #expect(try under.read("a", from: 3).texts == ["item 3"])
    for (place, code) in [(4, "StreamDamaged"), (5, "StreamDamaged")] {
      #expect(under.failure { try $0.read("a", from: place) }?.code == code)
    }
    #expect(under.failure { try $0.append("a", ["more"]) }?.code == "StreamDamaged")
    #expect(try under.list().map(\.tail.value) == [4, 4, 9])
    #expect(try under.list().map { $0.damage == nil } == [false, true, true])
  }

  @Test func whatComesBeforeIsForked() throws {
    let (bench, under) = try Self.damaged()
    #expect(try under.readAll("early").texts == ["item 0", "item 1", "item 2", "own"])
    #expect(try under.read("late").texts == ["item 0", "item 1", "item 2", "item 3"])
    #expect(under.failure { try $0.read("late", from: 4) }?.code == "StreamDamaged")
    #expect(try under.read("late", from: 8).texts == ["own"])
    try under.fork("saved", of: "a", at: 4)
    try under.append("saved", ["and on"])
    #expect(try under.readAll("saved").texts == ["item 0", "item 1", "item 2", "item 3", "and on"])
    // Where it ends nobody knows.
    #expect(under.failure { try $0.fork("whole", of: "a") }?.code == "StreamDamaged")
    #expect(under.failure { try $0.fork("beyond", of: "a", at: 5) }?.code == "StreamDamaged")
    #expect(under.failure { try $0.fork("cut", of: "a", at: 4, sub: 2) }?.code == "StreamDamaged")
    try under.delete("a")
    bench.crash()
    #expect(try bench.open().readAll("saved").items.count == 5)
  }

  /// One of a run's streams is damaged: the run ends all the same, and nobody takes it up for ever.
  @Test func aRunWithADamagedStreamEnds() throws {
    let bench = Bench()
    var under = try bench.open()
    let names = try ["bad", "good"].map { try WorkflowStreams.name(workflow: "w", namespace: $0).path }
    let journal = try WorkflowStreams.journal(of: "w").path
    for name in names + [journal] {
      try under.create(name, contentType: "text/plain")
      for number in 0..<4 { try under.append(name, ["item \(number)"]) }
    }
    bench.close()
    let path = try #require(bench.disk.paths.first { $0.contains("bad@") })
    var bytes = try #require(bench.disk.content(path))
    bytes[bytes.count / 2] ^= 1
    bench.disk.setContent(path, bytes)
    under = try bench.open()
    var ended: [StoreFailure?] = []
    WorkflowStreams.end(workflow: "w", .closed, lifetime: nil, in: under.store) { ended.append($0) }
    under.pump()
    #expect(ended == [nil])
    #expect(try under.status(names[1]).ending == .closed && under.status(journal).ending == .closed)
    #expect(try under.status(names[0]).damage?.code == "StreamDamaged")
  }

  /// Bytes are missing anywhere before the last record, which says that more had been on disk than stands before it: whoever
  /// looks says so, and nothing is cut off or removed.
  @Test func whatIsMissingIsDamageForEverybody() throws {
    let path = "/tmp/streams/a@0000000000000000.log"
    let sound = Bench()
    let made = try sound.open()
    try made.create("a", contentType: "text/plain")
    for number in 0..<5 { try made.append("a", ["item \(number)"]) }
    sound.close()
    let bytes = try #require(sound.disk.content(path))
    let marks = bytes.indices.filter { bytes[$0...].starts(with: LogRecord.marker) }
    let last = try #require(marks.last)
    let cuts =
      stride(from: 0, to: last - 20, by: 7).map { $0..<$0 + 20 } + zip(marks, marks.dropFirst()).map { $0..<$1 } + [
        0..<last, 20..<last,
      ]
    for cut in cuts { try Self.expectDamage(Array(bytes[..<cut.lowerBound] + bytes[cut.upperBound...]), "\(cut)") }
  }

  /// Made with its items, in one write: that the record behind the header is good says that it was made.
  @Test func aBadHeaderBeforeAGoodRecordIsDamage() throws {
    var bytes: [UInt8] = []
    var header = LogRecord.Header(name: "a", contentType: "text/plain", createdAt: 1, usedAt: 1)
    header.hasFirstItems = true
    LogRecord(position: 0, synced: 0, body: .header(header)).append(to: &bytes)
    LogRecord(position: 0, synced: 0, body: .items(StreamAppend(items: [[1]]), time: 1)).append(to: &bytes)
    bytes[40] ^= 1
    try Self.expectDamage(bytes, "header")
  }

  private static func expectDamage(_ bytes: [UInt8], _ what: String) throws {
    let path = "/tmp/streams/a@0000000000000000.log"
    let bench = Bench()
    try bench.open().create("other", contentType: "text/plain")
    bench.close()
    bench.disk.setContent(path, bytes)
    let report = try StoreCheckTests.check(bench)
    #expect(
      report.isDamaged && report.findings.map(\.file) == ["a@0000000000000000.log"], "\(what): \(report.findings)")
    for _ in 0..<2 {
      let under = try bench.open()
      #expect(try under.list().map { $0.damage?.code } == ["StreamDamaged", nil], "\(what)")
      #expect(under.failure { try $0.append("a", ["new"]) }?.code == "StreamDamaged", "\(what)")
      #expect(under.failure { try $0.create("a", contentType: "text/plain") }?.code == "StreamDamaged", "\(what)")
      bench.close()
      #expect(bench.disk.content(path) == bytes, "\(what)")
    }
  }

  /// Nothing that a client is told names a file of the machine.
  @Test func noMessageNamesAFile() {
    let failures: [DiskFailure] = [
      .notFound("/p/q"), .exists("/p/q"), .denied("/p/q"), .full("/p/q"), .tooLarge("/p/q", limit: 1),
      .locked("/p/q", by: 1), .busy("/p/q"), .noDescriptor("/p/q"), .removed("/p/q"),
      .other("/p/q", "input/output error"),
    ]
    for failure in failures { #expect(!StoreFailure(failure).message.contains("/p"), "\(failure)") }
    #expect(StoreFailure(.notFound("/dev/null/lock"), opening: "/dev/null").hint?.contains("WEIR_STORE") == true)
    #expect(StoreFailure(.denied("/p"), opening: "fs/st").description.contains("fs/st: no permission (name a folder"))
  }

  /// Eight megabytes of what looks like records, behind one that is bad: a few times as much is looked at, not all of it for each.
  @Test func falseRecordsCostLittle() {
    var bytes: [UInt8] = []
    LogRecord(position: 0, synced: 0, body: .header(.init(name: "a", contentType: "t", createdAt: 1, usedAt: 1)))
      .append(to: &bytes)
    let synced = UInt64(bytes.count)
    LogRecord(position: 0, synced: synced, body: .items(StreamAppend(items: [[1]]), time: 1)).append(to: &bytes)
    bytes[Int(synced) + 40] ^= 1
    let end = UInt64(bytes.count)
    let size = 1 << 20
    var forged: [UInt8] = []
    while forged.count + 56 < size {
      forged += LogRecord.marker
      forged.append(little: UInt32(size - forged.count - 52))
      forged.append(little: UInt64(0))
      forged.append(little: end)
      forged.append(little: UInt32(0))
    }
    LogRecord(position: 1, synced: end, body: .items(StreamAppend(items: [forged]), time: 1)).append(to: &bytes)
    let start = ContinuousClock.now
    let check = SegmentCheck(bytes)
    #expect(check.flaw?.place == Int(synced) && check.scan.verdict == .damaged)
    // 37 000 checksums of half a megabyte would take minutes.
    #expect(ContinuousClock.now - start < .seconds(20))
  }
}
