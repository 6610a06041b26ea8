import Testing
import WeirCore
import WeirLang
import WeirStore
import WeirTesting

@testable import WeirRuntime

/// What happens to streams, as programs hear of it: `streamEvents`.
@Suite struct StreamActivityTests {
  private func run(_ text: String) throws -> Bench {
    let bench = try Bench(
      "import std/streaming (StreamActivity, StreamReader, StreamWriter, abort, close, collect, filter, getReadable, getWritable, map, next, "
        + "read, streamEventSource, streamEvents, take, write)\nimport std/stream (SourceText, selectEvents)\n"
        + "import std/clock (sleep)\nimport std/json (decodeAs)\n" + text, configure: { $0.runID = "w" })
    bench.instance.run(entryArguments: [])
    bench.simulation.loop.advance(by: .seconds(20))
    return bench
  }

  @Test func everyKindIsToldWithItsFields() throws {
    let bench = try run(
      """
      func main() {
        let events = streamEvents()
        let writer: StreamWriter[string] = getWritable("n", highWaterMark: 1)
        let reader: StreamReader[string] = getReadable("n", backpressure: true)
        _ = writer.write("a")
        _ = more(writer) || late(reader)
        _ = next(reader)
        _ = writer.abort("why not")
        events.close()
        for e in events { println("${e.kind} ${e.workflowId}/${e.namespace} ${e.position} ${e.detail} ${e.dropped}") }
      }
      func late(reader: StreamReader[string]) -> int {
        sleep(5)
        _ = next(reader)
        1
      }
      func more(writer: StreamWriter[string]) -> int {
        _ = writer.write("b")
        1
      }
      """)
    #expect(
      bench.output == """
        stream_created w/n Some(0) None 0
        stream_write w/n Some(0) None 0
        stream_backpressure w/n Some(1) None 0
        stream_read w/n Some(0) None 0
        stream_write w/n Some(1) None 0
        stream_read w/n Some(1) None 0
        stream_close w/n Some(2) Some("why not") 0

        """, "\(bench.errors)")
    #expect(bench.exits == [0])
  }

  @Test func theStoresFailuresAreTold() throws {
    var slow: SlowStore?
    let bench = try Bench(
      """
      import std/streaming (StreamWriter, close, getWritable, streamEvents, write)
      import std/task (attempt)
      func open() -> int {
        let other: StreamWriter[int] = getWritable("text")
        1
      }
      func main() {
        let events = streamEvents()
        println("${attempt(open)}")
        let writer: StreamWriter[string] = getWritable("n")
        println("${writer.write("a long item")}")
        events.close()
        for e in events { println("${e.kind} ${e.namespace} ${e.position} ${e.detail}") }
      }
      """,
      store: { loop in
        let store = SlowStore(loop)
        store.largest = 5
        slow = store
        return store
      }, configure: { $0.runID = "w" })
    let taken = try WorkflowStreams.name(workflow: "w", namespace: "text")
    slow?.create(taken, StreamCreation(contentType: "text/plain")) { _ in }
    bench.run()
    let lines = bench.output.split(separator: "\n")
    #expect(lines.count == 5 && lines[0].contains("Err") && lines[1].contains("WriteFailed"), "\(bench.output)")
    #expect(lines.dropFirst(2).first?.hasPrefix("stream_error text None Some(") == true, "\(bench.output)")
    #expect(lines.dropFirst(3).first == "stream_created n Some(0) None")
    #expect(lines.last?.hasPrefix("stream_error n Some(0) Some(") == true, "\(bench.output)")
  }

  @Test func aListenerThatDoesNotReadIsToldWhatItMissed() throws {
    let bench = try run(
      """
      func main() {
        let events = streamEvents(limit: 3)
        let deaf = streamEvents(limit: 1)
        let writer: StreamWriter[int] = getWritable("n")
        for i in 0..100 { _ = writer.write(i) }
        _ = writer.close()
        events.close()
        for e in events { println("${e.kind} ${e.position} ${e.dropped}") }
      }
      """)
    #expect(
      bench.output == "stream_write Some(98) 99\nstream_write Some(99) 0\nstream_close Some(100) 0\n", "\(bench.errors)"
    )
  }

  @Test func transformersAndLoopsTakeThem() throws {
    let bench = try run(
      """
      func work() -> int {
        let writer: StreamWriter[int] = getWritable("n")
        for i in 0..5 { _ = writer.write(i) }
        _ = writer.close()
        5
      }
      func hear() -> int {
        let places = streamEvents().filter((e) => e.kind == "stream_write").map((e) => e.position).take(3).collect()
        println("${places}")
        3
      }
      func main() { println("${hear() || work()}") }
      """)
    #expect(bench.output == "[Some(0), Some(1), Some(2)]\n[3, 5]\n", "\(bench.errors)")
  }

  @Test func selectTakesThemBesideOtherSources() throws {
    let bench = try run(
      """
      func work() -> int {
        let writer: StreamWriter[int] = getWritable("n")
        for i in 0..50 { _ = writer.write(i) }
        _ = writer.close()
        50
      }
      func hear() -> int {
        var heard = 0
        selectEvents([streamEventSource("streams", 1, limit: 1000)], (event) => match event {
          SourceText("streams", text) => {
            match heardOf(text) {
              Ok(e) => {
                if e.kind == "stream_write" { heard = heard + 1 }
                e.kind != "stream_close"
              }
              Err(why) => {
                println("${why}")
                false
              }
            }
          }
          _ => true
        })
        heard
      }
      func heardOf(text: string) -> Result[StreamActivity, string] { decodeAs(text) }
      func main() { println("${hear() || work()}") }
      """)
    #expect(bench.output == "[50, 50]\n", "\(bench.errors)")
    #expect(bench.exits == [0])
  }

  /// In all of these, what is done for an event would make the next one without end.
  static let loops: [(name: String, body: String)] = [
    ("logs", "for e in streamEvents() { _ = log.write(e.kind) }"),
    ("logs what it has mapped", "for k in streamEvents().map((e) => e.kind) { _ = log.write(k) }"),
    ("logs in a map", "for k in streamEvents().map((e) => { _ = log.write(e.kind); 1 }) { () }"),
    ("logs in another task", "for e in streamEvents() { _ = put(log, e.kind) || put(log, \"and\") }"),
    ("logs in a step", "for e in streamEvents() { step \"log\" { _ = log.write(e.kind); () } }"),
    (
      "hears in a step and logs after",
      "let events = streamEvents()\nstep \"one\" { _ = next(events); () }\nfor e in events { _ = log.write(e.kind) }"
    ),
    (
      "makes a stream for each",
      "for e in streamEvents() {\nlet s: StreamWriter[int] = getWritable(\"s${e.kind}${e.position}\")\n_ = s.write(1)\n_ = s.close()\n_ = log.write(e.kind) }"
    ),
    (
      "reads for each",
      "for e in streamEvents() {\nlet r: StreamReader[int] = getReadable(\"n\")\n_ = next(r)\n_ = log.write(e.kind) }"
    ),
    ("selects", "selectEvents([streamEventSource(\"s\", 1)], (event) => { _ = log.write(\"x\"); true })"),
  ]

  @Test(arguments: 0..<loops.count) func aListenerIsNotToldOfWhatItDoesItself(_ number: Int) throws {
    let (name, body) = Self.loops[number]
    let bench = try Bench(
      """
      import std/streaming (StreamReader, StreamWriter, close, getReadable, getWritable, map, next, streamEventSource, streamEvents, write)
      import std/stream (selectEvents)
      import std/clock (sleep)
      func put(log: StreamWriter[string], text: string) -> int {
        _ = log.write(text)
        1
      }
      func hear() -> int {
        let log: StreamWriter[string] = getWritable("log")
        \(body)
        0
      }
      func follow() -> int {
        let log: StreamReader[string] = getReadable("log")
        for line in log { () }
        0
      }
      func work() -> int {
        sleep(100)
        let writer: StreamWriter[int] = getWritable("n")
        for i in 0..3 { _ = writer.write(i) }
        _ = writer.close()
        0
      }
      func main() { println("${hear() || follow() || hear() || work()}") }
      """, configure: { $0.runID = "w" })
    bench.instance.run(entryArguments: [])
    bench.simulation.loop.advance(by: .seconds(30))
    let count = bench.items("runs/w/log").split(separator: ",").count
    // Two listeners, and five events of `n` that both hear of; before they write, a few of the log.
    #expect((5...40).contains(count), "\(name): \(count), \(bench.errors)")
    #expect(bench.exits.isEmpty, "\(name): it waits for more, \(bench.output) \(bench.errors)")
    bench.instance.exit(0)
    bench.settle()
    #expect(bench.exits == [0], "\(name)")
  }

  @Test func everyWorkflowOfTheProcessIsHeard() throws {
    let bench = try Bench(
      """
      import std/streaming (StreamWriter, getWritable, next, streamEvents, write)
      let kept = streamEvents()
      @post("/own") workflow Own() -> int {
        let events = streamEvents()
        let writer: StreamWriter[int] = getWritable("n")
        _ = writer.write(1)
        _ = next(events)
        1
      }
      @post("/other") workflow Other() -> string { match next(kept) { Some(e) => "${e.kind} ${e.namespace}", None => "over" } }
      """
    ).serve()
    let client = bench.post("/own", "{}")
    #expect(String(decoding: client.body, as: UTF8.self) == "1", "\(bench.errors)")
    #expect(
      String(decoding: bench.post("/other", "{}").body, as: UTF8.self) == #""stream_created n""#, "\(bench.errors)")
    bench.expectQuiet()
  }

  @Test func theEndOfARunEndsWhatItHasOpened() throws {
    let loop = SimulatedLoop()
    let access = StreamAccess(store: MemoryStreamStore(loop: loop), loop: loop)
    let queue = ActivityQueue(of: access)
    let stream = ActivityStream(queue)
    let run = DurableRun(id: "r", begun: [:], access: access)
    run.scope.add(queue)
    var answers: [Result<Value, RunFailure>] = []
    try stream.next { answers.append($0) }
    #expect(answers.isEmpty)
    run.end(failure: nil)
    try stream.next { answers.append($0) }
    #expect(answers.count == 2 && answers.allSatisfy { if case .success(.tag) = $0 { true } else { false } })
    #expect(queue.isEnded && stream.isOver)
  }

  @Test func nobodyIsMadeToWaitAndNothingIsLeft() throws {
    let bench = try run(
      """
      func once(i: int) {
        let events = streamEvents()
        let writer: StreamWriter[int] = getWritable("n${i}")
        _ = writer.write(i)
        println(match next(events) { Some(e) => e.namespace, None => "none" })
      }
      func main() { for i in 0..3 { once(i) } }
      """)
    #expect(bench.output == "n0\nn1\nn2\n", "\(bench.errors)")
  }

  @Test func aBadLimitIsRefused() throws {
    for limit in ["0", "-1", "65537"] {
      let bench = try run("func main() { let s = streamEvents(limit: \(limit)); println(\"${next(s)}\") }")
      #expect(
        bench.errors.contains("BadArgument: streamEvents: a limit of \(limit): from 1 to 65536"), "\(bench.errors)")
      #expect(bench.exits == [1])
    }
  }
}
