import WeirCore

/// The files of one stream: where its segments begin, ascending.
struct StreamFiles: Equatable {
  var bases: [UInt64]
  /// Of its first segment. Nil: that one is gone, the stream was deleted, and these could not be removed.
  var first: LogFileName.Kind?

  /// The file of the segment that begins at `base`.
  func name(_ stem: String, _ base: UInt64) -> String {
    LogFileName.segment(stem, base: base, base == bases.first ? first ?? .log : .log)
  }
}

/// A store's folder as it is found: locked, its files listed, and what a crash left half deleted cleared away; or only looked
/// at, while another process writes to it.
struct StoreFolder {
  static let lockName = "lock"

  /// Nil: only looked at.
  let lock: (any DiskFile)?
  private(set) var streams: [StreamName: StreamFiles] = [:]
  /// Deleted, and kept for their forks.
  private(set) var gone: Set<StreamName> = []
  /// Of streams that are forks or have a lifetime.
  private(set) var headers: [StreamName: LogRecord.Header] = [:]

  private init(lock: (any DiskFile)?) { self.lock = lock }

  static func open(_ directory: String, _ disk: any Disk, _ answer: @escaping Answer<StoreFolder>) {
    make(directory, disk) { failure in
      if let failure { return answer(.failure(StoreFailure(failure))) }
      disk.open(directory + "/" + lockName, .lock) { result in
        switch result {
        case .failure(.locked(_, let holder)): answer(.failure(.held(directory, by: holder)))
        case .failure(let failure): answer(.failure(StoreFailure(failure)))
        case .success(let lock):
          func failed(_ failure: DiskFailure) {
            lock.close()
            answer(.failure(StoreFailure(failure)))
          }
          func sort() {
            disk.list(directory) { result in
              switch result {
              case .failure(let failure): failed(failure)
              case .success(let names): Sorting(names, directory, disk, StoreFolder(lock: lock), failed, answer).look()
              }
            }
          }
          JournalRecovery.run(directory, disk) { failure in
            guard let failure else { return sort() }
            lock.close()
            answer(.failure(failure))
          }
        }
      }
    }
  }

  /// Durably, if it is not there.
  private static func make(_ directory: String, _ disk: any Disk, _ answer: @escaping (DiskFailure?) -> Void) {
    disk.makeDirectory(directory, isPrivate: true) { failure in
      if let failure { return answer(failure.code == "FileExists" ? nil : failure) }
      guard let slash = directory.lastIndex(of: "/") else { return disk.synchronizeDirectory(".", answer) }
      disk.synchronizeDirectory(slash == directory.startIndex ? "/" : String(directory[..<slash]), answer)
    }
  }

  /// Writes what the journal has of a store that nobody writes to where it belongs, so that all of it can be read. Nothing is
  /// wrong when that cannot be done: then what has not been lost is there.
  static func settle(_ directory: String, _ disk: any Disk, _ answer: @escaping () -> Void) {
    disk.list(directory) { result in
      guard case .success(let names) = result, names.contains(where: CommitJournal.fileNames.contains) else {
        return answer()
      }
      disk.open(directory + "/" + lockName, .lock) { result in
        guard case .success(let lock) = result else { return answer() }
        JournalRecovery.run(directory, disk) { _ in
          lock.close()
          answer()
        }
      }
    }
  }

  /// Changes nothing.
  static func look(_ directory: String, _ disk: any Disk, _ answer: @escaping Answer<StoreFolder>) {
    func failed(_ failure: DiskFailure) { answer(.failure(StoreFailure(failure))) }
    disk.list(directory) { result in
      switch result {
      case .failure(let failure): failed(failure)
      case .success(let names): Sorting(names, directory, disk, StoreFolder(lock: nil), failed, answer).look()
      }
    }
  }

