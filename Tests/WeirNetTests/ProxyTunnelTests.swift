import Testing
import WeirCore
import WeirTesting
import WeirWire

@testable import WeirNet

/// WebSockets through a proxy of the environment, which the test plays.
@Suite struct ProxyTunnelTests {
  /// Hears CONNECT and does as told; what comes after that it answers as the server behind it.
  private final class Proxy {
    let simulation: SimulatedWorld
    var heard: [String] = []
    private var peers: [RawPeer] = []
    private var listener: (any Listener)?

    init(_ variables: [String: String], _ answer: @escaping (RawPeer, String) -> Void) throws {
      simulation = SimulatedWorld(seed: 1, environment: variables)
      listener = try simulation.network.listen(SocketAddress(host: "127.0.0.1", port: 3128), tls: nil) {
        [unowned self] stream in
        guard let stream = stream as? SimulatedByteStream else { return }
        let peer = RawPeer(stream)
        peers.append(peer)
        var seen = 0
        peer.onBytes = { [unowned self] in
          let text = String(decoding: peer.received[seen...], as: UTF8.self)
          guard text.hasSuffix("\r\n\r\n") else { return }
          seen = peer.received.count
          heard.append(text)
          answer(peer, text)
        }
      }
    }

    func open(_ url: String, policy: NetworkPolicy? = nil) -> String {
      var result: Result<WebSocketConnection, StreamErrorKind>?
      let request = WebSocketRequest(url: url, policy: policy)
      _ = WebSocketDial.open(request, world: simulation.world) { result = $0 }
      _ = simulation.loop.run(within: .seconds(60)) { result != nil }
      switch result {
      case .success(let connection):
        connection.events.cancel()
        return "open"
      case .failure(let kind): return kind.message
      case nil: return "no answer"
      }
    }

    func expectQuiet() {
      listener?.close()
      for peer in peers { peer.stream.close() }
      simulation.loop.advance(by: .seconds(90))
      #expect(simulation.network.openStreamCount == 0)
    }
  }

  /// The answer of a server to the handshake that it was sent.
  private static func accept(_ peer: RawPeer, _ request: String) {
    if request.hasPrefix("CONNECT ") { return peer.send(Array("HTTP/1.1 200 Connection established\r\n\r\n".utf8)) }
    let key = request.split(separator: "\r\n").first { $0.hasPrefix("Sec-WebSocket-Key: ") }?.dropFirst(19) ?? ""
    let accept = WebSocketHandshake.accept(key: String(key))
    peer.send(
      Array(
        "HTTP/1.1 101 Y\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: \(accept)\r\n\r\n".utf8))
  }

  @Test(arguments: [
    (
      ["http_proxy": "http://127.0.0.1:3128"], "ws://far.test:81/x",
      "CONNECT far.test:81 HTTP/1.1\r\nHost: far.test:81\r\n\r\n"
    ),
    (
      ["HTTPS_PROXY": "127.0.0.1:3128"], "wss://far.test/x",
      "CONNECT far.test:443 HTTP/1.1\r\nHost: far.test:443\r\n\r\n"
    ),
    (
      ["all_proxy": "http://127.0.0.1:3128/"], "ws://[2001:db8::1]/",
      "CONNECT [2001:db8::1]:80 HTTP/1.1\r\nHost: [2001:db8::1]:80\r\n\r\n"
    ),
    (
      ["http_proxy": "http://me:p%40ss:w@127.0.0.1:3128"], "ws://far.test/",
      "CONNECT far.test:80 HTTP/1.1\r\nHost: far.test:80\r\nProxy-Authorization: Basic \(Base64.encode(Array("me:p@ss:w".utf8)))\r\n\r\n"
    ),
    (
      ["http_proxy": "http://me@127.0.0.1:3128"], "ws://far.test/",
      "CONNECT far.test:80 HTTP/1.1\r\nHost: far.test:80\r\nProxy-Authorization: Basic \(Base64.encode(Array("me:".utf8)))\r\n\r\n"
    ),
  ]) func tunnels(_ variables: [String: String], _ url: String, _ request: String) throws {
    let proxy = try Proxy(variables, Self.accept)
    #expect(proxy.open(url) == "open")
    #expect(proxy.heard.first == request)
    #expect(proxy.heard.count == 2 && proxy.heard[1].hasPrefix("GET ") && !proxy.heard[1].contains("Proxy-"))
    proxy.expectQuiet()
  }

