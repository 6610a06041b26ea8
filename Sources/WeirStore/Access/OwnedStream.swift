import WeirCore

/// Which life of a run writes, where several processes may write to the store: the one that has taken the run up last. Its appends
/// are stamped with the life's number, and the store refuses those of an earlier one from then on (Durable Streams Protocol, 5.2.1).
package final class RunOwner {
  let run: String
  let life: UInt64
  /// Another process has taken it up: nothing of the run is this one's any more.
  package private(set) var lost: StoreFailure?

  package init(run: String, life: UInt64) {
    self.run = run
    self.life = life
  }

  func lose() -> StoreFailure {
    let failure = StoreFailure.takenOver(run)
    lost = failure
    return failure
  }
}

/// A stream of a run, as its owner appends to it.
package final class OwnedStream {
  let name: StreamName
  let store: any StreamStore
  /// Nil: nobody else can write to this store.
  let owner: RunOwner?
  /// Of this life: after a failure nobody knows which number the store expects, so it counts anew.
  private var turn: UInt64 = 0
  private var sequence: UInt64 = 0

  private static let producer = "weir-run"
  /// Failures that a life may have for each stream.
  private static let turns: UInt64 = 1 << 20

  package init(_ name: StreamName, in store: any StreamStore, owner: RunOwner?) {
    self.name = name
    self.store = store
    self.owner = owner
  }

  package func append(_ append: StreamAppend, _ answer: @escaping Answer<StreamAppended>) {
    guard let owner else { return store.append(name, append, answer) }
    if let lost = owner.lost { return answer(.failure(lost)) }
    let turn = self.turn
    guard turn < Self.turns else { return answer(.failure(.unavailable("\(turn) appends to \"\(name)\" have failed"))) }
    var append = append
    append.producer = ProducerStamp(id: Self.producer, epoch: owner.life * Self.turns + turn, sequence: sequence)
    sequence += 1
    store.append(name, append) { [self] result in
      switch result {
      case .success(let appended) where !appended.isRepeat: answer(result)
      // Somebody else has used this number: two processes took the run up at once, and this one came second.
      case .success, .failure(.staleProducer): answer(.failure(owner.lose()))
      case .failure:
        if turn == self.turn { (self.turn, sequence) = (turn + 1, 0) }
        answer(result)
      }
    }
  }
}
