import WeirCore

/// Runs jobs on a loop as `KeyedQueueMachine` decides: one at a time for each key, in order of arrival.
///
///     let ticket = try queue.add(session) { turn in
///       agent.call(prompt) { answer in
///         …
///         turn.finish()
///       }
///     }
///
/// A job starts in a later job of the loop, never inside `add` or `finish`, so a long line of jobs that finish at once
/// uses no stack. Cancelling a ticket before its job started removes the job; a job that has started is the owner's to
/// stop, and its key stays taken until `finish`.
package final class KeyedQueue<Key: Hashable> {
  /// A started job's right to its key. Given back by `finish`, or by forgetting it: a lost turn blocks nobody.
  package final class Turn {
    private var onFinish: (() -> Void)?

    fileprivate init(onFinish: @escaping () -> Void) { self.onFinish = onFinish }

    deinit { finish() }

    /// Once; more often does nothing.
    package func finish() {
      let told = onFinish
      onFinish = nil
      told?()
    }
  }

  private let loop: any Loop
  private var machine: KeyedQueueMachine<Key>
  /// Jobs that have not started yet.
  private var tickets: [UInt64: Ticket] = [:]

  package init(loop: any Loop, limits: KeyedQueueMachine<Key>.Limits = .init()) {
    self.loop = loop
    machine = KeyedQueueMachine(limits: limits)
  }

  /// Jobs that run or wait.
  package var jobCount: Int { machine.jobCount }

  package func add(
    _ key: Key, _ job: @escaping (Turn) -> Void
  ) throws(KeyedQueueFailure) -> any Cancellable {
    switch try machine.jobArrived(key) {
    case .start(let number):
      let ticket = keep(number, job)
      start(number)
      return ticket
    case .wait(let number): return keep(number, job)
    }
  }

  private func keep(_ number: UInt64, _ job: @escaping (Turn) -> Void) -> Ticket {
    let ticket = Ticket(number: number, queue: self, job: job)
    tickets[number] = ticket
    return ticket
  }

  private func start(_ number: UInt64) {
    loop.soon { [self] in
      // Gone: cancelled after its turn had come.
      guard let job = tickets.removeValue(forKey: number)?.take() else { return finished(number) }
      job(Turn { [self] in finished(number) })
    }
  }

  private func finished(_ number: UInt64) {
    if let next = machine.jobFinished(number) { start(next) }
  }

  fileprivate func cancelled(_ number: UInt64) {
    // Otherwise its turn has come, and `start` finds it gone.
    tickets[number] = nil
    _ = machine.jobCancelled(number)
  }

  private final class Ticket: Cancellable {
    private let number: UInt64
    private weak var queue: KeyedQueue?
    private var job: ((Turn) -> Void)?

    init(number: UInt64, queue: KeyedQueue, job: @escaping (Turn) -> Void) {
      self.number = number
      self.queue = queue
      self.job = job
    }

    func take() -> ((Turn) -> Void)? {
      defer { job = nil }
      return job
    }

    func cancel() {
      guard job != nil else { return }
      job = nil
      queue?.cancelled(number)
    }
  }
}
