/// A header field. The name keeps its written case; compare with `matches`.
package typealias HTTPField = (name: String, value: String)

/// Request line and header fields, checked, and what they say about body and connection (RFC 9112 3, 6; RFC 9110 7.2).
///
/// Pure value, made by `HTTPRequestParser` from whole lines; knows nothing of bytes still to come. `frame()` holds the
/// rules against request smuggling: wherever two readers could disagree on where the message ends, it is refused.
package struct HTTPRequestHead: Sendable {
  package enum Body: Equatable, Sendable {
    case none
    case length(Int)
    case chunked
  }

  package var method = ""
  /// As it was written.
  package var target = ""
  /// Decoded once and normalised, starts with `/`; `*` for `OPTIONS *` alone.
  package var path = ""
  /// As written, without `?`.
  package var query = ""
  /// Host and port: from an absolute target, else from `Host`; "" if an HTTP/1.0 client did not say.
  package var authority = ""
  /// 1 or 0.
  package var minorVersion = 1
  package var headers: [HTTPField] = []
  package var body = Body.none
  /// The client allows another request after this one.
  package var isPersistent = true
  /// The client waits for `100 Continue` before it sends the body.
  package var expectsContinue = false

  package init() {}

  /// All values of a field in order, by case-insensitive name.
  package func values(_ name: StaticString) -> [String] {
    headers.filter { $0.name.matches(name) }.map(\.value)
  }

  // MARK: What the parser asks

  /// Takes the target apart: origin, absolute or asterisk form; `CONNECT`'s authority form is not served.
  mutating func readTarget() throws(HTTPFailure) {
    if method == "CONNECT" { throw .notImplemented("CONNECT is not served here") }
    if target == "*" {
      guard method == "OPTIONS" else { throw .malformed("the target * is for OPTIONS only") }
      path = "*"
      return
    }
    var rest = target[...]
    if !rest.hasPrefix("/") {
      guard let scheme = ["http://", "https://"].first(where: { rest.prefix($0.count).lowercased() == $0 }) else {
        throw .malformed("the request target is neither a path nor an http URL")
      }
      rest = rest.dropFirst(scheme.count)
      let end = rest.utf8.firstIndex { $0 == .slash || $0 == .questionMark } ?? rest.endIndex
      authority = String(rest[..<end])
      guard !authority.isEmpty, Self.isAuthority(authority) else {
        throw .malformed("the request target names no usable host")
      }
      rest = rest[end...]
    }
    let mark = rest.utf8.firstIndex(of: .questionMark) ?? rest.endIndex
    if mark < rest.endIndex { query = String(rest[rest.utf8.index(after: mark)...]) }
    let written = rest[..<mark]
    path = try URLPath.normalised(written.isEmpty ? "/" : String(written))
  }

  /// Reads what the fields say of framing, host and connection. Called once, when all fields are there.
  mutating func frame() throws(HTTPFailure) {
    var (hosts, lengths, encodings, connection, expectations) = (
      [String](), [String](), [String](), [String](), [String]()
    )
    for (name, value) in headers {
      switch name.utf8.count {
      case 4: if name.matches("host") { hosts.append(value) }
      case 6: if name.matches("expect") { expectations.append(value) }
      case 10: if name.matches("connection") { connection.append(value) }
      case 14: if name.matches("content-length") { lengths.append(value) }
      case 17: if name.matches("transfer-encoding") { encodings.append(value) }
      default: break
      }
    }
    if hosts.count > 1 { throw .malformed("more than one Host") }
    if hosts.isEmpty, minorVersion == 1 { throw .malformed("HTTP/1.1 requests need a Host") }
    if let host = hosts.first {
      guard Self.isAuthority(host) else { throw .malformed("Host is not a host name") }
      if authority.isEmpty { authority = host }
    }
    body = try readBody(lengths, encodings)

    isPersistent = minorVersion == 1
    for option in connection.flatMap({ $0.utf8.split(separator: .comma) }) {
      let option = Substring(option).trimmed
      if option.matches("close") {
        isPersistent = false
        break
      }
      if option.matches("keep-alive") { isPersistent = true }
    }
    if !expectations.isEmpty, minorVersion == 1 {
      guard expectations.count == 1, expectations[0].matches("100-continue") else { throw .expectation }
      expectsContinue = body != .none && body != .length(0)
    }
  }

  private func readBody(_ lengths: [String], _ encodings: [String]) throws(HTTPFailure) -> Body {
    if !encodings.isEmpty {
      if !lengths.isEmpty { throw .malformed("Content-Length and Transfer-Encoding together") }
      if minorVersion == 0 { throw .malformed("Transfer-Encoding in an HTTP/1.0 request") }
      let codings = encodings.joined(separator: ",").utf8.split(separator: .comma, omittingEmptySubsequences: false)
        .map { Substring($0).trimmed }
      guard codings.allSatisfy({ !$0.isEmpty && $0.utf8.allSatisfy(\.isTokenCharacter) }) else {
        throw .malformed("Transfer-Encoding is not a list of names")
      }
      guard codings.last?.matches("chunked") == true, codings.filter({ $0.matches("chunked") }).count == 1 else {
        throw .malformed("the last transfer coding must be chunked, and only the last")
      }
      if codings.count > 1 { throw .notImplemented("the transfer coding \(codings[0]) is not understood") }
      return .chunked
    }
    guard let length = lengths.first else { return .none }
    // The standard lets a list of equal values pass; nobody sends one by honest means.
    if lengths.count > 1 { throw .malformed("more than one Content-Length") }
    guard !length.isEmpty, length.utf8.allSatisfy(\.isDigit) else { throw .malformed("Content-Length is not a number") }
    return .length(Int(length) ?? .max)
  }

  /// Host, optional port: `example.org:80`, `[::1]:8080`, "". No user, no list, no path.
  private static func isAuthority(_ text: String) -> Bool {
    var host = text.utf8[...]
    if let colon = host.lastIndex(of: .colon), !host[colon...].contains(0x5D) {
      guard host[colon...].dropFirst().allSatisfy(\.isDigit), host[colon...].count <= 6 else { return false }
      host = host[..<colon]
    }
    if host.first == 0x5B {  // [
      guard host.last == 0x5D, host.count > 2 else { return false }
      return host.dropFirst().dropLast().allSatisfy { $0.hexValue != nil || $0 == .colon || $0 == 0x2E }
    }
    return host.allSatisfy {
      switch $0 {
      case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F, 0x7E, 0x25: true  // letters digits - . _ ~ %
      case 0x21, 0x24, 0x26, 0x27, 0x28, 0x29, 0x2A, 0x2B, 0x3B, 0x3D: true  // sub-delims but the comma
      default: false
      }
    }
  }
}

extension StringProtocol {
  /// Equal but for ASCII case. The literal is written in lower case.
  package func matches(_ literal: StaticString) -> Bool {
    let bytes = literal.bytes
    guard utf8.count == bytes.count else { return false }
    var index = 0
    for byte in utf8 {
      if byte.lowercasedASCII != bytes[index] { return false }
      index += 1
    }
    return true
  }
}

extension Substring {
  /// Without spaces and tabs at its ends (RFC 9110 5.6.3).
  var trimmed: Substring {
    var bytes = utf8[...]
    while let first = bytes.first, first == .space || first == .tab { bytes = bytes.dropFirst() }
    while let last = bytes.last, last == .space || last == .tab { bytes = bytes.dropLast() }
    return Substring(bytes)
  }
}
