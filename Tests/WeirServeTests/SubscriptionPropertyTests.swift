import Testing
import WeirCore
import WeirNet
import WeirStore
import WeirTesting

@testable import WeirServe

/// Streams that come, grow, go and come again, workers that are slow, and servers that are started anew, at random: in the end
/// every item of every stream that is there has been given out, and nothing is left to do.
@Suite struct SubscriptionPropertyTests {
  typealias B = StreamBench
  typealias S = SubscriptionBench

  /// What happens, and what of the streams that are there was given out.
  private final class World {
    let random: SeededRandom
    var s: S
    var given: [StreamName: Set<UInt64>] = [:]
    var log: [String] = []
    static let names = ["a", "b", "e\u{301}", "\u{E9}"]

    init(_ random: SeededRandom, _ body: String) throws {
      self.random = random
      s = try S(body)
    }

    func act() throws {
      let name = try StreamName("events/" + random.pick(Self.names))
      let path = "/streams/" + name.path
      switch random.int(0...5) {
      case 0: if s.bench.ask("DELETE", path).status == 204 { given[name] = nil }
      case 1, 2: if s.bench.ask("PUT", path, B.json, "[1,2]").status == 201 { given[name] = nil }
      case 3:
        let fork = [(name: "Stream-Forked-From", value: "/streams/events/a")]
        // What it has from its source is nobody's work.
        if s.bench.ask("PUT", path, fork).status == 201 { given[name] = Set(0..<(try tail(name) ?? 0)) }
      default: s.bench.add(path, "3", B.json)
      }
      log.append("\(name) \(try tail(name) ?? 0)")
    }

    func tail(_ name: StreamName) throws -> UInt64? {
      var found: UInt64?
      s.bench.store.status(name) { found = (try? $0.get())?.tail.value }
      return found
    }

    /// What a worker was told, which it reads now: what it acknowledges.
    func take(_ wake: JSONValue) -> [(String, UInt64)] {
      var offsets: [(String, UInt64)] = []
      for stream in wake["streams"]?.array ?? [] {
        guard let name = stream["path"]?.string, let from = stream["acked_offset"]?.string.flatMap({ Offset($0) }),
          let to = stream["tail_offset"]?.string.flatMap({ Offset($0) }), from < to
        else { continue }
        if let name = try? StreamName(name) { given[name, default: []].formUnion(from.value..<to.value) }
        offsets.append((name, to.value))
        log.append("took \(name) \(from.value)-\(to.value)")
      }
      return offsets
    }

    func checkAll(_ seed: UInt64) throws {
      for name in try Self.names.map({ try StreamName("events/" + $0) }) {
        guard let tail = try tail(name) else { continue }
        #expect(given[name, default: []].isSuperset(of: 0..<tail), "seed \(seed): \(name) \(tail) of \(log)")
      }
    }
  }

  @Test(arguments: UInt64(1)...60) func everyItemIsClaimed(seed: UInt64) throws {
    let random = SeededRandom(seed: seed)
    let world = try World(random, S.pull)
    for _ in 0..<40 {
      for _ in 0..<random.int(0...3) { try world.act() }
      let wake = world.s.claim()
      guard wake.status == 200, let told = wake.json else { continue }
      let offsets = world.take(told)
      for _ in 0..<random.int(0...3) { try world.act() }
      if random.chance(0.3) { world.s = try world.s.restarted() }
      switch random.int(0...3) {
      case 0: world.s.bench.loop.advance(by: .seconds(6))
      case 1: #expect(world.s.report("release", told).status == 204, "seed \(seed)")
      default:
        let done = world.s.report("ack", told, offsets, isDone: true)
        #expect(done.status == 200, "seed \(seed): \(done.text) \(world.log)")
      }
    }
    for _ in 0..<10 {
      world.s.bench.loop.advance(by: .seconds(6))
      let wake = world.s.claim()
      guard wake.status == 200, let told = wake.json else { break }
      #expect(world.s.report("ack", told, world.take(told), isDone: true).status == 200, "seed \(seed)")
    }
    #expect(world.s.code(world.s.claim()) == "NO_PENDING_WORK", "seed \(seed)")
    try world.checkAll(seed)
  }

  @Test(arguments: UInt64(1)...60) func everyItemIsDelivered(seed: UInt64) throws {
    let random = SeededRandom(seed: seed)
    let world = try World(random, S.webhook())
    var isCalm = false
    world.s.http.serve(S.hook) { exchange in
      let told = (try? JSONValue.parse(exchange.request.body ?? [])) ?? .null
      let offsets = world.take(told)
      let way = isCalm ? 0 : random.int(0...5)
      if !isCalm { for _ in 0..<random.int(0...2) { #expect(throws: Never.self) { try world.act() } } }
      if way == 1 { return }
      // A worker that calls back, and then is done by the answer, by another call, or not at all.
      if way >= 4 { _ = world.s.report("callback", told, offsets, isDone: way == 5) }
      exchange.head(way == 2 ? 500 : 200, after: .seconds(isCalm ? 0 : random.int(0...6)))
      exchange.body(way == 3 ? "{}" : #"{"done": true}"#)
      exchange.finish()
    }
    for _ in 0..<60 {
      try world.act()
      world.s.bench.loop.advance(by: .milliseconds(random.int(0...4000)))
      if random.chance(0.1) { world.s = try world.s.restarted() }
    }
    isCalm = true
    world.s.bench.loop.advance(by: .seconds(200))
    #expect(world.s.status == "active" && world.s.http.openExchangeCount == 0, "seed \(seed)")
    try world.checkAll(seed)
    let count = world.s.http.requests.count
    world.s.bench.loop.advance(by: .seconds(200))
    #expect(world.s.http.requests.count == count, "seed \(seed): \(world.log)")
  }
}
