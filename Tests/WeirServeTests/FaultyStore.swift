import WeirCore
import WeirStore

/// Hands everything to another store, unless a test says that it can't be written, or that an answer waits.
final class FaultyStore: StreamStore {
  enum Act { case create, append, delete, status }

  private let store: any StreamStore
  /// What fails, of streams whose names begin with `prefix`.
  var failing: Set<Act> = []
  var prefix = "_weir/subscriptions/"
  /// Answers to `status`, `append` and `delete` wait for `release`, or those to `list`: what they say is old by then.
  var isHeld = false
  /// Those to `read` as well.
  var holdsReads = false
  var holdsLists = false
  private(set) var statusCount = 0
  /// Of every stream: what is behind its tail cannot be read.
  var isDamaged = false
  private var held: [() -> Void] = []

  init(_ store: any StreamStore) { self.store = store }

  func release() {
    (isHeld, holdsLists) = (false, false)
    let jobs = held
    held = []
    for job in jobs { job() }
  }

  private func fails<T>(_ act: Act, _ name: StreamName, _ answer: Answer<T>) -> Bool {
    guard failing.contains(act), name.starts(with: prefix) else { return false }
    answer(.failure(.unavailable("the disk is full")))
    return true
  }

  private func later<T>(_ answer: @escaping Answer<T>, _ isHeld: Bool) -> Answer<T> {
    guard isHeld else { return answer }
    return { [self] result in held.append { answer(result) } }
  }

  func create(_ name: StreamName, _ creation: StreamCreation, _ answer: @escaping Answer<StreamStatus>) {
    if !fails(.create, name, answer) { store.create(name, creation, answer) }
  }

  func append(_ name: StreamName, _ append: StreamAppend, _ answer: @escaping Answer<StreamAppended>) {
    if !fails(.append, name, answer) { store.append(name, append, later(answer, isHeld)) }
  }

  func delete(_ name: StreamName, _ answer: @escaping Answer<Void>) {
    if !fails(.delete, name, answer) { store.delete(name, later(answer, isHeld)) }
  }

  func status(_ name: StreamName, _ answer: @escaping Answer<StreamStatus>) {
    statusCount += 1
    let answer = { [isDamaged] (result: Result<StreamStatus, StoreFailure>) in
      answer(
        result.map { status in
          var status = status
          if isDamaged { status.damage = .damaged(name, at: status.tail) }
          return status
        })
    }
    if !fails(.status, name, answer) { store.status(name, later(answer, isHeld)) }
  }

  func read(_ name: StreamName, from offset: Offset, byteLimit: Int, _ answer: @escaping Answer<StreamBatch>) {
    let answer = { [isDamaged] (result: Result<StreamBatch, StoreFailure>) in
      guard isDamaged, case .success(var batch) = result else { return answer(result) }
      batch.reachedTail = false
      answer(batch.items.isEmpty ? .failure(.damaged(name, at: offset)) : .success(batch))
    }
    store.read(name, from: offset, byteLimit: byteLimit, later(answer, isHeld && holdsReads))
  }

  func watch(_ name: StreamName, _ wake: @escaping () -> Void) -> any Cancellable { store.watch(name, wake) }

  func list(prefix: String, after: StreamName?, limit: Int, _ answer: @escaping Answer<[StreamStatus]>) {
    store.list(prefix: prefix, after: after, limit: limit, later(answer, holdsLists))
  }

  func synchronize(_ answer: @escaping (StoreFailure?) -> Void) { store.synchronize(answer) }
  func close() { store.close() }
}
