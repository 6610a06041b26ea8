import WeirCore

/// A store that only reads a folder which another process may be writing to.
///
/// It holds no lock and changes nothing. What it shows is what the writer has handed to the system: an append may be seen
/// before it is acknowledged, and so be taken away again by power loss, or by the writer itself when the disk was full; a record
/// that is not whole yet is not there. The system tells of every change (`Disk.watch`), so a reader that waits costs nothing;
/// what a change means is found out when the stream is next asked for. Reading here is no use of a stream's lifetime.
extension FileStreamStore {
  final class Following {
    fileprivate(set) var watch: (any Cancellable)?
    /// Files have come or gone since the folder was listed.
    fileprivate(set) var isListStale = false
    /// Who waits for the list that is under way, and for one that begins after it.
    fileprivate var waiting: [(StoreFailure?) -> Void] = []
    fileprivate var late: [(StoreFailure?) -> Void] = []
    /// Names that their files hide behind a hash, as far as somebody asked for them.
    fileprivate var hashed: [String: StreamName] = [:]
    fileprivate weak var store: FileStreamStore?
    /// What changed before there was one.
    fileprivate var early: [DirectoryChange] = []
    fileprivate let disk: JournaledDisk

    fileprivate init(_ disk: JournaledDisk) { self.disk = disk }

    static let refusal = StoreFailure.unavailable(
      "this store is only read here: the process that holds its lock writes to it; use its server, POST /streams/NAME")

    func note(_ name: StreamName) {
      // Three bytes for each is the longest spelling, and 200 the longest file name that is no hash.
      guard name.path.utf8.count > 66 else { return }
      let stem = LogFileName.stem(name)
      if stem.hasPrefix("=") { hashed[stem] = name }
    }
  }

  /// The streams in a folder that is there. `.unavailable`: it is not, or cannot be read. What the journal of a writer that was cut
  /// off has counts, and is left to the next writer.
  package static func follow(
    directory: String, disk: any Disk, loop: any Loop, limits: Limits = Limits(),
    _ answer: @escaping Answer<FileStreamStore>
  ) {
    let journaled = JournaledDisk(disk, directory)
    let following = Following(journaled)
    let changed = { (change: DirectoryChange) in
      if let store = following.store { store.changed(change) } else { following.early.append(change) }
    }
    // Watched before it is looked at, so that nothing is missed between.
    disk.watch(directory, changed) { result in
      switch result {
      case .failure(let failure): answer(.failure(StoreFailure(failure, opening: directory)))
      case .success(let watch):
        following.watch = watch
        func failed(_ failure: StoreFailure) {
          watch.cancel()
          answer(.failure(failure))
        }
        journaled.look(on: loop) { failure in
          if let failure { return failed(failure) }
          StoreFolder.look(directory, journaled, on: loop) { result in
            switch result {
            case .failure(let failure): failed(failure)
            case .success(let folder):
              let files = StreamLog.Files(
                disk: journaled, directory: directory, segmentLimit: limits.segmentLimit,
                folder: FolderSync(journaled, directory), synchronizesAppends: true, isReadOnly: true)
              let store = FileStreamStore(folder, files, loop, .always, limits)
              (store.following, following.store) = (following, store)
              for change in following.early { store.changed(change) }
              following.early = []
              answer(.success(store))
            }
          }
        }
      }
    }
  }

  fileprivate func changed(_ change: DirectoryChange) {
    guard let following else { return }
    let file: String
    var isContent = false
    switch change {
    case .unknown: return changedSomewhere(following)
    case .content(let name): (file, isContent) = (name, true)
    case .name(let name): file = name
    }
    // Somebody opens it to write.
    if file == StoreFolder.lockName || CommitJournal.fileNames.contains(file), following.disk.drop() {
      changedSomewhere(following)
    }
    guard let (stem, base, _) = LogFileName.parse(file) else { return }
    let name = following.hashed[stem] ?? LogFileName.name(stem)
    if isContent, let name, known[name]?.bases.last == base {
      active[name]?.hasGrown = true
    } else {
      following.isListStale = true
      if let name { active[name]?.hasMoved = true }
    }
    if let name { watchers[name]?.changed(on: loop) }
  }

  /// Anything may be another.
  private func changedSomewhere(_ following: Following) {
    following.isListStale = true
    for stream in active.values { stream.hasMoved = true }
    for list in watchers.values { list.changed(on: loop) }
  }

  /// Whether the disk was asked what has become of the stream.
  func lookAgain(_ stream: ActiveStream) -> Bool {
    guard let following else { return false }
    if stream.hasMoved {
      stream.log = nil
      stream.hasMoved = false
      stream.isListed = false
    }
    let listed = { [self] (failure: StoreFailure?) in
      if let failure { return refuseWaiting(stream, failure) }
      stream.isListed = true
    }
    guard let log = stream.log else {
      // Whatever is opened now is read as it is now.
      stream.hasGrown = false
      // Once for each question, unless its own files have changed: in a folder that never rests every list is stale.
      guard following.isListStale, !stream.isListed else {
        stream.isListed = false
        return false
      }
      busy(stream, work: { self.listAgain($0) }, then: listed)
      return true
    }
    guard stream.hasGrown else { return false }
    stream.hasGrown = false
    busy(stream, work: { log.follow($0) }, then: { [self] in if let failure = $0 { refuseWaiting(stream, failure) } })
    return true
  }

  /// Answers when the list is what it was at some moment after the call.
  func listAgain(_ answer: @escaping (StoreFailure?) -> Void) {
    guard let following else { return answer(nil) }
    guard following.waiting.isEmpty else { return following.late.append(answer) }
    following.waiting = [answer]
    lookForFiles(following)
  }

  private func lookForFiles(_ following: Following) {
    following.isListStale = false
    StoreFolder.look(files.directory, files.disk, on: loop) { [self] result in
      var failure: StoreFailure?
      switch result {
      case .success(let folder): found(folder)
      case .failure(let problem):
        following.isListStale = true
        failure = problem
      }
      let waiting = following.waiting
      (following.waiting, following.late) = (following.late, [])
      if !following.waiting.isEmpty { lookForFiles(following) }
      for answer in waiting { answer(failure) }
    }
  }
}
