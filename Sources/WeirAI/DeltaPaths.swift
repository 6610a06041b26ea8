import WeirCore

/// Where in a dialect's events things are: `openai_chat`'s own places, or those of a configuration.
struct DeltaPaths: Sendable {
  var format = ProviderStreaming.Format.sse
  var text: JSONPath
  /// The first that is there counts: some servers send the same text under two names.
  var reasoning: [JSONPath]
  var finish: JSONPath?
  var usage: [JSONPath]
  var error: [JSONPath]
  /// The text of an answer that came whole although a stream was asked for.
  var whole: JSONPath?
  /// Tool calls, refusals and whole messages as `openai_chat` has them.
  var isOpenAIChat: Bool
  var sentinel: [UInt8]?
  var doneEvent: String?

  /// Without any marker the end of the body is the only end there is.
  var hasMarker: Bool { finish != nil || sentinel != nil || doneEvent != nil }

  static let choice: [JSONPath.Step] = [.name("choices"), .index(0)]
  static let delta = choice + [.name("delta")]
  static let message = choice + [.name("message")]

  init(_ config: ProviderConfig) {
    let streaming = config.streaming
    // The offline model's events are written as OpenAI would.
    isOpenAIChat = config.shape == .openaiChat || config.shape == .eliza
    format = streaming.format
    sentinel = (streaming.doneSentinel ?? (config.shape == .custom ? nil : "[DONE]")).map { Array($0.utf8) }
    doneEvent = streaming.doneEvent
    whole = config.responsePath
    usage = streaming.usagePath.map { [$0] } ?? [JSONPath([.name("usage")])]
    error = (config.errorPath.map { [$0] } ?? []) + [JSONPath([.name("error")])]
    finish = streaming.finishPath ?? (config.shape == .custom ? nil : JSONPath(Self.choice + [.name("finish_reason")]))
    if isOpenAIChat {
      text = streaming.deltaPath ?? JSONPath(Self.delta + [.name("content")])
      reasoning = streaming.reasoningPath.map { [$0] } ?? []
      for name in ["reasoning_content", "reasoning", "thinking"] {
        let path = JSONPath(Self.delta + [.name(name)])
        if !reasoning.contains(path) { reasoning.append(path) }
      }
    } else {
      text = streaming.deltaPath ?? JSONPath(Self.choice + [.name("text")])
      reasoning = streaming.reasoningPath.map { [$0] } ?? []
    }
  }
}
