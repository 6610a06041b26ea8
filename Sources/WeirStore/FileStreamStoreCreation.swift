import WeirCore

/// Making streams and forks of a file store.
///
/// A fork is counted for its source, in the source's turn, before its file is made: a source that is deleted meanwhile is
/// kept. What a crash leaves of a fork's file says on its own that it is one, so nothing else must be written.
extension FileStreamStore {
  func create(_ stream: ActiveStream, _ creation: StreamCreation, _ answer: @escaping Answer<StreamStatus>) {
    if gone.contains(stream.name) { return answer(.failure(.gone(stream.name))) }
    if let log = stream.log {
      if let damage = log.damage { return answer(.failure(damage)) }
      var status = log.status
      status.existed = true
      return answer(creation.conflict(with: status).map { .failure($0) } ?? .success(status))
    }
    guard (creation.contentType ?? "").utf8.count <= Self.contentTypeLimit else {
      return answer(.failure(.full("a content type of more than \(Self.contentTypeLimit) bytes")))
    }
    guard let fork = creation.fork else {
      let point = ForkPoint(
        base: 0, piece: nil, contentType: creation.contentType ?? StreamContentType.bytes, lifetime: creation.lifetime)
      return make(stream, creation, point, nil, answer)
    }
    stream.isForking = true
    let found = { [self] (result: Result<(ForkPoint, StreamFork), StoreFailure>) in
      stream.isForking = false
      switch result {
      case .failure(let failure): answer(.failure(failure))
      case .success(let (point, fork)): make(stream, creation, point, fork, answer)
      }
    }
    busyElsewhere(
      stream, work: { self.ask(fork.source, .forkPoint(fork: stream.name, creation, $0)) },
      then: found)
  }

  private func make(
    _ stream: ActiveStream, _ creation: StreamCreation, _ point: ForkPoint, _ fork: StreamFork?,
    _ answer: @escaping Answer<StreamStatus>
  ) {
    let first = StreamAppend(items: (point.piece.map { [$0] } ?? []) + creation.items, ending: creation.ending)
    let now = loop.wallClock
    let header = LogRecord.Header(
      name: stream.name.path, contentType: point.contentType,
      createdAt: min(creations.moment(for: stream.name, now: now), StreamLifetime.momentLimit),
      lifetime: point.lifetime, fork: fork,
      usedAt: now)
    let refused = { [self] (failure: StoreFailure) in
      if let source = forks.remove(stream.name), gone.contains(source) { ask(source, .purge) }
      answer(.failure(failure))
    }
    let created = { [self] (result: Result<StreamLog, StoreFailure>) in
      openingCount -= 1
      switch result {
      case .failure(let failure): refused(failure)
      case .success(let log):
        made(stream, log)
        answer(.success(log.status))
      }
    }
    let size = LogRecord.size(of: first)
    guard size <= LogRecord.bodyLimit else { return refused(.tooLarge(size, limit: LogRecord.bodyLimit)) }
    openingCount += 1
    busy(
      stream,
      work: {
        StreamLog.create(
          stream.name, header, base: point.base, first: first, expectsLifetime: creation.expectsLifetime, self.files, $0
        )
      }, then: created)
  }

  /// Of the source `stream`: where `fork` begins.
  func point(
    _ stream: ActiveStream, _ log: StreamLog, _ fork: StreamName, _ creation: StreamCreation,
    _ answer: @escaping Answer<(ForkPoint, StreamFork)>
  ) {
    guard var place = creation.fork else { return answer(.failure(.notFound(stream.name))) }
    let offset = place.offset ?? Offset(log.tail)
    // Only what can be read is there to be forked.
    if let damage = log.damage, place.offset == nil || offset.value + (place.subOffset > 0 ? 1 : 0) > log.tail {
      return answer(.failure(damage))
    }
    place.offset = offset
    use(stream, log)
    let status = log.status
    let decide = { [self] (next: [UInt8]?) in
      let result = ForkPoint.of(creation, at: place, status, next: next, depth: forks.depth(of: stream.name))
      if case .success = result { forks.add(fork, of: stream.name) }
      answer(result.map { ($0, place) })
    }
    guard place.subOffset > 0, offset.value < log.tail else { return decide(nil) }
    read(stream, log, from: offset.value, before: offset.value + 1, 1) { result in
      switch result {
      case .success(let batch): decide(batch.items.first?.bytes)
      case .failure(let failure): answer(.failure(failure))
      }
    }
  }
}
