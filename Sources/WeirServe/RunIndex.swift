import WeirCore
import WeirStore

/// The runs that this server knows, newest last, with what started them: what `/_weir/runs` and `/_weir/sessions`
/// show. It is a bounded view, kept as a stream of the same store, so it outlives the process; what a run said and
/// how it ended is in the run's own stream and is looked up there.
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
    /// nil while it runs, as far as anyone has looked.
    package var end: EndState?
  }

  package static let contentType = "application/json"
  private static let batch = 256 << 10

  private let store: any StreamStore
  private let limits: Limits
  private let name: StreamName
  private var order: [String] = []
  private var byID: [String: Run] = [:]
  private var byStream: [StreamName: String] = [:]
  private var sizes: [String: Int] = [:]
  private var byteCount = 0
  private var isMade = false
  /// Items in the index's own stream, to know when it is worth writing anew.
  private var written = 0

  package init(_ store: any StreamStore, _ limits: Limits) throws(StoreFailure) {
    self.store = store
    self.limits = limits
    name = try StreamName("_weir/runs")
  }

  package subscript(_ id: String) -> Run? { byID[id] }
  package func run(of stream: StreamName) -> Run? { byStream[stream].flatMap { byID[$0] } }
  /// Newest first.
  package var runs: [Run] { order.reversed().compactMap { byID[$0] } }
  package var count: Int { order.count }

  /// Adds a run that has just started. What can't be written down is still remembered by this process.
  package func add(_ run: Run) {
    let entry = run.json.encoded()
    remember(run, size: entry.count)
    write([entry])
  }

  private func write(_ entries: [[UInt8]]) {
    guard isMade else {
      store.create(name, contentType: Self.contentType) { [self] _ in
        isMade = true
        write(entries)
      }
      return
    }
    written += entries.count
    guard written > 4 * limits.runs else { return store.append(name, entries, ending: nil) { _ in } }
    // Most of it speaks of runs that are forgotten: it is written anew with what is remembered. Losing it half-way
    // would lose the list of runs, not the runs.
    let kept = order.compactMap { byID[$0]?.json.encoded() }
    written = kept.count
    isMade = false
    store.delete(name) { [self] _ in
      store.create(name, contentType: Self.contentType) { [self] _ in
        isMade = true
        store.append(name, kept, ending: nil) { _ in }
      }
    }
  }

  package func ended(_ id: String, _ end: EndState) { byID[id]?.end = end }

  /// Takes a run out for good: its stream is deleted.
  package func delete(_ id: String) {
    guard byID[id] != nil else { return }
    drop(id)
    write([(["forgotten": .string(id)] as JSONValue).encoded()])
  }

  private func drop(_ id: String) {
    guard let run = byID.removeValue(forKey: id) else { return }
    byStream[run.stream] = nil
    byteCount -= sizes.removeValue(forKey: id) ?? 0
    order.removeAll { $0 == id }
  }

  /// Reads back what an earlier process wrote, newest `limits.runs` at most.
  package func load(_ done: @escaping (StoreFailure?) -> Void) {
    store.status(name) { [self] result in
      let status: StreamStatus
      switch result {
      case .success(let found): status = found
      case .failure(.notFound): return done(nil)
      case .failure(let failure): return done(failure)
      }
      isMade = true
      written = Int(status.tail.value)
      let first = status.tail.value > UInt64(limits.runs) ? status.tail.value - UInt64(limits.runs) : 0
      load(from: Offset(first), done)
    }
  }

  private func load(from offset: Offset, _ done: @escaping (StoreFailure?) -> Void) {
    store.read(name, from: offset, byteLimit: Self.batch) { [self] result in
      let batch: StreamBatch
      switch result {
      case .success(let read): batch = read
      case .failure(let failure): return done(failure)
      }
      if batch.items.isEmpty { return done(nil) }
      for item in batch.items {
        guard let value = try? JSONValue.parse(item.bytes) else { continue }
        if let id = value["forgotten"]?.string {
          drop(id)
        } else if let run = Run(value) {
          remember(run, size: item.bytes.count)
        }
      }
      load(from: batch.next, done)
    }
  }

  private func remember(_ run: Run, size: Int) {
    if byID[run.id] != nil { return }
    order.append(run.id)
    byID[run.id] = run
    byStream[run.stream] = run.id
    sizes[run.id] = size
    byteCount += size
    while order.count > limits.runs || (byteCount > limits.bytes && order.count > 1) { drop(order[0]) }
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

  init?(_ value: JSONValue) {
    guard let id = value["id"]?.string, let workflow = value["workflow"]?.string,
      let path = value["stream_id"]?.string, let stream = try? StreamName(path),
      let startedAt = value["started_at"]?.int, let arguments = value["arguments"]?.members
    else { return nil }
    self.init(
      id: id, workflow: workflow, stream: stream, arguments: arguments, session: value["session_id"]?.string,
      startedAt: Int64(startedAt))
  }
}
