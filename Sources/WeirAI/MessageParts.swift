import WeirCore

/// What stands in a message, whichever dialect it was written in: text, images, calls of tools. The bodies of all dialects
/// are written from these; a part that is none of them is handed on as it is.
enum MessagePart {
  case text(String)
  /// Of a `data:` URL.
  case imageData(type: String, base64: String)
  case imageURL(String)
  case other(JSONValue)

  init(_ value: JSONValue) {
    if let text = value.string ?? (value["type"] == nil || value["type"] == "text" ? value["text"]?.string : nil) {
      self = .text(text)
      return
    }
    switch value["type"]?.string {
    case "input_text"?, "output_text"?: self = .text(value["text"]?.string ?? "")
    case "image_url"?, "input_image"?:
      guard let url = value["image_url"]?["url"]?.string ?? value["image_url"]?.string else { fallthrough }
      self = Self.image(url) ?? .imageURL(url)
    default: self = .other(value)
    }
  }

  /// `data:image/png;base64,…`
  private static func image(_ url: String) -> MessagePart? {
    guard url.hasPrefix("data:"), let comma = url.firstIndex(of: ",") else { return nil }
    let head = url[..<comma].dropFirst(5)
    guard head.hasSuffix(";base64") else { return nil }
    return .imageData(type: String(head.dropLast(7)), base64: String(url[url.index(after: comma)...]))
  }
}

extension ChatMessage {
  var parts: [MessagePart] {
    switch content {
    case .string(let text): text.isEmpty ? [] : [.text(text)]
    case .array(let items): items.map { MessagePart($0) }
    default: []
    }
  }

  var hasImage: Bool {
    guard case .array = content else { return false }
    return parts.contains {
      switch $0 {
      case .imageData, .imageURL: true
      case .other(let value): value["type"]?.string == "image" || value["inlineData"] != nil
      case .text: false
      }
    }
  }

  /// The instructions, which some dialects keep apart from the conversation.
  var isSystem: Bool { role == "system" || role == "developer" }

  struct ToolCall {
    var id: String
    var name: String
    /// JSON, as the model wrote it.
    var arguments: String

    /// What it wrote as a value; what is not an object is kept as a text, rather than lost.
    var input: JSONValue {
      if arguments.isEmpty { return .object([]) }
      guard let value = try? JSONValue.parse(Array(arguments.utf8)), value.members != nil else {
        return .object([JSONMember("input", .string(arguments))])
      }
      return value
    }
  }

  var calls: [ToolCall] {
    (toolCalls?.array ?? []).map { call in
      let function = call["function"] ?? call
      let arguments = function["arguments"] ?? .null
      return ToolCall(
        id: call["id"]?.string ?? "", name: function["name"]?.string ?? "",
        arguments: arguments.string ?? (arguments == .null ? "" : arguments.text))
    }
  }
}

extension CheckedMessages {
  /// For models without roles: a single message is the prompt; a conversation is written out, the reply left open.
  var prompt: String {
    if list.count == 1 { return list[0].text }
    return list.map { "\($0.role): \($0.text)" }.joined(separator: "\n\n") + "\n\nassistant:"
  }
  var system: String { list.filter(\.isSystem).map(\.text).joined(separator: "\n\n") }

  /// The tool that a result answers to, by the ID of its call.
  func toolName(of id: String?) -> String {
    guard let id else { return "" }
    for message in list.reversed() { if let call = message.calls.first(where: { $0.id == id }) { return call.name } }
    return ""
  }
}

extension JSONValue {
  /// Members that are there, in this order.
  static func object(of members: (String, JSONValue?)...) -> JSONValue {
    .object(members.compactMap { name, value in value.map { JSONMember(name, $0) } })
  }
}
