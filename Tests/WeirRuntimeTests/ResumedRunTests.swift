import Testing
import WeirCore
import WeirLang
import WeirStore
import WeirTesting

@testable import WeirRuntime

/// Runs whose process dies, taken up again: finished steps are not done again, written items are not written twice.
@Suite struct ResumedRunTests {
  static let steps = """
    import std/streaming (StreamWriter, close, getWritable, write)
    func main() {
      let tokens: StreamWriter[string] = getWritable("tokens")
      let progress: StreamWriter[int] = getWritable("progress")
      _ = progress.write(0)
      let first = step "first" {
        println("first")
        for word in ["a", "b", "c"] { _ = tokens.write(word) }
        3
      }
      _ = progress.write(50)
      let second = step "second" {
        println("second")
        for word in ["d", "e"] { _ = tokens.write(word) }
        {count: first + 2, kind: Some("done")}
      }
      step "second" {
        println("again")
        _ = tokens.write("f")
        ()
      }
      _ = progress.write(100)
      _ = tokens.write("${second.count}")
      _ = tokens.close()
      println("end ${second.kind}")
    }
    """

  /// What each life printed.
  private func lives(_ text: String, dyingAfter calls: Int, performsLast: Bool) throws -> (Bench, [String]) {
    let mortal = Mortal()
    let first = try Bench(
      text,
      store: {
        mortal.store = MemoryStreamStore(loop: $0)
        return mortal
      }, configure: { $0.runID = "run-1" })
    mortal.left = calls
    mortal.performsLast = performsLast
    first.run()
    let output = first.output
    defer { mortal.left = .max }
    guard mortal.left <= 0, first.exits.isEmpty else { return (first, [output]) }
    let second = try Bench(
      text, store: { _ in mortal.store }, in: first.simulation, configure: { $0.runID = "run-1" })
    second.run()
    return (second, [output, String(second.output.dropFirst(output.count))])
  }

