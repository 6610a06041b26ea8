import Testing
import WeirCore
import WeirTesting

/// The matrix of the specification: scheme × kind of host × flags × redirect × answers of the name server. Each row
/// says which flags it takes; every other combination of flags must give the same as that says.
struct NetworkPolicyTests {
  /// The flags, as a set: what a row needs is a subset of what is given, or it is refused.
  struct Flags: OptionSet, Hashable, Sendable {
    let rawValue: Int
    static let http = Flags(rawValue: 1)
    static let privates = Flags(rawValue: 2)
    static let all: [Flags] = (0..<4).map { Flags(rawValue: $0) }
    var policy: NetworkPolicy { NetworkPolicy(allowHTTP: contains(.http), allowPrivate: contains(.privates)) }
  }

  /// What `host`, resolving to `answers`, needs over an encrypted scheme and over a plain one, named by the user's URL
  /// and by a redirect from elsewhere. Nil: never.
  struct Row: Sendable, CustomTestStringConvertible {
    var host: String
    var answers: String
    var named: Flags?
    var redirected: Flags?
    /// This machine by its own words: plain connections need no flag.
    var isMachine = false
    var testDescription: String { "\(host) → \(answers)" }
  }

  static let rows: [Row] = [
    Row(host: "example.com", answers: "93.184.215.14", named: [], redirected: []),
    Row(host: "example.com", answers: "93.184.215.14 2606:2800:21f::1", named: [], redirected: []),
    Row(host: "EXAMPLE.com.", answers: "93.184.215.14", named: [], redirected: []),
    Row(host: "93.184.215.14", answers: "", named: [], redirected: []),
    Row(host: "[2606:2800:21f::1]", answers: "", named: [], redirected: []),
    Row(host: "[::ffff:8.8.8.8]", answers: "", named: [], redirected: []),
    Row(host: "[64:ff9b::8.8.8.8]", answers: "", named: [], redirected: []),
    Row(host: "[2002:808:808::]", answers: "", named: [], redirected: []),
    Row(host: "xn--bcher-kva.example", answers: "93.184.215.14", named: [], redirected: []),

    Row(host: "localhost", answers: "127.0.0.1", named: [], redirected: .privates, isMachine: true),
    Row(host: "LOCALHOST.", answers: "127.0.0.1 ::1", named: [], redirected: .privates, isMachine: true),
    Row(host: "app.localhost", answers: "127.0.0.1", named: [], redirected: .privates, isMachine: true),
    Row(host: "127.0.0.1", answers: "", named: [], redirected: .privates, isMachine: true),
    Row(host: "127.0.0.1.", answers: "", named: [], redirected: .privates, isMachine: true),
    Row(host: "127.8.9.10", answers: "", named: [], redirected: .privates, isMachine: true),
    Row(host: "[::1]", answers: "", named: [], redirected: .privates, isMachine: true),
    Row(host: "[0:0:0:0:0:0:0:1]", answers: "", named: [], redirected: .privates, isMachine: true),
    Row(host: "[::ffff:127.0.0.1]", answers: "", named: [], redirected: .privates, isMachine: true),
    Row(host: "[::ffff:7f00:1]", answers: "", named: [], redirected: .privates, isMachine: true),
    // A name that is not this machine's and leads here: rebinding. Not more open for resolving to it over plain http.
    Row(host: "evil.example", answers: "127.0.0.1", named: .privates, redirected: .privates),
    Row(host: "evil.example", answers: "93.184.215.14 127.0.0.1", named: .privates, redirected: .privates),
    Row(host: "evil.example", answers: "127.0.0.1 93.184.215.14", named: .privates, redirected: .privates),
    Row(host: "evil.example", answers: "::ffff:127.0.0.1", named: .privates, redirected: .privates),
    Row(host: "notlocalhost", answers: "127.0.0.1", named: .privates, redirected: .privates),
    Row(host: "localhost.evil.example", answers: "127.0.0.1", named: .privates, redirected: .privates),

    Row(host: "10.0.0.1", answers: "", named: .privates, redirected: .privates),
    Row(host: "172.16.5.4", answers: "", named: .privates, redirected: .privates),
    Row(host: "192.168.1.1", answers: "", named: .privates, redirected: .privates),
    Row(host: "100.64.0.1", answers: "", named: .privates, redirected: .privates),
    Row(host: "[fd00::1]", answers: "", named: .privates, redirected: .privates),
    Row(host: "[::ffff:10.0.0.1]", answers: "", named: .privates, redirected: .privates),
    Row(host: "[64:ff9b::10.0.0.1]", answers: "", named: .privates, redirected: .privates),
    Row(host: "[64:ff9b:1::1]", answers: "", named: .privates, redirected: .privates),
    Row(host: "[2002:a00:1::]", answers: "", named: .privates, redirected: .privates),
    Row(host: "[64:ff9b::127.0.0.1]", answers: "", named: .privates, redirected: .privates),
    Row(host: "[2002:7f00:1::]", answers: "", named: .privates, redirected: .privates),
    Row(host: "[::127.0.0.1]", answers: "", named: .privates, redirected: .privates),
    Row(host: "db.corp.example", answers: "10.0.0.1", named: .privates, redirected: .privates),
    Row(host: "mixed.example", answers: "93.184.215.14 10.0.0.1", named: .privates, redirected: .privates),
    Row(host: "mixed.example", answers: "93.184.215.14 fd00::1", named: .privates, redirected: .privates),

    Row(host: "169.254.169.254", answers: "", named: .privates, redirected: .privates),
    Row(host: "[fe80::1]", answers: "", named: .privates, redirected: .privates),
    Row(host: "[::ffff:169.254.169.254]", answers: "", named: .privates, redirected: .privates),
    Row(host: "[64:ff9b::169.254.169.254]", answers: "", named: .privates, redirected: .privates),
    Row(host: "metadata.example", answers: "169.254.169.254", named: .privates, redirected: .privates),
    Row(host: "192.0.2.1", answers: "", named: .privates, redirected: .privates),
    Row(host: "198.18.0.1", answers: "", named: .privates, redirected: .privates),
    Row(host: "240.0.0.1", answers: "", named: .privates, redirected: .privates),
    Row(host: "[2001::1]", answers: "", named: .privates, redirected: .privates),

    Row(host: "0.0.0.0", answers: "", named: nil, redirected: nil),
    Row(host: "[::]", answers: "", named: nil, redirected: nil),
    Row(host: "[::ffff:0.0.0.0]", answers: "", named: nil, redirected: nil),
    Row(host: "224.0.0.1", answers: "", named: nil, redirected: nil),
    Row(host: "255.255.255.255", answers: "", named: nil, redirected: nil),
    Row(host: "[ff02::1]", answers: "", named: nil, redirected: nil),
    Row(host: "zero.example", answers: "0.0.0.0", named: nil, redirected: nil),
    Row(host: "zero.example", answers: "93.184.215.14 ::", named: nil, redirected: nil),
    Row(host: "127.1", answers: "127.0.0.1", named: nil, redirected: nil),
    Row(host: "0x7f.1", answers: "127.0.0.1", named: nil, redirected: nil),
    Row(host: "2130706433", answers: "127.0.0.1", named: nil, redirected: nil),
    Row(host: "0177.0.0.1", answers: "127.0.0.1", named: nil, redirected: nil),
    Row(host: "bücher.example", answers: "93.184.215.14", named: nil, redirected: nil),
    Row(host: "user:secret@example.com", answers: "93.184.215.14", named: nil, redirected: nil),
  ]

