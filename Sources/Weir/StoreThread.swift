import Synchronization
import WeirCore
import WeirIO
import WeirStore

/// The thread and loop of one `DurableStore`: async code asks, the loop does it and answers.
///
///     async code ── call ──▶ loop: StreamAccess, runs, readers ── its answer, once ──▶ async code
///
/// Every call is answered: when the loop is over before that, with what its caller said for that case.
///
/// `@unchecked Sendable` is true because `state` is a lock, and everything else but `loop` is touched on the loop's thread
/// only.
final class StoreThread: @unchecked Sendable {
  private struct State {
    var calls: [ObjectIdentifier: any PendingCall] = [:]
    var closing: [CheckedContinuation<WeirError?, Never>] = []
    var failure: WeirError?
    /// Calls are answered at once.
    var isOver = false
    /// The folder is free, and nothing of the loop is left.
    var isEnded = false
  }

  private let loop = WeirIO.EventLoop()
  private let state = Mutex(State())
  private var access: StreamAccess?
  private var listening: (any Cancellable)?
  private var isClosing = false
  /// What async code holds handles of, and what must go on this thread.
  private var owned: [ObjectIdentifier: any LoopOwned] = [:]
  private(set) var runs: [ObjectIdentifier: DurableWorkflow] = [:]
  private var onEvent: (@Sendable (WorkflowEvent) -> Void)?

  /// The store that `open` makes, on a thread that is over when `close` has been called, or with a failure to open.
  func start(_ open: @escaping @Sendable (World, @escaping Answer<any StreamStore>) -> Void) async -> WeirError? {
    await withCheckedContinuation { continuation in
      let answer = Once(continuation)
      _ = LoopThread(name: "weir-store") { [self] in
        loop.soon { [self] in
          open(RealWorld.make(loop: loop)) { [self] result in
            switch result {
            case .success(let store):
              access = StreamAccess(store: store, loop: loop)
              answer.resume(nil)
            case .failure(let failure):
              answer.resume(WeirError(failure))
              loop.stop()
            }
          }
        }
        loop.run()
        end()
      }
    }
  }

  /// `begin` is called on the loop and answers once; what it returns is cancelled with the task. `over` is the answer when
  /// the store is closed.
  func call<Value: Sendable>(
    whenClosed over: Value,
    _ begin: @escaping @Sendable (StreamAccess, @escaping (Value) -> Void) -> (any Cancellable)?
  ) async -> Value {
    let call = StoreCall(over)
    return await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        call.wait(continuation)
        let isOver = state.withLock { state in
          if !state.isOver { state.calls[ObjectIdentifier(call)] = call }
          return state.isOver
        }
        if isOver { return call.fail() }
        loop.post { [self] in
          guard let access, !isClosing else { return finish(call, over) }
          call.began(begin(access) { [self] in finish(call, $0) })
        }
      }
    } onCancel: {
      loop.post { call.cancel() }
    }
  }

  private func finish<Value>(_ call: StoreCall<Value>, _ value: Value) {
    state.withLock { $0.calls[ObjectIdentifier(call)] = nil }
    call.answer(value)
  }

  /// From any thread, any number of times: what was acknowledged is made durable, the folder is let go, the thread ends.
  func close() { loop.post { [self] in shutDown() } }

  /// The same, and waits for it.
  func closed() async -> WeirError? {
    await withCheckedContinuation { continuation in
      let (isEnded, failure) = state.withLock { state in
        if !state.isEnded { state.closing.append(continuation) }
        return (state.isEnded, state.failure)
      }
      if isEnded { continuation.resume(returning: failure) } else { close() }
    }
  }

  // MARK: On the loop

  /// Kept until `release`: it goes on this thread whoever lets go of it last.
  func own(_ handle: some LoopOwned) { owned[ObjectIdentifier(handle)] = handle }

  /// From any thread.
  func release(_ handle: some LoopOwned) {
    loop.post { [self] in owned.removeValue(forKey: ObjectIdentifier(handle))?.letGo() }
  }

  func add(_ run: DurableWorkflow) {
    runs[ObjectIdentifier(run)] = run
    if run.onEvent != nil { listen() }
  }

  func remove(_ run: DurableWorkflow) {
    runs[ObjectIdentifier(run)] = nil
    if run.onEvent != nil { restIfUnheard() }
  }

  /// From any thread.
  func setHandler(_ handler: (@Sendable (WorkflowEvent) -> Void)?) {
    loop.post { [self] in
      onEvent = handler
      if handler == nil { restIfUnheard() } else { listen() }
    }
  }

  /// Only while there is a handler: without one nothing is made of what happens.
  private func listen() {
    if listening == nil { listening = access?.listen { [unowned self] in tell($0) } }
  }

  private func restIfUnheard() {
    guard onEvent == nil, !runs.values.contains(where: { $0.onEvent != nil }) else { return }
    listening?.cancel()
    listening = nil
  }

  private func tell(_ activity: StreamActivity) {
    guard let event = WorkflowEvent(activity) else { return }
    onEvent?(event)
    for run in runs.values where run.id == event.workflowId { run.onEvent?(event) }
  }

  private func shutDown() {
    if isClosing { return }
    isClosing = true
    guard let access else { return loop.stop() }
    access.store.synchronize { [self] failure in
      state.withLock { $0.failure = failure.map(WeirError.init) }
      loop.stop()
    }
  }

  private func end() {
    let calls = state.withLock { state in
      state.isOver = true
      defer { state.calls = [:] }
      return state.calls
    }
    for call in calls.values { call.fail() }
    for handle in owned.values { handle.letGo() }
    for run in runs.values { run.letGo() }
    owned = [:]
    runs = [:]
    onEvent = nil
    listening?.cancel()
    listening = nil
    access?.store.close()
    access = nil
    loop.retire()
    let (closing, failure) = state.withLock { state in
      state.isEnded = true
      defer { state.closing = [] }
      return (state.closing, state.failure)
    }
    for continuation in closing { continuation.resume(returning: failure) }
  }
}

/// Belongs to a store's loop and is freed there.
protocol LoopOwned: AnyObject, Sendable {
  /// On the loop, once: nothing of the loop is referred to afterwards.
  func letGo()
}

private protocol PendingCall: Sendable {
  func fail()
}

/// `@unchecked Sendable` is true because `continuation` is a lock, and the other variables are touched on the loop only.
private final class StoreCall<Value: Sendable>: PendingCall, @unchecked Sendable {
  private let over: Value
  private let continuation = Mutex<CheckedContinuation<Value, Never>?>(nil)
  private var work: (any Cancellable)?
  private var isCancelled = false
  private var isAnswered = false

  init(_ over: Value) { self.over = over }

  func wait(_ continuation: CheckedContinuation<Value, Never>) { self.continuation.withLock { $0 = continuation } }

  func began(_ work: (any Cancellable)?) {
    if isAnswered { return }
    self.work = work
    if isCancelled { work?.cancel() }
  }

  func cancel() {
    isCancelled = true
    work?.cancel()
  }

  func answer(_ value: Value) {
    isAnswered = true
    work = nil
    resume(value)
  }

  func fail() { resume(over) }

  private func resume(_ value: Value) { continuation.withLock { $0.take() }?.resume(returning: value) }
}
