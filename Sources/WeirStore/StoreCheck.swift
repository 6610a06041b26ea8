import WeirCore

/// Reads every file of a store's folder wholly and says what is wrong with it (docs/store-format.md). It takes no lock and
/// changes nothing; a file at a time is in memory.
///
/// **Damage** is what a stream had and has no more, or what contradicts itself. A **note** is what a crash may leave and the
/// store clears away when it is next opened; nobody was promised it. A store that is being written to has a last record that is
/// not whole at times, which is a note as well.
package final class StoreCheck {
  package struct Finding: Equatable, Sendable {
    package var isDamage: Bool
    package var file: String
    /// Where in the file.
    package var byte: Int?
    package var what: String
    /// What cannot be read for it, and what still can.
    package var lost: String?
    package var readable: String?
  }

  package struct Report: Equatable, Sendable {
    package var findings: [Finding] = []
    package var streams = 0
    package var segments = 0
    /// That can be read, those of forks once.
    package var items: UInt64 = 0
    package var bytes = 0
    package var isDamaged: Bool { findings.contains { $0.isDamage } }
  }

  /// No segment is longer: `FileStreamStore.Limits.segmentLimit`, as far as it was ever raised, and one record more.
  private static let segmentBound = 256 << 20

  /// What else a server keeps in the folder of its store.
  private static let ofServers: Set<String> = ["link-secret", "webhook-key", "webhook-key.old", "wake-key"]

  private static let journalDamage = "a part of the journal is not what was written"

  private struct Segment {
    var file: String
    var base: UInt64
    var kind: LogFileName.Kind
    var check: (header: LogRecord.Header?, base: UInt64, tail: UInt64, isEnded: Bool, isWhole: Bool)?
  }

  /// A stream as far as other ones depend on it.
  private struct Stream {
    var file: String
    var base: UInt64
    var tail: UInt64
    var fork: StreamFork?
  }

  private let directory: String
  private let disk: any Disk
  private let answer: Answer<Report>
  private var report = Report()
  private var journal = JournalContent()
  private var stems: ArraySlice<(stem: String, segments: [Segment], isGone: Bool)> = []
  private var streams: [StreamName: Stream] = [:]
  private var gone: [StreamName: String] = [:]
  /// Of what some streams are forks nobody can tell: nothing that was deleted goes.
  private var hasUnknownForks = false
  /// Stems of streams that are deleted while they are looked at.
  private var going: Set<String> = []

  private init(_ directory: String, _ disk: any Disk, _ answer: @escaping Answer<Report>) {
    self.directory = directory
    self.disk = disk
    self.answer = answer
  }

  package static func run(directory: String, disk: any Disk, _ answer: @escaping Answer<Report>) {
    disk.list(directory) { result in
      switch result {
      case .failure(let failure): answer(.failure(StoreFailure(failure, opening: directory)))
      case .success(let names):
        let check = StoreCheck(directory, disk, answer)
        JournalContent.read(directory, disk) { result in
          switch result {
          case .success(let journal): check.journal = journal
          case .failure(let failure): check.damage(CommitJournal.fileNames[0], nil, failure.message)
          }
          check.sort(names)
          check.next()
        }
      }
    }
  }

  private func damage(_ file: String, _ byte: Int?, _ what: String, lost: String? = nil, readable: String? = nil) {
    report.findings.append(
      Finding(isDamage: true, file: file, byte: byte, what: what, lost: lost, readable: readable))
  }

  private func note(_ file: String, _ byte: Int?, _ what: String) {
    report.findings.append(Finding(isDamage: false, file: file, byte: byte, what: what))
  }

  private func sort(_ names: [String]) {
    var found: [String: [Segment]] = [:]
    var marks: Set<String> = []
    for name in journal.damaged { damage(name, nil, Self.journalDamage, lost: "what it had of the newest items") }
    for name in Set(names).union(journal.made) where name != StoreFolder.lockName && !Self.ofServers.contains(name) {
      if CommitJournal.fileNames.contains(name) { continue }
      if CommitJournal.fileNames.contains(where: { name == $0 + JournalRecovery.damagedSuffix }) {
        damage(
          name, nil, Self.journalDamage + "; it was kept when the store was opened, and can be removed",
          lost: "what it had of the newest items")
        continue
      }
      guard let (stem, base, kind) = LogFileName.parse(name) else {
        note(name, nil, "is no file of a store")
        continue
      }
      if kind == .gone {
        marks.insert(stem)
      } else {
        found[stem, default: []].append(Segment(file: name, base: base, kind: kind))
      }
    }
    for stem in marks where found[stem] == nil {
      note(LogFileName.gone(stem), nil, "the sign of a deleted stream of which nothing is left")
    }
    stems =
      found.sorted { $0.key < $1.key }.map { stem, segments in
        (stem, segments.sorted { ($0.base, $0.file) < ($1.base, $1.file) }, marks.contains(stem))
      }[...]
  }

  // MARK: One stream after the other

  private func next() {
    while let (stem, segments, isGone) = stems.popFirst() {
      if segments[0].kind == .origin || segments[0].base == 0 {
        return read(segments[...], []) { self.judge(stem, $0, isGone: isGone) }
      }
      for segment in segments {
        note(segment.file, nil, "what is left of a stream that was deleted: its first file has gone")
      }
    }
    relate()
    answer(.success(report))
  }

  private func read(_ rest: ArraySlice<Segment>, _ done: [Segment], _ then: @escaping ([Segment]) -> Void) {
    guard var segment = rest.first else {
      then(done)
      return next()
    }
    let path = directory + "/" + segment.file
    func failed(_ failure: DiskFailure) {
      damage(segment.file, nil, failure.message, lost: "everything in it")
      read(rest.dropFirst(), done + [segment], then)
    }
    disk.read(path, limit: Self.segmentBound) { [self] result in
      switch result {
      // Its writer has deleted it since it was listed, and the rest of the stream goes as well.
      case .failure(.notFound) where !journal.made.contains(segment.file):
        if let stem = LogFileName.parse(segment.file)?.stem { going.insert(stem) }
        next()
      case .failure(let failure) where failure.code != "FileNotFound": failed(failure)
      default:
        var bytes = (try? result.get()) ?? []
        var check = SegmentCheck(bytes)
        // What power loss took the journal gives back when the store is opened.
        if check.flaw != nil || check.scan.isUnmade || journal.size(of: segment.file) > bytes.count,
          journal.patches[segment.file] != nil
        {
          bytes = journal.patched(segment.file, bytes)
          check = SegmentCheck(bytes)
        }
        let scan = check.scan
        report.segments += 1
        report.bytes += bytes.count
        report.items += scan.tail - scan.base
        segment.check = (scan.header, scan.base, scan.tail, scan.ending != nil, check.flaw == nil && !bytes.isEmpty)
        look(check, segment, bytes.count, hasNext: rest.count > 1)
        read(rest.dropFirst(), done + [segment], then)
      }
    }
  }

  /// What is wrong inside a segment.
  private func look(_ check: SegmentCheck, _ segment: Segment, _ size: Int, hasNext: Bool) {
    let scan = check.scan
    if size == 0 {
      return note(segment.file, 0, "nothing in it: it was being made when a crash came")
    }
    if let flaw = check.flaw {
      let readable = scan.header == nil || scan.tail == scan.base ? nil : positions(scan.base, scan.tail)
      if scan.verdict == .damaged || hasNext {
        var lost = "positions from \(flaw.position) on"
        if let next = flaw.next, next.position > flaw.position {
          lost = "\(positions(flaw.position, next.position)), and the store reads nothing behind them"
        } else if scan.header == nil {
          lost = "everything in it"
        }
        return damage(segment.file, flaw.place, flaw.why, lost: lost, readable: readable)
      }
      note(
        segment.file, flaw.place,
        "\(flaw.why); nothing says that it was acknowledged, and the \(size - flaw.place) bytes go when the store is opened"
      )
    }
    if scan.isUnmade {
      note(segment.file, nil, "a stream that was being made when a crash came; it goes when the store is opened")
    }
  }

  /// What is wrong between a stream's segments, and with their names.
  private func judge(_ stem: String, _ segments: [Segment], isGone: Bool) {
    guard let first = segments.first, let header = first.check?.header else {
      if segments.first?.kind == .origin { hasUnknownForks = true }
      return
    }
    report.streams += 1
    for segment in segments {
      guard let check = segment.check, let own = check.header else { continue }
      if LogFileName.stem(ofPath: own.name) != stem || check.base != segment.base {
        damage(
          segment.file, 0,
          "holds \"\(own.name)\" from position \(check.base) on: it is another stream's file, or was renamed")
      }
      if own.createdAt != header.createdAt || own.contentType != header.contentType || own.fork != header.fork {
        damage(segment.file, 0, "its header does not agree with that of \(first.file)")
      }
    }
    if !first.kind.holds(header.kind) {
      damage(first.file, 0, "is named \(first.kind.rawValue) and holds what is named \(header.kind.rawValue)")
    }
    for (one, other) in zip(segments, segments.dropFirst()) {
      guard let check = one.check, check.isWhole else { continue }
      // Earlier versions gave a stream that had ended its lifetime in a file of its own.
      if check.isEnded, other.check.map({ $0.tail > $0.base || $0.isEnded }) != false {
        damage(other.file, 0, "the stream has ended in \(one.file)")
      }
      if check.tail < other.base {
        damage(
          other.file, 0, "\(one.file) ends at position \(check.tail)", lost: positions(check.tail, other.base))
      } else if check.tail > other.base {
        damage(other.file, 0, "\(one.file) has its positions up to \(check.tail) as well")
      }
    }
    guard let name = try? StreamName(header.name) else {
      return damage(first.file, 0, "\"\(header.name)\" is no stream's name")
    }
    let tail = segments.last?.check?.tail ?? first.base
    streams[name] = Stream(file: first.file, base: first.base, tail: tail, fork: header.fork)
    if isGone { gone[name] = LogFileName.gone(stem) }
  }

  /// What is wrong between streams.
  private func relate() {
    var sources: Set<StreamName> = []
    for (_, stream) in streams.sorted(by: { $0.key < $1.key }) {
      guard let fork = stream.fork else {
        if stream.base > 0 { damage(stream.file, 0, "begins at position \(stream.base), and is no fork") }
        continue
      }
      sources.insert(fork.source)
      let lost = stream.base > 0 ? positions(0, stream.base) : nil
      var (name, depth) = (fork.source, 1)
      while depth <= ForkPoint.depthLimit, let next = streams[name]?.fork { (name, depth) = (next.source, depth + 1) }
      if depth > ForkPoint.depthLimit {
        damage(stream.file, 0, "is a fork of itself, by way of \"\(fork.source)\"", lost: lost)
        continue
      }
      let start = fork.offset?.value ?? 0
      guard let source = streams[fork.source] else {
        if going.contains(LogFileName.stem(fork.source)) { continue }
        damage(stream.file, 0, "is a fork of \"\(fork.source)\", which is not there", lost: lost)
        continue
      }
      if start > source.tail {
        damage(
          stream.file, 0, "was forked at \(start), and \"\(fork.source)\" ends at \(source.tail)",
          lost: positions(source.tail, start))
      } else if stream.base < start || stream.base - start > fork.subOffset {
        damage(stream.file, 0, "begins at position \(stream.base), and was forked at \(start)")
      }
    }
    for (name, file) in gone.sorted(by: { $0.key < $1.key }) where !sources.contains(name) && !hasUnknownForks {
      note(file, nil, "\"\(name)\" was deleted and its last fork as well: it goes when the store is opened")
    }
  }

  private func positions(_ from: UInt64, _ upTo: UInt64) -> String {
    upTo - from == 1 ? "position \(from)" : "positions \(from) to \(upTo - 1)"
  }
}
