import CCurl
import CWeir
import Glibc
import WeirCore

/// How a request goes out, decided before libcurl hears of it.
struct CurlRoute {
  let url: URLParts
  /// Of the policy; nil: the place is the user's own configuration.
  let permit: DialPermit?
  let proxy: String?
  /// What the name was resolved to, if a policy had to see that.
  var addresses: [NetworkAddress] = []
}

/// One easy handle: a request set up, its answer's head put together, its result told in our words.
final class CurlTransfer {
  /// Head of a response, all lines together.
  static let headLimit = 262_144
  /// The receive buffer of a transfer. Measured: 1.8 times the throughput of libcurl's 16 KB.
  static let bufferSize = 102_400
  static let errorBufferSize = Int(CURL_ERROR_SIZE)

  let easy: UnsafeMutableRawPointer
  var isPaused = false
  var wantsReading = true
  var isCancelled = false
  private let library: CurlLibrary
  private let exchange: CurlExchange
  private let url: CurlURL
  private let decodes: Bool
  private let errorBuffer = UnsafeMutablePointer<CChar>.allocate(capacity: CurlTransfer.errorBufferSize)
  private let route: CurlRoute
  private var list: UnsafeMutablePointer<curl_slist>?
  private var addresses: UnsafeMutablePointer<curl_slist>?
  private var isFreed = false
  private var head = HTTPResponseHead(status: 0, headers: [])
  private var headSize = 0
  private var hasHead = false
  private var failure: NetworkFailure?

  static func make(
    _ request: HTTPClientRequest, _ route: CurlRoute, _ exchange: CurlExchange, _ engine: CurlEngine
  ) -> Result<CurlTransfer, NetworkFailure> {
    guard let url = CurlURL(request.url, engine.library) else {
      return .failure(.badURL(CurlURL.redacted(request.url)))
    }
    // What was checked is what is asked: two readers of one URL must agree about its host.
    guard url.name == route.url.host, url.port == String(route.url.port) else {
      return .failure(.badURL("\(route.url.shown) is read in two ways"))
    }
    if let wrong = refusal(request) { return .failure(.protocolViolation(wrong)) }
    guard let easy = engine.library.functions.easy_init() else {
      return .failure(.unavailable("no memory for a request"))
    }
    let transfer = CurlTransfer(easy, url, request, route, exchange, engine)
    transfer.setUp(request, engine)
    return .success(transfer)
  }

  private init(
    _ easy: UnsafeMutableRawPointer, _ url: CurlURL, _ request: HTTPClientRequest, _ route: CurlRoute,
    _ exchange: CurlExchange, _ engine: CurlEngine
  ) {
    self.easy = easy
    self.route = route
    self.url = url
    self.exchange = exchange
    library = engine.library
    decodes = request.headers.contains {
      $0.name.lowercased() == "accept-encoding" && $0.value.lowercased() != "identity"
    }
    errorBuffer.initialize(repeating: 0, count: Self.errorBufferSize)
  }

  deinit { free() }

  /// After the handle has left the multi.
  func free() {
    if isFreed { return }
    isFreed = true
    library.functions.easy_cleanup(easy)
    library.functions.slist_free_all(list)
    library.functions.slist_free_all(addresses)
    errorBuffer.deallocate()
  }

  // MARK: The request

  /// A line break in a header would be a second header of somebody's choosing.
  private static func refusal(_ request: HTTPClientRequest) -> String? {
    func isToken(_ text: String) -> Bool {
      !text.isEmpty
        && text.utf8.allSatisfy {
          switch $0 {
          case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
          default: "!#$%&'*+-.^_`|~".utf8.contains($0)
          }
        }
    }
    if !isToken(request.method) { return "not a request method: \(request.method.debugDescription)" }
    for (name, value) in request.headers {
      if !isToken(name) { return "not a header name: \(name.debugDescription)" }
      if value.utf8.contains(where: { $0 < 0x20 && $0 != 0x09 || $0 == 0x7f }) {
        return "the value of header \(name) has a control character"
      }
    }
    return nil
  }

