import WeirCore
import WeirWire

/// Reads every dialect whose deltas sit at fixed paths: `openai_chat`, `simple_completion` and `custom`
/// (spec/ai.md, "What a provider may do, and what comes of it").
///
/// Pure: bytes in, `RunEvent`s out. Knows no transport, time or retry. The usual event costs one scan of its JSON and
/// one string; trees are built only for what is rare (tool calls, usage, errors).
final class DeltaDecoder: ChatDecoder {
  private let paths: DeltaPaths
  private let model: String
  private let provider: String

  private var sse = SSEParser()
  private var framer: ObjectFramer
  private var scanner: JSONScanner
  private let slots: DeltaPlan.Slots
  private var tools = ToolCallRouter()
  private var template = DeltaTemplate()

  private var hasStarted = false
  private(set) var finishState: EndState?
  private var finishFailure: RunFailure?
  private(set) var isEnded = false
  private(set) var usage: Usage?
  private(set) var skippedEvents = 0
  private var deliveredBytes = 0

  init(_ plan: DeltaPlan, model: String, provider: String) {
    paths = plan.paths
    self.model = model
    self.provider = provider
    framer = ObjectFramer(plan.paths.format == .sse ? .lineStart : .anywhere)
    slots = plan.slots
    scanner = plan.scanner
  }

  // MARK: Bytes

  func receive(_ bytes: Span<UInt8>, into events: inout [RunEvent]) {
    var start = 0
    while start < bytes.count, !isEnded {
      let (end, object) = framer.advance(bytes, from: start)
      // What came before a raw object goes first; the object's own bytes are a line that an event stream ignores.
      if paths.format == .sse { parse(bytes.extracting(start..<end), into: &events) }
      if let object, !isEnded {
        receive(event: framer.isError ? "error" : SSEHead.defaultType, data: object.span, into: &events)
      }
      start = end
    }
  }

  private func parse(_ bytes: Span<UInt8>, into events: inout [RunEvent]) {
    do throws(SSEFailure) {
      // Invariant: nothing below touches `sse`, which is being used.
      try sse.parse(bytes) { head, data in receive(event: head.type, data: data, into: &events) }
    } catch {
      if !isEnded {
        end(.error, RunFailure(.protocolError, "provider \"\(provider)\": \(error.message)"), into: &events)
      }
    }
  }

  func finish(cut: String?, into events: inout [RunEvent]) {
    guard !isEnded else { return }
    // Many servers leave out the blank line after the last event. Half an event is not JSON and stays unseen.
    if paths.format == .sse {
      let blank: [UInt8] = [0x0A, 0x0A]
      parse(blank.span, into: &events)
      guard !isEnded else { return }
    }
    if let finishState {
      end(finishState, finishFailure, into: &events)
    } else if !paths.hasMarker, cut == nil {
      end(.completed, nil, into: &events)
    } else {
      let why = cut.map { ": \($0)" } ?? ""
      end(
        .truncated,
        RunFailure(
          .truncated,
          "provider \"\(provider)\": the stream ended without its finish marker after \(deliveredBytes) bytes of text\(why)"
        ),
        into: &events)
    }
  }

  // MARK: Events

