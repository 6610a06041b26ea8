import Testing
import WeirCore
import WeirNet
import WeirTesting

@testable import WeirServe

/// The page's way to servers elsewhere, in simulated time.
@Suite struct WebUIProxyTests {
  struct Setup {
    let simulation = SimulatedWorld(seed: 1)
    let proxy: WebUIProxy

    init(_ backends: [String] = ["a.test:8080", "b.test:8081"], backendToken: String? = nil) throws {
      proxy = try WebUIProxy(backends: backends, backendToken: backendToken, world: simulation.world)
    }

    func ask(
      _ method: String, _ path: String, query: String = "", _ headers: [(name: String, value: String)] = [],
      body: String = "", room: Int = .max
    ) -> FakeResponder {
      let responder = FakeResponder(isChunked: true)
      responder.room = room
      proxy.handle(
        HTTPRequest(
          method: method, path: path, query: query, headers: [("Host", "localhost:3000")] + headers,
          body: Array(body.utf8), peer: SocketAddress(host: "127.0.0.1", port: 1)), responder)
      simulation.loop.advance(by: .seconds(1))
      return responder
    }
  }

  @Test func thePageNamesItsBackends() throws {
    let setup = try Setup()
    let page = setup.ask("GET", "/")
    #expect(page.status == 200)
    #expect(page.text.contains(#"content="[&quot;a.test:8080&quot;,&quot;b.test:8081&quot;]""#))
    #expect(setup.simulation.http.requests.isEmpty)
  }

  @Test func requestsGoWhereTheyBelong() throws {
    let setup = try Setup(backendToken: "secret")
    setup.simulation.http.reply("http://", headers: [("Set-Cookie", "x=1"), ("Run-Id", "r")], body: "{}")
    let first = setup.ask(
      "POST", "/b/1/a path/x", query: "q=%20",
      [
        ("Content-Type", "application/json"), ("Origin", "http://localhost:3000"), ("Cookie", "weir_token=t"),
        ("Sec-Fetch-Mode", "cors"), ("Accept", "text/event-stream"),
      ], body: "{}")
    _ = setup.ask("GET", "/streams/runs/r")
    let request = try #require(setup.simulation.http.requests.first)
    #expect(request.url == "http://b.test:8081/a%20path/x?q=%20")
    #expect(request.method == "POST")
    #expect(request.body == Array("{}".utf8))
    #expect(request.headers.map(\.name) == ["Content-Type", "Accept", "Authorization"])
    #expect(setup.simulation.http.requests.last?.url == "http://a.test:8080/streams/runs/r")
    #expect(first.status == 200)
    #expect(first["Run-Id"] == "r")
    #expect(first["Set-Cookie"] == nil)
    #expect(first.text == "{}")
    #expect(setup.ask("GET", "/b/2/x").status == 404)
    #expect(setup.ask("GET", "/b/x").status == 404)
  }

  @Test func eachChunkIsPassedOnAtOnce() throws {
    let setup = try Setup()
    var backend: SimulatedHTTPExchange?
    setup.simulation.http.serve("http://a.test") { exchange in
      backend = exchange
      exchange.head(200, [("Content-Type", "text/event-stream")])
      exchange.body("one")
    }
    let client = setup.ask("GET", "/b/0/chat")
    #expect(client.status == 200)
    #expect(client.text == "one")
    backend?.body("two")
    setup.simulation.loop.advance(by: .seconds(1))
    #expect(client.text == "onetwo")
    backend?.finish()
    setup.simulation.loop.advance(by: .seconds(1))
    #expect(client.isFinished)
  }

