import Testing
import WeirCore
import WeirStore
import WeirTesting

@testable import WeirRuntime

/// A program's runs are known at each of its servers, can be stopped whenever they are known, and end with the process whole.
@Suite struct RunsOfAProgramTests {
  private static let text = """
    import std/http as http
    import std/task (all)
    import std/clock (sleep)
    @post("/work")
    workflow Work(n: int) -> int {
      let doubled = step "double" { 2 * n }
      sleep(60000)
      doubled
    }
    func main() {
      _ = all([() => http.Server([Work]).listen(7551), () => http.Server([Work]).listen(7552)], 0)
    }
    """

  private func bench(
    in world: SimulatedWorld? = nil, port: Int? = nil, store: (SimulatedLoop) -> any StreamStore
  ) throws -> Bench {
    try Bench(Self.text, store: store, in: world, configure: { $0.server.port = port })
  }

  @Test func everyServerOfAProgramKnowsAllRuns() throws {
    let bench = try bench { MemoryStreamStore(loop: $0) }
    bench.run()
    let at = { (port: Int, method: String, path: String) in bench.ask(method, path, "{\"n\": 1}", port: port) }
    bench.simulation.loop.advance(by: .seconds(1))
    // More than once, so that neither writes over what the other has written.
    var ids: [(id: String, other: Int)] = []
    for number in 0..<6 {
      let port = 7551 + number % 2
      let client = TestClient(bench.simulation.network, port: port)
      client.send("POST", "/work", #"{"n": 1}"#, headers: "Accept: text/event-stream\r\n")
      bench.settle()
      ids.append((try #require(client["Run-Id"], "\(client.text)\(bench.errors)"), 7551 + (number + 1) % 2))
    }
    for (id, other) in ids {
      #expect(at(other, "GET", "/_weir/runs/\(id)").json?["state"] == "running")
      #expect(at(other, "POST", "/_weir/runs/\(id)/stop").status == 202)
      #expect(bench.ending("runs/\(id)") == .aborted(reason: "aborted"))
    }
    #expect(at(7551, "GET", "/_weir/runs").json?["runs"]?.array?.count == 6)
    bench.expectQuiet()
    // And the next process knows them all.
    let next = try self.bench(in: bench.simulation, port: 8090) { _ in bench.store }
    next.serve()
    #expect(next.ask("GET", "/_weir/runs", port: 8090).json?["runs"]?.array?.count == 6)
  }

  /// It has a name and no fiber yet.
  @Test func aRunThatIsBeingBegunIsStopped() throws {
    var slow: SlowStore!
    let bench = try bench(port: 8080) {
      slow = SlowStore($0)
      return slow
    }
    bench.serve()
    bench.ask("GET", "/_weir/runs")
    slow.isHolding = true
    let client = bench.post("/work", #"{"n": 1}"#)
    let id = try #require(bench.instance.index.runs.first?.id)
    bench.instance.runs.stop(run: id)
    slow.isHolding = false
    bench.settle()
    #expect(bench.ending("runs/\(id)") == .aborted(reason: "aborted"), "\(client.text)")
    bench.expectQuiet()
  }

  /// Ctrl-C: it has ended, and says so, before the process does.
  @Test(arguments: [false, true]) func aRunThatIsTakenUpEndsWithItsProcess(isStuck: Bool) throws {
    let first = try bench(port: 8080) { SlowStore($0) }
    first.serve()
    first.post("/work", #"{"n": 1}"#)
    let id = try #require(first.instance.index.runs.first?.id)
    first.instance.park(0)
    first.settle()
    #expect(first.ending("runs/\(id)") == nil && first.exits == [0])
    let slow = try #require(first.store as? SlowStore)
    let bench = try bench(in: first.simulation, port: 8081) { _ in slow }
    bench.instance.resume(run: id)
    bench.settle()
    slow.isHoldingEnds = true
    bench.instance.exit(130)
    bench.settle()
    #expect(bench.exits == [])
    if !isStuck {
      slow.isHoldingEnds = false
      slow.isHolding = false
    }
    bench.simulation.loop.advance(by: .seconds(6))
    #expect(bench.exits == [130])
    if isStuck { return }
    for path in ["runs/\(id)", "_weir/journal/\(id)"] {
      #expect(bench.ending(path) == .aborted(reason: "aborted"), "\(path)")
    }
  }
}
