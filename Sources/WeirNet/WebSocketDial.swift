import WeirCore
import WeirWire

/// What a client asks for, and under which limits.
package struct WebSocketRequest: Sendable {
  package var url: String
  package var headers: [(name: String, value: String)]
  package var subprotocols: [String]
  /// nil: the user's own configuration names the place.
  package var policy: NetworkPolicy?
  package var limits = WebSocketConnection.Limits()
  /// Name, TCP, TLS, redirects and the head of the answer together.
  package var connectTimeout = Duration.seconds(30)
  package var offersDeflate = true
  /// Of the headers, and what else must not come back in an error's text.
  package var secrets: Secrets

  package init(
    url: String, headers: [(name: String, value: String)] = [], subprotocols: [String] = [], policy: NetworkPolicy?,
    environmentValues: Set<String> = []
  ) {
    self.url = url
    self.headers = headers
    self.subprotocols = subprotocols
    self.policy = policy
    secrets = Secrets(headers: headers, environmentValues: environmentValues)
  }
}

/// A client's side of the opening handshake: policy, dial, request, answer, redirects; one open connection or one
/// failure, within one deadline. Cancelling closes whatever is open.
///
///     dialling ─▶ waiting for the head ── 101 ──▶ WebSocketConnection
///        ▲              ├── 3xx ──▶ another URL, checked anew
///        └──────────────┘
///                       └── anything else ─▶ its first KiB ─▶ failure
package final class WebSocketDial: Cancellable, ByteStreamHandler {
  /// What is quoted of a refusal's body.
  package static let quoteLimit = 1_024
  /// A refusal counts by its status; its body gets this long to explain it.
  package static let refusalTimeout = Duration.seconds(5)
  package static let redirectLimit = 5
  private static let credentials: [StaticString] = ["authorization", "cookie", "proxy-authorization", "x-api-key"]

  package typealias Answer = (Result<WebSocketConnection, StreamErrorKind>) -> Void

  private let request: WebSocketRequest
  private let world: World
  private var answer: Answer?
  private var timer: (any Cancellable)?
  private var dialling: (any Cancellable)?
  private var stream: (any ByteStream)?
  private let deadline: Instant

  // This attempt.
  private var url: URLParts?
  private var permit: DialPermit?
  private var headers: [(name: String, value: String)]
  private var redirects = 0
  private var handshake: WebSocketHandshake?
  private var unsent: [UInt8] = []
  private var parser = HTTPResponseParser()
  private var refusal: HTTPResponseHead?

  /// Answers once, in a later job, unless cancelled.
  package static func open(_ request: WebSocketRequest, world: World, _ answer: @escaping Answer) -> WebSocketDial {
    let dial = WebSocketDial(request, world, answer)
    world.loop.soon { dial.start() }
    return dial
  }

  private init(_ request: WebSocketRequest, _ world: World, _ answer: @escaping Answer) {
    self.request = request
    self.world = world
    self.answer = answer
    headers = request.headers
    deadline = world.loop.now + request.connectTimeout
  }

  package func cancel() {
    answer = nil
    hangUp()
  }

  private func start() {
    guard answer != nil else { return }
    setTimer(request.connectTimeout) { [self] in
      fail(.timeout("no answer from \(url?.origin ?? "the server") within \(request.connectTimeout.text)"))
    }
    do throws(NetworkFailure) {
      dial(try URLParts(request.url, schemes: ["ws", "wss"]))
    } catch { fail(error) }
  }

  private func setTimer(_ delay: Duration, _ fire: @escaping () -> Void) {
    timer?.cancel()
    timer = world.loop.after(delay, fire)
  }

  // MARK: One attempt

  private func dial(_ url: URLParts) {
    self.url = url
    do throws(NetworkFailure) {
      permit = try request.policy?.permit(url, after: permit)
    } catch { return fail(error) }
    do throws(WebSocketHandshakeFailure) {
      handshake = try WebSocketHandshake(
        headers: headers, subprotocols: request.subprotocols, offersDeflate: request.offersDeflate,
        nonce: (world.random.next(), world.random.next()))
    } catch { return fail(.connectionFailed(error.message)) }
    let tls =
      url.isEncrypted ? ClientTLS(serverName: url.host, trustFile: world.environment["SSL_CERT_FILE"]) : nil
    let timeout = deadline - world.loop.now
    let answer = { [self] (result: Result<any ByteStream, NetworkFailure>) in
      dialling = nil
      switch result {
      case .failure(let failure): fail(failure)
      case .success(let stream): connected(stream, url)
      }
    }
    guard let proxy = ProxySettings(world.environment).proxy(for: url) else {
      let address = SocketAddress(host: url.host, port: url.port)
      dialling = world.network.connect(address, tls: tls, permit: permit, timeout: timeout, answer)
      return
    }
    // A proxy resolves names itself, and where it is was the user's choice.
    do throws(NetworkFailure) {
      dialling = ProxyTunnel(try ProxyAddress(proxy), to: url, tls: tls, world: world, timeout: timeout, answer)
    } catch { fail(error) }
  }

  private func connected(_ stream: any ByteStream, _ url: URLParts) {
    guard answer != nil, let handshake else { return stream.close() }
    self.stream = stream
    parser = HTTPResponseParser()
    unsent = handshake.request(authority: url.authority, target: url.path)
    stream.handler = self
    byteStreamBecameWritable()
  }

  package func byteStreamBecameWritable() {
    guard let stream, !unsent.isEmpty else { return }
    let bytes = unsent  // another reference, so that nothing the stream does can overlap this access
    unsent.removeFirst(stream.send(bytes.span))
  }

  package func byteStreamReceived(_ bytes: Span<UInt8>) {
    parser.receive(bytes)
    if refusal == nil {
      do throws(HTTPFailure) {
        guard let head = try parser.nextHead() else { return }
        return answered(head)
      } catch { return fail(.connectionFailed("the server does not speak HTTP: \(error.message)")) }
    }
    quoteRefusal()
  }

  package func byteStreamEnded() {
    if let refusal { return refuse(refusal, parser.bodySoFar) }
    fail(.connectionFailed("the server ended the connection before it answered"))
  }

  package func byteStreamFailed(_ failure: NetworkFailure) {
    stream = nil
    if let refusal { return refuse(refusal, parser.bodySoFar) }
    fail(failure)
  }

  private func answered(_ head: HTTPResponseHead) {
    guard let handshake, let stream, let url else { return }
    if head.status == 101 {
      do throws(WebSocketHandshakeFailure) {
        let agreement = try handshake.agreement(head)
        let connection = WebSocketConnection(
          stream, early: parser.takeBuffered(), agreement: agreement, url: request.url, loop: world.loop,
          masks: world.random, limits: request.limits)
        self.stream = nil
        let answer = self.answer.take()
        hangUp()
        answer?(.success(connection))
      } catch { fail(.connectionFailed(error.message)) }
    } else if (300..<400).contains(head.status), let location = head["Location"] {
      redirect(to: location, from: url)
    } else {
      refusal = head
      setTimer(min(Self.refusalTimeout, deadline - world.loop.now)) { [self] in refuse(head, parser.bodySoFar) }
      quoteRefusal()
    }
  }

  private func redirect(to location: String, from old: URLParts) {
    redirects += 1
    guard redirects <= Self.redirectLimit else { return fail(.tooManyRedirects(Self.redirectLimit)) }
    do throws(NetworkFailure) {
      let new = try old.redirected(to: location)
      if old.isEncrypted, !new.isEncrypted {
        return fail(.connectionFailed("\(old.origin) redirects to \(new.origin), which is not encrypted"))
      }
      if new.origin != old.origin {
        headers.removeAll { field in Self.credentials.contains { field.name.matches($0) } }
      }
      stream?.close()
      stream = nil
      dial(new)
    } catch { fail(error) }
  }

  // MARK: Refused

  private func quoteRefusal() {
    guard let refusal, let body = parser.bodyPrefix(limit: Self.quoteLimit) else { return }
    refuse(refusal, body)
  }

  private func refuse(_ head: HTTPResponseHead, _ body: [UInt8]) {
    let reason = "\(HTTPResponseWriter.reason(head.status))"
    let what = "HTTP \(head.status)" + (reason == "Status" ? "" : " " + reason)
    // A secret that the quote's end cuts is left out as well.
    let text =
      body.count == Self.quoteLimit
      ? request.secrets.redact(beginning: body) : request.secrets.redact(String(decoding: body, as: UTF8.self))
    fail(.connectionFailed(text.isEmpty ? what : "\(what): \(text)"))
  }

  private func fail(_ failure: NetworkFailure) { fail(StreamErrorKind(failure)) }

  private func fail(_ kind: StreamErrorKind) {
    let answer = self.answer.take()
    hangUp()
    answer?(.failure(kind.redacted(request.secrets)))
  }

  private func hangUp() {
    timer?.cancel()
    timer = nil
    dialling?.cancel()
    dialling = nil
    stream?.close()
    stream = nil
  }
}

extension URLParts {
  /// Where a `Location` leads (RFC 3986 5), as a WebSocket's URL.
  func redirected(to location: String) throws(NetworkFailure) -> URLParts {
    var target = location
    if let mark = target.range(ofText: "://"), !target[..<mark.lowerBound].contains("/") {
      switch target[..<mark.lowerBound].lowercased() {
      case "http": target = "ws" + target[mark.lowerBound...]
      case "https": target = "wss" + target[mark.lowerBound...]
      default: break
      }
    } else if target.hasPrefix("//") {
      target = "\(scheme):\(target)"
    } else if target.hasPrefix("/") {
      target = origin + target
    } else {
      let folder = path.prefix { $0 != "?" }
      target = origin + folder[...(folder.lastIndex(of: "/") ?? folder.startIndex)] + target
    }
    return try URLParts(target, schemes: ["ws", "wss"])
  }
}