  /// One event by itself; also what `parseDelta` is made of.
  func receive(event type: String, data: Span<UInt8>, into events: inout [RunEvent]) {
    guard !isEnded else { return }
    if type == SSEHead.defaultType, let text = template.text(of: data) {
      if !text.isEmpty { deliver(text, into: &events) }
      return
    }
    if let sentinel = paths.sentinel, Self.trimmed(data, equals: sentinel) {
      end(finishState ?? .completed, finishFailure, into: &events)
      return
    }
    do throws(JSONFailure) {
      try scanner.scan(data)
    } catch {
      if type == "error" {
        fail(.string(data.withUnsafeBufferPointer { String(decoding: $0, as: UTF8.self) }), into: &events)
      } else if data.count > 0 {
        skippedEvents += 1
      }
      return
    }
    if type == "error" {
      fail((try? JSONValue.parse(data)) ?? .null, into: &events)
      return
    }
    for slot in slots.error {
      // `"error":null`, `false`, `""` and `{}` are how some servers say that there is none.
      guard let found = scanner[slot], found.kind != .null, found.kind != .bool, found.end - found.start > 2 else {
        continue
      }
      fail((try? JSONValue.parse(data)) ?? .null, into: &events)
      return
    }
    if !hasStarted {
      hasStarted = true
      let answered = scanner.string(slots.model, in: data) ?? ""
      events.append(.start(model: answered.isEmpty ? model : answered))
    }
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
      end(finishState ?? .completed, finishFailure, into: &events)
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
        deliveredBytes += text.utf8.count
        events.append(.reasoning(text))
        break
      }
    }
    if let found = scanner[slots.text] {
      if found.kind == .string {
        deliver(scanner.string(slots.text, in: data), into: &events)
      } else if found.kind == .array, let parts = scanner.value(slots.text, in: data)?.array {
        deliver(parts: parts, into: &events)
      }
    } else if let slot = slots.whole, scanner[slot] != nil, slots.message < 0 {
      deliver(scanner.string(slot, in: data), into: &events)
      if finishState == nil { finishState = .completed }
    }
    guard paths.isOpenAIChat else { return }
    deliver(scanner.string(slots.refusal, in: data), into: &events)
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

  private func deliver(_ text: String?, into events: inout [RunEvent]) {
    guard let text, !text.isEmpty else { return }
    deliveredBytes += text.utf8.count
    events.append(.text(text))
  }

  /// Content as a list of typed parts, some of them thoughts.
  private func deliver(parts: [JSONValue], into events: inout [RunEvent]) {
    for part in parts {
      if let thoughts = part["thinking"] {
        let text = thoughts.string ?? (thoughts.array ?? []).compactMap { $0["text"]?.string }.joined()
        if !text.isEmpty {
          deliveredBytes += text.utf8.count
          events.append(.reasoning(text))
        }
      } else {
        deliver(part["text"]?.string ?? part.string, into: &events)
      }
    }
  }

  /// The server ignored `stream: true` and answered in one piece.
  private func whole(_ message: JSONValue, into events: inout [RunEvent]) {
    for name in ["reasoning_content", "reasoning", "thinking"] {
      if let text = message[name]?.string, !text.isEmpty {
        deliveredBytes += text.utf8.count
        events.append(.reasoning(text))
        break
      }
    }
    if let parts = message["content"]?.array {
      deliver(parts: parts, into: &events)
    } else {
      deliver(message["content"]?.string ?? message["refusal"]?.string, into: &events)
    }
    for call in message["tool_calls"]?.array ?? [] { tool(call, into: &events) }
  }

  private func tool(_ call: JSONValue, into events: inout [RunEvent]) {
    if let delta = tools.route(call) {
      deliveredBytes += delta.arguments.utf8.count
      events.append(.toolDelta(id: delta.id, name: delta.name, arguments: delta.arguments))
    }
  }

  // MARK: Ends

  private func finished(_ reason: String) {
    switch reason.lowercased() {
    case "length", "max_tokens", "model_length", "max_output_tokens": finishState = .length
    case "content_filter", "filtered", "safety", "refusal", "prohibited_content": finishState = .filtered
    case "tool_calls", "tool_use", "function_call": finishState = .toolCalls
    case "error", "insufficient_system_resource":
      finishState = .error
      finishFailure = RunFailure(
        .connectionFailed, "provider \"\(provider)\" stopped with finish reason \"\(reason.lowercased())\"")
    case "abort", "aborted", "cancelled":
      finishState = .truncated
      finishFailure = RunFailure(
        .truncated, "provider \"\(provider)\" broke the stream off after \(deliveredBytes) bytes of text")
    // Some servers say "stop" even when the model called tools.
    default: finishState = tools.isEmpty ? .completed : .toolCalls
    }
  }

  private func fail(_ payload: JSONValue, into events: inout [RunEvent]) {
    end(.error, ProviderError(payload, path: nil).failure(status: nil, provider: provider), into: &events)
  }

  private func end(_ state: EndState, _ failure: RunFailure?, into events: inout [RunEvent]) {
    isEnded = true
    if let usage { events.append(.usage(usage)) }
    if let failure { events.append(.error(failure)) }
    events.append(.end(state))
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
