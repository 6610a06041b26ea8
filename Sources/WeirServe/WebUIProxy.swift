import WeirCore
import WeirNet
import WeirWire

/// `weir webui`: the chat page in front of servers elsewhere. It serves the page and hands everything else on: below
/// `/b/<n>` to backend n, any other path to the first. It knows no workflow and reads no body.
///
/// It never buffers: what arrived in a turn of the loop leaves at its end. A slow client stops the reading of the
/// backend, a client that is gone ends the backend's request; a backend that is dead is a 502 the page can explain.
package final class WebUIProxy {
  /// Until the head of an answer. JSON answers of long runs begin when the run is over, so it is long.
  package static let headTimeout = Duration.seconds(900)
  /// A backend is near; one that takes longer to accept is as good as dead to whoever watches the page.
  package static let connectTimeout = Duration.seconds(5)
  /// Backends of one page: they are listed in its side bar.
  package static let backendLimit = 16

  let world: World
  private let names: [String]
  private let urls: [String]
  private let access: AccessPolicy
  private let backendToken: String?

  /// Backends as `host:port` or a URL without a path. `token` is sent to them, and never to the page.
  package init(
    backends: [String], configuration: ServeConfiguration = ServeConfiguration(), backendToken: String? = nil,
    world: World
  ) throws(ServeFailure) {
    guard backends.count <= Self.backendLimit else { throw .badBackend("more than \(Self.backendLimit) of them") }
    var urls: [String] = []
    for backend in backends { urls.append(try Self.url(backend)) }
    guard !urls.isEmpty else { throw .badBackend("none") }
    names = backends
    self.urls = urls
    self.world = world
    self.backendToken = backendToken
    access = AccessPolicy(configuration)
  }

  package func handle(_ request: HTTPRequest, _ responder: any HTTPResponder) {
    do {
      try serve(request, responder)
    } catch {
      responder.send(Reply(error))
    }
  }

  private func serve(_ request: HTTPRequest, _ responder: any HTTPResponder) throws(ServeFailure) {
    try access.checkHost(request)
    if request.path == "/healthz" { return responder.send(Reply(["status": "ok"])) }
    if let login = access.login(request) { return responder.send(login) }
    try access.checkToken(request)
    if request.path == "/" {
      guard request.method == "GET" || request.method == "HEAD" else {
        throw .methodNotAllowed(method: request.method, path: "/", allow: ["GET", "HEAD"])
      }
      return responder.send(ChatPage.reply(backends: names))
    }
    // The backend sees no browser any more, so what a browser says about pages elsewhere is judged here. A GET may
    // start a run as well.
    try access.checkOrigin(request)
    let (backend, path) = try target(request.path)
    let exchange = ProxyExchange(responder, backend: names[backend], loop: world.loop)
    exchange.start(outgoing(request, to: urls[backend] + path), over: world.http)
  }

  private func target(_ path: String) throws(ServeFailure) -> (backend: Int, path: String) {
    guard path.hasPrefix("/b/") else { return (0, escapedPath(path)) }
    let rest = path.dropFirst("/b/".utf8.count)
    let digits = rest.prefix { $0 != "/" }
    guard let backend = Int(digits), urls.indices.contains(backend) else { throw .notFound(path: path) }
    let below = rest.dropFirst(digits.count)
    return (backend, below.isEmpty ? "/" : escapedPath(String(below)))
  }

  private func outgoing(_ request: HTTPRequest, to url: String) -> HTTPClientRequest {
    var headers = request.headers.filter { !ProxyHeaders.isDropped(fromRequest: $0.name) }
    if let backendToken { headers.append(("Authorization", "Bearer \(backendToken)")) }
    let hasBody = !request.body.isEmpty || request.method == "POST" || request.method == "PUT"
    var outgoing = HTTPClientRequest(
      method: request.method, url: request.query.isEmpty ? url : "\(url)?\(request.query)", headers: headers,
      body: hasBody ? request.body : nil)
    outgoing.connectTimeout = Self.connectTimeout
    return outgoing
  }

  private static func url(_ backend: String) throws(ServeFailure) -> String {
    var rest = backend[...]
    var scheme = "http://"
    for known in ["http://", "https://"] where backend.lowercased().hasPrefix(known) {
      scheme = known
      rest = rest.dropFirst(known.utf8.count)
    }
    if rest.last == "/" { rest = rest.dropLast() }
    let isPlain = rest.utf8.allSatisfy { byte in
      switch byte {
      case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: ":"),
        UInt8(ascii: "["), UInt8(ascii: "]"), UInt8(ascii: "_"):
        true
      default: false
      }
    }
    guard isPlain, !rest.isEmpty, rest.first != ":", rest.last != ":" else { throw .badBackend("\"\(backend)\"") }
    return scheme + rest
  }
}

