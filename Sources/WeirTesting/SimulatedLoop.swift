import WeirCore

/// The `Loop` port over virtual time: nothing waits, a day passes as fast as its events can be run.
///
/// A turn is the real loop's: timers that are due, then jobs (also those put by jobs, `jobsPerTurnLimit` at most),
/// then flushes; a flush asked for by a flush belongs to the next turn. Only when a turn leaves nothing to do does the
/// clock move, and then straight to the next timer. It knows no port but its own; everything simulated (segments on
/// the wire, disk writes) arrives as a timer or job of it.
package final class SimulatedLoop: Loop {
  /// As the real loop's, so that starvation looks the same here.
  package static let jobsPerTurnLimit = 1024
  /// Turns `run()` takes before it concludes that the program will never be quiet (a repeating timer).
  package static let turnLimit = 10_000_000

  package private(set) var now: Instant
  private let started: Instant
  private let epoch: Int64
  private var timers: [Timer] = []
  private var timerCount: UInt64 = 0
  private var jobs: [() -> Void] = []
  private var nextJob = 0
  private var flushes: [() -> Void] = []

  /// `wallClock` is milliseconds since 1970 at the start: 2026-01-01 unless a test needs another day.
  package init(wallClock: Int64 = 1_767_225_600_000) {
    // Not zero, so that code that takes the origin for "never" is found out.
    now = Instant(nanoseconds: 1_000_000_000)
    started = now
    epoch = wallClock
  }

  package var wallClock: Int64 { epoch + (now - started).nanoseconds / 1_000_000 }

  /// Time since the simulation began.
  package var elapsed: Duration { now - started }

  /// Nothing will ever happen unless somebody outside does something.
  package var isIdle: Bool { !hasWork && nextDeadline == nil }

  /// Timers that were set and neither fired nor were cancelled: what a test asks to find a forgotten one.
  package var pendingTimerCount: Int { timers.count { $0.fire != nil } }

  // MARK: The port

  package func after(_ delay: Duration, _ fire: @escaping () -> Void) -> any Cancellable {
    let timer = Timer(deadline: now + max(delay, .zero), order: timerCount, fire: fire)
    timerCount += 1
    push(timer)
    return timer
  }

  package func soon(_ job: @escaping () -> Void) { jobs.append(job) }

  package func atEndOfTurn(_ flush: @escaping () -> Void) { flushes.append(flush) }

  // MARK: Running

  /// Runs until nothing is left to do, however far that moves the clock.
  package func run() {
    for _ in 0..<Self.turnLimit where !step() { return }
    preconditionFailure(
      "still busy after \(Self.turnLimit) turns, at \(elapsed): a timer that repeats? use advance(by:)")
  }

  /// Runs everything that happens up to and at `deadline`, then sets the clock there.
  package func run(until deadline: Instant) {
    while hasWork || nextDeadline.map({ $0 <= deadline }) == true { _ = step() }
    now = max(now, deadline)
  }

  package func advance(by duration: Duration) { run(until: now + duration) }

  /// Runs turn by turn until `condition` holds; false if it doesn't within `limit` or nothing is left to do.
  package func run(within limit: Duration = .seconds(3600), until condition: () -> Bool) -> Bool {
    let deadline = now + limit
    while !condition() {
      guard hasWork || nextDeadline.map({ $0 <= deadline }) == true else { return false }
      _ = step()
    }
    return true
  }

  /// What is due now, without moving the clock.
  package func settle() { run(until: now) }

  /// One turn, after moving the clock to the next timer if nothing else is to do. False: there is nothing.
  private func step() -> Bool {
    if !hasWork {
      guard let next = nextDeadline else { return false }
      now = max(now, next)
    }
    turn()
    return true
  }

  private var hasWork: Bool { nextJob < jobs.count || !flushes.isEmpty || nextDeadline.map { $0 <= now } == true }

  private func turn() {
    // Timers set by these with no delay belong to the next turn, or a chain of them would starve the jobs.
    let newest = timerCount
    while let timer = timers.first, timer.fire == nil || (timer.deadline <= now && timer.order < newest) {
      popTimer()
      if let fire = timer.fire {
        timer.fire = nil
        fire()
      }
    }
    var left = Self.jobsPerTurnLimit
    while left > 0, nextJob < jobs.count {
      let job = jobs[nextJob]
      nextJob += 1
      left -= 1
      job()
    }
    if nextJob == jobs.count {
      jobs.removeAll(keepingCapacity: true)
      nextJob = 0
    }
    if !flushes.isEmpty {
      var now: [() -> Void] = []
      swap(&now, &flushes)
      for flush in now { flush() }
    }
  }

  // MARK: Timers: a binary heap by deadline, then by the order they were set

  private final class Timer: Cancellable {
    let deadline: Instant
    let order: UInt64
    var fire: (() -> Void)?

    init(deadline: Instant, order: UInt64, fire: @escaping () -> Void) {
      self.deadline = deadline
      self.order = order
      self.fire = fire
    }

    func cancel() { fire = nil }

    func isBefore(_ other: Timer) -> Bool {
      deadline == other.deadline ? order < other.order : deadline < other.deadline
    }
  }

  private var nextDeadline: Instant? {
    while let first = timers.first {
      if first.fire != nil { return first.deadline }
      popTimer()
    }
    return nil
  }

  private func push(_ timer: Timer) {
    timers.append(timer)
    var child = timers.count - 1
    while child > 0 {
      let parent = (child - 1) / 2
      guard timers[child].isBefore(timers[parent]) else { break }
      timers.swapAt(child, parent)
      child = parent
    }
  }

  private func popTimer() {
    let last = timers.removeLast()
    if timers.isEmpty { return }
    timers[0] = last
    var parent = 0
    while true {
      var least = parent
      for child in [2 * parent + 1, 2 * parent + 2] where child < timers.count && timers[child].isBefore(timers[least])
      {
        least = child
      }
      if least == parent { return }
      timers.swapAt(parent, least)
      parent = least
    }
  }
}
