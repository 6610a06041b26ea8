import WeirCore
import WeirStore

/// The shapes in which a run can be read over HTTP, by their names in `?format=`.
package enum OutputFormat: String, CaseIterable, Sendable, Hashable {
  /// Weir's own SSE frames.
  case weir
  /// AI SDK UI message stream, version 1.
  case aiSDK = "ai-sdk"
  /// OpenAI's `chat.completion.chunk` objects.
  case openai
  /// Just the text.
  case text
  /// Items of a stream that is no run: each one an SSE event, its bytes the data.
  case items
  /// The same in Base64 (RFC 4648): an event stream is UTF-8, and these bytes are not.
  case base64

  package var contentType: String {
    switch self {
    case .text: "text/plain; charset=utf-8"
    default: "text/event-stream"
    }
  }

  var isSSE: Bool { self != .text }

  /// Of a stream that is no run. Nobody asks for it by name.
  var isOfItems: Bool { self == .items || self == .base64 }
}
