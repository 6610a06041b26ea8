/// What a reader that follows a stream knows of its end: whether to ask the store, or to sleep until it calls.
///
/// A change that comes while a question is under way may or may not be in its answer, so the answer then proves nothing
/// about the tail and the reader asks once more: a wake-up is never lost, and a reader that sleeps asks nothing.
package struct StreamTail {
  /// A question is under way: one at a time.
  package private(set) var isAsking = false
  /// The last answer reached the end of what there is, and the store has not called since.
  package private(set) var isReached = false
  private var wokeWhileAsking = false

  package init() {}

  /// There may be something to read, and nobody is asking for it.
  package var wantsRead: Bool { !isAsking && !isReached }

  /// The store's watch has called.
  package mutating func woken() {
    if isAsking { wokeWhileAsking = true } else { isReached = false }
  }

  package mutating func asked() {
    isAsking = true
    wokeWhileAsking = false
  }

  package mutating func answered(_ batch: StreamBatch) {
    answered(reachedTail: batch.items.isEmpty || batch.reachedTail)
  }

  /// `reachedTail`: there was nothing after what the answer brought. A failed question reached nothing.
  package mutating func answered(reachedTail: Bool) {
    isAsking = false
    isReached = reachedTail && !wokeWhileAsking
  }

  /// To look again though the store has not called: what was read is wanted once more.
  package mutating func reopen() { isReached = false }
}
