import WeirAI
import WeirCore
import WeirStore

/// Writes one run's events to its stream, and ends the stream after the one `.end`.
///
/// Events of one turn go to the store in one append. When the store falls behind, the source is asked to wait; when it
/// refuses, the source is stopped: what was not acknowledged is not claimed (law 6). Knows nothing of programs.
final class RunWriter: RunEventSink {
  /// Encoded events waiting for the store before the source has to wait: some seconds of a fast model.
  static let pendingByteLimit = 1 << 20

  let stream: StreamName
  private let store: any StreamStore
  private let loop: any Loop
  private var pending: [[UInt8]] = []
  private var pendingBytes = 0
  private var unanswered = 0
  private var isFlushQueued = false
  private var isReadingPaused = false
  private(set) var end: EndState?
  /// What feeds this run, once it is known; released at the end.
  var source: (any RunSource)?
  /// Called once, when the end is in the store (or the store has refused it).
  var onEnd: ((EndState, StoreFailure?) -> Void)?

  init(stream: StreamName, store: any StreamStore, loop: any Loop) {
    self.stream = stream
    self.store = store
    self.loop = loop
  }

  func runEvent(_ event: RunEvent) {
    guard end == nil else { return }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(64)
    RunEventCodec.append(event, to: &bytes)
    pendingBytes += bytes.count
    pending.append(bytes)
    if case .end(let state) = event { end = state }
    if pendingBytes + unanswered > Self.pendingByteLimit, end == nil { pauseSource(true) }
    if !isFlushQueued {
      isFlushQueued = true
      loop.soon { self.flush() }
    }
  }

  /// The run failed outside a model call: one error, and the end that goes with it.
  func fail(_ failure: RunFailure, _ state: EndState = .error) {
    runEvent(.error(failure))
    runEvent(.end(state))
  }

  private func flush() {
    isFlushQueued = false
    guard !pending.isEmpty else { return }
    let items = pending
    let bytes = pendingBytes
    pending = []
    pendingBytes = 0
    unanswered += bytes
    let ended = end
    store.append(stream, items, ending: ended.map(Self.ending)) { result in
      self.unanswered -= bytes
      switch result {
      case .success:
        if self.isReadingPaused, self.unanswered < Self.pendingByteLimit / 2 { self.pauseSource(false) }
        if let ended { self.finish(ended, nil) }
      case .failure(let failure):
        self.refused(failure, ended)
      }
    }
  }

  /// The store took nothing of the last append. The stream gets its ending without items, so that readers learn of it.
  private func refused(_ failure: StoreFailure, _ ended: EndState?) {
    let source = self.source
    end = end ?? .error
    pending = []
    pendingBytes = 0
    store.append(stream, [], ending: .aborted(reason: failure.code)) { _ in }
    finish(ended ?? .error, failure)
    source?.stop()
  }

  private func finish(_ state: EndState, _ failure: StoreFailure?) {
    source = nil
    let told = onEnd
    onEnd = nil
    told?(state, failure)
  }

  private func pauseSource(_ paused: Bool) {
    isReadingPaused = paused
    source?.isReading = !paused
  }

  private static func ending(of state: EndState) -> StreamEnding {
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
