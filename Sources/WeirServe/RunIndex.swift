import WeirCore
import WeirStore

/// The runs that this server knows, newest last, with what started them: what `/_weir/runs` and `/_weir/sessions`
/// show, and what the next process must take up. It is kept as a stream of the same store, so it outlives the process; what a
/// run said is in the run's own stream and is looked up there.
///
/// **It is the first to know of a run and the last to forget it**: a run is made when the store has its record, and has ended here when
/// everything of it has.
///
/// It is bounded where it can be: runs that are over are forgotten, oldest end first, beyond the limits. **A run that has not
/// ended is never forgotten**; beyond `Limits.bytes` it is remembered without its arguments, which is some hundred bytes.
///
///     {"id", "workflow", "stream_id", "started_at", "arguments", "session_id"?, "ended"?}   a run
///     {"ended": "<id>", "state": "completed"}                                               how one has ended
///     {"forgotten": "<id>"}                                                                 it is not shown any more
package final class RunIndex {
  package struct Limits: Sendable {
    /// Runs remembered: many days of one person's chats.
    package var runs = 1000
    /// Bytes of arguments remembered: they may be whole documents.
    package var bytes = 8 << 20
    package init() {}
  }

  package struct Run: Equatable, Sendable {
    package var id: String
    package var workflow: String
    package var stream: StreamName
    package var arguments: [JSONMember]
    package var session: String?
    /// Milliseconds since 1970.
    package var startedAt: Int64
    /// How its answer has ended; nil while it runs, as far as anyone has looked.
    package var end: EndState?
    /// All of it has ended, what it wrote by name and its journal as well: it may be forgotten, and nobody takes it up.
    package var isOver = false
    /// Its stream may be over then, and is looked at again; milliseconds since 1970. nil: nobody has looked since it ended.
    package var expiresAt: Int64?
  }

  private struct Entry {
    var run: Run
    var size: Int
    /// In the order in which they came.
    let number: Int
  }

  package static let contentType = "application/json"
  private static let batch = 256 << 10
  /// Ends are written down with the next run, or when there are so many: a process that dies costs the next one a look at each.
  private static let endsLimit = 64
  /// Of a session's name that an open run keeps when its arguments are forgotten.
  private static let sessionLimit = 256

  private let store: any StreamStore
  private let limits: Limits
  private let name: StreamName
  /// What the stream is written anew from, while that is done.
  private let copy: StreamName

  private var byID: [String: Entry] = [:]
  private var byStream: [StreamName: String] = [:]
  /// Some of them may be gone (`Entry.number` tells).
  private var order: [(id: String, number: Int)] = []
  private var ended: ArraySlice<String> = []
  /// Runs that still have their arguments.
  private var whole: ArraySlice<String> = []
  /// Places of the lists above: in proportion to the runs that are remembered.
  var placeCount: Int { order.count + ended.count + whole.count }
  private var lastNumber = 0
  private var byteCount = 0

  /// Where it is written: `name`, or `copy` while that one has everything and `name` has not.
  private var place: StreamName
  private var isMade = false
  /// It is being loaded, or written anew.
  private var isBusy = false
  /// What was written since the snapshot from which a stream is being made. Nil: none is.
  private var late: [[UInt8]]?
  private var unwrittenEnds: [[UInt8]] = []
  /// In the index's own stream since it was last written anew, to know when that is worth it.
  private var written = (items: 0, bytes: 0)

  package init(_ store: any StreamStore, _ limits: Limits) throws(StoreFailure) {
    self.store = store
    self.limits = limits
    name = try StreamName("_weir/runs")
    copy = try StreamName("_weir/runs-copy")
    place = name
  }

  package subscript(_ id: String) -> Run? { byID[id]?.run }
  package func run(of stream: StreamName) -> Run? { byStream[stream].flatMap { byID[$0]?.run } }
  /// Newest first.
  package var runs: [Run] { order.reversed().compactMap { entry($0)?.run } }
  /// Those that are not over, as far as anyone has looked; oldest first.
  package var open: [Run] { order.compactMap { entry($0)?.run }.filter { !$0.isOver } }
  package var count: Int { byID.count }
  /// Of all that is remembered, as it is written down.
  package var bytes: Int { byteCount }

  private func entry(_ place: (id: String, number: Int)) -> Entry? {
    byID[place.id].flatMap { $0.number == place.number ? $0 : nil }
  }

  /// Adds a run of which nothing is made yet, and answers when the store has it: a run that is made after that is never one that
  /// nobody knows. With a failure it is not added.
  package func add(_ run: Run, _ done: @escaping (StoreFailure?) -> Void) {
    let bytes = run.written
    remember(run, size: bytes.count)
    write([bytes]) { [self] failure in
      if failure != nil { drop(run.id) }
      done(failure)
    }
  }

  /// Its answer has ended. What it writes besides may not have.
  package func answered(_ id: String, _ end: EndState) {
    if byID[id]?.run.end == nil { byID[id]?.run.end = end }
  }

  /// It is over, with all that it wrote, whoever found out.
  package func ended(_ id: String, _ end: EndState) {
    guard let entry = byID[id], !entry.run.isOver else { return }
    noteEnd(id, end)
    unwrittenEnds.append((["ended": .string(id), "state": .string(end.rawValue)] as JSONValue).encoded())
    if unwrittenEnds.count >= Self.endsLimit { write([]) }
    trim()
  }

  /// Its stream was looked at and is there, at least until then.
  package func looked(at id: String, expiresAt: Int64?) { byID[id]?.run.expiresAt = expiresAt ?? .max }

  /// Takes a run out for good: its stream is deleted.
  package func delete(_ id: String) {
    guard byID[id] != nil else { return }
    drop(id)
    write([(["forgotten": .string(id)] as JSONValue).encoded()])
  }

  // MARK: Remembering

  private func remember(_ run: Run, size: Int) {
    if let known = byID[run.id]?.run {
      if run.isOver, !known.isOver, let end = run.end { noteEnd(run.id, end) }
      return
    }
    lastNumber += 1
    byID[run.id] = Entry(run: run, size: size, number: lastNumber)
    byStream[run.stream] = run.id
    byteCount += size
    let limit = 2 * byID.count + 16
    if order.count > limit { order.removeAll { entry($0) == nil } }
    if whole.count > limit { whole.removeAll { byID[$0] == nil } }
    if ended.count > limit { ended.removeAll { byID[$0] == nil } }
    order.append((run.id, lastNumber))
    whole.append(run.id)
    if run.isOver { ended.append(run.id) }
    trim()
  }

  private func noteEnd(_ id: String, _ end: EndState) {
    byID[id]?.run.end = end
    byID[id]?.run.isOver = true
    ended.append(id)
  }

  private func trim() {
    while byID.count > limits.runs || (byteCount > limits.bytes && byID.count > 1), let oldest = ended.popFirst() {
      drop(oldest)
    }
    while byteCount > limits.bytes, byID.count > 1, let oldest = whole.popFirst() {
      guard var entry = byID[oldest] else { continue }
      entry.run.arguments = []
      if (entry.run.session?.utf8.count ?? 0) > Self.sessionLimit { entry.run.session = nil }
      byteCount -= entry.size
      entry.size = entry.run.written.count
      byteCount += entry.size
      byID[oldest] = entry
    }
  }

  private func drop(_ id: String) {
    guard let entry = byID.removeValue(forKey: id) else { return }
    byStream[entry.run.stream] = nil
    byteCount -= entry.size
  }

  // MARK: Writing down

  /// Answered when the store has it. What it does not take is not tried again: the next process looks at a run whose end it does
  /// not know.
  private func write(_ entries: [[UInt8]], _ done: @escaping (StoreFailure?) -> Void = { _ in }) {
    let items = unwrittenEnds + entries
    unwrittenEnds = []
    guard !items.isEmpty else { return done(nil) }
    written.items += items.count
    written.bytes += items.reduce(0) { $0 + $1.count }
    late? += items
    var refusal: StoreFailure?
    if !isMade {
      store.create(place, contentType: Self.contentType) { [self] result in
        switch result {
        case .success: isMade = true
        case .failure(let failure): refusal = failure
        }
      }
    }
    store.append(place, items, ending: nil) { result in
      if case .failure(let failure) = result { done(refusal ?? failure) } else { done(nil) }
    }
    if !isBusy, written.items > 4 * limits.runs || written.bytes > 4 * limits.bytes { writeAnew() }
  }

  private var kept: [[UInt8]] { order.compactMap { entry($0)?.run.written } }

  /// Most of it speaks of runs that are forgotten. What is remembered is first written to another stream, and what comes meanwhile
  /// is written at once to the one of the two that has everything: a process which dies on the way leaves nothing out.
  private func writeAnew() {
    isBusy = true
    written = (0, 0)
    // It could not be made the last time.
    if place == copy { return makeAnew() }
    late = []
    make(copy, kept) { [self] isCopied in
      guard isCopied else { return rest() }
      catchUp(copy) { [self] isWhole in
        guard isWhole else { return rest() }
        place = copy
        store.delete(name) { _ in }
        makeAnew()
      }
    }
  }

  private func makeAnew() {
    late = []
    make(name, kept) { [self] isMade in
      // The copy has everything then, and goes on.
      guard isMade else { return rest() }
      catchUp(name) { [self] isWhole in
        if isWhole {
          place = name
          store.delete(copy) { _ in }
        }
        rest()
      }
    }
  }

  private func rest() {
    late = nil
    isBusy = false
  }

  /// What was written since the snapshot from which this stream was made.
  private func catchUp(_ stream: StreamName, _ done: @escaping (Bool) -> Void) {
    guard let items = late, !items.isEmpty else { return done(true) }
    late = []
    store.append(stream, items, ending: nil) { [self] result in
      if case .failure = result { done(false) } else { catchUp(stream, done) }
    }
  }

  private func make(_ name: StreamName, _ items: [[UInt8]], _ done: @escaping (Bool) -> Void) {
    store.create(name, StreamCreation(contentType: Self.contentType, items: items)) { [store] result in
      switch result {
      // Another process has made it since, or it was left over.
      case .success(let status) where status.existed: append()
      case .success: done(true)
      case .failure(.conflict): append()
      case .failure: done(false)
      }
      func append() {
        if items.isEmpty { return done(true) }
        store.append(name, items, ending: nil) { done((try? $0.get()) != nil) }
      }
    }
  }

  // MARK: Reading back

  /// Reads back what an earlier process wrote. Runs may be added meanwhile.
  package func load(_ done: @escaping (StoreFailure?) -> Void) {
    isBusy = true
    func finish(_ failure: StoreFailure?) {
      isBusy = false
      done(failure)
    }
    // The copy first: the other one was made from it, or has what came after.
    read(copy, from: .start) { [self] failure in
      var isCopied = true
      switch failure {
      case nil: break
      case .notFound?: isCopied = false
      case let failure?: return finish(failure)
      }
      read(name, from: .start) { [self] failure in
        switch failure {
        case nil: isMade = true
        case .notFound?: break
        case let failure?: return finish(failure)
        }
        guard isCopied else { return finish(nil) }
        // It was being written anew: either may have what the other has not.
        make(name, kept) { [self] isWhole in
          if isWhole {
            isMade = true
            store.delete(copy) { _ in }
          } else if !isMade {
            place = copy
            isMade = true
          }
          finish(nil)
        }
      }
    }
  }

  private func read(_ name: StreamName, from offset: Offset, _ done: @escaping (StoreFailure?) -> Void) {
    store.read(name, from: offset, byteLimit: Self.batch) { [self] result in
      let batch: StreamBatch
      switch result {
      case .success(let read): batch = read
      case .failure(let failure): return done(failure)
      }
      if batch.items.isEmpty { return done(nil) }
      for item in batch.items {
        written.items += 1
        written.bytes += item.bytes.count
        guard let value = try? JSONValue.parse(item.bytes) else { continue }
        if let id = value["forgotten"]?.string {
          drop(id)
        } else if let run = Run(value) {
          remember(run, size: item.bytes.count)
        } else if let id = value["ended"]?.string, let run = byID[id]?.run, !run.isOver {
          noteEnd(id, value["state"]?.string.flatMap { EndState(rawValue: $0) } ?? .error)
          trim()
        }
      }
      read(name, from: batch.next, done)
    }
  }
}

extension RunIndex.Run {
  var json: JSONValue {
    var members = [
      JSONMember("id", .string(id)), JSONMember("workflow", .string(workflow)),
      JSONMember("stream_id", .string(stream.path)), JSONMember("started_at", .int(Int(startedAt))),
      JSONMember("arguments", .object(arguments)),
    ]
    if let session { members.append(JSONMember("session_id", .string(session))) }
    return .object(members)
  }

  /// As the index's stream has it.
  fileprivate var written: [UInt8] {
    guard isOver, let end, case .object(let members) = json else { return json.encoded() }
    return JSONValue.object(members + [JSONMember("ended", .string(end.rawValue))]).encoded()
  }

  init?(_ value: JSONValue) {
    guard let id = value["id"]?.string, let workflow = value["workflow"]?.string,
      let path = value["stream_id"]?.string, let stream = try? StreamName(path),
      let startedAt = value["started_at"]?.int, let arguments = value["arguments"]?.members
    else { return nil }
    self.init(
      id: id, workflow: workflow, stream: stream, arguments: arguments, session: value["session_id"]?.string,
      startedAt: Int64(startedAt), end: value["ended"]?.string.flatMap { EndState(rawValue: $0) })
    isOver = end != nil
  }
}
