import WeirAI
import WeirCore
import WeirLang
import WeirServe
import WeirStore

/// The runs under way: starts a workflow as a fiber, joins what it returns to the run's stream, stops it.
///
/// A run outlives whoever asked for it: only its own end or `stop` ends it (law 1). Each way a fiber can end (a value, a
/// stream, a trap, cancelled) becomes exactly one end state of the stream.
final class RunTable {
  /// Runs at one time. Each holds a fiber and perhaps a socket; past this, starting answers with an error.
  static let runLimit = 10_000

  private unowned let instance: ProgramInstance
  private(set) var runs: [String: Run] = [:]
  /// Runs that are being registered, or whose streams the store is making.
  private var beginning: Set<String> = []
  /// Those of them that are stopped as soon as they run.
  private var stoppedEarly: Set<String> = []
  /// Runs whose answers have ended, and that have something else to end.
  private var ending: Set<String> = []
  /// Runs that were left to the next process, and nobody was told.
  private var parkedCount = 0
  /// The process ends: nothing is begun any more.
  private var isParked = false
  private(set) var recovery: RunRecovery!

  init(instance: ProgramInstance) {
    self.instance = instance
    recovery = RunRecovery(self, instance: instance)
  }

  var count: Int { runs.count + beginning.count + ending.count }

  /// It is being begun, runs, waits to be taken up, or something of it has yet to end.
  func isUnderWay(_ id: String) -> Bool { isHere(id) || recovery.isKnown(id) }

  /// The same, of those that are this process's own.
  func isHere(_ id: String) -> Bool { runs[id] != nil || beginning.contains(id) || ending.contains(id) }

  /// `register` is told of the run before anything of it is made, and waited for.
  func start(
    _ workflow: Workflow, arguments: [JSONMember],
    register: (_ ticket: RunTicket, _ done: @escaping (RunFailure?) -> Void) -> Void,
    answer: @escaping (Result<RunTicket, RunFailure>) -> Void
  ) {
    guard count < Self.runLimit else {
      return answer(
        .failure(
          RunFailure(
            code: "TooManyRuns", message: "\(Self.runLimit) runs are under way already", retryable: true, status: 503,
            retryAfterMs: 1000)))
    }
    let values: [Value]
    do throws(RunFailure) {
      values = try workflow.values(for: arguments, in: instance)
    } catch {
      return answer(.failure(error))
    }
    let ticket: RunTicket
    do throws(StoreFailure) {
      ticket = try RunTicket(id: instance.world.random.identifier())
    } catch {
      return answer(.failure(RunFailure(code: error.code, message: error.message)))
    }
    beginning.insert(ticket.id)
    register(ticket) { [self, instance] failure in
      withExtendedLifetime(instance) {
        if let failure = failure ?? (isParked ? Self.serverStopped : nil) { return refuse(ticket, failure, answer) }
        make(ticket, workflow, arguments, values, answer)
      }
    }
  }

  private func refuse(
    _ ticket: RunTicket, _ failure: RunFailure, _ answer: (Result<RunTicket, RunFailure>) -> Void
  ) {
    beginning.remove(ticket.id)
    stoppedEarly.remove(ticket.id)
    instance.runsEnded()
    answer(.failure(failure))
  }

  private func make(
    _ ticket: RunTicket, _ workflow: Workflow, _ arguments: [JSONMember], _ values: [Value],
    _ answer: @escaping (Result<RunTicket, RunFailure>) -> Void
  ) {
    let creation = StreamCreation(
      contentType: RunTicket.contentType, finds: .sameContentType,
      expectsLifetime: instance.options.retention.served != nil)
    instance.store.create(ticket.stream, creation) { [instance] result in
      if case .failure(let failure) = result {
        return self.refuse(
          ticket, RunFailure(code: failure.code, message: failure.message, retryable: true, status: 503), answer)
      }
      self.beginning.remove(ticket.id)
      let begun =
        (instance.options.begun.members ?? []) + [
          JSONMember("workflow", .string(workflow.route.name)), JSONMember("arguments", .object(arguments)),
        ]
      let durable = DurableRun(
        id: ticket.id, begun: .object(begun), access: instance.access, lifetime: instance.options.retention.served)
      let run = self.add(durable, ticket, workflow)
      // Before the answer: whoever asked may stop the run at once. The fiber runs in a later job.
      self.begin(run, workflow, values)
      if self.stoppedEarly.remove(ticket.id) != nil { self.stop(run: ticket.id) }
      answer(.success(ticket))
      if self.isParked { self.park() }
    }
  }

