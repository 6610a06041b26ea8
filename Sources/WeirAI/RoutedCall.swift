import WeirCore

/// One call as a program sees it: tries the provider again, or others in its place, while nobody has seen any of the answer
/// (spec/ai.md, `retry`; `fallback`). After the first content a failure ends the call, unless the configuration says
/// otherwise.
///
/// Stands between the tries and the sink. The sink is told of the try that counted alone: one `.start`, one `.usage` with
/// what all tries took, one end.
final class RoutedCall: ChatCall, RunEventSink {
  /// Before the second try; doubled for each further one, with chance, so that clients don't come back together.
  static let firstDelay = Duration.milliseconds(500)
  static let delayLimit = Duration.seconds(30)
  static let continuation =
    "Your last message was cut off. Continue it exactly where it ends: no repetition, no introduction."

  private enum Phase {
    case trying(any ChatCall)
    case waiting(any Cancellable)
    case over
  }

  private var request: ChatRequest
  /// Without what was added for another provider to go on from.
  private let asked: ChatRequest.Messages
  private var provider: ProviderConfig
  private let client: ChatClient
  private let tap: (any ProviderTap)?
  private var sink: (any RunEventSink)?
  private var phase = Phase.over
  private let deadline: Instant
  private var others: [String]
  private let afterContent: FallbackAfterContent
  private var tries = 0

  private var hasContent = false
  /// Further pieces of this answer are nobody's business here.
  private var isPassing = false
  private var start: String?
  private var failure: RunFailure?
  private var usage: Usage?
  private var earlierUsage: Usage?
  private var reservation: Reservation?
  private var trace: CallTrace?
  private var allTries = 0
  /// The budget ended it.
  private var isCut = false
  /// What was said, kept only to be continued.
  private var said = ""

  var isEnded: Bool { sink == nil }
  var isReading = true { didSet { if case .trying(let call) = phase { call.isReading = isReading } } }

  init(
    _ request: ChatRequest, provider: ProviderConfig, client: ChatClient, sink: any RunEventSink,
    tap: (any ProviderTap)?
  ) {
    self.tap = tap
    self.request = request
    asked = request.messages
    self.provider = provider
    self.client = client
    self.sink = sink
    trace = client.spans.map { CallTrace(request, provider, $0, client.world) }
    deadline = client.world.loop.now + provider.timeouts.total
    others = provider.fallback
    // Events that are handed on as they are must all be of one answer.
    afterContent = others.isEmpty || tap != nil ? .terminate : provider.afterContent
  }

  /// Not in `init`, because a try may keep its sink from the beginning.
  func begin() {
    isPassing = false
    tries += 1
    allTries += 1
    failure = nil
    let preparation = Preparation()
    phase = .waiting(preparation)
    client.budget.prepare(provider) { [self] failure in
      guard !preparation.isOver else { return }
      preparation.cancel()
      attempt(refusal: failure)
    }
    if preparation.isOver { return }
    preparation.timer = client.world.loop.after(min(max(remaining, .milliseconds(1)), SpendingLog.waitLimit)) {
      preparation.cancel()
      self.attempt(
        refusal: RunFailure(
          .timeout, "what \"\(self.provider.name)\" has cost today (usd_per_day): the store did not answer in time"))
    }
  }

  /// Waits for what the day has cost.
  private final class Preparation: Cancellable {
    var timer: (any Cancellable)?
    private(set) var isOver = false
    func cancel() {
      isOver = true
      timer?.cancel()
      timer = nil
    }
  }

  private func attempt(refusal: RunFailure?) {
    var config = provider
    config.timeouts.total = min(config.timeouts.total, max(remaining, .milliseconds(1)))
    let call: any ChatCall
    do throws(RunFailure) {
      if let refusal { throw refusal }
      if allTries == 1 { try checkFallbacks() }
      var prepared = try ChatPreflight.prepare(request, config, client.world.environment)
      prepared.ratios = client.calibration.ratios(config.name, prepared.model)
      reservation = try client.budget.reserve(prepared)
      call = client.attempt(prepared, sink: self, tap: tap)
    } catch {
      call = RefusedCall(error, sink: self, loop: client.world.loop)
    }
    call.isReading = isReading
    phase = .trying(call)
  }

  /// A program's block may name any provider, and nobody should learn of a misspelt one from an outage. (Those of `weir.toml`
  /// are checked when it is read: `ProviderConfigReader.checkFallbacks`.)
  private func checkFallbacks() throws(RunFailure) {
    guard !others.isEmpty, let known = client.registry?.names else { return }
    for name in others {
      let wanted = String(name.prefix { $0 != "/" })
      guard !known.contains(wanted) else { continue }
      // None of the others may hide it.
      others = []
      throw RunFailure(
        .providerNotFound, "provider \"\(provider.name)\": fallback: there is no provider \"\(wanted)\"",
        hint: Spelling.nearest(to: wanted, among: known).map { "did you mean \"\($0)\"?" })
    }
  }

  private var remaining: Duration { deadline - client.world.loop.now }

  // MARK: What the try says

