import WeirCore

/// Where connections may lead. Encrypted ones go to the whole world, plain ones to this machine; the rest is closed
/// unless it is opened here. The same as the flags `--stream-allow-http`, `--stream-allow-private` and
/// `--stream-allow-domains`.
public struct ConnectionPolicy: Sendable {
  /// Plain `http` and `ws` to other machines.
  public var allowHTTP = false
  /// Private, link-local and reserved addresses, and this machine under another name than its own.
  public var allowPrivate = false
  /// Empty: every host; else these, written like `a.com` or `*.b.com`.
  public var domains: [String] = []

  public init(allowHTTP: Bool = false, allowPrivate: Bool = false, domains: [String] = []) {
    self.allowHTTP = allowHTTP
    self.allowPrivate = allowPrivate
    self.domains = domains
  }

  func network() throws(WeirError) -> NetworkPolicy {
    var policy = NetworkPolicy(allowHTTP: allowHTTP, allowPrivate: allowPrivate)
    for name in domains {
      guard let pattern = DomainPattern(name) else {
        throw WeirError(
          code: "BadArgument", message: "\"\(name)\" is not a host", hint: "write it like a.com or *.b.com")
      }
      policy.domains.append(pattern)
    }
    return policy
  }
}
