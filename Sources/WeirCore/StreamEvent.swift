/// What a source of events yields, and the handler of an event loop is given: one case for each constructor of the
/// language's `StreamEvent`. Which source it came from is written in it only where the seed's events say so.
///
/// `binary` is raw bytes here and base64 text in the language; a connection that is read through `sourceOfConn` hands its
/// binary frames on as `sourceBytes`.
package enum StreamEvent: Hashable, Sendable {
  case opened(url: String)
  case message(String)
  case binary([UInt8])
  case ping([UInt8])
  case sse(type: String, data: String)
  /// The last event of a connection, exactly once.
  case closed(code: Int, reason: String)
  case error(StreamErrorKind)
  case sourceText(source: String, String)
  case sourceBytes(source: String, [UInt8])
  /// A process that was asked to tell how it ended.
  case sourceExit(source: String, code: Int)
}

/// Why a connection could not be made, or what went wrong on one.
package enum StreamErrorKind: Error, Hashable, Sendable {
  case connectionFailed(String)
  case timeout(String)
  case budgetExhausted(String)
  case protocolError(String)
  case messageTooLarge(String)
}

extension StreamEvent {
  /// Bytes of what it carries: what a queue counts against its bound of bytes.
  package var size: Int {
    switch self {
    case .opened(let url): url.utf8.count
    case .message(let text): text.utf8.count
    case .binary(let bytes), .ping(let bytes), .sourceBytes(_, let bytes): bytes.count
    case .sse(let type, let data): type.utf8.count + data.utf8.count
    case .closed(_, let reason): reason.utf8.count
    case .error(let kind): kind.message.utf8.count
    case .sourceText(_, let text): text.utf8.count
    case .sourceExit: 0
    }
  }
}

extension StreamErrorKind {
  /// The constructor's name in the language.
  package var code: String {
    switch self {
    case .connectionFailed: "ConnectionFailed"
    case .timeout: "Timeout"
    case .budgetExhausted: "BudgetExhausted"
    case .protocolError: "ProtocolError"
    case .messageTooLarge: "MessageTooLarge"
    }
  }

  package var message: String {
    switch self {
    case .connectionFailed(let message), .timeout(let message), .budgetExhausted(let message),
      .protocolError(let message), .messageTooLarge(let message):
      message
    }
  }

  /// The same with no secret in its message.
  package func redacted(_ secrets: Secrets) -> StreamErrorKind {
    switch self {
    case .connectionFailed(let text): .connectionFailed(secrets.redact(text))
    case .timeout(let text): .timeout(secrets.redact(text))
    case .budgetExhausted(let text): .budgetExhausted(secrets.redact(text))
    case .protocolError(let text): .protocolError(secrets.redact(text))
    case .messageTooLarge(let text): .messageTooLarge(secrets.redact(text))
    }
  }
}
