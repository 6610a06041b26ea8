import WeirCore
import WeirRuntime
import WeirStore

/// One run of a workflow on its store's loop: the engine's `DurableRun`, and what handles of async code refer to.
///
/// `@unchecked Sendable` is true because `id` and `onEvent` are immutable and everything else is touched on the loop only, in
/// calls of `StoreThread`; `letGo` frees it there.
final class DurableWorkflow: @unchecked Sendable {
  let id: String
  let onEvent: (@Sendable (WorkflowEvent) -> Void)?
  private unowned let thread: StoreThread
  private var run: DurableRun?
  /// It has been asked for something durable: its id is its own.
  private var isClaimed = false
  private var writers: [String: WriterCore] = [:]
  private var books: [String: ItemCheckpoints] = [:]

  private init(_ run: DurableRun, _ thread: StoreThread, _ onEvent: (@Sendable (WorkflowEvent) -> Void)?) {
    id = run.id
    self.run = run
    self.thread = thread
    self.onEvent = onEvent
  }

  // MARK: On the loop

  static func make(
    _ id: String, in access: StreamAccess, on thread: StoreThread, keptFor lifetime: StreamLifetime?,
    _ onEvent: (@Sendable (WorkflowEvent) -> Void)?
  ) -> Result<DurableWorkflow, WeirError> {
    do throws(StoreFailure) {
      _ = try WorkflowStreams.journal(of: id)
    } catch {
      return .failure(WeirError(error))
    }
    let run = DurableWorkflow(
      DurableRun(id: id, begun: ["host": "Swift"], access: access, lifetime: lifetime), thread, onEvent)
    thread.add(run)
    return .success(run)
  }

  /// The run with its journal, for its only owner.
  private func claim(_ answer: @escaping (Result<(DurableRun, RunJournal), WeirError>) -> Void) {
    guard let run else { return answer(.failure(.ended(id))) }
    if !isClaimed, thread.runs.values.contains(where: { $0 !== self && $0.id == id && $0.isClaimed }) {
      return answer(
        .failure(
          WeirError(
            code: "RunUnderWay", message: "workflow \"\(id)\" is under way already",
            hint: "give each run an id of its own")))
    }
    isClaimed = true
    run.withJournal { [id] result in
      switch result {
      case .success(let journal): answer(.success((run, journal)))
      case .failure(.ended): answer(.failure(.ended(id)))
      case .failure(let failure): answer(.failure(WeirError(failure)))
      }
    }
  }

  func writer(
    _ namespace: String, contentType: String, highWaterMark: Int,
    _ answer: @escaping (Result<WriterCore, WeirError>) -> Void
  ) {
    claim { [self] result in
      let run: DurableRun
      switch result {
      case .failure(let failure): return answer(.failure(failure))
      case .success(let claimed): run = claimed.0
      }
      run.writer(namespace, contentType: contentType, highWaterMark: highWaterMark) { [self] result in
        switch result {
        case .failure(let failure): answer(.failure(WeirError(failure)))
        case .success(let writer):
          let core = writers[namespace] ?? WriterCore(writer, contentType)
          writers[namespace] = core
          guard core.contentType == contentType else {
            let why = "its content type is \(core.contentType), not \(contentType)"
            return answer(.failure(WeirError(StoreFailure.conflict(writer.name, why))))
          }
          answer(.success(core))
        }
      }
    }
  }

  enum Step: Sendable {
    /// What an earlier life has kept.
    case done(JSONValue, writes: [String: UInt64])
    case begins(key: String)
  }

  /// `outer`: the key of the step around it.
  func beginStep(_ name: String, inside outer: String?, _ answer: @escaping (Result<Step, WeirError>) -> Void) {
    guard let run else { return answer(.failure(.ended(id))) }
    // Before anything is waited for: steps count in the order in which they are begun.
    let key = run.key(name, inside: outer)
    claim { [self] result in
      answer(
        result.map { run, _ in
          guard let step = run.stored(key) else { return .begins(key: key) }
          // Its items were passed over.
          for writer in writers.values { writer.note() }
          return .done(step.value, writes: step.writes)
        })
    }
  }

  func endStep(_ key: String, _ step: RunJournal.Step, _ answer: @escaping (WeirError?) -> Void) {
    claim { result in
      switch result {
      case .failure(let failure): answer(failure)
      case .success(let (_, journal)):
        journal.record(step: key, step) { result in
          if case .failure(let failure) = result { answer(WeirError(failure)) } else { answer(nil) }
        }
      }
    }
  }

  /// What an operation over a stream has done in earlier lives.
  struct Begun: Sendable {
    let key: String
    let places: RangeSet<UInt64>
    let results: [UInt64: JSONValue]
    func isDone(_ place: Int) -> Bool { places.contains(UInt64(place)) }
  }

  func beginEach(
    _ name: String, inside outer: String?, interval: Int, keepsResults: Bool,
    _ answer: @escaping (Result<Begun, WeirError>) -> Void
  ) {
    guard let run else { return answer(.failure(.ended(id))) }
    let key = run.key("each:" + name, inside: outer)
    claim { [self] result in
      answer(
        result.map { _, journal in
          let book = ItemCheckpoints(journal, key, interval: interval, keepsResults: keepsResults)
          books[key] = book
          return Begun(key: key, places: book.places, results: book.known)
        })
    }
  }

  func book(_ key: String) -> ItemCheckpoints? { books[key] }

  func letGo() {
    run = nil
    books = [:]
    for writer in writers.values { writer.letGo(.storeError(cause: .storeClosed)) }
    writers = [:]
  }

  // MARK: The end, from async code

  /// It threw, or its streams cannot be closed: nobody takes it up again.
  func fail(_ reason: String) async {
    await thread.call(whenClosed: ()) { [self] _, answer in
      end(reason) { answer(()) }
      return nil
    }
  }

  /// Closes what it still writes. What the store does not take leaves it as it is, to be taken up again.
  func complete() async throws {
    let failure: StreamWriteError? = await thread.call(whenClosed: .storeError(cause: .storeClosed)) {
      [self] _, answer in
      let open = writers.values.filter(\.isWritable)
      func next(_ rest: ArraySlice<WriterCore>) {
        guard let writer = rest.first else { return end(nil) { answer(nil) } }
        writer.close { [self] result in
          switch result {
          case .failure(.aborted(let reason)): end(reason) { answer(.aborted(reason: reason)) }
          case .failure(.storeError(let cause)):
            letGo()
            thread.remove(self)
            answer(.storeError(cause: cause))
          case .success, .failure: next(rest.dropFirst())
          }
        }
      }
      next(open[...])
      return nil
    }
    if let failure { throw failure }
  }

  private func end(_ failure: String?, _ done: @escaping () -> Void) {
    guard let run else { return done() }
    self.run = nil
    books = [:]
    run.end(failure: failure) { [self] in
      for writer in writers.values { writer.letGo(failure.map { .aborted(reason: $0) } ?? .closed) }
      writers = [:]
      thread.remove(self)
      done()
    }
  }
}

extension WeirError {
  fileprivate static func ended(_ id: String) -> WeirError {
    WeirError(
      code: "RunEnded", message: "workflow \"\(id)\" has ended",
      hint: "its streams are read with DurableStore.reader; give a new run an id of its own")
  }
}
