import Testing
import WeirCore
import WeirIO
import WeirStore
import WeirTesting

@testable import WeirRedis

/// A loop on the test's own thread, with everything that waits on it. What does not happen within `limit` is thrown.
final class RedisTest {
  let loop = EventLoop()
  var world: World
  private let limit: Duration

  init(within limit: Duration = .seconds(30)) {
    world = RealWorld.make(loop: loop)
    self.limit = limit
  }

  struct TooLate: Error {
    var what: String
  }

  /// Runs the loop until `done` is called.
  func wait(for what: String, _ start: (_ done: @escaping () -> Void) -> Void) throws {
    var isDone = false
    start { [loop] in
      isDone = true
      loop.stop()
    }
    // It may have been called already: `stop` is then forgotten by the time the loop runs.
    if isDone { return drain() }
    let timer = loop.after(limit) { [loop] in loop.stop() }
    loop.run()
    timer.cancel()
    if !isDone { throw TooLate(what: what) }
  }

  /// Lets jobs run that wait now.
  func drain() {
    loop.soon { [loop] in loop.stop() }
    loop.run()
  }

  func ask<Value>(_ what: String = "an answer", _ question: (@escaping Answer<Value>) -> Void) throws -> Value {
    var answer: Result<Value, StoreFailure>?
    try wait(for: what) { done in
      question {
        answer = $0
        done()
      }
    }
    guard let answer else { throw TooLate(what: what) }
    return try answer.get()
  }

  /// The failure that an answer is; nil: it is none.
  func failure<Value>(_ question: (@escaping Answer<Value>) -> Void) throws -> StoreFailure? {
    do {
      _ = try ask("a failure", question)
      return nil
    } catch let failure as StoreFailure { return failure }
  }

  /// Everything asked for is answered, everybody woken, until nobody asks for more.
  func settle(_ store: RedisStreamStore) throws {
    var isQuiet = false
    while !isQuiet {
      try wait(for: "quiet") { done in
        store.settle {
          isQuiet = $0
          done()
        }
      }
    }
  }

  func open(_ url: String, _ change: (inout RedisStreamStore.Limits) -> Void = { _ in }) throws -> RedisStreamStore {
    var limits = RedisStreamStore.Limits()
    change(&limits)
    return try ask("the store") { RedisStreamStore.open(url: url, world: world, limits: limits, $0) }
  }

  /// The failure that opening ends with.
  func refusal(_ url: String, _ change: (inout RedisStreamStore.Limits) -> Void = { _ in }) throws -> StoreFailure? {
    do {
      try open(url, change).close()
      return nil
    } catch let failure as StoreFailure { return failure }
  }

  func underTest(_ store: RedisStreamStore) -> StoreUnderTest {
    StoreUnderTest(
      store, pump: { [self] in do { try settle(store) } catch { Issue.record(error) } },
      pass: { [self] duration in
        // As timers would see it: a bit at a time.
        var left = duration
        let step = max(Duration.seconds(1), duration / 50)
        while left > .zero {
          store.clockShift += min(left, step)
          left -= step
          do { try settle(store) } catch { Issue.record(error) }
        }
      })
  }
}
