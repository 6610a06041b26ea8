import Testing
import WeirCore
import WeirNet
import WeirStore
import WeirTesting

@testable import WeirServe

/// The Durable Streams Protocol, section by section of its text: every MUST of 5.6 to 5.8, 8, 9, 10 and 12 that HTTP shows.
@Suite struct DurableStreamsReadingTests {
  typealias B = StreamBench

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

  /// Who comes back to where the damage is would be told 200 and cut off, for ever.
  @Test func atADamageNobodyWaits() throws {
    let bench = try B(subscriptions: SubscriptionTests.options)
    bench.make("/streams/a", B.text, "old")
    bench.faults.isDamaged = true
    let tail = "0000000000000001"
    let events = [(name: "Accept", value: "text/event-stream")]
    for (query, headers) in [
      ("offset=\(tail)", []), ("offset=\(tail)&live=long-poll", []), ("offset=now&live=long-poll", []),
      ("offset=\(tail)&live=sse", []), ("offset=now&live=sse", []), ("offset=\(tail)", events), ("offset=now", events),
    ] {
      let got = bench.ask("GET", "/streams/a?\(query)", headers)
      #expect(got.status == 500 && got.text.contains("StreamDamaged"), "\(query): \(got.status ?? 0) \(got.text)")
    }
    // What comes before it is read.
    let live = bench.ask("GET", "/streams/a?offset=-1&live=sse")
    #expect(live.status == 200 && live.text.contains("old"))
    #expect(bench.app.liveReaders.count == 0 && bench.store.watcherCount == 0)
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

  @Test func s5_7_aTagTellsThatTheClientHasItAlready() throws {
    let bench = try B()
    bench.make("/streams/a", B.text, "x")
    let asked = "/streams/a?offset=-1&live=long-poll"
    let tag = try #require(bench.ask("GET", asked)["ETag"])
    let same = bench.ask("GET", asked, [("If-None-Match", tag)])
    #expect(same.status == 304 && same.received.isEmpty && same["Stream-Next-Offset"] == "0000000000000001")
    #expect(same["Stream-Cursor"] != nil)
    let now = bench.ask("GET", "/streams/a?offset=now&live=long-poll")
    bench.add("/streams/a", "y")
    #expect(now.text == "y" && now["ETag"] == nil)
    #expect(bench.ask("GET", asked, [("If-None-Match", tag)]).text == "xy")
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

  /// However text is cut, or if it is none: no more than the item that is read and the one before it are kept back.
  @Test(arguments: ["never whole", "cut at every item"]) func s5_8_cutCharactersKeepLittleBack(_ text: String) throws {
    let size = 50_000
    var items = (0..<40).map { _ in [UInt8](repeating: 0x61, count: size) + [0xE2] }
    if text == "cut at every item" { for index in items.indices.dropFirst() { items[index][0...1] = [0x82, 0xAC] } }
    var held: [StreamItem] = []
    var shown = 0
    for item in items {
      held.append(StreamItem(bytes: item, time: 0))
      let whole = StreamBody.wholeCharacters(held, byteLimit: 64 << 10)
      held.removeFirst(whole)
      shown += whole
      #expect(held.count <= 1)
    }
    #expect(shown >= 38)
    let bench = try B()
    bench.make("/streams/a", B.text)
    for item in items { bench.ask("POST", "/streams/a", B.text, body: item) }
    let reader = bench.ask("GET", "/streams/a?offset=-1&live=sse")
    let before = B.Events(reader)
    #expect(before.controls.count > 10)
    bench.loop.advance(by: .seconds(2))
    #expect(B.Events(reader).next == Offset(40).description && B.Events(reader).texts.joined().utf8.count >= 40 * size)
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

  @Test func s5_8_aForksEventsAreItsSourcesAndThenItsOwn() throws {
    let bench = try B()
    bench.make("/streams/s", B.text, "old")
    bench.ask("PUT", "/streams/f", [("Stream-Forked-From", "/streams/s")])
    let reader = bench.ask("GET", "/streams/f?offset=-1&live=sse")
    bench.add("/streams/s", "of the source alone")
    bench.add("/streams/f", "own")
    bench.add("/streams/f", "end", B.text + B.closed)
    #expect(B.Events(reader).texts == ["old", "own", "end"] && B.Events(reader).isClosed)
    #expect(B.Events(reader).next == "0000000000000003")
  }

  @Test func s5_8_whatIsTextIsToldByTheTypeWithoutItsParametersAndCase() throws {
    let bench = try B()
    for (type, isText) in [
      ("TEXT/Plain; charset=utf-8", true), ("text/x-anything", true), ("Application/JSON; charset=utf-8", true),
      ("application/ndjson", false), ("application/json-seq", false), ("textual/plain", false),
    ] {
      bench.make("/streams/a", [("Content-Type", type)], "[1]")
      let reader = bench.ask("GET", "/streams/a?offset=-1&live=sse")
      #expect((reader["Stream-SSE-Data-Encoding"] == nil) == isText, "\(type)")
      #expect(B.Events(reader).texts == [isText ? "[1]" : "WzFd"], "\(type)")
      bench.ask("DELETE", "/streams/a")
    }
  }

  /// The protocol's suite looks for these very lines.
  @Test func s5_8_eventAndDataAreNeighbours() throws {
    let bench = try B()
    bench.make("/streams/a", B.text, " one\ntwo")
    let reader = bench.ask("GET", "/streams/a?offset=-1&live=sse")
    #expect(reader.text.hasPrefix("event: data\ndata:  one\ndata:two\n\n"))
    #expect(reader.text.contains("\nevent: control\ndata:{\"streamNextOffset\":\"0000000000000001\""))
    #expect(B.Events(reader).texts == [" one\ntwo"])
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
    #expect(offsets.allSatisfy { $0.utf8.count == 16 && $0.utf8.allSatisfy { (0x30...0x39).contains($0) } })
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

  @Test func s8_nowIsTheTailWhateverComesMeanwhile() throws {
    let bench = try B()
    for (type, body) in [(B.text, ""), (B.json, "[]")] {
      bench.make("/streams/a", type)
      var status: StreamStatus?
      bench.store.status(try StreamName("a")) { status = try? $0.get() }
      let late = StreamBatch(
        items: [StreamItem(bytes: Array("1".utf8), time: 0)], next: Offset(1), ending: .closed, createdAt: 0)
      let responder = FakeResponder()
      let request = HTTPRequest(
        method: "GET", path: "/streams/a", query: "offset=now", headers: [], body: [],
        peer: SocketAddress(host: "127.0.0.1", port: 50000))
      StreamChunk(late, from: .start, of: try #require(status))
        .sendTail(StreamExchange(bench.app, request, responder))
      #expect(responder.status == 200 && responder.text == body && responder["ETag"] == nil)
      #expect(responder["Stream-Next-Offset"] == "0000000000000001" && responder["Stream-Up-To-Date"] == "true")
      #expect(responder["Stream-Closed"] == "true")
      bench.ask("DELETE", "/streams/a")
    }
  }

  @Test func s8_nowByEventsSaysFirstWhereTheTailIs() throws {
    let bench = try B()
    bench.make("/streams/a", B.text, "old")
    bench.make("/streams/j", B.json + B.closed, "[1]")
    let events = B.Events(bench.ask("GET", "/streams/a?offset=now&live=sse"))
    #expect(events.texts.isEmpty && events.controls.count == 1 && events.isUpToDate)
    #expect(events.next == "0000000000000001")
    let page = bench.ask("GET", "/streams/j?offset=now")
    #expect(page.status == 200 && page.text == "[]" && page["Stream-Closed"] == "true")
    let poll = bench.ask("GET", "/streams/j?offset=now&live=long-poll")
    #expect(poll.status == 204 && poll["Stream-Up-To-Date"] == "true" && poll["Stream-Closed"] == "true")
    for answer in [page, poll] { #expect(answer["Stream-Next-Offset"] == "0000000000000001") }
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

  /// RFC 6839: what ends in +json is JSON, a run's events too.
  @Test(arguments: ["application/vnd.weir.run+json", "Application/Problem+JSON; charset=utf-8"])
  func s9_1_whatIsJSONByItsSuffixIsJSONBothWays(_ type: String) throws {
    let bench = try B()
    let headers = [(name: "Content-Type", value: type)]
    for body in ["not json", "{\"a\":", "[1,]"] {
      #expect(bench.ask("PUT", "/streams/j", headers, body).status == 400, "\(body)")
    }
    bench.make("/streams/j", headers, "[1]")
    #expect(bench.add("/streams/j", "{\"a\":", headers).status == 400)
    #expect(bench.add("/streams/j", "[]", headers).status == 400)
    #expect(bench.add("/streams/j", #"{"a": [2]}"#, headers).status == 204)
    #expect(bench.add("/streams/j", "[3,[4]]", headers)["Stream-Next-Offset"] == Offset(4).description)
    let all = #"[1,{"a": [2]},3,[4]]"#
    let read = bench.ask("GET", "/streams/j")
    #expect(read.text == all && read["Content-Type"] == type)
    let events = bench.ask("GET", "/streams/j?offset=-1&live=sse")
    #expect(B.Events(events).texts == [all] && events["Stream-SSE-Data-Encoding"] == nil)
    // A fork counts messages.
    let fork = [("Stream-Forked-From", "/streams/j"), ("Stream-Fork-Offset", "-1"), ("Stream-Fork-Sub-Offset", "2")]
    #expect(bench.ask("PUT", "/streams/f", fork.map { (name: $0.0, value: $0.1) }, "[5]").status == 201)
    #expect(bench.ask("GET", "/streams/f").text == #"[1,{"a": [2]},5]"#)
    #expect(bench.add("/streams/f", "nope", headers).status == 400)
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
    for list in ["\(tag) , \"no\"", "\(tag)\t", "\"no\",\t\(tag)", " * ", "\"no\"\t,\tW/\(tag)\t"] {
      #expect(bench.ask("GET", "/streams/a?offset=-1", [("If-None-Match", list)]).status == 304, "\(list)")
    }
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

  @Test func s10_1_noCursorOfAClientIsGreatEnoughToGoBack() throws {
    let bench = try B()
    bench.make("/streams/a", B.text, "x")
    for start in [Int64(1) << 52 - 1, 1 << 52, .max - 200, .max] {
      var last = start
      for _ in 0..<10 {
        let found = bench.ask("GET", "/streams/a?offset=-1&live=long-poll&cursor=\(last)")["Stream-Cursor"]
        let next = try #require(found.flatMap { Int64($0) })
        #expect(next > last || next == .max, "\(start)")
        last = next
      }
    }
  }

  @Test func s10_1_cursorsOfOneConnectionNeverGoBack() throws {
    let bench = try B()
    bench.make("/streams/a")
    let reader = bench.ask("GET", "/streams/a?offset=-1&live=sse&cursor=4000000")
    var last: Int64 = 4_000_000
    for _ in 0..<20 {
      bench.loop.advance(by: .microseconds(137))
      bench.add("/streams/a", "x")
      let cursor = try #require(B.Events(reader).controls.last?["streamCursor"]?.string.flatMap { Int64($0) })
      #expect(cursor >= last && cursor > 4_000_000)
      last = cursor
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
