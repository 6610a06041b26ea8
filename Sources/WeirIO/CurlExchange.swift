import CCurl
import WeirCore

/// One request as its caller sees it: a transfer, or several in a row when redirects are followed.
///
/// Redirects are followed here rather than by libcurl, which would carry key headers it does not know to be secret
/// (`x-api-key`) to another origin.
final class CurlExchange: HTTPExchange {
  /// Body of a redirect that is read so that its connection can be used again; a longer one is cut off.
  static let redirectBodyLimit = 65_536
  /// All that may go along to an origin which the caller did not name; credentials have too many names to list.
  static let headersForStrangers: Set<String> = [
    "accept", "accept-encoding", "accept-language", "cache-control", "content-encoding", "content-type",
    "last-event-id",
    "user-agent",
  ]

  private var request: HTTPClientRequest
  private var handler: (any HTTPResponseHandler)?
  private var engine: CurlEngine?
  private var transfer: CurlTransfer?
  private var redirectsFollowed = 0
  private var redirectTarget: String?
  private var discarded = 0
  private var permit: DialPermit?
  private var lookup: (any Cancellable)?
  private var lookupLimit: (any Cancellable)?

  var isReading = true {
    didSet {
      guard isReading != oldValue, let transfer else { return }
      transfer.wantsReading = isReading
      if isReading, transfer.isPaused { scheduleResume(transfer) }
    }
  }

  init(_ request: HTTPClientRequest, _ handler: any HTTPResponseHandler) {
    self.request = request
    self.handler = handler
  }

  /// Later, not inside the caller: libcurl hands over what it holds at once when told to go on.
  private func scheduleResume(_ transfer: CurlTransfer) {
    engine?.loop.soon { [weak engine] in engine?.resume(transfer) }
  }

  func begin(_ engine: CurlEngine) {
    self.engine = engine
    do throws(NetworkFailure) {
      let url = try URLParts(request.url, schemes: ["http", "https"])
      permit = try request.policy?.permit(url, after: permit)
      request.url = url.text
      let proxy = request.usesProxy ? engine.outside.proxies.proxy(for: url) : nil
      let route = CurlRoute(url: url, permit: permit, proxy: proxy)
      // A proxy resolves names itself, and where it is was the user's choice.
      if let permit, route.proxy == nil, url.address == nil {
        resolve(route, permit, engine)
      } else {
        open(route, engine)
      }
    } catch {
      engine.loop.soon { self.finish(error) }
    }
  }

  private func open(_ route: CurlRoute, _ engine: CurlEngine) {
    switch CurlTransfer.make(request, route, self, engine) {
    case .success(let transfer):
      self.transfer = transfer
      transfer.wantsReading = isReading
      engine.add(transfer)
    case .failure(let failure): engine.loop.soon { self.finish(failure) }
    }
  }

  private func resolve(_ route: CurlRoute, _ permit: DialPermit, _ engine: CurlEngine) {
    lookupLimit = engine.loop.after(request.connectTimeout) { [self] in
      endLookup()
      finish(.timedOut(what: "looking up \"\(route.url.host)\""))
    }
    lookup = engine.outside.resolver.resolve(SocketAddress(host: route.url.host, port: route.url.port)) { [self] in
      endLookup()
      do throws(NetworkFailure) {
        var route = route
        route.addresses = try $0.get().map(\.address)
        try permit.check(route.addresses)
        open(route, engine)
      } catch {
        finish(error)
      }
    }
  }

  private func endLookup() {
    lookup?.cancel()
    lookup = nil
    lookupLimit?.cancel()
    lookupLimit = nil
  }

  func cancel() {
    handler = nil
    endLookup()
    guard let transfer else { return }
    self.transfer = nil
    transfer.isCancelled = true
    engine?.remove(transfer)
  }

  func finish(_ failure: NetworkFailure?) {
    transfer = nil
    handler.take()?.httpFinished(failure)
  }

  // MARK: From the transfer

