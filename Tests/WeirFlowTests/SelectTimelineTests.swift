import Testing
import WeirCore
import WeirTesting

@testable import WeirFlow

/// The multiplexer's order, as tables: which events arrive when → what the handler sees and when.
///
/// Sources are written with their priorities: `a=9`. Arrivals are at milliseconds: `a1` is an event of `a`, `-a` its end,
/// `!a` its cancellation by the program.
struct Timeline: CustomTestStringConvertible {
  var testDescription: String
  var sources: String
  var arrivals: [Int: String]
  /// Milliseconds that the handler takes for an event.
  var handler = 0
  /// The handler answers false to this event.
  var stopsAt: String?
  var idle: Duration? = nil
  var duration: Duration? = nil
  var trace: String

  static let all: [Timeline] = [
    Timeline(
      testDescription: "high priorities first, whatever came first", sources: "a=1 b=9 c=5",
      arrivals: [0: "a1 c1 b1 a2", 1: "-a -b -c"], trace: "0:b1 0:c1 0:a1 0:a2 1:allSourcesEnded"),
    Timeline(
      testDescription: "equal priorities are a band that rotates", sources: "a=5 b=5 c=5",
      arrivals: [0: "c1 c2 c3 a1 a2 a3 b1", 1: "-a -b -c"],
      trace: "0:a1 0:b1 0:c1 0:a2 0:c2 0:a3 0:c3 1:allSourcesEnded"),
    Timeline(
      testDescription: "a band's rotation is kept over waits and other bands", sources: "x=9 a=5 b=5",
      arrivals: [0: "a1", 1: "a2 b1", 2: "x1 a3 b2", 3: "-a -b -x"],
      trace: "0:a1 1:b1 1:a2 2:x1 2:b2 2:a3 3:allSourcesEnded"),
    Timeline(
      testDescription: "bands rotate apart, written in any order", sources: "a=1 x=9 b=1 y=9",
      arrivals: [0: "a1 a2 b1 x1 x2 y1 y2", 1: "-a -b -x -y"],
      trace: "0:x1 0:y1 0:x2 0:y2 0:a1 0:b1 0:a2 1:allSourcesEnded"),
    Timeline(
      testDescription: "a new event of a high priority goes first at the next round", sources: "a=1 b=9",
      arrivals: [0: "a1 a2 a3", 5: "b1", 15: "b2 b3 -b", 60: "-a"], handler: 10,
      trace: "0:a1 10:b1 20:b2 30:b3 40:a2 50:a3 60:allSourcesEnded"),
    Timeline(
      testDescription: "a busy source starves lower bands, never its own", sources: "a=5 b=5 low=1",
      arrivals: [0: "a1 a2 a3 a4 b1 low1", 40: "a5 b2", 80: "-a -b -low"], handler: 10,
      trace: "0:a1 10:b1 20:a2 30:a3 40:b2 50:a4 60:a5 70:low1 80:allSourcesEnded"),
    Timeline(
      testDescription: "ends are silent; what was queued comes before them", sources: "a=2 b=1",
      arrivals: [0: "a1 a2 -a b1", 7: "b2 -b"], trace: "0:a1 0:a2 0:b1 7:b2 7:allSourcesEnded"),
    Timeline(
      testDescription: "all have ended before: nothing is delivered", sources: "a=2 b=1", arrivals: [0: "-a -b"],
      trace: "0:allSourcesEnded"),
    Timeline(
      testDescription: "false ends the loop", sources: "a=1 b=1", arrivals: [0: "a1 b1 a2"], stopsAt: "b1",
      trace: "0:a1 0:b1 0:stopped"),
    Timeline(
      testDescription: "a source that is given up ends and its queue is gone", sources: "a=1 b=1",
      arrivals: [0: "a1 a2 b1", 5: "!a", 30: "-b"], handler: 10, trace: "0:a1 10:b1 30:allSourcesEnded"),
    Timeline(
      testDescription: "idle: told, then over", sources: "a=1", arrivals: [20: "a1"], idle: .seconds(60),
      trace: "20:a1 60020:idle timeout after 1m0s 60020:timedOut(idle)"),
    Timeline(
      testDescription: "a slow handler is not idle", sources: "a=1", arrivals: [0: "a1 a2", 50: "-a"], handler: 100,
      idle: .milliseconds(80), trace: "0:a1 100:a2 200:allSourcesEnded"),
    Timeline(
      testDescription: "duration while waiting", sources: "a=1", arrivals: [1: "a1"], idle: .seconds(600),
      duration: .seconds(300), trace: "1:a1 300000:max duration 5m0s exceeded 300000:timedOut(duration)"),
    Timeline(
      testDescription: "duration under a busy source", sources: "a=1",
      arrivals: [0: "a1 a2 a3 a4 a5 a6 a7 a8 a9 a10 a11 a12 a13 a14"], handler: 10, idle: .seconds(60),
      duration: .milliseconds(45),
      trace: "0:a1 10:a2 20:a3 30:a4 40:a5 50:max duration 45ms exceeded 50:timedOut(duration)"),
    Timeline(
      testDescription: "both at once: the duration is the one that is told", sources: "a=1", arrivals: [:],
      idle: .seconds(5), duration: .seconds(5), trace: "5000:max duration 5s exceeded 5000:timedOut(duration)"),
  ]
}

