import Testing
import WeirAI
import WeirCore
import WeirStore
import WeirTesting

@testable import WeirRuntime

/// What is written of a run when the store is full, refuses, or is slow.
@Suite struct RunWriterTests {
  final class Source: RunSource {
    var isReading = true { didSet { if isReading != oldValue { changes.append(isReading) } } }
    var changes: [Bool] = []
    var stops = 0
    func stop() { stops += 1 }
  }

  final class Setup {
    let loop = SimulatedLoop()
    let store: SlowStore
    let source = Source()
    let name: StreamName
    let writer: RunWriter
    var ends: [(EndState, StoreFailure?)] = []

    init() throws {
      store = SlowStore(loop)
      name = try StreamName("runs/r")
      store.create(name, contentType: "x") { _ in }
      writer = RunWriter(stream: name, store: store, loop: loop)
      writer.source = source
      writer.onEnd = { [unowned self] in ends.append(($0, $1)) }
    }

    var items: [RunEvent] {
      var items: [RunEvent] = []
      store.read(name, from: .start, byteLimit: 1 << 30) { batch in
        for item in (try? batch.get().items) ?? [] {
          if let event = try? RunEventCodec.decode(item.bytes) { items.append(event) }
        }
      }
      return items
    }
    var ending: StreamEnding? {
      var ending: StreamEnding?
      store.status(name) { ending = (try? $0.get())?.ending }
      return ending
    }
  }

  @Test func eventsOfATurnAreOneAppend() throws {
    let setup = try Setup()
    for word in ["a", "b", "c"] { setup.writer.runEvent(.text(word)) }
    #expect(setup.store.appendCount == 0)
    setup.loop.settle()
    #expect(setup.store.appendCount == 1)
    setup.writer.runEvent(.text("d"))
    setup.writer.runEvent(.end(.completed))
    setup.writer.runEvent(.text("late"))
    setup.loop.settle()
    #expect(setup.items == [.text("a"), .text("b"), .text("c"), .text("d"), .end(.completed)])
    #expect(setup.ending == .closed)
    #expect(setup.ends.count == 1 && setup.ends[0].0 == .completed && setup.ends[0].1 == nil)
    #expect(setup.writer.source == nil && setup.source.stops == 0)
  }

  @Test func anAppendWaitsForTheOneBefore() throws {
    let setup = try Setup()
    setup.store.isHolding = true
    for word in ["a", "b", "c"] {
      setup.writer.runEvent(.text(word))
      setup.loop.settle()
    }
    #expect(setup.store.appendCount == 1)
    setup.store.isHolding = false
    setup.loop.settle()
    #expect(setup.store.appendCount == 2)
    #expect(setup.items == [.text("a"), .text("b"), .text("c")])
  }

  @Test func whatWasRefusedLeavesNoHole() throws {
    let setup = try Setup()
    setup.writer.runEvent(.text("a"))
    setup.loop.settle()
    setup.store.largest = 100
    setup.store.isHolding = true
    setup.writer.runEvent(.text(String(repeating: "x", count: 200)))
    setup.loop.settle()
    setup.writer.runEvent(.text("b"))
    setup.writer.runEvent(.end(.completed))
    setup.loop.settle()
    setup.store.isHolding = false
    setup.loop.settle()
    #expect(setup.items == [.text("a")])
    #expect(setup.ending == .aborted(reason: "StoreFull"))
    #expect(setup.source.stops == 1)
    #expect(setup.ends.count == 1 && setup.ends[0].0 == .error && setup.ends[0].1 == .full("full"))
    setup.writer.runEvent(.text("c"))
    setup.loop.settle()
    #expect(setup.items == [.text("a")])
  }

  @Test func aSlowStoreHoldsTheSourceBack() throws {
    let setup = try Setup()
    setup.store.isHolding = true
    let word = String(repeating: "x", count: 1000)
    let count = RunWriter.pendingByteLimit / 1000
    for _ in 0..<(count + 10) {
      setup.writer.runEvent(.text(word))
      setup.loop.settle()
    }
    #expect(setup.source.changes == [false])
    // The append under way is answered and the next begins: most still waits.
    setup.store.isHolding = false
    setup.loop.settle()
    #expect(setup.source.changes == [false, true])
    #expect(setup.items.count == count + 10)
    setup.writer.runEvent(.end(.aborted))
    setup.loop.settle()
    #expect(setup.ending == .aborted(reason: "aborted"))
    #expect(setup.source.changes == [false, true])
  }

  // MARK: The same under a program

  @Test func aStoreThatRefusesInTheMiddleStopsTheModel() throws {
    let bench = try Bench(Programs.chat, store: { SlowStore($0) }).serve()
    let store = try #require(bench.store as? SlowStore)
    let client = bench.post("/chat", #"{"message":"hi"}"#)
    bench.asked[0].head(200)
    bench.asked[0].body(delta("kept"))
    bench.settle()
    store.refusal = .full("the disk is full")
    bench.asked[0].body(delta(" lost"))
    bench.settle()
    #expect(bench.asked[0].isCancelled)
    let run = try bench.run(client)
    #expect(bench.events(run).text == "kept" && bench.events(run).ends.isEmpty)
    #expect(run.ending == .aborted(reason: "StoreFull"))
    #expect(client.isWhole, "the reader learns of it")
    #expect(bench.errors.contains("its stream could not be written: the disk is full"))
    bench.expectQuiet()
  }

  @Test func aFullStoreStartsNothing() throws {
    let bench = try Bench(
      Programs.chat,
      store: {
        var limits = MemoryStreamStore.Limits()
        limits.streamsLimit = 0
        return MemoryStreamStore(loop: $0, limits: limits)
      }
    ).serve()
    let client = bench.post("/chat", #"{"message":"hi"}"#)
    #expect(client.status == 503)
    #expect(client.json?["error"]?["code"]?.string == "StoreFull")
    #expect(bench.simulation.http.exchanges.isEmpty)
    bench.expectQuiet()
  }
}
