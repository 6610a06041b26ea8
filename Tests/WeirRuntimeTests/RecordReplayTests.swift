import Testing
import WeirCore
import WeirFlow
import WeirLang
import WeirTesting

@testable import WeirRuntime

/// `--record` and `--replay` as programs see them, with connections that live in memory.
@Suite struct RecordReplayTests {
  private static let program = """
    import std/stream (connect, asyncReadStdinLines, timerSource, sourceOfConn, selectEvents, onEvent, runEventLoop,
      transmit, disconnect, status, StreamEvent, Opened, Message, Closed, SourceText, SourceBytes, StreamError, Timeout, ConnectionFailed)
    func show(event: StreamEvent) -> bool ! {IO} {
      match event {
        Opened(url) => { println("opened ${url}"); true },
        Message(text) => { println("message ${text}"); true },
        SourceText(name, text) => { println("${name}: ${text}"); true },
        SourceBytes(name, data) => { println("${name}: ${len(data)} bytes"); true },
        StreamError(Timeout(why)) => { println(why); true },
        Closed(code, reason) => { println("closed ${code} ${reason}"); true },
        _ => true
      }
    }
    func main() {
      match connect("wss://down.test/a?key=canary", {headers: []}) {
        Err(ConnectionFailed(why)) => println(why),
        _ => println("?")
      }
      match connect("wss://echo.test/a?key=canary", {headers: [{name: "Authorization", value: "Bearer canary-2"}]}) {
        Err(_) => println("not open"),
        Ok(conn) => {
          println(transmit(conn, "hello"))
          let ticks = timerSource("tick", 40, 0)
          selectEvents([sourceOfConn(conn, "ws", 5), asyncReadStdinLines("in", 9), ticks], (e) => { show(e) && match e {
            Closed(_, _) => false,
            _ => true
          } })
          println(status(conn))
          println(transmit(conn, "late"))
        }
      }
    }
    """

  private func bench(_ configure: (inout ProgramInstance.Options) -> Void, dials: @escaping () -> Void = {}) throws
    -> Bench
  {
    try Bench(
      Self.program,
      library: MemoryConnection.library { world, url in
        dials()
        return url.contains("down")
          ? nil : MemoryConnection(url: url, loop: world.loop, greeting: "Bearer canary-2 welcome")
      }, configure: configure)
  }

  private func recorded() throws -> (output: String, file: [UInt8]) {
    let bench = try bench { $0.record = "run.jsonl" }
    bench.simulation.console.holdInputOpen()
    bench.instance.run(entryArguments: [])
    for (at, line) in [(15, "one"), (75, "two")] {
      _ = bench.simulation.loop.after(.milliseconds(at)) { bench.simulation.console.type(Array("\(line)\n".utf8)) }
    }
    bench.simulation.loop.advance(by: .seconds(2))
    #expect(bench.exits == [0] && bench.errors == "", "\(bench.errors)")
    var file: [UInt8] = []
    bench.simulation.disk.read("run.jsonl", limit: 1 << 20) { file = (try? $0.get()) ?? [] }
    bench.settle()
    return (bench.output, file)
  }

  @Test func aReplayPrintsTheSameWithoutAnythingReal() throws {
    let (output, file) = try recorded()
    #expect(output.contains("opened wss://echo.test/a?key=canary") && output.contains("in: two\n"), "\(output)")
    #expect(output.contains("tick: \n") && output.contains("closed 1000 bye"))
    #expect(!String(decoding: file, as: UTF8.self).contains("canary"))
    for (round, speed) in [nil, nil, 1, 100].enumerated() as EnumeratedSequence<[Double?]> {
      var dials = 0
      let bench = try bench(
        {
          $0.replay = try? Recording(file)
          $0.replaySpeed = speed
        }, dials: { dials += 1 })
      bench.simulation.console.input = ["this is not read"]
      bench.run()
      bench.simulation.loop.advance(by: .seconds(2))
      // What was hidden in the recording is all that differs.
      #expect(bench.output == output.replacing("Bearer canary-2", with: "[redacted]"), "round \(round)")
      #expect(dials == 0 && bench.simulation.console.piecesRead == 0 && bench.exits == [0])
    }
  }