  /// Says which files are whose. One after the other: a store is opened once.
  private final class Sorting {
    private let directory: String
    private let disk: any Disk
    private var folder: StoreFolder
    private let failed: (DiskFailure) -> Void
    private let answer: Answer<StoreFolder>
    /// In the order in which they may go.
    private var leftovers: [String] = []
    /// Whose header must be read: what is forked or has a lifetime, and what hides its name behind a hash.
    private var unread: ArraySlice<(stem: String, files: StreamFiles, isGone: Bool)> = []

    init(
      _ names: [String], _ directory: String, _ disk: any Disk, _ folder: StoreFolder,
      _ failed: @escaping (DiskFailure) -> Void, _ answer: @escaping Answer<StoreFolder>
    ) {
      self.directory = directory
      self.disk = disk
      self.folder = folder
      self.failed = failed
      self.answer = answer
      var stems: [String: StreamFiles] = [:]
      var gone: Set<String> = []
      for (stem, base, kind) in names.compactMap(LogFileName.parse) {
        if kind == .gone {
          gone.insert(stem)
          continue
        }
        stems[stem, default: StreamFiles(bases: [])].bases.append(base)
        if kind == .origin || base == 0 { stems[stem]?.first = kind }
      }
      for stem in gone where stems[stem] == nil { stems[stem] = StreamFiles(bases: []) }
      for (stem, found) in stems.sorted(by: { $0.key < $1.key }) {
        var files = found
        files.bases.sort()
        let isGone = gone.contains(stem)
        guard let first = files.first else {
          // Its first segment has gone: it was being deleted. The sign that it was is the last to go.
          leftovers += files.bases.map { LogFileName.segment(stem, base: $0, .log) }
          if isGone { leftovers.append(LogFileName.gone(stem)) }
          continue
        }
        if let name = LogFileName.name(stem), first != .origin {
          add(name, files, isGone)
        } else if LogFileName.name(stem) != nil || stem.hasPrefix("=") {
          unread.append((stem, files, isGone))
        }
      }
    }

    private func add(_ name: StreamName, _ files: StreamFiles, _ isGone: Bool) {
      folder.streams[name] = files
      if isGone { folder.gone.insert(name) }
    }

    func look() {
      guard let (stem, files, isGone) = unread.popFirst(), let base = files.bases.first else { return clear() }
      let path = directory + "/" + files.name(stem, base)
      disk.open(path, .read) { [self] result in
        switch result {
        // Its writer has deleted it since it was listed.
        case .failure(.notFound) where folder.lock == nil: look()
        case .failure(let failure): failed(failure)
        case .success(let file):
          file.read(at: 0, count: LogRecord.headerLimit) { [self] result in
            file.close()
            switch result {
            case .failure(let failure): failed(failure)
            case .success(let bytes):
              sort(bytes, stem, files, isGone)
              look()
            }
          }
        }
      }
    }

    private func sort(_ bytes: [UInt8], _ stem: String, _ files: StreamFiles, _ isGone: Bool) {
      if case .record(let record, _) = LogRecord.read(bytes, at: 0), case .header(let header) = record.body,
        let name = try? StreamName(header.name), LogFileName.stem(name) == stem
      {
        add(name, files, isGone)
        if files.first == .origin { folder.headers[name] = header }
      } else if files.bases.count == 1, bytes.count < LogRecord.headerLimit, LogScan(bytes).verdict == .torn {
        // It was being made, and nobody was told of it.
        leftovers.append(files.name(stem, files.bases[0]))
        if isGone { leftovers.append(LogFileName.gone(stem)) }
      } else if let name = LogFileName.name(stem) {
        // Whoever asks for it is told what is wrong.
        add(name, files, isGone)
      }
    }

    private func clear() {
      guard !leftovers.isEmpty, folder.lock != nil else { return answer(.success(folder)) }
      let path = directory + "/" + leftovers.removeFirst()
      disk.remove(path) { [self] failure in
        // A stream made anew under its name would take it for its own.
        if let failure, failure.code != "FileNotFound" { return failed(failure) }
        clear()
      }
    }
  }
}
