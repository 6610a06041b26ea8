import WeirCore
import WeirWire

/// Reads `ollama_chat`: one JSON object a line, the last one with `"done":true`, the reason and the counts.
/// Source: Ollama's API reference, "Generate a chat completion".
final class OllamaDecoder: FramedDecoder {
  private enum Slot: Int, CaseIterable {
    case text, reasoning, tools, model, error, done, reason, input, output
  }

  private static func path(_ slot: Slot) -> JSONPath {
    switch slot {
    case .text: JSONPath([.name("message"), .name("content")])
    case .reasoning: JSONPath([.name("message"), .name("thinking")])
    case .tools: JSONPath([.name("message"), .name("tool_calls")])
    case .model: JSONPath([.name("model")])
    case .error: JSONPath([.name("error")])
    case .done: JSONPath([.name("done")])
    case .reason: JSONPath([.name("done_reason")])
    case .input: JSONPath([.name("prompt_eval_count")])
    case .output: JSONPath([.name("eval_count")])
    }
  }
  private static let plain = JSONScanner(Slot.allCases.map(path))

  private var scanner: JSONScanner

  init(_ config: ProviderConfig, model: String) {
    let streaming = config.streaming
    if streaming.deltaPath == nil, streaming.reasoningPath == nil {
      scanner = Self.plain
    } else {
      scanner = JSONScanner(
        Slot.allCases.map { slot in
          switch slot {
          case .text: streaming.deltaPath ?? Self.path(slot)
          case .reasoning: streaming.reasoningPath ?? Self.path(slot)
          default: Self.path(slot)
          }
        })
    }
    super.init(streaming.format, model: model, provider: config.name)
  }

  override func receive(event type: String, data: Span<UInt8>, into events: inout [RunEvent]) {
    guard !isEnded, scan(&scanner, type, data, into: &events) else { return }
    if Self.isError(scanner[Slot.error.rawValue]) { return fail(data, into: &events) }
    if !hasStarted { start(string(.model, data), into: &events) }
    reasoning(string(.reasoning, data), into: &events)
    text(string(.text, data), into: &events)
    if scanner[Slot.tools.rawValue]?.kind == .array {
      for call in scanner.value(Slot.tools.rawValue, in: data)?.array ?? [] { tool(call, into: &events) }
    }
    guard let done = scanner[Slot.done.rawValue], done.kind == .bool, data[done.start] == UInt8(ascii: "t") else {
      return
    }
    let input = scanner.int(Slot.input.rawValue, in: data)
    let output = scanner.int(Slot.output.rawValue, in: data)
    if input != nil || output != nil {
      usage = Usage(inputTokens: max(0, input ?? 0), outputTokens: max(0, output ?? 0))
    }
    finished(string(.reason, data) ?? "stop")
    endAsFinished(into: &events)
  }

  private func string(_ slot: Slot, _ data: Span<UInt8>) -> String? { scanner.string(slot.rawValue, in: data) }
}
