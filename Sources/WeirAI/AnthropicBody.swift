import WeirCore

/// `anthropic_messages`: the system text stands apart, results of tools are a user's message.
/// Source: Anthropic's API reference, "Create a Message".
enum AnthropicBody {
  /// The service refuses a request without a limit. Every model of it writes as much.
  static let maxTokensDefault = 4_096

  static func encode(_ call: RequestParts) -> [UInt8] {
    var conversation: [JSONValue] = []
    // Results of the calls of one message belong into one message.
    var results: [JSONValue] = []
    func endResults() {
      if !results.isEmpty { conversation.append(["role": "user", "content": .array(results)]) }
      results = []
    }
    for (item, message) in zip(call.messages.items, call.messages.list) where !message.isSystem {
      if message.role == "tool" {
        results.append(
          .object(
            of: ("type", "tool_result"), ("tool_use_id", .string(message.toolCallID ?? "")),
            ("content", content(message))))
        continue
      }
      endResults()
      conversation.append(self.message(item, message))
    }
    endResults()
    let system = call.messages.system
    return JSONValue.object(
      of: ("model", .string(call.model)), ("max_tokens", .int(call.options.maxTokens ?? maxTokensDefault)),
      ("messages", .array(conversation)), ("system", system.isEmpty ? nil : .string(system)),
      ("temperature", call.options.temperature.map { .double($0) }),
      ("tools", call.tools.isEmpty ? nil : .array(call.tools.map(tool))),
      ("stream", call.isStreaming ? true : nil)
    ).encoded()
  }

  /// A message that needs no change goes as it was written, with whatever else is in it.
  private static func message(_ item: JSONValue, _ message: ChatMessage) -> JSONValue {
    guard message.toolCalls != nil else {
      guard case .array = message.content, case .object(var members) = item else { return item }
      for index in members.indices where members[index].name == "content" { members[index].value = content(message) }
      return .object(members)
    }
    let calls = message.calls.map { call -> JSONValue in
      ["type": "tool_use", "id": .string(call.id), "name": .string(call.name), "input": call.input]
    }
    return ["role": .string(message.role), "content": .array(message.parts.map(part) + calls)]
  }

  private static func content(_ message: ChatMessage) -> JSONValue {
    guard case .array(let items) = message.content else { return .string(message.text) }
    return .array(
      zip(items, message.parts).map { item, part in
        if case .text = part, item["type"] == "text" { item } else { self.part(part) }
      })
  }

  private static func part(_ part: MessagePart) -> JSONValue {
    switch part {
    case .text(let text): ["type": "text", "text": .string(text)]
    case .imageURL(let url): ["type": "image", "source": ["type": "url", "url": .string(url)]]
    case .imageData(let type, let base64):
      ["type": "image", "source": ["type": "base64", "media_type": .string(type), "data": .string(base64)]]
    case .other(let value): value
    }
  }

  private static func tool(_ tool: ChatTool) -> JSONValue {
    ["name": .string(tool.name), "description": .string(tool.description), "input_schema": tool.parameters]
  }
}
