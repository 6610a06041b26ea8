import WeirCore

/// Deadlines in order: a binary heap, earliest first, equal ones in the order they were set.
///
/// Pure: it knows no clock. A cancelled timer lets go of its closure at once and stays in the heap as a husk until its
/// time comes or until husks are the majority; so cancelling costs nothing and a million set-and-cancelled idle
/// timeouts cost no memory.
struct TimerHeap {
  private struct Entry {
    var deadline: Instant
    var order: UInt64
    var timer: LoopTimer
    func precedes(_ other: Entry) -> Bool {
      deadline == other.deadline ? order < other.order : deadline < other.deadline
    }
  }

  /// Fewer husks than this are not worth a sweep.
  static let sweepFloor = 64

  private var entries: [Entry] = []
  private var nextOrder: UInt64 = 0
  private(set) var husks = 0
  var count: Int { entries.count }

  var nextDeadline: Instant? { entries.first?.deadline }
  /// Timers set from now on have an order of at least this.
  var orderMark: UInt64 { nextOrder }

  mutating func insert(_ timer: LoopTimer, at deadline: Instant) {
    entries.append(Entry(deadline: deadline, order: nextOrder, timer: timer))
    nextOrder += 1
    siftUp(entries.count - 1)
  }

  /// The earliest timer that is due at `now` and was set before `mark`; cancelled ones are dropped on the way.
  mutating func popDue(_ now: Instant, setBefore mark: UInt64) -> (() -> Void)? {
    while let first = entries.first, first.deadline <= now, first.order < mark {
      removeFirst()
      guard let fire = first.timer.take() else {
        husks -= 1
        continue
      }
      return fire
    }
    return nil
  }

  mutating func noteCancelled() {
    husks += 1
    guard husks >= Self.sweepFloor, husks * 2 > entries.count else { return }
    entries.removeAll { !$0.timer.isSet }
    husks = 0
    for index in stride(from: entries.count / 2 - 1, through: 0, by: -1) { siftDown(index) }
  }

  private mutating func removeFirst() {
    entries.swapAt(0, entries.count - 1)
    entries.removeLast()
    siftDown(0)
  }

  private mutating func siftUp(_ start: Int) {
    var child = start
    while child > 0 {
      let parent = (child - 1) / 2
      guard entries[child].precedes(entries[parent]) else { return }
      entries.swapAt(child, parent)
      child = parent
    }
  }

  private mutating func siftDown(_ start: Int) {
    var parent = start
    while true {
      var least = parent
      for child in (2 * parent + 1)...(2 * parent + 2)
      where child < entries.count && entries[child].precedes(entries[least]) { least = child }
      if least == parent { return }
      entries.swapAt(parent, least)
      parent = least
    }
  }
}

/// One deadline's closure, until it fires or is cancelled.
final class LoopTimer: Cancellable {
  private var fire: (() -> Void)?
  private let loop: EventLoop

  init(_ loop: EventLoop, _ fire: @escaping () -> Void) {
    self.loop = loop
    self.fire = fire
  }

  var isSet: Bool { fire != nil }

  func take() -> (() -> Void)? {
    defer { fire = nil }
    return fire
  }

  func cancel() {
    guard fire != nil else { return }
    fire = nil
    loop.timerCancelled()
  }
}
