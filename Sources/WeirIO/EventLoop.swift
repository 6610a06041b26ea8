import CWeir
import Glibc
import Synchronization
import WeirCore

/// One thread that waits for descriptors, timers, jobs and messages, and runs what they wake, a turn at a time.
///
/// A turn: read what is ready → fire due timers → run jobs → flush → wait. The thread is also a Swift executor, so
/// async code that was started with `spawn` stays on it. It knows no protocol and no bytes.
/// Input: descriptors through `Poller`, work of this thread through `soon`, of others through `post`.
///
/// `@unchecked Sendable` is true because everything but `remote`, `asleep`, `isStopping`, `isRunning` (locks and
/// atomics) and `wakeup` (a constant) is touched by one thread only: the one inside `run`, or, before the first `run`,
/// the one that made the loop. Calls of the `Loop` port and of the descriptor table assert it.
package final class EventLoop: Loop, SerialExecutor, TaskExecutor, @unchecked Sendable {
  /// Jobs run in one turn at most; then descriptors and timers have their say. About 0.3 ms of 300 ns jobs.
  package static let jobsPerTurnLimit = 1024
  /// Bytes read from one socket in one turn at most: the size of the loop's one receive buffer.
  package static let receiveLimit = 65_536

  private enum Message {
    case job(UnownedJob)
    case call(@Sendable () -> Void)
  }

  private var poller = Poller()
  private var timers = TimerHeap()
  private var soonJobs = Ring<() -> Void>()
  private var swiftJobs = Ring<UnownedJob>()
  private var flushes: [() -> Void] = []
  private var flushing: [() -> Void] = []
  private var turnStart: Instant
  /// Lent to whoever reads in this turn; its content is worth nothing after the read's callback.
  let receiveBuffer = UnsafeMutableRawBufferPointer.allocate(byteCount: EventLoop.receiveLimit, alignment: 64)
  /// The same for ciphertext on its way out: a record and its frame. A handler may send while the other is lent.
  let sendBuffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 20_480, alignment: 64)

  private let wakeup: Int32
  private let remote = Locked<(messages: [Message], isRetired: Bool)>(([], false))
  private let asleep = Atomic<Bool>(false)
  private let isStopping = Atomic<Bool>(false)
  private let isRunning = Atomic<Bool>(false)

  package init() {
    wakeup = weir_wakeup_create()
    precondition(wakeup >= 0, "no eventfd: the process has no descriptor left at its start")
    turnStart = EventLoop.clock()
    _ = poller.add(wakeup, .readable, Wakeup(descriptor: wakeup))
  }

  deinit {
    receiveBuffer.deallocate()
    sendBuffer.deallocate()
    _ = closeDescriptor(wakeup)
  }

  // MARK: Running

  /// Runs turns on the calling thread until `stop`. May be called again afterwards.
  package func run() {
    precondition(!isRunning.exchange(true, ordering: .sequentiallyConsistent), "the loop runs already")
    let before = weir_current_loop()
    weir_set_current_loop(Unmanaged.passUnretained(self).toOpaque())
    defer {
      weir_set_current_loop(before)
      isStopping.store(false, ordering: .sequentiallyConsistent)
      isRunning.store(false, ordering: .sequentiallyConsistent)
    }
    while !isStopping.load(ordering: .acquiring) { turn() }
  }

  /// Runs the loop on a new thread of its own until `stop`; `join` of the value returned waits for its end.
  @discardableResult
  package func start(name: String = "weir-loop") -> LoopThread {
    LoopThread(name: name) { self.run() }
  }

  /// From any thread: `run` returns after the turn it is in.
  package func stop() {
    isStopping.store(true, ordering: .sequentiallyConsistent)
    wake()
  }

  /// After the last `run`, on its thread: lets go of all that waits here and of whatever is posted from now on, since
  /// that may hold who holds this loop. For loops without async code of their own.
  package func retire() {
    assert(isConfined && swiftJobs.isEmpty, "a loop retires on its thread, after its last job")
    var jobs = Ring<() -> Void>()
    var waiting = TimerHeap()
    var late: [() -> Void] = []
    var messages: [Message] = []
    swap(&jobs, &soonJobs)
    swap(&waiting, &timers)
    swap(&late, &flushes)
    remote.withLock {
      swap(&messages, &$0.messages)
      $0.isRetired = true
    }
    let handlers = poller.removeAll()
    // All of it goes here, with nothing of the loop in use: what is freed may turn to the loop.
    withExtendedLifetime((jobs, waiting, late, messages, handlers)) {}
  }

  package var isCurrent: Bool { weir_current_loop() == Unmanaged.passUnretained(self).toOpaque() }
  private var isConfined: Bool { isCurrent || !isRunning.load(ordering: .relaxed) }

  private func turn() {
    var wait = timeout()
    if wait != 0 {
      asleep.store(true, ordering: .sequentiallyConsistent)
      if isStopping.load(ordering: .sequentiallyConsistent) || !remote.withLock({ $0.messages.isEmpty }) { wait = 0 }
    }
    let ready = poller.wait(wait)
    asleep.store(false, ordering: .relaxed)
    turnStart = EventLoop.clock()

    for index in 0..<ready {
      if let (handler, readiness) = poller.event(index) { handler.becameReady(readiness) }
    }
    let mark = timers.orderMark
    while let fire = timers.popDue(turnStart, setBefore: mark) { fire() }
    runJobs()
    flush()
  }

  private func timeout() -> Int64 {
    if !soonJobs.isEmpty || !swiftJobs.isEmpty || !flushes.isEmpty { return 0 }
    guard let deadline = timers.nextDeadline else { return -1 }
    return max(0, (deadline - EventLoop.clock()).nanoseconds)
  }

  /// Both queues by turns, so that neither a chain of awaits nor a chain of jobs keeps the other waiting.
  private func runJobs() {
    takeMessages()
    let serial = asUnownedSerialExecutor()
    let task = asUnownedTaskExecutor()
    var left = Self.jobsPerTurnLimit
    while left > 0 {
      let before = left
      if let job = swiftJobs.popFirst() {
        job.runSynchronously(isolatedTo: serial, taskExecutor: task)
        left -= 1
      }
      if let job = soonJobs.popFirst() {
        job()
        left -= 1
      }
      if left == before { return }
    }
  }

  private func takeMessages() {
    let messages = remote.withLock { remote -> [Message] in
      if remote.messages.isEmpty { return [] }
      var taken: [Message] = []
      swap(&taken, &remote.messages)
      return taken
    }
    for message in messages {
      switch message {
      case .job(let job): swiftJobs.append(job)
      case .call(let call): soonJobs.append(call)
      }
    }
  }

  /// A flush asked for by a flush belongs to the next turn, which then does not wait.
  private func flush() {
    if flushes.isEmpty { return }
    swap(&flushes, &flushing)
    for flush in flushing { flush() }
    flushing.removeAll(keepingCapacity: flushing.count <= Self.jobsPerTurnLimit)
  }

  // MARK: The port

  package var now: Instant { turnStart }

  package var wallClock: Int64 {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
  }

  /// Counted from the moment of the call, not from the turn's start: a long job must not make a timer early.
  package func after(_ delay: Duration, _ fire: @escaping () -> Void) -> any Cancellable {
    assert(isConfined, "a timer set from another thread")
    let timer = LoopTimer(self, fire)
    let start = EventLoop.clock().nanoseconds
    let (deadline, overflow) = start.addingReportingOverflow(max(0, delay.nanoseconds))
    timers.insert(timer, at: Instant(nanoseconds: overflow ? .max : deadline))
    return timer
  }

  package func soon(_ job: @escaping () -> Void) {
    assert(isConfined, "soon from another thread; use post")
    soonJobs.append(job)
  }

  package func atEndOfTurn(_ flush: @escaping () -> Void) {
    assert(isConfined, "a flush asked for from another thread")
    flushes.append(flush)
  }

  func timerCancelled() {
    assert(isConfined, "a timer cancelled from another thread")
    timers.noteCancelled()
  }

  // MARK: Descriptors

  /// Calls the handler while the descriptor is ready; holds it until `unwatch`. Returns errno, or 0.
  package func watch(_ fd: Int32, _ interest: Readiness, _ handler: any ReadinessHandler) -> Int32 {
    assert(isConfined, "a descriptor watched from another thread")
    return poller.add(fd, interest, handler)
  }

  package func rewatch(_ fd: Int32, _ interest: Readiness) { poller.change(fd, interest) }

  /// Before the descriptor is closed. The handler is not called again.
  package func unwatch(_ fd: Int32) {
    assert(isConfined, "a descriptor dropped from another thread")
    poller.remove(fd)
  }

  // MARK: Other threads and async code

  /// From any thread: runs `call` on this loop, in the order posted by each thread. One wake-up serves a batch.
  package func post(_ call: @escaping @Sendable () -> Void) { send(.call(call)) }

  /// Starts async code that stays on this loop at every `await`; the one way in for tasks.
  @discardableResult
  package func spawn<Value: Sendable>(
    _ body: sending @escaping @isolated(any) () async throws -> Value
  ) -> Task<Value, any Error> {
    Task(executorPreference: self, operation: body)
  }

  package func enqueue(_ job: consuming ExecutorJob) { enqueue(UnownedJob(job)) }

  package func enqueue(_ job: UnownedJob) {
    if isCurrent { swiftJobs.append(job) } else { send(.job(job)) }
  }

  package func asUnownedSerialExecutor() -> UnownedSerialExecutor { UnownedSerialExecutor(ordinary: self) }
  package func asUnownedTaskExecutor() -> UnownedTaskExecutor { UnownedTaskExecutor(ordinary: self) }
  package func isIsolatingCurrentContext() -> Bool? { isCurrent }
  package func checkIsolated() { precondition(isCurrent, "code of this loop ran on another thread") }

  private func send(_ message: Message) {
    let isTaken = remote.withLock { remote in
      if !remote.isRetired { remote.messages.append(message) }
      return !remote.isRetired
    }
    if isTaken { wake() }
  }

  private func wake() {
    if asleep.exchange(false, ordering: .sequentiallyConsistent) { weir_wakeup_signal(wakeup) }
  }

  private static func clock() -> Instant {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Instant(nanoseconds: Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec))
  }
}

/// Makes the poller return; that is all a wake-up has to do.
private final class Wakeup: ReadinessHandler {
  private let descriptor: Int32
  init(descriptor: Int32) { self.descriptor = descriptor }
  func becameReady(_ ready: Readiness) { weir_wakeup_clear(descriptor) }
}