  func runEvent(_ event: RunEvent) {
    // Nearly every event, and all that there is to do for it.
    if isPassing, event.isContent {
      sink?.runEvent(event)
      return
    }
    switch event {
    case .text(let text):
      if afterContent == .continue { said += text }
      trace?.said(text)
      content(event, text)
    case .reasoning(let text): content(event, text)
    case .toolDelta(_, _, let arguments): content(event, arguments)
    case .start(let model): if hasContent { return } else { start = model }
    case .usage(let usage): self.usage = usage
    case .error(let failure): self.failure = failure
    case .end(let state): ended(state)
    case .restart, .toolStart, .toolEnd, .value: sink?.runEvent(event)
    }
  }

  private func content(_ event: RunEvent, _ text: String) {
    if isCut { return }
    if !hasContent {
      hasContent = true
      trace?.firstContent(client.world.loop.now)
      if let start { sink?.runEvent(.start(model: start)) }
    }
    isPassing = afterContent != .continue && reservation?.isUnlimited != false && trace?.sink.wantsContent != true
    sink?.runEvent(event)
    guard let reservation, !reservation.produced(text), case .trying(let call) = phase else { return }
    isCut = true
    call.stop()
  }

  private func ended(_ state: EndState) {
    guard case .trying = phase else { return }
    reservation?.settle(usage)
    reservation = nil
    if isCut, state == .aborted {
      failure = RunFailure(.budgetExhausted, "the answer of \"\(provider.name)\" was cut: its budget is used up")
      return end(.budget)
    }
    guard state == .error || state == .truncated, let failure, let next = next(failure) else { return end(state) }
    earlierUsage = total
    usage = nil
    tap?.providerIsTriedAgain()
    switch next {
    case .again(let delay):
      phase = .waiting(client.world.loop.after(delay) { [self] in begin() })
    case .other(let config, let model):
      provider = config
      request.model = model
      tries = 0
      if hasContent { goOn() }
      begin()
    }
  }

  private enum Next {
    case again(after: Duration)
    case other(ProviderConfig, model: String?)
  }

  /// Nil: the failure is the end.
  private func next(_ failure: RunFailure) -> Next? {
    if !hasContent, failure.retryable, tries <= provider.retry.max,
      let code = AIErrorCode(rawValue: failure.code), provider.retry.on.contains(code)
    {
      let delay = max(backoff, .milliseconds(failure.retryAfterMs ?? 0))
      if delay < remaining { return .again(after: delay) }
    }
    if hasContent, afterContent == .terminate || !failure.retryable { return nil }
    // Messages that nobody can read are not worth asking about a second time; nor is anything once time is up.
    guard failure.code != AIErrorCode.schemaValidation.rawValue, remaining > .zero else { return nil }
    while !others.isEmpty {
      let name = others.removeFirst()
      guard let (config, model) = try? client.registry?.resolve(name) else { continue }
      // And of one dialect.
      if tap == nil || config.speaks(as: provider) { return .other(config, model: model) }
    }
    return nil
  }

  private var backoff: Duration {
    let delay = Self.firstDelay * (1 << min(tries - 1, ProviderRetry.maxLimit))
    // From half of it to all of it.
    let chance = Double(client.world.random.next() >> 11) / Double(1 << 53)
    return min(delay, Self.delayLimit) * (0.5 + chance / 2)
  }

  /// Readers have seen a part of the answer.
  private func goOn() {
    if afterContent == .restart {
      sink?.runEvent(.restart)
      return
    }
    // Reasoning and arguments of tools can't be continued: they begin anew.
    guard !said.isEmpty else {
      sink?.runEvent(.restart)
      return
    }
    let shown = [ChatMessage("assistant", said), ChatMessage("user", Self.continuation)]
    switch asked {
    case .typed(let messages): request.messages = .typed(messages + shown)
    case .json(let text):
      // It was checked before the first try.
      guard let items = try? JSONValue.parse(Array(text.utf8)).array else { return }
      request.messages = .json(JSONValue.array(items + shown.map(\.json)).text)
    }
  }

  // MARK: Ends

  /// What all tries took.
  private var total: Usage? {
    guard let earlier = earlierUsage else { return usage }
    guard var sum = usage else { return earlier }
    sum.inputTokens += earlier.inputTokens
    sum.outputTokens += earlier.outputTokens
    sum.cachedInputTokens += earlier.cachedInputTokens
    sum.estimated = sum.estimated || earlier.estimated
    return sum
  }

  private func end(_ ended: EndState) {
    phase = .over
    // Refused for want of money, or cut for it: the same end.
    let state =
      ended == .error && failure?.code == AIErrorCode.budgetExhausted.rawValue && failure?.status == nil
      ? .budget : ended
    let sink = sink
    self.sink = nil
    let isFailed = state == .error || state == .truncated || state == .budget
    trace?.ended(
      state, isFailed ? failure : nil, total, answeredBy: start, provider: provider, tries: allTries,
      now: client.world.loop.now)
    if !hasContent, let start { sink?.runEvent(.start(model: start)) }
    if let total { sink?.runEvent(.usage(total)) }
    if isFailed, let failure { sink?.runEvent(.error(failure)) }
    sink?.runEvent(.end(state))
  }

  func stop() {
    switch phase {
    case .trying(let call): call.stop()
    case .waiting(let timer):
      timer.cancel()
      phase = .over
      client.world.loop.soon { [self] in end(.aborted) }
    case .over: break
    }
  }
}
