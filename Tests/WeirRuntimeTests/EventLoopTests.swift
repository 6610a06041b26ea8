import Testing
import WeirCore
import WeirFlow
import WeirLang
import WeirTesting

@testable import WeirRuntime

/// `selectEvents`, `foldEvents` and `runEventLoop` as programs see them: programs and what they print, in a simulated
/// world. The order of events is tested below, in WeirFlowTests.
@Suite struct EventLoopTests {
  private static let imports = """
    import std/stream (asyncReadStdinLines, sourceOfStdinBytes, timerSource, selectEvents, foldEvents, cancel,
      StreamEvent, SourceText, SourceBytes, StreamError, Timeout)
    import std/bytes (toString)
    import std/clock (sleep)

    """

  private func bench(_ body: String, configure: (inout ProgramInstance.Options) -> Void = { _ in }) throws -> Bench {
    try Bench(Self.imports + body, configure: configure)
  }

  private static let printing = """
    func show(event: StreamEvent) -> bool ! {IO} {
      match event {
        SourceText(name, text) => { println("${name}:${text}"); true },
        SourceBytes(name, data) => { println("${name}:${toString(data)}"); true },
        StreamError(Timeout(why)) => { println(why); true },
        _ => true
      }
    }

    """

  @Test func linesOfStandardInputUntilItsEnd() throws {
    let bench = try bench(
      Self.printing + """
        func main() { selectEvents([asyncReadStdinLines("in", 1)], show); println("end") }
        """)
    bench.simulation.console.holdInputOpen()
    bench.run()
    bench.simulation.console.type(Array("one\r\ntw".utf8))
    bench.settle()
    #expect(bench.output == "in:one\n")
    bench.simulation.console.type(Array("o\n\nlast".utf8))
    bench.simulation.console.endInput()
    bench.settle()
    #expect(bench.output == "in:one\nin:two\nin:\nin:last\nend\n")
    #expect(bench.exits == [0] && bench.errors == "")
  }

  @Test func bytesOfStandardInputInFullChunks() throws {
    let bench = try bench(
      Self.printing + """
        func main() { selectEvents([sourceOfStdinBytes("in", 1, 4)], show) }
        """)
    for piece in ["a", "bcde", "fghij"] { bench.simulation.console.type(Array(piece.utf8)) }
    bench.simulation.console.endInput()
    bench.run()
    #expect(bench.output == "in:abcd\nin:efgh\nin:ij\n")
  }

  @Test func aTimerTicksAtMultiplesAndLeavesOutWhatNobodyTook() throws {
    let bench = try bench(
      """
      import std/clock (monotonic)
      func main() {
        let start = monotonic()
        let ticks = timerSource("t", 10, 0)
        let count = foldEvents([ticks], 0, (n, event) => {
          println(monotonic() - start)
          if n == 1 { sleep(35) }
          {state: n + 1, continue: n < 4}
        })
        println("count ${count}")
        cancel(ticks)
        selectEvents([ticks], (_) => { println("never"); true })
      }
      """)
    bench.run()
    #expect(bench.output == "10\n20\n55\n60\n70\ncount 5\n")
    #expect(bench.simulation.loop.pendingTimerCount == 0)
  }

  @Test func aStateGoesFromEventToEvent() throws {
    let bench = try bench(
      """
      func main() {
        let longest = foldEvents([asyncReadStdinLines("in", 0)], "", (best, event) => match event {
          SourceText(_, line) => {state: if len(line) > len(best) then line else best, continue: line != "stop"},
          _ => {state: best, continue: true}
        })
        println(longest)
      }
      """)
    bench.simulation.console.input = ["a", "ccc", "bb", "stop", "unseen"]
    bench.run()
    #expect(bench.output == "stop\n")
  }

  @Test func sourcesAreBorrowedAndLaterLoopsReadOn() throws {
    let bench = try bench(
      """
      import std/io (readLine)
      func main() {
        let input = asyncReadStdinLines("in", 0)
        selectEvents([input], (event) => match event { SourceText(_, line) => { println("1 ${line}"); line != "b" }, _ => true })
        selectEvents([input], (event) => match event { SourceText(_, line) => { println("2 ${line}"); line != "c" }, _ => true })
        cancel(input)
        println("after: ${readLine()}.")
      }
      """)
    bench.simulation.console.input = ["a", "b", "c"]
    bench.run()
    #expect(bench.output == "1 a\n1 b\n2 c\nafter: .\n")
  }

  @Test func handlersMaySuspendAndFailWithTheirPlace() throws {
    let bench = try bench(
      """
      func main() {
        selectEvents([asyncReadStdinLines("in", 0)], (event) => match event {
          SourceText(_, line) => { sleep(50); println(line); 1 / (len(line) - 2) > -5 },
          _ => true
        })
        println("not reached")
      }
      """)
    bench.simulation.console.input = ["abc", "ab", "a"]
    bench.run()
    #expect(bench.output == "abc\nab\n")
    #expect(bench.errors.contains("DivisionByZero"))
    #expect(bench.exits == [1])
  }

