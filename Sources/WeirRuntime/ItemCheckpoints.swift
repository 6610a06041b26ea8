import WeirCore
import WeirStore

/// The book of one operation over a stream's items: which are done, their results, what they have written, and how much of that is
/// written down.
///
/// A checkpoint says which items are done since the last one; an item that failed is not, so that a resumed run tries it
/// again. Places are kept as ranges: wherever the source begins, memory and journal grow with the gaps between them (failed
/// items, and those under way), not with the items. Results are JSON here.
package final class ItemCheckpoints {
  package typealias Told = (StoreFailure?) -> Void

  /// What earlier lives of the run have kept.
  package let known: [UInt64: JSONValue]
  /// Items done, in all lives.
  package private(set) var count: Int
  /// Place of the last item that is done; -1: none.
  package private(set) var last: Int
  /// Places of the items done, in all lives.
  package private(set) var places: RangeSet<UInt64>

  private let journal: RunJournal
  /// The operation's, around those of its items.
  package let frame: DurableFrame
  private let interval: Int
  private let keepsResults: Bool
  /// Since the last checkpoint.
  private var unwritten = Batch()
  /// Written by nobody yet, one at a time: with it, `interval` items and one for each worker are done again at most.
  private var isWriting = false
  private var finished: ArraySlice<(place: UInt64, value: JSONValue, told: Told)> = []

  private struct Batch {
    /// Items that are done: how many, where, and their results.
    var count = 0
    var places = RangeSet<UInt64>()
    var values: [(UInt64, JSONValue)] = []
    /// What items have written that have ended, well or not.
    var writes: DurableFrame.Places = [:]
    var isEmpty: Bool { count == 0 && writes.isEmpty }
  }

  /// `interval`: items from one checkpoint to the next, at least 1. Without `keepsResults` values are dropped.
  package init(_ journal: RunJournal, _ frame: DurableFrame, interval: Int, keepsResults: Bool) {
    self.journal = journal
    self.frame = frame
    self.interval = interval
    self.keepsResults = keepsResults
    let progress = frame.progress ?? RunJournal.Progress()
    known = keepsResults ? progress.values : [:]
    places = progress.done
    count = progress.count
    last = (progress.done.ranges.last.map { Int(clamping: $0.upperBound) } ?? 0) - 1
    // They are here now.
    frame.progress?.values = [:]
    frame.progress?.writes = [:]
    frame.passed(progress.writes)
  }

  package func isDone(_ place: UInt64) -> Bool { places.contains(place) }

  /// What the item does and writes is its own.
  package func item(_ place: UInt64) -> DurableFrame { frame.item(place) }

  /// Counts an item. Answered when that is written down, if a checkpoint is due, else at once; one that finds a checkpoint
  /// being written waits for it.
  package func done(_ place: UInt64, _ value: JSONValue, _ told: @escaping Told) {
    frame.item(place).whenSettled { [self] in
      finished.append((place, value, told))
      advance()
    }
  }

  /// An item has failed: what it has written stays, and is not compared with what its next try writes.
  package func failed(_ place: UInt64) { left(frame.item(place)) }

  /// Writes down what is left.
  package func finish(_ told: @escaping Told) {
    frame.whenSettled { [self] in
      if unwritten.isEmpty { told(nil) } else { checkpoint(told) }
    }
  }

  /// Whoever did the operation has left it, perhaps by a trap: items under way have failed.
  package func close() {
    let done = finished
    finished = []
    for item in done { count(item.place, item.value) }
    for item in frame.children.values where item.isBegun { left(item) }
    finish { failure in
      for item in done { item.told(failure) }
    }
    frame.leave()
  }

  private func left(_ item: DurableFrame) {
    let leftover = item.leftover
    item.forget()
    item.whenSettled { [self] in
      unwritten.writes.formUnion(item.writes)
      unwritten.writes.formUnion(leftover)
      journal.left(item.path)
      item.leave()
    }
  }

  private func count(_ place: UInt64, _ value: JSONValue) {
    left(frame.item(place))
    unwritten.count += 1
    unwritten.places.insert(contentsOf: place..<place + 1)
    if keepsResults { unwritten.values.append((place, value)) }
    count += 1
    last = max(last, Int(clamping: place))
    places.insert(contentsOf: place..<place + 1)
  }

  /// Writes down what is done since the last time.
  private func checkpoint(_ told: @escaping Told) {
    let batch = unwritten
    unwritten = Batch()
    journal.record(each: frame.path, done: batch.places, values: batch.values, writes: batch.writes) { [self] result in
      guard case .failure(let failure) = result else { return told(nil) }
      // A later checkpoint writes them down with its own.
      unwritten.count += batch.count
      unwritten.places.formUnion(batch.places)
      unwritten.values = batch.values + unwritten.values
      unwritten.writes.formUnion(batch.writes)
      told(failure)
    }
  }

  private func advance() {
    while !isWriting, let next = finished.popFirst() {
      count(next.place, next.value)
      guard unwritten.count >= interval else {
        next.told(nil)
        continue
      }
      isWriting = true
      checkpoint { [self] failure in
        isWriting = false
        next.told(failure)
        advance()
      }
    }
  }
}
