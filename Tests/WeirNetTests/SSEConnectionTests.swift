import Testing
import WeirCore
import WeirFlow
import WeirNet
import WeirTesting

/// Server-sent events over scripted servers in virtual time: what is asked, what is refused, how it ends, and that
/// nothing is read faster than it is taken.
struct SSEConnectionTests {
  private static let place = "https://events.test/stream"
  private static let eventStream: [(name: String, value: String)] = [("Content-Type", "text/event-stream")]

  /// One client: opens, takes whatever comes unless told not to, and writes it down.
  private final class Client {
    let simulation: SimulatedWorld
    var connection: SSEConnection?
    var failure: StreamErrorKind?
    var seen: [StreamEvent] = []
    var reads = true
    var overs = 0
    private(set) var dialling: (any Cancellable)?

    init(
      _ simulation: SimulatedWorld,
      _ request: SSERequest = SSERequest(url: SSEConnectionTests.place, policy: NetworkPolicy())
    ) {
      self.simulation = simulation
      dialling = SSEConnection.open(request, world: simulation.world) { [self] result in
        switch result {
        case .failure(let kind): failure = kind
        case .success(let made):
          connection = made
          made.onOver = { [self] in overs += 1 }
          made.events.onReady = { [self] in simulation.loop.soon { [self] in if reads { take() } } }
          take()
        }
      }
    }

    func take() {
      while let event = connection?.events.next() { seen.append(event) }
    }

    var data: [String] { seen.compactMap { if case .sse(_, let data) = $0 { data } else { nil } } }
  }

  private func run(
    seed: UInt64 = 1, faults: SimulatedFaults = .calm, _ request: SSERequest? = nil,
    _ serve: @escaping (SimulatedHTTPExchange) -> Void
  ) -> Client {
    let simulation = SimulatedWorld(seed: seed, faults: faults)
    simulation.http.serve("https://events.test/", serve)
    let client = request.map { Client(simulation, $0) } ?? Client(simulation)
    simulation.loop.run()
    #expect(simulation.http.openExchangeCount == 0, "\(simulation)")
    return client
  }

  private let opened = StreamEvent.opened(url: SSEConnectionTests.place)
  private let ended = StreamEvent.closed(code: 0, reason: "SSE stream ended")

  @Test(arguments: UInt64(1)...20) func aStreamFromOpenedToClosed(seed: UInt64) {
    let client = run(seed: seed) { exchange in
      exchange.head(200, Self.eventStream)
      exchange.body("data: one\n\nevent: add\ndata: t")
      exchange.body("wo\n\n: note\n\ndata: never finished\n", after: .seconds(5))
      exchange.finish()
    }
    #expect(client.seen == [opened, .sse(type: "message", data: "one"), .sse(type: "add", data: "two"), ended])
    #expect(client.connection?.status == .closed && client.overs == 1 && client.connection?.events.isEnded == true)
  }

