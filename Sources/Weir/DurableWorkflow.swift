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
    run.onLetGo = { [weak self] in self?.writers[$0] = nil }
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
    _ namespace: String, contentType: String, _ answer: @escaping (Result<WriterCore, WeirError>) -> Void
  ) {
    claim { [self] result in
      let run: DurableRun
      switch result {
      case .failure(let failure): return answer(.failure(failure))
      case .success(let claimed): run = claimed.0
      }
      run.writer(namespace, contentType: contentType) { [self] result in
        switch result {
        case .failure(let failure): answer(.failure(WeirError(failure)))
        case .success(let writer):
          let core = writers[namespace] ?? WriterCore(writer)
          writers[namespace] = core
          answer(.success(core))
        }
      }
    }
  }

  enum Step: Sendable {
    /// What an earlier life has kept.
    case done(JSONValue)
    case begins(FrameHandle)
  }

  /// The frame that a handle of async code stands for; nil: the run's own.
  private func frame(_ handle: FrameHandle?, of run: DurableRun) -> DurableFrame { handle?.frame ?? run.frame }

  func beginStep(_ name: String, inside outer: FrameHandle?, _ answer: @escaping (Result<Step, WeirError>) -> Void) {
    claim { [self] result in
      switch result {
      case .failure(let failure): answer(.failure(failure))
      case .success(let (run, _)):
        run.begin(step: name, in: frame(outer, of: run)) { [self] result in
          switch result {
          case .failure(let failure): answer(.failure(WeirError(failure)))
          case .success(.begins(let frame)): answer(.success(.begins(FrameHandle(frame))))
          case .success(.passed(let value)):
            // Its items were passed over.
            for writer in writers.values { writer.note() }
            answer(.success(.done(value)))
          }
        }
      }
    }
  }

  /// It is done, and its value is kept.
  func endStep(_ step: FrameHandle, _ value: JSONValue, _ answer: @escaping (WeirError?) -> Void) {
    guard let run else { return answer(.ended(id)) }
    run.finish(step.frame, value) { result in
      run.leave(step.frame)
      if case .failure(let failure) = result { answer(WeirError(failure)) } else { answer(nil) }
    }
  }

  /// It has thrown.
  func leaveStep(_ step: FrameHandle) { run?.leave(step.frame) }

  /// An item of a stream by whoever is in this frame.
  func write(
    _ bytes: [UInt8], by frame: FrameHandle?, to core: WriterCore, highWaterMark: Int,
    _ told: @escaping (WriterCore.Outcome) -> Void
  ) -> (any Cancellable)? {
    guard let run else {
      core.isOver(told)
      return nil
    }
    return core.write(bytes, by: self.frame(frame, of: run), highWaterMark: highWaterMark, told)
  }

  func close(_ core: WriterCore, by frame: FrameHandle?, _ told: @escaping (WriterCore.Outcome) -> Void) {
    guard let run else { return core.isOver(closing: true, told) }
    core.close(by: self.frame(frame, of: run), told)
  }

  /// What an operation over a stream has done in earlier lives.
  struct Begun: Sendable {
    let key: String
    let frame: FrameHandle
    let places: RangeSet<UInt64>
    let results: [UInt64: JSONValue]
    func isDone(_ place: Int) -> Bool { places.contains(UInt64(place)) }
  }

  func beginEach(
    _ name: String, inside outer: FrameHandle?, interval: Int, keepsResults: Bool,
    _ answer: @escaping (Result<Begun, WeirError>) -> Void
  ) {
    claim { [self] result in
      switch result {
      case .failure(let failure): answer(.failure(failure))
      case .success(let (run, _)):
        run.begin(each: name, in: frame(outer, of: run), interval: interval, keepsResults: keepsResults) {
          [self] result in
          answer(
            result.mapError(WeirError.init).map { book in
              let frame = book.frame
              books[frame.path] = book
              // What its items have written was passed over.
              for writer in writers.values { writer.note() }
              return Begun(key: frame.path, frame: FrameHandle(frame), places: book.places, results: book.known)
            })
        }
      }
    }
  }

  func book(_ key: String) -> ItemCheckpoints? { books[key] }

  func itemDone(_ key: String, _ place: UInt64, _ value: JSONValue, _ answer: @escaping (WeirError?) -> Void) {
    guard let run, let book = books[key] else { return answer(.storeClosed) }
    run.done(place, value, in: book) { answer($0.map(WeirError.init)) }
  }

  func endEach(_ key: String, _ answer: @escaping (Result<(Int, Int), WeirError>) -> Void) {
    guard let book = books.removeValue(forKey: key) else { return answer(.failure(.storeClosed)) }
    book.finish { failure in
      book.close()
      answer(failure.map { .failure(WeirError($0)) } ?? .success((book.count, book.last)))
    }
  }

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
      end(reason) { _ in answer(()) }
      return nil
    }
  }

  /// Closes what it still writes. What the store does not take leaves it as it is, to be taken up again.
  func complete() async throws {
    let failure: StreamWriteError? = await thread.call(whenClosed: .storeError(cause: .storeClosed)) {
      [self] _, answer in
      let open = writers.values.filter(\.isWritable)
      func next(_ rest: ArraySlice<WriterCore>) {
        guard let writer = rest.first, let run else {
          return end(nil) { [run] failure in
            answer(
              failure.map { .storeError(cause: WeirError($0)) } ?? run?.flaw.map { .aborted(reason: $0.message) })
          }
        }
        writer.close(by: run.frame) { [self] result in
          switch result {
          case .failure(.aborted(let reason)): end(reason) { _ in answer(.aborted(reason: reason)) }
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

  /// With a failure of the store it can be taken up again.
  private func end(_ reason: String?, _ done: @escaping (StoreFailure?) -> Void) {
    guard let run else { return done(nil) }
    self.run = nil
    books = [:]
    run.end(failure: reason) { [self] failure in
      for writer in writers.values { writer.letGo(reason.map { .aborted(reason: $0) } ?? .closed) }
      writers = [:]
      thread.remove(self)
      done(failure)
    }
  }
}

/// A frame of a run, for async code.
///
/// `@unchecked Sendable` is true because `frame` is used on the loop only.
struct FrameHandle: @unchecked Sendable {
  private let outer: DurableFrame
  /// Of an item, whose frame is made when something is done in it.
  private let place: UInt64?

  init(_ frame: DurableFrame) {
    outer = frame
    place = nil
  }

  init(item place: Int, of each: FrameHandle) {
    outer = each.outer
    self.place = UInt64(place)
  }

  var frame: DurableFrame { place.map(outer.item) ?? outer }
}

extension WeirError {
  fileprivate static func ended(_ id: String) -> WeirError {
    WeirError(
      code: "RunEnded", message: "workflow \"\(id)\" has ended",
      hint: "its streams are read with DurableStore.reader; give a new run an id of its own")
  }
}
