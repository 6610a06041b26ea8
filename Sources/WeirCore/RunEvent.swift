/// What a run's stream is made of: the one event list to which every provider dialect is normalised and from which
/// every output format is made (spec/ai.md, spec/serve.md).
///
/// A run's stream is zero or more events and then exactly one `end`.
package enum RunEvent: Equatable, Sendable {
  /// The model took the request. Carries nothing a reader must show.
  case start(model: String)
  /// What was said so far is void: another provider answers anew (`fallback_after_content = "restart"`).
  case restart
  case text(String)
  case reasoning(String)
  /// A piece of a tool call's arguments as the model writes them.
  case toolDelta(id: String, name: String, arguments: String)
  case toolStart(id: String, name: String, arguments: String)
  case toolEnd(id: String, name: String, ok: Bool)
  /// The result of a workflow that returns a value instead of a stream.
  case value(JSONValue)
  case usage(Usage)
  case error(RunFailure)
  case end(EndState)
}

extension RunEvent {
  /// A piece of the answer itself.
  package var isContent: Bool {
    switch self {
    case .text, .reasoning, .toolDelta: true
    default: false
    }
  }
}

/// How a stream ended. Exactly one of these is durable at the end of every stream (law 2).
package enum EndState: String, Sendable, CaseIterable {
  case completed, length, filtered
  case toolCalls = "tool_calls"
  case aborted, truncated, error, budget
}

/// Tokens of a call. `estimated` = computed from the text delivered, because the provider said nothing.
package struct Usage: Equatable, Sendable {
  package var inputTokens: Int
  package var outputTokens: Int
  package var cachedInputTokens: Int
  package var estimated: Bool

  /// Nobody uses as many in one call; a provider that says so must not make sums overflow.
  package static let tokenLimit = 1 << 40

  /// Numbers below 0 are 0, above `tokenLimit` that.
  package init(inputTokens: Int = 0, outputTokens: Int = 0, cachedInputTokens: Int = 0, estimated: Bool = false) {
    self.inputTokens = Self.bounded(inputTokens)
    self.outputTokens = Self.bounded(outputTokens)
    self.cachedInputTokens = Self.bounded(cachedInputTokens)
    self.estimated = estimated
  }

  package static func bounded(_ tokens: Int) -> Int { min(max(0, tokens), tokenLimit) }
}

/// Why a run failed, as readers and programs see it (`AIError` in the language).
package struct RunFailure: Failure, Equatable {
  package var code: String
  package var message: String
  package var hint: String?
  package var retryable: Bool
  /// Upstream's HTTP status, where there was one.
  package var status: Int?
  package var retryAfterMs: Int?
  package init(
    code: String, message: String, hint: String? = nil, retryable: Bool = false, status: Int? = nil,
    retryAfterMs: Int? = nil
  ) {
    self.code = code
    self.message = message
    self.hint = hint
    self.retryable = retryable
    self.status = status
    self.retryAfterMs = retryAfterMs
  }
}
