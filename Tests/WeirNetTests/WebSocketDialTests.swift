import Testing
import WeirCore
import WeirFlow
import WeirTesting
import WeirWire

@testable import WeirNet

/// The client's handshake against a server in the same simulated world.
@Suite struct WebSocketDialTests {
  private final class Fixture {
    let server: ServerFixture
    var requests: [HTTPRequest] { seen.requests }
    private let seen: Seen
    private final class Seen {
      var world: World?
      var requests: [HTTPRequest] = []
      /// Answers that are still to come.
      var owed: [any HTTPResponder] = []
    }

    init(seed: UInt64 = 1, faults: SimulatedFaults = .calm) throws {
      let seen = Seen()
      self.seen = seen
      server = try ServerFixture(seed: seed, faults: faults) { request, responder in
        seen.requests.append(request)
        guard let world = seen.world else { return }
        func redirect(_ to: String) { responder.respond(status: 302, headers: [("Location", to)], body: []) }
        switch request.path {
        case "/401":
          responder.respond(
            status: 401, headers: [("Content-Type", "application/json")],
            body: Array("{\"error\": \"\(request["X-Token"] ?? "no") is wrong\"}".utf8))
        case "/long":
          seen.owed.append(responder)
          responder.begin(status: 500, headers: [])
          _ = responder.send([UInt8](repeating: 0x61, count: 5000).span)
        case "/silent": seen.owed.append(responder)
        case "/relative": redirect("ws?x")
        case "/absolute": redirect("http://127.0.0.1/ws")
        case "/other": redirect("ws://other.test/ws")
        case "/for-ever": redirect("/for-ever")
        case "/file": redirect("file:///etc/passwd")
        default:
          var upgrade = WebSocketUpgrade(loop: world.loop)
          upgrade.subprotocols = ["chat"]
          _ = upgrade.accept(request, responder)
        }
      }
      seen.world = server.simulation.world
    }

    func letGo() { seen.owed = [] }

    func open(
      _ url: String, policy: NetworkPolicy? = NetworkPolicy(), headers: [(name: String, value: String)] = [],
      subprotocols: [String] = [], within: Duration = .seconds(40)
    ) -> (connection: WebSocketConnection?, text: String) {
      var result: Result<WebSocketConnection, StreamErrorKind>?
      let request = WebSocketRequest(url: url, headers: headers, subprotocols: subprotocols, policy: policy)
      _ = WebSocketDial.open(request, world: server.simulation.world) { result = $0 }
      _ = server.loop.run(within: within) { result != nil }
      switch result {
      case .success(let connection): return (connection, "open \(connection.agreement.subprotocol ?? "")")
      case .failure(.timeout(let text)): return (nil, "timeout: \(text)")
      case .failure(let kind): return (nil, kind.message)
      case nil: return (nil, "no answer")
      }
    }
  }

  @Test(arguments: [
    ("ws://127.0.0.1/ws", "open "), ("ws://localhost/relative", "open "), ("ws://127.0.0.1/absolute", "open "),
    ("ws://127.0.0.1/401", "HTTP 401 Unauthorized: {\"error\": \"[redacted] is wrong\"}"),
    ("ws://127.0.0.1/long", "HTTP 500 Internal Server Error: " + String(repeating: "a", count: 1024)),
    ("ws://127.0.0.1/silent", "timeout: no answer from ws://127.0.0.1:80 within 30s"),
    ("ws://127.0.0.1/for-ever", "more than 5 redirects"),
    (
      "ws://127.0.0.1/file",
      "not a usable URL: it starts with file:// where ws, wss are known"
    ),
    ("http://127.0.0.1/ws", "not a usable URL: it starts with http:// where ws, wss are known"),
    ("ws://127.0.0.1:81/ws", "connection to 127.0.0.1:81 was refused (is the server running there?)"),
    (
      "ws://example.org/ws",
      "ws://example.org is not encrypted and not this machine (use wss, or allow it with --stream-allow-http)"
    ),
  ]) func places(_ url: String, _ expected: String) throws {
    let fixture = try Fixture()
    let (connection, text) = fixture.open(url, headers: [("X-Token", "secret-1234")])
    #expect(text == expected)
    connection?.events.cancel()
    fixture.letGo()
    fixture.server.loop.advance(by: .seconds(90))
    #expect(fixture.server.simulation.network.openStreamCount == 0, "\(fixture.server.simulation)")
  }

