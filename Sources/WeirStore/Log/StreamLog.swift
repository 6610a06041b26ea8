import WeirCore

/// The files of one stream: opened or made, appended to, read, deleted. One operation at a time; its owner
/// (`FileStreamStore`) queues them.
///
/// Appends go to the last segment, which begins anew when it has reached `segmentLimit`. Its tail is what has been acknowledged:
/// nobody reads beyond it. The newest items stay in memory, so that readers at the tail cost no file operation.
final class StreamLog {
  /// Items kept in memory: of one stream, the bytes of the newest.
  static let recentBytesLimit = 64 << 10
  /// Read at once when looking for items.
  private static let readLength = 128 << 10
  /// A use is written down when the one before is older than this part of the time that the stream may be idle.
  static let grainDivisor: Int64 = 8

  private struct Segment {
    var base: UInt64
    /// Nil: not looked at yet (an older segment after the store was opened).
    var index: SparseIndex?
    /// Where its good records end.
    var end: Int
  }

  let name: StreamName
  /// As it was made. Its writers and its use are of that moment.
  private let header: LogRecord.Header
  private(set) var tail: UInt64
  private(set) var ending: StreamEnding?
  private(set) var writers: StreamWriters
  private(set) var lease: StreamLease
  /// Set once something is known to be wrong with a file: nothing is appended any more.
  private(set) var damage: StoreFailure?
  /// There are appends that are not durable in the stream's own files: `synchronize` has not been called since, and the
  /// journal has them, or nobody was promised that.
  private(set) var isDirty = false
  /// Its last file may not be in the folder after power loss.
  private var isNew = false
  /// A synchronisation failed.
  private var isLost = false

  private let files: Files
  private let stem: String
  /// The last segment's, in the folder.
  private var fileName: String
  /// Of the first segment's file.
  private var kind: LogFileName.Kind
  private var segments: [Segment]
  private var file: any DiskFile
  /// Bytes of the last segment that are on disk.
  private var synced: Int
  /// Where the last record begins, when it is one of use.
  private var usePlace: Int?
  private var recent: [StreamItem] = []
  private var recentFrom: UInt64
  private var recentBytes = 0
  /// What the last segment held when it was looked at; goes on only in `follow`.
  private var scan: LogScan
  /// An older segment that is being read.
  private var older: (base: UInt64, file: any DiskFile)?
  /// Where the last few reads stopped: whoever reads on finds the record at once, not by way of the index.
  private var readEnds: [(base: UInt64, position: UInt64, place: Int)] = []
  private static let readEndsLimit = 8

  private init(
    _ name: StreamName, _ files: Files, _ file: any DiskFile, _ kind: LogFileName.Kind, _ segments: [Segment],
    _ scan: LogScan
  ) {
    self.name = name
    self.files = files
    self.file = file
    self.segments = segments
    stem = LogFileName.stem(name)
    fileName = ""
    self.kind = kind
    header = scan.header ?? LogRecord.Header(name: name.path, contentType: "", createdAt: 0, usedAt: 0)
    tail = scan.tail
    ending = scan.ending
    writers = scan.writers
    lease = StreamLease(scan.lifetime, mark: scan.usedAt, grainDivisor: Self.grainDivisor)
    synced = scan.end
    usePlace = scan.usePlace
    recentFrom = scan.tail
    self.scan = scan
    fileName = streamFiles.name(stem, segments[segments.count - 1].base)
  }

  deinit {
    file.close()
    older?.file.close()
  }

  var streamFiles: StreamFiles { StreamFiles(bases: segments.map(\.base), first: kind) }
  /// The position of its own first item: what is before it is its source's.
  var base: UInt64 { segments[0].base }
  var contentType: String { header.contentType }
  var createdAt: Int64 { header.createdAt }
  var fork: StreamFork? { header.fork }

  var status: StreamStatus {
    var status = StreamStatus(
      name: name, contentType: contentType, tail: Offset(tail), ending: ending, createdAt: createdAt)
    (status.lifetime, status.expiresAt, status.fork) = (lease.lifetime, lease.expiresAt, header.fork)
    return status
  }

