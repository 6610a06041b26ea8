import Testing
import WeirCore
import WeirNet
import WeirStore
import WeirTesting
import WeirWire

@testable import WeirServe

/// Which answer a request gets, and that nothing runs on a bad one.
@Suite struct RequestTests {
  static let typed = WorkflowRoute(
    name: "Typed", method: "POST", path: "/typed",
    parameters: [
      WorkflowParameter(name: "text", type: .string),
      WorkflowParameter(name: "count", type: .int, defaultValue: 3),
      WorkflowParameter(name: "ratio", type: .float, defaultValue: 0.5),
      WorkflowParameter(name: "loud", type: .bool, defaultValue: false),
      WorkflowParameter(name: "tags", type: .list(.string), defaultValue: []),
      WorkflowParameter(name: "extra", type: .json, defaultValue: .some(.null)),
      WorkflowParameter(name: "note", type: .option(.string)),
    ], kind: .stream)
  static let value = WorkflowRoute(
    name: "Add", method: "POST", path: "/add", parameters: [WorkflowParameter(name: "a", type: .int)], kind: .value)

  // MARK: Negotiation

  struct Negotiation: Sendable, CustomTestStringConvertible {
    var accept: String?
    var target = "/chat"
    var gives: String
    var testDescription: String { "\(target) \(accept ?? "-")" }
  }

