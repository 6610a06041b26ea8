import Synchronization
import WeirCore
import WeirFlow
import WeirIO

/// One connection or process on an event loop and thread of its own, for Swift code that awaits its events elsewhere.
///
///     async code, or the loop of `EventLoop.select` ── wanted ──▶ loop: EventQueue ── a batch ──▶ whoever asked
///
/// Events cross threads in batches, at most what the queue holds; while nobody asks, the queue fills and the socket or
/// pipe is not read. The thread ends with the connection.
///
/// `@unchecked Sendable` is true because `state` is a lock and the other variables are touched on the loop's thread only.
final class SourceThread: @unchecked Sendable {
  /// Told once, on any thread. Empty: over.
  typealias Answer = @Sendable ([StreamEvent]) -> Void

  private struct State {
    var wanted: Answer?
    /// An event loop reads it, which has an idle time of its own.
    var isSelected = false
    /// Of messages that the connection has not taken.
    var sending: [ObjectIdentifier: Once<WeirError?>] = [:]
    var isClosed: WeirError?
    var isEnded = false
  }

  private let loop = WeirIO.EventLoop()
  private let idle: Duration?
  private let state = Mutex(State())
  private var connection: (any StreamConnection)?
  private var isOpening = false
  private var opening: (any Cancellable)?
  private var isClosing = false
  /// Nothing of the connection is left.
  private var isOver = false
  private var idleTimer: (any Cancellable)?

  /// `idle`: a reader that waits longer is told so, once, and the connection is closed.
  init(idle: Duration?) { self.idle = idle }

  /// `open` starts something on the loop and answers once, unless what it returned is cancelled; nil: that cannot be
  /// taken back, the answer comes.
  func open(
    _ open:
      @escaping @Sendable (
        World, @escaping (Result<any StreamConnection, WeirError>) -> Void
      ) -> (any Cancellable)?
  ) async throws(WeirError) {
    let result: Result<Void, WeirError> = await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let answer = Once(continuation)
        _ = LoopThread(name: "weir-source") { [self] in
          loop.soon { [self] in
            if isClosing { return loop.stop() }
            isOpening = true
            opening = open(RealWorld.make(loop: loop)) { [self] in answer.resume(opened($0)) }
          }
          loop.run()
          ended()
          loop.retire()
          answer.resume(.failure(Self.cancelled))
        }
      }
    } onCancel: {
      close()
    }
    try result.get()
  }

  private static let cancelled = WeirError(code: "Cancelled", message: "the task was cancelled before it was connected")

  private func opened(_ result: Result<any StreamConnection, WeirError>) -> Result<Void, WeirError> {
    isOpening = false
    opening = nil
    switch result {
    case .success(let made):
      connection = made
      made.onOver = { [self] in
        isOver = true
        if state.withLock({ $0.isEnded }) { loop.stop() }
      }
      if isClosing {
        made.close()
        return .failure(Self.cancelled)
      }
      made.events.onReady = { [self] in loop.soon { [self] in offer() } }
      return .success(())
    case .failure(let failure):
      loop.stop()
      return .failure(failure)
    }
  }

  /// From any thread, any number of times. Whoever waits is told at once; the thread ends when the connection is over.
  func close() {
    loop.post { [self] in
      isClosing = true
      tellEnd()
      if let connection, !isOver { return connection.close() }
      if isOpening, opening == nil { return }
      opening.take()?.cancel()
      loop.stop()
    }
  }

  /// `send` is called on the loop and answers once: nil when what it sends was taken. `isClosed` is the answer when the
  /// connection is over before that.
  func send(
    isClosed: WeirError,
    _ send: @escaping @Sendable (any StreamConnection, @escaping (WeirError?) -> Void) -> Void
  ) async -> WeirError? {
    await withCheckedContinuation { continuation in
      let answer = Once(continuation)
      let isEnded = state.withLock { state in
        if !state.isEnded { state.sending[ObjectIdentifier(answer)] = answer }
        state.isClosed = isClosed
        return state.isEnded
      }
      if isEnded { return answer.resume(isClosed) }
      loop.post { [self] in
        guard let connection else { return taken(answer, isClosed) }
        send(connection) { [self] in taken(answer, $0) }
      }
    }
  }

  private func taken(_ answer: Once<WeirError?>, _ failure: WeirError?) {
    state.withLock { $0.sending[ObjectIdentifier(answer)] = nil }
    answer.resume(failure)
  }

  /// Something for the connection, on its loop; nothing once it is over.
  func perform(_ action: @escaping @Sendable (any StreamConnection) -> Void) {
    loop.post { [self] in
      if let connection { action(connection) }
    }
  }

  /// One reader at a time; of two, the earlier is told that it is over.
  func next(_ answer: @escaping Answer) {
    let (isEnded, earlier) = state.withLock { state in
      defer { if !state.isEnded { state.wanted = answer } }
      return (state.isEnded, state.wanted)
    }
    earlier?([])
    if isEnded { answer([]) } else { loop.post { [self] in offer() } }
  }

  /// Empty: over, or the task was cancelled, which closes it.
  func next(isolation: isolated (any Actor)?) async -> [StreamEvent] {
    await withTaskCancellationHandler {
      await withCheckedContinuation(isolation: isolation) { continuation in
        next { continuation.resume(returning: $0) }
      }
    } onCancel: {
      close()
    }
  }

  /// For one event loop: false if another one has it, or had it.
  func select() -> Bool {
    state.withLock { state in
      defer { state.isSelected = true }
      return !state.isSelected
    }
  }

  // MARK: On the loop

  private func offer() {
    guard let events = connection?.events, events.isReady || events.isEnded else { return waitForIdle() }
    guard let wanted = state.withLock({ $0.wanted.take() }) else { return }
    idleTimer?.cancel()
    idleTimer = nil
    var batch: [StreamEvent] = []
    while let event = events.next() { batch.append(event) }
    if batch.isEmpty {
      tellEnd()
      // What it started may need some time yet.
      if isOver { loop.stop() }
    }
    wanted(batch)
  }

  private func waitForIdle() {
    guard let idle, idleTimer == nil, connection != nil, !state.withLock({ $0.isSelected }) else { return }
    idleTimer = loop.after(idle) { [self] in
      guard let wanted = state.withLock({ $0.wanted.take() }) else { return }
      wanted([.error(.timeout("idle timeout after \(idle.text)"))])
      close()
    }
  }

  private func ended() {
    connection?.onOver = nil
    connection = nil
    idleTimer = nil
    tellEnd()
  }

  private func tellEnd() {
    let (wanted, sending, isClosed) = state.withLock { state in
      state.isEnded = true
      defer { state.sending = [:] }
      return (state.wanted.take(), state.sending, state.isClosed)
    }
    wanted?([])
    for answer in sending.values { answer.resume(isClosed) }
  }
}

