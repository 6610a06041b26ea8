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
  /// Told of every run that has ended.
  var onEnd: ((_ run: String, _ state: EndState) -> Void)?
  /// Runs whose streams the store is making.
  private var beginning = 0

  init(instance: ProgramInstance) { self.instance = instance }

  var count: Int { runs.count + beginning }

  func start(
    _ workflow: Workflow, arguments: [JSONMember], answer: @escaping (Result<RunTicket, RunFailure>) -> Void
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
    beginning += 1
    instance.store.create(ticket.stream, contentType: RunTicket.contentType) { [instance] result in
      self.beginning -= 1
      if case .failure(let failure) = result {
        instance.runsEnded()
        return answer(.failure(RunFailure(code: failure.code, message: failure.message, retryable: true, status: 503)))
      }
      let begun =
        (instance.options.begun.members ?? []) + [
          JSONMember("workflow", .string(workflow.route.name)), JSONMember("arguments", .object(arguments)),
        ]
      let run = self.add(DurableRun(id: ticket.id, begun: .object(begun), access: instance.access), ticket, workflow)
      // Before the answer: whoever asked may stop the run at once. The fiber runs in a later job.
      self.begin(run, workflow, values)
      answer(.success(ticket))
    }
  }

  private func add(_ durable: DurableRun, _ ticket: RunTicket, _ workflow: Workflow) -> Run {
    let run = Run(
      durable, writer: RunWriter(stream: ticket.stream, store: instance.store, loop: instance.world.loop))
    runs[run.id] = run
    run.writer.onEnd = { [weak self] state, failure in self?.ended(run, workflow, state, failure) }
    return run
  }

  // MARK: Runs of a process that died

  package enum Recovery: Equatable {
    /// Under way again: what it had answered before is void, what its steps had done is not.
    case resumed
    /// It kept nothing to be taken up from, so it has failed: its stream says so.
    case interrupted
    /// There is nothing to do.
    case ended
  }

  /// Takes up a run that another process has left, or ends it honestly.
  func recover(_ id: String, _ answer: @escaping (Result<Recovery, RunFailure>) -> Void) {
    let ticket: RunTicket
    do throws(StoreFailure) { ticket = try RunTicket(id: id) } catch { return answer(.failure(Self.failure(error))) }
    if runs[id] != nil { return answer(.success(.resumed)) }
    instance.store.status(ticket.stream) { [self] result in
      switch result {
      case .failure(.notFound): answer(.success(.ended))
      case .failure(let failure): answer(.failure(Self.failure(failure)))
      case .success(let status) where status.ending != nil:
        // Its process may have died between that and the end of what it wrote by name.
        guard let journal = try? WorkflowStreams.journal(of: id) else { return answer(.success(.ended)) }
        instance.store.status(journal) { [self] result in
          guard case .success(let journal) = result, journal.ending == nil else { return answer(.success(.ended)) }
          WorkflowStreams.end(workflow: id, status.ending ?? .closed, in: instance.store) { answer(.success(.ended)) }
        }
      case .success(let status):
        RunJournal.read(run: id, store: instance.store) { [self] result in
          switch result {
          case .success(let journal): resume(journal, ticket, hasAnswered: status.tail > .start, answer)
          case .failure(.notFound): interrupt(ticket, "it was under way when its process ended", answer)
          case .failure(let failure): answer(.failure(Self.failure(failure)))
          }
        }
      }
    }
  }

  private static func failure(_ failure: StoreFailure) -> RunFailure {
    RunFailure(code: failure.code, message: failure.message, hint: failure.hint, retryable: true, status: 503)
  }

  private func resume(
    _ journal: RunJournal, _ ticket: RunTicket, hasAnswered: Bool,
    _ answer: @escaping (Result<Recovery, RunFailure>) -> Void
  ) {
    guard journal.ending == nil, journal.begun != .null else {
      return interrupt(ticket, "it was under way when its process ended", answer)
    }
    let name = journal.begun["workflow"]?.string ?? ""
    guard let workflow = instance.declared.first(where: { $0.route.name == name }) else {
      return interrupt(ticket, "this program has no workflow \"\(name)\" to take it up with", answer)
    }
    do throws(RunFailure) {
      let values = try workflow.values(for: journal.begun["arguments"]?.members ?? [], in: instance)
      let run = add(
        DurableRun(id: ticket.id, begun: journal.begun, access: instance.access, journal: journal), ticket, workflow)
      if hasAnswered { run.writer.runEvent(.restart) }
      begin(run, workflow, values)
      answer(.success(.resumed))
    } catch {
      interrupt(ticket, error.message, answer)
    }
  }

  private func interrupt(
    _ ticket: RunTicket, _ why: String, _ answer: @escaping (Result<Recovery, RunFailure>) -> Void
  ) {
    let writer = RunWriter(stream: ticket.stream, store: instance.store, loop: instance.world.loop)
    writer.onEnd = { [instance] _, failure in
      if let failure { return answer(.failure(Self.failure(failure))) }
      WorkflowStreams.end(workflow: ticket.id, .aborted(reason: "RunInterrupted"), in: instance.store) {
        answer(.success(.interrupted))
      }
    }
    writer.fail(RunFailure(code: "RunInterrupted", message: "the run did not end: \(why)", retryable: true))
  }

  func stop(run id: String) {
    guard let run = runs[id] else { return }
    if let source = run.writer.source {
      source.stop()
    } else if let fiber = run.fiber {
      instance.scheduler.cancel(fiber)
    }
  }

  func stopAll() {
    for id in runs.keys.sorted() { stop(run: id) }
  }

  private func begin(_ run: Run, _ workflow: Workflow, _ values: [Value]) {
    run.fiber = instance.scheduler.spawn(workflow.handler, values) { [weak self] result in
      run.fiber = nil
      self?.returned(run, workflow, result)
    }
    run.fiber?.attachment = RunFrame(run.durable)
  }

  private func returned(_ run: Run, _ workflow: Workflow, _ result: Result<Value, Trap>) {
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
    case .failure(let trap):
      instance.report(trap)
      run.writer.fail(RunFailure(code: trap.code, message: "workflow \(workflow.route.name) failed: \(trap.message)"))
    }
  }

  private func ended(_ run: Run, _ workflow: Workflow, _ state: EndState, _ failure: StoreFailure?) {
    runs[run.id] = nil
    if case .aborted(let reason) = RunWriter.ending(of: state) {
      run.durable.end(failure: reason)
    } else {
      run.durable.end(failure: nil)
    }
    if let failure {
      instance.log("run \(run.id) of \(workflow.route.name): its stream could not be written: \(failure.message)")
    }
    onEnd?(run.id, state)
    instance.runsEnded()
  }
}

final class Run {
  let durable: DurableRun
  let writer: RunWriter
  /// Until the workflow's body has returned.
  var fiber: Fiber?
  var id: String { durable.id }
  init(_ durable: DurableRun, writer: RunWriter) {
    self.durable = durable
    self.writer = writer
  }
}
