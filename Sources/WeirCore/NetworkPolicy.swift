/// Where programs may connect: spec "Network policy" as one value, and the one place that decides.
///
/// Pure. A URL that may be called gives a `DialPermit`; whoever dials resolves the name once, asks the permit about
/// every address, and connects to one of those, so a name that changes its mind in between gains nothing. Where the
/// user's configuration names a place (a provider's endpoint, a proxy), no policy is asked.
package struct NetworkPolicy: Hashable, Sendable {
  /// Plain `http` and `ws` to other machines.
  package var allowHTTP = false
  /// Addresses that the world cannot reach: private, link-local, reserved, and this machine under another name.
  package var allowPrivate = false
  /// Empty: every name.
  package var domains: [DomainPattern] = []

  package init(allowHTTP: Bool = false, allowPrivate: Bool = false, domains: [DomainPattern] = []) {
    self.allowHTTP = allowHTTP
    self.allowPrivate = allowPrivate
    self.domains = domains
  }

  /// May this be called? `after`: the permit of the place that redirected here. This machine is open to the URL that
  /// names it and to its own redirects, not to those of others.
  package func permit(_ url: URLParts, after: DialPermit? = nil) throws(NetworkFailure) -> DialPermit {
    let isLoopback = url.namesThisMachine
    if !isLoopback, !url.isEncrypted, !allowHTTP {
      throw .notAllowed(
        "\(url.scheme)://\(url.host) is not encrypted and not this machine",
        hint: "use \(url.scheme == "ws" ? "wss" : "https"), or allow it with --stream-allow-http")
    }
    guard domains.isEmpty || domains.contains(where: { $0.matches(url.host) }) else {
      throw .notAllowed(
        "\"\(url.host)\" is not among the allowed domains", hint: "allow it with --stream-allow-domains \(url.host)")
    }
    let permit = DialPermit(
      host: url.host, isLoopback: isLoopback && after?.isLoopback != false,
      isLoopbackOnly: !url.isEncrypted && !allowHTTP, allowPrivate: allowPrivate)
    if let address = url.address {
      try permit.check(address)
    } else if isLoopback, !permit.isLoopback, !allowPrivate {
      throw permit.thisMachine("was reached by a redirect")
    }
    return permit
  }
}

/// What a URL may be dialled at, decided once; asked for every address that its host resolves to.
package struct DialPermit: Hashable, Sendable {
  let host: String
  /// The user's URL names this machine, or such a place redirected to another one here.
  package let isLoopback: Bool
  let isLoopbackOnly: Bool
  let allowPrivate: Bool

  /// One address that is not allowed refuses the name: which one is tried must not depend on luck.
  package func check(_ addresses: [NetworkAddress]) throws(NetworkFailure) {
    for address in addresses { try check(address) }
  }

  package func check(_ address: NetworkAddress) throws(NetworkFailure) {
    let what = NetworkAddress(host) == nil ? "resolves to \(address), which is" : "is"
    switch address.kind {
    case .unspecified, .multicast:
      throw .notAllowed("\"\(host)\" \(what) no address to connect to", hint: "write 127.0.0.1 for this machine")
    case .loopback:
      if !isLoopback, !allowPrivate { throw thisMachine("\(what) this machine") }
      return
    case .global: break
    case .private, .linkLocal, .reserved:
      if !allowPrivate {
        throw .notAllowed(
          "\"\(host)\" \(what) a \(address.kind == .linkLocal ? "link-local" : address.kind.rawValue) address",
          hint: "allow it with --stream-allow-private")
      }
    }
    if isLoopbackOnly {
      throw .notAllowed(
        "\"\(host)\" \(what) not this machine, and the connection is not encrypted",
        hint: "use https or wss, or allow it with --stream-allow-http")
    }
  }

  func thisMachine(_ how: String) -> NetworkFailure {
    .notAllowed(
      "\"\(host)\" \(how)", hint: "name this machine in the URL itself, or allow it with --stream-allow-private")
  }
}

/// `a.com`, or `*.b.com` for every name below b.com (not b.com itself).
package struct DomainPattern: Hashable, Sendable, CustomStringConvertible {
  private let name: String
  private let isWildcard: Bool

  /// Nil: not a name, an address or a pattern.
  package init?(_ text: some StringProtocol) {
    isWildcard = text.hasPrefix("*.")
    let host = String(isWildcard ? text.dropFirst(2) : text[...])
    let bracketed = host.contains(":") && !host.hasPrefix("[") ? "[\(host)]" : host
    guard let parts = try? URLParts("https://\(bracketed)"), parts.explicitPort == nil, parts.path == "/",
      !host.contains("/"), !host.contains("?"), !host.contains("#"), !isWildcard || parts.address == nil
    else { return nil }
    name = parts.host
  }

  package func matches(_ host: String) -> Bool { isWildcard ? host.hasSuffix("." + name) : host == name }
  package var description: String { isWildcard ? "*." + name : name }
}

extension URLParts {
  /// By its own words; RFC 6761 reserves `localhost` and what is below it.
  package var namesThisMachine: Bool {
    host == "localhost" || host.hasSuffix(".localhost") || address?.kind == .loopback
  }
}
