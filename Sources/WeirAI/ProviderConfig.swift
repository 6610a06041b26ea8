import WeirCore

/// One provider: everything of a `[[ai_provider]]` table (spec/ai.md, Configuration), read and checked.
///
/// Presets, tables of `weir.toml` and `provider {}` blocks of a program all become this value; nothing above knows
/// which it was. Holds names of environment variables, not their values (a block's own `api_key` is the exception and
/// is a `Secret`). Made by `ProviderConfigReader`, `ProviderPreset` and `ProviderDeclaration`.
package struct ProviderConfig: Sendable, Equatable {
  package var name: String
  package var endpoint: String
  package var shape: RequestShape
  /// Plain `http` beyond this machine.
  package var allowHTTP = false
  package var requestTemplate: String?
  package var responsePath: JSONPath?
  package var errorPath: JSONPath?
  package var auth = ProviderAuth.none
  package var headers: [HeaderTemplate] = []
  package var cost: ProviderCost?
  package var capabilities = ProviderCapabilities()
  /// Nil: any.
  package var allowedModels: [String]?
  package var timeouts = ProviderTimeouts()
  package var retry = ProviderRetry()
  package var streaming = ProviderStreaming()
  package var budget = ProviderBudget()
  /// Who is asked next when this one fails: `provider` or `provider/model`, in this order.
  package var fallback: [String] = []
  package var afterContent = FallbackAfterContent.terminate
  /// What a request that says nothing gets.
  package var defaults = RequestDefaults()
  /// `stream_options.include_usage`, for `openai_chat`.
  package var knowsStreamOptions = true

  package init(name: String, endpoint: String, shape: RequestShape) {
    self.name = name
    self.endpoint = endpoint
    self.shape = shape
    streaming.format = shape.usualFormat
  }

  /// Another shape, whose stream is framed as it usually is.
  mutating func use(_ shape: RequestShape) {
    self.shape = shape
    streaming.format = shape.usualFormat
  }

  /// Events of either mean the same.
  package func speaks(as other: ProviderConfig) -> Bool {
    let (mine, others) = (streaming, other.streaming)
    return shape == other.shape && mine.deltaPath == others.deltaPath && mine.reasoningPath == others.reasoningPath
      && mine.usagePath == others.usagePath && mine.finishPath == others.finishPath
  }

  /// Where a request goes; `{{model}}` is still in it. Gemini has two operations, of which a configuration names either.
  package func url(isStreaming: Bool) -> String {
    if isStreaming, let own = streaming.endpoint { return own }
    guard shape == .gemini else { return endpoint }
    let parts = endpoint.split(separator: "?", maxSplits: 1)
    guard let path = parts.first, let colon = path.lastIndex(of: ":"), path[colon...].hasSuffix("enerateContent") else {
      return endpoint
    }
    let query = parts.dropFirst().joined().split(separator: "&").filter { $0 != "alt=sse" }
    let wanted = query + (isStreaming && streaming.format == .sse ? ["alt=sse"] : [])
    return path[..<colon] + (isStreaming ? ":streamGenerateContent" : ":generateContent")
      + (wanted.isEmpty ? "" : "?" + wanted.joined(separator: "&"))
  }
}

/// How a request is written and its answer read.
package enum RequestShape: String, Sendable, CaseIterable {
  case openaiChat = "openai_chat"
  case anthropicMessages = "anthropic_messages"
  case simpleCompletion = "simple_completion"
  case openaiResponses = "openai_responses"
  case gemini
  case ollamaChat = "ollama_chat"
  case custom
  /// The offline model inside Weir: no request at all. Not for configuration.
  case eliza

  /// How its events are told apart, unless a configuration says otherwise.
  var usualFormat: ProviderStreaming.Format { self == .ollamaChat ? .ndjson : .sse }

  /// Where its deltas, ends and counts are is known, and no configuration has to say it.
  var hasKnownEvents: Bool {
    switch self {
    case .anthropicMessages, .openaiResponses, .gemini, .ollamaChat: true
    case .openaiChat, .simpleCompletion, .custom, .eliza: false
    }
  }

  package static let configurable = allCases.filter { $0 != .eliza }
}

package enum ProviderAuth: Sendable, Equatable {
  case none
  /// `Authorization: Bearer <key>`
  case bearer(KeySource)
  /// `<header>: <key>`
  case header(String, KeySource)
  /// `?<name>=<key>`
  case query(String, KeySource)

  package var key: KeySource? {
    switch self {
    case .none: nil
    case .bearer(let key), .header(_, let key), .query(_, let key): key
    }
  }

  func with(_ key: KeySource) -> ProviderAuth {
    switch self {
    case .none, .bearer: .bearer(key)
    case .header(let name, _): .header(name, key)
    case .query(let name, _): .query(name, key)
    }
  }
}

package enum KeySource: Sendable, Equatable {
  /// The first of these variables that is set and not empty.
  case environment([String])
  /// The same, but none set means: go without.
  case optional([String])
  case literal(Secret)
}

/// A header whose value may hold `${NAME}` of the environment.
package struct HeaderTemplate: Sendable, Equatable {
  package var name: String
  package var value: String
}

package struct ProviderCost: Sendable, Equatable {
  package var inputPer1MUSD = 0.0
  package var outputPer1MUSD = 0.0
  package var cachedInputPer1MUSD: Double?
  package var perCallUSD = 0.0
}

package struct ProviderCapabilities: Sendable, Equatable {
  package var toolCalling = true
  package var jsonMode = true
  package var streaming = true
  package var vision = true
  package var structuredOutputs = true
}

package struct ProviderTimeouts: Sendable, Equatable {
  package var connect = Duration.seconds(10)
  package var firstContent = Duration.seconds(60)
  package var betweenContent = Duration.seconds(30)
  package var total = Duration.seconds(600)
}

/// Only before the first content.
package struct ProviderRetry: Sendable, Equatable {
  package var max = 2
  package var on: [AIErrorCode] = [.rateLimit, .connectionFailed, .timeout]
  /// More than this would hammer a provider that is down.
  package static let maxLimit = 10
}

/// What a failure does when readers have seen a part of the answer already.
package enum FallbackAfterContent: String, Sendable, CaseIterable {
  /// The run ends with it.
  case terminate
  /// What was said is void, and another provider answers anew.
  case restart
  /// Another provider is shown what was said, and goes on from there.
  case `continue`
}

package struct ProviderBudget: Sendable, Equatable {
  package var usdPerRun: Double?
  package var usdPerDay: Double?
}

package struct RequestDefaults: Sendable, Equatable {
  package var model: String?
  package var temperature: Double?
  package var maxTokens: Int?
}

package struct ProviderStreaming: Sendable, Equatable {
  package enum Format: String, Sendable, CaseIterable {
    case sse, ndjson
    case jsonArray = "json_array"
  }
  package var enabled = true
  package var endpoint: String?
  package var format = Format.sse
  package var deltaPath: JSONPath?
  package var reasoningPath: JSONPath?
  package var usagePath: JSONPath?
  package var finishPath: JSONPath?
  package var doneSentinel: String?
  package var doneEvent: String?
}
