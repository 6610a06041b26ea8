import WeirCore
import WeirStore

/// The book of one operation over a stream's items: which are done, their results, and how much of that is written down.
///
/// A checkpoint says up to which item all are done, and which beyond are; an item that failed is not, so that a resumed run
/// tries it again. Results are JSON here.
package final class ItemCheckpoints {
  package typealias Told = (StoreFailure?) -> Void

  /// What earlier lives of the run have kept.
  package let known: [UInt64: JSONValue]
  /// Items done, in all lives.
  package private(set) var count: Int
  /// Place of the last item that is done; -1: none.
  package private(set) var last: Int
  /// All items before it are done.
  package private(set) var watermark: UInt64
  /// Done, at or beyond the watermark.
  package private(set) var beyond: Set<UInt64> = []

  private let journal: RunJournal
  private let key: String
  private let interval: Int
  private let keepsResults: Bool
  /// Done since the last checkpoint.
  private var unwritten: [(UInt64, JSONValue)] = []
  /// Written by nobody yet, one at a time: with it, `interval` items and one for each worker are done again at most.
  private var isWriting = false
  private var finished: ArraySlice<(place: UInt64, value: JSONValue, told: Told)> = []

  /// `interval`: items from one checkpoint to the next, at least 1. Without `keepsResults` values are dropped.
  package init(_ journal: RunJournal, _ key: String, interval: Int, keepsResults: Bool) {
    self.journal = journal
    self.key = key
    self.interval = interval
    self.keepsResults = keepsResults
    let progress = journal.progress[key] ?? RunJournal.Progress()
    known = keepsResults ? progress.values : [:]
    watermark = progress.watermark
    count = Int(clamping: progress.watermark)
    last = count - 1
    for place in progress.values.keys where place >= watermark {
      beyond.insert(place)
      count += 1
      last = max(last, Int(clamping: place))
    }
  }

  package func isDone(_ place: UInt64) -> Bool { place < watermark || beyond.contains(place) }

  /// Counts an item. Answered when that is written down, if a checkpoint is due, else at once; one that finds a checkpoint
  /// being written waits for it.
  package func done(_ place: UInt64, _ value: JSONValue, _ told: @escaping Told) {
    finished.append((place, value, told))
    advance()
  }

  /// Writes down what is left.
  package func finish(_ told: @escaping Told) {
    if unwritten.isEmpty { told(nil) } else { checkpoint(told) }
  }

  private func count(_ place: UInt64, _ value: JSONValue) {
    unwritten.append((place, keepsResults ? value : .null))
    count += 1
    last = max(last, Int(clamping: place))
    beyond.insert(place)
    while beyond.remove(watermark) != nil { watermark += 1 }
  }

  /// Writes down what is done since the last time.
  private func checkpoint(_ told: @escaping Told) {
    let batch = unwritten
    unwritten = []
    let values = batch.filter { keepsResults || $0.0 >= watermark }
    journal.record(each: key, watermark: watermark, values: values) { [self] result in
      guard case .failure(let failure) = result else { return told(nil) }
      // Later checkpoints would say that these are done, without their results.
      unwritten = batch + unwritten
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
