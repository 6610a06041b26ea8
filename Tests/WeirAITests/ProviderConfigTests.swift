import CWeirTOML
import Testing
import WeirCore
import WeirTesting

@testable import WeirAI

/// Configuration as people write it: TOML through the C door, then the schema of spec/ai.md.
struct ProviderConfigTests {
  struct TOMLFailure: Error, Equatable {
    var message: String
    var line: Int
    var column: Int
  }

  static func json(_ toml: String) throws -> JSONValue {
    var result =
      toml.utf8.withContiguousStorageIfAvailable { bytes in
        bytes.withMemoryRebound(to: CChar.self) { weir_toml_to_json($0.baseAddress, $0.count) }
      } ?? weir_toml_to_json(nil, 0)
    defer { weir_toml_free(&result) }
    let text = String(
      decoding: UnsafeRawBufferPointer(start: result.text, count: result.length), as: UTF8.self)
    if result.error_line > 0 {
      throw TOMLFailure(message: text, line: Int(result.error_line), column: Int(result.error_column))
    }
    return try JSONValue.parse(text)
  }

  static func read(_ toml: String) throws -> [ProviderConfig] { try ProviderConfigReader.read(document: json(toml)) }

  static let minimal = """
    [[ai_provider]]
    schema_version = 1
    name = "x"
    endpoint = "https://api.test/v1/chat/completions"
    request_shape = "openai_chat"

    """

