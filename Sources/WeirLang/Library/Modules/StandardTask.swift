/// std/task: work that runs at once. The natives start fibers for function values and wait for them; nothing here calls
/// script code, so they are leaves like all others. Cancelling the fiber that waits cancels what it started.
extension LibraryModule {
  static var task: LibraryModule {
    LibraryModule(
      name: "std/task",
      source: #"""
        // Work that runs at once.

        /// Why a job failed: a trap's code and message, and which job it was.
        export type TaskFailure = {code: string, index: int, message: string}

        /// Runs every job, at most `limit` at a time (0: all), and waits for all. A failed one does not stop the others.
        export extern func settle[a](jobs: [() -> a ! e], limit: int) -> [Result[a, TaskFailure]] ! e
        /// Runs every job, at most `limit` at a time (0: all), and gives their values in order. The first failure cancels the others and is the caller's own.
        export extern func all[a](jobs: [() -> a ! e], limit: int) -> [a] ! e
        /// The value of the job that ends first; the others are cancelled. It fails if that job failed.
        export extern func race[a](jobs: [() -> a ! e]) -> a ! e
        /// The value of the first job that succeeds; the others are cancelled. Err when all failed.
        export extern func first[a](jobs: [() -> a ! e]) -> Result[a, TaskFailure] ! e
        /// Runs a job on its own, and hands its failure over as a value.
        export func attempt[a](job: () -> a) -> Result[a, TaskFailure] { 
          match settle([job], 1) { [result, ...] => result, [] => Err({code: "Empty", index: 0, message: "no job"}) }
        }
        """#,
      natives: [
        raw("settle", arity: 2) { arguments, context in
          try TaskGroup.start(arguments, context, limit: try arguments.get(1), mode: .settle)
        },
        raw("all", arity: 2) { arguments, context in
          try TaskGroup.start(arguments, context, limit: try arguments.get(1), mode: .all)
        },
        raw("race", arity: 1) { arguments, context in try TaskGroup.start(arguments, context, limit: 0, mode: .race) },
        raw("first", arity: 1) { arguments, context in try TaskGroup.start(arguments, context, limit: 0, mode: .first)
        },
      ],
      records: [taskFailure])
  }

  static let taskFailure = RecordTag(1, ["code", "index", "message"])
}

/// The jobs of one call: starts them, collects their results in order, and answers once.
private final class TaskGroup {
  enum Mode { case settle, all, race, first }

  private let suspension: Suspension
  private let mode: Mode
  private let limit: Int
  private let jobs: [Value]
  private var results: [Result<Value, Trap>?]
  private var running: [Int: Fiber] = [:]
  private var next = 0
  private var ended = 0
  private var isOver = false

  static func start(_ arguments: Arguments, _ context: NativeContext, limit: Int, mode: Mode) throws -> NativeResult {
    guard let jobs = arguments[0].asList else { throw Trap.badArgument(0, wanted: "a list", arguments[0]) }
    if jobs.isEmpty {
      if mode == .settle || mode == .all { return .value(.list(List())) }
      throw Trap("NoJobs", "there is no job to wait for")
    }
    let group = TaskGroup(context.suspend(), jobs.array, limit: limit, mode: mode)
    group.suspension.onCancel { group.stop() }
    group.startMore()
    return .suspended
  }

  private init(_ suspension: Suspension, _ jobs: [Value], limit: Int, mode: Mode) {
    self.suspension = suspension
    self.jobs = jobs
    self.limit = limit > 0 ? limit : jobs.count
    self.mode = mode
    results = Array(repeating: nil, count: jobs.count)
  }

  private func startMore() {
    while !isOver, running.count < limit, next < jobs.count {
      let index = next
      next += 1
      running[index] = suspension.context.scheduler.spawn(jobs[index], parent: suspension.fiber) { result in
        self.jobEnded(index, result)
      }
    }
  }

  private func jobEnded(_ index: Int, _ result: Result<Value, Trap>) {
    running[index] = nil
    if isOver { return }
    results[index] = result
    ended += 1
    switch (mode, result) {
    case (.race, .success(let value)): finish(value)
    case (.race, .failure(let trap)), (.all, .failure(let trap)):
      stop()
      suspension.fail(trap)
    case (.first, .success(let value)): finish(.ok(value))
    case (.first, .failure(let trap)) where ended == jobs.count: finish(.err(failure(index, trap)))
    case (.settle, _) where ended == jobs.count, (.all, _) where ended == jobs.count: finish(.list(List(collected)))
    default: startMore()
    }
  }

  private var collected: [Value] {
    results.enumerated().map { index, result in
      switch result {
      case .success(let value)?: mode == .all ? value : .ok(value)
      case .failure(let trap)?: .err(failure(index, trap))
      case nil: .unit
      }
    }
  }

  private func failure(_ index: Int, _ trap: Trap) -> Value {
    LibraryModule.taskFailure.value([
      "code": .string(trap.code), "index": .int(index), "message": .string(trap.message),
    ])
  }

  private func finish(_ value: Value) {
    stop()
    suspension.resume(value)
  }

  /// Whatever still runs is given up.
  private func stop() {
    isOver = true
    let fibers = running.sorted { $0.key < $1.key }.map(\.value)
    running = [:]
    for fiber in fibers where fiber.state != .finished { suspension.context.scheduler.cancel(fiber) }
  }
}
