import Testing
import WeirCore
import WeirNet
import WeirStore
import WeirTesting

@testable import WeirServe

/// The Durable Streams Protocol, section by section of its text: every MUST of 4, 5, 8, 9, 10 and 12 that HTTP shows.
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
    #expect(bench.ask("DELETE", "/streams/f").status == 204)
    #expect(bench.ask("HEAD", "/streams/s").status == 404)
    bench.make("/streams/s")
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
    #expect(bench.ask("POST", "/streams/a", B.json + B.closed).status == 204)
    for (headers, body) in [(B.text, "x"), (B.text + B.closed, "x"), (B.json, "not json")] {
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

  // MARK: 5.6 Catch-up

  @Test func s5_6_piecesJoinToTheWholeAndOnlyTheLastIsUpToDate() throws {
    let bench = try B { $0.chunkLimit = 10 }
    bench.make("/streams/a")
    let pieces = (0..<20).map { "piece \($0);" }
    for piece in pieces { bench.add("/streams/a", piece) }
    bench.ask("POST", "/streams/a", B.closed)
    var offset = "-1"
    var found = ""
    var chunks = 0
    while true {
      let chunk = bench.ask("GET", "/streams/a?offset=\(offset)")
      #expect(chunk.status == 200)
      found += chunk.text
      chunks += 1
      let next = try #require(chunk["Stream-Next-Offset"])
      #expect(next > offset)
      offset = next
      #expect((chunk["Stream-Up-To-Date"] == "true") == (chunk["Stream-Closed"] == "true"))
      if chunk["Stream-Closed"] == "true" { break }
    }
    #expect(found == pieces.joined() && chunks == 10)
    let end = bench.ask("GET", "/streams/a?offset=\(offset)")
    #expect(end.status == 200 && end.text.isEmpty && end["Stream-Closed"] == "true")
    #expect(end["Stream-Next-Offset"] == offset && end["Stream-Up-To-Date"] == "true")
  }

  @Test func s5_6_atTheTailOfAnOpenStreamThereIsNothingYet() throws {
    let bench = try B()
    bench.make("/streams/a")
    let empty = bench.ask("GET", "/streams/a")
    #expect(empty.status == 200 && empty.text.isEmpty && empty["Stream-Up-To-Date"] == "true")
    #expect(empty["Stream-Closed"] == nil && empty["Content-Type"] == "text/plain")
    #expect(bench.ask("GET", "/streams/a?offset=0000000000000001").status == 400)
  }

  // MARK: 5.7 Long-poll

  @Test func s5_7_longPollWaitsForDataAndSleepsMeanwhile() throws {
    let bench = try B()
    bench.make("/streams/a", B.text, "old")
    #expect(bench.ask("GET", "/streams/a?live=long-poll").status == 400)
    #expect(bench.ask("GET", "/streams/a?live=poll&offset=-1").status == 400)
    let old = bench.ask("GET", "/streams/a?offset=-1&live=long-poll")
    #expect(old.status == 200 && old.text == "old" && old["Stream-Cursor"] != nil && old["Stream-Up-To-Date"] == "true")
    let wait = bench.ask("GET", "/streams/a?offset=0000000000000001&live=long-poll")
    let now = bench.ask("GET", "/streams/a?offset=now&live=long-poll")
    bench.loop.advance(by: .seconds(5))
    #expect(wait.status == nil && now.status == nil && bench.app.liveReaders.count == 2)
    bench.add("/streams/a", "new")
    for answer in [wait, now] {
      #expect(answer.status == 200 && answer.text == "new" && answer["Stream-Next-Offset"] == "0000000000000002")
    }
    #expect(bench.app.liveReaders.count == 0 && bench.store.watcherCount == 0)
  }

  @Test func s5_7_longPollEndsWithTheTimeTheStreamOrItsDeletion() throws {
    let bench = try B()
    bench.make("/streams/a", B.text, "old")
    let asked = "/streams/a?offset=0000000000000001&live=long-poll"
    let slow = bench.ask("GET", asked)
    bench.loop.advance(by: .seconds(26))
    #expect(slow.status == 204 && slow["Stream-Next-Offset"] == "0000000000000001")
    #expect(slow["Stream-Up-To-Date"] == "true" && slow["Stream-Cursor"] != nil && slow["Stream-Closed"] == nil)
    let ended = bench.ask("GET", asked)
    bench.ask("POST", "/streams/a", B.closed)
    let after = bench.ask("GET", asked)
    for answer in [ended, after] {
      #expect(answer.status == 204 && answer["Stream-Closed"] == "true" && answer["Stream-Up-To-Date"] == "true")
    }
    bench.make("/streams/b")
    let gone = bench.ask("GET", "/streams/b?offset=-1&live=long-poll")
    bench.ask("DELETE", "/streams/b")
    #expect(gone.status == 404)
    bench.make("/streams/c")
    let left = bench.ask("GET", "/streams/c?offset=-1&live=long-poll")
    left.goAway()
    #expect(bench.app.liveReaders.count == 0 && bench.store.watcherCount == 0)
    bench.loop.run()
    #expect(bench.loop.isIdle)
  }

  @Test func s5_7_onAForkOnlyItsOwnAppendsEndTheWait() throws {
    let bench = try B()
    bench.make("/streams/s", B.text, "old")
    bench.ask("PUT", "/streams/f", [("Stream-Forked-From", "/streams/s")])
    #expect(bench.ask("GET", "/streams/f?offset=-1&live=long-poll").text == "old")
    let wait = bench.ask("GET", "/streams/f?offset=0000000000000001&live=long-poll")
    bench.add("/streams/s", "other")
    bench.loop.advance(by: .seconds(1))
    #expect(wait.status == nil)
    bench.add("/streams/f", "own")
    #expect(wait.text == "own")
  }

  // MARK: 5.8 Events

  @Test func s5_8_dataThenControlThenWhatComes() throws {
    let bench = try B()
    bench.make("/streams/a", B.text, "one")
    #expect(bench.ask("GET", "/streams/a?live=sse").status == 400)
    let reader = bench.ask("GET", "/streams/a?offset=-1&live=sse")
    #expect(reader.status == 200 && reader["Content-Type"] == "text/event-stream")
    #expect(reader["Stream-SSE-Data-Encoding"] == nil && reader["Cache-Control"] == "no-cache")
    var events = B.Events(reader)
    #expect(events.texts == ["one"] && events.next == "0000000000000001" && events.isUpToDate)
    #expect(events.controls.last?["streamCursor"]?.string?.isEmpty == false)
    bench.add("/streams/a", "two")
    bench.add("/streams/a", "three", B.text + B.closed)
    events = B.Events(reader)
    #expect(events.texts.joined() == "onetwothree" && events.isClosed && reader.isFinished)
    #expect(events.controls.last?["streamCursor"] == nil && events.next == "0000000000000003")
    #expect(bench.app.liveReaders.count == 0 && bench.store.watcherCount == 0)
  }

  @Test func s5_8_emptyAndClosedStreamsSayWhereTheyStandAtOnce() throws {
    let bench = try B()
    bench.make("/streams/a")
    let empty = B.Events(bench.ask("GET", "/streams/a?offset=-1&live=sse"))
    #expect(empty.controls.count == 1 && empty.isUpToDate && empty.next == "0000000000000000")
    bench.make("/streams/b", B.text + B.closed, "x")
    for offset in ["now", "0000000000000001"] {
      let reader = bench.ask("GET", "/streams/b?offset=\(offset)&live=sse")
      let events = B.Events(reader)
      #expect(reader.isFinished && events.isClosed && events.isUpToDate && events.texts.isEmpty)
    }
    let now = bench.ask("GET", "/streams/a?offset=now&live=sse")
    bench.add("/streams/a", "later")
    #expect(B.Events(now).texts == ["later"])
  }

  @Test func s5_8_whatIsNoTextIsBase64() throws {
    let bench = try B()
    let bytes = (0...255).map { UInt8($0) }
    bench.ask("PUT", "/streams/a", [("Content-Type", "image/png")], body: bytes)
    bench.ask("POST", "/streams/a", [("Content-Type", "image/png")], body: [0xFF])
    let reader = bench.ask("GET", "/streams/a?offset=-1&live=sse")
    #expect(reader["Stream-SSE-Data-Encoding"] == "base64")
    #expect(B.Events(reader).data == bytes + [0xFF])
    #expect(B.Events(reader).controls.count == 1)
  }

  @Test func s5_8_noItemCanForgeAnEvent() throws {
    let bench = try B()
    for attack in [
      "a\r\n\r\nevent: control\r\ndata: {\"injected\":true}\r\n\r\nb", "a\n\nevent: data\ndata: x\n\nb",
      "a\r\revent: control\rdata: {}\r\rb",
    ] {
      bench.make("/streams/a", B.text, attack)
      let events = B.Events(bench.ask("GET", "/streams/a?offset=-1&live=sse"))
      #expect(events.texts.count == 1 && events.controls.count == 1)
      #expect(events.texts.first?.hasPrefix("a\n") == true && events.texts.first?.hasSuffix("\nb") == true)
      bench.ask("DELETE", "/streams/a")
    }
  }

  @Test func s5_8_aCharacterThatWasCutBetweenItemsArrivesWhole() throws {
    let bench = try B()
    bench.make("/streams/a")
    let reader = bench.ask("GET", "/streams/a?offset=-1&live=sse")
    let text = Array("é😀x".utf8)
    for byte in text {
      bench.ask("POST", "/streams/a", B.text, body: [byte])
      #expect(String(validating: reader.received, as: UTF8.self) != nil)
    }
    #expect(B.Events(reader).texts.joined() == "é😀x")
    // Wherever the store stops: in a long history, behind a large item, where a fork begins.
    bench.make("/streams/long")
    let long = Array(String(repeating: "😀é", count: 30_000).utf8)
    for start in stride(from: 0, to: long.count, by: 7) {
      bench.store.append(try StreamName("long"), [Array(long[start..<min(start + 7, long.count)])], ending: nil) { _ in
      }
    }
    bench.ask("POST", "/streams/long", B.text, body: [UInt8](repeating: 0x78, count: 100_000) + [0xF0, 0x9F])
    bench.ask("PUT", "/streams/branch", [("Stream-Forked-From", "/streams/long")])
    bench.ask("POST", "/streams/branch", B.text, body: [0x98, 0x80])
    let whole = bench.ask("GET", "/streams/branch?offset=-1&live=sse")
    let events = B.Events(whole)
    #expect(String(validating: whole.received, as: UTF8.self) != nil && events.texts.count > 2 && events.isUpToDate)
    #expect(
      events.texts.joined() == String(decoding: long, as: UTF8.self) + String(repeating: "x", count: 100_000) + "😀")
    // What never becomes whole is sent as it is, and the stream goes on.
    bench.ask("POST", "/streams/a", B.text, body: [0xC3])
    #expect(B.Events(reader).next == "0000000000000007")
    bench.loop.advance(by: .seconds(2))
    bench.add("/streams/a", "y", B.text + B.closed)
    #expect(reader.received.contains(0xC3) && B.Events(reader).isClosed)
  }

  @Test func s5_8_theConnectionEndsAfterAMinuteAtAGoodPlace() throws {
    let bench = try B()
    bench.make("/streams/a", B.text, "one")
    let reader = bench.ask("GET", "/streams/a?offset=-1&live=sse")
    bench.loop.advance(by: .seconds(59))
    #expect(!reader.isOver && reader.text.hasSuffix(": \n\n"))
    bench.loop.advance(by: .seconds(2))
    #expect(reader.isFinished && bench.app.liveReaders.count == 0)
    // A browser comes back with the id of the last event it saw, whatever its address says.
    bench.add("/streams/a", "two")
    let again = bench.ask("GET", "/streams/a?offset=-1&live=sse", [("Last-Event-ID", B.Events(reader).next)])
    #expect(B.Events(again).texts == ["two"])
  }

  // MARK: 8. Offsets

  @Test func s8_offsetsSortAndTheirSentinelsAreNoOffsets() throws {
    let bench = try B()
    bench.make("/streams/a")
    var offsets: [String] = []
    for number in 0..<12 {
      offsets.append(try #require(bench.add("/streams/a", "\(number)")["Stream-Next-Offset"]))
    }
    #expect(offsets == offsets.sorted() && Set(offsets).count == 12)
    #expect(bench.ask("GET", "/streams/a?offset=-1").text == bench.ask("GET", "/streams/a").text)
    for bad in [
      "", "a", "1,2", "1%202", "../1", "1%00", "%0A", "99999999999999999", "-2", "1&offset=2", "now%20", "1@a/b",
    ] {
      #expect(bench.ask("GET", "/streams/a?offset=\(bad)").status == 400, "\(bad)")
    }
    #expect(bench.ask("GET", "/streams/a?offset=-1&unknown=1").status == 200)
  }

  @Test func s8_nowIsTheTail() throws {
    let bench = try B()
    bench.make("/streams/a", B.text, "old")
    bench.make("/streams/j", B.json, "[1]")
    let now = bench.ask("GET", "/streams/a?offset=now")
    #expect(now.status == 200 && now.text.isEmpty && now["Stream-Next-Offset"] == "0000000000000001")
    #expect(now["Stream-Up-To-Date"] == "true" && now["Cache-Control"] == "no-store" && now["ETag"] == nil)
    #expect(bench.ask("GET", "/streams/j?offset=now").text == "[]")
    #expect(bench.ask("GET", "/streams/none?offset=now").status == 404)
    bench.ask("POST", "/streams/a", B.closed)
    let end = bench.ask("GET", "/streams/a?offset=now")
    #expect(end.status == 200 && end["Stream-Closed"] == "true" && end["Stream-Up-To-Date"] == "true")
    #expect(bench.ask("GET", "/streams/a?offset=now&live=long-poll").status == 204)
  }

  // MARK: 9. JSON

  @Test func s9_1_messagesKeepTheirBoundsAndOneLevelOfArraysIsFlattened() throws {
    let bench = try B()
    bench.make("/streams/j", B.json, "[]")
    #expect(bench.ask("GET", "/streams/j").text == "[]")
    var count = 0
    for (body, messages) in [
      (#"{"a":1}"#, 1), (#"[{"b":2}, {"c":"],[\"}"} ]"#, 2), ("[[1,2],[3,4]]", 2), ("[[[1,2,3]]]", 1), (" 7 ", 1),
      (#""te,xt\\""#, 1), ("[null,true,\"[\",{}]", 4), ("\n[\n 1 ,\t2\r\n]\n", 2), ("[[]]", 1),
    ] {
      count += messages
      let added = bench.add("/streams/j", body, B.json)
      #expect(added.status == 204 && added["Stream-Next-Offset"] == Offset(UInt64(count)).description, "\(body)")
    }
    let all = try JSONValue.parse(bench.ask("GET", "/streams/j").text)
    #expect(
      all
        == (try JSONValue.parse(
          #"[{"a":1},{"b":2},{"c":"],[\"}"},[1,2],[3,4],[[1,2,3]],7,"te,xt\\",null,true,"[",{},1,2,[]]"#)))
    let one = bench.ask("GET", "/streams/j?offset=0000000000000001").text
    #expect(one.hasPrefix(#"[{"b":2},"#))
    let events = B.Events(bench.ask("GET", "/streams/j?offset=-1&live=sse"))
    #expect(try JSONValue.parse(events.texts.joined()) == all)
  }

  @Test func s9_1_whatIsNoJSONIsRefused() throws {
    let bench = try B()
    bench.make("/streams/j", B.json)
    for body in ["{", "[]", "[1,]", "nope", "1 2", "{'a':1}", "[1", "\u{FEFF}1"] {
      #expect(bench.add("/streams/j", body, B.json).status == 400, "\(body)")
    }
    #expect(bench.ask("POST", "/streams/j", B.json, body: [0x22, 0xFF, 0x22]).status == 400)
    let deep = String(repeating: "[", count: 100_000) + String(repeating: "]", count: 100_000)
    #expect(bench.add("/streams/j", deep, B.json).status == 400)
    #expect(bench.ask("PUT", "/streams/k", B.json, "{").status == 400)
    #expect(bench.ask("GET", "/streams/j").text == "[]")
    let many = "[" + Array(repeating: "1", count: 100_001).joined(separator: ",") + "]"
    #expect(bench.add("/streams/j", many, B.json).status == 400)
  }

  @Test func s9_1_aForkOfJSONIsOneArrayAcrossItsBound() throws {
    let bench = try B()
    bench.make("/streams/j", B.json, "[1,2,3]")
    bench.ask(
      "PUT", "/streams/f",
      [
        ("Stream-Forked-From", "/streams/j"), ("Stream-Fork-Offset", "0000000000000001"),
        ("Stream-Fork-Sub-Offset", "1"),
      ], #"["own"]"#)
    bench.add("/streams/f", "4", B.json)
    #expect(bench.ask("GET", "/streams/f").text == #"[1,2,"own",4]"#)
  }

  // MARK: 10. Caching

  @Test func s10_1_tagsChangeWithDataAndWithTheEnd() throws {
    let bench = try B()
    bench.make("/streams/a", B.text, "x")
    let first = bench.ask("GET", "/streams/a?offset=-1")
    let tag = try #require(first["ETag"])
    let same = bench.ask("GET", "/streams/a?offset=-1", [("If-None-Match", tag)])
    #expect(same.status == 304 && same.received.isEmpty && same["ETag"] == tag)
    #expect(bench.ask("GET", "/streams/a?offset=-1", [("If-None-Match", "\"no\", W/\(tag)")]).status == 304)
    #expect(bench.ask("GET", "/streams/a?offset=-1", [("If-None-Match", "\"no\"")]).status == 200)
    bench.ask("POST", "/streams/a", B.closed)
    let closed = bench.ask("GET", "/streams/a?offset=-1", [("If-None-Match", tag)])
    #expect(closed.status == 200 && closed["ETag"] != tag && closed["Stream-Closed"] == "true")
    bench.loop.advance(by: .seconds(1))
    bench.ask("DELETE", "/streams/a")
    bench.make("/streams/a", B.text, "y")
    #expect(bench.ask("GET", "/streams/a?offset=-1", [("If-None-Match", tag)]).text == "y")
  }

  @Test func s10_1_cursorsOnlyGrow() throws {
    let bench = try B()
    bench.make("/streams/a", B.text, "x")
    var last: Int64 = 0
    for cursor in ["", "&cursor=0", "&cursor=abc", "&cursor=99999999999999999999"] {
      let found = bench.ask("GET", "/streams/a?offset=-1&live=long-poll\(cursor)")["Stream-Cursor"]
      last = try #require(found.flatMap { Int64($0) })
      #expect(last == (1_767_225_600_000 - 1_728_432_000_000) / 20_000)
    }
    for _ in 0..<5 {
      let found = bench.ask("GET", "/streams/a?offset=-1&live=long-poll&cursor=\(last)")["Stream-Cursor"]
      let next = try #require(found.flatMap { Int64($0) })
      #expect(next > last && next <= last + 180)
      last = next
      let events = B.Events(bench.ask("GET", "/streams/a?offset=-1&live=sse&cursor=\(last)"))
      #expect(Int64(events.controls.last?["streamCursor"]?.string ?? "") ?? 0 > last)
    }
  }

  @Test func s10_1_onlyWhatCannotChangeIsCached() throws {
    let bench = try B { $0.chunkLimit = 1 }
    bench.make("/streams/a", B.text, "x")
    bench.add("/streams/a", "y")
    #expect(bench.ask("GET", "/streams/a?offset=-1")["Cache-Control"]?.hasPrefix("private, max-age=60") == true)
    #expect(bench.ask("GET", "/streams/a?offset=0000000000000001")["Cache-Control"] == "private, no-cache")
  }

  // MARK: 12. Security

  @Test func s12_7_everyAnswerHasTheHeadersOfABrowsersSafety() throws {
    let bench = try B()
    bench.make("/streams/a", [("Content-Type", "text/html")], "<script>alert(1)</script>")
    for answer in [
      bench.ask("PUT", "/streams/a", [("Content-Type", "text/html")]), bench.ask("GET", "/streams/a"),
      bench.ask("HEAD", "/streams/a"), bench.add("/streams/a", "x", [("Content-Type", "text/html")]),
      bench.ask("GET", "/streams/a?offset=-1&live=long-poll"), bench.ask("GET", "/streams/a?offset=-1&live=sse"),
      bench.ask("GET", "/streams/none"), bench.ask("GET", "/streams/a?offset=bad"), bench.ask("OPTIONS", "/streams/a"),
      bench.ask("GET", "/streams/a", [("Accept", "text/event-stream")]), bench.ask("PATCH", "/streams/a"),
    ] {
      #expect(answer["X-Content-Type-Options"] == "nosniff", "\(answer.status ?? 0)")
      #expect(answer["Cross-Origin-Resource-Policy"] == "same-origin")
      #expect(answer["Content-Security-Policy"]?.hasPrefix("sandbox") == true)
      #expect(answer["Access-Control-Allow-Origin"] == nil)
      #expect(answer.headers.count { $0.name.lowercased() == "x-content-type-options" } == 1)
    }
  }

  @Test func s12_2_namesCannotLeaveTheRoot() throws {
    let bench = try B()
    for path in [
      "/streams/", "/streams/a//b", "/streams/a/../b", "/streams/a:b", "/streams/\(String(repeating: "x", count: 300))",
    ] {
      #expect(bench.ask("PUT", path, B.text).status == 400, "\(path)")
    }
    #expect(bench.ask("PUT", "/streams/__ds/subscriptions/1", B.json, "{}").status == 404)
    #expect(bench.ask("GET", "/v1/stream/__ds/jwks.json").status == 404)
    #expect(bench.ask("GET", "/v1/streams/a").status == 404)
  }
}
