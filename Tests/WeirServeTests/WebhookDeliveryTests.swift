import Testing
import WeirCore
import WeirNet
import WeirStore
import WeirTesting

@testable import WeirServe

/// A webhook's call, its lease and its tries (Durable Streams Protocol, 7.1 and 7.3), in virtual time.
@Suite struct WebhookDeliveryTests {
  typealias B = StreamBench
  typealias S = SubscriptionBench

  private func generations(_ s: S) -> [Int] { s.calls.compactMap { $0["generation"]?.int } }

  /// With a webhook that answers with `status` and `body` after some time; nil: never.
  private func subscribed(
    lease: Int = 5000, status: Int = 200, body: String = "{}", after delay: Duration? = .zero
  ) throws -> S {
    let s = try S(S.webhook(lease: lease))
    s.http.serve(S.hook) { exchange in
      guard let delay else { return }
      exchange.head(status, after: delay)
      exchange.body(body)
      exchange.finish()
    }
    return s
  }

  // MARK: The lease

  @Test func aWorkerThatCallsBackKeepsItsCallAndItsLease() throws {
    let s = try subscribed(after: nil)
    s.bench.make("/streams/events/a", B.json, "[1]")
    for _ in 0..<10 {
      s.bench.loop.advance(by: .seconds(4))
      #expect(s.report("callback", s.calls[0]).status == 200)
    }
    #expect(generations(s) == [1] && s.http.openExchangeCount == 1 && s.status == "active")
    // It falls silent: that is the end of its lease, not a delivery that failed.
    s.bench.loop.advance(by: .milliseconds(5100))
    #expect(generations(s) == [1, 2] && s.calls[0]["wake_id"] != s.calls[1]["wake_id"])
    #expect(s.http.openExchangeCount == 1 && s.status == "active")
    #expect(s.code(s.report("callback", s.calls[0])) == "FENCED")
  }

  @Test func whatBecomesOfTheCallOfAWorkerThatCalledBackDecidesNothing() throws {
    let s = try subscribed(status: 500, after: .seconds(2))
    s.bench.make("/streams/events/a", B.json, "[1,2]")
    s.bench.loop.advance(by: .seconds(1))
    #expect(s.report("callback", s.calls[0], [("events/a", 1)]).status == 200)
    s.bench.loop.advance(by: .seconds(4))
    #expect(generations(s) == [1] && s.status == "active" && s.http.openExchangeCount == 0)
    #expect(s.report("callback", s.calls[0], [("events/a", 2)], isDone: true).json?["next_wake"] == false)
    s.bench.loop.advance(by: .seconds(60))
    #expect(generations(s) == [1])
    // Without a word more its lease ends, and the rest is given out again.
    s.bench.add("/streams/events/a", "3", B.json)
    s.bench.loop.advance(by: .seconds(1))
    #expect(s.report("callback", s.calls[1]).status == 200)
    s.bench.loop.advance(by: .milliseconds(5100))
    #expect(generations(s) == [1, 2, 3])
  }

  @Test func aLateAnswerOfAWorkerThatCalledBackCounts() throws {
    let s = try subscribed(body: #"{"done": true}"#, after: .seconds(40))
    s.bench.make("/streams/events/a", B.json, "[1,2]")
    for _ in 0..<9 {
      s.bench.loop.advance(by: .seconds(4))
      #expect(s.report("callback", s.calls[0]).status == 200)
    }
    s.bench.loop.advance(by: .seconds(60))
    #expect(generations(s) == [1] && s.acked == ["events/a 2"] && s.http.openExchangeCount == 0)
  }

  /// The call of a worker that is done is not waited for without end.
  @Test func aCallOfWhoIsDoneEnds() throws {
    let s = try subscribed(lease: 60_000, after: nil)
    s.bench.make("/streams/events/a", B.json, "[1]")
    #expect(s.report("callback", s.calls[0], [("events/a", 1)], isDone: true).status == 200)
    s.bench.loop.advance(by: .seconds(31))
    #expect(s.http.openExchangeCount == 0 && s.status == "active" && generations(s) == [1])
  }

  @Test func aWebhookThatSaysNothingFailsBeforeALongLeaseEnds() throws {
    let s = try subscribed(lease: 600_000, after: nil)
    s.bench.make("/streams/events/a", B.json, "[1]")
    s.bench.loop.advance(by: .seconds(29))
    #expect(s.http.openExchangeCount == 1)
    s.bench.loop.advance(by: .milliseconds(1100))
    #expect(s.http.openExchangeCount == 0 && s.status == "failed")
    s.bench.loop.advance(by: .seconds(2))
    #expect(generations(s) == [1, 1] && s.calls[0]["wake_id"] == s.calls[1]["wake_id"])
  }

  // MARK: What failed

  @Test func aWorkerThatIsHeardOfAfterItsCallFailedHasNotFailed() throws {
    let s = try subscribed(status: 500)
    s.bench.make("/streams/events/a", B.json, "[1]")
    s.bench.loop.advance(by: .milliseconds(300))
    #expect(s.status == "failed")
    #expect(s.report("callback", s.calls[0]).status == 200 && s.status == "active")
    s.bench.loop.advance(by: .seconds(4))
    #expect(generations(s) == [1])
    #expect(s.report("callback", s.calls[0], [("events/a", 1)], isDone: true).status == 200)
    s.bench.loop.advance(by: .seconds(60))
    #expect(generations(s) == [1] && s.status == "active")
  }

  @Test func withNothingLeftToTellNothingHasFailed() throws {
    let s = try subscribed(status: 500)
    s.bench.make("/streams/events/a", B.json, "[1]")
    s.bench.loop.advance(by: .milliseconds(300))
    #expect(s.status == "failed")
    s.bench.ask("DELETE", "/streams/events/a")
    #expect(s.status == "active")
    s.bench.loop.advance(by: .seconds(60))
    #expect(generations(s) == [1])
  }

  // MARK: What is told

  @Test func whatIsToldIsWhatDoneAcknowledges() throws {
    let s = try S(S.webhook())
    var count = 0
    s.http.serve(S.hook) { exchange in
      count += 1
      exchange.head(count == 1 ? 500 : 200)
      exchange.body(#"{"done": true}"#)
      exchange.finish()
    }
    s.bench.make("/streams/events/a", B.json, "[1]")
    s.bench.loop.advance(by: .milliseconds(300))
    s.bench.add("/streams/events/a", "[2,3]", B.json)
    s.bench.make("/streams/events/b", B.json, "[1]")
    s.bench.loop.advance(by: .seconds(3))
    #expect(s.calls.map { s.told($0) } == [["events/a 0-1"], ["events/a 0-3", "events/b 0-1"]])
    #expect(generations(s) == [1, 1] && s.acked == ["events/a 3", "events/b 1"])
  }

  /// Another process tells what this one has promised to acknowledge.
  @Test func whatWasToldAgainIsKept() throws {
    var s = try subscribed(status: 500)
    s.bench.make("/streams/events/a", B.json, "[1]")
    s.bench.loop.advance(by: .milliseconds(300))
    s.bench.add("/streams/events/a", "[2,3]", B.json)
    s.bench.loop.advance(by: .seconds(2))
    #expect(s.calls.count == 2 && s.told(s.calls[1]) == ["events/a 0-3"])
    s = try s.restarted()
    let wake = s.bench.app.subscriptions?.entries["s"]?.subscription.phase.wake
    #expect(wake?.snapshot == [try StreamName("events/a"): Offset(3)])
  }
}
