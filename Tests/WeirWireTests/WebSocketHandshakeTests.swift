import Testing
import WeirCore
import WeirTesting

@testable import WeirWire

@Suite struct WebSocketHandshakeTests {
  // MARK: permessage-deflate

  @Test(arguments: [
    ("permessage-deflate", "permessage-deflate"),
    ("permessage-deflate; client_max_window_bits", "permessage-deflate"),
    ("permessage-deflate; client_max_window_bits=10", "permessage-deflate; client_max_window_bits=10"),
    ("permessage-deflate; server_max_window_bits=\"9\"", "permessage-deflate; server_max_window_bits=9"),
    (
      "permessage-deflate;server_no_context_takeover;client_no_context_takeover",
      "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
    ),
    ("foo, permessage-deflate; nonsense, permessage-deflate", "permessage-deflate"),
    // A window that zlib does not have: the next offer.
    ("permessage-deflate; server_max_window_bits=8, permessage-deflate", "permessage-deflate"),
    ("permessage-deflate; server_max_window_bits=8", "none"),
    ("permessage-deflate; server_max_window_bits=16", "none"),
    ("permessage-deflate; server_max_window_bits=09", "none"),
    ("permessage-deflate; server_max_window_bits", "none"),
    ("permessage-deflate; server_no_context_takeover=1", "none"),
    ("x-webkit-deflate-frame", "none"), ("", "none"),
    ("permessage-deflate; a; a", "refused: a is there twice"),
    ("permessage-deflate;", "refused: Sec-WebSocket-Extensions is not a list of extensions"),
    ("permessage-deflate; a=", "refused: Sec-WebSocket-Extensions is not a list of extensions"),
    ("permessage-deflate; a=\"b", "refused: Sec-WebSocket-Extensions is not a list of extensions"),
    ("permessage deflate", "refused: Sec-WebSocket-Extensions is not a list of extensions"),
  ]) func offers(_ offer: String, _ answer: String) {
    var found: String
    do throws(WebSocketFailure) {
      found = try PermessageDeflate.accept(offers: offer)?.answer ?? "none"
    } catch { found = "refused: \(error.message)" }
    #expect(found == answer)
  }

  @Test(arguments: [
    ("", "none"), ("permessage-deflate", "15 15"), ("permessage-deflate; server_max_window_bits=9", "15 9"),
    ("permessage-deflate; client_max_window_bits=8; server_no_context_takeover", "8 15 forgets"),
    ("permessage-deflate; client_max_window_bits", "client_max_window_bits must be a number from 8 to 15"),
    ("permessage-deflate; what=1", "permessage-deflate has no parameter what"),
    ("permessage-deflate, permessage-deflate", "the server uses an extension that was not offered"),
    ("foo", "the server uses an extension that was not offered"),
  ]) func answers(_ answer: String, _ expected: String) {
    var found: String
    do throws(WebSocketFailure) {
      found =
        try PermessageDeflate.agreed(answer: answer).map {
          "\($0.client.windowBits) \($0.server.windowBits)" + ($0.server.forgets ? " forgets" : "")
        } ?? "none"
    } catch { found = error.message }
    #expect(found == expected)
  }

  @Test func emptyMessagesDeflateToo() throws {
    let deflater = try #require(Deflater(.init()))
    let inflater = try #require(Inflater(.init()))
    for text in ["", "a", "", "", "a"] {
      var output: [UInt8] = []
      try deflater.deflate(Array(text.utf8).span).withUnsafeBufferPointer {
        try inflater.inflate($0, to: &output, limit: 10)
      }
      try inflater.finishMessage(to: &output, limit: 10)
      #expect(output == Array(text.utf8))
    }
  }

  // MARK: Client

  /// The RFC's own example (1.3, 4.2.2).
  private static let nonce = (UInt64(0x7468_6520_7361_6d70), UInt64(0x6c65_206e_6f6e_6365))

