import WeirCore
import WeirWire

/// A connection through an HTTP proxy: dials the proxy, asks it to CONNECT (RFC 9110 9.3.6), and speaks TLS with what is
/// behind it if wanted. One answer, within one deadline, unless cancelled.
///
/// The proxy resolves the name; of what it answers only the status counts, so nothing of its own gets into a message.
final class ProxyTunnel: Cancellable, ByteStreamHandler {
  typealias Answer = (Result<any ByteStream, NetworkFailure>) -> Void

  private let proxy: ProxyAddress
  private let target: URLParts
  private let tls: ClientTLS?
  private let world: World
  private let deadline: Instant
  private var answer: Answer?
  private var timer: (any Cancellable)?
  private var dialling: (any Cancellable)?
  private var stream: (any ByteStream)?
  private var unsent: [UInt8] = []
  private var parser = HTTPResponseParser()

  init(
    _ proxy: ProxyAddress, to target: URLParts, tls: ClientTLS?, world: World, timeout: Duration,
    _ answer: @escaping Answer
  ) {
    self.proxy = proxy
    self.target = target
    self.tls = tls
    self.world = world
    self.answer = answer
    deadline = world.loop.now + timeout
    timer = world.loop.after(timeout) { [self] in finish(.failure(.timedOut(what: "connecting by the proxy \(proxy)")))
    }
    let own =
      proxy.isEncrypted
      ? ClientTLS(serverName: proxy.address.host, trustFile: world.environment["SSL_CERT_FILE"]) : nil
    dialling = world.network.connect(proxy.address, tls: own, timeout: timeout) { [self] result in
      dialling = nil
      switch result {
      case .failure(let failure): finish(.failure(.unavailable("the proxy \(proxy): \(failure.message)")))
      case .success(let stream): ask(stream)
      }
    }
  }

  func cancel() {
    answer = nil
    hangUp()
  }

  private func ask(_ stream: any ByteStream) {
    let host = (target.host.contains(":") ? "[\(target.host)]" : target.host) + ":\(target.port)"
    var request = "CONNECT \(host) HTTP/1.1\r\nHost: \(host)\r\n"
    if let authorization = proxy.authorization { request += "Proxy-Authorization: \(authorization.value)\r\n" }
    unsent = Array((request + "\r\n").utf8)
    self.stream = stream
    stream.handler = self
    byteStreamBecameWritable()
  }

  func byteStreamBecameWritable() {
    guard let stream, !unsent.isEmpty else { return }
    let bytes = unsent  // another reference, so that nothing the stream does can overlap this access
    unsent.removeFirst(stream.send(bytes.span))
  }

  func byteStreamReceived(_ bytes: Span<UInt8>) {
    guard let stream else { return }
    parser.receive(bytes)
    do throws(HTTPFailure) {
      guard let head = try parser.nextHead() else { return }
      guard (200..<300).contains(head.status) else {
        let reason = "\(HTTPResponseWriter.reason(head.status))"
        let what = "HTTP \(head.status)" + (reason == "Status" ? "" : " " + reason)
        return finish(.failure(.unavailable("the proxy \(proxy) refused: \(what)")))
      }
      // Servers of TLS and HTTP speak second: this would be the proxy's own words in their mouth.
      guard parser.takeBuffered().isEmpty else {
        return finish(.failure(.protocolViolation("the proxy \(proxy) sent something before the server could")))
      }
    } catch {
      return finish(.failure(.protocolViolation("the proxy \(proxy) does not speak HTTP: \(error.message)")))
    }
    // The next one reads on from a job of its own, not from inside this one's read.
    stream.isReading = false
    stream.handler = nil
    world.loop.soon { [self] in tunnelled() }
  }

  private func tunnelled() {
    guard answer != nil, let stream = stream.take() else { return }
    stream.isReading = true
    guard let tls else { return finish(.success(stream)) }
    dialling = world.network.secure(stream, tls, timeout: deadline - world.loop.now) { [self] result in
      dialling = nil
      finish(result)
    }
  }

  func byteStreamEnded() { finish(.failure(.unavailable("the proxy \(proxy) ended the connection"))) }

  func byteStreamFailed(_ failure: NetworkFailure) {
    stream = nil
    finish(.failure(.unavailable("the proxy \(proxy): \(failure.message)")))
  }

  private func finish(_ result: Result<any ByteStream, NetworkFailure>) {
    let answer = self.answer.take()
    hangUp()
    answer?(result)
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
