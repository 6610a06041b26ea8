import Glibc
import Testing
import WeirCore
import WeirTesting

@testable import WeirIO

/// What an answer's handler saw, in order.
final class Answer: HTTPResponseHandler {
  var heads: [HTTPResponseHead] = []
  var pieces: [String] = []
  var size = 0
  var onHead: (Answer) -> Void = { _ in }
  var onBody: (Answer) -> Void = { _ in }
  var onFinish: (Answer, NetworkFailure?) -> Void = { _, _ in }
  var keeps = true
  var text: String { pieces.joined() }

  func httpReceived(head: HTTPResponseHead) {
    heads.append(head)
    onHead(self)
  }
  func httpReceived(body: Span<UInt8>) {
    size += body.count
    if keeps { pieces.append(body.withUnsafeBufferPointer { String(decoding: $0, as: UTF8.self) }) }
    onBody(self)
  }
  func httpFinished(_ failure: NetworkFailure?) { onFinish(self, failure) }
}

/// A server that answers each request head with what the test says, over real sockets on the test's loop.
final class ScriptedServer {
  var port = 0
  var requests: [String] = []
  var peers: [Peer] = []
  private var listener: (any Listener)?

  init(_ network: any Network, _ answer: @escaping (ScriptedServer, Peer, String) -> Void) throws {
    listener = try network.listen(loopback, tls: nil) { [self] stream in
      let peer = Peer(stream)
      peers.append(peer)
      peer.onEnd = { $0.stream.close() }
      peer.onBytes = { [self] peer in
        let text = String(decoding: peer.received, as: UTF8.self)
        guard let end = text.firstRange(of: "\r\n\r\n") else { return }
        let lines = text[..<end.lowerBound].lowercased().split(separator: "\r\n")
        let length = lines.compactMap { $0.hasPrefix("content-length: ") ? Int($0.dropFirst(16)) : nil }.first ?? 0
        guard text[end.upperBound...].utf8.count >= length else { return }
        peer.received = []
        requests.append(text)
        answer(self, peer, text)
      }
    }
    port = listener?.address.port ?? 0
  }

  func url(_ path: String = "/") -> String { "http://127.0.0.1:\(port)\(path)" }
}

@Suite(.serialized) struct CurlTransportTests {
  private func exchange(
    _ script: @escaping (EventLoop, ScriptedServer, Peer, String) -> Void,
    request make: (ScriptedServer) -> HTTPClientRequest = { HTTPClientRequest(method: "GET", url: $0.url()) },
    started: @escaping (EventLoop, any HTTPExchange, Answer) -> Void = { _, _, _ in },
    _ check: @escaping (Answer, NetworkFailure?, ScriptedServer) -> Void
  ) throws {
    try onLoop { loop, done in
      let transport = CurlTransport(loop)
      let server = try ScriptedServer(makeNetwork(loop)) { script(loop, $0, $1, $2) }
      let answer = Answer()
      answer.onFinish = { answer, failure in
        _ = transport
        check(answer, failure, server)
        done()
      }
      started(loop, transport.start(make(server), handler: answer), answer)
    }
  }

  @Test func aStreamArrivesInThePiecesInWhichItWasSent() throws {
    let wanted = ["one ", "two ", "three"]
    try exchange { loop, _, peer, _ in
      peer.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n".utf8)
      var left = wanted
      func next() {
        guard !left.isEmpty else {
          peer.send("0\r\n\r\n".utf8)
          return
        }
        let piece = left.removeFirst()
        peer.send("\(String(piece.utf8.count, radix: 16))\r\n\(piece)\r\n".utf8)
        _ = loop.after(.milliseconds(10), next)
      }
      next()
    } _: { answer, failure, server in
      #expect(failure == nil)
      #expect(answer.pieces == wanted)
      #expect(answer.heads.count == 1)
      #expect(answer.heads.first?.status == 200)
      #expect(answer.heads.first?["content-type"] == "text/event-stream")
      let sent = server.requests.first?.lowercased() ?? ""
      #expect(sent.contains("accept-encoding: identity\r\n"))
      #expect(!sent.contains("expect"))
    }
  }

