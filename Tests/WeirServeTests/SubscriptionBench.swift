import Testing
import WeirCore
import WeirNet
import WeirStore
import WeirTesting

@testable import WeirServe

/// A server with one subscription, `s`, and what its workers say.
struct SubscriptionBench {
  typealias B = StreamBench
  static let path = "/streams/__ds/subscriptions/s"
  static let hook = SubscriptionTests.hook
  static let pull = #"{"type": "pull-wake", "wake_stream": "wake/pool", "pattern": "events/*", "lease_ttl_ms": 5000}"#

  static func webhook(lease: Int = 5000, _ more: String = #""pattern": "events/*""#) -> String {
    #"{"type": "webhook", "webhook": {"url": "\#(hook)"}, "lease_ttl_ms": \#(lease), \#(more)}"#
  }

  let bench: B

  /// With the subscription, and the stream of its wakes; nil: without either.
  init(_ body: String? = pull, _ options: Subscriptions.Options = SubscriptionTests.options) throws {
    bench = try B(subscriptions: options)
    guard let body else { return }
    bench.make("/streams/wake/pool", B.json)
    #expect(subscribe(body).status == 201)
  }

  private init(_ bench: B) { self.bench = bench }

  /// The process ends, something happens to the streams, and another one takes up what it left.
  func restarted(
    _ options: Subscriptions.Options = SubscriptionTests.options,
    after meanwhile: (MemoryStreamStore) throws -> Void = { _ in }
  ) throws -> SubscriptionBench {
    bench.app.disconnectReaders()
    try meanwhile(bench.store)
    return SubscriptionBench(try B(after: bench, subscriptions: options))
  }

  var http: SimulatedHTTP { bench.simulation.http }
  /// What the webhook was told.
  var calls: [JSONValue] { http.requests.compactMap { try? JSONValue.parse($0.body ?? []) } }

  @discardableResult
  func subscribe(_ body: String) -> FakeResponder { bench.ask("PUT", Self.path, B.json, body) }

  var shown: JSONValue { bench.ask("GET", Self.path).json ?? .null }
  var status: String? { shown["status"]?.string }

  /// How far each linked stream has been worked through, by name.
  var acked: [String] {
    (shown["streams"]?.array ?? []).map { link in
      let offset = link["acked_offset"]?.string.flatMap { Offset($0) }
      return "\(link["path"]?.string ?? "") \(offset?.value ?? .max)"
    }
  }

  func wakes() throws -> Int { try JSONValue.parse(bench.ask("GET", "/streams/wake/pool").text).array?.count ?? 0 }

  func claim() -> FakeResponder { bench.ask("POST", Self.path + "/claim", B.json, #"{"worker": "w"}"#) }

  /// `offsets` are acknowledged by whoever has `wake`.
  @discardableResult
  func report(
    _ verb: String, _ wake: JSONValue, _ offsets: [(String, UInt64)] = [], isDone: Bool = false
  ) -> FakeResponder {
    let acks = offsets.map { path, offset -> JSONValue in
      ["stream": .string(path), "offset": .string(Offset(offset).description)]
    }
    let body: JSONValue = [
      "wake_id": wake["wake_id"] ?? .null, "generation": wake["generation"] ?? .null, "acks": .array(acks),
      "done": .bool(isDone),
    ]
    let token = (wake["callback_token"] ?? wake["token"])?.string ?? ""
    return bench.ask(
      "POST", Self.path + "/" + verb, [("Authorization", "Bearer \(token)")], body: body.encoded())
  }

  func code(_ answer: FakeResponder) -> String? { answer.json?["error"]?["code"]?.string }

  /// What a wake or a claim told: name, from, to.
  func told(_ wake: JSONValue?) -> [String] {
    (wake?["streams"]?.array ?? []).map { stream in
      let (from, to) = (stream["acked_offset"]?.string, stream["tail_offset"]?.string)
      return
        "\(stream["path"]?.string ?? "") \(from.flatMap { Offset($0) }?.value ?? .max)-\(to.flatMap { Offset($0) }?.value ?? .max)"
    }
  }
}
