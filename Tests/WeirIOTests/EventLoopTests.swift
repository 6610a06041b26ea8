import Synchronization
import Testing
import WeirCore

@testable import WeirIO

@Suite struct EventLoopTests {
  @Test func jobsRunInOrderAndNeverInsideTheCaller() {
    var seen: [Int] = []
    onLoop { loop, done in
      loop.soon {
        loop.soon {
          seen.append(3)
          done()
        }
        seen.append(1)
      }
      loop.soon { seen.append(2) }
      seen.append(0)
    }
    #expect(seen == [0, 1, 2, 3])
  }

  @Test func flushesFollowTheJobsOfTheirTurn() {
    var seen: [String] = []
    onLoop { loop, done in
      loop.soon {
        loop.atEndOfTurn {
          seen.append("flush")
          loop.atEndOfTurn {
            seen.append("next turn's flush")
            done()
          }
        }
        loop.soon { seen.append("second job") }
        seen.append("first job")
      }
    }
    #expect(seen == ["first job", "second job", "flush", "next turn's flush"])
  }

  @Test func timersFireByDeadlineThenByOrderSet() {
    var seen: [Int] = []
    onLoop { loop, done in
      let start = loop.now
      for (name, delay) in [(4, 30), (1, 10), (2, 10), (3, 20)] {
        _ = loop.after(.milliseconds(delay)) {
          seen.append(name)
          #expect(loop.now >= start + .milliseconds(delay))
          if name == 4 { done() }
        }
      }
    }
    #expect(seen == [1, 2, 3, 4])
  }

  @Test func aCancelledTimerNeverFiresAndLetsGoAtOnce() {
    final class Witness {}
    weak var held: Witness?
    onLoop { loop, done in
      var witness: Witness? = Witness()
      held = witness
      let timer = loop.after(.milliseconds(1)) { [witness] in
        _ = witness
        Issue.record("cancelled, yet fired")
      }
      witness = nil
      #expect(held != nil)
      timer.cancel()
      timer.cancel()
      #expect(held == nil)
      _ = loop.after(.milliseconds(5), done)
    }
  }

  @Test func aTimerThatSetsItselfAgainDoesNotStarveTheLoop() {
    var ticks = 0
    onLoop { loop, done in
      func tick() {
        ticks += 1
        if ticks < 100 { _ = loop.after(.zero, tick) } else { done() }
      }
      _ = loop.after(.zero, tick)
    }
    #expect(ticks == 100)
  }

  @Test func aChainOfJobsDoesNotStarveTimers() {
    var jobs = 0
    onLoop { loop, done in
      var isDone = false
      func chain() {
        jobs += 1
        if !isDone { loop.soon(chain) }
      }
      loop.soon(chain)
      _ = loop.after(.milliseconds(5)) {
        isDone = true
        done()
      }
    }
    #expect(jobs > EventLoop.jobsPerTurnLimit)
  }

  @Test func heapAgreesWithASortedModel() {
    let seed = UInt64.random(in: 0 ... .max)
    print("seed", seed)
    var random = SplitMix(seed)
    let loop = EventLoop()
    var heap = TimerHeap()
    var model: [(deadline: Int64, order: Int, timer: LoopTimer)] = []
    var fired: [Int] = []
    for order in 0..<5_000 {
      let deadline = Int64(random.next() % 1000)
      let timer = LoopTimer(loop) { fired.append(order) }
      heap.insert(timer, at: Instant(nanoseconds: deadline))
      model.append((deadline, order, timer))
      if random.next() % 3 != 0, let victim = model.randomElement(using: &random), victim.timer.isSet {
        _ = victim.timer.take()
        heap.noteCancelled()
        model.removeAll { $0.order == victim.order }
      }
    }
    #expect(heap.count <= model.count * 2 + TimerHeap.sweepFloor)
    let expected = model.sorted { ($0.deadline, $0.order) < ($1.deadline, $1.order) }.map(\.order)
    while let fire = heap.popDue(Instant(nanoseconds: 1000), setBefore: .max) { fire() }
    #expect(fired == expected, "seed \(seed)")
  }

  @Test func postsFromOtherThreadsArriveInEachThreadsOrder() {
    var seen: [[Int]] = [[], [], [], []]
    var threads: [LoopThread] = []
    onLoop { loop, done in
      let box = LoopBox(
        loop,
        { (thread: Int, value: Int) in
          seen[thread].append(value)
          if seen.allSatisfy({ $0.count == 10_000 }) { done() }
        })
      // Taken on the loop's first turn, so that the posts need not share it.
      loop.soon {
        guard let note = box.take() else { return }
        let shared = Shared(note)
        for thread in 0..<4 {
          threads.append(
            LoopThread(name: "poster") {
              for value in 0..<10_000 { loop.post { shared.note(thread, value) } }
            })
        }
      }
    }
    for thread in threads { thread.join() }
    for values in seen { #expect(values == Array(0..<10_000)) }
  }

  /// Called on the loop only: `post` is what brings it there.
  private final class Shared: @unchecked Sendable {
    let note: (Int, Int) -> Void
    init(_ note: @escaping (Int, Int) -> Void) { self.note = note }
  }

  private actor Counter {
    nonisolated let loop: EventLoop
    nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }
    var value = 0
    init(_ loop: EventLoop) { self.loop = loop }
    func increment() async -> Bool {
      value += 1
      await Task.yield()
      return loop.isCurrent
    }
  }

  private final class Tally: Sendable {
    let strays = Atomic<Int>(0)
    let value = Atomic<Int>(0)
  }

  @Test func awaitsStayOnTheLoop() {
    let tally = Tally()
    onLoop { loop, _ in
      loop.spawn {
        let counter = Counter(loop)
        for _ in 0..<200 {
          if await !counter.increment() { tally.strays.add(1, ordering: .relaxed) }
          if !loop.isCurrent { tally.strays.add(1, ordering: .relaxed) }
          await withCheckedContinuation { continuation in loop.soon { continuation.resume() } }
          if !loop.isCurrent { tally.strays.add(1, ordering: .relaxed) }
        }
        async let child = counter.increment()
        if await !child { tally.strays.add(1, ordering: .relaxed) }
        tally.value.store(await counter.value, ordering: .relaxed)
        loop.stop()
      }
    }
    #expect(tally.strays.load(ordering: .relaxed) == 0)
    #expect(tally.value.load(ordering: .relaxed) == 201)
  }

  @Test func aLoopOnItsOwnThreadStopsAndStartsAgain() {
    let loop = EventLoop()
    let turns = Atomic<Int>(0)
    for _ in 0..<50 {
      let thread = loop.start()
      loop.post {
        turns.add(1, ordering: .relaxed)
        loop.stop()
      }
      thread.join()
    }
    #expect(turns.load(ordering: .relaxed) == 50)
  }
}

struct SplitMix: RandomNumberGenerator {
  private var state: UInt64
  init(_ seed: UInt64) { state = seed }
  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }
}