  @Test func interimAnswersAndTrailersAreNotHeads() throws {
    try exchange { _, _, peer, _ in
      peer.send("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n".utf8)
      peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTwice: a\r\ntwice:b \r\n\r\n".utf8)
      peer.send("2\r\nok\r\n0\r\nTrailer: HTTP/1.1 500 no\r\n\r\n".utf8)
    } _: { answer, failure, _ in
      #expect(failure == nil)
      #expect(answer.heads.map(\.status) == [200])
      #expect(answer.heads.first?.headers.filter { $0.name.lowercased() == "twice" }.map(\.value) == ["a", "b"])
      #expect(answer.heads.first?["link"] == nil)
      #expect(answer.text == "ok")
    }
  }

  @Test(arguments: [400, 404, 429, 500, 503, 529])
  func badStatusesAreAnswersNotFailures(_ status: Int) throws {
    try exchange { _, _, peer, _ in
      peer.send("HTTP/1.1 \(status) Whatever\r\nContent-Length: 4\r\nRetry-After: 7\r\n\r\nwhy?".utf8)
    } _: { answer, failure, _ in
      #expect(failure == nil)
      #expect(answer.heads.map(\.status) == [status])
      #expect(answer.heads.first?["retry-after"] == "7")
      #expect(answer.text == "why?")
    }
  }

