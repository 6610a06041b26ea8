import WeirCore

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
