import WeirCore
import WeirStore

/// The runs that are known, newest last, with what started them: what `/_weir/runs` and `/_weir/sessions` show, and what the next
/// process must take up. One for all servers of a program. It is kept in a `CompactedLog` of the same store, `_weir/runs/<n>`, so it
/// outlives the process, and processes that share a store know each other's runs; what a run said is in the run's own stream and is
/// looked up there (`RunIndex+Looking`).
///
/// **It is the first to know of a run and the last to forget it**: a run is made when the store has its record, and has ended here when
/// everything of it has.
///
/// It is bounded where it can be: runs that are over are forgotten, oldest end first, beyond the limits. **A run that has not
/// ended is never forgotten**; beyond `Limits.bytes` it is remembered without its arguments, which is some hundred bytes.
///
///     {"id", "workflow", "stream_id", "started_at", "arguments", "session_id"?, "process"?, "ended"?}   a run
///     {"taken": "<id>", "process": "<id>"}                                                  another process does it now
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
    /// Who does it, where several processes share the store (`ProcessLease`).
    package var process: String?
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

  package static let root = "_weir/runs"
  /// Ends are written down with the next run, or when there are so many: a process that dies costs the next one a look at each.
  private static let endsLimit = 64
  /// Of a session's name that an open run keeps when its arguments are forgotten.
  private static let sessionLimit = 256

  let store: any StreamStore
  let loop: any Loop
  /// It is being begun in this process, runs, waits to be taken up, or something of it has yet to end.
  let isUnderWay: (String) -> Bool
  /// This process, for those that share its store.
  package var process: String?
  private let limits: Limits
  private let log: CompactedLog

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

  private var isLoaded = false
  /// Runs whose records the store has not yet.
  private var adding: Set<String> = []
  /// Runs that it does not know yet to be forgotten: what is read meanwhile may still name them.
  private var forgetting: Set<String> = []
  /// Runs that a summary which is being read has not named so far.
  private var unnamed: Set<String>?
  private var unwrittenEnds: [[UInt8]] = []

  /// `complain`: told of what cannot be read.
  package init(
    _ store: any StreamStore, _ limits: Limits, loop: any Loop, isUnderWay: @escaping (String) -> Bool,
    complain: @escaping (String) -> Void = { _ in }
  ) {
    self.store = store
    self.limits = limits
    self.loop = loop
    self.isUnderWay = isUnderWay
    log = CompactedLog(
      Self.root, .init(records: 4 * limits.runs, bytes: 4 * limits.bytes), in: store, complain: complain)
    log.owner = self
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

  // MARK: What others write

  /// Answers when everything is known that any process was told is kept: at once, where no other process writes, except for the
  /// first time. Runs may be added meanwhile.
  package func catchUp(_ done: @escaping (StoreFailure?) -> Void) {
    if isLoaded, store.isExclusive { return done(nil) }
    log.catchUp { [self] failure in
      if failure == nil { isLoaded = true }
      done(failure)
    }
  }

  /// The run, whichever process has started it. Nil: there is none.
  package func find(_ id: String, _ answer: @escaping (Result<Run?, StoreFailure>) -> Void) {
    if let run = self[id] { return answer(.success(run)) }
    catchUp { [self] failure in answer(failure.map { .failure($0) } ?? .success(self[id])) }
  }

  // MARK: What this process knows

  /// Adds a run of which nothing is made yet, and answers when the store has it: a run that is made after that is never one that
  /// nobody knows. With a failure it is not added.
  package func add(_ run: Run, _ done: @escaping (StoreFailure?) -> Void) {
    var run = run
    run.process = process
    adding.insert(run.id)
    let bytes = run.written
    remember(run, size: bytes.count)
    write([bytes]) { [self] failure in
      adding.remove(run.id)
      if failure != nil { drop(run.id) }
      done(failure)
    }
  }

  /// A run that another process has left is this one's now.
  package func took(_ id: String) {
    guard let process, byID[id] != nil else { return }
    byID[id]?.run.process = process
    write([(["taken": .string(id), "process": .string(process)] as JSONValue).encoded()])
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
    forgetting.insert(id)
    write([(["forgotten": .string(id)] as JSONValue).encoded()]) { [self] _ in forgetting.remove(id) }
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

  /// Answered when the store has it. What it does not take is not tried again: the next process looks at a run whose end it does
  /// not know.
  private func write(_ records: [[UInt8]], _ done: @escaping (StoreFailure?) -> Void = { _ in }) {
    let records = unwrittenEnds + records
    unwrittenEnds = []
    log.append(records, done)
  }
}

extension RunIndex: CompactedLogOwner {
  package var summary: [[UInt8]] { order.compactMap { entry($0)?.run.written } }

  package func summaryBegins() { unnamed = Set(byID.keys) }

  /// Somebody has forgotten the others, unless they are this process's own.
  package func summaryEnds() {
    for id in unnamed ?? [] where !adding.contains(id) && !isUnderWay(id) { drop(id) }
    unnamed = nil
  }

  package func apply(_ record: JSONValue) -> Bool {
    if let id = record["forgotten"]?.string {
      if !isUnderWay(id) { drop(id) }
    } else if let run = Run(record) {
      unnamed?.remove(run.id)
      if !forgetting.contains(run.id) { remember(run, size: run.written.count) }
    } else if let id = record["taken"]?.string, let process = record["process"]?.string {
      byID[id]?.run.process = process
    } else if let id = record["ended"]?.string {
      guard let run = byID[id]?.run, !run.isOver else { return true }
      noteEnd(id, record["state"]?.string.flatMap { EndState(rawValue: $0) } ?? .error)
      trim()
    } else {
      return false
    }
    return true
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
    var members = json.members ?? []
    if isOver, let end {
      members.append(JSONMember("ended", .string(end.rawValue)))
    } else if let process {
      members.append(JSONMember("process", .string(process)))
    }
    return JSONValue.object(members).encoded()
  }

  init?(_ value: JSONValue) {
    guard let id = value["id"]?.string, let workflow = value["workflow"]?.string,
      let path = value["stream_id"]?.string, let stream = try? StreamName(path),
      let startedAt = value["started_at"]?.int, let arguments = value["arguments"]?.members
    else { return nil }
    self.init(
      id: id, workflow: workflow, stream: stream, arguments: arguments, session: value["session_id"]?.string,
      startedAt: Int64(startedAt), end: value["ended"]?.string.flatMap { EndState(rawValue: $0) })
    process = value["process"]?.string
    isOver = end != nil
  }
}
