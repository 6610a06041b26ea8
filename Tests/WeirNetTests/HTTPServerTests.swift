import Testing
import WeirCore
import WeirTesting
import WeirWire

@testable import WeirNet

private let get = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
private func answer(_ body: String, _ more: String = "") -> String {
  "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: \(body.utf8.count)\r\n\(more)\r\n\(body)"
}

@Suite struct HTTPServerTests {
  // MARK: Requests and answers

  @Test func keepAlive() throws {
    let fixture = try ServerFixture()
    let client = try fixture.connect()
    client.send(get)
    fixture.settle()
    #expect(client.text == answer("GET /a "))
    client.send("POST /b?c=d HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi")
    fixture.settle()
    #expect(client.text == answer("GET /a ") + answer("POST /b?c=d hi"))
    #expect(!client.isClosed && fixture.server.connectionCount == 1)
    #expect(fixture.lastRequest?["host"] == "x")
  }

  @Test func dateIsSent() throws {
    let fixture = try ServerFixture()
    let client = try fixture.connect()
    client.send(get)
    fixture.settle()
    #expect(String(decoding: client.received, as: UTF8.self).contains("\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\n"))
  }

  @Test(arguments: UInt64(1)...20) func pipelinedRequestsAreAnsweredInOrder(seed: UInt64) throws {
    var waiting: [(String, any HTTPResponder)] = []
    let fixture = try ServerFixture(seed: seed) { request, responder in
      if request.path == "/now" { return ServerFixture.echo(request, responder) }
      waiting.append((request.path, responder))
    }
    let client = try fixture.connect()
    let paths = ["/now", "/1", "/now", "/2", "/now", "/now", "/3"]
    client.send(
      paths.map { "POST \($0) HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n!\r\n0\r\n\r\n" }.joined())
    for _ in 0..<3 {
      fixture.settle()
      #expect(waiting.count == 1, "one at a time, \(fixture.simulation)")
      let (path, responder) = waiting.removeFirst()
      responder.respond(status: 200, headers: [("Content-Type", "text/plain")], body: Array("late \(path)".utf8))
    }
    fixture.settle()
    let bodies = ["POST /now !", "late /1", "POST /now !", "late /2", "POST /now !", "POST /now !", "late /3"]
    #expect(client.text == bodies.map { answer($0) }.joined(), "\(fixture.simulation)")
    #expect(fixture.seenPaths == paths)
  }

