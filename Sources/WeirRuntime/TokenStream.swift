import WeirAI
import WeirCore
import WeirFlow
import WeirLang

/// `tokens(conn)`: the events of a provider's connection, each as a `TokenDelta`. Ends with the answer; an answer that is
/// not whole is a failure.
final class TokenStream: PulledStream {
  private let loop: EventLoopHandle
  private let conn: StreamConn
  private let reader: TokenReader
  private var waiting: ((Result<Value, RunFailure>) -> Void)?
  private var ready: [TokenDelta] = []
  private var outcome: Result<Value, RunFailure>?

  init(_ conn: StreamConn, _ provider: ProviderConfig, loop: EventLoopHandle) {
    self.conn = conn
    self.loop = loop
    reader = TokenReader(provider)
    super.init()
  }

  override var isWaited: Bool { waiting != nil }

  override func pull(_ answer: @escaping (Result<Value, RunFailure>) -> Void) {
    waiting = answer
    advance()
  }

  override func stop() {
    waiting = nil
    loop.close()
    conn.connection.close()
  }

  /// Takes events until one says something, or there is none yet.
  private func advance() {
    while waiting != nil {
      if !ready.isEmpty {
        let delta = ready.removeFirst()
        if let failure = delta.failure { outcome = .failure(failure) }
        if delta.done, outcome == nil { outcome = .success(.none) }
        if delta.failure == nil { tell(.success(.some(AIValues.delta(delta)))) }
      } else if let outcome {
        tell(outcome)
        loop.close()
      } else {
        switch loop.next() {
        case .event(let event, _): take(event)
        case .end: end(cut: nil)
        case .wait:
          loop.wait { [weak self] in self?.advance() }
          return
        }
      }
    }
  }

  private func take(_ event: StreamEvent) {
    switch event {
    case .sse(let type, let data): ready = reader.read(type, Array(data.utf8).span)
    case .error(let kind): outcome = .failure(RunFailure(code: kind.code, message: kind.message))
    case .closed(let code, let reason): end(cut: code == 0 ? nil : reason)
    default: break
    }
  }

  private func end(cut: String?) {
    guard outcome == nil else { return }
    outcome = reader.end(cut: cut).map { .failure($0) } ?? .success(.none)
  }

  private func tell(_ result: Result<Value, RunFailure>) { waiting.take()?(result) }
}