  /// The failure of the whole way from a URL to its dial; nil: dialled.
  private func refusal(_ url: String, _ answers: String, _ policy: NetworkPolicy, from: String?) -> NetworkFailure? {
    do throws(NetworkFailure) {
      let parts = try URLParts(url)
      let before: DialPermit? =
        if let from { try NetworkPolicy(allowHTTP: true).permit(try URLParts(from)) } else { nil }
      let permit = try policy.permit(parts, after: before)
      try permit.check(
        (parts.address.map { [$0] } ?? []) + answers.split(separator: " ").compactMap { NetworkAddress($0) })
      return nil
    } catch {
      return error
    }
  }

  @Test(arguments: rows) func matrix(_ row: Row) {
    for (scheme, isPlain) in [("https", false), ("wss", false), ("http", true), ("ws", true)] {
      for flags in Flags.all {
        for (from, base) in [
          (nil, row.named), ("https://example.org/", row.redirected), ("http://example.org/", row.redirected),
          ("http://localhost/", row.named), ("https://[::1]/", row.named),
        ] {
          let url = "\(scheme)://\(row.host)/events"
          let needs = base.map { isPlain && !row.isMachine ? $0.union(.http) : $0 }
          let refusal = refusal(url, row.answers, flags.policy, from: from)
          let isAllowed = needs?.isSubset(of: flags) ?? false
          #expect((refusal == nil) == isAllowed, "\(url) → \(row.answers), \(flags), after \(from ?? "nothing")")
          // A refusal names a flag that would be of use, or says how to write it.
          if let refusal, let needs {
            let hint = refusal.hint ?? ""
            #expect(
              needs.subtracting(flags).contains(.http) && hint.contains("--stream-allow-http")
                || needs.subtracting(flags).contains(.privates) && hint.contains("--stream-allow-private"),
              "\(url): \(refusal)")
          }
        }
      }
    }
  }

  @Test func theNameOfThisMachineLeadsToThisMachine() {
    // A hosts file or a name server that says otherwise gets no plain connection.
    #expect(refusal("http://localhost/", "93.184.215.14", NetworkPolicy(), from: nil)?.code == "NotAllowed")
    #expect(refusal("http://localhost/", "127.0.0.1 93.184.215.14", NetworkPolicy(), from: nil)?.code == "NotAllowed")
    #expect(refusal("http://localhost/", "10.0.0.1", NetworkPolicy(), from: nil)?.code == "NotAllowed")
    #expect(
      refusal("http://localhost/", "10.0.0.1", NetworkPolicy(allowPrivate: true), from: nil)?.code == "NotAllowed")
  }

  @Test func domainsNarrow() throws {
    let rows: [(list: String, allowed: String, refused: String)] = [
      ("a.com", "a.com A.COM a.com. a.com:8443", "b.com xa.com a.com.evil.com sub.a.com localhost 93.184.215.14"),
      ("*.b.com", "x.b.com x.y.b.com", "b.com xb.com b.com.evil.com"),
      ("a.com *.b.com b.com", "a.com b.com x.b.com", "x.a.com"),
      ("localhost", "localhost localhost.", "127.0.0.1 app.localhost [::1]"),
      ("127.0.0.1 ::1", "127.0.0.1 [::1] [0::1]", "localhost 127.0.0.2 [::ffff:127.0.0.1]"),
      ("A.Com.", "a.com", "b.com"),
    ]
    for row in rows {
      let domains = try row.list.split(separator: " ").map { try #require(DomainPattern($0), "\($0)") }
      let policy = NetworkPolicy(domains: domains)
      for host in row.allowed.split(separator: " ") {
        #expect(refusal("https://\(host)/", "", policy, from: nil) == nil, "\(host) by \(row.list)")
      }
      for host in row.refused.split(separator: " ") {
        for from in [nil, "https://a.com/"] {
          let refusal = refusal("https://\(host)/", "", policy, from: from)
          #expect(refusal?.hint?.contains("--stream-allow-domains") == true, "\(host) by \(row.list)")
        }
      }
      // It narrows; it opens nothing.
      #expect(refusal("http://a.com/", "93.184.215.14", policy, from: nil) != nil)
    }
    for text in [
      "", "*", "*.", "a b", "a.com/x", "a.com:80", "https://a.com", "*.127.0.0.1", "127.1", "a*.com", "u@a.com",
      "bü.de",
    ] {
      #expect(DomainPattern(text) == nil, "\(text)")
    }
  }

  @Test func proxies() throws {
    let rows: [(environment: [String: String], url: String, proxy: String?)] = [
      ([:], "http://a.com", nil),
      (["http_proxy": "http://p:1"], "http://a.com", "http://p:1"), (["HTTP_PROXY": "p:1"], "http://a.com", "p:1"),
      (["http_proxy": "http://p:1"], "https://a.com", nil), (["https_proxy": "http://p:1"], "http://a.com", nil),
      (["HTTPS_PROXY": "http://p:1"], "https://a.com", "http://p:1"),
      (["http_proxy": "low", "HTTP_PROXY": "up"], "http://a.com", "low"),
      (["ALL_PROXY": "socks5://p"], "http://a.com", "socks5://p"),
      (["all_proxy": "a", "http_proxy": "h"], "http://a.com", "h"),
      (["http_proxy": "", "all_proxy": "a"], "http://a.com", "a"),
      (["HTTP_PROXY": "client", "REQUEST_METHOD": "GET"], "http://a.com", nil),
      (["http_proxy": "p", "no_proxy": "*"], "http://a.com", nil),
      (["http_proxy": "p", "no_proxy": "b.com, a.com"], "http://a.com", nil),
      (["http_proxy": "p", "NO_PROXY": ".a.com"], "http://x.a.com", nil),
      (["http_proxy": "p", "no_proxy": "a.com"], "http://xa.com", "p"),
      (["http_proxy": "p", "no_proxy": "A.com."], "http://x.a.com", nil),
      (["http_proxy": "p", "no_proxy": "a.com:81"], "http://a.com", "p"),
      (["http_proxy": "p", "no_proxy": "a.com:80"], "http://a.com", nil),
      (["http_proxy": "p", "no_proxy": "localhost,127.0.0.1"], "http://127.0.0.1:99", nil),
      (["http_proxy": "p", "no_proxy": "10.0.0.0/8"], "http://10.9.8.7", nil),
      (["http_proxy": "p", "no_proxy": "10.0.0.0/8"], "http://11.0.0.1", "p"),
      (["http_proxy": "p", "no_proxy": "::1,fd00::/8"], "http://[fd12::1]", nil),
      (["http_proxy": "p", "no_proxy": "[::1]:80"], "http://[::1]", nil),
      (["http_proxy": "p", "no_proxy": "0.0.0.0/0"], "http://[::1]", "p"),
      (["http_proxy": "p", "no_proxy": ","], "http://a.com", "p"),
      (["http_proxy": "p", "no_proxy": "0.0.1"], "http://127.0.0.1", "p"),
    ]
    for row in rows {
      let settings = ProxySettings(FixedEnvironment(row.environment))
      #expect(settings.proxy(for: try URLParts(row.url)) == row.proxy, "\(row.environment) \(row.url)")
    }
  }
}
