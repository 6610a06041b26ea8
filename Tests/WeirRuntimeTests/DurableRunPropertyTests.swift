import Foundation
import Testing
import WeirAI
import WeirCore
import WeirLang
import WeirTesting

@testable import WeirRuntime
@testable import WeirStore

/// Random programs of steps in steps, tries that fail, operations over streams with writes and steps inside, tasks at the same
/// time and tasks that are cut, over a store that answers at once or later, whose process dies at any call of the store, again
/// and again: what is left at the end is what a run leaves that never died.
///
/// `WEIR_SEED=n` repeats one program, `WEIR_SEEDS=n` runs more of them.
@Suite struct DurableRunPropertyTests {
  // MARK: Programs

  private struct Generator {
    let random: SeededRandom
    var count = 0
    var isConcurrent = false
    var hasTries = false

    mutating func program() -> String {
      let (body, values) = statements(depth: 0, places: [], indent: "  ")
      return """
        import std/streaming (StreamReader, StreamWriter, close, getReadable, getWritable, write, streamForEach)
        import std/clock (sleep)
        import std/task (all, attempt, race)
        func fail() {
          let none: [int] = []
          println("${none[0]}")
        }
        func numbers() -> StreamReader[int] {
          getReadable("source")
        }
        func mark(n: int) -> string { if n == 2 then "2!" else "${n}" }
        func main() {
          let source: StreamWriter[int] = getWritable("source")
          for n in 0..5 { _ = source.write(n) }
          _ = source.close()
          let out: StreamWriter[string] = getWritable("out")
          let log: StreamWriter[string] = getWritable("log")
        \(body)
          _ = out.close()
          println("end ${\(values)}")
        }
        """
    }

    private mutating func next() -> Int {
      count += 1
      return count
    }

    /// And an expression of what they have given.
    private mutating func statements(depth: Int, places: [String], indent: String) -> (text: String, values: String) {
      var text: [String] = []
      var values = ["\"\""]
      for _ in 0..<random.int(depth == 0 ? 3...6 : 1...3) {
        let (line, value) = statement(depth: depth, places: places, indent: indent)
        text.append(line)
        if let value { values.append(value) }
      }
      return (text.joined(separator: "\n"), values.joined(separator: " ++ "))
    }

    /// The last that a try does which fails: a task that is cut while it writes. Which of its items are there nobody knows.
    /// `isStep`: in a frame of its own, where the next try goes on otherwise.
    private mutating func cut(_ n: Int, _ indent: String, isStep: Bool = false) -> String {
      guard random.chance(0.5) else { return indent + "()" }
      let writes = (0..<random.int(1...3)).map { "_ = \(random.pick(["out", "log"])).write(\"w\(n)?\($0)\")" }
      let task = (writes + ["sleep(100000)"]).joined(separator: "; ")
      let body = isStep || random.chance(0.5) ? "step \"cut\" { \(task) }" : task
      return "\(indent)race([() => { \(body) }, () => sleep(\(random.int(0...6)))])"
    }

