import WeirCore

/// `gemini`: contents made of parts, the model's role is `model`, the instructions stand apart; the model's name and whether
/// to stream are in the URL. Source: Google's API reference, "Method: models.generateContent".
enum GeminiBody {
  static func encode(_ call: RequestParts) -> [UInt8] {
    var contents: [JSONValue] = []
    var results: [JSONValue] = []
    func endResults() {
      if !results.isEmpty { contents.append(["role": "user", "parts": .array(results)]) }
      results = []
    }
    for message in call.messages.list where !message.isSystem {
      if message.role == "tool" {
        results.append([
          "functionResponse": [
            "name": .string(call.messages.toolName(of: message.toolCallID)), "response": result(message.text),
          ]
        ])
        continue
      }
      endResults()
      let calls = message.calls.map { call -> JSONValue in
        ["functionCall": ["name": .string(call.name), "args": call.input]]
      }
      contents.append([
        "role": message.role == "assistant" ? "model" : .string(message.role),
        "parts": .array(message.parts.map(part) + calls),
      ])
    }
    endResults()
    let system = call.messages.system
    return JSONValue.object(
      of: ("contents", .array(contents)),
      ("systemInstruction", system.isEmpty ? nil : ["parts": [["text": .string(system)]]]),
      ("generationConfig", generation(call)),
      ("tools", call.tools.isEmpty ? nil : [["functionDeclarations": .array(call.tools.map(tool))]])
    ).encoded()
  }

  private static func part(_ part: MessagePart) -> JSONValue {
    switch part {
    case .text(let text): ["text": .string(text)]
    case .imageURL(let url): ["fileData": ["fileUri": .string(url)]]
    case .imageData(let type, let base64): ["inlineData": ["mimeType": .string(type), "data": .string(base64)]]
    case .other(let value): value
    }
  }

  /// A result must be an object there.
  private static func result(_ text: String) -> JSONValue {
    guard let value = try? JSONValue.parse(Array(text.utf8)) else { return ["result": .string(text)] }
    return value.members == nil ? ["result": value] : value
  }

  private static func generation(_ call: RequestParts) -> JSONValue? {
    var members: [JSONMember] = []
    if let temperature = call.options.temperature { members.append(JSONMember("temperature", .double(temperature))) }
    if let limit = call.options.maxTokens { members.append(JSONMember("maxOutputTokens", .int(limit))) }
    switch call.answer {
    case .text: break
    case .json: members.append(JSONMember("responseMimeType", "application/json"))
    case .schema(let schema):
      members.append(JSONMember("responseMimeType", "application/json"))
      members.append(JSONMember("responseJsonSchema", schema))
    }
    return members.isEmpty ? nil : .object(members)
  }

  private static func tool(_ tool: ChatTool) -> JSONValue {
    [
      "name": .string(tool.name), "description": .string(tool.description), "parametersJsonSchema": tool.parameters,
    ]
  }
}
