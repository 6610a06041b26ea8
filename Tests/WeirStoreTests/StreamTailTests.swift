import Testing
import WeirCore

@testable import WeirStore

@Suite struct StreamTailTests {
  private func batch(_ items: Int, reachedTail: Bool = false) -> StreamBatch {
    let item = StreamItem(bytes: [1], time: 0)
    return StreamBatch(
      items: Array(repeating: item, count: items), next: Offset(UInt64(items)), ending: nil, createdAt: 0,
      reachedTail: reachedTail)
  }

  @Test func asksUntilAnAnswerReachesTheEnd() {
    var tail = StreamTail()
    #expect(tail.wantsRead)
    tail.asked()
    #expect(!tail.wantsRead)
    tail.answered(batch(3))
    #expect(tail.wantsRead)
    tail.asked()
    tail.answered(batch(2, reachedTail: true))
    #expect(!tail.wantsRead && tail.isReached)
    tail.woken()
    #expect(tail.wantsRead)
    tail.asked()
    tail.answered(batch(0))
    #expect(!tail.wantsRead)
  }

  /// The change may be in the answer or not.
  @Test func aCallDuringAQuestionMakesItAskOnceMore() {
    var tail = StreamTail()
    tail.asked()
    tail.woken()
    tail.answered(batch(0))
    #expect(tail.wantsRead)
    tail.asked()
    tail.answered(batch(0))
    #expect(!tail.wantsRead)
  }

  /// A reader at any pace against changes at any moment: it never sleeps while there is something.
  @Test(arguments: 0..<200) func neverSleepsBeforeTheEnd(seed: UInt64) {
    var random = seed &* 0x9E37_79B9_7F4A_7C15 &+ 1
    func next(_ limit: Int) -> Int {
      random ^= random << 13
      random ^= random >> 7
      random ^= random << 17
      return Int(random % UInt64(limit))
    }
    var tail = StreamTail()
    var stored = 0
    var seen = 0
    var answer: Int?  // the length that the question under way has seen
    var isCallDue = false
    for _ in 0..<300 {
      switch next(4) {
      case 0:
        stored += 1
        isCallDue = true
      case 1 where isCallDue:
        isCallDue = false
        tail.woken()
      case 2 where tail.wantsRead:
        tail.asked()
        answer = stored
      case 3:
        guard let length = answer else { continue }
        answer = nil
        let taken = min(length - seen, 1 + next(3))
        seen += taken
        tail.answered(batch(taken, reachedTail: taken > 0 && seen == length && next(2) == 0))
      default: break
      }
      let sleeps = answer == nil && !isCallDue && !tail.wantsRead
      #expect(!sleeps || seen == stored, "seed \(seed)")
    }
  }
}