  @Test func theWholeSchema() throws {
    let config = try #require(
      try Self.read(
        """
        [server]
        port = 1

        [[ai_provider]]
        schema_version = 1
        name = "my-openai"
        endpoint = "http://10.0.0.1:8000/v1"
        allow_http = true
        request_shape = "openai_chat"
        response_path = "$.choices[0].message.content"
        error_path = "$.oops"
        auth = { type = "x-api-key", env = "NAME", name = "api-key" }
        auth_headers = { anthropic-version = "2023-06-01", X-Org = "${ORG_ID}" }
        cost = { input_per_1m_usd = 0.15, output_per_1m_usd = 1, cached_input_per_1m_usd = 0.0, per_call_usd = 0.001 }
        capabilities = { tool_calling = false, json_mode = true, streaming = true, vision = false, structured_outputs = false }
        models = { allowed = ["a", "b"] }
        timeouts = { connect = "500ms", first_content = "1m30s", between_content = "30s", total = "10m" }
        retry = { max = 3, on = ["RateLimit", "Timeout"] }
        budget = { usd_per_run = 0.5, usd_per_day = 10 }
        fallback = ["eliza", "openai/gpt-4o"]
        fallback_after_content = "continue"
        [ai_provider.streaming]
        enabled = true
        endpoint = "https://stream.test/v1"
        format = "ndjson"
        delta_path = "$.choices[0].delta.content"
        reasoning_path = "$.choices[-1][\\"x y\\"][*].r"
        usage_path = "$.u"
        finish_path = "$.f"
        done_sentinel = "[DONE]"
        done_event = "end"
        """
      ).first)
    var wanted = ProviderConfig(
      name: "my-openai", endpoint: "http://10.0.0.1:8000/v1/chat/completions", shape: .openaiChat)
    wanted.allowHTTP = true
    wanted.responsePath = try JSONPath("$.choices[0].message.content")
    wanted.errorPath = try JSONPath("$.oops")
    wanted.auth = .header("api-key", .environment(["NAME"]))
    wanted.headers = [
      HeaderTemplate(name: "X-Org", value: "${ORG_ID}"), HeaderTemplate(name: "anthropic-version", value: "2023-06-01"),
    ]
    wanted.cost = ProviderCost(inputPer1MUSD: 0.15, outputPer1MUSD: 1, cachedInputPer1MUSD: 0, perCallUSD: 0.001)
    wanted.capabilities = ProviderCapabilities(
      toolCalling: false, jsonMode: true, streaming: true, vision: false, structuredOutputs: false)
    wanted.allowedModels = ["a", "b"]
    wanted.timeouts = ProviderTimeouts(
      connect: .milliseconds(500), firstContent: .seconds(90), betweenContent: .seconds(30), total: .seconds(600))
    wanted.retry = ProviderRetry(max: 3, on: [.rateLimit, .timeout])
    wanted.budget = ProviderBudget(usdPerRun: 0.5, usdPerDay: 10)
    wanted.fallback = ["eliza", "openai/gpt-4o"]
    wanted.afterContent = .continue
    wanted.streaming = ProviderStreaming(
      enabled: true, endpoint: "https://stream.test/v1", format: .ndjson,
      deltaPath: try JSONPath("$.choices[0].delta.content"),
      reasoningPath: JSONPath([.name("choices"), .last, .name("x y"), .any, .name("r")]),
      usagePath: try JSONPath("$.u"), finishPath: try JSONPath("$.f"), doneSentinel: "[DONE]", doneEvent: "end")
    #expect(config == wanted)
  }

  /// What is changed in the minimal table, and what must be said about it.
  static let complaints: [(change: (String, String), says: String)] = [
    (("schema_version = 1", ""), "schema_version is missing"),
    (("schema_version = 1", "schema_version = 2\nnew_thing = 1"), "newer than this Weir supports"),
    (("schema_version = 1", "schema_version = \"1\""), "schema_version: expected a whole number"),
    (("name = \"x\"", ""), "name is missing"),
    (("name = \"x\"", "name = \"a/b\""), "name: expected"),
    (("endpoint", "endpont"), "unknown key \"endpont\"; did you mean \"endpoint\"?"),
    (("https://api.test", "http://api.test"), "plain http to \"api.test\""),
    (("https://api.test", "http://127.0.0.1.evil.test"), "plain http"),
    (("https://api.test", "https://user:pw@api.test"), "user name or password"),
    (("https://api.test", "ftp://api.test"), "not a usable URL"),
    (("https://api.test", "https://api test"), "not a usable URL"),
    (("\"openai_chat\"", "\"openai_chatt\""), "\"openai_chatt\" is not one of"),
    (("\"openai_chat\"", "\"eliza\""), "is not one of"),
    (("\"openai_chat\"", "\"custom\""), "request_template is missing"),
    (("\"openai_chat\"", "\"custom\"\nrequest_template = '{\"m\": {{modell}}}'"), "did you mean \"model\"?"),
    (("\"openai_chat\"", "\"custom\"\nrequest_template = '{\"m\": }'"), "not valid JSON"),
    (("\"openai_chat\"", "\"openai_chat\"\nauth = { type = \"bearer\" }"), "auth: env is missing"),
    (("\"openai_chat\"", "\"openai_chat\"\nauth = { type = \"query-param\", env = \"X\" }"), "name is missing"),
    (("\"openai_chat\"", "\"openai_chat\"\nauth_headers = { X = \"a\\nb\" }"), "\"X\" is not a header"),
    (("\"openai_chat\"", "\"openai_chat\"\nauth_headers = { X = \"${A\" }"), "without \"}\""),
    (
      ("\"openai_chat\"", "\"openai_chat\"\ntimeouts = { totl = \"1s\" }"),
      "timeouts: unknown key \"totl\"; did you mean \"total\"?"
    ),
    (("\"openai_chat\"", "\"openai_chat\"\ntimeouts = { total = \"1 s\" }"), "total: expected a time like"),
    (("\"openai_chat\"", "\"openai_chat\"\ntimeouts = { total = 5 }"), "total: expected text"),
    (("\"openai_chat\"", "\"openai_chat\"\nretry = { on = [\"RateLimt\"] }"), "\"RateLimt\" is not an error code"),
    (("\"openai_chat\"", "\"openai_chat\"\nretry = { max = 99 }"), "from 0 to 10"),
    (("\"openai_chat\"", "\"openai_chat\"\ncost = { per_call_usd = -1 }"), "not negative"),
    (("\"openai_chat\"", "\"openai_chat\"\nresponse_path = \"$..x\""), "response_path: "),
    (("\"openai_chat\"", "\"openai_chat\"\nmodels = { allowed = [1] }"), "a list of texts"),
    (("\"openai_chat\"", "\"openai_chat\"\nfallback = \"b\""), "fallback: expected a list of texts"),
    (("\"openai_chat\"", "\"openai_chat\"\nfallback_after_content = \"go on\""), "\"go on\" is not one of"),
    (
      ("\"openai_chat\"", "\"gemini\"\n[ai_provider.streaming]\nenabled = true\ndone_sentinel = \"x\""),
      "done_sentinel is not used with request_shape = \"gemini\""
    ),
    (("[[ai_provider]]", "[ai_provider]"), "expected tables"),
    (("[[ai_provider]]", minimal + "[[ai_provider]]"), "defined twice"),
  ]

  @Test func complaintsNameThePlaceAndTheNearestKey() throws {
    #expect(try Self.read(Self.minimal).count == 1)
    #expect(try Self.read("").isEmpty)
    for row in Self.complaints {
      let toml = Self.minimal.replacing(row.change.0, with: row.change.1, maxReplacements: 1)
      #expect(toml != Self.minimal)
      let failure = #expect(throws: ConfigFailure.self, "\(row.says)") { try Self.read(toml) }
      #expect(failure?.description.contains(row.says) == true, "\(row.says): \(failure?.description ?? "")")
    }
  }

  @Test func fallbacksLeadSomewhere() throws {
    func check(_ names: String) throws {
      try ProviderConfigReader.checkFallbacks(Self.read(Self.minimal + "fallback = [\(names)]"))
    }
    try check("\"openai/gpt-4o\", \"eliza\"")
    for (names, says) in [("\"opnai\"", "did you mean \"openai\"?"), ("\"eliza\", \"x/m\"", "is itself")] {
      let failure = #expect(throws: ConfigFailure.self) { try check(names) }
      #expect(failure?.description.contains(says) == true, "\(String(describing: failure))")
    }
  }

  /// Text that toml++ must not crash on, and where each is wrong.
  static let malformed: [(toml: String, line: Int, column: Int)] = [
    ("a = 1\na = 2", 2, 5), ("\n[[[x]]]", 2, 3), ("x = inf", 1, 5), ("a = \"\\q\"", 1, 7),
    ("a" + String(repeating: ".a", count: 100_000) + " = 1", 1, 32),
    ("a = " + String(repeating: "[", count: 200_000), 1, 261), (String(repeating: "#", count: 2 << 20), 1, 1),
    ("a = [}", 1, 6), ("a = 1]", 1, 6),
  ]

  @Test func malformedFilesSayWhere() throws {
    for row in Self.malformed {
      let failure = #expect(throws: TOMLFailure.self) { try Self.json(row.toml) }
      #expect(
        failure?.line == row.line && failure?.column == row.column,
        "\(row.toml.prefix(20)): \(String(describing: failure))")
      #expect(failure?.message.isEmpty == false)
    }
    let text = "d = 1979-05-27T07:32:00Z\nt = [1, 2.0]\ns = \"é\\u0001\"\nb = true\n[q.\"r.s\"]\nm = '''[[[\n'''"
    #expect(
      try Self.json(text)
        == [
          "b": true, "d": "1979-05-27T07:32:00Z", "q": ["r.s": ["m": "[[[\n"]], "s": "é\u{1}", "t": [1, 2.0],
        ])
  }
}
