import Testing
import WeirCore
import WeirNet
import WeirStore
import WeirTesting

@testable import WeirServe

/// The Durable Streams Protocol, section by section of its text: every MUST of 4 and 5.1 to 5.5 that HTTP shows. What is
/// read is in `DurableStreamsReadingTests`.
@Suite struct DurableStreamsTests {
  typealias B = StreamBench

  // MARK: 4. Streams

  @Test func s4_1_closedIsDurableMonotonicAndOnlyTheWordTrueCloses() throws {
    let bench = try B()
    bench.make("/streams/a")
    for word in ["false", "yes", "1", ""] {
      #expect(bench.add("/streams/a", "x", B.text + [("Stream-Closed", word)]).status == 204)
      #expect(bench.ask("HEAD", "/streams/a")["Stream-Closed"] == nil)
    }
    #expect(bench.ask("POST", "/streams/a", [("Stream-Closed", "TRUE")])["Stream-Closed"] == "true")
    for _ in 0..<2 {
      let again = bench.ask("POST", "/streams/a", B.closed)
      #expect(again.status == 204 && again["Stream-Closed"] == "true" && again["Stream-End"] == "closed")
    }
    #expect(bench.ask("GET", "/streams/a").text == "xxxx")
  }

  @Test func s4_2_aForkIsMadeByHeadersAndSeenByNone() throws {
    let bench = try B()
    bench.make("/v1/stream/s", B.text, "hello")
    bench.add("/v1/stream/s", " world")
    let fork = bench.ask(
      "PUT", "/v1/stream/f",
      [("Stream-Forked-From", "/v1/stream/s"), ("Stream-Fork-Offset", "0000000000000001")])
    #expect(
      fork.status == 201 && fork["Content-Type"] == "text/plain" && fork["Stream-Next-Offset"] == "0000000000000001")
    #expect(bench.add("/v1/stream/f", "!").status == 204)
    #expect(bench.ask("GET", "/v1/stream/f?offset=-1").text == "hello!")
    #expect(bench.ask("GET", "/streams/s").text == "hello world")
    for method in ["GET", "HEAD"] {
      #expect(bench.ask(method, "/v1/stream/f").headers.allSatisfy { !$0.name.lowercased().contains("fork") })
    }
    // At the tail of a source, and inside an item.
    #expect(
      bench.ask("PUT", "/streams/g", [("Stream-Forked-From", "/streams/s")])["Stream-Next-Offset"]?.hasSuffix("2")
        == true)
    bench.ask(
      "PUT", "/streams/h",
      [
        ("Stream-Forked-From", "/streams/s"), ("Stream-Fork-Offset", "0000000000000000_0000000000000000"),
        ("Stream-Fork-Sub-Offset", "2"),
      ])
    #expect(bench.ask("GET", "/streams/h").text == "he")
  }

  @Test func s4_2_forksThatCannotBe() throws {
    let bench = try B()
    bench.make("/streams/s", B.text, "hello")
    func fork(_ headers: [(name: String, value: String)], _ from: String = "/streams/s") -> Int? {
      bench.ask("PUT", "/streams/f", [("Stream-Forked-From", from)] + headers).status
    }
    #expect(fork([], "/streams/none") == 404)
    #expect(fork([], "/elsewhere/s") == 400)
    #expect(fork([], "/streams/_weir/runs") == 404)
    #expect(fork([("Stream-Fork-Offset", "0000000000000009")]) == 400)
    #expect(fork([("Stream-Fork-Offset", "x")]) == 400)
    for sub in ["6", "-1", "abc", "1.5", "05", "+1", ""] {
      #expect(fork([("Stream-Fork-Offset", "-1"), ("Stream-Fork-Sub-Offset", sub)]) == 400, "\(sub)")
    }
    #expect(fork([("Stream-Fork-Sub-Offset", "1")]) == 400)
    #expect(fork([("Content-Type", "text/html")]) == 409)
    #expect(bench.ask("PUT", "/streams/f", [("Stream-Fork-Sub-Offset", "0")]).status == 400)
    #expect(bench.ask("PUT", "/streams/f", [("Stream-Fork-Offset", "-1")]).status == 400)
    // None of them was counted.
    #expect(bench.ask("DELETE", "/streams/s").status == 204)
    #expect(bench.ask("HEAD", "/streams/s").status == 404)
  }

  @Test func s4_2_anIdenticalForkIsFoundAnotherIsAConflict() throws {
    let bench = try B()
    bench.make("/streams/s", B.text, "hello")
    let headers = [(name: "Stream-Forked-From", value: "/streams/s"), ("Stream-Fork-Offset", "0000000000000000")]
    #expect(bench.ask("PUT", "/streams/f", headers).status == 201)
    #expect(bench.ask("PUT", "/streams/f", headers).status == 200)
    #expect(bench.ask("PUT", "/streams/f", headers + [("Stream-Fork-Sub-Offset", "0")]).status == 200)
    #expect(bench.ask("PUT", "/streams/f", headers + [("Stream-Fork-Sub-Offset", "1")]).status == 409)
    #expect(bench.ask("PUT", "/streams/f", B.text).status == 409)
  }

  @Test func s4_2_aDeletedSourceIsGoneUntilItsLastForkIs() throws {
    let bench = try B()
    bench.make("/streams/s", B.text, "kept")
    bench.ask("PUT", "/streams/f", [("Stream-Forked-From", "/streams/s")])
    #expect(bench.ask("DELETE", "/streams/s").status == 204)
    for method in ["GET", "HEAD", "DELETE"] { #expect(bench.ask(method, "/streams/s").status == 410, "\(method)") }
    #expect(bench.add("/streams/s", "x").status == 410)
    #expect(bench.ask("PUT", "/streams/s", B.text).status == 409)
    #expect(bench.ask("PUT", "/streams/g", [("Stream-Forked-From", "/streams/s")]).status == 409)
    #expect(bench.ask("GET", "/streams/f").text == "kept")
    // The same with a body whose type the source would say.
    let from = [(name: "Stream-Forked-From", value: "/streams/s")]
    #expect(bench.ask("PUT", "/streams/g", from, "own").status == 409)
    #expect(bench.ask("PUT", "/streams/g", [("Stream-Forked-From", "/streams/none")], "own").status == 404)
    #expect(bench.ask("PUT", "/streams/f", from, "own").status == 200)
    #expect(bench.ask("PUT", "/streams/f", from + [("Stream-TTL", "9")], "own").status == 409)
    #expect(bench.ask("GET", "/streams/f").text == "kept")
    #expect(bench.ask("DELETE", "/streams/f").status == 204)
    #expect(bench.ask("HEAD", "/streams/s").status == 404)
    bench.make("/streams/s")
  }

  @Test func s4_1_onlyTheWordTrueMakesAStreamThatIsClosed() throws {
    let bench = try B()
    for (index, word) in ["false", "yes", "1", ""].enumerated() {
      let made = bench.ask("PUT", "/streams/\(index)", B.text + [("Stream-Closed", word)], "x")
      #expect(made.status == 201 && made["Stream-Closed"] == nil, "\(word)")
      #expect(bench.add("/streams/\(index)", "y").status == 204)
    }
    let whole = bench.ask("PUT", "/streams/whole", B.text + [("Stream-Closed", "True")], "x")
    #expect(whole.status == 201 && whole["Stream-Closed"] == "true")
    // Closing an open stream is no creation.
    #expect(bench.ask("PUT", "/streams/0", B.text + B.closed).status == 409)
  }

  /// The table of 4.2: what a fork asks for, and else what its source has.
  @Test func s4_2_aForksLifetimeIsItsOwnOrItsSources() throws {
    let bench = try B()
    let ttl = [(name: "Stream-TTL", value: "100")]
    let moment = [(name: "Stream-Expires-At", value: "2027-01-01T00:00:00Z")]
    let ownTTL = [(name: "Stream-TTL", value: "50")]
    let ownMoment = [(name: "Stream-Expires-At", value: "2028-01-01T00:00:00Z")]
    for (index, source) in [[], ttl, moment].enumerated() {
      bench.make("/streams/s\(index)", B.text + source, "x")
      for (number, own) in [[], ownTTL, ownMoment].enumerated() {
        let path = "/streams/f\(index)\(number)"
        #expect(bench.ask("PUT", path, [("Stream-Forked-From", "/streams/s\(index)")] + own).status == 201)
        let head = bench.ask("HEAD", path)
        let has = own.isEmpty ? source : own
        for name in ["Stream-TTL", "Stream-Expires-At"] {
          #expect(head[name] == has.first { $0.name == name }?.value, "\(path) \(name)")
        }
      }
    }
    // A source that is over leaves its fork what it has.
    bench.make("/streams/short", B.text + [("Stream-TTL", "5")], "kept")
    bench.ask("PUT", "/streams/long", [("Stream-Forked-From", "/streams/short"), ("Stream-TTL", "1000")])
    bench.loop.advance(by: .seconds(10))
    #expect(bench.ask("GET", "/streams/short").status == 410)
    #expect(bench.ask("GET", "/streams/long").text == "kept")
  }

  @Test func s4_2_aForkOfAClosedStreamIsOpen() throws {
    let bench = try B()
    bench.make("/streams/s", B.text + B.closed, "whole")
    let fork = bench.ask("PUT", "/streams/f", [("Stream-Forked-From", "/streams/s")])
    #expect(fork.status == 201 && fork["Stream-Closed"] == nil)
    #expect(bench.ask("GET", "/streams/f?offset=-1")["Stream-Closed"] == nil)
    #expect(bench.add("/streams/f", "!").status == 204)
    #expect(bench.ask("GET", "/streams/f").text == "whole!")
    #expect(bench.ask("HEAD", "/streams/s")["Stream-Closed"] == "true")
  }

  @Test func s4_2_aForkKnowsNoWriterOfItsSource() throws {
    let bench = try B()
    bench.make("/streams/s")
    bench.add("/streams/s", "one", stamp("3", "0") + [("Stream-Seq", "9")])
    let inside = [(name: "Stream-Fork-Offset", value: "-1"), ("Stream-Fork-Sub-Offset", "2")]
    for (index, place) in [[], inside].enumerated() {
      let path = "/streams/f\(index)"
      bench.ask("PUT", path, [("Stream-Forked-From", "/streams/s")] + place)
      #expect(bench.add(path, "!", stamp("0", "0") + [("Stream-Seq", "1")]).status == 200)
    }
    #expect(bench.ask("GET", "/streams/f1").text == "on!")
    #expect(bench.add("/streams/s", "one", stamp("3", "0")).status == 204)
    #expect(bench.add("/streams/s", "x", stamp("0", "0")).status == 403)
  }

  @Test func s4_2_theLastForkTakesTheDeletedSourcesOfItsSourceWithIt() throws {
    let bench = try B()
    bench.make("/streams/a", B.text, "a")
    for (from, to) in [("a", "b"), ("b", "c"), ("c", "d")] {
      bench.ask("PUT", "/streams/\(to)", [("Stream-Forked-From", "/streams/\(from)")])
      bench.add("/streams/\(to)", to)
    }
    for name in ["a", "b", "c"] { #expect(bench.ask("DELETE", "/streams/\(name)").status == 204) }
    #expect(bench.ask("GET", "/streams/d").text == "abcd")
    for name in ["a", "b", "c"] { #expect(bench.ask("DELETE", "/streams/\(name)").status == 410) }
    #expect(bench.ask("DELETE", "/streams/d").status == 204)
    for name in ["a", "b", "c", "d"] {
      #expect(bench.ask("HEAD", "/streams/\(name)").status == 404)
      bench.make("/streams/\(name)")
    }
  }

  // MARK: 5.1 Create

  @Test func s5_1_createAnswersWhatItMade() throws {
    let bench = try B()
    let made = bench.ask("PUT", "/v1/stream/a/b c", B.text + [("Stream-TTL", "60")], "hi")
    #expect(made.status == 201 && made["Location"] == "http://localhost:8080/v1/stream/a/b%20c")
    #expect(made["Content-Type"] == "text/plain" && made["Stream-Next-Offset"] == "0000000000000001")
    #expect(made["Stream-Closed"] == nil && made["Stream-TTL"] == "60")
    let again = bench.ask("PUT", "/v1/stream/a/b c", [("content-type", "TEXT/plain"), ("Stream-TTL", "60")])
    #expect(again.status == 200 && again["Location"] == nil && again["Stream-Next-Offset"] == "0000000000000001")
    #expect(bench.ask("PUT", "/streams/bytes")["Content-Type"] == "application/octet-stream")
    let whole = bench.ask("PUT", "/streams/whole", B.text + B.closed, "all of it")
    #expect(whole.status == 201 && whole["Stream-Closed"] == "true")
    let empty = bench.ask("PUT", "/streams/none", B.text + B.closed)
    #expect(empty["Stream-Next-Offset"] == "0000000000000000" && empty["Stream-Closed"] == "true")
  }

  @Test func s5_1_anotherConfigurationIsAConflict() throws {
    let bench = try B()
    bench.make("/streams/a", B.text + [("Stream-TTL", "60")])
    for headers in [
      B.json + [("Stream-TTL", "60")], B.text, B.text + [("Stream-TTL", "61")],
      B.text + [("Stream-Expires-At", "2027-01-01T00:00:00Z")], B.text + [("Stream-TTL", "60")] + B.closed,
    ] { #expect(bench.ask("PUT", "/streams/a", headers).status == 409, "\(headers)") }
    bench.make("/streams/b", B.text + B.closed)
    #expect(bench.ask("PUT", "/streams/b", B.text + B.closed).status == 200)
    #expect(bench.ask("PUT", "/streams/b", B.text).status == 409)
  }

  @Test func s5_1_headersThatAreNotUnderstoodAreRefused() throws {
    let bench = try B()
    for ttl in ["-1", "+1", "01", "1.0", "1e3", "abc", "", "99999999999999999999", "10000000001"] {
      let answer = bench.ask("PUT", "/streams/a", B.text + [("Stream-TTL", ttl)])
      #expect(answer.status == 400 && answer.json?["error"]?["code"]?.string == "BadHeader", "\(ttl)")
    }
    for moment in ["tomorrow", "2026-13-01T00:00:00Z", "2026-02-30T00:00:00Z", "2026-01-01", "2026-01-01T00:00:00", ""]
    {
      #expect(bench.ask("PUT", "/streams/a", B.text + [("Stream-Expires-At", moment)]).status == 400, "\(moment)")
    }
    let both = [(name: "Stream-TTL", value: "5"), ("Stream-Expires-At", "2027-01-01T00:00:00Z")]
    #expect(bench.ask("PUT", "/streams/a", B.text + both).status == 400)
    #expect(bench.ask("PUT", "/streams/a", [("Content-Type", "no type")]).status == 400)
    #expect(bench.ask("HEAD", "/streams/a").status == 404)
    for moment in ["2027-01-01T00:00:00Z", "2027-01-01T05:30:00+05:30"] {
      let made = bench.ask("PUT", "/streams/a", B.text + [("Stream-Expires-At", moment)])
      #expect(made["Stream-Expires-At"] == "2027-01-01T00:00:00Z")
    }
  }

  @Test func s5_1_theIdleTimeIsRenewedByReadsAndAppendsNotByHEAD() throws {
    let bench = try B()
    for name in ["read", "written", "looked"] { bench.make("/streams/\(name)", B.text + [("Stream-TTL", "10")], "x") }
    for _ in 0..<4 {
      bench.loop.advance(by: .seconds(6))
      #expect(bench.ask("GET", "/streams/read").status == 200)
      #expect(bench.add("/streams/written", "x").status == 204)
      bench.ask("HEAD", "/streams/looked")
    }
    #expect(bench.ask("HEAD", "/streams/looked").status == 404)
    #expect(bench.ask("HEAD", "/streams/read")["Stream-TTL"] == "10")
    bench.loop.advance(by: .seconds(11))
    for name in ["read", "written"] {
      for method in ["HEAD", "GET", "DELETE"] { #expect(bench.ask(method, "/streams/\(name)").status == 404) }
      #expect(bench.add("/streams/\(name)", "x").status == 404)
      bench.make("/streams/\(name)", B.json)
    }
  }

  @Test func s5_1_aStreamThatIsReadLiveIsNotIdle() throws {
    let bench = try B { $0.longPollTimeout = .seconds(20) }
    for name in ["events", "poll"] { bench.make("/streams/\(name)", B.text + [("Stream-TTL", "10")]) }
    let events = bench.ask("GET", "/streams/events?offset=now&live=sse")
    let poll = bench.ask("GET", "/streams/poll?offset=now&live=long-poll")
    bench.loop.advance(by: .seconds(19))
    for name in ["events", "poll"] { #expect(bench.ask("HEAD", "/streams/\(name)").status == 200, "\(name)") }
    bench.loop.advance(by: .seconds(2))
    #expect(poll.status == 204 && !events.isOver)
    events.goAway()
    bench.loop.advance(by: .seconds(12))
    for name in ["events", "poll"] { #expect(bench.ask("HEAD", "/streams/\(name)").status == 404, "\(name)") }
  }

  // MARK: 5.2 Append

  @Test func s5_2_appendsAreAnsweredWithTheTail() throws {
    let bench = try B()
    bench.make("/streams/a")
    #expect(bench.add("/streams/a", "one")["Stream-Next-Offset"] == "0000000000000001")
    let second = bench.add("/streams/a", "two", [("Content-Type", "Text/Plain; charset=utf-8")])
    #expect(second.status == 204 && second["Stream-Next-Offset"] == "0000000000000002" && second.received.isEmpty)
    let last = bench.add("/streams/a", "three", B.text + B.closed)
    #expect(last.status == 204 && last["Stream-Closed"] == "true")
    #expect(bench.ask("GET", "/streams/a").text == "onetwothree")
  }

  @Test func s5_2_whatCannotBeAppended() throws {
    let bench = try B()
    #expect(bench.add("/streams/none", "x").status == 404)
    #expect(bench.ask("POST", "/streams/none", B.closed).status == 404)
    bench.make("/streams/a", B.text, "x")
    #expect(bench.add("/streams/a", "").status == 400)
    #expect(bench.ask("POST", "/streams/a", [], "x").status == 400)
    #expect(bench.add("/streams/a", "{}", B.json).status == 409)
    // An empty body is no content of another type.
    #expect(bench.ask("POST", "/streams/a", [("Content-Type", "no type")] + B.closed).status == 204)
    #expect(bench.ask("POST", "/streams/a", B.json + B.closed).status == 204)
    let none: [(name: String, value: String)] = []
    for (headers, body) in [
      (B.text, "x"), (B.text + B.closed, "x"), (B.json, "not json"), (none, "x"), (none, ""), (B.text, ""),
      (B.closed, "x"),
    ] {
      let late = bench.ask("POST", "/streams/a", headers, body)
      #expect(late.status == 409 && late["Stream-Closed"] == "true" && late["Stream-Next-Offset"] == "0000000000000001")
    }
  }

  @Test func s5_2_streamSeqGrowsByteByByte() throws {
    let bench = try B()
    bench.make("/streams/a")
    func add(_ sequence: String) -> Int? { bench.add("/streams/a", "x", B.text + [("Stream-Seq", sequence)]).status }
    #expect(add("09") == 204 && add("10") == 204)
    #expect(add("10") == 409 && add("09") == 409 && add("1") == 409)
    #expect(add("a") == 204 && add("B") == 409 && add("a0") == 204)
    #expect(add(String(repeating: "z", count: 300)) == 400)
    #expect(bench.ask("GET", "/streams/a").text == "xxxx")
  }

  private func stamp(_ epoch: String, _ sequence: String, _ id: String = "p") -> [(name: String, value: String)] {
    B.text + [("Producer-Id", id), ("Producer-Epoch", epoch), ("Producer-Seq", sequence)]
  }

  @Test func s5_2_1_aProducersRepeatIsAnsweredAndAddsNothing() throws {
    let bench = try B()
    bench.make("/streams/a")
    let first = bench.add("/streams/a", "a", stamp("0", "0"))
    #expect(first.status == 200 && first["Producer-Epoch"] == "0" && first["Producer-Seq"] == "0")
    bench.add("/streams/a", "b", stamp("0", "1"))
    let again = bench.add("/streams/a", "a", stamp("0", "0"))
    #expect(again.status == 204 && again["Producer-Seq"] == "1" && again["Stream-Next-Offset"] == "0000000000000002")
    let gap = bench.add("/streams/a", "d", stamp("0", "5"))
    #expect(gap.status == 409 && gap["Producer-Expected-Seq"] == "2" && gap["Producer-Received-Seq"] == "5")
    #expect(bench.add("/streams/a", "x", stamp("1", "1")).status == 400)
    #expect(bench.add("/streams/a", "c", stamp("1", "0")).status == 200)
    let stale = bench.add("/streams/a", "x", stamp("0", "2"))
    #expect(stale.status == 403 && stale["Producer-Epoch"] == "1")
    #expect(bench.ask("GET", "/streams/a").text == "abc")
  }

  @Test func s5_2_1_aClosingAppendMayBeRepeatedByWhoMadeIt() throws {
    let bench = try B()
    bench.make("/streams/a")
    let end = stamp("0", "0") + B.closed
    #expect(bench.add("/streams/a", "last", end).status == 200)
    let again = bench.add("/streams/a", "other bytes", end)
    #expect(again.status == 204 && again["Stream-Closed"] == "true" && again["Producer-Seq"] == "0")
    for other in [stamp("0", "1"), stamp("0", "0", "q")] {
      let late = bench.add("/streams/a", "x", other + B.closed)
      #expect(late.status == 409 && late["Stream-Closed"] == "true")
    }
    #expect(bench.ask("GET", "/streams/a").text == "last")
    bench.make("/streams/b")
    bench.add("/streams/b", "x", stamp("4", "0"))
    bench.ask("POST", "/streams/b", B.closed)
    #expect(bench.add("/streams/b", "x", stamp("3", "0")).status == 403)
  }

  @Test func s5_2_1_theHeadersGoTogetherAndAreNumbers() throws {
    let bench = try B()
    bench.make("/streams/a")
    let all = [(name: "Producer-Id", value: "p"), ("Producer-Epoch", "0"), ("Producer-Seq", "0")]
    for left in 1..<7 {
      let some = all.enumerated().filter { left & 1 << $0.offset != 0 }.map(\.element)
      #expect(bench.add("/streams/a", "x", B.text + some).status == 400, "\(some)")
    }
    #expect(bench.add("/streams/a", "x", stamp("0", "0", "")).status == 400)
    for number in ["-1", "1.5", "abc", "9007199254740992", "", "00", "1e1", " "] {
      #expect(bench.add("/streams/a", "x", stamp(number, "0")).status == 400, "\(number)")
      #expect(bench.add("/streams/a", "x", stamp("0", number)).status == 400, "\(number)")
    }
    #expect(bench.add("/streams/a", "x", stamp("9007199254740991", "0")).status == 200)
  }

  // MARK: 5.3 Close

  @Test func s5_3_anEndAloneIsNoNewData() throws {
    let bench = try B()
    bench.make("/streams/a")
    bench.add("/streams/a", "x", stamp("0", "0"))
    let end = stamp("0", "1") + B.closed
    for _ in 0..<2 {
      let closed = bench.ask("POST", "/streams/a", end)
      #expect(closed.status == 204 && closed["Stream-Closed"] == "true" && closed.received.isEmpty)
      #expect(closed["Producer-Epoch"] == "0" && closed["Producer-Seq"] == "1")
      #expect(closed["Stream-Next-Offset"] == "0000000000000001")
    }
    for other in [stamp("0", "2"), stamp("0", "1", "q")] {
      let late = bench.ask("POST", "/streams/a", other + B.closed)
      #expect(late.status == 409 && late["Stream-Closed"] == "true")
    }
    // Its first word, too.
    bench.make("/streams/b")
    for _ in 0..<2 { #expect(bench.ask("POST", "/streams/b", stamp("0", "0") + B.closed).status == 204) }
    // A gap is none the less a gap.
    bench.make("/streams/c")
    let gap = bench.ask("POST", "/streams/c", stamp("0", "1") + B.closed)
    #expect(gap.status == 409 && gap["Producer-Expected-Seq"] == "0" && gap["Stream-Closed"] == nil)
  }

  // MARK: 5.4, 5.5 Delete, metadata

  @Test func s5_4_deleteTakesItAway() throws {
    let bench = try B()
    #expect(bench.ask("DELETE", "/streams/a").status == 404)
    bench.make("/streams/a", B.text, "old")
    #expect(bench.ask("DELETE", "/streams/a").status == 204)
    #expect(bench.ask("GET", "/streams/a").status == 404)
    bench.make("/streams/a", B.json)
    #expect(bench.ask("GET", "/streams/a").text == "[]")
  }

  @Test func s5_5_HEADTellsAllAndIsNotCached() throws {
    let bench = try B()
    bench.make("/streams/a", B.json + [("Stream-TTL", "3600")], "[1,2,3]")
    let open = bench.ask("HEAD", "/streams/a")
    #expect(open.status == 200 && open["Content-Type"] == "application/json" && open["Stream-TTL"] == "3600")
    #expect(open["Stream-Next-Offset"] == "0000000000000003" && open["Cache-Control"] == "no-store")
    #expect(open["Stream-Closed"] == nil)
    bench.ask("POST", "/streams/a", B.closed)
    #expect(bench.ask("HEAD", "/streams/a")["Stream-Closed"] == "true")
    #expect(bench.ask("HEAD", "/streams/b").status == 404)
  }
}
