import WeirCore

/// What can go wrong with a model call, as programs see it (`AIError.code`, spec/ai.md). Every failure of this room is
/// a `RunFailure` with one of these codes, so that it can go into a run's stream as it is.
package enum AIErrorCode: String, Sendable, CaseIterable {
  case authFailed = "AuthFailed"
  case rateLimit = "RateLimit"
  case timeout = "Timeout"
  case connectionFailed = "ConnectionFailed"
  case budgetExhausted = "BudgetExhausted"
  case providerNotFound = "ProviderNotFound"
  case capabilityNotSupported = "CapabilityNotSupported"
  case protocolError = "ProtocolError"
  case modelNotAllowed = "ModelNotAllowed"
  case modelNotFound = "ModelNotFound"
  case contextLength = "ContextLength"
  case schemaValidation = "SchemaValidation"
  case toolsNotSupported = "ToolsNotSupported"
  case truncated = "Truncated"
  case `internal` = "Internal"

  /// Whether the same request may succeed a little later.
  package var isRetryable: Bool {
    switch self {
    case .rateLimit, .timeout, .connectionFailed, .truncated: true
    default: false
    }
  }
}

extension RunFailure {
  package init(
    _ code: AIErrorCode, _ message: String, hint: String? = nil, retryable: Bool? = nil, status: Int? = nil,
    retryAfterMs: Int? = nil
  ) {
    self.init(
      code: code.rawValue, message: message, hint: hint, retryable: retryable ?? code.isRetryable, status: status,
      retryAfterMs: retryAfterMs)
  }

  /// What the transport could not do, in terms of a model call. Its own text may hold a URL, hence the redaction.
  init(_ failure: NetworkFailure, provider: String, secrets: Secrets) {
    let code: AIErrorCode =
      switch failure {
      case .timedOut: .timeout
      case .badURL, .protocolViolation, .tooManyRedirects, .badAddress: .protocolError
      default: .connectionFailed
      }
    let isRefusal = if case .notAllowed = failure { true } else { false }
    self.init(
      code, secrets.redact("provider \"\(provider)\": \(failure.message)"), hint: failure.hint,
      retryable: isRefusal ? false : nil)
  }
}

/// A `[[ai_provider]]` table or a `provider {}` block that says something it should not.
package struct ConfigFailure: Failure, Equatable {
  package var code: String { "BadProviderConfig" }
  package var message: String
  package var hint: String?
  package init(_ message: String, hint: String? = nil) {
    self.message = message
    self.hint = hint
  }
}
