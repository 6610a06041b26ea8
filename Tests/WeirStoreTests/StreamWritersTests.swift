import Testing
import WeirCore
import WeirStore
import WeirTesting

/// The pure parts that every store shares, at their limits.
@Suite struct StreamWritersTests {
  @Test func producersAreLimitedAndTheSilentForgotten() throws {
    let name = try StreamName("a")
    var writers = StreamWriters()
    func judge(_ id: Int, at now: Int64) -> (StreamAppend, StreamWriters.Verdict) {
      let append = StreamAppend(
        items: [[1]], producer: ProducerStamp(id: "producer \(id)", epoch: 0, sequence: 0))
      return (
        append, writers.judge(append, of: name, contentType: "t", ending: nil, tail: .start, now: now)
      )
    }
    for id in 0..<StreamWriters.producersLimit {
      let (append, verdict) = judge(id, at: 1000)
      #expect(verdict == .new)
      writers.took(append, at: 1000)
    }
    guard case .refused(let failure) = judge(-1, at: 1000).1 else { throw StoreFailure.unavailable("taken") }
    #expect(failure.code == "StoreFull")
    // Those who are known may go on.
    let next = StreamAppend(items: [[1]], producer: ProducerStamp(id: "producer 5", epoch: 0, sequence: 1))
    #expect(writers.judge(next, of: name, contentType: "t", ending: nil, tail: .start, now: 1000) == .new)
    let later = 1000 + StreamWriters.silenceLimit
    writers.took(next, at: later)
    let (append, verdict) = judge(-1, at: later)
    #expect(verdict == .new)
    writers.took(append, at: later)
    #expect(Set(writers.producers.keys) == ["producer 5", "producer -1"])
  }

  @Test func sequencesAtTheEndOfTheirRangeDoNotOverflow() throws {
    let name = try StreamName("a")
    var writers = StreamWriters()
    for sequence in [0, UInt64.max] {
      let stamp = ProducerStamp(id: "p", epoch: .max, sequence: sequence)
      writers.took(StreamAppend(items: [], producer: stamp), at: 0)
    }
    for (epoch, sequence) in [(UInt64.max, UInt64.max), (.max, 0), (0, .max)] as [(UInt64, UInt64)] {
      let append = StreamAppend(items: [[1]], producer: ProducerStamp(id: "p", epoch: epoch, sequence: sequence))
      #expect(writers.judge(append, of: name, contentType: "t", ending: nil, tail: .start, now: 0) != .new)
    }
  }

  @Test func contentTypesAreTheSameButForCaseAndParameters() {
    for other in ["text/plain", "TEXT/Plain", "text/plain; charset=utf-8", " text/plain ;x", "text/plain\t;"] {
      #expect(StreamContentType.isSame("text/plain", other), "\(other)")
    }
    for other in ["text/html", "text/plainer", "text", "", ";", "application/json"] {
      #expect(!StreamContentType.isSame("text/plain", other), "\(other)")
    }
    #expect(
      StreamContentType.holdsJSON("Application/JSON;charset=utf-8") && !StreamContentType.holdsJSON("application/jsonl")
    )
    #expect(StreamContentType.holdsJSON("application/problem+json") && !StreamContentType.holdsJSON("text/plain"))
    #expect(StreamContentType.isText("Text/html") && !StreamContentType.isText("image/svg+xml"))
  }

  @Test func aLeaseIsNeverOverWhileInUseAndAtMostItsGrainLate() {
    for seed in 1...200 as ClosedRange<UInt64> {
      let random = SeededRandom(seed: seed)
      let idle = Int64(random.int(1...1000))
      var lease = StreamLease(.idle(seconds: idle), mark: 0, grainDivisor: 8)
      var now: Int64 = 0
      var used: Int64 = 0
      for _ in 0..<100 {
        now += Int64(random.int(0...Int(idle * 1200)))
        if lease.isOver(at: now) {
          #expect(now - used >= idle * 1000, "seed \(seed)")
          break
        }
        #expect(now - used < idle * 1125, "seed \(seed)")
        if random.chance(0.8) {
          _ = lease.use(at: now)
          used = now
        }
      }
    }
    var over = StreamLease(.idle(seconds: 0), mark: 5, grainDivisor: 8)
    #expect(over.isOver(at: 5) && !over.use(at: 5))
    let longest = StreamLease(.idle(seconds: StreamLifetime.secondsLimit), mark: 1_767_225_600_000, grainDivisor: 8)
    #expect(longest.expiresAt ?? 0 > 0)
  }

  @Test func dueStreamsAreToldOnceEachInOrderByOneTimer() throws {
    let loop = SimulatedLoop()
    var told: [String] = []
    let schedule = ExpirySchedule(loop: loop) { told.append($0.path) }
    let start = loop.wallClock
    for (name, wait) in [("c", 30), ("a", 10), ("b", 20), ("a", 15), ("c", 25)] {
      schedule.note(try StreamName(name), at: start + Int64(wait))
    }
    #expect(loop.pendingTimerCount == 1)
    loop.run()
    #expect(told == ["a", "b", "c"] && loop.pendingTimerCount == 0)
    // A day ahead: a wall clock may be set, so it is looked at now and then.
    schedule.note(try StreamName("d"), at: loop.wallClock + 86_400_000)
    loop.run()
    #expect(told.last == "d" && loop.wallClock >= start + 86_400_000)
  }
}