  func received(_ head: HTTPResponseHead) {
    redirectTarget = nil
    discarded = 0
    if request.redirectLimit > 0, [301, 302, 303, 307, 308].contains(head.status), let place = head["location"] {
      redirectTarget = place
    } else {
      handler?.httpReceived(head: head)
    }
  }

  /// False: nothing more is wanted of this transfer.
  func received(_ bytes: Span<UInt8>, status: Int) -> Bool {
    if redirectTarget != nil {
      discarded += bytes.count
      return discarded <= Self.redirectBodyLimit
    }
    handler?.httpReceived(body: bytes)
    return handler != nil
  }

  func ended(_ failure: NetworkFailure?, status: Int) {
    guard let place = redirectTarget, let engine else {
      finish(failure)
      return
    }
    transfer = nil
    redirectTarget = nil
    if let refusal = follow(place, status: status, engine.library) { finish(refusal) } else { begin(engine) }
  }

  /// RFC 9110 section 15.4.
  private func follow(_ place: String, status: Int, _ library: CurlLibrary) -> NetworkFailure? {
    guard redirectsFollowed < request.redirectLimit else { return .tooManyRedirects(request.redirectLimit) }
    redirectsFollowed += 1
    guard let from = CurlURL(request.url, library), let to = CurlURL(place, relativeTo: request.url, library) else {
      return .badURL(CurlURL.redacted(place))
    }
    if from.scheme == "https", to.scheme != "https", request.policy?.allowHTTP != true {
      return .protocolViolation("redirected from https to \(to.scheme), which was not followed")
    }
    let method = request.method.uppercased()
    if status == 303 && method != "HEAD" || (status == 301 || status == 302) && method == "POST" {
      request.method = "GET"
      request.body = nil
      request.headers.removeAll { $0.name.lowercased().hasPrefix("content-") }
    }
    if from.origin != to.origin {
      request.headers.removeAll { !Self.headersForStrangers.contains($0.name.lowercased()) }
    }
    request.url = to.text
    return nil
  }
}

/// A URL taken apart and put together by libcurl, so that what we check is what it will use.
struct CurlURL {
  var text: String
  var scheme: String
  var host: String
  var port: String
  /// Lower case, without the brackets of an IPv6 address.
  var name: String { (host.first == "[" ? String(host.dropFirst().dropLast()) : host).lowercased() }
  var origin: String { "\(scheme)://\(host.lowercased()):\(port)" }

  init?(_ text: String, relativeTo base: String? = nil, _ library: CurlLibrary) {
    let curl = library.functions
    guard !text.utf8.contains(0), let url = curl.url() else { return nil }
    defer { curl.url_cleanup(url) }
    if let base, curl.url_set(url, CURLUPART_URL, base, 0) != CURLUE_OK { return nil }
    guard curl.url_set(url, CURLUPART_URL, text, 0) == CURLUE_OK else { return nil }
    func part(_ part: CURLUPart, _ flags: Int32 = 0) -> String? {
      var found: UnsafeMutablePointer<CChar>?
      guard curl.url_get(url, part, &found, UInt32(flags)) == CURLUE_OK, let found else { return nil }
      defer { curl.free(found) }
      return String(cString: found)
    }
    guard let whole = part(CURLUPART_URL), let scheme = part(CURLUPART_SCHEME), let host = part(CURLUPART_HOST),
      let port = part(CURLUPART_PORT, CURLU_DEFAULT_PORT), scheme == "http" || scheme == "https"
    else { return nil }
    self.text = whole
    self.scheme = scheme
    self.host = host
    self.port = port
  }

  /// Without what may be secret in it: user and password, query, fragment.
  static func redacted(_ url: String) -> String {
    let path = String(url.prefix { $0 != "?" && $0 != "#" })
    guard let scheme = path.range(ofText: "://") else { return path }
    let rest = path[scheme.upperBound...]
    let authority = rest.prefix { $0 != "/" }
    guard let at = authority.lastIndex(of: "@") else { return path }
    return String(path[..<scheme.upperBound] + rest[rest.index(after: at)...])
  }
}
