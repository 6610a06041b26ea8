import WeirCore
import WeirWire

/// Reads every dialect whose deltas sit at fixed paths: `openai_chat`, `simple_completion` and `custom`
/// (spec/ai.md, "What a provider may do, and what comes of it").
///
/// Pure: bytes in, `RunEvent`s out. Knows no transport, time or retry. The usual event costs one scan of its JSON and
/// one string; trees are built only for what is rare (tool calls, usage, errors).
final class DeltaDecoder: FramedDecoder {
  private let paths: DeltaPaths
  private var scanner: JSONScanner
  private let slots: DeltaPlan.Slots
  private var template = DeltaTemplate()

  init(_ plan: DeltaPlan, model: String, provider: String) {
    paths = plan.paths
    slots = plan.slots
    scanner = plan.scanner
    super.init(plan.paths.format, model: model, provider: provider)
  }

  override var hasMarker: Bool { paths.hasMarker }

  override func receive(event type: String, data: Span<UInt8>, into events: inout [RunEvent]) {
    guard !isEnded else { return }
    if type == SSEHead.defaultType, let text = template.text(of: data) {
      self.text(text, into: &events)
      return
    }
    if let sentinel = paths.sentinel, Self.trimmed(data, equals: sentinel) {
      endAsFinished(into: &events)
      return
    }
    guard scan(&scanner, type, data, into: &events) else { return }
    for slot in slots.error where Self.isError(scanner[slot]) {
      fail(data, into: &events)
      return
    }
    if !hasStarted { start(scanner.string(slots.model, in: data), into: &events) }
    for slot in slots.usage {
      if let found = scanner[slot], found.kind == .object, let value = scanner.value(slot, in: data) {
        // Set, not added: where it comes more than once it is cumulative.
        usage = Usage(provider: value) ?? usage
      }
    }
    if slots.choiceIndex >= 0, let index = scanner[slots.choiceIndex], index.kind == .number,
      scanner.int(slots.choiceIndex, in: data) != 0
    {
      return  // a second alternative; only one was asked for
    }
    content(data, into: &events)
    if let slot = slots.finish, let reason = scanner.string(slot, in: data), !reason.isEmpty { finished(reason) }
    if let done = paths.doneEvent, done == type {
      endAsFinished(into: &events)
    } else if type == SSEHead.defaultType, isTextAlone, let text = scanner[slots.text] {
      template.learn(data, text: text)
    }
  }

  /// The event that was just scanned said nothing but a piece of text.
  private var isTextAlone: Bool {
    func isSilent(_ slot: Int) -> Bool { slot < 0 || scanner[slot] == nil || scanner[slot]?.kind == .null }
    return scanner[slots.text]?.kind == .string && finishState == nil && slots.reasoning.allSatisfy(isSilent)
      && slots.usage.allSatisfy(isSilent) && slots.error.allSatisfy(isSilent) && isSilent(slots.finish ?? -1)
      && isSilent(slots.whole ?? -1) && isSilent(slots.message) && isSilent(slots.toolCalls)
      && isSilent(slots.functionCall) && isSilent(slots.refusal)
  }

  private func content(_ data: Span<UInt8>, into events: inout [RunEvent]) {
    for slot in slots.reasoning {
      if let text = scanner.string(slot, in: data), !text.isEmpty {
        reasoning(text, into: &events)
        break
      }
    }
    if let found = scanner[slots.text] {
      if found.kind == .string {
        text(scanner.string(slots.text, in: data), into: &events)
      } else if found.kind == .array, let parts = scanner.value(slots.text, in: data)?.array {
        deliver(parts: parts, into: &events)
      }
    } else if let slot = slots.whole, scanner[slot] != nil, slots.message < 0 {
      text(scanner.string(slot, in: data), into: &events)
      finishedWhole()
    }
    guard paths.isOpenAIChat else { return }
    text(scanner.string(slots.refusal, in: data), into: &events)
    if scanner[slots.toolCalls]?.kind == .array, let calls = scanner.value(slots.toolCalls, in: data)?.array {
      for call in calls { tool(call, into: &events) }
    }
    if scanner[slots.functionCall]?.kind == .object, let call = scanner.value(slots.functionCall, in: data) {
      tool(.object([JSONMember("function", call)]), into: &events)
    }
    if scanner[slots.delta] == nil, scanner[slots.message]?.kind == .object,
      let message = scanner.value(slots.message, in: data)
    {
      whole(message, into: &events)
    }
  }

  /// Content as a list of typed parts, some of them thoughts.
  private func deliver(parts: [JSONValue], into events: inout [RunEvent]) {
    for part in parts {
      if let thoughts = part["thinking"] {
        reasoning(
          thoughts.string ?? (thoughts.array ?? []).compactMap { $0["text"]?.string }.joined(), into: &events)
      } else {
        text(part["text"]?.string ?? part.string, into: &events)
      }
    }
  }

  /// The server ignored `stream: true` and answered in one piece.
  private func whole(_ message: JSONValue, into events: inout [RunEvent]) {
    for name in ["reasoning_content", "reasoning", "thinking"] {
      if let text = message[name]?.string, !text.isEmpty {
        reasoning(text, into: &events)
        break
      }
    }
    if let parts = message["content"]?.array {
      deliver(parts: parts, into: &events)
    } else {
      text(message["content"]?.string ?? message["refusal"]?.string, into: &events)
    }
    for call in message["tool_calls"]?.array ?? [] { tool(call, into: &events) }
  }

  private static func trimmed(_ data: Span<UInt8>, equals wanted: [UInt8]) -> Bool {
    guard data.count >= wanted.count else { return false }
    var start = 0
    var end = data.count
    while start < end, data[start] <= 0x20 { start += 1 }
    while start < end, data[end - 1] <= 0x20 { end -= 1 }
    guard end - start == wanted.count else { return false }
    for i in 0..<wanted.count where data[start + i] != wanted[i] { return false }
    return true
  }
}

extension Usage {
  /// `prompt_tokens`/`completion_tokens` or the newer names. Nil: nothing of the kind in it.
  init?(provider value: JSONValue) {
    let input = value["prompt_tokens"]?.int ?? value["input_tokens"]?.int
    let output = value["completion_tokens"]?.int ?? value["output_tokens"]?.int
    guard input != nil || output != nil else { return nil }
    let details = value["prompt_tokens_details"] ?? value["input_tokens_details"]
    let cached = details?["cached_tokens"]?.int ?? value["prompt_cache_hit_tokens"]?.int ?? 0
    self.init(
      inputTokens: max(0, input ?? 0), outputTokens: max(0, output ?? 0), cachedInputTokens: max(0, cached))
  }
}
