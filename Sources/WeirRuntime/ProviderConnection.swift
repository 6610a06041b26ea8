import WeirAI
import WeirCore
import WeirFlow

/// A provider's answer as a connection: its events as they came, for a program that reads them itself.
///
/// The call under it is like any other: limits of time, retries before the first content, budgets, one end state. Events of a
/// try that failed before it said anything are never seen. An end that is no success comes as `StreamError` before `Closed`.
final class ProviderConnection: StreamConnection, RunEventSink, ProviderTap {
  /// Events kept back until one of them is content.
  static let heldLimit = 64

  let events: EventQueue
  var onOver: (() -> Void)?
  private let url: String
  /// The offline model sends no events: they are written for it, in OpenAI's dialect.
  private let writesEvents: Bool
  private let loop: any Loop
  private var call: (any ChatCall)?
  private var answer: ((Result<any StreamConnection, StreamErrorKind>) -> Void)?
  private var held: [StreamEvent] = []
  private var hasContent = false
  private var failure: RunFailure?
  private var isOver = false

  /// Answers once, in a later job: when a provider has begun to answer, or none will.
  static func open(
    _ request: ChatRequest, provider: ProviderConfig, client: ChatClient, queueLimit: Int,
    _ answer: @escaping (Result<any StreamConnection, StreamErrorKind>) -> Void
  ) -> any Cancellable {
    let connection = ProviderConnection(provider, client, queueLimit: queueLimit)
    connection.answer = answer
    connection.call = client.start(request, provider: provider, sink: connection, tap: connection)
    return Opening(connection)
  }

  private final class Opening: Cancellable {
    private let connection: ProviderConnection
    init(_ connection: ProviderConnection) { self.connection = connection }
    func cancel() { if connection.answer.take() != nil { connection.close() } }
  }

  private init(_ provider: ProviderConfig, _ client: ChatClient, queueLimit: Int) {
    url = (try? URLParts(provider.url(isStreaming: true)))?.shown ?? provider.name
    writesEvents = provider.shape == .eliza
    loop = client.world.loop
    events = EventQueue(limit: queueLimit)
    events.onRoom = { [weak self] in self?.call?.isReading = true }
    events.onCancel = { [weak self] in self?.close() }
  }

  var status: StreamStatus { isOver ? .closed : answer == nil ? .open : .connecting }

  func transmit(_ message: StreamMessage, _ answer: @escaping (StreamErrorKind?) -> Void) {
    answer(.protocolError("a model's answer is read-only: send messages with another call"))
  }

  func close() {
    if isOver { return }
    call?.stop()
    over(nil, closed: (0, "disconnected"))
  }

  // MARK: What the provider sends

  func providerAnswered() {
    guard let answer = answer.take() else { return }
    events.push(.opened(url: url))
    answer(.success(self))
  }

  func providerSent(_ type: String, _ data: Span<UInt8>) {
    if isOver { return }
    let event = StreamEvent.sse(
      type: type, data: data.withUnsafeBufferPointer { String(decoding: $0, as: UTF8.self) })
    if hasContent {
      push(event)
    } else {
      held.append(event)
      if held.count == Self.heldLimit { flush() }
    }
  }

  func providerIsTriedAgain() { held = [] }

  private func push(_ event: StreamEvent) {
    events.push(event)
    if events.isFull { call?.isReading = false }
  }

  private func flush() {
    hasContent = true
    let waiting = held
    held = []
    for event in waiting { push(event) }
  }

  // MARK: What it means

  func runEvent(_ event: RunEvent) {
    if isOver { return }
    switch event {
    case .text(let text):
      if !hasContent { flush() }
      if writesEvents { write(["choices": [["index": 0, "delta": ["content": .string(text)]]]]) }
    case .reasoning, .toolDelta: if !hasContent { flush() }
    case .start: if writesEvents { providerAnswered() }
    case .usage(let usage):
      guard writesEvents else { return }
      write([
        "choices": [],
        "usage": ["prompt_tokens": .int(usage.inputTokens), "completion_tokens": .int(usage.outputTokens)],
      ])
    case .error(let failure): self.failure = failure
    case .end(let state): ended(state)
    case .restart, .toolStart, .toolEnd, .value: break
    }
  }

  private func write(_ event: JSONValue) { push(.sse(type: "message", data: event.text)) }

  private func ended(_ state: EndState) {
    flush()
    switch state {
    case .completed, .length, .filtered, .toolCalls:
      if writesEvents {
        write(["choices": [["index": 0, "delta": [:], "finish_reason": state == .length ? "length" : "stop"]]])
        push(.sse(type: "message", data: "[DONE]"))
      }
      // An answer without a word in it.
      providerAnswered()
      over(nil, closed: (0, state.rawValue))
    case .aborted: over(nil, closed: (0, "disconnected"))
    case .truncated, .error, .budget:
      let kind = AIValues.errorKind(
        failure ?? RunFailure(code: "Internal", message: "the call ended without saying why"))
      let told = answer.take()
      over(told == nil ? kind : nil, closed: (1006, kind.message))
      told?(.failure(kind))
    }
  }

  private func over(_ kind: StreamErrorKind?, closed: (code: Int, reason: String)) {
    if isOver { return }
    isOver = true
    if let kind { events.push(.error(kind)) }
    events.push(.closed(code: closed.code, reason: closed.reason))
    events.finish()
    call = nil
    onOver.take()?()
  }
}
