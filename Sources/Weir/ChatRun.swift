import WeirAI
import WeirCore
import WeirFlow
import WeirIO
import WeirRuntime
import WeirStore

/// `weir chat`: a conversation with a model in the terminal, or one question from a pipe.
///
/// The answer goes to stdout as it comes, everything else to stderr. Ctrl-C while an answer comes stops it and keeps what was
/// said; once more, or while nothing comes, it ends the conversation.
package final class ChatRun: RunEventSink {
  package struct Options {
    /// `provider/model` or a provider.
    package var model: String
    package var system: String?
    package var maxCost: Double?
    /// Writes down what the provider sends (`--record`).
    package var record: String?
    package init(model: String) { self.model = model }
  }

  /// One message; more is no question.
  static let messageLimit = 4 << 20

  private let loop = WeirIO.EventLoop()
  private let world: World
  private let client: ChatClient
  /// Where the days' spending is kept, of providers with `usd_per_day`; opened when it is needed.
  private let store: any StreamStore
  private let provider: ProviderConfig
  private let model: String?
  private let recording: RecordingFile?
  private let recorder: StreamRecorder?
  private var messages: [ChatMessage] = []
  private let isInteractive: Bool
  private var call: (any ChatCall)?
  private var reply = ""
  private var isThinking = false
  private var failure: RunFailure?
  private var input: (any InputReading)?
  private var pending: [UInt8] = []
  private var lines: [String] = []
  private var inputEnded = false
  private var status = 0
  private var isEnding = false

  package init(_ options: Options, project: Project, store: StoreOptions) throws {
    world = RealWorld.make(loop: loop)
    let recording = options.record.map { [world] in RecordingFile($0, world: world) }
    self.recording = recording
    recorder = recording.map { [loop] file in StreamRecorder(loop: loop) { file.append($0) } }
    var models = world
    if let recorder { models.http = RecordedTransport(world.http, recorder) }
    let registry = ProviderRegistry(configured: project.providers, environment: world.environment)
    (provider, model) = try registry.resolve(options.model)
    let store = store.open(in: world)
    self.store = store
    let log = SpendingLog(store) { [random = world.random] in random.identifier() }
    client = ChatClient(
      world: models, registry: registry,
      budget: BudgetLedger(limit: options.maxCost, log: log, wallClock: { [unowned loop] in loop.wallClock }))
    isInteractive = HostProcess.isTerminal(0)
    if let system = options.system { messages.append(ChatMessage("system", system)) }
  }

  /// Blocks; answers the exit status.
  package func run() throws -> Int {
    let signals = try Signals(loop, [.interrupt, .terminate]) { [self] signal in
      if signal == .interrupt, isInteractive, let call {
        self.call = nil
        call.stop()
      } else {
        end(signal == .interrupt ? 130 : 143)
      }
    }
    defer { signals.cancel() }
    (world.console as? ProcessConsole)?.onOutputLost = { [self] in end(1) }
    loop.soon { [self] in
      if isInteractive {
        talk("\(provider.name)\(model.map { "/" + $0 } ?? ""): Ctrl-C stops an answer, Ctrl-D ends\n")
      }
      guard let recording else { return begin() }
      // Before anything is asked: a recording that cannot be written is not found out at the end.
      recording.open { [self] failure in
        guard let failure else { return begin() }
        talk("weir: --record: \(failure.message)\n")
        end(1)
      }
    }
    loop.run()
    return status
  }

  private func begin() {
    prompt()
    input = world.console.readInput { [self] in received($0) }
  }

  private func end(_ code: Int) {
    if isEnding { return loop.stop() }
    isEnding = true
    status = code
    input?.cancel()
    call?.stop()
    // A call that was stopped just now tells what it has cost in a later job.
    loop.soon { [self] in
      store.synchronize { [self] failure in
        if let failure {
          talk("weir: what was spent last may not be kept: \(failure.message)\n")
          status = max(status, 1)
        }
        store.close()
        closeRecording()
      }
    }
  }

  private func closeRecording() {
    guard let recording else { return left() }
    recorder?.flush()
    recording.close { [self] failure in
      if let failure { talk("weir: the recording is not complete: \(failure.message)\n") }
      if failure != nil { status = max(status, 1) }
      left()
    }
  }

  private func left() {
    world.console.flush()
    loop.stop()
  }

  private func talk(_ text: String) { world.console.write(text, to: .error) }
  private func prompt() { if isInteractive { talk("> ") } }

  // MARK: Questions

  private func received(_ bytes: [UInt8]?) {
    guard let bytes else {
      inputEnded = true
      if !pending.isEmpty { lines.append(String(decoding: pending, as: UTF8.self)) }
      pending = []
      return next()
    }
    pending += bytes
    guard pending.count <= Self.messageLimit else {
      talk("weir: the question has more than \(Self.messageLimit) bytes\n")
      return end(1)
    }
    // A pipe is one question, whatever lines it has.
    if isInteractive {
      while let place = pending.firstIndex(of: 0x0A) {
        lines.append(String(decoding: pending[..<place], as: UTF8.self))
        pending.removeFirst(place + 1)
      }
    }
    next()
  }

  private func next() {
    guard call == nil else { return }
    while !lines.isEmpty {
      let line = lines.removeFirst()
      guard line.contains(where: { !$0.isWhitespace }) else { continue }
      return ask(line)
    }
    if inputEnded {
      if isInteractive { talk("\n") }
      end(status)
    }
  }

  private func ask(_ text: String) {
    messages.append(ChatMessage("user", text))
    reply = ""
    failure = nil
    call = client.start(ChatRequest(messages: .typed(messages), model: model), provider: provider, sink: self)
  }

  // MARK: Answers

  package func runEvent(_ event: RunEvent) {
    switch event {
    case .text(let text):
      if isThinking {
        talk("\n")
        isThinking = false
      }
      reply += text
      world.console.write(text, to: .output)
    case .reasoning(let text):
      guard isInteractive else { return }
      isThinking = true
      talk(text)
    case .restart:
      reply = ""
      talk("\n[another provider answers anew]\n")
    case .error(let failure): self.failure = failure
    case .end(let state): ended(state)
    case .start, .usage, .toolDelta, .toolStart, .toolEnd, .value: break
    }
  }

  private func ended(_ state: EndState) {
    call = nil
    if !reply.isEmpty {
      messages.append(ChatMessage("assistant", reply))
      world.console.write("\n", to: .output)
    } else if state != .completed {
      // A question without an answer is not asked again with the next one.
      messages.removeLast()
    }
    switch state {
    case .completed, .toolCalls: break
    case .length, .filtered: talk("weir: the answer ended early: \(state.rawValue)\n")
    case .aborted: talk("[stopped]\n")
    case .truncated, .error, .budget:
      if !isInteractive { status = 1 }
      if let failure {
        talk("weir: \(failure.code): \(failure.message)\n" + (failure.hint.map { "  hint: \($0)\n" } ?? ""))
      }
    }
    if !inputEnded { prompt() }
    next()
  }
}
