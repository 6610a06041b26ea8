/// A URL taken apart, strictly: what may be called, who is asked, what is sent there.
///
/// Pure. Where readers of URLs differ (backslashes, odd numbers for hosts, percent signs in a name, user names) it
/// refuses instead of guessing, so what is checked here is what is dialled. `text` is the URL as it goes out.
package struct URLParts: Hashable, Sendable {
  /// Servers refuse longer ones: nginx's line is 8 KB.
  package static let byteLimit = 8_192

  /// Lower case.
  package let scheme: String
  /// Lower case, without the brackets of an IPv6 address and without a final dot.
  package let host: String
  /// What the URL says, else nil.
  package let explicitPort: Int?
  /// Path and query; never empty, without fragment, ASCII.
  package let path: String

  /// http and ws 80, https and wss 443.
  package var port: Int { explicitPort ?? (isEncrypted ? 443 : 80) }
  package var isEncrypted: Bool { scheme == "https" || scheme == "wss" }
  /// The host if it is written as an address.
  package var address: NetworkAddress? { NetworkAddress(host) }
  package var origin: String { "\(scheme)://\(authority(port))" }
  package var text: String { "\(scheme)://\(authority(explicitPort))\(path)" }
  /// For messages: a query may hold a key.
  package var shown: String { "\(scheme)://\(authority(explicitPort))\(path.prefix { $0 != "?" })" }

  /// As a `Host` header says it: without the port that the scheme implies.
  package var authority: String { authority(port == (isEncrypted ? 443 : 80) ? nil : port) }

  private func authority(_ port: Int?) -> String {
    (host.contains(":") ? "[\(host)]" : host) + (port.map { ":\($0)" } ?? "")
  }

  package init(_ text: String, schemes: Set<String> = ["http", "https", "ws", "wss"]) throws(NetworkFailure) {
    guard text.utf8.count <= Self.byteLimit else { throw .badURL("it has more than \(Self.byteLimit) bytes") }
    guard text.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7f && $0 != 0x5c }) else {
      throw .badURL("it has a space, a control character or a backslash")
    }
    guard let mark = text.range(ofText: "://") else {
      throw .badURL("it does not start with a scheme such as https://")
    }
    let scheme = text[..<mark.lowerBound].lowercased()
    guard schemes.contains(scheme) else {
      throw .badURL(
        "it starts with \(scheme.prefix(32)):// where \(schemes.sorted().joined(separator: ", ")) are known")
    }
    let rest = text[mark.upperBound...]
    let end = rest.firstIndex { $0 == "/" || $0 == "?" || $0 == "#" } ?? rest.endIndex
    var host = rest[..<end]
    if host.contains("@") {
      throw .badURL("it has a user name or password in it: send an Authorization header instead")
    }
    self.scheme = scheme
    explicitPort = try Self.port(&host)
    self.host = try Self.host(host)
    path = Self.path(rest[end...])
  }

  /// Takes `:8080` off the end.
  private static func port(_ authority: inout Substring) throws(NetworkFailure) -> Int? {
    guard let colon = authority.lastIndex(of: ":"), authority.lastIndex(of: "]").map({ $0 < colon }) ?? true else {
      return nil
    }
    let digits = authority[authority.index(after: colon)...]
    authority = authority[..<colon]
    if digits.isEmpty { return nil }
    guard digits.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }), let port = Int(digits),
      (1...65_535).contains(port)
    else { throw .badURL("\":\(digits.prefix(16))\" is not a port") }
    return port
  }

  private static func host(_ given: Substring) throws(NetworkFailure) -> String {
    if given.first == "[" {
      guard given.last == "]", let address = NetworkAddress(given.dropFirst().dropLast()), address.isV6 else {
        throw .badURL("\(given.prefix(64)) is not an IPv6 address")
      }
      return address.literal
    }
    let name = (given.last == "." ? given.dropLast() : given).lowercased()
    guard !name.isEmpty else { throw .badURL("it names no host") }
    guard name.utf8.allSatisfy({ $0 < 0x80 }) else {
      throw .badURL("host names are written in ASCII: look up its xn--… form")
    }
    guard name.utf8.count <= 253, name.utf8.allSatisfy(isNameCharacter),
      !name.split(separator: ".", omittingEmptySubsequences: false).contains("")
    else {
      throw .badURL("\"\(name.prefix(64))\" is not a host name")
    }
    // As browsers do: what ends in a number is an address, and of those only one spelling is read alike by everybody.
    let last = name.split(separator: ".").last ?? ""
    if isNumber(last), NetworkAddress(name) == nil {
      throw .badURL("\"\(name.prefix(64))\" is no way to write an address: use four decimal numbers, like 127.0.0.1")
    }
    return name
  }

  private static func isNameCharacter(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"),
      UInt8(ascii: "_"), UInt8(ascii: "."):
      true
    default: false
    }
  }

  private static func isNumber(_ label: Substring) -> Bool {
    if label.hasPrefix("0x") { return label.dropFirst(2).allSatisfy(\.isHexDigit) }
    return !label.isEmpty && label.allSatisfy { ("0"..."9").contains($0) }
  }

  /// Without fragment; bytes beyond ASCII as `%XX`, as browsers send them.
  private static func path(_ given: Substring) -> String {
    var out = given.first == "/" ? "" : "/"
    for byte in given.prefix(while: { $0 != "#" }).utf8 {
      if byte < 0x80 {
        out.unicodeScalars.append(Unicode.Scalar(byte))
      } else {
        out += "%" + String(byte, radix: 16, uppercase: true)
      }
    }
    return out
  }
}