  private static let models = """
    import std/ai/streaming (callStream, openaiCompatStream, tokens)
    \(Programs.provider)
    func ask() -> unit ! {AI, Stream, Net, IO} {
      match callStream("model", "m", [{role: "user", content: "hi"}]) {
        Ok(text) => println(text),
        Err(e) => println(e.code ++ ": " ++ e.message)
      }
    }
    func main() -> unit ! {AI, Stream, Net, IO} {
      ask()
      match openaiCompatStream("model", "m", [{role: "user", content: "hi"}]) {
        Ok(conn) => for t in tokens(conn) { println("[" ++ t.text ++ "]") },
        Err(e) => println(show(e))
      }
      ask()
      ask()
    }
    """

  /// What models said comes out of the recording as bytes, and means the same: whole answers, pieces, refusals, cut streams.
  @Test func modelsAnswerFromARecording() throws {
    let real = try Bench(Self.models, configure: { $0.record = "run.jsonl" })
    var count = 0
    real.simulation.http.serve(Bench.model) { exchange in
      count += 1
      switch count {
      case 1, 2: exchange.answer("Hel", "lo")
      case 3:
        exchange.head(401)
        exchange.body(#"{"error":{"message":"bad key key-12345678"}}"#)
        exchange.finish()
      default:
        exchange.head(200)
        exchange.body(delta("half"))
        exchange.fail(.reset)
      }
    }
    real.run()
    real.simulation.loop.advance(by: .seconds(60))
    #expect(real.output.hasPrefix("Hello\n[Hel]\n[lo]\n") && real.exits == [0], "\(real.output)\(real.errors)")
    #expect(real.output.contains("AuthFailed") && real.output.contains("Truncated"), "\(real.output)")
    var file: [UInt8] = []
    real.simulation.disk.read("run.jsonl", limit: 1 << 20) { file = (try? $0.get()) ?? [] }
    real.settle()
    #expect(!String(decoding: file, as: UTF8.self).contains("key-12345678"))
    for speed in [nil, 1] as [Double?] {
      let again = try Bench(
        Self.models,
        configure: {
          $0.replay = try? Recording(file)
          $0.replaySpeed = speed
        })
      again.run()
      again.simulation.loop.advance(by: .seconds(60))
      #expect(again.output == real.output.replacing("[redacted]", with: "************"), "\(again.errors)")
      #expect(again.simulation.http.exchanges.isEmpty && again.exits == [0])
    }
  }

  @Test func aProgramThatOpensWhatWasNotRecordedIsTold() throws {
    let header = Array("{\"weir\":\"recording\",\"version\":1}\n".utf8)
    let other = try bench { $0.replay = try? Recording(header) }
    other.run()
    #expect(other.output.hasPrefix("the recording has no further `connect` of wss://down.test/a\nnot open\n"))
    let bench = try Bench(
      "import std/stream (timerSource)\nfunc main() { let t = timerSource(\"t\", 1, 0) }",
      configure: { $0.replay = try? Recording(header) })
    bench.run()
    #expect(bench.errors.hasPrefix("NotRecorded") && bench.exits == [1])
  }

  @Test func aRecordingThatCannotBeWrittenStopsTheProgramBeforeItRuns() throws {
    let bench = try bench { $0.record = "missing/run.jsonl" }
    bench.run()
    #expect(bench.output == "" && bench.exits == [1])
    #expect(bench.errors.hasPrefix("weir: --record: "), "\(bench.errors)")
  }

  @Test func limitsAreTheProgramsAndAValue() throws {
    let bench = try Bench(
      """
      import std/stream (connect, StreamError, ConnectionFailed, BudgetExhausted, StreamConn, StreamErrorKind, transmit, disconnect)
      func open() -> Result[StreamConn, StreamErrorKind] ! {Stream} { connect("wss://echo.test", {headers: []}) }
      func twice(conn: StreamConn) -> unit ! {Stream @limit=1, IO} {
        println(transmit(conn, "a"))
        println(transmit(conn, "b"))
        println(connect("wss://echo.test", {headers: []}))
      }
      func main() {
        let a = open()
        let b = open()
        println(open())
        match a { Ok(conn) => { disconnect(conn); twice(conn) }, Err(_) => () }
        match b { Ok(conn) => twice(conn), Err(_) => () }
      }
      """,
      library: MemoryConnection.library { world, url in MemoryConnection(url: url, loop: world.loop, greeting: "") },
      configure: { $0.streams.connections = 2 })
    bench.run()
    let spent = "Err(BudgetExhausted(\"`transmit` would be use 2 of the effect Stream, which is limited to 1 here\"))\n"
    let spentConnect = spent.replacing("transmit", with: "connect")
    #expect(
      bench.output == "Err(ConnectionFailed(\"2 connections of this program are open already\"))\n"
        + "Err(ConnectionFailed(\"the connection is closed\"))\n" + spent + spentConnect + "Ok(())\n" + spent
        + spentConnect,
      "\(bench.errors)")
  }

