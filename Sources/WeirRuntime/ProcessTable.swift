import WeirCore
import WeirFlow
import WeirLang

/// What a program may do with processes: which ones, how many, with which of its user's variables.
package struct ProcessPolicy: Sendable {
  /// nil: any.
  package var allowlist: ProcessAllowlist?
  /// Variables that children inherit although they look like secrets.
  package var passedVariables: [String] = []
  /// Children of one program at a time: `--process-limit`. A program that starts more is told so.
  package var liveLimit = 64
  /// Of each stream, what `exec` keeps: `--process-max-output`.
  package var outputLimit = 16 << 20
  /// What `exec` waits for an end: `--process-timeout`; nil: as long as it takes.
  package var timeout: Duration? = .seconds(300)
  package init() {}

  package static let liveRange = 1...10_000
  package static let outputRange = 1...(1 << 30)
}

/// The processes of one running program: every one is started here, so that the allow-list, the bound and the variables
/// are the same for all, and the end of the program is the end of each.
final class ProcessTable {
  let policy: ProcessPolicy
  private let world: World
  private let environment: [EnvironmentVariable]
  private var running: [ObjectIdentifier: Subprocess] = [:]
  /// Asked for and not answered.
  private var starting = 0
  private var closed: (() -> Void)?
  private var isClosed = false

  init(world: World, policy: ProcessPolicy, keyVariables: Set<String>) {
    self.world = world
    self.policy = policy
    environment = ChildEnvironment.inherited(
      world.environment.all, keys: keyVariables, asked: policy.passedVariables)
  }

  /// Children that have not ended, and starts under way.
  var liveCount: Int { starting + running.count }

  /// `streams` says what the child's standard streams are. Answers in a later job; cancelling before that stops whatever
  /// comes of it.
  func start(
    _ command: String, _ arguments: [String], streams: (inout ProcessRequest) -> Void = { _ in },
    _ answer: @escaping (Result<Subprocess, ProcessFailure>) -> Void
  ) throws(ProcessFailure) -> any Cancellable {
    var request = ProcessRequest(
      executable: command, searchPath: world.environment["PATH"] ?? "", arguments: arguments, environment: environment)
    streams(&request)
    if let allowlist = policy.allowlist {
      request.executable = try allowlist.path(of: command, arguments)
      request.name = command
    }
    guard !isClosed else { throw .unavailable("the program is ending") }
    guard liveCount < policy.liveLimit else {
      throw .unavailable("\(policy.liveLimit) processes of this program run already (--process-limit)")
    }
    // What the program has said so far comes before what its child says.
    world.console.flush()
    starting += 1
    let start = Start(answer)
    Subprocess.start(request, world: world) { [self] result in
      starting -= 1
      switch result {
      case .success(let process):
        let id = ObjectIdentifier(process)
        running[id] = process
        process.onOver = { [weak self] in
          self?.running[id] = nil
          self?.finishClosing()
        }
        if isClosed || start.answer == nil { process.stop() }
      case .failure: finishClosing()
      }
      start.answer.take()?(result)
    }
    return start
  }

  private final class Start: Cancellable {
    var answer: ((Result<Subprocess, ProcessFailure>) -> Void)?
    init(_ answer: @escaping (Result<Subprocess, ProcessFailure>) -> Void) { self.answer = answer }
    func cancel() { answer = nil }
  }

  /// The program is over: those whose input it closed may finish, the others are stopped. Calls back when all are gone,
  /// which takes no longer than `ProcessMachine`'s steps.
  func close(_ done: @escaping () -> Void) {
    isClosed = true
    closed = done
    for process in Array(running.values) { process.ownerEnded() }
    finishClosing()
  }

  /// At once, when somebody who waits for the end has had enough.
  func kill() { for process in running.values { process.kill() } }

  private func finishClosing() {
    if isClosed, liveCount == 0 { closed.take()?() }
  }
}
