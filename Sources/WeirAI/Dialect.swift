import WeirCore

/// One request shape: how the body is written and which decoder reads the answer. A new shape is a new case here and
/// a file of its own; nothing else of the room changes.
enum Dialect {
  /// Nil: this shape can't stream yet in this version.
  static func body(_ messages: CheckedMessages, _ options: RequestDefaults, _ config: ProviderConfig) -> [UInt8]? {
    switch config.shape {
    case .openaiChat: OpenAIChatBody.encode(messages, options, config)
    case .simpleCompletion: SimpleCompletionBody.encode(messages, options)
    case .custom: config.requestTemplate.map { RequestTemplate.fill($0, messages, options) }
    case .anthropicMessages, .openaiResponses, .gemini, .ollamaChat, .eliza: nil
    }
  }

  static func isSupported(_ shape: RequestShape) -> Bool {
    switch shape {
    case .openaiChat, .simpleCompletion, .custom, .eliza: true
    case .anthropicMessages, .openaiResponses, .gemini, .ollamaChat: false
    }
  }

  static func decoder(_ config: ProviderConfig, model: String) -> any ChatDecoder {
    DeltaDecoder(.of(config), model: model, provider: config.name)
  }
}

/// A provider's answer, bytes in and events out: pure, and the same events for any cut of the same bytes.
///
/// After `.end` (preceded by `.error` if the state says so, and by the provider's `.usage` if there was one) it takes
/// everything and says nothing.
package protocol ChatDecoder: AnyObject {
  func receive(_ bytes: Span<UInt8>, into events: inout [RunEvent])
  /// One event by itself, for who reads the event stream elsewhere.
  func receive(event type: String, data: Span<UInt8>, into events: inout [RunEvent])
  /// The body is over. `cut`: why, when its framing says that more should have come.
  func finish(cut: String?, into events: inout [RunEvent])
  var isEnded: Bool { get }
  /// What the finish marker said; only usage or the sentinel can follow. Nil before.
  var finishState: EndState? { get }
  /// What the provider said last about tokens.
  var usage: Usage? { get }
  /// Malformed events that were skipped.
  var skippedEvents: Int { get }
}

extension ChatDecoder {
  var hasFinished: Bool { finishState != nil }
}

enum OpenAIChatBody {
  /// OpenAI's own newer models refuse `max_tokens`; most servers that imitate it know no other name.
  static func maxTokensField(_ config: ProviderConfig) -> String {
    config.endpoint.hasPrefix("https://api.openai.com/") ? "max_completion_tokens" : "max_tokens"
  }

  static func encode(_ messages: CheckedMessages, _ options: RequestDefaults, _ config: ProviderConfig) -> [UInt8] {
    var out: [UInt8] = []
    out.reserveCapacity(messages.json.count + 160)
    JSONWriter.append(raw: "{\"model\":", to: &out)
    JSONWriter.append(string: options.model ?? "", to: &out)
    JSONWriter.append(raw: ",\"messages\":", to: &out)
    out.append(contentsOf: messages.json)
    JSONWriter.append(raw: ",\"stream\":true", to: &out)
    if config.knowsStreamOptions { JSONWriter.append(raw: ",\"stream_options\":{\"include_usage\":true}", to: &out) }
    options.append(to: &out, maxTokensField: maxTokensField(config))
    out.append(UInt8(ascii: "}"))
    return out
  }
}

enum SimpleCompletionBody {
  static func encode(_ messages: CheckedMessages, _ options: RequestDefaults) -> [UInt8] {
    var out: [UInt8] = []
    JSONWriter.append(raw: "{\"model\":", to: &out)
    JSONWriter.append(string: options.model ?? "", to: &out)
    JSONWriter.append(raw: ",\"prompt\":", to: &out)
    JSONWriter.append(string: messages.prompt, to: &out)
    JSONWriter.append(raw: ",\"stream\":true", to: &out)
    options.append(to: &out, maxTokensField: "max_tokens")
    out.append(UInt8(ascii: "}"))
    return out
  }
}

extension CheckedMessages {
  /// For models without roles: a single message is the prompt; a conversation is written out, the reply left open.
  var prompt: String {
    if list.count == 1 { return list[0].text }
    return list.map { "\($0.role): \($0.text)" }.joined(separator: "\n\n") + "\n\nassistant:"
  }
  var system: String { list.filter { $0.role == "system" }.map(\.text).joined(separator: "\n\n") }
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

/// `request_template` of a custom shape: JSON with `{{holes}}` that are filled with JSON-encoded values.
enum RequestTemplate {
  static let holes = ["model", "messages", "prompt", "system", "temperature", "max_tokens"]

  /// With its holes filled it must be JSON.
  static func check(_ template: String, place: String) throws(ConfigFailure) {
    for hole in names(in: template) where !holes.contains(hole) {
      throw .unknownKey(hole, in: "\(place): hole", known: holes)
    }
    do throws(JSONFailure) {
      _ = try JSONValue.parse(fill(template) { _ in Array("null".utf8) })
    } catch {
      throw ConfigFailure("\(place): with its holes filled it is \(error.message)")
    }
  }

  static func fill(_ template: String, _ messages: CheckedMessages, _ options: RequestDefaults) -> [UInt8] {
    fill(template) { hole in
      switch hole {
      case "model": JSONValue.string(options.model ?? "").encoded()
      case "messages": messages.json
      case "prompt": JSONValue.string(messages.prompt).encoded()
      case "system": JSONValue.string(messages.system).encoded()
      case "temperature": options.temperature.map { JSONValue.double($0).encoded() } ?? Array("null".utf8)
      case "max_tokens": options.maxTokens.map { JSONValue.int($0).encoded() } ?? Array("null".utf8)
      default: Array("null".utf8)
      }
    }
  }

  private static func fill(_ template: String, _ value: (String) -> [UInt8]) -> [UInt8] {
    var out: [UInt8] = []
    var rest = template[...]
    while let open = rest.range(ofText: "{{"), let close = rest[open.upperBound...].range(ofText: "}}") {
      out.append(contentsOf: rest[..<open.lowerBound].utf8)
      out.append(contentsOf: value(name(rest[open.upperBound..<close.lowerBound])))
      rest = rest[close.upperBound...]
    }
    out.append(contentsOf: rest.utf8)
    return out
  }

  private static func names(in template: String) -> [String] {
    var found: [String] = []
    var rest = template[...]
    while let open = rest.range(ofText: "{{"), let close = rest[open.upperBound...].range(ofText: "}}") {
      found.append(name(rest[open.upperBound..<close.lowerBound]))
      rest = rest[close.upperBound...]
    }
    return found
  }

  private static func name(_ inside: Substring) -> String { String(inside.filter { $0 != " " }) }
}
