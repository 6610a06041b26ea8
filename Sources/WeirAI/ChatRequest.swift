import WeirCore

/// What a program asks of a model, before any dialect.
package struct ChatRequest: Sendable, Equatable {
  package enum Messages: Sendable, Equatable {
    case typed([ChatMessage])
    /// A JSON array as the program wrote it: checked, then sent as it is.
    case json(String)
  }
  /// What the answer has to be.
  package enum Answer: Sendable, Equatable {
    case text
    /// Some JSON object.
    case json
    /// JSON of this schema.
    case schema(JSONValue)
  }
  package var messages: Messages
  /// Nil: the provider's default.
  package var model: String?
  package var temperature: Double?
  package var maxTokens: Int?
  package var tools: [ChatTool] = []
  package var answer = Answer.text
  /// False: the answer comes whole, in one piece.
  package var isStreaming = true

  package init(
    messages: Messages, model: String? = nil, temperature: Double? = nil, maxTokens: Int? = nil
  ) {
    self.messages = messages
    self.model = model
    self.temperature = temperature
    self.maxTokens = maxTokens
  }

  /// In front of all others.
  package mutating func prepend(_ message: ChatMessage) {
    switch messages {
    case .typed(let list): messages = .typed([message] + list)
    case .json(let text):
      // What is no list is left to the check that says so.
      guard let items = try? JSONValue.parse(text).array else { return }
      messages = .json(JSONValue.array([message.json] + items).text)
    }
  }

  /// All messages together, as JSON. Far above any model's context; bounds what one request can make a server hold.
  package static let messagesByteLimit = 64 << 20
}

package struct ChatMessage: Sendable, Equatable {
  package var role: String
  package var content: JSONValue
  package var toolCalls: JSONValue?
  package var toolCallID: String?

  package init(role: String, content: JSONValue, toolCalls: JSONValue? = nil, toolCallID: String? = nil) {
    self.role = role
    self.content = content
    self.toolCalls = toolCalls
    self.toolCallID = toolCallID
  }
  package init(_ role: String, _ text: String) { self.init(role: role, content: .string(text)) }

  /// The words of it: a text, or the text parts of a list.
  package var text: String {
    switch content {
    case .string(let text): text
    case .array(let parts): parts.compactMap { $0["text"]?.string }.joined()
    default: ""
    }
  }

  var json: JSONValue {
    var members = [JSONMember("role", .string(role)), JSONMember("content", content)]
    if let toolCalls { members.append(JSONMember("tool_calls", toolCalls)) }
    if let toolCallID { members.append(JSONMember("tool_call_id", .string(toolCallID))) }
    return .object(members)
  }
}

/// A function that the model may ask for. `parameters`: a JSON schema of an object.
package struct ChatTool: Sendable, Equatable {
  package var name: String
  package var description: String
  package var parameters: JSONValue
  package init(name: String, description: String, parameters: JSONValue) {
    self.name = name
    self.description = description
    self.parameters = parameters
  }
}

/// Messages that were checked, in both forms: bytes for a body, values for a dialect that rearranges them.
struct CheckedMessages {
  var list: [ChatMessage]
  /// Each as it was written: what a dialect knows and Weir does not is kept.
  var items: [JSONValue]
  var json: [UInt8]

  init(_ messages: ChatRequest.Messages) throws(RunFailure) {
    let value: JSONValue
    switch messages {
    case .typed(let typed):
      value = .array(typed.map(\.json))
      json = value.encoded()
    case .json(let text):
      json = Array(text.utf8)
      guard json.count <= ChatRequest.messagesByteLimit else { throw Self.tooLarge }
      do throws(JSONFailure) {
        value = try JSONValue.parse(json)
      } catch {
        throw RunFailure(.schemaValidation, "messages are \(error.message)")
      }
    }
    guard json.count <= ChatRequest.messagesByteLimit else { throw Self.tooLarge }
    guard let items = value.array else { throw RunFailure(.schemaValidation, "messages are not a JSON array") }
    guard !items.isEmpty else { throw RunFailure(.schemaValidation, "messages are empty: there is nothing to answer") }
    list = []
    self.items = items
    for (index, item) in items.enumerated() {
      guard let role = item["role"]?.string, !role.isEmpty else {
        throw RunFailure(.schemaValidation, "message \(index + 1) has no \"role\"")
      }
      let toolCalls = item["tool_calls"]?.nonNull
      guard let content = toolCalls == nil ? item["content"] : item["content"] ?? .null else {
        throw RunFailure(.schemaValidation, "message \(index + 1) has no \"content\"")
      }
      switch content {
      case .string, .array: break
      case .null where toolCalls != nil: break
      default:
        throw RunFailure(.schemaValidation, "message \(index + 1): \"content\" is neither text nor a list of parts")
      }
      list.append(
        ChatMessage(
          role: role, content: content, toolCalls: toolCalls, toolCallID: item["tool_call_id"]?.string))
    }
  }

  private static let tooLarge = RunFailure(
    .schemaValidation, "messages are larger than \(ChatRequest.messagesByteLimit >> 20) MiB")
}
