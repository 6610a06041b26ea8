import Testing
import WeirCore
import WeirNet
import WeirStore
import WeirTesting

@testable import WeirServe

/// What becomes of a subscription's cursors when its streams come, go, and come again.
@Suite struct SubscribedStreamTests {
  typealias B = StreamBench
  typealias S = SubscriptionBench

  private func create(_ store: MemoryStreamStore, _ name: String, _ count: Int) throws {
    store.create(
      try StreamName(name),
      StreamCreation(contentType: "application/json", items: Array(repeating: [0x31], count: count))
    ) { _ in }
  }

  // MARK: While it is made

  @Test func whatComesWhileItIsMadeIsWork() throws {
    let s = try S(nil)
    s.bench.make("/streams/wake/pool", B.json)
    s.bench.make("/streams/events/a", B.json, "[1,2]")
    s.bench.faults.holdsLists = true
    let made = s.subscribe(S.pull)
    s.bench.add("/streams/events/a", "3", B.json)
    s.bench.faults.release()
    s.bench.loop.settle()
    #expect(made.status == 201 && s.acked == ["events/a 2"])
    #expect(try s.wakes() == 1 && s.told(s.claim().json) == ["events/a 2-3"])
  }

  @Test func aStreamOfTheNameBeforeTheStarsIsLinked() throws {
    let s = try S(nil)
    for name in ["a", "a/b", "a/b/c", "ab", "b"] { s.bench.make("/streams/" + name, B.json, "[1]") }
    s.bench.make("/streams/wake/pool", B.json)
    s.subscribe(#"{"type": "pull-wake", "wake_stream": "wake/pool", "pattern": "a/**"}"#)
    #expect(s.acked == ["a 1", "a/b 1", "a/b/c 1"])
    for (pattern, prefix) in [
      ("a/**", "a"), ("a/*", "a/"), ("a/**/z", "a/"), ("a/**/**", "a"), ("a/b", "a/b"), ("**", ""), ("*/a", ""),
      ("a/b/**", "a/b"),
    ] { #expect(PathPattern(pattern)?.prefix == prefix, "\(pattern)") }
  }

  @Test func namesAreBytes() throws {
    let s = try S()
    let names = ["e\u{301}", "\u{E9}"]
    for name in names { s.bench.make("/streams/events/" + name, B.json, "[1]") }
    s.bench.add("/streams/events/" + names[0], "2", B.json)
    let wake = s.claim().json ?? .null
    #expect(s.told(wake).map { $0.utf8.count } == [14, 13] && s.told(wake).map { $0.suffix(3) } == ["0-2", "0-1"])
    #expect(s.report("ack", wake, [("events/e\u{301}", 2)]).status == 200)
    #expect(s.acked.map { $0.suffix(1) } == ["2", "0"])
    let again = try s.restarted()
    #expect(again.acked.map { $0.suffix(1) } == ["2", "0"])
    #expect(again.report("ack", wake, [("events/\u{E9}", 1)], isDone: true).json?["next_wake"] == false)
  }

  /// What a fork has from its source is not new, nor is what its sub-offset adds.
  @Test(arguments: ["application/json", "application/vnd.x+json", "text/plain"])
  func aForkIsWorkFromItsOwnBeginning(_ type: String) throws {
    let s = try S()
    let headers = [(name: "Content-Type", value: type)]
    s.bench.make("/streams/source", headers)
    for item in ["11", "22", "33", "44"] { s.bench.add("/streams/source", item, headers) }
    let fork = [("Stream-Forked-From", "/streams/source"), ("Stream-Fork-Offset", Offset(1).description)]
    for sub in ["1", "2"] {
      let asked = fork + [("Stream-Fork-Sub-Offset", sub)]
      #expect(s.bench.ask("PUT", "/streams/events/\(sub)", asked.map { (name: $0.0, value: $0.1) }).status == 201)
    }
    let isJSON = type != "text/plain"
    #expect(s.acked == ["events/1 2", isJSON ? "events/2 3" : "events/2 2"])
    #expect(s.code(s.claim()) == "NO_PENDING_WORK")
    s.bench.add("/streams/events/2", "5", headers)
    #expect(s.told(s.claim().json) == [isJSON ? "events/2 3-4" : "events/2 2-3"])
  }

  // MARK: Another stream of the same name

  /// It was made anew while its webhook was at work: `done` is about the one that was told.
  @Test(arguments: [false, true]) func doneIsAboutTheStreamThatWasTold(_ isByCallback: Bool) throws {
    let s = try S(S.webhook())
    var count = 0
    s.http.serve(S.hook) { exchange in
      count += 1
      if count == 1 {
        s.bench.ask("DELETE", "/streams/events/a")
        s.bench.make("/streams/events/a", B.json, "[10,11,12]")
      }
      exchange.head(200)
      if !isByCallback { exchange.body(#"{"done": true}"#) }
      exchange.finish()
    }
    s.bench.make("/streams/events/a", B.json, "[1,2,3,4,5]")
    s.bench.loop.advance(by: .milliseconds(500))
    if isByCallback {
      let done = s.report("callback", s.calls[0], [("events/a", 5)], isDone: true)
      #expect(done.status == 200 && done.json?["next_wake"] == true)
      s.bench.loop.advance(by: .milliseconds(500))
    }
    #expect(s.calls.map { s.told($0) } == [["events/a 0-5"], ["events/a 0-3"]])
    #expect(s.acked == [isByCallback ? "events/a 0" : "events/a 3"])
  }

  /// Nor has it moved after a restart in between.
  @Test(arguments: [false, true]) func anAckIsAboutTheStreamThatWasTold(_ isRestarted: Bool) throws {
    var s = try S()
    s.bench.make("/streams/events/a", B.json, "[1,2,3]")
    s.bench.make("/streams/events/b", B.json, "[1]")
    let wake = s.claim().json ?? .null
    s.bench.ask("DELETE", "/streams/events/a")
    s.bench.make("/streams/events/a", B.json, "[7,8,9,10]")
    if isRestarted { s = try s.restarted() }
    let done = s.report("ack", wake, [("events/a", 3), ("events/b", 1)], isDone: true)
    #expect(done.status == 200 && done.json?["next_wake"] == true)
    #expect(s.acked == ["events/a 0", "events/b 1"])
    #expect(s.told(s.claim().json) == ["events/a 0-4"])
  }

  @Test(arguments: [2, 5, 9]) func aStreamThatWasMadeAnewWhileNobodyWatchedIsWorkFromItsBeginning(_ count: Int) throws {
    var s = try S(S.pull.replacing(text: #""pattern""#, with: #""streams": ["named"], "pattern""#))
    for name in ["events/a", "named"] { s.bench.make("/streams/" + name, B.json, "[1,2,3,4,5]") }
    let wake = s.claim().json ?? .null
    #expect(s.report("ack", wake, [("events/a", 5), ("named", 5)], isDone: true).status == 200)
    s = try s.restarted { store in
      for name in ["events/a", "named"] {
        store.delete(try StreamName(name)) { _ in }
        try create(store, name, count)
      }
    }
    #expect(s.acked == ["events/a 0", "named 0"])
    #expect(s.told(s.claim().json) == ["events/a 0-\(count)", "named 0-\(count)"])
    // The same one is not.
    s = try S()
    s.bench.make("/streams/events/a", B.json, "[1,2]")
    #expect(s.report("ack", s.claim().json ?? .null, [("events/a", 2)], isDone: true).status == 200)
    s = try s.restarted()
    #expect(s.acked == ["events/a 2"])
  }

  @Test func aWakeStreamThatIsMadeAnewIsToldAgain() throws {
    let s = try S()
    s.bench.make("/streams/events/a", B.json, "[1]")
    #expect(try s.wakes() == 1)
    s.bench.ask("DELETE", "/streams/wake/pool")
    s.bench.make("/streams/wake/pool", B.json)
    s.bench.loop.advance(by: .milliseconds(1))
    #expect(try s.wakes() == 1)
    // Not while somebody is at it.
    let wake = s.claim().json ?? .null
    s.bench.ask("DELETE", "/streams/wake/pool")
    s.bench.make("/streams/wake/pool", B.json)
    s.bench.loop.advance(by: .seconds(2))
    #expect(try s.wakes() == 0)
    #expect(s.report("ack", wake, [("events/a", 1)], isDone: true).json?["next_wake"] == false)
  }

  // MARK: Acknowledging

  @Test func whatIsGoneSpoilsNoAck() throws {
    let s = try S()
    _ = s.bench.ask("POST", S.path + "/streams", B.json, #"{"streams": ["named"]}"#)
    for name in ["events/a", "events/b", "named"] { s.bench.make("/streams/" + name, B.json, "[1,2]") }
    let wake = s.claim().json ?? .null
    s.bench.ask("DELETE", "/streams/events/b")
    s.bench.ask("DELETE", S.path + "/streams/named")
    let all: [(String, UInt64)] = [("events/a", 2), ("events/b", 2), ("named", 2)]
    #expect(s.report("ack", wake, all).status == 200 && s.acked == ["events/a 2"])
    // What was acknowledged is not taken back, whatever comes late.
    #expect(s.report("ack", wake, [("events/a", 1)]).status == 200 && s.acked == ["events/a 2"])
    for refused in [("events/none", 1), ("other", 1), ("events/a", 3)] as [(String, UInt64)] {
      #expect(s.code(s.report("ack", wake, [refused])) == "INVALID_OFFSET", "\(refused)")
    }
    #expect(s.report("ack", wake, [], isDone: true).json?["next_wake"] == false)
  }

  @Test func whoeverComesTooLateIsToldSoAtOnce() throws {
    let s = try S()
    for number in 0..<50 { s.bench.make("/streams/events/\(number)", B.json, "[1]") }
    #expect(s.claim().status == 200)
    let before = s.bench.faults.statusCount
    #expect(s.code(s.claim()) == "ALREADY_CLAIMED" && s.bench.faults.statusCount == before)
    s.bench.loop.advance(by: .seconds(6))
    // One that is there is enough to wake for.
    #expect(s.bench.faults.statusCount < before + 5)
  }

  // MARK: Many

  @Test func ofTooManyStreamsNoneIsLinked() throws {
    let s = try S(#"{"type": "pull-wake", "wake_stream": "wake/pool", "streams": ["a"]}"#)
    func link(_ names: Range<Int>) -> Int? {
      let list = JSONValue.array(names.map { .string("b/\($0)") })
      return s.bench.ask(
        "POST", S.path + "/streams", B.json, body: JSONValue.object([JSONMember("streams", list)]).encoded()
      ).status
    }
    for start in stride(from: 0, to: 9_000, by: 1_000) { #expect(link(start..<start + 1_000) == 204) }
    #expect(link(9_000..<9_900) == 204)
    #expect(link(9_800..<10_000) == 507 && s.acked.count == 9_901)
    #expect(link(9_800..<9_999) == 204 && s.acked.count == 10_000)
    #expect(link(0..<1_000) == 204)
  }

  @Test func ofStreamsThatCannotAllBeLinkedNoneIs() throws {
    let s = try S()
    s.bench.faults.isHeld = true
    let asked = s.bench.ask("POST", S.path + "/streams", B.json, #"{"streams": ["u", "v"]}"#)
    s.bench.faults.failing = [.status]
    s.bench.faults.prefix = "v"
    s.bench.faults.release()
    s.bench.loop.settle()
    #expect(asked.status == 503 && !s.acked.contains("u 0"))
  }
}
