import WeirCore

/// How streams of a file store go: deleted, or only their files closed.
extension FileStreamStore {
  // MARK: Going

  /// Removed, or, with forks, gone.
  func remove(_ stream: ActiveStream, _ answer: @escaping Answer<Void>) {
    let name = stream.name
    guard let log = stream.log else { return answer(.failure(.notFound(name))) }
    if !mayHaveForks(name) { return remove(stream, log, log.streamFiles, answer) }
    let marked = { [self] (isMarked: Bool, failure: StoreFailure?) in
      if isMarked {
        // Whoever opens the store next takes it for gone: nothing more may be promised, also when that is not durable.
        gone.insert(name)
        index.remove(name)
        watchers[name]?.changed(on: loop)
      }
      answer(failure.map { .failure($0) } ?? .success(()))
    }
    busy(
      stream, work: { done in StreamLog.markGone(name, self.files) { done(($0, $1)) } },
      then: { (isMarked: Bool, failure: StoreFailure?) in marked(isMarked, failure) })
  }

  private func remove(
    _ stream: ActiveStream, _ log: StreamLog?, _ found: StreamFiles, _ answer: @escaping Answer<Void>
  ) {
    let name = stream.name
    stream.log = nil
    let removed = { [self] (left: StreamFiles, failure: StoreFailure?) in
      if let failure {
        known[name] = left
        // All of it is still there.
        if left == found { stream.log = log } else { log?.close() }
        return answer(.failure(failure))
      }
      log?.close()
      forget(name)
      if let log { creations.deleted(name, createdAt: log.createdAt, now: loop.wallClock) }
      watchers[name]?.changed(on: loop)
      answer(.success(()))
    }
    let isGone = gone.contains(name)
    busy(
      stream,
      work: { done in
        self.leaveJournal(name, log) { failure in
          if let failure { return done((found, failure)) }
          StreamLog.delete(name, found, isGone: isGone, self.files) { done(($0, $1)) }
        }
      },
      then: { (left: StreamFiles, failure: StoreFailure?) in removed(left, failure) })
  }

  /// Files of a stream that was deleted could not be removed: they are tried again before anything is done with its name.
  func removeRest(_ stream: ActiveStream, _ found: StreamFiles) {
    let name = stream.name
    let removed = { [self] (left: StreamFiles, failure: StoreFailure?) in
      guard let failure else { return forget(name) }
      known[name] = left
      let why = "stream \"\(name)\" was deleted, and not all of its files could be removed: \(failure.message)"
      refuseWaiting(stream, .unavailable(why))
    }
    let isGone = gone.contains(name)
    busy(
      stream, work: { done in StreamLog.delete(name, found, isGone: isGone, self.files) { done(($0, $1)) } },
      then: { (left: StreamFiles, failure: StoreFailure?) in removed(left, failure) })
  }

  /// Before its files go: the stream is whole without the journal, and what the journal has is not for the next one of that
  /// name.
  private func leaveJournal(_ name: StreamName, _ log: StreamLog?, _ answer: @escaping (StoreFailure?) -> Void) {
    guard let journal = files.journal else { return answer(nil) }
    let forget = { journal.forget(LogFileName.stem(name), answer) }
    // One that is damaged may go as well.
    if let log, log.isDirty { log.synchronize { _ in forget() } } else { forget() }
  }

  /// A stream that is gone, when its last fork has gone: without looking into its files.
  func purge(_ stream: ActiveStream) {
    guard gone.contains(stream.name), !mayHaveForks(stream.name), let found = known[stream.name] else { return }
    remove(stream, stream.log, found) { _ in }
  }

  /// Somebody may read what this one has.
  private func mayHaveForks(_ name: StreamName) -> Bool {
    if forks.count(of: name) > 0 { return true }
    return !unknownForks.isEmpty && unknownForks != [LogFileName.stem(name)]
  }

  /// Every segment of a stream says of what it is a fork: the last one, when the first could not be read.
  func recognize(_ log: StreamLog) {
    guard !unknownForks.isEmpty, log.scan.header?.name == log.name.path, unknownForks.remove(log.stem) != nil else {
      return
    }
    if let fork = log.fork { forks.add(log.name, of: fork.source) }
    purgeGone()
  }