  @Test func aSlowClientStopsTheBackend() throws {
    let setup = try Setup()
    var backend: SimulatedHTTPExchange?
    setup.simulation.http.serve("http://a.test") { exchange in
      backend = exchange
      exchange.head(200)
      for _ in 0..<1000 { exchange.body([UInt8](repeating: 65, count: 10_000)) }
      exchange.finish()
    }
    let client = setup.ask("GET", "/b/0/chat", room: 5000)
    #expect(client.received.count == 5000)
    let delivered = try #require(backend).bytesDelivered
    #expect(delivered < 2_000_000)
    var rounds = 0
    while !client.isFinished, rounds < 10_000 {
      rounds += 1
      client.makeRoom(100_000)
      setup.simulation.loop.advance(by: .milliseconds(10))
    }
    #expect(client.received.count == 10_000_000)
    #expect(client.isFinished)
  }

  @Test func aClientThatGoesEndsTheBackendsRequest() throws {
    let setup = try Setup()
    setup.simulation.http.serve("http://a.test") { $0.head(200) }
    setup.simulation.http.serve("http://b.test") { _ in }
    let client = setup.ask("GET", "/b/0/chat")
    let waiting = setup.ask("GET", "/b/1/chat")
    client.goAway()
    waiting.goAway()
    #expect(setup.simulation.http.exchanges.allSatisfy { $0.isCancelled })
    #expect(setup.simulation.http.openExchangeCount == 0)
    setup.simulation.loop.run()
    #expect(setup.simulation.loop.isIdle)
  }

  @Test func aDeadBackendIsSaidSo() throws {
    let setup = try Setup()
    setup.simulation.http.serve("http://a.test") {
      $0.fail(.refused(SocketAddress(host: "a.test", port: 8080)))
    }
    let client = setup.ask("GET", "/b/0/_weir/workflows")
    #expect(client.status == 502)
    #expect(client.json?["error"]?["code"]?.string == "BackendUnavailable")
    #expect(client.json?["error"]?["message"]?.string?.contains("a.test:8080") == true)
    #expect(client.json?["error"]?["hint"]?.string != nil)
  }

  @Test func aBackendThatBreaksOffIsNeverACompleteAnswer() throws {
    let setup = try Setup()
    setup.simulation.http.serve("http://a.test") { exchange in
      exchange.head(200)
      exchange.body("half")
      exchange.fail(.closedEarly, after: .milliseconds(10))
    }
    let client = setup.ask("GET", "/b/0/chat")
    #expect(client.isAborted)
    #expect(!client.isFinished)
  }

  @Test func aBackendThatNeverAnswersIsGivenUp() throws {
    let setup = try Setup()
    setup.simulation.http.serve("http://a.test") { _ in }
    let client = setup.ask("GET", "/b/0/chat")
    #expect(client.status == nil)
    setup.simulation.loop.advance(by: WebUIProxy.headTimeout)
    #expect(client.status == 502)
    #expect(setup.simulation.http.openExchangeCount == 0)
  }

  @Test func pagesElsewhereCannotUseIt() throws {
    let setup = try Setup()
    setup.simulation.http.reply("http://", body: "{}")
    #expect(setup.ask("POST", "/b/0/chat", [("Origin", "http://evil.test")]).status == 403)
    #expect(setup.ask("GET", "/b/0/chat", [("Sec-Fetch-Site", "cross-site")]).status == 403)
    #expect(setup.simulation.http.requests.isEmpty)
  }

  @Test(arguments: ["", ":80", "host:", "a b:1", "host/path", "user@host:1", "http://", "http://h:1/?q", "h\r\nx: y"])
  func unusableBackendsAreRefused(backend: String) {
    #expect(throws: ServeFailure.self) { try Setup([backend]) }
  }

  @Test(arguments: ["localhost:8080", "http://h:1/", "https://h", "[::1]:80"])
  func usableBackendsAreNot(backend: String) throws {
    _ = try Setup([backend])
  }

  @Test func theBackendLimitHolds() throws {
    _ = try Setup(Array(repeating: "h:1", count: WebUIProxy.backendLimit))
    let tooMany = Array(repeating: "h:1", count: WebUIProxy.backendLimit + 1)
    #expect(throws: ServeFailure.self) { try Setup(tooMany) }
    #expect(throws: ServeFailure.self) { try Setup([]) }
  }
}
