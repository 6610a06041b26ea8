import Testing
import WeirCore
import WeirNet
import WeirStore
import WeirTesting

@testable import WeirServe

/// What the tests of this room stand on: a loop in virtual time, a store whose answers can be made late and short, a
/// host that plays scripts, and a responder whose socket has as much room as a test gives it.
final class ListStore: StreamStore {
  struct Stream {
    var status: StreamStatus
    var items: [StreamItem] = []
    var watchers: [Int: () -> Void] = [:]
  }

  let loop: SimulatedLoop
  var streams: [StreamName: Stream] = [:]
  /// Answers come in a later job, as from a disk.
  var isLate = false
  /// Items a read gives at most: stores may stop early.
  var itemLimit = Int.max
  private(set) var readCount = 0
  private var early: [StreamName: [Int: () -> Void]] = [:]
  private var watchCount = 0
  private var wakes: Set<StreamName> = []

  init(_ loop: SimulatedLoop) { self.loop = loop }

  var watcherCount: Int { early.values.reduce(0) { $0 + $1.count } }

  private func reply<T>(_ answer: @escaping Answer<T>, _ result: Result<T, StoreFailure>) {
    if isLate { loop.soon { answer(result) } } else { answer(result) }
  }

  private func wake(_ name: StreamName) {
    guard wakes.insert(name).inserted else { return }
    loop.soon { [self] in
      wakes.remove(name)
      for watcher in (early[name] ?? [:]).sorted(by: { $0.key < $1.key }) { watcher.value() }
    }
  }

  func create(_ name: StreamName, _ creation: StreamCreation, _ answer: @escaping Answer<StreamStatus>) {
    var status = streams[name]?.status
    if status != nil {
      status!.existed = true
    } else {
      status = StreamStatus(
        name: name, contentType: creation.contentType ?? "", tail: .start + creation.items.count, ending: nil,
        createdAt: loop.wallClock)
      let items = creation.items.map { StreamItem(bytes: $0, time: loop.wallClock) }
      streams[name] = Stream(status: status!, items: items)
    }
    reply(answer, .success(status!))
  }

  func append(_ name: StreamName, _ append: StreamAppend, _ answer: @escaping Answer<StreamAppended>) {
    guard let stream = streams[name] else { return reply(answer, .failure(.notFound(name))) }
    if let ending = stream.status.ending { return reply(answer, .failure(.ended(name, ending))) }
    for item in append.items { streams[name]!.items.append(StreamItem(bytes: item, time: loop.wallClock)) }
    streams[name]!.status.tail = stream.status.tail + append.items.count
    streams[name]!.status.ending = append.ending
    wake(name)
    reply(answer, .success(StreamAppended(tail: streams[name]!.status.tail)))
  }

  func status(_ name: StreamName, _ answer: @escaping Answer<StreamStatus>) {
    reply(answer, streams[name].map { .success($0.status) } ?? .failure(.notFound(name)))
  }

  func read(_ name: StreamName, from offset: Offset, byteLimit: Int, _ answer: @escaping Answer<StreamBatch>) {
    readCount += 1
    guard let stream = streams[name] else { return reply(answer, .failure(.notFound(name))) }
    guard offset <= stream.status.tail else {
      return reply(answer, .failure(.beyondTail(name, tail: stream.status.tail)))
    }
    var items: [StreamItem] = []
    var size = 0
    for item in stream.items[Int(offset.value)...] where size < byteLimit && items.count < itemLimit {
      items.append(item)
      size += item.bytes.count
    }
    let next = offset + items.count
    reply(
      answer,
      .success(
        StreamBatch(
          items: items, next: next, ending: next == stream.status.tail ? stream.status.ending : nil,
          createdAt: stream.status.createdAt)))
  }

  func watch(_ name: StreamName, _ wake: @escaping () -> Void) -> any Cancellable {
    let id = watchCount
    watchCount += 1
    early[name, default: [:]][id] = wake
    return Watch { [self] in
      early[name]?[id] = nil
      if early[name]?.isEmpty == true { early[name] = nil }
    }
  }

