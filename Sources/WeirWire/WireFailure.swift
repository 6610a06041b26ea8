import WeirCore

/// An event stream that is refused.
package enum SSEFailure: Failure, Equatable {
  case eventTooLarge(limit: Int)

  package var code: String { "EventTooLarge" }
  package var message: String {
    switch self {
    case .eventTooLarge(let limit): "an event of the stream is larger than \(limit) bytes"
    }
  }
  package var hint: String? { "a larger limit can be set with --stream-max-message" }
}
