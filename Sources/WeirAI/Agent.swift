import WeirCore

/// The model side of a program's `agent NAME { … }`: whom it asks, how, and what it remembers.
package struct Agent: Sendable, Equatable {
  package enum Memory: Sendable, Equatable {
    case none
    /// The last turns (a user's message and the reply to it) of the session.
    case conversation(maxTurns: Int)
  }

  package static let fieldNames = [
    "provider", "model", "system", "tools", "handoffs", "memory", "temperature", "max_tokens", "max_steps", "timeout",
    "output", "guards",
  ]

  package var name: String
  /// Nil: `model` says it, as `provider/model`.
  package var provider: String?
  package var model: String?
  package var system: String?
  package var temperature: Double?
  package var maxTokens: Int?
  package var memory: Memory
  /// One answer, from the request to its end.
  package var timeout: Duration

  package static let timeoutDefault = Duration.seconds(120)

  package init(
    name: String, provider: String?, model: String? = nil, system: String? = nil, temperature: Double? = nil,
    maxTokens: Int? = nil, memory: Memory = .none, timeout: Duration = Agent.timeoutDefault
  ) {
    self.name = name
    self.provider = provider
    self.model = model
    self.system = system
    self.temperature = temperature
    self.maxTokens = maxTokens
    self.memory = memory
    self.timeout = timeout
  }

  /// The provider with this agent's limits, and the model to ask for.
  func resolved(in registry: ProviderRegistry) throws(RunFailure) -> (provider: ProviderConfig, model: String?) {
    var (config, model): (ProviderConfig, String?)
    if let provider {
      config = try registry.provider(provider)
      model = self.model
    } else if let named = self.model {
      (config, model) = try registry.resolve(named)
    } else {
      throw RunFailure(.providerNotFound, "agent \(name) names neither a provider nor a model")
    }
    config.timeouts.total = min(config.timeouts.total, timeout)
    return (config, model)
  }
}
