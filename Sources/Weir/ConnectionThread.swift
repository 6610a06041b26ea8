import Synchronization
import WeirCore
import WeirFlow
import WeirIO

/// One connection on an event loop and thread of its own, for Swift code that awaits its events elsewhere.
///
///     async code ── wanted ──▶ loop: EventQueue ── a batch ──▶ async code
///
/// Events cross threads in batches, at most what the queue holds; while nobody asks, the queue fills and the socket is
/// not read. The thread ends with the connection.
///
/// `@unchecked Sendable` is true because `connection`, `dialling` and `idleTimer` are touched on the loop's thread only,
/// `state` is a lock, and the rest is immutable.
final class ConnectionThread: @unchecked Sendable {
  private struct State {
    var wanted: CheckedContinuation<[StreamEvent], Never>?
    /// Messages that the connection has not taken.
    var sending: [ObjectIdentifier: Once<StreamErrorKind?>] = [:]
    var isEnded = false
  }

  private let loop = WeirIO.EventLoop()
  private let idle: Duration?
  private let state = Mutex(State())
  private var connection: (any StreamConnection)?
  private var dialling: (any Cancellable)?
  private var idleTimer: (any Cancellable)?

  /// `idle`: a reader that waits longer is told so, once, and the connection is closed.
  init(idle: Duration?) { self.idle = idle }

  func open(
    _ open:
      @escaping @Sendable (
        World, @escaping (Result<any StreamConnection, StreamErrorKind>) -> Void
      ) -> any Cancellable
  ) async throws(WeirError) {
    let result: Result<Void, WeirError> = await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let answer = Once(continuation)
        _ = LoopThread(name: "weir-connection") { [self] in
          loop.soon { [self] in
            dialling = open(RealWorld.make(loop: loop)) { [self] result in
              dialling = nil
              switch result {
              case .success(let made):
                connection = made
                made.events.onReady = { [self] in loop.soon { [self] in offer() } }
                answer.resume(.success(()))
              case .failure(let kind):
                answer.resume(.failure(WeirError(kind)))
                loop.stop()
              }
            }
          }
          loop.run()
          ended()
          answer.resume(
            .failure(WeirError(code: "Cancelled", message: "the task was cancelled before it was connected")))
        }
      }
    } onCancel: {
      close()
    }
    try result.get()
  }

  /// From any thread, any number of times. Whoever waits is told at once; the thread ends when the connection is over.
  func close() {
    loop.post { [self] in
      dialling.take()?.cancel()
      tellEnd()
      guard let connection = connection.take() else { return loop.stop() }
      connection.onOver = { [loop] in loop.stop() }
      connection.close()
    }
  }

  /// Answers nil when the message was taken.
  func transmit(_ message: StreamMessage) async -> StreamErrorKind? {
    await withCheckedContinuation { continuation in
      let answer = Once(continuation)
      let isEnded = state.withLock { state in
        if !state.isEnded { state.sending[ObjectIdentifier(answer)] = answer }
        return state.isEnded
      }
      if isEnded { return answer.resume(Self.isClosed) }
      loop.post { [self] in
        guard let connection else { return taken(answer, Self.isClosed) }
        connection.transmit(message) { [self] in taken(answer, $0) }
      }
    }
  }

  private func taken(_ answer: Once<StreamErrorKind?>, _ failure: StreamErrorKind?) {
    state.withLock { $0.sending[ObjectIdentifier(answer)] = nil }
    answer.resume(failure)
  }

  private static let isClosed = StreamErrorKind.connectionFailed("the connection is closed")

  /// Empty: over. One reader at a time; of two, the earlier is told that it is over.
  func next(isolation: isolated (any Actor)?) async -> [StreamEvent] {
    await withTaskCancellationHandler {
      await withCheckedContinuation(isolation: isolation) { continuation in
        let (isEnded, earlier) = state.withLock { state in
          defer { if !state.isEnded { state.wanted = continuation } }
          return (state.isEnded, state.wanted)
        }
        earlier?.resume(returning: [])
        if isEnded { continuation.resume(returning: []) } else { loop.post { [self] in offer() } }
      }
    } onCancel: {
      close()
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
    if batch.isEmpty { loop.stop() }
    wanted.resume(returning: batch)
  }

  private func waitForIdle() {
    guard let idle, idleTimer == nil, connection != nil else { return }
    idleTimer = loop.after(idle) { [self] in
      guard let wanted = state.withLock({ $0.wanted.take() }) else { return }
      wanted.resume(returning: [.error(.timeout("idle timeout after \(idle.text)"))])
      close()
    }
  }

  private func ended() {
    connection = nil
    idleTimer = nil
    tellEnd()
  }

  private func tellEnd() {
    let (wanted, sending) = state.withLock { state in
      state.isEnded = true
      defer { state.sending = [:] }
      return (state.wanted.take(), state.sending)
    }
    wanted?.resume(returning: [])
    for answer in sending.values { answer.resume(Self.isClosed) }
  }
}

/// Reads one connection, event by event; the connection closes with the last reference to this.
final class ConnectionReader: Sendable {
  private let thread: ConnectionThread
  private let batch = Mutex((events: [StreamEvent](), next: 0))

  init(_ thread: ConnectionThread) { self.thread = thread }

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
