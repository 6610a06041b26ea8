import WeirCore
import WeirTesting

@testable import WeirAI

/// What a provider may do wrong, by name, and what has to come of it: one row for all dialects.
struct Fault: Sendable {
  enum Code: String, Sendable {
    case none = "–"
    case auth = "AuthFailed"
    case model = "ModelNotFound"
    case context = "ContextLength"
    case rate = "RateLimit"
    case timeout = "Timeout"
    case connection = "ConnectionFailed"
    case proto = "ProtocolError"
    case truncated = "Truncated"
    case budget = "BudgetExhausted"
  }

  var name: String
  var state: EndState
  var code: Code = .none
  var retryable = false
  /// What a reader has at the end.
  var text = ""
  /// The end comes no later; nil: at once, which is 1 second here.
  var within: Duration = .seconds(1)
  /// Dialects to which this can't happen.
  var but: Set<RequestShape> = []
  var serve: @Sendable (FaultWire, SimulatedHTTPExchange) -> Void
}

extension Fault {
  static func status(
    _ code: Int, _ expected: Code, retryable: Bool = false, _ headers: [(String, String)] = [],
    _ body: String = #"{"error":{"message":"because"}}"#, name: String? = nil, within: Duration = .seconds(1)
  ) -> Fault {
    Fault(name: name ?? "HTTP \(code)", state: .error, code: expected, retryable: retryable, within: within) {
      _, exchange in
      exchange.head(code, headers)
      exchange.body(body)
      exchange.finish()
    }
  }

  static func broken(_ name: String, _ failure: NetworkFailure, _ code: Code = .connection, retryable: Bool = true)
    -> Fault
  {
    Fault(name: name, state: .error, code: code, retryable: retryable) { _, exchange in exchange.fail(failure) }
  }

  /// A 200 with this body, complete as its framing says.
  static func body(
    _ name: String, _ state: EndState, _ code: Code = .none, retryable: Bool = false, text: String = "",
    but: Set<RequestShape> = [], _ body: @escaping @Sendable (FaultWire) -> String
  ) -> Fault {
    Fault(name: name, state: state, code: code, retryable: retryable, text: text, but: but) { wire, exchange in
      exchange.head(200)
      exchange.body(body(wire))
      exchange.finish()
    }
  }

  static func cut(_ name: String, text: String, _ body: @escaping @Sendable (FaultWire) -> String) -> Fault {
    Fault(name: name, state: .truncated, code: .truncated, retryable: true, text: text) { wire, exchange in
      exchange.head(200)
      exchange.body(body(wire))
      exchange.fail(.reset)
    }
  }

  static let withoutSentinel: Set<RequestShape> = [.openaiResponses, .gemini, .ollamaChat]

  static let all: [Fault] = refusals + connections + ends + errors + shapes + times

