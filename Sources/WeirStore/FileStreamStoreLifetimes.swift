import WeirCore

/// How streams of a file store are over by themselves.
extension FileStreamStore {
  /// What could not be opened or removed when it was due is looked at again after so many milliseconds.
  private static let againAfter: Int64 = 60_000

  func isOver(_ stream: ActiveStream) -> Bool {
    guard let log = stream.log, !gone.contains(stream.name), log.damage == nil else { return false }
    let now = loop.wallClock
    guard log.lease.isOver(at: now) else { return false }
    // Somebody waits for what comes: that is use.
    if (watchers[stream.name]?.liveCount ?? 0) > 0 { use(stream, log) }
    return log.lease.isOver(at: now)
  }

  func use(_ stream: ActiveStream, _ log: StreamLog) {
    // Reading from another process is no use.
    guard lock != nil, log.use(at: loop.wallClock), !stream.isUseWaiting else { return }
    stream.isUseWaiting = true
    // Behind what is under way, and nobody waits for it.
    loop.soon { self.ask(stream.name, .writeUse) }
  }

  func expire(_ name: StreamName) {
    due.append(name)
    expireNext()
  }

  private func expireNext() {
    // Closed: the folder is another process' to write to.
    guard lock != nil, !isExpiring else { return }
    var next: StreamName?
    while let name = due.popFirst() {
      if known[name] == nil || gone.contains(name) { continue }
      next = name
      break
    }
    guard let name = next else { return }
    isExpiring = true
    ask(
      name,
      .expire { [weak self] isDone in
        guard let self else { return }
        isExpiring = false
        if !isDone, vanished == nil { schedule.note(name, at: loop.wallClock + Self.againAfter) }
        if due.isEmpty {
          due = []
        } else {
          // What is asked for goes before: after a restart there may be a hundred thousand to look at.
          _ = loop.after(.microseconds(500)) { [weak self] in self?.expireNext() }
        }
      })
  }
}
