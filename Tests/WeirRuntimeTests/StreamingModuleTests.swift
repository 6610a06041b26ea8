import Testing
import WeirCore
import WeirLang
import WeirStore
import WeirTesting

@testable import WeirRuntime

/// `std/streaming` as programs use it: the documented examples of seed 002, translated.
@Suite struct StreamingModuleTests {
  static func run(_ text: String) throws -> Bench { try Bench(text).run() }

  @Test func writtenItemsAreReadInOrderAndTheEndTellsTheirNumber() throws {
    let bench = try Self.run(
      """
      import std/streaming (StreamReader, StreamWriter, StreamEnded, close, getReadable, getWritable, position, read, write)
      func main() {
        let writer: StreamWriter[string] = getWritable("tokens")
        _ = writer.write("Hello")
        _ = writer.write(" World")
        println(writer.position())
        _ = writer.close()
        let reader: StreamReader[string] = getReadable("tokens")
        var going = true
        while going {
          match read(reader) {
            Ok(text) => println(text),
            Err(StreamEnded(position)) => {
              println("finished at ${position}")
              going = false
            },
            Err(why) => {
              println("failed: ${why}")
              going = false
            }
          }
        }
      }
      """)
    #expect(bench.output == "2\nHello\n World\nfinished at 2\n", "\(bench.errors)")
    #expect(bench.exits == [0])
  }

  @Test func valuesComeBackAsTheirTypes() throws {
    let bench = try Self.run(
      """
      import std/streaming (StreamReader, StreamWriter, close, filter, getReadable, getWritable, map, collect, write)
      type Kind = Word | Mark(string) | Pair(int, float)
      type Item = {token: string, score: float, kind: Kind, note?: string}
      func main() {
        let writer: StreamWriter[Item] = getWritable("out")
        _ = writer.write({token: "a", score: 0.9, kind: Word})
        _ = writer.write({token: "b", score: 0.5, kind: Mark("!"), note: "weak"})
        _ = writer.write({token: "c", score: 1.0, kind: Pair(1, 2.5)})
        _ = writer.close()
        let reader: StreamReader[Item] = getReadable("out")
        for item in reader.filter((item) => item.score > 0.8) {
          println("${item.token} ${item.score + 1.0} ${item.kind} ${item.note}")
        }
      }
      """)
    #expect(bench.output == "a 1.9 Word None\nc 2.0 Pair(1, 2.5) None\n", "\(bench.errors)")
  }

  @Test func aReaderOfAnotherFiberFollowsWhileTheStreamIsWritten() throws {
    let bench = try Self.run(
      """
      import std/streaming (StreamReader, StreamWriter, close, getReadable, getWritable, write)
      import std/clock (sleep)
      func produce() -> int {
        let writer: StreamWriter[int] = getWritable("n")
        for i in 0..3 {
          sleep(10)
          _ = writer.write(i)
        }
        _ = writer.close()
        3
      }
      func consume() -> int {
        let reader: StreamReader[int] = getReadable("n")
        var sum = 0
        for n in reader { sum = sum * 10 + n + 1 }
        sum
      }
      func main() {
        println(produce() || consume())
      }
      """)
    #expect(bench.output == "[3, 123]\n", "\(bench.errors)")
  }

  @Test func transformersAreLazySequentialAndInOrder() throws {
    let bench = try Self.run(
      """
      import std/streaming (StreamReader, StreamWriter, close, getReadable, getWritable, write, map, filter, flatMap, chunk,
        take, skip, takeWhile, skipWhile, collect, reduce, pipe, generate)
      func numbers() -> StreamReader[int] {
        getReadable("n")
      }
      func main() {
        let writer: StreamWriter[int] = getWritable("n")
        for i in 1..=10 { _ = writer.write(i) }
        _ = writer.close()
        println(numbers().filter((n) => n % 2 == 0).map((n) => n * 2).take(3).collect())
        println(numbers().chunk(4).collect())
        println(numbers().skip(5).take(10).collect())
        println(numbers().takeWhile((n) => n < 4).collect())
        println(numbers().skipWhile((n) => n < 8).collect())
        println(numbers().take(3).flatMap((n) => [n, n]).collect())
        println(numbers().reduce((sum, n) => sum + n, 0))
        println(numbers().pipe([(s) => filter(s, (n) => n > 3), (s) => take(s, 2)]).collect())
        var made = 0
        let counted = generate(() => { made = made + 1; Some(made) })
        println(counted.take(2).collect())
        println(made)
      }
      """)
    let wanted = """
      [4, 8, 12]
      [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10]]
      [6, 7, 8, 9, 10]
      [1, 2, 3]
      [8, 9, 10]
      [1, 1, 2, 2, 3, 3]
      55
      [4, 5]
      [1, 2]
      2

      """
    #expect(bench.output == wanted, "\(bench.errors)")
  }

