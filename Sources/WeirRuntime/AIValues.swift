import WeirAI
import WeirCore
import WeirLang

/// The records of std/ai and std/ai/streaming, and how messages of a program become a request.
enum AIValues {
  static let error = RecordTag(64, ["code", "message", "retryable", "status", "retryAfterMs"])
  static let usage = RecordTag(65, ["input_tokens", "output_tokens", "estimated"])
  static let reply = RecordTag(66, ["text", "reasoning", "usage", "finish"])
  static let tool = RecordTag(67, ["index", "id", "name", "arguments"])
  static let delta = RecordTag(68, ["text", "reasoning", "done", "tool", "usage", "finish"])
  static let streamingRecords = [error, usage, reply, tool, delta]

  static func error(_ failure: RunFailure) -> Value {
    error.value([
      "code": .string(failure.code),
      "message": .string(failure.message),
      "retryable": .bool(failure.retryable),
      "status": failure.status.map { Value.some(.int($0)) } ?? .none,
      "retryAfterMs": failure.retryAfterMs.map { Value.some(.int($0)) } ?? .none,
    ])
  }

  static func usage(_ value: Usage?) -> Value {
    guard let value else { return .none }
    return .some(
      usage.value([
        "input_tokens": .int(value.inputTokens), "output_tokens": .int(value.outputTokens),
        "estimated": .bool(value.estimated),
      ]))
  }

  static func reply(_ outcome: ChatAccumulator) -> Value {
    reply.value([
      "text": .string(outcome.text), "reasoning": .string(outcome.reasoning), "usage": usage(outcome.usage),
      "finish": .string(outcome.end?.rawValue ?? ""),
    ])
  }

  static func delta(_ value: TokenDelta) -> Value {
    let piece: Value =
      value.tool.map { piece in
        .some(
          tool.value([
            "index": .int(piece.index), "id": .string(piece.id), "name": .string(piece.name),
            "arguments": .string(piece.arguments),
          ]))
      } ?? .none
    return delta.value([
      "text": .string(value.text), "reasoning": .string(value.reasoning), "done": .bool(value.done), "tool": piece,
      "usage": usage(value.usage), "finish": value.finish.map { .some(.string($0)) } ?? .none,
    ])
  }

  /// A failure as the stream functions answer it: the code in front, because the kinds of a connection are few.
  static func errorKind(_ failure: RunFailure) -> StreamErrorKind {
    let text = "[\(failure.code)] \(failure.message)"
    switch AIErrorCode(rawValue: failure.code) {
    case .timeout?: return .timeout(text)
    case .budgetExhausted?: return .budgetExhausted(text)
    case .connectionFailed?, .rateLimit?: return .connectionFailed(text)
    default: return .protocolError(text)
    }
  }

  // MARK: Messages

  /// JSON as text or value, sent as it is, or a list of `Message`s.
  static func messages(_ value: Value, _ names: ProgramNames) throws -> ChatRequest.Messages {
    if let text = value.asString { return .json(text) }
    guard let items = try value.jsonValue(names).array else { return .json(try value.json(names)) }
    return .json(JSONValue.array(items.map(message)).text)
  }

  /// What is absent is left out, and calls of tools are written as the services have them.
  private static func message(_ value: JSONValue) -> JSONValue {
    guard let members = value.members else { return value }
    return .object(
      members.compactMap { member in
        if member.name == "tool_calls", let calls = member.value.array {
          return calls.isEmpty ? nil : JSONMember(member.name, .array(calls.map(call)))
        }
        return member.value == .null && member.name != "content" ? nil : member
      })
  }

  private static func call(_ value: JSONValue) -> JSONValue {
    guard value["function"] == nil, let name = value["name"] else { return value }
    return [
      "id": value["id"] ?? "", "type": "function",
      "function": ["name": name, "arguments": value["arguments"] ?? "{}"],
    ]
  }
}
