import WeirCore
import WeirFlow
import WeirStore

/// One turn of a conversation: wait for the session, load what it remembers, ask, keep the turn, end.
///
/// Stands between the provider's call and the sink. Everything passes through but the end, which waits for the store.
final class AgentCall: ChatCall, RunEventSink {
  private enum Phase {
    case idle
    case queued(any Cancellable)
    case loading(KeyedQueue<StreamName>.Turn)
    case asking(any ChatCall, KeyedQueue<StreamName>.Turn?)
    case saving(KeyedQueue<StreamName>.Turn?)
    case over
  }

  private let agent: Agent
  private let text: String
  private var request: ChatRequest
  private let provider: ProviderConfig
  private let client: ChatClient
  private var sink: (any RunEventSink)?
  private var memory: ConversationMemory?
  private weak var sessions: AgentSessions?
  private var phase = Phase.idle
  private var reply = ""
  /// The run that asks. Nil: none, and nobody could complete a turn that its process leaves unfinished.
  private let run: String?
  /// Which call of a run this is, in every life of it.
  private let at: String?
  /// What became of writing the question down. Nil: that was not tried, or has failed.
  private var question: Question?
  /// How the provider's answer ended.
  private var ended: EndState?

  private enum Question {
    /// The store has not answered.
    case asked
    case kept
  }
  private var timer: (any Cancellable)?

  var isEnded: Bool { sink == nil }
  var isReading = true { didSet { if case .asking(let call, _) = phase { call.isReading = isReading } } }

  init(
    _ agent: Agent, text: String, run: String?, at: String?, request: ChatRequest, provider: ProviderConfig,
    client: ChatClient, sink: any RunEventSink
  ) {
    self.run = run
    self.at = at
    self.agent = agent
    self.text = text
    self.request = request
    self.provider = provider
    self.client = client
    self.sink = sink
  }

  // MARK: Steps

  func wait(_ memory: ConversationMemory, of sessions: AgentSessions, _ ticket: any Cancellable) {
    self.memory = memory
    self.sessions = sessions
    phase = .queued(ticket)
    limit(AgentSessions.queueWaitLimit) { [self] in
      guard case .queued(let ticket) = phase else { return }
      ticket.cancel()
      end(.error, RunFailure(.timeout, "agent \(agent.name): earlier calls of this session are still running"))
    }
  }

  func turnCame(_ turn: KeyedQueue<StreamName>.Turn) {
    guard case .queued = phase, let memory else { return turn.finish() }
    phase = .loading(turn)
    limit(AgentSessions.storeWaitLimit) { [self] in
      if case .loading = phase { failed(.unavailable("the store did not answer in time"), doing: "read") }
    }
    memory.load(run: run, at: at) { [self] loaded in
      guard case .loading = phase else { return }
      switch loaded {
      case .success(let loaded):
        if loaded.begun == text { question = .kept }
        ask(loaded.messages)
      case .failure(let failure): failed(failure, doing: "read")
      }
    }
  }

  func ask(_ history: [ChatMessage]) {
    timer?.cancel()
    timer = nil
    var turn: KeyedQueue<StreamName>.Turn?
    if case .loading(let mine) = phase { turn = mine }
    var messages = history
    if let system = agent.system, !system.isEmpty { messages.insert(ChatMessage("system", system), at: 0) }
    messages.append(ChatMessage("user", text))
    request.messages = .typed(messages)
    let call = client.start(request, provider: provider, sink: self)
    call.isReading = isReading
    phase = .asking(call, turn)
  }

  func runEvent(_ event: RunEvent) {
    switch event {
    case .text(let more):
      if let memory {
        if reply.isEmpty, !more.isEmpty { begin(memory) }
        reply += more
      }
      sink?.runEvent(event)
    case .restart:
      reply = ""
      sink?.runEvent(event)
    case .end(let state): asked(state)
    default: sink?.runEvent(event)
    }
  }

  /// Beside the answer, which never waits for it.
  private func begin(_ memory: ConversationMemory) {
    guard let run, question == nil else { return }
    question = .asked
    memory.begin(user: text, run: run, at: at) { [self] failure in
      question = failure == nil ? .kept : nil
      if case .saving = phase, let ended { save(ended) }
    }
  }

  private func asked(_ state: EndState) {
    guard case .asking(_, let turn) = phase else { return }
    // A turn in which nothing was said is not one to remember.
    guard memory != nil, !reply.isEmpty || question != nil else { return end(state, nil) }
    phase = .saving(turn)
    ended = state
    limit(AgentSessions.storeWaitLimit) { [self] in saved(state, .unavailable("the store did not answer in time")) }
    if question != .asked { save(state) }
  }

  private func save(_ state: EndState) {
    guard let memory else { return saved(state, nil) }
    let answer = { [self] (failure: StoreFailure?) in saved(state, failure) }
    if let run, question == .kept { return memory.finish(reply: reply, end: state, run: run, answer) }
    if reply.isEmpty { return saved(state, nil) }
    memory.append(user: text, reply: reply, end: state, run: run, at: at, answer)
  }

  private func saved(_ state: EndState, _ failure: StoreFailure?) {
    guard case .saving = phase else { return }
    switch (failure, state) {
    case (nil, _), (_, .aborted), (_, .truncated), (_, .error), (_, .budget): end(state, nil)
    case (let failure?, _): failed(failure, doing: "kept")
    }
  }

  private func failed(_ failure: StoreFailure, doing what: String) {
    end(
      .error,
      RunFailure(.internal, "agent \(agent.name): the conversation could not be \(what): \(failure.message)"))
  }

  private func end(_ state: EndState, _ failure: RunFailure?) {
    timer?.cancel()
    timer = nil
    switch phase {
    case .loading(let turn), .asking(_, let turn?), .saving(let turn?): turn.finish()
    case .idle, .queued, .asking, .saving: break
    case .over: return
    }
    phase = .over
    let sink = sink
    self.sink = nil
    if let failure { sink?.runEvent(.error(failure)) }
    sink?.runEvent(.end(state))
  }

  // MARK: Stopping

  func stop() {
    switch phase {
    case .asking(let call, _):
      if sessions?.isRemembering == false { memory = nil }
      call.stop()
    case .queued(let ticket):
      ticket.cancel()
      abortSoon()
    case .loading(let turn):
      turn.finish()
      abortSoon()
    case .idle, .saving, .over: break
    }
  }

  /// Nothing was asked yet, so there is no usage to tell.
  private func abortSoon() {
    timer?.cancel()
    timer = nil
    phase = .over
    client.world.loop.soon { [self] in
      let sink = sink
      self.sink = nil
      sink?.runEvent(.end(.aborted))
    }
  }

  private func limit(_ delay: Duration, _ fire: @escaping () -> Void) {
    timer?.cancel()
    timer = client.world.loop.after(delay, fire)
  }
}