  @Test func aReaderThatWasReadBeforeKeepsItsPlace() throws {
    let bench = try Self.run(
      """
      import std/streaming (StreamReader, StreamWriter, close, getReadable, getWritable, next, write, streamForEach)
      func main() {
        let writer: StreamWriter[string] = getWritable("n")
        for word in ["a", "b", "c", "d"] { _ = writer.write(word) }
        _ = writer.close()
        let reader: StreamReader[string] = getReadable("n")
        println("${next(reader)} ${reader.position()}")
        match streamForEach(reader, (word) => if word == "" then Err("empty") else Ok(word), "rest") {
          Ok(all) => println("${all.results} ${reader.position()}"),
          Err(why) => println("${why}")
        }
      }
      """)
    #expect(bench.output == "Some(\"a\") 1\n[\"b\", \"c\", \"d\"] 4\n", "\(bench.errors)")
  }

  @Test func anAbortReachesReadersWithItsReason() throws {
    let bench = try Self.run(
      """
      import std/streaming (StreamReader, StreamWriter, abort, close, getReadable, getWritable, read, write, writable)
      func main() {
        let writer: StreamWriter[string] = getWritable("response")
        _ = writer.write("half")
        println(writer.abort("the model broke"))
        println(writer.write("more"))
        println(writer.close())
        println(writer.writable())
        let reader: StreamReader[string] = getReadable("response")
        println(read(reader))
        println(read(reader))
        for text in getReadable("response").map((text: string) => text) { println(text) }
      }
      """.replacing(text: "import std/streaming (", with: "import std/streaming (map, "))
    #expect(
      bench.output
        == """
        Ok(())
        Err(WriterAborted("the model broke"))
        Err(WriterAborted("the model broke"))
        false
        Ok("half")
        Err(StreamAborted("the model broke"))
        half

        """, "\(bench.errors)")
    #expect(bench.errors.contains(text: "StreamAborted"))
    #expect(bench.exits == [1])
  }

  @Test func everyItemIsProcessedOnceAndResultsKeepTheirOrder() throws {
    let bench = try Self.run(
      """
      import std/streaming (StreamReader, StreamWriter, close, getReadable, getWritable, write, streamForEach)
      import std/clock (sleep)
      func main() {
        let writer: StreamWriter[int] = getWritable("orders")
        for i in 0..20 { _ = writer.write(i) }
        _ = writer.close()
        var inFlight = 0
        var most = 0
        let orders: StreamReader[int] = getReadable("orders")
        let done: Result[{processedCount: int, lastPosition: int, results: [string], failures: [{position: int, failure: string}]}, _] =
          streamForEach(orders, (order) => {
            inFlight = inFlight + 1
            most = if inFlight > most then inFlight else most
            sleep((20 - order) % 7)
            inFlight = inFlight - 1
            if order == 7 then Err("no seven") else Ok("o${order}")
          }, "process", concurrency: 5, checkpointInterval: 4, onError: "collect")
        match done {
          Ok(all) => println("${all.processedCount} ${all.lastPosition} ${all.results} ${all.failures} ${most}"),
          Err(why) => println("${why}")
        }
      }
      """.replacing(
        text:
          "let done: Result[{processedCount: int, lastPosition: int, results: [string], failures: [{position: int, failure: string}]}, _] =\n    ",
        with: "let done ="))
    let results = (0..<20).filter { $0 != 7 }.map { "\"o\($0)\"" }.joined(separator: ", ")
    #expect(
      bench.output == "19 19 [\(results)] [{failure: \"no seven\", position: 7}] 5\n",
      "\(bench.errors)")
  }

  /// One worker waits for an item when another fails: nothing more is begun, and what comes later is still there.
  @Test(arguments: ["orders", "orders.map((n) => n)"]) func aFailureEndsTheWaitForTheNextItem(source: String) throws {
    let bench = try Bench(
      """
      import std/streaming (StreamReader, StreamWriter, close, getReadable, getWritable, map, read, streamForEach, write)
      import std/clock (sleep)
      import std/task (all)
      func main() {
        let writer: StreamWriter[int] = getWritable("orders")
        _ = writer.write(0)
        let orders: StreamReader[int] = getReadable("orders")
        let source = SOURCE
        _ = all([() => {
          let done = streamForEach(source, (n) => {
            println("begins ${n}")
            sleep(300)
            if n == 0 then Err("bad") else Ok(n)
          }, "p", concurrency: 3)
          println("${done}")
          println("then ${read(source)}")
        }, () => {
          sleep(2000)
          _ = writer.write(1)
        }], 0)
        _ = writer.close()
      }
      """.replacing(text: "SOURCE", with: source))
    bench.instance.run(entryArguments: [])
    bench.simulation.loop.advance(by: .seconds(1))
    #expect(bench.output.hasPrefix("begins 0\nErr(ItemFailed(0, \"bad\"))\n"), "\(bench.output)\(bench.errors)")
    bench.simulation.loop.advance(by: .seconds(5))
    let rest = source == "orders" ? "then Ok(1)" : "then Err(ReaderClosed)"
    #expect(bench.output == "begins 0\nErr(ItemFailed(0, \"bad\"))\n\(rest)\n", "\(bench.errors)")
    #expect(bench.exits == [0])
  }

  /// Behind the end of a stream that has ended there is its end; behind that of one that has not, it is waited for.
  @Test func readingPastTheEnd() throws {
    let bench = try Bench(
      """
      import std/streaming (StreamReader, StreamWriter, abort, close, getReadable, getWritable, read, write)
      import std/clock (sleep)
      import std/task (all)
      func main() {
        let closed: StreamWriter[int] = getWritable("closed")
        _ = closed.write(1)
        _ = closed.close()
        let aborted: StreamWriter[int] = getWritable("aborted")
        _ = aborted.abort("why")
        for name in ["closed", "aborted"] {
          let reader: StreamReader[int] = getReadable(name, startIndex: 5)
          println("${read(reader)}")
        }
        let open: StreamWriter[int] = getWritable("open")
        _ = open.write(0)
        let reader: StreamReader[int] = getReadable("open", startIndex: 3)
        let short: StreamReader[int] = getReadable("open", startIndex: 5)
        _ = all([() => println("${read(reader)} ${read(reader)}"), () => println("${read(short)}"), () => {
          for n in 1..4 {
            sleep(1000)
            _ = open.write(n)
          }
          sleep(1000)
          _ = open.close()
        }], 0)
      }
      """)
    bench.instance.run(entryArguments: [])
    bench.simulation.loop.advance(by: .seconds(2))
    #expect(bench.output == "Err(StreamEnded(1))\nErr(StreamAborted(\"why\"))\n", "\(bench.output)\(bench.errors)")
    bench.simulation.loop.advance(by: .seconds(5))
    #expect(
      bench.output.hasSuffix("Ok(3) Err(StreamEnded(4))\nErr(StreamEnded(4))\n")
        || bench.output.hasSuffix("Err(StreamEnded(4))\nOk(3) Err(StreamEnded(4))\n"), "\(bench.output)")
    #expect(bench.exits == [0])
  }

  /// What would be another value when it is read back is not kept.
  @Test(arguments: [
    ("float", "1e308 * 10.0", "the value has inf"),
    ("float", "1e308 * 10.0 - 1e308 * 10.0", "nan, and JSON has no such number"),
    ("{a: [float]}", "{a: [1.0, 1e308 * 10.0]}", "the value has inf"), ("Option[Json]", "Some(JNull)", "Some(JNull)"),
    ("Json", "deep", "nested more than 512 deep"),
  ]) func whatJSONCannotHoldIsNotKept(type: String, value: String, why: String) throws {
    for (what, text) in [
      ("write", #"let w: StreamWriter[TYPE] = getWritable("x"); println("${w.write(VALUE)}")"#),
      ("step", #"let x: TYPE = step "s" { VALUE }; println("${x}")"#),
      ("each", #"println("${streamForEach(ins, (n) => one(VALUE), "e")}")"#),
    ] {
      let bench = try Bench(
        """
        import std/streaming (StreamReader, StreamWriter, close, getReadable, getWritable, streamForEach, write)
        import std/json (Json, JArray, JNull)
        func one(value: TYPE) -> Result[TYPE, string] { Ok(value) }
        func main() {
          let i: StreamWriter[int] = getWritable("in")
          _ = i.write(1)
          _ = i.close()
          let ins: StreamReader[int] = getReadable("in")
          var deep: Json = JNull
          for _ in 0..513 { deep = JArray([deep]) }
          \(text)
        }
        """.replacing(text: "VALUE", with: value).replacing(text: "TYPE", with: type)
      ).run()
      #expect(
        bench.exits == [1] && bench.errors.contains(text: "NotJSON"),
        "\(what) \(value): \(bench.output)\(bench.errors)")
      #expect(bench.errors.contains(text: why), "\(what) \(value): \(bench.errors)")
      #expect(bench.runs.first { $0.name.path.hasSuffix("/x") }?.tail ?? .start == .start)
    }
  }

  /// As deep as a value may be: records of the journal wrap it.
  @Test func aValueAsDeepAsAllowedIsTakenUpAgain() throws {
    let text = """
      import std/json (Json, JArray, JNull, encode)
      import std/clock (sleep)
      func main() {
        let kept: Json = step "deep" {
          var deep: Json = JNull
          for _ in 0..512 { deep = JArray([deep]) }
          println("made")
          deep
        }
        sleep(1000)
        println("${encode(kept) == encode(kept)}")
      }
      """
    let bench = try Bench(text, store: { SlowStore($0) }, configure: { $0.runID = "r" })
    bench.run()
    bench.instance.park(0)
    bench.settle()
    let next = try Bench(text, store: { _ in bench.store }, in: bench.simulation, configure: { $0.runID = "r" })
    next.run()
    next.simulation.loop.advance(by: .seconds(5))
    #expect(next.output == "made\ntrue\n" && next.exits == [0], "\(next.output)\(next.errors)")
  }
}
