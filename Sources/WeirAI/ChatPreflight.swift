import WeirCore

/// Everything that can be wrong with a call before a byte leaves, in the order that spec/ai.md gives:
/// streaming enabled → capability → model allowed → messages valid → key present. (Whether the provider is known comes
/// before, in `ProviderRegistry`; budgets come after.) What passes is a request ready for the transport.
package enum ChatPreflight {
  package static func prepare(
    _ request: ChatRequest, _ provider: ProviderConfig, _ environment: any Environment
  ) throws(RunFailure) -> PreparedChat {
    guard provider.streaming.enabled || !request.isStreaming else {
      throw RunFailure(
        .capabilityNotSupported, "streaming is not enabled for provider \"\(provider.name)\"",
        hint: "set enabled = true in its [ai_provider.streaming]")
    }
    try capabilities(request, provider)
    guard let model = request.model ?? provider.defaults.model, !model.isEmpty else {
      throw RunFailure(.modelNotFound, "no model named, and provider \"\(provider.name)\" has no default one")
    }
    if let allowed = provider.allowedModels, !allowed.contains(model) {
      throw RunFailure(
        .modelNotAllowed,
        "model \"\(ProviderError.bounded(model, 200))\" is not allowed for provider \"\(provider.name)\"",
        hint: Spelling.nearest(to: model, among: allowed).map { "did you mean \"\($0)\"?" }
          ?? "allowed: \(allowed.joined(separator: ", "))")
    }
    let messages = try CheckedMessages(request.messages)
    let options = RequestDefaults(
      model: model, temperature: request.temperature ?? provider.defaults.temperature,
      maxTokens: request.maxTokens ?? provider.defaults.maxTokens)
    guard provider.capabilities.vision || !messages.list.contains(where: \.hasImage) else {
      throw lacking("vision", provider, "the messages have an image in them")
    }
    var parts = RequestParts(messages: messages, options: options)
    parts.tools = request.tools
    parts.answer = request.answer
    parts.isStreaming = request.isStreaming
    var prepared = PreparedChat(provider: provider, model: model, parts: parts)
    if provider.shape != .eliza { try prepared.addRequest(environment) }
    return prepared
  }

  /// What the call needs that the configuration says is not there.
  private static func capabilities(_ request: ChatRequest, _ provider: ProviderConfig) throws(RunFailure) {
    let can = provider.capabilities
    if request.isStreaming, !can.streaming { throw lacking("streaming", provider, "a stream was asked for") }
    if !request.tools.isEmpty, !can.toolCalling {
      throw RunFailure(
        .toolsNotSupported, "provider \"\(provider.name)\" can't call tools: capabilities.tool_calling is false")
    }
  }

  private static func lacking(_ name: String, _ provider: ProviderConfig, _ why: String) -> RunFailure {
    RunFailure(
      .capabilityNotSupported, "provider \"\(provider.name)\": \(why), and capabilities.\(name) is false")
  }
}

/// A checked call: what will be sent, and what must not be said about it.
package struct PreparedChat {
  package let provider: ProviderConfig
  package let model: String
  let parts: RequestParts
  /// Absent for the offline model.
  package private(set) var http: HTTPClientRequest?
  package private(set) var secrets = Secrets()
  /// Of this provider and model, where others have been asked before.
  var ratios = TokenRatios()

  var options: RequestDefaults { parts.options }
  var messages: CheckedMessages { parts.messages }

  init(provider: ProviderConfig, model: String, parts: RequestParts) {
    self.provider = provider
    self.model = model
    self.parts = parts
  }

  /// A fresh decoder for the answer.
  package func decoder() -> any ChatDecoder { Dialect.decoder(provider, model: model) }

  fileprivate mutating func addRequest(_ environment: any Environment) throws(RunFailure) {
    guard let body = Dialect.body(parts, provider) else {
      throw RunFailure(.capabilityNotSupported, "provider \"\(provider.name)\" can't be called")
    }
    var url = provider.url(isStreaming: parts.isStreaming)
    // Searching text costs more than all the rest of this function; a look for a brace does not.
    if url.utf8.contains(UInt8(ascii: "{")) {
      url = url.replacing(text: "{{model}}", with: PercentEncoding.query(model))
    }
    let headers: [(name: String, value: String)] = [
      ("Content-Type", "application/json"),
      (
        "Accept",
        parts.isStreaming && provider.streaming.format == .sse ? "text/event-stream" : "application/json"
      ),
    ]
    var request = HTTPClientRequest(method: "POST", url: url, headers: headers, body: body)
    secrets = try provider.authenticate(&request, environment)
    request.secrets = secrets
    request.connectTimeout = provider.timeouts.connect
    http = request
  }
}