  private func path(_ base: UInt64) -> String { files.directory + "/" + streamFiles.name(stem, base) }

  // MARK: Making and opening

  /// A new stream with its first items, if there are any: its first segment is durable, and so is its name, before the
  /// answer. One record says that it was made: a crash leaves all of that or nothing.
  static func create(
    _ name: StreamName, _ header: LogRecord.Header, base: UInt64, first: StreamAppend, expectsLifetime: Bool = false,
    _ files: Files, _ answer: @escaping Answer<StreamLog>
  ) {
    var header = header
    header.hasFirstItems = !first.isNothing
    let kind = expectsLifetime && header.kind == .log ? .kept : header.kind
    begin(LogFileName.stem(name), header, base: base, kind, first, files) { result in
      answer(
        result.map { file, bytes, isJournaled in
          let scan = LogScan(bytes)
          let log = StreamLog(
            name, files, file, kind, [Segment(base: base, index: scan.index, end: scan.end)], scan)
          log.recentFrom = base
          (log.isNew, log.isDirty) = (isJournaled, isJournaled)
          log.remember(first.items, header.createdAt)
          return log
        })
    }
  }

  /// The stream that has the files `found`. Success of nil: there is none; a file that a crash left half made is removed.
  static func open(
    _ name: StreamName, _ found: StreamFiles, _ files: Files, isSecondLook: Bool = false,
    _ answer: @escaping Answer<StreamLog?>
  ) {
    guard let base = found.bases.last else { return answer(.success(nil)) }
    let path = files.directory + "/" + found.name(LogFileName.stem(name), base)
    func failed(_ failure: DiskFailure) {
      // Its writer has deleted it since it was listed.
      if files.isReadOnly, failure.code == "FileNotFound" { return answer(.success(nil)) }
      answer(.failure(StoreFailure(failure)))
    }
    files.disk.open(path, files.isReadOnly ? .read : .readWrite) { opened in
      guard case .success(let file) = opened else { return failed(opened.failure ?? .notFound(path)) }
      readAll(file, files) { result in
        guard case .success(let bytes) = result else {
          file.close()
          return failed(result.failure ?? .notFound(path))
        }
        let scan = LogScan(bytes)
        guard !scan.isUnmade else {
          // Nobody was told that this segment exists.
          file.close()
          let earlier = StreamFiles(bases: found.bases.dropLast(), first: found.first)
          if files.isReadOnly { return open(name, earlier, files, answer) }
          return files.disk.remove(path) { failure in
            if let failure { return failed(failure) }
            files.folder.synchronize { failure in
              if let failure { return failed(failure) }
              open(name, earlier, files, answer)
            }
          }
        }
        let segments =
          found.bases.dropLast().map { Segment(base: $0, index: nil, end: .max) } + [
            Segment(base: base, index: scan.index, end: scan.end)
          ]
        let kind = found.first ?? .log
        let log = StreamLog(name, files, file, kind, segments, scan)
        if let header = scan.header, header.name != name.path || scan.base != base || !kind.holds(header.kind) {
          log.refuse(
            .unavailable("\(path) holds \"\(header.name)\" from \(scan.base) on: it is another stream's file"),
            from: base)
          return answer(.success(log))
        }
        if scan.verdict == .damaged {
          // It may have been read while its writer wrote over its last record.
          if files.isReadOnly, !isSecondLook {
            file.close()
            return open(name, found, files, isSecondLook: true, answer)
          }
          if scan.header == nil { log.refuse(log.damaged(path, 0), from: base) }
          log.damage = log.damaged(path, scan.end)
          return answer(.success(log))
        }
        if files.isReadOnly { return answer(.success(log)) }
        // Whatever came through the crash is made durable before anything is promised on top of it.
        func synchronize() {
          file.synchronize { failure in
            if let failure { return failed(failure) }
            answer(.success(log))
          }
        }
        if scan.end == bytes.count { return synchronize() }
        file.truncate(to: scan.end) { failure in
          if let failure { return failed(failure) }
          synchronize()
        }
      }
    }
  }

