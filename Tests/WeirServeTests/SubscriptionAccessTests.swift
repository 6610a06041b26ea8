import Testing
import WeirCore
import WeirNet
import WeirStore
import WeirTesting

@testable import WeirServe

/// Who learns what of subscriptions, what signs their words, and what happens to one that can't be read.
@Suite struct SubscriptionAccessTests {
  typealias B = StreamBench
  typealias S = SubscriptionBench

  private func pulling(_ pattern: String) -> String {
    #"{"type": "pull-wake", "wake_stream": "pool", "pattern": "\#(pattern)"}"#
  }

  private let closed = Subscriptions.Options(keys: SubscriptionTests.keys, allowsThisMachine: false, isPublic: false)

  /// Names of runs and memories are secrets.
  @Test func starsTellNobodyOfRunsAndMemories() throws {
    for pattern in ["**", "*/*", "**/x", "*/**"] {
      let found = PathPattern(pattern)
      for name in ["runs/x", "memory/x", "_weir/x", "runs/1/x"] { #expect(found?.matches(name) != true, "\(pattern)") }
    }
    #expect(PathPattern("**")?.matches("runs") == true && PathPattern("*/x")?.matches("run/x") == true)
    #expect(PathPattern("runs/*")?.matches("runs/x") == true)
    func subscribed(_ pattern: String, _ options: Subscriptions.Options) throws -> (S, FakeResponder) {
      let s = try S(nil, options)
      for name in ["runs/x", "memory/x", "notes/x"] {
        s.bench.store.create(try StreamName(name), contentType: "application/json") { _ in }
      }
      return (s, s.subscribe(pulling(pattern)))
    }
    for pattern in ["*/*", "*/x"] {
      for options in [closed, SubscriptionTests.options] {
        let (s, answer) = try subscribed(pattern, options)
        #expect(answer.status == 201 && s.acked == ["notes/x 0"], "\(pattern)")
        s.bench.store.create(try StreamName("runs/y"), contentType: "application/json") { _ in }
        #expect(s.acked == ["notes/x 0"])
      }
    }
    // Whoever has the server's token may ask for them.
    for pattern in ["runs/*", "runs/**", "memory/x"] {
      let (s, answer) = try subscribed(pattern, SubscriptionTests.options)
      #expect(answer.status == 400 && s.code(answer) == "INVALID_REQUEST", "\(pattern)")
      #expect(try subscribed(pattern, closed).1.status == 201, "\(pattern)")
    }
    let (s, _) = try subscribed("runs/*", closed)
    #expect(s.acked == ["runs/x 0"])
    // Nor does a server without one tell what it was asked for before.
    let open = try s.restarted()
    #expect(open.bench.ask("GET", S.path).status == 503)
    #expect(open.bench.ask("DELETE", S.path).status == 204 && open.bench.ask("GET", S.path).status == 404)
  }

  @Test func whoHasNoTokenLearnsNotEvenWhatThereIs() throws {
    let s = try S()
    for verb in ["ack", "callback", "release"] {
      for token in ["", "Bearer x", "Bearer a.1.9.b"] {
        let headers: [(name: String, value: String)] = token.isEmpty ? [] : [("Authorization", token)]
        let answers = ["s", "none"].map { id in
          s.bench.ask("POST", "/streams/__ds/subscriptions/\(id)/\(verb)", headers, "{")
        }
        #expect(answers[0].status == 401 && answers[0].status == answers[1].status, "\(verb) \(token)")
        #expect(answers[0].text == answers[1].text)
      }
    }
  }

  @Test func aKeyIsReplacedWithoutForgettingTheOneBefore() throws {
    var s = try S()
    s.bench.make("/streams/events/a", B.json, "[1]")
    let wake = s.claim().json ?? .null
    let old = s.bench.ask("GET", "/streams/__ds/jwks.json").json?["keys"]?[0]
    let seed = (0..<32).map { UInt8($0 + 100) }
    s = try s.restarted(
      .init(
        keys: .init(webhooks: seed, oldWebhooks: SubscriptionTests.seed, tokens: SubscriptionTests.keys.tokens),
        allowsThisMachine: false, isPublic: true))
    let keys = s.bench.ask("GET", "/streams/__ds/jwks.json").json?["keys"]?.array ?? []
    #expect(keys.count == 2 && keys.last == old && keys.first?["kid"] != old?["kid"])
    #expect(keys.first?["x"]?.string == WebhookSigner.base64URL(SimulatedSigning().publicKey(seed: seed)))
    // Those at work go on.
    #expect(s.report("ack", wake, [("events/a", 1)], isDone: true).status == 200)
    // The new one signs.
    s.http.reply(S.hook, body: "{}")
    s.bench.ask("DELETE", S.path)
    s.subscribe(S.webhook())
    s.bench.add("/streams/events/a", "2", B.json)
    let signature = s.http.requests.last?.headers.first { $0.name == "Webhook-Signature" }?.value
    #expect(signature?.contains(text: "kid=\(keys.first?["kid"]?.string ?? "?"),") == true)
  }

  // MARK: Broken

  private func journals(_ s: S) -> [String] {
    var found: [StreamStatus] = []
    s.bench.store.list(prefix: SubscriptionJournal.root, after: nil, limit: 10) { found = (try? $0.get()) ?? [] }
    return found.map { "\($0.name.path.suffix(2)) \($0.tail.value)" }
  }

  @Test(arguments: ["a record", "the last stream"]) func oneThatCannotBeReadIsNotReplaced(_ what: String) throws {
    var s = try S()
    s.bench.make("/streams/events/a", B.json, "[1]")
    let wake = s.claim().json ?? .null
    s = try s.restarted { store in
      let bad = Array("{}".utf8)
      if what == "a record" {
        store.append(try SubscriptionJournal.name("s", 1), [bad], ending: nil) { _ in }
      } else {
        store.create(
          try SubscriptionJournal.name("s", 2), StreamCreation(contentType: "application/json", items: [bad])
        ) { _ in }
      }
    }
    let kept = journals(s)
    #expect(kept.count == (what == "a record" ? 1 : 2))
    for _ in 0..<2 {
      #expect(s.subscribe(S.pull).status == 503 && s.bench.ask("GET", S.path).status == 503)
      #expect(s.claim().status == 503 && s.report("ack", wake).status == 503)
      #expect(s.bench.ask("POST", S.path + "/streams", B.json, #"{"streams": ["x"]}"#).status == 503)
      s.bench.add("/streams/events/a", "2", B.json)
      s = try s.restarted()
      #expect(journals(s) == kept)
    }
    #expect(s.bench.ask("DELETE", S.path).status == 204 && journals(s).isEmpty)
    #expect(s.bench.ask("GET", S.path).status == 404 && s.subscribe(S.pull).status == 201)
  }
}
