import Testing
import WeirCore
import WeirLang
import WeirTesting

@testable import WeirRuntime

/// Programs that read an answer themselves, piece by piece.
@Suite struct AgentStreamTests {
  @Test func aLoopGetsEachPieceAsItComes() throws {
    let bench = try Bench(Programs.agent + #"func main() { for t in A.stream("hi") { print("<${t}>") }; print(".") }"#)
      .run()
    bench.asked[0].head(200)
    bench.asked[0].body(delta("a"))
    bench.settle()
    #expect(bench.output == "<a>")
    bench.asked[0].body(delta("b") + delta("", finish: "stop") + done)
    bench.asked[0].finish()
    bench.settle()
    #expect(bench.output.hasPrefix("<a><b>") && bench.output.hasSuffix("."))
    #expect(bench.exits == [0])
  }

  @Test func aCutAnswerFailsTheLoop() throws {
    let bench = try Bench(Programs.agent + #"func main() { for t in A.stream("hi") { print(t) }; print("whole") }"#)
      .run()
    bench.asked[0].answer("a", finish: nil)
    bench.settle()
    #expect(bench.output == "a")
    #expect(bench.errors.contains("Truncated: "))
    #expect(bench.exits == [1])
  }

  @Test(arguments: [0, 1]) func whoDoesNotReadHoldsTheModelBack(before: Int) throws {
    // The wait is before the first piece is asked for, or after it: the feed holds, or the reader.
    let program =
      before == 0
      ? #"let s = A.stream("hi"); _ = A.ask("wait"); for t in s { print(t) }"#
      : #"var n = 0; for t in A.stream("hi") { n = n + 1; if n == 1 { _ = A.ask("wait") }; print(t) }"#
    let bench = try Bench(Programs.agent + "func main() { \(program) }").run()
    // The order in which they were begun; the network may deliver them in another.
    let asked = { bench.simulation.http.exchanges }
    let words = (0..<1000).map { "\($0) " }
    asked()[0].head(200)
    for word in words { asked()[0].body(delta(word)) }
    asked()[0].body(delta("", finish: "stop") + done)
    asked()[0].finish()
    bench.simulation.loop.advance(by: .seconds(3))
    #expect(asked()[0].isReading == false)
    #expect(asked()[0].bytesDelivered < delta("000 ").utf8.count * (AgentFeed.bufferLimit + 30))
    #expect(bench.output.isEmpty)
    asked()[1].answer("go")
    bench.simulation.loop.advance(by: .seconds(10))
    #expect(bench.output == words.joined())
    #expect(bench.exits == [0])
  }

  @Test func leavingTheLoopClosesTheModelsSocket() throws {
    let bench = try Bench(
      Programs.agent + """
        func first() -> string { for t in A.stream("hi") { return t }; "nothing" }
        func main() { println(first()); _ = A.ask("more") }
        """
    ).run()
    bench.asked[0].head(200)
    bench.asked[0].body(delta("a") + delta("b"))
    bench.settle()
    #expect(bench.output == "a\n")
    #expect(bench.asked[0].isCancelled && bench.asked.count == 2)
  }

  @Test func anAnswerThatNobodyTakesIsStopped() throws {
    let bench = try Bench(
      Programs.agent + #"func f() { let s = A.stream("x"); () } func main() { f(); _ = A.ask("y") }"#)
    bench.run()
    #expect(bench.asked.count == 2 || bench.simulation.http.exchanges.count == 2)
    #expect(bench.simulation.http.exchanges.count(where: \.isCancelled) == 1)
  }

  @Test func twoTasksCantWaitForTheSamePiece() throws {
    let bench = try Bench(
      Programs.agent + """
        import std/stream (next)
        import std/task (settle)
        func main() {
          let s = A.stream("x")
          for r in settle([() => next(s), () => next(s)], 0) {
            match r { Ok(t) => println(show(t)), Err(e) => println(e.code) }
          }
        }
        """
    ).run()
    bench.asked[0].answer("a")
    bench.settle()
    #expect(bench.output == "Some(\"a\")\nStreamBusy\n")
    #expect(bench.exits == [0])
  }

  @Test func aCallThatLostARaceIsStopped() throws {
    let bench = try Bench(
      Programs.agent + """
        import std/task (race)
        import std/ai/streaming (callStream)
        func call(m: string) -> string {
          match callStream("model", m, "[{\\"role\\":\\"user\\",\\"content\\":\\"x\\"}]") { Ok(t) => t, Err(e) => e.code }
        }
        func main() { println(race([() => call("slow"), () => call("fast")])) }
        """
    ).run()
    #expect(bench.asked.count == 2)
    bench.asked[1].answer("won")
    bench.settle()
    #expect(bench.output == "won\n")
    #expect(bench.asked[0].isCancelled)
  }

  // MARK: Nothing is left

  static let ways: [(name: String, act: @Sendable (Bench, String) -> Void)] = [
    ("ends", { bench, _ in bench.asked.last?.answer("a", "b") }),
    ("is cut", { bench, _ in bench.asked.last?.answer("a", finish: nil) }),
    ("is stopped", { bench, id in bench.instance.runs.stop(run: id) }),
    (
      "is stopped later",
      { bench, id in
        bench.asked.last?.head(200)
        bench.asked.last?.body(delta("a"))
        bench.settle()
        bench.instance.runs.stop(run: id)
      }
    ),
  ]

  static let bodies = [
    #"return A.stream(m, session: "s")"#,
    #"let s = A.stream("x"); _ = A.ask(m); return s"#,
    #"var t = ""; for x in A.stream(m) { t = t ++ x }; return A.stream(t)"#,
    #"for x in A.stream(m) { return A.stream(x) }; return A.stream("none")"#,
  ]

  @Test func whateverARunDoesNothingIsLeftOfIt() throws {
    for body in Self.bodies {
      for (name, act) in Self.ways {
        let bench = try Bench(Programs.agent + "@post(\"/w\") workflow W(m: string) -> stream { \(body) }").serve()
        let client = bench.post("/w", #"{"m":"hi"}"#)
        let id = try #require(client["Run-Id"])
        weak let run = bench.instance.runs.runs[id]
        weak let writer = run?.writer
        weak let fiber = run?.fiber
        weak let feed = run?.writer.source as? AgentFeed
        weak let call = feed?.call
        #expect(run != nil && writer != nil && (fiber != nil || (feed != nil && call != nil)), "\(name): \(body)")
        act(bench, id)
        bench.simulation.loop.advance(by: .seconds(5))
        // What a body went on to ask after that is answered too.
        for exchange in bench.asked where exchange.isOpen { exchange.answer("rest") }
        bench.simulation.loop.advance(by: .seconds(5))
        bench.expectQuiet("\(name): \(body)")
        #expect(bench.instance.scheduler.fiberCount == 0, "\(name): \(body)")
        #expect(run == nil && writer == nil && fiber == nil && feed == nil && call == nil, "\(name): \(body)")
      }
    }
  }

  @Test func aProgramThatIsLetGoTakesEverythingWithIt() throws {
    let bench = try Bench(Programs.chat).serve()
    let client = bench.post("/chat", #"{"message":"hi","session_id":"s"}"#)
    weak let instance = bench.instance
    weak let scheduler = bench.instance.scheduler
    weak let run = bench.instance.runs.runs[client["Run-Id"] ?? ""]
    #expect(instance != nil && scheduler != nil && run != nil)
    #expect(bench.instance.shutDown())
    bench.simulation.loop.advance(by: .seconds(60))
    #expect(bench.exits == [0])
    bench.drop()
    bench.simulation.loop.advance(by: .seconds(60))
    #expect(instance == nil && scheduler == nil && run == nil)
  }
}
