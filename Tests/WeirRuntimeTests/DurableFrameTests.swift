import Testing
import WeirCore
import WeirLang
import WeirTesting

@testable import WeirRuntime
@testable import WeirStore

/// Names and writes belong to the frame that they are used in: a run, a step, a try, an item. Each test dies at every call of the
/// store and is taken up again.
@Suite struct DurableFrameTests {
  /// Runs a program that dies after each number of calls in turn, and once more; `check` is shown what both lives printed.
  private func everyDeath(
    _ body: String, deaths: Int = 1, answersTake delay: Duration? = nil,
    _ check: (_ bench: Bench, _ printed: [String], _ comment: Comment) throws -> Void
  ) throws {
    let text = """
      import std/streaming (StreamReader, StreamWriter, abort, close, getReadable, getWritable, read, streamForEach, writable, write)
      import std/clock (sleep)
      import std/task (all, attempt, race)
      func numbers() -> StreamReader[int] {
        getReadable("numbers")
      }
      \(body)
      """
    for calls in 1..<400 {
      let mortal = Mortal()
      mortal.performsLast = calls % 2 == 0
      var bench = try Bench(
        text,
        store: {
          mortal.store = MemoryStreamStore(loop: $0)
          return mortal
        }, configure: { $0.runID = "r" })
      let loop = bench.simulation.loop
      var printed: [String] = []
      func live(_ left: Int) -> Bool {
        mortal.left = left
        mortal.slow = delay.map { delay in (loop, { delay }) }
        defer { mortal.slow = nil }
        let before = bench.output.utf8.count
        bench.run()
        printed.append(String(decoding: bench.output.utf8.dropFirst(before), as: UTF8.self))
        let isOver = mortal.left > 0
        mortal.left = .max
        return isOver
      }
      let isWhole = live(calls)
      if !isWhole {
        for life in 1...deaths {
          bench = try Bench(text, store: { _ in mortal }, in: bench.simulation, configure: { $0.runID = "r" })
          if live(life == deaths ? .max : calls) { break }
        }
      }
      // Only that it has ended was not answered.
      if bench.errors.contains("StreamEnded") { continue }
      #expect(bench.errors == "", "died after \(calls)")
      try check(bench, printed, "died after \(calls): \(printed)")
      if isWhole { return }
    }
    Issue.record("it never came to its end")
  }

  private static let numbers = """
    let source: StreamWriter[int] = getWritable("numbers")
      for n in 0..5 { _ = source.write(n) }
      _ = source.close()
    """

  @Test func aStepInsideAnItemIsTheItemsOwn() throws {
    try everyDeath(
      """
      func main() {
        \(Self.numbers)
        let done = streamForEach(numbers(), (n) => {
          let receipt = step "charge" {
            println("charging ${n}")
            "receipt ${n}"
          }
          if n < 0 then Err("no") else Ok(receipt)
        }, "orders", checkpointInterval: 2)
        match done {
          Ok(all) => println("end ${all.results}"),
          Err(why) => println("stopped ${why}")
        }
      }
      """
    ) { bench, printed, comment in
      let receipts = (0..<5).map { "\"receipt \($0)\"" }.joined(separator: ", ")
      #expect(printed.last?.hasSuffix("end [\(receipts)]\n") == true, comment)
      // At most the one whose value the store had not taken is done again.
      let charges = printed.joined().split(separator: "\n").filter { $0.hasPrefix("charging") }
      #expect(charges.count <= 6, comment)
    }
  }

