import WeirCore

/// The files of one stream: opened or made, appended to, read, deleted. One operation at a time; its owner
/// (`FileStreamStore`) queues them.
///
/// Appends go to the last segment, which begins anew when it has reached `segmentLimit`. Its tail is what has been acknowledged:
/// nobody reads beyond it. The newest items stay in memory, so that readers at the tail cost no file operation.
final class StreamLog {
  /// Items kept in memory: of one stream, the bytes of the newest.
  static let recentBytesLimit = 64 << 10
  /// A use is written down when the one before is older than this part of the time that the stream may be idle.
  static let grainDivisor: Int64 = 8

  struct Segment {
    var base: UInt64
    /// Nil: not looked at yet (an older segment after the store was opened).
    var index: SparseIndex?
    /// Where its good records end.
    var end: Int
  }

  /// What is still to be done for a stream whose files were closed before it was.
  struct Debt {
    /// Its last file may not be in the folder after power loss.
    var isNew: Bool
    /// Bytes of its last file that are on disk, here or in the journal.
    var synced: Int
    /// From this record on they may not be on disk there.
    var settled: Int
    /// So many have been answered.
    var end: Int
    /// It was tried, and failed.
    var failure: DiskFailure?
  }

  let name: StreamName
  /// As it was made. Its writers and its use are of that moment.
  let header: LogRecord.Header
  private(set) var tail: UInt64
  private(set) var ending: StreamEnding?
  private(set) var writers: StreamWriters
  private(set) var lease: StreamLease
  /// Set once something is known to be wrong with a file: nothing is appended any more.
  var damage: StoreFailure?
  /// There are appends that are not durable in the stream's own files: `synchronize` has not been called since, and the
  /// journal has them, or nobody was promised that.
  var isDirty = false
  /// Its last file may not be in the folder after power loss.
  var isNew = false
  /// A synchronisation failed.
  private var isLost = false

  let files: Files
  let stem: String
  /// The last segment's, in the folder.
  private var fileName: String
  /// Of the first segment's file.
  private var kind: LogFileName.Kind
  var segments: [Segment]
  private(set) var file: any DiskFile
  /// Bytes of the last segment that are on disk, in it or in the journal.
  var synced: Int
  /// Of those, in it.
  private var settled: Int
  /// Where the last record begins, when it is one of use.
  private var usePlace: Int?
  private(set) var recent: [StreamItem] = []
  private(set) var recentFrom: UInt64
  private var recentBytes = 0
  /// What the last segment held when it was looked at; goes on only in `follow`.
  private(set) var scan: LogScan
  /// An older segment that is being read.
  private(set) var older: (base: UInt64, file: any DiskFile)?
  private var isClosed = false
  /// Where the last few reads stopped: whoever reads on finds the record at once, not by way of the index.
  var readEnds: [(base: UInt64, position: UInt64, place: Int)] = []

  init(
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
    (synced, settled) = (scan.end, scan.end)
    usePlace = scan.usePlace
    recentFrom = scan.tail
    self.scan = scan
    files.open.count += 1
    fileName = streamFiles.name(stem, segments[segments.count - 1].base)
  }

  deinit { close() }

  /// Lets go of its files. What is under way in them is done.
  func close() {
    if isClosed { return }
    isClosed = true
    file.close()
    files.open.count -= 1
    closeOlder()
  }

  /// The file of an older segment takes the place of the one that was read before.
  func keepOlder(_ base: UInt64, _ file: any DiskFile) {
    closeOlder()
    older = (base, file)
    files.open.count += 1
  }

  func closeOlder() {
    guard let older else { return }
    older.file.close()
    self.older = nil
    files.open.count -= 1
  }

  /// What has to be done when its files are closed now; nil: nothing.
  var debt: Debt? {
    isDirty ? Debt(isNew: isNew, synced: synced, settled: settled, end: segments[segments.count - 1].end) : nil
  }

  /// Opened again before that was done.
  func takeOver(_ debt: Debt) { (isDirty, isNew, synced, settled) = (true, debt.isNew, debt.synced, debt.settled) }