  @Test func onEventAndRunEventLoop() throws {
    let bench = try Bench(
      """
      import std/stream (connect, onEvent, runEventLoop, status, disconnect, StreamEvent, Opened, Message, Closed, StreamConn)
      func main() {
        match connect("wss://echo.test", {headers: []}) {
          Err(_) => println("?"),
          Ok(conn) => {
            onEvent(conn, (_) => { println("never"); true })
            onEvent(conn, (event) => match event {
              Opened(_) => { println("first ${status(conn)}"); onEvent(conn, (e) => { println(e); true }); true },
              _ => { println("not reached"); true }
            })
            runEventLoop(conn)
            println("over ${status(conn)}")
            runEventLoop(conn)
            println("still over")
          }
        }
        match connect("wss://echo.test", {headers: []}) {
          Err(_) => println("?"),
          Ok(conn) => runEventLoop(conn)
        }
      }
      """,
      library: MemoryConnection.library { world, url in MemoryConnection(url: url, loop: world.loop, greeting: "hi") })
    bench.run()
    #expect(
      bench.output
        == "first Open\nMessage(\"hi\")\nClosed(1000, \"bye\")\nover StreamClosed\nstill over\n", "\(bench.errors)")
    #expect(bench.errors.contains("NoHandler") && bench.exits == [1])
  }
}

/// A connection that lives in memory: it says that it is open, greets after 20 ms, echoes, and closes after 100 ms.
final class MemoryConnection: StreamConnection {
  let events = EventQueue(limit: 1_000)
  var onOver: (() -> Void)?
  private(set) var status = StreamStatus.open
  private var timers: [any Cancellable] = []

  init(url: String, loop: any Loop, greeting: String) {
    events.push(.opened(url: url))
    timers.append(loop.after(.milliseconds(20)) { [weak self] in self?.events.push(.message(greeting)) })
    timers.append(loop.after(.milliseconds(100)) { [weak self] in self?.closed(1000, "bye") })
  }

  func transmit(_ message: StreamMessage, _ answer: @escaping (StreamErrorKind?) -> Void) {
    guard status == .open else { return answer(.connectionFailed("the connection is closed")) }
    if case .text(let text) = message { events.push(.message(text)) }
    answer(nil)
  }

  func close() { closed(1000, "") }

  private func closed(_ code: Int, _ reason: String) {
    guard status == .open else { return }
    for timer in timers { timer.cancel() }
    status = .closed
    events.push(.closed(code: code, reason: reason))
    events.finish()
    onOver.take()?()
  }

  /// The library with a `connect` that makes these; nil: refused.
  static func library(_ make: @escaping (World, String) -> MemoryConnection?) -> Library {
    var module = StreamModule.module
    module.absent["connect"] = nil
    module.natives.removeAll { $0.name == "connect" }
    module.natives.append(
      StreamModule.opening("connect", arity: 2) { arguments, context, answer in
        let world = try ProgramInstance.of(context).world
        let url = try arguments.get(0, as: String.self)
        return world.loop.after(.milliseconds(5)) {
          answer(make(world, url).map { .success($0) } ?? .failure(.connectionFailed("refused")))
        }
      })
    return Library.language + RuntimeLibrary.modules + [module]
  }
}
