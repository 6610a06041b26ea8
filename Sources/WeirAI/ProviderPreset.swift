import WeirCore

/// The built-in providers: each is a row of a table, nothing more than a `[[ai_provider]]` that need not be written.
///
/// Knows each service's usual environment variables. A row's base URL may be replaced by its variable
/// (`OPENAI_BASE_URL`), as the services' own clients do.
struct ProviderPreset {
  var name: String
  var shape = RequestShape.openaiChat
  var base: String
  /// Added to the base to make the endpoint.
  var operation = "/chat/completions"
  var baseVariables: [String]
  var keyVariables: [String]
  var keyIsOptional = false
  var keyHeader: String?
  var headers: [HeaderTemplate] = []
  /// Servers that people run themselves speak plain HTTP on their own network, usually without a key.
  var isLocalServer = false
  var knowsStreamOptions = true

  static let all: [ProviderPreset] = [
    ProviderPreset(
      name: "openai", base: "https://api.openai.com/v1", baseVariables: ["OPENAI_BASE_URL"],
      keyVariables: ["OPENAI_API_KEY"]),
    ProviderPreset(
      name: "anthropic", shape: .anthropicMessages, base: "https://api.anthropic.com", operation: "/v1/messages",
      baseVariables: ["ANTHROPIC_BASE_URL"], keyVariables: ["ANTHROPIC_API_KEY"], keyHeader: "x-api-key",
      headers: [HeaderTemplate(name: "anthropic-version", value: "2023-06-01")]),
    ProviderPreset(
      name: "gemini", shape: .gemini, base: "https://generativelanguage.googleapis.com/v1beta",
      operation: "/models/{{model}}:streamGenerateContent?alt=sse",
      baseVariables: ["GEMINI_BASE_URL", "GOOGLE_GEMINI_BASE_URL"],
      keyVariables: ["GEMINI_API_KEY", "GOOGLE_API_KEY"], keyHeader: "x-goog-api-key"),
    ProviderPreset(
      name: "ollama", base: "http://127.0.0.1:11434", operation: "/v1/chat/completions",
      baseVariables: ["OLLAMA_HOST"], keyVariables: ["OLLAMA_API_KEY"], keyIsOptional: true, isLocalServer: true),
    ProviderPreset(
      name: "openrouter", base: "https://openrouter.ai/api/v1", baseVariables: ["OPENROUTER_BASE_URL"],
      keyVariables: ["OPENROUTER_API_KEY"]),
    ProviderPreset(
      name: "groq", base: "https://api.groq.com/openai/v1", baseVariables: ["GROQ_OPENAI_BASE_URL"],
      keyVariables: ["GROQ_API_KEY"]),
    ProviderPreset(
      name: "together", base: "https://api.together.xyz/v1", baseVariables: ["TOGETHER_BASE_URL"],
      keyVariables: ["TOGETHER_API_KEY"]),
    ProviderPreset(
      name: "fireworks", base: "https://api.fireworks.ai/inference/v1", baseVariables: ["FIREWORKS_BASE_URL"],
      keyVariables: ["FIREWORKS_API_KEY"]),
    ProviderPreset(
      name: "deepseek", base: "https://api.deepseek.com/v1", baseVariables: ["DEEPSEEK_BASE_URL"],
      keyVariables: ["DEEPSEEK_API_KEY"]),
    // Refuses fields it does not know, and reports usage without being asked.
    ProviderPreset(
      name: "mistral", base: "https://api.mistral.ai/v1", baseVariables: ["MISTRAL_BASE_URL"],
      keyVariables: ["MISTRAL_API_KEY"], knowsStreamOptions: false),
    ProviderPreset(
      name: "vllm", base: "http://127.0.0.1:8000/v1", baseVariables: ["VLLM_BASE_URL"], keyVariables: ["VLLM_API_KEY"],
      keyIsOptional: true, isLocalServer: true),
    ProviderPreset(
      name: "llamacpp", base: "http://127.0.0.1:8080/v1", baseVariables: ["LLAMACPP_BASE_URL", "LLAMA_BASE_URL"],
      keyVariables: ["LLAMA_API_KEY"], keyIsOptional: true, isLocalServer: true),
    // The resource's own address is the base; without it there is nothing to call.
    ProviderPreset(
      name: "azure", base: "", operation: "/openai/v1/chat/completions", baseVariables: ["AZURE_OPENAI_ENDPOINT"],
      keyVariables: ["AZURE_OPENAI_API_KEY"], keyHeader: "api-key"),
  ]

  static func named(_ name: String) -> ProviderPreset? { all.first { $0.name == name } }

  func config(_ environment: any Environment) throws(ConfigFailure) -> ProviderConfig {
    let variable = baseVariables.first { environment[$0]?.isEmpty == false }
    let given = variable.flatMap { environment[$0] }
    guard let base = given ?? (self.base.isEmpty ? nil : self.base) else {
      throw ConfigFailure("env var \(baseVariables[0]) is unset (the address of provider \"\(name)\")")
    }
    let start = given != nil && name == "ollama" ? Endpoint.fromOllamaHost(base) : base
    var config = ProviderConfig(
      name: name, endpoint: Endpoint.fromBase(start, operation: operation(after: start)), shape: shape)
    config.allowHTTP = isLocalServer
    // What one runs oneself has no price.
    if isLocalServer { config.cost = ProviderCost() }
    try Endpoint.check(
      config.endpoint, allowHTTP: config.allowHTTP, place: variable ?? "provider \"\(name)\"")
    let key = keyIsOptional ? KeySource.optional(keyVariables) : .environment(keyVariables)
    config.auth = keyHeader.map { .header($0, key) } ?? .bearer(key)
    config.headers = headers
    config.streaming.doneSentinel = shape == .openaiChat ? "[DONE]" : nil
    config.knowsStreamOptions = knowsStreamOptions
    return config
  }

  /// A base that already ends in `/v1` needs only the rest of `/v1/…`.
  private func operation(after base: String) -> String {
    var trimmed = base
    while trimmed.hasSuffix("/") { trimmed.removeLast() }
    for prefix in ["/openai/v1", "/v1"] where operation.hasPrefix(prefix + "/") && trimmed.hasSuffix(prefix) {
      return String(operation.dropFirst(prefix.count))
    }
    return operation
  }
}
