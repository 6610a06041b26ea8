import WeirCore

/// Which models a provider offers, and whether it is there at all: the list that each dialect has beside its calls.
extension ProviderConfig {
  /// Nil: no list is known for this shape or address.
  package func modelsRequest(
    _ environment: any Environment
  ) throws(RunFailure) -> (request: HTTPClientRequest, secrets: Secrets)? {
    guard let url = modelsURL else { return nil }
    var request = HTTPClientRequest(method: "GET", url: url, headers: [("Accept", "application/json")])
    request.connectTimeout = timeouts.connect
    let secrets = try authenticate(&request, environment)
    return (request, secrets)
  }

  private var modelsURL: String? {
    func replacing(_ end: String, _ other: String) -> String? {
      endpoint.hasSuffix(end) ? String(endpoint.dropLast(end.count)) + other : nil
    }
    return switch shape {
    case .openaiChat: replacing("/chat/completions", "/models")
    case .simpleCompletion: replacing("/completions", "/models")
    case .openaiResponses: replacing("/responses", "/models")
    case .anthropicMessages: replacing("/messages", "/models")
    case .ollamaChat: replacing("/chat", "/tags")
    case .gemini: endpoint.range(ofText: "/models/").map { String(endpoint[..<$0.lowerBound]) + "/models" }
    case .custom, .eliza: nil
    }
  }

  /// The names in such a list.
  package static func models(in body: [UInt8]) -> [String] {
    guard let list = try? JSONValue.parse(body) else { return [] }
    let items = list["data"]?.array ?? list["models"]?.array ?? list.array ?? []
    return items.compactMap { item in
      let name = item["id"]?.string ?? item["name"]?.string ?? item["model"]?.string
      return name.map { $0.hasPrefix("models/") ? String($0.dropFirst(7)) : $0 }
    }.sorted()
  }

  /// What its key is called, and whether it is set; nil: it needs none.
  package func keyState(_ environment: any Environment) -> (variable: String, isSet: Bool, isNeeded: Bool)? {
    func found(_ names: [String]) -> String? { names.first { environment[$0]?.isEmpty == false } }
    switch auth.key {
    case nil: return nil
    case .literal?: return ("api_key", true, true)
    case .environment(let names)?: return (found(names) ?? names[0], found(names) != nil, true)
    case .optional(let names)?: return (found(names) ?? names[0], found(names) != nil, false)
    }
  }
}
