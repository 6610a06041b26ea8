import WeirAI
import WeirCore
import WeirLang

/// Takes a feed's events for a program that pulls: texts wait here until they are asked for.
final class StreamReader: RunEventSink {
  private var texts: [String] = []
  private var first = 0
  private var outcome: Result<String?, RunFailure>?
  private var failure: RunFailure?
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
      answer(.success(text))
    } else if let outcome {
      answer(outcome)
    } else {
      waiting = answer
    }
  }

  func runEvent(_ event: RunEvent) {
    switch event {
    case .text(let text):
      if let waiting {
        self.waiting = nil
        waiting(.success(text))
      } else {
        texts.append(text)
        if texts.count - first >= AgentFeed.bufferLimit { feed.isReading = false }
      }
    case .error(let failure): self.failure = failure
    case .end(let state):
      switch state {
      case .completed, .length, .filtered, .toolCalls: outcome = .success(nil)
      case .aborted, .truncated, .error, .budget:
        outcome = .failure(failure ?? RunFailure(code: "StreamEnded", message: "the stream ended: \(state.rawValue)"))
      }
      if let waiting, let outcome {
        self.waiting = nil
        waiting(outcome)
      }
    default: break
    }
  }
}
