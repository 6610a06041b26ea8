import WeirCore
import WeirFlow
import WeirWire

/// Drives server-sent events over the HTTP port: GET or POST, head checked, body parsed, events queued, read no faster
/// than they are taken. Knows no language, no provider and no socket.
///
///     dialling ── head 200, text/event-stream ──▶ open ── end of body ──▶ over: closed(0)
///        │  ▲                                      │ ▲ └── lost ──▶ over: error, closed(1006)
///        │  └──────────── waiting ◀── reconnect ───┘ └── events
///        └── another status or type ──▶ refused ── its first KiB ──▶ over: the caller's failure
///
/// After `open` has answered, whatever ends the connection gives exactly one `closed`, and nothing after it.
package final class SSEConnection: StreamConnection, HTTPResponseHandler {
  /// What is quoted of a refusal's body.
  package static let quoteLimit = 1_024
  /// A refusal counts by its status; its body gets this long to explain it.
  package static let refusalLimit = Duration.seconds(5)
  package static let redirectLimit = 5
  /// Neither a server's `retry` nor the doubling makes a reconnection wait longer.
  package static let delayLimit = Duration.seconds(600)

  private enum Phase {
    case dialling
    case refused(HTTPResponseHead, body: [UInt8])
    case open
    /// Until the next attempt.
    case waiting
    case over
  }

  package let events: EventQueue
  package var onOver: (() -> Void)?
  private let request: SSERequest
  private let world: World
  private var phase = Phase.dialling
  private var parser: SSEParser
  private var exchange: (any HTTPExchange)?
  private var timer: (any Cancellable)?
  private var answer: ((Result<SSEConnection, StreamErrorKind>) -> Void)?
  private var reconnectsLeft: Int
  /// Attempts in a row that reached nothing.
  private var failedAttempts = 0

  /// Answers once, in a later job, when the head has come or cannot; cancelling before that closes the socket.
  package static func open(
    _ request: SSERequest, world: World, _ answer: @escaping (Result<SSEConnection, StreamErrorKind>) -> Void
  ) -> any Cancellable {
    let connection = SSEConnection(request, world)
    connection.answer = answer
    connection.dial()
    return Dialling(connection)
  }

  private final class Dialling: Cancellable {
    let connection: SSEConnection
    init(_ connection: SSEConnection) { self.connection = connection }
    func cancel() {
      if connection.answer.take() != nil { connection.close() }
    }
  }

  private init(_ request: SSERequest, _ world: World) {
    self.request = request
    self.world = world
    events = EventQueue(limit: request.queueLimit)
    parser = SSEParser(eventByteLimit: request.eventByteLimit)
    reconnectsLeft = request.reconnect?.max ?? 0
    events.onRoom = { [weak self] in self?.exchange?.isReading = true }
    events.onCancel = { [weak self] in self?.close() }
  }

  package var status: StreamStatus {
    switch phase {
    case .dialling, .refused, .waiting: .connecting
    case .open: .open
    case .over: .closed
    }
  }

  package func transmit(_ message: StreamMessage, _ answer: @escaping (StreamErrorKind?) -> Void) {
    answer(.protocolError("SSE connections are read-only; use WebSocket for bidirectional messaging"))
  }

  package func close() { end(closed: (0, "disconnected")) }

  // MARK: One attempt

  private func dial() {
    phase = .dialling
    var call = HTTPClientRequest(
      method: request.body == nil ? "GET" : "POST", url: request.url, headers: request.headers(parser.lastEventID),
      body: request.body.map { Array($0.utf8) })
    call.connectTimeout = request.connectTimeout
    call.redirectLimit = Self.redirectLimit
    call.policy = request.policy
    set(timer: request.connectTimeout)
    exchange = world.http.start(call, handler: self)
  }

  private func set(timer delay: Duration?) {
    timer?.cancel()
    timer = delay.map { world.loop.after($0) { [weak self] in self?.timePassed() } }
  }

  private func timePassed() {
    timer = nil
    switch phase {
    case .dialling:
      hangUp()
      notOpened(
        .timeout("no answer from \(request.place) within \(request.connectTimeout.text)"), isFinal: false)
    case .refused(let head, let body): refuse(head, body)
    case .waiting: dial()
    case .open, .over: break
    }
  }

  package func httpReceived(head: HTTPResponseHead) {
    guard case .dialling = phase else { return }
    guard head.status == 200, head.isEventStream else {
      phase = .refused(head, body: [])
      set(timer: min(Self.refusalLimit, request.connectTimeout))
      return
    }
    set(timer: nil)
    phase = .open
    failedAttempts = 0
    guard let answer = answer.take() else { return }
    events.push(.opened(url: request.url))
    answer(.success(self))
  }

  package func httpReceived(body: Span<UInt8>) {
    switch phase {
    case .open: read(body)
    case .refused(let head, var bytes):
      phase = .over  // so that the bytes are not copied
      let room = Self.quoteLimit - bytes.count
      body.extracting(first: min(room, body.count)).withUnsafeBufferPointer { bytes.append(contentsOf: $0) }
      phase = .refused(head, body: bytes)
      if bytes.count == Self.quoteLimit { refuse(head, bytes) }
    case .dialling, .waiting, .over: break
    }
  }

  private func read(_ body: Span<UInt8>) {
    do throws(SSEFailure) {
      let events = events
      try parser.parse(body) { head, data in
        let text = data.withUnsafeBufferPointer { String(decoding: $0, as: UTF8.self) }
        events.push(.sse(type: head.type, data: text))
      }
      if events.isFull { exchange?.isReading = false }
    } catch {
      hangUp()
      end(.messageTooLarge(error.message + (error.hint.map { "; \($0)" } ?? "")), closed: (1009, "event too large"))
    }
  }

  package func httpFinished(_ failure: NetworkFailure?) {
    exchange = nil
    switch phase {
    case .dialling:
      let failure = failure ?? .closedEarly
      notOpened(StreamErrorKind(failure), isFinal: !failure.mayPass)
    case .refused(let head, let body): refuse(head, body)
    case .open:
      parser.finish()
      if reconnectLater() { return }
      guard let failure else { return end(closed: (0, "SSE stream ended")) }
      end(.protocolError("the connection was lost: \(failure.message)"), closed: (1006, failure.message))
    case .waiting, .over: break
    }
  }

  // MARK: No stream

  private func refuse(_ head: HTTPResponseHead, _ body: [UInt8]) {
    hangUp()
    // The standard's way for a server to end a reconnecting client.
    if head.status == 204, answer == nil { return end(closed: (0, "SSE stream ended")) }
    notOpened(.connectionFailed(request.refusal(head, body)), isFinal: true)
  }

  /// An attempt reached no stream. `isFinal`: another one would not either.
  private func notOpened(_ kind: StreamErrorKind, isFinal: Bool) {
    let kind = kind.redacted(request.secrets)
    if let answer = answer.take() {
      end(closed: (1006, ""))
      return answer(.failure(kind))
    }
    failedAttempts += 1
    if !isFinal, reconnectLater() { return }
    end(kind, closed: (1006, kind.message))
  }

  private func reconnectLater() -> Bool {
    guard let reconnect = request.reconnect, reconnectsLeft > 0 else { return false }
    reconnectsLeft -= 1
    let base = parser.reconnectionTime ?? reconnect.backoff
    parser = SSEParser(continuing: parser)
    phase = .waiting
    set(timer: min(base * (1 << min(failedAttempts, 20)), Self.delayLimit))
    return true
  }

  // MARK: The end

  private func hangUp() {
    exchange.take()?.cancel()
  }

  private func end(_ kind: StreamErrorKind? = nil, closed: (code: Int, reason: String)) {
    if case .over = phase { return }
    phase = .over
    set(timer: nil)
    hangUp()
    if let kind { events.push(.error(kind.redacted(request.secrets))) }
    events.push(.closed(code: closed.code, reason: request.secrets.redact(closed.reason)))
    events.finish()
    onOver.take()?()
  }
}
