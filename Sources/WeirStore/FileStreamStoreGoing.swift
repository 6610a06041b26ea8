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
    guard stream.log?.isDirty == true, stream.synchronization == nil,
      case .everyMilliseconds(let interval) = synchronization
    else { return }
    stream.synchronization = loop.after(.milliseconds(interval)) { [weak self] in
      stream.synchronization = nil
      self?.ask(stream.name, .synchronize { _ in })
    }
  }

  func rest(_ stream: ActiveStream) {
    if stream.isLeaving {
      leaving -= 1
      stream.isLeaving = false
      if stream.log?.isDirty == false { stream.log = nil }
    }
    guard stream.log != nil else {
      if active[stream.name] === stream { active[stream.name] = nil }
      return
    }
    synchronizeLater(stream)
    let open = active.count - leaving
    let isTooMany = open > limits.openLimit
    // The search is not made for every stream that is used.
    guard isTooMany || (open > limits.restLimit && loop.now >= nextClearing) else { return }
    nextClearing = loop.now + .seconds(1)
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
        loop.soon { self.ask(stream.name, .synchronize { _ in }) }
      }
    }
  }
}