  @Test func theRequest() throws {
    let handshake = try WebSocketHandshake(
      headers: [("Authorization", "Bearer x")], subprotocols: ["chat", "superchat"], nonce: Self.nonce)
    let lines = String(decoding: handshake.request(authority: "example.org:81", target: "/a?b"), as: UTF8.self)
    #expect(
      lines == "GET /a?b HTTP/1.1\r\nHost: example.org:81\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        + "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
        + "Sec-WebSocket-Protocol: chat, superchat\r\nAuthorization: Bearer x\r\n\r\n")
    #expect(WebSocketHandshake.accept(key: "dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
  }

  @Test(arguments: [
    ("X", "a\r\nB: c"), ("X Y", "a"), ("", "a"), ("Host", "a"), ("sec-websocket-key", "a"), ("Connection", "close"),
    ("Content-Length", "1"), ("X", "a\0"), ("Sec-WebSocket-Protocol", "a b"), ("Sec-WebSocket-Protocol", "a, a"),
  ]) func headersThatCannotBeSent(_ name: String, _ value: String) {
    #expect(throws: WebSocketHandshakeFailure.self) {
      try WebSocketHandshake(headers: [(name, value)], subprotocols: [], nonce: Self.nonce)
    }
  }

  private static let good: [HTTPField] = [
    ("Upgrade", "WebSocket"), ("Connection", "keep-alive, Upgrade"),
    ("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
  ]

  @Test(arguments: [
    ("101", "", "ok"), ("101", "Sec-WebSocket-Protocol: chat", "ok chat"),
    ("101", "Sec-WebSocket-Extensions: permessage-deflate", "ok deflate"),
    ("200", "", "it answered 200"), ("101", "-Upgrade", "its answer upgrades to something else"),
    ("101", "Upgrade: h2c", "its answer upgrades to something else"),
    ("101", "-Connection", "its answer has no Connection: Upgrade"),
    ("101", "-Sec-WebSocket-Accept", "its Sec-WebSocket-Accept does not fit the request"),
    ("101", "Sec-WebSocket-Accept: x", "its Sec-WebSocket-Accept does not fit the request"),
    ("101", "Sec-WebSocket-Protocol: other", "it chose a subprotocol that was not offered"),
    ("101", "Sec-WebSocket-Extensions: foo", "the server uses an extension that was not offered"),
  ]) func answersOfServers(_ status: String, _ change: String, _ expected: String) throws {
    let handshake = try WebSocketHandshake(headers: [], subprotocols: ["chat"], nonce: Self.nonce)
    var headers = Self.good
    if change.hasPrefix("-") {
      headers.removeAll { $0.name == change.dropFirst() }
    } else if let colon = change.firstIndex(of: ":") {
      headers.append((String(change[..<colon]), String(change[change.index(colon, offsetBy: 2)...])))
    }
    var found: String
    do throws(WebSocketHandshakeFailure) {
      let agreement = try handshake.agreement(HTTPResponseHead(status: Int(status) ?? 0, headers: headers))
      found = "ok" + (agreement.subprotocol.map { " \($0)" } ?? "") + (agreement.deflate == nil ? "" : " deflate")
    } catch { found = error.message }
    #expect(found == expected || found == "the server does not accept the WebSocket: \(expected)")
  }

  // MARK: Server

  private static let request = [
    "upgrade": "websocket", "connection": "Upgrade", "sec-websocket-version": "13",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
  ]

  @Test(arguments: [
    ("", "", "ok"), ("connection", "keep-alive, upgrade", "ok"), ("upgrade", "h2c, WebSocket", "ok"),
    ("sec-websocket-protocol", "a, chat", "ok chat"), ("sec-websocket-protocol", "a", "ok"),
    ("sec-websocket-extensions", "permessage-deflate", "ok deflate"),
    ("sec-websocket-extensions", ";", "400 Sec-WebSocket-Extensions is not a list of extensions"),
    ("sec-websocket-protocol", "a,,b", "400 Sec-WebSocket-Protocol is not a list of names"),
    ("upgrade", "h2c", "400 the request has no Upgrade: websocket"),
    ("connection", "keep-alive", "400 the request has no Connection: Upgrade"),
    ("sec-websocket-version", "8", "426 only version 13 of WebSocket is spoken here"),
    ("sec-websocket-version", "13, 8", "426 only version 13 of WebSocket is spoken here"),
    ("sec-websocket-key", "short", "400 Sec-WebSocket-Key is not 16 bytes of base64"),
    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==, x", "400 Sec-WebSocket-Key is not 16 bytes of base64"),
    ("method", "POST", "400 a WebSocket is opened with GET, not POST"),
  ]) func requestsOfClients(_ name: String, _ value: String, _ expected: String) {
    var fields = Self.request
    if !name.isEmpty { fields[name] = value }
    var found: String
    do throws(WebSocketHandshakeFailure) {
      let accepted = try WebSocketHandshake.accept(
        method: fields["method"] ?? "GET", field: { fields[$0.lowercased()] }, subprotocols: ["chat", "b"])
      #expect(accepted.headers.contains { $0 == ("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") })
      found = "ok" + (accepted.agreement.subprotocol.map { " \($0)" } ?? "")
      if accepted.agreement.deflate != nil { found += " deflate" }
    } catch { found = "\(error.status) \(error.message)" }
    #expect(found == expected)
  }
}

