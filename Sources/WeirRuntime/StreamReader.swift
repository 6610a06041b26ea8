import WeirAI
import WeirCore
import WeirLang

/// Takes a feed's events for a program that pulls: texts wait here until they are asked for.
final class StreamReader: RunEventSink {
  private var texts: [String] = []
  private var first = 0
  private var outcome: Result<String?, RunFailure>?
  /// What the call has said of itself besides its text.
  private(set) var model: String?
  private(set) var usage: Usage?
  private(set) var failure: RunFailure?
  private(set) var end: EndState?
  /// Whoever reads was told of the end.
  private(set) var hasToldEnd = false
  /// How often the model had begun anew when it was read last: what was taken before that is void.
  private(set) var restarts = 0
  private var isRestarted = false
  private var waiting: ((Result<String?, RunFailure>) -> Void)?
  private unowned let feed: AgentFeed

  /// Somebody is waiting for the next value.
  var isWaited: Bool { waiting != nil }

  init(_ feed: AgentFeed) { self.feed = feed }

  func next(_ answer: @escaping (Result<String?, RunFailure>) -> Void) {
    if first < texts.count {
      let text = texts[first]
      first += 1
      if first == texts.count {
        texts.removeAll(keepingCapacity: true)
        first = 0
        feed.isReading = true
      }
      tell(answer, .success(text))
    } else if let outcome {
      hasToldEnd = true
      tell(answer, outcome)
    } else {
      waiting = answer
    }
  }

  /// Nobody waits any more; what comes is kept.
  func letGo() { waiting = nil }

  private func tell(_ answer: (Result<String?, RunFailure>) -> Void, _ result: Result<String?, RunFailure>) {
    if isRestarted {
      isRestarted = false
      restarts += 1
    }
    answer(result)
  }

  func runEvent(_ event: RunEvent) {
    switch event {
    case .text(let text):
      if let waiting {
        self.waiting = nil
        tell(waiting, .success(text))
      } else {
        texts.append(text)
        if texts.count - first >= AgentFeed.bufferLimit { feed.isReading = false }
      }
    case .restart:
      // What nobody has taken is never taken.
      texts = []
      first = 0
      isRestarted = true
      feed.isReading = true
    case .start(let model): self.model = model
    case .usage(let usage): self.usage = usage
    case .error(let failure): self.failure = failure
    case .end(let state):
      end = state
      switch state {
      case .completed, .length, .filtered, .toolCalls: outcome = .success(nil)
      case .aborted, .truncated, .error, .budget:
        let why = failure ?? RunFailure(code: "StreamEnded", message: "the stream ended: \(state.rawValue)")
        failure = why
        outcome = .failure(why)
      }
      if let waiting, let outcome {
        self.waiting = nil
        hasToldEnd = true
        tell(waiting, outcome)
      }
    default: break
    }
  }
}
