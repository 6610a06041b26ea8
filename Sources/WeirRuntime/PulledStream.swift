import WeirCore
import WeirLang

/// A value of type `Stream[a]`: what `next`, `read` and `for` take values from, one at a time.
class PulledStream: Handle {
  /// Values taken so far; for a reader of a durable stream, the place of the next item.
  var position = 0
  /// It has ended, failed or was closed: nothing more comes.
  var isOver = false
  /// The program closed it.
  private(set) var isClosed = false

  init() { super.init(kind: "Stream") }

  /// The stream that its values are made of, as far as that is known.
  var source: PulledStream? { nil }
  final var root: PulledStream {
    var stream = self
    while let source = stream.source { stream = source }
    return stream
  }

  /// Somebody waits for the next value already.
  var isWaited: Bool { false }

  /// `Some` of a value, `None` at the end, or why there is no whole answer. For subclasses; callers use `next`.
  func pull(_ answer: @escaping (Result<Value, RunFailure>) -> Void) throws(Trap) {
    answer(.success(.none))
  }

  /// Somebody is about to take a value.
  func prepare(_ context: NativeContext) {}

  /// Whoever waited was cancelled.
  func giveUp() { stop() }
  /// Whoever waited does no longer; what comes is for the next one, where that is possible.
  func letGo() { giveUp() }
  /// Nothing of it is wanted any more.
  func stop() {}

  final func next(_ answer: @escaping (Result<Value, RunFailure>) -> Void) throws(Trap) {
    guard !isWaited else {
      throw Trap("StreamBusy", "another task waits for this stream's next value", hint: "let one task read it")
    }
    if isClosed { return answer(.failure(RunFailure(code: "ReaderClosed", message: "this stream was closed"))) }
    try pull { [weak self] result in
      self?.count(result)
      answer(result)
    }
  }

  private func count(_ result: Result<Value, RunFailure>) {
    switch result {
    case .success(.tag), .failure: isOver = true
    case .success: advanced()
    }
  }

  /// A value was taken by `next`.
  func advanced() { position += 1 }

  /// Like `next`, with the reason why there is no value as a value.
  func read(_ answer: @escaping (Result<Value, ReadFailure>) -> Void) throws(Trap) {
    if isClosed { return answer(.failure(.closed)) }
    try next { [weak self] result in
      switch result {
      case .success(.variant(_, let fields)): answer(.success(fields[0]))
      case .success: answer(.failure(.ended(self?.position ?? 0)))
      case .failure(let failure): answer(.failure(.aborted(failure.message)))
      }
    }
  }

  func close() {
    guard !isClosed else { return }
    isClosed = true
    isOver = true
    stop()
  }
}

/// `StreamReadError` of std/stream.
enum ReadFailure: Error {
  case ended(Int)
  case aborted(String)
  case timedOut
  case closed
  case store(String)
  case wrongItem(String)

  var value: Value {
    let tag = StreamModule.readError
    return switch self {
    case .ended(let position): .constructor(tag[0], [.int(position)])
    case .aborted(let reason): .constructor(tag[1], [.string(reason)])
    case .timedOut: .tag(tag[2])
    case .closed: .tag(tag[3])
    case .store(let why): .constructor(tag[4], [.string(why)])
    case .wrongItem(let why): .constructor(tag[5], [.string(why)])
    }
  }

  /// For a loop, which knows only values and the end: an end that is none stops the program.
  var runFailure: RunFailure {
    switch self {
    case .ended: RunFailure(code: "StreamEnded", message: "the stream has ended")
    case .aborted(let reason): RunFailure(code: "StreamAborted", message: "the stream was aborted: \(reason)")
    case .timedOut: RunFailure(code: "ReadTimedOut", message: "nothing came in time", retryable: true)
    case .closed: RunFailure(code: "ReaderClosed", message: "this stream was closed")
    case .store(let why): RunFailure(code: "StoreUnavailable", message: why, retryable: true)
    case .wrongItem(let why): RunFailure(code: "WrongItem", message: why)
    }
  }
}

/// A stream whose values a function of the program makes: what `map`, `filter` and the others give. The function is called by
/// `next` and `read`, which are written in the language, in the fiber of whoever reads.
final class GeneratedStream: PulledStream {
  private var produce: Value?
  private var from: PulledStream?
  private var isProducing = false

  init(_ produce: Value, from source: PulledStream? = nil) {
    self.produce = produce
    from = source
  }

  override var source: PulledStream? { from }

  override var isWaited: Bool { isProducing }

  /// The function that makes the next value; nil at the end.
  func begin() throws(Trap) -> Value? {
    guard let produce, !isOver else { return nil }
    guard !isProducing else {
      throw Trap("StreamBusy", "another task waits for this stream's next value", hint: "let one task read it")
    }
    isProducing = true
    return produce
  }

  func produced(_ value: Value) {
    isProducing = false
    if case .variant = value { position += 1 } else { end() }
  }

  private func end() {
    isOver = true
    // What it took from goes with it.
    produce = nil
    from = nil
  }

  override func stop() {
    let source = from
    isProducing = false
    end()
    source?.close()
  }
}