@Suite struct HTTPResponseParserTests {
  private func read(_ pieces: [[UInt8]], prefix: Int = 1024) -> [String] {
    var parser = HTTPResponseParser()
    var lines: [String] = []
    var hasHead = false
    do throws(HTTPFailure) {
      for piece in pieces {
        parser.receive(piece.span)
        if !hasHead, let head = try parser.nextHead() {
          hasHead = true
          lines.append("\(head.status) " + head.headers.map { "\($0.name)=\($0.value)" }.joined(separator: "|"))
        }
        if hasHead, lines.count == 1, lines[0].hasPrefix("101") == false, let body = parser.bodyPrefix(limit: prefix) {
          lines.append(String(decoding: body, as: UTF8.self))
        }
      }
      if !hasHead { lines.append("unfinished") }
      if lines.count == 1, hasHead {
        lines.append(
          lines[0].hasPrefix("101")
            ? "early " + String(decoding: parser.takeBuffered(), as: UTF8.self)
            : "so far " + String(decoding: parser.bodySoFar, as: UTF8.self))
      }
    } catch { lines.append(error.message) }
    return lines
  }

  @Test(arguments: [
    (
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\u{1}x", ["101 Upgrade=websocket", "early \u{1}x"]
    ),
    ("HTTP/1.1 200\r\n\r\nabc", ["200 ", "so far abc"]),
    ("HTTP/1.1 401 No\r\nContent-Length: 3\r\n\r\nabcdef", ["401 Content-Length=3", "abc"]),
    ("HTTP/1.0 401 No\r\nContent-Length: 30\r\n\r\nabc", ["401 Content-Length=30", "so far abc"]),
    ("HTTP/1.1 100 C\r\n\r\nHTTP/1.1 103 E\r\nA: b\r\n\r\nHTTP/1.1 204 N\r\n\r\n", ["204 ", ""]),
    (
      "HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
      ["403 Transfer-Encoding=chunked", "abc"]
    ),
    ("HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n", ["403 Transfer-Encoding=chunked", "ab"]),
    ("HTTP/1.1 101", ["unfinished"]),
    ("HTTP/2 101 X\r\n", ["the answer does not begin with an HTTP/1 status line"]),
    ("SSH-2.0-OpenSSH_9.2\r\n", ["the answer does not begin with an HTTP/1 status line"]),
    ("HTTP/1.1 99 X\r\n", ["the answer does not begin with an HTTP/1 status line"]),
    ("HTTP/1.1 101 X\nA: b\r\n", ["a line ends in a bare LF"]),
    ("HTTP/1.1 101 X\r\nA : b\r\n", ["a header field's name holds a space or another character that it must not"]),
    ("HTTP/1.1 101 X\r\nA: b\r\n c\r\n", ["a folded header field"]),
  ]) func heads(_ input: String, _ lines: [String]) throws {
    #expect(try everyCut(input) { read($0) } == lines)
  }

  @Test func limits() {
    let line = "HTTP/1.1 101 X\r\nA: \(String(repeating: "a", count: 9000))\r\n\r\n"
    #expect(read([Array(line.utf8)]) == ["a header field is longer than 8192 bytes"])
    let many = "HTTP/1.1 101 X\r\n" + String(repeating: "A: b\r\n", count: 101) + "\r\n"
    #expect(read([Array(many.utf8)]) == ["more than 100 header fields"])
    let large = "HTTP/1.1 101 X\r\n" + String(repeating: "A: \(String(repeating: "a", count: 8000))\r\n", count: 9)
    #expect(read([Array(large.utf8)]) == ["the header fields are larger than 65536 bytes"])
    let interim = String(repeating: "HTTP/1.1 100 C\r\n\r\n", count: 17)
    #expect(read([Array(interim.utf8)]) == ["too many interim answers"])
    let body = "HTTP/1.1 401 X\r\n\r\n" + String(repeating: "b", count: 2000)
    #expect(read([Array(body.utf8)], prefix: 10)[1] == "bbbbbbbbbb")
  }
}
