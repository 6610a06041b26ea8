import Testing
import WeirCore
import WeirNet
import WeirStore
import WeirTesting

@testable import WeirServe

/// The index is the first to know of a run and the last to forget it, wherever its process dies.
@Suite struct RunIndexTests {
  private func application(
    _ store: any StreamStore, _ loop: SimulatedLoop, _ limits: RunIndex.Limits = RunIndex.Limits()
  ) -> (ServeApplication, ScriptedHost) {
    var configuration = ServeConfiguration()
    configuration.index = limits
    let host = ScriptedHost([Bench.chat], store)
    return (ServeApplication(configuration, host: host, store: store, loop: loop), host)
  }

  private func start(_ app: ServeApplication) {
    app.handle(
      HTTPRequest(
        method: "POST", path: "/chat", query: "", headers: [("Host", "localhost:8080")],
        body: Array(#"{"message":"hi"}"#.utf8), peer: SocketAddress(host: "127.0.0.1", port: 50000)),
      FakeResponder())
  }

  private func runs(in store: CutStore) -> Set<String> { Set(store.names("runs/")) }

  /// While it is loaded, while the next generation is made, and when that can't be made.
  @Test(arguments: [false, true]) func noRunIsMadeThatTheNextProcessDoesNotKnow(failsToMake: Bool) throws {
    var limits = RunIndex.Limits()
    limits.runs = 2
    var isCut = true
    var refused = 0
    for calls in 1..<1000 where isCut {
      let loop = SimulatedLoop()
      let store = CutStore(loop)
      store.left = calls
      let (app, _) = application(store, loop, limits)
      app.load()
      for number in 0..<30 {
        // The first while it is loaded, the others while the next generation is made as well.
        start(app)
        loop.advance(by: .microseconds(number % 4 == 0 ? 50 : 130))
        store.refusesIndex = failsToMake && (5..<20).contains(number)
      }
      loop.advance(by: .seconds(1))
      isCut = store.left <= 0
      refused += store.refusedCount
      store.left = .max
      let (next, _) = application(store, loop, limits)
      next.load()
      loop.advance(by: .seconds(1))
      let lost = runs(in: store).subtracting(next.index.open.map(\.id))
      #expect(lost.isEmpty, "died after \(calls) calls: \(lost.sorted())")
      if !isCut { #expect(calls > 60 && (failsToMake || runs(in: store).count == 30)) }
    }
    #expect(!isCut && (refused > 0) == failsToMake)
  }

  /// The last generation is closed and the next one can't be made: nothing is begun, and nothing is forgotten.
  @Test func aGenerationThatCannotBeMadeIsMadeLater() throws {
    var limits = RunIndex.Limits()
    limits.runs = 2
    let loop = SimulatedLoop()
    let store = CutStore(loop)
    let (app, host) = application(store, loop, limits)
    app.load()
    loop.advance(by: .seconds(1))
    for number in 0..<30 {
      store.refusesIndex = (5..<20).contains(number)
      start(app)
      loop.advance(by: .seconds(1))
    }
    // Begun up to the end of the first generation, and from the second on.
    #expect(store.refusedCount > 0 && host.started.count == 30 && (15..<28).contains(runs(in: store).count))
    #expect(store.names("_weir/runs/").count == 1, "old generations go: \(store.names("_weir/runs/"))")
    let (next, _) = application(store, loop, limits)
    next.load()
    loop.advance(by: .seconds(1))
    #expect(Set(next.index.open.map(\.id)) == runs(in: store))
  }

  /// A store in memory that was full has let it go: what is remembered is written anew.
  @Test func anIndexThatTheStoreLetGoIsMadeAgain() throws {
    let loop = SimulatedLoop()
    let store = CutStore(loop)
    let (app, _) = application(store, loop)
    for _ in 0..<3 { start(app) }
    loop.advance(by: .seconds(1))
    for name in store.names("_weir/runs/") { store.delete(try StreamName("_weir/runs/\(name)")) { _ in } }
    start(app)
    loop.advance(by: .seconds(1))
    let (next, _) = application(store, loop)
    next.load()
    loop.advance(by: .seconds(1))
    #expect(next.index.open.count == 4)
  }

  /// What is accepted from outside is read back: records wrap it.
  @Test func argumentsAsDeepAsAcceptedAreReadBack() throws {
    let deep = (0..<JSONParser.depthLimit - 1).reduce(JSONValue.null) { value, _ in .array([value]) }
    let arguments = [JSONMember("deep", deep)]
    _ = try JSONValue.parse(JSONValue.object(arguments).encoded())
    #expect(throws: JSONFailure.self) { try JSONValue.parse(JSONValue.array([deep, [deep]]).encoded()) }
    let bench = try Bench()
    let run = RunIndex.Run(
      id: "deep", workflow: "Chat", stream: try RunTicket.stream(forRun: "deep"), arguments: arguments, session: nil,
      startedAt: 0)
    bench.app.index.add(run) { #expect($0 == nil) }
    let next = ServeApplication(ServeConfiguration(), host: bench.host, store: bench.store, loop: bench.loop)
    next.load()
    #expect(next.index.runs == [run])
  }

  /// It is told once, and is there for a version that can read it.
  @Test func aRecordThatCannotBeReadIsToldAndKept() throws {
    let loop = SimulatedLoop()
    let store = CutStore(loop)
    var limits = RunIndex.Limits()
    limits.runs = 2
    func index(_ complaints: @escaping (String) -> Void) -> RunIndex {
      RunIndex(store, limits, loop: loop, isUnderWay: { _ in false }, complain: complaints)
    }
    func add(_ ids: [String], to index: RunIndex) throws {
      for id in ids {
        let stream = try RunTicket.stream(forRun: id)
        index.add(RunIndex.Run(id: id, workflow: "W", stream: stream, arguments: [], session: nil, startedAt: 0)) { _ in
        }
        loop.advance(by: .milliseconds(10))
      }
    }
    let first = index { Issue.record("\($0)") }
    try add(["a"], to: first)
    let name = try StreamName("_weir/runs/\(try #require(store.names("_weir/runs/").first))")
    store.append(name, [Array("{\"id\":".utf8), Array("{\"later\":1}".utf8)], ending: nil) { _ in }
    try add(["b"], to: first)
    for life in 0..<2 {
      var complaints: [String] = []
      let next = index { complaints.append($0) }
      next.catchUp { _ in }
      loop.advance(by: .seconds(1))
      #expect(complaints.count == 1 && complaints.first?.contains("at position") == true, "\(complaints)")
      #expect(next.open.map(\.id).starts(with: ["a", "b"]))
      // Through generations.
      try add((0..<40).map { "r\(life)-\($0)" }, to: next)
    }
  }

  /// What can't be written down is not begun.
  @Test func aRunThatCannotBeRegisteredIsNotMade() throws {
    let loop = SimulatedLoop()
    let store = CutStore(loop)
    let (app, _) = application(store, loop)
    store.refusesIndex = true
    let responder = FakeResponder()
    app.handle(
      HTTPRequest(
        method: "POST", path: "/chat", query: "", headers: [("Host", "localhost:8080")],
        body: Array(#"{"message":"hi"}"#.utf8), peer: SocketAddress(host: "127.0.0.1", port: 50000)), responder)
    loop.advance(by: .seconds(1))
    #expect(responder.status == 503 && app.index.count == 0 && runs(in: store).isEmpty, "\(responder.text)")
    store.refusesIndex = false
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
    let index = RunIndex(CutStore(loop), RunIndex.Limits(), loop: loop) { _ in false }
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
/// refuse to make the index's streams.
private final class CutStore: StreamStore {
  private let inner: MemoryStreamStore
  private let loop: SimulatedLoop
  /// Calls that it still does; the last of them is not answered.
  var left = Int.max
  /// Of the index.
  var refusesIndex = false
  private(set) var refusedCount = 0

  init(_ loop: SimulatedLoop) {
    inner = MemoryStreamStore(loop: loop)
    self.loop = loop
  }

  /// Behind the prefix. For the test itself.
  func names(_ prefix: String) -> [String] {
    var names: [StreamStatus] = []
    inner.list(prefix: prefix, after: nil, limit: 1000) { names = (try? $0.get()) ?? [] }
    return names.map { String($0.name.path.dropFirst(prefix.utf8.count)) }
  }

  private func call<T>(_ answer: @escaping Answer<T>, _ perform: (@escaping Answer<T>) -> Void) {
    left -= 1
    guard left >= 0 else { return }
    let isAnswered = left > 0
    perform { [loop] result in if isAnswered { _ = loop.after(.microseconds(100)) { answer(result) } } }
  }

  func create(_ name: StreamName, _ creation: StreamCreation, _ answer: @escaping Answer<StreamStatus>) {
    call(answer) { told in
      guard refusesIndex, name.path.hasPrefix("_weir/runs/") else { return inner.create(name, creation, told) }
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
  func list(prefix: String, after: StreamName?, limit: Int, _ answer: @escaping Answer<[StreamStatus]>) {
    call(answer) { inner.list(prefix: prefix, after: after, limit: limit, $0) }
  }
}