  @Test(arguments: [
    Negotiation(accept: nil, gives: "text/event-stream"),
    Negotiation(accept: "", gives: "text/event-stream"),
    Negotiation(accept: "*/*", gives: "text/event-stream"),
    Negotiation(accept: "text/event-stream", gives: "text/event-stream"),
    Negotiation(accept: "text/*", gives: "text/event-stream"),
    Negotiation(accept: "application/json", gives: "application/json"),
    Negotiation(accept: "APPLICATION/JSON", gives: "application/json"),
    Negotiation(accept: "application/json, text/event-stream;q=0.5", gives: "application/json"),
    Negotiation(accept: "application/json;q=0.5, text/event-stream", gives: "text/event-stream"),
    Negotiation(accept: "text/event-stream;q=0, */*", gives: "application/json"),
    Negotiation(accept: "application/*;q=0.9, text/*;q=0.8", gives: "application/json"),
    Negotiation(accept: "text/html,application/xhtml+xml,*/*;q=0.8", gives: "text/event-stream"),
    Negotiation(accept: "text/plain", gives: "text/plain; charset=utf-8"),
    Negotiation(accept: "text/event-stream;format=openai", gives: "text/event-stream"),
    Negotiation(accept: "text/event-stream;format=bogus", gives: "406"),
    Negotiation(accept: nil, target: "/chat?stream=false", gives: "application/json"),
    Negotiation(accept: "text/event-stream", target: "/chat?stream=false", gives: "application/json"),
    Negotiation(accept: nil, target: "/chat?format=text", gives: "text/plain; charset=utf-8"),
    Negotiation(accept: "image/png", gives: "406"),
    Negotiation(accept: "application/json;q=0", gives: "406"),
    Negotiation(accept: nil, target: "/chat?format=bogus", gives: "400"),
    Negotiation(accept: nil, target: "/chat?format=items", gives: "400"),
  ])
  func negotiates(_ row: Negotiation) throws {
    let bench = try Bench()
    let response = bench.ask(
      "POST", row.target, row.accept.map { [("Accept", $0)] } ?? [], body: #"{"message":"hi"}"#)
    if bench.host.started.isEmpty {
      #expect("\(response.status ?? 0)" == row.gives)
    } else {
      bench.finish("run1", [.text("a")])
      #expect(response["Content-Type"] == row.gives)
      #expect(response["Vary"] == "Accept")
    }
  }

  @Test func aValueIsJSONUnlessAskedOtherwise() throws {
    let bench = try Bench([Self.value])
    let json = bench.ask("POST", "/add", body: #"{"a":1}"#)
    let sse = bench.ask("POST", "/add", [("Accept", "text/event-stream")], body: #"{"a":1}"#)
    bench.finish("run1", [.value(["sum": 3])])
    bench.finish("run2", [.value(["sum": 3])])
    #expect(json.text == #"{"sum":3}"#)
    #expect(sse.text.contains("event: value\ndata: {\"sum\":3}\n\n"))
  }

  // MARK: Arguments

  @Test func everyWayInGivesTheSameArguments() throws {
    let bench = try Bench([Self.typed])
    let json: [(name: String, value: String)] = [("Content-Type", "application/json")]
    let form: [(name: String, value: String)] = [("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")]
    let query = "text=h%C3%A9+llo&count=7&ratio=2&loud=true&tags=a&tags=b&extra=%7B%22x%22%3A1%7D&note=n&unknown=1"
    let body =
      #"{"text":"hé llo","count":7,"ratio":2,"loud":true,"tags":["a","b"],"extra":{"x":1},"note":"n","unknown":1}"#
    bench.ask("POST", "/typed", json, body: body)
    bench.ask("POST", "/typed", body: body)
    bench.ask("POST", "/typed", form, body: body)
    bench.ask("POST", "/typed", form, body: query)
    bench.ask("POST", "/typed?" + query)
    bench.ask("GET", "/typed?" + query)
    bench.ask("POST", "/typed?text=loses&" + query.dropFirst(16), json, body: #"{"text":"hé llo"}"#)
    let expected: [JSONMember] = [
      JSONMember("text", "hé llo"), JSONMember("count", 7), JSONMember("ratio", 2.0), JSONMember("loud", true),
      JSONMember("tags", ["a", "b"]), JSONMember("extra", ["x": 1]), JSONMember("note", "n"),
    ]
    #expect(bench.host.started.count == 7)
    for run in bench.host.started { #expect(run.arguments == expected) }
  }

  @Test func defaultsFillIn() throws {
    let bench = try Bench([Self.typed])
    bench.ask("POST", "/typed", body: #"{"text":"x","note":null}"#)
    #expect(
      bench.host.started.first?.arguments == [
        JSONMember("text", "x"), JSONMember("count", 3), JSONMember("ratio", 0.5), JSONMember("loud", false),
        JSONMember("tags", []), JSONMember("extra", .null), JSONMember("note", .null),
      ])
  }

  struct Bad: Sendable, CustomTestStringConvertible {
    var method = "POST"
    var target = "/typed"
    var type: String?
    var body = ""
    var status = 400
    var code: String
    var mentions = ""
    var testDescription: String { "\(method) \(target) \(type ?? "") \(body.prefix(40))" }
  }

  @Test(arguments: [
    Bad(body: "", code: "MissingArgument", mentions: "text"),
    Bad(body: "{}", code: "MissingArgument", mentions: "\"text\" (string)"),
    Bad(body: "{", code: "BadBody", mentions: "line 1"),
    Bad(body: "[1]", code: "BadBody", mentions: "a list"),
    Bad(body: "nonsense", code: "BadBody"),
    Bad(body: "\u{FEFF}{}", code: "BadBody"),
    Bad(body: #"{"text":1}"#, code: "BadArgument", mentions: "\"text\" must be string, not an int"),
    Bad(body: #"{"text":null}"#, code: "BadArgument", mentions: "null"),
    Bad(body: #"{"text":"x","count":1.5}"#, code: "BadArgument", mentions: "count"),
    Bad(body: #"{"text":"x","count":"1"}"#, code: "BadArgument", mentions: "count"),
    Bad(body: #"{"text":"x","loud":1}"#, code: "BadArgument", mentions: "loud"),
    Bad(body: #"{"text":"x","tags":["a",2]}"#, code: "BadArgument", mentions: "[string]"),
    Bad(body: #"{"text":"x","note":3}"#, code: "BadArgument", mentions: "string?"),
    Bad(type: "application/x-www-form-urlencoded", body: "text=x&count=abc", code: "BadArgument", mentions: "\"abc\""),
    Bad(type: "application/x-www-form-urlencoded", body: "text=%zz", code: "BadQuery"),
    Bad(type: "application/x-www-form-urlencoded", body: "text=%FF", code: "BadQuery"),
    Bad(type: "text/csv", body: "a,b", status: 415, code: "UnsupportedMediaType", mentions: "text/csv"),
    Bad(type: "multipart/form-data; boundary=x", body: "--x", status: 415, code: "UnsupportedMediaType"),
    Bad(method: "GET", target: "/typed", code: "MissingArgument"),
    Bad(method: "GET", target: "/typed?text=x&count=1e3", code: "BadArgument", mentions: "count"),
    Bad(method: "GET", target: "/typed?text=x&ratio=nan", code: "BadArgument", mentions: "ratio"),
    Bad(method: "GET", target: "/typed?text=x&loud=maybe", code: "BadArgument", mentions: "loud"),
    Bad(method: "GET", target: "/typed?%", code: "BadQuery"),
    Bad(method: "DELETE", target: "/typed", status: 405, code: "MethodNotAllowed"),
    Bad(method: "PUT", target: "/typed", body: "{}", status: 405, code: "MethodNotAllowed"),
    Bad(target: "/nowhere", status: 404, code: "NotFound", mentions: "/nowhere"),
    Bad(target: "/typed/", status: 404, code: "NotFound"),
    Bad(target: "/streams/x", status: 405, code: "MethodNotAllowed"),
    Bad(method: "GET", target: "/streams/none", status: 404, code: "StreamNotFound"),
    Bad(method: "GET", target: "/streams/../x", code: "BadStreamName"),
    Bad(method: "GET", target: "/streams/_weir/runs", status: 404, code: "StreamNotFound"),
    Bad(method: "GET", target: "/_weir/runs/none", status: 404, code: "RunNotFound"),
    Bad(method: "GET", target: "/_weir/sessions/none", status: 404, code: "SessionNotFound"),
    Bad(target: "/_weir/runs/none/stop", status: 404, code: "RunNotFound"),
    Bad(method: "GET", target: "/_weir/runs/none/stop", status: 405, code: "MethodNotAllowed"),
    Bad(method: "GET", target: "/_weir/bogus", status: 404, code: "NotFound"),
    Bad(method: "GET", target: "/", status: 404, code: "NotFound"),
    Bad(target: "/typed?x=%", code: "BadQuery"),
  ])
  func refuses(_ row: Bad) throws {
    let bench = try Bench([Self.typed])
    let response = bench.ask(
      row.method, row.target, row.type.map { [("Content-Type", $0)] } ?? [], body: row.body)
    #expect(response.status == row.status)
    #expect(response["Content-Type"] == "application/json")
    #expect(response.json?["error"]?["code"]?.string == row.code)
    #expect(response.json?["error"]?["message"]?.string?.contains(row.mentions) == true)
    #expect(bench.host.started.isEmpty, "something ran")
    if row.status == 405 { #expect(response["Allow"]?.isEmpty == false) }
  }

  @Test func theBodyLimitHolds() throws {
    let bench = try Bench { $0.bodyLimit = 100 }
    let padding = String(repeating: "x", count: 100 - #"{"message":""}"#.utf8.count)
    let fits = bench.ask("POST", "/chat", body: "{\"message\":\"\(padding)\"}")
    let over = bench.ask("POST", "/chat", body: "{\"message\":\"\(padding)x\"}")
    #expect(fits.status == 200)
    #expect(over.status == 413)
    #expect(over.json?["error"]?["hint"]?.string?.contains("--max-body") == true)
  }

  @Test func theFieldLimitHolds() throws {
    let bench = try Bench()
    let query = "message=x" + String(repeating: "&a=1", count: QueryString.itemCountLimit - 1)
    #expect(bench.ask("GET", "/chat?\(query)").status == 200)
    #expect(bench.ask("GET", "/chat?\(query)&a=1").status == 400)
  }

  @Test func headAndOptionsStartNothing() throws {
    let bench = try Bench()
    let head = bench.ask("HEAD", "/chat?message=hi")
    let options = bench.ask("OPTIONS", "/chat")
    #expect(head.status == 200)
    #expect(head["Content-Type"] == "text/event-stream")
    #expect(options.status == 204)
    #expect(options["Allow"] == "POST, GET, HEAD, OPTIONS")
    #expect(bench.host.started.isEmpty)
  }

  // MARK: JSON answers

  @Test func jsonIsTheSameAnswer() throws {
    let bench = try Bench()
    let response = bench.ask(
      "POST", "/chat", [("Accept", "application/json")], body: #"{"message":"hi","session_id":"s1"}"#)
    bench.tell("run1", .text("Hel"))
    #expect(response.status == nil)
    bench.finish("run1", [.text("lo"), .usage(Usage(inputTokens: 1, outputTokens: 2))], .length)
    #expect(response.status == 200)
    #expect(
      response.text == #"{"reply":"Hello","content":"Hello","session_id":"s1","stream_id":"runs/run1","run_id":"run1","#
        + #""usage":{"input_tokens":1,"output_tokens":2,"cached_input_tokens":0,"estimated":false},"finish":"length"}"#)
  }

  @Test(arguments: [
    ("RateLimit", 429, EndState.error), ("Timeout", 504, .error), ("ConnectionFailed", 502, .error),
    ("AuthFailed", 502, .error), ("Truncated", 502, .truncated), ("BudgetExhausted", 429, .budget),
    ("Whatever", 500, .error),
  ])
  func errorsHaveRealStatusCodes(code: String, status: Int, end: EndState) throws {
    let bench = try Bench()
    let response = bench.ask("POST", "/chat?stream=false", body: #"{"message":"hi"}"#)
    let failure = RunFailure(code: code, message: "m", hint: "h", retryAfterMs: 1500)
    bench.finish("run1", [.text("par"), .error(failure)], end)
    #expect(response.status == status)
    #expect(response.json?["error"]?["code"]?.string == code)
    #expect(response.json?["error"]?["hint"]?.string == "h")
    #expect(response.json?["reply"]?.string == "par")
    #expect(response.json?["finish"]?.string == end.rawValue)
    #expect(response["Retry-After"] == (status == 429 ? "2" : nil))
  }

  @Test func aRunThatCannotStartSaysSo() throws {
    let bench = try Bench()
    bench.host.refusal = RunFailure(code: "Timeout", message: "no answer")
    let response = bench.chat()
    #expect(response.status == 504)
    #expect(bench.app.index.count == 0)
  }

  @Test(arguments: [EndState.aborted, .truncated, .error, .budget])
  func noBadEndIsEver200(end: EndState) throws {
    let bench = try Bench()
    let response = bench.ask("POST", "/chat?stream=false", body: #"{"message":"hi"}"#)
    bench.finish("run1", [.text("par")], end)
    #expect((response.status ?? 0) >= 400)
  }

  @Test func theReplyLimitHolds() throws {
    let bench = try Bench { $0.replyLimit = 10 }
    let fits = bench.ask("POST", "/chat?stream=false", body: #"{"message":"hi"}"#)
    let over = bench.ask("POST", "/chat?stream=false", body: #"{"message":"hi"}"#)
    bench.finish("run1", [.text("0123456789")])
    bench.finish("run2", [.text("0123456789"), .text("x")])
    #expect(fits.status == 200)
    #expect(over.status == 500)
    #expect(over.json?["error"]?["code"]?.string == "ReplyTooLarge")
  }

  // MARK: Access

  @Test func onlyTheTokenOpens() throws {
    let bench = try Bench { $0.token = "s3cret" }
    #expect(bench.ask("GET", "/healthz").status == 200)
    #expect(bench.ask("GET", "/_weir/runs").status == 401)
    #expect(bench.ask("GET", "/_weir/runs", [("Authorization", "Bearer wrong!")]).status == 401)
    #expect(bench.ask("GET", "/_weir/runs", [("Authorization", "Bearer s3cre")]).status == 401)
    #expect(bench.ask("GET", "/_weir/runs", [("Authorization", "Bearer ")]).status == 401)
    #expect(bench.ask("GET", "/_weir/runs", [("Authorization", "bearer s3cret")]).status == 200)
    #expect(bench.ask("GET", "/_weir/runs", [("Cookie", "a=b; weir_token=s3cret")]).status == 200)
    #expect(bench.ask("GET", "/_weir/runs", [("Cookie", "xweir_token=s3cret")]).status == 401)
    #expect(bench.ask("GET", "/_weir/runs?token=s3cret").status == 401)
  }

  @Test(arguments: [
    ([("Origin", "http://localhost:8080")], 200), ([("Origin", "http://evil.example")], 403),
    ([("Origin", "null")], 403), ([("Origin", "http://localhost:8081")], 403),
    ([("Origin", "https://app.example")], 200), ([("Sec-Fetch-Site", "cross-site")], 403),
    ([("Sec-Fetch-Site", "same-origin")], 200), ([("Sec-Fetch-Site", "none")], 200), ([], 200),
  ])
  func pagesElsewhereStartNothing(headers: [(String, String)], status: Int) throws {
    let bench = try Bench { $0.origins = ["https://app.example"] }
    let response = bench.ask("GET", "/chat?message=x", headers.map { (name: $0.0, value: $0.1) })
    #expect(response.status == status)
    #expect(bench.host.started.isEmpty == (status != 200))
    #expect(response["Access-Control-Allow-Origin"] == nil)
  }

  @Test func namesItDoesNotKnowAreNotAnswered() throws {
    let bench = try Bench { $0.hosts = ServeConfiguration.loopbackHosts }
    #expect(bench.ask("GET", "/_weir/workflows").status == 200)
    #expect(
      AccessPolicyCase.status(bench, host: "rebound.example:8080") == 421
        && AccessPolicyCase.status(bench, host: "[::1]:8080") == 200
        && AccessPolicyCase.status(bench, host: "127.0.0.1") == 200)
  }

  @Test func readyIsWhoCanKeepARun() throws {
    let loop = SimulatedLoop()
    let store = FaultyStore(ListStore(loop))
    store.prefix = Readiness.stream
    let routes = [Bench.chat]
    let app = ServeApplication(
      ServeConfiguration(), host: ScriptedHost(routes, ListStore(loop)), store: store, loop: loop)
    func ask() -> FakeResponder {
      let responder = FakeResponder()
      app.handle(
        HTTPRequest(
          method: "GET", path: "/readyz", query: "", headers: [], body: [],
          peer: SocketAddress(host: "127.0.0.1", port: 50000)), responder)
      loop.settle()
      return responder
    }
    #expect(ask().status == 200)
    loop.advance(by: .seconds(1))
    store.failing = [.create]
    #expect(ask().status == 503)
    #expect(ask().json?["status"] == "StoreUnavailable")
    // Again as soon as it works; what was found out is believed for a second.
    store.failing = []
    #expect(ask().status == 503)
    loop.advance(by: .seconds(1))
    #expect(ask().status == 200)
    // A store that does not answer.
    loop.advance(by: .seconds(1))
    store.isHeld = true
    let silent = ask()
    #expect(silent.status == nil)
    loop.advance(by: Readiness.patience)
    #expect(silent.status == 503)
  }

  /// Until the index is read a run that is there looks like one that is not.
  @Test func whoComesEarlyIsAnsweredWhenRunsAreKnown() throws {
    let loop = SimulatedLoop()
    let base = ListStore(loop)
    let before = ServeApplication(
      ServeConfiguration(), host: ScriptedHost([Bench.chat], base), store: base, loop: loop)
    func ask(_ app: ServeApplication, _ method: String, _ path: String, _ body: String = "") -> FakeResponder {
      let responder = FakeResponder()
      app.handle(
        HTTPRequest(
          method: method, path: path, query: "", headers: [("Content-Type", "application/json")],
          body: Array(body.utf8), peer: SocketAddress(host: "127.0.0.1", port: 50000)), responder)
      loop.settle()
      return responder
    }
    _ = ask(before, "POST", "/chat", #"{"message":"hi","session_id":"s"}"#)
    let store = FaultyStore(base)
    store.isHeld = true
    store.holdsReads = true
    let app = ServeApplication(
      ServeConfiguration(), host: ScriptedHost([Bench.chat], base), store: store, loop: loop)
    var isLoaded = false
    app.load { isLoaded = $0 == nil }
    let early = [ask(app, "GET", "/_weir/sessions/s"), ask(app, "GET", "/_weir/runs/run1")]
    #expect(early.map(\.status) == [nil, nil] && !isLoaded)
    #expect(ask(app, "GET", "/healthz").status == 200)
    #expect(ask(app, "GET", "/readyz").json?["status"] == "starting")
    store.release()
    loop.settle()
    #expect(early.map(\.status) == [200, 200] && isLoaded)
    #expect(ask(app, "GET", "/readyz").status == 200)
  }

  @Test func namesThatAreAllowedAreAnswered() throws {
    let bench = try Bench { $0.hosts = ServeConfiguration.loopbackHosts + ["chat.example"] }
    #expect(AccessPolicyCase.status(bench, host: "Chat.Example:443") == 200)
    #expect(AccessPolicyCase.status(bench, host: "chat.example.evil") == 421)
  }

  @Test func stoppingRefusesNewRunsOnly() throws {
    let bench = try Bench()
    let client = bench.chat()
    bench.app.beginShutdown()
    #expect(bench.ask("GET", "/readyz").status == 503)
    #expect(bench.ask("GET", "/healthz").status == 200)
    #expect(bench.chat().status == 503)
    bench.finish("run1", [.text("a")])
    #expect(client.isFinished)
    #expect(bench.ask("GET", "/streams/runs/run1", Bench.events).status == 200)
  }

  // MARK: Inspection

  @Test func workflowsRunsAndSessions() throws {
    let bench = try Bench()
    bench.ask("POST", "/chat", body: #"{"message":"first","session_id":"s"}"#)
    bench.finish("run1", [.text("one")])
    bench.ask("POST", "/chat", body: #"{"message":"second","session_id":"s"}"#)
    bench.tell("run2", .text("tw"))
    bench.ask("POST", "/chat", body: #"{"message":"else"}"#)
    bench.finish("run3", [], .budget)

    let workflows = bench.ask("GET", "/_weir/workflows").json?["workflows"]
    #expect(workflows?[0]?["path"]?.string == "/chat")
    #expect(workflows?[0]?["parameters"]?[1] == ["name": "session_id", "type": "string", "optional": true])
    let runs = bench.ask("GET", "/_weir/runs").json?["runs"]?.array ?? []
    #expect(runs.map { $0["id"]?.string } == ["run3", "run2", "run1"])
    #expect(runs.map { $0["state"]?.string } == ["budget", "running", "completed"])
    let sessions = bench.ask("GET", "/_weir/sessions").json?["sessions"]?.array ?? []
    #expect(sessions.map { $0["id"]?.string } == ["s"])
    #expect(sessions.first?["title"]?.string == "first")
    #expect(sessions.first?["runs"]?.int == 2)
    let session = bench.ask("GET", "/_weir/sessions/s").json?["runs"]?.array ?? []
    #expect(session.map { $0["reply"]?.string } == ["one", "tw"])
    #expect(session.map { $0["state"]?.string } == ["completed", "running"])
    #expect(session.last?["next_offset"]?.string == "0000000000000001")
    #expect(bench.ask("GET", "/_weir/runs/run1").json?["arguments"]?["message"]?.string == "first")
  }

  @Test func theIndexOutlivesTheProcess() throws {
    let bench = try Bench()
    bench.ask("POST", "/chat", body: #"{"message":"first","session_id":"s"}"#)
    bench.finish("run1", [.text("one")])
    let next = ServeApplication(ServeConfiguration(), host: bench.host, store: bench.store, loop: bench.loop)
    var isLoaded = false
    next.load { isLoaded = $0 == nil }
    bench.loop.settle()
    #expect(isLoaded)
    #expect(next.index.runs.map(\.id) == ["run1"])
    #expect(next.index["run1"]?.session == "s")
  }

  @Test func historyTellsWhatWasThoughtAndDone() throws {
    let bench = try Bench()
    bench.ask("POST", "/chat", body: #"{"message":"m","session_id":"s"}"#)
    bench.finish("run1", TranscriptTests.events)
    let run = bench.ask("GET", "/_weir/sessions/s").json?["runs"]?[0]
    #expect(run?["reasoning"]?.string == "hm")
    #expect(run?["tools"] == [["id": "c1", "tool": "add", "args": ["a": 1], "ok": true]])
    #expect(run?["usage"]?["output_tokens"]?.int == 2)
  }

  @Test func historyIsBounded() throws {
    let bench = try Bench { $0.historyLimit = 10 }
    for id in ["run1", "run2"] {
      bench.ask("POST", "/chat", body: #"{"message":"m","session_id":"s"}"#)
      bench.finish(id, [.text("01234567"), .text("89abcdef"), .text("x")])
    }
    let runs = bench.ask("GET", "/_weir/sessions/s").json?["runs"]?.array ?? []
    #expect(runs.map { $0["reply"]?.string } == ["01234567", ""])
    #expect(runs.map { $0["reply_cut"]?.bool } == [true, true])
  }

  @Test func aDeletedSessionStaysDeleted() throws {
    let bench = try Bench()
    bench.ask("POST", "/chat", body: #"{"message":"first","session_id":"s"}"#)
    bench.ask("POST", "/chat", body: #"{"message":"other","session_id":"t"}"#)
    #expect(bench.ask("DELETE", "/_weir/sessions/s").status == 409)
    bench.finish("run1", [.text("one")])
    #expect(bench.ask("DELETE", "/_weir/sessions/s", [("Origin", "http://evil.test")]).status == 403)
    #expect(bench.ask("DELETE", "/_weir/sessions/s").status == 204)
    #expect(bench.ask("DELETE", "/_weir/sessions/s").status == 404)
    #expect(bench.ask("GET", "/_weir/sessions/s").status == 404)
    #expect(bench.ask("GET", "/streams/runs/run1", Bench.events).status == 404)
    let next = ServeApplication(ServeConfiguration(), host: bench.host, store: bench.store, loop: bench.loop)
    next.load()
    bench.loop.settle()
    #expect(next.index.runs.map(\.id) == ["run2"])
  }

  @Test func theIndexIsBounded() throws {
    let bench = try Bench {
      $0.index.runs = 3
      $0.index.bytes = 2000
    }
    for number in 1...5 {
      bench.chat()
      bench.finish("run\(number)", [])
      bench.ask("GET", "/_weir/runs")
    }
    #expect(bench.app.index.runs.map(\.id) == ["run5", "run4", "run3"])
    bench.ask("POST", "/chat", body: "{\"message\":\"\(String(repeating: "x", count: 3000))\"}")
    #expect(bench.app.index.runs.map(\.id) == ["run6"])
  }

  /// Whatever the limits say, a run that has not ended is remembered; what it was asked is not.
  @Test func runsThatHaveNotEndedAreNotForgotten() throws {
    let bench = try Bench {
      $0.index.runs = 3
      $0.index.bytes = 4000
    }
    let long = String(repeating: "x", count: 3000)
    let count = 200
    for _ in 0..<count { bench.ask("POST", "/chat", body: "{\"message\":\"\(long)\",\"session_id\":\"\(long)\"}") }
    let index = bench.app.index
    #expect(index.open.map(\.id) == (1...count).map { "run\($0)" })
    // All but the newest without its arguments: some hundred bytes each.
    #expect(index["run1"]?.arguments == [] && index["run1"]?.session == nil)
    #expect(index.bytes < count * 200 + 7000, "\(index.bytes)")

    // There were several generations on the way, and the last has them all.
    let next = ServeApplication(bench.app.configuration, host: bench.host, store: bench.store, loop: bench.loop)
    next.load()
    bench.loop.settle()
    #expect(next.index.open.map(\.id) == (1...count).map { "run\($0)" })
    #expect(next.index.bytes < count * 200 + 7000)
    #expect(bench.store.streams.keys.count { $0.path.hasPrefix("_weir/runs/") } == 1)

    // With their ends they go.
    for number in 1...count { next.index.ended("run\(number)", .completed) }
    #expect(next.index.count == 3 && next.index.open.isEmpty)
    let last = ServeApplication(bench.app.configuration, host: bench.host, store: bench.store, loop: bench.loop)
    last.load()
    bench.loop.settle()
    // The last few ends were not written down yet.
    #expect(last.index.open.count < 64 && last.index.count < 67, "\(last.index.count)")
  }

  /// A stream that a run writes by name is nobody's answer: its event ids are places in it, and lead back to it.
  @Test func aStreamOfARunIsGoneOnWith() throws {
    let bench = try Bench()
    bench.chat()
    let name = try StreamName("runs/run1/tokens")
    bench.store.create(name, contentType: "application/json") { _ in }
    bench.store.append(name, [Array("1".utf8), Array("2".utf8)], ending: nil) { _ in }
    let first = bench.ask("GET", "/streams/runs/run1/tokens", Bench.events)
    #expect(first.text.contains("id: 0000000000000002\n"), "\(first.text)")
    bench.store.append(name, [Array("3".utf8)], ending: .closed) { _ in }
    let next = bench.ask(
      "GET", "/streams/runs/run1/tokens", Bench.events + [("Last-Event-ID", "0000000000000002")])
    #expect(next.status == 200 && next.text.contains("data: 3\n") && !next.text.contains("data: 2\n"))
  }

  @Test func whatIsGoneIsNotShown() throws {
    let bench = try Bench()
    for number in 1...3 {
      bench.ask("POST", "/chat", body: #"{"message":"first","session_id":"s\#(number)"}"#)
      bench.finish("run\(number)", [.text("one")])
    }
    #expect(bench.ask("GET", "/_weir/sessions").json?["sessions"]?.array?.count == 3)
    #expect(bench.ask("GET", "/_weir/runs").json?["runs"]?.array?.count == 3)
    // It was looked at, and may be over since.
    bench.app.index.looked(at: "run1", expiresAt: bench.loop.wallClock)
    for number in 1...2 { bench.store.streams[try StreamName("runs/run\(number)")] = nil }
    #expect(bench.ask("GET", "/_weir/sessions").json?["sessions"]?.array?.count == 2)
    #expect(bench.ask("GET", "/_weir/runs").json?["runs"]?.array?.count == 2)
    #expect(bench.ask("GET", "/_weir/sessions/s2").status == 404)
    #expect(bench.ask("GET", "/_weir/runs/run2").status == 404)
    #expect(bench.app.index.runs.map(\.id) == ["run3"])
  }
}

enum AccessPolicyCase {
  static func status(_ bench: Bench, host: String) -> Int? {
    let responder = FakeResponder()
    bench.app.handle(
      HTTPRequest(
        method: "GET", path: "/_weir/workflows", query: "", headers: [("Host", host)], body: [],
        peer: SocketAddress(host: "127.0.0.1", port: 1)), responder)
    return responder.status
  }
}
