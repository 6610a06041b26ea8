import WeirCore

/// A provider's URL: what may be called, and what a base URL stands for.
package enum Endpoint {
  package static let byteLimit = 2_048

  /// `https` anywhere; plain `http` only to this machine unless allowed, because a key would travel readable.
  static func check(_ url: String, allowHTTP: Bool, place: String) throws(ConfigFailure) {
    let parts: URLParts
    do throws(NetworkFailure) {
      parts = try self.parts(url)
    } catch {
      throw ConfigFailure(
        "\(place): \(error.message)", hint: "write it like https://api.example.com/v1/chat/completions")
    }
    if !parts.isEncrypted, !allowHTTP, !parts.namesThisMachine {
      throw ConfigFailure(
        "\(place): plain http to \"\(parts.host)\", which is not this machine",
        hint: "use https, or set allow_http = true")
    }
  }

  private static func parts(_ url: String) throws(NetworkFailure) -> URLParts {
    guard url.utf8.count <= byteLimit else { throw .badURL("it has more than \(byteLimit) bytes") }
    return try URLParts(url, schemes: ["http", "https"])
  }

  /// An address that ends in `/v1` (or in nothing) is a base URL, as in `OPENAI_BASE_URL`: the operation is added.
  static func completed(_ url: String, shape: RequestShape) -> String {
    let operation: String
    switch shape {
    case .openaiChat: operation = "/chat/completions"
    case .simpleCompletion: operation = "/completions"
    case .openaiResponses: operation = "/responses"
    case .anthropicMessages: operation = "/messages"
    case .gemini: operation = "/models/{{model}}:generateContent"
    case .ollamaChat: operation = "/chat"
    case .custom, .eliza: return url
    }
    var base = url
    while base.hasSuffix("/") { base.removeLast() }
    let ends =
      switch shape {
      case .gemini: ["/v1beta", "/v1"]
      case .ollamaChat: ["/api"]
      default: ["/v1"]
      }
    return ends.contains(where: base.hasSuffix) ? base + operation : url
  }

  /// As a base URL variable gives it: always completed, unless it names the operation already.
  static func fromBase(_ base: String, operation: String) -> String {
    var url = base
    while url.hasSuffix("/") { url.removeLast() }
    return url.hasSuffix(operation) ? url : url + operation
  }

  /// `OLLAMA_HOST` is also where the server binds: no scheme, no port, or `0.0.0.0` are all usual.
  static func fromOllamaHost(_ value: String) -> String {
    var text = value.contains(text: "://") ? value : "http://" + value
    while text.hasSuffix("/") { text.removeLast() }
    guard let parts = try? parts(text) else { return text }
    let host =
      parts.address?.kind == .unspecified ? "127.0.0.1" : parts.host.contains(":") ? "[\(parts.host)]" : parts.host
    let port = parts.explicitPort ?? (parts.isEncrypted ? 443 : 11434)
    return "\(parts.scheme)://\(host):\(port)\(parts.path == "/" ? "" : parts.path)"
  }
}

/// What may stand in a header, and `${NAME}` in one.
package enum HeaderText {
  package static func isName(_ text: String) -> Bool {
    !text.isEmpty
      && text.utf8.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
          UInt8(ascii: "0")...UInt8(ascii: "9"):
          true
        default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
        }
      }
  }

  package static func isValue(_ text: String) -> Bool {
    text.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F || $0 == 0x09 }
  }

  /// Nil: a `${` is not closed.
  static func variables(in template: String) -> [String]? {
    var names: [String] = []
    var rest = template[...]
    while let open = rest.range(ofText: "${") {
      guard let close = rest[open.upperBound...].firstIndex(of: "}") else { return nil }
      names.append(String(rest[open.upperBound..<close]))
      rest = rest[rest.index(after: close)...]
    }
    return names
  }

  static func fill(_ template: String, _ value: (String) throws(RunFailure) -> String) throws(RunFailure) -> String {
    var out = ""
    var rest = template[...]
    while let open = rest.range(ofText: "${"), let close = rest[open.upperBound...].firstIndex(of: "}") {
      out += rest[..<open.lowerBound]
      out += try value(String(rest[open.upperBound..<close]))
      rest = rest[rest.index(after: close)...]
    }
    return out + rest
  }
}