    private mutating func statement(
      depth: Int, places: [String], indent: String
    ) -> (text: String, value: String?) {
      let n = next()
      let at = places.map { " ${mark(\($0))}" }.joined()
      let inner = indent + "  "
      let write =
        indent + (random.chance(0.7) ? "_ = out" : "_ = log") + ".write(\"w\(n)\(at)\")"
        + (random.chance(0.2) ? "\n\(indent)sleep(\(random.int(1...9)))" : "")
      guard depth < 4 else { return (write, nil) }
      let name = random.pick(["a", "b", "a#2", "a/b", "each:p"])
      switch random.int(0...9) {
      case 0...3: return (write, nil)
      case 4, 5:
        let (body, values) = statements(depth: depth + 1, places: places, indent: inner)
        return (
          """
          \(indent)let v\(n) = step "\(name)" {
          \(body)
          \(inner)"v\(n)\(at)(" ++ \(values) ++ ")"
          \(indent)}
          """, "v\(n)"
        )
      case 6:
        hasTries = true
        let (first, _) = statements(depth: depth + 1, places: places, indent: inner)
        let (second, _) = statements(depth: depth + 1, places: places, indent: inner)
        return (
          """
          \(indent)var n\(n) = 0
          \(indent)@retry(max: 3, delay: 1, backoff: 1.0)
          \(indent)step "\(name)" {
          \(first)
          \(inner)n\(n) = n\(n) + 1
          \(inner)if n\(n) < 2 {
          \(cut(n, inner + "  ", isStep: true))
          \(inner)  fail()
          \(inner)}
          \(second)
          \(indent)}
          """, nil
        )
      case 7:
        let (body, _) = statements(depth: depth + 1, places: places, indent: inner)
        return (
          """
          \(indent)_ = attempt(() => step "\(name)" {
          \(body)
          \(cut(n, inner))
          \(inner)fail()
          \(indent)})
          """, nil
        )
      case 8 where depth < 2:
        let width = random.pick([1, 1, 3])
        if width > 1 { isConcurrent = true }
        let (body, values) = statements(depth: depth + 1, places: places + ["i\(n)"], indent: inner)
        return (
          """
          \(indent)let r\(n) = streamForEach(numbers(), (i\(n)) => {
          \(body)
          \(inner)if i\(n) == 2 {
          \(cut(n, inner + "  "))
          \(inner)  Err("bad")
          \(inner)} else { Ok("r\(n) ${i\(n)}" ++ \(values)) }
          \(indent)}, "\(random.pick(["p", "a"]))", concurrency: \(width), checkpointInterval: \(random.int(1...4)), onError: "skip")
          \(indent)let v\(n) = match r\(n) {
          \(inner)Ok(all) => "${all.results}"
          \(inner)Err(why) => "failed"
          \(indent)}
          """, "v\(n)"
        )
      case 9 where depth < 2:
        isConcurrent = true
        let jobs = (0..<random.int(2...3)).map { job in
          let (first, one) = statements(depth: depth + 1, places: places, indent: inner + "  ")
          let (second, other) = statements(depth: depth + 1, places: places, indent: inner + "  ")
          return """
            \(indent)() => {
            \(inner)step "job\(job)" {
            \(first)
            \(inner)  sleep(\(random.int(0...20)))
            \(second)
            \(inner)  \(one) ++ \(other)
            \(inner)}
            \(indent)}
            """
        }
        return ("\(indent)let v\(n) = all([\n\(jobs.joined(separator: ",\n"))\n\(indent)], 0)", "\"${v\(n)}\"")
      default: return (write, nil)
      }
    }
  }

  // MARK: Lives

  private struct Kept {
    /// What the last life said at its end.
    var end: Substring?
    /// Items of each stream but those of failed tries, and of items that fail in every life.
    var streams: [String: [String]] = [:]
    /// By path: values, and what each step has written itself.
    var steps: [String: (value: JSONValue, items: [String])] = [:]
    var endings: [StreamEnding?] = []
    /// Steps that were done more than once.
    var twice: [String] = []
    var errors = ""
  }

  private final class Runner {
    let program: Program
    let world = SimulatedWorld(seed: 1, faults: .calm)
    let mortal = Mortal()
    /// Of the store, in the last life.
    private(set) var calls = 0
    init(_ program: Program, slow: SeededRandom?) {
      self.program = program
      mortal.store = MemoryStreamStore(loop: world.loop)
      if let slow { mortal.slow = (world.loop, { .microseconds(slow.int(1...3_000)) }) }
    }

    /// False: it died.
    func live(calls: Int, performsLast: Bool) -> Bool {
      defer { mortal.left = .max }
      mortal.left = calls
      mortal.performsLast = performsLast
      var options = ProgramInstance.Options()
      options.runID = "r"
      let console = world.console
      var exits: [Int] = []
      let instance = ProgramInstance(
        program: program, world: world.world, store: mortal,
        providers: ProviderRegistry(environment: world.environment),
        options: options
      ) { trap in console.write("\(trap.code): \(trap.message)\n", to: .error) }
      instance.onExit = { exits.append($0) }
      instance.run(entryArguments: [])
      world.loop.advance(by: .seconds(10))
      self.calls = calls - mortal.left
      return mortal.left > 0 && !exits.isEmpty
    }

    private func items(_ path: String) -> [[UInt8]] {
      var items: [[UInt8]] = []
      guard let name = try? StreamName(path) else { return [] }
      mortal.store.read(name, from: .start, byteLimit: 1 << 30) { items = ((try? $0.get())?.items ?? []).map(\.bytes) }
      return items
    }

