import WeirCore

/// `openai_responses`: a list of items, in which calls of tools and their results are items of their own.
/// Source: OpenAI's API reference, "Create a model response".
enum ResponsesBody {
  static func encode(_ call: RequestParts) -> [UInt8] {
    var input: [JSONValue] = []
    for (item, message) in zip(call.messages.items, call.messages.list) {
      if message.role == "tool" {
        input.append([
          "type": "function_call_output", "call_id": .string(message.toolCallID ?? ""),
          "output": .string(message.text),
        ])
        continue
      }
      guard message.toolCalls != nil else {
        input.append(self.message(item, message))
        continue
      }
      if !message.text.isEmpty { input.append(["role": .string(message.role), "content": .string(message.text)]) }
      for call in message.calls {
        input.append([
          "type": "function_call", "call_id": .string(call.id), "name": .string(call.name),
          "arguments": .string(call.arguments.isEmpty ? "{}" : call.arguments),
        ])
      }
    }
    return JSONValue.object(
      of: ("model", .string(call.model)), ("input", .array(input)),
      ("max_output_tokens", call.options.maxTokens.map { .int($0) }),
      ("temperature", call.options.temperature.map { .double($0) }),
      ("tools", call.tools.isEmpty ? nil : .array(call.tools.map(tool))),
      ("text", format(call.answer).map { ["format": $0] }), ("stream", call.isStreaming ? true : nil)
    ).encoded()
  }

  private static func message(_ item: JSONValue, _ message: ChatMessage) -> JSONValue {
    guard case .array(let written) = message.content, case .object(var members) = item else { return item }
    let said = message.role == "assistant" ? "output_text" : "input_text"
    let parts = zip(written, message.parts).map { written, part -> JSONValue in
      switch part {
      case .text(let text): ["type": .string(said), "text": .string(text)]
      case .imageURL(let url): image(url, written)
      case .imageData(let type, let base64): image("data:\(type);base64,\(base64)", written)
      case .other(let value): value
      }
    }
    for index in members.indices where members[index].name == "content" { members[index].value = .array(parts) }
    return .object(members)
  }

  /// How closely it is looked at stands beside the URL here.
  private static func image(_ url: String, _ written: JSONValue) -> JSONValue {
    let detail = written["image_url"]?["detail"] ?? written["detail"] ?? "auto"
    return ["type": "input_image", "image_url": .string(url), "detail": detail]
  }

  private static func tool(_ tool: ChatTool) -> JSONValue {
    [
      "type": "function", "name": .string(tool.name), "description": .string(tool.description),
      // Left out it is true there, and a schema is changed to what that allows.
      "parameters": tool.parameters, "strict": false,
    ]
  }

  private static func format(_ answer: ChatRequest.Answer) -> JSONValue? {
    switch answer {
    case .text: nil
    case .json: ["type": "json_object"]
    case .schema(let schema): ["type": "json_schema", "name": "answer", "schema": schema]
    }
  }
}
