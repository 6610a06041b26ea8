import WeirCore

/// The formats themselves: one run event as Weir's SSE frames, OpenAI chunks, AI SDK parts, or text. Each is a
/// function of the event alone (see `FrameEncoder`); an event that a format has no place for gives no bytes.
extension FrameEncoder {
  // MARK: weir

  func weir(_ event: RunEvent, _ offset: Offset, to out: inout [UInt8]) {
    switch event {
    case .start, .toolDelta:
      break
    case .restart:
      id(offset, to: &out)
      JSONWriter.append(raw: "event: restart\ndata: {}\n\n", to: &out)
    case .text(let text):
      id(offset, to: &out)
      JSONWriter.append(raw: "data: {\"content\":", to: &out)
      let start = out.count
      JSONWriter.append(string: text, to: &out)
      let end = out.count
      JSONWriter.append(raw: ",\"delta\":", to: &out)
      out.append(contentsOf: out[start..<end])
      JSONWriter.append(raw: "}\n\n", to: &out)
    case .reasoning(let text):
      id(offset, to: &out)
      JSONWriter.append(raw: "event: reasoning\ndata: {\"content\":", to: &out)
      JSONWriter.append(string: text, to: &out)
      JSONWriter.append(raw: "}\n\n", to: &out)
    case .toolStart(let call, let name, let arguments):
      id(offset, to: &out)
      JSONWriter.append(raw: "event: tool_start\ndata: {\"id\":", to: &out)
      JSONWriter.append(string: call, to: &out)
      JSONWriter.append(raw: ",\"tool\":", to: &out)
      JSONWriter.append(string: name, to: &out)
      JSONWriter.append(raw: ",\"args\":", to: &out)
      JSONWriter.append(Self.argumentsValue(arguments), to: &out)
      JSONWriter.append(raw: "}\n\n", to: &out)
    case .toolEnd(let call, let name, let ok):
      id(offset, to: &out)
      JSONWriter.append(raw: "event: tool_end\ndata: {\"id\":", to: &out)
      JSONWriter.append(string: call, to: &out)
      JSONWriter.append(raw: ",\"tool\":", to: &out)
      JSONWriter.append(string: name, to: &out)
      JSONWriter.append(raw: ",\"ok\":", to: &out)
      JSONWriter.append(.bool(ok), to: &out)
      JSONWriter.append(raw: "}\n\n", to: &out)
    case .value(let value):
      id(offset, to: &out)
      JSONWriter.append(raw: "event: value\ndata: ", to: &out)
      JSONWriter.append(value, to: &out)
      JSONWriter.append(raw: "\n\n", to: &out)
    case .usage(let usage):
      id(offset, to: &out)
      JSONWriter.append(raw: "event: usage\ndata: ", to: &out)
      JSONWriter.append(usage.json, to: &out)
      JSONWriter.append(raw: "\n\n", to: &out)
    case .error(let failure):
      id(offset, to: &out)
      JSONWriter.append(raw: "event: error\ndata: ", to: &out)
      JSONWriter.append(failure.json, to: &out)
      JSONWriter.append(raw: "\n\n", to: &out)
    case .end(let state):
      // The id comes with the last frame of an item: who is cut off between the two gets both again.
      JSONWriter.append(raw: "event: end\ndata: {\"finish\":", to: &out)
      JSONWriter.append(string: state.rawValue, to: &out)
      JSONWriter.append(raw: "}\n\n", to: &out)
      id(offset, to: &out)
      JSONWriter.append(raw: "event: done\ndata: [DONE]\n\n", to: &out)
    }
  }

  /// The same frame as for `.text`, of a text that is already as it stands between a JSON string's quotes: what nearly
  /// every token is. It is copied twice instead of read and written.
  func weir(escapedText text: ArraySlice<UInt8>, _ offset: Offset, to out: inout [UInt8]) {
    id(offset, to: &out)
    JSONWriter.append(raw: "data: {\"content\":\"", to: &out)
    out.append(contentsOf: text)
    JSONWriter.append(raw: "\",\"delta\":\"", to: &out)
    out.append(contentsOf: text)
    JSONWriter.append(raw: "\"}\n\n", to: &out)
  }

  /// Arguments as the object they are; as text where they are not one (a truncated call).
  static func argumentsValue(_ text: String) -> JSONValue {
    (try? JSONValue.parse(text)) ?? .string(text)
  }

  // MARK: text

  func text(_ event: RunEvent, to out: inout [UInt8]) {
    switch event {
    case .text(let text): out.append(contentsOf: text.utf8)
    case .value(let value): JSONWriter.append(value, to: &out)
    default: break
    }
  }

  // MARK: openai

