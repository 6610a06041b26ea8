import Foundation
import Testing
import WeirCore
import WeirTesting

@testable import WeirStore

/// Files of a folder may be anything: whatever stands in one of them, the store opens and the other streams are as they were.
@Suite struct HostileFilesTests {
  private static let folder = GoldenFormatTests.folder
  private static let numbers: [UInt64] = [
    0, 1, 1 << 31, 1 << 32, 1 << 40, 1 << 52, (1 << 52) + 1, 1 << 62, UInt64(Int64.max), 1 << 63, (1 << 63) + 1,
    .max - 1,
    .max, UInt64(bitPattern: -62_135_596_800_000), Offset.limit, Offset.limit + 1,
  ]

  /// Any field of any record of every kind has any value, under a checksum that is right. `WEIR_SEED=n` repeats one,
  /// `WEIR_ROUNDS=n` makes n times as many.
  @Test func noValueOfAFieldStopsTheStore() throws {
    let environment = ProcessInfo.processInfo.environment
    let first = environment["WEIR_SEED"].flatMap { UInt64($0) } ?? 1
    let rounds = 100 * (environment["WEIR_ROUNDS"].flatMap { UInt64($0) } ?? 1)
    let golden = try GoldenFormatTests.kept()
    for seed in first..<first + rounds {
      let random = SeededRandom(seed: seed)
      let simulation = GoldenFormatTests.world()
      for (name, bytes) in golden { simulation.disk.setContent(Self.folder + "/" + name, bytes) }
      let files = golden.keys.filter { !$0.hasSuffix(".gone") }.sorted()
      let file = files[random.int(below: files.count)]
      var bytes = try #require(golden[file])
      for _ in 0...random.int(below: 3) { Self.forge(&bytes, random) }
      simulation.disk.setContent(Self.folder + "/" + file, bytes)
      try Self.use(simulation, sparing: file, seed)
    }
  }

  /// The values that an adversary would choose.
  @Test(arguments: [Int64.max, .min, 1 << 62, -(1 << 53), (1 << 52) + 1]) func noMomentStopsTheStore(_ moment: Int64)
    throws
  {
    let lifetimes: [StreamLifetime?] = [nil, .idle(seconds: StreamLifetime.secondsLimit), .until(moment), .until(0)]
    for (number, lifetime) in lifetimes.enumerated() {
      let simulation = GoldenFormatTests.world()
      var header = LogRecord.Header(name: "a", contentType: "t", createdAt: 1, lifetime: lifetime, usedAt: moment)
      let producers = (0..<StreamWriters.producersLimit).map {
        (ProducerID("\($0)"), StreamWriters.Producer(epoch: 0, sequence: .max, time: moment))
      }
      if number == 0 {
        header.writers = StreamWriters(producers: Dictionary(uniqueKeysWithValues: producers), sequence: nil)
      }
      for isUsed in [false, true] {
        header.usedAt = isUsed ? 1 : moment
        var bytes: [UInt8] = []
        LogRecord(position: 0, synced: 0, body: .header(header)).append(to: &bytes)
        LogRecord(position: 0, synced: UInt64(bytes.count), body: .use(time: moment)).append(to: &bytes)
        simulation.disk.setContent(Self.folder + "/a@0000000000000000.\(lifetime == nil ? "log" : "origin")", bytes)
        try Self.use(simulation, sparing: "a@", UInt64(number))
      }
    }
  }

  /// Overwrites a field of one record, and makes its checksum right.
  private static func forge(_ bytes: inout [UInt8], _ random: SeededRandom) {
    var records: [Range<Int>] = []
    var at = 0
    while case .record(_, let end) = LogRecord.read(bytes, at: at) {
      records.append(at..<end)
      at = end
    }
    guard !records.isEmpty else { return }
    let record = records[random.int(below: records.count)]
    // Everything but the marker and the length, which say where it ends.
    let place = random.int(record.lowerBound + 8...record.upperBound - 1)
    let value =
      random.chance(0.3)
      ? random.bytes(8) : withUnsafeBytes(of: numbers[random.int(below: numbers.count)]) { Array($0) }
    for (offset, byte) in value.prefix(random.chance(0.7) ? 8 : random.int(1...8)).enumerated()
    where place + offset < record.upperBound { bytes[place + offset] = byte }
    bytes.store(little: LogRecord.checksum(bytes, record.lowerBound, record.upperBound), at: record.lowerBound + 24)
  }

