import WeirCore
import WeirFlow
import WeirLang

/// The sum types of `std/stream` that natives make, and how events become values of them.
enum StreamValue {
  static let errorKind = TypeTag(
    16, "StreamErrorKind", ["ConnectionFailed", "Timeout", "BudgetExhausted", "ProtocolError", "MessageTooLarge"])
  static let event = TypeTag(
    17, "StreamEvent",
    [
      "Message", "Binary", "Opened", "Closed", "StreamError", "Ping", "SSEData", "SourceText", "SourceBytes",
      "SourceExit",
    ])
  static let status = TypeTag(18, "StreamStatus", ["Connecting", "Open", "Closing", "StreamClosed"])

  static func of(_ kind: StreamErrorKind) -> Value {
    let index =
      switch kind {
      case .connectionFailed: 0
      case .timeout: 1
      case .budgetExhausted: 2
      case .protocolError: 3
      case .messageTooLarge: 4
      }
    return .constructor(errorKind[index], [.string(kind.message)])
  }

  /// `source` is the name that binary frames of a connection are tagged with when it is one of several sources.
  static func of(_ event: StreamEvent, source: String? = nil) -> Value {
    switch event {
    case .message(let text): make(0, .string(text))
    case .binary(let bytes):
      if let source { make(8, .string(source), .bytes(bytes)) } else { make(1, .string(Base64.encode(bytes))) }
    case .opened(let url): make(2, .string(url))
    case .closed(let code, let reason): make(3, .int(code), .string(reason))
    case .error(let kind): make(4, of(kind))
    case .ping(let bytes): make(5, .string(String(decoding: bytes, as: UTF8.self)))
    case .sse(let type, let data): make(6, .string(type), .string(data))
    case .sourceText(let name, let text): make(7, .string(name), .string(text))
    case .sourceBytes(let name, let bytes): make(8, .string(name), .bytes(bytes))
    case .sourceExit(let name, let code): make(9, .string(name), .int(code))
    }
  }

  private static func make(_ index: Int, _ payload: Value...) -> Value { .constructor(event[index], payload) }

  static func of(_ status: StreamStatus) -> Value {
    switch status {
    case .connecting: .tag(Self.status[0])
    case .open: .tag(Self.status[1])
    case .closing: .tag(Self.status[2])
    case .closed: .tag(Self.status[3])
    }
  }
}
