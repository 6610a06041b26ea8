import WeirCore

/// Reads a stream with a cursor of its own (seed 002, StreamReader): the next item now, or when it comes.
///
/// A stream that does not exist yet may still come. The store wakes it, so one that waits costs nothing; items are taken from
/// the store in batches, each when the last is used up, so a slow reader of a long stream holds one of them.
package final class DurableReader {
  package enum ReadFailure: Error, Equatable {
    case ended(finalPosition: UInt64)
    case aborted(reason: String)
    /// Nothing came in the time given: the stream has not ended.
    case timedOut
    /// This reader was closed.
    case closed
    case store(StoreFailure)
  }
  package typealias Told = (Result<StreamItem, ReadFailure>) -> Void

  private static let batchBytes = 64 << 10

  package let name: StreamName
  /// Of the next item.
  package private(set) var position: UInt64
  /// Known once the stream was seen.
  package private(set) var contentType: String?
  /// More may come.
  package var isReadable: Bool { !isClosed && over == nil }
  package var isWaiting: Bool { told != nil }
  /// Whoever reads now listens to what happens to streams: nobody is told of it, or each event could make the next.
  package var isQuiet = false

  private let access: StreamAccess
  private let timeout: Duration?
  private let wantsBackpressure: Bool
  private var items: ArraySlice<StreamItem> = []
  private var told: Told?
  private var timer: (any Cancellable)?
  private var watch: (any Cancellable)?
  private var over: ReadFailure?
  private var isClosed = false
  private var tail = StreamTail()

  /// `timeout`: of each read. `backpressure`: writers of this process wait for it.
  package init(
    _ name: StreamName, from position: UInt64 = 0, timeout: Duration? = nil, backpressure: Bool = false,
    in access: StreamAccess
  ) {
    self.name = name
    self.position = position
    self.timeout = timeout
    self.access = access
    wantsBackpressure = backpressure
    if backpressure { access.subscriberMoved(self, of: name, to: position) }
  }

  deinit {
    watch?.cancel()
    timer?.cancel()
    if wantsBackpressure { access.subscriberLeft(self, of: name) }
  }

  /// The next item. One at a time.
  package func read(_ told: @escaping Told) {
    if isClosed { return told(.failure(.closed)) }
    if let item = items.popFirst() { return told(.success(took(item))) }
    if let over { return told(.failure(over)) }
    self.told = told
    if let timeout {
      timer = access.loop.after(timeout) { [weak self] in self?.answer(.failure(.timedOut)) }
    }
    ask()
  }

  /// Stops reading: a read that waits ends, later ones fail. Closing twice does nothing.
  package func close() {
    guard !isClosed else { return }
    isClosed = true
    items = []
    rest()
    answer(.failure(.closed))
  }

  /// Nobody waits for the read any more; the reader goes on from where it was.
  package func giveUp() {
    told = nil
    timer?.cancel()
    timer = nil
  }

  private func took(_ item: StreamItem) -> StreamItem {
    if !isQuiet { access.tell(.read, name, at: position) }
    position += 1
    if wantsBackpressure { access.subscriberMoved(self, of: name, to: position) }
    return item
  }

  private func answer(_ result: Result<StreamItem, ReadFailure>) {
    timer?.cancel()
    timer = nil
    let told = told
    self.told = nil
    told?(result)
  }

  private func end(_ why: ReadFailure) {
    over = why
    rest()
    if case .store(let failure) = why, !isQuiet { access.tell(.error, name, at: position, failure.message) }
    answer(.failure(why))
  }

  private func rest() {
    watch?.cancel()
    watch = nil
    if wantsBackpressure { access.subscriberLeft(self, of: name) }
  }

  private func woken() {
    tail.woken()
    ask()
  }

  private func ask() {
    guard told != nil, over == nil, tail.wantsRead else { return }
    // Before the question, so that nothing falls between its answer and the watch.
    if watch == nil { watch = access.store.watch(name) { [weak self] in self?.woken() } }
    tail.asked()
    if contentType == nil {
      access.store.status(name) { [weak self] result in self?.learned(result) }
    } else {
      access.store.read(name, from: Offset(position), byteLimit: Self.batchBytes) { [weak self] result in
        self?.received(result)
      }
    }
  }

  private func learned(_ result: Result<StreamStatus, StoreFailure>) {
    switch result {
    case .success(let status):
      tail.answered(reachedTail: false)
      contentType = status.contentType
      ask()
    case .failure(.notFound):
      tail.answered(reachedTail: true)
      ask()
    case .failure(let failure): end(.store(failure))
    }
  }

  private func received(_ result: Result<StreamBatch, StoreFailure>) {
    if isClosed { return }
    switch result {
    // It may come to be as long, unless it has ended.
    case .failure(.beyondTail): access.store.status(name) { [weak self] result in self?.learnedShort(result) }
    case .failure(let failure): end(.store(failure))
    case .success(let batch):
      tail.answered(batch)
      // Nothing wakes a reader that still has items when the end is reached: it asks once more behind the last.
      if batch.ending != nil { tail.reopen() }
      items = batch.items[...]
      if told != nil, let item = items.popFirst() { return answer(.success(took(item))) }
      if batch.items.isEmpty, let ending = batch.ending {
        end(ending, at: batch.next)
      } else {
        ask()
      }
    }
  }

  private func learnedShort(_ result: Result<StreamStatus, StoreFailure>) {
    if isClosed { return }
    switch result {
    case .failure(let failure): end(.store(failure))
    case .success(let status):
      if let ending = status.ending, status.tail.value < position { return end(ending, at: status.tail) }
      tail.answered(reachedTail: status.ending == nil && status.tail.value <= position)
      ask()
    }
  }

  private func end(_ ending: StreamEnding, at tail: Offset) {
    switch ending {
    case .closed: end(.ended(finalPosition: tail.value))
    case .aborted(let reason): end(.aborted(reason: reason))
    }
  }
}
