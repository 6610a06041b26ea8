import WeirCore

/// The offline model as a call: the same events, limits and ways to end as a provider's, from the loop's timers.
final class ElizaCall: ChatCall {
  /// Between two words: about as fast as a small hosted model. `WEIR_ELIZA_DELAY` sets another.
  static let wordDelay = Duration.milliseconds(30)
  static let delayVariable = "WEIR_ELIZA_DELAY"

  private let world: World
  private let words: [String]
  private let inputTokens: Int
  private let limit: Int
  private let delay: Duration
  private var next = 0
  private var sink: (any RunEventSink)?
  private var timer: (any Cancellable)?
  private var isStopped = false

  var isEnded: Bool { sink == nil }
  var isReading = true { didSet { if isReading, !oldValue, timer == nil { schedule() } } }

  init(_ chat: PreparedChat, world: World, sink: any RunEventSink) {
    self.world = world
    self.sink = sink
    words = Eliza.words(Eliza.reply(to: chat.messages.list))
    // A word is this model's token, so its counts are exact.
    inputTokens = chat.messages.list.reduce(0) { $0 + Eliza.words($1.text).count }
    limit = chat.options.maxTokens ?? .max
    delay = world.environment[Self.delayVariable].flatMap { Duration(text: $0) } ?? Self.wordDelay
    world.loop.soon { [self] in
      if isStopped { return }
      sink.runEvent(.start(model: chat.model))
      schedule()
    }
  }

  private func schedule() {
    guard !isStopped, isReading, sink != nil else { return }
    timer = world.loop.after(delay) { [self] in
      timer = nil
      step()
    }
  }

  private func step() {
    guard !isStopped, isReading, let sink else { return }
    if next == words.count || next >= limit {
      end(next == words.count ? .completed : .length)
      return
    }
    let word = words[next]
    next += 1
    sink.runEvent(.text(word))
    if next == words.count { end(.completed) } else { schedule() }
  }

  private func end(_ state: EndState) {
    guard !isStopped, let sink else { return }
    isStopped = true
    self.sink = nil
    sink.runEvent(.usage(Usage(inputTokens: inputTokens, outputTokens: next)))
    sink.runEvent(.end(state))
  }

  func stop() {
    guard !isStopped, let sink else { return }
    isStopped = true
    timer?.cancel()
    timer = nil
    world.loop.soon { [self] in
      self.sink = nil
      sink.runEvent(.usage(Usage(inputTokens: inputTokens, outputTokens: next)))
      sink.runEvent(.end(.aborted))
    }
  }
}
