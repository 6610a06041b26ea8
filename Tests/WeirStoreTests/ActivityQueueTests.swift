import Testing
import WeirCore
import WeirTesting

@testable import WeirStore

/// Who is told of what happens to streams, and what a listener that does not take it costs.
@Suite struct ActivityQueueTests {
  private let loop = SimulatedLoop()
  private let access: StreamAccess

  init() { access = StreamAccess(store: MemoryStreamStore(loop: loop), loop: loop) }

  private func name(_ namespace: String) throws -> StreamName {
    try WorkflowStreams.name(workflow: "w", namespace: namespace)
  }

  private func positions(_ queue: ActivityQueue) -> [UInt64] {
    var positions: [UInt64] = []
    while let entry = queue.next() { positions.append(entry.activity.position ?? .max) }
    return positions
  }

  @Test func everyListenerIsToldInOrder() throws {
    let stream = try name("n")
    let first = ActivityQueue(of: access)
    access.tell(.write, stream, at: 0)
    let second = ActivityQueue(of: access)
    var heard: [UInt64?] = []
    let third = access.listen { heard.append($0.position) }
    access.tell(.write, stream, at: 1)
    first.close()
    access.tell(.write, stream, at: 2)
    third.cancel()
    third.cancel()
    access.tell(.write, stream, at: 3)
    #expect(positions(first) == [0, 1] && first.isEnded)
    #expect(positions(second) == [1, 2, 3] && !second.isEnded)
    #expect(heard == [1, 2])
  }

  @Test func aListenerMayLeaveWhileItIsTold() throws {
    let stream = try name("n")
    var heard: [String] = []
    var last: (any Cancellable)?
    let first = access.listen { _ in
      heard.append("first")
      last?.cancel()
    }
    last = access.listen { _ in heard.append("last") }
    access.tell(.write, stream, at: 0)
    first.cancel()
    access.tell(.write, stream, at: 1)
    #expect(heard == ["first"])
  }

  @Test(arguments: [1, 2, 7, 1024]) func whatIsNotTakenIsBoundedAndCounted(limit: Int) throws {
    let random = SeededRandom(seed: UInt64(limit))
    let queue = ActivityQueue(of: access, limit: limit)
    let stream = try name("n")
    var (told, taken, dropped) = (0 as UInt64, 0 as UInt64, 0 as UInt64)
    func take() -> Bool {
      guard let entry = queue.next() else { return false }
      dropped += UInt64(entry.dropped)
      // The places between the last one and this are those that were counted.
      #expect(entry.activity.position == taken + dropped)
      taken += 1
      return true
    }
    for _ in 0..<5_000 {
      if random.chance(0.7) {
        access.tell(.write, stream, at: told)
        told += 1
      } else if random.chance(0.1) {
        var left = 0
        while take() { left += 1 }
        #expect(left <= limit)
      } else {
        _ = take()
      }
    }
    while take() {}
    #expect(taken + dropped == told)
    #expect(limit == 1024 || dropped > 0)
  }

  @Test func aLongReasonIsCut() throws {
    let queue = ActivityQueue(of: access)
    access.tell(.close, try name("n"), at: 1, String(repeating: "é", count: 100_000))
    let detail = try #require(queue.next()?.activity.detail)
    #expect(detail.utf8.count <= ActivityQueue.detailLimit + 3 && detail.hasPrefix("éé"))
  }

  @Test func readinessIsToldOnceAndTheEndAsWell() throws {
    let stream = try name("n")
    let queue = ActivityQueue(of: access, limit: 2)
    var ready = 0
    queue.onReady = { ready += 1 }
    for place in 0..<5 as Range<UInt64> { access.tell(.write, stream, at: place) }
    #expect(ready == 1)
    queue.close()
    #expect(ready == 1 && !queue.isEnded, "there is something to take")
    #expect(positions(queue) == [3, 4] && queue.isEnded)
    let empty = ActivityQueue(of: access)
    empty.onReady = { ready += 1 }
    empty.close()
    empty.close()
    #expect(ready == 2 && empty.isEnded)
  }

  @Test func aStreamThatIsLeftOutIsToldToNobodyWhileSomebodyListens() throws {
    let (log, other) = (try name("log"), try name("other"))
    access.leaveOut(other)
    let queue = ActivityQueue(of: access)
    access.tell(.write, other, at: 0)
    access.leaveOut(log)
    access.tell(.write, log, at: 7)
    access.tell(.write, other, at: 1)
    #expect(positions(queue) == [0, 1])
    queue.close()
    let later = ActivityQueue(of: access)
    access.tell(.write, log, at: 8)
    #expect(positions(later) == [8])
  }

  /// A listener that writes a stream for each event costs no more than the last of them.
  @Test func streamsThatAreLeftOutAreBounded() throws {
    let queue = ActivityQueue(of: access)
    for number in 0...StreamAccess.leftOutLimit { access.leaveOut(try name("log\(number)")) }
    access.tell(.write, try name("log0"), at: 1)
    access.tell(.write, try name("log1"), at: 2)
    access.tell(.write, try name("log\(StreamAccess.leftOutLimit)"), at: 3)
    #expect(positions(queue) == [1])
    access.leaveOut(try name("log0"))
    access.tell(.write, try name("log0"), at: 4)
    access.tell(.write, try name("log1"), at: 5)
    #expect(positions(queue) == [5])
  }

  @Test func aListenerThatIsDroppedIsForgotten() throws {
    let stream = try name("n")
    var queue: ActivityQueue? = ActivityQueue(of: access)
    weak let gone = queue
    queue = nil
    #expect(gone == nil)
    access.tell(.write, stream, at: 0)
    _ = queue
  }
}
