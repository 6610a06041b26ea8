import Foundation
import Testing
import WeirCore
import WeirTesting

@testable import WeirAI

/// One conversation with everything in it, as each dialect must write it. (What the services' own clients send for the same
/// call is compared in Tests/Product/upstream_test.py.)
struct DialectBodyTests {
  static let conversation: [JSONValue] = [
    ["role": "system", "content": "Be brief."],
    [
      "role": "user",
      "content": [
        ["type": "text", "text": "What is this?"],
        ["type": "image_url", "image_url": ["url": "data:image/png;base64,AAAA"]],
      ],
    ],
    [
      "role": "assistant", "content": "I look.",
      "tool_calls": [
        ["id": "c1", "type": "function", "function": ["name": "look", "arguments": "{\"x\":1}"]],
        ["id": "c2", "type": "function", "function": ["name": "time", "arguments": ""]],
      ],
    ],
    ["role": "tool", "tool_call_id": "c1", "content": "a cat"],
    ["role": "tool", "tool_call_id": "c2", "content": "{\"hour\":3}"],
    ["role": "user", "content": "And?", "name": "Ann"],
  ]

  func body(_ shape: RequestShape, _ change: (inout ChatRequest, inout ProviderConfig) -> Void = { _, _ in }) throws
    -> JSONValue
  {
    var config = ProviderConfig(name: "p", endpoint: "https://api.test/v1/x", shape: shape)
    var chat = ChatRequest(
      messages: .json(JSONValue.array(Self.conversation).text), model: "m", temperature: 0.5, maxTokens: 9)
    chat.tools = [ChatTool(name: "look", description: "Looks.", parameters: ["type": "object"])]
    change(&chat, &config)
    let prepared = try ChatPreflight.prepare(chat, config, FixedEnvironment())
    return try JSONValue.parse(prepared.http?.body ?? [])
  }

  /// For Tests/Product/upstream_test.py, which holds them to the types of the services' own clients.
  @Test func theBodiesAreAFile() throws {
    var bodies: [JSONMember] = []
    for shape in [RequestShape.openaiChat, .openaiResponses, .anthropicMessages] {
      let sent = try body(shape) { chat, _ in
        chat.tools[0].parameters = [
          "type": "object", "properties": ["x": ["type": "integer"]], "required": ["x"], "additionalProperties": false,
        ]
        if shape != .anthropicMessages { chat.answer = .schema(["type": "object", "properties": [:]]) }
      }
      bodies.append(JSONMember(shape.rawValue, sent))
    }
    let text = JSONValue.object(bodies).text + "\n"
    let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent(
      "../Product/bodies.json")
    if ProcessInfo.processInfo.environment["WEIR_UPDATE"] != nil {
      try text.write(to: file, atomically: true, encoding: .utf8)
    }
    #expect(try String(contentsOf: file, encoding: .utf8) == text, "WEIR_UPDATE=1 swift test --filter DialectBodyTests")
  }

