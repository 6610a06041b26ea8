import Testing
import WeirCore
import WeirStore
import WeirTesting

@testable import WeirServe

/// Readers come, stall, go and come back; none of it shows in the bytes that they get, and none of it stays behind.
@Suite struct FanoutTests {
  static func tokens(_ count: Int, _ random: SeededRandom) -> [RunEvent] {
    (0..<count).map { .text("t\($0) " + String(repeating: "é", count: random.int(0...30))) }
  }

  /// A client's view: frames with their ids, so that two connections can be joined where they were cut.
  static func frames(_ bytes: [UInt8]) -> [String] {
    var frames: [String] = []
    var rest = String(decoding: bytes, as: UTF8.self)[...]
    while let end = rest.firstRange(of: "\n\n") {
      frames.append(String(rest[..<end.upperBound]))
      rest = rest[end.upperBound...]
    }
    return frames
  }

  static func isEvent(_ frame: String) -> Bool { frame.contains("data: ") }

  static func id(_ frame: String) -> String? {
    frame.split(separator: "\n").first { $0.hasPrefix("id: ") }.map { String($0.dropFirst(4)) }
  }

  // MARK: Resume

  @Test func resumeAtEveryOffsetIsTheRestOfTheStream() throws {
    let bench = try Bench()
    let whole = bench.chat()
    bench.finish("run1", Self.tokens(50, SeededRandom(seed: 1)))
    let frames = Self.frames(whole.received).filter(Self.isEvent)
    for offset in 0...51 {
      let id = Offset(UInt64(offset)).description
      for (path, last) in [("/chat?message=hi", "\(id)@run1"), ("/streams/runs/run1", id)] {
        let again = bench.ask("GET", path, [("Last-Event-ID", last)])
        if offset == 51 {
          #expect(again.status == 204)
          continue
        }
        let rest = Self.frames(again.received).filter(Self.isEvent)
        #expect(rest == Array(frames.dropFirst(offset)))
        #expect(again.isFinished)
      }
    }
    #expect(bench.host.started.count == 1)
  }

  @Test(arguments: 0..<200)
  func cutAnywhereAndComeBack(seed: Int) throws {
    let random = SeededRandom(seed: UInt64(seed))
    let bench = try Bench { $0.fanout.window = 2000 }
    bench.store.isLate = random.chance(0.5)
    bench.store.itemLimit = random.chance(0.5) ? .max : random.int(1...7)
    let isChunked = random.chance(0.5)
    let reference = bench.chat(chunked: isChunked)
    let events = Self.tokens(random.int(1...60), random)
    var rest = events[...]
    var client = reference
    client = bench.ask("GET", "/chat", [("Last-Event-ID", "-1@run1")], room: random.int(0...300), chunked: isChunked)
    var got: [String] = []
    var last = "-1@run1"
    var rounds = 0
    while true {
      rounds += 1
      try #require(rounds < 10_000, "seed \(seed): never ends")
      switch random.int(0...3) {
      case 0 where !rest.isEmpty:
        let count = random.int(1...min(5, rest.count))
        bench.host.write("run1", Array(rest.prefix(count)))
        rest = rest.dropFirst(count)
        if rest.isEmpty { bench.host.finish("run1") }
        bench.loop.settle()
      case 1:
        // The connection is lost: whole frames count, the rest is thrown away.
        client.goAway()
        bench.loop.settle()
        Self.take(client, isChunked, &got, &last)
        client = bench.ask(
          "GET", random.chance(0.5) ? "/chat?message=hi" : "/streams/runs/run1", [("Last-Event-ID", last)],
          room: random.int(0...300), chunked: isChunked)
      default:
        client.makeRoom(random.int(0...400))
        bench.loop.settle()
      }
      if client.status == 204 || client.isFinished {
        if client.status == 200 { Self.take(client, isChunked, &got, &last) }
        break
      }
    }
    let whole = isChunked ? dechunked(reference.received) ?? [] : reference.received
    let expected = Self.frames(whole).filter(Self.isEvent).map { $0.replacing("@run1", with: "") }
    let isSame = got == expected
    #expect(isSame, "seed \(seed): \(got.count) frames, not \(expected.count); the last is \(got.last ?? "none")")
    #expect(bench.host.started.count == 1)
    #expect(bench.app.fanout.readerCount == 0)
    #expect(bench.app.fanout.feedCount == 0)
    #expect(bench.store.watcherCount == 0)
  }

