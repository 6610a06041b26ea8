import WeirCore
import WeirStore

/// A memory store whose answers a test can hold back, and whose appends it can refuse.
final class SlowStore: StreamStore {
  private let inner: MemoryStreamStore
  private let loop: any Loop
  private var held: [() -> Void] = []
  private(set) var appendCount = 0
  /// Answers wait until this is false again.
  var isHolding = false {
    didSet {
      guard !isHolding else { return }
      let jobs = held
      held = []
      for job in jobs { loop.soon(job) }
    }
  }
  /// The same for appends that end a stream.
  var isHoldingEnds = false
  /// Of streams below this.
  var holdsBelow = ""
  /// Refuses appends with items to streams below `refuses`.
  var refusal: StoreFailure?
  var refuses = "runs/"
  /// Those without items that end a stream as well.
  var refusesEnds = false
  /// Refuses those that it takes no more than this many bytes at once of.
  var largest = Int.max

  init(_ loop: any Loop) {
    inner = MemoryStreamStore(loop: loop)
    self.loop = loop
  }

  private func later(_ job: @escaping () -> Void, isEnd: Bool = false) {
    if isHolding || isEnd && isHoldingEnds { held.append(job) } else { job() }
  }

  func create(_ name: StreamName, _ creation: StreamCreation, _ answer: @escaping Answer<StreamStatus>) {
    inner.create(name, creation) { result in self.later { answer(result) } }
  }

  func append(_ name: StreamName, _ append: StreamAppend, _ answer: @escaping Answer<StreamAppended>) {
    appendCount += 1
    let size = append.items.reduce(0) { $0 + $1.count }
    if !append.items.isEmpty || refusesEnds && append.ending != nil, name.path.hasPrefix(refuses),
      let refusal = refusal ?? (size > largest ? .full("full") : nil)
    {
      return later { answer(.failure(refusal)) }
    }
    inner.append(name, append) { result in
      self.later({ answer(result) }, isEnd: append.ending != nil && name.path.hasPrefix(self.holdsBelow))
    }
  }

  func status(_ name: StreamName, _ answer: @escaping Answer<StreamStatus>) { inner.status(name, answer) }

  func read(_ name: StreamName, from offset: Offset, byteLimit: Int, _ answer: @escaping Answer<StreamBatch>) {
    inner.read(name, from: offset, byteLimit: byteLimit, answer)
  }

  func watch(_ name: StreamName, _ wake: @escaping () -> Void) -> any Cancellable { inner.watch(name, wake) }

  func delete(_ name: StreamName, _ answer: @escaping Answer<Void>) { inner.delete(name, answer) }

  func list(prefix: String, after: StreamName?, limit: Int, _ answer: @escaping Answer<[StreamStatus]>) {
    inner.list(prefix: prefix, after: after, limit: limit, answer)
  }
}
