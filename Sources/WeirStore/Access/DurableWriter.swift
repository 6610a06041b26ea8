import WeirCore

/// Writes a workflow's stream (seed 002, StreamWriter): one item after the other, each acknowledged by the store before its
/// write is answered.
///
/// With readers that asked for it, a write waits while one of them is `highWaterMark` items behind; the log is the buffer of
/// all others. In a run that is resumed, the writes that repeat what is stored already are compared with it and change
/// nothing; one that differs aborts the stream, for half of one answer and half of another are none.
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

  package let name: StreamName
  /// Items in the stream after the last acknowledged write.
  package private(set) var position: UInt64
  package private(set) var ending: StreamEnding?
  /// It takes further items.
  package var isWritable: Bool { ending == nil && !isClosing }

  private let access: StreamAccess
  private let highWaterMark: Int
  private var waiting: ArraySlice<Write> = []
  private var isAppending = false
  private var isClosing = false
  private var isWaitingForReaders = false
  /// Places of items that this run's earlier life has written and that its next writes repeat.
  private var repeats: Range<UInt64>
  private var stored: ArraySlice<StreamItem> = []

  private final class Write: Cancellable {
    /// Nil: the end.
    let item: [UInt8]?
    var told: Told?
    weak var writer: DurableWriter?
    init(_ item: [UInt8]?, _ told: @escaping Told, _ writer: DurableWriter) {
      self.item = item
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

  /// Makes the stream, or goes on with it. `repeating`: the place from which on this run's next writes repeat what is there.
  package static func open(
    _ name: StreamName, contentType: String, in access: StreamAccess, highWaterMark: Int = DurableWriter.highWaterMark,
    repeating: UInt64?, expectsLifetime: Bool = false, _ answer: @escaping Answer<DurableWriter>
  ) {
    let creation = StreamCreation(
      contentType: contentType, finds: .sameContentType, expectsLifetime: expectsLifetime)
    access.store.create(name, creation) { result in
      switch result {
      case .success(let status):
        let tail = status.tail.value
        let writer = DurableWriter(
          name, access, highWaterMark, tail: tail, ending: status.ending,
          repeats: min(repeating ?? tail, tail)..<tail)
        if !status.existed { access.tell(.created, name, at: 0) }
        answer(.success(writer))
      case .failure(let failure):
        access.tell(.error, name, at: nil, failure.message)
        answer(.failure(failure))
      }
    }
  }

  private init(
    _ name: StreamName, _ access: StreamAccess, _ highWaterMark: Int, tail: UInt64, ending: StreamEnding?,
    repeats: Range<UInt64>
  ) {
    self.name = name
    self.access = access
    self.highWaterMark = highWaterMark
    position = tail
    self.ending = ending
    self.repeats = repeats
  }

  /// Where this run is in the stream: at the end, or in what it repeats.
  package var cursor: UInt64 { repeats.isEmpty ? position : repeats.lowerBound }

  /// A step that wrote these items is not run again: what follows it comes after them.
  package func skipRepeats(_ count: UInt64) {
    repeats = min(repeats.lowerBound + count, repeats.upperBound)..<repeats.upperBound
    stored = []
  }

  // MARK: Writing

  /// Answered once the store has acknowledged the item. Cancelling gives up a write that waits for readers.
  @discardableResult
  package func write(_ item: [UInt8], _ told: @escaping Told) -> any Cancellable {
    let write = Write(item, told, self)
    if isClosing, ending == nil {
      write.tell(.failure(.closed))
    } else {
      waiting.append(write)
      advance()
    }
    return write
  }

  /// After the writes before it. Closing twice is `alreadyClosed`.
  package func close(_ told: @escaping Told) {
    if case .aborted(let reason)? = ending { return told(.failure(.aborted(reason: reason))) }
    if isClosing || ending == .closed { return told(.failure(.alreadyClosed)) }
    isClosing = true
    waiting.append(Write(nil, told, self))
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
    ending = .aborted(reason: reason)
    failWaiting(.aborted(reason: reason))
    access.store.append(name, [], ending: .aborted(reason: reason)) { [self] result in
      switch result {
      case .success(let tail):
        position = tail.value
        access.tell(.close, name, at: position, reason)
        told(.success(()))
      case .failure(.ended(_, let ending)):
        self.ending = ending
        told(.failure(ending.writeFailure))
      case .failure(let failure):
        access.tell(.error, name, at: position, failure.message)
        told(.failure(.store(failure)))
      }
    }
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
    while !isAppending, let first = waiting.first {
      if let ending { return failWaiting(ending.writeFailure) }
      guard first.item != nil else {
        waiting.removeFirst()
        if !repeats.isEmpty {
          diverged(at: repeats.lowerBound, "it ends earlier now")
          return first.tell(.failure(ending?.writeFailure ?? .closed))
        }
        append([first], ending: .closed)
        continue
      }
      if !repeats.isEmpty {
        guard compare(first) else { return }
        continue
      }
      guard let room = self.room else { return waitForReaders() }
      let group = Array(waiting.prefix(room).prefix { $0.item != nil })
      waiting.removeFirst(group.count)
      append(group, ending: nil)
    }
  }

  /// Items that may be written before readers must move; nil: none.
  private var room: Int? {
    guard let slowest = access.slowestSubscriber(of: name) else { return .max }
    let behind = position > slowest ? Int(position - slowest) : 0
    return behind < highWaterMark ? highWaterMark - behind : nil
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
    isAppending = true
    let first = position
    access.store.append(name, writes.compactMap(\.item), ending: ending) { [self] result in
      isAppending = false
      switch result {
      case .success(let tail):
        position = tail.value
        repeats = position..<position
        if let ending { self.ending = self.ending ?? ending }
        for (index, write) in writes.enumerated() {
          access.tell(ending == nil ? .write : .close, name, at: ending == nil ? first + UInt64(index) : position)
          write.tell(.success(()))
        }
      case .failure(let failure):
        var why = WriteFailure.store(failure)
        if case .ended(_, let ending) = failure {
          self.ending = ending
          why = ending.writeFailure
        } else {
          access.tell(.error, name, at: position, failure.message)
          // The end did not arrive: it may be tried again.
          if ending != nil { isClosing = false }
        }
        for write in writes { write.tell(.failure(why)) }
      }
      advance()
    }
  }

  // MARK: Repeating

  /// Compares a write with what is stored in its place. False: the store has to be asked first.
  private func compare(_ write: Write) -> Bool {
    guard let known = stored.first else {
      isAppending = true
      access.store.read(name, from: Offset(repeats.lowerBound), byteLimit: 64 << 10) { [self] result in
        isAppending = false
        switch result {
        case .success(let batch): stored = batch.items.prefix(repeats.count)[...]
        case .failure(let failure): return failWaiting(.store(failure))
        }
        guard !stored.isEmpty else { return failWaiting(.store(.notFound(name))) }
        advance()
      }
      return false
    }
    waiting.removeFirst()
    guard known.bytes == write.item else {
      diverged(at: repeats.lowerBound, "this item is another one now")
      write.tell(.failure(ending?.writeFailure ?? .closed))
      return false
    }
    stored.removeFirst()
    repeats = repeats.lowerBound + 1..<repeats.upperBound
    write.tell(.success(()))
    return true
  }

  private func diverged(at place: UInt64, _ why: String) {
    abort("the resumed run differs from its first life at position \(place): \(why)")
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
