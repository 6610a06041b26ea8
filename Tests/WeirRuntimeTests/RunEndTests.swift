import Testing
import WeirCore
import WeirStore
import WeirTesting

@testable import WeirRuntime

/// Whatever a run has made is ended with it, by this process or by the next.
@Suite struct RunEndTests {
  static let text = """
    import std/streaming (StreamWriter, getWritable, write)
    @post("/work")
    workflow Work(n: int) -> int {
      let tokens: StreamWriter[int] = getWritable("tokens")
      _ = tokens.write(n)
      let doubled = step "double" { n * 2 }
      _ = tokens.write(doubled)
      doubled
    }
    """

  @Test(arguments: [false, true]) func noStreamOfARunStaysOpenWhereverTheProcessDies(performsLast: Bool) throws {
    var isCut = true
    for calls in 1..<200 where isCut {
      let mortal = Mortal()
      let bench = try Bench(
        Self.text,
        store: {
          mortal.store = MemoryStreamStore(loop: $0)
          return mortal
        })
      mortal.performsLast = performsLast
      mortal.left = calls
      bench.serve()
      bench.post("/work", #"{"n": 1}"#)
      bench.ask("GET", "/_weir/runs")
      isCut = mortal.left <= 0
      mortal.left = .max
      let next = try Bench(
        Self.text, store: { _ in mortal.store }, in: bench.simulation, configure: { $0.server.port = 8081 })
      // Somebody looks at the runs while they are loaded.
      next.instance.serve()
      next.ask("GET", "/_weir/runs", port: 8081)
      next.settle()
      var streams: [StreamStatus] = []
      for prefix in ["runs/", "_weir/journal/"] {
        next.store.list(prefix: prefix, after: nil, limit: 100) { streams += (try? $0.get()) ?? [] }
      }
      for stream in streams { #expect(stream.ending != nil, "\(stream.name), died after \(calls)") }
      if !isCut { #expect(streams.count == 3 && calls > 10) }
    }
    #expect(!isCut)
  }

  /// The index does not say that a run is over while the store has not ended its journal.
  @Test func aRunIsUnderWayUntilItsJournalHasEnded() throws {
    var slow: SlowStore!
    let bench = try Bench(
      Self.text,
      store: {
        slow = SlowStore($0)
        return slow
      })
    bench.serve()
    slow.holdsBelow = "_weir/journal/"
    slow.isHoldingEnds = true
    let client = bench.post("/work", #"{"n": 1}"#)
    let id = try #require(client["Run-Id"], "\(client.text)")
    #expect(client.status == 200 && bench.instance.runs.isUnderWay(id) && bench.instance.runs.count == 1)
    #expect(bench.ask("GET", "/_weir/runs").text.contains(text: #""state":"completed""#))
    #expect(bench.instance.runs.isUnderWay(id))
    slow.isHoldingEnds = false
    slow.isHolding = false
    bench.settle()
    #expect(!bench.instance.runs.isUnderWay(id) && bench.instance.runs.count == 0)
  }

  /// A disk that is full when a run ends: its stream is open, and nobody has forgotten it.
  @Test func whatTheStoreDidNotEndIsEndedByTheNextProcess() throws {
    var slow: SlowStore!
    let bench = try Bench(
      Self.text,
      store: {
        slow = SlowStore($0)
        return slow
      })
    bench.serve()
    slow.refusal = .full("the disk is full")
    slow.refusesEnds = true
    bench.post("/work", #"{"n": 1}"#)
    #expect(bench.instance.runs.count == 0 && bench.errors.contains(text: "its stream could not be written"))
    slow.refusal = nil
    let run = try #require(bench.runs.first { !$0.name.path.hasSuffix("tokens") })
    // Ends are written down with the next run.
    bench.post("/work", #"{"n": 2}"#)
    #expect(bench.ending(run.name.path) == nil)
    let next = try Bench(
      Self.text, store: { _ in slow }, in: bench.simulation, configure: { $0.server.port = 8081 })
    next.serve()
    #expect(next.ending(run.name.path) != nil)
  }

  /// Ends while its journal, or its writer, is being made.
  @Test(arguments: [0, 1, 2], [nil, "why"]) func whatIsBeingOpenedEndsAsWell(turns: Int, failure: String?) throws {
    let loop = SimulatedLoop()
    let store = SlowStore(loop)
    let lifetime = StreamLifetime.idle(seconds: 3600)
    let run = DurableRun(
      id: "r", begun: ["workflow": "Work"], access: StreamAccess(store: store, loop: loop), lifetime: lifetime)
    store.isHolding = true
    var opened: [Bool] = []
    run.writer("tokens", contentType: "application/json") { result in
      opened.append((try? result.get()) != nil)
    }
    // Without a turn the journal is made, with one the writer's stream.
    for _ in 0..<turns {
      store.isHolding = false
      store.isHolding = true
      loop.settle()
    }
    #expect(opened == (turns == 2 ? [true] : []))
    var isOver = false
    run.end(failure: failure) { isOver = $0 == nil }
    #expect(!isOver)
    var late: StoreFailure?
    run.writer("late", contentType: "application/json") { result in
      if case .failure(let failure) = result { late = failure }
    }
    store.isHolding = false
    loop.settle()
    #expect(isOver && opened == [true] && late?.code == StoreFailure.ended(try StreamName("x"), .closed).code)
    for path in ["runs/r/tokens", "_weir/journal/r"] {
      var status: StreamStatus?
      store.status(try StreamName(path)) { status = try? $0.get() }
      #expect(status?.ending == (failure.map { .aborted(reason: $0) } ?? .closed), "\(path)")
      #expect(status?.lifetime == lifetime, "\(path)")
    }
    var names: [String] = []
    store.list(prefix: "", after: nil, limit: 10) { names = ((try? $0.get()) ?? []).map(\.name.path) }
    #expect(names == ["_weir/journal/r", "runs/r/tokens"])
  }
}
