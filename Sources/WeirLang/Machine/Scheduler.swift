/// The fibers of one copy of a program, on one loop: which run next, and what is put into them.
///
/// The host's whole interface is `spawn`, `cancel` and the `Suspension`s that natives hand out. Nothing runs inside the
/// caller: work is queued and the scheduler asks its host, through `soon`, to be called later on the same loop. Fibers
/// that compute without end go to the back of the queue after `slice` units of fuel, and a turn of the loop takes at
/// most `turn` of them, so neither other fibers nor sockets starve.
package final class Scheduler {
  package struct Limits {
    /// Calls and loop rounds before a fiber goes to the back of the queue: about 1 ms.
    package var slice = 20_000
    /// The same for all fibers of one turn of the loop: about 5 ms.
    package var turn = 100_000
    /// Calls inside each other.
    package var depth = 10_000
    /// Uses of effects by all fibers together (`--budget`).
    package var effects: [EffectLimit] = []
    package init() {}
  }

  /// Invariant: nil once the scheduler is gone, so the unsafe reference never dangles: both live on one loop.
  private final class Wake { unowned(unsafe) var scheduler: Scheduler? }

  package let program: Program
  package let limits: Limits
  package private(set) var context: NativeContext!
  private let soon: (@escaping () -> Void) -> Void
  /// Stands in the context while none runs, so that the last one to end is not kept.
  private let idle: Fiber
  private var queue: [Fiber] = []
  private var next = 0
  private var isQueued = false
  /// What `soon` is given. A weak reference to the scheduler would make each retain of it take the slow way.
  private let wake: Wake
  private let wakeUp: () -> Void
  /// Each knows its place here.
  private var live: [Fiber] = []
  private var spawned = 0
  /// Owned by no fiber, so it stays when a fiber's frames unwind.
  private let budget: Budget?

  package init(
    program: Program, host: any ProgramHost, limits: Limits = Limits(),
    soon: @escaping (_ job: @escaping () -> Void) -> Void
  ) {
    self.program = program
    self.limits = limits
    self.soon = soon
    budget = limits.effects.isEmpty ? nil : Budget(parent: nil, depth: 0, owner: 0, limits: limits.effects)
    idle = Fiber(program: program, id: 0)
    let wake = Wake()
    self.wake = wake
    wakeUp = { wake.scheduler?.drain() }
    context = nil
    wake.scheduler = self
    context = NativeContext(host: host, scheduler: self, fiber: idle)
  }

  /// What still waits is told that nobody does; answers that come later find their fibers gone. All are gone before the
  /// first is told, for nothing may reach this scheduler any more: a task group gives up its own fibers then.
  deinit {
    wake.scheduler = nil
    let hooks = live.map(\.cancelHook)
    for fiber in live {
      // Nobody is left to be told, and what it captured may hold the fiber.
      fiber.completion = nil
      fiber.drop()
    }
    for hook in hooks { hook?() }
  }

  /// Fibers that have not ended.
  package var fiberCount: Int { live.count }

  /// Starts a function, or a function value, with `arguments`. `completion` is called once when it ends, unless it is
  /// cancelled before it has deferred work; a child of `parent` counts against its limits.
  @discardableResult
  package func spawn(
    _ function: Value, _ arguments: [Value] = [], parent: Fiber? = nil,
    completion: @escaping (Result<Value, Trap>) -> Void = { _ in }
  ) -> Fiber {
    spawned += 1
    let fiber = Fiber(program: program, id: spawned)
    fiber.completion = completion
    fiber.budget = parent?.budget ?? budget
    fiber.attachment = parent?.attachment
    if case .function(let code, let captures) = function {
      fiber.enter(code, arguments, captures)
    } else {
      fiber.delivery = .trap(.broken("spawn of \(function.caseName)"))
    }
    fiber.place = live.count
    live.append(fiber)
    enqueue(fiber)
    return fiber
  }

  @discardableResult
  package func spawn(
    _ function: FunctionRef, _ arguments: [Value] = [], parent: Fiber? = nil,
    completion: @escaping (Result<Value, Trap>) -> Void = { _ in }
  ) -> Fiber {
    spawn(.function(function, Fields.of([])), arguments, parent: parent, completion: completion)
  }

  /// Ends a fiber: what it waits for is told, its values go at once, its completion gets `Trap.cancelled`. One with
  /// deferred functions runs those first.
  package func cancel(_ fiber: Fiber) {
    guard fiber.state != .finished, !fiber.isCancelled else { return }
    fiber.isCancelled = true
    fiber.park &+= 1
    let hook = fiber.cancelHook
    fiber.cancelHook = nil
    if fiber.state == .running || fiber.state == .suspending || !fiber.defers.isEmpty {
      // It runs its deferred functions, or stops at its next call or round.
      fiber.delivery = .trap(.cancelled)
      if fiber.state == .parked { enqueue(fiber) }
      hook?()
    } else {
      hook?()
      finish(fiber, .failure(.cancelled))
    }
  }

  /// Drops fibers as the end of the process would: nothing of them runs any more, not even what they have deferred, and nobody is
  /// told how they ended. What they wait for is told that nobody waits. Not for a fiber that is running.
  package func abandon(where isChosen: (Fiber) -> Bool) {
    let chosen = live.filter { $0.state != .running && $0.state != .suspending && isChosen($0) }
    let hooks = chosen.map(\.cancelHook)
    // What one of them has held may have ended another.
    for fiber in chosen where fiber.state != .finished {
      fiber.park &+= 1
      fiber.completion = nil
      fiber.drop()
      remove(fiber)
    }
    // All are gone before the first is told: a group of tasks gives up its own fibers then.
    for hook in hooks { hook?() }
  }

  package func cancelAll() {
    for fiber in live.sorted(by: { $0.id < $1.id }) { cancel(fiber) }
  }

  /// Only for a suspension that is not over.
  func deliver(_ delivery: consuming Fiber.Delivery, to fiber: Fiber) {
    fiber.park &+= 1
    if fiber.cancelHook != nil { fiber.cancelHook = nil }
    // Still inside the native: the machine takes the answer when the native returns.
    guard fiber.state == .parked else {
      fiber.delivery = delivery
      return
    }
    switch delivery {
    // A parked stack stays where it is.
    case .value(let value): Machine.put(fiber.stack + fiber.awaitedSlot, value)
    case .trap: fiber.delivery = delivery
    }
    enqueue(fiber)
  }

  private func enqueue(_ fiber: Fiber) {
    fiber.state = .ready
    queue.append(fiber)
    ask()
  }

  private func ask() {
    if isQueued { return }
    isQueued = true
    soon(wakeUp)
  }

  /// Runs what is queued, up to the turn's fuel.
  private func drain() {
    isQueued = false
    var fuel = limits.turn
    let end = queue.count
    while next < end, fuel > 0 {
      let fiber = queue[next]
      next += 1
      if fiber.state == .ready { fuel -= run(fiber) }
    }
    queue.removeFirst(next)
    next = 0
    context.fiber = idle
    if !queue.isEmpty { ask() }
  }

  /// One slice; answers the fuel that it took.
  private func run(_ fiber: Fiber) -> Int {
    context.fiber = fiber
    fiber.state = .running
    var fuel = limits.slice
    do throws(Trap) {
      switch try Machine.run(fiber, context: context, fuel: &fuel, depthLimit: limits.depth) {
      case .finished(let value): finish(fiber, .success(value))
      case .suspended: break
      case .outOfFuel: enqueue(fiber)
      }
    } catch {
      finish(fiber, .failure(error))
    }
    return max(1, limits.slice - max(0, fuel))
  }

  private func finish(_ fiber: Fiber, _ result: Result<Value, Trap>) {
    let completion = fiber.completion
    let hook = fiber.endHook
    fiber.completion = nil
    fiber.drop()
    remove(fiber)
    if let hook {
      if case .failure(let trap) = result { hook(trap) } else { hook(nil) }
    }
    completion?(result)
  }

  /// The last one takes its place.
  private func remove(_ fiber: Fiber) {
    let last = live.removeLast()
    if last !== fiber {
      live[fiber.place] = last
      last.place = fiber.place
    }
  }
}
