import WeirAI
import WeirCore
import WeirRuntime
import WeirStore

/// The runs that a store knows by their journals: what they were, how far they came, how they ended. For the command line:
/// each question blocks until it is answered.
package struct RunHistory {
  package struct Run: Sendable {
    package var id: String
    /// Milliseconds since 1970.
    package var startedAt: Int64
    /// Nil: it has not ended, as far as the store knows.
    package var ending: StreamEnding?
    /// What it was begun with: `program`, `command`, and of a workflow's run `workflow` and `arguments`.
    package var begun: JSONValue
    /// In the order in which they were done.
    package var steps: [(name: String, value: JSONValue)]
    /// Operations over streams, and how many items of each are done.
    package var progress: [(name: String, done: Int)]
    /// USD that model calls have cost, by provider.
    package var spent: [String: Double]
    /// The sum, for people; nil: nothing.
    package var cost: String? { spent.isEmpty ? nil : BudgetLedger.shown(spent.values.reduce(0, +)) + " USD" }
    /// What it writes by name.
    package var streams: [StreamStatus]
    /// Why its journal cannot be read. What is known of it then is what came before that place.
    package var problem: String?

    /// The workflow, else the program.
    package var what: String { begun["workflow"]?.string ?? begun["program"]?.string ?? "" }
  }

  private let options: StoreOptions
  package init(_ options: StoreOptions) { self.options = options }

  /// Each in its turn, the newest first, at most `limit`: one journal at a time is in memory.
  package func visit(limit: Int = 10_000, _ tell: @escaping (Run) -> Void) throws {
    if options.isMissing { return }
    let _: Void = try answer { store, world, answer in
      func next(_ rest: ArraySlice<StreamStatus>) {
        guard let status = rest.first else { return answer(.success(())) }
        let id = String(status.name.path.dropFirst(WorkflowStreams.journalPrefix.count))
        read(id, store) { result in
          switch result {
          case .success(let (journal, facts)): tell(Run(journal, facts, status, []))
          // It has gone since it was listed.
          case .failure(.notFound), .failure(.gone): break
          case .failure(let failure): tell(Run(unreadable: id, status, failure))
          }
          world.loop.soon { next(rest.dropFirst()) }
        }
      }
      func list(_ known: [StreamStatus]) {
        store.list(prefix: WorkflowStreams.journalPrefix, after: known.last?.name, limit: Self.pageLimit) { result in
          switch result {
          case .failure(let failure): answer(.failure(failure))
          case .success(let page):
            let known = known + page
            if page.count == Self.pageLimit { return list(known) }
            next(known.sorted { ($1.createdAt, $1.name) < ($0.createdAt, $0.name) }.prefix(limit))
          }
        }
      }
      list([])
    }
  }

  private static let pageLimit = 1000

  package struct NotFound: Failure, Equatable {
    package var run: String
    package var code: String { "RunNotFound" }
    package var message: String { "there is no run \"\(run)\" in this store" }
    package var hint: String? { "`weir runs` lists those that kept something; `--store` says where to look" }
  }

  /// Throws `NotFound`, or why the store cannot be read.
  package func run(_ id: String) throws -> Run {
    guard let run = try find(id) else { throw NotFound(run: id) }
    return run
  }

  /// Nil: it keeps no journal. Throws what is wrong with the id or the store.
  package func find(_ id: String) throws -> Run? {
    let journal = try WorkflowStreams.journal(of: id)
    if options.isMissing { return nil }
    do throws(StoreFailure) {
      return try read(id)
    } catch {
      if error == .notFound(journal) || error == .gone(journal) { return nil }
      throw error
    }
  }

  private func read(_ id: String) throws(StoreFailure) -> Run {
    try answer { store, _, answer in
      read(id, store) { result in
        switch result {
        case .failure(let failure): answer(.failure(failure))
        case .success(let (journal, facts)):
          store.status(journal.stream) { status in
            store.list(prefix: WorkflowStreams.prefix + id + "/", after: nil, limit: 1000) { streams in
              switch (status, streams) {
              case (.success(let status), .success(let streams)):
                answer(.success(Run(journal, facts, status, streams)))
              case (.failure(let failure), _), (_, .failure(let failure)): answer(.failure(failure))
              }
            }
          }
        }
      }
    }
  }

  fileprivate struct Facts {
    var steps: [(name: String, value: JSONValue)] = []
    var done: [String: RangeSet<UInt64>] = [:]
  }

  private func read(
    _ id: String, _ store: any StreamStore, _ answer: @escaping Answer<(RunJournal, Facts)>
  ) {
    var facts = Facts()
    RunJournal.read(run: id, store: store) { fact in
      switch fact {
      case .step(let path, let value): facts.steps.append((path, value))
      case .each(let path, let done): facts.done[path, default: RangeSet()].formUnion(done)
      }
    } _: { result in
      answer(result.map { ($0, facts) })
    }
  }

  /// The store is closed before this returns.
  private func answer<Value>(
    _ ask: @escaping (any StreamStore, World, @escaping Answer<Value>) -> Void
  ) throws(StoreFailure) -> Value {
    let result: Result<Value, StoreFailure> = Awaited.value { [options] world, answer in
      let store = options.openForReading(in: world)
      ask(store, world) { result in
        store.close()
        answer(result)
      }
    }
    return try result.get()
  }
}

extension RunHistory.Run {
  fileprivate init(unreadable id: String, _ status: StreamStatus, _ failure: StoreFailure) {
    self.init(
      id: id, startedAt: status.createdAt, ending: status.ending, begun: .null, steps: [], progress: [], spent: [:],
      streams: [],
      problem: failure.message)
  }

  fileprivate init(
    _ journal: RunJournal, _ facts: RunHistory.Facts, _ status: StreamStatus, _ streams: [StreamStatus]
  ) {
    self.init(
      id: journal.run, startedAt: status.createdAt, ending: journal.ending, begun: journal.begun,
      steps: facts.steps,
      progress: facts.done.sorted { $0.key < $1.key }.map { path, done in
        (path, done.ranges.reduce(0) { $0 + Int(clamping: $1.upperBound - $1.lowerBound) })
      }, spent: journal.spent, streams: streams, problem: journal.problem?.message)
  }
}
