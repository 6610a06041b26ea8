import Testing
import WeirCore

@testable import WeirIO

/// What has ended must be gone: a server lives for months.
@Suite(.serialized) struct LifetimeTests {
  private final class Watched {
    weak var object: AnyObject?
    let name: String
    init(_ object: AnyObject, _ name: String) {
      self.object = object
      self.name = name
    }
  }

  /// A handler that keeps its stream, as real ones do.
  private final class Owner: ByteStreamHandler {
    let stream: any ByteStream
    let echoes: Bool
    let ended: () -> Void
    init(_ stream: any ByteStream, echoes: Bool, ended: @escaping () -> Void) {
      self.stream = stream
      self.echoes = echoes
      self.ended = ended
      stream.handler = self
    }
    func byteStreamReceived(_ bytes: Span<UInt8>) {
      if echoes { _ = stream.send(bytes) } else { stream.finishSending() }
    }
    func byteStreamBecameWritable() {}
    func byteStreamEnded() {
      stream.close()
      ended()
    }
    func byteStreamFailed(_ failure: NetworkFailure) { ended() }
  }

  private func checkStreams(_ tls: ServerTLS?, _ trust: ClientTLS?) throws {
    var watched: [Watched] = []
    try onLoop { loop, done in
      let network = makeNetwork(loop)
      let rounds = 50
      var ends = 0
      func end() {
        ends += 1
        // A turn later nothing of this turn's stack holds anything.
        if ends == 2 * rounds { _ = loop.after(.milliseconds(20), done) }
      }
      let listener = try network.listen(loopback, tls: tls) {
        let owner = Owner($0, echoes: true, ended: end)
        watched += [Watched(owner, "server's handler"), Watched($0, "server's stream")]
      }
      for _ in 0..<rounds {
        let dial = network.connect(listener.address, tls: trust, timeout: .seconds(10)) {
          guard case .success(let stream) = $0 else { return refuse("\($0)") }
          let owner = Owner(stream, echoes: false, ended: end)
          watched += [Watched(owner, "client's handler"), Watched(stream, "client's stream")]
          _ = stream.send([1, 2, 3].span)
        }
        watched.append(Watched(dial, "dial"))
      }
    }
    #expect(watched.count == 250)
    #expect(Set(watched.filter { $0.object != nil }.map(\.name)) == [])
  }

  @Test func closedStreamsAreFreed() throws { try checkStreams(nil, nil) }

  @Test func closedTLSStreamsAreFreed() throws {
    guard let directory = Certificates.directory else { return }
    let files = ServerTLS(certificateFile: "\(directory)/localhost.pem", keyFile: "\(directory)/localhost.key")
    try checkStreams(files, ClientTLS(serverName: "localhost", trustFile: files.certificateFile))
  }

  @Test func endedExchangesAreFreed() throws {
    var watched: [Watched] = []
    try onLoop { loop, done in
      let transport = CurlTransport(loop)
      let server = try ScriptedServer(makeNetwork(loop)) { _, peer, request in
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell".utf8)
        if request.hasPrefix("GET /whole") { peer.send("o".utf8) }
        if request.hasPrefix("GET /cut") { peer.stream.close() }
      }
      var left = 40
      func ended() {
        left -= 1
        if left == 0 {
          _ = loop.after(.milliseconds(20)) {
            _ = (transport, server)
            done()
          }
        }
      }
      for path in ["/whole", "/cut", "/endless", "bad url"] {
        for _ in 0..<10 {
          let answer = Answer()
          let url = path.hasPrefix("/") ? server.url(path) : path
          let exchange = transport.start(HTTPClientRequest(method: "GET", url: url), handler: answer)
          answer.onFinish = { _, _ in ended() }
          if path == "/endless" {
            answer.onBody = { _ in
              loop.soon { [weak exchange] in
                exchange?.cancel()
                ended()
              }
            }
          }
          watched += [Watched(answer, "handler of \(path)"), Watched(exchange, "exchange of \(path)")]
        }
      }
    }
    #expect(watched.count == 80)
    #expect(Set(watched.filter { $0.object != nil }.map(\.name)) == [])
  }
}