  /// A segment is not followed by another one before it has `segmentLimit` bytes, and the append that takes it there is at most as
  /// large as what is written at once.
  private static func segmentBound(_ files: Files) -> Int {
    2 * max(files.segmentLimit, 8 << 20) + LogRecord.bodyLimit + LogRecord.headLength
  }

  private static func readAll(
    _ file: any DiskFile, _ files: Files, _ answer: @escaping (Result<[UInt8], DiskFailure>) -> Void
  ) {
    let limit = segmentBound(files)
    file.size { size in
      switch size {
      case .failure(let failure): answer(.failure(failure))
      case .success(let size) where size > limit: answer(.failure(.tooLarge(files.directory, limit: limit)))
      case .success(let size): file.read(at: 0, count: size, answer)
      }
    }
  }

  /// Nothing in the last segment can be trusted; what is before it can be read.
  private func refuse(_ failure: StoreFailure, from base: UInt64) {
    damage = failure
    (tail, recentFrom) = (base, base)
    ending = nil
    segments[segments.count - 1].index = SparseIndex()
  }

  private func damaged(_ path: String, _ place: Int) -> StoreFailure {
    .unavailable(
      "stream \"\(name)\" is damaged at byte \(place) of \(path): what was kept there is not what was written")
  }

  // MARK: Following

  /// Takes in what another process has written to the last segment since it was looked at. A record that is not whole is not
  /// there yet.
  func follow(_ answer: @escaping (StoreFailure?) -> Void) {
    if damage != nil { return answer(nil) }
    look(from: scan.resumePlace, answer)
  }

  private func look(from place: Int, isSecond: Bool = false, _ answer: @escaping (StoreFailure?) -> Void) {
    file.size { result in
      guard case .success(let size) = result else { return answer(result.failure.map(StoreFailure.init)) }
      // Shorter: an append that failed was taken back.
      if size < self.scan.end, place > 0 { return self.look(from: 0, answer) }
      self.file.read(at: place, count: min(size, Self.segmentBound(self.files)) - place) { result in
        guard case .success(let bytes) = result else { return answer(result.failure.map(StoreFailure.init)) }
        var scan = place == 0 ? LogScan() : self.scan
        scan.goOn(bytes, from: place)
        // It was read while it was written over, or other records stand there by now.
        if scan.verdict == .damaged, !isSecond { return self.look(from: 0, isSecond: true, answer) }
        if scan.verdict == .torn, place > 0, scan.end == place { return self.look(from: 0, answer) }
        self.take(scan)
        answer(nil)
      }
    }
  }

  private func take(_ scan: LogScan) {
    self.scan = scan
    segments[segments.count - 1].index = scan.index
    segments[segments.count - 1].end = scan.end
    (tail, ending, writers) = (scan.tail, scan.ending, scan.writers)
    lease = StreamLease(scan.lifetime, mark: scan.usedAt, grainDivisor: Self.grainDivisor)
    if scan.verdict == .damaged { damage = damaged(path(segments[segments.count - 1].base), scan.end) }
    (recent, recentBytes, recentFrom) = ([], 0, scan.tail)
    readEnds = []
  }

  // MARK: Appending

