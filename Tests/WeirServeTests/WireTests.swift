import Testing
import WeirCore
import WeirNet
import WeirStore
import WeirTesting

@testable import WeirServe

/// The application behind the real HTTP server and the real memory store, over a simulated network that cuts and
/// delays: the joints between the rooms.
@Suite struct WireTests {
  final class RawClient: ByteStreamHandler {
    private(set) var received: [UInt8] = []
    private(set) var isEnded = false
    var stream: (any ByteStream)?

    func byteStreamReceived(_ bytes: Span<UInt8>) { for index in bytes.indices { received.append(bytes[index]) } }
    var outgoing: [UInt8] = []

    func byteStreamBecameWritable() {
      guard let stream, !outgoing.isEmpty else { return }
      outgoing.removeFirst(stream.send(outgoing.span))
    }
    func byteStreamEnded() { isEnded = true }
    func byteStreamFailed(_ failure: NetworkFailure) { isEnded = true }

    var text: String { String(decoding: received, as: UTF8.self) }
    /// Body of the first answer, which must be whole chunks so far and perhaps the last, empty one.
    var body: String? {
      guard let head = text.firstRange(of: "\r\n\r\n") else { return nil }
      var rest = Array(text.utf8[head.upperBound...])
      if rest.suffix(5) == Array("0\r\n\r\n".utf8) { rest.removeLast(5) }
      return dechunked(rest).map { String(decoding: $0, as: UTF8.self) }
    }
  }

  struct Setup {
    let simulation: SimulatedWorld
    let store: MemoryStreamStore
    let host: ScriptedHost
    let app: ServeApplication
    let server: HTTPServer

    init(seed: UInt64 = 1) throws {
      simulation = SimulatedWorld(seed: seed)
      let world = simulation.world
      store = MemoryStreamStore(loop: world.loop)
      host = ScriptedHost([Bench.chat], store)
      let app = ServeApplication(ServeConfiguration(), host: host, store: store, loop: world.loop)
      self.app = app
      server = HTTPServer(world: world) { app.handle($0, $1) }
      try server.listen(SocketAddress(host: "127.0.0.1", port: 8080))
    }

    func client(_ request: String) -> RawClient {
      let client = RawClient()
      _ = simulation.network.connect(
        SocketAddress(host: "127.0.0.1", port: 8080), tls: nil, timeout: .seconds(5)
      ) { result in
        guard case .success(let stream) = result else { return }
        stream.handler = client
        client.stream = stream
        client.outgoing = Array(request.utf8)
        client.byteStreamBecameWritable()
      }
      settle()
      return client
    }

    func settle() { simulation.loop.advance(by: .seconds(1)) }
  }

  static func post(_ body: String, _ headers: String = "") -> String {
    "POST /chat HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\(headers)"
      + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
  }

  @Test(arguments: 1...20)
  func tokensReachTheSocketAndTheConnectionLivesOn(seed: UInt64) throws {
    let setup = try Setup(seed: seed)
    let ask = Self.post(#"{"message":"hi"}"#)
    // The second request is there before the first is answered.
    let client = setup.client(ask + "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    #expect(client.text.hasPrefix("HTTP/1.1 200"), "the head leaves before the first token")
    #expect(client.body == "id: 0000000000000000@run1\n\n")
    setup.host.write("run1", [.text("Hel")])
    setup.settle()
    #expect(client.body?.hasSuffix("data: {\"content\":\"Hel\",\"delta\":\"Hel\"}\n\n") == true)
    setup.host.finish("run1", [.text("lo")])
    setup.settle()
    let answers = client.text.ranges(of: "HTTP/1.1 200")
    #expect(answers.count == 2)
    #expect(client.text.contains("event: done\ndata: [DONE]\n\n\r\n0\r\n\r\nHTTP/1.1 200"))
    #expect(!client.isEnded)
    #expect(setup.app.fanout.feedCount == 0)
    #expect(setup.store.watcherCount == 0)
  }

  @Test func aClosedConnectionFreesItsReader() throws {
    let setup = try Setup()
    let client = setup.client(Self.post(#"{"message":"hi"}"#))
    #expect(setup.app.fanout.readerCount == 1)
    client.stream?.reset()
    setup.settle()
    #expect(setup.app.fanout.readerCount == 0)
    #expect(setup.store.watcherCount == 0)
    setup.host.finish("run1", [.text("on")])
    let again = setup.client("GET /streams/runs/run1 HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n")
    #expect(again.body?.contains("\"on\"") == true)
  }

  @Test func oldClientsGetTheSameBytesWithoutChunks() throws {
    let setup = try Setup()
    let client = setup.client("GET /chat?message=hi HTTP/1.0\r\n\r\n")
    setup.host.finish("run1", [.text("a")])
    setup.settle()
    #expect(client.text.hasSuffix("\r\n\r\n" + (Self.plain(setup) ?? "none")))
    #expect(client.isEnded)
  }

  private static func plain(_ setup: Setup) -> String? {
    let client = setup.client("GET /chat HTTP/1.1\r\nHost: x\r\nLast-Event-ID: -1@run1\r\n\r\n")
    return client.body
  }

  @Test func aWholeConversationOverABadNetwork() throws {
    for seed in 1...10 as ClosedRange<UInt64> {
      let setup = try Setup(seed: seed)
      let client = setup.client(Self.post(#"{"message":"hi"}"#, "Accept: application/json\r\n"))
      for index in 0..<500 { setup.host.write("run1", [.text("token \(index) ")]) }
      setup.host.finish("run1")
      setup.settle()
      let whole = (0..<500).map { "token \($0) " }.joined()
      #expect(client.text.contains("\"reply\":\"\(whole)\""), "seed \(seed)")
    }
  }
}