  @Test func whatIsAsked() {
    let get = run {
      $0.head(200, Self.eventStream)
      $0.finish()
    }
    let asked = get.simulation.http.requests[0]
    #expect(asked.method == "GET" && asked.body == nil && asked.redirectLimit == 5 && asked.policy == NetworkPolicy())
    #expect(
      asked.headers.map { "\($0.name): \($0.value)" } == ["Accept: text/event-stream", "Cache-Control: no-cache"])
    let post = SSERequest(
      url: Self.place,
      headers: [("accept", "*/*"), ("X-A", "1"), ("CACHE-CONTROL", "max-age=0"), ("content-type", "text/plain")],
      body: "{}", policy: nil)
    let sent = run(post) {
      $0.head(200, Self.eventStream)
      $0.finish()
    }.simulation.http.requests[0]
    #expect(sent.method == "POST" && sent.body == Array("{}".utf8))
    #expect(
      sent.headers.map { "\($0.name): \($0.value)" } == [
        "accept: */*", "X-A: 1", "CACHE-CONTROL: max-age=0", "content-type: text/plain",
      ])
  }

  @Test func whichHeadsAreAStream() {
    for type in [
      "text/event-stream", "TEXT/Event-Stream", "text/event-stream; charset=utf-8", "text/event-stream;x",
      " text/event-stream ",
    ] {
      #expect(
        run {
          $0.head(200, [("content-type", type)])
          $0.finish()
        }.seen == [opened, ended], "\(type)")
    }
    let rows: [(Int, [(name: String, value: String)], String, String)] = [
      (
        401, [("content-type", "application/json")], #"{"error":"bad key"}"#,
        #"HTTP 401 Unauthorized: {"error":"bad key"}"#
      ),
      (404, [], "", "HTTP 404 Not Found"),
      (500, Self.eventStream, "data: no\n\n", "HTTP 500 Internal Server Error: data: no\n\n"),
      (204, Self.eventStream, "", "HTTP 204 No Content"), (299, [], "x", "HTTP 299: x"),
      (302, [], "", "HTTP 302 Found, a redirect to nowhere"),
      (
        200, [("Content-Type", "text/html")], "<html>",
        "HTTP 200 OK with content type text/html instead of text/event-stream: <html>"
      ),
      (200, [], "x", "HTTP 200 OK with no content type instead of text/event-stream: x"),
      (
        200, [("Content-Type", "text/event-streams")], "",
        "HTTP 200 OK with content type text/event-streams instead of text/event-stream"
      ),
      (
        200, Self.eventStream + [("Content-Encoding", "gzip")], "",
        "HTTP 200 OK with content type text/event-stream, compressed with gzip, instead of text/event-stream"
      ),
    ]
    for (status, headers, body, said) in rows {
      let client = run {
        $0.head(status, headers)
        $0.body(body)
        $0.finish()
      }
      #expect(client.failure == .connectionFailed(said) && client.connection == nil)
    }
  }

  @Test func aRefusalIsQuotedToItsFirstKiB() {
    let long = String(repeating: "a", count: 1_023)
    let client = run {
      $0.head(400)
      $0.body(long + "é and more" + String(repeating: "b", count: 100_000))
      // It never ends, and need not.
    }
    #expect(client.failure == .connectionFailed("HTTP 400 Bad Request: " + long))
    // One that stalls counts by its status.
    let stalled = run {
      $0.head(503)
      $0.body("try")
    }
    #expect(stalled.failure == .connectionFailed("HTTP 503 Service Unavailable: try"))
    #expect(stalled.simulation.loop.elapsed < .seconds(6))
  }

  @Test func noAnswerInTime() {
    for script in [{ _ in }, { $0.head(200, Self.eventStream, after: .seconds(31)) }]
      as [(SimulatedHTTPExchange) -> Void]
    {
      let client = run { script($0) }
      #expect(client.failure == .timeout("no answer from https://events.test:443 within 30s"))
      #expect(client.simulation.http.exchanges[0].isCancelled)
    }
    #expect(run { $0.fail(.tls("certificate expired")) }.failure == .connectionFailed("TLS: certificate expired"))
    #expect(run { $0.fail(.tooManyRedirects(5)) }.failure == .connectionFailed("more than 5 redirects"))
    #expect(
      run { $0.fail(.notAllowed("\"a\" is a private address", hint: "allow it with --stream-allow-private")) }.failure
        == .connectionFailed("\"a\" is a private address (allow it with --stream-allow-private)"))
  }

  @Test func aLostConnectionSaysSo() {
    let client = run {
      $0.head(200, Self.eventStream)
      $0.body("data: one\n\ndata: t")
      $0.fail(.reset)
    }
    let lost = "the connection was reset by the other side"
    #expect(
      client.seen == [
        opened, .sse(type: "message", data: "one"), .error(.protocolError("the connection was lost: \(lost)")),
        .closed(code: 1006, reason: lost),
      ])
  }

  @Test func anEventOverTheLimit() {
    var request = SSERequest(url: Self.place, policy: nil)
    request.eventByteLimit = 10
    let client = run(request) {
      $0.head(200, Self.eventStream)
      $0.body("data:12345\n\ndata:123456\n\ndata:1\n\n")
    }
    #expect(client.seen.count == 4 && client.data == ["12345"])
    #expect(
      client.seen[2]
        == .error(
          .messageTooLarge(
            "an event of the stream is larger than 10 bytes; a larger limit can be set with --stream-max-message")))
    #expect(client.seen[3] == .closed(code: 1009, reason: "event too large"))
    #expect(client.simulation.http.exchanges[0].isCancelled)
  }

  @Test func whoReadsSlowlyStopsTheServer() {
    let simulation = SimulatedWorld(seed: 1)
    simulation.http.serve("https://events.test/") { exchange in
      exchange.head(200, Self.eventStream)
      for i in 0..<5_000 { exchange.body("data: \(i)\n\n") }
      exchange.finish()
    }
    let client = Client(simulation)
    client.reads = false
    simulation.loop.run()
    let exchange = simulation.http.exchanges[0]
    // Opened and 1 000 events more; the rest waits at the server.
    #expect(client.connection?.events.count == 1_000 && !exchange.isReading && exchange.bytesDelivered < 12_000)
    #expect(client.connection?.status == .open)
    var largest = 0
    while let event = client.connection?.events.next() {
      client.seen.append(event)
      simulation.loop.run()
      largest = max(largest, client.connection?.events.count ?? 0)
    }
    #expect(largest <= 1_000)
    #expect(client.data == (0..<5_000).map(String.init) && client.seen.last == ended && client.overs == 1)
  }

  @Test func givingUp() {
    let simulation = SimulatedWorld(seed: 1)
    simulation.http.serve("https://events.test/") { exchange in
      exchange.head(200, Self.eventStream, after: .seconds(1))
      exchange.body("data: 1\n\n")
    }
    // Before the head: nothing is answered.
    let early = Client(simulation)
    simulation.loop.soon { early.dialling?.cancel() }
    simulation.loop.run()
    #expect(early.failure == nil && early.connection == nil && simulation.http.openExchangeCount == 0)
    // While open: one `closed`, and no more than that.
    let client = Client(simulation)
    simulation.loop.run()
    client.connection?.close()
    client.connection?.close()
    #expect(client.connection?.status == .closed)
    simulation.loop.run()
    #expect(
      client.seen == [opened, .sse(type: "message", data: "1"), .closed(code: 0, reason: "disconnected")]
        && client.overs == 1)
    #expect(simulation.http.openExchangeCount == 0)
    // By its source.
    let borrowed = Client(simulation)
    simulation.loop.run()
    borrowed.connection?.events.cancel()
    #expect(simulation.http.openExchangeCount == 0 && borrowed.overs == 1)
    var answer: StreamErrorKind?
    borrowed.connection?.transmit(.text("x")) { answer = $0 }
    #expect(answer == .protocolError("SSE connections are read-only; use WebSocket for bidirectional messaging"))
  }

  // MARK: Reconnecting

  private func reconnecting(
    max: Int, _ serve: @escaping (Int, SimulatedHTTPExchange) -> Void
  ) -> Client {
    var attempt = 0
    let request = SSERequest(
      url: Self.place, headers: [("Last-Event-ID", "start")], reconnect: .init(max: max, backoff: .seconds(1)),
      policy: NetworkPolicy())
    return run(request) { exchange in
      attempt += 1
      serve(attempt, exchange)
    }
  }

  private func stream(_ exchange: SimulatedHTTPExchange, _ body: String, lost: Bool = false) {
    exchange.head(200, Self.eventStream)
    exchange.body(body)
    lost ? exchange.fail(.reset) : exchange.finish()
  }

  @Test func reconnectingGoesOnAfterTheLastID() {
    let client = reconnecting(max: 3) { attempt, exchange in
      switch attempt {
      case 1: stream(exchange, "id: 7\ndata: a\n\ndata: cut", lost: true)
      case 2: stream(exchange, "data: b\n\n")
      default: stream(exchange, "id: 9\ndata: c\n\n")
      }
    }
    #expect(client.seen.first == opened && client.seen.last == ended && client.data == ["a", "b", "c", "c"])
    #expect(client.seen.count == 6)
    let ids = client.simulation.http.requests.map { request in
      request.headers.filter { $0.name == "Last-Event-ID" }.map(\.value)
    }
    #expect(ids == [["start"], ["7"], ["7"], ["9"]])
    #expect((3_000...3_100).contains(client.simulation.loop.elapsed.milliseconds))
  }

  @Test func howLongItWaits() {
    // The server's word counts; what reaches nothing doubles it.
    let client = reconnecting(max: 4) { attempt, exchange in
      if attempt == 1 { return stream(exchange, "retry: 5000\n\n") }
      exchange.fail(.refused(SocketAddress(host: "x", port: 1)))
    }
    #expect((75_000...75_100).contains(client.simulation.loop.elapsed.milliseconds))
    #expect(client.simulation.http.requests.count == 5)
    guard case .error(.connectionFailed)? = client.seen.dropLast().last, case .closed(1006, _)? = client.seen.last
    else {
      Issue.record("\(client.seen)")
      return
    }
    let hostile = reconnecting(max: 1) { attempt, exchange in
      stream(exchange, attempt == 1 ? "retry: 99999999999999999999\n\n" : "")
    }
    #expect(hostile.simulation.loop.elapsed < .seconds(601))
  }

  @Test func whatEndsReconnecting() {
    func second(_ serve: @escaping (SimulatedHTTPExchange) -> Void) -> [StreamEvent] {
      let client = reconnecting(max: 9) { attempt, exchange in attempt == 1 ? stream(exchange, "") : serve(exchange) }
      #expect(client.simulation.http.requests.count == 2)
      return Array(client.seen.dropFirst())
    }
    #expect(
      second {
        $0.head(204)
        $0.finish()
      } == [ended])
    #expect(
      second {
        $0.head(401)
        $0.body("no")
        $0.finish()
      }
        == [
          .error(.connectionFailed("HTTP 401 Unauthorized: no")),
          .closed(code: 1006, reason: "HTTP 401 Unauthorized: no"),
        ])
    // The first attempt is never repeated.
    let first = reconnecting(max: 9) { _, exchange in exchange.fail(.reset) }
    #expect(first.simulation.http.requests.count == 1 && first.failure != nil)
  }

  @Test func closingWhileItWaits() {
    let simulation = SimulatedWorld(seed: 1)
    simulation.http.serve("https://events.test/") { stream($0, "") }
    let client = Client(
      simulation, SSERequest(url: Self.place, reconnect: .init(max: 5, backoff: .seconds(9)), policy: nil))
    _ = simulation.loop.after(.seconds(4)) {
      #expect(client.connection?.status == .connecting)
      client.connection?.close()
    }
    simulation.loop.run()
    #expect(client.seen == [opened, .closed(code: 0, reason: "disconnected")])
    #expect(simulation.http.requests.count == 1 && simulation.loop.elapsed < .seconds(5))
  }

  // MARK: Secrets

  @Test func whatTheServerEchoesIsNotRepeated() {
    let headers: [(name: String, value: String)] = [
      ("Authorization", "Bearer canary-authorization"), ("x-api-key", "canary/api"),
      ("Cookie", "theme=dark; sid=\"canary-cookie\""),
      ("X-Custom", "v1 canary-environment"), ("X-Version", "2023-06-01"),
    ]
    let body = headers.map { "\($0.name): \($0.value)" }.joined(separator: "\n") + #" {"k":"canary\/api"} canary%2Fapi"#
    let request = SSERequest(
      url: Self.place, headers: headers, policy: nil, environmentValues: ["canary-environment", "/root"])
    let refused = run(request) {
      $0.head(403, [("Content-Type", "canary/api")])
      $0.body(body)
      $0.finish()
    }
    guard case .connectionFailed(let said)? = refused.failure else {
      Issue.record("\(String(describing: refused.failure))")
      return
    }
    #expect(!said.contains("canary") && said.contains("X-Version: 2023-06-01") && said.contains("[redacted]"))
    // Across the end of what is quoted, too.
    let cut = run(request) { exchange in
      exchange.head(403)
      exchange.body(
        String(repeating: "x", count: 1_010) + "canary-authorization" + String(repeating: "y", count: 1_000))
    }
    #expect(cut.failure == .connectionFailed("HTTP 403 Forbidden: " + String(repeating: "x", count: 1_010)))
    let type = run(request) {
      $0.head(200, [("Content-Type", "canary/api")])
      $0.finish()
    }
    #expect(type.failure == .connectionFailed("HTTP 200 OK with content type [redacted] instead of text/event-stream"))
    let lost = run(request) {
      $0.head(200, Self.eventStream)
      $0.fail(.other("peer said canary-authorization"))
    }
    #expect(!"\(lost.seen)".contains("canary") && lost.seen.count == 3)
  }
}
