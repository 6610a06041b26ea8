import Testing
import WeirCore
import WeirNet
import WeirStore
import WeirTesting

@testable import WeirServe

/// Several processes keep one index in one store, at any pace, and die: what one of them was told is kept is known to all.
@Suite struct SharedRunIndexTests {
  /// One of the processes.
  private final class Process {
    let store: DistantStore
    let index: RunIndex
    var own: Set<String> = []

    init(_ shared: MemoryStreamStore, _ loop: SimulatedLoop, _ random: SeededRandom) {
      store = DistantStore(shared, loop, random)
      var limits = RunIndex.Limits()
      limits.runs = 3
      index = RunIndex(store, limits, loop: loop) { _ in false }
    }
  }

  private static func run(_ id: String) throws -> RunIndex.Run {
    RunIndex.Run(
      id: id, workflow: "W", stream: try RunTicket.stream(forRun: id), arguments: [], session: nil, startedAt: 0)
  }

  @Test(arguments: 0..<60 as Range<UInt64>) func whatOneWasToldIsKeptIsKnownToAll(seed: UInt64) throws {
    let loop = SimulatedLoop()
    let random = SeededRandom(seed: seed)
    let shared = MemoryStreamStore(loop: loop)
    var processes = (0..<3).map { _ in Process(shared, loop, random) }
    var open: Set<String> = []
    var forgotten: Set<String> = []
    var count = 0
    for _ in 0..<400 {
      let place = Int(random.next() % 3)
      let process = processes[place]
      switch random.next() % 40 {
      case 0..<22:
        count += 1
        let id = "run\(count)"
        process.index.add(try Self.run(id)) { failure in
          if failure == nil {
            open.insert(id)
            process.own.insert(id)
          }
        }
      case 22..<30:
        guard let id = process.own.sorted().first(where: { open.contains($0) }) else { break }
        open.remove(id)
        process.index.ended(id, .completed)
      case 30..<34:
        guard let id = process.own.sorted().last(where: { open.contains($0) }) else { break }
        open.remove(id)
        forgotten.insert(id)
        process.index.delete(id)
      case 34..<38: process.index.catchUp { _ in }
      case 38: process.store.pause(for: .milliseconds(Int(random.next() % 500)))
      default:
        // It dies, with what is on its way, and another comes. What it has forgotten may not have been written down.
        process.store.isDead = true
        forgotten.subtract(process.own)
        processes[place] = Process(shared, loop, random)
      }
      loop.advance(by: .milliseconds(Int(random.next() % 4)))
    }
    loop.advance(by: .seconds(5))
    processes.append(Process(shared, loop, random))
    for process in processes {
      var isCaughtUp = false
      process.index.catchUp { isCaughtUp = $0 == nil }
      loop.advance(by: .seconds(2))
      #expect(isCaughtUp, "seed \(seed)")
      let known = Set(process.index.open.map(\.id))
      #expect(open.subtracting(known).isEmpty, "seed \(seed): not known: \(open.subtracting(known).sorted())")
      let back = known.intersection(forgotten)
      #expect(back.isEmpty, "seed \(seed): forgotten, and known again: \(back.sorted())")
    }
    // There were several generations, and the old ones go.
    loop.advance(by: .seconds(120))
    var left: [StreamStatus] = []
    shared.list(prefix: "_weir/runs/", after: nil, limit: 100) { left = (try? $0.get()) ?? [] }
    #expect(left.count == 1 && left[0].name.path > "_weir/runs/0000000000000005", "seed \(seed): \(left.map(\.name))")
  }