  func writer(of ticket: RunTicket) -> RunWriter {
    RunWriter(
      stream: ticket.stream, lifetime: instance.options.retention.served, store: instance.store,
      loop: instance.world.loop)
  }

  private func add(_ durable: DurableRun, _ ticket: RunTicket, _ workflow: Workflow) -> Run {
    let run = Run(durable, writer: writer(of: ticket))
    runs[run.id] = run
    run.writer.onEnd = { [weak self] state, failure in self?.ended(run, workflow, state, failure) }
    run.writer.owner = { [unowned durable] in durable.owner }
    run.writer.onLoss = { [weak self] failure in self?.lost(run, workflow, failure) }
    return run
  }

  // MARK: Runs of a process that died

  /// Takes up a run from what its journal says. False: this process is about to end, and leaves it where it is. Throws what is
  /// wrong with its arguments.
  func resume(
    _ journal: RunJournal, _ ticket: RunTicket, of workflow: Workflow, hasAnswered: Bool
  ) throws(RunFailure) -> Bool {
    let values = try workflow.values(for: journal.begun["arguments"]?.members ?? [], in: instance)
    if isParked { return false }
    let durable = DurableRun(
      id: ticket.id, begun: journal.begun, access: instance.access, journal: journal,
      lifetime: instance.options.retention.served)
    let run = add(durable, ticket, workflow)
    // Where the process before may still be writing, this ends that.
    if hasAnswered || journal.owner != nil { run.writer.runEvent(.restart) }
    begin(run, workflow, values)
    return true
  }

  // MARK: Stopping

  func stop(run id: String) {
    guard let run = runs[id] else {
      if beginning.contains(id) { stoppedEarly.insert(id) }
      return recovery.stop(id)
    }
    run.isUnwanted = true
    run.durable.noteStop()
    cancel(run)
  }

  private func cancel(_ run: Run) {
    if let source = run.writer.source {
      source.stop()
    } else if let fiber = run.fiber {
      instance.scheduler.cancel(fiber)
    }
  }

  func stopAll() {
    for id in runs.keys.sorted() { stop(run: id) }
  }

  /// Why a run ends with its server that could not be left to the next one.
  static let serverStopped = RunFailure(
    code: "ServerStopped",
    message: "the server was stopped, and this run kept nothing that another process could take it up from",
    retryable: true)

  /// This process is about to end. Runs that the next one takes up from their journals are left as they are: nothing of them runs
  /// any more, their providers' connections are closed, and what they have kept is open. The others are stopped, and say why.
  func park() {
    isParked = true
    recovery.close()
    // Where others write as well nobody takes up what is open, unless he sees that this process is gone.
    let isTakenUp = instance.store.outlivesProcess && (instance.store.isExclusive || instance.leftRuns.lease != nil)
    for id in runs.keys.sorted() {
      // An answer that is whole has only to be taken by the store.
      guard let run = runs[id], run.writer.end == nil else { continue }
      if run.isUnwanted {
        // What it still does about that is not waited for any longer.
        run.writer.runEvent(.end(.aborted))
      } else if isTakenUp, run.durable.isResumable {
        park(run)
        parkedCount += 1
      } else if !run.isStopped {
        run.isStopped = true
        run.writer.runEvent(.error(Self.serverStopped))
        cancel(run)
      }
    }
  }

  /// Once, when the process ends: runs are left one after the other.
  func tellParked() {
    guard parkedCount > 0 else { return }
    let runs = parkedCount == 1 ? "1 run is" : "\(parkedCount) runs are"
    instance.log("\(runs) left to be taken up by the next process")
    parkedCount = 0
  }