  @Test func openAIChat() throws {
    let sent = try body(.openaiChat)
    #expect(sent["messages"] == .array(Self.conversation) && sent["stream"] == true)
    #expect(
      sent["tools"] == [
        ["type": "function", "function": ["name": "look", "description": "Looks.", "parameters": ["type": "object"]]]
      ])
    let whole = try body(.openaiChat) { chat, _ in
      chat.isStreaming = false
      chat.answer = .schema(["type": "object"])
    }
    #expect(whole["stream"] == nil && whole["stream_options"] == nil)
    #expect(whole["response_format"]?["json_schema"]?["schema"] == ["type": "object"])
    let lesser = try body(.openaiChat) { chat, config in
      chat.answer = .schema(["type": "object"])
      config.capabilities.structuredOutputs = false
    }
    #expect(lesser["response_format"] == ["type": "json_object"])
  }

  @Test func anthropic() throws {
    let sent = try body(.anthropicMessages)
    let expected: JSONValue = [
      "model": "m", "max_tokens": 9,
      "messages": [
        [
          "role": "user",
          "content": [
            ["type": "text", "text": "What is this?"],
            ["type": "image", "source": ["type": "base64", "media_type": "image/png", "data": "AAAA"]],
          ],
        ],
        [
          "role": "assistant",
          "content": [
            ["type": "text", "text": "I look."],
            ["type": "tool_use", "id": "c1", "name": "look", "input": ["x": 1]],
            ["type": "tool_use", "id": "c2", "name": "time", "input": [:]],
          ],
        ],
        [
          "role": "user",
          "content": [
            ["type": "tool_result", "tool_use_id": "c1", "content": "a cat"],
            ["type": "tool_result", "tool_use_id": "c2", "content": "{\"hour\":3}"],
          ],
        ],
        ["role": "user", "content": "And?", "name": "Ann"],
      ],
      "system": "Be brief.", "temperature": 0.5,
      "tools": [["name": "look", "description": "Looks.", "input_schema": ["type": "object"]]], "stream": true,
    ]
    #expect(sent == expected)
    let least = try body(.anthropicMessages) { chat, _ in
      chat = ChatRequest(messages: .typed([ChatMessage("user", "hi")]), model: "m")
      chat.isStreaming = false
    }
    #expect(least == ["model": "m", "max_tokens": 4096, "messages": [["role": "user", "content": "hi"]]])
    // What was written for this very service is not touched.
    let own = try body(.anthropicMessages) { chat, _ in
      chat = ChatRequest(
        messages: .json(
          #"[{"role":"user","content":[{"type":"text","text":"a","cache_control":{"type":"ephemeral"}},{"type":"document","source":{"type":"url"}}]}]"#
        ), model: "m")
    }
    #expect(
      own["messages"]?[0]?["content"] == [
        ["type": "text", "text": "a", "cache_control": ["type": "ephemeral"]],
        ["type": "document", "source": ["type": "url"]],
      ])
  }

  @Test func responses() throws {
    let sent = try body(.openaiResponses) { chat, _ in chat.answer = .schema(["type": "object"]) }
    let expected: JSONValue = [
      "model": "m",
      "input": [
        ["role": "system", "content": "Be brief."],
        [
          "role": "user",
          "content": [
            ["type": "input_text", "text": "What is this?"],
            ["type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "auto"],
          ],
        ],
        ["role": "assistant", "content": "I look."],
        ["type": "function_call", "call_id": "c1", "name": "look", "arguments": "{\"x\":1}"],
        ["type": "function_call", "call_id": "c2", "name": "time", "arguments": "{}"],
        ["type": "function_call_output", "call_id": "c1", "output": "a cat"],
        ["type": "function_call_output", "call_id": "c2", "output": "{\"hour\":3}"],
        ["role": "user", "content": "And?", "name": "Ann"],
      ],
      "max_output_tokens": 9, "temperature": 0.5,
      "tools": [
        [
          "type": "function", "name": "look", "description": "Looks.", "parameters": ["type": "object"],
          "strict": false,
        ]
      ],
      "text": ["format": ["type": "json_schema", "name": "answer", "schema": ["type": "object"]]], "stream": true,
    ]
    #expect(sent == expected)
  }

  @Test func gemini() throws {
    let sent = try body(.gemini) { chat, _ in chat.answer = .json }
    let expected: JSONValue = [
      "contents": [
        [
          "role": "user",
          "parts": [["text": "What is this?"], ["inlineData": ["mimeType": "image/png", "data": "AAAA"]]],
        ],
        [
          "role": "model",
          "parts": [
            ["text": "I look."], ["functionCall": ["name": "look", "args": ["x": 1]]],
            ["functionCall": ["name": "time", "args": [:]]],
          ],
        ],
        [
          "role": "user",
          "parts": [
            ["functionResponse": ["name": "look", "response": ["result": "a cat"]]],
            ["functionResponse": ["name": "time", "response": ["hour": 3]]],
          ],
        ],
        ["role": "user", "parts": [["text": "And?"]]],
      ],
      "systemInstruction": ["parts": [["text": "Be brief."]]],
      "generationConfig": ["temperature": 0.5, "maxOutputTokens": 9, "responseMimeType": "application/json"],
      "tools": [
        [
          "functionDeclarations": [
            ["name": "look", "description": "Looks.", "parametersJsonSchema": ["type": "object"]]
          ]
        ]
      ],
    ]
    #expect(sent == expected)
  }

  @Test func ollama() throws {
    let sent = try body(.ollamaChat)
    let expected: JSONValue = [
      "model": "m",
      "messages": [
        ["role": "system", "content": "Be brief."],
        ["role": "user", "content": "What is this?", "images": ["AAAA"]],
        [
          "role": "assistant", "content": "I look.",
          "tool_calls": [
            ["function": ["name": "look", "arguments": ["x": 1]]], ["function": ["name": "time", "arguments": [:]]],
          ],
        ],
        ["role": "tool", "content": "a cat", "tool_name": "look"],
        ["role": "tool", "content": "{\"hour\":3}", "tool_name": "time"],
        ["role": "user", "content": "And?", "name": "Ann"],
      ],
      "stream": true, "options": ["temperature": 0.5, "num_predict": 9],
      "tools": [
        ["type": "function", "function": ["name": "look", "description": "Looks.", "parameters": ["type": "object"]]]
      ],
    ]
    #expect(sent == expected)
  }

  @Test func imagesNeedVision() {
    let failure = #expect(throws: RunFailure.self) {
      try body(.openaiChat) { _, config in config.capabilities.vision = false }
    }
    #expect(failure?.code == "CapabilityNotSupported" && failure?.message.contains("image") == true)
  }

  @Test func addresses() throws {
    func url(_ endpoint: String, _ shape: RequestShape, streaming: Bool, format: ProviderStreaming.Format = .sse)
      -> String
    {
      var config = ProviderConfig(name: "p", endpoint: Endpoint.completed(endpoint, shape: shape), shape: shape)
      config.streaming.format = format
      return config.url(isStreaming: streaming)
    }
    let google = "https://g.test/v1beta"
    #expect(url(google, .gemini, streaming: true) == google + "/models/{{model}}:streamGenerateContent?alt=sse")
    #expect(
      url(google, .gemini, streaming: true, format: .jsonArray) == google + "/models/{{model}}:streamGenerateContent")
    #expect(url(google, .gemini, streaming: false) == google + "/models/{{model}}:generateContent")
    let own = google + "/models/x:streamGenerateContent?alt=sse&a=b"
    #expect(url(own, .gemini, streaming: false) == google + "/models/x:generateContent?a=b")
    #expect(url(own, .gemini, streaming: true) == google + "/models/x:streamGenerateContent?a=b&alt=sse")
    #expect(url("https://a.test/v1", .anthropicMessages, streaming: true) == "https://a.test/v1/messages")
    #expect(url("http://localhost:11434/api/", .ollamaChat, streaming: true) == "http://localhost:11434/api/chat")
  }
}
