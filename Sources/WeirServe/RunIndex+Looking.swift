import WeirCore
import WeirStore

/// How runs have ended that this process has not seen ending: their streams say so.
extension RunIndex {
  /// A run of another process that has no stream is being begun there, so long.
  private static let beginLimit: Int64 = 60_000

  /// Of a run of this process.
  package func learnEnd(of id: String) {
    if let run = self[id] { learnEnds(of: [run], areOwn: true) {} }
  }

  /// Looks at the streams of runs that are not known to be over, and of those that may be gone by now.
  func learnEnds(of runs: ArraySlice<Run>, areOwn: Bool = false, _ done: @escaping () -> Void) {
    let now = loop.wallClock
    guard let place = runs.firstIndex(where: { !$0.isOver || $0.expiresAt.map { $0 <= now } ?? true }) else {
      return done()
    }
    let run = runs[place]
    let rest = runs[(place + 1)...]
    // A later job: a thousand streams that answer at once are no recursion.
    let next = { [self] in loop.soon { [self] in learnEnds(of: rest, areOwn: areOwn, done) } }
    store.status(run.stream) { [self] result in
      switch result {
      case .failure(.notFound), .failure(.gone):
        missed(run, isOwn: areOwn)
        next()
      case .success(let status):
        if status.ending != nil { looked(at: run.id, expiresAt: status.expiresAt) }
        guard !run.isOver, let ending = status.ending else { return next() }
        if let end = run.end { return learnWhetherOver(run, end, next) }
        guard status.tail > .start else { return learnWhetherOver(run, ending.ofRun.state, next) }
        store.read(run.stream, from: Offset(status.tail.value - 1), byteLimit: 1) { [self] result in
          guard case .success(let batch) = result else { return next() }
          var end = ending.ofRun.state
          if let item = batch.items.last, case .end(let state)? = try? RunEventCodec.decode(item.bytes) { end = state }
          learnWhetherOver(run, end, next)
        }
      case .failure: next()
      }
    }
  }

  /// It has no stream: that is over, or deleted, unless the run is being begun.
  func missed(_ run: Run, isOwn: Bool = false) {
    if isUnderWay(run.id) { return }
    let isBegunElsewhere =
      !isOwn && !store.isExclusive && !run.isOver && loop.wallClock - run.startedAt < Self.beginLimit
    if !isBegunElsewhere { delete(run.id) }
  }

  /// Its answer has ended. As long as its journal has not, or somebody here is about to end it, it is not over: a process may have
  /// died in between, and what it wrote by name would stay open.
  private func learnWhetherOver(_ run: Run, _ end: EndState, _ done: @escaping () -> Void) {
    answered(run.id, end)
    guard !isUnderWay(run.id), let journal = try? WorkflowStreams.journal(of: run.id) else { return done() }
    store.status(journal) { [self] result in
      switch result {
      case .success(let status) where status.ending == nil: break
      case .success, .failure(.notFound), .failure(.gone): ended(run.id, end)
      case .failure: break
      }
      done()
    }
  }
}
