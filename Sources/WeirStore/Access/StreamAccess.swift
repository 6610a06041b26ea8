import WeirCore

/// What writers and readers of one process share: the store, who wants writers to wait for it, and who is told what happens.
package final class StreamAccess {
  package let store: any StreamStore
  package let loop: any Loop
  private var subscribers: [StreamName: Subscribers] = [:]
  private var listeners: [Listener] = []
  private var untold: Set<StreamName> = []
  /// The same, in the order in which they were left out.
  private var untoldOrder: ArraySlice<StreamName> = []
  /// Streams that are left out at one time.
  package static let leftOutLimit = 4_096

  package init(store: any StreamStore, loop: any Loop) {
    self.store = store
    self.loop = loop
  }

  // MARK: Listeners

  private final class Listener: Cancellable {
    let hear: (StreamActivity) -> Void
    var isCancelled = false
    weak var access: StreamAccess?
    init(_ access: StreamAccess, _ hear: @escaping (StreamActivity) -> Void) {
      self.access = access
      self.hear = hear
    }
    func cancel() {
      isCancelled = true
      access?.forget(self)
    }
  }

  /// Told of everything that happens to streams through this access, in order, inside the call that does it, until it is
  /// cancelled. Several are told in the order in which they began to listen. Nothing is made for them while there are none.
  package func listen(_ hear: @escaping (StreamActivity) -> Void) -> any Cancellable {
    let listener = Listener(self, hear)
    listeners.append(listener)
    return listener
  }

  /// Nobody is told of this stream any more until the last listener has left: one of them writes there what it hears, and
  /// each event would make the next. It is asked before each write: of more streams than `leftOutLimit` the one that was left out
  /// first is forgotten, until somebody who listens writes to it again.
  package func leaveOut(_ name: StreamName) {
    guard !listeners.isEmpty, untold.insert(name).inserted else { return }
    untoldOrder.append(name)
    if untoldOrder.count > Self.leftOutLimit, let first = untoldOrder.popFirst() { untold.remove(first) }
  }

  private func forget(_ listener: Listener) {
    listeners.removeAll { $0 === listener }
    if listeners.isEmpty { (untold, untoldOrder) = ([], []) }
  }

  /// `position`: nil where nothing is known of the stream.
  func tell(_ kind: StreamActivity.Kind, _ name: StreamName, at position: UInt64?, _ detail: String? = nil) {
    guard !listeners.isEmpty, !untold.contains(name) else { return }
    let activity = StreamActivity(kind: kind, stream: name, position: position, detail: detail)
    for listener in listeners where !listener.isCancelled { listener.hear(activity) }
  }

  // MARK: Backpressure

  /// Readers of one stream that its writers wait for, and the writers that wait.
  private final class Subscribers {
    var positions: [ObjectIdentifier: UInt64] = [:]
    var waiting: [() -> Void] = []
  }

  func subscriberMoved(_ reader: AnyObject, of name: StreamName, to position: UInt64) {
    let all = subscribers[name] ?? Subscribers()
    subscribers[name] = all
    all.positions[ObjectIdentifier(reader)] = position
    wake(all)
  }

  func subscriberLeft(_ reader: AnyObject, of name: StreamName) {
    guard let all = subscribers[name] else { return }
    all.positions[ObjectIdentifier(reader)] = nil
    if all.positions.isEmpty { subscribers[name] = nil }
    wake(all)
  }

  private func wake(_ all: Subscribers) {
    let waiting = all.waiting
    all.waiting = []
    for writer in waiting { loop.soon(writer) }
  }

  /// Where the reader is that is furthest behind; nil: no writer waits for anybody.
  func slowestSubscriber(of name: StreamName) -> UInt64? { subscribers[name]?.positions.values.min() }

  /// Calls once, in a later job, after a subscriber has moved or left.
  func whenSubscriberMoves(of name: StreamName, _ wake: @escaping () -> Void) {
    subscribers[name]?.waiting.append(wake)
  }
}

/// Something that happened to a stream of a workflow (seed 002, Workflow Events).
package struct StreamActivity: Equatable, Sendable {
  package enum Kind: String, Sendable {
    case created = "stream_created"
    case write = "stream_write"
    case read = "stream_read"
    case close = "stream_close"
    case error = "stream_error"
    case backpressure = "stream_backpressure"
  }

  package var kind: Kind
  package var stream: StreamName
  /// Of the item; otherwise how many there are; nil: of a stream that could not be opened.
  package var position: UInt64?
  /// What went wrong, or why the stream was aborted.
  package var detail: String?
}

