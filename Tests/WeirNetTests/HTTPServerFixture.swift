import Testing
import WeirCore
import WeirTesting
import WeirWire

@testable import WeirNet

/// A server in a simulated world, and clients that write bytes and keep what they get.
final class ServerFixture {
  let simulation: SimulatedWorld
  let server: HTTPServer
  var loop: SimulatedLoop { simulation.loop }

  init(
    seed: UInt64 = 1, faults: SimulatedFaults = .calm, limits: HTTPServer.Limits = .init(),
    _ handler: @escaping (HTTPRequest, any HTTPResponder) -> Void = ServerFixture.echo
  ) throws {
    simulation = SimulatedWorld(seed: seed, faults: faults)
    let seen = Seen()
    server = HTTPServer(world: simulation.world, limits: limits) { request, responder in
      seen.requests.append(request)
      handler(request, responder)
    }
    self.seen = seen
    try server.listen(SocketAddress(host: "127.0.0.1", port: 80))
  }

  private final class Seen { var requests: [HTTPRequest] = [] }
  private let seen: Seen
  var seenPaths: [String] { seen.requests.map(\.path) }
  var lastRequest: HTTPRequest? { seen.requests.last }

  static func echo(_ request: HTTPRequest, _ responder: any HTTPResponder) {
    let text = "\(request.method) \(request.path)\(request.query.isEmpty ? "" : "?" + request.query) "
    responder.respond(status: 200, headers: [("Content-Type", "text/plain")], body: Array(text.utf8) + request.body)
  }

  func connect() throws -> ClientFixture {
    let client = ClientFixture(self)
    _ = simulation.network.connect(SocketAddress(host: "127.0.0.1", port: 80), tls: nil, timeout: .seconds(5)) {
      if case .success(let stream) = $0 { client.open(stream) }
    }
    _ = loop.run(within: .seconds(5)) { client.stream != nil }
    _ = try #require(client.stream, "\(simulation)")
    return client
  }

  /// Writes on the server's ends of connections, as the trace's last lines tell.
  var serverSends: Int {
    simulation.trace.tail.split(separator: "\n").count { $0.contains("  s") && $0.contains(" sends ") }
  }

  /// Lets everything in flight arrive, without reaching any deadline.
  func settle() { loop.advance(by: .milliseconds(300)) }
}

/// A client of raw bytes.
final class ClientFixture: ByteStreamHandler {
  private unowned let fixture: ServerFixture
  private(set) var stream: (any ByteStream)?
  private(set) var received: [UInt8] = []
  private(set) var hasEnded = false
  private(set) var failure: NetworkFailure?
  private var unsent: [UInt8] = []
  private var isFinishing = false

  init(_ fixture: ServerFixture) { self.fixture = fixture }

  func open(_ stream: any ByteStream) {
    self.stream = stream
    stream.handler = self
  }

  func send(_ text: String) { send(Array(text.utf8)) }
  func send(_ bytes: [UInt8]) {
    unsent += bytes
    flush()
  }
  /// FIN, after everything is sent.
  func finishSending() {
    isFinishing = true
    flush()
  }
  private func flush() {
    guard let stream else { return }
    if !unsent.isEmpty { unsent.removeFirst(stream.send(unsent.span)) }
    if unsent.isEmpty, isFinishing {
      isFinishing = false
      stream.finishSending()
    }
  }

  func close() { stream?.close() }

  func byteStreamReceived(_ bytes: Span<UInt8>) {
    for i in bytes.indices { received.append(bytes[i]) }
  }
  func byteStreamBecameWritable() { flush() }
  func byteStreamEnded() { hasEnded = true }
  func byteStreamFailed(_ failure: NetworkFailure) {
    self.failure = failure
    stream = nil
  }

  /// Everything received, without `Date`.
  var text: String {
    String(decoding: received, as: UTF8.self)
      .split(separator: "\r\n", omittingEmptySubsequences: false).filter { !$0.hasPrefix("Date: ") }
      .joined(separator: "\r\n")
  }
  var isClosed: Bool { hasEnded || failure != nil }
}

/// A responder's observer that counts.
final class CountingObserver: HTTPResponseObserver {
  var writable = 0
  var cancelled = 0
  var onWritable: () -> Void = {}
  func responseBecameWritable() {
    writable += 1
    onWritable()
  }
  func responseCancelled() { cancelled += 1 }
}