  static let refusals: [Fault] = [
    .status(400, .proto),
    .status(
      400, .context, [], #"{"error":{"message":"x","code":"context_length_exceeded"}}"#,
      name: "HTTP 400, context too long"),
    .status(401, .auth), .status(402, .budget), .status(403, .auth), .status(404, .model),
    .status(408, .timeout, retryable: true),
    .status(409, .proto), .status(413, .context), .status(422, .proto), .status(429, .rate, retryable: true),
    .status(429, .rate, retryable: true, [("Retry-After", "2")], name: "HTTP 429, Retry-After in seconds"),
    .status(
      429, .rate, retryable: true, [("Retry-After", "Thu, 01 Jan 2026 00:00:09 GMT")],
      name: "HTTP 429, Retry-After as a date"),
    .status(
      429, .rate, [], #"{"error":{"message":"x","code":"insufficient_quota"}}"#, name: "HTTP 429, no credit left"),
    .status(500, .connection, retryable: true),
    .status(500, .connection, retryable: true, [], "<html><body>oops</body></html>", name: "HTTP 500, a web page"),
    .status(500, .connection, retryable: true, [], "", name: "HTTP 500, no body"),
    .status(502, .connection, retryable: true),
    .status(503, .connection, retryable: true),
    .status(503, .rate, retryable: true, [("Retry-After", "1")], name: "HTTP 503, Retry-After"),
    .status(504, .timeout, retryable: true), .status(529, .rate, retryable: true),
    .status(301, .proto, [("Location", "https://elsewhere.test/")], name: "redirect"),
    .status(200, .proto, [("Content-Type", "text/html")], "<html>log in</html>", name: "HTTP 200, a web page"),
    .status(200, .proto, [("Content-Encoding", "gzip")], "\u{1F}\u{8B}\u{8}\u{0}aaaa", name: "HTTP 200, compressed"),
    Fault(name: "refusal whose body never ends", state: .error, code: .auth, within: .seconds(6)) { _, exchange in
      exchange.head(401)
      exchange.body("{\"error\":")
    },
    Fault(name: "refusal with an endless body", state: .error, code: .connection, retryable: true) { _, exchange in
      exchange.head(500)
      for _ in 0..<20 { exchange.body(String(repeating: "x", count: 10_000)) }
    },
  ]

  static let connections: [Fault] = [
    .broken("connection refused", .refused(SocketAddress(host: "api.test", port: 443))),
    .broken("no such host", .nameNotFound(host: "api.test")), .broken("TLS failure", .tls("certificate has expired")),
    .broken("connect timeout", .timedOut(what: "connecting"), .timeout), .broken("reset before the head", .reset),
    .broken("closed before the head", .closedEarly),
    .broken("not HTTP", .protocolViolation("the answer is not HTTP"), .proto, retryable: false),
    .cut("reset after the head", text: "") { _ in "" },
    .cut("reset in the middle", text: "Hel") { $0.start + $0.text("Hel") },
    .cut("reset inside an event", text: "Hel") { $0.start + $0.text("Hel") + String($0.text("lo").dropLast(6)) },
    Fault(name: "reset after the finish marker", state: .completed, text: "Hello") { wire, exchange in
      exchange.head(200)
      exchange.body(wire.start + wire.text("Hel") + wire.text("lo") + wire.finish())
      exchange.fail(.reset)
    },
  ]

  static let ends: [Fault] = [
    .body("nothing wrong", .completed, text: "Hello") { $0.whole },
    .body("clean end, no body", .truncated, .truncated, retryable: true) { _ in "" },
    .body("clean end before any content", .truncated, .truncated, retryable: true) { $0.start },
    .body("clean end without a finish marker", .truncated, .truncated, retryable: true, text: "Hel") {
      $0.start + $0.text("Hel")
    },
    .body("clean end inside an event", .truncated, .truncated, retryable: true, text: "Hel") {
      $0.start + $0.text("Hel") + String($0.text("lo").dropLast(6))
    },
    .body("finish marker without a sentinel", .completed, text: "Hel") { $0.start + $0.text("Hel") + $0.finish() },
    .body("sentinel without a finish marker", .completed, text: "Hel", but: withoutSentinel) {
      $0.start + $0.text("Hel") + $0.sentinel
    },
    .body("finish marker twice", .completed, text: "Hel") { $0.start + $0.text("Hel") + $0.finish() + $0.end },
    .body("text after the end", .completed, text: "Hel", but: [.gemini]) {
      $0.start + $0.text("Hel") + $0.end + $0.text("lo")
    },
    .body("error after the end", .completed, text: "Hel", but: [.gemini]) {
      $0.start + $0.text("Hel") + $0.end + $0.event(#"{"error":{"message":"late"}}"#)
    },
    .body("garbage after the end", .completed, text: "Hel") {
      $0.start + $0.text("Hel") + $0.end + "\u{0}\u{1}}}{{]][[\n\n"
    },
    .body("no content at all, but a finish", .completed) { $0.start + $0.end },
    .body("stopped by length", .length, text: "Hel") { $0.start + $0.text("Hel") + $0.finish(.length) + $0.sentinel },
    .body("stopped by a filter", .filtered, text: "Hel", but: [.ollamaChat]) {
      $0.start + $0.text("Hel") + $0.finish(.filtered) + $0.sentinel
    },
    .body("no blank line after the last event", .completed, text: "Hel") {
      var bytes = $0.start + $0.text("Hel") + $0.finish()
      while bytes.hasSuffix("\n") { bytes.removeLast() }
      return bytes
    },
    Fault(name: "connection held open after the finish marker", state: .completed, text: "Hel", within: .seconds(6)) {
      wire, exchange in
      exchange.head(200)
      exchange.body(wire.start + wire.text("Hel") + wire.finish())
    },
  ]

  static let errors: [Fault] = [
    .body("error in an event", .error, .connection, retryable: true, text: "Hel") {
      $0.start + $0.text("Hel") + $0.event(#"{"error":{"message":"it broke"}}"#) + $0.end
    },
    .body("rate limit in an event", .error, .rate, retryable: true, text: "Hel") {
      $0.start + $0.text("Hel") + $0.event(#"{"error":{"message":"slow down","type":"rate_limit_error"}}"#) + $0.end
    },
    .body("error as text in an event", .error, .connection, retryable: true, text: "Hel") {
      $0.start + $0.text("Hel") + $0.event(#"{"error":"it broke"}"#) + $0.end
    },
    .body("error on a raw line", .error, .connection, retryable: true, text: "Hel") {
      $0.start + $0.text("Hel") + #"{"error":{"message":"it broke","code":500}}"# + "\n" + $0.end
    },
    .body("error as an event type", .error, .auth, text: "Hel", but: [.ollamaChat]) {
      $0.start + $0.text("Hel")
        + "event: error\ndata: {\"error\":{\"message\":\"revoked\",\"code\":\"invalid_api_key\"}}\n\n" + $0.end
    },
    .body("error event that is not JSON", .error, .connection, retryable: true, text: "Hel", but: [.ollamaChat]) {
      $0.start + $0.text("Hel") + "event: error\ndata: it broke\n\n" + $0.end
    },
    .body("error as a field", .error, .connection, retryable: true, text: "Hel", but: [.ollamaChat]) {
      $0.start + $0.text("Hel") + "error: {\"code\":503,\"message\":\"loading\"}\n\n" + $0.end
    },
    .body("HTTP 200 with an error for a body", .error, .model) { _ in
      "{\n  \"error\": {\n    \"message\": \"no such model\",\n    \"code\": \"model_not_found\"\n  }\n}\n"
    },
    .body("HTTP 200 with a list of one error", .error, .rate, retryable: true) { _ in
      #"[{"error":{"code":429,"message":"quota","status":"RESOURCE_EXHAUSTED"}}]"#
    },
    .body("error: null is none", .completed, text: "Hel") {
      $0.start + $0.text("Hel").replacing("{", with: "{\"error\":null,", maxReplacements: 1) + $0.end
    },
  ]

  static let shapes: [Fault] = [
    .body("one malformed event", .completed, text: "Hello") {
      $0.start + $0.text("Hel") + $0.event("{\"oops\":") + $0.text("lo") + $0.end
    },
    .body("nothing but malformed events", .truncated, .truncated, retryable: true) { wire in
      (0..<5).map { _ in wire.event("{\"oops\":") }.joined()
    },
    .body("binary garbage", .truncated, .truncated, retryable: true) { _ in "\u{0}\u{1}\u{7F}PK\u{3}\n\n" },
    .body("gzip that nobody asked for", .truncated, .truncated, retryable: true) { _ in "\u{1F}\u{8B}\u{8}\u{0}aaaa" },
    .body("CRLF", .completed, text: "Hello") { $0.whole.replacing("\n", with: "\r\n") },
    .body("CR alone", .completed, text: "Hello") { $0.whole.replacing("\n", with: "\r") },
    .body("CR, LF and CRLF mixed", .completed, text: "Hello") { wire in
      [wire.start, wire.text("Hel"), wire.text("lo"), wire.finish(), wire.sentinel].enumerated().map { place, part in
        part.replacing("\n", with: ["\n", "\r\n", "\r"][place % 3])
      }.joined()
    },
    .body("comments between events", .completed, text: "Hello") { wire in
      [wire.start, wire.text("Hel"), wire.text("lo"), wire.end].joined(separator: ": ping\n\n")
    },
    .body("no space after the colon", .completed, text: "Hello") {
      $0.whole.replacing("data: ", with: "data:").replacing("event: ", with: "event:")
    },
    .body("byte order mark", .completed, text: "Hello") { "\u{FEFF}" + $0.whole },
    .body("empty events", .completed, text: "Hello") {
      $0.start + "data:\n\ndata: \n\n\n\n" + $0.text("Hel") + $0.text("lo") + $0.end
    },
    .body("unknown fields and events", .completed, text: "Hello") {
      $0.start + "id: 7\nretry: 10\nwhat: ever\n\n" + $0.event(#"{"type":"news","x":[1,{"y":null}]}"#)
        + $0.text("Hel").replacing("{", with: "{\"zzz\":{\"a\":[]},", maxReplacements: 1) + $0.text("lo") + $0.end
    },
    .body("spaces in the JSON", .completed, text: "Hello") {
      $0.start + $0.text("Hel").replacing(",", with: " ,\t").replacing("{", with: "{ ") + $0.text("lo") + $0.end
    },
    .body("escapes", .completed, text: "H\u{E9}\u{1F600}\"\\\n") {
      $0.start + $0.text("H\\u00e9\\ud83d\\ude00\\\"\\\\\\n") + $0.end
    },
    .body("half a surrogate pair", .completed, text: "a\u{FFFD}b") { $0.start + $0.text("a\\ud83db") + $0.end },
    .body("characters of several bytes", .completed, text: "é€😀") { $0.start + $0.text("é€") + $0.text("😀") + $0.end },
    .body("empty choices, null deltas", .completed, text: "Hello") {
      let nothing =
        switch $0.shape {
        case .openaiChat:
          $0.event(#"{"choices":[]}"#) + $0.event(#"{"choices":[{"delta":null}]}"#)
            + $0.event(#"{"choices":[{"delta":{"content":null}}]}"#)
        case .gemini: $0.event(#"{"candidates":[]}"#) + $0.event(#"{"candidates":[{"content":{}}]}"#)
        default: $0.event("{}")
        }
      return $0.start + nothing + $0.text("Hel") + nothing + $0.text("lo") + $0.end
    },
    .body("events that are no objects", .completed, text: "Hello", but: [.ollamaChat]) {
      $0.start + "data: 7\n\ndata: null\n\ndata: \"x\"\n\ndata: true\n\n" + $0.text("Hel") + $0.text("lo") + $0.end
    },
    .body("nested too deep", .completed, text: "Hello") {
      $0.start + $0.event("{\"a\":" + String(repeating: "[", count: 2_000) + String(repeating: "]", count: 2_000) + "}")
        + $0.text("Hel") + $0.text("lo") + $0.end
    },
    .body("a number that is none", .completed, text: "Hello") {
      $0.start + $0.event(#"{"n":1e999999}"#) + $0.text("Hel") + $0.text("lo") + $0.end
    },
    Fault(
      name: "an event of 4 MiB", state: .completed, text: String(repeating: "x", count: 4 << 20), within: .seconds(600)
    ) { wire, exchange in
      exchange.head(200)
      exchange.body(wire.start + wire.text(String(repeating: "x", count: 4 << 20)) + wire.end)
      exchange.finish()
    },
  ]

  static let times: [Fault] = [
    Fault(name: "no head", state: .error, code: .timeout, retryable: true, within: .seconds(61)) { _, _ in },
    Fault(name: "stall before the first content", state: .error, code: .timeout, retryable: true, within: .seconds(61))
    { wire, exchange in
      exchange.head(200)
      exchange.body(wire.start)
    },
    Fault(
      name: "stall after content", state: .error, code: .timeout, retryable: true, text: "Hel", within: .seconds(31)
    ) { wire, exchange in
      exchange.head(200)
      exchange.body(wire.start + wire.text("Hel"))
    },
    Fault(name: "nothing but comments", state: .error, code: .timeout, retryable: true, within: .seconds(61)) {
      _, exchange in
      exchange.head(200)
      for _ in 0..<100 { exchange.body(": ping\n\n", after: .seconds(10)) }
    },
    Fault(name: "slow drip", state: .completed, text: String(repeating: "a", count: 10), within: .seconds(210)) {
      wire, exchange in
      exchange.head(200)
      exchange.body(wire.start)
      for _ in 0..<10 { exchange.body(wire.text("a"), after: .seconds(20)) }
      exchange.body(wire.end)
      exchange.finish()
    },
    Fault(name: "a drip without end", state: .error, code: .timeout, retryable: true, text: "…", within: .seconds(601))
    { wire, exchange in
      exchange.head(200)
      for _ in 0..<100 { exchange.body(wire.text("a"), after: .seconds(10)) }
    },
    Fault(name: "one byte every 20 ms", state: .completed, text: "Hello", within: .seconds(30)) { wire, exchange in
      exchange.head(200)
      for byte in wire.whole.utf8 { exchange.body([byte], after: .milliseconds(20)) }
      exchange.finish()
    },
  ]
}
