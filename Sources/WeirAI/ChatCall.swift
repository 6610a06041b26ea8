import WeirCore

/// A model call under way.
package protocol ChatCall: AnyObject {
  /// Gives the call up: the provider's socket is closed before this returns, and the run ends with its usage so far
  /// and `.end(.aborted)` in a later job. After the end, or a second time, it does nothing.
  func stop()
  /// While false nothing more is read from the provider; what was already read may still come. The time spent so does
  /// not count as the provider's silence.
  var isReading: Bool { get set }
  /// `.end` was delivered.
  var isEnded: Bool { get }
}

/// Takes a run's events, in order: exactly one `.end`, last; `.error` comes before `.end(.error)`,
/// `.end(.truncated)` and `.end(.budget)`. Never called inside `start` or `stop`. Held until the end.
package protocol RunEventSink: AnyObject {
  func runEvent(_ event: RunEvent)
}

/// Sees a provider's events as they come, for who hands them on as they are; what they mean goes to the call's sink.
package protocol ProviderTap: AnyObject {
  /// A try got an answer that is no refusal.
  func providerAnswered()
  /// The bytes are valid during the call only.
  func providerSent(_ type: String, _ data: Span<UInt8>)
  /// What a try has sent so far does not count: nothing of it was content, and another begins.
  func providerIsTriedAgain()
}

/// Starts model calls. All that a call needs of the outside comes through `World`.
package struct ChatClient {
  package private(set) var world: World
  /// Where the names of `fallback` are looked up.
  let registry: ProviderRegistry?
  package let budget: BudgetLedger
  /// Nil: nobody wants spans.
  let spans: (any SpanSink)?
  let calibration = TokenCalibration()

  package init(
    world: World, registry: ProviderRegistry? = nil, budget: BudgetLedger? = nil, spans: (any SpanSink)? = nil
  ) {
    self.spans = spans
    self.world = world
    self.registry = registry
    self.budget = budget ?? BudgetLedger(wallClock: { [unowned loop = world.loop] in loop.wallClock })
  }

  /// The same client, budget and knowledge, over another network.
  package func over(_ world: World) -> ChatClient {
    var client = self
    client.world = world
    return client
  }

  /// A call that can't be made (no key, unknown model, …) ends the same way as one that failed: `.error`, `.end(.error)`.
  @discardableResult
  package func start(
    _ request: ChatRequest, provider: ProviderConfig, sink: any RunEventSink, tap: (any ProviderTap)? = nil
  ) -> any ChatCall {
    let call = RoutedCall(request, provider: provider, client: self, sink: sink, tap: tap)
    call.begin()
    return call
  }

  /// One try, without retry or fallback.
  func attempt(_ prepared: PreparedChat, sink: any RunEventSink, tap: (any ProviderTap)?) -> any ChatCall {
    guard let request = prepared.http else { return ElizaCall(prepared, world: world, sink: sink) }
    let call = HTTPChatCall(prepared, world: world, sink: sink, tap: tap)
    call.begin(request)
    return call
  }
}

/// A call that was over before it began.
package final class RefusedCall: ChatCall {
  private var sink: (any RunEventSink)?
  private var wasStopped = false
  package var isReading = true
  package var isEnded: Bool { sink == nil }

  package init(_ failure: RunFailure, sink: any RunEventSink, loop: any Loop) {
    self.sink = sink
    loop.soon { [self] in
      self.sink = nil
      if !wasStopped { sink.runEvent(.error(failure)) }
      sink.runEvent(.end(wasStopped ? .aborted : .error))
    }
  }

  package func stop() { wasStopped = true }
}
