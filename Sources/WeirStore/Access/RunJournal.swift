import WeirCore

/// What a run has done so far, kept as a stream of the same store, so that a run whose process died can be taken up again:
/// how it began, each step's result, how far each operation over a stream is, and who has written which items (`Entry`).
/// Its end is the run's.
///
/// A fact is written down before anybody relies on it. Values are JSON: the journal knows nothing of their types. What is read
/// stands in a tree of frames, from which ended ones are dropped: it grows with what is still to be passed over.
package final class RunJournal {
  private static let batchBytes = 256 << 10

  package let run: String
  package let stream: StreamName
  /// What the first life of the run was started with.
  package private(set) var begun: JSONValue = .null
  /// The run has done something in an earlier life.
  package private(set) var isResumed = false
  package private(set) var ending: StreamEnding?
  /// Somebody has stopped it. Whoever finds it ends it.
  package private(set) var isStopped = false
  /// USD, by provider.
  package private(set) var spent: [String: Double] = [:]
  /// Why it cannot be read.
  package private(set) var problem: StoreFailure?
  /// What earlier lives have left.
  package private(set) var root = DurableFrame()
  /// Of the first stream that is not what it was to be.
  package private(set) var flaw: RunFlaw?

  private var writers = Writers()
  private var life: UInt64 = 0
  private var place = Offset.start

  private let store: any StreamStore
  package private(set) var owner: RunOwner?
  private var own: OwnedStream

  private init(_ run: String, _ stream: StreamName, _ store: any StreamStore) {
    self.run = run
    self.stream = stream
    self.store = store
    own = OwnedStream(stream, in: store, owner: nil)
  }

  /// Takes up the journal of a run, or begins it with `begun`. `expectsLifetime`: it will be ended with one. A journal that has
  /// ended is answered as it is.
  package static func open(
    run: String, begun: JSONValue, expectsLifetime: Bool = false, store: any StreamStore,
    _ answer: @escaping Answer<RunJournal>
  ) {
    read(run: run, store: store) { result in
      switch result {
      case .success(let journal): journal.takeUp(begun: begun, answer)
      case .failure(.notFound(let stream)):
        // In one step: a journal that does not say how its run was begun is of no use.
        let creation = StreamCreation(
          contentType: StreamContentType.json, items: [Entry.begun(begun).json.encoded()], finds: .sameContentType,
          expectsLifetime: expectsLifetime)
        store.create(stream, creation) { result in
          switch result {
          case .failure(let failure): answer(.failure(failure))
          // Another process was quicker.
          case .success(let status) where status.existed:
            open(run: run, begun: begun, expectsLifetime: expectsLifetime, store: store, answer)
          case .success:
            let journal = RunJournal(run, stream, store)
            journal.begun = begun
            journal.own(life: 0)
            answer(.success(journal))
          }
        }
      case .failure(let failure): answer(.failure(failure))
      }
    }
  }

  private func own(life: UInt64) {
    guard !store.isExclusive else { return }
    let owner = RunOwner(run: run, life: life)
    self.owner = owner
    own = OwnedStream(stream, in: store, owner: owner)
  }

  /// Makes this process the one that writes the run's streams. Another one that does is refused from here on; what it has written
  /// down meanwhile is read.
  package func takeUp(begun: JSONValue = .null, _ answer: @escaping Answer<RunJournal>) {
    if let problem { return answer(.failure(problem)) }
    guard ending == nil else { return answer(.success(self)) }
    func begin() {
      // Whoever began it may have died before it said how.
      guard self.begun == .null else { return answer(.success(self)) }
      self.begun = begun
      append(.begun(begun)) { result in answer(result.map { self }) }
    }
    guard !store.isExclusive else { return begin() }
    own(life: life + 1)
    append(.life(life + 1)) { [self] result in
      if case .failure(let failure) = result { return answer(.failure(failure)) }
      read { [self] result in
        if case .failure(let failure) = result { return answer(.failure(failure)) }
        if let problem { return answer(.failure(problem)) }
        begin()
      }
    }
  }

  // MARK: Reading

  /// What there is of a run; `.notFound`: it keeps no journal. One that cannot be read is answered as well (`problem`). `visit` is
  /// shown the steps and the progress of operations, in the order in which they were written down.
  package static func read(
    run: String, store: any StreamStore, visit: ((Fact) -> Void)? = nil, _ answer: @escaping Answer<RunJournal>
  ) {
    let stream: StreamName
    do throws(StoreFailure) { stream = try WorkflowStreams.journal(of: run) } catch { return answer(.failure(error)) }
    RunJournal(run, stream, store).read(visit: visit, answer)
  }

  package enum Fact {
    case step(String, JSONValue)
    case each(String, done: RangeSet<UInt64>)
  }

  private func read(visit: ((Fact) -> Void)? = nil, _ answer: @escaping Answer<RunJournal>) {
    store.read(stream, from: place, byteLimit: Self.batchBytes) { [self] result in
      switch result {
      case .failure(let failure): answer(.failure(failure))
      case .success(let batch):
        for (index, item) in batch.items.enumerated() where problem == nil {
          guard let entry = Entry(item.bytes) else {
            problem = .unavailable(
              "the journal of run \(run) cannot be read at position \(place.value + UInt64(index))")
            continue
          }
          take(entry)
          switch entry {
          case .step(let path, let step): visit?(.step(path, step.value))
          case .each(let path, let done, _, _): visit?(.each(path, done: done))
          default: break
          }
        }
        place = batch.next
        ending = batch.ending
        if batch.items.isEmpty { answer(.success(self)) } else { read(visit: visit, answer) }
      }
    }
  }

  private func take(_ entry: Entry) {
    switch entry {
    case .begun(let begun):
      self.begun = begun
      isResumed = true
    case .life(let number): life = max(life, number)
    case .step(let path, let step):
      guard let (outer, component) = frame(around: path) else { return }
      outer.drop(component)
      outer.results[component] = step
      ended(path, step.writes)
    case .failed(let path, let writes):
      frame(path)?.forget()
      ended(path, writes)
    case .each(let path, let done, let values, let writes):
      wrote(writes, by: path)
      guard let frame = frame(path) else { return }
      var progress = frame.progress ?? Progress()
      // One reference: it is changed in place.
      frame.progress = nil
      progress.done.formUnion(done)
      for (place, value) in values { progress.values[place] = value }
      progress.writes.formUnion(writes)
      frame.drop { component in UInt64(component).map(done.contains) ?? false }
      frame.progress = progress
      frame.forget(writes)
      let depth = DurableFrame.components(of: path).count
      for namespace in writes.keys where writers.inside(path).contains(namespace) {
        let item = DurableFrame.components(of: writers[namespace].path ?? "").dropFirst(depth).first
        // It does not write again.
        if item.flatMap({ UInt64($0) }).map(done.contains) == true { writers[namespace].path = path }
      }
    case .by(let path, let namespace, let from):
      close(namespace, at: from)
      writers[namespace] = Writers.Writer(path: path, from: from)
    case .spent(let usd, let provider): spent[provider, default: 0] += usd
    case .stopped: isStopped = true
    case .ending: break
    }
  }

  /// Nil: something around it is done, or it is itself.
  private func frame(_ path: String) -> DurableFrame? {
    guard let (outer, component) = frame(around: path) else { return path.isEmpty ? root : nil }
    return outer.results[component] == nil && !isDone(component, in: outer) ? outer.child(component) : nil
  }

  private func frame(around path: String) -> (DurableFrame, String)? {
    let components = DurableFrame.components(of: path)
    guard let last = components.last else { return nil }
    var frame = root
    for component in components.dropLast() {
      if frame.results[component] != nil || isDone(component, in: frame) { return nil }
      frame = frame.child(component)
    }
    return (frame, last)
  }

  private func isDone(_ component: String, in frame: DurableFrame) -> Bool {
    guard let progress = frame.progress, let place = UInt64(component) else { return false }
    return progress.done.contains(place)
  }

  // MARK: Who has written what

  /// The items up to this place are whose they were said to be.
  private func close(_ namespace: String, at end: UInt64) {
    let writer = writers[namespace]
    // Items that were announced, and not taken by the store.
    if end < writer.from { return root.forget(from: end, in: namespace) }
    if writer.from < end, let path = writer.path { frame(path)?.owns(writer.from..<end, in: namespace) }
  }

  /// Items that are accounted for.
  private func wrote(_ writes: DurableFrame.Places, by path: String) {
    for (namespace, places) in writes where writers.inside(path).contains(namespace) {
      let from = writers[namespace].from
      if let range = places.ranges.first(where: { $0.contains(from) }) { writers[namespace].from = range.upperBound }
    }
  }

  /// A frame has ended: what is written next is written by the one around it, if nobody says otherwise.
  private func ended(_ path: String, _ writes: DurableFrame.Places) {
    wrote(writes, by: path)
    let outer = DurableFrame.components(of: path).dropLast().joined(separator: "/")
    for namespace in writers.inside(path) { writers[namespace].path = writes[namespace] == nil ? nil : outer }
  }

  /// The stream's writer is being opened: what it holds is whose the journal says, and what follows is written by this life.
  func opened(_ namespace: String, tail: UInt64) {
    guard isResumed else { return }
    close(namespace, at: tail)
    let known = writers[namespace]
    // Of items that were announced and not taken the journal still says whose they would have been: whoever writes next says
    // so anew.
    writers[namespace] = Writers.Writer(path: tail < known.from ? nil : known.path, from: tail)
  }

  /// The next items are written by these frames, one after the other. Answered at once where the journal says so already.
  func announce(
    _ namespace: String, from start: UInt64, by frames: some Sequence<DurableFrame>, _ answer: @escaping Answer<Void>
  ) {
    var place = start
    var entries: [Entry] = []
    for frame in frames {
      if writers[namespace].path != frame.path {
        writers[namespace] = Writers.Writer(path: frame.path, from: place)
        entries.append(.by(frame.path, namespace: namespace, from: place))
      }
      place += 1
    }
    if entries.isEmpty { return answer(.success(())) }
    append(entries) { [self] result in
      if case .failure = result { unknown(namespace) }
      answer(result)
    }
  }

  /// Streams in which something is left of a frame that has ended, as far as is known before they are opened.
  package func streams(of frame: DurableFrame) -> Set<String> {
    guard isResumed else { return [] }
    return Set(frame.leftover.keys).union(writers.inside(frame.path))
  }

  /// A frame has ended without a word of its own: what it has written is repeated by nobody.
  package func left(_ path: String) {
    guard isResumed else { return }
    for namespace in writers.inside(path) { unknown(namespace) }
  }

  func flawed(_ flaw: RunFlaw) { self.flaw = self.flaw ?? flaw }

  /// Why a stream is aborted that a resumed run does not write as its earlier life did.
  static func differs(at place: UInt64, _ why: String) -> String {
    "the resumed run differs from its first life at position \(place): \(why)"
  }
  static func endsEarlier(at place: UInt64) -> String { differs(at: place, "it ends earlier now") }

  /// They have not come to be, or nobody knows whose they are: whoever writes next says so.
  func unknown(_ namespace: String) { writers[namespace].path = nil }

  /// The stream has ended: nobody writes it any more.
  func ended(_ namespace: String) { writers.forget(namespace) }

  // MARK: Writing down

  package func record(step path: String, _ step: Step, _ answer: @escaping Answer<Void>) {
    record(.step(path, step), of: path, answer) { [self] in ended(path, step.writes) }
  }

  package func record(failed path: String, writes: DurableFrame.Places, _ answer: @escaping Answer<Void>) {
    record(.failed(path, writes: writes), of: path, answer) { [self] in ended(path, writes) }
  }

  /// Items that are done, results of them, and what they wrote, since the last time.
  package func record(
    each path: String, done: RangeSet<UInt64>, values: [(UInt64, JSONValue)], writes: DurableFrame.Places = [:],
    _ answer: @escaping Answer<Void>
  ) {
    append(.each(path, done: done, values: values, writes: writes), answer)
  }

  private func record(_ entry: Entry, of path: String, _ answer: @escaping Answer<Void>, ended: () -> Void) {
    let inside = writers.inside(path)
    append(entry) { [self] result in
      // It is not known that they have ended.
      if case .failure = result { for namespace in inside { unknown(namespace) } }
      answer(result)
    }
    ended()
  }

  /// Nobody waits for it: it counts from when it is read.
  package func noteStop() {
    isStopped = true
    append(.stopped) { _ in }
  }

  /// What a model call has cost. Nobody waits for it: what a process that dies has just spent is not known to the next one.
  package func noteSpending(_ usd: Double, by provider: String) { append(.spent(usd, provider: provider)) { _ in } }

  /// What of a frame was done in this life or an earlier one, for its next try.
  package func reload(_ frame: DurableFrame, _ answer: @escaping Answer<Void>) {
    Self.read(run: run, store: store) { result in
      switch result {
      case .failure(let failure): answer(.failure(failure))
      case .success(let fresh):
        if let problem = fresh.problem { return answer(.failure(problem)) }
        if let known = fresh.frame(frame.path) { frame.adopt(known) }
        answer(.success(()))
      }
    }
  }

  /// What is in the tree is another's from now on.
  package func hand(to frame: DurableFrame) {
    frame.adopt(root)
    root = frame
  }

  /// The run's streams are about to be ended. A failure: they are another process's.
  package func announceEnd(_ answer: @escaping Answer<Void>) {
    if owner == nil { answer(.success(())) } else { append(.ending, answer) }
  }

  /// The run is over, and so are the streams that this life has opened (`namespaces`, and perhaps others: `isAll`): ends those
  /// that an earlier one may have left, then itself; nothing takes the run up again. All have the lifetime from then on.
  package func end(
    _ ending: StreamEnding, lifetime: StreamLifetime? = nil, opened namespaces: [String] = [], isAll: Bool = true,
    _ answer: @escaping (StoreFailure?) -> Void = { _ in }
  ) {
    guard self.ending == nil else { return answer(nil) }
    func endItself(_ failure: StoreFailure?) {
      if let failure { return answer(failure) }
      let ending = ending == .closed ? flaw.map { .aborted(reason: $0.message) } ?? ending : ending
      own.append(StreamAppend(items: [], ending: ending, lifetime: lifetime)) { [self] result in
        switch result {
        case .success, .failure(.ended):
          self.ending = ending
          answer(nil)
        case .failure(let failure): answer(failure)
        }
      }
    }
    if isResumed || lifetime != nil && !isAll {
      return WorkflowStreams.endStreams(of: run, lifetime: lifetime, in: store) { [self] stream in
        let namespace = WorkflowStreams.parts(of: stream.name)?.namespace ?? ""
        guard ending == .closed, !namespaces.contains(namespace) else { return ending }
        opened(namespace, tail: stream.tail.value)
        // An earlier life has begun it, and this one does not know it: half of it is no whole.
        guard let place = root.leftover(in: namespace) else { return ending }
        let reason = Self.endsEarlier(at: place)
        flawed(.diverged(namespace, reason))
        return .aborted(reason: reason)
      } then: {
        endItself($0)
      }
    }
    if let lifetime {
      for name in namespaces.compactMap({ try? WorkflowStreams.name(workflow: run, namespace: $0) }) {
        store.append(name, StreamAppend(items: [], lifetime: lifetime)) { _ in }
      }
    }
    endItself(nil)
  }

  private func append(_ entry: Entry, _ answer: @escaping Answer<Void>) { append([entry], answer) }

  private func append(_ entries: [Entry], _ answer: @escaping Answer<Void>) {
    own.append(StreamAppend(items: entries.map { $0.json.encoded() })) { answer($0.map { _ in }) }
  }
}
