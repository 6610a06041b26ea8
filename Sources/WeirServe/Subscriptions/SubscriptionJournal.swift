import WeirCore
import WeirStore

/// Where one subscription is kept: `_weir/subscriptions/<id>/<n>`, a whole record and then what has changed. After
/// `recordLimit` of those the next stream, n + 1, begins with a whole one, and the old one is deleted; whoever loads takes
/// the last of them. What is written stands in a queue, one at a time.
final class SubscriptionJournal {
  static let root = "_weir/subscriptions/"
  private static let recordLimit = 1_000

  private let id: String
  private let store: any StreamStore
  private var number: UInt64
  private var count: Int
  private var queue: [(record: JSONValue, answer: (StoreFailure?) -> Void)] = []
  private var isWriting = false
  private var isDeleted = false
  /// The whole as it stands.
  private let whole: () -> JSONValue

  /// `count`: of records that are there in stream `number`; 0 makes the stream with the first.
  init(_ id: String, number: UInt64, count: Int, store: any StreamStore, whole: @escaping () -> JSONValue) {
    self.id = id
    self.number = number
    self.count = count
    self.store = store
    self.whole = whole
  }

  static func name(_ id: String, _ number: UInt64) throws(StoreFailure) -> StreamName {
    try StreamName("\(root)\(id)/\(Offset(number))")
  }

  /// The id and the number in a name below the root.
  static func parse(_ name: StreamName) -> (id: String, number: UInt64)? {
    let parts = name.path.dropFirst(root.utf8.count).split(separator: "/", omittingEmptySubsequences: false)
    guard parts.count == 2, let number = Offset(parts[1]) else { return nil }
    return (String(parts[0]), number.value)
  }

  /// Answers once it is as durable as the store promises.
  func write(_ record: JSONValue, _ answer: @escaping (StoreFailure?) -> Void) {
    queue.append((record, answer))
    next()
  }

  private func next() {
    guard !isWriting, !queue.isEmpty else { return }
    let (record, answer) = queue.removeFirst()
    if isDeleted {
      answer(.unavailable("the subscription was deleted"))
      return next()
    }
    isWriting = true
    func done(_ failure: StoreFailure?) {
      isWriting = false
      answer(failure)
      next()
    }
    do throws(StoreFailure) {
      let name = try Self.name(id, number)
      if count > 0, count < Self.recordLimit {
        count += 1
        return store.append(name, [record.encoded()], ending: nil) { [self] result in
          switch result {
          case .success: done(nil)
          case .failure(.notFound) where !isDeleted:
            // A store in memory that was full has let it go: all of it is written anew.
            count = Self.recordLimit
            queue.insert((record, answer), at: 0)
            isWriting = false
            next()
          case .failure(let failure): done(failure)
          }
        }
      }
      let following = try Self.name(id, number + 1)
      let creation = StreamCreation(contentType: "application/json", items: [whole().encoded()])
      let isFirst = count == 0
      store.create(following, creation) { [self] result in
        if case .failure(let failure) = result { return done(failure) }
        number += 1
        count = 1
        if isDeleted { return store.delete(following) { _ in done(nil) } }
        if isFirst { return done(nil) }
        // Should this fail, whoever loads deletes it.
        store.delete(name) { _ in done(nil) }
      }
    } catch {
      done(error)
    }
  }

  /// Nothing is written any more.
  func delete(_ answer: @escaping (StoreFailure?) -> Void) {
    isDeleted = true
    guard let name = try? Self.name(id, number) else { return answer(nil) }
    store.delete(name) { result in
      if case .failure(let failure) = result { answer(failure) } else { answer(nil) }
    }
  }
}