  @Test(arguments: [
    ("selectEvents([], (_) => true)", "NoSources"),
    ("{ let s = timerSource(\"t\", 5, 0); selectEvents([s, s], (_) => true) }", "SourceTwice"),
    (
      "{ let s = timerSource(\"t\", 5, 0); selectEvents([s], (_) => { selectEvents([s], (_) => true); true }) }",
      "SourceBusy"
    ),
    ("{ let a = asyncReadStdinLines(\"a\", 0); let b = asyncReadStdinLines(\"b\", 0) }", "InputTaken"),
    ("{ let s = timerSource(\"t\", 0, 0) }", "BadArgument"),
    ("{ let s = sourceOfStdinBytes(\"t\", 0, 0) }", "BadArgument"),
    ("{ let s = sourceOfStdinBytes(\"t\", 0, 16777217) }", "BadArgument"),
  ])
  func mistakesAreErrors(_ body: String, _ code: String) throws {
    let bench = try bench("func main() \(body.hasPrefix("{") ? body : "{ \(body) }")")
    bench.run()
    #expect(bench.errors.contains(code), "\(bench.errors)")
    #expect(bench.exits == [1])
  }

  @Test func idleAndDurationAreToldAndEndTheLoop() throws {
    let program =
      Self.printing + """
        func main() {
          let ticks = timerSource("t", 30000, 0)
          selectEvents([ticks], show)
          cancel(ticks)
          selectEvents([asyncReadStdinLines("in", 0)], show)
        }
        """
    let bench = try bench(program)
    bench.simulation.console.holdInputOpen()
    bench.run()
    bench.simulation.loop.advance(by: .seconds(400))
    let ticks = String(repeating: "t:\n", count: 9)
    #expect(bench.output == ticks + "max duration 5m0s exceeded\nidle timeout after 1m0s\n")
    #expect(bench.exits == [0])
  }

  @Test func deadlinesCanBeChosen() throws {
    let bench = try bench(
      Self.printing + "func main() { selectEvents([timerSource(\"t\", 10, 0)], show) }"
    ) {
      $0.streams.idleTimeout = .milliseconds(9)
      $0.streams.maxDuration = nil
    }
    bench.run()
    #expect(bench.output == "idle timeout after 9ms\n")
  }

  /// Ten thousand lines in 64 pieces; a handler that takes 1 ms for each. What was read and not handled stays small.
  @Test func aSlowHandlerStopsTheReading() throws {
    let bench = try bench(
      """
      func main() {
        let count = foldEvents([asyncReadStdinLines("in", 0)], 0, (n, _) => { sleep(1); {state: n + 1, continue: true} })
        println(count)
      }
      """)
    for _ in 0..<64 { bench.simulation.console.type(Array(String(repeating: "line\n", count: 150).utf8)) }
    bench.simulation.console.endInput()
    bench.instance.run(entryArguments: [])
    bench.simulation.loop.advance(by: .seconds(1))
    // 1 000 handled, 100 queued, the rest of one piece, one piece under way.
    #expect((7...9).contains(bench.simulation.console.piecesRead), "\(bench.simulation.console.piecesRead)")
    bench.simulation.loop.advance(by: .seconds(20))
    #expect(bench.output == "9600\n")
  }

  @Test func aCancelledFiberGivesItsSourcesBack() throws {
    let bench = try bench(
      """
      func main() {
        let input = asyncReadStdinLines("in", 0)
        let lost = race([
          () => { selectEvents([input], (_) => true); "loop" },
          () => { sleep(10); "sleep" }
        ])
        println(lost)
        selectEvents([input], (event) => match event { SourceText(_, line) => { println(line); true }, _ => true })
      }
      """.replacingImport("std/task (race)"))
    bench.simulation.console.holdInputOpen()
    bench.run()
    #expect(bench.output == "sleep\n", "\(bench.errors)")
    bench.simulation.console.type(Array("still there\n".utf8))
    bench.simulation.console.endInput()
    bench.settle()
    #expect(bench.output == "sleep\nstill there\n")
  }

  @Test func aLimitOnStreamCountsCallsNotEvents() throws {
    let program = """
      func listen() -> unit ! {Stream @limit=LIMIT, IO} {
        let input = asyncReadStdinLines("in", 0)
        selectEvents([input], (event) => match event { SourceText(_, line) => { println(line); true }, _ => true })
      }
      func main() { listen() }
      """
    for (limit, output, code) in [("2", "a\nb\nc\n", ""), ("1", "", "LimitReached")] {
      let bench = try bench(program.replacingOccurrence("LIMIT", limit))
      bench.simulation.console.input = ["a", "b", "c"]
      bench.run()
      #expect(bench.output == output)
      #expect(bench.errors.hasPrefix(code), "\(bench.errors)")
    }
  }
}

extension String {
  fileprivate func replacingImport(_ module: String) -> String { "import \(module)\n" + self }
  fileprivate func replacingOccurrence(_ word: String, _ other: String) -> String {
    var out = ""
    var rest = Substring(self)
    while let first = rest.first {
      if rest.hasPrefix(word) {
        out += other
        rest = rest.dropFirst(word.count)
      } else {
        out.append(first)
        rest = rest.dropFirst()
      }
    }
    return out
  }
}
