import WeirCore

/// How a process, and everything it has started, comes to its end. Pure: it is told what happened and answers what to do.
///
///     running ──(exited, something of it is left │ told to end)──▶ waiting ──5 s──▶ terminating ──5 s──▶ killing ──1 s──▶ over
///        └────────────────────────────(told to stop)────────────────────────────▶ SIGTERM              SIGKILL
///
/// Each step down is skipped as soon as nothing is left: the process has exited, its group is empty, its pipes have ended.
/// A process ends with everything in its group; what shall live on has to leave the group (setsid).
package struct ProcessMachine {
  /// What a process gets to finish by itself, and after SIGTERM again.
  package static let grace = Duration.seconds(5)
  /// After SIGKILL: a process that the system cannot end even so (a dead disk) is given up.
  package static let killLimit = Duration.seconds(1)

  package enum Action: Equatable, Sendable {
    case signal(ProcessSignal)
    /// In place of the one that runs.
    case setTimer(Duration)
    /// It has exited and said all that is waited for: pipes that others hold are closed.
    case complete
    /// Nothing is left to do.
    case over
  }

  private enum Step: Int, Comparable {
    case running, waiting, terminating, killing, over
    static func < (a: Step, b: Step) -> Bool { a.rawValue < b.rawValue }
  }

  private var step = Step.running
  private var hasExited = false
  private var isGroupAlive = true
  private var haveOutputsEnded: Bool
  private var isComplete = false

  /// `hasOutputs`: there are pipes that it writes to.
  package init(hasOutputs: Bool) { haveOutputsEnded = !hasOutputs }

  /// The process has gone and its group has not: nothing but asking tells when that ends.
  package var wantsGroupChecks: Bool { hasExited && isGroupAlive && step != .over }
  /// Nobody waits for what it writes any more.
  package var isStopping: Bool { step >= .terminating }

  // MARK: Facts

  package mutating func exited(isGroupAlive: Bool) -> [Action] {
    hasExited = true
    self.isGroupAlive = isGroupAlive
    var actions = settle()
    if step == .running {
      step = .waiting
      actions.append(.setTimer(Self.grace))
    }
    return actions
  }

  package mutating func outputsEnded() -> [Action] {
    haveOutputsEnded = true
    return settle()
  }

  package mutating func groupChecked(isAlive: Bool) -> [Action] {
    isGroupAlive = isAlive
    return settle()
  }

  /// It may finish by itself.
  package mutating func endWanted() -> [Action] {
    guard step == .running else { return [] }
    step = .waiting
    return [.setTimer(Self.grace)]
  }

  package mutating func stopWanted() -> [Action] {
    guard step < .terminating else { return [] }
    step = .terminating
    let somebodyIsThere = !hasExited || isGroupAlive
    return (somebodyIsThere ? [.signal(.terminate), .setTimer(Self.grace)] : []) + settle()
  }

  /// `isHeldUp`: whoever reads its pipes has paused, so what is in them is not late.
  package mutating func timerFired(isHeldUp: Bool = false) -> [Action] {
    switch step {
    case .running, .over: return []
    case .waiting: return isHeldUp && !haveOutputsEnded ? [.setTimer(Self.grace)] : stopWanted()
    case .terminating:
      step = .killing
      return [.signal(.kill), .setTimer(Self.killLimit)] + settle()
    case .killing:
      step = .over
      defer { isComplete = true }
      return isComplete ? [.over] : [.complete, .over]
    }
  }

  /// What follows from what is known now.
  private mutating func settle() -> [Action] {
    guard hasExited, step != .over else { return [] }
    var actions: [Action] = []
    if !isComplete, haveOutputsEnded || isStopping {
      isComplete = true
      actions.append(.complete)
    }
    // Who was sent SIGKILL is not waited for: an init that does not reap would keep the group for ever.
    if isComplete, !isGroupAlive || step == .killing {
      step = .over
      actions.append(.over)
    }
    return actions
  }
}
