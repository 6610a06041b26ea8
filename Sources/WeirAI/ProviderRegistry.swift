import WeirCore

/// Every provider that a program can name: its own blocks first, then configured ones, then the built-in ones.
package final class ProviderRegistry {
  private let environment: any Environment
  private var known: [String: ProviderConfig] = [:]

  package init(configured: [ProviderConfig] = [], environment: any Environment) {
    self.environment = environment
    for config in configured { known[config.name] = config }
  }

  /// Adds a program's block, on top of what its name means so far.
  package func declare(_ declaration: ProviderDeclaration) throws(ConfigFailure) {
    var base = known[declaration.name]
    if base == nil {
      // A preset without an address of its own (azure) is fine when the block brings one.
      base = try? preset(declaration.name)
    }
    known[declaration.name] = try declaration.config(over: base, environment)
  }

  package func provider(_ name: String) throws(RunFailure) -> ProviderConfig {
    if let config = known[name] { return config }
    do throws(ConfigFailure) {
      if let config = try preset(name) { return config }
    } catch {
      throw RunFailure(.providerNotFound, error.message, hint: error.hint)
    }
    let shown = String(name.prefix(ProviderConfigReader.nameByteLimit))
    let hint = Spelling.nearest(to: name, among: names).map { "did you mean \"\($0)\"?" }
    throw RunFailure(
      .providerNotFound, "no provider \"\(shown)\"", hint: hint ?? "known: \(names.joined(separator: ", "))")
  }

  /// `provider/model`, or the name of a provider with a default model: how a command line or an agent names both.
  package func resolve(_ text: String) throws(RunFailure) -> (provider: ProviderConfig, model: String?) {
    if let slash = text.firstIndex(of: "/") {
      let name = String(text[..<slash])
      if names.contains(name) { return (try provider(name), String(text[text.index(after: slash)...])) }
    }
    return (try provider(text), nil)
  }

  /// Sorted.
  package var names: [String] {
    Set(known.keys).union(ProviderPreset.all.map(\.name)).union([Eliza.name]).sorted()
  }

  /// The variables that providers take their keys from: what is in them is secret.
  package var keyVariables: Set<String> {
    let configured = known.values.flatMap { config -> [String] in
      switch config.auth.key {
      case .environment(let names), .optional(let names): names
      case .literal, nil: []
      }
    }
    return Set(configured + ProviderPreset.all.flatMap(\.keyVariables))
  }

  private func preset(_ name: String) throws(ConfigFailure) -> ProviderConfig? {
    if name == Eliza.name {
      var config = ProviderConfig(name: name, endpoint: "", shape: .eliza)
      config.defaults.model = Eliza.name
      config.cost = ProviderCost()
      return config
    }
    return try ProviderPreset.named(name)?.config(environment)
  }
}
