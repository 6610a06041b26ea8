import Testing
import WeirCore
import WeirTesting

@Suite struct SimulatedLoopTests {
  @Test func timersFireInOrderOfDeadlineThenOfSetting() {
    let loop = SimulatedLoop()
    var fired: [String] = []
    for (name, delay) in [("c", 3), ("a1", 1), ("b", 2), ("a2", 1), ("a3", 1)] {
      _ = loop.after(.seconds(delay)) { fired.append(name) }
    }
    loop.after(.seconds(1)) { fired.append("never") }.cancel()
    loop.run()
    #expect(fired == ["a1", "a2", "a3", "b", "c"])
    #expect(loop.elapsed == .seconds(3))
    #expect(loop.isIdle && loop.pendingTimerCount == 0)
  }

  @Test func aTurnIsTimersThenJobsThenFlushes() {
    let loop = SimulatedLoop()
    var log: [String] = []
    loop.atEndOfTurn {
      log.append("flush")
      loop.atEndOfTurn { log.append("next flush") }
      loop.soon { log.append("job of the next turn") }
    }
    loop.soon {
      log.append("job")
      loop.soon { log.append("job of a job") }
    }
    _ = loop.after(.zero) { log.append("timer") }
    loop.run()
    #expect(log == ["timer", "job", "job of a job", "flush", "job of the next turn", "next flush"])
    #expect(loop.elapsed == .zero)
  }

  @Test func jobsThatPutJobsDoNotStarveTimers() {
    let loop = SimulatedLoop()
    var isStopped = false
    func again() { if !isStopped { loop.soon(again) } }
    again()
    _ = loop.after(.zero) { isStopped = true }
    loop.settle()
    #expect(isStopped)
  }

  @Test func theClockStopsWhereItWasToldTo() {
    let loop = SimulatedLoop(wallClock: 1000)
    var ticks = 0
    func tick() {
      ticks += 1
      _ = loop.after(.seconds(1), tick)
    }
    tick()
    loop.advance(by: .milliseconds(2500))
    #expect(ticks == 3)
    #expect(loop.wallClock == 3500)
    #expect(loop.run(within: .seconds(10)) { ticks == 6 })
    #expect(loop.elapsed == .seconds(5))
    #expect(!loop.run(within: .seconds(2)) { ticks == 100 })
    #expect(!SimulatedLoop().run { false })
  }

  @Test func manyTimersKeepOrder() {
    let loop = SimulatedLoop()
    let random = SeededRandom(seed: 11)
    var fired: [Instant] = []
    for _ in 0..<5000 { _ = loop.after(random.duration(.zero ... .seconds(1))) { fired.append(loop.now) } }
    loop.run()
    #expect(fired.count == 5000)
    #expect(fired == fired.sorted())
  }
}
