import WeirCore

/// Collects a run into one value: what `callStream`, `callStreamWithReasoning` and JSON answers are made of.
package final class ChatAccumulator: RunEventSink {
  package private(set) var text = ""
  package private(set) var reasoning = ""
  package private(set) var usage: Usage?
  package private(set) var failure: RunFailure?
  package private(set) var end: EndState?
  private let onEnd: (ChatAccumulator) -> Void

  /// `onEnd` is called once, after `.end`.
  package init(onEnd: @escaping (ChatAccumulator) -> Void = { _ in }) { self.onEnd = onEnd }

  package func runEvent(_ event: RunEvent) {
    switch event {
    case .text(let more): text += more
    case .reasoning(let more): reasoning += more
    case .usage(let usage): self.usage = usage
    case .error(let failure): self.failure = failure
    case .end(let state):
      end = state
      onEnd(self)
    case .restart:
      text = ""
      reasoning = ""
    case .start, .toolDelta, .toolStart, .toolEnd, .value: break
    }
  }

  /// Of the text so far, as a failure quotes it; all of it is in `text`.
  package static let quotedByteLimit = 1_024

  /// Ends that the provider declared give the text; every other is a failure, and quotes the text so far.
  package var result: Result<String, RunFailure> {
    switch end {
    case .completed?, .length?, .filtered?, .toolCalls?: return .success(text)
    case .truncated?, .error?, .aborted?, .budget?, nil: break
    }
    var failure =
      failure
      ?? {
        switch end {
        case .aborted?: RunFailure(code: "Aborted", message: "the call was stopped")
        case .budget?: RunFailure(.budgetExhausted, "the budget is used up")
        case .truncated?: RunFailure(.truncated, "the stream ended without its finish marker")
        default: RunFailure(.internal, "the call ended without saying why")
        }
      }()
    if !text.isEmpty { failure.message += "; text so far: " + ProviderError.bounded(text, Self.quotedByteLimit) }
    return .failure(failure)
  }
}
