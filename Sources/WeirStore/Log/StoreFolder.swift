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
  /// Stems of streams that may be forks, and of what nobody knows: their first header cannot be read.
  private(set) var unknownForks: Set<String> = []
  /// Streams whose names nobody knows, by their stems: those are hashes, and their first header cannot be read.
  private(set) var nameless: [String: (files: StreamFiles, isGone: Bool)] = [:]

  private init(lock: (any DiskFile)?) { self.lock = lock }

  /// Locks it and clears it up. `names` makes its names durable, and is used here for the first time.
  static func open(
    _ directory: String, _ disk: any Disk, on loop: any Loop, names: FolderSync, _ answer: @escaping Answer<StoreFolder>
  ) {
    func fail(_ failure: DiskFailure) { answer(.failure(StoreFailure(failure, opening: directory))) }
    make(directory, disk) { failure in
      if let failure { return fail(failure) }
      takeLock(directory, disk, on: loop) { result in
        switch result {
        case .failure(let failure): fail(failure)
        case .success(let lock):
          func failed(_ failure: StoreFailure) {
            lock.close()
            answer(.failure(failure))
          }
          JournalRecovery.run(directory, disk, on: loop) { failure in
            if let failure { return failed(failure) }
            sort(StoreFolder(lock: lock), directory, disk, on: loop) { result in
              guard case .success = result else { return failed(result.failure ?? .unavailable("")) }
              // A file that an earlier process made may not be durable in the folder, and nobody would make it so any more.
              names.synchronize { failure in
                if let failure { failed(StoreFailure(failure, opening: directory)) } else { answer(result) }
              }
            }
          }
        }
      }
    }
  }

  /// Whoever only looks whether somebody has the lock has it for a moment (`DiskMode.unlocked`).
  private static func takeLock(
    _ directory: String, _ disk: any Disk, on loop: any Loop, tries: Int = 5,
    _ answer: @escaping (Result<any DiskFile, DiskFailure>) -> Void
  ) {
    disk.open(directory + "/" + lockName, .lock) { result in
      guard case .failure(.locked) = result, tries > 1 else { return answer(result) }
      _ = loop.after(.milliseconds(10)) { takeLock(directory, disk, on: loop, tries: tries - 1, answer) }
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

  /// Changes nothing.
  static func look(_ directory: String, _ disk: any Disk, on loop: any Loop, _ answer: @escaping Answer<StoreFolder>) {
    sort(StoreFolder(lock: nil), directory, disk, on: loop, answer)
  }

  private static func sort(
    _ folder: StoreFolder, _ directory: String, _ disk: any Disk, on loop: any Loop,
    _ answer: @escaping Answer<StoreFolder>
  ) {
    disk.list(directory) { result in
      switch result {
      case .failure(let failure): answer(.failure(StoreFailure(failure, opening: directory)))
      case .success(let names):
        let sorting = Sorting(names, directory, disk, folder, answer)
        Pieces.run(on: loop, { sorting.step() }, then: { sorting.look() })
      }
    }
  }

  /// Says which files are whose. One after the other: a store is opened once.
  private final class Sorting {
    private let directory: String
    private let disk: any Disk
    private var folder: StoreFolder
    private let answer: Answer<StoreFolder>
    private var names: ArraySlice<String>
    private var found: [String: StreamFiles] = [:]
    private var gone: Set<String> = []
    /// Of those found, in order.
    private var stems: ArraySlice<String> = []
    /// In the order in which they may go.
    private var leftovers: [String] = []
    /// Whose header must be read: what is forked or has a lifetime, and what hides its name behind a hash.
    private var unread: ArraySlice<(stem: String, files: StreamFiles, isGone: Bool)> = []
    /// Names of one step: some milliseconds.
    private static let stride = 1_000

    init(
      _ names: [String], _ directory: String, _ disk: any Disk, _ folder: StoreFolder,
      _ answer: @escaping Answer<StoreFolder>
    ) {
      self.directory = directory
      self.disk = disk
      self.folder = folder
      self.answer = answer
      self.names = names[...]
    }

    private func failed(_ failure: DiskFailure) { answer(.failure(StoreFailure(failure, opening: directory))) }

    /// False: all names are known.
    func step() -> Bool {
      guard names.isEmpty else {
        for name in names.prefix(Self.stride) { note(name) }
        names = names.dropFirst(Self.stride)
        return true
      }
      for stem in stems.prefix(Self.stride) { judge(stem) }
      stems = stems.dropFirst(Self.stride)
      return !stems.isEmpty
    }

    private func note(_ name: String) {
      guard let (stem, base, kind) = LogFileName.parse(name) else { return }
      if found[stem] == nil {
        found[stem] = StreamFiles(bases: [])
        stems.append(stem)
      }
      if kind == .gone {
        gone.insert(stem)
        return
      }
      found[stem]?.bases.append(base)
      if kind == .origin || base == 0 { found[stem]?.first = kind }
    }

    private func judge(_ stem: String) {
      guard var files = found[stem] else { return }
      files.bases.sort()
      let isGone = gone.contains(stem)
      guard let first = files.first else {
        // Its first segment has gone: it was being deleted. The sign that it was is the last to go.
        leftovers += files.bases.map { LogFileName.segment(stem, base: $0, .log) }
        if isGone { leftovers.append(LogFileName.gone(stem)) }
        return
      }
      let name = LogFileName.name(stem)
      if let name, first != .origin {
        add(name, files, isGone)
      } else if name != nil || stem.hasPrefix("=") {
        unread.append((stem, files, isGone))
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
        case .failure(let failure): unreadable(failure, stem, files, isGone)
        case .success(let file):
          file.read(at: 0, count: LogRecord.headerLimit) { [self] result in
            file.close()
            switch result {
            case .failure(let failure): unreadable(failure, stem, files, isGone)
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
      } else {
        unknown(stem, files, isGone)
      }
    }

    /// A bad sector is one stream's.
    private func unreadable(_ failure: DiskFailure, _ stem: String, _ files: StreamFiles, _ isGone: Bool) {
      guard case .other = failure else { return failed(failure) }
      unknown(stem, files, isGone)
      look()
    }

    /// Whoever asks for it is told what is wrong.
    private func unknown(_ stem: String, _ files: StreamFiles, _ isGone: Bool) {
      if files.first == .origin { folder.unknownForks.insert(stem) }
      if let name = LogFileName.name(stem) { add(name, files, isGone) } else { folder.nameless[stem] = (files, isGone) }
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