  /// Adds all of `appends`, in order, in one write and one synchronisation. Each was judged to be new, and `writers` is
  /// what is known of the writers after them; only the last may end the stream. All or none.
  func append(
    _ appends: [StreamAppend], _ writers: StreamWriters, time: Int64, _ answer: @escaping (StoreFailure?) -> Void
  ) {
    if let damage { return answer(damage) }
    if kind == .log, appends.contains(where: { $0.lifetime != nil }) {
      return markKept { failure in
        if let failure { answer(failure) } else { self.append(appends, writers, time: time, answer) }
      }
    }
    guard segments[segments.count - 1].end < files.segmentLimit else {
      return roll { failure in
        if let failure { answer(failure) } else { self.append(appends, writers, time: time, answer) }
      }
    }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(appends.reduce(0) { $0 + LogRecord.size(of: $1) })
    let place = segments[segments.count - 1].end
    var index = segments[segments.count - 1].index ?? SparseIndex()
    var position = tail
    for append in appends {
      index.add(position, at: place + bytes.count)
      LogRecord(position: position, synced: UInt64(synced), body: .items(append, time: time)).append(to: &bytes)
      position += UInt64(append.items.count)
    }
    func commit() {
      segments[segments.count - 1].end = place + bytes.count
      segments[segments.count - 1].index = index
      tail = position
      ending = appends.last { $0.ending != nil }?.ending ?? ending
      self.writers = writers
      lease.written(at: time)
      if let lifetime = appends.last(where: { $0.lifetime != nil })?.lifetime {
        lease = StreamLease(lifetime, mark: time, grainDivisor: Self.grainDivisor)
      }
      usePlace = nil
      for append in appends { remember(append.items, time) }
      answer(nil)
    }
    Self.write(bytes, at: place, in: file, fileName, stem, isNew: false, files) { outcome in
      if case .unwritten(let failure) = outcome { return self.takeBack(to: place, failure, answer) }
      self.isDirty = true
      if case .durable = outcome {
        self.synced = place + bytes.count
        return commit()
      }
      guard self.files.synchronizesAppends else { return commit() }
      self.synchronize(upTo: place + bytes.count) { failure in if let failure { answer(failure) } else { commit() } }
    }
  }

  /// Before the stream is given a lifetime: whoever opens the store next sees by the name that it may be over. A crash behind
  /// this leaves a stream that is looked at once more than it needs.
  private func markKept(_ answer: @escaping (StoreFailure?) -> Void) {
    // The journal knows the file by its old name, and would make it again.
    leaveJournal { failure in
      if let failure { return answer(failure) }
      let old = self.path(self.segments[0].base)
      self.kind = .kept
      self.files.disk.rename(old, self.path(self.segments[0].base)) { failure in
        if let failure {
          self.kind = .log
          return answer(StoreFailure(failure))
        }
        self.fileName = self.streamFiles.name(self.stem, self.segments[self.segments.count - 1].base)
        self.files.folder.synchronize { failure in
          // By which name it will be found nobody knows.
          if let failure { self.lost(failure, answer) } else { answer(nil) }
        }
      }
    }
  }

  private func leaveJournal(_ answer: @escaping (StoreFailure?) -> Void) {
    guard let journal = files.journal else { return answer(nil) }
    synchronize { failure in if let failure { answer(failure) } else { journal.forget(self.stem, answer) } }
  }

  /// True: `writeUse` must be called, so that the stream's lifetime counts from now after a restart as well.
  func use(at now: Int64) -> Bool { lease.use(at: now) && damage == nil }

  /// Writes down the last use. Only the last record may be one of use: it is written over.
  func writeUse(_ answer: @escaping (StoreFailure?) -> Void) {
    if let damage { return answer(damage) }
    var bytes: [UInt8] = []
    let end = segments[segments.count - 1].end
    let place = usePlace ?? end
    LogRecord(position: tail, synced: UInt64(min(synced, place)), body: .use(time: lease.mark)).append(to: &bytes)
    file.write(bytes, at: place) { failure in
      if let failure {
        // Whatever is there now, the next record comes over it, and is longer.
        self.segments[self.segments.count - 1].end = place
        self.synced = min(self.synced, place)
        self.usePlace = nil
        return answer(StoreFailure(failure))
      }
      self.usePlace = place
      self.segments[self.segments.count - 1].end = place + LogRecord.useSize
      self.isDirty = true
      guard self.files.synchronizesAppends else { return answer(nil) }
      self.synchronize(answer)
    }
  }

  /// Makes everything appended so far durable in the stream's own files.
  func synchronize(_ answer: @escaping (StoreFailure?) -> Void) {
    if isLost { return answer(damage) }
    guard isDirty else { return answer(nil) }
    synchronize(upTo: segments[segments.count - 1].end, answer)
  }

  private func synchronize(upTo end: Int, _ answer: @escaping (StoreFailure?) -> Void) {
    file.synchronize { failure in
      if let failure { return self.lost(failure, answer) }
      self.synced = max(self.synced, end)
      guard self.isNew else {
        self.isDirty = false
        return answer(nil)
      }
      self.files.folder.synchronize { failure in
        if let failure { return self.lost(failure, answer) }
        (self.isNew, self.isDirty) = (false, false)
        answer(nil)
      }
    }
  }

