import WeirCore
import WeirTesting

@testable import WeirAI

/// Keeps a run's events, and may do something at one of them.
final class EventRecorder: RunEventSink {
  var events: [RunEvent] = []
  var onEvent: ((RunEvent) -> Void)?
  /// Set by who has the clock.
  var endedAfter = Duration.zero

  func runEvent(_ event: RunEvent) {
    events.append(event)
    onEvent?(event)
  }

  var text: String {
    events.reduce(into: "") { if case .text(let more) = $1 { $0 += more } }
  }
  var end: EndState? { if case .end(let state)? = events.last { state } else { nil } }
  var endCount: Int { events.count { if case .end = $0 { true } else { false } } }
  var failure: RunFailure? {
    for case .error(let failure) in events { return failure }
    return nil
  }
  var usage: Usage? {
    for case .usage(let usage) in events { return usage }
    return nil
  }
}

func openAIProvider(_ name: String = "p", endpoint: String = "https://api.test/v1/chat/completions") -> ProviderConfig {
  var config = ProviderConfig(name: name, endpoint: endpoint, shape: .openaiChat)
  config.auth = .bearer(.environment(["TEST_KEY"]))
  config.defaults.model = "m"
  config.retry.max = 0
  return config
}

func request(_ text: String = "hi") -> ChatRequest { ChatRequest(messages: .typed([ChatMessage("user", text)])) }

/// One chunk of an `openai_chat` stream.
func delta(_ text: String, finish: String? = nil) -> String {
  let content = JSONValue.string(text).text
  let reason = finish.map { "\"\($0)\"" } ?? "null"
  return
    "data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"model\":\"m-1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\(content)},\"finish_reason\":\(reason)}]}\n\n"
}
