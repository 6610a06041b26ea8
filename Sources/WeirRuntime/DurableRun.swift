import WeirCore
import WeirLang
import WeirStore

/// What a fiber belongs to: its run, and the frame of it that is being done. Fibers that it starts belong to the same.
final class RunFrame {
  let run: DurableRun
  let frame: DurableFrame
  let outer: RunFrame?
  var scope: StreamScope { run.scope }
  /// What its fibers have heard of streams through (`streamEvents`).
  private let heard: [Hearing]

  private struct Hearing {
    weak var queue: ActivityQueue?
  }

  /// What a run does in no step.
  init(_ run: DurableRun) {
    self.run = run
    frame = run.frame
    outer = nil
    heard = []
  }

  init(_ frame: DurableFrame, inside outer: RunFrame) {
    run = outer.run
    self.frame = frame
    self.outer = outer
    heard = outer.heard
  }

  private init(_ other: RunFrame, heard: [Hearing]) {
    run = other.run
    frame = other.frame
    outer = other.outer
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

  /// The next call of an agent, by a name that it has in every life of the run.
  func place(ofCall agent: String) -> String {
    let use = frame.use(call: agent)
    return "\(run.id) " + (frame.path.isEmpty ? use : frame.path + "/" + use)
  }

  /// The frame around it, once that is over.
  var left: RunFrame? {
    guard let outer else { return nil }
    return heard.isEmpty ? outer : RunFrame(outer, heard: heard)
  }
}

/// One run's durable side: its journal, the streams that it writes by name, the steps that it has done.
///
/// Nothing of it exists in the store before the program asks for something durable; from then on the run can be taken up
/// again by its id. In a run that was taken up, finished steps are not done again, and what a frame writes again is recognised as
/// what it has written (`DurableFrame`, `DurableWriter`).
package final class DurableRun {
  package let id: String
  /// The frame of what is in no step.
  package let frame = DurableFrame()
  /// What it has opened and not closed.
  let scope = StreamScope()
  private let access: StreamAccess
  /// What `weir runs resume` needs to start it again.
  private let begun: JSONValue
  /// Of all that it has kept, from its end on. Nil: for ever.
  private let lifetime: StreamLifetime?
  private var journal: RunJournal?
  private var opening: [WeirStore.Answer<RunJournal>] = []
  /// Open, or of a run that was taken up: there their ends are still to be repeated.
  private var writers: [String: DurableWriter] = [:]
  /// It has ended others.
  private var hasLetGo = false
  /// Told of their namespaces.
  package var onLetGo: ((String) -> Void)?
  private var openingWriters: [String: [WeirStore.Answer<DurableWriter>]] = [:]
  /// Of namespaces that this life has not opened yet: the end of what was passed over.
  private var passed: [String: UInt64] = [:]
  /// USD by provider, while nothing of it is kept.
  private var spending: [String: Double] = [:]
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
    journal?.hand(to: frame)
  }

  /// It has a journal, or is being given one: another process can take it up from there.
  var isResumable: Bool { journal.map { $0.ending == nil } ?? !opening.isEmpty }

  /// Why it has not completed, though its program may have. After its end this is known of all its streams.
  package var flaw: RunFlaw? { journal?.flaw }

  /// Which life of it this is, where several processes write.
  var owner: RunOwner? { journal?.owner }

  /// Somebody has stopped it: no process takes it up.
  func noteStop() { if isResumable { journal?.noteStop() } }

  /// A model call was paid.
  func noteSpending(_ usd: Double, by provider: String) {
    guard usd > 0, !isEnding else { return }
    if let journal { return journal.noteSpending(usd, by: provider) }
    spending[provider, default: 0] += usd
  }

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
          journal.hand(to: frame)
          for (provider, usd) in spending.sorted(by: { $0.key < $1.key }) { journal.noteSpending(usd, by: provider) }
          spending = [:]
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

