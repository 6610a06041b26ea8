import WeirCore
import WeirFlow
import WeirStore

/// Runs agents' calls: each session's one after the other, each with the turns it remembers (spec/serve.md).
///
/// One per loop. Knows no tools, routes or readers: text in, `RunEvent`s out.
package final class AgentSessions {
  /// A call that waits for earlier ones of its session waits so long at most.
  package static let queueWaitLimit = Duration.seconds(600)
  /// Any answer of the store.
  package static let storeWaitLimit = Duration.seconds(30)

  let client: ChatClient
  let store: any StreamStore
  package let registry: ProviderRegistry
  private let queue: KeyedQueue<StreamName>
  private(set) var isRemembering = true

  package init(client: ChatClient, registry: ProviderRegistry, store: any StreamStore) {
    self.client = client
    self.registry = registry
    self.store = store
    queue = KeyedQueue(loop: client.world.loop)
  }

  /// Calls that are stopped meanwhile leave no turn in their conversations: they will be made again.
  package func withoutRemembering(_ stop: () -> Void) {
    isRemembering = false
    stop()
    isRemembering = true
  }

  /// `session` nil or empty: a fresh conversation, nothing is kept. `run`: whose stream has what the call says. `at`: which call of
  /// a run it is, the same in every life of the run. The call's `.end` is delivered after its turn is as durable as the store
  /// promises.
  @discardableResult
  package func start(
    _ agent: Agent, text: String, session: String?, run: String? = nil, at: String? = nil, sink: any RunEventSink
  ) -> any ChatCall {
    let loop = client.world.loop
    do throws(RunFailure) {
      let (provider, model) = try agent.resolved(in: registry)
      let request = ChatRequest(
        messages: .typed([]), model: model, temperature: agent.temperature, maxTokens: agent.maxTokens)
      let call = AgentCall(
        agent, text: text, run: run, at: at, request: request, provider: provider, client: client, sink: sink)
      if case .conversation(let maxTurns) = agent.memory, let session, !session.isEmpty {
        let memory: ConversationMemory
        do throws(StoreFailure) {
          memory = try ConversationMemory(store: store, agent: agent.name, session: session, maxTurns: maxTurns)
        } catch {
          throw RunFailure(.internal, error.message)
        }
        do throws(KeyedQueueFailure) {
          call.wait(memory, of: self, try queue.add(memory.name) { turn in call.turnCame(turn) })
        } catch {
          throw RunFailure(
            .rateLimit, "too many calls are waiting in this session of agent \(agent.name)", hint: error.hint)
        }
      } else {
        call.ask([])
      }
      return call
    } catch {
      return RefusedCall(error, sink: sink, loop: loop)
    }
  }
}
