import Testing
import WeirCore
import WeirNet
import WeirStore
import WeirTesting

@testable import WeirServe

/// Subscriptions when something goes wrong: stores that can't be written, webhooks that hang, streams that are gone.
@Suite struct SubscriptionFaultTests {
  typealias B = StreamBench
  static let options = SubscriptionTests.options
  static let hook = SubscriptionTests.hook
  private static let path = "/streams/__ds/subscriptions/s"
  private let pull = #"{"type": "pull-wake", "wake_stream": "wake/pool", "pattern": "events/*", "lease_ttl_ms": 5000}"#
  private let hooked =
    #"{"type": "webhook", "webhook": {"url": "\#(Self.hook)"}, "lease_ttl_ms": 5000, "pattern": "events/*"}"#

  /// With a pull-wake subscription `s` to `events/*`.
  private func pulling() throws -> B {
    let bench = try B(subscriptions: Self.options)
    bench.make("/streams/wake/pool", B.json)
    #expect(bench.ask("PUT", Self.path, B.json, pull).status == 201)
    return bench
  }

  private func restarted(_ bench: B, _ options: Subscriptions.Options = Self.options) throws -> B {
    bench.app.disconnectReaders()
    return try B(after: bench, subscriptions: options)
  }

  private func wakes(_ bench: B) throws -> Int {
    try JSONValue.parse(bench.ask("GET", "/streams/wake/pool").text).array?.count ?? 0
  }

