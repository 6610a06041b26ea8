import Testing
import WeirTesting

@testable import WeirWire

/// What a connection's bytes gave, one line for each event; a failure is the last line.
func readRequests(_ pieces: [[UInt8]], _ limits: HTTPRequestParser.Limits = .init()) -> [String] {
  var parser = HTTPRequestParser(limits: limits)
  var lines: [String] = []
  do throws(HTTPFailure) {
    for piece in pieces {
      parser.receive(piece.span)
      while let event = try parser.next() {
        switch event {
        case .head(let head):
          let fields = head.headers.map { "\($0.name)=\($0.value)" }.joined(separator: "|")
          var line = "\(head.method) \(head.path)\(head.query.isEmpty ? "" : "?" + head.query) 1.\(head.minorVersion)"
          line += " @\(head.authority) [\(fields)] \(head.body)"
          if !head.isPersistent { line += " close" }
          if head.expectsContinue { line += " expects" }
          lines.append(line)
        case .end(let body, let trailers):
          lines.append(
            "end \(String(decoding: body, as: UTF8.self))" + trailers.map { " \($0.name)=\($0.value)" }.joined())
        }
      }
    }
  } catch { lines.append("\(error.status) \(error.message)") }
  if !parser.isBetweenRequests, lines.last?.first?.isNumber != true { lines.append("unfinished") }
  return lines
}

struct HTTPCase: CustomTestStringConvertible, Sendable {
  var name: String
  var input: String
  var lines: [String]
  var testDescription: String { name }
  init(_ name: String, _ input: String, _ lines: [String]) {
    (self.name, self.input, self.lines) = (name, input, lines)
  }
}

