import WeirCore
import WeirLang
import WeirStore

/// What a fiber belongs to: its run, and the step of it that is being done. Fibers that it starts belong to the same.
final class RunFrame {
  let run: DurableRun
  let step: StepFrame?
  let outer: RunFrame?
  var scope: StreamScope { run.scope }
  /// What its fibers have heard of streams through (`streamEvents`).
  private let heard: [Hearing]

  private struct Hearing {
    weak var queue: ActivityQueue?
  }

  init(_ run: DurableRun, step: StepFrame? = nil, outer: RunFrame? = nil) {
    self.run = run
    self.step = step
    self.outer = outer
    heard = outer?.heard ?? []
  }

  private init(_ frame: RunFrame, heard: [Hearing]) {
    run = frame.run
    step = frame.step
    outer = frame.outer
    self.heard = heard
  }

  /// What it does to streams is told to nobody: it has heard of them through something that is still open, and what it does
  /// for one event must not make the next.
  var isListening: Bool { heard.contains { $0.queue?.isOpen == true } }

  /// The same frame for a fiber that takes an event of this queue.
  func hearing(_ queue: ActivityQueue) -> RunFrame {
    if heard.contains(where: { $0.queue === queue }) { return self }
    return RunFrame(self, heard: heard.filter { $0.queue?.isOpen == true } + [Hearing(queue: queue)])
  }

  /// The frame around its step, once that is over.
  var left: RunFrame? {
    guard let outer else { return nil }
    return heard.isEmpty ? outer : RunFrame(outer, heard: heard)
  }
}

/// A step under way: what it has written so far.
final class StepFrame {
  let key: String
  var writes: [String: UInt64] = [:]
  init(_ key: String) { self.key = key }
}