/// Reads one connection or process, event by event; that closes with the last reference to this.
final class SourceReader: Sendable {
  let thread: SourceThread
  private let batch = Mutex((events: [StreamEvent](), next: 0))

  init(_ thread: SourceThread) { self.thread = thread }

  deinit { thread.close() }

  func next(isolation: isolated (any Actor)?) async -> StreamEvent? {
    while !Task.isCancelled {
      if let event = taken() { return event }
      let events = await thread.next(isolation: isolation)
      if events.isEmpty { return nil }
      batch.withLock { $0 = (events, 0) }
    }
    return nil
  }

  /// For an event loop, on any thread: what has come over already and was not taken, or else what comes next.
  func next(_ answer: @escaping SourceThread.Answer) {
    let left = batch.withLock { batch in
      defer { batch = ([], 0) }
      return Array(batch.events[batch.next...])
    }
    if left.isEmpty { thread.next(answer) } else { answer(left) }
  }

  private func taken() -> StreamEvent? {
    batch.withLock { batch in
      guard batch.next < batch.events.count else { return nil }
      batch.next += 1
      return batch.events[batch.next - 1]
    }
  }
}

extension WeirError {
  init(_ kind: StreamErrorKind) {
    let code =
      switch kind {
      case .connectionFailed: "ConnectionFailed"
      case .timeout: "Timeout"
      case .budgetExhausted: "BudgetExhausted"
      case .protocolError: "ProtocolError"
      case .messageTooLarge: "MessageTooLarge"
      }
    self.init(code: code, message: kind.message)
  }
}
