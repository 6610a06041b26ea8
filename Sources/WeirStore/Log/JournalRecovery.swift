import WeirCore

/// What a journal that was left behind has for the files of its folder.
struct JournalContent {
  /// What has to be there, in the order written, by file.
  private(set) var patches: [String: [(place: Int, bytes: [UInt8])]] = [:]
  /// Files that are to be made if they are not there.
  private(set) var made: Set<String> = []
  /// Journal files in which something that had been on disk is no entry any more.
  private(set) var damaged: [String] = []
  /// Journal files that are there, in the order in which they may go: what is in a newer one makes void what an older one has.
  private(set) var files: [String] = []

  static func read(_ directory: String, _ disk: any Disk, _ answer: @escaping Answer<JournalContent>) {
    var found: [(file: String, bytes: [UInt8])] = []
    func next(_ rest: ArraySlice<String>) {
      guard let file = rest.first else { return answer(.success(JournalContent(found))) }
      disk.read(directory + "/" + file, limit: sizeLimit) { result in
        switch result {
        case .failure(.notFound): break
        case .failure(let failure): return answer(.failure(StoreFailure(failure)))
        case .success(let bytes): found.append((file, bytes))
        }
        next(rest.dropFirst())
      }
    }
    next(CommitJournal.fileNames[...])
  }

  /// More than a journal's file ever has.
  private static let sizeLimit = 128 << 20

  init(_ found: [(file: String, bytes: [UInt8])] = []) {
    let scans = found.map { (file: $0.file, bytes: $0.bytes, scan: JournalEntry.Scan($0.bytes)) }
      .sorted { ($0.scan.entries.first?.round ?? 0) < ($1.scan.entries.first?.round ?? 0) }
    files = scans.map(\.file)
    let key = scans.last?.scan.entries.first?.key
    var done: UInt64 = 0
    for (_, _, scan) in scans {
      for entry in scan.entries where entry.key == key {
        if case .done(let round) = entry.body { done = max(done, round) }
      }
    }
    var live: [JournalEntry] = []
    for (file, bytes, scan) in scans {
      // Behind what is not whole stands what an earlier round left, or, if that had been on disk, the rest of this one.
      let round = scan.entries.first?.round
      let stranded = scan.stranded(bytes, key: key).filter { $0.round > done && $0.round == round ?? $0.round }
      if !stranded.isEmpty { damaged.append(file) }
      // Nobody knows whose they are when no key is known.
      live += (scan.entries + (key == nil ? [] : stranded)).filter { $0.round > done && $0.key == key }
    }
    var files: [String: Set<String>] = [:]
    // Entries of one round stand in their order, in one file.
    for round in Set(live.map(\.round)).sorted() {
      for entry in live where entry.round == round {
        switch entry.body {
        case .write(let file, let isNew, let place, let bytes):
          if isNew { (patches[file], made) = (nil, made.union([file])) }
          patches[file, default: []].append((place, bytes))
          if let stem = LogFileName.parse(file)?.stem { files[stem, default: []].insert(file) }
        case .forget(let stem):
          for file in files.removeValue(forKey: stem) ?? [] {
            patches[file] = nil
            made.remove(file)
          }
        case .done: break
        }
      }
    }
  }

  /// `bytes`, a file as it is, as it has to be.
  func patched(_ file: String, _ bytes: [UInt8]) -> [UInt8] {
    var bytes = bytes
    for (place, piece) in patches[file] ?? [] {
      if place > bytes.count { bytes.append(contentsOf: repeatElement(0, count: place - bytes.count)) }
      bytes.replaceSubrange(place..<min(bytes.count, place + piece.count), with: piece)
    }
    return bytes
  }
}

/// Writes what a journal has to the files where it belongs, makes that durable, and removes the journal.
///
/// Doing it again changes nothing: after another crash on the way it begins anew. A journal that is damaged is kept beside the
/// others under another name, for `StoreCheck`.
final class JournalRecovery {
  private let content: JournalContent
  private let directory: String
  private let disk: any Disk
  private let answer: (DiskFailure?) -> Void

  private init(
    _ content: JournalContent, _ directory: String, _ disk: any Disk, _ answer: @escaping (DiskFailure?) -> Void
  ) {
    self.content = content
    self.directory = directory
    self.disk = disk
    self.answer = answer
  }

  static let damagedSuffix = ".damaged"

  /// The folder's lock is held.
  static func run(_ directory: String, _ disk: any Disk, _ answer: @escaping (StoreFailure?) -> Void) {
    JournalContent.read(directory, disk) { result in
      switch result {
      case .failure(let failure): answer(failure)
      case .success(let content):
        if content.files.isEmpty { return answer(nil) }
        let recovery = JournalRecovery(content, directory, disk) { answer($0.map(StoreFailure.init)) }
        recovery.write(content.patches.keys.sorted()[...])
      }
    }
  }

  private func write(_ rest: ArraySlice<String>) {
    guard let name = rest.first else { return settle() }
    let path = directory + "/" + name
    func open(_ mode: DiskMode) {
      disk.open(path, mode) { [self] result in
        switch result {
        case .success(let file): write(content.patches[name, default: []][...], file, rest)
        case .failure(.notFound):
          // Deleted since, or to be made.
          if mode == .readWrite, content.made.contains(name) { open(.create) } else { write(rest.dropFirst()) }
        case .failure(let failure): answer(failure)
        }
      }
    }
    open(.readWrite)
  }

  private func write(
    _ patches: ArraySlice<(place: Int, bytes: [UInt8])>, _ file: any DiskFile, _ rest: ArraySlice<String>
  ) {
    guard let first = patches.first else {
      return file.synchronize { [self] failure in
        file.close()
        if let failure { answer(failure) } else { write(rest.dropFirst()) }
      }
    }
    // What follows on it goes with it.
    var (place, bytes) = first
    var left = patches.dropFirst()
    while let more = left.first, more.place == place + bytes.count, bytes.count < 1 << 20 {
      bytes += more.bytes
      left.removeFirst()
    }
    file.write(bytes, at: place) { [self] failure in
      if let failure {
        file.close()
        return answer(failure)
      }
      write(left, file, rest)
    }
  }

  private func settle() {
    disk.synchronizeDirectory(directory) { [self] failure in
      if let failure { return answer(failure) }
      keep(content.files[...])
    }
  }

  private func keep(_ rest: ArraySlice<String>) {
    guard let name = rest.first else { return answer(nil) }
    let path = directory + "/" + name
    let gone = { [self] (failure: DiskFailure?) in
      if let failure { return answer(failure) }
      disk.synchronizeDirectory(directory) { [self] failure in
        if let failure { answer(failure) } else { keep(rest.dropFirst()) }
      }
    }
    if content.damaged.contains(name) {
      disk.rename(path, path + Self.damagedSuffix, gone)
    } else {
      disk.remove(path, gone)
    }
  }
}