/// One run's durable side: its journal, the streams that it writes by name, the steps that it has done.
///
/// Nothing of it exists in the store before the program asks for something durable; from then on the run can be taken up
/// again by its id. In a run that was taken up, finished steps are not done again, and the writes before and between them
/// are recognised as repeats (`DurableWriter`): each namespace has a place up to which this life has come, moved on by its
/// writes and by the writes of the steps that are passed over.
package final class DurableRun {
  package let id: String
  /// What it has opened and not closed.
  let scope = StreamScope()
  private let access: StreamAccess
  /// What `weir runs resume` needs to start it again.
  private let begun: JSONValue
  /// Of all that it has kept, from its end on. Nil: for ever.
  private let lifetime: StreamLifetime?
  private var journal: RunJournal?
  private var opening: [WeirStore.Answer<RunJournal>] = []
  private var writers: [String: DurableWriter] = [:]
  private var openingWriters: [String: [WeirStore.Answer<DurableWriter>]] = [:]
  /// Of namespaces that this life has not opened yet: items that passed-over steps wrote.
  private var passed: [String: UInt64] = [:]
  private var uses: [String: Int] = [:]
  /// Its end was asked for: nothing more is opened.
  private var isEnding = false
  /// The end, while it waits for what is being opened.
  private var onOpened: (() -> Void)?

  package init(
    id: String, begun: JSONValue, access: StreamAccess, journal: RunJournal? = nil, lifetime: StreamLifetime? = nil
  ) {
    self.id = id
    self.begun = begun
    self.access = access
    self.journal = journal
    self.lifetime = lifetime
  }

  /// It has a journal, or is being given one: another process can take it up from there.
  var isResumable: Bool { journal.map { $0.ending == nil } ?? !opening.isEmpty }

  /// Leaves it to another process: what it has open is let go, and nothing that it has kept is ended.
  func park() {
    scope.close()
    writers = [:]
    passed = [:]
  }

  /// `.ended` once the run has.
  package func withJournal(_ answer: @escaping WeirStore.Answer<RunJournal>) {
    if isEnding { return answer(.failure(over)) }
    if let journal { return answer(.success(journal)) }
    opening.append(answer)
    guard opening.count == 1 else { return }
    RunJournal.open(run: id, begun: begun, expectsLifetime: lifetime != nil, store: access.store) { [self] result in
      var result = result
      if case .success(let journal) = result {
        if let ending = journal.ending {
          result = .failure(.ended(journal.stream, ending))
        } else {
          self.journal = journal
        }
      }
      let waiting = opening
      opening = []
      for answer in waiting { answer(result) }
      opened()
    }
  }

  private var over: StoreFailure {
    do throws(StoreFailure) {
      return .ended(try WorkflowStreams.journal(of: id), journal?.ending ?? .closed)
    } catch { return error }
  }

  private var isOpening: Bool { !opening.isEmpty || !openingWriters.isEmpty }

  /// Something was opened, or could not be.
  private func opened() {
    guard !isOpening, let end = onOpened else { return }
    onOpened = nil
    end()
  }

  // MARK: Streams by name

  /// The one writer of a namespace in this run, whoever asks for it.
  package func writer(
    _ namespace: String, contentType: String, highWaterMark: Int, _ answer: @escaping WeirStore.Answer<DurableWriter>
  ) {
    if isEnding { return answer(.failure(over)) }
    if let writer = writers[namespace] { return answer(.success(writer)) }
    openingWriters[namespace, default: []].append(answer)
    guard openingWriters[namespace]?.count == 1 else { return }
    func opened(_ result: Result<DurableWriter, StoreFailure>) {
      if case .success(let writer) = result { writers[namespace] = writer }
      for answer in openingWriters.removeValue(forKey: namespace) ?? [] { answer(result) }
      self.opened()
    }
    withJournal { [self] result in
      switch result {
      case .failure(let failure): opened(.failure(failure))
      case .success(let journal):
        let name: StreamName
        do throws(StoreFailure) {
          name = try WorkflowStreams.name(workflow: id, namespace: namespace)
        } catch { return opened(.failure(error)) }
        DurableWriter.open(
          name, contentType: contentType, in: access, highWaterMark: highWaterMark,
          repeating: journal.isResumed ? 0 : nil, expectsLifetime: lifetime != nil
        ) { [self] result in
          if case .success(let writer) = result { writer.skipRepeats(passed.removeValue(forKey: namespace) ?? 0) }
          opened(result)
        }
      }
    }
  }

  package func reader(_ namespace: String, from position: Int, backpressure: Bool) throws(StoreFailure) -> DurableReader
  {
    DurableReader(
      try WorkflowStreams.name(workflow: id, namespace: namespace), from: UInt64(max(0, position)),
      backpressure: backpressure, in: access)
  }

  /// Nobody writes this stream any more, if it is one of the run's.
  func closeWriter(of name: StreamName) {
    if let writer = writers.values.first(where: { $0.name == name }), writer.isWritable { writer.close { _ in } }
  }

  // MARK: Steps

  /// The name, or for its second use in this life `name#2`; inside a step behind that step's key, `outer/name`, so that what a
  /// passed-over step would have begun is not missing from the count.
  package func key(_ name: String, inside outer: String? = nil) -> String {
    let name = outer.map { $0 + "/" + name } ?? name
    let use = (uses[name] ?? 0) + 1
    uses[name] = use
    return use == 1 ? name : "\(name)#\(use)"
  }

  /// What an earlier life has recorded under this key.
  package func stored(_ key: String) -> RunJournal.Step? {
    guard let step = journal?.steps[key] else { return nil }
    for (namespace, count) in step.writes {
      if let writer = writers[namespace] {
        writer.skipRepeats(count)
      } else {
        passed[namespace, default: 0] += count
      }
    }
    return step
  }

  // MARK: The end

  /// The run is over: what it still writes is closed, or aborted with the reason, and nobody takes it up again. The journal ends
  /// last: while it is open, what the run has kept stays. What is being opened just now is waited for, and ended as well; whatever
  /// is asked of the run afterwards is refused.
  package func end(failure: String?, _ done: @escaping () -> Void = {}) {
    isEnding = true
    scope.close()
    guard isOpening else { return endWriters(failure, done) }
    onOpened = { [self] in endWriters(failure, done) }
  }

  private func endWriters(_ failure: String?, _ done: @escaping () -> Void) {
    let namespaces = writers.keys
    var open = 1
    func one() {
      open -= 1
      if open == 0 { endJournal(failure.map { .aborted(reason: $0) } ?? .closed, namespaces, done) }
    }
    for writer in writers.values where writer.isWritable {
      open += 1
      if let failure { writer.abort(failure) { _ in one() } } else { writer.close { _ in one() } }
    }
    writers = [:]
    passed = [:]
    one()
  }

  private func endJournal(
    _ ending: StreamEnding, _ namespaces: some Sequence<String>, _ done: @escaping () -> Void
  ) {
    guard let journal else { return done() }
    // An earlier life may have written what this one has not opened.
    if journal.isResumed {
      return WorkflowStreams.end(workflow: id, ending, lifetime: lifetime, in: access.store, done)
    }
    if let lifetime {
      for name in namespaces.compactMap({ try? WorkflowStreams.name(workflow: id, namespace: $0) }) {
        access.store.append(name, StreamAppend(items: [], lifetime: lifetime)) { _ in }
      }
    }
    journal.end(ending, lifetime: lifetime) { _ in done() }
  }
}