  func openAI(_ event: RunEvent, _ offset: Offset, time: Int64, to out: inout [UInt8]) {
    switch event {
    case .start:
      openAI(delta: ["role": "assistant", "content": ""], finish: nil, offset, time: time, to: &out)
    case .text(let text):
      openAI(delta: ["content": .string(text)], finish: nil, offset, time: time, to: &out)
    case .reasoning(let text):
      openAI(delta: ["reasoning_content": .string(text)], finish: nil, offset, time: time, to: &out)
    case .value(let value):
      openAI(delta: ["content": .string(value.text)], finish: nil, offset, time: time, to: &out)
    case .usage(let usage):
      var chunk = openAIChunk(time: time)
      chunk.append(JSONMember("choices", []))
      chunk.append(JSONMember("usage", usage.openAI))
      data(.object(chunk), offset, to: &out)
    case .error(let failure):
      data(
        ["error": ["message": .string(failure.message), "type": "api_error", "code": .string(failure.code)]], offset,
        to: &out)
    case .end(let state):
      let finish: JSONValue =
        switch state {
        case .completed: "stop"
        case .length: "length"
        case .filtered: "content_filter"
        case .toolCalls: "tool_calls"
        // OpenAI has no word for these; the error before says why, and null is never taken for success.
        case .aborted, .truncated, .error, .budget: .null
        }
      openAI(delta: [:], finish: finish, nil, time: time, to: &out)
      id(offset, to: &out)
      JSONWriter.append(raw: "data: [DONE]\n\n", to: &out)
    case .restart:
      // The dialect has no word for it: a chunk that changes nothing says so to who looks.
      var chunk = openAIChunk(time: time)
      chunk.append(JSONMember("choices", []))
      chunk.append(JSONMember("weir", ["restart": true]))
      data(.object(chunk), offset, to: &out)
    case .toolDelta, .toolStart, .toolEnd:
      // The server runs its tools itself: a client must not be asked to.
      break
    }
  }

  private func openAI(
    delta: JSONValue, finish: JSONValue?, _ offset: Offset?, time: Int64, to out: inout [UInt8]
  ) {
    var chunk = openAIChunk(time: time)
    chunk.append(JSONMember("choices", [["index": 0, "delta": delta, "finish_reason": finish ?? .null]]))
    data(.object(chunk), offset, to: &out)
  }

  private func openAIChunk(time: Int64) -> [JSONMember] {
    [
      JSONMember("id", .string("chatcmpl-\(run ?? "0")")),
      JSONMember("object", "chat.completion.chunk"),
      JSONMember("created", .int(Int(time / 1000))),
      JSONMember("model", .string(model)),
    ]
  }

  // MARK: ai-sdk

  /// `start` and `text-start` are in the preamble: they belong to the reader, not to an item.
  func aiSDK(_ event: RunEvent, _ offset: Offset, to out: inout [UInt8]) {
    switch event {
    case .start, .usage:
      break
    case .restart:
      // A part of the application's own: it reaches `onData`, and is in no message.
      data(["type": "data-restart", "data": [:], "transient": true], offset, to: &out)
    case .text(let text):
      data(["type": "text-delta", "id": "0", "delta": .string(text)], offset, to: &out)
    case .reasoning(let text):
      let part: JSONValue = .string("r\(offset.value)")
      data(["type": "reasoning-start", "id": part], nil, to: &out)
      data(["type": "reasoning-delta", "id": part, "delta": .string(text)], nil, to: &out)
      data(["type": "reasoning-end", "id": part], offset, to: &out)
    case .toolDelta:
      break
    case .toolStart(let call, let name, let arguments):
      data(["type": "tool-input-start", "toolCallId": .string(call), "toolName": .string(name)], nil, to: &out)
      data(
        [
          "type": "tool-input-available", "toolCallId": .string(call), "toolName": .string(name),
          "input": Self.argumentsValue(arguments),
        ], offset, to: &out)
    case .toolEnd(let call, _, let ok):
      if ok {
        data(["type": "tool-output-available", "toolCallId": .string(call), "output": ["ok": true]], offset, to: &out)
      } else {
        data(
          ["type": "tool-output-error", "toolCallId": .string(call), "errorText": "the tool failed"], offset, to: &out)
      }
    case .value(let value):
      data(["type": "text-delta", "id": "0", "delta": .string(value.text)], offset, to: &out)
    case .error(let failure):
      data(["type": "error", "errorText": .string("\(failure.code): \(failure.message)")], offset, to: &out)
    case .end(let state):
      data(["type": "text-end", "id": "0"], nil, to: &out)
      switch state {
      case .completed, .length, .filtered, .toolCalls: data(["type": "finish"], nil, to: &out)
      case .aborted, .truncated, .error, .budget: data(["type": "abort"], nil, to: &out)
      }
      id(offset, to: &out)
      JSONWriter.append(raw: "data: [DONE]\n\n", to: &out)
    }
  }

  /// `offset` is nil for all but the last frame of an item.
  private func data(_ value: JSONValue, _ offset: Offset?, to out: inout [UInt8]) {
    if let offset { id(offset, to: &out) }
    JSONWriter.append(raw: "data: ", to: &out)
    JSONWriter.append(value, to: &out)
    JSONWriter.append(raw: "\n\n", to: &out)
  }
}

extension Usage {
  var json: JSONValue {
    [
      "input_tokens": .int(inputTokens), "output_tokens": .int(outputTokens),
      "cached_input_tokens": .int(cachedInputTokens), "estimated": .bool(estimated),
    ]
  }

  var openAI: JSONValue {
    [
      "prompt_tokens": .int(inputTokens), "completion_tokens": .int(outputTokens),
      "total_tokens": .int(inputTokens + outputTokens),
    ]
  }
}

extension RunFailure {
  /// As readers see it: members without a value are left out.
  var json: JSONValue {
    var members = [
      JSONMember("code", .string(code)), JSONMember("message", .string(message)),
      JSONMember("retryable", .bool(retryable)),
    ]
    if let hint { members.append(JSONMember("hint", .string(hint))) }
    if let status { members.append(JSONMember("status", .int(status))) }
    if let retryAfterMs { members.append(JSONMember("retry_after_ms", .int(retryAfterMs))) }
    return .object(members)
  }
}
