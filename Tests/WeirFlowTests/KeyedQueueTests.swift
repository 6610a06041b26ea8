import Testing
import WeirCore
import WeirTesting

@testable import WeirFlow

@Suite struct KeyedQueueMachineTests {
  @Test func oneKeyIsALineAndKeysDoNotWaitForEachOther() throws {
    var machine = KeyedQueueMachine<String>()
    try check(machine.jobArrived("a"), .start(1))
    try check(machine.jobArrived("a"), .wait(2))
    try check(machine.jobArrived("b"), .start(3))
    try check(machine.jobArrived("a"), .wait(4))
    check(machine.jobFinished(1), 2)
    check(machine.jobFinished(3), nil)
    check(machine.jobFinished(2), 4)
    check(machine.jobFinished(4), nil)
    check(machine.jobCount, 0)
    check(machine.runningCount, 0)
    try check(machine.jobArrived("a"), .start(5))
  }

  @Test func onlyAWaitingJobCanBeCancelledAndOnlyARunningOneFinished() throws {
    var machine = KeyedQueueMachine<String>()
    for _ in 0..<4 { _ = try machine.jobArrived("a") }
    check(machine.jobCancelled(1), false)
    check(machine.jobCancelled(3), true)
    check(machine.jobCancelled(3), false)
    check(machine.jobFinished(2), nil)
    check(machine.jobFinished(9), nil)
    check(machine.jobFinished(1), 2)
    check(machine.jobFinished(1), nil)
    check(machine.jobFinished(2), 4)
    check(machine.jobCancelled(4), false)
    check(machine.jobCount, 1)
  }

  @Test func bothBoundsAreKeptAndAFinishedJobMakesRoom() throws {
    var limits = KeyedQueueMachine<Int>.Limits()
    limits.jobsPerKeyLimit = 2
    limits.jobsLimit = 3
    var machine = KeyedQueueMachine<Int>(limits: limits)
    _ = try machine.jobArrived(1)
    _ = try machine.jobArrived(1)
    check(failure(&machine, 1), .keyFull(limit: 2))
    _ = try machine.jobArrived(2)
    check(failure(&machine, 3), .full(limit: 3))
    check(machine.jobCount, 3)
    check(machine.jobCancelled(2), true)
    try check(machine.jobArrived(1), .wait(4))
    check(machine.jobFinished(3), nil)
    try check(machine.jobArrived(3), .start(5))
    for failure in [KeyedQueueFailure.keyFull(limit: 2), .full(limit: 3)] {
      #expect(!failure.code.isEmpty && failure.message.contains("Limit") && failure.hint != nil)
    }
  }

  /// The machine is not copyable, which `#expect` doesn't take; its answers are.
  private func check<T: Equatable>(_ found: T, _ expected: T, _ place: SourceLocation = #_sourceLocation) {
    #expect(found == expected, sourceLocation: place)
  }

  private func failure(_ machine: inout KeyedQueueMachine<Int>, _ key: Int) -> KeyedQueueFailure? {
    do throws(KeyedQueueFailure) {
      _ = try machine.jobArrived(key)
      return nil
    } catch {
      return error
    }
  }
}

@Suite struct KeyedQueueTests {
  @Test func jobsOfAKeyNeverOverlapAndKeepTheirOrderWhateverTheSeed() throws {
    for seed in 1...500 as ClosedRange<UInt64> {
      let simulation = SimulatedWorld(seed: seed)
      let random = SeededRandom(seed: seed)
      let queue = KeyedQueue<Int>(loop: simulation.loop)
      var started: [Int: [Int]] = [:]
      var expected: [Int: [Int]] = [:]
      var running: Set<Int> = []
      var most = 0
      var refused = 0
      for number in 0..<60 {
        let key = random.int(0...3)
        let length = random.duration(.zero ... .milliseconds(50))
        let isAtOnce = random.chance(0.2)
        let isForgotten = random.chance(0.1)
        do throws(KeyedQueueFailure) {
          let ticket = try queue.add(key) { turn in
            #expect(running.insert(key).inserted, "two of key \(key) at once, \(simulation)")
            started[key, default: []].append(number)
            most = max(most, running.count)
            if isAtOnce || isForgotten {
              running.remove(key)
              if isAtOnce { turn.finish() }
              return
            }
            _ = simulation.loop.after(length) {
              running.remove(key)
              turn.finish()
              turn.finish()
            }
          }
          if random.chance(0.2) {
            // Nothing has run since it was added, so it must never run.
            ticket.cancel()
          } else {
            expected[key, default: []].append(number)
          }
        } catch {
          refused += 1
        }
        if random.chance(0.3) { simulation.loop.advance(by: .milliseconds(20)) }
      }
      simulation.loop.run()
      guard started == expected, queue.jobCount == 0, refused < 60 else {
        Issue.record("started \(started), expected \(expected), \(queue.jobCount) left, \(simulation)")
        return
      }
      #expect(most > 1, "keys waited for each other, \(simulation)")
    }
  }

  @Test func aJobStartsLaterAndALongLineUsesNoStack() throws {
    let loop = SimulatedLoop()
    var limits = KeyedQueueMachine<String>.Limits()
    limits.jobsPerKeyLimit = 100_000
    limits.jobsLimit = 100_000
    let queue = KeyedQueue<String>(loop: loop, limits: limits)
    var done = 0
    for _ in 0..<20_000 {
      _ = try queue.add("a") { turn in
        done += 1
        turn.finish()
      }
    }
    #expect(done == 0)
    loop.run()
    #expect(done == 20_000 && queue.jobCount == 0)
  }

  @Test func cancellingWhileWaitingAfterItsTurnCameAndWhileRunning() throws {
    let loop = SimulatedLoop()
    let queue = KeyedQueue<String>(loop: loop)
    var log: [String] = []
    var turns: [KeyedQueue<String>.Turn] = []
    var tickets: [any Cancellable] = []
    for name in ["first", "waiting", "due", "last"] {
      tickets.append(
        try queue.add("a") { turn in
          log.append(name)
          turns.append(turn)
        })
    }
    loop.run()
    #expect(log == ["first"])
    tickets[0].cancel()
    tickets[1].cancel()
    loop.run()
    #expect(log == ["first"] && queue.jobCount == 3)
    turns[0].finish()
    tickets[2].cancel()
    loop.run()
    #expect(log == ["first", "last"] && queue.jobCount == 1)
    turns[1].finish()
    #expect(queue.jobCount == 0)
  }

  @Test func aRefusedJobIsNotKept() throws {
    let loop = SimulatedLoop()
    var limits = KeyedQueueMachine<String>.Limits()
    limits.jobsPerKeyLimit = 1
    let queue = KeyedQueue<String>(loop: loop, limits: limits)
    var log: [String] = []
    _ = try queue.add("a") { _ in log.append("kept") }
    #expect(throws: KeyedQueueFailure.keyFull(limit: 1)) { try queue.add("a") { _ in log.append("refused") } }
    loop.run()
    #expect(log == ["kept"])
  }
}
