import WeirCore

/// One event of a provider's stream as a program sees it: what `parseDelta` and `tokens` give (spec/ai.md, Functions).
package struct TokenDelta: Equatable, Sendable {
  package struct Tool: Equatable, Sendable {
    package var index: Int
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
  /// tool call, which names neither ID nor tool, can't be told from the first, and is `call_0`. Of an event with pieces of
  /// several calls this is the first.
  package init?(_ provider: ProviderConfig, event type: String, data: [UInt8]) {
    guard let first = TokenReader(provider).read(type, data.span).first else { return nil }
    self = first
  }

  fileprivate init() {}
}

/// The events of one answer, each as what it says. Pure, like the decoder that it reads with.
package final class TokenReader {
  private let decoder: any ChatDecoder
  private var usage: Usage?
  private var finish: EndState?

  package init(_ provider: ProviderConfig) { decoder = Dialect.decoder(provider, model: "") }

  package var isEnded: Bool { decoder.isEnded }

  /// Empty for what says nothing of the answer; more than one for an event with pieces of several tool calls.
  package func read(_ type: String, _ data: Span<UInt8>) -> [TokenDelta] {
    var events: [RunEvent] = []
    decoder.receive(event: type, data: data, into: &events)
    let hasUsage = decoder.usage != usage
    let hasFinish = decoder.finishState != finish
    usage = decoder.usage
    finish = decoder.finishState
    guard !events.isEmpty || hasUsage || hasFinish else { return [] }
    var delta = TokenDelta()
    var more: [TokenDelta] = []
    if hasUsage { delta.usage = usage }
    if hasFinish { delta.finish = finish?.rawValue }
    for event in events {
      switch event {
      case .text(let text): delta.text += text
      case .reasoning(let text): delta.reasoning += text
      case .toolDelta(let id, let name, let arguments):
        let tool = TokenDelta.Tool(
          index: decoder.toolIndex(id) ?? 0, id: id, name: name, arguments: arguments)
        if delta.tool == nil {
          delta.tool = tool
        } else {
          var next = TokenDelta()
          next.tool = tool
          more.append(next)
        }
      case .error(let failure): delta.failure = failure
      case .end: delta.done = true
      case .start, .restart, .usage, .toolStart, .toolEnd, .value: break
      }
    }
    return [delta] + more
  }

  /// The stream is over: why it is no whole answer; nil: it is one.
  package func end(cut: String?) -> RunFailure? {
    var events: [RunEvent] = []
    decoder.finish(cut: cut, into: &events)
    for case .error(let failure) in events { return failure }
    return nil
  }
}
