import WeirCore

/// A store that is opened when something is first asked of it, so that a program that keeps nothing leaves nothing behind.
///
/// What is asked meanwhile waits, in order. A store that could not be opened answers everybody with why, and is tried again
/// with the next question.
package final class DeferredStore: StreamStore {
  private enum State {
    case closed
    case opening([(Result<any StreamStore, StoreFailure>) -> Void])
    case open(any StreamStore)
    /// For good.
    case over
  }

  private let make: (@escaping Answer<any StreamStore>) -> Void
  private var state = State.closed
  package let isExclusive: Bool

  package init(isExclusive: Bool, _ make: @escaping (@escaping Answer<any StreamStore>) -> Void) {
    self.isExclusive = isExclusive
    self.make = make
  }

  private func with(_ then: @escaping (Result<any StreamStore, StoreFailure>) -> Void) {
    switch state {
    case .open(let store): then(.success(store))
    case .opening(let waiting): state = .opening(waiting + [then])
    case .over: then(.failure(Self.isOver))
    case .closed:
      state = .opening([then])
      make { [self] result in
        guard case .opening(let waiting) = state else {
          // Closed meanwhile: what was opened must not hold its lock.
          if case .success(let store) = result { store.close() }
          return
        }
        if case .success(let store) = result { state = .open(store) } else { state = .closed }
        for then in waiting { then(result) }
      }
    }
  }

  private func ask<Value>(_ answer: @escaping Answer<Value>, _ question: @escaping (any StreamStore) -> Void) {
    if case .open(let store) = state { return question(store) }
    with { result in
      switch result {
      case .success(let store): question(store)
      case .failure(let failure): answer(.failure(failure))
      }
    }
  }

  package func create(_ name: StreamName, _ creation: StreamCreation, _ answer: @escaping Answer<StreamStatus>) {
    ask(answer) { $0.create(name, creation, answer) }
  }
  package func append(_ name: StreamName, _ append: StreamAppend, _ answer: @escaping Answer<StreamAppended>) {
    ask(answer) { $0.append(name, append, answer) }
  }
  package func status(_ name: StreamName, _ answer: @escaping Answer<StreamStatus>) {
    ask(answer) { $0.status(name, answer) }
  }
  package func read(
    _ name: StreamName, from offset: Offset, byteLimit: Int, _ answer: @escaping Answer<StreamBatch>
  ) {
    ask(answer) { $0.read(name, from: offset, byteLimit: byteLimit, answer) }
  }
  package func delete(_ name: StreamName, _ answer: @escaping Answer<Void>) {
    ask(answer) { $0.delete(name, answer) }
  }
  package func list(
    prefix: String, after: StreamName?, limit: Int, _ answer: @escaping Answer<[StreamStatus]>
  ) {
    ask(answer) { $0.list(prefix: prefix, after: after, limit: limit, answer) }
  }

  package func watch(_ name: StreamName, _ wake: @escaping () -> Void) -> any Cancellable {
    if case .open(let store) = state { return store.watch(name, wake) }
    let watch = DeferredWatch()
    with { result in
      if case .success(let store) = result, !watch.isCancelled { watch.inner = store.watch(name, wake) }
    }
    return watch
  }

  /// Nothing was opened: nothing is to be kept.
  package func synchronize(_ answer: @escaping (StoreFailure?) -> Void) {
    switch state {
    case .closed, .over: answer(nil)
    case .open(let store): store.synchronize(answer)
    case .opening:
      with { result in
        switch result {
        case .success(let store): store.synchronize(answer)
        case .failure(let failure): answer(failure)
        }
      }
    }
  }

  package func close() {
    let before = state
    state = .over
    switch before {
    case .open(let store): store.close()
    case .opening(let waiting): for then in waiting { then(.failure(Self.isOver)) }
    case .closed, .over: break
    }
  }

  private static let isOver = StoreFailure.unavailable("this store was closed")

  private final class DeferredWatch: Cancellable {
    var inner: (any Cancellable)?
    var isCancelled = false
    func cancel() {
      isCancelled = true
      inner?.cancel()
      inner = nil
    }
  }
}