  /// What was kept because nobody knew whether it has forks.
  func purgeGone() {
    guard unknownForks.isEmpty else { return }
    for name in gone where forks.count(of: name) == 0 { ask(name, .purge) }
  }

  // MARK: Rest

  func synchronizeLater(_ stream: ActiveStream) {
    guard let log = stream.log, log.isDirty, log.damage == nil, stream.synchronization == nil,
      case .everyMilliseconds(let interval) = synchronization
    else { return }
    stream.synchronization = loop.after(.milliseconds(interval)) { [weak self] in
      stream.synchronization = nil
      self?.settleInTime(stream.name, interval)
    }
  }

  private func settleInTime(_ name: StreamName, _ interval: Int) {
    settle(name) { [weak self] failure in
      // Its file is closed, and could not be opened or read now: that may be over soon.
      guard failure != nil, let debt = self?.unsettled[name], debt.failure == nil else { return }
      _ = self?.loop.after(.milliseconds(interval)) { [weak self] in self?.settleInTime(name, interval) }
    }
  }

  func rest(_ stream: ActiveStream) {
    if stream.log == nil {
      if active[stream.name] === stream { active[stream.name] = nil }
    } else {
      synchronizeLater(stream)
      if waitingForFile.isEmpty { clear() } else { leave(stream) }
    }
    admit()
  }

  /// Closes the files of streams that were left alone longest, and before those the ones that owe nothing: as long as a file is
  /// open the system tells whether all of it reached the disk.
  private func clear() {
    let open = files.open.count + openingCount
    let isTooMany = open >= limits.openLimit
    // The search is not made for every stream that is used.
    guard isTooMany || open > limits.restLimit, loop.now >= nextClearing else { return }
    let resting = loop.now + (isTooMany ? .zero : .seconds(-1))
    let idle = active.values.filter { canLeave($0) && $0.lastUse <= resting }
    let enough = isTooMany ? max(1, limits.openLimit / 4) : open - limits.restLimit
    let order = idle.map { (isDirty: $0.log?.isDirty == true, stream: $0) }.sorted {
      $0.isDirty == $1.isDirty ? $0.stream.lastUse < $1.stream.lastUse : $1.isDirty
    }
    for (_, stream) in order.prefix(enough) { leave(stream) }
    if !isTooMany { nextClearing = loop.now + .seconds(1) }
    if idle.count < enough { nextClearing = loop.now + .milliseconds(10) }
  }

  /// A log that lost a write stays: opened again it would read from the system what never reached the disk.
  private func canLeave(_ stream: ActiveStream) -> Bool {
    guard let log = stream.log else { return false }
    return !stream.isBusy && !stream.isAdvancing && stream.waiting.isEmpty && log.damage == nil && !stream.isUseWaiting
  }

  /// Its files are closed; what is not durable in them yet is made so by opening them again, and read, for then the system may
  /// not tell any more what it could not write.
  private func leave(_ stream: ActiveStream) {
    guard canLeave(stream), let log = stream.log, active[stream.name] === stream else { return }
    if let debt = log.debt { unsettled[stream.name] = debt }
    stream.log = nil
    log.close()
    active[stream.name] = nil
  }

  // MARK: Room for open files

  /// Whether a file may be opened for the stream now; else it waits for one. Who holds files and waits for this stream must not wait
  /// for itself, and where nobody works nobody would ever make room.
  func hasFile(for stream: ActiveStream) -> Bool {
    if hasRoom || stream.waiting.contains(where: \.isUrgent) { return true }
    clear()
    if hasRoom { return true }
    if !stream.isWaitingForFile {
      stream.isWaitingForFile = true
      waitingForFile.append(stream)
    }
    return false
  }

  private var hasRoom: Bool { files.open.count + openingCount < limits.openLimit || busyCount == 0 }

  private func admit() {
    if isAdmitting { return }
    isAdmitting = true
    while hasRoom, let stream = waitingForFile.popFirst() {
      stream.isWaitingForFile = false
      advance(stream)
    }
    isAdmitting = false
  }

  // MARK: Settling

  /// Streams that are being made durable in their own files.
  struct Settling {
    /// So many at a time: what is appended meanwhile must not wait behind thousands.
    static let limit = 3

    var waiting: ArraySlice<StreamName> = []
    /// That have been asked and have not answered, by their stems, and how many were asked before each.
    var asked: [String: Int] = [:]
    var askedCount = 0
    var isDraining = false
    /// Who waits for each, by its stem.
    var done: [String: [(StoreFailure?) -> Void]] = [:]
  }

