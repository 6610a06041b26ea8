import Testing
import WeirCore
import WeirLang
import WeirNet
import WeirTesting

@testable import WeirRuntime

/// std/net in a simulated world: what is sent, what an answer becomes, and every way in which there is none.
@Suite struct NetModuleTests {
  private func bench(
    _ call: String, seed: UInt64 = 1, faults: SimulatedFaults = .calm,
    configure: (inout ProgramInstance.Options) -> Void = { _ in }
  ) throws -> Bench {
    try Bench(
      """
      import std/net (headerOf, httpGet, httpPost, httpRequest)
      func main() {
        match \(call) {
          Ok(r) => println("${r.status} ${r.body} ${len(r.data)} ${show(headerOf(r, "X-A"))}")
          Err(e) => println(e)
        }
      }
      """, seed: seed, faults: faults, configure: configure)
  }

  @Test func whatIsSentAndWhatComes() throws {
    let calls: [(call: String, sent: String)] = [
      (#"httpGet("https://a.test/x")"#, "GET https://a.test/x [] -"),
      (#"httpPost("https://a.test/", "{}")"#, "POST https://a.test/ [Content-Type: application/json] {}"),
      (
        #"httpPost("https://a.test/", "x", contentType: "text/plain")"#,
        "POST https://a.test/ [Content-Type: text/plain] x"
      ),
      (#"httpRequest("DELETE", "https://a.test/", [{name: "A", value: "b"}], "")"#, "DELETE https://a.test/ [A: b] -"),
    ]
    for (call, sent) in calls {
      let bench = try bench(call)
      bench.simulation.http.serve("https://a.test/") { exchange in
        exchange.head(404, [("x-a", "1"), ("X-A", "2")])
        exchange.body([0x68, 0xFF])
        exchange.finish()
      }
      bench.run()
      let request = try #require(bench.simulation.http.requests.first)
      let headers = request.headers.map { "\($0.name): \($0.value)" }.joined(separator: ", ")
      let body = request.body.map { String(decoding: $0, as: UTF8.self) } ?? "-"
      #expect("\(request.method) \(request.url) [\(headers)] \(body)" == sent)
      #expect(request.policy == NetworkPolicy())
      #expect(request.redirectLimit == 5 && request.connectTimeout == .seconds(30))
      #expect(bench.output == "404 h\u{FFFD} 2 Some(\"1\")\n")
      bench.expectQuiet(call)
    }
  }

  static let refused: [(call: String, says: String)] = [
    (#"httpGet("ftp://a.test/")"#, "BadRequest"), (#"httpGet("")"#, "BadRequest"),
    (#"httpGet("https://")"#, "BadRequest"),
    (#"httpGet("https://a b/")"#, "BadRequest"), (#"httpGet("https://a\r\nX: y/")"#, "BadRequest"),
    (#"httpGet("file:///etc/passwd")"#, "BadRequest"), (#"httpGet("https://a\0b/")"#, "BadRequest"),
    (#"httpGet("https://u:secret@a.test/")"#, "BadRequest"), (#"httpGet("http://a.test/")"#, "NotAllowed"),
    (#"httpGet("https://10.0.0.1/")"#, "NotAllowed"),
    (#"httpRequest("GET X", "https://a.test/", [], "")"#, "BadRequest"),
    (#"httpRequest("", "https://a.test/", [], "")"#, "BadRequest"),
    (#"httpRequest("GET", "https://a.test/", [{name: "A", value: "secret\r\nB: c"}], "")"#, "BadRequest"),
    (#"httpRequest("GET", "https://a.test/", [{name: "A b", value: ""}], "")"#, "BadRequest"),
    (#"httpRequest("POST", "https://a.test/", [{name: "Content-Length", value: "9"}], "x")"#, "BadRequest"),
  ]

  @Test func whatIsNotSent() throws {
    for (call, says) in Self.refused {
      let bench = try bench(call).run()
      #expect(bench.output.hasPrefix(says + "("), "\(call): \(bench.output) \(bench.errors)")
      #expect(!bench.output.contains("secret"), "\(call)")
      #expect(bench.simulation.http.requests.isEmpty, "\(call)")
    }
  }

  @Test func limits() throws {
    let small: (inout ProgramInstance.Options) -> Void = { options in
      options.net.response = 10
      options.net.timeout = .seconds(3)
      options.net.redirects = 0
    }
    let answers: [(String, (SimulatedHTTPExchange) -> Void, String)] = [
      (
        "fits",
        {
          $0.head(200)
          $0.body(Array(repeating: 0x61, count: 10))
          $0.finish()
        }, "200 aaaaaaaaaa 10 None"
      ),
      (
        "one more",
        {
          $0.head(200)
          $0.body(Array(repeating: 0x61, count: 11))
        }, "TooLarge(\"the answer is larger than 10 bytes\")"
      ),
      ("announced", { $0.head(200, [("Content-Length", "11")]) }, "TooLarge(\"the answer is larger than 10 bytes\")"),
      ("silent", { _ in }, "Timeout(\"no complete answer within 3s\")"),
      (
        "trickling",
        { exchange in
          exchange.head(200)
          for _ in 0..<9 { exchange.body([0x61], after: .seconds(1)) }
        }, "Timeout(\"no complete answer within 3s\")"
      ),
      (
        "reset",
        {
          $0.head(200)
          $0.fail(.reset)
        }, "ConnectionFailed(\"the connection was reset by the other side\")"
      ),
      ("redirected on", { $0.fail(.tooManyRedirects(0)) }, "ConnectionFailed(\"more than 0 redirects\")"),
    ]
    for (what, answer, says) in answers {
      let bench = try bench(#"httpGet("https://a.test/")"#, configure: small)
      bench.simulation.http.serve("https://a.test/", answer)
      bench.run()
      bench.simulation.loop.advance(by: .seconds(5))
      #expect(bench.output == says + "\n", "\(what): \(bench.errors)")
      #expect(bench.simulation.http.requests.first?.redirectLimit == 0)
      bench.expectQuiet(what)
    }
  }

  /// Late, cut anywhere, broken off anywhere: one answer, whole or an error.
  @Test(arguments: UInt64(1)...30) func anyWeather(seed: UInt64) throws {
    var faults = SimulatedFaults.calm
    faults.httpRefused = 0.2
    faults.httpReset = 0.2
    faults.pieceLimit = 3
    let bench = try bench(#"httpGet("https://a.test/")"#, seed: seed, faults: faults)
    bench.simulation.http.reply("https://a.test/", body: "a whole answer")
    bench.run()
    bench.simulation.loop.advance(by: .seconds(40))
    let isFine = bench.output == "200 a whole answer 14 None\n" || bench.output.hasPrefix("ConnectionFailed(")
    #expect(isFine, "seed \(seed): \(bench.output)")
    bench.expectQuiet("seed \(seed)")
  }

  @Test func cancellingClosesTheRequest() throws {
    let bench = try Bench(
      """
      import std/net (httpGet)
      import std/clock (sleep)
      import std/task (race)
      func main() { println(race([() => { sleep(50); "first" }, () => { _ = httpGet("https://a.test/"); "second" }])) }
      """)
    bench.simulation.http.serve("https://a.test/") { _ in }
    bench.run()
    #expect(bench.output == "first\n")
    #expect(bench.simulation.http.exchanges.map(\.isCancelled) == [true])
  }
}
