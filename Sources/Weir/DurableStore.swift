import WeirCore
import WeirRuntime
import WeirStore

/// Durable streams for Swift code: workflows that write and read streams by name and can be taken up again after a crash,
/// readers from outside.
///
/// ```swift
/// let store = try await DurableStore.open(directory: "streams")
/// try await store.workflow("answer-1") { step in
///   let tokens = try await step.writable(of: String.self, namespace: "tokens")
///   for word in ["Hello", " World"] { try await tokens.write(word) }
/// }
/// for try await token in try await store.reader(of: String.self, workflow: "answer-1", namespace: "tokens") { print(token) }
/// try await store.close()
/// ```
///
/// A store has a thread and a loop of its own. Anything of it may be used from any task. It is the same kind of store, and of
/// files, that programs of the language use.
public final class DurableStore: Sendable {
  /// When an item counts as written.
  public enum Synchronization: Sendable, Hashable {
    /// After the disk has synchronised: it survives power loss.
    case everyAppend
    /// At once: it survives the end of the process, power loss takes at most what was written in so long (1 ms at least).
    case every(Duration)
  }

  let thread: StoreThread
  /// Of what an ended workflow has kept.
  private let lifetime: StreamLifetime?

  private init(_ thread: StoreThread, _ lifetime: StreamLifetime?) {
    self.thread = thread
    self.lifetime = lifetime
  }

  deinit { thread.close() }

  /// Streams in memory: they live as long as the store. One stream has room for a million items, all together for 256 MiB;
  /// beyond that a write fails (`StoreFull`). `keep` is as for `open`.
  public static func memory(keep: Duration? = nil) async -> DurableStore {
    let thread = StoreThread()
    // It needs nothing that could be missing.
    _ = await thread.start { world, answer in answer(.success(MemoryStreamStore(loop: world.loop))) }
    return DurableStore(thread, keep.map(lifetime))
  }

  /// Streams in files of a folder, which is made if need be.
  ///
  /// Throws `StoreHeld` while another process or another store writes there, or what the disk said.
  ///
  /// - Parameters:
  ///   - keep: How long what a workflow has kept (its streams, its steps' results) stays after its end while nobody uses it, in
  ///     whole seconds, at least one; `nil`: for ever. A workflow that has not ended keeps everything.
  public static func open(
    directory: String, sync: Synchronization = .everyAppend, keep: Duration? = nil
  ) async throws(WeirError) -> DurableStore {
    guard !directory.isEmpty, !directory.utf8.contains(0) else {
      throw WeirError(code: "BadStore", message: "\"\(directory)\" is no folder", hint: "such as \"streams\"")
    }
    let options = StoreOptions(.folder(directory), synchronization: sync.ofFiles)
    let thread = StoreThread()
    let failure = await thread.start { world, answer in
      let store = options.open(in: world)
      // It would be opened with the first stream; whoever opens a folder wants to know now.
      store.list(prefix: "", after: nil, limit: 1) { answer($0.map { _ in store }) }
    }
    if let failure { throw failure }
    return DurableStore(thread, keep.map(lifetime))
  }

  private static func lifetime(_ time: Duration) -> StreamLifetime {
    .idle(seconds: max(1, time.milliseconds / 1000 + (time.milliseconds % 1000 > 0 ? 1 : 0)))
  }

  /// Makes durable what was acknowledged, lets go of the folder, and ends the thread. What is asked of the store afterwards, and
  /// what is under way, fails with `StoreClosed`; workflows that have not ended can be taken up again. Closing twice does
  /// nothing. The last reference to the store, its workflows, writers and readers closes it as well, without waiting.
  ///
  /// Throws what the disk said.
  public func close() async throws(WeirError) {
    if let failure = await thread.closed() { throw failure }
  }

  /// Told of everything that happens to streams of workflows through this store, in order; nil: nobody. It is called on the
  /// store's thread: it must return soon, and not wait for the store.
  public func onEvent(_ handler: (@Sendable (WorkflowEvent) -> Void)?) { thread.setHandler(handler) }

