import WeirCore

/// How a request says who asks: the key where the provider wants it, and the headers of its configuration with what the
/// environment puts into them. Keys are looked up when a request needs them, never before.
extension ProviderConfig {
  /// Answers what must not be said about the request.
  func authenticate(_ request: inout HTTPClientRequest, _ environment: any Environment) throws(RunFailure) -> Secrets {
    let key = try key(environment)
    var secrets = Secrets()
    if let key { secrets.add(key) }
    switch (auth, key) {
    case (.bearer, let key?): request.headers.append(("Authorization", "Bearer \(key)"))
    case (.header(let name, _), let key?): request.headers.append((name, key))
    case (.query(let name, _), let key?):
      request.url +=
        (request.url.contains("?") ? "&" : "?") + PercentEncoding.query(name) + "=" + PercentEncoding.query(key)
    case (.none, _), (_, nil): break
    }
    for template in headers {
      var filled: [String] = []
      let value = try HeaderText.fill(template.value) { (name) throws(RunFailure) in
        guard let value = environment[name], !value.isEmpty else { throw unset(name) }
        filled.append(value)
        return value
      }
      for secret in filled { secrets.add(secret) }
      guard HeaderText.isValue(value) else {
        throw RunFailure(.authFailed, "header \(template.name) of provider \"\(name)\" can't be sent as it is")
      }
      request.headers.removeAll { $0.name.lowercased() == template.name.lowercased() }
      request.headers.append((template.name, value))
    }
    return secrets
  }

  private func key(_ environment: any Environment) throws(RunFailure) -> String? {
    let found: (value: String, from: String)
    switch auth.key {
    case nil: return nil
    case .literal(let secret)?: found = (secret.value, "api_key")
    case .environment(let names)?:
      guard let name = names.first(where: { environment[$0]?.isEmpty == false }), let value = environment[name] else {
        throw unset(names[0])
      }
      found = (value, "env var \(name)")
    case .optional(let names)?:
      guard let name = names.first(where: { environment[$0]?.isEmpty == false }), let value = environment[name] else {
        return nil
      }
      found = (value, "env var \(name)")
    }
    // A newline at the end is how keys come out of files.
    var key = found.value[...]
    while let last = key.utf8.last, last <= 0x20 { key = key.dropLast() }
    while let first = key.utf8.first, first <= 0x20 { key = key.dropFirst() }
    guard !key.isEmpty, HeaderText.isValue(String(key)) else {
      throw RunFailure(
        .authFailed, "\(found.from) does not hold a usable key (required for provider \"\(self.name)\")")
    }
    return String(key)
  }

  private func unset(_ name: String) -> RunFailure {
    RunFailure(.authFailed, "env var \(name) is unset (required for provider \"\(self.name)\")")
  }
}
