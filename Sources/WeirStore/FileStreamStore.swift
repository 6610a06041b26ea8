import WeirCore

/// Streams in files: one append-only log each, in one folder. The store for one machine.
///
/// **An answered append survives `kill -9` and power loss**: it is on disk before the answer (`Synchronization.always`), in the
/// stream's file or in the journal that all streams share (`CommitJournal`).
/// `everyMilliseconds` relaxes that: answered appends survive the process, and power loss takes at most so much time.
/// A write that a crash tore is cut off when its stream is opened again; damage to what was acknowledged is an error of everybody
/// who would read it, never an end (`StreamLog`, `LogScan`; the bytes: docs/store-format.md).
///
/// One process writes to a folder: it holds its lock. Operations on one stream are done and answered in the order asked, appends
/// that wait for the disk together in one write; different streams go side by side. What costs time is the disk's: opening a
/// stream reads its last segment, appending and reading at an offset cost the same whatever its length. A fork reads what it has
/// from its source in the source's turn. Uses of a stream that may be idle are written down (`StreamLease`) behind the answer.
package final class FileStreamStore: StreamStore {
  package enum Synchronization: Sendable, Equatable {
    case always
    case everyMilliseconds(Int)
  }

  package struct Limits: Sendable {
    /// A stream goes on in another file: what opening it reads at most.
    package var segmentLimit = 8 << 20
    /// Files that are open, at most: a stream has one, or two while its older items are read. Whoever needs more waits.
    package var openLimit = 256
    /// Of those, of streams that nobody has used for a second; the ones that were left alone longest are closed.
    package var restLimit = 256
    /// Appends of one stream that wait for the disk: beyond it the disk does not keep up.
    package var waitingBytesLimit = 64 << 20
    /// Bytes of the journal after which its other file is begun and the streams' own are made durable.
    package var journalLimit = 8 << 20
    package init() {}
  }

  /// Bytes of a stream's content type.
  package static let contentTypeLimit = 1024

  let loop: any Loop
  let limits: Limits
  let synchronization: Synchronization
  let files: StreamLog.Files
  /// Held while the store lives; nil: it only follows what another process writes.
  private(set) var lock: (any DiskFile)?
  /// Set before anything is asked of a store that follows.
  var following: Following?
  /// What there is on disk.
  var known: [StreamName: StreamFiles]
  /// Deleted, and kept for their forks.
  var gone: Set<StreamName>
  var forks = ForkTable()
  /// Stems of streams that may be forks, of whatever stream: while there are any, nothing that was deleted is removed.
  var unknownForks: Set<String> = []
  private var nameless: [String: (files: StreamFiles, isGone: Bool)] = [:]
  var index = StreamNameIndex()
  var creations = CreationClock()
  var watchers: [StreamName: WatcherList] = [:]
  var active: [StreamName: ActiveStream] = [:]
  /// Streams whose files were closed before everything in them was durable there.
  var unsettled: [StreamName: StreamLog.Debt] = [:]
  var settling = Settling()
  /// How many streams wait for the disk, and of those how many open a file.
  var busyCount = 0
  var openingCount = 0
  /// Streams that wait until another one's files are closed.
  var waitingForFile: ArraySlice<ActiveStream> = []
  var isAdmitting = false
  /// When streams that rest are next looked for.
  var nextClearing = Instant(nanoseconds: 0)
  /// Its folder is not there any more: nothing that is asked of it now would be found.
  var vanished: StoreFailure?
  /// Told once, for the log, of what stops the whole store.
  package var onTrouble: ((String) -> Void)?
  private(set) lazy var schedule = ExpirySchedule(loop: loop) { [weak self] name in self?.expire(name) }
  /// Looked at one after the other, so that a thousand that are due together open one file at a time.
  var due: ArraySlice<StreamName> = []
  var isExpiring = false

  /// Makes the folder if there is none (its parent must exist), and takes its lock: `.unavailable` says that another process
  /// has it. `synchronization` is the promise made for every append. Nobody may guess the `key` (`JournalEntry`).
  package static func open(
    directory: String, disk: any Disk, loop: any Loop, synchronization: Synchronization = .always,
    limits: Limits = Limits(), key: UInt64 = .random(in: .min ... .max), _ answer: @escaping Answer<FileStreamStore>
  ) {
    let names = FolderSync(disk, directory)
    StoreFolder.open(directory, disk, on: loop, names: names) { result in
      let isDurable = synchronization == .always
      answer(
        result.map { folder in
          FileStreamStore(
            folder,
            StreamLog.Files(
              disk: disk, directory: directory, segmentLimit: limits.segmentLimit, folder: names,
              synchronizesAppends: isDurable,
              journal: isDurable ? CommitJournal(disk, directory, names, limit: limits.journalLimit, key: key) : nil),
            loop, synchronization, limits)
        })
    }
  }

  init(
    _ folder: StoreFolder, _ files: StreamLog.Files, _ loop: any Loop, _ synchronization: Synchronization,
    _ limits: Limits
  ) {
    self.files = files
    self.loop = loop
    self.limits = limits
    self.synchronization = synchronization
    lock = folder.lock
    (known, gone) = ([:], [])
    found(folder)
    if folder.lock == nil { return }
    files.journal?.checkpoint = { [weak self] done in
      guard let self else { return done(false) }
      settleAll { done($0 == nil) }
    }
    files.journal?.forgets = { [weak self] in self?.excuse($0) }
    files.journal?.vanished = { [weak self] in self?.vanish($0) }
    // When these are over is known to their last segments alone, which are read one after the other, behind the opening.
    for (name, files) in known where files.first != .log && !gone.contains(name) { schedule.note(name, at: 0) }
    // The last fork of these went just before a crash.
    for name in gone where forks.count(of: name) == 0 { ask(name, .purge) }
  }

  deinit { following?.watch?.cancel() }

  /// The folder is another process' to write to. The lock goes with its file, which goes with what holds it.
  package func close() {
    lock?.close()
    lock = nil
  }

  /// What there is on disk.
  func found(_ folder: StoreFolder) {
    known = folder.streams
    gone = folder.gone
    (unknownForks, nameless) = (folder.unknownForks, folder.nameless)
    forks = ForkTable()
    for (name, header) in folder.headers { if let fork = header.fork { forks.add(name, of: fork.source) } }
    // Of a store that follows: they were read before it looked again.
    if !unknownForks.isEmpty { for stream in active.values { if let log = stream.log { recognize(log) } } }
    index = StreamNameIndex()
    for name in known.keys where !gone.contains(name) { index.insert(name) }
  }

  /// Watches that are not cancelled: 0 when all readers are gone, or something leaks.
  package var watcherCount: Int { watchers.values.reduce(0) { $0 + $1.liveCount } }

  // MARK: The protocol

  package func create(_ name: StreamName, _ creation: StreamCreation, _ answer: @escaping Answer<StreamStatus>) {
    ask(name, .create(creation, answer))
  }

  package func append(_ name: StreamName, _ append: StreamAppend, _ answer: @escaping Answer<StreamAppended>) {
    ask(name, .append(append, answer))
  }

  package func status(_ name: StreamName, _ answer: @escaping Answer<StreamStatus>) { ask(name, .status(answer)) }

  package func read(
    _ name: StreamName, from offset: Offset, byteLimit: Int, _ answer: @escaping Answer<StreamBatch>
  ) {
    ask(name, .read(offset, byteLimit, answer))
  }

  package func delete(_ name: StreamName, _ answer: @escaping Answer<Void>) { ask(name, .delete(answer)) }

  package func watch(_ name: StreamName, _ wake: @escaping () -> Void) -> any Cancellable {
    following?.note(name)
    let list: WatcherList
    if let known = watchers[name] {
      list = known
    } else {
      list = WatcherList { [weak self] in self?.watchers[name] = nil }
      watchers[name] = list
    }
    return list.add(wake)
  }

  package func list(prefix: String, after: StreamName?, limit: Int, _ answer: @escaping Answer<[StreamStatus]>) {
    guard let following, following.isListStale else {
      return listKnown(prefix: prefix, after: after, limit: limit, answer)
    }
    listAgain { failure in
      if let failure { return answer(.failure(failure)) }
      self.listKnown(prefix: prefix, after: after, limit: limit, answer)
    }
  }

  private func listKnown(
    prefix: String, after: StreamName?, limit: Int, _ answer: @escaping Answer<[StreamStatus]>
  ) {
    var found: [StreamStatus] = []
    func page(after last: StreamName?) {
      let wanted = limit - found.count
      let names = index.names(prefix: prefix, after: last, limit: wanted)
      next(names) {
        guard found.count < limit, names.count == wanted else { return answer(.success(found)) }
        page(after: names.last)
      }
    }
    func next(_ names: ArraySlice<StreamName>, _ done: @escaping () -> Void) {
      guard let name = names.first else { return done() }
      status(name) { result in
        switch result {
        case .success(let status): found.append(status)
        case .failure(.notFound), .failure(.gone): break
        // It is there, and somebody should know what is wrong with it.
        case .failure(let failure):
          var status = StreamStatus(
            name: name, contentType: "", tail: .start, ending: .aborted(reason: failure.message), createdAt: 0)
          status.damage = failure
          found.append(status)
        }
        // A page of streams that answer at once is no recursion.
        self.loop.soon { next(names.dropFirst(), done) }
      }
    }
    page(after: after)
  }

  // MARK: One stream's turn

  /// A stream that something is asked of, or whose file is open.
  final class ActiveStream {
    let name: StreamName
    var log: StreamLog?
    var waiting: ArraySlice<StoreOperation> = []
    var waitingBytes = 0
    /// An operation is with the disk.
    var isBusy = false
    /// `advance` is under way: what an answer asks for waits for its next round.
    var isAdvancing = false
    /// It is being made and waits for its source: until then it is not there, and whoever waits for it is told so. Two that
    /// are each to be forked from the other would wait for ever.
    var isForking = false
    /// It is busy only because it waits for another stream: its own file is at rest, and may be made durable meanwhile.
    var isElsewhere = false
    /// So many are doing that, and what comes when none does any more.
    var besides = 0
    var goOn: (() -> Void)?
    /// A use waits to be written down.
    var isUseWaiting = false
    /// It waits until another one's files are closed.
    var isWaitingForFile = false
    /// Of a store that follows: there is more in its last file than when it was looked at.
    var hasGrown = false
    /// It may have other files.
    var hasMoved = false
    /// The folder was listed for the question that is answered next.
    var isListed = false
    var lastUse = Instant(nanoseconds: 0)
    var synchronization: (any Cancellable)?
    init(_ name: StreamName) { self.name = name }
  }

  func ask(_ name: StreamName, _ operation: StoreOperation) {
    if let vanished { return operation.fail(vanished) }
    if following != nil, operation.isChange { return operation.fail(Following.refusal) }
    following?.note(name)
    if !nameless.isEmpty, known[name] == nil, let found = nameless.removeValue(forKey: LogFileName.stem(name)) {
      known[name] = found.files
      if found.isGone { gone.insert(name) } else { index.insert(name) }
    }
    let stream = active[name] ?? ActiveStream(name)
    if stream.isForking, operation.isForFork { return operation.fail(.notFound(name)) }
    if stream.isElsewhere, case .synchronize(let answer) = operation { return synchronizeBesides(stream, answer) }
    if case .append(let append, _) = operation {
      let size = LogRecord.size(of: append)
      guard size <= LogRecord.bodyLimit else { return operation.fail(.tooLarge(size, limit: LogRecord.bodyLimit)) }
      guard stream.waitingBytes + size <= limits.waitingBytesLimit else {
        return operation.fail(
          .unavailable("stream \"\(name)\": more than \(limits.waitingBytesLimit) bytes wait for the disk"))
      }
      stream.waitingBytes += size
    }
    if active[name] == nil { active[name] = stream }
    stream.lastUse = loop.now
    stream.waiting.append(operation)
    advance(stream)
  }

  /// Does what can be done now, in order, until the disk is asked for something or nothing waits.
  func advance(_ stream: ActiveStream) {
    if stream.isAdvancing { return }
    stream.isAdvancing = true
    while !stream.isBusy, let operation = stream.waiting.first {
      if lookAgain(stream) { continue }
      if stream.log == nil, operation.needsFile(isKnown: known[stream.name] != nil) {
        if case .synchronize(let answer) = operation {
          stream.waiting.removeFirst()
          settleClosed(stream, answer)
          continue
        }
        guard hasFile(for: stream) else { break }
        if let files = known[stream.name] {
          load(stream, files)
          continue
        }
      }
      if operation.isStopped(byExpiry: isOver(stream)) {
        if following != nil {
          // Its writer removes it.
          stream.waiting.removeFirst()
          operation.fail(.notFound(stream.name))
          continue
        }
        // Who asks again asks the disk again.
        remove(stream) { if case .failure(let failure) = $0 { self.refuseWaiting(stream, failure) } }
        continue
      }
      if case .append = operation {
        appendWaiting(stream)
        continue
      }
      stream.waiting.removeFirst()
      perform(operation, stream)
    }
    stream.isAdvancing = false
    guard !stream.isBusy, stream.waiting.isEmpty else { return }
    // An empty slice still holds what has been taken from it.
    stream.waiting = []
    rest(stream)
  }

  /// Asks the disk. The answer ends the stream's being busy and comes first; what waits goes on behind it.
  func busy<Value>(
    _ stream: ActiveStream, work: (@escaping (Value) -> Void) -> Void, then: @escaping (Value) -> Void
  ) {
    stream.isBusy = true
    busyCount += 1
    // The store lives until the disk has answered, and so does everybody who waits.
    work { [self] value in
      stream.isBusy = false
      busyCount -= 1
      let wasAdvancing = stream.isAdvancing
      stream.isAdvancing = true
      then(value)
      stream.isAdvancing = wasAdvancing
      if !wasAdvancing { advance(stream) }
    }
  }

  /// Asks another stream. That one may wait until the journal has forgotten it, which waits until everything is durable: this
  /// stream's file is made so without its turn.
  func busyElsewhere<Value>(
    _ stream: ActiveStream, work: (@escaping (Value) -> Void) -> Void, then: @escaping (Value) -> Void
  ) {
    stream.isElsewhere = true
    let asking = { (done: @escaping (Value) -> Void) in
      work { value in
        stream.isElsewhere = false
        if stream.besides == 0 { done(value) } else { stream.goOn = { done(value) } }
      }
    }
    busy(stream, work: asking, then: then)
    guard stream.isElsewhere else { return }
    let waiting = stream.waiting
    stream.waiting = ArraySlice(waiting.filter { !$0.isSynchronize })
    for case .synchronize(let answer) in waiting { synchronizeBesides(stream, answer) }
  }

  private func synchronizeBesides(_ stream: ActiveStream, _ answer: @escaping (StoreFailure?) -> Void) {
    guard let log = stream.log, log.isDirty else { return answer(nil) }
    stream.besides += 1
    log.synchronize { [self] failure in
      stream.besides -= 1
      answer(failure)
      guard stream.besides == 0 else { return }
      let goOn = stream.goOn
      stream.goOn = nil
      goOn?()
      // The store lives until the disk has answered.
      withExtendedLifetime(self) {}
    }
  }

  private func load(_ stream: ActiveStream, _ found: StreamFiles) {
    if found.first == nil { return removeRest(stream, found) }
    openingCount += 1
    let opened = { [self] (result: Result<StreamLog?, StoreFailure>) in
      openingCount -= 1
      switch result {
      case .success(let log?):
        stream.log = log
        unsettled[stream.name] = nil
        known[stream.name] = log.streamFiles
        recognize(log)
      // Only the beginning of making it had reached the disk.
      case .success(nil): forget(stream.name)
      case .failure(let failure): refuseWaiting(stream, failure)
      }
    }
    let debt = unsettled[stream.name]
    busy(stream, work: { StreamLog.open(stream.name, found, debt, self.files, $0) }, then: opened)
  }

  func refuseWaiting(_ stream: ActiveStream, _ failure: StoreFailure) {
    let waiting = stream.waiting
    // Nobody asks for these again.
    stream.waiting = ArraySlice(waiting.filter(\.isPurge))
    stream.waitingBytes = 0
    stream.isUseWaiting = false
    for operation in waiting where !operation.isPurge { operation.fail(failure) }
  }

  /// Nothing of it is on disk any more.
  func forget(_ name: StreamName) {
    guard known.removeValue(forKey: name) != nil else { return }
    unsettled[name] = nil
    schedule.forget(name)
    if gone.remove(name) == nil { index.remove(name) }
    if unknownForks.remove(LogFileName.stem(name)) != nil { purgeGone() }
    // With its last fork a stream that is gone goes, and so on up the chain.
    if let source = forks.remove(name), gone.contains(source) { ask(source, .purge) }
  }

  /// It is on disk.
  func made(_ stream: ActiveStream, _ log: StreamLog) {
    stream.log = log
    known[stream.name] = log.streamFiles
    index.insert(stream.name)
    if let moment = log.lease.expiresAt { schedule.note(stream.name, at: moment) }
    watchers[stream.name]?.changed(on: loop)
  }

  private func perform(_ operation: StoreOperation, _ stream: ActiveStream) {
    let name = stream.name
    switch operation {
    case .create(let creation, let answer): return create(stream, creation, answer)
    case .purge: return purge(stream)
    case .synchronize(let answer):
      guard let log = stream.log, log.isDirty else { return answer(nil) }
      return busy(stream, work: { log.synchronize($0) }, then: answer)
    case .writeUse:
      stream.isUseWaiting = false
      guard let log = stream.log, !gone.contains(name) else { return }
      return busy(stream, work: { log.writeUse($0) }, then: { _ in })
    case .expire(let done):
      // One that is damaged stays, for somebody to look at: it would be looked for again and again.
      if let log = stream.log, log.damage == nil, let moment = log.lease.expiresAt, !gone.contains(name) {
        schedule.note(name, at: moment)
      }
      return done(true)
    default: break
    }
    guard let log = stream.log else { return operation.fail(.notFound(name)) }
    if case .inherited(let offset, let end, let byteLimit, let answer) = operation {
      return read(stream, log, from: offset, before: end, byteLimit, answer)
    }
    if gone.contains(name) { return operation.fail(.gone(name)) }
    switch operation {
    case .status(let answer): answer(.success(log.status))
    case .read(let offset, let byteLimit, let answer):
      guard offset.value <= log.tail else {
        return answer(.failure(log.damage ?? .beyondTail(name, tail: Offset(log.tail))))
      }
      use(stream, log)
      read(stream, log, from: offset.value, before: log.tail, byteLimit, answer)
    case .forkPoint(let fork, let creation, let answer): point(stream, log, fork, creation, answer)
    case .delete(let answer): remove(stream, answer)
    default: break
    }
  }

  /// Items from `position`, which is at most the tail, and before `end`.
  func read(
    _ stream: ActiveStream, _ log: StreamLog, from position: UInt64, before end: UInt64, _ byteLimit: Int,
    _ answer: @escaping Answer<StreamBatch>
  ) {
    if position < log.base, let fork = log.fork {
      // A fork of itself, by way of others or not, or whose headers contradict each other, would wait for itself.
      guard forks.isSound(stream.name, of: fork.source) else { return answer(.failure(log.damaged(at: position))) }
      let inherited = { (result: Result<StreamBatch, StoreFailure>) in
        answer(
          result.map { batch in
            var batch = batch
            batch.createdAt = log.createdAt
            batch.ending = batch.next.value == log.tail ? log.ending : nil
            batch.reachedTail = batch.next.value == log.tail && !batch.items.isEmpty && log.damage == nil
            return batch
          })
      }
      return busyElsewhere(
        stream,
        work: { self.ask(fork.source, .inherited(position, before: min(end, log.base), byteLimit: byteLimit, $0)) },
        then: inherited)
    }
    // At the end of what is left nothing will ever come, and that is no end.
    if let damage = log.damage, position >= log.tail { return answer(.failure(damage)) }
    let cut = { (batch: StreamBatch) -> StreamBatch in
      guard batch.next.value > end else { return batch }
      return StreamBatch(
        items: Array(batch.items.prefix(Int(end - position))), next: Offset(end), ending: nil,
        createdAt: batch.createdAt)
    }
    if let batch = log.recentBatch(from: position, byteLimit: byteLimit) { return answer(.success(cut(batch))) }
    busy(stream, work: { log.read(from: position, byteLimit: byteLimit, $0) }, then: { answer($0.map(cut)) })
  }

  /// The appends at the front of what waits, up to one that ends the stream, in one write.
  private func appendWaiting(_ stream: ActiveStream) {
    var group: [(append: StreamAppend, answer: Answer<StreamAppended>)] = []
    var size = 0
    let now = loop.wallClock
    var writers = stream.log?.writers ?? StreamWriters()
    var tail = stream.log?.tail ?? 0
    var ending = stream.log?.ending
    while case .append(let append, let answer)? = stream.waiting.first, size < limits.segmentLimit {
      let own = LogRecord.size(of: append)
      var result: Result<StreamAppended, StoreFailure>?
      if let log = stream.log {
        if let damage = log.damage {
          result = .failure(damage)
        } else if gone.contains(stream.name) {
          result = .failure(.gone(stream.name))
        } else {
          switch writers.judge(
            append, of: stream.name, contentType: log.contentType, ending: ending, tail: Offset(tail), now: now)
          {
          case .refused(let failure): result = .failure(failure)
          case .isRepeat(let known): result = .success(known)
          case .new: if append.isNothing { result = .success(StreamAppended(tail: Offset(tail))) }
          }
        }
      } else {
        result = .failure(.notFound(stream.name))
      }
      // What is refused, or changes nothing, is answered in its turn: behind those before it.
      if result != nil, !group.isEmpty { break }
      stream.waiting.removeFirst()
      stream.waitingBytes -= own
      if let result { return answer(result) }
      size += own
      tail += UInt64(append.items.count)
      ending = ending ?? append.ending
      writers.took(append, at: now)
      group.append((append, answer))
    }
    guard let log = stream.log, !group.isEmpty else { return }
    var place = log.tail
    let after = writers
    let appended = { [self] (failure: StoreFailure?) in
      if known[stream.name] != log.streamFiles { known[stream.name] = log.streamFiles }
      if failure == nil {
        if group.contains(where: \.append.isVisible) { watchers[stream.name]?.changed(on: loop) }
        if let moment = log.lease.expiresAt { schedule.note(stream.name, at: moment) }
      }
      synchronizeLater(stream)
      for (append, answer) in group {
        place += UInt64(append.items.count)
        answer(
          failure.map { .failure($0) }
            ?? .success(
              StreamAppended(tail: Offset(place), sequence: append.producer?.sequence, ending: append.ending)))
      }
    }
    busy(stream, work: { log.append(group.map(\.append), after, time: now, $0) }, then: appended)
  }
}
