import WeirCore

/// Drives one request to a provider: transport in, decoder, events out, with the four time limits, backpressure and
/// the one way to stop. Knows no dialect and no retry.
final class HTTPChatCall: ChatCall, HTTPResponseHandler {
  /// After the finish marker only usage and the sentinel can follow: a provider that holds the connection open
  /// instead has still said all that counts.
  static let afterFinishLimit = Duration.seconds(5)
  /// After the end, the rest of the body is read for this long, so that the connection can be used again.
  static let drainLimit = Duration.seconds(1)

  /// A refusal counts by its status; its body gets this long to explain it.
  static let refusalLimit = Duration.seconds(5)

  private enum Phase {
    case waiting
    case streaming
    /// Not a 2xx: the body says why.
    case refused(HTTPResponseHead, body: [UInt8])
    /// The end was decided; it is delivered, or will be in a later job.
    case over
  }

  private let chat: PreparedChat
  private let world: World
  private let decoder: any ChatDecoder
  private let tap: (any ProviderTap)?
  private var sink: (any RunEventSink)?
  private var phase = Phase.waiting
  private var exchange: (any HTTPExchange)?
  private var isExchangeOpen = true
  private var timer: (any Cancellable)?
  private var timerDeadline: Instant
  private let started: Instant
  /// When there last was content, or reading was resumed.
  private var lastActivity: Instant
  private var hasContent = false
  private var delivered = TokenCounter()
  private var isUsageSent = false
  private var batch: [RunEvent] = []

  var isEnded: Bool { sink == nil }

  var isReading = true {
    didSet {
      guard isReading != oldValue, case .streaming = phase else {
        exchange?.isReading = isReading
        return
      }
      exchange?.isReading = isReading
      lastActivity = world.loop.now
      setTimer()
    }
  }

  init(_ chat: PreparedChat, world: World, sink: any RunEventSink, tap: (any ProviderTap)? = nil) {
    self.chat = chat
    self.tap = tap
    self.world = world
    self.sink = sink
    decoder = chat.decoder()
    if let tap { decoder.onEvent = { [unowned tap] in tap.providerSent($0, $1) } }
    started = world.loop.now
    lastActivity = started
    timerDeadline = started
  }

  func begin(_ request: HTTPClientRequest) {
    exchange = world.http.start(request, handler: self)
    setTimer()
  }

  // MARK: The transport's facts

  func httpReceived(head: HTTPResponseHead) {
    guard case .waiting = phase else { return }
    guard (200..<300).contains(head.status), head["content-type"]?.lowercased().hasPrefix("text/html") != true else {
      phase = .refused(head, body: [])
      lastActivity = world.loop.now
      setTimer()
      return
    }
    if let encoding = head["content-encoding"], encoding.lowercased() != "identity" {
      end(
        .error,
        RunFailure(
          .protocolError,
          "provider \"\(chat.provider.name)\" answered compressed (\(ProviderError.bounded(encoding, 40))), which was not asked for",
          hint: "turn compression off in whatever stands in between", status: head.status))
      return
    }
    phase = .streaming
    tap?.providerAnswered()
  }

  func httpReceived(body: Span<UInt8>) {
    switch phase {
    case .streaming:
      var events = batch
      batch = []
      decoder.receive(body, into: &events)
      deliver(&events)
    case .refused(let head, var bytes):
      phase = .over  // so that the bytes are not copied
      let room = ProviderError.bodyByteLimit - bytes.count
      body.extracting(first: min(room, body.count)).withUnsafeBufferPointer { bytes.append(contentsOf: $0) }
      phase = .refused(head, body: bytes)
      if bytes.count == ProviderError.bodyByteLimit { refuse(head, bytes) }
    case .waiting, .over: break
    }
  }

  func httpFinished(_ failure: NetworkFailure?) {
    isExchangeOpen = false
    switch phase {
    case .waiting:
      // The transport's own connect timeout comes this way too.
      end(.error, RunFailure(failure ?? .closedEarly, provider: chat.provider.name, secrets: chat.secrets))
    case .streaming: finishDecoding(cut: failure?.message)
    case .refused(let head, let body): refuse(head, body)
    case .over:
      timer?.cancel()
      exchange = nil
    }
  }

  private func finishDecoding(cut: String?) {
    var events: [RunEvent] = []
    decoder.finish(cut: cut, into: &events)
    deliver(&events)
  }

  private func refuse(_ head: HTTPResponseHead, _ body: [UInt8]) {
    let error = ProviderError(body: body, path: chat.provider.errorPath)
    if (200..<300).contains(head.status) {
      let said = ProviderError.bounded(chat.secrets.redact(error.message), ProviderError.messageByteLimit)
      end(
        .error,
        RunFailure(
          .protocolError, "provider \"\(chat.provider.name)\" answered with a web page: \(said)", status: head.status))
      return
    }
    if (300..<400).contains(head.status) {
      end(
        .error,
        RunFailure(
          .protocolError, "provider \"\(chat.provider.name)\" answered HTTP \(head.status), a redirect",
          hint: "configure the endpoint that it leads to", status: head.status))
      return
    }
    end(
      .error,
      error.failure(
        status: head.status, provider: chat.provider.name, secrets: chat.secrets,
        retryAfterMs: RetryAfter.milliseconds(head, wallClock: world.loop.wallClock)))
  }

  // MARK: Events out

