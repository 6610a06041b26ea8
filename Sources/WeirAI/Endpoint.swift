import WeirCore

/// A provider's URL: what may be called, and what a base URL stands for.
package enum Endpoint {
  package static let byteLimit = 2_048

  /// `https` anywhere; plain `http` only to this machine unless allowed, because a key would travel readable.
  static func check(_ url: String, allowHTTP: Bool, place: String) throws(ConfigFailure) {
    guard let parts = Parts(url) else {
      throw ConfigFailure(
        "\(place): not a usable URL", hint: "write it like https://api.example.com/v1/chat/completions")
    }
    if parts.hasUserInfo {
      throw ConfigFailure("\(place): user name or password in the URL", hint: "use auth = { … } instead")
    }
    if parts.scheme == "http", !allowHTTP, !parts.isLoopback {
      throw ConfigFailure(
        "\(place): plain http to \"\(parts.host)\", which is not this machine",
        hint: "use https, or set allow_http = true")
    }
  }

  /// An address that ends in `/v1` (or in nothing) is a base URL, as in `OPENAI_BASE_URL`: the operation is added.
  static func completed(_ url: String, shape: RequestShape) -> String {
    let operation: String
    switch shape {
    case .openaiChat: operation = "/chat/completions"
    case .simpleCompletion: operation = "/completions"
    case .openaiResponses: operation = "/responses"
    default: return url
    }
    var base = url
    while base.hasSuffix("/") { base.removeLast() }
    return base.hasSuffix("/v1") ? base + operation : url
  }

  /// As a base URL variable gives it: always completed, unless it names the operation already.
  static func fromBase(_ base: String, operation: String) -> String {
    var url = base
    while url.hasSuffix("/") { url.removeLast() }
    return url.hasSuffix(operation) ? url : url + operation
  }

  /// `OLLAMA_HOST` is also where the server binds: no scheme, no port, or `0.0.0.0` are all usual.
  static func fromOllamaHost(_ value: String) -> String {
    var text = value.contains("://") ? value : "http://" + value
    while text.hasSuffix("/") { text.removeLast() }
    guard let parts = Parts(text) else { return text }
    let host = parts.host == "0.0.0.0" || parts.host == "[::]" ? "127.0.0.1" : parts.host
    let port = parts.port ?? (parts.scheme == "https" ? 443 : 11434)
    return "\(parts.scheme)://\(host):\(port)\(parts.path)"
  }

  /// The few parts of a URL that decide whether it may be called.
  struct Parts {
    var scheme: String
    var host: String
    var port: Int?
    var path: String
    var hasUserInfo: Bool

    init?(_ url: String) {
      guard url.utf8.count <= Endpoint.byteLimit, url.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != 0x5C }),
        let mark = url.firstRange(of: "://")
      else { return nil }
      scheme = url[..<mark.lowerBound].lowercased()
      guard scheme == "http" || scheme == "https" else { return nil }
      let rest = url[mark.upperBound...]
      let end = rest.firstIndex { $0 == "/" || $0 == "?" || $0 == "#" } ?? rest.endIndex
      var authority = rest[..<end]
      path = String(rest[end...])
      if let at = authority.lastIndex(of: "@") {
        hasUserInfo = true
        authority = authority[authority.index(after: at)...]
      } else {
        hasUserInfo = false
      }
      let bracket = authority.lastIndex(of: "]")
      if let colon = authority.lastIndex(of: ":"), bracket.map({ colon > $0 }) ?? true {
        guard let number = Int(authority[authority.index(after: colon)...]), (1...65535).contains(number) else {
          return nil
        }
        port = number
        authority = authority[..<colon]
      }
      host = authority.lowercased()
      guard !host.isEmpty else { return nil }
    }

    var isLoopback: Bool {
      if host == "localhost" || host.hasSuffix(".localhost") || host == "[::1]" { return true }
      let numbers = host.split(separator: ".", omittingEmptySubsequences: false)
      return numbers.count == 4 && numbers[0] == "127" && numbers.allSatisfy { UInt8($0) != nil }
    }
  }
}

/// What may stand in a header, and `${NAME}` in one.
enum HeaderText {
  static func isName(_ text: String) -> Bool {
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

  static func isValue(_ text: String) -> Bool { text.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F || $0 == 0x09 } }

  /// Nil: a `${` is not closed.
  static func variables(in template: String) -> [String]? {
    var names: [String] = []
    var rest = template[...]
    while let open = rest.firstRange(of: "${") {
      guard let close = rest[open.upperBound...].firstIndex(of: "}") else { return nil }
      names.append(String(rest[open.upperBound..<close]))
      rest = rest[rest.index(after: close)...]
    }
    return names
  }

  static func fill(_ template: String, _ value: (String) throws(RunFailure) -> String) throws(RunFailure) -> String {
    var out = ""
    var rest = template[...]
    while let open = rest.firstRange(of: "${"), let close = rest[open.upperBound...].firstIndex(of: "}") {
      out += rest[..<open.lowerBound]
      out += try value(String(rest[open.upperBound..<close]))
      rest = rest[rest.index(after: close)...]
    }
    return out + rest
  }
}
