import WeirCore

/// The life of an open WebSocket: which frames answer which, and that it ends in exactly one `closed` event.
///
/// Pure: facts in the past tense go in, an `Action` that says all that must happen comes out. It knows no bytes, queue
/// or clock; the driver (`WebSocketConnection`) reports that its one timer fired.
///
///     open ──closeRequested──▶ closing ──closeReceived──▶ ending ──stream over──▶ closed
///       └── closeReceived, violated, stream lost ─────────▶┘
///
/// After `ending` began its `closed` event is out, and nothing that the peer still says is heard.
package struct WebSocketMachine: ~Copyable {
  /// For the peer's Close after ours, and for the end of the stream after both.
  package static let closeTimeout = Duration.seconds(3)

  package enum Fact: Equatable, Sendable {
    case received(WebSocketMessageParser.Event)
    /// What the peer sent is not to be accepted.
    case violated(WebSocketFailure)
    case closeRequested(WebSocketClose)
    /// Everything that was to be sent has been taken by the stream.
    case outputSent
    /// The peer will send no more.
    case streamEnded
    /// The stream is gone, without a word.
    case streamLost(String)
    case timerFired
  }

  package struct Action: Equatable, Sendable {
    package enum StreamEnd: Sendable { case finishSending, close, reset }

    /// To be delivered, in this order. `closed` is the last one ever.
    package var events: [StreamEvent] = []
    /// A Pong with this payload.
    package var pong: [UInt8]?
    /// A Close frame with this payload; nothing may be sent after it.
    package var close: [UInt8]?
    /// The timer is set anew to `closeTimeout`.
    package var setsTimer = false
    /// What becomes of the stream, now.
    package var stream: StreamEnd?
    package init() {}
  }

  private enum State {
    case open
    /// Our Close is out, the peer's is not here.
    case closing
    /// `closed` is delivered; what is left is to part without losing what was sent.
    case ending(isSent: Bool, hasPeerEnded: Bool)
    case closed
  }

  private var state = State.open
  /// A server closes the stream first, and so does a client that fails the connection (RFC 6455 7.1.1, 7.1.7).
  private var partsFirst: Bool

  package init(role: WebSocketRole) { partsFirst = role == .server }

  package enum Phase: Sendable { case open, closing, ending, closed }

  package var phase: Phase {
    switch state {
    case .open: .open
    case .closing: .closing
    case .ending: .ending
    case .closed: .closed
    }
  }

  package mutating func handle(_ fact: Fact) -> Action {
    switch (state, fact) {
    case (.open, .received(.text(let text))): return Self.deliver(.message(text))
    case (.open, .received(.binary(let bytes))): return Self.deliver(.binary(bytes))
    case (.open, .received(.ping(let payload))):
      var action = Self.deliver(.ping(payload))
      action.pong = payload
      return action
    case (.open, .received(.close(let close))):
      // The peer's code goes back to it, as an answer without a code of our own to give (RFC 6455 5.5.1).
      return end(.closed(close), answer: WebSocketFrameWriter.closePayload(close.map { WebSocketClose($0.code) }))
    case (.closing, .received(.close(let close))): return end(.closed(close))
    // Whoever asked for the close is not interested any more, and the peer's Close must not wait behind a full queue.
    case (.open, .received(.pong)), (.closing, .received): return Action()

    case (.open, .violated(let failure)):
      partsFirst = true
      let close = WebSocketClose(failure.closeCode, failure.message)
      return end(.error(failure.event), .closed(close), answer: WebSocketFrameWriter.closePayload(close))
    case (.closing, .violated(let failure)):
      partsFirst = true
      return end(.error(failure.event), .closed(WebSocketClose(failure.closeCode, failure.message)))

    case (.open, .closeRequested(let close)):
      state = .closing
      var action = Action()
      action.close = WebSocketFrameWriter.closePayload(close)
      action.setsTimer = true
      return action

    case (.open, .streamEnded), (.closing, .streamEnded):
      return lost("the peer ended the connection without a Close", .close)
    case (.open, .streamLost(let why)), (.closing, .streamLost(let why)): return lost(why, nil)
    case (.closing, .timerFired):
      return lost("the peer did not answer the Close within \(Self.closeTimeout)", .reset)

    case (.ending(isSent: false, let hasPeerEnded), .outputSent):
      state = .ending(isSent: true, hasPeerEnded: hasPeerEnded)
      return part()
    case (.ending(let isSent, hasPeerEnded: false), .streamEnded):
      state = .ending(isSent: isSent, hasPeerEnded: true)
      return part()
    case (.ending, .streamLost):
      state = .closed
      return Action()
    case (.ending, .timerFired):
      state = .closed
      var action = Action()
      action.stream = .close
      return action

    case (.open, .outputSent), (.open, .timerFired), (.closing, .outputSent), (.closing, .closeRequested),
      (.ending, _), (.closed, _):
      return Action()
    }
  }

  private static func deliver(_ event: StreamEvent) -> Action {
    var action = Action()
    action.events = [event]
    return action
  }

  /// `closed` goes out; the stream ends when everything is sent.
  private mutating func end(_ events: StreamEvent..., answer: [UInt8]? = nil) -> Action {
    state = .ending(isSent: false, hasPeerEnded: false)
    var action = Action()
    action.events = events
    action.close = answer
    action.setsTimer = true
    return action
  }

  private mutating func lost(_ why: String, _ end: Action.StreamEnd?) -> Action {
    state = .closed
    var action = Action()
    action.events = [.error(.protocolError(why)), .closed(code: WebSocketClose.lost, reason: why)]
    action.stream = end
    return action
  }

  /// Both wait for the other's end, since closing at once could reset what the peer has not read.
  private mutating func part() -> Action {
    var action = Action()
    switch state {
    case .ending(isSent: true, hasPeerEnded: true):
      state = .closed
      action.stream = .close
    case .ending(isSent: true, hasPeerEnded: false) where partsFirst: action.stream = .finishSending
    default: break
    }
    return action
  }
}

extension StreamEvent {
  fileprivate static func closed(_ close: WebSocketClose?) -> StreamEvent {
    .closed(code: close?.code ?? WebSocketClose.noCode, reason: close?.reason ?? "")
  }
}

extension WebSocketFailure {
  package var event: StreamErrorKind {
    switch self {
    case .violation, .badData: .protocolError(message)
    case .messageTooLarge: .messageTooLarge(message)
    }
  }
}
