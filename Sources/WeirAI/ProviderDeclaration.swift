import WeirCore

/// A program's `provider NAME { … }` block: the same thing as a `[[ai_provider]]` table, in the program.
///
/// A block named like a preset starts from that preset; any other is an `openai_chat` provider unless it names a
/// shape. `env("X")` is kept as a name: an unset variable is an error of the request that needs it, not of the program.
package struct ProviderDeclaration: Sendable, Equatable {
  package enum Field: Sendable, Equatable {
    case value(JSONValue)
    /// `env("X")`
    case environment(String)
  }

  package static let fieldNames = [
    "api_key", "api_key_env", "model", "endpoint", "temperature", "max_tokens", "shape", "headers", "allow_http",
    "fallback",
  ]

  package var name: String
  package var fields: [(name: String, value: Field)]

  package init(name: String, fields: [(name: String, value: Field)]) {
    self.name = name
    self.fields = fields
  }

  package static func == (a: Self, b: Self) -> Bool {
    a.name == b.name && a.fields.elementsEqual(b.fields) { $0.name == $1.name && $0.value == $1.value }
  }

  /// `base`: what the name means without this block, if anything.
  func config(over base: ProviderConfig?, _ environment: any Environment) throws(ConfigFailure) -> ProviderConfig {
    let place = "provider \(name)"
    try ProviderConfigReader.check(name: name, place: place)
    for field in fields where !Self.fieldNames.contains(field.name) {
      throw .unknownKey(field.name, in: place, known: Self.fieldNames)
    }
    var literals: [JSONMember] = []
    var key: KeySource?
    for field in fields {
      switch (field.name, field.value) {
      case ("api_key", .environment(let variable)): key = .environment([variable])
      case ("api_key", .value(.string(let text))) where !text.isEmpty: key = .literal(Secret(text))
      case ("api_key", .value): throw ConfigFailure("\(place): api_key: expected text", hint: "write env(\"NAME\")")
      case ("api_key_env", .value(.string(let variable))): key = .environment([variable])
      case (_, .value(let value)): literals.append(JSONMember(field.name, value))
      case (_, .environment(let variable)):
        if let value = environment[variable], !value.isEmpty {
          literals.append(JSONMember(field.name, .string(value)))
        } else if field.name == "endpoint" || base == nil {
          throw ConfigFailure("\(place): \(field.name): env var \(variable) is unset")
        }
      }
    }
    let table = try ConfigTable(.object(literals), place: place, known: Self.fieldNames)

    let shape = try table.choice("shape", of: RequestShape.configurable)
    var config: ProviderConfig
    if let base {
      config = base
      config.name = name
      if let shape, shape != config.shape { config.use(shape) }
    } else {
      config = ProviderConfig(name: name, endpoint: "", shape: shape ?? .openaiChat)
      config.streaming.doneSentinel = config.shape == .openaiChat ? "[DONE]" : nil
    }
    if let endpoint = try table.string("endpoint") {
      config.endpoint = Endpoint.completed(endpoint, shape: config.shape)
      config.allowHTTP = false
    }
    config.allowHTTP = try table.bool("allow_http") ?? config.allowHTTP
    if config.shape != .eliza {
      guard !config.endpoint.isEmpty else {
        throw ConfigFailure(
          "\(place): endpoint is missing",
          hint: "only built-in providers have one: \(ProviderPreset.all.map(\.name).joined(separator: ", "))")
      }
      try Endpoint.check(config.endpoint, allowHTTP: config.allowHTTP, place: "\(place): endpoint")
    }
    if let key { config.auth = config.auth.with(key) }
    config.defaults.model = try table.string("model") ?? config.defaults.model
    config.defaults.temperature = try table.amount("temperature") ?? config.defaults.temperature
    config.defaults.maxTokens = try table.int("max_tokens", in: 1...Int.max) ?? config.defaults.maxTokens
    config.fallback = try table.strings("fallback") ?? config.fallback
    for member in try table.members("headers") ?? [] {
      guard let value = member.value.string, HeaderText.isName(member.name), HeaderText.isValue(value),
        HeaderText.variables(in: value) != nil
      else { throw ConfigFailure("\(place): headers: \"\(member.name)\" is not a header with a text value") }
      config.headers.removeAll { $0.name.lowercased() == member.name.lowercased() }
      config.headers.append(HeaderTemplate(name: member.name, value: value))
    }
    return config
  }
}
