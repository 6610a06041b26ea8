import Synchronization
import WeirCore
import WeirFlow
import WeirIO
import WeirRuntime

/// The thread and loop under `EventLoop.select`: begins with the first `next`, ends with the loop or its last reference.
///
///     async code ── next ──▶ loop: SelectLoop over the sources ── what is ready ──▶ async code
final class SelectThread: Sendable {
  struct Taken: Sendable {
    let event: StreamEvent
    /// Its place in the list; nil: a deadline.
    let source: Int?
  }

  private let core: Core
  private let names: [String]

  init(_ sources: [EventLoop.Source], _ deadlines: SelectLoop.Deadlines, batchLimit: Int) {
    core = Core(sources, deadlines, batchLimit)
    names = sources.map(\.name)
  }

  deinit { core.stop() }

  /// Empty: over. For one reader.
  func next(isolation: isolated (any Actor)?) async throws(WeirError) -> [Taken] {
    let result = await withTaskCancellationHandler {
      await withCheckedContinuation(isolation: isolation) { core.ask($0) }
    } onCancel: {
      core.stop()
    }
    return try result.get()
  }

  func event(_ taken: Taken) -> EventLoop.Event {
    EventLoop.Event(taken.event, of: taken.source.map { names[$0] })
  }
}

/// `@unchecked Sendable` is true because `select`, `queues` and `input` are touched on the loop's thread only, `state` is a lock,
/// and the rest is immutable. It is held by its thread, so not by whoever asks alone.
private final class Core: @unchecked Sendable {
  typealias Answer = Result<[SelectThread.Taken], WeirError>
  private enum Phase { case fresh, running, over }
  private struct State {
    var phase = Phase.fresh
    var asking: CheckedContinuation<Answer, Never>?
  }

  private let sources: [EventLoop.Source]
  private let deadlines: SelectLoop.Deadlines
  private let batchLimit: Int
  private let loop = WeirIO.EventLoop()
  private let state = Mutex(State())
  private var select: SelectLoop?
  private var queues: [EventQueue] = []
  /// Feeds the queue of standard input, which does not hold it.
  private var input: ProgramInput?
  private var isWaiting = false

  init(_ sources: [EventLoop.Source], _ deadlines: SelectLoop.Deadlines, _ batchLimit: Int) {
    self.sources = sources
    self.deadlines = deadlines
    self.batchLimit = batchLimit
  }

  // MARK: From any thread

  func ask(_ continuation: CheckedContinuation<Answer, Never>) {
    let phase = state.withLock { state in
      defer {
        if state.phase == .fresh { state.phase = .running }
        if state.phase == .running { state.asking = continuation }
      }
      return state.phase
    }
    switch phase {
    case .over: continuation.resume(returning: .success([]))
    case .running: loop.post { self.fill() }
    case .fresh:
      _ = LoopThread(name: "weir-select") {
        self.loop.soon { self.begin() }
        self.loop.run()
        self.end()
        self.loop.retire()
      }
    }
  }

  func stop() {
    let asking = state.withLock { state in
      defer { state.phase = .over }
      return state.asking.take()
    }
    asking?.resume(returning: .success([]))
    loop.stop()
  }

  // MARK: On the loop

  private func begin() {
    do {
      let world = RealWorld.make(loop: loop)
      let input = ProgramInput(world: world)
      self.input = input
      let readers = sources.compactMap { $0.reader.map(ObjectIdentifier.init) }
      guard Set(readers).count == readers.count else { throw SelectFailure.sourceTwice }
      for source in sources { queues.append(try source.open(world, loop, input)) }
      select = try SelectLoop(
        zip(queues, sources).map { .init($0, priority: $1.priority) }, loop: loop, deadlines: deadlines)
      fill()
    } catch {
      answer(.failure(WeirError(error)))
      loop.stop()
    }
  }

  private func fill() {
    guard let select, !isWaiting else { return }
    var batch: [SelectThread.Taken] = []
    while batch.count < batchLimit {
      switch select.next() {
      case .event(let event, let source): batch.append(.init(event: event, source: source))
      case .wait:
        if !batch.isEmpty { return answer(.success(batch)) }
        isWaiting = true
        return select.wait { [self] in
          isWaiting = false
          fill()
        }
      case .end:
        // An empty answer says so, to whoever asks after the last events.
        if batch.isEmpty { return loop.stop() }
        return answer(.success(batch))
      }
    }
    answer(.success(batch))
  }

  private func answer(_ answer: Answer) { state.withLock { $0.asking.take() }?.resume(returning: answer) }

  private func end() {
    select?.close()
    select = nil
    for queue in queues { queue.cancel() }
    input = nil
    stop()
  }
}