  /// Everything is asked of every stream but `bytes`, which is as it was unless its own file is another.
  private static func use(_ simulation: SimulatedWorld, sparing file: String, _ seed: UInt64) throws {
    let (store, under) = try GoldenFormatTests.open(simulation)
    for status in try under.list() where status.name.path != "bytes" {
      let name = status.name.path
      if let batch = try? under.readAll(name) { #expect(batch.items.count <= 1_000, "seed \(seed)") }
      _ = try? under.append(name, StreamAppend(items: [[1]], producer: ProducerStamp(id: "new", epoch: 0, sequence: 0)))
      _ = try? under.append(name, StreamAppend(items: [], lifetime: .idle(seconds: 10)))
      _ = try? under.fork("forks/" + name, of: name)
    }
    var report: Result<StoreCheck.Report, StoreFailure>?
    StoreCheck.run(directory: folder, disk: simulation.disk) { report = $0 }
    simulation.loop.advance(by: .seconds(7_200))
    _ = try #require(report).get()
    store.close()
    let (again, other) = try GoldenFormatTests.open(simulation)
    if simulation.disk.paths.contains(folder + "/bytes@0000000000000000.log"), !file.hasPrefix("bytes") {
      #expect(try other.readAll("bytes").items.count == 2, "seed \(seed)")
    }
    again.close()
  }

  /// A fork of itself, two that are each other's source, and one whose segments name two sources: whoever reads them, and both at
  /// once, is answered.
  @Test(arguments: [true, false]) func noForkIsItsOwnBeginning(_ follows: Bool) throws {
    let simulation = GoldenFormatTests.world()
    func put(_ name: String, of source: String, at base: UInt64, _ kind: LogFileName.Kind) throws {
      var header = LogRecord.Header(name: name, contentType: "t", createdAt: 1, usedAt: 1)
      header.fork = StreamFork(source: try StreamName(source), offset: Offset(base))
      var bytes: [UInt8] = []
      LogRecord(position: base, synced: 0, body: .header(header)).append(to: &bytes)
      LogRecord(position: base, synced: UInt64(bytes.count), body: .items(StreamAppend(items: [[1]]), time: 1))
        .append(to: &bytes)
      simulation.disk.setContent(Self.folder + "/" + LogFileName.segment(name, base: base, kind), bytes)
    }
    try put("self", of: "self", at: 5, .origin)
    try put("a", of: "b", at: 5, .origin)
    try put("b", of: "a", at: 5, .origin)
    try put("c", of: "c2", at: 5, .origin)
    try put("c", of: "d", at: 6, .log)
    try put("d", of: "c", at: 5, .origin)
    let store: FileStreamStore
    if follows {
      var followed: Result<FileStreamStore, StoreFailure>?
      FileStreamStore.follow(directory: Self.folder, disk: simulation.disk, loop: simulation.loop) { followed = $0 }
      simulation.loop.advance(by: .seconds(1))
      store = try #require(followed).get()
    } else {
      store = try GoldenFormatTests.open(simulation).0
    }
    var codes: [String] = []
    let names = ["self", "a", "b", "c", "d"]
    for _ in 0..<2 {
      for name in names {
        store.read(try StreamName(name), from: .start, byteLimit: 100) { result in
          if case .failure(let failure) = result { codes.append(failure.code) } else { codes.append("read") }
        }
      }
      simulation.loop.advance(by: .seconds(1))
    }
    #expect(codes == Array(repeating: "StreamDamaged", count: 10))
    var report: Result<StoreCheck.Report, StoreFailure>?
    StoreCheck.run(directory: Self.folder, disk: simulation.disk) { report = $0 }
    simulation.loop.advance(by: .seconds(1))
    let damaged = Set(try #require(report).get().findings.filter(\.isDamage).map { $0.file.prefix { $0 != "@" } })
    #expect(damaged.isSuperset(of: ["self", "a", "b", "c"]), "\(damaged)")
    // A chain as long as it may be is none of these.
    if follows { return }
    let under = StoreUnderTest(store, simulation.loop)
    under.isTimed = true
    try under.create("0")
    try under.append("0", bytes: [[1]])
    for number in 1...ForkPoint.depthLimit { try under.fork("\(number)", of: "\(number - 1)") }
    #expect(try under.readAll("\(ForkPoint.depthLimit)").items.count == 1)
  }

  /// Entries of the journal as well.
  @Test func noEntryOfTheJournalStopsTheStore() throws {
    for seed in 1...80 as ClosedRange<UInt64> {
      let random = SeededRandom(seed: seed)
      let simulation = GoldenFormatTests.world()
      var bytes: [UInt8] = []
      for number in 0..<random.int(1...6) {
        let value = numbers[random.int(below: numbers.count)]
        let place = Int(clamping: value)
        let file = ["a@0000000000000000.log", "a@9999999999999999.log", "lock", "../x", ""][random.int(below: 5)]
        let body: JournalEntry.Body =
          random.chance(0.6)
          ? .write(
            file: file, isNew: random.chance(0.5), place: random.chance(0.5) ? place : 0, bytes: random.bytes(40))
          : random.chance(0.5) ? .done(round: value) : .forget(stem: "a")
        JournalEntry(
          key: 1, round: random.chance(0.9) ? 1 : value, synced: random.chance(0.8) ? UInt64(bytes.count) : value,
          body: body
        ).append(to: &bytes)
        if random.chance(0.1), number > 0 { bytes[random.int(below: bytes.count)] ^= 1 }
      }
      simulation.disk.setContent(folder + "/" + CommitJournal.fileNames[random.int(below: 2)], bytes)
      simulation.disk.setContent(folder + "/lock", [])
      try Self.use(simulation, sparing: "bytes", seed)
      #expect(simulation.disk.paths.allSatisfy { $0.hasPrefix(folder) })
    }
  }

  private let folder = GoldenFormatTests.folder
  private let numbers = Self.numbers
}
