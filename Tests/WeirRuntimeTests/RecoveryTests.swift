import Testing
import WeirCore
import WeirServe
import WeirStore
import WeirTesting

@testable import WeirRuntime

/// What a dead process has left, however much it is: each run is taken up or ended, in order, at a pace that a provider bears.
@Suite struct RecoveryTests {
  static let text = """
    import std/clock (sleep)
    @post("/work")
    workflow Work(n: int) -> int {
      let doubled = step "double" { n * 2 }
      sleep(DELAY)
      step "told" { () }
      doubled
    }
    """

  /// Leaves `count` open runs behind: every third without a journal, the others with one step done.
  private func leave(_ count: Int, in store: any StreamStore) throws {
    let index = try CompactedLog.name(RunIndex.root, 1)
    store.create(index, contentType: CompactedLog.contentType) { _ in }
    for number in 0..<count {
      let id = "run-\(number)"
      let ticket = try RunTicket(id: id)
      store.create(ticket.stream, contentType: RunTicket.contentType) { _ in }
      let entry: JSONValue = [
        "id": .string(id), "workflow": "Work", "stream_id": .string(ticket.stream.path), "started_at": .int(number),
        "arguments": ["n": .int(number)],
      ]
      store.append(index, [entry.encoded()], ending: nil) { _ in }
      guard number % 3 > 0 else { continue }
      let items: [JSONValue] = [
        ["begun": ["workflow": "Work", "arguments": ["n": .int(number)]]],
        ["step": "double", "value": .int(2 * number), "writes": [:]],
      ]
      store.create(
        try WorkflowStreams.journal(of: id),
        StreamCreation(contentType: StreamContentType.json, items: items.map { $0.encoded() })
      ) { _ in }
    }
  }

  @Test func threeThousandOpenRunsAreAllTakenUpOrEnded() throws {
    let count = 3000
    let world = SimulatedWorld(seed: 1, faults: .calm)
    let bench = try Bench(
      Self.text.replacing(text: "DELAY", with: "60000"), store: { MemoryStreamStore(loop: $0) }, in: world)
    try leave(count, in: bench.store)
    bench.instance.serve()
    let start = world.loop.now
    var most = 0
    var last = 0
    var firstAnswer: Duration?
    while bench.instance.runs.count < 2 * count / 3, world.loop.now - start < .seconds(30) {
      world.loop.advance(by: RunRecovery.pause)
      most = max(most, bench.instance.runs.count - last)
      last = bench.instance.runs.count
      // Whoever comes meanwhile is answered.
      if firstAnswer == nil, world.loop.now - start > .seconds(1) {
        #expect(bench.ask("GET", "/readyz").status == 200)
        firstAnswer = world.loop.now - start
      }
    }
    #expect(bench.instance.runs.count == 2 * count / 3)
    #expect(most <= 2 * RunRecovery.burst + RunRecovery.burst, "\(most) in \(RunRecovery.pause)")
    #expect(world.loop.now - start < .seconds(15))
    bench.settle()
    #expect(bench.errors.contains("2000 runs of an earlier process taken up again"), "\(bench.errors)")
    #expect(bench.errors.contains("1000 runs of an earlier process had not ended, and failed"))
    world.loop.advance(by: .seconds(90))
    #expect(bench.instance.runs.count == 0)
    for number in 0..<count {
      let events = bench.events(
        StreamStatus(
          name: try StreamName("runs/run-\(number)"), contentType: "", tail: .start, ending: nil, createdAt: 0))
      if number % 3 == 0 {
        #expect(events.failure?.code == "RunInterrupted" && events.ends == [.error], "run \(number)")
      } else {
        #expect(events == [.value(.int(2 * number)), .end(.completed)], "run \(number)")
        #expect(bench.ending("_weir/journal/run-\(number)") == .closed, "run \(number)")
      }
    }
    // And the process after that has nothing to do.
    let next = try Bench(
      Self.text.replacing(text: "DELAY", with: "1"), store: { _ in bench.store }, in: world,
      configure: { $0.server.port = 8081 })
    let before = bench.errors
    next.serve()
    world.loop.advance(by: .seconds(5))
    #expect(!next.errors.dropFirst(before.count).contains("an earlier process"), "\(next.errors)")
  }

  /// A journal that nobody can read is no reason to stand open for ever.
  @Test func aRunWhoseJournalCannotBeReadIsEnded() throws {
    let world = SimulatedWorld(seed: 1, faults: .calm)
    let bench = try Bench(
      Self.text.replacing(text: "DELAY", with: "1"), store: { MemoryStreamStore(loop: $0) }, in: world)
    try leave(3, in: bench.store)
    bench.store.append(try WorkflowStreams.journal(of: "run-1"), [Array("{\"what\":1}".utf8)], ending: nil) { _ in }
    bench.instance.serve()
    world.loop.advance(by: .seconds(5))
    let events = bench.events(
      StreamStatus(
        name: try StreamName("runs/run-1"), contentType: "", tail: .start, ending: nil, createdAt: 0))
    #expect(events.failure?.code == "RunInterrupted")
    #expect(events.failure?.message.contains("the journal of run run-1 cannot be read at position 2") == true)
    #expect(bench.ending("_weir/journal/run-1") == .aborted(reason: "RunInterrupted"))
    #expect(bench.ending("_weir/journal/run-2") == .closed)
  }

  @Test func aRunThatWaitsForItsTurnMayBeStopped() throws {
    let world = SimulatedWorld(seed: 1, faults: .calm)
    let bench = try Bench(
      Self.text.replacing(text: "DELAY", with: "1"), store: { MemoryStreamStore(loop: $0) }, in: world)
    try leave(300, in: bench.store)
    bench.instance.serve()
    world.loop.advance(by: .milliseconds(50))
    let stop = bench.post("/_weir/runs/run-298/stop", "{}")
    #expect(stop.status == 202, "\(stop.text)")
    world.loop.advance(by: .seconds(10))
    #expect(bench.ending("runs/run-298") == .aborted(reason: "aborted"))
    #expect(bench.ending("_weir/journal/run-298") == .aborted(reason: "aborted"))
    #expect(bench.ending("runs/run-299") == .closed)
  }

  /// A process that is told to end while it takes runs up leaves the others as they are.
  @Test func whatWasNotTakenUpIsLeft() throws {
    let world = SimulatedWorld(seed: 1, faults: .calm)
    let bench = try Bench(
      Self.text.replacing(text: "DELAY", with: "1"), store: { MemoryStreamStore(loop: $0) }, in: world)
    try leave(3000, in: bench.store)
    bench.instance.serve()
    world.loop.advance(by: .milliseconds(500))
    #expect(bench.instance.shutDown())
    world.loop.advance(by: .seconds(20))
    #expect(bench.exits == [0])
    let open = bench.runs.count { $0.ending == nil }
    #expect(open > 500, "\(open)")
    let next = try Bench(
      Self.text.replacing(text: "DELAY", with: "1"), store: { _ in bench.store }, in: world,
      configure: { $0.server.port = 8081 })
    next.serve()
    world.loop.advance(by: .seconds(30))
    var all: [StreamStatus] = []
    next.store.list(prefix: "runs/", after: nil, limit: 5000) { all = (try? $0.get()) ?? [] }
    #expect(all.count == 3000 && all.allSatisfy { $0.ending != nil })
  }
}
