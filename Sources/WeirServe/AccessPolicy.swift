import WeirCore
import WeirNet
import WeirStore
import WeirWire

/// Who may ask: the server's token, the names it answers to, and which pages may change something. Pure.
///
/// There is no CORS but for streams and named origins: no other page can read an answer. What remains is that a page can
/// *send* (forms, images, `EventSource`), so whatever starts or stops a run checks where the browser says the request
/// came from. Programs send none of these headers and are not hindered.
package struct AccessPolicy: Sendable {
  package var token: String?
  package var hosts: [String]
  package var origins: [String]
  private let linkSecret: [UInt8]?
  private let publicStreams: Bool

  static let cookie = "weir_token"

  package init(_ configuration: ServeConfiguration) {
    token = configuration.token
    hosts = configuration.hosts.map { $0.lowercased() }
    origins = configuration.origins.map { $0.lowercased() }
    linkSecret = configuration.linkSecret
    publicStreams = configuration.publicStreams
  }

  /// What somebody may do with a stream.
  struct Caller {
    var rights: StreamLink.Rights
    /// By a link, so with this stream alone.
    var isLink: Bool
    /// When the link is over: seconds since 1970.
    var expires: Int64?
  }

  /// By a link, or by what opens the whole server.
  func caller(
    _ request: HTTPRequest, _ query: QueryString?, _ stream: StreamName?, now: Int64
  ) throws(ServeFailure) -> Caller {
    if let query, query["signature"] != nil, let stream {
      let link = try StreamLink.verified(query, stream, secret: linkSecret, now: now)
      return Caller(rights: link.rights, isLink: true, expires: link.expires)
    }
    try checkToken(request)
    return Caller(rights: token != nil || publicStreams ? .all : .read, isLink: false)
  }

  func checkHost(_ request: HTTPRequest) throws(ServeFailure) {
    guard !hosts.isEmpty, let host = request["Host"]?.lowercased() else { return }
    if hosts.contains(host) || hosts.contains(String(Self.name(of: host))) { return }
    throw .forbiddenHost(String(host.prefix(100)))
  }

  func checkToken(_ request: HTTPRequest) throws(ServeFailure) {
    guard let token else { return }
    let bearer = BearerToken.read(request["Authorization"])
    let cookie = request["Cookie"]?.split(separator: ";").lazy.map { $0.drop { $0 == " " } }
      .first { $0.hasPrefix("\(Self.cookie)=") }?.dropFirst(Self.cookie.utf8.count + 1)
    guard let given = bearer ?? cookie.map(String.init), Self.isSame(given, token) else { throw .unauthorized }
  }

  /// `/?token=…`, the link that is printed at the start: the token moves into a cookie that scripts can't read, and
  /// out of the address bar and the history. nil: not such a request.
  func login(_ request: HTTPRequest) -> Reply? {
    guard let token, request.path == "/", request.method == "GET", !request.query.isEmpty,
      let given = (try? QueryString(request.query))?["token"]
    else { return nil }
    guard Self.isSame(given, token) else { return Reply(.unauthorized) }
    return Reply(
      status: 303,
      headers: [
        ("Location", "/"), ("Cache-Control", "no-store"),
        ("Set-Cookie", "\(Self.cookie)=\(given); Path=/; HttpOnly; SameSite=Strict"),
      ])
  }

  /// For whatever changes something, GET included where GET starts a run.
  func checkOrigin(_ request: HTTPRequest) throws(ServeFailure) {
    if let origin = request["Origin"]?.lowercased() {
      if origins.contains(origin) { return }
      let authority = origin.split(separator: "/", omittingEmptySubsequences: true).last.map(String.init) ?? origin
      guard origin != "null", authority == request["Host"]?.lowercased() else {
        throw .forbiddenOrigin(String(origin.prefix(100)))
      }
    } else if let site = request["Sec-Fetch-Site"]?.lowercased(), site == "cross-site" || site == "same-site" {
      // `<img src="http://localhost:8080/chat?message=…">`: no Origin, but browsers say this much.
      throw .forbiddenOrigin("another site")
    }
  }

  /// Host without its port; `[::1]:80` keeps its brackets.
  private static func name(of host: String) -> Substring {
    guard let colon = host.utf8.lastIndex(of: UInt8(ascii: ":")), host.utf8.last != UInt8(ascii: "]") else {
      return host[...]
    }
    return host[..<colon]
  }

  /// Takes as long whether the first byte differs or the last.
  static func isSame(_ given: String, _ token: String) -> Bool {
    let given = Array(given.utf8)
    let token = Array(token.utf8)
    var difference = UInt8(given.count == token.count ? 0 : 1)
    for index in token.indices { difference |= token[index] ^ (given.isEmpty ? 0 : given[index % given.count]) }
    return difference == 0
  }
}