  /// A write that failed may have left a part: it goes, or nothing is written here any more.
  private func takeBack(to place: Int, _ failure: DiskFailure, _ answer: @escaping (StoreFailure?) -> Void) {
    // Nothing was tried.
    if case .busy = failure { return answer(StoreFailure(failure)) }
    file.truncate(to: place) { second in
      if second != nil { self.damage = .unavailable("stream \"\(self.name)\": \(failure.message)") }
      answer(StoreFailure(failure))
    }
  }

  /// After a failed synchronisation nobody knows what is on disk, not even the system: only opening it again tells. Until then it
  /// stays dirty, so that what the journal has of it is kept.
  private func lost(_ failure: DiskFailure, _ answer: @escaping (StoreFailure?) -> Void) {
    // Nothing was tried.
    if case .busy = failure { return answer(StoreFailure(failure)) }
    isLost = true
    damage = .unavailable("stream \"\(name)\" takes nothing more until it is opened again: \(failure.message)")
    answer(damage)
  }

  /// Goes on in a new segment. The old one is on disk first: a segment that has a next one is never torn.
  private func roll(_ answer: @escaping (StoreFailure?) -> Void) {
    isDirty = true
    synchronize { failure in
      if let failure { return answer(failure) }
      var header = self.header
      header.hasFirstItems = false
      (header.usedAt, header.writers, header.lifetime) = (self.lease.mark, self.writers, self.lease.lifetime)
      Self.begin(self.stem, header, base: self.tail, .log, nil, self.files) { result in
        switch result {
        case .failure(let failure): answer(failure)
        case .success(let (file, bytes, isJournaled)):
          self.file.close()
          self.file = file
          self.segments.append(Segment(base: self.tail, index: SparseIndex(), end: bytes.count))
          self.fileName = self.streamFiles.name(self.stem, self.tail)
          self.synced = bytes.count
          self.usePlace = nil
          (self.isNew, self.isDirty) = (isJournaled, isJournaled)
          answer(nil)
        }
      }
    }
  }

  private func remember(_ items: [[UInt8]], _ time: Int64) {
    for item in items {
      recent.append(StreamItem(bytes: item, time: time))
      recentBytes += item.count + MemoryStreamStore.itemOverhead
    }
    // Half goes at once, so that forgetting costs each item little.
    guard recentBytes > Self.recentBytesLimit else { return }
    var gone = 0
    while gone < recent.count, recentBytes > Self.recentBytesLimit / 2 {
      recentBytes -= recent[gone].bytes.count + MemoryStreamStore.itemOverhead
      gone += 1
    }
    recent.removeFirst(gone)
    recentFrom += UInt64(gone)
  }

  // MARK: Reading

  /// What memory has; nil: files must be read.
  func recentBatch(from position: UInt64, byteLimit: Int) -> StreamBatch? {
    guard position >= recentFrom, position <= tail else { return nil }
    let start = Int(position - recentFrom)
    var end = start
    var size = 0
    while end < recent.count, end == start || size < byteLimit {
      size += recent[end].bytes.count
      end += 1
    }
    return batch(Array(recent[start..<end]), from: position)
  }

  private func batch(_ items: [StreamItem], from position: UInt64) -> StreamBatch {
    let next = position + UInt64(items.count)
    return StreamBatch(
      items: items, next: Offset(next), ending: next == tail ? ending : nil, createdAt: createdAt,
      reachedTail: next == tail && !items.isEmpty)
  }

