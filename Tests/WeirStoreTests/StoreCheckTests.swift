import Foundation
import Testing
import WeirCore
import WeirTesting

@testable import WeirStore

@Suite struct StoreCheckTests {
  typealias Bench = FileStreamStoreTests.Bench
  static let folder = "/tmp/streams"

  /// Streams of every shape in segments of a few hundred bytes, each append acknowledged by itself.
  static func filled(seed: UInt64 = 1) throws -> Bench {
    var limits = FileStreamStore.Limits()
    limits.segmentLimit = 600
    let bench = Bench(seed: seed, limits: limits)
    let under = try bench.open()
    try under.create("runs/A b", contentType: "text/plain")
    try under.create("json", StreamCreation(contentType: "application/json", items: [Array("1".utf8)]))
    try under.create(String(repeating: "é", count: 100), contentType: "text/plain")
    for number in 0..<40 {
      try under.append("runs/A b", ["item \(number) \(String(repeating: "x", count: number))"])
      try under.append(
        "json",
        StreamAppend(
          items: [Array("\(number)".utf8)], producer: ProducerStamp(id: "p", epoch: 1, sequence: UInt64(number)),
          sequence: "s\(100 + number)"))
      if number < 5 { try under.append(String(repeating: "é", count: 100), ["\(number)"]) }
    }
    try under.fork("fork", of: "runs/A b", at: 7, sub: 3)
    for number in 0..<10 { try under.append("fork", ["own \(number)"]) }
    try under.append("runs/A b", [], ending: .aborted(reason: "no more"))
    try under.delete("runs/A b")
    try under.append("json", [], ending: .closed)
    bench.close()
    return bench
  }

  static func check(_ bench: Bench) throws -> StoreCheck.Report {
    var result: Result<StoreCheck.Report, StoreFailure>?
    StoreCheck.run(directory: folder, disk: bench.disk) { result = $0 }
    bench.simulation.loop.run()
    return try #require(result).get()
  }

  @Test func aSoundStoreHasNoFindings() throws {
    let bench = try Self.filled()
    // A server's own files beside them are known.
    for name in ["link-secret", "webhook-key", "webhook-key.old", "wake-key"] {
      bench.disk.setContent(Self.folder + "/" + name, [1, 2, 3])
    }
    let report = try Self.check(bench)
    #expect(report.findings == [])
    #expect(report.streams == 4 && report.segments > 8)
    // Of the fork: the piece of an item, and its own ten.
    #expect(report.items == 40 + 41 + 5 + 11)
  }

  /// Power goes: whatever the files have lost, the journal has it, and nothing is damaged.
  @Test func afterPowerLossNothingIsDamaged() throws {
    for seed in 1...40 as ClosedRange<UInt64> {
      var faults = SimulatedFaults.calm
      // All, so that a file ends where it ended before, or some.
      faults.lostWrite = seed % 2 == 0 ? 1 : 0.6
      let bench = Bench(seed: seed, faults: faults)
      let under = try bench.open()
      for name in ["a", "b"] { try under.create(name, contentType: "text/plain") }
      bench.store?.synchronize { _ in }
      under.pump()
      for number in 0..<12 {
        try under.append("a", ["item \(number) of some length"])
        try under.fork("fork/\(number)", of: "a")
      }
      bench.crash()
      let report = try Self.check(bench)
      #expect(!report.isDamaged, "seed \(seed): \(report.findings)")
      #expect(report.items == 12, "seed \(seed)")
    }
  }

  /// Streams of many files, and forks with their sources, are deleted beside it.
  @Test func whatIsBeingDeletedIsNotDamaged() throws {
    for seed in 1...100 as ClosedRange<UInt64> {
      var limits = FileStreamStore.Limits()
      limits.segmentLimit = 300
      let bench = Bench(seed: seed, limits: limits)
      let under = try bench.open()
      for name in ["a", "b", "c", "source"] {
        try under.create(name, contentType: "text/plain")
        for number in 0..<12 { try under.append(name, ["item \(number) of some length"]) }
      }
      try under.fork("between", of: "source", at: 3)
      try under.delete("source")
      // What the journal has of them counts as there.
      bench.store?.synchronize { _ in }
      under.pump()
      var result: Result<StoreCheck.Report, StoreFailure>?
      StoreCheck.run(directory: Self.folder, disk: bench.disk) { result = $0 }
      let random = SeededRandom(seed: seed)
      for name in ["a", "b", "between", "c"] {
        let name = try StreamName(name)
        _ = bench.simulation.loop.after(.microseconds(random.int(below: 5_000))) {
          under.store.delete(name) { _ in }
        }
      }
      bench.simulation.loop.run()
      let report = try #require(result).get()
      #expect(!report.isDamaged, "seed \(seed): \(report.findings)")
    }
  }