  /// The one writer of a namespace in this run, whoever asks for it; all must mean the same content.
  package func writer(
    _ namespace: String, contentType: String, _ answer: @escaping WeirStore.Answer<DurableWriter>
  ) {
    if isEnding { return answer(.failure(over)) }
    func same(_ writer: DurableWriter) -> Result<DurableWriter, StoreFailure> {
      if StreamContentType.isSame(writer.contentType, contentType) { return .success(writer) }
      return .failure(.conflict(writer.name, "its content type is \(writer.contentType), not \(contentType)"))
    }
    if let writer = writers[namespace] { return answer(same(writer)) }
    openingWriters[namespace, default: []].append { answer($0.flatMap(same)) }
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
        DurableWriter.open(
          namespace, of: journal, contentType: contentType, in: access, expectsLifetime: lifetime != nil
        ) { [self] result in
          if case .success(let writer) = result {
            writer.pass(to: passed.removeValue(forKey: namespace) ?? 0)
            if !journal.isResumed { writer.onEnd = { [weak self] in self?.letGo(namespace) } }
          }
          opened(result)
        }
      }
    }
  }

  private func letGo(_ namespace: String) {
    writers[namespace] = nil
    hasLetGo = true
    onLetGo?(namespace)
  }

  package func reader(_ namespace: String, from position: Int, backpressure: Bool) throws(StoreFailure) -> DurableReader
  {
    DurableReader(
      try WorkflowStreams.name(workflow: id, namespace: namespace), from: UInt64(max(0, position)),
      backpressure: backpressure, in: access)
  }

  /// Nobody writes this stream any more, if it is one of the run's.
  func closeWriter(of name: StreamName) {
    if let writer = writers.values.first(where: { $0.name == name }), writer.isWritable {
      writer.close(by: frame) { _ in }
    }
  }

  // MARK: Steps

  package enum Beginning {
    /// An earlier life has done it, or an earlier try of what is around it.
    case passed(JSONValue)
    case begins(DurableFrame)
  }

  /// A step of a frame is reached.
  package func begin(
    step name: String, in outer: DurableFrame, _ answer: @escaping WeirStore.Answer<Beginning>
  ) {
    // Before anything is waited for: names count in the order in which they are used.
    let component = outer.use(step: name)
    withJournal { [self] result in
      answer(
        result.map { _ in
          guard let step = outer.pass(component) else { return .begins(outer.child(component)) }
          pass(step.writes)
          return .passed(step.value)
        })
    }
  }

  /// An operation over a stream is reached: what of it is done.
  package func begin(
    each name: String, in outer: DurableFrame, interval: Int, keepsResults: Bool,
    _ answer: @escaping WeirStore.Answer<ItemCheckpoints>
  ) {
    let component = outer.use(each: name)
    withJournal { [self] result in
      answer(
        result.map { journal in
          let frame = outer.child(component)
          frame.leaveToJournal()
          pass(frame.progress?.writes ?? [:])
          return ItemCheckpoints(journal, frame, interval: interval, keepsResults: keepsResults)
        })
    }
  }

  private func pass(_ writes: DurableFrame.Places) {
    for (namespace, places) in writes {
      guard let end = places.ranges.last?.upperBound else { continue }
      if let writer = writers[namespace] {
        writer.pass(to: end)
      } else {
        passed[namespace] = max(passed[namespace] ?? 0, end)
      }
    }
  }

  /// It is done, and answered when that is written down. What an earlier life of it had written besides makes its streams differ.
  package func finish(_ step: DurableFrame, _ value: JSONValue, _ answer: @escaping WeirStore.Answer<Void>) {
    step.isOver = true
    // A try around it that is cut meanwhile is followed by the next one when this is known.
    let outer = step.outer
    outer?.began()
    func ended(_ result: Result<Void, StoreFailure>) {
      if case .success = result {
        step.finished(RunJournal.Step(value: value, writes: step.writes))
      } else {
        step.leaveToJournal()
      }
      outer?.settled()
      answer(result)
    }
    compareEnd(of: step) { [self] result in
      guard case .success = result else { return ended(result) }
      settled(step, ended) { journal in
        journal.record(step: step.path, RunJournal.Step(value: value, writes: step.writes), ended)
      }
    }
  }

  /// The journal, once it is known what a frame has written.
  private func settled(
    _ frame: DurableFrame, _ answer: @escaping WeirStore.Answer<Void>, _ then: @escaping (RunJournal) -> Void
  ) {
    withJournal { result in
      switch result {
      case .failure(let failure): answer(.failure(failure))
      case .success(let journal): frame.whenSettled { then(journal) }
      }
    }
  }

  /// An item of an operation is done (`ItemCheckpoints.done`).
  package func done(
    _ place: UInt64, _ value: JSONValue, in book: ItemCheckpoints, _ told: @escaping ItemCheckpoints.Told
  ) {
    compareEnd(of: book.item(place)) { result in
      if case .failure(let failure) = result { return told(failure) }
      book.done(place, value, told)
    }
  }

  /// A frame has ended and does not write again. Streams that an earlier life of it has begun are opened for this.
  private func compareEnd(of frame: DurableFrame, _ answer: @escaping WeirStore.Answer<Void>) {
    withJournal { [self] result in
      guard case .success(let journal) = result else { return answer(result.map { _ in }) }
      open(journal.streams(of: frame).filter { writers[$0] == nil }[...]) { [self] result in
        for (namespace, places) in frame.leftover {
          if let place = places.ranges.first?.lowerBound { writers[namespace]?.endsEarlier(at: place) }
        }
        frame.forget()
        answer(result)
      }
    }
  }

  /// Streams that there are, one after the other.
  private func open(_ namespaces: ArraySlice<String>, _ answer: @escaping WeirStore.Answer<Void>) {
    guard let namespace = namespaces.first, let name = try? WorkflowStreams.name(workflow: id, namespace: namespace)
    else { return answer(.success(())) }
    access.store.status(name) { [self] result in
      switch result {
      case .success(let status):
        writer(namespace, contentType: status.contentType) { [self] result in
          if case .failure(let failure) = result { return answer(.failure(failure)) }
          open(namespaces.dropFirst(), answer)
        }
      case .failure(.notFound), .failure(.gone): open(namespaces.dropFirst(), answer)
      case .failure(let failure): answer(.failure(failure))
      }
    }
  }

  /// A try of it has failed: what it has written stays, and nobody repeats it. Steps in it that are done stay so for the next try,
  /// in this life (`isTriedAgain`) or the next.
  package func fail(
    _ step: DurableFrame, isTriedAgain: Bool = false, _ answer: @escaping WeirStore.Answer<Void> = { _ in }
  ) {
    let leftover = step.leftover
    step.forget()
    step.isOver = !isTriedAgain
    settled(step, answer) { journal in
      let writes = step.writes.union(leftover)
      if isTriedAgain { step.restart() }
      func reload(_ result: Result<Void, StoreFailure>) {
        guard isTriedAgain, step.isOnlyInJournal, case .success = result else { return answer(result) }
        journal.reload(step, answer)
      }
      guard writes.isEmpty else { return journal.record(failed: step.path, writes: writes, reload) }
      journal.left(step.path)
      reload(.success(()))
    }
  }

  /// Whoever was in it is in the frame around it again.
  package func leave(_ step: DurableFrame) {
    if !step.isOver { fail(step) }
    step.leave()
  }

  // MARK: The end

  /// The run is over: what it still writes is closed, or aborted with the reason, and nobody takes it up again. The journal ends
  /// last: while it is open, what the run has kept stays. What is being opened just now is waited for, and ended as well; whatever
  /// is asked of the run afterwards is refused. With a failure of the store the journal is open, and whoever looks at the run next
  /// ends it. Of a run that another process has taken up nothing is ended.
  package func end(failure reason: String?, _ done: @escaping (StoreFailure?) -> Void = { _ in }) {
    isEnding = true
    scope.close()
    guard isOpening else { return endWriters(reason, done) }
    onOpened = { [self] in endWriters(reason, done) }
  }

  private func endWriters(_ reason: String?, _ done: @escaping (StoreFailure?) -> Void) {
    guard let journal else { return done(nil) }
    let writers = self.writers
    self.writers = [:]
    passed = [:]
    journal.announceEnd { [self] result in
      if case .failure(let failure) = result { return done(failure) }
      var open = 1
      var problem: StoreFailure?
      func one(_ failure: StoreFailure?) {
        problem = problem ?? failure
        open -= 1
        guard open == 0 else { return }
        if let problem { return done(problem) }
        journal.end(
          reason.map { .aborted(reason: $0) } ?? .closed, lifetime: lifetime, opened: Array(writers.keys),
          isAll: !hasLetGo, done)
      }
      for writer in writers.values {
        open += 1
        writer.end(reason, by: frame, one)
      }
      one(nil)
    }
  }
}