  @Test func headAndBodyless() throws {
    let fixture = try ServerFixture { request, responder in
      if request.path == "/304" { return responder.respond(status: 304, headers: [], body: [1]) }
      if request.path == "/short" { return responder.respond(status: 200, headers: [], body: []) }
      if request.path == "/stream" {
        responder.begin(status: 200, headers: [])
        #expect(responder.send([1, 2, 3].span) == 3)
        return responder.finish()
      }
      ServerFixture.echo(request, responder)
    }
    let client = try fixture.connect()
    client.send(
      "HEAD /a HTTP/1.1\r\nHost: x\r\n\r\nGET /304 HTTP/1.1\r\nHost: x\r\n\r\nHEAD /stream HTTP/1.1\r\nHost: x\r\n\r\n"
        + "HEAD /short HTTP/1.1\r\nHost: x\r\n\r\nGET /short HTTP/1.1\r\nHost: x\r\n\r\n" + get)
    fixture.settle()
    #expect(
      client.text == "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 8\r\n\r\n"
        + "HTTP/1.1 304 Not Modified\r\n\r\n" + "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        // Answered without its body, HEAD says nothing of its length.
        + "HTTP/1.1 200 OK\r\n\r\n" + "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" + answer("GET /a "))
  }

  @Test func optionsOfTheServerItself() throws {
    let fixture = try ServerFixture()
    let client = try fixture.connect()
    client.send("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n")
    fixture.settle()
    #expect(client.text == "HTTP/1.1 204 No Content\r\n\r\n" && fixture.seenPaths.isEmpty)
  }

  @Test func continueIsSentWhenTheBodyIsAwaited() throws {
    let fixture = try ServerFixture()
    let client = try fixture.connect()
    client.send("POST /a HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
    fixture.settle()
    #expect(client.text == "HTTP/1.1 100 Continue\r\n\r\n")
    client.send("ok")
    fixture.settle()
    #expect(client.text == "HTTP/1.1 100 Continue\r\n\r\n" + answer("POST /a ok"))
  }

  @Test func http10() throws {
    let fixture = try ServerFixture { request, responder in
      if request.path != "/stream" { return ServerFixture.echo(request, responder) }
      #expect(!responder.isChunked)
      responder.begin(status: 200, headers: [])
      #expect(responder.send(Array("plain".utf8).span) == 5)
      #expect(responder.sendFramed(Array(" bytes".utf8).span) == 6)
      responder.finish()
    }
    let first = try fixture.connect()
    first.send("GET /a HTTP/1.0\r\n\r\n")
    let second = try fixture.connect()
    second.send("GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    fixture.settle()
    #expect(first.text == answer("GET /a ", "Connection: close\r\n") && first.isClosed)
    #expect(second.text == answer("GET /a ", "Connection: keep-alive\r\n") && !second.isClosed)
    second.send("GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    fixture.settle()
    #expect(second.text.hasSuffix("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nplain bytes") && second.isClosed)
  }

  @Test func connectionClose() throws {
    let fixture = try ServerFixture()
    let client = try fixture.connect()
    client.send("GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" + get)
    fixture.settle()
    #expect(client.text == answer("GET /a ", "Connection: close\r\n") && client.hasEnded && client.failure == nil)
    fixture.loop.advance(by: .seconds(5))
    #expect(fixture.server.connectionCount == 0)
  }

  @Test(arguments: [
    ("GET / HTTP/3.0\r\n\r\n", 505, "HTTPVersionNotSupported"), ("GET / HTTP/1.1\r\n\r\n", 400, "BadRequest"),
    ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n", 413, "BodyTooLarge"),
    ("GET /\(String(repeating: "a", count: 9000)) HTTP/1.1\r\n", 414, "RequestLineTooLong"),
    ("GET / HTTP/1.1\r\nHost: x\r\n\(String(repeating: "A: b\r\n", count: 101))", 431, "HeadTooLarge"),
  ]) func refusalsAreJSONAndClose(_ request: String, _ status: Int, _ code: String) throws {
    let fixture = try ServerFixture()
    let client = try fixture.connect()
    client.send(get + request)
    fixture.settle()
    let answers = client.text
    #expect(answers.hasPrefix(answer("GET /a ") + "HTTP/1.1 \(status) "), "\(answers)")
    #expect(answers.contains("Connection: close\r\n") && answers.contains(#"{"error":{"code":"\#(code)","message":""#))
    #expect(client.hasEnded && client.failure == nil && fixture.seenPaths == ["/a"])
  }

  @Test func anUnansweredRequestIs500() throws {
    let fixture = try ServerFixture { _, _ in }
    let client = try fixture.connect()
    client.send(get)
    fixture.settle()
    #expect(client.text.hasPrefix("HTTP/1.1 500 ") && client.isClosed)
  }

  @Test func onlyTheFirstAnswerCounts() throws {
    let fixture = try ServerFixture { request, responder in
      ServerFixture.echo(request, responder)
      ServerFixture.echo(request, responder)
      responder.begin(status: 500, headers: [])
      #expect(responder.send([1, 2].span) == 2)
      responder.finish()
      responder.abort()
    }
    let client = try fixture.connect()
    client.send(get)
    fixture.settle()
    #expect(client.text == answer("GET /a ") && !client.isClosed)
  }

  @Test func upgradeHandsOverTheConnection() throws {
    var taken: HTTPUpgrade?
    let fixture = try ServerFixture { _, responder in
      taken = responder.upgrade(headers: [("Upgrade", "websocket")])
      responder.respond(status: 200, headers: [], body: [])
    }
    let client = try fixture.connect()
    client.send("GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    fixture.settle()
    #expect(client.text == "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
    let upgrade = try #require(taken)
    #expect(upgrade.early.isEmpty && fixture.server.connectionCount == 1)
    #expect(upgrade.stream.send([0x81, 0].span) == 2)
    fixture.settle()
    #expect(client.received.suffix(2) == [0x81, 0])
    upgrade.stream.close()
    upgrade.ended()
    #expect(fixture.server.connectionCount == 0)
  }

  /// What was upgraded is told that the server stops, and cut when it does not go.
  @Test func upgradedConnectionsEndWithTheServer() throws {
    var taken: [HTTPUpgrade] = []
    let fixture = try ServerFixture { _, responder in
      if let upgrade = responder.upgrade(headers: [("Upgrade", "x")]) { taken.append(upgrade) }
    }
    let clients = try (0..<2).map { _ in try fixture.connect() }
    for client in clients { client.send("GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n") }
    fixture.settle()
    var told = 0
    taken.first?.onClosing = { [weak upgrade = taken.first] in
      told += 1
      upgrade?.stream.close()
      upgrade?.ended()
    }
    var isDone = false
    fixture.server.close(grace: .seconds(3)) { isDone = true }
    fixture.settle()
    #expect(told == 1 && !isDone && fixture.server.connectionCount == 1)
    fixture.loop.advance(by: .seconds(4))
    for client in clients { client.close() }
    fixture.settle()
    #expect(isDone && clients.count { $0.failure != nil } == 1 && fixture.simulation.network.openStreamCount == 0)
  }

  // MARK: Deadlines and limits

  @Test func slowHeadsAreCut() throws {
    let fixture = try ServerFixture()
    let client = try fixture.connect()
    client.send("GET /a HT")
    for _ in 0..<9 {
      fixture.loop.advance(by: .seconds(1))
      client.send("T")
    }
    #expect(!client.isClosed)
    fixture.loop.advance(by: .seconds(3))
    #expect(client.text.hasPrefix("HTTP/1.1 408 ") && client.text.contains("RequestTimeout") && client.isClosed)
    fixture.loop.advance(by: .seconds(5))
    #expect(fixture.server.connectionCount == 0)
  }

  @Test func slowBodiesAreCut() throws {
    var limits = HTTPServer.Limits()
    limits.bodyDuration = .seconds(60)
    let fixture = try ServerFixture(limits: limits)
    let silent = try fixture.connect()
    silent.send("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n1")
    let dripping = try fixture.connect()
    dripping.send("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n1")
    for second in 1...50 {
      fixture.loop.advance(by: .seconds(1))
      dripping.send("1")
      if second == 33 { #expect(silent.text.hasPrefix("HTTP/1.1 408 ") && silent.isClosed) }
    }
    #expect(!dripping.isClosed)
    fixture.loop.advance(by: .seconds(15))
    #expect(dripping.text.hasPrefix("HTTP/1.1 408 ") && dripping.isClosed)
  }

  @Test func idleConnectionsAreClosed() throws {
    let fixture = try ServerFixture()
    let fresh = try fixture.connect()
    let used = try fixture.connect()
    used.send(get)
    fixture.loop.advance(by: .seconds(58))
    #expect(!fresh.isClosed && !used.isClosed)
    fixture.loop.advance(by: .seconds(5))
    #expect(fresh.isClosed && used.isClosed && fresh.received.isEmpty && used.text == answer("GET /a "))
    #expect(fixture.server.connectionCount == 0)
    #expect(fixture.loop.pendingTimerCount == 0, "an empty server keeps no timer")
  }

  @Test func tooManyConnections() throws {
    var limits = HTTPServer.Limits()
    limits.connections = 2
    let fixture = try ServerFixture(limits: limits)
    let clients = try (0..<3).map { _ in try fixture.connect() }
    for client in clients { client.send(get) }
    fixture.settle()
    #expect(clients[0].text == answer("GET /a ") && clients[1].text == answer("GET /a "))
    #expect(
      clients[2].text.hasPrefix("HTTP/1.1 503 ") && clients[2].text.contains("TooManyConnections")
        && clients[2].isClosed)
    clients[0].stream?.close()
    fixture.loop.advance(by: .seconds(4))
    let next = try fixture.connect()
    next.send(get)
    fixture.settle()
    #expect(next.text == answer("GET /a "))
  }

  @Test func pipelinedBytesAreBounded() throws {
    var responders: [any HTTPResponder] = []
    let fixture = try ServerFixture { responders.append($1) }
    let client = try fixture.connect()
    client.send([UInt8](String(repeating: get, count: 20_000).utf8))
    fixture.loop.advance(by: .seconds(20))
    let server = try #require(fixture.simulation.network.openStreamCount == 2 ? fixture.server : nil)
    #expect(server.connectionCount == 1 && responders.count == 1)
    // 64 KiB and one read are taken in, the rest waits in the socket and with the client.
    while !responders.isEmpty {
      responders.removeFirst().respond(status: 204, headers: [], body: [])
      fixture.loop.settle()
      if responders.isEmpty { fixture.settle() }
    }
    #expect(fixture.seenPaths.count == 20_000)
  }

  // MARK: The end

  @Test func halfCloseStillGetsItsAnswers() throws {
    let fixture = try ServerFixture()
    let client = try fixture.connect()
    client.send(get + get)
    client.finishSending()
    fixture.settle()
    #expect(client.text == answer("GET /a ") + answer("GET /a ") && client.hasEnded)
    fixture.settle()
    #expect(fixture.server.connectionCount == 0)
  }

  @Test func closingLetsAnswersFinish() throws {
    var responders: [any HTTPResponder] = []
    let fixture = try ServerFixture { responders.append($1) }
    let idle = try fixture.connect()
    let busy = try fixture.connect()
    busy.send(get)
    fixture.settle()
    var done = 0
    fixture.server.close(grace: .seconds(5)) { done += 1 }
    fixture.settle()
    #expect(idle.isClosed && done == 0 && fixture.simulation.network.listenerCount == 0)
    responders[0].respond(status: 200, headers: [], body: [])
    fixture.settle()
    #expect(busy.text == "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" && busy.hasEnded)
    busy.stream?.close()
    fixture.settle()
    #expect(done == 1 && fixture.server.connectionCount == 0)
    fixture.loop.advance(by: .seconds(20))
    #expect(done == 1 && fixture.loop.pendingTimerCount == 0)
  }

  @Test func graceEnds() throws {
    let observer = CountingObserver()
    var responders: [any HTTPResponder] = []
    let fixture = try ServerFixture { _, responder in
      responders.append(responder)
      responder.observer = observer
      responder.begin(status: 200, headers: [])
      #expect(responder.send([0x61].span) == 1)
    }
    let client = try fixture.connect()
    client.send(get)
    fixture.settle()
    var done = 0
    fixture.server.close(grace: .seconds(5)) { done += 1 }
    fixture.loop.advance(by: .seconds(4))
    #expect(done == 0 && observer.cancelled == 0)
    fixture.loop.advance(by: .seconds(2))
    #expect(done == 1 && observer.cancelled == 1 && client.isClosed)
    #expect(!client.text.hasSuffix("0\r\n\r\n"), "a cut stream never looks complete")
  }

  @Test func aServerWithoutConnectionsClosesAtOnce() throws {
    let fixture = try ServerFixture()
    var done = 0
    fixture.server.close(grace: .seconds(5)) { done += 1 }
    #expect(done == 0)
    fixture.loop.settle()
    #expect(done == 1 && fixture.server.address == nil)
  }

  // MARK: Any network

  @Test(arguments: UInt64(1)...60) func roughNetworks(seed: UInt64) throws {
    var faults = SimulatedFaults.rough
    faults.connectRefused = 0
    faults.connectLost = 0
    faults.pieceLimit = 40
    faults.window = 600
    let fixture = try ServerFixture(seed: seed, faults: faults)
    let clients = try (0..<8).map { _ in try fixture.connect() }
    for client in clients { client.send(String(repeating: get, count: 12)) }
    fixture.loop.advance(by: .seconds(60))
    let whole = String(repeating: answer("GET /a "), count: 12)
    for client in clients {
      // Whole, or the beginning of it: cut with the connection, or ended by a stall that outlasted the head's deadline.
      let answers = client.text.split(separator: "HTTP/1.1 408 ", maxSplits: 1, omittingEmptySubsequences: false)
      if client.failure == nil, answers.count == 1 {
        #expect(client.text == whole, "\(fixture.simulation)")
      } else {
        let lines = answers[0].split(separator: "\r\n", omittingEmptySubsequences: false)
        let unbroken = client.failure == nil ? lines[...] : lines.dropLast()
        #expect(whole.hasPrefix(unbroken.joined(separator: "\r\n")), "\(fixture.simulation)")
      }
      client.stream?.close()
    }
    fixture.loop.advance(by: .seconds(200))
    #expect(fixture.server.connectionCount == 0, "\(fixture.simulation)")
    #expect(fixture.simulation.network.openStreamCount == 0, "\(fixture.simulation)")
  }

  @Test(arguments: UInt64(1)...60) func hostileBytes(seed: UInt64) throws {
    let fixture = try ServerFixture(seed: seed)
    let random = SeededRandom(seed: seed)
    let words = [
      get, "POST / HTTP/1.1\r\n", "Host: x\r\n", "\r\n", "Content-Length: 4\r\n", "Transfer-Encoding: chunked\r\n",
      "4\r\nabcd\r\n", "0\r\n\r\n", "\n", "GET ",
    ]
    let client = try fixture.connect()
    for _ in 0..<random.int(1...30) {
      client.send(random.chance(0.1) ? random.bytes(3) : Array(random.pick(words).utf8))
    }
    client.finishSending()
    fixture.loop.advance(by: .seconds(100))
    client.stream?.close()
    fixture.loop.advance(by: .seconds(5))
    #expect(fixture.server.connectionCount == 0 && fixture.loop.pendingTimerCount == 0, "\(fixture.simulation)")
    #expect(client.received.isEmpty || client.text.hasPrefix("HTTP/1.1 "), "seed \(seed)")
  }
}
