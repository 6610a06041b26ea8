import Testing
import WeirCore
import WeirNet
import WeirStore
import WeirTesting

@testable import WeirServe

/// The index is the first to know of a run and the last to forget it, wherever its process dies.
@Suite struct RunIndexTests {
  private static let places = (name("_weir/runs"), name("_weir/runs-copy"))
  private static func name(_ path: String) -> StreamName { try! StreamName(path) }

  private func application(
    _ store: any StreamStore, _ loop: SimulatedLoop, _ limits: RunIndex.Limits = RunIndex.Limits()
  ) throws -> (ServeApplication, ScriptedHost) {
    var configuration = ServeConfiguration()
    configuration.index = limits
    let host = ScriptedHost([Bench.chat], store)
    return (try ServeApplication(configuration, host: host, store: store, loop: loop), host)
  }

  private func start(_ app: ServeApplication) {
    app.handle(
      HTTPRequest(
        method: "POST", path: "/chat", query: "", headers: [("Host", "localhost:8080")],
        body: Array(#"{"message":"hi"}"#.utf8), peer: SocketAddress(host: "127.0.0.1", port: 50000)),
      FakeResponder())
  }

  private func runs(in store: any StreamStore) -> Set<String> {
    var names: [StreamStatus] = []
    store.list(prefix: "runs/", after: nil, limit: 1000) { names = (try? $0.get()) ?? [] }
    return Set(names.map { String($0.name.path.dropFirst(5)) })
  }

  /// While it is loaded, while it is written anew, and when one of its streams can't be made.
  @Test(arguments: [false, true]) func noRunIsMadeThatTheNextProcessDoesNotKnow(failsToMake: Bool) throws {
    var limits = RunIndex.Limits()
    limits.runs = 2
    var isCut = true
    var refused = 0
    for calls in 1..<1000 where isCut {
      let loop = SimulatedLoop()
      let store = CutStore(loop)
      store.left = calls
      let (app, _) = try application(store, loop, limits)
      app.load()
      for number in 0..<30 {
        // The first while it is loaded, the others while it is written anew as well.
        start(app)
        loop.advance(by: .microseconds(number % 4 == 0 ? 50 : 130))
        if failsToMake, number == 5 { store.refuses = Self.places.0 }
      }
      loop.advance(by: .seconds(1))
      isCut = store.left <= 0
      refused += store.refusedCount
      store.left = .max
      store.refuses = nil
      let (next, _) = try application(store, loop, limits)
      next.load()
      loop.advance(by: .seconds(1))
      let lost = runs(in: store).subtracting(next.index.open.map(\.id))
      #expect(lost.isEmpty, "died after \(calls) calls: \(lost.sorted())")
      if !isCut { #expect(calls > 60 && runs(in: store).count == 30) }
    }
    #expect(!isCut && (refused > 0) == failsToMake)
  }

  /// The stream was deleted and can't be made again: the copy has everything, and goes on.
  @Test func aStreamThatCannotBeMadeAnewLeavesItsCopy() throws {
    var limits = RunIndex.Limits()
    limits.runs = 2
    let loop = SimulatedLoop()
    let store = CutStore(loop)
    let (app, host) = try application(store, loop, limits)
    app.load()
    loop.advance(by: .seconds(1))
    for _ in 0..<8 {
      start(app)
      loop.advance(by: .seconds(1))
    }
    store.refuses = Self.places.0
    for _ in 0..<8 {
      start(app)
      loop.advance(by: .seconds(1))
    }
    #expect(store.refusedCount > 0 && host.started.count == 16 && runs(in: store).count == 16)
    #expect(!store.has(Self.places.0) && store.has(Self.places.1))
    for _ in 0..<2 {
      let (next, _) = try application(store, loop, limits)
      next.load()
      loop.advance(by: .seconds(1))
      #expect(next.index.open.count == 16)
    }
    // When it can be made, it is.
    store.refuses = nil
    let (next, _) = try application(store, loop, limits)
    next.load()
    loop.advance(by: .seconds(1))
    #expect(next.index.open.count == 16 && store.has(Self.places.0) && !store.has(Self.places.1))
  }

  /// What can't be written down is not begun.
  @Test func aRunThatCannotBeRegisteredIsNotMade() throws {
    let loop = SimulatedLoop()
    let store = CutStore(loop)
    let (app, _) = try application(store, loop)
    store.refuses = Self.places.0
    let responder = FakeResponder()
    app.handle(
      HTTPRequest(
        method: "POST", path: "/chat", query: "", headers: [("Host", "localhost:8080")],
        body: Array(#"{"message":"hi"}"#.utf8), peer: SocketAddress(host: "127.0.0.1", port: 50000)), responder)
    loop.advance(by: .seconds(1))
    #expect(responder.status == 503 && app.index.count == 0 && runs(in: store).isEmpty, "\(responder.text)")
    store.refuses = nil
    start(app)
    loop.advance(by: .seconds(1))
    #expect(app.index.count == 1 && runs(in: store).count == 1)
  }

  @Test func aRunIsNotOverBeforeItsJournalIs() throws {
    let bench = try Bench()
    let journal = try WorkflowStreams.journal(of: "run1")
    bench.chat()
    bench.store.create(journal, contentType: "application/json") { _ in }
    bench.finish("run1", [.text("a")])
    func state() -> String? { bench.ask("GET", "/_weir/runs").json?["runs"]?[0]?["state"]?.string }
    #expect(state() == "completed")
    #expect(bench.ask("GET", "/_weir/runs/run1").json?["state"] == "completed")
    #expect(bench.app.index.open.map(\.id) == ["run1"], "somebody has to end its journal")
    bench.store.append(journal, [], ending: .closed) { _ in }
    // Whoever runs it is the one who says so.
    bench.host.underWay = ["run1"]
    #expect(state() == "completed" && bench.app.index.open.map(\.id) == ["run1"])
    bench.host.underWay = []
    #expect(state() == "completed" && bench.app.index.open.isEmpty)
  }

  @Test func whatIsRememberedIsBoundedByTheRunsThatAre() throws {
    let loop = SimulatedLoop()
    let index = try RunIndex(CutStore(loop), RunIndex.Limits())
    for number in 0..<20_000 {
      let id = "run\(number)"
      index.add(
        RunIndex.Run(
          id: id, workflow: "Chat", stream: try RunTicket.stream(forRun: id), arguments: [], session: nil,
          startedAt: 0)
      ) { _ in }
      index.ended(id, .completed)
      // Some are deleted, the others go when there are too many.
      if number % 3 == 0 { index.delete(id) }
    }
    loop.advance(by: .seconds(1))
    #expect(index.count == 1000)
    #expect(index.placeCount <= 3 * (2 * index.count + 17), "\(index.placeCount)")
  }
}

/// A store in memory that answers 100 µs later, does nothing any more after a number of calls, as when its process dies, and can
/// refuse to make one stream.
private final class CutStore: StreamStore {
  private let inner: MemoryStreamStore
  private let loop: SimulatedLoop
  /// Calls that it still does; the last of them is not answered.
  var left = Int.max
  var refuses: StreamName?
  private(set) var refusedCount = 0

  init(_ loop: SimulatedLoop) {
    inner = MemoryStreamStore(loop: loop)
    self.loop = loop
  }

  func has(_ name: StreamName) -> Bool {
    var isThere = false
    inner.status(name) { if case .success = $0 { isThere = true } }
    return isThere
  }

  private func call<T>(_ answer: @escaping Answer<T>, _ perform: (@escaping Answer<T>) -> Void) {
    left -= 1
    guard left >= 0 else { return }
    let isAnswered = left > 0
    perform { [loop] result in if isAnswered { _ = loop.after(.microseconds(100)) { answer(result) } } }
  }

  func create(_ name: StreamName, _ creation: StreamCreation, _ answer: @escaping Answer<StreamStatus>) {
    call(answer) { told in
      // What is there can be found.
      guard name == refuses, !has(name) else { return inner.create(name, creation, told) }
      refusedCount += 1
      told(.failure(.full("no room")))
    }
  }
  func append(_ name: StreamName, _ append: StreamAppend, _ answer: @escaping Answer<StreamAppended>) {
    call(answer) { inner.append(name, append, $0) }
  }
  func status(_ name: StreamName, _ answer: @escaping Answer<StreamStatus>) {
    call(answer) { inner.status(name, $0) }
  }
  func read(_ name: StreamName, from offset: Offset, byteLimit: Int, _ answer: @escaping Answer<StreamBatch>) {
    call(answer) { inner.read(name, from: offset, byteLimit: byteLimit, $0) }
  }
  func watch(_ name: StreamName, _ wake: @escaping () -> Void) -> any Cancellable { inner.watch(name, wake) }
  func delete(_ name: StreamName, _ answer: @escaping Answer<Void>) { call(answer) { inner.delete(name, $0) } }
  /// For the test itself.
  func list(prefix: String, after: StreamName?, limit: Int, _ answer: @escaping Answer<[StreamStatus]>) {
    inner.list(prefix: prefix, after: after, limit: limit, answer)
  }
}
