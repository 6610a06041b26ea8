import WeirCore

/// `ollama_chat`: OpenAI's messages with arguments as objects, images beside the text, and options in a table of their own.
/// Source: Ollama's API reference, "Generate a chat completion".
enum OllamaBody {
  static func encode(_ call: RequestParts) -> [UInt8] {
    let messages = zip(call.messages.items, call.messages.list).map { item, message -> JSONValue in
      if case .string = message.content, message.toolCalls == nil, message.role != "tool" { return item }
      let images = message.parts.compactMap { part -> JSONValue? in
        if case .imageData(_, let base64) = part { .string(base64) } else { nil }
      }
      let calls = message.calls.map { call -> JSONValue in
        ["function": ["name": .string(call.name), "arguments": call.input]]
      }
      let tool = message.role == "tool" ? call.messages.toolName(of: message.toolCallID) : ""
      return .object(
        of: ("role", .string(message.role)), ("content", .string(message.text)),
        ("images", images.isEmpty ? nil : .array(images)), ("tool_calls", calls.isEmpty ? nil : .array(calls)),
        ("tool_name", tool.isEmpty ? nil : .string(tool)))
    }
    let options = JSONValue.object(
      of: ("temperature", call.options.temperature.map { .double($0) }),
      ("num_predict", call.options.maxTokens.map { .int($0) }))
    let format: JSONValue? =
      switch call.answer {
      case .text: nil
      case .json: "json"
      case .schema(let schema): schema
      }
    return JSONValue.object(
      of: ("model", .string(call.model)), ("messages", .array(messages)), ("stream", .bool(call.isStreaming)),
      ("options", options.members?.isEmpty == true ? nil : options),
      ("tools", call.tools.isEmpty ? nil : .array(call.tools.map(\.openAI))), ("format", format)
    ).encoded()
  }
}