  @Test(arguments: [false, true]) func aRunThatDiesAnywhereEndsAsIfItHadNot(performsLast: Bool) throws {
    // Every other place for each, for the time it takes.
    for calls in stride(from: performsLast ? 1 : 2, to: 100, by: 2) {
      let (bench, printed) = try lives(Self.steps, dyingAfter: calls, performsLast: performsLast)
      if bench.errors.contains(text: "StreamEnded") {
        // Only that it has ended was not answered.
        #expect(printed[0].hasSuffix("end Some(\"done\")\n"))
        continue
      }
      #expect(bench.items("runs/run-1/tokens") == #"["a","b","c","d","e","f","5"]"#, "died after \(calls)")
      #expect(bench.items("runs/run-1/progress") == "[0,50,100]", "died after \(calls)")
      #expect(bench.ending("runs/run-1/tokens") == .closed, "died after \(calls)")
      #expect(bench.ending("_weir/journal/run-1") == .closed, "died after \(calls)")
      #expect(bench.errors == "", "died after \(calls)")
      #expect(printed.last?.hasSuffix("end Some(\"done\")\n") == true, "died after \(calls): \(printed)")
      if printed.count == 1 {
        #expect(calls > 20)
        break
      }
      // What the second life prints of a step, the first had not finished: its results came after.
      let later = printed[1]
      if printed[0].contains(text: "second") { #expect(!later.contains(text: "first"), "died after \(calls)") }
      if printed[0].contains(text: "again") { #expect(!later.contains(text: "second\n"), "died after \(calls)") }
    }
  }

  static let nested = """
    import std/streaming (StreamWriter, close, getWritable, write)
    func fetch(name: string) -> string {
      step "fetch" {
        let log: StreamWriter[string] = getWritable("log")
        _ = log.write("fetch ${name}")
        "got ${name}"
      }
    }
    func main() {
      let log: StreamWriter[string] = getWritable("log")
      let a = step "a" {
        let side: StreamWriter[int] = getWritable("side")
        _ = side.write(1)
        _ = log.write("a")
        let got = fetch("x")
        _ = log.write("a again")
        got
      }
      let b = step "b" { fetch("y") }
      _ = log.write("${a}, ${b}")
      println("${a}, ${b}")
    }
    """

  @Test func stepsInsideStepsKeepTheirOwnValuesThroughTwoCrashes() throws {
    for calls in stride(from: 1, to: 60, by: 2) {
      let mortal = Mortal()
      var printed = ""
      var bench = try Bench(
        Self.nested,
        store: {
          mortal.store = MemoryStreamStore(loop: $0)
          return mortal
        }, configure: { $0.runID = "n" })
      // Two lives end early, the third does not.
      for left in [calls, calls / 2 + 7, Int.max] {
        mortal.left = left
        bench.run()
        if mortal.left > 0 { break }
        printed = bench.output
        bench = try Bench(
          Self.nested, store: { _ in mortal }, in: bench.simulation, configure: { $0.runID = "n" })
      }
      mortal.left = .max
      if bench.errors.contains(text: "StreamEnded") { continue }
      #expect(bench.errors == "", "died after \(calls)")
      #expect(bench.output.hasSuffix("got x, got y\n"), "died after \(calls): \(printed)")
      #expect(
        bench.items("runs/n/log") == #"["a","fetch x","a again","fetch y","got x, got y"]"#, "died after \(calls)")
      #expect(bench.items("runs/n/side") == "[1]", "died after \(calls)")
      #expect(bench.ending("runs/n/side") == .closed, "died after \(calls)")
      #expect(bench.ending("runs/n/log") == .closed, "died after \(calls)")
    }
  }

  @Test func aRunThatNobodyCanTakeUpEndsWithAllItsStreams() throws {
    let text = """
      import std/streaming (StreamWriter, getWritable, write)
      import std/clock (sleep)
      @post("/NAME")
      workflow NAME(n: int) -> string {
        let tokens: StreamWriter[int] = getWritable("tokens")
        _ = tokens.write(n)
        sleep(1000000)
        "done"
      }
      """
    let mortal = Mortal()
    let first = try Bench(
      text.replacing(text: "NAME", with: "Old"),
      store: {
        mortal.store = MemoryStreamStore(loop: $0)
        return mortal
      })
    first.serve().post("/Old", #"{"n": 1}"#)
    let run = try #require(first.runs.first { !$0.name.path.dropFirst("runs/".count).contains("/") })
    let id = String(run.name.path.dropFirst("runs/".count))
    #expect(first.items("runs/\(id)/tokens") == "[1]")
    mortal.left = 0
    // The workflow has another name in the program that comes after it.
    let second = try Bench(
      text.replacing(text: "NAME", with: "New"), store: { _ in mortal.store }, in: first.simulation,
      configure: { $0.server.port = 8081 })
    second.serve()
    #expect(second.ending("runs/\(id)") == .aborted(reason: "error"))
    #expect(second.ending("runs/\(id)/tokens") == .aborted(reason: "RunInterrupted"))
    #expect(second.ending("_weir/journal/\(id)") == .aborted(reason: "RunInterrupted"))
    #expect(second.errors.contains(text: "had not ended, and failed"), "\(second.errors)")
  }

  @Test func aStepIsTriedAgainAndItsFailureIsNotKept() throws {
    let bench = try Bench(
      """
      func main() {
        var tries = 0
        @retry(max: 3, delay: 100, backoff: 2.0)
        step "flaky" {
          tries = tries + 1
          println("try ${tries}")
          if tries < 3 { println([1][tries]) }
          ()
        }
        let result = step "failing" {
          if tries == 3 then Err("not yet") else Ok(1)
        }
        println("${result}")
      }
      """, configure: { $0.runID = "r" })
    let start = bench.simulation.loop.now
    bench.instance.run(entryArguments: [])
    bench.simulation.loop.advance(by: .seconds(1))
    #expect(bench.output == "try 1\ntry 2\ntry 3\nErr(\"not yet\")\n", "\(bench.errors)")
    #expect(bench.items("_weir/journal/r").contains(text: "flaky"))
    #expect(!bench.items("_weir/journal/r").contains(text: "failing"))
    #expect(bench.simulation.loop.now > start)
  }

  @Test func aResumedWriterWhoseItemsDifferAbortsItsStream() throws {
    let text = """
      import std/streaming (StreamWriter, close, getWritable, write)
      import std/env (args)
      func main() {
        let tokens: StreamWriter[string] = getWritable("tokens")
        println(tokens.write("one"))
        println(tokens.write(MARK))
        println(tokens.close())
      }
      """
    let mortal = Mortal()
    let first = try Bench(
      text.replacing(text: "import std/env (args)\n", with: "").replacing(text: "MARK", with: "\"two\""),
      store: {
        mortal.store = MemoryStreamStore(loop: $0)
        return mortal
      }, configure: { $0.runID = "x" })
    mortal.left = 6
    first.run()
    #expect(mortal.left <= 0)
    let second = try Bench(
      text.replacing(text: "import std/env (args)\n", with: "").replacing(text: "MARK", with: "\"other\""),
      store: { _ in mortal.store }, in: first.simulation, configure: { $0.runID = "x" })
    second.run()
    let why = "the resumed run differs from its first life at position 1: this item is another one now"
    #expect(second.output.hasSuffix("Ok(())\nErr(WriterAborted(\"\(why)\"))\nErr(WriterAborted(\"\(why)\"))\n"))
    #expect(second.ending("runs/x/tokens") == .aborted(reason: why))
  }

  @Test func aRunThatHasEndedIsNotTakenUpAgain() throws {
    let text = "func main() { println(step \"a\" { 1 }) }"
    let first = try Bench(text, configure: { $0.runID = "done" })
    first.run()
    let second = try Bench(text, store: { _ in first.store }, in: first.simulation, configure: { $0.runID = "done" })
    second.run()
    #expect(second.exits == [1])
    #expect(second.errors.contains(text: "StreamEnded"), "\(second.errors)")
  }

  @Test func aResultOfAnotherTypeIsNamedAndNotGuessed() throws {
    let first = try Bench(
      "import std/clock (sleep)\nfunc main() {\nprintln(step \"a\" { 1 })\nsleep(100000)\n}",
      configure: { $0.runID = "r" })
    first.run()
    let second = try Bench(
      "func main() { println(step \"a\" { \"text\" }) }", store: { _ in first.store }, in: first.simulation,
      configure: { $0.runID = "r" })
    second.run()
    #expect(second.errors.contains(text: "ProgramChanged"), "\(second.errors)")
  }

  @Test func itemsOfAStreamAreProcessedOnceThroughCrashes() throws {
    let text = """
      import std/streaming (StreamReader, StreamWriter, close, getReadable, getWritable, write, streamForEach)
      func main() {
        let writer: StreamWriter[int] = getWritable("orders")
        for i in 0..12 { _ = writer.write(i) }
        _ = writer.close()
        let orders: StreamReader[int] = getReadable("orders")
        match streamForEach(orders, (order) => {
          println("order ${order}")
          if order < 0 then Err("negative") else Ok(order * order)
        }, "square", concurrency: 3, checkpointInterval: 2) {
          Ok(all) => println("end ${all.processedCount} ${all.results}"),
          Err(why) => println("failed ${why}")
        }
      }
      """
    for calls in stride(from: 1, to: 200, by: 2) {
      let (bench, printed) = try lives(text, dyingAfter: calls, performsLast: calls % 4 == 1)
      let squares = (0..<12).map { String($0 * $0) }.joined(separator: ", ")
      #expect(
        printed.last?.hasSuffix("end 12 [\(squares)]\n") == true, "died after \(calls): \(printed) \(bench.errors)")
      if printed.count == 1 { break }
      let all = (printed[0] + printed[1]).split(separator: "\n").filter { $0.hasPrefix("order") }
      #expect(all.count <= 12 + 2 + 3, "died after \(calls)")
    }
  }
}

/// A store whose process dies after some calls: nothing is answered any more; the last call may still have been performed.
final class Mortal: StreamStore {
  var store: (any StreamStore)!
  var left = Int.max
  var performsLast = false
  /// How often each stream was read.
  private(set) var reads: [String: Int] = [:]
  /// Other processes write to it.
  var isShared = false
  var isExclusive: Bool { !isShared }

  /// How long each answer takes, on this loop; in their order for each stream. Nil: it comes inside the call.
  var slow: (loop: SimulatedLoop, delay: () -> Duration)?
  private var due: [String: Instant] = [:]

  private func call<Value>(
    _ stream: String, _ answer: @escaping WeirStore.Answer<Value>,
    _ perform: (@escaping WeirStore.Answer<Value>) -> Void
  ) {
    left -= 1
    guard left > 0 || left == 0 && performsLast else { return }
    let isAnswered = left > 0
    perform { [self] result in
      guard isAnswered else { return }
      guard let (loop, delay) = slow else { return answer(result) }
      let time = max(due[stream] ?? loop.now, loop.now + delay())
      due[stream] = time
      // Nobody hears it who has died meanwhile.
      _ = loop.after(time - loop.now) { [self] in if left > 0 { answer(result) } }
    }
  }

  func create(_ name: StreamName, _ creation: StreamCreation, _ answer: @escaping WeirStore.Answer<StreamStatus>) {
    call(name.path, answer) { store.create(name, creation, $0) }
  }
  func append(_ name: StreamName, _ append: StreamAppend, _ answer: @escaping WeirStore.Answer<StreamAppended>) {
    call(name.path, answer) { store.append(name, append, $0) }
  }
  func status(_ name: StreamName, _ answer: @escaping WeirStore.Answer<StreamStatus>) {
    call(name.path, answer) { store.status(name, $0) }
  }
  func read(
    _ name: StreamName, from offset: Offset, byteLimit: Int, _ answer: @escaping WeirStore.Answer<StreamBatch>
  ) {
    reads[name.path, default: 0] += 1
    call(name.path, answer) { store.read(name, from: offset, byteLimit: byteLimit, $0) }
  }
  func watch(_ name: StreamName, _ wake: @escaping () -> Void) -> any Cancellable { store.watch(name, wake) }
  func delete(_ name: StreamName, _ answer: @escaping WeirStore.Answer<Void>) {
    call(name.path, answer) { store.delete(name, $0) }
  }
  func list(
    prefix: String, after: StreamName?, limit: Int, _ answer: @escaping WeirStore.Answer<[StreamStatus]>
  ) {
    call(prefix, answer) { store.list(prefix: prefix, after: after, limit: limit, $0) }
  }
}

extension Bench {
  /// A stream's items as one JSON list.
  func items(_ path: String) -> String {
    var text = "nothing"
    guard let name = try? StreamName(path) else { return text }
    store.read(name, from: .start, byteLimit: 1 << 30) { result in
      guard case .success(let batch) = result else { return }
      text = "[" + batch.items.map { String(decoding: $0.bytes, as: UTF8.self) }.joined(separator: ",") + "]"
    }
    return text
  }

  func ending(_ path: String) -> StreamEnding? {
    var ending: StreamEnding?
    guard let name = try? StreamName(path) else { return nil }
    store.status(name) { ending = (try? $0.get())?.ending }
    return ending
  }
}
