import Testing
import WeirCore
import WeirStore
import WeirTesting

@testable import WeirRuntime

/// What ended runs have kept goes when nobody has used it for `--keep`, in memory and in files alike; what has not ended stays.
@Suite struct RetentionTests {
  static let hour: Int64 = 3600

  /// In memory, or in files of a simulated disk.
  private func bench(
    _ text: String, inFiles: Bool, in world: SimulatedWorld, port: Int = 8080, retention: RunRetention
  ) throws -> Bench {
    let store: any StreamStore =
      inFiles
      ? DeferredStore(isExclusive: true) { answer in
        FileStreamStore.open(directory: "/tmp/streams", disk: world.disk, loop: world.loop) {
          answer($0.map { $0 })
        }
      } : MemoryStreamStore(loop: world.loop)
    return try Bench(
      text, store: { _ in store }, in: world,
      configure: {
        $0.retention = retention
        $0.server.port = port
        $0.runID = "own"
      })
  }

  private func names(_ bench: Bench) -> [String] {
    var names: [String] = []
    bench.store.list(prefix: "", after: nil, limit: 1000) { names = ((try? $0.get()) ?? []).map(\.name.path) }
    bench.settle()
    return names.filter { !$0.hasPrefix("_weir/runs/") }
  }

  static let served = """
    import std/streaming (StreamWriter, close, getWritable, write)
    import std/clock (sleep)
    @post("/work")
    workflow Work(hours: int) -> int {
      let early: StreamWriter[int] = getWritable("early")
      _ = early.write(hours)
      _ = early.close()
      sleep(hours * 3600000)
      let late: StreamWriter[int] = getWritable("late")
      _ = late.write(hours)
      hours
    }
    """

  @Test(arguments: [false, true]) func whatEndedGoesWhenItWasIdle(inFiles: Bool) throws {
    let world = SimulatedWorld(seed: 1, faults: .calm)
    let bench = try bench(
      Self.served, inFiles: inFiles, in: world, retention: RunRetention(served: .idle(seconds: 2 * Self.hour)))
    bench.serve()
    let short = try #require(bench.post("/work", #"{"hours": 0}"#)["Run-Id"])
    let events = "Accept: text/event-stream\r\n"
    let long = try #require(bench.post("/work", #"{"hours": 5}"#, headers: events)["Run-Id"])
    bench.settle()
    func own(_ id: String) -> [String] {
      ["_weir/journal/\(id)", "runs/\(id)", "runs/\(id)/early", "runs/\(id)/late"]
    }
    #expect(Set(names(bench)) == Set(own(short) + own(long).dropLast()))
    let last = try StreamName("runs/\(short)/early")
    world.loop.advance(by: .seconds(1.5 * 3600))
    bench.store.read(last, from: .start, byteLimit: 100) { _ in }
    world.loop.advance(by: .seconds(3600))
    // What was read meanwhile stays. The other run has closed that stream two hours ago, and goes on.
    #expect(Set(names(bench)) == Set([last.path] + own(long).dropLast()))
    world.loop.advance(by: .seconds(1.5 * 3600))
    #expect(Set(names(bench)) == Set(own(long).dropLast()))
    world.loop.advance(by: .seconds(1.5 * 3600))
    #expect(Set(names(bench)) == Set(own(long)))
    #expect(bench.ask("GET", "/_weir/runs").text.contains(long))
    world.loop.advance(by: .seconds(2.5 * 3600))
    #expect(names(bench) == [])
    let shown = bench.ask("GET", "/_weir/runs")
    #expect(shown.status == 200 && !shown.text.contains(long) && !shown.text.contains(short), "\(shown.text)")
    if inFiles { #expect(!world.disk.paths.contains { $0.contains("journal%2f") }, "\(world.disk.paths)") }
  }

  @Test(arguments: [false, true]) func theProgramsOwnRunHasALimitOfItsOwn(inFiles: Bool) throws {
    let text = """
      import std/streaming (StreamWriter, close, getWritable, write)
      func main() {
        let early: StreamWriter[int] = getWritable("numbers")
        _ = early.write(step "one" { 1 })
      }
      """
    for (retention, count) in [
      (RunRetention(own: .idle(seconds: Self.hour)), 0), (RunRetention(served: .idle(seconds: Self.hour)), 2),
    ] {
      let world = SimulatedWorld(seed: 1, faults: .calm)
      let bench = try bench(text, inFiles: inFiles, in: world, retention: retention)
      bench.run()
      #expect(bench.exits == [0] && names(bench).count == 2)
      world.loop.advance(by: .seconds(2 * 3600))
      #expect(names(bench).count == count)
    }
  }

  /// An earlier life wrote what the last one has not opened: all of it goes together.
  @Test func aRunThatWasTakenUpGoesWhole() throws {
    let text = """
      import std/streaming (StreamWriter, getWritable, write)
      import std/clock (sleep)
      func main() {
        step "written" {
          let numbers: StreamWriter[int] = getWritable("numbers")
          _ = numbers.write(1)
          ()
        }
        sleep(WAIT)
      }
      """
    let world = SimulatedWorld(seed: 1, faults: .calm)
    let first = try bench(
      text.replacing(text: "WAIT", with: "1000000000"), inFiles: true, in: world, retention: RunRetention())
    first.run()
    first.drop()
    world.disk.crash()
    let second = try bench(
      text.replacing(text: "WAIT", with: "1"), inFiles: true, in: world,
      retention: RunRetention(own: .idle(seconds: Self.hour)))
    second.run()
    #expect(second.exits == [0], "\(second.errors)")
    #expect(names(second).sorted() == ["_weir/journal/own", "runs/own/numbers"])
    #expect(second.ending("runs/own/numbers") == .closed)
    world.loop.advance(by: .seconds(2 * 3600))
    #expect(names(second) == [])
  }

  @Test func times() {
    #expect(RunRetention(text: "forever") == RunRetention())
    for (text, seconds) in [
      ("30d", 2_592_000), ("12h", 43_200), ("1s", 1), ("1.5s", 2), ("366d", 31_622_400), ("1d12h", 129_600),
    ] as [(String, Int64)] {
      #expect(RunRetention(text: text) == RunRetention(own: .idle(seconds: seconds), served: .idle(seconds: seconds)))
    }
    for text in [
      "", "0", "0s", "999ms", "-1d", "1y2", "30", "d", "367d", "99999999999999999999d", "1h1d", "Forever", "never",
      "1 d",
      "1e3d", "∞",
    ] {
      #expect(RunRetention(text: text) == nil, "\(text)")
    }
  }
}
