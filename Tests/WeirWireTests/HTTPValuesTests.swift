import Testing
import WeirTesting

@testable import WeirWire

/// Response heads, chunks, dates, queries and forms, `Accept`, media types, bearer tokens.
@Suite struct HTTPValuesTests {
  private func head(
    _ status: Int, _ headers: [HTTPField] = [], _ framing: HTTPResponseWriter.Framing = .none,
    _ connection: HTTPResponseWriter.Connection = .persistent, date: String = ""
  ) -> String {
    var output: [UInt8] = []
    HTTPResponseWriter.appendHead(
      status: status, headers: headers, framing: framing, connection: connection, date: Array(date.utf8), to: &output)
    return String(decoding: output, as: UTF8.self)
  }

  @Test func responseHeads() {
    #expect(head(204) == "HTTP/1.1 204 No Content\r\n\r\n")
    #expect(
      head(200, [("Content-Type", "text/plain")], .length(5), .close, date: "D")
        == "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nDate: D\r\nContent-Length: 5\r\nConnection: close\r\n\r\n")
    #expect(
      head(299, [], .chunked, .keepAlive)
        == "HTTP/1.1 299 Status\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n")
    #expect(
      head(101, [("Upgrade", "websocket")], .none, .upgrade).hasSuffix(
        "Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n"))
  }

  @Test func noFieldBreaksOut() {
    let text = head(
      200,
      [
        ("X", "a\r\nSet-Cookie: b\u{0}"), ("Bad Name", "1"), ("B\r\nC", "1"), ("", "1"), ("content-LENGTH", "9"),
        ("Transfer-Encoding", "x"), ("Connection", "x"), ("Date", "x"),
      ],
      .length(0))
    #expect(text == "HTTP/1.1 200 OK\r\nX: aSet-Cookie: b\r\nContent-Length: 0\r\n\r\n")
  }

  @Test func chunks() throws {
    var output: [UInt8] = []
    HTTPChunk.appendFrame([UInt8](repeating: 0x61, count: 26).span, to: &output)
    HTTPChunk.appendFrame([UInt8]().span, to: &output)
    HTTPChunk.appendFrame(Array("b".utf8).span, to: &output)
    output += HTTPChunk.last
    #expect(
      String(decoding: output, as: UTF8.self) == "1a\r\n\(String(repeating: "a", count: 26))\r\n1\r\nb\r\n0\r\n\r\n")
    let request = Array("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".utf8) + output
    let lines = try everyCut(request) { readRequests($0) }
    #expect(lines.last == "end " + String(repeating: "a", count: 26) + "b")
  }

  @Test(
    arguments: [
      (784_111_777_000, "Sun, 06 Nov 1994 08:49:37 GMT"), (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
      (-1, "Wed, 31 Dec 1969 23:59:59 GMT"), (951_782_400_999, "Tue, 29 Feb 2000 00:00:00 GMT"),
      (1_767_225_599_999, "Wed, 31 Dec 2025 23:59:59 GMT"), (4_102_444_800_000, "Fri, 01 Jan 2100 00:00:00 GMT"),
    ] as [(Int64, String)]) func dates(_ time: Int64, _ text: String)
  {
    #expect(String(decoding: HTTPDate.bytes(time), as: UTF8.self) == text)
  }

  @Test func queriesAndForms() throws {
    let query = try QueryString("message=hello+world%21&x=1&x=2&&flag&e=&a%3Db=%C3%A9&p=1=2")
    #expect(query["message"] == "hello world!")
    #expect(query["x"] == "1" && query.all("x") == ["1", "2"])
    #expect(query["flag"] == "" && query["e"] == "" && query["a=b"] == "é" && query["p"] == "1=2")
    #expect(query["none"] == nil && query.items.count == 7)
    #expect(try QueryString("").items.isEmpty)
    #expect(try QueryString(form: Array("a=%0A+".utf8))["a"] == "\n ")
    for bad in ["a=%", "a=%4", "a=%4g", "%zz", "a=%ff", "a=%u0041"] {
      #expect(throws: HTTPFailure.self, "\(bad)") { try QueryString(bad) }
    }
    let many = String(repeating: "a&", count: QueryString.itemCountLimit)
    #expect(try QueryString(many).items.count == 1000)
    #expect(throws: HTTPFailure.self) { try QueryString(many + "b") }
  }

  @Test(arguments: UInt64(1)...30) func encodedTextComesBack(seed: UInt64) throws {
    let random = SeededRandom(seed: seed)
    let text = (0..<20).map { _ in random.pick(["a", "/", "%", "+", "é", "🐎", " ", "&", "=", "?", "~"]) }.joined()
    let query = try QueryString("k=" + PercentCoding.encode(text))
    #expect(query["k"] == text, "seed \(seed)")
  }

  @Test(
    arguments: [
      // Accept, offers, which is taken
      (nil, "text/event-stream application/json", 0),
      ("", "text/event-stream application/json", 0),
      ("*/*", "text/event-stream application/json", 0),
      ("application/json", "text/event-stream application/json", 1),
      ("text/event-stream", "text/event-stream application/json", 0),
      ("text/event-stream, application/json", "text/event-stream application/json", 0),
      ("application/json, text/plain, */*", "text/event-stream application/json", 1),
      ("application/json;q=0.5, text/event-stream;q=0.4", "text/event-stream application/json", 1),
      ("application/json;q=0.5, */*;q=0.6", "text/event-stream application/json", 0),
      ("application/*, text/*;q=0.9", "text/event-stream application/json", 1),
      (
        "text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8",
        "text/event-stream application/json", 0
      ),
      ("text/html, */*;q=0.1", "text/event-stream application/json text/html", 2),
      ("text/event-stream;q=0, */*", "text/event-stream application/json", 1),
      ("image/png", "text/event-stream application/json", -1),
      ("*/*;q=0", "text/event-stream application/json", -1),
      ("Text/Event-Stream; Charset=UTF-8", "text/event-stream", 0),
      ("text/event-stream;format=openai", "text/event-stream text/event-stream;format=openai", 1),
      ("text/event-stream;format=none", "text/event-stream text/event-stream;format=openai", -1),
      ("text/event-stream", "text/event-stream;format=openai", 0),
      ("text/plain;a=\"x,y;q=0\";q=0.3, application/json;q=0.2", "application/json text/plain;a=\"x,y;q=0\"", 1),
      ("nonsense, ;;, /, text/, q=1, application/json", "text/event-stream application/json", 1),
      ("nonsense", "text/event-stream application/json", 0),
      ("*", "text/event-stream", 0),
      ("application/json;q=2, text/event-stream;q=0.1", "text/event-stream application/json", 0),
      ("application/json;q=0.0001, text/event-stream;q=0.001", "application/json text/event-stream", 1),
    ] as [(String?, String, Int)]) func accept(_ header: String?, _ offers: String, _ taken: Int) throws
  {
    let types = try offers.split(separator: " ").map { try #require(MediaType(String($0))) }
    #expect(Accept(header).preferred(among: types) ?? -1 == taken)
  }

  @Test func mediaTypes() {
    let type = MediaType("Application/JSON ; charset=\"utf\\-8\"; B=c")
    #expect(type?.essence == "application/json" && type?["charset"] == "utf-8" && type?["b"] == "c")
    for bad in ["", "json", "a/", "/b", "a/b/c", "a b/c", "a/b;c", "a/b;c=\"d", "a/b; =d", "a/b;c=d e"] {
      #expect(MediaType(bad) == nil, "\(bad)")
    }
  }

  @Test(
    arguments: [
      ("Bearer abc", "abc"), ("bearer  a.b-c_d~e+f/g==", "a.b-c_d~e+f/g=="), ("Basic abc", nil), ("Bearer", nil),
      ("Bearer ", nil),
      ("Bearer a b", nil), ("Bearer a=b", nil), ("Bearer ==", nil), ("Bearer a\"b", nil), ("", nil), (nil, nil),
    ] as [(String?, String?)]) func bearer(_ header: String?, _ token: String?)
  {
    #expect(BearerToken.read(header) == token)
  }
}
