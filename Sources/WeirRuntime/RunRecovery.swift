import WeirCore
import WeirServe
import WeirStore

/// Takes up what another process has left, or ends it honestly: one run after the other, so that one journal at a time is in
/// memory, and no faster than a provider can bear it.
final class RunRecovery {
  /// So many are taken up at once, then there is a pause: at most 200 a second. Each may ask its model at once, and a
  /// server that comes back should not be refused for asking three thousand times together.
  static let burst = 20
  static let pause = Duration.milliseconds(100)

  enum Outcome: Equatable {
    /// Under way again: what it had answered before is void, what its steps had done is not.
    case resumed
    /// It kept nothing to be taken up from, or was stopped meanwhile, and has ended now: its stream says so.
    case interrupted(EndState)
    /// There is nothing to do.
    case ended
    /// It is under way here, or this process is about to end as well.
    case left
  }
  typealias Answer = (Result<Outcome, RunFailure>) -> Void

  private unowned let table: RunTable
  private unowned let instance: ProgramInstance
  private var waiting: ArraySlice<(id: String, answer: Answer)> = []
  /// What waits, and the one that is looked at.
  private var known: Set<String> = []
  private var stopped: Set<String> = []
  private var isBusy = false
  private var isClosed = false
  private var started = 0

  init(_ table: RunTable, instance: ProgramInstance) {
    self.table = table
    self.instance = instance
  }

  /// Each in its turn, in the order of the calls. What is under way or waits already is left as it is.
  func add(_ id: String, _ answer: @escaping Answer) {
    guard !isClosed, !table.isHere(id), known.insert(id).inserted else { return answer(.success(.left)) }
    waiting.append((id, answer))
    next()
  }

  /// It waits, or is being looked at.
  func isKnown(_ id: String) -> Bool { known.contains(id) }

  /// A run that waits ends as `aborted`, at once.
  func stop(_ id: String) {
    guard known.contains(id) else { return }
    stopped.insert(id)
    guard let place = waiting.firstIndex(where: { $0.id == id }) else { return }
    let entry = waiting.remove(at: place)
    waiting.insert(entry, at: waiting.startIndex)
  }

  /// What waits stays as it is, for the next process.
  func close() {
    isClosed = true
    let left = waiting
    waiting = []
    for entry in left {
      known.remove(entry.id)
      entry.answer(.success(.left))
    }
  }

  private func next() {
    guard !isBusy, let (id, answer) = waiting.popFirst() else { return }
    isBusy = true
    recover(id) { [self] result in
      known.remove(id)
      stopped.remove(id)
      if case .success(.resumed) = result { started += 1 }
      answer(result)
      goOn()
    }
  }

  private func goOn() {
    let mustWait = started >= Self.burst || table.count >= RunTable.runLimit
    let again = { [weak self] in
      guard let self else { return }
      if table.count >= RunTable.runLimit, !isClosed { return goOn() }
      isBusy = false
      next()
    }
    guard mustWait else { return instance.world.loop.soon(again) }
    started = 0
    _ = instance.world.loop.after(Self.pause, again)
  }

  private func recover(_ id: String, _ answer: @escaping Answer) {
    let store = instance.store
    let lifetime = instance.options.retention.served
    let ticket: RunTicket
    do throws(StoreFailure) { ticket = try RunTicket(id: id) } catch { return answer(.failure(Self.failure(error))) }
    store.status(ticket.stream) { [self] result in
      switch result {
      case .failure(.notFound): answer(.success(.ended))
      case .failure(let failure): answer(.failure(Self.failure(failure)))
      case .success(let status) where status.ending != nil:
        // Its process may have died between that and the end of what it wrote by name.
        guard let journal = try? WorkflowStreams.journal(of: id) else { return answer(.success(.ended)) }
        store.status(journal) { result in
          guard case .success(let journal) = result, journal.ending == nil else { return answer(.success(.ended)) }
          WorkflowStreams.end(workflow: id, status.ending ?? .closed, lifetime: lifetime, in: store) { failure in
            answer(failure.map { .failure(Self.failure($0)) } ?? .success(.ended))
          }
        }
      case .success(let status):
        RunJournal.read(run: id, store: store) { [self] result in
          switch result {
          case .success(let journal): takeUp(journal, ticket, hasAnswered: status.tail > .start, answer)
          case .failure(.notFound): interrupt(ticket, Self.died, nil, answer)
          case .failure(let failure): answer(.failure(Self.failure(failure)))
          }
        }
      }
    }
  }

  private static let died = "it was under way when its process ended"

  private static func failure(_ failure: StoreFailure) -> RunFailure {
    RunFailure(code: failure.code, message: failure.message, hint: failure.hint, retryable: true, status: 503)
  }

  /// Whatever becomes of it: this process does it.
  private func takeUp(_ journal: RunJournal, _ ticket: RunTicket, hasAnswered: Bool, _ answer: @escaping Answer) {
    if let problem = journal.problem { return interrupt(ticket, problem.message, nil, answer) }
    guard journal.begun != .null else { return interrupt(ticket, Self.died, nil, answer) }
    journal.takeUp { [self] result in
      switch result {
      case .success: resume(journal, ticket, hasAnswered: hasAnswered, answer)
      case .failure(let failure) where journal.problem != nil:
        interrupt(ticket, failure.message, journal.owner, answer)
      case .failure(let failure): answer(.failure(Self.failure(failure)))
      }
    }
  }

  private func resume(_ journal: RunJournal, _ ticket: RunTicket, hasAnswered: Bool, _ answer: @escaping Answer) {
    if journal.isStopped { stopped.insert(ticket.id) }
    guard journal.ending == nil, !stopped.contains(ticket.id) else {
      return interrupt(ticket, Self.died, journal.owner, answer)
    }
    let name = journal.begun["workflow"]?.string ?? ""
    guard let workflow = instance.declared.first(where: { $0.route.name == name }) else {
      return interrupt(ticket, "this program has no workflow \"\(name)\" to take it up with", journal.owner, answer)
    }
    do throws(RunFailure) {
      let isUnderWay = try table.resume(journal, ticket, of: workflow, hasAnswered: hasAnswered)
      answer(.success(isUnderWay ? .resumed : .left))
    } catch {
      interrupt(ticket, error.message, journal.owner, answer)
    }
  }

  /// `owner`: nil, if nobody has taken it up before.
  private func interrupt(
    _ ticket: RunTicket, _ why: String, _ owner: RunOwner?, _ answer: @escaping Answer
  ) {
    let isStopped = stopped.contains(ticket.id)
    let state = isStopped ? EndState.aborted : .error
    let writer = table.writer(of: ticket)
    writer.owner = { owner ?? RunOwner(run: ticket.id, life: 1) }
    // Somebody else has found it at the same moment.
    writer.onLoss = { _ in answer(.success(.ended)) }
    writer.onEnd = { [instance] _, failure in
      // Somebody else has found it as well.
      if case .ended? = failure { return answer(.success(.ended)) }
      if let failure { return answer(.failure(Self.failure(failure))) }
      WorkflowStreams.end(
        workflow: ticket.id, .aborted(reason: isStopped ? state.rawValue : "RunInterrupted"),
        lifetime: instance.options.retention.served, in: instance.store
      ) { failure in
        answer(failure.map { .failure(Self.failure($0)) } ?? .success(.interrupted(state)))
      }
    }
    if isStopped { return writer.runEvent(.end(state)) }
    writer.fail(RunFailure(code: "RunInterrupted", message: "the run did not end: \(why)", retryable: true), state)
  }
}