  /// Runs a workflow under an id of its choice.
  ///
  /// What it returns closes the streams that it still writes, what it throws aborts them, with the error as the reason; both end
  /// it for good (`RunEnded` for whoever uses the id again to write or to do steps). A workflow that did not end, because its
  /// process died or its store was closed, is taken up by running it again with the same id: finished steps give their
  /// results, and what it writes again is compared with what is there and not written twice. Nothing is kept of a workflow
  /// before it makes a stream or does a step.
  ///
  /// - Parameters:
  ///   - id: One part of a path: without `/ : \`, control characters, `.` and `..`; 200 bytes are always short enough.
  ///   - onEvent: Like `onEvent(_:)`, of this workflow's streams.
  @discardableResult
  public func workflow<Value>(
    _ id: String, onEvent: (@Sendable (WorkflowEvent) -> Void)? = nil, _ body: (WorkflowStep) async throws -> Value
  ) async throws -> Value {
    let made: Result<DurableWorkflow, WeirError> = await thread.call(whenClosed: .failure(.storeClosed)) {
      [thread, lifetime] access, answer in
      answer(DurableWorkflow.make(id, in: access, on: thread, keptFor: lifetime, onEvent))
      return nil
    }
    let run = try made.get()
    let value: Value
    do {
      value = try await body(WorkflowStep(run: run, store: self))
    } catch {
      await run.fail(WeirError.reason(of: error))
      throw error
    }
    try await run.complete()
    return value
  }

  /// A reader of any workflow's stream, which may come later.
  ///
  /// - Parameters:
  ///   - workflow: The workflow's id.
  ///   - namespace: The stream's name in it.
  ///   - from: Place of the first item, from 0.
  ///   - timeout: Of each read: when nothing comes for so long it throws `timedOut`, and may be tried again; nil: it waits.
  ///   - backpressure: Writers of this store wait when this reader is behind (`WorkflowStep.writable`).
  public func reader<Item>(
    of type: Item.Type = Item.self, workflow: String, namespace: String = "default", from position: Int = 0,
    timeout: Duration? = .seconds(30), backpressure: Bool = false
  ) async throws(WeirError) -> StreamReader<Item> {
    guard position >= 0 else {
      throw WeirError(code: "BadArgument", message: "a reader from position \(position): at least 0")
    }
    let made: Result<ReaderCore, WeirError> = await thread.call(whenClosed: .failure(.storeClosed)) {
      [thread] access, answer in
      do throws(StoreFailure) {
        let core = ReaderCore(
          DurableReader(
            try WorkflowStreams.name(workflow: workflow, namespace: namespace), from: UInt64(position),
            timeout: timeout, backpressure: backpressure, in: access))
        thread.own(core)
        answer(.success(core))
      } catch {
        answer(.failure(WeirError(error)))
      }
      return nil
    }
    return StreamReader(try made.get(), of: self, namespace: namespace)
  }
}

extension DurableStore.Synchronization {
  fileprivate var ofFiles: FileStreamStore.Synchronization {
    switch self {
    case .everyAppend: .always
    case .every(let interval): .everyMilliseconds(Int(clamping: max(1, interval.milliseconds)))
    }
  }
}

/// Something that happened to a stream of a workflow.
public struct WorkflowEvent: Sendable, Hashable {
  public enum Kind: String, Sendable {
    case created = "stream_created"
    case write = "stream_write"
    case read = "stream_read"
    /// Closed, or aborted (`detail`).
    case close = "stream_close"
    case error = "stream_error"
    /// A write waits for a reader.
    case backpressure = "stream_backpressure"
  }

  public let kind: Kind
  public let workflowId: String
  public let namespace: String
  /// Of the item that was written or read; otherwise how many there are (0 of a stream that could not be opened).
  public let position: Int
  /// What went wrong, or why the stream was aborted.
  public let detail: String?

  /// nil: of a stream that is no workflow's.
  init?(_ activity: StreamActivity) {
    guard let parts = WorkflowStreams.parts(of: activity.stream), let kind = Kind(rawValue: activity.kind.rawValue)
    else { return nil }
    self.kind = kind
    workflowId = parts.workflow
    namespace = parts.namespace
    position = Int(clamping: activity.position ?? 0)
    detail = activity.detail
  }
}

extension WeirError {
  static let storeClosed = WeirError(
    code: "StoreClosed", message: "the store was closed", hint: "keep it open for as long as it is used")

  /// Why a stream is aborted by an error: bounded, since readers are sent it.
  static func reason(of error: any Error) -> String {
    let text = "\(error)"
    return text.utf8.count <= 1024 ? text : String(text.prefix(200)) + "…"
  }
}