  private func deliver(_ events: inout [RunEvent]) {
    for event in events {
      // A sink may stop the call at any event; the rest of the batch is then nobody's.
      guard case .streaming = phase, let sink else { break }
      switch event {
      case .text(let text): content(text)
      case .reasoning(let text): content(text)
      case .toolDelta(_, _, let arguments): content(arguments)
      case .usage(let usage):
        isUsageSent = true
        sink.runEvent(.usage(asDelivered(usage)))
        continue
      case .error(let failure):
        sendUsage(unlessNothingWasSaid: true)
        sink.runEvent(.error(redacted(failure)))
        continue
      case .end(let state):
        end(state, nil)
        continue
      case .start, .restart, .toolStart, .toolEnd, .value: break
      }
      sink.runEvent(event)
    }
    events.removeAll(keepingCapacity: true)
    if batch.isEmpty { swap(&batch, &events) }
    if case .streaming = phase, decoder.hasFinished { setTimer() }
  }

  private func content(_ text: String) {
    delivered.add(text)
    lastActivity = world.loop.now
    if hasContent { return }
    hasContent = true
    setTimer()  // silence is now shorter than the wait for the first content was
  }

  private func redacted(_ failure: RunFailure) -> RunFailure {
    var failure = failure
    failure.message = chat.secrets.redact(failure.message)
    return failure
  }

  private func sendUsage(unlessNothingWasSaid: Bool) {
    guard !isUsageSent, let sink, !unlessNothingWasSaid || !delivered.isEmpty else { return }
    isUsageSent = true
    sink.runEvent(
      .usage(
        decoder.usage.map(asDelivered)
          ?? Usage(
            inputTokens: chat.estimatedInputTokens, outputTokens: chat.estimatedOutputTokens(delivered),
            estimated: true)))
  }

  /// What a provider says before its finish marker is how far it had counted then: an answer that ends without one has cost
  /// what was delivered, at least.
  private func asDelivered(_ usage: Usage) -> Usage {
    guard !decoder.hasFinished else {
      chat.learn(usage, delivered: delivered)
      return usage
    }
    let estimate = chat.estimatedOutputTokens(delivered)
    guard estimate > usage.outputTokens else { return usage }
    var usage = usage
    usage.outputTokens = estimate
    usage.estimated = true
    return usage
  }

  private func end(_ state: EndState, _ failure: RunFailure?) {
    if case .over = phase { return }
    sendUsage(unlessNothingWasSaid: state == .error)
    // The sink may have stopped the call on that event.
    if case .over = phase { return }
    phase = .over
    let sink = sink
    self.sink = nil
    releaseExchange(soon: state == .error || state == .truncated)
    if let failure { sink?.runEvent(.error(redacted(failure))) }
    sink?.runEvent(.end(state))
  }

  /// Closes the exchange now, or lets it run out so that its connection can be used again.
  private func releaseExchange(soon: Bool) {
    timer?.cancel()
    timer = nil
    guard isExchangeOpen, let exchange else { return }
    if soon {
      closeExchange()
    } else {
      exchange.isReading = true
      timer = world.loop.after(Self.drainLimit) { [weak self] in self?.closeExchange() }
    }
  }

  private func closeExchange() {
    guard isExchangeOpen else { return }
    isExchangeOpen = false
    exchange?.cancel()
    exchange = nil
  }

  func stop() {
    if case .over = phase { return }
    phase = .over
    releaseExchange(soon: true)
    world.loop.soon { [self] in
      sendUsage(unlessNothingWasSaid: false)
      let sink = sink
      self.sink = nil
      sink?.runEvent(.end(.aborted))
    }
  }

  // MARK: Time

  /// What runs out next. Silence does not count while nobody reads.
  private var deadline: (at: Instant, what: String) {
    let limits = chat.provider.timeouts
    let total = (at: started + limits.total, what: "the whole answer (total, \(limits.total.text))")
    var silence: (at: Instant, what: String)
    if case .refused = phase {
      silence = (lastActivity + Self.refusalLimit, "the reason")
    } else if decoder.hasFinished {
      silence = (lastActivity + Self.afterFinishLimit, "the end of the stream")
    } else if hasContent {
      silence = (
        lastActivity + limits.betweenContent, "more content (between_content, \(limits.betweenContent.text))"
      )
    } else {
      silence = (lastActivity + limits.firstContent, "the first content (first_content, \(limits.firstContent.text))")
    }
    if !isReading, case .streaming = phase { return total }
    return silence.at < total.at ? silence : total
  }

  /// Content only moves `lastActivity`; the timer finds that out when it fires. So a delta costs no timer.
  private func setTimer() {
    if case .over = phase { return }
    let at = deadline.at
    if timer != nil, timerDeadline <= at { return }
    timer?.cancel()
    timerDeadline = at
    timer = world.loop.after(at - world.loop.now) { [weak self] in self?.timerFired() }
  }

  private func timerFired() {
    timer = nil
    if case .over = phase { return }
    let (at, what) = deadline
    guard at <= world.loop.now else { return setTimer() }
    if case .refused(let head, let body) = phase {
      refuse(head, body)
    } else if decoder.hasFinished {
      finishDecoding(cut: nil)
    } else {
      end(.error, RunFailure(.timeout, "provider \"\(chat.provider.name)\" timed out waiting for \(what)"))
    }
  }
}
