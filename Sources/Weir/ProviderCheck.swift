import WeirAI
import WeirCore
import WeirIO
import WeirNet

/// What `weir models` and `weir doctor` find out of providers: what is configured, whether its key is set, whether it
/// answers, and what it offers.
package struct ProviderCheck {
  package struct Row: Sendable {
    package var name: String
    package var shape: String
    /// Without what may be secret in it.
    package var address: String
    package var isConfigured: Bool
    package var key: (variable: String, isSet: Bool, isNeeded: Bool)?
    package var model: String?
    package var allowed: [String]?
    /// Why it can't be used as it is.
    package var problem: String?

    /// Asking it makes sense: it is configured, or its key is there.
    package var isLikelyUsed: Bool { isConfigured || key?.isSet == true }
  }

  package enum Answer: Sendable {
    case models([String], after: Duration)
    /// It is there, and says no.
    case refused(Int, String)
    case unreachable(String)
    case notAsked(String)
  }

  private let loop = WeirIO.EventLoop()
  private let world: World
  private let registry: ProviderRegistry
  private let configured: Set<String>

  package init(_ project: Project) {
    world = RealWorld.make(loop: loop)
    registry = ProviderRegistry(configured: project.providers, environment: world.environment)
    configured = Set(project.providers.map(\.name))
  }

  package var rows: [Row] {
    registry.names.map { name in
      do throws(RunFailure) {
        let config = try registry.provider(name)
        return Row(
          name: name, shape: config.shape.rawValue, address: Self.shown(config),
          isConfigured: configured.contains(name),
          key: config.keyState(world.environment), model: config.defaults.model, allowed: config.allowedModels)
      } catch {
        return Row(name: name, shape: "", address: "", isConfigured: false, problem: error.message)
      }
    }
  }

  private static func shown(_ config: ProviderConfig) -> String {
    config.shape == .eliza ? "inside Weir" : (try? URLParts(config.endpoint))?.shown ?? config.endpoint
  }

  /// Asks a provider for its list of models. Blocks until it has answered or can't.
  package func ask(_ name: String) throws -> Answer {
    let config = try registry.provider(name)
    if config.shape == .eliza { return .models([config.name], after: .zero) }
    guard let (request, secrets) = try config.modelsRequest(world.environment) else {
      return .notAsked("no list of models is known for \(config.shape.rawValue) at this address")
    }
    var answer = Answer.notAsked("")
    let started = loop.now
    var limits = HTTPCall.Limits()
    limits.timeout = .seconds(10)
    loop.soon { [world, loop] in
      HTTPCall(request, limits: limits, world: world) { result in
        switch result {
        case .success(let response) where (200..<300).contains(response.head.status):
          answer = .models(ProviderConfig.models(in: response.body), after: loop.now - started)
        case .success(let response):
          let failure = ProviderError.failure(response.body, status: response.head.status, provider: name, secrets)
          answer = .refused(response.head.status, failure.message)
        case .failure(let problem): answer = .unreachable(secrets.redact(problem.message))
        }
        loop.stop()
      }
    }
    loop.run()
    return answer
  }
}