  var streamFiles: StreamFiles { StreamFiles(bases: segments.map(\.base), first: kind) }
  /// The position of its own first item: what is before it is its source's.
  var base: UInt64 { segments[0].base }
  var contentType: String { header.contentType }
  var createdAt: Int64 { header.createdAt }
  var fork: StreamFork? { header.fork }

  /// As far as its files can be read (`StreamStatus.damage`).
  var status: StreamStatus {
    var status = StreamStatus(
      name: name, contentType: contentType, tail: Offset(tail), ending: ending, createdAt: createdAt)
    (status.lifetime, status.expiresAt, status.fork) = (lease.lifetime, lease.expiresAt, header.fork)
    status.damage = damage
    return status
  }

  func path(_ base: UInt64) -> String { files.directory + "/" + streamFiles.name(stem, base) }

  /// What was kept at a position is not what was written.
  func damaged(at position: UInt64) -> StoreFailure { .damaged(name, at: Offset(position)) }

  /// A new stream, which has all of its items in memory.
  func begins(with items: [[UInt8]], isJournaled: Bool) {
    recentFrom = base
    (isNew, isDirty) = (isJournaled, isJournaled)
    if isJournaled { settled = 0 }
    remember(items, header.createdAt)
  }

  /// Nothing in the last segment can be trusted; what is before it can be read.
  func refuse(from base: UInt64) {
    damage = damaged(at: base)
    (tail, recentFrom) = (base, base)
    ending = nil
    segments[segments.count - 1].index = SparseIndex()
  }

  /// What has become of the last segment since it was looked at.
  func take(_ scan: LogScan) {
    self.scan = scan
    segments[segments.count - 1].index = scan.index
    segments[segments.count - 1].end = scan.end
    (tail, ending, writers) = (scan.tail, scan.ending, scan.writers)
    lease = StreamLease(scan.lifetime, mark: scan.usedAt, grainDivisor: Self.grainDivisor)
    if scan.verdict == .damaged { damage = damaged(at: scan.tail) }
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
    // What may come after the end stays where the end is: the header of another segment knows of none.
    guard segments[segments.count - 1].end < files.segmentLimit || ending != nil else {
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
    if files.journal == nil { return answer(nil) }
    synchronize { failure in if let failure { answer(failure) } else { Self.forget(self.stem, self.files, answer) } }
  }

  /// True: `writeUse` must be called, so that the stream's lifetime counts from now after a restart as well.
  func use(at now: Int64) -> Bool { lease.use(at: now) && damage == nil }

  /// Writes down the last use. Only the last record may be one of use: it is written over.
  func writeUse(_ answer: @escaping (StoreFailure?) -> Void) {
    if let damage { return answer(damage) }
    var bytes: [UInt8] = []
    let end = segments[segments.count - 1].end
    let place = usePlace ?? end
    settled = min(settled, place)
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
      // What is written over was on disk, and what stands there now is not yet.
      self.synced = min(self.synced, place)
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
      self.settled = end
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
      let failure = StoreFailure(failure)
      if second != nil { self.damage = .unavailable("stream \"\(self.name)\": \(failure.message)") }
      answer(failure)
    }
  }

  /// After a failed synchronisation nobody knows what is on disk, not even the system: only opening it again tells. Until then it
  /// stays dirty, so that what the journal has of it is kept.
  func lost(_ failure: DiskFailure, _ answer: (StoreFailure?) -> Void) {
    isLost = true
    isDirty = true
    let why = StoreFailure(failure).message
    damage = .unavailable("stream \"\(name)\" takes nothing more until its store is opened again: \(why)")
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
      Self.begin(self.stem, header, base: self.tail, .log, nil, isFirst: false, self.files) { result in
        switch result {
        case .failure(let failure): answer(failure)
        case .success(let (file, bytes, isJournaled)):
          self.file.close()
          self.file = file
          self.segments.append(Segment(base: self.tail, index: SparseIndex(), end: bytes.count))
          self.fileName = self.streamFiles.name(self.stem, self.tail)
          (self.synced, self.settled) = (bytes.count, isJournaled ? 0 : bytes.count)
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
}
