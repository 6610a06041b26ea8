import WeirCore

/// One event of a provider's stream as a program sees it: what `parseDelta` gives (spec/ai.md, Functions).
package struct TokenDelta: Equatable, Sendable {
  package struct Tool: Equatable, Sendable {
    package var id: String
    package var name: String
    package var arguments: String
  }

  package var text = ""
  package var reasoning = ""
  package var done = false
  package var tool: Tool?
  package var usage: Usage?
  /// The end state's name that the event's finish reason means.
  package var finish: String?
  /// The event said that the provider failed.
  package var failure: RunFailure?

  /// Nil: not an event of this provider's dialect, or not JSON. Each event is looked at by itself: a later piece of a
  /// tool call, which names neither ID nor tool, can't be told from the first, and is `call_0`.
  package init?(_ provider: ProviderConfig, event type: String, data: [UInt8]) {
    let decoder = Dialect.decoder(provider, model: "")
    var events: [RunEvent] = []
    decoder.receive(event: type, data: data.span, into: &events)
    guard !events.isEmpty else { return nil }
    usage = decoder.usage
    finish = decoder.finishState?.rawValue
    for event in events {
      switch event {
      case .text(let more): text += more
      case .reasoning(let more): reasoning += more
      case .toolDelta(let id, let name, let arguments):
        if tool == nil { tool = Tool(id: id, name: name, arguments: arguments) }
      case .error(let failure): self.failure = failure
      case .end: done = true
      case .start, .restart, .usage, .toolStart, .toolEnd, .value: break
      }
    }
  }
}
