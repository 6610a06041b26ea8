import WeirCore

/// One request shape: how the body is written and which decoder reads the answer. A new shape is a new case here and
/// files of its own; nothing else of the room changes.
enum Dialect {
  /// Nil: not a shape that is sent anywhere.
  static func body(_ call: RequestParts, _ config: ProviderConfig) -> [UInt8]? {
    switch config.shape {
    case .openaiChat: OpenAIChatBody.encode(call, config)
    case .simpleCompletion: SimpleCompletionBody.encode(call)
    case .anthropicMessages: AnthropicBody.encode(call)
    case .openaiResponses: ResponsesBody.encode(call)
    case .gemini: GeminiBody.encode(call)
    case .ollamaChat: OllamaBody.encode(call)
    case .custom: config.requestTemplate.map { RequestTemplate.fill($0, call.messages, call.options) }
    case .eliza: nil
    }
  }

  static func decoder(_ config: ProviderConfig, model: String) -> any ChatDecoder {
    switch config.shape {
    case .anthropicMessages: AnthropicDecoder(config, model: model)
    case .openaiResponses: ResponsesDecoder(config, model: model)
    case .gemini: GeminiDecoder(config, model: model)
    case .ollamaChat: OllamaDecoder(config, model: model)
    case .openaiChat, .simpleCompletion, .custom, .eliza: DeltaDecoder(.of(config), model: model, provider: config.name)
    }
  }
}

/// What a body is written from: all of a call that has been checked.
struct RequestParts {
  var messages: CheckedMessages
  var options: RequestDefaults
  var tools: [ChatTool] = []
  var answer = ChatRequest.Answer.text
  var isStreaming = true

  var model: String { options.model ?? "" }
}

/// A provider's answer, bytes in and events out: pure, and the same events for any cut of the same bytes.
///
/// After `.end` (preceded by `.error` if the state says so, and by the provider's `.usage` if there was one) it takes
/// everything and says nothing.
package protocol ChatDecoder: AnyObject {
  func receive(_ bytes: Span<UInt8>, into events: inout [RunEvent])
  /// One event by itself, for who reads the event stream elsewhere.
  func receive(event type: String, data: Span<UInt8>, into events: inout [RunEvent])
  /// Told of every event as it came, before it is read; nil: nobody wants to know.
  var onEvent: ((_ type: String, _ data: Span<UInt8>) -> Void)? { get set }
  /// The body is over. `cut`: why, when its framing says that more should have come.
  func finish(cut: String?, into events: inout [RunEvent])
  var isEnded: Bool { get }
  /// What the finish marker said; only usage or the sentinel can follow. Nil before.
  var finishState: EndState? { get }
  /// What the provider said last about tokens.
  var usage: Usage? { get }
  /// The index of a tool call by its ID.
  func toolIndex(_ id: String) -> Int?
  /// Malformed events that were skipped.
  var skippedEvents: Int { get }
}

extension ChatDecoder {
  var hasFinished: Bool { finishState != nil }
}
