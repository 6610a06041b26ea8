import WeirAI
import WeirCore
import WeirServe
import WeirStore

/// Writes one run's events to its stream, and ends the stream after the one `.end`.
///
/// Events of one turn go to the store in one append, and the next append waits for its answer: what the store refuses
/// can't leave a hole before what it takes. When the store falls behind, the source is asked to wait; when it refuses,
/// the source is stopped: what was not acknowledged is not claimed (law 6). Knows nothing of programs.
final class RunWriter: RunEventSink {
  /// Encoded events waiting for the store before the source has to wait: some seconds of a fast model.
  static let pendingByteLimit = 1 << 20

  let stream: StreamName
  /// Of the stream, from its end on. Nil: for ever.
  private let lifetime: StreamLifetime?
  private let store: any StreamStore
  private let loop: any Loop
  private var pending: [[UInt8]] = []
  /// Of `pending` and of the append under way.
  private var unansweredBytes = 0
  private var isFlushQueued = false
  private var isAppending = false
  private var isReadingPaused = false
  private var isParked = false
  private(set) var end: EndState?
  /// What feeds this run, once it is known; released at the end.
  var source: (any RunSource)?
  /// Called once, when the end is in the store (or the store has refused it).
  var onEnd: ((EndState, StoreFailure?) -> Void)?
  /// Which life of the run this is, once that is known: where others may take it up, what they do not expect is refused.
  var owner: () -> RunOwner? = { nil }
  /// Called once instead of `onEnd`: another process has taken the run up, and ends it.
  var onLoss: ((StoreFailure) -> Void)?
  private var own: OwnedStream?

  init(stream: StreamName, lifetime: StreamLifetime? = nil, store: any StreamStore, loop: any Loop) {
    self.stream = stream
    self.lifetime = lifetime
    self.store = store
    self.loop = loop
  }

  func runEvent(_ event: RunEvent) {
    guard end == nil else { return }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(64)
    RunEventCodec.append(event, to: &bytes)
    unansweredBytes += bytes.count
    pending.append(bytes)
    if case .end(let state) = event { end = state }
    if unansweredBytes > Self.pendingByteLimit, end == nil, !isReadingPaused { pauseSource(true) }
    flushSoon()
  }

  /// The run failed outside a model call: one error, and the end that goes with it.
  func fail(_ failure: RunFailure, _ state: EndState = .error) {
    runEvent(.error(failure))
    runEvent(.end(state))
  }

  /// The run is left to another process: what the store has is all there is of it here.
  func park() {
    isParked = true
    end = .aborted
    pending = []
    source = nil
    onEnd = nil
    onLoss = nil
  }

  private func flushSoon() {
    guard !isFlushQueued, !isAppending, !pending.isEmpty else { return }
    isFlushQueued = true
    loop.soon { self.flush() }
  }

  private func flush() {
    isFlushQueued = false
    if pending.isEmpty { return }
    let items = pending
    pending = []
    isAppending = true
    let ended = end
    let bytes = items.reduce(0) { $0 + $1.count }
    let append = StreamAppend(
      items: items, ending: ended.map(Self.ending), lifetime: ended == nil ? nil : lifetime)
    self.append(append) { result in
      self.isAppending = false
      if self.isParked { return }
      self.unansweredBytes -= bytes
      switch result {
      case .success:
        if let ended { return self.finish(ended, nil) }
        if self.isReadingPaused, self.unansweredBytes < Self.pendingByteLimit / 2 { self.pauseSource(false) }
        self.flushSoon()
      case .failure(.takenOver(let run)):
        let told = self.onLoss
        self.park()
        told?(.takenOver(run))
      case .failure(let failure):
        self.refused(failure)
      }
    }
  }

  private func append(_ append: StreamAppend, _ answer: @escaping WeirStore.Answer<StreamAppended>) {
    // Where the store is another process's, what it has lost meanwhile must not become a gap in the middle (`ProducerGap`).
    if own == nil, !store.isExclusive {
      own = OwnedStream(stream, in: store, owner: owner() ?? RunOwner(run: RunTicket.run(of: stream) ?? "", life: 0))
    }
    if let own { own.append(append, answer) } else { store.append(stream, append, answer) }
  }

  /// The store took nothing of the last append. The stream gets its ending without items, so that readers learn of it;
  /// the run counts as failed whatever its source said or would have said.
  private func refused(_ failure: StoreFailure) {
    let source = self.source
    end = .error
    pending = []
    append(StreamAppend(items: [], ending: .aborted(reason: failure.code), lifetime: lifetime)) { _ in }
    finish(.error, failure)
    source?.stop()
  }

  private func finish(_ state: EndState, _ failure: StoreFailure?) {
    source = nil
    let told = onEnd
    onEnd = nil
    onLoss = nil
    told?(state, failure)
  }

  private func pauseSource(_ paused: Bool) {
    isReadingPaused = paused
    source?.isReading = !paused
  }

  static func ending(of state: EndState) -> StreamEnding {
    switch state {
    case .completed, .length, .filtered, .toolCalls: .closed
    case .aborted, .truncated, .error, .budget: .aborted(reason: state.rawValue)
    }
  }
}

/// What produces a run's events: a model call, a workflow's stream.
protocol RunSource: AnyObject {
  var isReading: Bool { get set }
  /// Ends it; its sink gets what is left and `.end(.aborted)`.
  func stop()
}
