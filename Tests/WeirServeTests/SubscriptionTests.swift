import Testing
import WeirCore
import WeirNet
import WeirStore
import WeirTesting

@testable import WeirServe

/// The Durable Streams Protocol, sections 6 and 7: subscriptions, in virtual time over a real memory store.
@Suite struct SubscriptionTests {
  typealias B = StreamBench
  static let seed = (0..<32).map { UInt8($0) }
  static let keys = SubscriptionKeys(webhooks: seed, tokens: Array("a key of tokens".utf8))
  static let options = Subscriptions.Options(keys: keys, allowsThisMachine: true, isPublic: true)
  static let hook = "https://worker.example/hook"

  /// A server whose webhooks are answered with `answer` and `status`.
  private func bench(after: B? = nil, answer: String = "{}", status: Int = 200) throws -> B {
    let bench = try B(after: after, subscriptions: Self.options)
    bench.simulation.http.reply(Self.hook, status: status, body: answer)
    return bench
  }

  private func told(_ bench: B) -> [JSONValue] {
    bench.simulation.http.requests.compactMap { try? JSONValue.parse($0.body ?? []) }
  }

  private func get(_ bench: B, _ id: String = "s") -> JSONValue {
    bench.ask("GET", "/streams/__ds/subscriptions/\(id)").json ?? .null
  }

  private func acked(_ bench: B, _ path: String) -> String? {
    get(bench)["streams"]?.array?.first { $0["path"]?.string == path }?["acked_offset"]?.string
  }

  private func webhook(_ more: String = #""pattern": "events/*""#) -> String {
    #"{"type": "webhook", "webhook": {"url": "\#(Self.hook)"}, "lease_ttl_ms": 5000, \#(more)}"#
  }

  private func subscribe(_ bench: B, _ body: String, _ id: String = "s") -> FakeResponder {
    bench.ask("PUT", "/streams/__ds/subscriptions/\(id)", B.json, body)
  }

  private func settle(_ bench: B) { bench.loop.advance(by: .milliseconds(500)) }

  private func bearer(_ token: String) -> [(name: String, value: String)] { [("Authorization", "Bearer \(token)")] }

  private func report(
    _ bench: B, _ verb: String, _ wake: JSONValue, _ more: String = "", token: String? = nil
  ) -> FakeResponder {
    let text = token ?? wake["callback_token"]?.string ?? wake["token"]?.string ?? ""
    let body =
      #"{"wake_id": "\#(wake["wake_id"]?.string ?? "")", "generation": \#(wake["generation"]?.int ?? -1)\#(more)}"#
    return bench.ask("POST", "/streams/__ds/subscriptions/s/\(verb)", bearer(text), body)
  }

  private func code(_ answer: FakeResponder) -> String? { answer.json?["error"]?["code"]?.string }

  // MARK: 6

