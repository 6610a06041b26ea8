import WeirCore
import WeirStore

/// What a run's answer is whose stream has ended without an `.end`: its writer could not, or died. Pure.
///
///     closed                                truncated
///     aborted, its reason an end state      that one (`RunWriter.ending`), as far as it is no success
///     aborted, any other reason             error, and the reason is its code: `StoreFull`, `RunInterrupted`
extension StreamEnding {
  var ofRun: (state: EndState, failure: RunFailure?) {
    guard case .aborted(let reason) = self else { return (.truncated, nil) }
    switch EndState(rawValue: reason) {
    case .aborted?: return (.aborted, nil)
    case .truncated?: return (.truncated, nil)
    case .error?: return (.error, nil)
    case .budget?: return (.budget, nil)
    case .completed?, .length?, .filtered?, .toolCalls?, nil:
      return (.error, RunFailure(code: reason, message: "the run's stream was cut: \(reason)"))
    }
  }
}