@Suite struct SelectTimelineTests {
  @Test(arguments: Timeline.all) func timeline(_ timeline: Timeline) throws {
    let bench = try SelectBench(timeline.sources, idle: timeline.idle, duration: timeline.duration)
    bench.handlerTime = .milliseconds(timeline.handler)
    bench.stopsAt = timeline.stopsAt
    for (at, what) in timeline.arrivals {
      if at == 0 {
        bench.perform(what)
      } else {
        _ = bench.loop.after(.milliseconds(at)) { bench.perform(what) }
      }
    }
    bench.begin()
    bench.loop.run()
    #expect(bench.trace.joined(separator: " ") == timeline.trace)
    #expect(bench.sources.allSatisfy { $0.queue.onReady == nil }, "sources are given back")
    #expect(bench.loop.pendingTimerCount == 0)
  }

  /// What is delivered never depends on which wake-up came first.
  @Test func theOrderOfArrivalWithinATurnChangesNothing() throws {
    for seed in UInt64(1)...50 {
      var random = SeededRandom(seed: seed)
      var traces: Set<[String]> = []
      for _ in 0..<4 {
        let bench = try SelectBench("a=3 b=3 c=1 d=3")
        bench.begin()
        bench.loop.settle()
        for group in [["a1", "b1", "c1", "d1"], ["c2", "b2"], ["d2", "a2", "b3"]] {
          let shuffled = group.shuffled(using: &random).joined(separator: " ")
          _ = bench.loop.after(.milliseconds(1)) { bench.perform(shuffled) }
          bench.loop.advance(by: .milliseconds(2))
        }
        traces.insert(bench.trace)
      }
      #expect(traces.count == 1, "seed \(seed): \(traces)")
    }
  }

  @Test func aListThatCannotBeReadBorrowsNothing() throws {
    let loop = SimulatedLoop()
    let (a, b) = (EventQueue(limit: 9), EventQueue(limit: 9))
    func failure(_ inputs: EventQueue...) -> SelectFailure? {
      do {
        _ = try SelectLoop(inputs.map { .init($0, priority: 1) }, loop: loop, deadlines: .init())
        return nil
      } catch { return error }
    }
    #expect(failure() == .noSources)
    #expect(failure(a, b, a) == .sourceTwice)
    let reading = try SelectLoop([.init(a, priority: 1)], loop: loop, deadlines: .init())
    #expect(failure(b, a) == .sourceBusy)
    #expect(b.onReady == nil)
    reading.close()
    #expect(failure(b, a) == nil)
    for failure in [SelectFailure.noSources, .sourceTwice, .sourceBusy] {
      #expect(!failure.code.isEmpty && !failure.message.isEmpty && failure.hint != nil)
    }
  }

  @Test func aLaterLoopReadsOnWhereTheFirstStopped() throws {
    let bench = try SelectBench("a=1 b=1")
    bench.perform("a1 b1 a2 b2 -a -b")
    bench.stopsAt = "b1"
    bench.begin()
    bench.loop.run()
    bench.stopsAt = nil
    try bench.again()
    bench.loop.run()
    #expect(bench.trace == ["0:a1", "0:b1", "0:stopped", "0:a2", "0:b2", "0:allSourcesEnded"])
  }
}

/// Sources by name, one loop that reads them, and a handler that writes down what it is given.
final class SelectBench {
  struct Source {
    let name: Character
    let priority: Int
    let queue: EventQueue
  }

  let loop = SimulatedLoop()
  private(set) var sources: [Source] = []
  private(set) var trace: [String] = []
  var handlerTime = Duration.zero
  var stopsAt: String?
  private var select: SelectLoop
  private let deadlines: SelectLoop.Deadlines

  init(_ text: String, idle: Duration? = nil, duration: Duration? = nil, limit: Int = 1000) throws {
    sources = text.split(separator: " ").map { word in
      let parts = word.split(separator: "=")
      return Source(name: parts[0].first!, priority: Int(parts[1])!, queue: EventQueue(limit: limit))
    }
    deadlines = .init(idle: idle, duration: duration)
    select = try SelectLoop(
      sources.map { .init($0.queue, priority: $0.priority) }, loop: loop, deadlines: deadlines)
  }

  func again() throws {
    select = try SelectLoop(
      sources.map { .init($0.queue, priority: $0.priority) }, loop: loop, deadlines: deadlines)
    begin()
  }

  func perform(_ words: String) {
    for word in words.split(separator: " ") {
      func queue(_ name: Character) -> EventQueue { sources.first { $0.name == name }!.queue }
      switch word.first {
      case "-": queue(word.dropFirst().first!).finish()
      case "!": queue(word.dropFirst().first!).cancel()
      default: queue(word.first!).push(.message(String(word)))
      }
    }
  }

  func begin() { loop.soon { [self] in step() } }

  private func step() {
    while true {
      switch select.next() {
      case .wait: return select.wait { [weak self] in self?.step() }
      case .end(.timedOut(.idle)): return note("timedOut(idle)")
      case .end(.timedOut(.duration)): return note("timedOut(duration)")
      case .end(let end): return note("\(end)")
      case .event(let event, let source):
        switch event {
        case .message(let text):
          #expect(source.map { sources[$0].name } == text.first)
          note(text)
          if text == stopsAt {
            select.close()
            return note("stopped")
          }
        case .error(let kind): note(kind.message)
        default: note("\(event)")
        }
        if handlerTime > .zero, source != nil {
          _ = loop.after(handlerTime) { [weak self] in self?.step() }
          return
        }
      }
    }
  }

  private func note(_ what: String) { trace.append("\(loop.elapsed.milliseconds):\(what)") }
}
