import WeirCore

/// Makes small writes in many files durable with one synchronisation.
///
/// What is written to a stream's file is written here as well, one write for all that came while the last one was under way, and
/// only this file is synchronised: a thousand streams cost what one does, and a new file needs neither its own nor its
/// folder's. After power loss it is written to the files once more (`JournalRecovery`). Its files are written over in turns, so they
/// do not grow, and synchronising them changes nothing but their bytes: once one is full the other takes over, while all that the
/// full one has is made durable where it belongs (`checkpoint`).
///
/// It is a shortcut, never the only way: when its own file fails, or it is full because the disk does not keep up, whoever asks
/// is told to synchronise the file that was written (`Outcome.unjournaled`).
final class CommitJournal {
  enum Outcome {
    case durable
    /// Written, and the journal does not have it.
    case unjournaled
    /// Nothing was promised; a part may have been written.
    case unwritten(DiskFailure)
  }

  /// Longer writes are synchronised where they are, which costs them less than being written twice.
  static let writeLimit = 64 << 10
  /// Written at once.
  private static let groupLimit = 4 << 20
  /// The file grows by so much, so that most synchronisations do not change its length.
  private static let step = 256 << 10

  private struct Side {
    var file: (any DiskFile)?
    /// Its length.
    var size = 0
  }

  private enum Waiting {
    case write(
      file: any DiskFile, name: String, stem: String, isNew: Bool, place: Int, bytes: [UInt8], (Outcome) -> Void)
    case forget(stem: String, (StoreFailure?) -> Void)
    case done(round: UInt64)

    func write(round: UInt64, synced: Int) -> DiskWrite {
      var write = DiskWrite(file: nil, bytes: [], at: 0, entry: [])
      let body: JournalEntry.Body
      switch self {
      case .write(let file, let name, _, let isNew, let place, let bytes, _):
        (write.file, write.bytes, write.place) = (file, bytes, place)
        body = .write(file: name, isNew: isNew, place: place, bytes: bytes)
      case .forget(let stem, _): body = .forget(stem: stem)
      case .done(let round): body = .done(round: round)
      }
      JournalEntry(round: round, synced: UInt64(synced), body: body).append(to: &write.entry)
      return write
    }
  }

  private let disk: any Disk
  private let directory: String
  private let folder: FolderSync
  private let limit: Int
  /// Makes all files durable. False: one could not be.
  var checkpoint: ((_ done: @escaping (Bool) -> Void) -> Void)?

  private var waiting: [Waiting] = []
  private var isBusy = false
  private var sides = [Side(), Side()]
  private var side = 0
  private var round: UInt64 = 1
  /// What this round has written.
  private var end = 0
  /// The last round in which each stream had something here, of this round and the one before.
  private var rounds: [String: UInt64] = [:]
  private var isCheckpointing = false
  /// Nothing more is written here; what is there counts when the store is next opened.
  private var isBroken = false
  private var onRest: (() -> Void)?

  /// - Parameter limit: Bytes after which the other file is begun.
  init(_ disk: any Disk, _ directory: String, _ folder: FolderSync, limit: Int) {
    self.disk = disk
    self.directory = directory
    self.folder = folder
    self.limit = limit
  }

  static func fileName(_ side: Int) -> String { "journal-\(side)" }
  static let fileNames = [fileName(0), fileName(1)]

  /// Writes to a file and makes that durable. Nothing else may be under way in the file.
  /// - Parameters:
  ///   - name: The file's, in the folder.
  ///   - stem: Whose file it is.
  ///   - isNew: The folder may not have it after power loss.
  func write(
    _ bytes: [UInt8], at place: Int, in file: any DiskFile, _ name: String, _ stem: String, isNew: Bool,
    _ answer: @escaping (Outcome) -> Void
  ) {
    waiting.append(.write(file: file, name: name, stem: stem, isNew: isNew, place: place, bytes: bytes, answer))
    next()
  }

  /// Before the files of a stream are removed, which must be durable: another one may have the same names.
  func forget(_ stem: String, _ answer: @escaping (StoreFailure?) -> Void) {
    guard rounds[stem] != nil else { return answer(nil) }
    waiting.append(.forget(stem: stem, answer))
    next()
  }

