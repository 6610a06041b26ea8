import Synchronization
import WeirCore

/// What `WorkflowStep.forEach` has done.
public struct ForEachResult<Output: Sendable>: Sendable {
  /// Items done, in all lives of the workflow.
  public let processedCount: Int
  /// Place of the last of them; -1: none.
  public let lastPosition: Int
  /// In the order of the items; empty without `keepResults`.
  public let results: [Output]
  /// Items that failed, with `onError: .collect`; in the order of the items.
  public let failures: [(position: Int, error: any Error)]
}

/// What becomes of the other items when one fails.
public enum ForEachPolicy: Sendable, Hashable {
  /// No further one is begun, and those under way are finished.
  case stop
  /// It is left out, and tried again when the workflow is taken up.
  case skip
  /// The same, and told in `failures`.
  case collect
}

/// Why `WorkflowStep.forEach` stopped.
public enum ForEachError: Error, Sendable, CustomStringConvertible {
  case itemFailed(position: Int, cause: any Error)
  /// The source ended otherwise than whole.
  case sourceFailed(cause: any Error)
  /// What was done could not be written down, or not be read back.
  case checkpointFailed(cause: WeirError)
  /// A concurrency or a number of items that makes no sense, or a workflow that has ended.
  case refused(WeirError)
  /// The task was cancelled.
  case cancelled

  public var description: String {
    switch self {
    case .itemFailed(let position, let cause): "item \(position) failed: \(cause)"
    case .sourceFailed(let cause): "the source failed: \(cause)"
    case .checkpointFailed(let cause): "no checkpoint: \(cause)"
    case .refused(let why): "\(why)"
    case .cancelled: "the task was cancelled"
    }
  }
}

extension WorkflowStep {
  /// At most so many items are under way at one time.
  public static var forEachConcurrencyLimit: Int { 10_000 }

  /// Calls `body` for each item, at most `concurrency` at a time, while the source is open.
  ///
  /// Progress is kept under `name` every `checkpointEvery` items: taken up again after a crash, the workflow calls `body`
  /// again for at most `checkpointEvery + concurrency` items, and for those that failed. Items are known by their place: in a
  /// `StreamReader`'s stream, else in the sequence, which therefore must give the same items again.
  ///
  /// - Parameters:
  ///   - keepResults: Without it results are dropped, for sources without end.
  @discardableResult
  public func forEach<Source: AsyncSequence & Sendable, Output: Codable & Sendable>(
    _ source: Source, name: String, concurrency: Int = 1, checkpointEvery: Int = 1, onError: ForEachPolicy = .stop,
    keepResults: Bool = true, _ body: @escaping @Sendable (Source.Element) async throws -> Output
  ) async throws(ForEachError) -> ForEachResult<Output> where Source.Element: Sendable {
    guard (1...Self.forEachConcurrencyLimit).contains(concurrency) else {
      throw .refused(.badArgument("a concurrency of \(concurrency): from 1 to \(Self.forEachConcurrencyLimit)"))
    }
    guard checkpointEvery >= 1 else {
      throw .refused(.badArgument("a checkpoint every \(checkpointEvery) items: at least 1"))
    }
    let outer = StepFrame.current?.handle(of: run)
    let begun: Result<DurableWorkflow.Begun, WeirError> = await store.thread.call(whenClosed: .failure(.storeClosed)) {
      [run] _, answer in
      run.beginEach(name, inside: outer, interval: checkpointEvery, keepsResults: keepResults, answer)
      return nil
    }
    let book: DurableWorkflow.Begun
    do throws(WeirError) { book = try begun.get() } catch { throw .refused(error) }
    var results: [UInt64: Output] = [:]
    for (place, value) in book.results {
      do {
        results[place] = try JSONDecoding.value(value, as: Output.self)
      } catch {
        throw .checkpointFailed(cause: .changed("forEach \"\(name)\"", error))
      }
    }

    var failures: [(position: Int, error: any Error)] = []
    var failure: ForEachError?
    let desk = ForEachDesk<Source.Element, Output>()
    let start = (source as? any PositionedSource)?.position ?? 0
    await withDiscardingTaskGroup { group in
      group.addTask { await desk.pull(source, from: start) }
      var running = 0
      var isAsking = false
      var isSourceOver = false
      while true {
        if Task.isCancelled, failure == nil { failure = .cancelled }
        let takes = !isSourceOver && failure == nil
        if takes, !isAsking, running < concurrency {
          isAsking = true
          desk.want()
        }
        if running == 0, !takes { break }
        switch await desk.next() {
        case .item(let place, let item):
          isAsking = false
          if failure != nil || Task.isCancelled || book.isDone(place) { continue }
          running += 1
          group.addTask { desk.report(await process(item, place, book, body)) }
        case .sourceOver(let error):
          isSourceOver = true
          if let error, failure == nil { failure = .sourceFailed(cause: error) }
        case .done(let place, let output):
          running -= 1
          if keepResults { results[UInt64(place)] = output }
        case .failed(let place, let cause):
          running -= 1
          // An item that was cut off has not failed, whatever the policy.
          if Task.isCancelled || cause is CancellationError {
            failure = failure ?? .cancelled
            continue
          }
          switch onError {
          case .stop: failure = failure ?? .itemFailed(position: place, cause: cause)
          case .skip: break
          case .collect: failures.append((place, cause))
          }
        case .unwritten(let cause):
          running -= 1
          failure = failure ?? .checkpointFailed(cause: cause)
        }
      }
      desk.stop()
      group.cancelAll()
    }

    let finished: Result<(Int, Int), WeirError> = await store.thread.call(whenClosed: .failure(.storeClosed)) {
      [run] _, answer in
      run.endEach(book.key, answer)
      return nil
    }
    if Task.isCancelled { throw .cancelled }
    if let failure { throw failure }
    switch finished {
    case .failure(let cause): throw .checkpointFailed(cause: cause)
    case .success(let (count, last)):
      return ForEachResult(
        processedCount: count, lastPosition: last, results: results.sorted { $0.key < $1.key }.map(\.value),
        failures: failures.sorted { $0.position < $1.position })
    }
  }

