import WeirCore

/// Writes a workflow's stream (seed 002, StreamWriter): one item after the other, each acknowledged by the store before its
/// write is answered.
///
/// With readers that asked for it, a write waits while one of them is behind by its `highWaterMark`; the log is the buffer of
/// all others. In a run that is resumed, a frame's writes that repeat what it has stored already are compared with that and
/// change nothing (`DurableFrame`), and so is the end; one that differs aborts the stream, for half of one answer and half of
/// another are none.
///
/// An item that the store has refused, or may have lost, breaks the stream: nothing is added behind it, and it ends as aborted. So does
/// one that nobody has closed and whose last holder has not come to its end (`hold`).
package final class DurableWriter {
  package enum WriteFailure: Error, Equatable {
    case closed
    case aborted(reason: String)
    case alreadyClosed
    case store(StoreFailure)
    /// Whoever wrote gave up while it waited.
    case cancelled
  }
  package typealias Told = (Result<Void, WriteFailure>) -> Void

  /// Items that a reader with backpressure may be behind.
  package static let highWaterMark = 16
  private static let batchBytes = 64 << 10

  package let name: StreamName
  package let contentType: String
  /// Where this life of the run is in the stream: behind what it has written, repeated and passed over.
  package private(set) var position: UInt64
  /// In this life.
  package private(set) var ending: StreamEnding?
  /// Called when the store has its end.
  package var onEnd: (() -> Void)?
  /// It takes further items.
  package var isWritable: Bool { ending == nil && !isClosing && broken == nil }

  private let namespace: String
  private let access: StreamAccess
  private let journal: RunJournal
  private let stream: OwnedStream
  /// The end of the stream, as far as is known.
  private var tail: UInt64
  /// How an earlier life, or somebody else, has ended it, until this life comes there.
  private var storedEnding: StreamEnding?
  /// Nothing has been added since the run was taken up.
  private var isUntouched: Bool
  private var waiting: ArraySlice<Write> = []
  /// The store is being asked.
  private var isBusy = false
  private var isClosing = false
  private var isWaitingForReaders = false
  /// Why an item is missing.
  private var broken: StoreFailure?
  /// Those who have opened it and go on.
  private var holders: Set<Int> = []
  /// How the last of them ended that did not come to its end.
  private var left: String?
  /// Why it was aborted, until the store has that.
  private var unkept: String?
  /// What is stored from some place on, read ahead for comparing.
  private(set) var stored: (from: UInt64, items: [StreamItem]) = (0, [])

  private final class Write: Cancellable {
    /// Nil: the end.
    let item: [UInt8]?
    let frame: DurableFrame
    let highWaterMark: Int
    var told: Told?
    weak var writer: DurableWriter?
    init(_ item: [UInt8]?, _ frame: DurableFrame, _ highWaterMark: Int, _ told: @escaping Told, _ writer: DurableWriter)
    {
      self.item = item
      self.frame = frame
      self.highWaterMark = highWaterMark
      self.told = told
      self.writer = writer
    }
    func tell(_ result: Result<Void, WriteFailure>) {
      let told = told
      self.told = nil
      told?(result)
    }
    /// What is on its way to the store is answered by it.
    func cancel() { writer?.giveUp(self) }
  }

  /// Makes the stream of a run, or goes on with it. `passed`: the end of what this life has passed over in it already.
  package static func open(
    _ namespace: String, of journal: RunJournal, contentType: String, in access: StreamAccess, passed: UInt64 = 0,
    expectsLifetime: Bool = false, _ answer: @escaping Answer<DurableWriter>
  ) {
    let name: StreamName
    do throws(StoreFailure) {
      name = try WorkflowStreams.name(workflow: journal.run, namespace: namespace)
    } catch { return answer(.failure(error)) }
    let creation = StreamCreation(
      contentType: contentType, finds: .sameContentType, expectsLifetime: expectsLifetime)
    access.store.create(name, creation) { result in
      switch result {
      case .success(let status):
        if !status.existed { access.tell(.created, name, at: 0) }
        journal.opened(namespace, tail: status.tail.value)
        answer(.success(DurableWriter(name, namespace, journal, access, status, passed: passed)))
      case .failure(let failure):
        access.tell(.error, name, at: nil, failure.message)
        answer(.failure(failure))
      }
    }
  }

  private init(
    _ name: StreamName, _ namespace: String, _ journal: RunJournal, _ access: StreamAccess, _ status: StreamStatus,
    passed: UInt64
  ) {
    self.name = name
    self.namespace = namespace
    self.journal = journal
    self.access = access
    contentType = status.contentType
    stream = OwnedStream(name, in: access.store, owner: journal.owner)
    tail = status.tail.value
    isUntouched = journal.isResumed
    if journal.isResumed {
      position = min(passed, tail)
      storedEnding = status.ending
    } else {
      position = tail
      ending = status.ending
    }
  }

  /// A step that wrote items up to there is not run again: what follows it comes after them.
  package func pass(to place: UInt64) { position = max(position, min(place, tail)) }

  // MARK: Who writes

  /// A task has opened it. False: it had before.
  package func hold(_ task: Int) -> Bool {
    left = nil
    return holders.insert(task).inserted
  }

  /// The task has ended; with a reason: it failed, or was cut.
  package func release(_ task: Int, _ reason: String?) {
    guard holders.remove(task) != nil, holders.isEmpty else { return }
    left = reason
  }

  // MARK: Writing

  /// Answered once the store has acknowledged the item. Cancelling gives up a write that waits for readers.
  @discardableResult
  package func write(
    _ item: [UInt8], by frame: DurableFrame, highWaterMark: Int = DurableWriter.highWaterMark, _ told: @escaping Told
  ) -> any Cancellable {
    let write = Write(item, frame, highWaterMark, told, self)
    if isClosing, ending == nil {
      write.tell(.failure(.closed))
    } else {
      waiting.append(write)
      advance()
    }
    return write
  }

  /// After the writes before it, which wait for readers no longer. Closing twice is `alreadyClosed`.
  package func close(by frame: DurableFrame, _ told: @escaping Told) {
    if case .aborted(let reason)? = ending { return told(.failure(.aborted(reason: reason))) }
    if isClosing || ending == .closed { return told(.failure(.alreadyClosed)) }
    if let broken {
      abort(Self.cut(broken))
      return told(.failure(.store(broken)))
    }
    isClosing = true
    waiting.append(Write(nil, frame, 0, told, self))
    advance()
  }

  /// Ends the stream for its readers at once, with the reason; writes that wait fail with it.
  package func abort(_ reason: String, _ told: @escaping Told = { _ in }) {
    switch ending {
    case .closed: return told(.failure(.closed))
    case .aborted(let reason): return told(.failure(.aborted(reason: reason)))
    case nil: break
    }
    // A closing that has not reached the store yet is overtaken.
    isClosing = true
    let asked = StreamEnding.aborted(reason: reason)
    ending = storedEnding ?? asked
    failWaiting((ending ?? asked).writeFailure)
    if let storedEnding {
      return told(storedEnding == asked ? .success(()) : .failure(storedEnding.writeFailure))
    }
    unkept = reason
    stream.append(StreamAppend(items: [], ending: asked)) { [self] result in
      switch result {
      case .success(let appended):
        unkept = nil
        position = max(position, appended.tail.value)
        ended()
        access.tell(.close, name, at: position, reason)
        told(.success(()))
      case .failure(.ended(_, let ending)):
        unkept = nil
        self.ending = ending
        ended()
        told(.failure(ending.writeFailure))
      case .failure(let failure):
        access.tell(.error, name, at: position, failure.message)
        told(.failure(.store(failure)))
      }
    }
  }

  /// The run is over: closes it, or aborts it with the reason, unless that was done. Answered when the store has an end of it.
  package func end(_ failure: String?, by frame: DurableFrame, _ told: @escaping (StoreFailure?) -> Void) {
    let answer: Told = { result in
      if case .failure(.store(let failure)) = result { told(failure) } else { told(nil) }
    }
    if let reason = unkept {
      ending = nil
      return abort(reason, answer)
    }
    if ending != nil { return told(nil) }
    if let failure = failure ?? broken.map(Self.cut) ?? left { return abort(failure, answer) }
    // Behind a closing that is under way, it is answered with that; should that one fail, it is another try.
    isClosing = true
    waiting.append(Write(nil, frame, 0, answer, self))
    advance()
  }

  private static func cut(_ failure: StoreFailure) -> String {
    "an item could not be kept (\(failure.code)): \(failure.message)"
  }

  /// Items were refused, or nobody knows what became of them.
  private func breaks(_ failure: StoreFailure) {
    broken = failure
    // Of a run that is another process's nothing is said here.
    if case .takenOver = failure { return failWaiting(.store(failure)) }
    journal.flawed(.cut(namespace, Self.cut(failure)))
    failWaiting(.store(failure))
  }

  private func ended() {
    stored = (0, [])
    journal.ended(namespace)
    onEnd?()
  }

  private func failWaiting(_ failure: WriteFailure) {
    let writes = waiting
    waiting = []
    for write in writes { write.tell(.failure(failure)) }
  }

  private func giveUp(_ write: Write) {
    guard let place = waiting.firstIndex(where: { $0 === write }) else { return }
    waiting.remove(at: place)
    write.tell(.failure(.cancelled))
    // An end may have waited behind it.
    advance()
  }

  /// Takes what waits to the store, as far as readers let it.
  private func advance() {
    while !isBusy, let first = waiting.first {
      if let ending { return failWaiting(ending.writeFailure) }
      if let broken { return failWaiting(.store(broken)) }
      if let place = first.frame.next(in: namespace) {
        guard first.item != nil else { return endsEarlier(at: place) }
        guard compare(first, at: place) else { return }
        continue
      }
      if let storedEnding {
        ending = storedEnding
        isClosing = true
        guard first.item == nil, storedEnding == .closed else { continue }
        waiting.removeFirst()
        first.tell(.success(()))
        continue
      }
      guard first.item != nil else {
        // Of frames that this life has not come past.
        if let place = journal.root.leftover(in: namespace) { return endsEarlier(at: place) }
        waiting.removeFirst()
        append([first], ending: .closed)
        continue
      }
      let group = waiting.prefix(room).prefix { $0.item != nil && $0.frame.next(in: namespace) == nil }
      if group.isEmpty { return waitForReaders() }
      waiting.removeFirst(group.count)
      append(Array(group), ending: nil)
    }
  }

  /// Writes that need not wait for readers.
  private var room: Int {
    guard !isClosing, let slowest = access.slowestSubscriber(of: name) else { return .max }
    let behind = tail > slowest ? Int(tail - slowest) : 0
    var room = 0
    for write in waiting {
      guard behind + room < write.highWaterMark else { break }
      room += 1
    }
    return room
  }

  private func waitForReaders() {
    if isWaitingForReaders { return }
    isWaitingForReaders = true
    access.tell(.backpressure, name, at: position)
    access.whenSubscriberMoves(of: name) { [weak self] in
      self?.isWaitingForReaders = false
      self?.advance()
    }
  }

  private func append(_ writes: [Write], ending: StreamEnding?) {
    isBusy = true
    if ending != nil { return add(writes, ending: ending) }
    for write in writes { write.frame.began() }
    // Whose they are is known before they are there.
    journal.announce(namespace, from: tail, by: writes.lazy.map(\.frame)) { [self] result in
      guard case .failure(let failure) = result else { return add(writes, ending: nil) }
      isBusy = false
      for write in writes {
        write.frame.settled()
        write.tell(.failure(.store(failure)))
      }
      breaks(failure)
    }
  }

  private func add(_ writes: [Write], ending: StreamEnding?) {
    let expected = tail
    let items = writes.compactMap(\.item)
    stream.append(StreamAppend(items: items, ending: ending)) { [self] result in
      isBusy = false
      switch result {
      case .success(let appended):
        let first = appended.tail.value - UInt64(items.count)
        (tail, position) = (appended.tail.value, appended.tail.value)
        if let ending {
          self.ending = self.ending ?? ending
          ended()
        }
        for (index, write) in writes.enumerated() {
          let place = first + UInt64(index)
          if ending == nil {
            write.frame.wrote(place..<place + 1, in: namespace)
            write.frame.settled()
          }
          access.tell(ending == nil ? .write : .close, name, at: ending == nil ? place : tail)
          write.tell(.success(()))
        }
        if first != expected { others(from: expected, to: first) }
        if isUntouched, journal.root.leftover(in: namespace) == nil { stored = (0, []) }
        isUntouched = false
      case .failure(let failure):
        if !items.isEmpty { journal.unknown(namespace) }
        var why = WriteFailure.store(failure)
        if case .ended(_, let ending) = failure {
          self.ending = ending
          why = ending.writeFailure
          ended()
        } else {
          access.tell(.error, name, at: position, failure.message)
          // The end did not arrive: it may be tried again.
          if ending != nil { isClosing = false }
        }
        for write in writes {
          if write.item != nil { write.frame.settled() }
          write.tell(.failure(why))
        }
        if !items.isEmpty, self.ending == nil { breaks(failure) }
      }
      advance()
    }
  }

  /// Somebody else has written to it meanwhile.
  private func others(from start: UInt64, to end: UInt64) {
    // Who writes the next items has to be said anew: the journal takes the others' for this run's.
    journal.unknown(namespace)
    // Only the process from which the run was taken up can have done that, and nobody has compared it.
    guard isUntouched, journal.owner != nil, ending == nil else { return }
    let reason = "the process that ran this workflow before has written on, from position \(start) to \(end)"
    journal.flawed(.diverged(namespace, reason))
    abort(reason)
  }

  // MARK: Repeating

  /// Compares a write with what is stored in its place. False: the store has to be asked first, or the stream is over.
  private func compare(_ write: Write, at place: UInt64) -> Bool {
    guard place >= stored.from, place - stored.from < UInt64(stored.items.count) else {
      isBusy = true
      access.store.read(name, from: Offset(place), byteLimit: Self.batchBytes) { [self] result in
        isBusy = false
        switch result {
        case .success(let batch): stored = (place, batch.items)
        case .failure(let failure): return breaks(failure)
        }
        guard !stored.items.isEmpty else { return breaks(.notFound(name)) }
        advance()
      }
      return false
    }
    guard stored.items[Int(place - stored.from)].bytes == write.item else {
      diverged(RunJournal.differs(at: place, "this item is another one now"))
      return false
    }
    waiting.removeFirst()
    if place - stored.from == UInt64(stored.items.count) - 1 { stored = (0, []) }
    write.frame.wrote(place..<place + 1, in: namespace)
    position = max(position, place + 1)
    write.tell(.success(()))
    return true
  }

  /// A frame has ended, and an earlier life of it had written more.
  package func endsEarlier(at place: UInt64) { diverged(RunJournal.endsEarlier(at: place)) }

  private func diverged(_ reason: String) {
    journal.flawed(.diverged(namespace, reason))
    guard storedEnding != nil else { return abort(reason) }
    // It can be ended no more: whoever writes is told.
    isClosing = true
    ending = .aborted(reason: reason)
    failWaiting(.aborted(reason: reason))
  }
}

extension StreamEnding {
  var writeFailure: DurableWriter.WriteFailure {
    switch self {
    case .closed: .closed
    case .aborted(let reason): .aborted(reason: reason)
    }
  }
}