  /// Whole events of a connection that was cut, ids made bare.
  static func take(_ client: FakeResponder, _ isChunked: Bool, _ got: inout [String], _ last: inout String) {
    var bytes = client.received
    if isChunked {
      // A cut may leave half a chunk: drop bytes until the rest is whole.
      while !bytes.isEmpty, dechunked(bytes) == nil { bytes.removeLast() }
      bytes = dechunked(bytes) ?? []
    }
    for frame in frames(bytes) where isEvent(frame) {
      // `end` and `done` are one item: a client cut off between them gets both again, and loses neither.
      let bare = frame.replacing("@run1", with: "")
      if got.last != bare { got.append(bare) }
      if let id = id(frame) { last = id.contains("@") ? id : "\(id)@run1" }
    }
  }

  @Test func anUnknownRunIsNotFoundAndNothingStarts() throws {
    let bench = try Bench()
    let answer = bench.ask("GET", "/chat?message=hi", [("Last-Event-ID", "3@nobody")])
    #expect(answer.status == 404)
    #expect(answer.json?["error"]?["code"]?.string == "RunNotFound")
    #expect(bench.ask("GET", "/chat?message=hi", [("Last-Event-ID", "3")]).status == 404)
    #expect(bench.ask("GET", "/chat?message=hi", [("Last-Event-ID", "x")]).status == 400)
    #expect(bench.ask("GET", "/chat?message=hi", [("Last-Event-ID", "3@")]).status == 400)
    #expect(bench.host.started.isEmpty)
  }

  @Test func aRunOfAnotherRouteIsNotFound() throws {
    var other = Bench.chat
    other.name = "Other"
    other.path = "/other"
    let bench = try Bench([Bench.chat, other])
    bench.chat()
    #expect(bench.ask("GET", "/other?message=hi", [("Last-Event-ID", "0@run1")]).status == 404)
    #expect(bench.host.started.count == 1)
  }

  @Test func streamIdWithABareOffsetResumesToo() throws {
    let bench = try Bench()
    bench.chat()
    bench.finish("run1", [.text("a"), .text("b")])
    let again = bench.ask(
      "POST", "/chat", [("Last-Event-ID", "0000000000000001"), ("Stream-Id", "runs/run1")], body: "{}")
    #expect(again.text.contains("\"b\""))
    #expect(!again.text.contains("\"a\""))
  }

  @Test func aRestartedServerStillResumes() throws {
    let bench = try Bench()
    bench.chat()
    bench.finish("run1", [.text("a"), .text("b")])
    let next = ServeApplication(ServeConfiguration(), host: bench.host, store: bench.store, loop: bench.loop)
    let responder = FakeResponder()
    next.handle(
      .init(
        method: "GET", path: "/chat", query: "message=hi", headers: [("Last-Event-ID", "1@run1")], body: [],
        peer: SocketAddress(host: "127.0.0.1", port: 1)), responder)
    bench.loop.settle()
    #expect(responder.text.contains("\"b\""))
    #expect(bench.host.started.count == 1)
  }

  @Test func beyondTheTailIsAnError() throws {
    let bench = try Bench()
    bench.chat()
    #expect(bench.ask("GET", "/streams/runs/run1?offset=9", Bench.events).status == 400)
    #expect(bench.ask("GET", "/streams/runs/run1?offset=now", Bench.events).status == 200)
  }

  // MARK: Readers and the run