let goodRequests: [HTTPCase] = [
  HTTPCase("smallest", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", ["GET / 1.1 @a [Host=a] none", "end "]),
  HTTPCase(
    "optional white space", "GET / HTTP/1.1\r\nHost:\t a \t\r\nX:\r\nY: a b\tc \r\n\r\n",
    ["GET / 1.1 @a [Host=a|X=|Y=a b\tc] none", "end "]),
  HTTPCase("1.0 without Host", "GET / HTTP/1.0\r\n\r\n", ["GET / 1.0 @ [] none close", "end "]),
  HTTPCase(
    "1.0 keep-alive", "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
    ["GET / 1.0 @ [Connection=Keep-Alive] none", "end "]),
  HTTPCase(
    "1.1 close among options", "GET / HTTP/1.1\r\nHost: a\r\nConnection: foo, CLOSE\r\n\r\n",
    ["GET / 1.1 @a [Host=a|Connection=foo, CLOSE] none close", "end "]),
  HTTPCase("empty Host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", ["GET / 1.1 @ [Host=] none", "end "]),
  HTTPCase(
    "IPv6 Host", "GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n", ["GET / 1.1 @[::1]:8080 [Host=[::1]:8080] none", "end "]),
  HTTPCase(
    "path is decoded and normalised once",
    "GET /a//b/./c/../%2520%C3%A9%2e%2E/d/?x=%20+%zz HTTP/1.1\r\nHost: a\r\n\r\n",
    ["GET /a/b/%20é../d/?x=%20+%zz 1.1 @a [Host=a] none", "end "]),
  HTTPCase(
    "encoded dots are dots", "GET /a/%2e%2e/b/%2E HTTP/1.1\r\nHost: a\r\n\r\n",
    ["GET /b/ 1.1 @a [Host=a] none", "end "]),
  HTTPCase(
    "absolute form wins over Host", "GET HTTP://ex.org:81/p?q HTTP/1.1\r\nHost: other\r\n\r\n",
    ["GET /p?q 1.1 @ex.org:81 [Host=other] none", "end "]),
  HTTPCase(
    "absolute form without a path", "GET http://ex.org?q HTTP/1.1\r\nHost: ex.org\r\n\r\n",
    ["GET /?q 1.1 @ex.org [Host=ex.org] none", "end "]),
  HTTPCase("asterisk form", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", ["OPTIONS * 1.1 @a [Host=a] none", "end "]),
  HTTPCase(
    "method is any token", "PURGE-it!~ / HTTP/1.1\r\nHost: a\r\n\r\n", ["PURGE-it!~ / 1.1 @a [Host=a] none", "end "]),
  HTTPCase(
    "length body", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    ["POST / 1.1 @a [Host=a|Content-Length=5] length(5)", "end hello"]),
  HTTPCase(
    "length zero", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 00\r\n\r\n",
    ["POST / 1.1 @a [Host=a|Content-Length=00] length(0)", "end "]),
  HTTPCase(
    "body of a GET", "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx",
    ["GET / 1.1 @a [Host=a|Content-Length=1] length(1)", "end x"]),
  HTTPCase(
    "1.0 with a body", "POST / HTTP/1.0\r\nContent-Length: 2\r\n\r\nhi",
    ["POST / 1.0 @ [Content-Length=2] length(2) close", "end hi"]),
  HTTPCase(
    "chunked",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n00A;x=\"y\"\r\n 1234\r\n678\r\n0\r\n\r\n",
    ["POST / 1.1 @a [Host=a|Transfer-Encoding=Chunked] chunked", "end hello 1234\r\n678"]),
  HTTPCase(
    "trailers", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nA: 1\r\nB: 2\r\n\r\n",
    ["POST / 1.1 @a [Host=a|Transfer-Encoding=chunked] chunked", "end x A=1 B=2"]),
  HTTPCase(
    "pipelined",
    "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhiGET /3 HTTP/1.0\r\n\r\n",
    [
      "GET /1 1.1 @a [Host=a] none", "end ", "POST /2 1.1 @a [Host=a|Content-Length=2] length(2)", "end hi",
      "GET /3 1.0 @ [] none close", "end ",
    ]),
  HTTPCase(
    "an empty line before a request", "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    ["GET / 1.1 @a [Host=a] none", "end ", "GET / 1.1 @a [Host=a] none", "end "]),
  HTTPCase(
    "expects", "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\nx",
    ["POST / 1.1 @a [Host=a|Expect=100-Continue|Content-Length=1] length(1) expects", "end x"]),
  HTTPCase(
    "expects without a body", "GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n",
    ["GET / 1.1 @a [Host=a|Expect=100-continue] none", "end "]),
  HTTPCase(
    "an HTTP/1.0 expectation is not heard", "GET / HTTP/1.0\r\nExpect: wonders\r\n\r\n",
    ["GET / 1.0 @ [Expect=wonders] none close", "end "]),
  HTTPCase(
    "bytes beyond ASCII in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: é\r\n\r\n",
    ["GET / 1.1 @a [Host=a|X=é] none", "end "]),
  HTTPCase("unfinished head", "GET / HTTP/1.1\r\nHost: a\r\n", ["unfinished"]),
  HTTPCase(
    "unfinished body", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nhi",
    ["POST / 1.1 @a [Host=a|Content-Length=3] length(3)", "unfinished"]),
  HTTPCase("nothing", "", []),
]

/// A request line or fields that must be refused: (what, bytes, status).
struct BadCase: CustomTestStringConvertible, Sendable {
  var input: [UInt8]
  var status: Int
  var testDescription: String { String(decoding: input.prefix(90), as: UTF8.self).debugDescription + " → \(status)" }
  init(_ text: String, _ status: Int = 400) { (input, self.status) = (Array(text.utf8), status) }
}

private func head(_ fields: String, _ status: Int = 400) -> BadCase {
  BadCase("POST / HTTP/1.1\r\nHost: a\r\n\(fields)\r\n\r\n", status)
}
private func line(_ line: String, _ status: Int = 400) -> BadCase { BadCase("\(line)\r\nHost: a\r\n\r\n", status) }
private func chunks(_ body: String, _ status: Int = 400) -> BadCase {
  BadCase("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\(body)", status)
}

let badRequests: [BadCase] = [
  // request line
  line("GET /"), line("GET"), line("GET  / HTTP/1.1"), line("GET / HTTP/1.1 "), line("GET /  HTTP/1.1"),
  line("GET / a HTTP/1.1"), line(" GET / HTTP/1.1"), line("GET\t/ HTTP/1.1"), line("GET / HTTP/1.1\t"),
  line("GET / HTTP/2.0", 505), line("GET / HTTP/1.2", 505), line("GET / HTTP/0.9", 505), line("GET / HTTP/11"),
  line("GET / http/1.1"), line("GET / HTTP/1.10"), line("GET / HTTP/1,1"), line("GET / HTTP/+1.1"),
  line("GET / HTTPS/1.1"),
  line("PRI * HTTP/2.0", 505), line("G{T / HTTP/1.1"), line("GÉT / HTTP/1.1"), line("GET /\u{0} HTTP/1.1"),
  line("GET /é HTTP/1.1"),
  line("GET /a#b HTTP/1.1"), line("GET a HTTP/1.1"), line("GET * HTTP/1.1"), line("GET /%zz HTTP/1.1"),
  line("GET /% HTTP/1.1"),
  line("GET /%4 HTTP/1.1"), line("GET /%00 HTTP/1.1"), line("GET /%0d%0aX HTTP/1.1"), line("GET /%ff HTTP/1.1"),
  line("GET /%c0%af HTTP/1.1"),
  line("GET /.. HTTP/1.1"), line("GET /a/../../b HTTP/1.1"), line("GET /%2e%2e/b HTTP/1.1"),
  line("GET /a%5c..%5cb HTTP/1.1"),
  line("GET ftp://a/ HTTP/1.1"), line("GET http:/// HTTP/1.1"), line("GET http://u:p@a/ HTTP/1.1"),
  line("GET http:a HTTP/1.1"),
  line("CONNECT a:443 HTTP/1.1", 501), line(String(repeating: "M", count: 33) + " / HTTP/1.1", 501),
  BadCase("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), BadCase("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
  BadCase("GET / HTTP/1.1\nHost: a\n\n"), BadCase("GET / HTTP/1.1\r\nHost: a\n\r\n"),
  BadCase("GET / HTTP/1.1\r\nHost: a\r\n\n"),
  BadCase("GET / HTTP/1.1\rHost: a\r\n\r\n"), BadCase("\u{16}\u{3}\u{1}"), BadCase("{\"a\":1}"), BadCase(" "),
  BadCase("\u{0}"),
  // fields
  head("X : 1"), head(": 1"), head("X"), head("X\t: 1"), head(" X: 1"), head("X: 1\r\n folded"),
  head("X: 1\r\n\tfolded"),
  head("X: a\u{0}b"), head("X: a\rb"), head("X: a\r"), head("X\u{0}: 1"), head("Xé: 1"), head("X(: 1"),
  head("X: \u{7f}"), head("X: \u{1b}[0m"),
  head("\"X\": 1"), head("[X]: 1"),
  BadCase("GET / HTTP/1.1\r\n\r\n"), BadCase("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
  BadCase("GET / HTTP/1.0\r\nHost: a\r\nhost: b\r\n\r\n"),
  BadCase("GET / HTTP/1.1\r\nHost: a b\r\n\r\n"), BadCase("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"),
  BadCase("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"),
  BadCase("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"), BadCase("GET / HTTP/1.1\r\nHost: a:80x\r\n\r\n"),
  BadCase("GET / HTTP/1.1\r\nHost: [::1\r\n\r\n"),
  BadCase("GET / HTTP/1.1\r\n Host: a\r\n\r\n"), BadCase("GET / HTTP/1.1\r\nHost : a\r\n\r\n"),
  // framing: the smuggling shapes
  head("Content-Length: 1\r\nTransfer-Encoding: chunked"), head("Transfer-Encoding: chunked\r\nContent-Length: 0"),
  head("Content-Length: 1\r\nContent-Length: 2"), head("Content-Length: 1\r\nContent-Length: 1"),
  head("Content-Length: 1, 1"),
  head("Content-Length: +1"), head("Content-Length: -1"), head("Content-Length: 0x1"), head("Content-Length: 1 1"),
  head("Content-Length:"),
  head("Content-Length: 1_0"), head("Content-Length: ١"), head("Content-Length: 1.0"),
  head("Content-Length: 99999999999999999999", 413),
  head("Content-Length: 16777217", 413), head("Content_Length: 1\r\nContent-Length: a"),
  head("Transfer-Encoding: chunked, chunked"), head("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
  head("Transfer-Encoding: chunked, identity"), head("Transfer-Encoding: identity"),
  head("Transfer-Encoding: xchunked"), head("Transfer-Encoding:"),
  head("Transfer-Encoding: gzip, chunked", 501), head("Transfer-Encoding: gzip"),
  head("Transfer-Encoding: chunked;x=1"),
  head("Transfer-Encoding: ,chunked"), head("Transfer-Encoding: \u{b}chunked"), head("Transfer-Encoding: \"chunked\""),
  head("Transfer-Encoding : chunked"), head("Transfer-Encoding\u{b}: chunked"), head("Transfer-Encoding: chun\r\n ked"),
  BadCase("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"),
  head("Expect: 100-continue, more\r\nContent-Length: 1", 417), head("Expect: 200-ok", 417),
  head("Expect: 100-continue\r\nExpect: 100-continue", 417),
  // chunks
  chunks("x\r\n"), chunks("\r\n"), chunks(" 5\r\nhello\r\n0\r\n\r\n"), chunks("5 \r\nhello\r\n"),
  chunks("0x5\r\nhello\r\n"), chunks("-1\r\n"),
  chunks("+5\r\n"), chunks("5\nhello\r\n"), chunks("5\r\nhello\n0\r\n\r\n"), chunks("5\r\nhello!\r\n"),
  chunks("5\r\nhell\r\n0\r\n\r\n"),
  chunks("5;a\rb\r\nhello\r\n"), chunks("5;a\u{0}\r\n"), chunks("5\rhello\r\n"), chunks("FFFFFFFFFFFFFFFF\r\n", 413),
  chunks("10000000000000005\r\n", 413),
  chunks("1000001\r\n", 413), chunks("5;" + String(repeating: "x", count: 300)), chunks("0\r\nX : 1\r\n\r\n"),
  chunks("0\r\n folded\r\n\r\n"),
  chunks("0\r\nX: 1\n\r\n"), chunks("0\r\n\n"),
  chunks(String(repeating: "1;" + String(repeating: "x", count: 250) + "\r\nx\r\n", count: 70)),
]

@Suite struct HTTPRequestParserTests {
  @Test(arguments: goodRequests) func accepts(_ example: HTTPCase) throws {
    #expect(readRequests([Array(example.input.utf8)]) == example.lines)
    try everyCut(example.input) { readRequests($0) }
  }

  @Test(arguments: badRequests) func refuses(_ example: BadCase) throws {
    let lines = readRequests([example.input])
    #expect(lines.last?.hasPrefix("\(example.status) ") == true, "\(lines)")
    try everyCut(example.input, everyPlaceLimit: 600) { readRequests($0) }
  }

  @Test func theListIsHostile() { #expect(badRequests.count >= 100) }

  @Test func aFailedParserStaysFailed() throws {
    var parser = HTTPRequestParser()
    parser.receive(Array("GET / HTTP/9.9\r\n".utf8).span)
    #expect(throws: HTTPFailure.version) { try parser.next() }
    parser.receive(Array("GET / HTTP/1.1\r\nHost: a\r\n\r\n".utf8).span)
    #expect(throws: HTTPFailure.version) { try parser.next() }
  }

  // MARK: Limits

  private func status(_ text: String, _ limits: HTTPRequestParser.Limits = .init()) throws -> String {
    let lines = try everyCut(text, everyPlaceLimit: 300) { readRequests($0, limits) }
    return lines.last ?? ""
  }

  @Test func requestLineLimit() throws {
    func request(_ length: Int) -> String {
      "GET /" + String(repeating: "a", count: length - 14) + " HTTP/1.1\r\nHost: a\r\n\r\n"
    }
    #expect(try status(request(8192)) == "end ")
    #expect(try status(request(8193)).hasPrefix("414"))
    #expect(try status(String(repeating: "A", count: 8193)).hasPrefix("414"))
  }

  @Test func headerLimits() throws {
    var limits = HTTPRequestParser.Limits()
    limits.lineBytes = 40
    limits.headBytes = 100
    limits.fieldCount = 4
    func request(_ fields: String) -> String { "GET / HTTP/1.1\r\nHost: a\r\n\(fields)\r\n" }
    #expect(try status(request("X: " + String(repeating: "a", count: 37) + "\r\n"), limits) == "end ")
    #expect(try status(request("X: " + String(repeating: "a", count: 38) + "\r\n"), limits).hasPrefix("431"))
    #expect(try status(request("A: 1\r\nB: 2\r\nC: 3\r\n"), limits) == "end ")
    #expect(try status(request("A: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\n"), limits) == "431 more than 4 header fields")
    let pad = String(repeating: "a", count: 30)
    #expect(try status(request("A: \(pad)\r\nB: \(pad)\r\nC: \(pad)\r\n"), limits).hasPrefix("431"))
    // the defaults
    #expect(try status(request(String(repeating: "X: 1\r\n", count: 99))) == "end ")
    #expect(try status(request(String(repeating: "X: 1\r\n", count: 100))).hasPrefix("431"))
    let big = "X: " + String(repeating: "a", count: 8000) + "\r\n"
    #expect(try status(request(String(repeating: big, count: 8))) == "end ")
    #expect(try status(request(String(repeating: big, count: 9))).hasPrefix("431"))
  }

  @Test func bodyLimit() throws {
    var limits = HTTPRequestParser.Limits()
    limits.bodyBytes = 6
    let start = "POST / HTTP/1.1\r\nHost: a\r\n"
    #expect(try status(start + "Content-Length: 6\r\n\r\nabcdef", limits) == "end abcdef")
    #expect(try status(start + "Content-Length: 7\r\n\r\nabcdefg", limits).hasPrefix("413"))
    #expect(
      try status(start + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n", limits) == "end abcdef")
    #expect(
      try status(start + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n", limits).hasPrefix(
        "413"))
  }

  @Test(arguments: UInt64(1)...80) func randomBytes(seed: UInt64) throws {
    let random = SeededRandom(seed: seed)
    let words = [
      "GET ", "POST ", "/", "/a?b", " HTTP/1.1", " HTTP/1.0", "\r\n", "\r\n", "\r\n\r\n", "\n", "\r", "Host: a\r\n",
      "Content-Length: 3\r\n",
      "Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n", "0\r\n\r\n", ":", " ", "x", "Expect: 100-continue\r\n", "abc",
      "%41", "é",
    ]
    var bytes: [UInt8] = random.chance(0.7) ? Array("POST / HTTP/1.1\r\nHost: a\r\n".utf8) : []
    for _ in 0..<random.int(1...25) { bytes += random.chance(0.05) ? random.bytes(1) : Array(random.pick(words).utf8) }
    try everyCut(bytes, seed: seed) { readRequests($0) }
    // whatever comes of it, it ends
    #expect(readRequests([bytes]).count < 100, "seed \(seed)")
  }
}
