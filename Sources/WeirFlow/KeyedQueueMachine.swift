import WeirCore

/// Who may run now, when jobs of one key must run one at a time and in the order they came, and jobs of different keys
/// need not wait for each other. Calls within one agent session are the case it was made for.
///
/// Pure: it is told what happened, says which jobs to start, and knows jobs by number only. A job counts from its
/// arrival until it finished or was cancelled while it waited; both bounds count such jobs. The driver is `KeyedQueue`.
package struct KeyedQueueMachine<Key: Hashable>: ~Copyable {
  package typealias Job = UInt64

  package struct Limits: Sendable {
    /// Running and waiting with one key: somebody who is this far ahead of the answers is not talking, but looping.
    package var jobsPerKeyLimit = 16
    /// Running and waiting with all keys together.
    package var jobsLimit = 10_000
    package init() {}
  }

  package enum Arrival: Equatable {
    case start(Job)
    case wait(Job)
  }

  private struct Line {
    var running: Job
    /// In order of arrival; at most `jobsPerKeyLimit`, so that removing from it is cheap.
    var waiting: [Job] = []
  }

  package let limits: Limits
  /// Invariant: a key is here exactly while a job of it is running.
  private var lines: [Key: Line] = [:]
  private var keys: [Job: Key] = [:]
  private var lastJob: Job = 0

  package init(limits: Limits = Limits()) { self.limits = limits }

  /// Jobs that run or wait.
  package var jobCount: Int { keys.count }
  /// Jobs that run: as many as keys that are in use.
  package var runningCount: Int { lines.count }

  package mutating func jobArrived(_ key: Key) throws(KeyedQueueFailure) -> Arrival {
    if let line = lines[key], line.waiting.count + 1 >= limits.jobsPerKeyLimit {
      throw .keyFull(limit: limits.jobsPerKeyLimit)
    }
    guard keys.count < limits.jobsLimit else { throw .full(limit: limits.jobsLimit) }
    lastJob += 1
    keys[lastJob] = key
    if lines[key] == nil {
      lines[key] = Line(running: lastJob)
      return .start(lastJob)
    }
    lines[key]?.waiting.append(lastJob)
    return .wait(lastJob)
  }

  /// A running job is over, however it ended. Returns the one to start in its place. Anything else changes nothing.
  package mutating func jobFinished(_ job: Job) -> Job? {
    guard let key = keys[job], lines[key]?.running == job else { return nil }
    keys[job] = nil
    guard let next = lines[key]?.waiting.first else {
      lines[key] = nil
      return nil
    }
    lines[key]?.waiting.removeFirst()
    lines[key]?.running = next
    return next
  }

  /// Somebody gave a job up. True: it was waiting, and is gone. False: it runs, or is over, and nothing changed.
  package mutating func jobCancelled(_ job: Job) -> Bool {
    guard let key = keys[job], let place = lines[key]?.waiting.firstIndex(of: job) else { return false }
    lines[key]?.waiting.remove(at: place)
    keys[job] = nil
    return true
  }
}

/// The queue has no room for a job; nothing was started or kept.
package enum KeyedQueueFailure: Failure, Equatable {
  case keyFull(limit: Int)
  case full(limit: Int)

  package var code: String {
    switch self {
    case .keyFull: "SessionBusy"
    case .full: "QueueFull"
    }
  }

  package var message: String {
    switch self {
    case .keyFull(let limit): "\(limit) calls of this session run or wait already (jobsPerKeyLimit)"
    case .full(let limit): "\(limit) calls run or wait already (jobsLimit)"
    }
  }

  package var hint: String? { "wait for an answer before asking again" }
}