  func delete(_ name: StreamName, _ answer: @escaping Answer<Void>) {
    streams[name] = nil
    wake(name)
    reply(answer, .success(()))
  }

  func list(prefix: String, after: StreamName?, limit: Int, _ answer: @escaping Answer<[StreamStatus]>) {
    let names = streams.keys.filter { $0.path.hasPrefix(prefix) && (after == nil || $0 > after!) }.sorted()
    reply(answer, .success(names.prefix(limit).map { streams[$0]!.status }))
  }

  private final class Watch: Cancellable {
    private var stop: (() -> Void)?
    init(_ stop: @escaping () -> Void) { self.stop = stop }
    func cancel() {
      stop?()
      stop = nil
    }
  }
}

/// Runs that the test writes itself.
final class ScriptedHost: WorkflowHost {
  var routes: [WorkflowRoute]
  let store: any StreamStore
  private(set) var started: [(id: String, route: String, arguments: [JSONMember])] = []
  private(set) var stopped: [String] = []
  var refusal: RunFailure?

  init(_ routes: [WorkflowRoute], _ store: any StreamStore) {
    self.routes = routes
    self.store = store
  }

  func start(
    _ route: WorkflowRoute, arguments: [JSONMember],
    register: @escaping (_ ticket: RunTicket, _ done: @escaping (RunFailure?) -> Void) -> Void,
    answer: @escaping (Result<RunTicket, RunFailure>) -> Void
  ) {
    if let refusal { return answer(.failure(refusal)) }
    let id = "run\(started.count + 1)"
    started.append((id, route.name, arguments))
    guard let ticket = try? RunTicket(id: id) else { return }
    register(ticket) { [store] failure in
      if let failure { return answer(.failure(failure)) }
      store.create(ticket.stream, contentType: RunTicket.contentType) { result in
        switch result {
        case .success: answer(.success(ticket))
        case .failure(let failure): answer(.failure(RunFailure(code: failure.code, message: failure.message)))
        }
      }
    }
  }

  /// Runs that it says are not over, whatever their streams say.
  var underWay: Set<String> = []
  func isUnderWay(run id: String) -> Bool { underWay.contains(id) }

  func stop(run id: String) {
    stopped.append(id)
    guard started.contains(where: { $0.id == id }) else { return }
    write(id, [.end(.aborted)], ending: .aborted(reason: "stopped"))
  }

  func write(_ id: String, _ events: [RunEvent], ending: StreamEnding? = nil) {
    guard let name = try? RunTicket.stream(forRun: id) else { return }
    store.append(name, events.map { RunEventCodec.encode($0) }, ending: ending) { _ in }
  }

  func finish(_ id: String, _ events: [RunEvent] = [], _ state: EndState = .completed) {
    write(id, events + [.end(state)], ending: .closed)
  }
}

final class FakeResponder: HTTPResponder {
  var observer: (any HTTPResponseObserver)?
  let isChunked: Bool
  /// Bytes that the socket still takes.
  var room = Int.max
  private(set) var status: Int?
  private(set) var headers: [(name: String, value: String)] = []
  private(set) var received: [UInt8] = []
  private(set) var isFinished = false
  private(set) var isAborted = false
  private(set) var sendCount = 0

  init(isChunked: Bool = false) { self.isChunked = isChunked }

  var isOver: Bool { isFinished || isAborted }
  var text: String { String(decoding: received, as: UTF8.self) }
  var json: JSONValue? { try? JSONValue.parse(received) }
  subscript(_ name: String) -> String? { headers.first { $0.name.lowercased() == name.lowercased() }?.value }

  func respond(status: Int, headers: [(name: String, value: String)], body: [UInt8]) {
    #expect(self.status == nil, "answered twice")
    self.status = status
    self.headers = headers
    received = body
    isFinished = true
    observer = nil
  }

