import WeirCore
import WeirWire

/// What the decoders of all dialects share: bytes to events by the stream's framing, the state of one answer, its end.
///
/// Pure: bytes in, `RunEvent`s out. Knows no transport, time or retry. A dialect is a subclass that overrides
/// `receive(event:data:into:)` and says through the verbs below what it has read.
class FramedDecoder: ChatDecoder {
  final let format: ProviderStreaming.Format
  final let model: String
  final let provider: String

  private final var sse = SSEParser()
  private final var framer: ObjectFramer
  final var tools = ToolCallRouter()

  final var hasStarted = false
  final private(set) var finishState: EndState?
  final private var finishFailure: RunFailure?
  final private(set) var isEnded = false
  final var usage: Usage?
  final private(set) var skippedEvents = 0
  final private(set) var deliveredBytes = 0
  final var onEvent: ((_ type: String, _ data: Span<UInt8>) -> Void)?

  init(_ format: ProviderStreaming.Format, model: String, provider: String) {
    self.format = format
    self.model = model
    self.provider = provider
    framer = ObjectFramer(format == .sse ? .lineStart : format == .ndjson ? .lines : .anywhere)
  }

  /// Without any marker the end of the body is the only end there is.
  var hasMarker: Bool { true }

  /// One event by itself; also what `parseDelta` is made of.
  func receive(event type: String, data: Span<UInt8>, into events: inout [RunEvent]) {}

  // MARK: Bytes

  final func receive(_ bytes: Span<UInt8>, into events: inout [RunEvent]) {
    var start = 0
    while start < bytes.count, !isEnded {
      let (end, object) = framer.advance(bytes, from: start)
      // What came before a raw object goes first; the object's own bytes are a line that an event stream ignores.
      if format == .sse { parse(bytes.extracting(start..<end), into: &events) }
      if let object, !isEnded { raw(object, into: &events) }
      start = end
    }
  }

  private final func raw(_ object: [UInt8], into events: inout [RunEvent]) {
    // A list of one error is how some services refuse; a whole list of events is one that forgot its framing.
    if object.first == UInt8(ascii: "["), let items = try? JSONValue.parse(object).array {
      for item in items { take(SSEHead.defaultType, item.encoded().span, into: &events) }
      return
    }
    take(framer.isError ? "error" : SSEHead.defaultType, object.span, into: &events)
  }

  private final func take(_ type: String, _ data: Span<UInt8>, into events: inout [RunEvent]) {
    if isEnded { return }
    onEvent?(type, data)
    receive(event: type, data: data, into: &events)
  }

  private final func parse(_ bytes: Span<UInt8>, into events: inout [RunEvent]) {
    do throws(SSEFailure) {
      // Invariant: nothing below touches `sse`, which is being used.
      try sse.parse(bytes) { head, data in take(head.type, data, into: &events) }
    } catch {
      if !isEnded {
        end(.error, RunFailure(.protocolError, "provider \"\(provider)\": \(error.message)"), into: &events)
      }
    }
  }

  final func finish(cut: String?, into events: inout [RunEvent]) {
    guard !isEnded else { return }
    // Many servers leave out the blank line after the last event. Half an event is not JSON and stays unseen.
    if format == .sse {
      let blank: [UInt8] = [0x0A, 0x0A]
      parse(blank.span, into: &events)
      guard !isEnded else { return }
    }
    if finishState != nil || (!hasMarker && cut == nil) {
      endAsFinished(into: &events)
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

  // MARK: What an event says

  /// False: it is not JSON, or an error, and has been dealt with.
  final func scan(
    _ scanner: inout JSONScanner, _ type: String, _ data: Span<UInt8>, into events: inout [RunEvent]
  ) -> Bool {
    do throws(JSONFailure) {
      try scanner.scan(data)
    } catch {
      if type == "error" {
        fail(.string(data.withUnsafeBufferPointer { String(decoding: $0, as: UTF8.self) }), into: &events)
      } else if data.count > 0 {
        skippedEvents += 1
      }
      return false
    }
    guard type == "error" else { return true }
    fail(data, into: &events)
    return false
  }

  /// `"error":null`, `false`, `""` and `{}` are how some servers say that there is none.
  static func isError(_ found: JSONSlice?) -> Bool {
    guard let found else { return false }
    return found.kind != .null && found.kind != .bool && found.end - found.start > 2
  }

  final func start(_ answered: String?, into events: inout [RunEvent]) {
    guard !hasStarted else { return }
    hasStarted = true
    events.append(.start(model: answered.flatMap { $0.isEmpty ? nil : $0 } ?? model))
  }

  final func text(_ text: String?, into events: inout [RunEvent]) {
    guard let text, !text.isEmpty else { return }
    deliveredBytes += text.utf8.count
    events.append(.text(text))
  }

  final func reasoning(_ text: String?, into events: inout [RunEvent]) {
    guard let text, !text.isEmpty else { return }
    deliveredBytes += text.utf8.count
    events.append(.reasoning(text))
  }

  final func tool(_ piece: JSONValue, into events: inout [RunEvent]) {
    guard let delta = tools.route(piece) else { return }
    deliveredBytes += delta.arguments.utf8.count
    events.append(.toolDelta(id: delta.id, name: delta.name, arguments: delta.arguments))
  }

  final func toolIndex(_ id: String) -> Int? { tools.index(of: id) }

  // MARK: Ends

  final func finished(_ reason: String) {
    let state = FinishReason.state(reason)
    finishFailure = nil
    switch state {
    case .error?:
      let code: AIErrorCode = FinishReason.isModelMistake(reason) ? .protocolError : .connectionFailed
      finishFailure = RunFailure(code, "provider \"\(provider)\" stopped with finish reason \"\(reason.lowercased())\"")
    case .truncated?:
      finishFailure = RunFailure(
        .truncated, "provider \"\(provider)\" broke the stream off after \(deliveredBytes) bytes of text")
    default: break
    }
    // Some servers say "stop" even when the model called tools.
    finishState = state ?? (tools.isEmpty ? .completed : .toolCalls)
  }

  /// What came was whole, and said nothing else about its end.
  final func finishedWhole() { if finishState == nil { finished("stop") } }

  /// The end that the finish marker announced; `completed` when only the end of the stream did.
  final func endAsFinished(into events: inout [RunEvent]) {
    end(finishState ?? .completed, finishFailure, into: &events)
  }

  final func fail(_ data: Span<UInt8>, into events: inout [RunEvent]) {
    fail((try? JSONValue.parse(data)) ?? .null, into: &events)
  }

  final func fail(_ payload: JSONValue, into events: inout [RunEvent]) {
    end(.error, ProviderError(payload, path: nil).failure(status: nil, provider: provider), into: &events)
  }

  private final func end(_ state: EndState, _ failure: RunFailure?, into events: inout [RunEvent]) {
    isEnded = true
    if let usage { events.append(.usage(usage)) }
    if let failure { events.append(.error(failure)) }
    events.append(.end(state))
  }
}