  @Test(arguments: [
    ("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this", 200, "only this"),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", 200, "hello"),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n50\r\nhel", 200, "hel"),
    ("HTTP/1.1 200 OK\r\nContent-Le", 0, ""), ("HTTP/1.1 200 OK\r\nX: y\r\n", 0, ""),
    ("HTTP/1.1 100 Continue\r\n\r\n", 0, ""),
    ("", 0, ""),
  ])
  func truncatedAnswersAreFailures(_ bytes: String, _ status: Int, _ body: String) throws {
    try exchange { loop, _, peer, _ in
      peer.send(bytes.utf8)
      _ = loop.after(.milliseconds(20)) { peer.stream.close() }
    } _: { answer, failure, _ in
      #expect(failure == .closedEarly)
      #expect(answer.heads.map(\.status) == (status == 0 ? [] : [status]))
      #expect(answer.text == body)
    }
  }

  @Test func anAnswerFramedByItsEndIsCompleteAtTheEnd() throws {
    try exchange { _, _, peer, _ in
      peer.send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nto the end".utf8)
      peer.stream.close()
    } _: { answer, failure, _ in
      #expect(failure == nil)
      #expect(answer.text == "to the end")
    }
  }

  @Test func aResetIsAFailure() throws {
    try exchange { loop, _, peer, _ in
      peer.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nx".utf8)
      _ = loop.after(.milliseconds(20)) { peer.stream.reset() }
    } _: { _, failure, _ in
      #expect(failure == .reset || failure == .closedEarly)
    }
  }

  @Test func notHTTPIsAProtocolViolation() throws {
    try exchange { _, _, peer, _ in
      peer.send("SSH-2.0-OpenSSH\r\n\r\n".utf8)
    } _: { answer, failure, _ in
      #expect(failure?.code == "ProtocolError", "\(String(describing: failure))")
      #expect(answer.heads.isEmpty)
    }
  }

  @Test func anEndlessHeadIsRefused() throws {
    try exchange { _, _, peer, _ in
      peer.send("HTTP/1.1 200 OK\r\n".utf8)
      let lines = [UInt8](String(repeating: "X: \(String(repeating: "y", count: 1000))\r\n", count: 40).utf8)
      var sent = 0
      func more() {
        while sent < 100 {
          if peer.send(lines) < lines.count { return }
          sent += 1
        }
      }
      peer.onWritable = { _ in more() }
      more()
    } _: { answer, failure, _ in
      #expect(failure?.code == "ProtocolError")
      #expect(answer.heads.isEmpty)
    }
  }

  @Test func methodsBodiesAndHeadersGoOutAsGiven() throws {
    let cases: [(method: String, body: String?, length: String?)] = [
      ("GET", nil, nil), ("POST", "{\"a\":1}", "7"), ("POST", nil, "0"), ("PUT", "x", "1"), ("DELETE", nil, nil),
      ("PATCH", String(repeating: "z", count: 200_000), "200000"),
    ]
    for (method, body, length) in cases {
      try exchange { _, _, peer, _ in
        peer.send("HTTP/1.1 204 No Content\r\n\r\n".utf8)
      } request: {
        var request = HTTPClientRequest(method: method, url: $0.url("/path?q=1"), body: body.map { Array($0.utf8) })
        request.headers = [("X-Empty", ""), ("X-Key", "secret"), ("Content-Length", "3")]
        return request
      } _: { answer, failure, server in
        #expect(failure == nil)
        #expect(answer.heads.first?.status == 204)
        let lines = (server.requests.first ?? "").components("\r\n")
        #expect(lines.first == "\(method) /path?q=1 HTTP/1.1")
        #expect(lines.contains("X-Empty:"))
        #expect(lines.contains("X-Key: secret"))
        #expect(
          lines.filter { $0.lowercased().hasPrefix("content-length") }
            == (length.map { ["Content-Length: \($0)"] } ?? []))
        #expect(!lines.contains { $0.lowercased().hasPrefix("content-type") })
        #expect(lines.last == body ?? "")
      }
    }
  }

  @Test func headHasNoBody() throws {
    try exchange { _, _, peer, _ in
      peer.send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n".utf8)
    } request: {
      HTTPClientRequest(method: "HEAD", url: $0.url())
    } _: { answer, failure, _ in
      #expect(failure == nil)
      #expect(answer.heads.first?["content-length"] == "1000")
      #expect(answer.size == 0)
    }
  }

  // MARK: Requests that never leave

  private func expectFailure(
    _ request: HTTPClientRequest, _ check: @escaping (NetworkFailure?) -> Void
  ) {
    onLoop { loop, done in
      let transport = CurlTransport(loop)
      let answer = Answer()
      var returned = false
      answer.onFinish = {
        _ = transport
        #expect(returned, "finished inside start")
        #expect($0.heads.isEmpty)
        check($1)
        done()
      }
      _ = transport.start(request, handler: answer)
      returned = true
    }
  }

  @Test(arguments: [
    "", "nonsense", "ftp://127.0.0.1/", "file:///etc/passwd", "http://", "http://a b/", "http://x\u{0}y/",
    "http://user:pass@/?key=sk-123",
  ])
  func badURLs(_ url: String) {
    expectFailure(HTTPClientRequest(method: "GET", url: url)) {
      #expect($0?.code == "BadURL", "\(url): \(String(describing: $0))")
      #expect($0?.message.contains("sk-123") == false)
      #expect($0?.message.contains("pass@") == false)
    }
  }

  @Test func requestsThatWouldSmuggleAreRefused() {
    var request = HTTPClientRequest(method: "GET", url: "http://127.0.0.1:1/")
    request.headers = [("X", "a\r\nY: b")]
    expectFailure(request) { #expect($0?.code == "ProtocolError") }
    request.headers = [("X: y", "a")]
    expectFailure(request) { #expect($0?.code == "ProtocolError") }
    request = HTTPClientRequest(method: "GET / HTTP/1.1\r\nX:", url: "http://127.0.0.1:1/")
    expectFailure(request) { #expect($0?.code == "ProtocolError") }
  }

  @Test func refusedAndUnknownHostsSaySo() throws {
    var port = 0
    try onLoop { loop, done in
      let listener = try makeNetwork(loop).listen(loopback, tls: nil) { _ in }
      port = listener.address.port
      listener.close()
      done()
    }
    expectFailure(HTTPClientRequest(method: "GET", url: "http://127.0.0.1:\(port)/")) {
      #expect($0 == .refused(SocketAddress(host: "127.0.0.1", port: port)))
    }
    expectFailure(HTTPClientRequest(method: "GET", url: "http://does-not-exist.invalid/")) {
      #expect($0 == .nameNotFound(host: "does-not-exist.invalid"))
    }
  }

  @Test func aSilentServerTimesOutWhileConnecting() throws {
    let fd = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(fd) }
    let any = try #require(IPAddress("127.0.0.1", port: 0))
    #expect(any.withSockaddr { bind(fd, $0, $1) } == 0)
    #expect(listen(fd, 0) == 0)
    let address = try #require(IPAddress(of: fd, asking: getsockname))
    // Fills the backlog, so that the next SYN is left unanswered.
    var fillers: [Int32] = []
    for _ in 0..<3 {
      let filler = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
      _ = address.withSockaddr { connect(filler, $0, $1) }
      fillers.append(filler)
    }
    defer { for filler in fillers { close(filler) } }
    var request = HTTPClientRequest(method: "GET", url: "http://127.0.0.1:\(address.port)/")
    request.connectTimeout = .milliseconds(150)
    expectFailure(request) { #expect($0 == .timedOut(what: "connecting to 127.0.0.1:\(address.port)")) }
  }

  @Test func aMissingLibraryNamesTheRemedy() {
    guard case .failure(let failure) = CurlLibrary.load(["libno-such-curl.so.4"]) else {
      Issue.record("loaded what does not exist")
      return
    }
    #expect(failure.code == "Unavailable")
    #expect(failure.message.contains("install"))
  }

  // MARK: Cancelling and pausing

  enum When: CaseIterable { case beforeTheHead, insideTheHead, insideTheBody, laterInTheBody }

  @Test(arguments: When.allCases)
  func cancelClosesTheSocketAtOnce(_ when: When) throws {
    try onLoop { loop, done in
      let transport = CurlTransport(loop)
      var cancelledAt: Instant?
      var exchange: (any HTTPExchange)?
      func cancel() {
        exchange?.cancel()
        cancelledAt = loop.now
      }
      let server = try ScriptedServer(makeNetwork(loop)) { _, peer, _ in
        func gone() {
          guard let cancelledAt else {
            Issue.record("closed before the cancel")
            return done()
          }
          #expect(loop.now - cancelledAt < .milliseconds(20))
          // Long enough for a late callback to show itself.
          _ = loop.after(.milliseconds(30)) {
            _ = transport
            done()
          }
        }
        peer.onEnd = { _ in gone() }
        peer.onFailure = { _, _ in gone() }
        if when == .beforeTheHead {
          _ = loop.after(.milliseconds(10), cancel)
        } else {
          peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n".utf8)
        }
      }
      let answer = Answer()
      answer.onHead = { _ in if when == .insideTheHead { cancel() } }
      answer.onBody = { _ in
        if cancelledAt != nil { Issue.record("a byte after the cancel") }
        if when == .insideTheBody { cancel() }
        if when == .laterInTheBody { _ = loop.after(.milliseconds(10), cancel) }
      }
      answer.onFinish = { _, failure in Issue.record("finished though cancelled: \(String(describing: failure))") }
      exchange = transport.start(HTTPClientRequest(method: "GET", url: server.url()), handler: answer)
    }
  }

  @Test func oneHandlerMayCancelAndStartOthers() throws {
    try onLoop { loop, done in
      let transport = CurlTransport(loop)
      let server = try ScriptedServer(makeNetwork(loop)) { _, peer, request in
        peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n".utf8)
        if request.hasPrefix("GET /whole") { peer.send("0\r\n\r\n".utf8) }
      }
      let loser = Answer()
      loser.onFinish = { _, _ in Issue.record("the loser was cancelled") }
      let lost = transport.start(HTTPClientRequest(method: "GET", url: server.url()), handler: loser)
      loser.onBody = { _ in
        let winner = Answer()
        winner.onBody = { _ in
          lost.cancel()
          let third = Answer()
          third.onFinish = {
            #expect($0.text == "hello")
            #expect($1 == nil)
            #expect(server.requests.count == 3)
            done()
          }
          _ = transport.start(HTTPClientRequest(method: "GET", url: server.url("/whole")), handler: third)
        }
        _ = transport.start(HTTPClientRequest(method: "GET", url: server.url("/whole")), handler: winner)
      }
    }
  }

  @Test func cancellingBeforeTheFirstTurnConnectsNowhere() throws {
    try onLoop { loop, done in
      let transport = CurlTransport(loop)
      let server = try ScriptedServer(makeNetwork(loop)) { _, _, _ in Issue.record("asked though cancelled") }
      let answer = Answer()
      answer.onFinish = { _, _ in Issue.record("finished though cancelled") }
      transport.start(HTTPClientRequest(method: "GET", url: server.url()), handler: answer).cancel()
      transport.start(HTTPClientRequest(method: "GET", url: "bad"), handler: answer).cancel()
      _ = loop.after(.milliseconds(50)) {
        _ = transport
        done()
      }
    }
  }

  @Test func pausingStopsTheSenderAndResumingLosesNothing() throws {
    let total = 32 << 20
    try onLoop { loop, done in
      let transport = CurlTransport(loop)
      var sent = 0
      let server = try ScriptedServer(makeNetwork(loop)) { _, peer, _ in
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: \(total)\r\n\r\n".utf8)
        let block = [UInt8](repeating: 0x61, count: 65_536)
        func more() {
          while sent < total {
            let taken = peer.stream.send(block.span)
            sent += taken
            if taken < block.count {
              // The next block must start where this one was cut; all bytes are alike, so only the count matters.
              return
            }
          }
        }
        peer.onWritable = { _ in more() }
        more()
      }
      let answer = Answer()
      answer.keeps = false
      var exchange: (any HTTPExchange)?
      var checked = false
      answer.onBody = { answer in
        guard !checked else { return }
        checked = true
        exchange?.isReading = false
        _ = loop.after(.milliseconds(100)) {
          let (received, stuck) = (answer.size, sent)
          #expect(received <= 2 * CurlTransfer.bufferSize)
          #expect(stuck < total)
          _ = loop.after(.milliseconds(100)) {
            #expect(sent == stuck, "the sender went on")
            #expect(answer.size == received)
            exchange?.isReading = true
          }
        }
      }
      answer.onFinish = {
        #expect($1 == nil)
        #expect($0.size == total)
        _ = transport
        done()
      }
      exchange = transport.start(HTTPClientRequest(method: "GET", url: server.url()), handler: answer)
    }
  }

  // MARK: Connections, redirects, proxies

  @Test func completeAnswersShareAConnection() throws {
    try onLoop { loop, done in
      let transport = CurlTransport(loop)
      let server = try ScriptedServer(makeNetwork(loop)) { _, peer, _ in
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".utf8)
      }
      var left = 20
      func next() {
        let answer = Answer()
        answer.onFinish = { answer, failure in
          #expect(failure == nil)
          #expect(answer.text == "ok")
          left -= 1
          if left > 0 { return next() }
          #expect(server.peers.count == 1)
          done()
        }
        _ = transport.start(HTTPClientRequest(method: "GET", url: server.url()), handler: answer)
      }
      next()
    }
  }

  @Test func redirectsAreFollowedWithinTheirLimit() throws {
    func request(_ server: ScriptedServer, _ limit: Int) -> HTTPClientRequest {
      var request = HTTPClientRequest(method: "POST", url: server.url("/3"), body: Array("body".utf8))
      request.redirectLimit = limit
      request.headers = [("Authorization", "Bearer key")]
      return request
    }
    func serve(_ loop: EventLoop, _ server: ScriptedServer, _ peer: Peer, _ text: String) {
      let step = text.split(separator: " ")[1].dropFirst()
      if let step = Int(step), step > 0 {
        peer.send("HTTP/1.1 307 Over There\r\nLocation: /\(step - 1)\r\nContent-Length: 4\r\n\r\ngone".utf8)
      } else {
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".utf8)
      }
    }
    try exchange(serve) {
      request($0, 3)
    } _: { answer, failure, server in
      #expect(failure == nil)
      #expect(answer.heads.map(\.status) == [200])
      #expect(answer.text == "ok")
      #expect(server.requests.count == 4)
      for text in server.requests {
        #expect(text.hasPrefix("POST /"))
        #expect(text.contains("Bearer key"))
        #expect(text.hasSuffix("\r\n\r\nbody"))
      }
    }
    try exchange(serve) {
      request($0, 2)
    } _: { answer, failure, _ in
      #expect(failure == .tooManyRedirects(2))
      #expect(answer.heads.isEmpty)
    }
    try exchange(serve) {
      request($0, 0)
    } _: { answer, failure, _ in
      #expect(failure == nil)
      #expect(answer.heads.map(\.status) == [307])
      #expect(answer.text == "gone")
    }
  }

  @Test func seeOtherBecomesAGet() throws {
    try exchange { _, _, peer, text in
      peer.send(
        text.hasPrefix("POST")
          ? "HTTP/1.1 303 See Other\r\nLocation: result?x=1\r\nContent-Length: 0\r\n\r\n".utf8
          : "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".utf8)
    } request: {
      var request = HTTPClientRequest(method: "POST", url: $0.url("/a/b"), body: Array("body".utf8))
      request.redirectLimit = 1
      request.headers = [("Content-Type", "application/json")]
      return request
    } _: { answer, failure, server in
      #expect(failure == nil)
      let second = server.requests.last ?? ""
      #expect(second.hasPrefix("GET /a/result?x=1 "))
      #expect(!second.lowercased().contains("content-"))
      #expect(answer.text == "ok")
    }
  }

  @Test func credentialsDoNotFollowToAnotherOrigin() throws {
    try onLoop { loop, done in
      let network = makeNetwork(loop)
      let transport = CurlTransport(loop)
      let stranger = try ScriptedServer(network) { _, peer, _ in
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".utf8)
      }
      let server = try ScriptedServer(network) { _, peer, _ in
        peer.send("HTTP/1.1 302 Found\r\nLocation: \(stranger.url("/x"))\r\nContent-Length: 0\r\n\r\n".utf8)
      }
      var request = HTTPClientRequest(method: "GET", url: server.url())
      request.redirectLimit = 5
      request.headers = [
        ("Authorization", "Bearer secret"), ("x-api-key", "secret"), ("Cookie", "secret"), ("Accept", "text/plain"),
      ]
      let answer = Answer()
      answer.onFinish = {
        #expect($1 == nil)
        #expect($0.text == "ok")
        #expect(server.requests.first?.contains("x-api-key: secret") == true)
        #expect(stranger.requests.first?.contains("secret") == false)
        #expect(stranger.requests.first?.contains("Accept: text/plain") == true)
        _ = transport
        done()
      }
      _ = transport.start(request, handler: answer)
    }
  }

  @Test(arguments: ["file:///etc/passwd", "ftp://127.0.0.1/", "http://", "gopher://127.0.0.1/"])
  func redirectsToElsewhereAreRefused(_ place: String) throws {
    try exchange { _, _, peer, _ in
      peer.send("HTTP/1.1 302 Found\r\nLocation: \(place)\r\nContent-Length: 0\r\n\r\n".utf8)
    } request: {
      var request = HTTPClientRequest(method: "GET", url: $0.url())
      request.redirectLimit = 5
      return request
    } _: { answer, failure, _ in
      #expect(failure?.code == "BadURL")
      #expect(answer.heads.isEmpty)
    }
  }

  @Test func theProxyVariableIsHonoured() throws {
    try onLoop { loop, done in
      let proxy = try ScriptedServer(makeNetwork(loop)) { _, peer, _ in
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nby proxy!".utf8)
      }
      let transport = CurlTransport(loop, proxies: ProxySettings(FixedEnvironment(["http_proxy": proxy.url()])))
      let answer = Answer()
      answer.onFinish = { answer, _ in
        _ = transport
        #expect(answer.text == "by proxy!")
        #expect(proxy.requests.first?.hasPrefix("GET http://model.invalid/v1/chat HTTP/1.1") == true)
        done()
      }
      _ = transport.start(HTTPClientRequest(method: "GET", url: "http://model.invalid/v1/chat"), handler: answer)
    }
  }

  @Test func compressedAnswersAreDecodedWhenAskedFor() throws {
    // "hello hello hello" by gzip.
    let packed: [UInt8] = [
      0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0xcb, 0x48, 0xcd, 0xc9, 0xc9, 0x57, 0xc8, 0x40, 0x90,
      0x00, 0x80, 0x88, 0xf9, 0xe5, 0x11, 0x00, 0x00, 0x00,
    ]
    try exchange { _, _, peer, _ in
      peer.send("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: \(packed.count)\r\n\r\n".utf8)
      peer.send(packed)
    } request: {
      HTTPClientRequest(method: "GET", url: $0.url(), headers: [("Accept-Encoding", "gzip")])
    } _: { answer, failure, server in
      #expect(server.requests.first?.contains("Accept-Encoding: gzip\r\n") == true)
      #expect(answer.heads.first?["content-encoding"] == nil)
      #expect(failure == nil)
      #expect(answer.text == "hello hello hello")
    }
  }

  @Test func aRealServerAnswers() throws {
    let script = """
      import http.server,sys
      class H(http.server.BaseHTTPRequestHandler):
        protocol_version='HTTP/1.1'
        def do_POST(self):
          b=self.rfile.read(int(self.headers['content-length']))
          self.send_response(201); self.send_header('content-length',str(len(b))); self.end_headers(); self.wfile.write(b)
        def log_message(self,*a): pass
      s=http.server.HTTPServer(('127.0.0.1',0),H); s.timeout=10
      print(s.server_port,flush=True); s.handle_request()
      """
    guard let pipe = popen("python3 -c \"\(script)\" 2>/dev/null", "r") else { return }
    defer { pclose(pipe) }
    var line = [CChar](repeating: 0, count: 32)
    guard fgets(&line, 32, pipe) != nil else {
      print("skipped: no python3 to serve")
      return
    }
    let port = Int(String(decoding: line.prefix { $0 > 0x20 }.map(UInt8.init(bitPattern:)), as: UTF8.self)) ?? 0
    onLoop { loop, done in
      let transport = CurlTransport(loop)
      let answer = Answer()
      answer.onFinish = {
        _ = transport
        #expect($1 == nil)
        #expect($0.heads.first?.status == 201)
        #expect($0.text == "ping")
        done()
      }
      let request = HTTPClientRequest(
        method: "POST", url: "http://127.0.0.1:\(port)/", headers: [("Connection", "close")], body: Array("ping".utf8))
      _ = transport.start(request, handler: answer)
    }
  }
}

extension String {
  fileprivate func components(_ separator: String) -> [String] {
    var rest = self[...]
    var parts: [String] = []
    while let place = rest.firstRange(of: separator) {
      parts.append(String(rest[..<place.lowerBound]))
      rest = rest[place.upperBound...]
    }
    return parts + [String(rest)]
  }
}