  private func claim(_ bench: B) -> FakeResponder {
    bench.ask("POST", Self.path + "/claim", B.json, #"{"worker": "w"}"#)
  }

  private func ack(_ bench: B, _ wake: JSONValue, _ more: String) -> FakeResponder {
    let body =
      #"{"wake_id": "\#(wake["wake_id"]?.string ?? "")", "generation": \#(wake["generation"]?.int ?? -1), \#(more)}"#
    return bench.ask(
      "POST", Self.path + "/ack", [("Authorization", "Bearer \(wake["token"]?.string ?? "")")], body)
  }

  private func acked(_ bench: B, _ path: String) -> String? {
    bench.ask("GET", Self.path).json?["streams"]?.array?.first { $0["path"]?.string == path }?["acked_offset"]?.string
  }

  private func code(_ answer: FakeResponder) -> String? { answer.json?["error"]?["code"]?.string }

  private func journal(_ bench: B) throws -> (name: StreamName, records: [JSONValue], bytes: Int) {
    var kept: [StreamStatus] = []
    bench.store.list(prefix: SubscriptionJournal.root, after: nil, limit: 10) { kept = (try? $0.get()) ?? [] }
    let name = try #require(kept.last?.name)
    #expect(kept.count == 1)
    var items: [[UInt8]] = []
    bench.store.read(name, from: .start, byteLimit: .max) { items = (try? $0.get().items.map(\.bytes)) ?? [] }
    return (name, try items.map { try JSONValue.parse($0) }, items.reduce(0) { $0 + $1.count })
  }

  // MARK: Nothing left

  @Test(arguments: ["claimed", "not claimed", "restarted"])
  func aWakeWhoseWorkIsGoneIsFollowedByTheNext(_ how: String) throws {
    var bench = try pulling()
    bench.make("/streams/events/a", B.json, "[1]")
    #expect(try wakes(bench) == 1)
    if how == "restarted" {
      bench.app.disconnectReaders()
      bench.store.delete(try StreamName("events/a")) { _ in }
      bench = try restarted(bench)
    } else {
      bench.ask("DELETE", "/streams/events/a")
    }
    if how != "not claimed" { #expect(code(claim(bench)) == "NO_PENDING_WORK") }
    bench.make("/streams/events/b", B.json, "[1]")
    bench.loop.settle()
    #expect(try wakes(bench) == 2 && claim(bench).json?["generation"] == 2)
  }

  @Test func aStreamThatIsNoLongerLinkedIsNoWork() throws {
    let bench = try pulling()
    _ = bench.ask("POST", Self.path + "/streams", B.json, #"{"streams": ["other"]}"#)
    bench.make("/streams/other", B.json, "[1]")
    #expect(bench.ask("DELETE", Self.path + "/streams/other").status == 204)
    bench.make("/streams/events/a", B.json, "[1]")
    #expect(try wakes(bench) == 2 && claim(bench).json?["generation"] == 2)
  }

  /// It expired, which nobody is told.
  @Test func whatHasExpiredIsNoWork() throws {
    let bench = try B(subscriptions: Self.options)
    bench.simulation.http.reply(Self.hook, body: "{}")
    _ = bench.ask("PUT", Self.path, B.json, hooked)
    bench.make("/streams/events/a", B.json + [("Stream-TTL", "8")], "[1]")
    bench.loop.advance(by: .seconds(20))
    let count = bench.simulation.http.requests.count
    #expect(count == 2)
    bench.loop.advance(by: .seconds(60))
    #expect(bench.simulation.http.requests.count == count && acked(bench, "events/a") == nil)
    // Nor is it given to whoever asks.
    let other = try pulling()
    other.make("/streams/events/a", B.json + [("Stream-TTL", "8")], "[1]")
    other.loop.advance(by: .seconds(20))
    #expect(code(claim(other)) == "NO_PENDING_WORK")
    // Done with what is there; the rest is gone: not woken again.
    other.make("/streams/events/b", B.json + [("Stream-TTL", "4")], "[1]")
    other.make("/streams/events/c", B.json, "[1]")
    let wake = claim(other).json ?? .null
    other.loop.advance(by: .milliseconds(4500))
    let done = ack(
      other, wake, #""acks": [{"stream": "events/c", "offset": "0000000000000001"}], "done": true"#)
    #expect(done.json == ["ok": true, "next_wake": false])
    #expect(try wakes(other) == 2)
  }

  // MARK: Not kept

  @Test func whatWasNotKeptIsNotAnsweredAsIfItWere() throws {
    var bench = try pulling()
    bench.make("/streams/events/a", B.json, "[1,2]")
    let wake = claim(bench).json ?? .null
    bench.faults.failing = [.append, .create]
    let one = #""acks": [{"stream": "events/a", "offset": "0000000000000001"}]"#
    for _ in 0..<2 { #expect(ack(bench, wake, one).status == 503) }
    bench.faults.failing = []
    #expect(ack(bench, wake, one).status == 200)
    bench.faults.failing = [.append, .create]
    #expect(bench.ask("POST", Self.path + "/streams", B.json, #"{"streams": ["x"]}"#).status == 503)
    bench.faults.failing = []
    #expect(bench.ask("POST", Self.path + "/streams", B.json, #"{"streams": ["x"]}"#).status == 204)
    bench = try restarted(bench)
    #expect(acked(bench, "events/a") == "0000000000000001" && acked(bench, "x") != nil)
    #expect(ack(bench, wake, #""done": true"#).status == 200)
  }

  @Test func aSubscriptionThatCannotBeDeletedIsThere() throws {
    var bench = try pulling()
    bench.make("/streams/events/a", B.json, "[1]")
    bench.faults.failing = [.delete]
    for _ in 0..<2 { #expect(bench.ask("DELETE", Self.path).status == 503) }
    #expect(bench.ask("GET", Self.path).status == 200)
    bench.make("/streams/events/b", B.json, "[1]")
    #expect(claim(bench).json?["streams"]?.array?.count == 2)
    bench.faults.failing = []
    #expect(bench.ask("DELETE", Self.path).status == 204)
    #expect(bench.ask("DELETE", Self.path).status == 404)
    bench = try restarted(bench)
    #expect(bench.ask("GET", Self.path).status == 404)
  }

  @Test func whatIsAskedOfOneThatIsBeingDeletedIsNotThere() throws {
    let bench = try pulling()
    bench.faults.isHeld = true
    let added = bench.ask("POST", Self.path + "/streams", B.json, #"{"streams": ["x"]}"#)
    let deleted = bench.ask("DELETE", Self.path)
    #expect(added.status == nil)
    bench.faults.release()
    bench.loop.settle()
    #expect(deleted.status == 204 && added.status == 404 && bench.ask("GET", Self.path).status == 404)
    #expect(bench.ask("PUT", Self.path, B.json, pull).status == 201)
  }

  // MARK: Webhooks

  @Test func aWebhookThatHangsHasFailed() throws {
    let bench = try B(subscriptions: Self.options)
    bench.simulation.http.serve(Self.hook) { _ in }
    _ = bench.ask("PUT", Self.path, B.json, hooked)
    bench.make("/streams/events/a", B.json, "[1]")
    bench.loop.advance(by: .milliseconds(5500))
    #expect(bench.simulation.http.requests.count == 1 && bench.simulation.http.openExchangeCount == 0)
    #expect(bench.ask("GET", Self.path).json?["status"] == "failed")
    // 5 s and 1, 2, 4, 8, 16 s in between, each 20 % more or less.
    bench.loop.advance(by: .seconds(55))
    #expect((5...7).contains(bench.simulation.http.requests.count))
    let told = bench.simulation.http.requests.compactMap { try? JSONValue.parse($0.body ?? [])["wake_id"]?.string }
    #expect(Set(told).count == 1)
  }

  @Test func anAddressIsCheckedWheneverItIsCalled() throws {
    var bench = try B(subscriptions: Self.options)
    let here = #"{"type": "webhook", "webhook": {"url": "http://localhost:9/x"}, "pattern": "events/*"}"#
    #expect(bench.ask("PUT", Self.path, B.json, here).status == 201)
    // Now the server listens for the world.
    bench = try restarted(bench, .init(keys: SubscriptionTests.keys, allowsThisMachine: false, isPublic: true))
    bench.make("/streams/events/a", B.json, "[1]")
    bench.loop.advance(by: .seconds(10))
    #expect(bench.simulation.http.requests.isEmpty && bench.ask("GET", Self.path).json?["status"] == "failed")
  }

  // MARK: Two servers

  @Test func severalServersShareThem() throws {
    let bench = try pulling()
    let other = ServeApplication(
      bench.app.configuration, host: bench.host, store: bench.app.store, loop: bench.loop,
      subscriptions: bench.app.subscriptions)
    var loaded = 0
    for _ in 0..<2 { other.load { failure in loaded += failure == nil ? 1 : 0 } }
    bench.loop.settle()
    #expect(loaded == 2)
    // The first closes, in both of the ways that are used together.
    bench.app.disconnectReaders()
    bench.app.disconnectReaders()
    bench.make("/streams/events/a", B.json, "[1]")
    #expect(try wakes(bench) == 1)
    let responder = FakeResponder()
    other.handle(
      HTTPRequest(
        method: "GET", path: Self.path, query: "", headers: [("Host", "localhost:8080")], body: [],
        peer: SocketAddress(host: "127.0.0.1", port: 50000)), responder)
    #expect(responder.status == 200)
    other.disconnectReaders()
    #expect((bench.app.store as? ObservedStore)?.observer == nil)
    // It is going down; that is no reason to forget the subscription.
    #expect(bench.ask("GET", Self.path).status == 503)
  }

  // MARK: Kept shortly

  @Test func theTailsOfAWakeAreWrittenOnce() throws {
    var bench = try pulling()
    bench.make("/streams/events/a", B.json, "[1,2]")
    let wake = claim(bench).json ?? .null
    for _ in 0..<10 { #expect(ack(bench, wake, #""done": false"#).status == 200) }
    let records = try journal(bench).records
    #expect(records.count >= 12 && records.count { $0["wake"]?["tails"] != nil } == 1)
    bench = try restarted(bench)
    #expect(code(claim(bench)) == "ALREADY_CLAIMED")
  }

  @Test func whatIsKeptIsBoundInBytes() throws {
    let bench = try pulling()
    let long = String(repeating: "x", count: 200)
    let names = (0..<1_000).map { "\(long)/\($0)" }
    let list = JSONValue.array(names.map { .string($0) })
    let linked = JSONValue.object([JSONMember("streams", list)]).encoded()
    #expect(bench.ask("POST", Self.path + "/streams", B.json, body: linked).status == 204)
    for name in names { bench.make("/streams/" + name, B.json, "[1,2,3,4,5,6,7,8,9,10]") }
    let wake = claim(bench).json ?? .null
    for offset in 1...10 {
      let acks = names.map { #"{"stream": "\#($0)", "offset": "\#(Offset(UInt64(offset)))"}"# }.joined(separator: ",")
      #expect(ack(bench, wake, #""acks": [\#(acks)]"#).status == 200)
    }
    let (name, _, bytes) = try journal(bench)
    let first = try SubscriptionJournal.name("s", 1)
    #expect(bytes < 2_000_000 && name != first)
  }

  @Test func partsAreBytes() {
    // A stroke above a slash is another character, and no other byte.
    #expect(PathPattern("events/*")?.matches("events/\u{301}a") == true)
    #expect(PathPattern("*")?.matches("events/\u{301}a") == false)
    #expect(PathPattern("events/\u{301}a")?.matches("events/\u{301}a") == true)
    #expect(PathPattern("*/\u{301}a")?.matches("events/\u{301}a") == true)
    for bad in ["a/\u{301}/", "*\u{301}", "a:\u{301}", "/\u{301}", "..\u{301}/../a"] {
      #expect(PathPattern(bad) == nil, "\(bad)")
    }
  }
}