  /// Servers that say anything but an answer: each ends in one failure, within the time, and nothing is left open.
  @Test(arguments: [
    ("HTTP/1.1 101 Switching", true, "timeout: no answer from ws://127.0.0.1:90 within 30s"),
    ("HTTP/1.1 200 OK\r\nA: b\r\n", true, "timeout: no answer from ws://127.0.0.1:90 within 30s"),
    (
      "HTTP/1.1 101 X\r\n" + String(repeating: "A: \(String(repeating: "a", count: 8000))\r\n", count: 9), false,
      "the server does not speak HTTP: the header fields are larger than 65536 bytes"
    ),
    (
      "SSH-2.0-OpenSSH_9.2\r\n", false,
      "the server does not speak HTTP: the answer does not begin with an HTTP/1 status line"
    ),
    (
      "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n", false,
      "the server does not accept the WebSocket: its Sec-WebSocket-Accept does not fit the request"
    ),
    ("", false, "the server ended the connection before it answered"),
  ]) func hostileServers(_ said: String, _ drips: Bool, _ expected: String) throws {
    let fixture = try Fixture()
    let loop = fixture.server.loop
    var peers: [RawPeer] = []
    let listener = try fixture.server.simulation.network.listen(
      SocketAddress(host: "127.0.0.1", port: 90), tls: nil
    ) { stream in
      guard let stream = stream as? SimulatedByteStream else { return }
      let peer = RawPeer(stream)
      peers.append(peer)
      if said.isEmpty { return stream.finishSending() }
      if !drips { return peer.send(Array(said.utf8)) }
      for (second, byte) in said.utf8.enumerated() { _ = loop.after(.seconds(second)) { peer.send([byte]) } }
      for second in said.utf8.count..<60 { _ = loop.after(.seconds(second)) { peer.send([0x61]) } }
    }
    #expect(fixture.open("ws://127.0.0.1:90/").text == expected)
    listener.close()
    fixture.server.loop.advance(by: .seconds(5))
    for peer in peers { peer.stream.close() }
    fixture.server.loop.advance(by: .seconds(90))
    #expect(fixture.server.simulation.network.openStreamCount == 0)
  }

  @Test func subprotocols() throws {
    let fixture = try Fixture()
    #expect(fixture.open("ws://127.0.0.1/ws", subprotocols: ["a", "chat"]).text == "open chat")
    #expect(fixture.open("ws://127.0.0.1/ws", headers: [("Sec-WebSocket-Protocol", "chat")]).text == "open chat")
    #expect(fixture.open("ws://127.0.0.1/ws", subprotocols: ["a"]).text == "open ")
    #expect(fixture.open("ws://127.0.0.1/ws", headers: [("Host", "x")]).text.contains("\"Host\" cannot be sent"))
  }

  /// What identifies the user goes to no other place, and only the policy's leave goes there at all.
  @Test func credentialsStayWithTheirOrigin() throws {
    let fixture = try Fixture()
    fixture.server.simulation.network.addresses["other.test"] = [NetworkAddress(v4: 0x0808_0808)]
    let headers = [(name: "Authorization", value: "Bearer 12345"), (name: "X-Mine", value: "yes")]
    #expect(fixture.open("ws://127.0.0.1/other", headers: headers).connection == nil, "not encrypted, not this machine")
    _ = fixture.open("ws://127.0.0.1/relative", headers: headers)
    #expect(fixture.requests.last?["Authorization"] == "Bearer 12345")
    _ = fixture.open("ws://localhost/absolute", headers: headers)
    #expect(fixture.requests.last?["Authorization"] == nil && fixture.requests.last?["X-Mine"] == "yes")
  }

  /// Cancelling at any moment leaves nothing behind.
  @Test(arguments: 0...12) func cancelling(after milliseconds: Int) throws {
    let fixture = try Fixture(seed: UInt64(milliseconds + 1))
    var answers = 0
    let request = WebSocketRequest(url: "ws://127.0.0.1/relative", policy: nil)
    let dial = WebSocketDial.open(request, world: fixture.server.simulation.world) { result in
      answers += 1
      if case .success(let connection) = result { connection.events.cancel() }
    }
    fixture.server.loop.advance(by: .milliseconds(milliseconds))
    dial.cancel()
    let before = answers
    fixture.server.loop.advance(by: .seconds(90))
    #expect(answers == before && fixture.server.simulation.network.openStreamCount == 0)
  }

  @Test(arguments: UInt64(1)...20) func roughNetworks(seed: UInt64) throws {
    let fixture = try Fixture(seed: seed, faults: .rough)
    for _ in 0..<10 {
      let (connection, text) = fixture.open("ws://127.0.0.1/relative")
      #expect(text != "no answer", "\(fixture.server.simulation)")
      connection?.close()
    }
    fixture.server.loop.advance(by: .seconds(200))
    #expect(fixture.server.simulation.network.openStreamCount == 0, "\(fixture.server.simulation)")
  }

  @Test(arguments: [
    ("ws://a/b/c?d", "http://x/y", "ws://x/y"), ("wss://a/b/c?d", "https://x", "wss://x/"),
    ("wss://a/b/c?d", "//x/y", "wss://x:443/y"), ("ws://a:81/b/c?d", "/y", "ws://a:81/y"),
    ("ws://a/b/c?d=/e", "y", "ws://a:80/b/y"), ("ws://a", "y?z", "ws://a:80/y?z"),
    ("ws://a/b", "/y?next=http://z", "ws://a:80/y?next=http://z"),
  ]) func locations(_ from: String, _ location: String, _ expected: String) throws {
    let url = try URLParts(from).redirected(to: location)
    #expect(url.text == expected || url.origin + url.path == expected)
  }
}
