import WeirCore
import WeirNet

/// A whole answer as a value: status, headers, body.
package struct Reply {
  package var status: Int
  package var headers: [(name: String, value: String)]
  package var body: [UInt8]

  package init(status: Int, headers: [(name: String, value: String)] = [], body: [UInt8] = []) {
    self.status = status
    self.headers = headers
    self.body = body
  }

  package init(_ value: JSONValue, status: Int = 200, headers: [(name: String, value: String)] = []) {
    self.init(
      status: status,
      headers: [("Content-Type", "application/json"), ("Cache-Control", "no-cache")] + headers,
      body: value.encoded())
  }

  /// Every refusal has one shape, and the headers that its status asks for.
  package init(_ failure: ServeFailure) {
    var headers: [(name: String, value: String)] = []
    switch failure {
    case .methodNotAllowed(_, _, let allow): headers.append(("Allow", allow.joined(separator: ", ")))
    // RFC 9110, 15.5.16.
    case .unsupportedContentCoding: headers.append(("Accept-Encoding", "identity"))
    case .unauthorized: headers.append(("WWW-Authenticate", "Bearer"))
    case .tooManyReaders, .stopping: headers.append(("Retry-After", "2"))
    default: break
    }
    self.init(["error": failure.body], status: failure.status, headers: headers)
  }

  /// A run that could not start, or ended badly, for a client that waits for one answer.
  package init(_ failure: RunFailure, members: [JSONMember] = []) {
    var headers: [(name: String, value: String)] = []
    if failure.httpStatus == 429 {
      // Whole seconds, rounded up: earlier than asked for would be refused again.
      headers.append(("Retry-After", "\(max(1, ((failure.retryAfterMs ?? 1000) + 999) / 1000))"))
    }
    self.init(
      .object([JSONMember("error", failure.json)] + members), status: failure.httpStatus, headers: headers)
  }
}

extension HTTPResponder {
  package func send(_ reply: Reply) { respond(status: reply.status, headers: reply.headers, body: reply.body) }
}

extension Failure {
  var body: JSONValue {
    ["code": .string(code), "message": .string(message), "hint": hint.map { .string($0) } ?? .null]
  }
}

extension RunFailure {
  /// 502: something upstream failed; 504: it was too slow; 429: come back later; 500: the program itself failed.
  var httpStatus: Int {
    switch code {
    case "Timeout": return 504
    case "RateLimit", "BudgetExhausted": return 429
    case "RunAborted": return 409
    case "ServerStopping", "TooManyRuns", "StoreFull", "StoreUnavailable": return 503
    case "BadArgument": return 400
    case "AuthFailed", "ConnectionFailed", "ProviderNotFound", "CapabilityNotSupported", "ProtocolError",
      "ModelNotAllowed", "ModelNotFound", "ContextLength", "SchemaValidation", "ToolsNotSupported", "Truncated":
      return 502
    default:
      guard let status else { return 500 }
      return status == 429 ? 429 : status == 408 || status == 504 ? 504 : 502
    }
  }
}
