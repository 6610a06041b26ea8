import WeirCore
import WeirIO
import WeirNet

/// Whether what stands between a server and its readers lets a stream through as it is written: serves a paced event stream
/// on a port, reads it back through the proxy that leads there, and compares.
package struct ProxyProbe {
  package struct Result: Sendable {
    /// Of each event: from its writing to its arrival.
    package var delays: [Duration]
    /// Events that arrived with the one before, although they were written a gap apart.
    package var bunched: Int
    /// What the answer says of who sent it: `Server`, `Via` …
    package var names: [String]
    package var failure: String?

    /// An event that waits for others has been held back.
    package var isHeldBack: Bool { bunched > 1 || (delays.max() ?? .zero) > ProxyProbe.gap * 2 }
  }

  static let gap = Duration.milliseconds(200)
  static let count = 15
  static let timeout = Duration.seconds(20)

  private let port: Int
  private let url: String
  private let host: String

  package init(port: Int, url: String, host: String = "127.0.0.1") {
    self.port = port
    self.url = url
    self.host = host
  }

  /// Blocks until the stream is over, a few seconds.
  package func run() throws -> Result {
    let loop = WeirIO.EventLoop()
    let world = RealWorld.make(loop: loop)
    var written: [Instant] = []
    let server = HTTPServer(world: world) { _, responder in
      responder.begin(
        status: 200,
        headers: [("Content-Type", "text/event-stream"), ("Cache-Control", "no-store"), ("X-Accel-Buffering", "no")])
      func write(_ index: Int) {
        written.append(loop.now)
        _ = responder.send(Array("data: \(index)\n\n".utf8).span)
        guard index + 1 < Self.count else { return responder.finish() }
        _ = loop.after(Self.gap) { write(index + 1) }
      }
      written = []
      write(0)
    }
    try server.listen(SocketAddress(host: host, port: port))
    let reader = Reader(loop)
    loop.soon {
      var request = HTTPClientRequest(method: "GET", url: url, headers: [("Accept", "text/event-stream")])
      request.redirectLimit = 5
      reader.exchange = world.http.start(request, handler: reader)
      _ = loop.after(Self.timeout) { reader.end("no whole stream within \(Self.timeout.text)") }
    }
    loop.run()
    server.close(grace: .zero) {}
    let times = zip(written, reader.arrived)
    let gaps = zip(reader.arrived, reader.arrived.dropFirst()).map { $1 - $0 }
    return Result(
      delays: times.map { $1 - $0 }, bunched: gaps.count { $0 < Self.gap / 4 }, names: reader.names,
      failure: reader.failure)
  }

  private final class Reader: HTTPResponseHandler {
    private let loop: WeirIO.EventLoop
    var exchange: (any HTTPExchange)?
    var arrived: [Instant] = []
    var names: [String] = []
    var failure: String?
    init(_ loop: WeirIO.EventLoop) { self.loop = loop }

    func httpReceived(head: HTTPResponseHead) {
      for name in ["server", "via", "x-served-by", "x-cache", "cf-ray"] {
        if let value = head[name] { names.append("\(name): \(value)") }
      }
      if head.status != 200 { end("the answer is HTTP \(head.status)") }
    }

    func httpReceived(body: Span<UInt8>) {
      for place in 0..<body.count where body[place] == UInt8(ascii: ":") { arrived.append(loop.now) }
    }

    func httpFinished(_ failure: NetworkFailure?) {
      exchange = nil
      end(
        failure?.message
          ?? (arrived.count == ProxyProbe.count ? nil : "only \(arrived.count) of \(ProxyProbe.count) events arrived"))
    }

    func end(_ why: String?) {
      exchange?.cancel()
      exchange = nil
      if failure == nil { failure = why }
      loop.stop()
    }
  }
}
