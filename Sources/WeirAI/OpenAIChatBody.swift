import WeirCore

/// `openai_chat`: messages go as they were written. Source: OpenAI's API reference, "Create chat completion".
enum OpenAIChatBody {
  /// OpenAI's own newer models refuse `max_tokens`; most servers that imitate it know no other name.
  static func maxTokensField(_ config: ProviderConfig) -> String {
    config.endpoint.hasPrefix("https://api.openai.com/") ? "max_completion_tokens" : "max_tokens"
  }

  static func encode(_ call: RequestParts, _ config: ProviderConfig) -> [UInt8] {
    var out: [UInt8] = []
    out.reserveCapacity(call.messages.json.count + 160)
    JSONWriter.append(raw: "{\"model\":", to: &out)
    JSONWriter.append(string: call.model, to: &out)
    JSONWriter.append(raw: ",\"messages\":", to: &out)
    out.append(contentsOf: call.messages.json)
    if call.isStreaming {
      JSONWriter.append(raw: ",\"stream\":true", to: &out)
      if config.knowsStreamOptions { JSONWriter.append(raw: ",\"stream_options\":{\"include_usage\":true}", to: &out) }
    }
    call.options.append(to: &out, maxTokensField: maxTokensField(config))
    if !call.tools.isEmpty { append("tools", .array(call.tools.map(\.openAI)), to: &out) }
    switch call.answer {
    case .schema(let schema) where config.capabilities.structuredOutputs:
      append(
        "response_format", ["type": "json_schema", "json_schema": ["name": "answer", "schema": schema]], to: &out)
    case .schema where config.capabilities.jsonMode, .json where config.capabilities.jsonMode:
      append("response_format", ["type": "json_object"], to: &out)
    case .text, .json, .schema: break
    }
    out.append(UInt8(ascii: "}"))
    return out
  }

  private static func append(_ name: String, _ value: JSONValue, to out: inout [UInt8]) {
    out.append(UInt8(ascii: ","))
    JSONWriter.append(string: name, to: &out)
    out.append(UInt8(ascii: ":"))
    JSONWriter.append(value, to: &out)
  }
}

/// `simple_completion`: one prompt. Source: OpenAI's API reference, "Create completion" (legacy).
enum SimpleCompletionBody {
  static func encode(_ call: RequestParts) -> [UInt8] {
    var out: [UInt8] = []
    JSONWriter.append(raw: "{\"model\":", to: &out)
    JSONWriter.append(string: call.model, to: &out)
    JSONWriter.append(raw: ",\"prompt\":", to: &out)
    JSONWriter.append(string: call.messages.prompt, to: &out)
    if call.isStreaming { JSONWriter.append(raw: ",\"stream\":true", to: &out) }
    call.options.append(to: &out, maxTokensField: "max_tokens")
    out.append(UInt8(ascii: "}"))
    return out
  }
}

extension ChatTool {
  var openAI: JSONValue {
    [
      "type": "function",
      "function": ["name": .string(name), "description": .string(description), "parameters": parameters],
    ]
  }
}

extension RequestDefaults {
  fileprivate func append(to out: inout [UInt8], maxTokensField: String) {
    if let temperature {
      JSONWriter.append(raw: ",\"temperature\":", to: &out)
      JSONWriter.append(temperature, to: &out)
    }
    if let maxTokens {
      out.append(UInt8(ascii: ","))
      JSONWriter.append(string: maxTokensField, to: &out)
      out.append(UInt8(ascii: ":"))
      JSONWriter.append(maxTokens, to: &out)
    }
  }
}