  /// One bit of any file, anywhere but in the last record of a stream: a record that nothing stands behind cannot be told
  /// from a write that a crash tore, and is a note. `WEIR_SEED=n` repeats one, `WEIR_ROUNDS=n` makes n times as many.
  @Test func everyFlippedBitIsFound() throws {
    let environment = ProcessInfo.processInfo.environment
    let first = environment["WEIR_SEED"].flatMap { UInt64($0) } ?? 1
    let rounds = 400 * (environment["WEIR_ROUNDS"].flatMap { UInt64($0) } ?? 1)
    let bench = try Self.filled()
    let files = bench.disk.paths.filter { $0.hasSuffix(".log") || $0.hasSuffix(".origin") }
    let newest = Dictionary(grouping: files) { $0.prefix { $0 != "@" } }.compactMapValues { $0.max() }
    for seed in first..<first + rounds {
      let random = SeededRandom(seed: seed)
      let path = files[random.int(below: files.count)]
      let content = try #require(bench.disk.content(path))
      let place = random.int(below: content.count)
      var bytes = content
      bytes[place] ^= 1 << UInt8(random.int(below: 8))
      bench.disk.setContent(path, bytes)
      let report = try Self.check(bench)
      bench.disk.setContent(path, content)
      let isLast = newest.values.contains(path) && place >= Self.lastRecord(content)
      #expect(report.findings.contains { path.hasSuffix($0.file) }, "seed \(seed): \(path) at \(place)")
      #expect(report.isDamaged || isLast, "seed \(seed): \(path) at \(place): \(report.findings)")
      let first = report.findings.first { path.hasSuffix($0.file) && $0.isDamage }
      if let byte = first?.byte { #expect(byte <= place, "seed \(seed): \(path) at \(place), told at \(byte)") }
    }
    #expect(try Self.check(bench).findings == [])
  }

  private static func lastRecord(_ bytes: [UInt8]) -> Int {
    var (last, at) = (0, 0)
    while case .record(_, let end) = LogRecord.read(bytes, at: at) { (last, at) = (at, end) }
    return last
  }

  @Test func saysWhatIsLostAndWhatCanBeRead() throws {
    let bench = Bench()
    let under = try bench.open()
    try under.create("a", contentType: "text/plain")
    for number in 0..<10 { try under.append("a", ["item \(number)"]) }
    bench.close()
    let path = Self.folder + "/a@0000000000000000.log"
    var bytes = try #require(bench.disk.content(path))
    let place = try #require(bytes.indices.first { bytes[$0...].starts(with: "item 4".utf8) })
    bytes[place] ^= 0x20
    bench.disk.setContent(path, bytes)
    let finding = try #require(try Self.check(bench).findings.first)
    #expect(finding.isDamage && finding.file == "a@0000000000000000.log")
    #expect(finding.what == "the record there is not what was written: its checksum differs")
    #expect(finding.lost == "position 4, and the store reads nothing behind them")
    #expect(finding.readable == "positions 0 to 3")
  }

  @Test func filesThatDoNotBelongTogetherAreFound() throws {
    let cases: [(what: String, change: (Bench, [String]) throws -> Void)] = [
      ("fork of", { bench, _ in for path in bench.disk.paths where path.contains("runs%2f") { bench.remove(path) } }),
      ("ends at position", { bench, paths in bench.remove(paths.filter { $0.contains("/json@") }[1]) }),
      (
        "another stream's file",
        { bench, paths in
          let path = paths.filter { $0.contains("/json@") }[0]
          bench.disk.setContent(Self.folder + "/other@0000000000000000.log", bench.disk.content(path) ?? [])
        }
      ),
      ("no file of a store", { bench, _ in bench.disk.setContent(Self.folder + "/notes.txt", [1, 2, 3]) }),
      (
        "a record of",
        { bench, paths in
          let path = try #require(paths.last { $0.contains("/fork@") })
          bench.disk.setContent(path, Array((bench.disk.content(path) ?? []).dropLast(2)))
        }
      ),
      ("nothing in it", { bench, _ in bench.disk.setContent(Self.folder + "/new@0000000000000000.log", []) }),
    ]
    for (what, change) in cases {
      let bench = try Self.filled()
      try change(bench, bench.disk.paths)
      let before = bench.disk.paths.map { bench.disk.content($0) }
      let findings = try Self.check(bench).findings
      #expect(findings.contains { $0.what.contains(what) }, "\(what): \(findings)")
      #expect(bench.disk.paths.map { bench.disk.content($0) } == before, "\(what): something was changed")
    }
  }
}

extension FileStreamStoreTests.Bench {
  func remove(_ path: String) {
    disk.remove(path) { _ in }
    simulation.loop.run()
  }
}
