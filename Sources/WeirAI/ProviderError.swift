import WeirCore

/// What a provider says when it refuses: read from a body or an event, whatever its shape, and turned into a failure
/// with our code, the provider's own sentence, and nothing secret.
package struct ProviderError {
  /// Of the provider's text that is kept.
  static let messageByteLimit = 1_024
  /// Of an error's body that is read at all.
  static let bodyByteLimit = 64 << 10

  var message = ""
  /// `type` and `code` of the payload, lower case.
  var kinds: [String] = []
  var status: Int?

  /// `path`: where the configuration says the message is.
  init(_ payload: JSONValue, path: JSONPath?) {
    var payload = payload
    if case .array(let items) = payload, let first = items.first { payload = first }
    let inner = payload["error"]?.nonNull ?? payload
    if let path, let found = Self.value(at: path, in: payload) { message = found.string ?? found.text }
    if message.isEmpty { message = Self.sentence(inner) ?? Self.sentence(payload) ?? "" }
    if message.isEmpty, payload.members?.isEmpty != true, payload != .null { message = payload.text }
    for part in [inner, payload] {
      for name in ["type", "code", "status"] {
        if let text = part[name]?.string {
          if let number = Int(text), (400...599).contains(number) { status = status ?? number }
          kinds.append(text.lowercased())
        } else if let number = part[name]?.int, (400...599).contains(number) {
          status = status ?? number
        }
      }
    }
  }

  /// The failure that a refusal's body tells of.
  package static func failure(_ body: [UInt8], status: Int, provider: String, _ secrets: Secrets) -> RunFailure {
    ProviderError(body: body, path: nil).failure(status: status, provider: provider, secrets: secrets)
  }

  /// A body of any kind: JSON if it is, its text otherwise.
  init(body: [UInt8], path: JSONPath?) {
    if let payload = try? JSONValue.parse(body) {
      self.init(payload, path: path)
    } else {
      self.init(.null, path: nil)
      message = Self.plain(String(decoding: body, as: UTF8.self))
    }
  }

  private static func sentence(_ value: JSONValue) -> String? {
    if let text = value.string { return text }
    for name in ["message", "detail", "error_message", "msg", "title"] {
      if let text = value[name]?.string, !text.isEmpty { return text }
      if let text = value[name]?[0]?["msg"]?.string { return text }
    }
    return nil
  }

  private static func value(at path: JSONPath, in value: JSONValue) -> JSONValue? {
    var scanner = JSONScanner([path])
    let bytes = value.encoded()
    do { try scanner.scan(bytes.span) } catch { return nil }
    return scanner.value(0, in: bytes.span)
  }

  /// An HTML or text page as one line.
  private static func plain(_ text: String) -> String {
    var out = ""
    var inTag = false
    var space = false
    for character in text.unicodeScalars.prefix(messageByteLimit * 8) {
      if character == "<" { inTag = true }
      if inTag || character.value <= 0x20 {
        space = true
      } else {
        if space, !out.isEmpty { out.append(" ") }
        space = false
        out.unicodeScalars.append(character)
      }
      if character == ">" { inTag = false }
    }
    return out
  }

  /// `status` nil: it came inside a stream whose status was 200.
  func failure(
    status httpStatus: Int?, provider: String, secrets: Secrets = Secrets(), retryAfterMs: Int? = nil
  ) -> RunFailure {
    let status = httpStatus ?? self.status
    let code = self.code(status, hasRetryAfter: retryAfterMs != nil)
    let about = httpStatus.map { "provider \"\(provider)\" answered HTTP \($0)" } ?? "provider \"\(provider)\" failed"
    let said = Self.bounded(secrets.redact(message), Self.messageByteLimit)
    let isOutOfMoney = kinds.contains("insufficient_quota") || code == .budgetExhausted
    return RunFailure(
      code, said.isEmpty ? about : "\(about): \(said)",
      hint: Self.hint(code, isOutOfMoney), retryable: code.isRetryable && !isOutOfMoney, status: status,
      retryAfterMs: retryAfterMs)
  }

  private func code(_ status: Int?, hasRetryAfter: Bool) -> AIErrorCode {
    // The provider's own word is more exact than the status: a full context is an HTTP 400 like any other.
    for kind in kinds {
      switch kind {
      case "context_length_exceeded", "string_above_max_length", "exceed_context_size_error": return .contextLength
      case "model_not_found": return .modelNotFound
      case "invalid_api_key", "authentication_error", "permission_error", "permission_denied", "unauthenticated":
        return .authFailed
      case "rate_limit_exceeded", "rate_limit_error", "insufficient_quota", "overloaded_error", "resource_exhausted",
        "too_many_requests", "engine_overloaded":
        return .rateLimit
      case "timeout", "timeout_error", "deadline_exceeded", "request_timeout": return .timeout
      default: break
      }
    }
    switch status {
    case 401, 403: return .authFailed
    case 402: return .budgetExhausted
    case 404: return .modelNotFound
    case 408, 504: return .timeout
    case 413: return .contextLength
    case 429, 529: return .rateLimit
    case 503 where hasRetryAfter: return .rateLimit
    case let status? where status >= 500: return .connectionFailed
    case .some:
      return message.contains(text: "context length") || message.contains(text: "maximum context")
        ? .contextLength : .protocolError
    case nil: break
    }
    for kind in kinds {
      switch kind {
      case "invalid_request_error", "badrequesterror", "bad_request", "invalid_argument": return .protocolError
      case "not_found_error", "not_found", "notfounderror": return .modelNotFound
      default: break
      }
    }
    return .connectionFailed
  }

  private static func hint(_ code: AIErrorCode, _ isOutOfMoney: Bool) -> String? {
    if isOutOfMoney { return "the account has no credit left there" }
    switch code {
    case .authFailed: return "check the key"
    case .modelNotFound: return "check the model's name and the endpoint"
    case .contextLength: return "send fewer or shorter messages"
    default: return nil
    }
  }

  /// At most so many bytes, cut between characters.
  static func bounded(_ text: String, _ limit: Int) -> String {
    guard text.utf8.count > limit else { return text }
    var end = text.utf8.index(text.startIndex, offsetBy: limit)
    while end.samePosition(in: text.unicodeScalars) == nil { end = text.utf8.index(before: end) }
    return text[..<end] + "…"
  }
}
