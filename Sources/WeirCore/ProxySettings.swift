/// The proxy variables, read once: which URL goes by which proxy.
///
/// Pure. `https_proxy`, `http_proxy`, else `all_proxy`, in either case of letters; `no_proxy` lists what is reached
/// directly: `*`, names (with all below them), addresses, networks like `10.0.0.0/8`, each with an optional port. As
/// everywhere, an empty variable is none; and in a CGI program `HTTP_PROXY` is a client's header, not a setting.
package struct ProxySettings: Hashable, Sendable {
  private var plain: String?
  private var encrypted: String?
  private var direct: [Exception] = []

  /// No proxy at all.
  package init() {}

  package init(_ environment: any Environment) {
    func variable(_ name: String) -> String? {
      [name, name.uppercased()].lazy.compactMap { environment[$0] }.first { !$0.isEmpty }
    }
    let rest = variable("all_proxy")
    encrypted = variable("https_proxy") ?? rest
    plain = (environment["REQUEST_METHOD"] == nil ? variable("http_proxy") : environment["http_proxy"]) ?? rest
    direct = (variable("no_proxy") ?? "").split { $0 == "," || $0 == " " }.map { Exception($0) }
  }

  /// Nil: dial the host itself.
  package func proxy(for url: URLParts) -> String? {
    guard let proxy = url.isEncrypted ? encrypted : plain else { return nil }
    return direct.contains { $0.covers(url) } ? nil : proxy
  }

  private struct Exception: Hashable {
    var name: String
    var port: Int?
    var network: (address: NetworkAddress, length: Int)?

    init(_ text: Substring) {
      var text = text.lowercased()[...]
      if let colon = text.lastIndex(of: ":"), text.first == "[" || text.firstIndex(of: ":") == colon,
        let number = Int(text[text.index(after: colon)...])
      {
        port = number
        text = text[..<colon]
      }
      if text.first == "[" { text = text.dropFirst().dropLast() }
      while text.first == "." { text = text.dropFirst() }
      if text.last == "." { text = text.dropLast() }
      name = String(text)
      let parts = text.split(separator: "/", maxSplits: 1)
      if let first = parts.first, let address = NetworkAddress(first) {
        let whole = address.isV6 ? 128 : 32
        network = (address, parts.count == 2 ? Int(parts[1]).map { min(max($0, 0), whole) } ?? whole : whole)
      }
    }

    func covers(_ url: URLParts) -> Bool {
      if name == "*" { return true }
      if let port, port != url.port { return false }
      if let address = url.address {
        guard let network, network.address.isV6 == address.isV6 else { return false }
        let shift = UInt128((address.isV6 ? 128 : 32) - network.length)
        return address.bits >> shift == network.address.bits >> shift
      }
      return !name.isEmpty && (url.host == name || url.host.hasSuffix("." + name))
    }

    static func == (a: Exception, b: Exception) -> Bool { a.name == b.name && a.port == b.port }
    func hash(into hasher: inout Hasher) {
      hasher.combine(name)
      hasher.combine(port)
    }
  }
}