  /// Items from `position`, which is at most the tail.
  func read(from position: UInt64, byteLimit: Int, _ answer: @escaping Answer<StreamBatch>) {
    if let batch = recentBatch(from: position, byteLimit: byteLimit) { return answer(.success(batch)) }
    guard let number = segments.lastIndex(where: { $0.base <= position }) else {
      return answer(.failure(.unavailable("stream \"\(name)\": the file of its beginning is missing")))
    }
    open(number) { result in
      switch result {
      case .failure(let failure): answer(.failure(failure))
      case .success(let file):
        let base = self.segments[number].base
        let known = self.readEnds.firstIndex { $0.base == base && $0.position == position }
        let place = known.map { self.readEnds.remove(at: $0).place } ?? self.segments[number].index?.place(of: position)
        guard let place else {
          let path = self.path(self.segments[number].base)
          return answer(.failure(self.damaged(path, 0)))
        }
        let end = number + 1 < self.segments.count ? self.segments[number + 1].base : self.tail
        self.collect(file, number, at: place, length: Self.readLength, from: position, until: end, byteLimit, answer)
      }
    }
  }

  /// The file of a segment, with its index made.
  private func open(_ number: Int, _ answer: @escaping Answer<any DiskFile>) {
    let segment = segments[number]
    if number == segments.count - 1 { return answer(.success(file)) }
    if let older, older.base == segment.base, segment.index != nil { return answer(.success(older.file)) }
    let path = self.path(segment.base)
    files.disk.open(path, .read) { opened in
      guard case .success(let file) = opened else {
        return answer(.failure(StoreFailure(opened.failure ?? .notFound(path))))
      }
      self.older?.file.close()
      self.older = (segment.base, file)
      if segment.index != nil { return answer(.success(file)) }
      Self.readAll(file, self.files) { result in
        switch result {
        case .failure(let failure): answer(.failure(StoreFailure(failure)))
        case .success(let bytes):
          let scan = LogScan(bytes)
          guard scan.header?.name == self.name.path, scan.base == segment.base else {
            return answer(.failure(self.damaged(path, 0)))
          }
          // What lies before the damage can still be read.
          self.segments[number].index = scan.index
          self.segments[number].end = scan.end
          answer(.success(file))
        }
      }
    }
  }

  /// Reads a piece and takes records from it: items from `position` on and before `until`.
  private func collect(
    _ file: any DiskFile, _ number: Int, at place: Int, length: Int, from position: UInt64, until end: UInt64,
    _ byteLimit: Int, _ answer: @escaping Answer<StreamBatch>
  ) {
    let segment = segments[number]
    let wanted = min(length, segment.end - place)
    file.read(at: place, count: wanted) { result in
      guard case .success(let bytes) = result else {
        return answer(.failure(StoreFailure(result.failure ?? .notFound(self.name.path))))
      }
      var items: [StreamItem] = []
      var size = 0
      var at = 0
      var readOn = 0
      while items.isEmpty || size < byteLimit {
        guard case .record(let record, let next) = LogRecord.read(bytes, at: at) else { break }
        readOn = at
        at = next
        guard case .items(let append, let time) = record.body else { continue }
        let added = append.items
        if record.position > position, items.isEmpty { break }
        var skipped = position > record.position ? Int(min(UInt64(added.count), position - record.position)) : 0
        while skipped < added.count, items.isEmpty || size < byteLimit,
          record.position + UInt64(skipped) < end
        {
          size += added[skipped].count
          items.append(StreamItem(bytes: added[skipped], time: time))
          skipped += 1
        }
        if skipped == added.count { readOn = next }
      }
      if !items.isEmpty {
        self.readEnds.append((segment.base, position + UInt64(items.count), place + readOn))
        if self.readEnds.count > Self.readEndsLimit { self.readEnds.removeFirst() }
        return answer(.success(self.batch(items, from: position)))
      }
      // The record that is wanted does not fit the piece, lies behind it, or is not what it was.
      switch LogRecord.read(bytes, at: at) {
      // A file that has become shorter would be read for ever.
      case .more(let needed) where place + needed <= segment.end && bytes.count == wanted:
        self.collect(
          file, number, at: place + at, length: max(Self.readLength, needed - at), from: position, until: end,
          byteLimit, answer)
      default:
        answer(.failure(self.damaged(self.path(segment.base), place + at)))
      }
    }
  }
}

extension Result {
  fileprivate var failure: Failure? { if case .failure(let failure) = self { failure } else { nil } }
}
