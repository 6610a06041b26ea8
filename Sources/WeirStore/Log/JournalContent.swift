import WeirCore

/// What a journal that was left behind has for the files of its folder.
struct JournalContent {
  /// What has to be there, in the order written, by file.
  fileprivate(set) var patches: [String: [(place: Int, bytes: [UInt8])]] = [:]
  /// Files that are to be made if they are not there.
  fileprivate(set) var made: Set<String> = []
  /// Journal files in which something that had been on disk is no entry any more.
  fileprivate(set) var damaged: [String] = []
  /// Journal files that are there, in the order in which they may go: what is in a newer one makes void what an older one has.
  fileprivate(set) var files: [String] = []

  /// With a `loop` a long one is read in pieces, and whatever else the loop has to do comes between.
  static func read(
    _ directory: String, _ disk: any Disk, on loop: (any Loop)? = nil, _ answer: @escaping Answer<JournalContent>
  ) {
    var found: [(file: String, bytes: [UInt8])] = []
    func next(_ rest: ArraySlice<String>) {
      guard let file = rest.first else {
        let reader = JournalReader(found)
        return Pieces.run(on: loop, { reader.step() }, then: { answer(.success(reader.content)) })
      }
      disk.read(directory + "/" + file, limit: sizeLimit) { result in
        switch result {
        case .failure(.notFound): break
        case .failure(let failure): return answer(.failure(StoreFailure(failure, opening: directory)))
        case .success(let bytes): found.append((file, bytes))
        }
        next(rest.dropFirst())
      }
    }
    next(CommitJournal.fileNames[...])
  }

  /// More than a journal's file ever has.
  private static let sizeLimit = 128 << 20

  /// `bytes`, a file as it is, as it has to be.
  func patched(_ file: String, _ bytes: [UInt8]) -> [UInt8] { patched(file, bytes, from: 0, count: .max) }

  /// The same of a part of the file: `bytes`, which begin at `start`, and at most `count` of them are wanted.
  func patched(_ file: String, _ bytes: [UInt8], from start: Int, count: Int) -> [UInt8] {
    guard let pieces = patches[file] else { return bytes }
    let limit = start.addingReportingOverflow(count).overflow ? Int.max : start + count
    let end = min(limit, max(start + bytes.count, size(of: file)))
    var bytes = bytes
    if end > start + bytes.count { bytes.append(contentsOf: repeatElement(0, count: end - start - bytes.count)) }
    for (place, piece) in pieces {
      let (first, last) = (max(place, start), min(place + piece.count, end))
      guard first < last else { continue }
      bytes.replaceSubrange(first - start..<last - start, with: piece[first - place..<last - place])
    }
    return bytes
  }

  /// Where the last of what has to be in the file ends.
  func size(of file: String) -> Int { patches[file]?.reduce(0) { max($0, $1.place + $1.bytes.count) } ?? 0 }
}

/// Reads the files of a journal, in steps.
private final class JournalReader {
  private(set) var content = JournalContent()
  private var found: [(file: String, bytes: [UInt8], scan: JournalEntry.Scan)]
  private var scanned = 0
  private var live: ArraySlice<JournalEntry>?
  private var byStem: [String: Set<String>] = [:]
  /// Entries of one step: some milliseconds.
  private static let stride = 500
  /// Bytes that follow on each other are one piece up to here.
  private static let pieceLimit = 1 << 20

  init(_ found: [(file: String, bytes: [UInt8])]) { self.found = found.map { ($0.file, $0.bytes, .init()) } }

  /// False: all has been read.
  func step() -> Bool {
    if scanned < found.count {
      if !found[scanned].scan.goOn(found[scanned].bytes, limit: Self.stride) { scanned += 1 }
      return true
    }
    guard let rest = live else {
      live = sort()
      return true
    }
    for entry in rest.prefix(Self.stride) { take(entry) }
    live = rest.dropFirst(Self.stride)
    return live?.isEmpty == false
  }

  /// The entries that count.
  private func sort() -> ArraySlice<JournalEntry> {
    found.sort { ($0.scan.entries.first?.round ?? 0) < ($1.scan.entries.first?.round ?? 0) }
    content.files = found.map(\.file)
    let key = found.last?.scan.entries.first?.key
    var done: UInt64 = 0
    for (_, _, scan) in found {
      for entry in scan.entries where entry.key == key {
        if case .done(let round) = entry.body { done = max(done, round) }
      }
    }
    var live: [JournalEntry] = []
    for (file, bytes, scan) in found {
      // Behind what is not whole stands what an earlier round left, or, if that had been on disk, the rest of this one.
      let round = scan.entries.first?.round
      let stranded = scan.stranded(bytes, key: key).filter { $0.round > done && $0.round == round ?? $0.round }
      if !stranded.isEmpty { content.damaged.append(file) }
      // Nobody knows whose they are when no key is known.
      live += (scan.entries + (key == nil ? [] : stranded)).filter { $0.round > done && $0.key == key }
    }
    found = []
    // Entries of one round stand in their order, in one file.
    let rounds = Dictionary(grouping: live.indices) { live[$0].round }.sorted { $0.key < $1.key }
    return rounds.flatMap { $0.value.map { live[$0] } }[...]
  }

  private func take(_ entry: JournalEntry) {
    switch entry.body {
    case .write(let file, let isNew, let place, let bytes):
      if isNew {
        content.patches[file] = nil
        content.made.insert(file)
      }
      add(bytes, at: place, to: file)
      if let stem = LogFileName.parse(file)?.stem { byStem[stem, default: []].insert(file) }
    case .forget(let stem):
      for file in byStem.removeValue(forKey: stem) ?? [] {
        content.patches[file] = nil
        content.made.remove(file)
      }
    case .done: break
    }
  }

  private func add(_ bytes: [UInt8], at place: Int, to file: String) {
    let last = (content.patches[file]?.count ?? 0) - 1
    if last >= 0, let piece = content.patches[file]?[last], piece.bytes.count < Self.pieceLimit,
      piece.place + piece.bytes.count == place
    {
      content.patches[file]?[last].bytes += bytes
    } else {
      content.patches[file, default: []].append((place, bytes))
    }
  }
}

/// Work of many steps, which gives way to whatever else its loop has to do.
enum Pieces {
  /// `step` says whether there is more to do.
  static func run(on loop: (any Loop)?, _ step: @escaping () -> Bool, then done: @escaping () -> Void) {
    guard step() else { return done() }
    guard let loop else {
      while step() {}
      return done()
    }
    // No job of this turn: those are all done before anybody who waits for a socket.
    _ = loop.after(.zero) { run(on: loop, step, then: done) }
  }
}