/// Where the streams of workflows are: `runs/<workflow>` is what a run answers, `runs/<workflow>/<namespace>` a stream that
/// it writes by name, `_weir/journal/<workflow>` what it has done so far.
package enum WorkflowStreams {
  package static let prefix = "runs/"
  package static let journalPrefix = "_weir/journal/"

  /// Both are one segment: `a/b` and `c` must not be the stream of `a` and `b/c`.
  package static func name(workflow: String, namespace: String) throws(StoreFailure) -> StreamName {
    try StreamName(prefix + segment(workflow) + "/" + segment(namespace))
  }

  package static func journal(of workflow: String) throws(StoreFailure) -> StreamName {
    try StreamName(journalPrefix + segment(workflow))
  }

  /// Ends what a run that is over still has open: the streams that it wrote by name, then its journal. With a lifetime all of
  /// them have it from then on: none may be over before the run is. What the store does not end leaves the journal open, for
  /// whoever looks at the run next.
  package static func end(
    workflow: String, _ ending: StreamEnding, lifetime: StreamLifetime?, in store: any StreamStore,
    _ done: @escaping (StoreFailure?) -> Void
  ) {
    let journal: StreamName
    do throws(StoreFailure) { journal = try self.journal(of: workflow) } catch { return done(error) }
    endStreams(of: workflow, lifetime: lifetime, in: store) { _ in
      ending
    } then: { failure in
      if let failure { return done(failure) }
      store.append(journal, StreamAppend(items: [], ending: ending, lifetime: lifetime)) { done(unended($0)) }
    }
  }

  /// The same, without its journal. `ending` says how an open one ends.
  static func endStreams(
    of workflow: String, lifetime: StreamLifetime?, in store: any StreamStore,
    ending: @escaping (StreamStatus) -> StreamEnding, then done: @escaping (StoreFailure?) -> Void
  ) {
    var failure: StoreFailure?
    var open = 1
    func one(_ problem: StoreFailure?) {
      failure = failure ?? problem
      open -= 1
      if open == 0 { done(failure) }
    }
    each(of: workflow, in: store) { stream in
      let append = StreamAppend(items: [], ending: stream.ending == nil ? ending(stream) : nil, lifetime: lifetime)
      if append.isNothing { return }
      open += 1
      store.append(stream.name, append) { one(unended($0)) }
    } then: {
      one($0)
    }
  }

  /// Why a stream may still be open; one that has ended, that there is no more, or that is damaged and takes nothing, is not.
  private static func unended(_ result: Result<StreamAppended, StoreFailure>) -> StoreFailure? {
    switch result {
    case .success, .failure(.ended), .failure(.notFound), .failure(.gone), .failure(.damaged): nil
    case .failure(let failure): failure
    }
  }

  /// Deletes what a run has kept besides its answer: the streams that it wrote by name, and its journal.
  package static func delete(workflow: String, from store: any StreamStore) {
    guard let journal = try? journal(of: workflow) else { return }
    store.delete(journal) { _ in }
    each(of: workflow, in: store) { stream in store.delete(stream.name) { _ in } }
  }

  /// The streams that a run wrote by name, page by page.
  private static func each(
    of workflow: String, in store: any StreamStore, _ visit: @escaping (StreamStatus) -> Void,
    then done: @escaping (StoreFailure?) -> Void = { _ in }
  ) {
    func next(after: StreamName?) {
      store.list(prefix: prefix + workflow + "/", after: after, limit: 100) { result in
        switch result {
        case .failure(let failure): done(failure)
        case .success(let streams):
          guard let last = streams.last else { return done(nil) }
          for stream in streams { visit(stream) }
          next(after: last.name)
        }
      }
    }
    next(after: nil)
  }

  /// What `name` was made of; nil: it is no stream of a workflow.
  package static func parts(of name: StreamName) -> (workflow: String, namespace: String)? {
    let parts = name.path.split(separator: "/", omittingEmptySubsequences: false)
    guard parts.count == 3, parts[0] == "runs" else { return nil }
    return (String(parts[1]), String(parts[2]))
  }

  private static func segment(_ text: String) throws(StoreFailure) -> String {
    guard !text.utf8.contains(UInt8(ascii: "/")) else {
      throw .badName(text, "it is one part, without a /")
    }
    return text
  }
}