  private func park(_ run: Run) {
    runs[run.id] = nil
    let source = run.writer.source
    run.writer.park()
    run.fiber = nil
    // What is said now will be said again.
    instance.sessions.withoutRemembering {
      instance.scheduler.abandon { ($0.attachment as? RunFrame)?.run === run.durable }
      source?.stop()
    }
    run.durable.park()
  }

  /// Another process has it: that one ends it.
  private func lost(_ run: Run, _ workflow: Workflow, _ failure: StoreFailure) {
    guard runs[run.id] === run else { return }
    instance.log("run \(run.id) of \(workflow.route.name) goes on elsewhere: \(failure.message)")
    park(run)
    instance.runsEnded()
  }

  private func begin(_ run: Run, _ workflow: Workflow, _ values: [Value]) {
    run.fiber = instance.scheduler.spawn(workflow.handler, values) { [weak self] result in
      run.fiber = nil
      self?.returned(run, workflow, result)
    }
    run.fiber?.attachment = RunFrame(run.durable)
  }

  private func returned(_ run: Run, _ workflow: Workflow, _ result: Result<Value, Trap>) {
    if case .success = result, let flaw = run.durable.flaw {
      return run.writer.fail(RunFailure(code: flaw.code, message: "workflow \(workflow.route.name): \(flaw.message)"))
    }
    switch result {
    case .success(let value):
      if let stream = value.asHandle as? AgentStream {
        run.writer.source = stream.feed
        if !stream.feed.deliver(to: run.writer) {
          run.writer.source = nil
          run.writer.fail(RunFailure(code: "StreamTaken", message: "this stream was read by somebody else already"))
        }
      } else if let stream = value.asHandle as? PulledStream {
        let answer = StreamAnswer(stream, of: run, workflow, in: instance)
        run.writer.source = answer
        answer.begin()
      } else if let json = workflow.json(value, in: instance) {
        run.writer.runEvent(.value(json))
        run.writer.runEvent(.end(.completed))
      } else {
        run.writer.fail(
          RunFailure(code: "NoResult", message: "workflow \(workflow.route.name) returned what has no JSON form"))
      }
    case .failure(let trap) where trap.isCancellation:
      run.writer.runEvent(.end(.aborted))
    case .failure where run.durable.owner?.lost != nil: lost(run, workflow, .takenOver(run.id))
    case .failure(let trap):
      instance.report(trap)
      run.writer.fail(RunFailure(code: trap.code, message: "workflow \(workflow.route.name) failed: \(trap.message)"))
    }
  }

  private func ended(_ run: Run, _ workflow: Workflow, _ state: EndState, _ failure: StoreFailure?) {
    runs[run.id] = nil
    ending.insert(run.id)
    if let failure {
      instance.log("run \(run.id) of \(workflow.route.name): its stream could not be written: \(failure.message)")
    }
    var reason: String?
    if case .aborted(let why) = RunWriter.ending(of: state) { reason = why }
    // What it wrote by name may wait for readers. Until it has ended, the run has not: the next process would end it.
    run.durable.end(failure: reason) { [weak self] problem in
      guard let self else { return }
      if let problem {
        instance.log(
          "run \(run.id) of \(workflow.route.name) could not be ended: \(problem.message)", hint: problem.hint)
      }
      // Who reads its answer was told another end, where this was found only now.
      if let flaw = run.durable.flaw { instance.tell(flaw, of: run.id) }
      ending.remove(run.id)
      instance.ended(
        run: run.id, run.durable.flaw == nil ? state : .error, isKept: failure == nil && problem == nil)
    }
  }
}

final class Run {
  let durable: DurableRun
  let writer: RunWriter
  /// Until the workflow's body has returned.
  var fiber: Fiber?
  /// Somebody has stopped it.
  var isUnwanted = false
  /// With the process, and it has said so.
  var isStopped = false
  var id: String { durable.id }
  init(_ durable: DurableRun, writer: RunWriter) {
    self.durable = durable
    self.writer = writer
  }
}
