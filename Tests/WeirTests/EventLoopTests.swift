import Testing
import Weir
import WeirIO

/// `EventLoop.select` as Swift code uses it, on real loops and clocks.
@Suite struct EventLoopTests {
  @Test(arguments: [1, 64]) func timersByTheirNames(batchLimit: Int) async throws {
    let sources: [Weir.EventLoop.Source] = [
      .timer(name: "slow", every: .milliseconds(25)), .timer(name: "fast", every: .milliseconds(5), priority: 1),
    ]
    var fast = 0
    for try await event in Weir.EventLoop.select(sources, batchLimit: batchLimit) {
      if case .text("fast", "") = event { fast += 1 }
      if case .text("slow", "") = event { break }
    }
    #expect(fast >= 1, "the slow one never goes first")
  }

  @Test func deadlinesAreEventsAndTheEnd() async throws {
    func all(_ idle: Duration?, _ longest: Duration?) async throws -> [Weir.EventLoop.Event] {
      var events: [Weir.EventLoop.Event] = []
      let sources = [Weir.EventLoop.Source.timer(name: "t", every: .milliseconds(40))]
      for try await event in Weir.EventLoop.select(sources, idleTimeout: idle, maxDuration: longest) {
        events.append(event)
      }
      return events
    }
    #expect(try await all(.milliseconds(5), nil) == [.failed(nil, code: "Timeout", message: "idle timeout after 5ms")])
    let long = try await all(nil, .milliseconds(100))
    #expect(long.last == .failed(nil, code: "Timeout", message: "max duration 100ms exceeded"))
    #expect(long.count >= 2)
  }

  @Test func whatCannotBeReadThrows() async {
    let none: [Weir.EventLoop.Source] = []
    let table: [(sources: [Weir.EventLoop.Source], code: String)] = [
      (none, "NoSources"), ([.timer(name: "t", every: .zero)], "BadArgument"),
      ([.bytes(name: "b", chunkSize: 0)], "BadArgument"), ([.lines(name: "a"), .lines(name: "b")], "InputTaken"),
    ]
    for (sources, code) in table {
      do {
        for try await event in Weir.EventLoop.select(sources) { Issue.record("\(event)") }
        Issue.record("nothing was thrown for \(code)")
      } catch {
        #expect(error.code == code)
      }
    }
  }

  @Test func cancellingTheTaskEndsIt() async throws {
    let task = Task {
      var count = 0
      for try await _ in Weir.EventLoop.select([.timer(name: "t", every: .milliseconds(2))], maxDuration: nil) {
        count += 1
        if count == 3 { withUnsafeCurrentTask { $0?.cancel() } }
      }
      return count
    }
    #expect(try await task.value >= 3)
    // One that waits.
    let waiting = Task {
      let rare = [Weir.EventLoop.Source.timer(name: "t", every: .seconds(3600))]
      for try await _ in Weir.EventLoop.select(rare, idleTimeout: nil, maxDuration: nil) {}
      return true
    }
    waiting.cancel()
    #expect(try await waiting.value)
  }

  @Test func eachIteratorIsALoopOfItsOwn() async throws {
    let events = Weir.EventLoop.select([.timer(name: "t", every: .milliseconds(2))])
    for _ in 0..<3 {
      var iterator = events.makeAsyncIterator()
      #expect(try await iterator.next() == .text("t", ""))
    }
  }
}