  /// One item; its result is in the book before this returns.
  private func process<Item, Output: Codable & Sendable>(
    _ item: Item, _ place: Int, _ book: DurableWorkflow.Begun, _ body: @Sendable (Item) async throws -> Output
  ) async -> ForEachDesk<Item, Output>.Fact {
    let output: Output
    let value: JSONValue
    do {
      // Its steps and writes are the item's own.
      output = try await StepFrame.with(run, FrameHandle(item: place, of: book.frame)) { try await body(item) }
      value = try JSONEncoding.value(output)
    } catch {
      await store.thread.call(whenClosed: ()) { [run] _, answer in
        run.book(book.key)?.failed(UInt64(place))
        answer(())
        return nil
      }
      return .failed(place, error)
    }
    let failure: WeirError? = await store.thread.call(whenClosed: .storeClosed) { [run] _, answer in
      run.itemDone(book.key, UInt64(place), value, answer)
      return nil
    }
    if let failure { return .unwritten(failure) }
    return .done(place, output)
  }
}

extension WeirError {
  fileprivate static func badArgument(_ message: String) -> WeirError {
    WeirError(code: "BadArgument", message: "forEach: \(message)")
  }
}

/// A source whose items have places of their own.
private protocol PositionedSource {
  var position: Int { get }
}
extension StreamReader: PositionedSource {}

/// Where whoever pulls the source and whoever works on its items meet: an item is pulled when it is wanted, and what has
/// happened is told one after the other.
private final class ForEachDesk<Item: Sendable, Output: Sendable>: Sendable {
  enum Fact: Sendable {
    case item(Int, Item)
    /// nil: whole.
    case sourceOver((any Error)?)
    case done(Int, Output)
    case failed(Int, any Error)
    case unwritten(WeirError)
  }

  private struct State {
    var facts: ArraySlice<Fact> = []
    var listener: CheckedContinuation<Fact, Never>?
    var isWanted = false
    var isStopped = false
    var puller: CheckedContinuation<Bool, Never>?
  }
  private let state = Mutex(State())

  func report(_ fact: Fact) {
    let listener = state.withLock { state in
      if state.listener == nil { state.facts.append(fact) }
      return state.listener.take()
    }
    listener?.resume(returning: fact)
  }

  func next() async -> Fact {
    await withCheckedContinuation { continuation in
      let fact = state.withLock { state in
        let fact = state.facts.popFirst()
        if fact == nil { state.listener = continuation }
        return fact
      }
      if let fact { continuation.resume(returning: fact) }
    }
  }

  func want() {
    let puller = state.withLock { state in
      state.isWanted = state.puller == nil
      return state.puller.take()
    }
    puller?.resume(returning: true)
  }

  func stop() {
    let puller = state.withLock { state in
      state.isStopped = true
      return state.puller.take()
    }
    puller?.resume(returning: false)
  }

  /// False: nothing is wanted any more.
  private func wanted() async -> Bool {
    await withCheckedContinuation { continuation in
      let answer: Bool? = state.withLock { state in
        if state.isStopped { return false }
        if state.isWanted {
          state.isWanted = false
          return true
        }
        state.puller = continuation
        return nil
      }
      if let answer { continuation.resume(returning: answer) }
    }
  }

  func pull<Source: AsyncSequence>(_ source: Source, from start: Int) async where Source.Element == Item {
    var iterator = source.makeAsyncIterator()
    var place = start
    do {
      while await wanted() {
        guard let item = try await iterator.next(isolation: #isolation) else {
          // Some sequences end when they are cancelled, which is no end.
          return report(.sourceOver(Task.isCancelled ? CancellationError() : nil))
        }
        report(.item(place, item))
        place += 1
      }
    } catch {
      report(.sourceOver(error))
    }
  }
}
