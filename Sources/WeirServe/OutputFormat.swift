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

  package var contentType: String {
    switch self {
    case .text: "text/plain; charset=utf-8"
    default: "text/event-stream"
    }
  }

  var isSSE: Bool { self != .text }
}