  @Test func namesThatLookAlikeAreNot() throws {
    try everyDeath(
      """
      func main() {
        let a = step "think" { 1 }
        let b = step "think" { 2 }
        let c = step "think#2" { 3 }
        let d = step "a" { step "b" { 4 } }
        let e = step "a/b" { 5 }
        let f = step "%2F" { 6 }
        let g = step "/" { 7 }
        let h = step "each:p" { 8 }
        let i = step "" { step "think" { 9 } }
        let j = step "" { step "" { 10 } }
        let k = step "%" { 11 }
        println("${a} ${b} ${c} ${d} ${e} ${f} ${g} ${h} ${i} ${j} ${k}")
      }
      """
    ) { _, printed, comment in #expect(printed.last == "1 2 3 4 5 6 7 8 9 10 11\n", comment) }
  }

  /// One without a name is no other than those with one: it is done once.
  @Test func aStepWithoutANameIsDoneOnce() throws {
    try everyDeath(
      """
      func main() {
        let out: StreamWriter[int] = getWritable("out")
        step "" {
          println("done")
          _ = out.write(1)
          step "" { _ = out.write(2) }
        }
        println("after ${out.write(3)}")
      }
      """
    ) { bench, printed, comment in
      #expect(printed.last?.hasSuffix("after Ok(())\n") == true, comment)
      if printed[0].contains("after") { #expect(printed.dropFirst().allSatisfy { !$0.contains("done") }, comment) }
      #expect(bench.items("runs/r/out") == "[1,2,3]", comment)
    }
  }

  @Test func whatAClosedStreamHasIsRepeatedAsWell() throws {
    try everyDeath(
      """
      func main() {
        let tokens: StreamWriter[string] = getWritable("tokens")
        let broken: StreamWriter[string] = getWritable("broken")
        println("${tokens.write("one")} ${tokens.writable()} ${tokens.close()} ${tokens.close()} ${tokens.write("late")}")
        println("${broken.write("half")} ${broken.abort("no more")} ${broken.writable()} ${broken.abort("again")}")
        step "later" { println("later") }
        println("end")
      }
      """
    ) { bench, printed, comment in
      let said = """
        Ok(()) true Ok(()) Err(AlreadyClosed) Err(WriterClosed)
        Ok(()) Ok(()) false Err(WriterAborted("no more"))

        """
      #expect(printed.last?.hasPrefix(said) == true, comment)
      #expect(bench.items("runs/r/tokens") == #"["one"]"# && bench.ending("runs/r/tokens") == .closed, comment)
      #expect(bench.items("runs/r/broken") == #"["half"]"#, comment)
      #expect(bench.ending("runs/r/broken") == .aborted(reason: "no more"), comment)
    }
  }

  /// A stream that was closed as something else is told from one that was not.
  @Test func aClosedStreamThatIsRepeatedOtherwiseIsTold() throws {
    let text = """
      import std/streaming (StreamWriter, close, getWritable, write)
      import std/clock (sleep)
      func main() {
        let tokens: StreamWriter[string] = getWritable("tokens")
        println("${tokens.write("one")} ${tokens.write(MARK)} ${tokens.close()}")
        sleep(1000000)
      }
      """
    let first = try Bench(text.replacing(text: "MARK", with: "\"two\""), configure: { $0.runID = "r" })
    first.run()
    let second = try Bench(
      text.replacing(text: "MARK", with: "\"other\""), store: { _ in first.store }, in: first.simulation,
      configure: { $0.runID = "r" })
    second.run()
    let why =
      "Err(WriterAborted(\"the resumed run differs from its first life at position 1: this item is another one now\"))"
    #expect(second.output.hasSuffix("\nOk(()) \(why) \(why)\n"), "\(second.output)")
    #expect(second.ending("runs/r/tokens") == .closed)
  }

  @Test func whatItemsWriteIsWrittenOnce() throws {
    for width in [1, 3] {
      try everyDeath(
        """
        func main() {
          \(Self.numbers)
          let out: StreamWriter[string] = getWritable("out")
          _ = out.write("begin")
          let done = streamForEach(numbers(), (n) => {
            let first = out.write("${n}a")
            sleep(5 - n)
            let second = step "inside" { "${out.write("${n}b")}" }
            if "${first} ${second}" == "Ok(()) Ok(())" then Ok(n * 2) else Err("${first} ${second}")
          }, "process", concurrency: \(width), checkpointInterval: 3)
          match done {
            Ok(all) => println("end ${all.results} ${out.write("end")} ${out.close()}"),
            Err(why) => println("stopped ${why}")
          }
        }
        """
      ) { bench, printed, comment in
        #expect(printed.last?.hasSuffix("end [0, 2, 4, 6, 8] Ok(()) Ok(())\n") == true, comment)
        let items = try #require(JSONValue.parse(bench.items("runs/r/out")).array).compactMap(\.string)
        let wanted = ["begin"] + (0..<5).flatMap { ["\($0)a", "\($0)b"] } + ["end"]
        if width == 1 { #expect(items == wanted, comment) } else { #expect(items.sorted() == wanted.sorted(), comment) }
        for n in 0..<5 {
          #expect(items.firstIndex(of: "\(n)a") ?? 9 < items.firstIndex(of: "\(n)b") ?? 0, comment)
        }
      }
    }
  }

  /// What a try has written that failed stays, and the next one's comes behind it.
  @Test func aTryThatWroteMayFail() throws {
    try everyDeath(
      """
      func main() {
        let out: StreamWriter[string] = getWritable("out")
        var tries = 0
        @retry(max: 3, delay: 1, backoff: 1.0)
        step "gen" {
          step "inner" {
            println("inner")
            _ = out.write("inner")
          }
          tries = tries + 1
          let said = "${out.write("a")} ${out.write("b")}"
          if tries < 2 { println([1][tries]) }
          println("${said} ${out.write("c")}")
          1
        }
        let called = step "call" {
          _ = out.write("partial")
          if tries < 99 { Err("down") } else { Ok(1) }
        }
        println("end ${called} ${out.write("fallback")} ${out.close()}")
      }
      """, deaths: 2
    ) { bench, printed, comment in
      #expect(printed.last?.hasSuffix("end Err(\"down\") Ok(()) Ok(())\n") == true, comment)
      let items = try #require(JSONValue.parse(bench.items("runs/r/out")).array).compactMap(\.string)
      #expect(items.first == "inner" && items.count { $0 == "inner" } == 1, "\(items) \(comment)")
      #expect(items.count { $0 == "fallback" } == 1, "\(items) \(comment)")
      let end = try #require(items.lastIndex(of: "c"))
      #expect(Array(items[(end - 2)...end]) == ["a", "b", "c"], "\(items) \(comment)")
      #expect(items.dropFirst(end + 1).allSatisfy { ["partial", "fallback"].contains($0) }, "\(items) \(comment)")
      #expect(bench.ending("runs/r/out") == .closed, comment)
      if printed.count == 1 { #expect(items == ["inner", "a", "b", "a", "b", "c", "partial", "fallback"], comment) }
      let inner = printed.joined().split(separator: "\n").count { $0 == "inner" }
      #expect(inner <= printed.count, comment)
    }
  }

  @Test func anInnerStepIsDoneOnceInAllTries() throws {
    let bench = try Bench(
      """
      import std/streaming (StreamReader, StreamWriter, close, getReadable, getWritable, streamForEach, write)
      func main() {
        let source: StreamWriter[int] = getWritable("numbers")
        for n in 0..4 { _ = source.write(n) }
        _ = source.close()
        var tries = 0
        @retry(max: 3, delay: 1, backoff: 1.0)
        step "gen" {
          tries = tries + 1
          let a = step "inner" {
            println("inner ${tries}")
            10 + tries
          }
          let b = step "inner" {
            println("second ${tries}")
            20 + tries
          }
          let numbers: StreamReader[int] = getReadable("numbers")
          let all = streamForEach(numbers, (n) => {
            println("item ${n}")
            if tries < 3 && n == tries { println([1][9]) }
            if n < 0 then Err("no") else Ok(n * tries)
          }, "each", checkpointInterval: 10)
          println("${a} ${b} ${all}")
          1
        }
      }
      """, configure: { $0.runID = "r" })
    bench.run()
    let wanted = """
      inner 1
      second 1
      item 0
      item 1
      item 1
      item 2
      item 2
      item 3
      11 21 Ok({failures: [], lastPosition: 3, processedCount: 4, results: [0, 2, 6, 9]})

      """
    #expect(bench.output == wanted, "\(bench.errors)")
  }

  /// The journal of a run with many items is long: what a try has done is not looked up there.
  @Test func aTryKnowsWhatTheOneBeforeHasDone() throws {
    let store = Mortal()
    let bench = try Bench(
      """
      import std/streaming (StreamReader, StreamWriter, close, getReadable, getWritable, streamForEach, write)
      import std/task (all, attempt, race)
      import std/clock (sleep)
      func main() {
        \(Self.numbers)
        let numbers: StreamReader[int] = getReadable("numbers")
        let out: StreamWriter[int] = getWritable("out")
        println(streamForEach(numbers, (n) => {
          var tries = 0
          @retry(max: 4, delay: 1, backoff: 1.0)
          step "x" {
            tries = tries + 1
            let kept = step "y" {
              println("y ${n}")
              _ = out.write(n)
              n
            }
            _ = attempt(() => step "fails" {
              step "in it" { println("in it ${n}") }
              println([1][9])
            })
            // Ends while the try that it is in does.
            _ = race([() => {
              step "late" { println("late ${n}") }
              sleep(100000)
            }, () => sleep(0)])
            if tries < 4 { println([1][9]) }
            ()
          }
          if n < 0 then Err("no") else Ok(n)
        }, "each", concurrency: 2, checkpointInterval: 10))
      }
      """,
      store: {
        store.store = MemoryStreamStore(loop: $0)
        store.slow = ($0, { .microseconds(700) })
        return store
      }, configure: { $0.runID = "r" })
    bench.run()
    #expect(bench.exits == [0], "\(bench.errors)")
    let lines = bench.output.split(separator: "\n").dropLast()
    #expect(lines.sorted() == (0..<5).flatMap { ["y \($0)", "in it \($0)", "late \($0)"] }.sorted(), "\(bench.output)")
    // When it was opened.
    #expect(store.reads["_weir/journal/r"] == 1)
  }

  /// What was done before an item trapped is in the book.
  @Test func aTrapLosesNoProgress() throws {
    let text = """
      import std/streaming (StreamReader, StreamWriter, close, getReadable, getWritable, streamForEach, write)
      import std/clock (sleep)
      import std/task (attempt)
      func main() {
        let source: StreamWriter[int] = getWritable("numbers")
        for n in 0..6 { _ = source.write(n) }
        _ = source.close()
        println(attempt(() => {
          let numbers: StreamReader[int] = getReadable("numbers")
          streamForEach(numbers, (n) => {
            println("item ${n}")
            if n == 3 { println([1][n]) }
            if n < 0 then Err("no") else Ok(n)
          }, "each", checkpointInterval: 10)
        }))
        sleep(1000000)
      }
      """
    let first = try Bench(text, configure: { $0.runID = "r" })
    first.run()
    #expect(first.items("_weir/journal/r").contains(#""done":[[0,3]]"#), "\(first.items("_weir/journal/r"))")
    let second = try Bench(text, store: { _ in first.store }, in: first.simulation, configure: { $0.runID = "r" })
    second.run()
    let lines = second.output.split(separator: "\n").filter { $0.hasPrefix("item") }
    #expect(lines == ["item 0", "item 1", "item 2", "item 3", "item 3"], "\(second.output)")
  }

  @Test func stepsAtTheSameTimeGoOnWithWhatEachHasWritten() throws {
    try everyDeath(
      """
      func main() {
        let log: StreamWriter[string] = getWritable("log")
        _ = log.write("begin")
        let said = all([() => {
          step "A" {
            var said = ""
            for i in 0..3 {
              said = said ++ "${log.write("A${i}")}"
              sleep(4)
            }
            said
          }
        }, () => {
          step "B" {
            var said = ""
            for i in 0..6 {
              sleep(2)
              said = said ++ "${log.write("B${i}")}"
            }
            said
          }
        }], 0)
        println("end ${said} ${log.write("end")} ${log.close()}")
      }
      """, deaths: 2
    ) { bench, printed, comment in
      let (a, b) = ((0..<3).map { "A\($0)" }, (0..<6).map { "B\($0)" })
      let said = [a, b].map { "\"" + $0.map { _ in "Ok(())" }.joined() + "\"" }.joined(separator: ", ")
      #expect(printed.last?.hasSuffix("end [\(said)] Ok(()) Ok(())\n") == true, comment)
      let items = try #require(JSONValue.parse(bench.items("runs/r/log")).array).compactMap(\.string)
      #expect(items.first == "begin" && items.last == "end" && items.count == 11, "\(items) \(comment)")
      #expect(items.filter { $0.hasPrefix("A") } == a && items.filter { $0.hasPrefix("B") } == b, "\(items) \(comment)")
    }
  }

  /// An item that is on its way when its task is cut belongs to the step that it was written in.
  @Test func whatIsOnItsWayIsTheStepsThatWroteIt() throws {
    for think in [
      "race([() => { for n in 0..30 { _ = out.write(n) } }, () => sleep(4)])",
      "race([() => { step \"cut\" { for n in 0..30 { _ = out.write(n) } } }, () => sleep(4)])",
      """
      \(Self.numbers)
          _ = attempt(() => streamForEach(numbers(), (n) => {
          for i in 0..n { _ = out.write(n) }
          if n == 4 {
            sleep(3)
            println("${[1][n]}")
          }
          if n < 0 then Err("no") else Ok(n)
        }, "each", concurrency: 5, checkpointInterval: 10))
      """,
    ] {
      try everyDeath(
        """
        func main() {
          let out: StreamWriter[int] = getWritable("out")
          step "think" {
            \(think)
            1
          }
          println("think")
          println("end ${out.write(-1)} ${out.close()}")
        }
        """, answersTake: .microseconds(700)
      ) { bench, printed, comment in
        // A step that is cut at another place the next time differs from what it was.
        guard printed.count == 1 || printed[0].contains("think") else { return }
        #expect(printed.last?.hasSuffix("end Ok(()) Ok(())\n") == true, comment)
        let items = try #require(JSONValue.parse(bench.items("runs/r/out")).array).compactMap(\.int)
        #expect(items.count { $0 == -1 } == 1 && items.last == -1, "\(items) \(comment)")
        #expect(bench.ending("runs/r/out") == .closed, comment)
      }
    }
  }

  @Test func aNamespaceHasOneContentTypeAndEachWriterItsOwnMark() throws {
    let bench = try Bench(
      """
      import std/streaming (StreamReader, StreamWriter, close, getReadable, getWritable, write)
      import std/bytes (fromString)
      import std/task (all, attempt)
      import std/clock (sleep)
      func main() {
        let wide: StreamWriter[int] = getWritable("x", highWaterMark: 100)
        let narrow: StreamWriter[int] = getWritable("x", highWaterMark: 1)
        let reader: StreamReader[int] = getReadable("x", backpressure: true)
        for n in 0..5 { _ = wide.write(n) }
        _ = all([() => {
          println("narrow ${narrow.write(5)}")
        }, () => {
          sleep(10)
          println("close ${wide.close()}")
        }], 0)
        println(attempt(() => {
          let other: StreamWriter[bytes] = getWritable("x")
          "${other.write(fromString("{not json"))}"
        }))
      }
      """, configure: { $0.runID = "r" })
    bench.run()
    // What waits for a reader when the stream is closed is written, and waits no longer.
    let lines = bench.output.split(separator: "\n")
    #expect(lines.prefix(2).sorted() == ["close Ok(())", "narrow Ok(())"], "\(bench.output)")
    #expect(lines.last?.hasPrefix("Err({code: \"StreamConflict\"") == true, "\(bench.output)")
    #expect(bench.items("runs/r/x") == "[0,1,2,3,4,5]")
    #expect(bench.exits == [0])
  }

  /// A run's end does not wait for readers.
  @Test func aWriteThatWaitsEndsWithTheRun() throws {
    let bench = try Bench(
      """
      import std/streaming (StreamReader, StreamWriter, getReadable, getWritable, write)
      import std/task (race)
      import std/clock (sleep)
      func main() {
        let writer: StreamWriter[int] = getWritable("x", highWaterMark: 1)
        let reader: StreamReader[int] = getReadable("x", backpressure: true)
        println(race([() => {
          for n in 0..5 { _ = writer.write(n) }
          1
        }, () => {
          sleep(10)
          2
        }]))
      }
      """, configure: { $0.runID = "r" })
    bench.run()
    #expect(bench.output == "2\n" && bench.exits == [0], "\(bench.errors)")
    #expect(bench.ending("runs/r/x") == .closed && bench.ending("_weir/journal/r") == .closed)
  }
}
