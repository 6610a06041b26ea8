import Testing
import WeirCore
import WeirTesting

@testable import WeirRuntime

/// Workflows that return a model's answer: what stands in the run's stream, how it ends, and what stopping does.
@Suite struct StreamWorkflowTests {
  @Test func theRunsStreamIsWhatTheModelSaid() throws {
    let bench = try Bench(Programs.chat).serve()
    let client = bench.post("/chat", #"{"message":"hi"}"#)
    #expect(client.status == 200, "the head leaves before the first token")
    #expect(bench.asked.first?.text.contains(#""content":"hi""#) == true)
    bench.asked[0].answer("Hel", "lo")
    bench.settle()
    let events = try bench.events(client)
    #expect(events.filter { if case .text = $0 { true } else { false } } == [.text("Hel"), .text("lo")])
    #expect(events.ends == [.completed])
    #expect(try bench.run(client).ending == .closed)
    #expect(client.isWhole)
    bench.expectQuiet()
  }

  static let ends: [(name: String, play: @Sendable (SimulatedHTTPExchange) -> Void, end: EndState, code: String?)] = [
    ("completed", { $0.answer("a") }, .completed, nil),
    ("length", { $0.answer("a", finish: "length") }, .length, nil),
    ("filtered", { $0.answer("a", finish: "content_filter") }, .filtered, nil),
    ("truncated", { $0.answer("a", finish: nil) }, .truncated, "Truncated"),
    (
      "reset",
      {
        $0.head(200)
        $0.body(delta("a"))
        $0.fail(.reset)
      }, .truncated, "Truncated"
    ),
    (
      "refused",
      {
        $0.head(401)
        $0.body(#"{"error":{"message":"no such key"}}"#)
        $0.finish()
      }, .error, "AuthFailed"
    ),
    (
      "an error in the middle",
      {
        $0.head(200)
        $0.body(delta("a") + "data: {\"error\":{\"message\":\"overloaded\"}}\n\n")
        $0.finish()
      }, .error, nil
    ),
  ]

  @Test(arguments: 0..<ends.count) func eachEndIsToldApart(_ number: Int) throws {
    let (name, play, end, code) = Self.ends[number]
    let bench = try Bench(Programs.chat).serve()
    let client = bench.post("/chat", #"{"message":"hi"}"#)
    play(bench.asked[0])
    bench.settle()
    let events = try bench.events(client)
    #expect(events.ends == [end], "\(name)")
    #expect(events.last == .end(end), "\(name)")
    #expect((events.failure != nil) == (end == .error || end == .truncated), "\(name)")
    if let code { #expect(events.failure?.code == code, "\(name)") }
    let isSuccess = end != .error && end != .truncated
    #expect(try bench.run(client).ending == (isSuccess ? .closed : .aborted(reason: end.rawValue)), "\(name)")
    bench.simulation.loop.advance(by: .seconds(10))
    bench.expectQuiet(name)
  }

  // MARK: Stop

  @Test func stopBeforeTheFirstTokenClosesTheModelsSocketAtOnce() throws {
    let bench = try Bench(Programs.chat).serve()
    let client = bench.post("/chat", #"{"message":"hi"}"#)
    bench.instance.runs.stop(run: try #require(client["Run-Id"]))
    #expect(bench.asked[0].isCancelled, "inside the call")
    bench.settle()
    let events = try bench.events(client)
    #expect(events.ends == [.aborted] && events.text.isEmpty)
    #expect(try bench.run(client).ending == .aborted(reason: "aborted"))
    bench.expectQuiet()
  }

  @Test func stopAfterTheFirstTokenKeepsWhatWasSaid() throws {
    let bench = try Bench(Programs.chat).serve()
    let client = bench.post("/chat", #"{"message":"hi","session_id":"s"}"#)
    bench.asked[0].head(200)
    bench.asked[0].body(delta("Hel"))
    bench.settle()
    try bench.stop(client)
    #expect(bench.asked[0].isCancelled)
    #expect(try bench.events(client).text == "Hel")
    #expect(try bench.events(client).ends == [.aborted])
    // Twice, and after the end, it is no error.
    try bench.stop(client)
    bench.expectQuiet()
  }

  @Test func stopWhileQueuedBehindAnotherCallOfTheSession() throws {
    let bench = try Bench(Programs.chat).serve()
    let first = bench.post("/chat", #"{"message":"one","session_id":"s"}"#)
    let second = bench.post("/chat", #"{"message":"two","session_id":"s"}"#)
    #expect(bench.asked.count == 1, "one call of a session at a time")
    try bench.stop(second)
    #expect(try bench.events(second).ends == [.aborted])
    bench.asked[0].answer("x")
    bench.settle()
    #expect(try bench.events(first).ends == [.completed])
    #expect(bench.asked.count == 1, "the model never hears of the second")
    bench.expectQuiet()
  }

  @Test func stopWhileTheBodyStillWaitsInAsk() throws {
    let bench = try Bench(
      Programs.agent + """
        @post("/two")
        workflow Two(message: string) -> stream {
          let plan = match A.ask("plan") { Ok(t) => t, Err(e) => e.code }
          return A.stream("${plan} ${message}")
        }
        """
    ).serve()
    let client = bench.post("/two", #"{"message":"hi"}"#)
    #expect(bench.asked.count == 1)
    bench.instance.runs.stop(run: try #require(client["Run-Id"]))
    #expect(bench.asked[0].isCancelled)
    bench.settle()
    #expect(try bench.events(client) == [.end(.aborted)])
    #expect(bench.asked.count == 1)
    bench.expectQuiet()
  }

  @Test func stopWhenTheBodyHoldsAnAnswerThatItHasNotReturned() throws {
    let bench = try Bench(
      Programs.agent + """
        @post("/two")
        workflow Two(message: string) -> stream {
          let s = A.stream("one")
          let other = A.ask("two")
          return s
        }
        """
    ).serve()
    let client = bench.post("/two", #"{"message":"hi"}"#)
    #expect(bench.asked.count == 2)
    try bench.stop(client)
    #expect(bench.asked.count(where: \.isCancelled) == 2)
    bench.expectQuiet()
  }

  @Test func aStopThatComesBeforeTheStreamWasMadeIsNotLost() throws {
    let bench = try Bench(
      Programs.agent + """
        @post("/chat", on_disconnect: "cancel")
        workflow Chat(message: string) -> stream { return A.stream(message) }
        """, store: { SlowStore($0) }
    ).serve()
    let slow = try #require(bench.store as? SlowStore)
    slow.isHolding = true
    let client = bench.post("/chat", #"{"message":"hi"}"#)
    client.leave()
    bench.settle()
    slow.isHolding = false
    bench.settle()
    #expect(bench.asked.isEmpty, "nobody is there to read it")
    #expect(bench.runs.count == 1)
    #expect(bench.events(bench.runs[0]) == [.end(.aborted)])
    bench.expectQuiet()
  }

  // MARK: Who reads

  @Test func aReaderThatLeavesChangesNothing() throws {
    let bench = try Bench(Programs.chat).serve()
    let client = bench.post("/chat", #"{"message":"hi"}"#)
    let run = try bench.run(client)
    client.leave()
    bench.settle()
    bench.asked[0].answer("still", " here")
    bench.settle()
    #expect(bench.events(run).text == "still here")
    #expect(bench.events(run).ends == [.completed])
    let again = bench.ask("GET", "/chat", headers: "Last-Event-ID: -1@\(run.name.path.dropFirst(5))\r\n")
    #expect(String(decoding: again.body, as: UTF8.self).contains("still"))
  }

  @Test func theLastReaderEndsTheRunWhereTheProgramSaysSo() throws {
    let bench = try Bench(
      Programs.agent + """
        @post("/chat", on_disconnect: "cancel")
        workflow Chat(message: string) -> stream { return A.stream(message) }
        """
    ).serve()
    let client = bench.post("/chat", #"{"message":"hi"}"#)
    client.leave()
    bench.settle()
    #expect(bench.asked[0].isCancelled)
    #expect(try bench.events(client).ends == [.aborted])
    bench.expectQuiet()
  }

  @Test func aStreamIsReadOnce() throws {
    let bench = try Bench(
      Programs.agent + """
        import std/stream (next)
        @post("/chat")
        workflow Chat(message: string) -> stream {
          let s = A.stream(message)
          let first = next(s)
          return s
        }
        """
    ).serve()
    let client = bench.post("/chat", #"{"message":"hi"}"#)
    bench.asked[0].answer("a", "b")
    bench.settle()
    #expect(try bench.events(client).failure?.code == "StreamTaken")
    #expect(try bench.events(client).ends == [.error])
    bench.simulation.loop.advance(by: .seconds(10))
    bench.expectQuiet()
  }
}
