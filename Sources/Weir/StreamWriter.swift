import Synchronization
import WeirCore
import WeirStore

/// Why a stream took no item, or no end.
public enum StreamWriteError: Error, Sendable, CustomStringConvertible {
  /// It was closed, or its workflow has ended.
  case closed
  case aborted(reason: String)
  /// `close` of a stream that is closed.
  case alreadyClosed
  case storeError(cause: WeirError)
  /// The value cannot be kept: why.
  case wrongItem(String)
  /// The task was cancelled while it waited. An item that was on its way to the store may be in the stream.
  case cancelled

  public var description: String {
    switch self {
    case .closed: "the stream is closed"
    case .aborted(let reason): "the stream was aborted: \(reason)"
    case .alreadyClosed: "the stream is closed already"
    case .storeError(let cause): "the store has not taken it: \(cause)"
    case .wrongItem(let why): "the item cannot be kept: \(why)"
    case .cancelled: "the task was cancelled"
    }
  }
}

/// Writes a workflow's stream (`WorkflowStep.writable`), one item after the other. Writers of one namespace of a workflow are
/// one: their items come in the order in which their writes were begun.
public final class StreamWriter<Item: Encodable & Sendable>: Sendable {
  /// The stream's name in its workflow.
  public let namespace: String
  private let core: WriterCore
  private let highWaterMark: Int
  private let run: DurableWorkflow
  private let store: DurableStore

  init(
    _ core: WriterCore, _ namespace: String, highWaterMark: Int, of run: DurableWorkflow, in store: DurableStore
  ) {
    self.highWaterMark = highWaterMark
    self.core = core
    self.namespace = namespace
    self.run = run
    self.store = store
  }

  /// Adds an item and returns when the store has it. It waits while a reader with backpressure is `highWaterMark` items
  /// behind; cancelling the task ends that.
  public func write(_ item: Item) async throws(StreamWriteError) {
    let bytes: [UInt8]
    do {
      bytes = try StreamItemForm.bytes(item)
    } catch {
      throw .wrongItem(StreamItemForm.problem(error))
    }
    let frame = StepFrame.current?.handle(of: run)
    try await ask { [core, run, highWaterMark] answer in
      run.write(bytes, by: frame, to: core, highWaterMark: highWaterMark, answer)
    }
  }

  /// Ends the stream after the writes before it, which wait for readers no longer: it is whole.
  public func close() async throws(StreamWriteError) {
    let frame = StepFrame.current?.handle(of: run)
    try await ask { [core, run] answer in
      run.close(core, by: frame, answer)
      return nil
    }
  }

  /// Ends the stream at once and tells every reader why it is not whole; writes that wait fail with the reason.
  public func abort(_ reason: String) async throws(StreamWriteError) {
    try await ask { [core] answer in
      core.abort(reason, answer)
      return nil
    }
  }

  /// It takes further items, as far as this writer knows.
  public var isWritable: Bool { core.isWritable }

  /// Items in the stream after the last write. In a workflow that was taken up: the place up to which it has come again.
  public var position: Int { core.position }

  private func ask(
    _ begin: @escaping @Sendable (@escaping (WriterCore.Outcome) -> Void) -> (any Cancellable)?
  ) async throws(StreamWriteError) {
    let outcome: WriterCore.Outcome = await store.thread.call(whenClosed: .failure(.storeError(cause: .storeClosed))) {
      _, answer in begin(answer)
    }
    try outcome.get()
  }
}

/// A writer on its store's loop, for the handles of async code.
///
/// `@unchecked Sendable` is true because `state` is a lock, and the other variables are touched on the loop only.
final class WriterCore: @unchecked Sendable {
  typealias Outcome = Result<Void, StreamWriteError>

  private var writer: DurableWriter?
  /// What it says when the writer was let go.
  private var over = StreamWriteError.closed
  private let state: Mutex<(position: Int, isWritable: Bool)>

  init(_ writer: DurableWriter) {
    self.writer = writer
    state = Mutex((Int(clamping: writer.position), writer.isWritable))
  }

  // MARK: From any thread

  var position: Int { state.withLock { $0.position } }
  var isWritable: Bool { state.withLock { $0.isWritable } }

  // MARK: On the loop

  func write(
    _ bytes: [UInt8], by frame: DurableFrame, highWaterMark: Int, _ told: @escaping (Outcome) -> Void
  ) -> (any Cancellable)? {
    guard let writer else {
      isOver(told)
      return nil
    }
    return writer.write(bytes, by: frame, highWaterMark: highWaterMark, answering(told))
  }

  func close(by frame: DurableFrame, _ told: @escaping (Outcome) -> Void) {
    guard let writer else { return isOver(closing: true, told) }
    writer.close(by: frame, answering(told))
    note()
  }

  /// The writer was let go.
  func isOver(closing: Bool = false, _ told: (Outcome) -> Void) {
    if closing, case .closed = over { return told(.failure(.alreadyClosed)) }
    told(.failure(over))
  }

  func abort(_ reason: String, _ told: @escaping (Outcome) -> Void) {
    guard let writer else { return told(.failure(over)) }
    writer.abort(reason, answering(told))
    note()
  }

  /// A step that is not done again was passed over, or the run ends.
  func note() {
    guard let writer else { return }
    state.withLock { $0 = (Int(clamping: writer.position), writer.isWritable) }
  }

  func letGo(_ over: StreamWriteError) {
    note()
    writer = nil
    self.over = over
    state.withLock { $0.isWritable = false }
  }

  private func answering(_ told: @escaping (Outcome) -> Void) -> DurableWriter.Told {
    { [self] result in
      note()
      told(result.mapError(StreamWriteError.init))
    }
  }
}

extension StreamWriteError {
  init(_ failure: DurableWriter.WriteFailure) {
    self =
      switch failure {
      case .closed: .closed
      case .aborted(let reason): .aborted(reason: reason)
      case .alreadyClosed: .alreadyClosed
      case .store(let failure): .storeError(cause: WeirError(failure))
      case .cancelled: .cancelled
      }
  }
}

/// How values stand in a stream: `[UInt8]` as bytes, all others as JSON.
enum StreamItemForm {
  static func contentType(of type: Any.Type) -> String {
    type == [UInt8].self ? StreamContentType.bytes : StreamContentType.json
  }

  static func bytes(_ item: some Encodable) throws -> [UInt8] {
    if let bytes = item as? [UInt8] { return bytes }
    return try JSONEncoding.value(item).encoded()
  }

  /// An item of a stream of that content type; streams of text give strings.
  static func item<Item: Decodable>(_ bytes: [UInt8], _ contentType: String, as type: Item.Type) throws -> Item {
    if !StreamContentType.holdsJSON(contentType) {
      if let item = bytes as? Item { return item }
      if StreamContentType.isText(contentType), let text = String(validating: bytes, as: UTF8.self),
        let item = text as? Item
      {
        return item
      }
      throw DecodingError.dataCorrupted(
        .init(codingPath: [], debugDescription: "expected \(type), found \(bytes.count) bytes of \(contentType)"))
    }
    return try JSONDecoding.value(JSONValue.parse(own: bytes), as: type)
  }

  static func problem(_ error: any Error) -> String {
    if let error = error as? EncodingError, case .invalidValue(_, let context) = error {
      return context.debugDescription
    }
    if let error = error as? JSONFailure { return error.message }
    return JSONDecoding.problem(error)
  }
}
