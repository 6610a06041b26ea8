import WeirCore
import WeirTesting

@testable import WeirAI

/// How a service of each dialect writes an answer, in the pieces that faults are made of.
struct FaultWire: Sendable {
  static let shapes = RequestShape.configurable

  let shape: RequestShape

  var isEventStream: Bool { shape != .ollamaChat }

  var provider: ProviderConfig {
    var config = ProviderConfig(name: "p", endpoint: "https://api.test/v1/x", shape: shape)
    config.defaults.model = "m"
    config.retry.max = 0
    if shape == .custom {
      config.requestTemplate = "{\"q\": {{prompt}}}"
      config.streaming.deltaPath = JSONPath([.name("t")])
      config.streaming.finishPath = JSONPath([.name("f")])
      config.streaming.doneSentinel = "END"
    }
    return config
  }

  func event(_ json: String) -> String {
    guard isEventStream else { return json + "\n" }
    let type = (try? JSONValue.parse(json))?["type"]?.string
    return (type.map { "event: \($0)\n" } ?? "") + "data: \(json)\n\n"
  }

  /// What comes before any content; "" where nothing does.
  var start: String {
    switch shape {
    case .openaiChat: event(#"{"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}"#)
    case .anthropicMessages: event(#"{"type":"message_start","message":{"model":"m","content":[]}}"#)
    case .openaiResponses: event(#"{"type":"response.created","response":{"model":"m"}}"#)
    case .simpleCompletion, .gemini, .ollamaChat, .custom, .eliza: ""
    }
  }

  /// `text` is what stands between the quotes.
  func json(_ text: String) -> String {
    switch shape {
    case .openaiChat: #"{"choices":[{"index":0,"delta":{"content":"\#(text)"},"finish_reason":null}]}"#
    case .simpleCompletion: #"{"choices":[{"index":0,"text":"\#(text)","finish_reason":null}]}"#
    case .anthropicMessages:
      #"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"\#(text)"}}"#
    case .openaiResponses: #"{"type":"response.output_text.delta","output_index":0,"delta":"\#(text)"}"#
    case .gemini: #"{"candidates":[{"content":{"parts":[{"text":"\#(text)"}],"role":"model"},"index":0}]}"#
    case .ollamaChat: #"{"model":"m","message":{"role":"assistant","content":"\#(text)"},"done":false}"#
    case .custom, .eliza: #"{"t":"\#(text)"}"#
    }
  }

  func text(_ text: String) -> String { event(json(text)) }

  /// The finish marker, with the dialect's word for a reason.
  func finish(_ state: EndState = .completed) -> String {
    let length = state == .length
    let filtered = state == .filtered
    switch shape {
    case .openaiChat, .simpleCompletion:
      let reason = filtered ? "content_filter" : length ? "length" : "stop"
      return event(#"{"choices":[{"index":0,"delta":{},"text":"","finish_reason":"\#(reason)"}]}"#)
    case .anthropicMessages:
      let reason = filtered ? "refusal" : length ? "max_tokens" : "end_turn"
      return event(#"{"type":"message_delta","delta":{"stop_reason":"\#(reason)"},"usage":{"output_tokens":2}}"#)
    case .openaiResponses:
      guard length || filtered else {
        return event(#"{"type":"response.completed","response":{"status":"completed"}}"#)
      }
      let reason = filtered ? "content_filter" : "max_output_tokens"
      return event(#"{"type":"response.incomplete","response":{"incomplete_details":{"reason":"\#(reason)"}}}"#)
    case .gemini:
      let reason = filtered ? "SAFETY" : length ? "MAX_TOKENS" : "STOP"
      return event(#"{"candidates":[{"content":{"parts":[]},"finishReason":"\#(reason)","index":0}]}"#)
    case .ollamaChat:
      // It knows no filter.
      return event(#"{"message":{"content":""},"done":true,"done_reason":"\#(length ? "length" : "stop")"}"#)
    case .custom, .eliza: return event(#"{"f":"\#(filtered ? "content_filter" : length ? "length" : "stop")"}"#)
    }
  }

  /// What follows the finish marker; "" where nothing does.
  var sentinel: String {
    switch shape {
    case .openaiChat, .simpleCompletion: "data: [DONE]\n\n"
    case .anthropicMessages: event(#"{"type":"message_stop"}"#)
    case .custom: "data: END\n\n"
    case .openaiResponses, .gemini, .ollamaChat, .eliza: ""
    }
  }

  var end: String { finish() + sentinel }
  var whole: String { start + text("Hel") + text("lo") + end }
}
