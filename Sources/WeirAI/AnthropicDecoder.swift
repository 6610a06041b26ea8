import WeirCore
import WeirWire

/// Reads `anthropic_messages`: typed events around blocks of content, usage in two of them, `message_stop` at the end.
/// Source: Anthropic's API reference, "Streaming messages".
///
/// Usage is cumulative: what a later event says replaces what an earlier one said. `input_tokens` there leaves out what came
/// from the cache or went into it; here, as everywhere in Weir, the input is all of it and the cached part a part of it.
final class AnthropicDecoder: FramedDecoder {
  private enum Slot: Int, CaseIterable {
    case type, text, reasoning, arguments, index, error, stopReason, usage, message, block, content, wholeStop, model
  }

  private static let paths: [Slot: JSONPath] = [
    .type: JSONPath([.name("type")]),
    .text: JSONPath([.name("delta"), .name("text")]),
    .reasoning: JSONPath([.name("delta"), .name("thinking")]),
    .arguments: JSONPath([.name("delta"), .name("partial_json")]),
    .index: JSONPath([.name("index")]),
    .error: JSONPath([.name("error")]),
    .stopReason: JSONPath([.name("delta"), .name("stop_reason")]),
    .usage: JSONPath([.name("usage")]),
    .message: JSONPath([.name("message")]),
    .block: JSONPath([.name("content_block")]),
    .content: JSONPath([.name("content")]),
    .wholeStop: JSONPath([.name("stop_reason")]),
    .model: JSONPath([.name("model")]),
  ]

  /// Compiled once: every answer needs it, and nearly no configuration has paths of its own.
  private static let plain = scanner(ProviderStreaming())

  private static func scanner(_ streaming: ProviderStreaming) -> JSONScanner {
    JSONScanner(
      Slot.allCases.map { slot in
        switch slot {
        case .text: streaming.deltaPath ?? paths[slot] ?? JSONPath([])
        case .reasoning: streaming.reasoningPath ?? paths[slot] ?? JSONPath([])
        default: paths[slot] ?? JSONPath([])
        }
      })
  }

  private static let deltaType = "content_block_delta"

  private var scanner: JSONScanner
  private var template = DeltaTemplate()
  private var input = (fresh: 0, read: 0, written: 0)

  init(_ config: ProviderConfig, model: String) {
    let streaming = config.streaming
    scanner = streaming.deltaPath == nil && streaming.reasoningPath == nil ? Self.plain : Self.scanner(streaming)
    super.init(streaming.format, model: model, provider: config.name)
  }

  override func receive(event type: String, data: Span<UInt8>, into events: inout [RunEvent]) {
    guard !isEnded else { return }
    if type == Self.deltaType, let text = template.text(of: data) {
      self.text(text, into: &events)
      return
    }
    guard scan(&scanner, type, data, into: &events) else { return }
    if Self.isError(found(.error)) {
      fail(data, into: &events)
      return
    }
    switch string(.type, data) ?? type {
    case Self.deltaType: delta(type, data, into: &events)
    case "message_start":
      let message = value(.message, data)
      start(message?["model"]?.string, into: &events)
      count(message?["usage"])
      // A server that has the beginning already when it answers.
      for block in message?["content"]?.array ?? [] { whole(block, index: nil, into: &events) }
    case "content_block_start":
      if let block = value(.block, data) { whole(block, index: int(.index, data), into: &events) }
    case "message_delta":
      count(value(.usage, data))
      if let reason = string(.stopReason, data), !reason.isEmpty { finished(reason) }
    case "message_stop": endAsFinished(into: &events)
    case "error": fail(data, into: &events)
    case "message":
      // `stream: true` was ignored, or not asked for.
      start(string(.model, data), into: &events)
      count(value(.usage, data))
      for block in value(.content, data)?.array ?? [] { whole(block, index: nil, into: &events) }
      if let reason = string(.wholeStop, data), !reason.isEmpty { finished(reason) }
    default: break  // ping, content_block_stop, and what comes in later versions
    }
  }

  private func delta(_ type: String, _ data: Span<UInt8>, into events: inout [RunEvent]) {
    start(nil, into: &events)
    if let place = found(.text), place.kind == .string {
      text(scanner.string(Slot.text.rawValue, in: data), into: &events)
      if type == Self.deltaType, found(.reasoning) == nil, found(.arguments) == nil {
        template.learn(data, text: place)
      }
    }
    reasoning(string(.reasoning, data), into: &events)
    if let piece = string(.arguments, data), !piece.isEmpty {
      tool(Self.piece(index: int(.index, data), [JSONMember("arguments", .string(piece))]), into: &events)
    }
  }

  /// A block as it begins, or all of it.
  private func whole(_ block: JSONValue, index: Int?, into events: inout [RunEvent]) {
    start(nil, into: &events)
    switch block["type"]?.string {
    case "text": text(block["text"]?.string, into: &events)
    case "thinking": reasoning(block["thinking"]?.string, into: &events)
    case "tool_use":
      var members: [JSONMember] = []
      if let id = block["id"] { members.append(JSONMember("id", id)) }
      if let name = block["name"] { members.append(JSONMember("name", name)) }
      // While it is written the input is `{}`, and comes in pieces.
      if let input = block["input"], input.members?.isEmpty == false || index == nil {
        members.append(JSONMember("arguments", input))
      }
      tool(Self.piece(index: index, members), into: &events)
    default: break  // tools that the service runs itself, redacted thoughts
    }
  }

  private static func piece(index: Int?, _ members: [JSONMember]) -> JSONValue {
    .object(members + (index.map { [JSONMember("index", .int($0))] } ?? []))
  }

  private func count(_ value: JSONValue?) {
    guard let value else { return }
    func number(_ name: String) -> Int? { value[name]?.int.map(Usage.bounded) }
    // Each number that is there replaces what was said of it before.
    input.fresh = number("input_tokens") ?? input.fresh
    input.read = number("cache_read_input_tokens") ?? input.read
    input.written = number("cache_creation_input_tokens") ?? input.written
    usage = Usage(
      inputTokens: input.fresh + input.read + input.written,
      outputTokens: number("output_tokens") ?? usage?.outputTokens ?? 0, cachedInputTokens: input.read)
  }

  private func found(_ slot: Slot) -> JSONSlice? { scanner[slot.rawValue] }
  private func string(_ slot: Slot, _ data: Span<UInt8>) -> String? { scanner.string(slot.rawValue, in: data) }
  private func int(_ slot: Slot, _ data: Span<UInt8>) -> Int? { scanner.int(slot.rawValue, in: data) }
  private func value(_ slot: Slot, _ data: Span<UInt8>) -> JSONValue? { scanner.value(slot.rawValue, in: data) }
}
