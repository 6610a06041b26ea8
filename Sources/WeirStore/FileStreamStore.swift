import WeirCore

/// Streams in files: one append-only log each, in one folder. The store for one machine.
///
/// **An answered append survives `kill -9` and power loss**: the file is synchronised before the answer (`Synchronization.always`).
/// `everyMilliseconds` relaxes that: answered appends survive the process, and power loss takes at most so much time.
/// A write that a crash tore is cut off when its stream is opened again; damage to what was acknowledged is an error of everybody
/// who would read it, never an end (`StreamLog`, `LogScan`; the bytes: docs/store-format.md).
///
/// One process writes to a folder: it holds its lock. Operations on one stream are done and answered in the order asked, appends
/// that wait for the disk together in one write; different streams go side by side. What costs time is the disk's: opening a
/// stream reads its last segment, appending and reading at an offset cost the same whatever its length.
package final class FileStreamStore: StreamStore {
  package enum Synchronization: Sendable, Equatable {
    case always
    case everyMilliseconds(Int)
  }

  package struct Limits: Sendable {
    /// A stream goes on in another file: what opening it reads at most.
    package var segmentLimit = 8 << 20
    /// Streams with open files; the ones that were left alone longest are closed.
    package var openLimit = 256
    /// Appends of one stream that wait for the disk: beyond it the disk does not keep up.
    package var waitingBytesLimit = 64 << 20
    package init() {}
  }

  /// Bytes of a stream's content type.
  package static let contentTypeLimit = 1024

  private let loop: any Loop
  private let limits: Limits
  private let synchronization: Synchronization
  private let files: StreamLog.Files
  /// Held while the store lives.
  private let lock: any DiskFile
  /// Where the segments of each stream begin, ascending.
  private var bases: [StreamName: [UInt64]]
  private var index = StreamNameIndex()
  private var watchers: [StreamName: WatcherList] = [:]
  private var active: [StreamName: ActiveStream] = [:]
  private var uses = 0

  /// Makes the folder if there is none (its parent must exist), and takes its lock: `.unavailable` says that another process
  /// has it. `synchronization` is the promise made for every append.
  package static func open(
    directory: String, disk: any Disk, loop: any Loop, synchronization: Synchronization = .always,
    limits: Limits = Limits(), _ answer: @escaping Answer<FileStreamStore>
  ) {
    StoreFolder.open(directory, disk) { result in
      answer(
        result.map { folder in
          FileStreamStore(
            folder,
            StreamLog.Files(
              disk: disk, directory: directory, segmentLimit: limits.segmentLimit,
              synchronizesAppends: synchronization == .always), loop, synchronization, limits)
        })
    }
  }

  private init(
    _ folder: StoreFolder, _ files: StreamLog.Files, _ loop: any Loop, _ synchronization: Synchronization,
    _ limits: Limits
  ) {
    self.files = files
    self.loop = loop
    self.limits = limits
    self.synchronization = synchronization
    lock = folder.lock
    bases = folder.bases
    for name in folder.bases.keys { index.insert(name) }
  }

  deinit { lock.close() }

  /// Watches that are not cancelled: 0 when all readers are gone, or something leaks.
  package var watcherCount: Int { watchers.values.reduce(0) { $0 + $1.liveCount } }

  // MARK: The protocol

  package func create(_ name: StreamName, contentType: String, _ answer: @escaping Answer<StreamStatus>) {
    ask(name, .create(contentType, answer))
  }

  package func append(
    _ name: StreamName, _ items: [[UInt8]], ending: StreamEnding?, _ answer: @escaping Answer<Offset>
  ) {
    ask(name, .append(items, ending, answer))
  }

  package func status(_ name: StreamName, _ answer: @escaping Answer<StreamStatus>) { ask(name, .status(answer)) }

  package func read(
    _ name: StreamName, from offset: Offset, byteLimit: Int, _ answer: @escaping Answer<StreamBatch>
  ) {
    ask(name, .read(offset, byteLimit, answer))
  }

  package func delete(_ name: StreamName, _ answer: @escaping Answer<Void>) { ask(name, .delete(answer)) }

  package func watch(_ name: StreamName, _ wake: @escaping () -> Void) -> any Cancellable {
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
    var found: [StreamStatus] = []
    func next(_ names: ArraySlice<StreamName>) {
      guard let name = names.first else { return answer(.success(found)) }
      status(name) { result in
        switch result {
        case .success(let status): found.append(status)
        case .failure(.notFound): break
        // It is there, and somebody should know what is wrong with it.
        case .failure(let failure):
          found.append(
            StreamStatus(
              name: name, contentType: "", tail: .start, ending: .aborted(reason: failure.message), createdAt: 0))
        }
        // A page of streams that answer at once is no recursion.
        self.loop.soon { next(names.dropFirst()) }
      }
    }
    next(index.names(prefix: prefix, after: after, limit: limit))
  }

  /// Makes everything that was answered durable, and answers when it is: before the process ends.
  package func synchronize(_ answer: @escaping (StoreFailure?) -> Void) {
    var waiting = 1
    var first: StoreFailure?
    func done(_ failure: StoreFailure?) {
      first = first ?? failure
      waiting -= 1
      if waiting == 0 { answer(first) }
    }
    for name in active.keys {
      waiting += 1
      ask(name, .synchronize(done))
    }
    done(nil)
  }

  // MARK: One stream's turn

  private enum Operation {
    case create(String, Answer<StreamStatus>)
    case append([[UInt8]], StreamEnding?, Answer<Offset>)
    case status(Answer<StreamStatus>)
    case read(Offset, Int, Answer<StreamBatch>)
    case delete(Answer<Void>)
    case synchronize((StoreFailure?) -> Void)

    func fail(_ failure: StoreFailure) {
      switch self {
      case .create(_, let answer), .status(let answer): answer(.failure(failure))
      case .append(_, _, let answer): answer(.failure(failure))
      case .read(_, _, let answer): answer(.failure(failure))
      case .delete(let answer): answer(.failure(failure))
      case .synchronize(let answer): answer(failure)
      }
    }
  }

  /// A stream that something is asked of, or whose file is open.
  private final class ActiveStream {
    let name: StreamName
    var log: StreamLog?
    var waiting: ArraySlice<Operation> = []
    var waitingBytes = 0
    /// An operation is with the disk.
    var isBusy = false
    /// `advance` is under way: what an answer asks for waits for its next round.
    var isAdvancing = false
    var lastUse = 0
    var synchronization: (any Cancellable)?
    init(_ name: StreamName) { self.name = name }
  }

  private func ask(_ name: StreamName, _ operation: Operation) {
    let stream = active[name] ?? ActiveStream(name)
    if active[name] == nil { active[name] = stream }
    uses += 1
    stream.lastUse = uses
    if case .append(let items, let ending, _) = operation {
      let size = LogRecord.size(of: items, ending: ending)
      guard size <= LogRecord.bodyLimit else {
        return operation.fail(.full("an append of \(size) bytes is more than the \(LogRecord.bodyLimit) of a record"))
      }
      guard stream.waitingBytes + size <= limits.waitingBytesLimit else {
        return operation.fail(
          .unavailable("stream \"\(name)\": more than \(limits.waitingBytesLimit) bytes wait for the disk"))
      }
      stream.waitingBytes += size
    }
    stream.waiting.append(operation)
    advance(stream)
  }

  /// Does what can be done now, in order, until the disk is asked for something or nothing waits.
  private func advance(_ stream: ActiveStream) {
    if stream.isAdvancing { return }
    stream.isAdvancing = true
    while !stream.isBusy, let operation = stream.waiting.first {
      if stream.log == nil, let known = bases[stream.name] {
        load(stream, known)
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
    if !stream.isBusy, stream.waiting.isEmpty { rest(stream) }
  }

  /// Asks the disk. The answer ends the stream's being busy and comes first; what waits goes on behind it.
  private func busy<Value>(
    _ stream: ActiveStream, work: (@escaping (Value) -> Void) -> Void, then: @escaping (Value) -> Void
  ) {
    stream.isBusy = true
    // The store lives until the disk has answered, and so does everybody who waits.
    work { [self] value in
      stream.isBusy = false
      stream.isAdvancing = true
      then(value)
      stream.isAdvancing = false
      advance(stream)
    }
  }

  private func load(_ stream: ActiveStream, _ known: [UInt64]) {
    guard known.first == 0 else {
      return refuseWaiting(
        stream, .unavailable("stream \"\(stream.name)\" was deleted, but not all of its files could be removed"))
    }
    let opened = { [self] (result: Result<StreamLog?, StoreFailure>) in
      switch result {
      case .success(let log?):
        stream.log = log
        bases[stream.name] = log.bases
      // Only the beginning of making it had reached the disk.
      case .success(nil): forget(stream.name)
      case .failure(let failure): refuseWaiting(stream, failure)
      }
    }
    busy(stream, work: { StreamLog.open(stream.name, bases: known, self.files, $0) }, then: opened)
  }

  private func refuseWaiting(_ stream: ActiveStream, _ failure: StoreFailure) {
    let waiting = stream.waiting
    stream.waiting = []
    stream.waitingBytes = 0
    for operation in waiting { operation.fail(failure) }
  }

  private func forget(_ name: StreamName) {
    guard bases.removeValue(forKey: name) != nil else { return }
    index.remove(name)
  }

  private func perform(_ operation: Operation, _ stream: ActiveStream) {
    let name = stream.name
    if case .create(let contentType, let answer) = operation { return create(stream, contentType, answer) }
    if case .synchronize(let answer) = operation {
      guard let log = stream.log, log.isDirty else { return answer(nil) }
      return busy(stream, work: { log.synchronize($0) }, then: answer)
    }
    guard let log = stream.log else { return operation.fail(.notFound(name)) }
    switch operation {
    case .status(let answer): answer(log.damage.map { .failure($0) } ?? .success(log.status))
    case .read(let offset, let byteLimit, let answer):
      guard offset.value <= log.tail else {
        return answer(.failure(log.damage ?? .beyondTail(name, tail: Offset(log.tail))))
      }
      // At the end of what is left nothing will ever come, and that is no end.
      if let damage = log.damage, offset.value == log.tail { return answer(.failure(damage)) }
      if let batch = log.recentBatch(from: offset.value, byteLimit: byteLimit) { return answer(.success(batch)) }
      busy(stream, work: { log.read(from: offset.value, byteLimit: byteLimit, $0) }, then: answer)
    case .delete(let answer):
      let bases = log.bases
      stream.log = nil
      let deleted = { [self] (left: [UInt64], failure: StoreFailure?) in
        if left.isEmpty { forget(name) } else { self.bases[name] = left }
        if let failure { return answer(.failure(failure)) }
        watchers[name]?.changed(on: loop)
        answer(.success(()))
      }
      busy(
        stream, work: { done in StreamLog.delete(name, bases: bases, self.files) { done(($0, $1)) } },
        then: { deleted($0.0, $0.1) })
    case .create, .append, .synchronize: break
    }
  }

  private func create(_ stream: ActiveStream, _ contentType: String, _ answer: @escaping Answer<StreamStatus>) {
    if let log = stream.log {
      if let damage = log.damage { return answer(.failure(damage)) }
      guard log.contentType == contentType else {
        return answer(
          .failure(.conflict(stream.name, "its content type is \(log.contentType), not \(contentType)")))
      }
      var status = log.status
      status.existed = true
      return answer(.success(status))
    }
    guard contentType.utf8.count <= Self.contentTypeLimit else {
      return answer(.failure(.unavailable("a content type of more than \(Self.contentTypeLimit) bytes")))
    }
    let now = loop.wallClock
    let created = { [self] (result: Result<StreamLog, StoreFailure>) in
      switch result {
      case .failure(let failure): answer(.failure(failure))
      case .success(let log):
        stream.log = log
        bases[stream.name] = log.bases
        index.insert(stream.name)
        watchers[stream.name]?.changed(on: loop)
        answer(.success(log.status))
      }
    }
    busy(
      stream,
      work: { StreamLog.create(stream.name, contentType: contentType, createdAt: now, self.files, $0) },
      then: created)
  }

  /// The appends at the front of what waits, up to one that ends the stream, in one write.
  private func appendWaiting(_ stream: ActiveStream) {
    var group: [(items: [[UInt8]], ending: StreamEnding?, answer: Answer<Offset>)] = []
    var size = 0
    while case .append(let items, let ending, let answer)? = stream.waiting.first, size < limits.segmentLimit {
      let own = LogRecord.size(of: items, ending: ending)
      let failure: StoreFailure? = stream.log == nil ? .notFound(stream.name) : stream.log?.damage
      let ended = stream.log?.ending ?? group.last?.ending
      // What is refused, or changes nothing, is answered in its turn: behind those before it.
      if failure != nil || ended != nil || items.isEmpty && ending == nil {
        if !group.isEmpty { break }
        stream.waiting.removeFirst()
        stream.waitingBytes -= own
        if let failure {
          answer(.failure(failure))
        } else if let ended {
          answer(.failure(.ended(stream.name, ended)))
        } else {
          answer(.success(Offset(stream.log?.tail ?? 0)))
        }
        return
      }
      stream.waiting.removeFirst()
      stream.waitingBytes -= own
      size += own
      group.append((items, ending, answer))
    }
    guard let log = stream.log, !group.isEmpty else { return }
    var tail = log.tail
    let now = loop.wallClock
    let appends = group.map { ($0.items, $0.ending) }
    let appended = { [self] (failure: StoreFailure?) in
      if bases[stream.name]?.count != log.bases.count { bases[stream.name] = log.bases }
      if failure == nil { watchers[stream.name]?.changed(on: loop) }
      synchronizeLater(stream)
      for (items, _, answer) in group {
        tail += UInt64(items.count)
        answer(failure.map { .failure($0) } ?? .success(Offset(tail)))
      }
    }
    busy(stream, work: { log.append(appends, time: now, $0) }, then: appended)
  }

  // MARK: Rest

  private func synchronizeLater(_ stream: ActiveStream) {
    guard stream.log?.isDirty == true, stream.synchronization == nil,
      case .everyMilliseconds(let interval) = synchronization
    else { return }
    stream.synchronization = loop.after(.milliseconds(interval)) { [weak self] in
      stream.synchronization = nil
      self?.ask(stream.name, .synchronize { _ in })
    }
  }

  private func rest(_ stream: ActiveStream) {
    guard stream.log != nil else {
      if active[stream.name] === stream { active[stream.name] = nil }
      return
    }
    synchronizeLater(stream)
    guard active.count > limits.openLimit else { return }
    // A log that lost a write stays: opened again it would read from the system what never reached the disk.
    let idle = active.values.filter { stream in
      !stream.isBusy && !stream.isAdvancing && stream.waiting.isEmpty && stream.log?.isDirty != true
        && stream.log?.damage == nil
    }
    // A quarter at once, so that the search is not made for every stream that is opened.
    for stream in idle.sorted(by: { $0.lastUse < $1.lastUse }).prefix(limits.openLimit / 4) {
      active[stream.name] = nil
    }
  }
}
