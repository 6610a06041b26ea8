import WeirCore
import WeirStore

/// The book of one operation over a stream's items: which are done, their results, and how much of that is written down.
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
  private let key: String
  private let interval: Int
  private let keepsResults: Bool
  /// Done since the last checkpoint: how many, where, and their results.
  private var unwritten = Batch()
  /// Written by nobody yet, one at a time: with it, `interval` items and one for each worker are done again at most.
  private var isWriting = false
  private var finished: ArraySlice<(place: UInt64, value: JSONValue, told: Told)> = []

  private struct Batch {
    var count = 0
    var places = RangeSet<UInt64>()
    var values: [(UInt64, JSONValue)] = []
  }

  /// `interval`: items from one checkpoint to the next, at least 1. Without `keepsResults` values are dropped.
  package init(_ journal: RunJournal, _ key: String, interval: Int, keepsResults: Bool) {
    self.journal = journal
    self.key = key
    self.interval = interval
    self.keepsResults = keepsResults
    let progress = journal.progress[key] ?? RunJournal.Progress()
    known = keepsResults ? progress.values : [:]
    places = progress.done
    count = progress.count
    last = (progress.done.ranges.last.map { Int(clamping: $0.upperBound) } ?? 0) - 1
  }

  package func isDone(_ place: UInt64) -> Bool { places.contains(place) }

  /// Counts an item. Answered when that is written down, if a checkpoint is due, else at once; one that finds a checkpoint
  /// being written waits for it.
  package func done(_ place: UInt64, _ value: JSONValue, _ told: @escaping Told) {
    finished.append((place, value, told))
    advance()
  }

  /// Writes down what is left.
  package func finish(_ told: @escaping Told) {
    if unwritten.count == 0 { told(nil) } else { checkpoint(told) }
  }

  private func count(_ place: UInt64, _ value: JSONValue) {
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
    journal.record(each: key, done: batch.places, values: batch.values) { [self] result in
      guard case .failure(let failure) = result else { return told(nil) }
      // A later checkpoint writes them down with its own.
      unwritten.count += batch.count
      unwritten.places.formUnion(batch.places)
      unwritten.values = batch.values + unwritten.values
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
