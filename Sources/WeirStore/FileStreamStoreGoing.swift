import WeirCore

/// How streams of a file store go: deleted, or only their files closed.
extension FileStreamStore {
  // MARK: Going

  /// Removed, or, with forks, gone.
  func remove(_ stream: ActiveStream, _ answer: @escaping Answer<Void>) {
    let name = stream.name
    guard let log = stream.log else { return answer(.failure(.notFound(name))) }
    if forks.count(of: name) == 0 { return remove(stream, log, log.streamFiles, answer) }
    let marked = { [self] (failure: StoreFailure?) in
      if let failure { return answer(.failure(failure)) }
      gone.insert(name)
      index.remove(name)
      watchers[name]?.changed(on: loop)
      answer(.success(()))
    }
    busy(stream, work: { StreamLog.markGone(name, self.files, $0) }, then: marked)
  }

  private func remove(
    _ stream: ActiveStream, _ log: StreamLog?, _ found: StreamFiles, _ answer: @escaping Answer<Void>
  ) {
    let name = stream.name
    stream.log = nil
    let removed = { [self] (left: StreamFiles, failure: StoreFailure?) in
      if let failure {
        known[name] = left
        return answer(.failure(failure))
      }
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
    guard gone.contains(stream.name), forks.count(of: stream.name) == 0, let found = known[stream.name] else { return }
    remove(stream, stream.log, found) { _ in }
  }

  // MARK: Rest

  func synchronizeLater(_ stream: ActiveStream) {
    guard let log = stream.log, log.isDirty, log.damage == nil, stream.synchronization == nil,
      case .everyMilliseconds(let interval) = synchronization
    else { return }
    stream.synchronization = loop.after(.milliseconds(interval)) { [weak self] in
      stream.synchronization = nil
      self?.ask(stream.name, .synchronize { _ in })
    }
  }

  func rest(_ stream: ActiveStream) {
    guard stream.log != nil else {
      if active[stream.name] === stream { active[stream.name] = nil }
      return
    }
    synchronizeLater(stream)
    let open = active.count - leaving
    let isTooMany = open > limits.openLimit
    // The search is not made for every stream that is used.
    guard isTooMany || open > limits.restLimit, loop.now >= nextClearing else { return }
    nextClearing = loop.now + (isTooMany ? .milliseconds(10) : .seconds(1))
    let resting = loop.now + (isTooMany ? .zero : .seconds(-1))
    // A log that lost a write stays: opened again it would read from the system what never reached the disk.
    let idle = active.values.filter { stream in
      !stream.isBusy && !stream.isAdvancing && stream.waiting.isEmpty && !stream.isLeaving
        && stream.log?.damage == nil && !stream.isUseWaiting && stream.lastUse <= resting
    }
    let enough = isTooMany ? max(1, limits.openLimit / 4) : open - limits.restLimit
    for stream in idle.sorted(by: { $0.lastUse < $1.lastUse }).prefix(enough) {
      if stream.log?.isDirty != true {
        active[stream.name] = nil
      } else if files.journal != nil {
        leaving += 1
        stream.isLeaving = true
        settle(stream.name) { [self] _ in
          leaving -= 1
          stream.isLeaving = false
          loop.soon { self.leave(stream) }
        }
      }
    }
  }

  private func leave(_ stream: ActiveStream) {
    guard !stream.isBusy, stream.waiting.isEmpty, stream.log?.isDirty == false, stream.log?.damage == nil else {
      return
    }
    if active[stream.name] === stream { active[stream.name] = nil }
  }

  // MARK: Settling

  /// Synchronisations of streams' own files at a time: what is appended meanwhile must not wait behind thousands.
  private static let settlingLimit = 3

  /// Makes a stream durable in its own files.
  private func settle(_ name: StreamName, _ done: @escaping (StoreFailure?) -> Void) {
    settling.append((name, done))
    settleNext()
  }

  private func settleNext() {
    while settlingCount < Self.settlingLimit {
      if settlingNext.isEmpty { (settlingNext, settling) = (settling.reversed(), []) }
      guard let (name, done) = settlingNext.popLast() else { return }
      settlingCount += 1
      ask(
        name,
        .synchronize { [self] failure in
          settlingCount -= 1
          done(failure)
          settleNext()
        })
    }
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
    for stream in active.values where stream.log?.isDirty == true || stream.isBusy {
      waiting += 1
      settle(stream.name, done)
    }
    done(nil)
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
