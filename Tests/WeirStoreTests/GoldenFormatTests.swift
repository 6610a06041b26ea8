import Foundation
import Testing
import WeirCore
import WeirTesting

@testable import WeirStore

/// Files of format 1, kept as they were written once: what reads them must always read this out of them, and the same
/// operations at the same times must always write these bytes. A change that fails here is a new version of the format
/// (docs/store-format.md). `WEIR_UPDATE_GOLDEN=1` writes them anew.
@Suite struct GoldenFormatTests {
  static let golden = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appending(path: "golden/format-1")
  static let folder = "/tmp/streams"
  static let limits: FileStreamStore.Limits = {
    var limits = FileStreamStore.Limits()
    // Some appends of the longest stream make a second segment.
    limits.segmentLimit = 1200
    return limits
  }()

  /// Nothing takes time but what the test lets pass: 20 ms for each operation.
  static func world() -> SimulatedWorld {
    var faults = SimulatedFaults.calm
    faults.diskLatency = .zero ... .zero
    return SimulatedWorld(seed: 1, faults: faults)
  }

  static func open(_ simulation: SimulatedWorld, _ limits: FileStreamStore.Limits = limits) throws
    -> (FileStreamStore, StoreUnderTest)
  {
    var result: Result<FileStreamStore, StoreFailure>?
    FileStreamStore.open(
      directory: folder, disk: simulation.disk, loop: simulation.loop, limits: limits, key: 0x0123_4567_89ab_cdef
    ) { result = $0 }
    simulation.loop.advance(by: .milliseconds(20))
    let store = try #require(result).get()
    let under = StoreUnderTest(store, simulation.loop)
    under.isTimed = true
    return (store, under)
  }

