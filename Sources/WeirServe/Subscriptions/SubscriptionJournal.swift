import WeirCore
import WeirStore

/// Where one subscription is kept: `_weir/subscriptions/<id>/<n>`, a whole record and then what has changed. When those are
/// `recordLimit`, or longer than both `byteLimit` and the whole, the next stream, n + 1, begins with a whole one, and the old
/// one is deleted; whoever loads takes the last of them. What is asked for stands in a queue, one at a time.
///
/// Invariant: what could not be written is not forgotten. A record that failed may be there or not, so a whole one is next,
/// in a stream of its own.
final class SubscriptionJournal {
  static let root = "_weir/subscriptions/"
  private static let recordLimit = 1_000
  private static let byteLimit = 1 << 20

  /// What is in a stream of the journal.
  struct Extent {
    var count = 0
    /// Of the whole record, and of those behind it.
    var wholeBytes = 0
    var bytes = 0

    mutating func add(_ record: Int) {
      if count == 0 { wholeBytes = record } else { bytes += record }
      count += 1
    }

    var isFull: Bool { count >= recordLimit || bytes >= max(byteLimit, wholeBytes) }
  }

  private enum Job {
    case write(JSONValue, (StoreFailure?) -> Void)
    case delete((StoreFailure?) -> Void)
  }

  private let id: String
  private let store: any StreamStore
  private var number: UInt64
  private var extent: Extent
  private var needsWhole: Bool
  private var queue: [Job] = []
  private var isWorking = false
  private var isDeleted = false
  /// The whole as it stands; nil: nobody knows it any more.
  private let whole: () -> JSONValue?

  /// `extent`: of stream `number`; an empty one makes the stream behind it with the first record.
  init(
    _ id: String, number: UInt64, extent: Extent, store: any StreamStore, whole: @escaping () -> JSONValue?
  ) {
    self.id = id
    self.number = number
    self.extent = extent
    needsWhole = extent.count == 0
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
    queue.append(.write(record, answer))
    next()
  }

  /// After what was to be written before. If that fails the subscription is still kept, and it can be asked for again.
  func delete(_ answer: @escaping (StoreFailure?) -> Void) {
    queue.append(.delete(answer))
    next()
  }

  private func next() {
    guard !isWorking, !queue.isEmpty else { return }
    isWorking = true
    switch queue.removeFirst() {
    case .delete(let answer):
      deleteAll { [self] failure in
        isDeleted = failure == nil
        done(failure, [answer])
      }
    case .write(_, let answer) where isDeleted: done(.unavailable("the subscription was deleted"), [answer])
    case .write(let record, let answer):
      if needsWhole || extent.isFull { writeWhole([answer]) } else { append(record, answer) }
    }
  }

  private func done(_ failure: StoreFailure?, _ answers: [(StoreFailure?) -> Void]) {
    if failure != nil { needsWhole = true }
    for answer in answers { answer(failure) }
    isWorking = false
    next()
  }

  private func append(_ record: JSONValue, _ answer: @escaping (StoreFailure?) -> Void) {
    let name: StreamName
    do throws(StoreFailure) { name = try Self.name(id, number) } catch { return done(error, [answer]) }
    let bytes = record.encoded()
    store.append(name, [bytes], ending: nil) { [self] result in
      switch result {
      case .success:
        extent.add(bytes.count)
        done(nil, [answer])
      // A store in memory that was full has let it go: all of it is written anew.
      case .failure(.notFound): writeWhole([answer])
      case .failure(let failure): done(failure, [answer])
      }
    }
  }

  /// Stands for all that waits to be written, too.
  private func writeWhole(_ first: [(StoreFailure?) -> Void]) {
    var answers = first
    while case .write(_, let answer)? = queue.first {
      answers.append(answer)
      queue.removeFirst()
    }
    guard let whole = whole() else { return done(.unavailable("the subscription is not there any more"), answers) }
    let name: StreamName
    do throws(StoreFailure) { name = try Self.name(id, number + 1) } catch { return done(error, answers) }
    let bytes = whole.encoded()
    let creation = StreamCreation(contentType: "application/json", items: [bytes])
    store.create(name, creation) { [self] result in
      switch result {
      case .success(let status) where status.existed:
        // One whose making seemed to have failed. What it says is old.
        number += 1
        writeWhole(answers)
      case .failure(let failure): done(failure, answers)
      case .success:
        let old = extent.count > 0 ? try? Self.name(id, number) : nil
        number += 1
        extent = Extent()
        extent.add(bytes.count)
        needsWhole = false
        guard let old else { return done(nil, answers) }
        // Should this fail, whoever loads deletes it.
        store.delete(old) { [self] _ in done(nil, answers) }
      }
    }
  }

  /// All that may be there, the last one at the end: what is left if it fails in between is the newest.
  private func deleteAll(_ answer: @escaping (StoreFailure?) -> Void) {
    let pageLimit = 1_000
    store.list(prefix: "\(Self.root)\(id)/", after: nil, limit: pageLimit) { [self] result in
      var rest: ArraySlice<StreamStatus>
      switch result {
      case .failure(let failure): return answer(failure)
      case .success(let found): rest = found[...]
      }
      let isWhole = rest.count < pageLimit
      func next() {
        guard let name = rest.popFirst()?.name else { return isWhole ? answer(nil) : deleteAll(answer) }
        store.delete(name) { result in
          switch result {
          case .success, .failure(.notFound), .failure(.gone): next()
          case .failure(let failure): answer(failure)
          }
        }
      }
      next()
    }
  }
}
