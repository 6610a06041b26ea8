import Testing
import WeirCore
import WeirStore
import WeirTesting

@testable import WeirRuntime

/// Runs that do something else when they are taken up than in their first life: what is half of something is never called whole,
/// and whoever runs them is told.
@Suite struct DivergedRunTests {
  /// A life that is left where it waits, and one that goes another way (`first`, `second`).
  private func lives(_ first: String, _ second: String, then rest: String = "") throws -> Bench {
    func text(_ body: String) -> String {
      """
      import std/streaming (StreamReader, StreamWriter, close, getReadable, getWritable, streamForEach, write)
      import std/clock (sleep)
      import std/task (attempt)
      func draft() -> StreamWriter[string] {
        getWritable("draft")
      }
      func numbers() -> StreamReader[int] {
        getReadable("numbers")
      }
      func main() {
        let source: StreamWriter[int] = getWritable("numbers")
        for n in 0..3 { _ = source.write(n) }
        _ = source.close()
        \(body)
        \(rest)
      }
      """
    }
    let bench = try Bench(text(first), configure: { $0.runID = "r" })
    bench.run()
    #expect(bench.items("runs/r/draft") == #"["half"]"# && bench.exits == [], "\(bench.errors)")
    let next = try Bench(
      text(second), store: { _ in bench.store }, in: bench.simulation, configure: { $0.runID = "r" })
    next.run()
    return next
  }

  /// Whoever runs it knows, and nobody takes it for completed.
  private func expectTold(_ bench: Bench) {
    let why =
      "stream \"draft\" was aborted: the resumed run differs from its first life at position 0: it ends earlier now"
    #expect(bench.errors.hasPrefix("weir: run r: \(why)\n") && bench.exits == [1])
    #expect(bench.ending("_weir/journal/r") == .aborted(reason: why))
  }

  private static let half = "_ = draft().write(\"half\"); sleep(1000000)"
  private static let cut = StreamEnding.aborted(
    reason: "the resumed run differs from its first life at position 0: it ends earlier now")

  @Test func aStreamThatIsNotWrittenAgainIsNotWhole() throws {
    let whole = "let whole: StreamWriter[int] = getWritable(\"whole\"); _ = whole.write(1)"
    let bench = try lives("step \"s\" { \(whole) }\n\(Self.half)", "step \"s\" { () }")
    #expect(bench.ending("runs/r/draft") == Self.cut)
    #expect(bench.ending("runs/r/whole") == .closed && bench.ending("runs/r/numbers") == .closed)
    expectTold(bench)
  }

  @Test(arguments: [
    ("step \"s\" { HALF }", "step \"s\" { () }"),
    ("step \"s\" { step \"t\" { HALF } }", "step \"s\" { () }"),
    (
      "_ = streamForEach(numbers(), (n) => { HALF; if n < 0 { Err(0) } else { Ok(0) } }, \"e\")",
      "_ = streamForEach(numbers(), (n) => if n < 0 { Err(0) } else { Ok(0) }, \"e\")"
    ),
  ]) func whatAStepDoesNotWriteAgainIsTold(first: String, second: String) throws {
    let bench = try lives(
      first.replacing(text: "HALF", with: Self.half), second, then: "println(\"${draft().write(\"more\")}\")")
    #expect(bench.ending("runs/r/draft") == Self.cut && bench.items("runs/r/draft") == #"["half"]"#)
    #expect(bench.output.contains("Err(WriterAborted(\"the resumed run differs"), "\(bench.output) \(bench.errors)")
    expectTold(bench)
  }

  /// What has failed is repeated by nobody, whether it came there again or not.
  @Test(arguments: [
    ("_ = attempt(() => step \"s\" { HALF })", "_ = attempt(() => step \"s\" { println([1][9]) })"),
    (
      "_ = streamForEach(numbers(), (n) => { HALF; if n < 0 { Ok(0) } else { Err(0) } }, \"e\", onError: \"skip\")",
      "_ = streamForEach(numbers(), (n) => if n < 0 { Ok(0) } else { Err(0) }, \"e\", onError: \"skip\")"
    ),
  ]) func whatFailedIsNotMissed(first: String, second: String) throws {
    for rest in ["", "println(\"${draft().write(\"more\")}\")"] {
      let bench = try lives(first.replacing(text: "HALF", with: Self.half), second, then: rest)
      #expect(bench.ending("runs/r/draft") == .closed && bench.exits == [0])
      if rest != "" { #expect(bench.items("runs/r/draft") == #"["half","more"]"#) }
    }
  }

  /// Its answer fails if it has not been given yet; what is found by its end is told to whoever runs the server.
  @Test(arguments: [("_ = draft().write(\"other\")", "error"), ("()", "completed")]) func aServedRunIsTold(
    second: String, end: String
  ) throws {
    func text(_ body: String) -> String {
      """
      import std/streaming (StreamWriter, getWritable, write)
      import std/clock (sleep)
      func draft() -> StreamWriter[string] {
        getWritable("draft")
      }
      @post("/work")
      workflow Work() -> int {
        \(body)
        1
      }
      """
    }
    let bench = try Bench(text(Self.half)).serve()
    bench.post("/work", "{}")
    let id = try #require(bench.runs.first { $0.name.path.hasSuffix("/draft") }?.name.path.split(separator: "/")[1])
    bench.drop()
    let next = try Bench(text(second), store: { _ in bench.store }, in: bench.simulation)
    next.instance.resume(run: String(id))
    next.settle()
    #expect(
      next.exits == [1]
        && next.errors.contains("weir: run \(id): stream \"draft\" was aborted: the resumed run differs"))
    let run = try #require(next.runs.first { $0.name.path == "runs/\(id)" })
    #expect(next.events(run).ends.map(\.rawValue) == [end])
    #expect(next.events(run).failure?.code == (end == "error" ? "RunDiverged" : nil))
    guard case .aborted? = next.ending("_weir/journal/\(id)") else { return #expect(Bool(false)) }
  }
}
