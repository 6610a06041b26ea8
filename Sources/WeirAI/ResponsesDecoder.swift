import WeirCore
import WeirWire

/// Reads `openai_responses`: events named by their `type`, items of output in between, one of three events at the end.
/// Source: OpenAI's API reference, "Responses: streaming events".
final class ResponsesDecoder: FramedDecoder {
  private enum Slot: Int, CaseIterable {
    case type, delta, index, response, item, error, output
  }

  private static let paths = ["type", "delta", "output_index", "response", "item", "error", "output"].map {
    JSONPath([.name($0)])
  }
  private static let plain = JSONScanner(paths)
  private static let deltaType = "response.output_text.delta"

  private var scanner = ResponsesDecoder.plain
  private var template = DeltaTemplate()
  /// Where text and thoughts are in the events of their types.
  private var textPlace = Slot.delta.rawValue
  private var reasoningPlace = Slot.delta.rawValue

  init(_ config: ProviderConfig, model: String) {
    let own = [config.streaming.deltaPath, config.streaming.reasoningPath]
    if own != [nil, nil] {
      var paths = Self.paths
      func place(_ path: JSONPath?) -> Int {
        guard let path else { return Slot.delta.rawValue }
        if let known = paths.firstIndex(of: path) { return known }
        paths.append(path)
        return paths.count - 1
      }
      textPlace = place(own[0])
      reasoningPlace = place(own[1])
      scanner = JSONScanner(paths)
    }
    super.init(config.streaming.format, model: model, provider: config.name)
  }

  override func receive(event type: String, data: Span<UInt8>, into events: inout [RunEvent]) {
    guard !isEnded else { return }
    if type == Self.deltaType, let text = template.text(of: data) {
      self.text(text, into: &events)
      return
    }
    // Its error event is like any other, with what happened beside its `type`.
    guard scan(&scanner, type, data, into: &events) else { return }
    let kind = scanner.string(Slot.type.rawValue, in: data) ?? type
    switch kind {
    case Self.deltaType, "response.refusal.delta":
      start(nil, into: &events)
      text(scanner.string(textPlace, in: data), into: &events)
      if kind == type, kind == Self.deltaType, let place = scanner[textPlace], place.kind == .string {
        template.learn(data, text: place)
      }
    case "response.reasoning_summary_text.delta", "response.reasoning_text.delta":
      start(nil, into: &events)
      reasoning(scanner.string(reasoningPlace, in: data), into: &events)
    case "response.created", "response.in_progress", "response.queued":
      start(value(.response, data)?["model"]?.string, into: &events)
    case "response.output_item.added":
      if let item = value(.item, data), item["type"]?.string == "function_call" {
        start(nil, into: &events)
        tool(call(item, index: index(data)), into: &events)
      }
    case "response.function_call_arguments.delta":
      if let piece = string(.delta, data), !piece.isEmpty {
        var members = [JSONMember("arguments", .string(piece))]
        if let index = index(data) { members.append(JSONMember("index", .int(index))) }
        tool(.object(members), into: &events)
      }
    case "response.completed", "response.incomplete", "response.failed", "response.cancelled":
      over(kind, value(.response, data) ?? .null, data, into: &events)
    case "error": fail(data, into: &events)
    default: other(data, into: &events)
    }
  }

  /// Events that say nothing new, a whole answer to a request that asked for a stream, or an error without a type.
  private func other(_ data: Span<UInt8>, into events: inout [RunEvent]) {
    if Self.isError(found(.error)) { return fail(data, into: &events) }
    guard found(.output)?.kind == .array, let response = try? JSONValue.parse(data) else { return }
    start(response["model"]?.string, into: &events)
    for (index, item) in (response["output"]?.array ?? []).enumerated() {
      switch item["type"]?.string {
      case "reasoning":
        for part in (item["summary"]?.array ?? []) + (item["content"]?.array ?? []) {
          reasoning(part["text"]?.string, into: &events)
        }
      case "function_call": tool(call(item, index: index), into: &events)
      default:
        for part in item["content"]?.array ?? [] {
          text(part["text"]?.string ?? part["refusal"]?.string, into: &events)
        }
      }
    }
    over("response.\(response["status"]?.string ?? "completed")", response, data, into: &events)
  }

  private func over(
    _ kind: String, _ response: JSONValue, _ data: Span<UInt8>, into events: inout [RunEvent]
  ) {
    start(response["model"]?.string, into: &events)
    if let said = response["usage"]?.nonNull { usage = Usage(provider: said) ?? usage }
    switch kind {
    case "response.failed": return fail(response["error"]?.nonNull ?? response, into: &events)
    case "response.incomplete": finished(response["incomplete_details"]?["reason"]?.string ?? "length")
    case "response.cancelled": finished("cancelled")
    default: finished("stop")
    }
    endAsFinished(into: &events)
  }

  /// `call_id` is what the answer to the call must name; `id` is the item's own.
  private func call(_ item: JSONValue, index: Int?) -> JSONValue {
    var members = [JSONMember("id", item["call_id"] ?? item["id"] ?? .null)]
    if let name = item["name"] { members.append(JSONMember("name", name)) }
    if let arguments = item["arguments"] { members.append(JSONMember("arguments", arguments)) }
    if let index { members.append(JSONMember("index", .int(index))) }
    return .object(members)
  }

  private func index(_ data: Span<UInt8>) -> Int? { scanner.int(Slot.index.rawValue, in: data) }
  private func found(_ slot: Slot) -> JSONSlice? { scanner[slot.rawValue] }
  private func string(_ slot: Slot, _ data: Span<UInt8>) -> String? { scanner.string(slot.rawValue, in: data) }
  private func value(_ slot: Slot, _ data: Span<UInt8>) -> JSONValue? { scanner.value(slot.rawValue, in: data) }
}