  /// Every kind of record and of file that there is.
  static func write(_ under: StoreUnderTest) throws {
    let producer = { (sequence: UInt64) in ProducerStamp(id: "writer é", epoch: 7, sequence: sequence) }
    try under.create("runs/Text 1", contentType: "text/plain; charset=utf-8")
    for number in 0..<30 { try under.append("runs/Text 1", ["line \(number) é\n", ""]) }
    try under.append("runs/Text 1", ["the last\n"], ending: .closed)

    try under.create(
      "json", StreamCreation(contentType: "application/json", items: [Array(#"{"made":"with"}"#.utf8)]))
    for number in 0..<3 as Range<UInt64> {
      try under.append(
        "json",
        StreamAppend(items: [Array("\(number)".utf8)], producer: producer(number), sequence: "seq-\(number)"))
    }
    try under.append("json", StreamAppend(items: [], ending: .aborted(reason: "no é more"), producer: producer(3)))

    try under.create("bytes", contentType: "application/octet-stream")
    try under.append("bytes", bytes: [(0...255).map { UInt8($0) }, [0x57, 0x52, 0x65, 0x63]])

    // Two segments whose second one remembers the writers of the first.
    try under.create("written", contentType: "text/plain")
    for number in 0..<8 as Range<UInt64> {
      try under.append(
        "written",
        StreamAppend(
          items: [[UInt8](repeating: 0x61 + UInt8(number), count: 200)], producer: producer(number),
          sequence: "w\(number)"))
    }

    try under.create("idle", StreamCreation(contentType: "text/plain", lifetime: .idle(seconds: 3600)))
    try under.append("idle", ["used"])
    under.pass(milliseconds: 900_000)
    _ = try under.read("idle")
    try under.create("until", StreamCreation(contentType: "text/plain", lifetime: .until(4_000_000_000_000)))

    try under.fork("fork", of: "bytes", at: 1, sub: 2)
    try under.append("fork", bytes: [[9, 9]])
    try under.fork("whole fork", of: "json", at: 2)
    try under.create("source", contentType: "text/plain")
    try under.append("source", ["kept for its fork"])
    try under.fork("child", of: "source")
    try under.delete("source")
    try under.create(String(repeating: "Ü", count: 100), contentType: "text/plain")

    try under.create("kept", contentType: "text/plain")
    try under.append("kept", ["x"], ending: .closed)
    try under.append("kept", StreamAppend(items: [], lifetime: .idle(seconds: 7200)))
  }

  static func files(_ simulation: SimulatedWorld) -> [String: [UInt8]] {
    var files: [String: [UInt8]] = [:]
    for path in simulation.disk.paths where path.hasPrefix(folder) && !path.hasSuffix("/lock") {
      files[String(path.dropFirst(folder.count + 1))] = simulation.disk.content(path)
    }
    return files
  }

  static func kept(_ golden: URL = golden) throws -> [String: [UInt8]] {
    var files: [String: [UInt8]] = [:]
    for name in try FileManager.default.contentsOfDirectory(atPath: golden.path) {
      files[name] = [UInt8](try Data(contentsOf: golden.appending(path: name)))
    }
    return files
  }

  private static func compare(_ written: [String: [UInt8]], _ golden: URL) throws -> [String: [UInt8]] {
    if ProcessInfo.processInfo.environment["WEIR_UPDATE_GOLDEN"] == "1" {
      try? FileManager.default.removeItem(at: golden)
      try FileManager.default.createDirectory(at: golden, withIntermediateDirectories: true)
      for (name, bytes) in written { try Data(bytes).write(to: golden.appending(path: name)) }
    }
    let kept = try Self.kept(golden)
    #expect(written.keys.sorted() == kept.keys.sorted())
    for (name, bytes) in kept { #expect(written[name] == bytes, "\(name)") }
    return kept
  }

  /// What power loss leaves when nothing reached the disk but what was synchronised: a round that is done, one that is not.
  @Test func theSameAppendsWriteTheSameJournal() throws {
    let golden = Self.golden.deletingLastPathComponent().appending(path: "journal-1")
    let simulation = Self.world()
    (simulation.disk.faults.lostWrite, simulation.disk.faults.tornWrite) = (1, 0)
    var limits = FileStreamStore.Limits()
    limits.journalLimit = 1_000
    let (store, under) = try Self.open(simulation, limits)
    for round in 0..<2 {
      try under.create("deleted \(round)", contentType: "text/plain")
      try under.append("deleted \(round)", ["not to be there"])
      try under.create("kept é \(round)", contentType: "text/plain")
      for number in 0..<4 { try under.append("kept é \(round)", ["item \(number) of \(round)"]) }
      try under.append("kept é \(round)", [], ending: .closed)
      try under.delete("deleted \(round)")
    }
    withExtendedLifetime(store) {}
    simulation.disk.crash()
    var written = Self.files(simulation)
    // Behind them stand zeros, and what an earlier round left.
    for file in CommitJournal.fileNames {
      written[file] = written[file].map { Array($0.prefix(JournalEntry.Scan($0).end)) }
    }
    let kept = try Self.compare(written, golden)
    let bodies = CommitJournal.fileNames.flatMap { JournalEntry.Scan(kept[$0] ?? []).entries }.map(\.body)
    #expect(bodies.contains { if case .write(_, true, _, _) = $0 { true } else { false } })
    #expect(bodies.contains { if case .write(_, false, _, _) = $0 { true } else { false } })
    #expect(bodies.contains { if case .forget = $0 { true } else { false } })
    #expect(bodies.contains { if case .done = $0 { true } else { false } })

    let after = Self.world()
    for (name, bytes) in kept { after.disk.setContent(Self.folder + "/" + name, bytes) }
    let (again, reader) = try Self.open(after, limits)
    defer { withExtendedLifetime(again) {} }
    #expect(try reader.list().map(\.name.path) == ["kept é 0", "kept é 1"])
    for round in 0..<2 {
      let all = try reader.readAll("kept é \(round)")
      #expect(all.texts == (0..<4).map { "item \($0) of \(round)" } && all.ending == .closed)
    }
  }

  @Test func theSameOperationsWriteTheSameBytes() throws {
    let simulation = Self.world()
    let (store, under) = try Self.open(simulation)
    try Self.write(under)
    // What waits to be written down.
    under.pass(milliseconds: 100)
    store.synchronize { _ in }
    under.pass(milliseconds: 100)
    let written = Self.files(simulation)
    withExtendedLifetime(store) {}
    let kept = try Self.compare(written, Self.golden)
    #expect(kept.keys.filter { $0.hasPrefix("written@") }.count == 2)
  }

  @Test func whatWasKeptIsReadWhole() throws {
    let simulation = Self.world()
    for (name, bytes) in try Self.kept() { simulation.disk.setContent(Self.folder + "/" + name, bytes) }
    let (store, under) = try Self.open(simulation)
    defer { withExtendedLifetime(store) {} }
    let start = Self.world().loop.wallClock

    let text = try under.readAll("runs/Text 1")
    #expect(text.texts == (0..<30).flatMap { ["line \($0) é\n", ""] } + ["the last\n"])
    #expect(text.ending == .closed)
    let status = try under.status("runs/Text 1")
    #expect(status.contentType == "text/plain; charset=utf-8" && status.createdAt == start + 20)
    #expect(text.items.first?.time == start + 40)

    let json = try under.readAll("json")
    #expect(json.texts == [#"{"made":"with"}"#, "0", "1", "2"] && json.ending == .aborted(reason: "no é more"))
    // Its writer's last append is known, and so is who ended it.
    let stamp = ProducerStamp(id: "writer é", epoch: 7, sequence: 3)
    let again = try under.append("json", StreamAppend(items: [], ending: .closed, producer: stamp))
    #expect(again.isRepeat && again.ending == .aborted(reason: "no é more"))

    #expect(try under.readAll("bytes").items.map(\.bytes) == [(0...255).map { UInt8($0) }, [0x57, 0x52, 0x65, 0x63]])

    #expect(try under.readAll("written").items.map(\.bytes.count) == Array(repeating: 200, count: 8))
    let known = ProducerStamp(id: "writer é", epoch: 7, sequence: 7)
    #expect(try under.append("written", StreamAppend(items: [[1]], producer: known)).isRepeat)
    let late = under.failure { try $0.append("written", StreamAppend(items: [[1]], sequence: "w7")) }
    #expect(late?.code == "SequenceRegression")

    #expect(try under.status("until").lifetime == .until(4_000_000_000_000))
    let idle = try under.status("idle")
    // It was read a quarter of an hour after it was written: that use counts.
    #expect(idle.lifetime == .idle(seconds: 3600))
    #expect((idle.expiresAt ?? 0) - idle.createdAt > 4_900_000)

    let fork = try under.status("fork")
    #expect(fork.fork == StreamFork(source: try StreamName("bytes"), offset: Offset(1), subOffset: 2))
    #expect(try under.readAll("fork").items.map(\.bytes) == [(0...255).map { UInt8($0) }, [0x57, 0x52], [9, 9]])
    #expect(try under.readAll("whole fork").texts == [#"{"made":"with"}"#, "0"])
    #expect(try under.readAll("child").texts == ["kept for its fork"])
    #expect(under.failure { try $0.status("source") }?.code == "StreamGone")
    #expect(try under.status(String(repeating: "Ü", count: 100)).tail == .start)
    let kept = try under.status("kept")
    #expect(kept.lifetime == .idle(seconds: 7200) && kept.ending == .closed)
    #expect(kept.expiresAt == kept.createdAt + 40 + 8_100_000)
    #expect(try under.list().count == 11)

    var report: Result<StoreCheck.Report, StoreFailure>?
    StoreCheck.run(directory: Self.folder, disk: simulation.disk) { report = $0 }
    under.pass(milliseconds: 20)
    #expect(try #require(report).get().findings == [])
  }
}