/// Fields that belong to one connection or to the browser's own origin, and so stop at a proxy (RFC 9110 7.6.1).
enum ProxyHeaders {
  private static let ofConnection: Set<String> = [
    "connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization", "te", "trailer",
    "transfer-encoding", "upgrade", "content-length",
  ]
  private static let ofBrowser: Set<String> = [
    "host", "origin", "referer", "cookie", "accept-encoding", "expect", "priority", "upgrade-insecure-requests",
  ]

  static func isDropped(fromRequest name: String) -> Bool {
    let name = name.lowercased()
    return ofConnection.contains(name) || ofBrowser.contains(name) || name.hasPrefix("sec-")
  }

  /// The transport has undone the encoding; a cookie of the backend would be one of this origin.
  static func isDropped(fromResponse name: String) -> Bool {
    let name = name.lowercased()
    return ofConnection.contains(name) || ["date", "content-encoding", "set-cookie", "server"].contains(name)
  }
}

/// One request on its way through: bytes from the transport to the client, a turn at a time.
final class ProxyExchange: HTTPResponseHandler, HTTPResponseObserver {
  private let backend: String
  private let loop: any Loop
  private var responder: (any HTTPResponder)?
  private var upstream: (any HTTPExchange)?
  private var headTimer: (any Cancellable)?
  /// What arrived in this turn, or what the client's socket has no room for: one turn's bytes and a chunk at most,
  /// since nothing more is read while it is not empty.
  private var pending: [UInt8] = []
  private var isBegun = false
  private var isComplete = false
  private var isFlushSet = false

  init(_ responder: any HTTPResponder, backend: String, loop: any Loop) {
    self.responder = responder
    self.backend = backend
    self.loop = loop
  }

  func start(_ request: HTTPClientRequest, over http: any HTTPTransport) {
    responder?.observer = self
    headTimer = loop.after(WebUIProxy.headTimeout) { [self] in fail("no answer in time") }
    let exchange = http.start(request, handler: self)
    if responder == nil { exchange.cancel() } else { upstream = exchange }
  }

  // MARK: From the backend

  func httpReceived(head: HTTPResponseHead) {
    headTimer?.cancel()
    headTimer = nil
    guard let responder else { return }
    isBegun = true
    responder.begin(
      status: head.status, headers: head.headers.filter { !ProxyHeaders.isDropped(fromResponse: $0.name) })
  }

  func httpReceived(body: Span<UInt8>) {
    guard responder != nil else { return }
    body.withUnsafeBufferPointer { pending.append(contentsOf: $0) }
    setFlush()
  }

  func httpFinished(_ failure: NetworkFailure?) {
    upstream = nil
    if let failure { return fail(failure.message) }
    isComplete = true
    setFlush()
  }

  // MARK: To the client

  private func setFlush() {
    if isFlushSet { return }
    isFlushSet = true
    loop.atEndOfTurn { [self] in
      isFlushSet = false
      flush()
    }
  }

  private func flush() {
    guard let responder else { return }
    if !pending.isEmpty {
      let offered = pending  // another reference, so that nothing the connection does can overlap this access
      let taken = responder.send(offered.span)
      if taken < pending.count {
        pending.removeFirst(taken)
        upstream?.isReading = false
        return
      }
      pending.removeAll(keepingCapacity: true)
      upstream?.isReading = true
    }
    if isComplete {
      leave()
      responder.finish()
    }
  }

  func responseBecameWritable() { setFlush() }

  func responseCancelled() {
    upstream?.cancel()
    leave()
  }

  /// Before the head there is a way to say it; after it only the connection itself can.
  private func fail(_ why: String) {
    guard let responder else { return }
    upstream?.cancel()
    leave()
    if isBegun { responder.abort() } else { responder.send(Reply(.backendUnavailable(address: backend, why: why))) }
  }

  private func leave() {
    headTimer?.cancel()
    headTimer = nil
    upstream = nil
    responder?.observer = nil
    responder = nil
    pending = []
  }
}
