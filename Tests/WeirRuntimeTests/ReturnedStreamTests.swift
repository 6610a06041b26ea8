import Testing
import WeirCore
import WeirStore
import WeirTesting

@testable import WeirRuntime

/// Workflows that return a stream which is no model's answer as it is: one made of it, a reader, one of their own.
@Suite struct ReturnedStreamTests {
  static let imports = """
    import std/streaming (StreamReader, StreamWriter, abort, chunk, close, filter, flatMap, generate, getReadable, getStreamReader,
      getWritable, map, next, read, skip, streamEvents, take, workflowId, write)
    import std/string (toUpper)
    import std/clock (sleep)

    """

  private func serve(
    _ text: String, store: (SimulatedLoop) -> any StreamStore = { MemoryStreamStore(loop: $0) }
  ) throws -> Bench { try Bench(Self.imports + Programs.agent + text, store: store).serve() }

  private static let loud =
    #"@post("/w") workflow W(m: string) -> stream { return A.stream(m) |> map((t) => toUpper(t)) }"#

  @Test func eachPieceIsThereBeforeTheNextIsAskedFor() throws {
    let bench = try serve(Self.loud)
    let client = bench.post("/w", #"{"m":"hi"}"#)
    #expect(client.status == 200)
    bench.asked[0].head(200)
    bench.asked[0].body(delta("a") + delta("b"))
    bench.settle()
    #expect(String(decoding: client.body, as: UTF8.self).contains(#"data: {"content":"B","delta":"B"}"#))
    #expect(try bench.events(client) == [.start(model: "m-1"), .text("A"), .text("B")])
    let usage = #"data: {"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":2}}"# + "\n\n"
    bench.asked[0].body(delta("", finish: "length") + usage + done)
    bench.asked[0].finish()
    bench.settle()
    let events = try bench.events(client)
    #expect(events.suffix(2) == [.usage(Usage(inputTokens: 7, outputTokens: 2)), .end(.length)])
    #expect(events.text == "AB")
    #expect(try bench.run(client).ending == .closed)
    #expect(client.isWhole)
    bench.expectQuiet()
  }

  @Test func theWholeAnswerIsTheSameInEveryFormat() throws {
    let bench = try serve(Self.loud)
    for (accept, wanted) in [
      ("text/plain", "AB"), ("application/json", #""reply":"AB""#),
      ("text/event-stream; format=openai", #""content":"B""#),
    ] {
      let client = TestClient(bench.simulation.network, port: 8080)
      client.send("POST", "/w", #"{"m":"hi"}"#, headers: "Accept: \(accept)\r\n")
      bench.settle()
      bench.asked.last?.answer("a", "b")
      bench.settle()
      #expect(client.status == 200, "\(accept): \(client.text)")
      #expect(String(decoding: client.body, as: UTF8.self).contains(wanted), "\(accept): \(client.text)")
    }
    bench.expectQuiet()
  }

  @Test(arguments: 0..<StreamWorkflowTests.ends.count) func eachEndOfTheModelIsTheRuns(_ number: Int) throws {
    let (name, play, end, code) = StreamWorkflowTests.ends[number]
    let bench = try serve(Self.loud)
    let client = bench.post("/w", #"{"m":"hi"}"#)
    play(bench.asked[0])
    bench.settle()
    let events = try bench.events(client)
    #expect(events.ends == [end] && events.last == .end(end), "\(name): \(events)")
    #expect((events.failure != nil) == (end == .error || end == .truncated), "\(name)")
    if let code { #expect(events.failure?.code == code, "\(name)") }
    bench.simulation.loop.advance(by: .seconds(10))
    bench.expectQuiet(name)
  }

  @Test func aFailureOfTheModelKeepsItsStatus() throws {
    let bench = try serve(Self.loud)
    let client = TestClient(bench.simulation.network, port: 8080)
    client.send("POST", "/w", #"{"m":"hi"}"#, headers: "Accept: application/json\r\n")
    bench.settle()
    bench.asked[0].head(429, [("retry-after", "0")])
    bench.asked[0].finish()
    for _ in 0..<20 {
      bench.simulation.loop.advance(by: .seconds(10))
      for exchange in bench.asked where exchange.isOpen {
        exchange.head(429, [("retry-after", "0")])
        exchange.finish()
      }
    }
    #expect(client.status == 429, "\(client.text)")
    #expect(bench.errors.split(separator: "\n").count == 2, "the program did nothing wrong: \(bench.errors)")
    bench.expectQuiet()
  }

  @Test func whatTheProgramDoesWrongFailsTheRunWithItsPlace() throws {
    let bench = try serve(
      #"@post("/w") workflow W(m: string) -> stream { return A.stream(m).map((t) => "${1 / (len(t) - 1)}") }"#)
    let client = bench.post("/w", #"{"m":"hi"}"#)
    bench.asked[0].head(200)
    bench.asked[0].body(delta("abc") + delta("a") + delta("ab"))
    bench.settle()
    let events = try bench.events(client)
    #expect(events.failure?.code == "DivisionByZero" && events.text == "0")
    #expect(events.ends == [.error])
    #expect(bench.errors.contains("DivisionByZero: division by zero"))
    #expect(bench.asked[0].isCancelled)
    bench.expectQuiet()
  }

  @Test func aStreamThatEndsEarlyEndsTheModelAsWell() throws {
    let bench = try serve(
      #"@post("/w") workflow W(m: string) -> stream { return A.stream(m).filter((t) => t != "b").take(2) }"#)
    let client = bench.post("/w", #"{"m":"hi"}"#)
    bench.asked[0].head(200)
    for word in ["a", "b", "c", "d"] { bench.asked[0].body(delta(word)) }
    bench.settle()
    #expect(try bench.events(client).text == "ac")
    #expect(try bench.events(client).ends == [.completed])
    #expect(bench.asked[0].isCancelled)
    bench.expectQuiet()
  }

  // MARK: Stop

  static let ways: [(name: String, body: String)] = [
    ("mapped", "return A.stream(m).map((t) => toUpper(t))"),
    ("mapped twice", "return A.stream(m) |> filter((t) => t != \"\") |> map((t) => toUpper(t))"),
    ("chunked", "return A.stream(m).chunk(2).flatMap((ts) => ts)"),
    ("of its own", "let s = A.stream(m)\nreturn generate(() => next(s))"),
    ("waiting in its function", "return A.stream(m).map((t) => match A.ask(t) { Ok(x) => x, Err(e) => e.code })"),
  ]

  @Test(arguments: 0..<ways.count, ["before", "after"]) func stopEndsTheModelInsideTheCall(_ number: Int, when: String)
    throws
  {
    let (name, body) = Self.ways[number]
    let bench = try serve("@post(\"/w\") workflow W(m: string) -> stream { \(body) }")
    let client = bench.post("/w", #"{"m":"hi"}"#)
    let id = try #require(client["Run-Id"])
    if when == "after" {
      bench.asked[0].head(200)
      bench.asked[0].body(delta("a") + delta("b"))
      bench.settle()
    }
    weak let run = bench.instance.runs.runs[id]
    weak let answer = run?.writer.source as? StreamAnswer
    #expect(answer != nil, "\(name)")
    let asked = bench.asked.count
    bench.instance.runs.stop(run: id)
    #expect(bench.asked.count(where: \.isCancelled) == bench.asked.count, "\(name), \(when)")
    bench.settle()
    #expect(try bench.events(client).ends == [.aborted], "\(name), \(when)")
    #expect(try bench.run(client).ending == .aborted(reason: "aborted"))
    try bench.stop(client)
    bench.simulation.loop.advance(by: .seconds(5))
    #expect(bench.asked.count == asked && bench.instance.scheduler.fiberCount == 0, "\(name), \(when)")
    #expect(run == nil && answer == nil, "\(name), \(when)")
    bench.expectQuiet(name)
  }

  @Test func aStopWhileTheStoreIsBehindReachesTheModel() throws {
    let bench = try serve(
      #"@post("/w") workflow W(m: string) -> stream { return A.stream(m).map((t) => toUpper(t)) }"#,
      store: { SlowStore($0) })
    let slow = try #require(bench.store as? SlowStore)
    let client = bench.post("/w", #"{"m":"hi"}"#)
    slow.isHolding = true
    bench.asked[0].head(200)
    let word = String(repeating: "w", count: 100_000)
    for _ in 0..<40 { bench.asked[0].body(delta(word)) }
    bench.simulation.loop.advance(by: .seconds(10))
    #expect(bench.asked[0].isReading, "its own buffer takes them")
    let run = try #require(bench.instance.runs.runs[client["Run-Id"] ?? ""])
    let answer = try #require(run.writer.source as? StreamAnswer)
    #expect(!answer.isReading, "but no more of them become pieces of the answer")
    bench.instance.runs.stop(run: run.id)
    #expect(bench.asked[0].isCancelled)
    slow.isHolding = false
    bench.settle()
    let events = try bench.events(client)
    #expect(events.ends == [.aborted])
    #expect(events.text.utf8.count <= RunWriter.pendingByteLimit + 2 * word.utf8.count)
    bench.expectQuiet()
  }

  // MARK: Streams that are no model's

  @Test func aReaderOfAnotherWorkflowIsFollowed() throws {
    let bench = try serve(
      """
      @post("/make") workflow Make(id: string) -> int {
        let writer: StreamWriter[string] = getWritable("t")
        _ = writer.write("one ")
        sleep(1000)
        _ = writer.write("two")
        if id == "bad" { _ = writer.abort("it broke") }
        1
      }
      @post("/follow") workflow Follow(id: string) -> stream { return getStreamReader(id, "t", pollTimeout: 5000) }
      """)
    for (kind, text, end) in [("good", "one two", EndState.completed), ("bad", "one two", .error)] {
      let making = TestClient(bench.simulation.network, port: 8080)
      making.send("POST", "/make", "{\"id\":\"\(kind)\"}", headers: "Accept: text/event-stream\r\n")
      bench.settle()
      let id = try #require(making["Run-Id"])
      let client = bench.post("/follow", "{\"id\":\"\(id)\"}")
      #expect(try bench.events(client) == [.text("one ")], "\(bench.errors)")
      bench.simulation.loop.advance(by: .seconds(2))
      #expect(try bench.events(client).text == text)
      #expect(try bench.events(client).ends == [end])
      if kind == "bad" { #expect(try bench.events(client).failure?.code == "StreamAborted") }
    }
    let missing = bench.post("/follow", #"{"id":"nobody"}"#)
    bench.simulation.loop.advance(by: .seconds(6))
    #expect(try bench.events(missing).failure?.code == "ReadTimedOut")
    bench.expectQuiet()
  }

  @Test(arguments: ["return getReadable(\"t\")", "return getReadable(\"t\").map((t: string) => toUpper(t))"])
  func aStreamOfItsOwnIsWholeWhenTheBodyHasReturned(body: String) throws {
    let bench = try serve(
      """
      @post("/w") workflow W(m: string) -> stream {
        let writer: StreamWriter[string] = getWritable("t")
        _ = writer.write("a")
        _ = writer.write("b")
        \(body)
      }
      """)
    let client = bench.post("/w", #"{"m":"hi"}"#)
    #expect(try bench.events(client).text.lowercased() == "ab", "\(bench.errors)")
    #expect(try bench.events(client).ends == [.completed])
    bench.expectQuiet()
  }

  @Test func whatTheFunctionWritesIsTheRuns() throws {
    let bench = try serve(
      """
      @post("/w") workflow W(m: string) -> stream {
        let log: StreamWriter[string] = getWritable("log")
        return A.stream(m).map((t) => {
          _ = log.write(t)
          toUpper(t)
        })
      }
      """)
    let client = bench.post("/w", #"{"m":"hi"}"#)
    bench.asked[0].answer("a", "b")
    bench.settle()
    let run = try bench.run(client).name.path
    #expect(try bench.events(client).text == "AB")
    #expect(bench.items("\(run)/log") == #"["a","b"]"#)
    #expect(bench.ending("\(run)/log") == .closed)
    bench.expectQuiet()
  }

  @Test func aStreamWithoutEndSharesTheLoopAndCanBeStopped() throws {
    let bench = try serve(
      """
      @post("/w") workflow W(m: string) -> stream {
        var n = 0
        return generate(() => {
          n = n + 1
          sleep(100)
          Some("${n} ")
        })
      }
      @post("/quick") workflow Quick() -> int { 1 }
      """)
    let client = bench.post("/w", #"{"m":"hi"}"#)
    bench.simulation.loop.advance(by: .seconds(2))
    #expect(String(decoding: bench.post("/quick", "{}").body, as: UTF8.self) == "1")
    #expect(try bench.events(client).text.hasPrefix("1 2 3 4 "))
    try bench.stop(client)
    #expect(try bench.events(client).ends == [.aborted])
    bench.expectQuiet()
  }

  @Test func twoRunsOfOneStreamCollideHonestly() throws {
    let bench = try serve(
      """
      let shared = generate(() => {
        sleep(1000)
        Some("x")
      })
      @post("/w") workflow W(m: string) -> stream { return shared }
      """)
    let first = bench.post("/w", #"{"m":"hi"}"#)
    let second = bench.post("/w", #"{"m":"hi"}"#)
    #expect(try bench.events(second).failure?.code == "StreamBusy")
    try bench.stop(first)
    #expect(try bench.events(first).ends == [.aborted])
    bench.expectQuiet()
  }

  // MARK: Values that are no text

  static let values: [(type: String, stream: String, text: String)] = [
    ("int", "A.stream(m).map((t) => len(t))", "1\n2\n"),
    (
      "Point", "A.stream(m).map((t) => {x: len(t), name: t})",
      #"{"name":"a","x":1}"# + "\n" + #"{"name":"bb","x":2}"# + "\n"
    ),
    ("[string]", "A.stream(m).chunk(2)", #"["a","bb"]"# + "\n"),
    ("int?", "A.stream(m).map((t) => if t == \"a\" then None else Some(2))", "null\n2\n"),
    ("Json", "A.stream(m).map((t) => JString(t))", "\"a\"\n\"bb\"\n"),
    ("bytes", "A.stream(m).map((t) => fromString(t))", "\"YQ==\"\n\"YmI=\"\n"),
    ("string", "A.stream(m).map((t) => t)", "abb"),
  ]

  @Test(arguments: 0..<values.count) func eachValueIsALineOfJSON(_ number: Int) throws {
    let (type, stream, text) = Self.values[number]
    let bench = try serve(
      """
      import std/json (JString)
      import std/bytes (fromString)
      type Point = {x: int, name: string}
      @post("/w") workflow W(m: string) -> Stream[\(type)] { return \(stream) }
      """)
    let client = bench.post("/w", #"{"m":"hi"}"#)
    bench.asked[0].answer("a", "bb")
    bench.settle()
    #expect(try bench.events(client).text == text, "\(type): \(bench.errors)")
    #expect(try bench.events(client).ends == [.completed])
    bench.expectQuiet(type)
  }

  @Test func whatHappensToStreamsIsAnAnswerAsWell() throws {
    let bench = try serve(
      """
      import std/streaming (StreamActivity)
      @post("/w") workflow W(m: string) -> Stream[StreamActivity] {
        let events = streamEvents()
        let writer: StreamWriter[string] = getWritable("t")
        _ = writer.write("a")
        return events.take(2)
      }
      """)
    let client = bench.post("/w", #"{"m":"hi"}"#)
    let lines = try bench.events(client).text.split(separator: "\n").map { try JSONValue.parse(String($0)) }
    #expect(lines.map { $0["kind"] } == ["stream_created", "stream_write"], "\(bench.errors)")
    bench.expectQuiet()
  }

  @Test func whatHasNoJSONFormFailsTheRun() throws {
    let bench = try serve(
      #"@post("/w") workflow W(m: string) -> Stream[int -> int] { return A.stream(m).map((t) => (x) => x + len(t)) }"#)
    let client = bench.post("/w", #"{"m":"hi"}"#)
    bench.asked[0].head(200)
    bench.asked[0].body(delta("a"))
    bench.settle()
    #expect(try bench.events(client).failure?.code == "NoResult")
    #expect(try bench.events(client).ends == [.error])
    #expect(bench.asked[0].isCancelled)
    bench.expectQuiet()
  }

  @Test func aRunThatWasTakenUpSaysItAgain() throws {
    let text =
      Self.imports + """
        @post("/w") workflow W(m: string) -> stream {
          let words = step "words" { ["a", "b", "c"] }
          var left = words
          return generate(() => {
            sleep(1000)
            match left {
              word :: rest => {
                left = rest
                Some(word)
              }
              [] => None
            }
          })
        }
        """
    let mortal = Mortal()
    let first = try Bench(
      text,
      store: {
        mortal.store = MemoryStreamStore(loop: $0)
        return mortal
      }
    ).serve()
    let client = first.post("/w", #"{"m":"hi"}"#)
    first.simulation.loop.advance(by: .milliseconds(1500))
    #expect(try first.events(client) == [.text("a")], "\(first.errors)")
    mortal.left = 0
    let second = try Bench(
      text, store: { _ in mortal.store }, in: first.simulation, configure: { $0.server.port = 8081 })
    second.serve()
    second.simulation.loop.advance(by: .seconds(10))
    let run = try #require(second.runs.first)
    let events = second.events(run)
    #expect(events == [.text("a"), .restart, .text("a"), .text("b"), .text("c"), .end(.completed)], "\(second.errors)")
  }
}
