import Synchronization
import WeirCore
import WeirStore

/// What a reader was told instead of an item.
public enum StreamReadError: Error, Sendable, CustomStringConvertible {
  /// The stream is closed and this reader has had all of it: so many items. A `for` loop ends.
  case ended(finalPosition: Int)
  /// The stream is not whole, for this reason.
  case aborted(reason: String)
  /// Nothing came in the reader's `timeout`. The stream has not ended; reading may go on.
  case timedOut
  /// This reader was closed.
  case closed
  case storeError(cause: WeirError)
  /// The item is of another type: where and why. The next read goes on behind it.
  case wrongItem(String)
  /// The task was cancelled while it waited. Reading may go on.
  case cancelled

  public var description: String {
    switch self {
    case .ended(let position): "the stream ended after \(position) items"
    case .aborted(let reason): "the stream was aborted: \(reason)"
    case .timedOut: "nothing came in time"
    case .closed: "the reader is closed"
    case .storeError(let cause): "the store could not be read: \(cause)"
    case .wrongItem(let why): "the item is another one: \(why)"
    case .cancelled: "the task was cancelled"
    }
  }
}

/// Reads a workflow's stream with a cursor of its own: `read`, or `for try await`, which ends with the stream and throws
/// whatever else there is instead of an item.
///
/// A stream that does not exist yet may still come. Waiting polls nothing. Of several tasks that read it each gets other
/// items, in the order in which they asked.
public final class StreamReader<Item: Decodable & Sendable>: AsyncSequence, Sendable {
  public typealias Element = Item
  public typealias Failure = StreamReadError

  /// The stream's name in its workflow.
  public let namespace: String
  private let core: ReaderCore
  private let store: DurableStore

  init(_ core: ReaderCore, of store: DurableStore, namespace: String) {
    self.core = core
    self.store = store
    self.namespace = namespace
  }

  deinit { store.thread.release(core) }

  /// The next item: at once, or when it comes. Everything else is thrown, the end as well.
  public func read() async throws(StreamReadError) -> Item { try await read(isolation: #isolation) }

  private func read(isolation: isolated (any Actor)?) async throws(StreamReadError) -> Item {
    let outcome: ReaderCore.Outcome = await store.thread.call(whenClosed: .failure(.storeError(cause: .storeClosed))) {
      [core] _, answer in core.read(answer)
    }
    let found = try outcome.get()
    do {
      return try StreamItemForm.item(found.bytes, found.contentType, as: Item.self)
    } catch {
      throw .wrongItem("position \(found.position): \(StreamItemForm.problem(error))")
    }
  }

  /// Of the next item.
  public var position: Int { core.position }

  /// More may come, as far as this reader knows.
  public var isReadable: Bool { core.isReadable }

  /// Stops reading: what waits ends (`closed`), and so does all that is read later. Closing twice does nothing.
  public func close() async {
    await store.thread.call(whenClosed: ()) { [core] _, answer in
      core.close()
      answer(())
      return nil
    }
  }

  public func makeAsyncIterator() -> Iterator { Iterator(reader: self) }

  public struct Iterator: AsyncIteratorProtocol {
    let reader: StreamReader

    /// nil: the stream is closed and was read whole.
    public mutating func next() async throws(StreamReadError) -> Item? { try await next(isolation: nil) }

    public mutating func next(isolation: isolated (any Actor)?) async throws(StreamReadError) -> Item? {
      do throws(StreamReadError) {
        return try await reader.read(isolation: isolation)
      } catch {
        if case .ended = error { return nil }
        throw error
      }
    }
  }
}

/// A reader on its store's loop, for the handle of async code. Reads that are asked for at the same time wait in turn.
///
/// `@unchecked Sendable` is true because `state` is a lock, and the other variables are touched on the loop only.
final class ReaderCore: LoopOwned, @unchecked Sendable {
  struct Found: Sendable {
    let bytes: [UInt8]
    let contentType: String
    let position: Int
  }
  typealias Outcome = Result<Found, StreamReadError>

  private final class Read: Cancellable {
    var told: ((Outcome) -> Void)?
    weak var core: ReaderCore?
    init(_ told: @escaping (Outcome) -> Void, _ core: ReaderCore) {
      self.told = told
      self.core = core
    }
    func tell(_ outcome: Outcome) { told.take()?(outcome) }
    func cancel() {
      guard told != nil else { return }
      core?.giveUp(self)
      tell(.failure(.cancelled))
    }
  }

  private var reader: DurableReader?
  private var waiting: ArraySlice<Read> = []
  private var current: Read?
  private var isAdvancing = false
  private let state: Mutex<(position: Int, isReadable: Bool)>

  init(_ reader: DurableReader) {
    self.reader = reader
    state = Mutex((Int(clamping: reader.position), true))
  }

  // MARK: From any thread

  var position: Int { state.withLock { $0.position } }
  var isReadable: Bool { state.withLock { $0.isReadable } }

  // MARK: On the loop

  func read(_ told: @escaping (Outcome) -> Void) -> any Cancellable {
    let read = Read(told, self)
    waiting.append(read)
    advance()
    return read
  }

  func close() {
    reader?.close()
    note()
  }

  func letGo() {
    reader?.close()
    note()
    reader = nil
  }

  private func giveUp(_ read: Read) {
    if current === read {
      reader?.giveUp()
      current = nil
    } else {
      waiting.removeAll { $0 === read }
    }
    advance()
  }

  private func advance() {
    if isAdvancing { return }
    isAdvancing = true
    defer { isAdvancing = false }
    while current == nil, let next = waiting.popFirst() {
      guard let reader else {
        next.tell(.failure(.closed))
        continue
      }
      current = next
      reader.read { [weak self] result in self?.answered(next, result) }
    }
  }

  private func answered(_ read: Read, _ result: Result<StreamItem, DurableReader.ReadFailure>) {
    current = nil
    note()
    read.tell(
      result.map { item in
        Found(bytes: item.bytes, contentType: reader?.contentType ?? StreamContentType.bytes, position: position - 1)
      }.mapError(StreamReadError.init))
    advance()
  }

  private func note() {
    guard let reader else { return }
    state.withLock { $0 = (Int(clamping: reader.position), reader.isReadable) }
  }
}

extension StreamReadError {
  init(_ failure: DurableReader.ReadFailure) {
    self =
      switch failure {
      case .ended(let position): .ended(finalPosition: Int(clamping: position))
      case .aborted(let reason): .aborted(reason: reason)
      case .timedOut: .timedOut
      case .closed: .closed
      case .store(let failure): .storeError(cause: WeirError(failure))
      }
  }
}
