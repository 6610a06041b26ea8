import Testing
import WeirCore
import WeirTesting

@Suite struct SimulatedHTTPTests {
  private let request = HTTPClientRequest(method: "POST", url: "https://api.example/v1/chat", body: Array("{}".utf8))

  @Test func aScriptedServerAnswersInVirtualTime() {
    let simulation = SimulatedWorld(seed: 1)
    simulation.http.faults.pieceLimit = 3
    simulation.http.serve("https://api.example/") { exchange in
      #expect(exchange.text == "{}")
      exchange.head(200, [("Content-Type", "text/event-stream")])
      exchange.body("data: one\n\n", after: .seconds(1))
      exchange.body("data: two\n\n", after: .seconds(1))
      exchange.finish()
    }
    let client = HTTPRecorder()
    _ = simulation.http.start(request, handler: client)
    simulation.loop.run()
    #expect(client.log == ["head 200 text/event-stream", "body data: one\n\ndata: two\n\n", "finished"])
    #expect(client.chunks >= 8)
    #expect(simulation.loop.elapsed > .seconds(2) && simulation.loop.elapsed < .seconds(3))
    #expect(simulation.http.requests.map(\.url) == [request.url])
    #expect(simulation.http.openExchangeCount == 0)
  }

  @Test func cancelReachesTheServerAndSilencesTheClient() {
    let simulation = SimulatedWorld(seed: 2)
    var isTold = false
    simulation.http.serve("https://") { exchange in
      exchange.onCancel = { isTold = true }
      exchange.head(200)
      for _ in 0..<10 { exchange.body("x", after: .seconds(1)) }
    }
    let client = HTTPRecorder()
    let exchange = simulation.http.start(request, handler: client)
    simulation.loop.advance(by: .milliseconds(3500))
    exchange.cancel()
    exchange.cancel()
    simulation.loop.run()
    #expect(client.log == ["head 200 ", "body xxx"])
    #expect(isTold && simulation.http.exchanges[0].isCancelled)
  }

  @Test func aPausedClientGetsNothingButTheFailure() {
    let simulation = SimulatedWorld(seed: 3)
    simulation.http.serve("https://") { exchange in
      exchange.head(200)
      exchange.body("a")
      exchange.body("b")
      exchange.finish()
    }
    let client = HTTPRecorder()
    let exchange = simulation.http.start(request, handler: client)
    exchange.isReading = false
    simulation.loop.run()
    #expect(client.log.isEmpty)
    exchange.isReading = true
    simulation.loop.run()
    #expect(client.log == ["head 200 ", "body ab", "finished"])
  }

  @Test func faultsAndUnknownHostsAreFailures() {
    for (seed, refused, reset) in [(1, 1.0, 0.0), (2, 0.0, 1.0), (3, 0.0, 0.0)] {
      let simulation = SimulatedWorld(seed: UInt64(seed))
      simulation.http.faults.httpRefused = refused
      simulation.http.faults.httpReset = reset
      if seed < 3 { simulation.http.reply("https://", body: "hello") }
      let client = HTTPRecorder()
      _ = simulation.http.start(request, handler: client)
      simulation.loop.run()
      let expected = [
        1: ["finished ConnectionRefused"], 2: ["head 200 ", "finished ConnectionReset"], 3: ["finished NameNotFound"],
      ]
      #expect(client.log == expected[seed])
    }
  }

  @Test func theLongestPrefixServes() {
    let simulation = SimulatedWorld(seed: 4)
    simulation.http.reply("https://api.example/", body: "short")
    simulation.http.reply("https://api.example/v1/", body: "replaced")
    simulation.http.reply("https://api.example/v1/", body: "long")
    let client = HTTPRecorder()
    _ = simulation.http.start(request, handler: client)
    simulation.loop.run()
    #expect(client.log == ["head 200 ", "body long", "finished"])
  }
}

private final class HTTPRecorder: HTTPResponseHandler {
  private(set) var log: [String] = []
  private(set) var chunks = 0

  func httpReceived(head: HTTPResponseHead) { log.append("head \(head.status) \(head["content-type"] ?? "")") }

  func httpReceived(body: Span<UInt8>) {
    chunks += 1
    let text = body.withUnsafeBufferPointer { String(decoding: $0, as: UTF8.self) }
    if log.last?.hasPrefix("body ") == true { log[log.count - 1] += text } else { log.append("body " + text) }
  }

  func httpFinished(_ failure: NetworkFailure?) { log.append(failure.map { "finished \($0.code)" } ?? "finished") }
}