    func kept() -> Kept {
      var kept = Kept()
      let (output, error) = (world.console.output, world.console.error)
      kept.end = output.split(separator: "\n").last { $0.hasPrefix("end") }
      kept.errors = error.split(separator: "\n").filter { !$0.hasPrefix("IndexOutOfRange") }.joined(separator: "\n")
      let journal = items("_weir/journal/r").map { RunJournal.Entry($0) }
      let streams = ["out", "log", "source"].map {
        ($0, items("runs/r/\($0)").map { String(decoding: $0, as: UTF8.self) })
      }
      var failed: DurableFrame.Places = [:]
      for case .failed(_, let writes)? in journal { failed.merge(writes) { $0.union($1) } }
      func isKept(_ place: Int, _ item: String, _ name: String) -> Bool {
        !item.contains("!") && !item.contains("?") && failed[name]?.contains(UInt64(place)) != true
      }
      for (name, all) in streams {
        kept.streams[name] = all.enumerated().filter { isKept($0, $1, name) }.map(\.element)
      }
      var steps: [(path: String, step: RunJournal.Step)] = []
      for case .step(let path, let step)? in journal { steps.append((path, step)) }
      for (path, step) in steps {
        if kept.steps[path] != nil { kept.twice.append(path) }
        let items = streams.flatMap { name, all in
          var own = step.writes[name] ?? RangeSet()
          for inner in steps where inner.path.hasPrefix(path + "/") {
            own.subtract(inner.step.writes[name] ?? RangeSet())
          }
          return all.enumerated().filter { own.contains(UInt64($0)) && isKept($0, $1, name) }.map(\.element)
        }
        kept.steps[path] = (step.value, items)
      }
      for path in ["runs/r/out", "runs/r/log", "runs/r/source", "_weir/journal/r"] {
        guard let name = try? StreamName(path) else { continue }
        mortal.store.status(name) { kept.endings.append((try? $0.get())?.ending) }
      }
      return kept
    }
  }

  @Test func whateverDiesIsFinishedAsIfItHadNot() throws {
    let environment = ProcessInfo.processInfo.environment
    let one = environment["WEIR_SEED"].flatMap(UInt64.init)
    let seeds = environment["WEIR_SEEDS"].flatMap(UInt64.init) ?? 20
    for seed in one.map({ $0...$0 }) ?? 1...seeds { try check(seed) }
  }

  private func check(_ seed: UInt64) throws {
    let random = SeededRandom(seed: seed)
    var generator = Generator(random: random)
    let text = generator.program()
    let checked = Bench.check(text)
    let core = try #require(
      checked.program,
      "seed \(seed):\n\(DiagnosticPrinter(checked.sources, color: false).text(checked.diagnostics))\n\(text)")
    let program = try Emitter.emit(core, library: Bench.library)
    let isSlow = random.chance(0.7)
    let slow = { isSlow ? random.fork() : nil }
    let whole = Runner(program, slow: slow())
    #expect(whole.live(calls: .max, performsLast: true), "seed \(seed)")
    let calls = whole.calls
    let wanted = whole.kept()
    #expect(wanted.end != nil && wanted.errors == "" && wanted.twice == [], "seed \(seed): \(wanted)\n\(text)")
    for round in 0..<6 {
      let runner = Runner(program, slow: slow())
      var deaths: [Int] = []
      var isOver = false
      while !isOver {
        let left = deaths.count < 5 ? random.int(1...calls) : Int.max
        isOver = runner.live(calls: left, performsLast: random.chance(0.5))
        deaths.append(left)
        if deaths.count > 6 { break }
      }
      let kept = runner.kept()
      let comment: Comment = "WEIR_SEED=\(seed), round \(round), died after \(deaths)\n\(text)"
      // Only that it has ended was not answered.
      let wasOver = kept.errors.contains("StreamEnded")
      #expect(kept.errors == "" || wasOver, "\(kept.errors) \(comment)")
      #expect(kept.end == wanted.end, comment)
      #expect(kept.endings.allSatisfy { $0 == .closed }, "\(kept.endings) \(comment)")
      #expect(kept.twice == [], comment)
      // What is written in another try comes behind what steps and items inside have written in the one before.
      let isOrdered = !generator.isConcurrent && !generator.hasTries
      let order = { (items: [String]) in isOrdered ? items : items.sorted() }
      for (name, items) in wanted.streams {
        #expect(order(kept.streams[name] ?? []) == order(items), "\(name) \(comment)")
      }
      #expect(Set(kept.steps.keys) == Set(wanted.steps.keys), comment)
      for (path, step) in wanted.steps {
        guard let other = kept.steps[path] else { continue }
        #expect(other.value == step.value, "\(path) \(comment)")
        #expect(order(other.items) == order(step.items), "\(path) \(comment)")
      }
    }
  }
}