  @Test func s6_2_starsStandForParts() {
    for (pattern, yes, no) in [
      ("events/*", ["events/a", "events/b c"], ["events", "events/a/b", "other/a", "eventsx/a"]),
      ("events/**", ["events", "events/a", "events/a/b/c"], ["event", "x/events"]),
      ("**", ["a", "a/b/c"], []), ("**/log", ["log", "a/log", "a/b/log"], ["a/log/b", "alog"]),
      ("a/**/z", ["a/z", "a/b/z", "a/b/c/z"], ["a/b", "z"]), ("*/*", ["a/b"], ["a", "a/b/c"]),
      ("a/b", ["a/b"], ["a/b/c"]),
    ] {
      let found = PathPattern(pattern)
      for path in yes { #expect(found?.matches(path) == true, "\(pattern) \(path)") }
      for path in no { #expect(found?.matches(path) == false, "\(pattern) \(path)") }
    }
    for bad in [
      "", "/a", "a/", "a//b", "a*", "*a/b", "a/../b", "a:b", "a\\b", "a\n", String(repeating: "a/", count: 40) + "b",
    ] {
      #expect(PathPattern(bad) == nil, "\(bad)")
    }
    // What would take others for ever.
    let hard = PathPattern(Array(repeating: "**", count: 31).joined(separator: "/") + "/x")
    #expect(hard?.matches(Array(repeating: "a", count: 16).joined(separator: "/")) == false)
  }

  @Test func s6_2_createConfirmReadDelete() throws {
    let bench = try bench()
    let body = webhook(#""pattern": "events/*", "streams": ["manual/b", "/manual/a"], "description": "d""#)
    let made = subscribe(bench, body)
    #expect(made.status == 201 && made["Content-Type"] == "application/json")
    let again = subscribe(
      bench, webhook(#""description": "d", "streams": ["manual/a", "manual/b"], "pattern": "events/*""#))
    #expect(again.status == 200 && again.json?["created_at"] == made.json?["created_at"])
    let other = subscribe(bench, webhook())
    #expect(other.status == 409 && code(other) == "SUBSCRIPTION_ALREADY_EXISTS")
    let read = get(bench)
    #expect(
      read["id"] == "s" && read["subscription_id"] == "s" && read["type"] == "webhook" && read["status"] == "active")
    #expect(read["lease_ttl_ms"] == 5000 && read["description"] == "d" && read["wake_stream"] == .null)
    #expect(read["webhook"]?["signing"]?["jwks_url"] == "http://localhost:8080/streams/__ds/jwks.json")
    #expect(read["streams"]?[0]?["path"] == "manual/a" && read["streams"]?[0]?["link_type"] == "explicit")
    #expect(bench.ask("DELETE", "/streams/__ds/subscriptions/s").status == 204)
    for method in ["GET", "DELETE"] {
      let gone = bench.ask(method, "/streams/__ds/subscriptions/s")
      #expect(gone.status == 404 && code(gone) == "SUBSCRIPTION_NOT_FOUND")
    }
    #expect(bench.store.streamCount == 0 && subscribe(bench, webhook()).status == 201)
  }

  @Test func s6_2_whatIsNotUnderstoodIsRefused() throws {
    let bench = try bench()
    for body in [
      "", "[]", "{", "7", "{}", #"{"type": "webhook", "pattern": "a"}"#, webhook(#""pattern": "a*b""#),
      webhook(#""pattern": 7"#),
      webhook(#""streams": []"#), webhook(#""streams": "a""#), webhook(#""streams": [1]"#),
      webhook(#""streams": ["../a"]"#),
      webhook(#""streams": ["_weir/journal/x"]"#), webhook(#""streams": ["__ds/a"]"#),
      webhook(#""pattern": "a", "description": 1"#),
      #"{"type": "webhook", "webhook": {"url": 7}, "pattern": "a"}"#, #"{"type": "poll", "pattern": "a"}"#,
      #"{"type": "pull-wake", "pattern": "a"}"#, #"{"type": "pull-wake", "wake_stream": "w", "pattern": "**"}"#,
      #"{"type": "pull-wake", "wake_stream": "w", "streams": ["w"]}"#,
      #"{"type": "pull-wake", "wake_stream": "runs/1", "pattern": "a"}"#,
      #"{"type": "pull-wake", "wake_stream": "w", "pattern": "a", "lease_ttl_ms": 999}"#,
      #"{"type": "pull-wake", "wake_stream": "w", "pattern": "a", "lease_ttl_ms": 600001}"#,
      #"{"type": "pull-wake", "wake_stream": "w", "pattern": "a", "lease_ttl_ms": "1000"}"#,
    ] {
      let answer = subscribe(bench, body)
      #expect(answer.status == 400 && code(answer) == "INVALID_REQUEST", "\(body)")
    }
    for path in [
      "", "subscriptions", "subscriptions/", "subscriptions/a b", "subscriptions/s/else", "subscriptions/s/claim/x",
      "keys",
    ] {
      #expect(bench.ask("PUT", "/streams/__ds/\(path)", B.json, webhook()).status == 404, "\(path)")
    }
    #expect(subscribe(bench, webhook(), String(repeating: "x", count: 101)).status == 404)
    #expect(bench.ask("PATCH", "/streams/__ds/subscriptions/s").status == 405)
    #expect(bench.store.streamCount == 0)
  }

  @Test func s12_8_webhooksGoToWhereTheWorldIs() throws {
    let bench = try bench()
    func status(_ url: String, _ bench: B) -> String? {
      code(subscribe(bench, #"{"type": "webhook", "webhook": {"url": "\#(url)"}, "pattern": "a"}"#))
    }
    for url in [
      "http://10.0.0.1/hook", "https://10.0.0.1/", "https://192.168.1.1/", "http://169.254.169.254/latest",
      "https://[fe80::1]/",
      "https://0.0.0.0/", "http://worker.example/", "ftp://worker.example/", "worker.example", "",
      "https://user@worker.example/",
      "https://worker.example\\\\@localhost/", "https://0x7f.1/",
    ] { #expect(status(url, bench) == "WEBHOOK_URL_REJECTED", "\(url)") }
    #expect(
      subscribe(bench, #"{"type": "webhook", "webhook": {"url": "http://localhost:9/x"}, "pattern": "a"}"#).status
        == 201)
    let open = try B(subscriptions: .init(keys: Self.keys, allowsThisMachine: false, isPublic: true))
    for url in ["http://localhost:9/x", "http://127.0.0.1/", "https://localhost/"] {
      #expect(status(url, open) == "WEBHOOK_URL_REJECTED", "\(url)")
    }
    // A name that leads home is found out when it is dialled.
    bench.make("/streams/events/a", B.json)
    _ = subscribe(bench, webhook(), "t")
    bench.add("/streams/events/a", "1", B.json)
    let request = try #require(bench.simulation.http.requests.last)
    #expect(request.policy == NetworkPolicy() && !request.usesProxy)
  }

  @Test func s6_2_whatIsThereIsNotWorkAndWhatComesIs() throws {
    let bench = try bench(answer: #"{"done": true}"#)
    bench.make("/streams/events/old", B.json, "[1,2]")
    bench.make("/streams/other", B.json, "[1]")
    _ = subscribe(bench, webhook())
    settle(bench)
    #expect(told(bench).isEmpty && acked(bench, "events/old") == "0000000000000002" && acked(bench, "other") == nil)
    bench.make("/streams/events/new", B.json, "[1]")
    settle(bench)
    #expect(told(bench).first?["streams"]?[0]?["path"] == "events/new")
    #expect(told(bench).first?["streams"]?[0]?["acked_offset"] == "0000000000000000")
    #expect(acked(bench, "events/new") == "0000000000000001")
    // What a fork has from its source is old.
    bench.ask("PUT", "/streams/events/fork", [("Stream-Forked-From", "/streams/events/old")])
    settle(bench)
    #expect(told(bench).count == 1 && acked(bench, "events/fork") == "0000000000000002")
    bench.add("/streams/events/fork", "3", B.json)
    settle(bench)
    #expect(told(bench).count == 2)
    // Another stream of the same name begins anew.
    bench.ask("DELETE", "/streams/events/new")
    #expect(acked(bench, "events/new") == nil)
    bench.make("/streams/events/new", B.json, "[7]")
    settle(bench)
    #expect(told(bench).count == 3)
  }

  @Test func s6_4_streamsAreLinkedByName() throws {
    let bench = try bench(answer: #"{"done": true}"#)
    bench.make("/streams/manual/b", B.json, "[1]")
    _ = subscribe(bench, webhook())
    func streams(_ method: String, _ path: String, _ body: String = "") -> Int? {
      bench.ask(method, "/streams/__ds/subscriptions/s/streams\(path)", B.json, body).status
    }
    for _ in 0..<2 { #expect(streams("POST", "", #"{"streams": ["manual/b", "events/x"]}"#) == 204) }
    #expect(acked(bench, "manual/b") == "0000000000000001" && acked(bench, "events/x") == "0000000000000000")
    bench.add("/streams/manual/b", "2", B.json)
    bench.make("/streams/events/x", B.json, "[1]")
    settle(bench)
    #expect(acked(bench, "manual/b") == "0000000000000002" && acked(bench, "events/x") == "0000000000000001")
    for _ in 0..<2 { #expect(streams("DELETE", "/manual/b") == 204) }
    #expect(acked(bench, "manual/b") == nil)
    // The pattern's link stays.
    #expect(streams("DELETE", "/events/x") == 204)
    #expect(get(bench)["streams"]?[0]?["link_type"] == "glob")
    for body in ["", "{}", #"{"streams": ["a//b"]}"#, #"{"streams": ["_weir/x"]}"#] {
      #expect(streams("POST", "", body) == 400)
    }
  }

  @Test func s6_5_theKeyIsShownToEverybody() throws {
    let bench = try B(subscriptions: Self.options) { $0.token = "a-secret-token" }
    let answer = bench.ask("GET", "/v1/stream/__ds/jwks.json")
    #expect(answer.status == 200 && answer["Content-Type"] == "application/jwk-set+json")
    #expect(answer["Cache-Control"] == "public, max-age=300")
    let key = answer.json?["keys"]?[0]
    #expect(key?["kty"] == "OKP" && key?["crv"] == "Ed25519" && key?["alg"] == "EdDSA" && key?["use"] == "sig")
    #expect(key?["kid"]?.string?.hasPrefix("ds_") == true)
    #expect(key?["x"]?.string == WebhookSigner.base64URL(SimulatedSigning().publicKey(seed: Self.seed)))
    // Nothing else is.
    for (method, path) in [("GET", "s"), ("PUT", "s"), ("DELETE", "s"), ("POST", "s/streams"), ("POST", "s/claim")] {
      #expect(
        bench.ask(method, "/streams/__ds/subscriptions/\(path)", B.json, webhook()).status == 401, "\(method) \(path)")
    }
    let owner = bearer("a-secret-token")
    #expect(bench.ask("PUT", "/streams/__ds/subscriptions/s", owner, webhook()).status == 201)
    #expect(
      bench.ask("PUT", "/streams/__ds/subscriptions/t", owner + [("Origin", "https://evil.example")], webhook()).status
        == 403)
    #expect(try B().ask("PUT", "/streams/__ds/subscriptions/s", B.json, webhook()).status == 404)
  }

  // MARK: 7.1

  @Test func s7_1_aWebhookIsSignedAndDoneAcknowledgesWhatItWasTold() throws {
    let bench = try bench(answer: #"{"done": true}"#)
    _ = subscribe(bench, webhook())
    bench.make("/streams/events/a", B.json, "[1]")
    // Behind what is told.
    bench.add("/streams/events/a", "2", B.json)
    settle(bench)
    let request = try #require(bench.simulation.http.requests.first)
    let body = request.body ?? []
    let header = try #require(request.headers.first { $0.name == "Webhook-Signature" }?.value)
    let parts = header.split(separator: ",").map { String($0.drop { $0 != "=" }.dropFirst()) }
    #expect(parts[0] == "\(bench.loop.wallClock / 1000)" && "ds_" + parts[1].dropFirst(3) == parts[1])
    let message = Array("\(parts[0]).".utf8) + body
    #expect(parts[2] == WebhookSigner.base64URL(SimulatedSigning().signature(of: message, seed: Self.seed)))
    #expect(request.headers.contains { $0.name == "Content-Type" && $0.value == "application/json" })
    let calls = told(bench)
    #expect(calls.count == 2 && calls[0]["generation"] == 1 && calls[1]["generation"] == 2)
    #expect(calls[0]["wake_id"] != calls[1]["wake_id"] && calls[0]["callback_token"] != calls[1]["callback_token"])
    #expect(calls[0]["callback_url"] == "http://localhost:8080/streams/__ds/subscriptions/s/callback")
    #expect(calls[0]["streams"]?[0]?["tail_offset"] == "0000000000000001")
    #expect(
      calls[1]["streams"]?[0]?["acked_offset"] == "0000000000000001" && acked(bench, "events/a") == "0000000000000002")
    settle(bench)
    #expect(told(bench).count == 2 && bench.simulation.http.openExchangeCount == 0)
  }

  @Test func s7_1_aCallbackAcknowledgesExtendsAndIsFenced() throws {
    let bench = try bench()
    _ = subscribe(bench, webhook())
    bench.make("/streams/events/a", B.json, "[1,2]")
    settle(bench)
    let wake = try #require(told(bench).first)
    let ack = #", "acks": [{"stream": "events/a", "offset": "0000000000000001"}]"#
    // It goes on for longer than one lease.
    for _ in 0..<3 {
      bench.loop.advance(by: .seconds(4))
      let answer = report(bench, "callback", wake, ack)
      #expect(answer.status == 200 && answer.json == ["ok": true, "next_wake": false])
    }
    #expect(acked(bench, "events/a") == "0000000000000001" && told(bench).count == 1)
    for (acks, why) in [
      (#"[{"stream": "events/a", "offset": "0000000000000000"}]"#, 200),
      (#"[{"stream": "events/a", "offset": "0000000000000003"}]"#, 409),
      (#"[{"stream": "events/b", "offset": "0000000000000000"}]"#, 409),
      (#"[{"stream": "events/a", "offset": "-1"}]"#, 400),
      (#"[{"stream": "events/a", "offset": "now"}]"#, 400), ("7", 400), ("[7]", 400), (#"[{"offset": "1"}]"#, 400),
    ] { #expect(report(bench, "callback", wake, #", "acks": \#(acks)"#).status == why, "\(acks)") }
    for token in ["x", "a.1.9.b", String((wake["callback_token"]?.string ?? "").dropLast()) + "x"] {
      let answer = report(bench, "callback", wake, token: token)
      #expect(answer.status == 401 && code(answer) == "TOKEN_INVALID", "\(token)")
    }
    #expect(bench.ask("POST", "/streams/__ds/subscriptions/s/callback", [], "{}").status == 401)
    #expect(report(bench, "ack", wake).status == 400 && report(bench, "release", wake).status == 400)
    // Done with a part: woken again for the rest.
    let done = report(bench, "callback", wake, #", "done": true"#)
    #expect(done.json == ["ok": true, "next_wake": true])
    let stale = report(bench, "callback", wake, #", "done": true"#)
    #expect(stale.status == 409 && code(stale) == "FENCED")
    settle(bench)
    let second = told(bench)[1]
    #expect(second["generation"] == 2)
    // The new wake with the token of the old one, and the other way round.
    for (a, b) in [(second, wake), (wake, second)] {
      #expect(code(report(bench, "callback", a, token: b["callback_token"]?.string)) == "FENCED")
    }
    bench.ask("DELETE", "/streams/__ds/subscriptions/s")
    #expect(report(bench, "callback", second).status == 404)
    // Nor is it good for another one of that name.
    _ = subscribe(bench, webhook())
    #expect(code(report(bench, "callback", second)) == "FENCED")
  }

  @Test func s7_1_aFailedDeliveryIsTriedAgainEverLaterAndAfterARestart() throws {
    var bench = try bench(status: 500)
    _ = subscribe(bench, webhook())
    bench.make("/streams/events/a", B.json, "[1]")
    var times: [Int64] = []
    for _ in 0..<2000 {
      let count = bench.simulation.http.requests.count
      bench.loop.advance(by: .milliseconds(100))
      if bench.simulation.http.requests.count > count { times.append(bench.loop.elapsed.milliseconds) }
    }
    let gaps = zip(times.dropFirst(), times).map { $0 - $1 }
    #expect(gaps.count >= 6)
    for (index, gap) in gaps.enumerated() {
      // The first try was before.
      let wait = Double(min(2000 << index, 60_000))
      #expect(Double(gap) > wait * 0.75 && Double(gap) < wait * 1.25 + 700, "\(gaps)")
    }
    #expect(get(bench)["status"] == "failed" && Set(told(bench).map { $0["wake_id"]?.string }).count == 1)
    // Another process goes on where this one was: not before its time, and with the same wake.
    bench.app.disconnectReaders()
    let before = bench.simulation.http.requests.count
    bench = try self.bench(after: bench, answer: #"{"done": true}"#)
    #expect(bench.simulation.http.requests.count == before)
    bench.loop.advance(by: .seconds(75))
    #expect(told(bench).last?["wake_id"] == told(bench).first?["wake_id"] && told(bench).last?["generation"] == 1)
    #expect(get(bench)["status"] == "active" && acked(bench, "events/a") == "0000000000000001")
  }

  @Test func s7_3_aLeaseThatIsOverWakesAgain() throws {
    let bench = try bench()
    _ = subscribe(bench, webhook())
    bench.make("/streams/events/a", B.json, "[1]")
    bench.loop.advance(by: .seconds(12))
    let calls = told(bench)
    #expect(calls.count == 3 && calls.map { $0["generation"]?.int } == [1, 2, 3])
    #expect(code(report(bench, "callback", calls[1], #", "done": true"#)) == "FENCED")
    #expect(
      report(
        bench, "callback", calls[2], #", "acks": [{"stream": "events/a", "offset": "0000000000000001"}], "done": true"#
      ).status == 200)
    bench.loop.advance(by: .seconds(12))
    #expect(told(bench).count == 3)
    bench.loop.advance(by: .seconds(25 * 3600))
    #expect(code(report(bench, "callback", calls[2])) == "TOKEN_EXPIRED")
  }

  // MARK: 7.2

  private let pull = #"{"type": "pull-wake", "wake_stream": "wake/pool", "pattern": "events/*", "lease_ttl_ms": 5000}"#

  private func wakes(_ bench: B) throws -> [JSONValue] {
    try JSONValue.parse(bench.ask("GET", "/streams/wake/pool").text).array ?? []
  }

  private func claim(_ bench: B, _ worker: String = "w1") -> FakeResponder {
    bench.ask("POST", "/streams/__ds/subscriptions/s/claim", B.json, #"{"worker": "\#(worker)"}"#)
  }

  @Test func s7_2_oneWorkerClaimsAcknowledgesAndReleases() throws {
    let bench = try bench()
    bench.make("/streams/wake/pool", B.json)
    #expect(subscribe(bench, pull).status == 201)
    #expect(code(claim(bench)) == "NO_PENDING_WORK")
    bench.make("/streams/events/a", B.json, "[1]")
    bench.add("/streams/events/a", "2", B.json)
    settle(bench)
    let event = try #require(try wakes(bench).first)
    #expect(try wakes(bench).count == 1)
    #expect(
      event["type"] == "wake" && event["subscription_id"] == "s" && event["stream"] == "events/a"
        && event["generation"] == 1)
    #expect(event["ts"]?.int == Int(bench.loop.wallClock) - 500)
    let claimed = claim(bench)
    let wake = claimed.json ?? .null
    #expect(claimed.status == 200 && wake["generation"] == 1 && wake["lease_ttl_ms"] == 5000)
    #expect(wake["streams"]?[0]?["tail_offset"] == "0000000000000002" && wake["streams"]?[0]?["has_pending"] == true)
    let busy = claim(bench, "w2")
    #expect(busy.status == 409 && code(busy) == "ALREADY_CLAIMED")
    #expect(busy.json?["error"]?["current_holder"] == "w1" && busy.json?["error"]?["generation"] == 1)
    for _ in 0..<3 {
      bench.loop.advance(by: .seconds(4))
      #expect(report(bench, "ack", wake).json == ["ok": true, "next_wake": false])
    }
    let ack = #", "acks": [{"stream": "events/a", "offset": "0000000000000001"}]"#
    #expect(report(bench, "ack", wake, ack + #", "done": true"#).json == ["ok": true, "next_wake": true])
    #expect(try wakes(bench).count == 2)
    let second = claim(bench, "w2").json ?? .null
    #expect(second["generation"] == 2)
    #expect(code(report(bench, "release", wake)) == "FENCED")
    #expect(report(bench, "release", second).status == 204)
    #expect(try wakes(bench).count == 3)
    #expect(report(bench, "callback", second).status == 400)
    for body in ["", "{}", #"{"worker": ""}"#, #"{"worker": 7}"#] {
      #expect(bench.ask("POST", "/streams/__ds/subscriptions/s/claim", B.json, body).status == 400)
    }
    // A worker that dies: the next one is woken.
    _ = claim(bench, "w3")
    bench.loop.advance(by: .seconds(6))
    #expect(try wakes(bench).count == 4 && claim(bench, "w4").json?["generation"] == 4)
  }

  @Test func s7_2_aWakeStreamThatIsMissingIsTriedAgain() throws {
    let bench = try bench()
    _ = subscribe(bench, pull)
    bench.make("/streams/events/a", B.json, "[1]")
    settle(bench)
    #expect(get(bench)["status"] == "failed")
    bench.make("/streams/wake/pool", B.json)
    bench.loop.advance(by: .seconds(5))
    #expect(try wakes(bench).count == 1 && get(bench)["status"] == "active")
  }

  // MARK: Kept

  @Test func s7_whatWasAnsweredIsThereAfterARestart() throws {
    var bench = try bench()
    bench.make("/streams/wake/pool", B.json)
    _ = subscribe(bench, pull)
    bench.make("/streams/events/a", B.json, "[1,2,3]")
    settle(bench)
    let wake = claim(bench).json ?? .null
    #expect(
      report(bench, "ack", wake, #", "acks": [{"stream": "events/a", "offset": "0000000000000002"}]"#).status == 200)
    // The process dies; something comes through another one.
    bench.app.disconnectReaders()
    bench.store.append(try StreamName("events/a"), [Array("4".utf8)], ending: nil) { _ in }
    bench.store.create(
      try StreamName("events/b"), StreamCreation(contentType: "application/json", items: [Array("1".utf8)])
    ) { _ in }
    bench = try self.bench(after: bench)
    #expect(acked(bench, "events/a") == "0000000000000002")
    #expect(code(claim(bench, "w2")) == "ALREADY_CLAIMED")
    #expect(report(bench, "ack", wake, #", "done": true"#).json?["next_wake"] == true)
    let second = claim(bench, "w2").json ?? .null
    #expect(second["generation"] == 2 && second["streams"]?.array?.count == 2)
    #expect(second["streams"]?[1]?["acked_offset"] == "0000000000000000")
  }

  @Test func s7_whatIsKeptStaysShort() throws {
    var bench = try bench()
    bench.make("/streams/wake/pool", B.json)
    _ = subscribe(bench, pull)
    bench.make("/streams/events/a", B.json, "[1]")
    settle(bench)
    let wake = claim(bench).json ?? .null
    for _ in 0..<2500 { #expect(report(bench, "ack", wake).status == 200) }
    var kept: [StreamStatus] = []
    bench.store.list(prefix: SubscriptionJournal.root, after: nil, limit: 10) { kept = (try? $0.get()) ?? [] }
    #expect(kept.count == 1 && kept[0].tail < Offset(1001) && kept[0].name.path.hasSuffix("3"))
    bench.app.disconnectReaders()
    bench = try self.bench(after: bench)
    #expect(
      report(bench, "ack", wake, #", "acks": [{"stream": "events/a", "offset": "0000000000000001"}], "done": true"#)
        .status == 200)
  }

  /// A whole record may be written while an older one waits behind it: nothing that was changed since is lost.
  @Test func s7_aWholeRecordTakesNothingFromTheNext() throws {
    let plan = try SubscriptionPlan(try JSONValue.parse(pull))
    var one = Subscription(id: "s", plan: plan, createdAt: 1, base: "b")
    let name = try StreamName("events/a")
    _ = one.made(
      StreamStatus(name: name, contentType: "text/plain", tail: Offset(2), ending: nil, createdAt: 1))
    try one.acknowledge([(name, Offset(1))])
    let waiting = one.takeRecord()
    try one.acknowledge([(name, Offset(2))])
    let whole = one.wholeRecord
    let last = one.takeRecord()
    var read = try #require(Subscription(whole: whole))
    #expect(read.apply(waiting) && read.apply(last) && read.links[name]?.acked == Offset(2))
    #expect(!read.apply(.null) && !read.apply(["generation": -1]))
    #expect(Subscription(whole: waiting) == nil && Subscription(whole: ["id": "s"]) == nil)
  }

  @Test func s7_whatAFullStoreLetGoIsWrittenAnew() throws {
    let bench = try bench()
    bench.make("/streams/wake/pool", B.json)
    _ = subscribe(bench, pull)
    bench.make("/streams/events/a", B.json, "[1]")
    settle(bench)
    bench.store.delete(try SubscriptionJournal.name("s", 1)) { _ in }
    #expect(claim(bench).status == 200)
    bench.app.disconnectReaders()
    #expect(code(claim(try self.bench(after: bench), "w2")) == "ALREADY_CLAIMED")
  }

  /// Bodies that are cut, changed and mixed: always an answer, never a step.
  @Test(arguments: UInt64(1)...20) func s12_noBodyBreaksIt(seed: UInt64) throws {
    let random = SeededRandom(seed: seed)
    let bench = try bench()
    bench.make("/streams/wake/pool", B.json)
    _ = subscribe(bench, pull)
    bench.make("/streams/events/a", B.json, "[1]")
    settle(bench)
    let wake = claim(bench).json ?? .null
    let good = [
      pull, webhook(), wake.text, #"{"streams": ["a"]}"#,
      #"{"acks": [{"stream": "events/a", "offset": "9"}], "wake_id": "x", "generation": -1}"#,
    ]
    for _ in 0..<100 {
      var bytes = Array(random.pick(good).utf8)
      for _ in 0..<random.int(0...4) where !bytes.isEmpty {
        let at = random.int(0...bytes.count - 1)
        if random.chance(0.5) {
          bytes[at] = UInt8(truncatingIfNeeded: random.next())
        } else {
          bytes.removeSubrange(at...)
        }
      }
      let verb = random.pick(["", "/streams", "/claim", "/ack", "/callback", "/release"])
      let answer = bench.ask(
        verb.isEmpty ? "PUT" : "POST", "/streams/__ds/subscriptions/\(random.pick(["s", "t"]))\(verb)",
        bearer("a.1.2.c"), body: bytes)
      #expect((200...499).contains(answer.status ?? 0), "seed \(seed): \(answer.status ?? 0)")
    }
    #expect(acked(bench, "events/a") == "0000000000000000")
    #expect(report(bench, "ack", wake, #", "done": true"#).status == 200)
  }
}

extension JSONValue {
  fileprivate var text: String { String(decoding: encoded(), as: UTF8.self) }
}