  @Test(arguments: [
    ["http_proxy": "http://127.0.0.1:3128", "no_proxy": "far.test"],
    ["https_proxy": "http://127.0.0.1:3128"], ["HTTP_PROXY": "http://127.0.0.1:3128", "REQUEST_METHOD": "GET"], [:],
  ]) func goesThereItself(_ variables: [String: String]) throws {
    let proxy = try Proxy(variables, Self.accept)
    #expect(proxy.open("ws://far.test/").contains("host \"far.test\" was not found"))
    #expect(proxy.heard == [])
    proxy.expectQuiet()
  }

  /// Every way in which it does not work is one failure, within the time, that tells nothing of user and password.
  @Test(arguments: [
    (
      "HTTP/1.1 407 P\r\nProxy-Authenticate: Basic\r\n\r\nmy-canary:secret-canary",
      "the proxy http://127.0.0.1:3128 refused: HTTP 407"
    ),
    ("HTTP/1.1 502 Bad\r\nX: secret-canary\r\n\r\n", "the proxy http://127.0.0.1:3128 refused: HTTP 502 Bad Gateway"),
    ("HTTP/1.1 200 OK\r\n\r\nX", "the proxy http://127.0.0.1:3128 sent something before the server could"),
    (
      "220 smtp secret-canary\r\n",
      "the proxy http://127.0.0.1:3128 does not speak HTTP: the answer does not begin with an HTTP/1 status line"
    ),
    ("HTTP/1.1 200", "no answer from ws://far.test:80 within 30s"),
    ("HTTP/1.1 101 X\r\n\r\n", "the proxy http://127.0.0.1:3128 refused: HTTP 101 Switching Protocols"),
  ]) func whatProxiesAnswer(_ said: String, _ expected: String) throws {
    let variables = ["http_proxy": "http://my-canary:secret-canary@127.0.0.1:3128"]
    let proxy = try Proxy(variables) { peer, _ in peer.send(Array(said.utf8)) }
    let text = proxy.open("ws://far.test/")
    #expect(text.hasPrefix(expected) && !text.contains("canary"), "\(text)")
    proxy.expectQuiet()
  }

  @Test(arguments: [
    ("http://127.0.0.1:1", "the proxy http://127.0.0.1:1: connection to 127.0.0.1:1 was refused"),
    ("socks5://u:canary@127.0.0.1:1", "not a usable URL: a proxy of socks5:// cannot carry a WebSocket"),
    ("http://u:canary@", "not a usable URL: the proxy variable names no host and port"),
    ("http://u:canary@h:99999", "not a usable URL: the proxy variable names no host and port"),
    ("http://u:ca\rnary@h", "the proxy http://h:1080: host \"h\" was not found"),
  ]) func variablesThatLeadNowhere(_ variable: String, _ expected: String) throws {
    let proxy = try Proxy(["http_proxy": variable], Self.accept)
    let text = proxy.open("ws://far.test/")
    #expect(text.hasPrefix(expected) && !text.contains("canary"), "\(text)")
    proxy.expectQuiet()
  }

  /// The URL is checked before a proxy is asked; whom its name means is the proxy's to find out.
  @Test func thePolicyIsAskedFirst() throws {
    let proxy = try Proxy(["all_proxy": "127.0.0.1:3128"], Self.accept)
    #expect(proxy.open("ws://far.test/", policy: NetworkPolicy()).contains("--stream-allow-http"))
    #expect(proxy.open("wss://10.0.0.1/", policy: NetworkPolicy()).contains("--stream-allow-private"))
    #expect(proxy.heard == [])
    #expect(proxy.open("wss://far.test/", policy: NetworkPolicy()) == "open")
    proxy.expectQuiet()
  }

  @Test(arguments: 0...12) func cancelling(after milliseconds: Int) throws {
    let proxy = try Proxy(["http_proxy": "127.0.0.1:3128"], Self.accept)
    var answers = 0
    let request = WebSocketRequest(url: "ws://far.test/", policy: nil)
    let dial = WebSocketDial.open(request, world: proxy.simulation.world) { result in
      answers += 1
      if case .success(let connection) = result { connection.events.cancel() }
    }
    proxy.simulation.loop.advance(by: .milliseconds(milliseconds))
    dial.cancel()
    let before = answers
    proxy.expectQuiet()
    #expect(answers == before)
  }
}
