import Testing
import WeirCore

@testable import WeirFlow

@Suite struct EventQueueTests {
  private func text(_ event: StreamEvent?) -> String? {
    if case .message(let text) = event { text } else { nil }
  }

  @Test func eventsComeOutInOrderAndTheEndAfterThem() {
    let queue = EventQueue(limit: 3)
    var calls = 0
    queue.onReady = { calls += 1 }
    queue.push(.message("1"))
    queue.push(.message("2"))
    queue.finish()
    queue.push(.message("late"))
    #expect(calls == 1, "only when it becomes ready")
    #expect(!queue.isEnded)
    #expect([text(queue.next()), text(queue.next()), text(queue.next())] == ["1", "2", nil])
    #expect(queue.isEnded && !queue.isReady)
  }

  @Test func anEndWithNothingQueuedIsToldToo() {
    let queue = EventQueue(limit: 3)
    var calls = 0
    queue.onReady = { calls += 1 }
    queue.finish()
    queue.finish()
    #expect(calls == 1 && queue.isEnded)
  }

  /// A producer that heeds `isFull` never holds more than the limit, loses nothing, and is woken once for each stop.
  @Test(arguments: [1, 2, 3, 100]) func aFullQueueStopsItsProducer(limit: Int) {
    let queue = EventQueue(limit: limit)
    var made = 0
    var taken: [Int] = []
    var most = 0
    func produce() {
      while made < 1_000, !queue.isFull {
        queue.push(.message(String(made)))
        made += 1
        most = max(most, queue.count)
      }
      if made == 1_000 { queue.finish() }
    }
    queue.onRoom = { produce() }
    produce()
    while let event = queue.next() { taken.append(Int(text(event)!)!) }
    #expect(taken == Array(0..<1_000))
    #expect(most <= limit)
    #expect(queue.isEnded)
  }

  @Test func bytesAreABoundAsWell() {
    let queue = EventQueue(limit: 1_000, byteLimit: 100)
    var rooms = 0
    queue.onRoom = { rooms += 1 }
    queue.push(.sourceBytes(source: "a", Array(repeating: 0, count: 60)))
    #expect(!queue.isFull)
    queue.push(.message(String(repeating: "x", count: 60)))
    #expect(queue.isFull)
    _ = queue.next()
    #expect(rooms == 0 && !queue.isFull, "60 of 100: no room to tell of yet")
    _ = queue.next()
    #expect(rooms == 1)
  }

  @Test func givingItUpTellsTheProducerOnceAndForgetsWhatIsQueued() {
    let queue = EventQueue(limit: 3)
    var (cancels, readies) = (0, 0)
    queue.push(.message("1"))
    queue.onCancel = { cancels += 1 }
    queue.onReady = { readies += 1 }
    queue.cancel()
    queue.cancel()
    queue.push(.message("2"))
    #expect(cancels == 1 && readies == 1)
    #expect(queue.next() == nil && queue.isEnded)
  }

  /// What a queue holds for its producer goes with its end, so that neither keeps the other alive.
  @Test func theEndLetsGoOfTheProducer() {
    final class Producer {}
    for end in [{ (queue: EventQueue) in queue.finish() }, { $0.cancel() }] {
      let queue = EventQueue(limit: 3)
      weak var seen: Producer?
      do {
        let producer = Producer()
        seen = producer
        queue.onRoom = { _ = producer }
        queue.onCancel = { _ = producer }
      }
      #expect(seen != nil)
      end(queue)
      #expect(seen == nil)
    }
  }
}
