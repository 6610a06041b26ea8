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

    func write(key: UInt64, round: UInt64, synced: Int) -> DiskWrite {
      var write = DiskWrite(file: nil, bytes: [], at: 0, entry: [])
      let body: JournalEntry.Body
      switch self {
      case .write(let file, let name, _, let isNew, let place, let bytes, _):
        (write.file, write.bytes, write.place) = (file, bytes, place)
        body = .write(file: name, isNew: isNew, place: place, bytes: bytes)
      case .forget(let stem, _): body = .forget(stem: stem)
      case .done(let round): body = .done(round: round)
      }
      JournalEntry(key: key, round: round, synced: UInt64(synced), body: body).append(to: &write.entry)
      return write
    }
  }

  private enum State: Equatable {
    case working
    /// Its file failed: what is in it counts, and nothing more is written. All of it is being made durable elsewhere (`heal`).
    case broken
    /// There is no journal, until so many writes have gone around it.
    case resting(Int)
    /// Its file is not where it was: nobody will look for what is written here.
    case gone(DiskFailure)
  }

  private let disk: any Disk
  private let directory: String
  private let folder: FolderSync
  private let limit: Int
  /// Makes all files durable. False: one could not be.
  var checkpoint: ((_ done: @escaping (Bool) -> Void) -> Void)?
  /// Told of each stream that waits until the journal has forgotten it: a checkpoint that waited for that stream would wait for ever.
  var forgets: ((_ stem: String) -> Void)?
  /// Told once that the folder is not there any more.
  var vanished: ((DiskFailure) -> Void)?
  /// Streams that wait until it has forgotten them.
  private(set) var forgetting: Set<String> = []

  private var waiting: [Waiting] = []
  private var isBusy = false
  private var sides = [Side(), Side()]
  private var side = 0
  private var round: UInt64 = 1
  /// What this round has written.
  private var end = 0
  /// The last round in which each stream had something here, of this round and the one before.
  private var rounds: [String: UInt64] = [:]
  /// What the full file has is being made durable where it belongs, or could not be.
  private var isCheckpointing = false
  /// Not all could be made durable: it is tried again when so many writes have been asked for.
  private var checkpointDue: Int?
  private var checkpointPause = CommitJournal.firstPause
  private var state = State.working
  private var isHealing = false
  /// It could not be removed: the same.
  private var healDue: Int?
  private var asked = 0
  /// Writes that go around the journal before it is tried again.
  private var pause = CommitJournal.firstPause
  private static let firstPause = 64
  private static let longestPause = 1 << 16
  /// Writes that it took: who wants to remove it looks whether there was one meanwhile.
  private(set) var writeCount = 0
  private var whenIdle: [() -> Void] = []
  private let key: UInt64

  /// - Parameters:
  ///   - limit: Bytes after which the other file is begun.
  ///   - key: That nobody can guess.
  init(_ disk: any Disk, _ directory: String, _ folder: FolderSync, limit: Int, key: UInt64) {
    self.disk = disk
    self.directory = directory
    self.folder = folder
    self.limit = limit
    self.key = key
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
    asked += 1
    waiting.append(.write(file: file, name: name, stem: stem, isNew: isNew, place: place, bytes: bytes, answer))
    next()
  }

  /// Before the files of a stream are removed, which must be durable: another one may have the same names.
  func forget(_ stem: String, _ answer: @escaping (StoreFailure?) -> Void) {
    guard rounds[stem] != nil else { return answer(nil) }
    forgetting.insert(stem)
    forgets?(stem)
    let done = { [self] (failure: StoreFailure?) in
      forgetting.remove(stem)
      answer(failure)
    }
    waiting.append(.forget(stem: stem, done))
    next()
  }

  /// Removes the journal: everything it has was made durable where it belongs. Answers false when there were more writes than
  /// `count` since.
  func remove(unless count: Int, _ answer: @escaping (Result<Bool, StoreFailure>) -> Void) {
    if isBusy { return whenIdle.append { self.remove(unless: count, answer) } }
    guard waiting.isEmpty, writeCount == count else { return answer(.success(false)) }
    drop { [self] failure in
      if failure != nil { fail() }
      answer(failure.map { .failure(StoreFailure($0)) } ?? .success(true))
    }
  }

  /// The files go, the older one first and durably: what is in the newer one makes void what the older one has.
  private func drop(_ answer: @escaping (DiskFailure?) -> Void) {
    isBusy = true
    let dropped = { [self] (failure: DiskFailure?) in
      isBusy = false
      if failure == nil {
        (sides, side, end, rounds, round) = ([Side(), Side()], 0, 0, [:], round + 1)
        (isCheckpointing, checkpointDue, healDue) = (false, nil, nil)
      }
      answer(failure)
      next()
    }
    func remove(_ rest: ArraySlice<Int>) {
      guard let number = rest.first else { return dropped(nil) }
      guard let file = sides[number].file else { return remove(rest.dropFirst()) }
      disk.remove(directory + "/" + Self.fileName(number)) { [self] failure in
        if let failure, failure.code != "FileNotFound" { return dropped(failure) }
        file.close()
        folder.synchronize { failure in if let failure { dropped(failure) } else { remove(rest.dropFirst()) } }
      }
    }
    remove([1 - side, side])
  }

  // MARK: One write after the other

  private func next() {
    while !isBusy, !whenIdle.isEmpty { whenIdle.removeFirst()() }
    guard !isBusy else { return }
    // Beyond this the files are not made durable as fast as they are written.
    if state != .working || (isCheckpointing && end >= 4 * limit) { goAround() }
    if let due = checkpointDue, asked >= due, state == .working {
      checkpointDue = nil
      check()
      guard !isBusy else { return }
    }
    guard state == .working, !waiting.isEmpty else { return }
    guard let file = sides[side].file else { return begin() }
    if end >= limit, !isCheckpointing { return turn() }
    var writes: [DiskWrite] = []
    var size = 0
    for one in waiting {
      if size >= Self.groupLimit { break }
      writes.append(one.write(key: key, round: round, synced: end))
      size += writes[writes.count - 1].entry.count
    }
    let group = waiting.prefix(writes.count)
    waiting = Array(waiting.dropFirst(writes.count))
    let padding = end + size > sides[side].size ? Self.step - (end + size) % Self.step : 0
    isBusy = true
    writeCount += group.count
    disk.commit(writes, to: file, at: end, padding: padding) { [self] commit in
      func finish() {
        isBusy = false
        for (one, failure) in zip(group, commit.failures) { answer(one, failure, commit.logFailure) }
        next()
      }
      if case .removed? = commit.logFailure, let failure = commit.logFailure {
        vanish(failure)
        return finish()
      }
      if commit.logFailure != nil {
        fail()
        // What it took of a full disk is for the streams.
        return file.truncate(to: end) { _ in finish() }
      }
      if commit.length > 0 {
        end += commit.length
        sides[side].size = max(sides[side].size, end + padding)
        pause = Self.firstPause
      }
      finish()
    }
  }

  private func answer(_ one: Waiting, _ failure: DiskFailure?, _ logFailure: DiskFailure?) {
    switch one {
    case .write(_, _, let stem, _, _, _, let answer):
      if let failure { return answer(.unwritten(failure)) }
      if case .gone(let failure) = state { return answer(.unwritten(failure)) }
      // Also when the journal failed: it may have arrived there.
      rounds[stem] = round
      answer(logFailure == nil ? .durable : .unjournaled)
    case .forget(let stem, let answer):
      let failure = failure ?? logFailure
      if failure == nil { rounds[stem] = nil }
      answer(failure.map(StoreFailure.init))
    case .done(let round):
      if failure ?? logFailure == nil {
        isCheckpointing = false
        checkpointPause = Self.firstPause
      } else if state == .working {
        waiting.append(.done(round: round))
      }
    }
  }

  /// What waits is written where it belongs, and synchronised there by whoever asked.
  private func goAround() {
    let all = waiting
    waiting = []
    for one in all {
      switch one {
      case .write(let file, _, _, _, let place, let bytes, let answer):
        if case .gone(let failure) = state {
          answer(.unwritten(failure))
          continue
        }
        if case .resting(let left) = state { state = left > 1 ? .resting(left - 1) : .working }
        file.write(bytes, at: place) { answer($0.map { .unwritten($0) } ?? .unjournaled) }
      case .forget(let stem, let answer):
        if case .gone(let failure) = state {
          answer(StoreFailure(failure))
        } else if rounds[stem] == nil {
          answer(nil)
        } else {
          waiting.append(one)
        }
      case .done: if state == .working { waiting.append(one) }
      }
    }
    if state == .broken, !waiting.isEmpty || healDue.map({ asked >= $0 }) == true { heal() }
  }

  private func vanish(_ failure: DiskFailure) {
    state = .gone(failure)
    vanished?(failure)
  }

  /// Its file cannot be written.
  private func fail() {
    state = .broken
    heal()
  }

  /// Makes everything durable where it belongs and removes the journal: it may begin anew. Who waits for `forget` waits for that.
  private func heal() {
    guard !isHealing else { return }
    isHealing = true
    healDue = nil
    guard let checkpoint else { preconditionFailure("nobody makes the files durable") }
    checkpoint { [self] isDone in
      let healed = { [self] (failure: DiskFailure?) in
        isHealing = false
        if case .gone = state { return }
        if failure == nil {
          state = .resting(pause)
          pause = min(2 * pause, Self.longestPause)
        } else {
          healDue = asked + pause
          pause = min(2 * pause, Self.longestPause)
          let all = waiting
          waiting = []
          for one in all {
            if case .forget(_, let answer) = one { answer(failure.map(StoreFailure.init)) } else { waiting.append(one) }
          }
        }
      }
      let drop = { self.drop(healed) }
      if !isDone {
        healed(.other(directory, "its journal cannot be written, and not all streams could be made durable without it"))
        next()
      } else if isBusy {
        whenIdle.append(drop)
      } else {
        drop()
      }
    }
  }

  private func begin() {
    isBusy = true
    disk.open(directory + "/" + Self.fileName(side), .create) { [self] result in
      guard case .success(let file) = result else {
        isBusy = false
        if case .failure(.notFound) = result { vanish(.removed(directory)) } else { fail() }
        return next()
      }
      sides[side] = Side(file: file)
      folder.synchronize { [self] failure in
        isBusy = false
        if failure != nil { fail() }
        next()
      }
    }
  }

  /// The other file takes over. It is written over only when its last round is known to be done, on disk. When not all of it can be
  /// made durable, nothing is written over any more: this file is the last.
  private func turn() {
    let full = round
    (side, round, end) = (1 - side, round + 1, 0)
    rounds = rounds.filter { $0.value == full }
    isCheckpointing = true
    check()
    next()
  }

  /// Makes durable what the full file has.
  private func check() {
    let full = round - 1
    guard let checkpoint else { preconditionFailure("nobody makes the files durable") }
    checkpoint { [self] isDone in
      // It may have been removed since.
      guard isCheckpointing, round == full + 1 else { return }
      if isDone {
        waiting.append(.done(round: full))
        next()
      } else {
        checkpointDue = asked + checkpointPause
        checkpointPause = min(2 * checkpointPause, Self.longestPause)
      }
    }
  }
}