  private func setUp(_ request: HTTPClientRequest, _ engine: CurlEngine) {
    let table = library.table
    func set(_ option: CURLoption, _ value: Int) { _ = weir_easy_long(table, easy, option, value) }
    func set(_ option: CURLoption, _ value: UnsafeRawPointer?) { _ = weir_easy_pointer(table, easy, option, value) }
    func set(_ option: CURLoption, _ text: String) { text.withCString { set(option, UnsafeRawPointer($0)) } }
    set(CURLOPT_NOSIGNAL, 1)
    // Without it a cancel during a name lookup would wait for the lookup, and the loop with it.
    set(CURLOPT_QUICK_EXIT, 1)
    set(CURLOPT_ERRORBUFFER, UnsafeRawPointer(errorBuffer))
    set(CURLOPT_URL, url.text)
    if weir_easy_pointer(table, easy, CURLOPT_PROTOCOLS_STR, "http,https") != CURLE_OK {
      set(CURLoption(181), 3)  // CURLOPT_PROTOCOLS before 7.85: HTTP | HTTPS
    }
    set(CURLOPT_HTTP_VERSION, Int(CURL_HTTP_VERSION_2TLS))
    set(CURLOPT_FOLLOWLOCATION, 0)
    set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1)
    set(CURLOPT_BUFFERSIZE, Self.bufferSize)
    set(CURLOPT_TCP_NODELAY, 1)
    set(CURLOPT_TCP_KEEPALIVE, 1)
    set(CURLOPT_CONNECTTIMEOUT_MS, max(1, Int(clamping: request.connectTimeout.milliseconds)))
    if let trust = engine.outside.trustFile { set(CURLOPT_CAINFO, trust) }
    setUpBody(request, set, set, set)
    setUpHeaders(request)
    set(CURLOPT_HTTPHEADER, UnsafeRawPointer(list))
    if decodes, let wanted = request.headers.first(where: { $0.name.lowercased() == "accept-encoding" }) {
      set(CURLOPT_ACCEPT_ENCODING, wanted.value)
    }
    let own = UnsafeRawPointer(Unmanaged.passUnretained(self).toOpaque())
    setUpRoute(own, set, set)
    set(CURLOPT_HEADERDATA, own)
    _ = weir_easy_data(table, easy, CURLOPT_HEADERFUNCTION) { bytes, size, count, transfer in
      guard let bytes, let transfer else { return 0 }
      let line = UnsafeRawBufferPointer(start: bytes, count: size * count)
      return Unmanaged<CurlTransfer>.fromOpaque(transfer).takeUnretainedValue().received(line: line) ? size * count : 0
    }
    set(CURLOPT_WRITEDATA, own)
    _ = weir_easy_data(table, easy, CURLOPT_WRITEFUNCTION) { bytes, size, count, transfer in
      guard let bytes, let transfer else { return 0 }
      let body = UnsafeRawBufferPointer(start: bytes, count: size * count)
      return Unmanaged<CurlTransfer>.fromOpaque(transfer).takeUnretainedValue().received(body: body)
    }
    set(CURLOPT_CLOSESOCKETDATA, UnsafeRawPointer(Unmanaged.passUnretained(engine).toOpaque()))
    _ = weir_easy_close(table, easy) { engine, socket in
      if let engine { Unmanaged<CurlEngine>.fromOpaque(engine).takeUnretainedValue().forget(socket) }
      return closeDescriptor(socket)
    }
  }

  /// Which proxy is decided by us (nothing is left to libcurl's reading of the environment), and so are the addresses
  /// of a name that a policy has checked; whatever libcurl dials is checked once more when it asks for the socket.
  private func setUpRoute(
    _ own: UnsafeRawPointer, _ setPointer: (CURLoption, UnsafeRawPointer?) -> Void,
    _ setText: (CURLoption, String) -> Void
  ) {
    setText(CURLOPT_PROXY, route.proxy ?? "")
    setText(CURLOPT_NOPROXY, "")
    guard route.proxy == nil, route.permit != nil else { return }
    if !route.addresses.isEmpty {
      let literals = route.addresses.map { $0.isV6 ? "[\($0.literal)]" : $0.literal }.joined(separator: ",")
      addresses = library.functions.slist_append(nil, "+\(url.host):\(url.port):\(literals)")
      setPointer(CURLOPT_RESOLVE, UnsafeRawPointer(addresses))
    }
    setPointer(CURLOPT_OPENSOCKETDATA, own)
    _ = weir_easy_open(library.table, easy) { transfer, _, target in
      guard let transfer, let target else { return CURL_SOCKET_BAD }
      return Unmanaged<CurlTransfer>.fromOpaque(transfer).takeUnretainedValue().open(target)
    }
  }

  private func open(_ target: UnsafeMutablePointer<curl_sockaddr>) -> curl_socket_t {
    guard let address = withUnsafePointer(to: &target.pointee.addr, { IPAddress($0) }) else { return CURL_SOCKET_BAD }
    do throws(NetworkFailure) {
      try route.permit?.check(address.address)
    } catch {
      failure = error
      return CURL_SOCKET_BAD
    }
    return weir_stream_socket(address.family)
  }

  private func setUpBody(
    _ request: HTTPClientRequest, _ setNumber: (CURLoption, Int) -> Void,
    _ setPointer: (CURLoption, UnsafeRawPointer?) -> Void, _ setText: (CURLoption, String) -> Void
  ) {
    let method = request.method
    if method == "HEAD", request.body == nil {
      setNumber(CURLOPT_NOBODY, 1)
    } else if request.body != nil || method == "POST" || method == "PUT" || method == "PATCH" {
      let body = request.body ?? []
      setNumber(CURLOPT_POST, 1)
      _ = weir_easy_size(library.table, easy, CURLOPT_POSTFIELDSIZE_LARGE, curl_off_t(body.count))
      // The size comes first: it says how much is copied. An empty body still needs a place to be copied from.
      body.isEmpty
        ? setText(CURLOPT_COPYPOSTFIELDS, "")
        : body.withUnsafeBytes { setPointer(CURLOPT_COPYPOSTFIELDS, $0.baseAddress) }
      if method != "POST" { setText(CURLOPT_CUSTOMREQUEST, method) }
    } else if method != "GET" {
      setText(CURLOPT_CUSTOMREQUEST, method)
    }
  }

  private func setUpHeaders(_ request: HTTPClientRequest) {
    var given: Set<String> = []
    func add(_ line: String) { list = library.functions.slist_append(list, line) }
    for (name, value) in request.headers {
      let lower = name.lowercased()
      given.insert(lower)
      // The framing is libcurl's; a second opinion about it would be request smuggling.
      if ["content-length", "transfer-encoding", "connection", "expect"].contains(lower) { continue }
      if lower == "accept-encoding", decodes { continue }
      add(value.isEmpty ? "\(name);" : "\(name): \(value)")
    }
    // Names without a value are not sent: libcurl would wait a second for "100 Continue", and call a body a form.
    add("Expect:")
    if !given.contains("content-type") { add("Content-Type:") }
    if !given.contains("accept-encoding") { add("Accept-Encoding: identity") }
  }

  // MARK: The answer

  /// libcurl gives whole lines: of interim answers, of the final one, and of trailers.
  private func received(line: UnsafeRawBufferPointer) -> Bool {
    if isCancelled { return false }
    var text = line[...]
    while let last = text.last, last == 0x0d || last == 0x0a { text = text.dropLast() }
    headSize += line.count
    if headSize > Self.headLimit {
      failure = .protocolViolation("the response's head is larger than \(Self.headLimit) bytes")
      return false
    }
    if text.starts(with: "HTTP/".utf8), !hasHead {
      let digits = text.drop { $0 != 0x20 }.drop { $0 == 0x20 }.prefix { $0 != 0x20 }
      head = HTTPResponseHead(status: Int(String(decoding: digits, as: UTF8.self)) ?? 0, headers: [])
    } else if hasHead {
      return true
    } else if text.isEmpty {
      guard head.status >= 200 || head.status == 101 else { return true }
      hasHead = true
      if decodes, head["content-encoding"] != nil {
        head.headers.removeAll { ["content-encoding", "content-length"].contains($0.name.lowercased()) }
      }
      exchange.received(head)
      return !isCancelled
    } else if let first = text.first, first == 0x20 || first == 0x09 {
      // RFC 9112 section 5.2: a folded line continues the value before it.
      if let last = head.headers.indices.last { head.headers[last].value += " " + trimmed(text) }
    } else if let colon = text.firstIndex(of: 0x3a) {
      head.headers.append(
        (name: String(decoding: text[..<colon], as: UTF8.self), value: trimmed(text[text.index(after: colon)...])))
    }
    return true
  }

  private func trimmed(_ bytes: Slice<UnsafeRawBufferPointer>) -> String {
    var bytes = bytes.drop { $0 == 0x20 || $0 == 0x09 }
    while let last = bytes.last, last == 0x20 || last == 0x09 { bytes = bytes.dropLast() }
    return String(decoding: bytes, as: UTF8.self)
  }

  private func received(body: UnsafeRawBufferPointer) -> Int {
    if isCancelled { return 0 }
    if !wantsReading {
      isPaused = true
      return Int(WEIR_WRITE_PAUSE)
    }
    // libcurl calls with nothing at the end of an empty body.
    if body.isEmpty { return 0 }
    let goesOn = exchange.received(body.assumingMemoryBound(to: UInt8.self).span, status: head.status)
    return goesOn && !isCancelled ? body.count : 0
  }

  func completed(_ result: CURLcode) {
    if isCancelled { return }
    // To libcurl a head that was cut off is an old server's way of ending; to us nothing without a head is complete.
    let ending = result == CURLE_OK ? (hasHead ? nil : .closedEarly) : failure ?? meaning(result)
    exchange.ended(ending, status: head.status)
  }

  private func meaning(_ result: CURLcode) -> NetworkFailure {
    let number = Int32(truncatingIfNeeded: weir_easy_info(library.table, easy, CURLINFO_OS_ERRNO))
    let said = String(cString: errorBuffer)
    let text =
      said.isEmpty
      ? library.functions.easy_strerror(result).map { String(cString: $0) } ?? "error \(result.rawValue)" : said
    let address = SocketAddress(host: url.host, port: Int(url.port) ?? 0)
    switch result {
    case CURLE_URL_MALFORMAT: return .badURL(CurlURL.redacted(url.text))
    case CURLE_COULDNT_RESOLVE_HOST: return .nameNotFound(host: url.host)
    case CURLE_COULDNT_RESOLVE_PROXY: return .unavailable("the proxy's name was not found: \(text)")
    case CURLE_COULDNT_CONNECT: return number == 0 ? .other(text) : .ofDial(number, address)
    case CURLE_OPERATION_TIMEDOUT: return .timedOut(what: "connecting to \(address.host):\(address.port)")
    case CURLE_PARTIAL_FILE, CURLE_GOT_NOTHING: return .closedEarly
    case CURLE_RECV_ERROR, CURLE_SEND_ERROR:
      if number == ECONNRESET || number == EPIPE || text.contains(text: "reset") { return .reset }
      return text.contains(text: "eof") || text.contains(text: "EOF") ? .closedEarly : .other(text)
    case CURLE_HTTP2_STREAM: return .closedEarly
    // The URL's scheme was checked: what is unsupported here is an answer that is not HTTP.
    case CURLE_UNSUPPORTED_PROTOCOL, CURLE_HTTP2, CURLE_WEIRD_SERVER_REPLY, CURLE_BAD_CONTENT_ENCODING,
      CURLE_WRITE_ERROR:
      return .protocolViolation(text)
    case CURLE_SSL_CONNECT_ERROR, CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CACERT_BADFILE, CURLE_SSL_CERTPROBLEM,
      CURLE_SSL_CIPHER, CURLE_SSL_ISSUER_ERROR, CURLE_SSL_ENGINE_INITFAILED:
      return .tls(text)
    case CURLE_OUT_OF_MEMORY: return .unavailable("no memory for a request")
    default: return .other(text)
    }
  }
}
