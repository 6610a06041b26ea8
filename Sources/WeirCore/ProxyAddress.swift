/// What a proxy variable says: `[http://|https://][user[:password]@]host[:port]`, with 1080 when it names no port and
/// 443 for https, as libcurl has it.
///
/// Its user and password are for the proxy alone: they are in nothing that is shown.
package struct ProxyAddress: Sendable, CustomStringConvertible {
  package let isEncrypted: Bool
  package let address: SocketAddress
  /// The value of `Proxy-Authorization`, if there is a user.
  package let authorization: Secret?

  package init(_ text: String) throws(NetworkFailure) {
    var scheme = "http"
    var rest = text[...]
    if let mark = rest.range(ofText: "://") {
      scheme = rest[..<mark.lowerBound].lowercased()
      rest = rest[mark.upperBound...]
    }
    guard scheme == "http" || scheme == "https" else {
      throw .badURL("a proxy of \(scheme.prefix(16)):// cannot carry a WebSocket: http:// and https:// can")
    }
    rest = rest.prefix { $0 != "/" && $0 != "?" && $0 != "#" }
    var user: Substring?
    if let at = rest.lastIndex(of: "@") {
      user = rest[..<at]
      rest = rest[rest.index(after: at)...]
    }
    do throws(NetworkFailure) {
      let parts = try URLParts("\(scheme)://\(rest)")
      isEncrypted = parts.isEncrypted
      address = SocketAddress(host: parts.host, port: parts.explicitPort ?? (isEncrypted ? 443 : 1080))
    } catch {
      throw .badURL("the proxy variable names no host and port")
    }
    authorization = user.map { user in
      let parts = user.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
      let bytes = parts.map { PercentEncoding.decode($0) }.joined(separator: [UInt8(ascii: ":")])
      // RFC 7617: the colon stands there without a password as well.
      return Secret("Basic " + Base64.encode(Array(bytes) + (parts.count == 1 ? [UInt8(ascii: ":")] : [])))
    }
  }

  package var description: String {
    let host = address.host.contains(":") ? "[\(address.host)]" : address.host
    return "\(isEncrypted ? "https" : "http")://\(host):\(address.port)"
  }
}

extension PercentEncoding {
  /// A `%` that begins no escape stands for itself.
  package static func decode(_ text: Substring) -> [UInt8] {
    let bytes = Array(text.utf8)
    var out: [UInt8] = []
    var at = 0
    while at < bytes.count {
      if bytes[at] == UInt8(ascii: "%"), at + 2 < bytes.count,
        let value = UInt8(String(decoding: bytes[(at + 1)...(at + 2)], as: UTF8.self), radix: 16), bytes[at + 1] != 0x2B
      {
        out.append(value)
        at += 3
      } else {
        out.append(bytes[at])
        at += 1
      }
    }
    return out
  }
}
