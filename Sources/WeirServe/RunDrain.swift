import WeirCore
import WeirStore

/// A run's stream read to its end and folded into one value: what a JSON answer, the history of a session and the
/// state of a run are made of. It is a reader like any other, so both ways of reading a run see the same events.
final class RunDrain {
  struct Outcome {
    var text = ""
    var reasoning = ""
    /// Tool calls in the order they began; `ok` is nil while one runs.
    var tools: [(id: String, name: String, arguments: String, ok: Bool?)] = []
    var value: JSONValue?
    var usage: Usage?
    var failure: RunFailure?
    /// nil: the run has not ended (only if the drain did not follow it).
    var end: EndState?
    /// Where the drain stopped: the offset after the last event read.
    var next = Offset.start
    /// Bytes of text, reasoning and arguments.
    var size = 0
    /// There was more than the limit; this is only its beginning.
    var isCut = false
  }

  private static let batch = 64 << 10
  /// Tool calls kept: an agent stops at ten steps unless it is told otherwise.
  static let toolLimit = 200

  private let store: any StreamStore
  private let stream: StreamName
  private let follows: Bool
  private let limit: Int
  private var outcome = Outcome()
  private var answer: ((Result<Outcome, StoreFailure>) -> Void)?
  private var watch: (any Cancellable)?
  private var tail = StreamTail()
  /// Inside the call to the store: an answer now is the loop's in `read`, a later one goes on by itself.
  private var isInCall = false

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
    tail.woken()
    read()
  }

  private func read() {
    while answer != nil, tail.wantsRead {
      tail.asked()
      isInCall = true
      store.read(stream, from: outcome.next, byteLimit: Self.batch) { [self] result in
        received(result)
        if !isInCall { read() }
      }
      isInCall = false
    }
  }

  private func received(_ result: Result<StreamBatch, StoreFailure>) {
    guard answer != nil else { return }
    switch result {
    case .failure(let failure):
      finish(.failure(failure))
    case .success(let batch):
      tail.answered(batch)
      for item in batch.items { fold(item) }
      outcome.next = batch.next
      if let ending = batch.ending {
        if outcome.end == nil {
          let (state, failure) = ending.ofRun
          outcome.end = state
          outcome.failure = failure ?? outcome.failure
        }
        finish(.success(outcome))
      } else if tail.isReached, !follows {
        finish(.success(outcome))
      }
    }
  }

  private func fold(_ item: StreamItem) {
    guard let event = try? RunEventCodec.decode(item.bytes) else { return }
    switch event {
    case .text(let text): add(text, to: \.text)
    case .reasoning(let text): add(text, to: \.reasoning)
    case .toolStart(let id, let name, let arguments):
      guard outcome.tools.count < Self.toolLimit, arguments.utf8.count <= limit else {
        outcome.isCut = true
        return
      }
      outcome.tools.append((id, name, arguments, nil))
    case .toolEnd(let id, _, let ok):
      if let index = outcome.tools.lastIndex(where: { $0.id == id }) { outcome.tools[index].ok = ok }
    case .value(let value): outcome.value = value
    case .usage(let usage): outcome.usage = usage
    case .error(let failure): outcome.failure = failure
    case .end(let state): outcome.end = state
    case .restart:
      outcome.size -= outcome.text.utf8.count + outcome.reasoning.utf8.count
      outcome.text = ""
      outcome.reasoning = ""
    case .start, .toolDelta: break
    }
  }

  private func add(_ piece: String, to text: WritableKeyPath<Outcome, String>) {
    // Once anything was left out nothing more is added: what is there is a beginning, without holes.
    guard !outcome.isCut, makesRoom(for: piece) else {
      outcome.isCut = true
      return
    }
    outcome[keyPath: text] += piece
  }

  private func makesRoom(for piece: String) -> Bool {
    guard outcome.size + piece.utf8.count <= limit else { return false }
    outcome.size += piece.utf8.count
    return true
  }

  private func finish(_ result: Result<Outcome, StoreFailure>) {
    let answer = answer
    cancel()
    answer?(result)
  }
}