  func begin(status: Int, headers: [(name: String, value: String)]) {
    #expect(self.status == nil, "begun twice")
    self.status = status
    self.headers = headers
  }

  func send(_ bytes: Span<UInt8>) -> Int { sendFramed(bytes) }

  func sendFramed(_ bytes: Span<UInt8>) -> Int {
    #expect(status != nil && !isOver, "sent before its head or after its end")
    #expect(bytes.count > 0, "an empty send")
    sendCount += 1
    let taken = min(room, bytes.count)
    if room != .max { room -= taken }
    for index in 0..<taken { received.append(bytes[index]) }
    return taken
  }

  func finish() {
    #expect(!isOver)
    isFinished = true
  }

  func abort() {
    #expect(!isOver)
    isAborted = true
  }

  /// The socket drained: it takes this much more.
  func makeRoom(_ count: Int) {
    room = room == .max ? .max : room + count
    observer?.responseBecameWritable()
  }

  func goAway() {
    let observer = observer
    self.observer = nil
    observer?.responseCancelled()
  }
}

/// A server with its host and store, and requests as one line each.
struct Bench {
  let loop = SimulatedLoop()
  let store: ListStore
  let host: ScriptedHost
  let app: ServeApplication

  /// What `EventSource` sends.
  static let events: [(name: String, value: String)] = [("Accept", "text/event-stream")]

  static let chat = WorkflowRoute(
    name: "Chat", method: "POST", path: "/chat",
    parameters: [
      WorkflowParameter(name: "message", type: .string),
      WorkflowParameter(name: "session_id", type: .string, optional: true),
    ], kind: .stream)

  init(
    _ routes: [WorkflowRoute] = [Bench.chat], _ configure: (inout ServeConfiguration) -> Void = { _ in }
  ) throws {
    store = ListStore(loop)
    host = ScriptedHost(routes, store)
    var configuration = ServeConfiguration()
    configure(&configuration)
    app = ServeApplication(configuration, host: host, store: store, loop: loop)
  }

  @discardableResult
  func ask(
    _ method: String, _ target: String, _ headers: [(name: String, value: String)] = [], body: String = "",
    room: Int = .max, chunked: Bool = false
  ) -> FakeResponder {
    let responder = FakeResponder(isChunked: chunked)
    responder.room = room
    let cut = target.firstIndex(of: "?")
    app.handle(
      HTTPRequest(
        method: method, path: String(target[..<(cut ?? target.endIndex)]),
        query: cut.map { String(target[target.index(after: $0)...]) } ?? "",
        headers: [("Host", "localhost:8080")] + headers, body: Array(body.utf8),
        peer: SocketAddress(host: "127.0.0.1", port: 50000)), responder)
    loop.settle()
    return responder
  }

  @discardableResult
  func chat(_ headers: [(name: String, value: String)] = [], room: Int = .max, chunked: Bool = false) -> FakeResponder {
    ask("POST", "/chat", headers, body: #"{"message":"hi"}"#, room: room, chunked: chunked)
  }

  func tell(_ id: String, _ events: RunEvent...) {
    host.write(id, events)
    loop.settle()
  }

  func finish(_ id: String, _ events: [RunEvent] = [], _ state: EndState = .completed) {
    host.finish(id, events, state)
    loop.settle()
  }
}

/// The body of a chunked answer as a client's parser sees it; nil if the chunks are not whole.
func dechunked(_ bytes: [UInt8]) -> [UInt8]? {
  var plain: [UInt8] = []
  var rest = bytes[...]
  while !rest.isEmpty {
    guard let cr = rest.firstIndex(of: 0x0D), let size = Int(String(decoding: rest[..<cr], as: UTF8.self), radix: 16),
      size > 0, rest.count >= (cr - rest.startIndex) + 2 + size + 2
    else { return nil }
    let start = cr + 2
    plain += rest[start..<(start + size)]
    guard rest[start + size] == 0x0D, rest[start + size + 1] == 0x0A else { return nil }
    rest = rest[(start + size + 2)...]
  }
  return plain
}
