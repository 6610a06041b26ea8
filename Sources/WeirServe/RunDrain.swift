import WeirCore
import WeirStore

/// A run's stream read to its end and folded into one value: what a JSON answer, the history of a session and the
/// state of a run are made of. It is a reader like any other, so both ways of reading a run see the same events.
final class RunDrain {
  struct Outcome: Equatable {
    var text = ""
    var value: JSONValue?
    var usage: Usage?
    var failure: RunFailure?
    /// nil: the run has not ended (only if the drain did not follow it).
    var end: EndState?
    /// Where the drain stopped: the offset after the last event read.
    var next = Offset.start
    /// The text was longer than the limit and is only its beginning.
    var isCut = false
  }

  private static let batch = 64 << 10

  private let store: any StreamStore
  private let stream: StreamName
  private let follows: Bool
  private let limit: Int
  private var outcome = Outcome()
  private var answer: ((Result<Outcome, StoreFailure>) -> Void)?
  private var watch: (any Cancellable)?
  private var isReading = false
  private var isAsking = false
  private var wokeWhileReading = false
  private var atTail = false

  /// `follows`: waits for the end of a run under way; otherwise answers with what there is.
  init(_ store: any StreamStore, _ stream: StreamName, follows: Bool, limit: Int) {
    self.store = store
    self.stream = stream
    self.follows = follows
    self.limit = limit
  }

  /// Answered once, unless cancelled.
  func start(_ answer: @escaping (Result<Outcome, StoreFailure>) -> Void) {
    self.answer = answer
    if follows { watch = store.watch(stream) { [self] in woken() } }
    read()
  }

  func cancel() {
    answer = nil
    watch?.cancel()
    watch = nil
  }

  private func woken() {
    if isReading {
      wokeWhileReading = true
    } else {
      atTail = false
      read()
    }
  }

  private func read() {
    while answer != nil, !isReading, !atTail {
      isReading = true
      isAsking = true
      store.read(stream, from: outcome.next, byteLimit: Self.batch) { [self] result in
        isReading = false
        received(result)
        if !isAsking { read() }
      }
      isAsking = false
    }
  }

  private func received(_ result: Result<StreamBatch, StoreFailure>) {
    guard answer != nil else { return }
    switch result {
    case .failure(let failure):
      finish(.failure(failure))
    case .success(let batch):
      for item in batch.items { fold(item) }
      outcome.next = batch.next
      if let ending = batch.ending {
        if outcome.end == nil { outcome.end = ending == .closed ? .truncated : .aborted }
        finish(.success(outcome))
      } else if batch.items.isEmpty {
        atTail = !wokeWhileReading
        if !follows { finish(.success(outcome)) }
      }
      wokeWhileReading = false
    }
  }

  private func fold(_ item: StreamItem) {
    guard let event = try? RunEventCodec.decode(item.bytes) else { return }
    switch event {
    case .text(let text):
      if outcome.text.utf8.count + text.utf8.count <= limit { outcome.text += text } else { outcome.isCut = true }
    case .value(let value): outcome.value = value
    case .usage(let usage): outcome.usage = usage
    case .error(let failure): outcome.failure = failure
    case .end(let state): outcome.end = state
    case .start, .reasoning, .toolDelta, .toolStart, .toolEnd: break
    }
  }

  private func finish(_ result: Result<Outcome, StoreFailure>) {
    let answer = answer
    cancel()
    answer?(result)
  }
}