  /// A server that asks for a run finds what another has begun since it read the index, and what that one ends or forgets.
  @Test func whatAnotherServerBeginsIsFound() throws {
    let loop = SimulatedLoop()
    let shared = MemoryStreamStore(loop: loop)
    func server() -> SharedBench { SharedBench(DistantStore(shared, loop, SeededRandom(seed: 1)), loop) }
    let (a, b) = (server(), server())
    a.app.load()
    b.app.load()
    loop.advance(by: .seconds(1))
    let begun = a.ask("POST", "/chat", body: #"{"message":"hi","session_id":"s"}"#)
    let id = try #require(begun["Run-Id"])
    #expect(b.ask("GET", "/_weir/runs/\(id)").json?["state"] == "running")
    #expect(b.ask("GET", "/_weir/runs").json?["runs"]?.array?.count == 1)
    #expect(b.ask("GET", "/_weir/sessions/s").json?["runs"]?.array?.count == 1)
    // It is not this server's to stop, and it does not seem to.
    let stop = b.ask("POST", "/_weir/runs/\(id)/stop")
    #expect(stop.status == 409 && stop.json?["error"]?["code"] == "RunElsewhere", "\(stop.text)")
    a.host.finish(id, [.text("one")])
    #expect(b.ask("GET", "/_weir/runs").json?["runs"]?[0]?["state"] == "completed")
    #expect(b.ask("DELETE", "/_weir/sessions/s").status == 204)
    #expect(a.ask("GET", "/_weir/runs").json?["runs"] == [])
    #expect(a.ask("GET", "/_weir/runs/nobody").status == 404)
  }

  /// Its stream is not there yet: that is no reason to forget it.
  @Test func aRunThatAnotherServerIsBeginningIsLeft() throws {
    let loop = SimulatedLoop()
    let shared = MemoryStreamStore(loop: loop)
    let a = Process(shared, loop, SeededRandom(seed: 1))
    let b = SharedBench(DistantStore(shared, loop, SeededRandom(seed: 2)), loop)
    var run = try Self.run("r")
    run.startedAt = loop.wallClock
    a.index.add(run) { #expect($0 == nil) }
    loop.advance(by: .seconds(1))
    #expect(b.ask("GET", "/_weir/runs").json?["runs"]?.array?.count == 1)
    #expect(b.app.index["r"] != nil)
    // Whoever began it is gone.
    loop.advance(by: .seconds(120))
    #expect(b.ask("GET", "/_weir/runs").json?["runs"] == [])
  }
}

/// A server on a store that others write to as well.
private struct SharedBench {
  let app: ServeApplication
  let host: ScriptedHost
  let loop: SimulatedLoop

  init(_ store: DistantStore, _ loop: SimulatedLoop) {
    self.loop = loop
    host = ScriptedHost([Bench.chat], store)
    app = ServeApplication(ServeConfiguration(), host: host, store: store, loop: loop)
  }

  @discardableResult
  func ask(_ method: String, _ target: String, body: String = "") -> FakeResponder {
    let responder = FakeResponder()
    app.handle(
      HTTPRequest(
        method: method, path: target, query: "", headers: [("Host", "localhost:8080")], body: Array(body.utf8),
        peer: SocketAddress(host: "127.0.0.1", port: 50000)), responder)
    loop.advance(by: .seconds(1))
    return responder
  }
}

/// A process's way to a store that several share: what is asked arrives some time later, and so does the answer; both in order.
private final class DistantStore: StreamStore {
  private let shared: MemoryStreamStore
  private let loop: SimulatedLoop
  private let random: SeededRandom
  private var arrival = Instant(nanoseconds: 0)
  private var answered = Instant(nanoseconds: 0)
  var isDead = false
  var isExclusive: Bool { false }

  init(_ shared: MemoryStreamStore, _ loop: SimulatedLoop, _ random: SeededRandom) {
    self.shared = shared
    self.loop = loop
    self.random = random
  }

  /// It stands still, with what is on its way.
  func pause(for time: Duration) {
    arrival = max(arrival, loop.now + time)
    answered = max(answered, loop.now + time)
  }

  private func after(_ last: inout Instant, _ act: @escaping () -> Void) {
    last = max(last, loop.now + .microseconds(Int(random.next() % 3000)))
    _ = loop.after(last - loop.now, act)
  }

  private func call<T>(_ answer: @escaping Answer<T>, _ perform: @escaping (@escaping Answer<T>) -> Void) {
    if isDead { return }
    after(&arrival) { [self] in
      // Half of what was on its way when it died arrives.
      if isDead, random.next() % 2 == 0 { return }
      perform { [self] result in
        after(&answered) { [self] in if !isDead { answer(result) } }
      }
    }
  }

  func create(_ name: StreamName, _ creation: StreamCreation, _ answer: @escaping Answer<StreamStatus>) {
    call(answer) { [shared] in shared.create(name, creation, $0) }
  }
  func append(_ name: StreamName, _ append: StreamAppend, _ answer: @escaping Answer<StreamAppended>) {
    call(answer) { [shared] in shared.append(name, append, $0) }
  }
  func status(_ name: StreamName, _ answer: @escaping Answer<StreamStatus>) {
    call(answer) { [shared] in shared.status(name, $0) }
  }
  func read(_ name: StreamName, from offset: Offset, byteLimit: Int, _ answer: @escaping Answer<StreamBatch>) {
    call(answer) { [shared] in shared.read(name, from: offset, byteLimit: byteLimit, $0) }
  }
  func watch(_ name: StreamName, _ wake: @escaping () -> Void) -> any Cancellable { shared.watch(name, wake) }
  func delete(_ name: StreamName, _ answer: @escaping Answer<Void>) {
    call(answer) { [shared] in shared.delete(name, $0) }
  }
  func list(prefix: String, after: StreamName?, limit: Int, _ answer: @escaping Answer<[StreamStatus]>) {
    call(answer) { [shared] in shared.list(prefix: prefix, after: after, limit: limit, $0) }
  }
}