  /// Removes the journal: everything it has was made durable where it belongs, and nothing is written meanwhile.
  func remove(_ answer: @escaping (StoreFailure?) -> Void) {
    if isBusy || isCheckpointing {
      onRest = { self.remove(answer) }
      return
    }
    guard !isBroken, sides.contains(where: { $0.file != nil }) else { return answer(nil) }
    for side in sides { side.file?.close() }
    (sides, side, end, rounds) = ([Side(), Side()], 0, 0, [:])
    isBusy = true
    Self.remove(Self.fileNames[...], directory, disk, folder) { [self] failure in
      isBusy = false
      if failure != nil { isBroken = true }
      answer(failure.map(StoreFailure.init))
      next()
    }
  }

  /// Durably: what came back would be written over what has changed since.
  static func remove(
    _ names: ArraySlice<String>, _ directory: String, _ disk: any Disk, _ folder: FolderSync,
    _ answer: @escaping (DiskFailure?) -> Void
  ) {
    guard let name = names.first else { return folder.synchronize(answer) }
    disk.remove(directory + "/" + name) { failure in
      if let failure, failure.code != "FileNotFound" { return answer(failure) }
      remove(names.dropFirst(), directory, disk, folder, answer)
    }
  }

  // MARK: One write after the other

  private func next() {
    guard !isBusy else { return }
    if let onRest, !isCheckpointing {
      self.onRest = nil
      return onRest()
    }
    // Beyond this the files are not made durable as fast as they are written.
    if isBroken || (isCheckpointing && end >= 4 * limit) { goAround() }
    guard !waiting.isEmpty else { return }
    guard let file = sides[side].file else { return begin() }
    if end >= limit, !isCheckpointing { return turn() }
    var writes: [DiskWrite] = []
    var size = 0
    for one in waiting {
      if size >= Self.groupLimit { break }
      writes.append(one.write(round: round, synced: end))
      size += writes[writes.count - 1].entry.count
    }
    let group = waiting.prefix(writes.count)
    waiting = Array(waiting.dropFirst(writes.count))
    let padding = end + size > sides[side].size ? Self.step - (end + size) % Self.step : 0
    isBusy = true
    disk.commit(writes, to: file, at: end, padding: padding) { [self] commit in
      func finish() {
        isBusy = false
        for (one, failure) in zip(group, commit.failures) { answer(one, failure, commit.logFailure) }
        next()
      }
      if commit.logFailure != nil {
        isBroken = true
        // What it took of a full disk is for the streams.
        return file.truncate(to: end) { _ in finish() }
      }
      if commit.length > 0 {
        end += commit.length
        sides[side].size = max(sides[side].size, end + padding)
      }
      finish()
    }
  }

  private func answer(_ one: Waiting, _ failure: DiskFailure?, _ logFailure: DiskFailure?) {
    switch one {
    case .write(_, _, let stem, _, _, _, let answer):
      if let failure { return answer(.unwritten(failure)) }
      // Also when the journal failed: it may have arrived there.
      rounds[stem] = round
      answer(logFailure == nil ? .durable : .unjournaled)
    case .forget(let stem, let answer):
      if logFailure == nil { rounds[stem] = nil }
      answer(logFailure.map(StoreFailure.init))
    case .done: if logFailure == nil { isCheckpointing = false }
    }
  }

  /// What waits is written where it belongs, and synchronised there by whoever asked.
  private func goAround() {
    let all = waiting
    waiting = []
    for one in all {
      if case .write(let file, _, _, _, let place, let bytes, let answer) = one {
        file.write(bytes, at: place) { answer($0.map { .unwritten($0) } ?? .unjournaled) }
      } else if isBroken {
        answer(one, nil, .other(directory, "its journal cannot be written any more"))
      } else {
        waiting.append(one)
      }
    }
  }

  private func begin() {
    isBusy = true
    disk.open(directory + "/" + Self.fileName(side), .create) { [self] result in
      guard case .success(let file) = result else {
        (isBusy, isBroken) = (false, true)
        return next()
      }
      sides[side] = Side(file: file)
      folder.synchronize { [self] failure in
        isBusy = false
        if failure != nil { isBroken = true }
        next()
      }
    }
  }

  /// The other file takes over. It is written over only when its last round is known to be done, on disk.
  private func turn() {
    let full = round
    (side, round, end) = (1 - side, round + 1, 0)
    rounds = rounds.filter { $0.value == full }
    isCheckpointing = true
    guard let checkpoint else { preconditionFailure("nobody makes the files durable") }
    checkpoint { [self] isDone in
      if isDone { waiting.append(.done(round: full)) } else { isBroken = true }
      next()
    }
    next()
  }
}
