import WeirCore

/// Reads the `[[ai_provider]]` tables of a configuration document that someone else has parsed (TOML as JSON).
///
/// Knows the schema and nothing of files. Strict: what it does not know it refuses, naming the nearest key it knows,
/// because a misspelt limit that is silently ignored costs money.
package enum ProviderConfigReader {
  package static let schemaVersion = 1
  package static let nameByteLimit = 64

  private static let keys = [
    "schema_version", "name", "endpoint", "request_shape", "allow_http", "request_template", "response_path",
    "error_path", "auth", "auth_headers", "cost", "capabilities", "models", "timeouts", "retry", "streaming", "budget",
    "fallback", "fallback_after_content",
  ]

  /// All tables of a document, in order. Other parts of the document are not looked at.
  package static func read(document: JSONValue) throws(ConfigFailure) -> [ProviderConfig] {
    guard let tables = document["ai_provider"] else { return [] }
    guard let items = tables.array else {
      throw ConfigFailure("ai_provider: expected tables", hint: "write [[ai_provider]], with two brackets")
    }
    guard items.count <= ConfigTable.countLimit else {
      throw ConfigFailure("ai_provider: more than \(ConfigTable.countLimit) tables")
    }
    var configs: [ProviderConfig] = []
    for (index, item) in items.enumerated() {
      let config = try read(item, number: index + 1)
      guard !configs.contains(where: { $0.name == config.name }) else {
        throw ConfigFailure("ai_provider \"\(config.name)\" is defined twice")
      }
      configs.append(config)
    }
    return configs
  }

  /// Every name in a `fallback` leads somewhere. Once all documents are read, because they may name each other's providers.
  package static func checkFallbacks(_ all: [ProviderConfig]) throws(ConfigFailure) {
    let known = Set(all.map(\.name)).union(ProviderPreset.all.map(\.name)).union([Eliza.name])
    for config in all {
      for name in config.fallback {
        let provider = String(name.prefix { $0 != "/" })
        guard known.contains(provider), provider != config.name else {
          throw ConfigFailure(
            "ai_provider \"\(config.name)\": fallback: "
              + (provider == config.name ? "\"\(name)\" is itself" : "there is no provider \"\(provider)\""),
            hint: Spelling.nearest(to: provider, among: known.subtracting([config.name])).map {
              "did you mean \"\($0)\"?"
            })
        }
      }
    }
  }

  static func read(_ value: JSONValue, number: Int) throws(ConfigFailure) -> ProviderConfig {
    let place = value["name"]?.string.map { "ai_provider \"\(String($0.prefix(nameByteLimit)))\"" }
    // The version decides what the other keys mean, so it is looked at before any of them is called unknown.
    let anyKey = (value.members ?? []).map(\.name)
    let versioned = try ConfigTable(value, place: place ?? "ai_provider \(number)", known: anyKey)
    let version = try versioned.required("schema_version", versioned.int("schema_version", in: 1...Int.max))
    guard version <= schemaVersion else {
      throw ConfigFailure("\(versioned.place): schema_version \(version) is newer than this Weir supports")
    }
    let table = try ConfigTable(value, place: versioned.place, known: keys)

    let name = try table.required("name", table.string("name"))
    try check(name: name, place: table.place)
    let endpoint = try table.required("endpoint", table.string("endpoint"))
    let shape: RequestShape = try table.required(
      "request_shape", table.choice("request_shape", of: RequestShape.configurable))
    var config = ProviderConfig(name: name, endpoint: Endpoint.completed(endpoint, shape: shape), shape: shape)
    config.allowHTTP = try table.bool("allow_http") ?? false
    try Endpoint.check(config.endpoint, allowHTTP: config.allowHTTP, place: "\(table.place): endpoint")

    config.requestTemplate = try table.string("request_template")
    if shape == .custom {
      let template = try table.required("request_template", config.requestTemplate)
      try RequestTemplate.check(template, place: "\(table.place): request_template")
    } else if config.requestTemplate != nil {
      throw ConfigFailure("\(table.place): request_template is only for request_shape = \"custom\"")
    }
    config.responsePath = try table.path("response_path")
    config.errorPath = try table.path("error_path")
    config.auth = try auth(table, shape: shape)
    config.headers = try headers(table)
    config.cost = try cost(table)
    config.capabilities = try capabilities(table)
    if let models = try table.table("models", known: ["allowed"]) {
      config.allowedModels = try models.strings("allowed")
    }
    config.timeouts = try timeouts(table)
    config.retry = try retry(table)
    config.fallback = try table.strings("fallback") ?? []
    config.afterContent =
      try table.choice("fallback_after_content", of: FallbackAfterContent.allCases) ?? .terminate
    config.streaming = try streaming(table, config)
    if let budget = try table.table("budget", known: ["usd_per_run", "usd_per_day"]) {
      config.budget.usdPerRun = try budget.amount("usd_per_run")
      config.budget.usdPerDay = try budget.amount("usd_per_day")
    }
    return config
  }

  static func check(name: String, place: String) throws(ConfigFailure) {
    guard !name.isEmpty, name.utf8.count <= nameByteLimit, !name.contains("/"),
      name.unicodeScalars.allSatisfy({ $0.value > 0x20 && $0.value != 0x7F })
    else {
      throw ConfigFailure("\(place): name: expected 1 to \(nameByteLimit) characters without \"/\" and spaces")
    }
  }

  private static func auth(_ table: ConfigTable, shape: RequestShape) throws(ConfigFailure) -> ProviderAuth {
    guard let auth = try table.table("auth", known: ["type", "env", "name"]) else { return .none }
    let type: AuthType = try auth.required("type", auth.choice("type", of: AuthType.allCases))
    let name = try auth.string("name")
    if type == .none {
      guard !auth.has("env") else { throw ConfigFailure("\(auth.place): env is not used with type = \"none\"") }
      return .none
    }
    let variable = try auth.required("env", auth.string("env"))
    guard !variable.isEmpty, !variable.contains("="), !variable.utf8.contains(0) else {
      throw auth.wrong("env", "the name of an environment variable")
    }
    let key = KeySource.environment([variable])
    switch type {
    case .none: return .none
    case .bearer: return .bearer(key)
    case .xAPIKey:
      if let name, !HeaderText.isName(name) { throw auth.wrong("name", "the name of a header") }
      return .header(name ?? "x-api-key", key)
    case .queryParam:
      guard let name = name ?? (shape == .gemini ? "key" : nil), !name.isEmpty else {
        throw ConfigFailure("\(auth.place): name is missing: which query parameter takes the key?")
      }
      return .query(name, key)
    }
  }

  private enum AuthType: String, CaseIterable {
    case bearer, none
    case xAPIKey = "x-api-key"
    case queryParam = "query-param"
  }

  private static func headers(_ table: ConfigTable) throws(ConfigFailure) -> [HeaderTemplate] {
    guard let members = try table.members("auth_headers") else { return [] }
    var out: [HeaderTemplate] = []
    for member in members {
      guard let value = member.value.string, HeaderText.isName(member.name), HeaderText.isValue(value) else {
        throw ConfigFailure("\(table.place): auth_headers: \"\(member.name)\" is not a header with a text value")
      }
      guard HeaderText.variables(in: value) != nil else {
        throw ConfigFailure("\(table.place): auth_headers: \(member.name): \"${\" without \"}\"")
      }
      out.append(HeaderTemplate(name: member.name, value: value))
    }
    return out
  }

  private static func cost(_ table: ConfigTable) throws(ConfigFailure) -> ProviderCost? {
    let known = ["input_per_1m_usd", "output_per_1m_usd", "cached_input_per_1m_usd", "per_call_usd"]
    guard let cost = try table.table("cost", known: known) else { return nil }
    return ProviderCost(
      inputPer1MUSD: try cost.amount("input_per_1m_usd") ?? 0,
      outputPer1MUSD: try cost.amount("output_per_1m_usd") ?? 0,
      cachedInputPer1MUSD: try cost.amount("cached_input_per_1m_usd"),
      perCallUSD: try cost.amount("per_call_usd") ?? 0)
  }

  private static func capabilities(_ table: ConfigTable) throws(ConfigFailure) -> ProviderCapabilities {
    let known = ["tool_calling", "json_mode", "streaming", "vision", "structured_outputs"]
    var all = ProviderCapabilities()
    guard let given = try table.table("capabilities", known: known) else { return all }
    all.toolCalling = try given.bool("tool_calling") ?? all.toolCalling
    all.jsonMode = try given.bool("json_mode") ?? all.jsonMode
    all.streaming = try given.bool("streaming") ?? all.streaming
    all.vision = try given.bool("vision") ?? all.vision
    all.structuredOutputs = try given.bool("structured_outputs") ?? all.structuredOutputs
    return all
  }

  private static func timeouts(_ table: ConfigTable) throws(ConfigFailure) -> ProviderTimeouts {
    var all = ProviderTimeouts()
    let known = ["connect", "first_content", "between_content", "total"]
    guard let given = try table.table("timeouts", known: known) else { return all }
    all.connect = try given.duration("connect") ?? all.connect
    all.firstContent = try given.duration("first_content") ?? all.firstContent
    all.betweenContent = try given.duration("between_content") ?? all.betweenContent
    all.total = try given.duration("total") ?? all.total
    return all
  }

  private static func retry(_ table: ConfigTable) throws(ConfigFailure) -> ProviderRetry {
    var retry = ProviderRetry()
    guard let given = try table.table("retry", known: ["max", "on"]) else { return retry }
    retry.max = try given.int("max", in: 0...ProviderRetry.maxLimit) ?? retry.max
    if let names = try given.strings("on") {
      retry.on = []
      for name in names {
        guard let code = AIErrorCode(rawValue: name) else {
          let nearest = Spelling.nearest(to: name, among: AIErrorCode.allCases.map(\.rawValue))
          throw ConfigFailure(
            "\(given.place): on: \"\(name)\" is not an error code", hint: nearest.map { "did you mean \"\($0)\"?" })
        }
        retry.on.append(code)
      }
    }
    return retry
  }

  private static func streaming(_ table: ConfigTable, _ config: ProviderConfig) throws(ConfigFailure)
    -> ProviderStreaming
  {
    var all = config.streaming
    let known = [
      "enabled", "endpoint", "format", "delta_path", "reasoning_path", "usage_path", "finish_path", "done_sentinel",
      "done_event",
    ]
    // As in the seed: without the table, streaming through the helper is not on.
    guard let given = try table.table("streaming", known: known) else {
      all.enabled = false
      return all
    }
    all.enabled = try given.bool("enabled") ?? false
    all.endpoint = try given.string("endpoint")
    if let endpoint = all.endpoint {
      try Endpoint.check(endpoint, allowHTTP: config.allowHTTP, place: "\(given.place): endpoint")
    }
    all.format = try given.choice("format", of: ProviderStreaming.Format.allCases) ?? all.format
    all.deltaPath = try given.path("delta_path")
    all.reasoningPath = try given.path("reasoning_path")
    all.usagePath = try given.path("usage_path")
    all.finishPath = try given.path("finish_path")
    all.doneSentinel = try given.string("done_sentinel")
    all.doneEvent = try given.string("done_event")
    if config.shape.hasKnownEvents {
      for key in ["usage_path", "finish_path", "done_sentinel", "done_event"] where given.has(key) {
        throw ConfigFailure(
          "\(given.place): \(key) is not used with request_shape = \"\(config.shape.rawValue)\"",
          hint: "how its streams end is known: remove the line, or describe the service as \"custom\"")
      }
    }
    if config.shape == .custom, all.enabled, all.deltaPath == nil {
      throw ConfigFailure("\(given.place): delta_path is missing: where is the text of a \"custom\" stream's event?")
    }
    return all
  }
}