  /// Makes a stream durable in its own files.
  private func settle(_ name: StreamName, _ done: @escaping (StoreFailure?) -> Void) {
    let stem = LogFileName.stem(name)
    if settling.done[stem]?.append(done) != nil { return }
    settling.done[stem] = [done]
    settling.waiting.append(name)
    settleNext()
  }

  private func settleNext() {
    // Streams that are durable already answer at once, and there may be thousands.
    if settling.isDraining { return }
    settling.isDraining = true
    while settling.asked.count < Settling.limit, let name = settling.waiting.popFirst() {
      let stem = LogFileName.stem(name)
      // Excused meanwhile, or excused and asked again.
      guard settling.done[stem] != nil, settling.asked[stem] == nil else { continue }
      let number = settling.askedCount
      settling.askedCount += 1
      settling.asked[stem] = number
      ask(name, .synchronize { [self] in settled(stem, number, $0) })
    }
    settling.isDraining = false
  }

  private func settled(_ stem: String, _ number: Int, _ failure: StoreFailure?) {
    // Excused, and its place was given to another one.
    guard settling.asked[stem] == number else { return }
    settling.asked[stem] = nil
    for done in settling.done.removeValue(forKey: stem) ?? [] { done(failure) }
    settleNext()
  }

  /// A stream that waits for the journal to forget it, which waits until all are settled: it was made durable before, or is to go.
  func excuse(_ stem: String) {
    settling.asked[stem] = nil
    for done in settling.done.removeValue(forKey: stem) ?? [] { done(nil) }
    settleNext()
  }

  /// Of a stream whose files were closed before that.
  func settleClosed(_ stream: ActiveStream, _ answer: @escaping (StoreFailure?) -> Void) {
    let name = stream.name
    guard let debt = unsettled[name], let found = known[name] else { return answer(nil) }
    if let failure = debt.failure { return answer(StoreFailure(failure)) }
    let tried = { [self] (outcome: StreamLog.Settling) in
      switch outcome {
      case .settled:
        unsettled[name] = nil
        answer(nil)
      case .untried(let failure): answer(StoreFailure(failure))
      case .failed(let failure):
        unsettled[name]?.failure = failure
        answer(StoreFailure(failure))
      }
    }
    busy(stream, work: { StreamLog.settle(name, found, debt, self.files, $0) }, then: tried)
  }

  /// Everything that was answered is durable in the streams' own files.
  func settleAll(_ answer: @escaping (StoreFailure?) -> Void) {
    var waiting = 1
    var first: StoreFailure?
    func done(_ failure: StoreFailure?) {
      first = first ?? failure
      waiting -= 1
      if waiting == 0 { answer(first) }
    }
    var names = Set(unsettled.keys)
    for stream in active.values where stream.log?.isDirty == true || stream.isBusy { names.insert(stream.name) }
    for name in names where files.journal?.forgetting.contains(LogFileName.stem(name)) != true {
      waiting += 1
      settle(name, done)
    }
    done(nil)
  }

  // MARK: The end

  /// Whatever is asked from now on would be kept where nobody finds it.
  func vanish(_ failure: DiskFailure) {
    if vanished != nil { return }
    vanished = .unavailable("the folder of this store was removed or replaced: nothing more is kept in it")
    onTrouble?("the store in \(files.directory) takes nothing more: \(failure.message)")
    for stream in active.values { refuseWaiting(stream, vanished ?? StoreFailure(failure)) }
  }

  /// Makes everything that was answered durable in the streams' own files, and answers when it is: before the process ends.
  package func synchronize(_ answer: @escaping (StoreFailure?) -> Void) { synchronize(tries: 10, answer) }

  private func synchronize(tries: Int, _ answer: @escaping (StoreFailure?) -> Void) {
    let writes = files.journal?.writeCount ?? 0
    settleAll { [self] failure in
      guard failure == nil, let journal = files.journal else { return answer(failure) }
      journal.remove(unless: writes) { [self] result in
        switch result {
        case .failure(let failure): answer(failure)
        // Who writes on and on has a journal.
        case .success(let isRemoved) where isRemoved || tries == 1: answer(nil)
        case .success: synchronize(tries: tries - 1, answer)
        }
      }
    }
  }
}
