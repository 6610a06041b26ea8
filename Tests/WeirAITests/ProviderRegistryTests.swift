import Testing
import WeirCore
import WeirTesting

@testable import WeirAI

/// Names to providers: presets, their variables, configured ones, program blocks; and what stops a call before it starts.
struct ProviderRegistryTests {
  func registry(_ environment: [String: String] = [:], configured: [ProviderConfig] = []) -> ProviderRegistry {
    ProviderRegistry(configured: configured, environment: FixedEnvironment(environment))
  }

  @Test func presetsAndTheirBaseURLs() throws {
    let rows: [(name: String, environment: [String: String], endpoint: String)] = [
      ("openai", [:], "https://api.openai.com/v1/chat/completions"),
      ("openai", ["OPENAI_BASE_URL": "http://127.0.0.1:9/v1/"], "http://127.0.0.1:9/v1/chat/completions"),
      ("openai", ["OPENAI_BASE_URL": "http://localhost:9"], "http://localhost:9/chat/completions"),
      ("openai", ["OPENAI_BASE_URL": "https://x.test/v1/chat/completions"], "https://x.test/v1/chat/completions"),
      ("openai", ["OPENAI_BASE_URL": ""], "https://api.openai.com/v1/chat/completions"),
      ("ollama", [:], "http://127.0.0.1:11434/v1/chat/completions"),
      ("ollama", ["OLLAMA_HOST": "0.0.0.0"], "http://127.0.0.1:11434/v1/chat/completions"),
      ("ollama", ["OLLAMA_HOST": "192.168.1.5:8000"], "http://192.168.1.5:8000/v1/chat/completions"),
      ("ollama", ["OLLAMA_HOST": "https://o.test/v1"], "https://o.test:443/v1/chat/completions"),
      ("vllm", ["VLLM_BASE_URL": "http://gpu.lan:8000/v1"], "http://gpu.lan:8000/v1/chat/completions"),
      (
        "azure", ["AZURE_OPENAI_ENDPOINT": "https://r.openai.azure.com/"],
        "https://r.openai.azure.com/openai/v1/chat/completions"
      ),
      ("anthropic", ["ANTHROPIC_BASE_URL": "https://a.test"], "https://a.test/v1/messages"),
    ]
    for row in rows {
      #expect(try registry(row.environment).provider(row.name).endpoint == row.endpoint)
    }
    for preset in ProviderPreset.all where preset.name != "azure" { _ = try registry().provider(preset.name) }
    #expect(throws: RunFailure.self) { try registry().provider("azure") }
    let refused = #expect(throws: RunFailure.self) {
      try registry(["OPENAI_BASE_URL": "http://elsewhere.test/v1"]).provider("openai")
    }
    #expect(refused?.message.contains("OPENAI_BASE_URL: plain http") == true)
  }

  @Test func whatEachServiceIsSent() throws {
    func body(_ name: String, _ environment: [String: String]) throws -> JSONValue {
      let chat = ChatRequest(messages: .typed([ChatMessage("user", "hi")]), model: "m", maxTokens: 5)
      let ready = try ChatPreflight.prepare(
        chat, registry(environment).provider(name), FixedEnvironment(environment))
      return try JSONValue.parse(ready.http?.body ?? [])
    }
    let openai = try body("openai", ["OPENAI_API_KEY": "k"])
    #expect(openai["max_completion_tokens"] == 5 && openai["stream_options"]?["include_usage"] == true)
    let imitation = try body("openai", ["OPENAI_API_KEY": "k", "OPENAI_BASE_URL": "http://localhost:1/v1"])
    #expect(imitation["max_tokens"] == 5 && imitation["max_completion_tokens"] == nil)
    #expect(try body("mistral", ["MISTRAL_API_KEY": "k"])["stream_options"] == nil)
    #expect(try body("vllm", [:])["stream"] == true)
    let anthropic = try body("anthropic", ["ANTHROPIC_API_KEY": "k"])
    #expect(anthropic["max_tokens"] == 5 && anthropic["stream"] == true)
    #expect(try body("gemini", ["GEMINI_API_KEY": "k"])["generationConfig"]?["maxOutputTokens"] == 5)
  }

  @Test func unknownNamesAndPrecedence() throws {
    let failure = #expect(throws: RunFailure.self) { try registry().provider("opnai") }
    #expect(failure?.code == "ProviderNotFound" && failure?.hint == "did you mean \"openai\"?")
    var mine = openAIProvider("openai")
    mine.defaults.model = "mine"
    #expect(try registry(configured: [mine]).provider("openai").defaults.model == "mine")
    let both = try registry().resolve("openrouter/anthropic/claude")
    #expect(both.provider.name == "openrouter" && both.model == "anthropic/claude")
    #expect(try registry().resolve("eliza").provider.shape == .eliza)
  }

  @Test func declarations() throws {
    let registry = registry(["MY_URL": "http://localhost:7/v1"])
    try registry.declare(
      ProviderDeclaration(
        name: "openai",
        fields: [
          ("api_key", .environment("MY_KEY")), ("model", .value("gpt-4o")), ("temperature", .value(0.9)),
          ("max_tokens", .value(100)), ("headers", .value(["X-A": "b"])),
        ]))
    let openai = try registry.provider("openai")
    #expect(
      openai.endpoint == "https://api.openai.com/v1/chat/completions"
        && openai.auth == .bearer(.environment(["MY_KEY"])))
    #expect(openai.defaults == RequestDefaults(model: "gpt-4o", temperature: 0.9, maxTokens: 100))
    #expect(openai.headers == [HeaderTemplate(name: "X-A", value: "b")])

    try registry.declare(
      ProviderDeclaration(name: "local", fields: [("endpoint", .environment("MY_URL")), ("model", .value("m"))]))
    let local = try registry.provider("local")
    #expect(local.endpoint == "http://localhost:7/v1/chat/completions" && local.auth == .none)

    let complaints: [([(name: String, value: ProviderDeclaration.Field)], String)] = [
      ([("modle", .value("x"))], "did you mean \"model\"?"), ([("model", .value("x"))], "endpoint is missing"),
      ([("endpoint", .value("http://far.test/v1"))], "plain http"),
      ([("endpoint", .environment("NOT_SET"))], "env var NOT_SET is unset"),
      ([("endpoint", .value("https://a.test/v1")), ("temperature", .value("hot"))], "temperature: expected"),
      ([("endpoint", .value("https://a.test/v1")), ("api_key", .value(5))], "api_key"),
    ]
    for (fields, says) in complaints {
      let failure = #expect(throws: ConfigFailure.self) {
        try registry.declare(ProviderDeclaration(name: "new", fields: fields))
      }
      #expect(failure?.description.contains(says) == true, "\(says): \(String(describing: failure))")
    }
  }

  /// Each row spoils one more thing than the next, so that the order of the checks is seen.
  @Test func preflightInOrder() throws {
    var provider = openAIProvider()
    provider.streaming.enabled = false
    provider.capabilities.streaming = false
    provider.allowedModels = ["good"]
    var chat = ChatRequest(messages: .json("{}"), model: "goood")
    let environment = FixedEnvironment()
    func fails(_ code: String, _ says: String) {
      let failure = #expect(throws: RunFailure.self) { try ChatPreflight.prepare(chat, provider, environment) }
      #expect(failure?.code == code && failure?.message.contains(says) == true, "\(String(describing: failure))")
      #expect(failure?.retryable == false)
    }
    fails("CapabilityNotSupported", "streaming is not enabled for provider \"p\"")
    provider.streaming.enabled = true
    fails("CapabilityNotSupported", "capabilities.streaming is false")
    provider.capabilities.streaming = true
    chat.tools = [ChatTool(name: "f", description: "", parameters: [:])]
    provider.capabilities.toolCalling = false
    fails("ToolsNotSupported", "capabilities.tool_calling is false")
    chat.tools = []
    fails("ModelNotAllowed", "model \"goood\" is not allowed")
    chat.model = "good"
    fails("SchemaValidation", "messages are not a JSON array")
    for (json, says) in [
      ("[", "not valid JSON"), ("[]", "empty"), ("[{}]", "message 1 has no \"role\""),
      ("[{\"role\":\"user\"}]", "no \"content\""), ("[{\"role\":\"user\",\"content\":1}]", "neither text"),
    ] {
      chat.messages = .json(json)
      fails("SchemaValidation", says)
    }
    chat.messages = .json("[{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{}]}]")
    fails("AuthFailed", "env var TEST_KEY is unset (required for provider \"p\")")
    environment.values["TEST_KEY"] = ""
    fails("AuthFailed", "env var TEST_KEY is unset")
    environment.values["TEST_KEY"] = "a\r\nX: b"
    fails("AuthFailed", "does not hold a usable key")
    environment.values["TEST_KEY"] = " key\n"
    let ready = try ChatPreflight.prepare(chat, provider, environment)
    #expect(ready.http?.headers.contains { $0 == ("Authorization", "Bearer key") } == true)
  }

  @Test func refusedCallsEndLikeFailedOnes() {
    let simulation = SimulatedWorld(seed: 1)
    let recorder = EventRecorder()
    let call = ChatClient(world: simulation.world).start(request(), provider: openAIProvider(), sink: recorder)
    #expect(recorder.events.isEmpty && !call.isEnded)
    simulation.loop.run()
    #expect(recorder.failure?.code == "AuthFailed" && recorder.end == .error && recorder.events.count == 2)
    #expect(simulation.http.exchanges.isEmpty && call.isEnded)
  }

  @Test func customTemplates() throws {
    var provider = openAIProvider(endpoint: "https://api.test/{{model}}/go")
    provider.shape = .custom
    provider.requestTemplate =
      "{\"m\":{{model}},\"p\":{{ prompt }},\"s\":{{system}},\"all\":{{messages}},\"t\":{{temperature}}}"
    provider.streaming.deltaPath = try JSONPath("$.t")
    let chat = ChatRequest(
      messages: .typed([ChatMessage("system", "be \"kind\""), ChatMessage("user", "hi")]), model: "a b")
    let sent = try #require(try ChatPreflight.prepare(chat, provider, FixedEnvironment(["TEST_KEY": "k"])).http)
    #expect(sent.url == "https://api.test/a%20b/go")
    let body = try JSONValue.parse(sent.body ?? [])
    #expect(
      body["m"] == "a b" && body["s"] == "be \"kind\"" && body["t"] == .null && body["all"]?[1]?["content"] == "hi")
    #expect(body["p"] == "system: be \"kind\"\n\nuser: hi\n\nassistant:")
  }
}
