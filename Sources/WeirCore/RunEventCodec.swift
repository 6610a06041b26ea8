/// The items of a run's stream: one `RunEvent` each, as one compact JSON object in UTF-8.
///
///     {"type":"start","model":"gpt-4o"}
///     {"type":"text","delta":"Hel"}                    {"type":"reasoning","delta":"Let me"}
///     {"type":"tool_delta","id":"c1","name":"add","arguments":"{\"a\":"}
///     {"type":"tool_start","id":"c1","name":"add","arguments":"{\"a\":1}"}
///     {"type":"tool_end","id":"c1","name":"add","ok":true}
///     {"type":"restart"}
///     {"type":"usage","input_tokens":7,"output_tokens":2,"cached_input_tokens":0,"estimated":false}
///     {"type":"value","value":42}
///     {"type":"error","code":"RateLimited","message":"…","retryable":true,"hint":"…","status":429,"retry_after_ms":20}
///     {"type":"end","state":"completed"}
///
/// This is what lies on disk and what readers of the raw stream get, so it only grows: a reader skips types and ignores
/// fields it doesn't know. `hint`, `status` and `retry_after_ms` are left out where there is none. An `end` whose state
/// isn't known is malformed rather than skipped, since a run must not seem to go on, or to have succeeded (law 2).
package enum RunEventCodec {
  package static func encode(_ event: RunEvent) -> [UInt8] {
    var out: [UInt8] = []
    append(event, to: &out)
    return out
  }

  package static func append(_ event: RunEvent, to out: inout [UInt8]) {
    switch event {
    case .text(let delta):
      // Room for the frame and a few escapes, so that the usual token costs one allocation.
      out.reserveCapacity(out.count + delta.utf8.count + 40)
      JSONWriter.append(raw: #"{"type":"text","delta":"#, to: &out)
      JSONWriter.append(string: delta, to: &out)
    case .reasoning(let delta):
      out.reserveCapacity(out.count + delta.utf8.count + 44)
      JSONWriter.append(raw: #"{"type":"reasoning","delta":"#, to: &out)
      JSONWriter.append(string: delta, to: &out)
    case .start(let model):
      JSONWriter.append(raw: #"{"type":"start","model":"#, to: &out)
      JSONWriter.append(string: model, to: &out)
    case .restart: JSONWriter.append(raw: #"{"type":"restart""#, to: &out)
    case .toolDelta(let id, let name, let arguments): appendTool("tool_delta", id, name, arguments, to: &out)
    case .toolStart(let id, let name, let arguments): appendTool("tool_start", id, name, arguments, to: &out)
    case .toolEnd(let id, let name, let ok):
      appendTool("tool_end", id, name, nil, to: &out)
      JSONWriter.append(raw: ok ? #","ok":true"# : #","ok":false"#, to: &out)
    case .value(let value):
      JSONWriter.append(raw: #"{"type":"value","value":"#, to: &out)
      JSONWriter.append(value, to: &out)
    case .usage(let usage):
      JSONWriter.append(raw: #"{"type":"usage","input_tokens":"#, to: &out)
      JSONWriter.append(usage.inputTokens, to: &out)
      JSONWriter.append(raw: #","output_tokens":"#, to: &out)
      JSONWriter.append(usage.outputTokens, to: &out)
      JSONWriter.append(raw: #","cached_input_tokens":"#, to: &out)
      JSONWriter.append(usage.cachedInputTokens, to: &out)
      JSONWriter.append(raw: usage.estimated ? #","estimated":true"# : #","estimated":false"#, to: &out)
    case .error(let failure): appendFailure(failure, to: &out)
    case .end(let state):
      JSONWriter.append(raw: #"{"type":"end","state":"#, to: &out)
      JSONWriter.append(string: state.rawValue, to: &out)
    }
    out.append(UInt8(ascii: "}"))
  }

  private static func appendTool(
    _ type: StaticString, _ id: String, _ name: String, _ arguments: String?, to out: inout [UInt8]
  ) {
    JSONWriter.append(raw: #"{"type":""#, to: &out)
    JSONWriter.append(raw: type, to: &out)
    JSONWriter.append(raw: #"","id":"#, to: &out)
    JSONWriter.append(string: id, to: &out)
    JSONWriter.append(raw: #","name":"#, to: &out)
    JSONWriter.append(string: name, to: &out)
    if let arguments {
      JSONWriter.append(raw: #","arguments":"#, to: &out)
      JSONWriter.append(string: arguments, to: &out)
    }
  }

  private static func appendFailure(_ failure: RunFailure, to out: inout [UInt8]) {
    JSONWriter.append(raw: #"{"type":"error","code":"#, to: &out)
    JSONWriter.append(string: failure.code, to: &out)
    JSONWriter.append(raw: #","message":"#, to: &out)
    JSONWriter.append(string: failure.message, to: &out)
    JSONWriter.append(raw: failure.retryable ? #","retryable":true"# : #","retryable":false"#, to: &out)
    if let hint = failure.hint {
      JSONWriter.append(raw: #","hint":"#, to: &out)
      JSONWriter.append(string: hint, to: &out)
    }
    if let status = failure.status {
      JSONWriter.append(raw: #","status":"#, to: &out)
      JSONWriter.append(status, to: &out)
    }
    if let delay = failure.retryAfterMs {
      JSONWriter.append(raw: #","retry_after_ms":"#, to: &out)
      JSONWriter.append(delay, to: &out)
    }
  }

  // MARK: Reading

  package static func decode(_ item: [UInt8]) throws(RunEventFailure) -> RunEvent? { try decode(item.span) }

  /// One item. Nil: an event of a type this version doesn't know, to be skipped.
  package static func decode(_ item: Span<UInt8>) throws(RunEventFailure) -> RunEvent? {
    if let delta = plainText(item) { return .text(delta) }
    let object: JSONValue
    do { object = try JSONValue.parse(own: item) } catch { throw RunEventFailure(problem: error.message) }
    return try Reader(object: object).event()
  }

  private static let textHead = Array(#"{"type":"text","delta":""#.utf8)

  /// The delta, if the item is a text event exactly as `append` writes one without escapes: nearly every item is.
  private static func plainText(_ item: Span<UInt8>) -> String? {
    item.withUnsafeBufferPointer { bytes in
      let start = textHead.count
      let end = bytes.count - 2
      guard end >= start, bytes[end] == UInt8(ascii: "\""), bytes[end + 1] == UInt8(ascii: "}") else { return nil }
      for i in 0..<start where bytes[i] != textHead[i] { return nil }
      for i in start..<end
      where bytes[i] < 0x20 || bytes[i] == UInt8(ascii: "\"") || bytes[i] == UInt8(ascii: "\\") { return nil }
      return String(validating: UnsafeBufferPointer(rebasing: bytes[start..<end]), as: UTF8.self)
    }
  }

  /// Where the delta of a text event stands, if it is ASCII without escapes and so the same text in JSON and out of it.
  /// Nil says only that it has to be decoded.
  package static func plainTextRange(_ item: Span<UInt8>) -> Range<Int>? {
    item.withUnsafeBufferPointer { bytes in
      let start = textHead.count
      let end = bytes.count - 2
      guard end >= start, bytes[end] == UInt8(ascii: "\""), bytes[end + 1] == UInt8(ascii: "}") else { return nil }
      for i in 0..<start where bytes[i] != textHead[i] { return nil }
      for i in start..<end
      where bytes[i] < 0x20 || bytes[i] >= 0x80 || bytes[i] == UInt8(ascii: "\"") || bytes[i] == UInt8(ascii: "\\") {
        return nil
      }
      return start..<end
    }
  }

  private struct Reader {
    let object: JSONValue

    func event() throws(RunEventFailure) -> RunEvent? {
      switch try string("type") {
      case "start": return .start(model: try string("model"))
      case "restart": return .restart
      case "text": return .text(try string("delta"))
      case "reasoning": return .reasoning(try string("delta"))
      case "tool_delta":
        return .toolDelta(id: try string("id"), name: try string("name"), arguments: try string("arguments"))
      case "tool_start":
        return .toolStart(id: try string("id"), name: try string("name"), arguments: try string("arguments"))
      case "tool_end": return .toolEnd(id: try string("id"), name: try string("name"), ok: try bool("ok"))
      case "value":
        guard let value = object["value"] else { throw missing("value") }
        return .value(value)
      case "usage":
        return .usage(
          Usage(
            inputTokens: try int("input_tokens") ?? 0, outputTokens: try int("output_tokens") ?? 0,
            cachedInputTokens: try int("cached_input_tokens") ?? 0, estimated: try bool("estimated", absent: false)))
      case "error":
        return .error(
          RunFailure(
            code: try string("code"), message: try string("message"), hint: try optionalString("hint"),
            retryable: try bool("retryable", absent: false), status: try int("status"),
            retryAfterMs: try int("retry_after_ms")))
      case "end":
        let name = try string("state")
        guard let state = EndState(rawValue: name) else { throw RunEventFailure(problem: "no end state \"\(name)\"") }
        return .end(state)
      default: return nil
      }
    }

    private func string(_ name: String) throws(RunEventFailure) -> String {
      guard let text = object[name]?.string else { throw missing(name) }
      return text
    }

    private func optionalString(_ name: String) throws(RunEventFailure) -> String? {
      switch object[name] {
      case nil, .null: return nil
      case .string(let text): return text
      default: throw missing(name)
      }
    }

    private func int(_ name: String) throws(RunEventFailure) -> Int? {
      switch object[name] {
      case nil, .null: return nil
      case .int(let number): return number
      default: throw missing(name)
      }
    }

    private func bool(_ name: String, absent: Bool? = nil) throws(RunEventFailure) -> Bool {
      guard let value = object[name] else {
        if let absent { return absent }
        throw missing(name)
      }
      guard let flag = value.bool else { throw missing(name) }
      return flag
    }

    private func missing(_ name: String) -> RunEventFailure {
      RunEventFailure(problem: "\"\(name)\" is missing or of another type")
    }
  }
}

/// An item of a run's stream that is not a run event.
package struct RunEventFailure: Failure, Equatable {
  package var problem: String
  package init(problem: String) { self.problem = problem }
  package var code: String { "BadRunEvent" }
  package var message: String { "this item is not an event of a run: \(problem)" }
}