  @Test func aClientThatGoesAwayChangesNothing() throws {
    let bench = try Bench()
    let client = bench.chat()
    bench.tell("run1", .text("before"))
    client.goAway()
    bench.finish("run1", [.text("after")])
    #expect(bench.host.stopped.isEmpty)
    let again = bench.ask("GET", "/streams/runs/run1", Bench.events)
    #expect(again.text.contains("before") && again.text.contains("after"))
    #expect(!client.text.contains("after"))
  }

  @Test func cancelOnDisconnectWaitsForTheLastReader() throws {
    var route = Bench.chat
    route.onDisconnect = .cancel
    let bench = try Bench([route])
    let first = bench.chat()
    let second = bench.ask("GET", "/streams/runs/run1", Bench.events)
    let third = bench.ask("GET", "/streams/runs/run1?format=openai", Bench.events)
    first.goAway()
    second.goAway()
    #expect(bench.host.stopped.isEmpty)
    third.goAway()
    #expect(bench.host.stopped == ["run1"])
  }

  @Test func cancelOnDisconnectOfAJSONClient() throws {
    var route = Bench.chat
    route.onDisconnect = .cancel
    let bench = try Bench([route])
    let client = bench.ask("POST", "/chat?stream=false", body: #"{"message":"hi"}"#)
    client.goAway()
    #expect(bench.host.stopped == ["run1"])
    bench.loop.settle()
    #expect(bench.store.watcherCount == 0)
  }

  @Test func stopReachesTheHostAndTheReaders() throws {
    let bench = try Bench()
    let client = bench.chat()
    bench.tell("run1", .text("a"))
    let stop = bench.ask("POST", "/_weir/runs/run1/stop")
    #expect(stop.status == 202)
    #expect(bench.host.stopped == ["run1"])
    #expect(client.text.contains("{\"finish\":\"aborted\"}"))
    #expect(client.text.ranges(of: "event: end").count == 1)
    #expect(client.isFinished)
    #expect(bench.ask("POST", "/_weir/runs/run1/stop").status == 202)
  }

  @Test func aStreamThatIsDeletedCutsItsReaders() throws {
    let bench = try Bench()
    let client = bench.chat()
    bench.tell("run1", .text("a"))
    bench.store.delete(try RunTicket.stream(forRun: "run1")) { _ in }
    bench.loop.settle()
    #expect(client.isAborted)
    #expect(bench.app.fanout.readerCount == 0)
  }

  // MARK: Cost

  @Test func oneEncodingOneSendATurn() throws {
    let bench = try Bench()
    let readers = (0..<20).map { _ in bench.ask("GET", "/nothing") }
    #expect(readers.count == 20)
    let first = bench.chat()
    let others = (0..<100).map { _ in bench.ask("GET", "/streams/runs/run1", Bench.events) }
    let before = others.map(\.sendCount)
    let reads = bench.store.readCount
    bench.tell("run1", .text("a"), .text("b"), .text("c"))
    for (index, other) in others.enumerated() { #expect(other.sendCount == before[index] + 1) }
    #expect(Set(others.map(\.text)).count == 1)
    // The route's readers and those of /streams share one feed: two reads (the items, then: no more).
    #expect(bench.store.readCount - reads == 2)
    #expect(bench.app.fanout.feedCount == 1)
    #expect(first.text.contains("\"c\""))
  }

  @Test func aStalledReaderCostsTheLogNotMemory() throws {
    let bench = try Bench { $0.fanout.window = 64 << 10 }
    let fast = bench.chat()
    let slow = bench.ask("GET", "/chat", [("Last-Event-ID", "-1@run1")], room: 1000)
    let text = String(repeating: "x", count: 1000)
    for _ in 0..<2000 { bench.tell("run1", .text(text)) }
    #expect(bench.app.fanout.bytesHeld <= (64 << 10) + FrameWindow.segmentSize + 4096)
    // It reads at its own pace from the log, and misses nothing.
    while slow.received.count < fast.received.count {
      slow.makeRoom(50_000)
      bench.loop.settle()
      #expect(bench.app.fanout.bytesHeld <= (64 << 10) + FrameWindow.segmentSize + 4096)
    }
    bench.finish("run1")
    slow.makeRoom(1000)
    bench.loop.settle()
    #expect(slow.received == fast.received)
    #expect(slow.isFinished)
  }

  @Test func readersThatKeepUpLeaveNothingHeld() throws {
    let bench = try Bench()
    let client = bench.chat()
    for index in 0..<1000 { bench.tell("run1", .text("token \(index)")) }
    #expect(bench.app.fanout.bytesHeld == 0)
    #expect(client.text.contains("token 999"))
  }

  @Test func whileAllStallNothingIsRead() throws {
    let bench = try Bench()
    let client = bench.chat(room: 10)
    let reads = bench.store.readCount
    for _ in 0..<100 { bench.tell("run1", .text("x")) }
    #expect(bench.store.readCount - reads <= 2)
    client.makeRoom(1 << 20)
    bench.loop.settle()
    #expect(Self.frames(client.received).filter(Self.isEvent).count == 100)
  }

  @Test func heartbeatsFillSilence() throws {
    let bench = try Bench()
    let client = bench.chat()
    let before = client.received.count
    bench.loop.advance(by: .milliseconds(14_900))
    #expect(client.received.count == before)
    bench.loop.advance(by: .milliseconds(200))
    #expect(client.text.hasSuffix("\n\n:\n\n"))
    bench.loop.advance(by: .seconds(10))
    bench.tell("run1", .text("a"))
    let spoken = client.received.count
    // Ten seconds after the heartbeat it spoke: the next one is 15 s after that.
    bench.loop.advance(by: .seconds(14))
    #expect(client.received.count == spoken)
    bench.loop.advance(by: .seconds(2))
    #expect(client.received.count == spoken + 3)
    client.goAway()
    bench.loop.run()
    #expect(bench.loop.isIdle)
  }

  @Test func aHeartbeatCutInHalfIsCompleted() throws {
    let bench = try Bench()
    let client = bench.chat(room: "id: 0000000000000000@run1\n\n".utf8.count + 1)
    bench.loop.advance(by: .seconds(16))
    #expect(client.text.hasSuffix("\n\n:"))
    client.makeRoom(1 << 20)
    bench.tell("run1", .text("a"))
    #expect(client.text.contains("@run1\n\n:\n\nid: 0000000000000001@run1\ndata: "))
  }

  @Test func theReaderLimitHolds() throws {
    let bench = try Bench { $0.fanout.readers = 2 }
    let first = bench.chat()
    #expect(bench.ask("GET", "/streams/runs/run1", Bench.events).status == 200)
    #expect(bench.ask("GET", "/streams/runs/run1", Bench.events).status == 503)
    #expect(bench.chat().status == 503)
    first.goAway()
    #expect(bench.ask("GET", "/streams/runs/run1", Bench.events).status == 200)
  }

  @Test func stoppingTheServerCutsReadersWithoutAnEnd() throws {
    let bench = try Bench()
    let client = bench.chat()
    bench.tell("run1", .text("a"))
    bench.app.disconnectReaders()
    #expect(client.isAborted)
    #expect(!client.text.contains("[DONE]"))
    bench.loop.run()
    #expect(bench.store.watcherCount == 0)
    #expect(bench.loop.isIdle)
  }

  @Test func publishAndSubscribe() throws {
    let bench = try Bench { $0.publicStreams = true }
    let text = [(name: "Content-Type", value: "text/plain")]
    #expect(bench.ask("PUT", "/streams/room/a", text).status == 201)
    let readers = (0..<3).map { _ in bench.ask("GET", "/streams/room/a", Bench.events) }
    #expect(bench.ask("POST", "/streams/room/a", text, body: "hello").status == 204)
    #expect(bench.ask("POST", "/streams/_weir/runs", text, body: "x").status == 405)
    for reader in readers { #expect(reader.text.hasSuffix("id: 0000000000000001\ndata: hello\n\n")) }
    bench.chat()
    #expect(bench.ask("POST", "/streams/runs/run1", body: "x").status == 405)
  }
}
