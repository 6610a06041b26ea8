import WeirCore
import WeirNet
import WeirStore

/// The server's whole behaviour above HTTP: a request and its responder in, an answer out. It starts runs at the
/// host, reads everything from the store, and keeps no state that a restart would miss.
///
///     /healthz /readyz            always open
///     /                           the chat page (`ui`)
///     /_weir/…                    what there is, what runs, stop        InspectionEndpoint
///     /streams/<name>             any stream                            StreamEndpoint
///     the workflows' paths        start or resume a run                 WorkflowEndpoint
///
/// Confined to one loop. It must not know sockets, programs or providers.
package final class ServeApplication {
  package let configuration: ServeConfiguration
  package let fanout: Fanout
  package let index: RunIndex
  let host: any WorkflowHost
  let store: any StreamStore
  let loop: any Loop
  let access: AccessPolicy
  var liveReaders = LiveReaders()
  private let readiness: Readiness
  /// What came before the runs of earlier processes were known; as much as connections are allowed. Nil: they are.
  private var early: [(HTTPRequest, any HTTPResponder)]?
  /// Nil: there are none (`--subscriptions`).
  package let subscriptions: Subscriptions?
  private let routes: [String: [WorkflowRoute]]
  private let routesByName: [String: WorkflowRoute]

  /// False from `stop` on: no new run starts, and load balancers are told to look elsewhere.
  package private(set) var isReady = true

  /// `index`: of all servers that have this store in this process. Nil: there is no other.
  package init(
    _ configuration: ServeConfiguration, host: any WorkflowHost, store: any StreamStore, loop: any Loop,
    index: RunIndex? = nil, subscriptions: Subscriptions? = nil
  ) {
    self.subscriptions = subscriptions
    self.configuration = configuration
    self.host = host
    self.store = store
    self.loop = loop
    access = AccessPolicy(configuration)
    readiness = Readiness(store, loop: loop)
    fanout = Fanout(loop: loop, store: store, limits: configuration.fanout)
    self.index =
      index
      ?? RunIndex(store, configuration.index, loop: loop) { [unowned host] in host.isUnderWay(run: $0) }
    routes = Dictionary(grouping: host.routes, by: \.path)
    routesByName = Dictionary(host.routes.map { ($0.name, $0) }) { first, _ in first }
    fanout.onLastReaderGone = { [unowned self] stream in lastReaderLeft(stream) }
  }

  /// Remembers the runs of earlier processes. Requests that come meanwhile are answered when it is done: before, a run that is
  /// there would be `RunNotFound`, and a client would start it again. Answers why the store cannot be used.
  package func load(_ done: @escaping (StoreFailure?) -> Void = { _ in }) {
    early = early ?? []
    subscriptions?.join(self)
    index.catchUp { [self] failure in
      let waiting = early ?? []
      early = nil
      for (request, responder) in waiting { handle(request, responder) }
      guard failure == nil, let subscriptions else { return done(failure) }
      subscriptions.load(done)
    }
  }

  /// Says not-ready and refuses new runs. Readers of what a run may be writing stay until `disconnectReaders`; the others have
  /// nothing to wait for here.
  package func beginShutdown() {
    isReady = false
    let isOfRun = { (stream: StreamName) in stream.path.hasPrefix(WorkflowStreams.prefix) }
    fanout.stop(except: isOfRun)
    for reader in liveReaders.all where !isOfRun(reader.stream) { reader.stop() }
  }

  /// Whatever else is served, no more is by this one: subscriptions stop with the last server that has them.
  package func leaveSubscriptions() { subscriptions?.leave(self) }

  /// Cuts all readers off; they resume at the next process.
  package func disconnectReaders() {
    leaveSubscriptions()
    fanout.stop()
    for reader in liveReaders.all { reader.stop() }
  }

  // MARK: Dispatch

  package func handle(_ request: HTTPRequest, _ responder: any HTTPResponder) {
    if early != nil, !Self.isProbe(request.path) {
      early?.append((request, responder))
      return
    }
    do {
      try dispatch(request, responder)
    } catch {
      responder.send(Reply(error))
    }
  }

  private func dispatch(_ request: HTTPRequest, _ responder: any HTTPResponder) throws(ServeFailure) {
    let path = request.path
    if Self.isProbe(path) {
      try allow(["GET", "HEAD"], request)
      if path == "/healthz" { return responder.send(Reply(["status": "ok"])) }
      guard isReady, early == nil else {
        return responder.send(Reply(["status": isReady ? "starting" : "stopping"], status: 503))
      }
      readiness.ask { failure in
        // What exactly, the log says; whoever asks here need not show who he is.
        responder.send(
          failure.map { Reply(["status": .string($0.code)], status: 503) } ?? Reply(["status": "ok"]))
      }
      return
    }
    try access.checkHost(request)
    guard request.body.count <= configuration.bodyLimit else { throw .bodyTooLarge(limit: configuration.bodyLimit) }
    if configuration.ui, let login = access.login(request) { return responder.send(login) }
    // A link to a stream stands for the token.
    if routes[path] == nil, let stream = streamName(of: path) { return serveStream(stream, request, responder) }
    try access.checkToken(request)

    if let candidates = routes[path] {
      return try serveWorkflow(candidates, request, responder)
    }
    if path == "/_weir" || path.hasPrefix("/_weir/") {
      return try serveInspection(request, responder)
    }
    if configuration.ui, path == "/" {
      try allow(["GET", "HEAD"], request)
      return responder.send(ChatPage.reply(backends: []))
    }
    throw .notFound(path: path)
  }

  /// Whoever asks these wants to know now.
  private static func isProbe(_ path: String) -> Bool { path == "/healthz" || path == "/readyz" }

  /// 405 with `Allow`, and the answer to OPTIONS, which asks just that.
  func allow(_ methods: [String], _ request: HTTPRequest) throws(ServeFailure) {
    guard methods.contains(request.method) else {
      throw .methodNotAllowed(method: request.method, path: request.path, allow: methods)
    }
  }

  func route(named name: String) -> WorkflowRoute? { routesByName[name] }
  var allRoutes: [WorkflowRoute] { host.routes }

  private func lastReaderLeft(_ stream: StreamName) {
    guard let run = index.run(of: stream), run.end == nil, let route = route(named: run.workflow) else { return }
    // Whoever reads by the protocol comes and goes: while such a reader is there the run has one, and its going ends nothing.
    if route.onDisconnect == .cancel, !liveReaders.hasReader(of: stream) { host.stop(run: run.id) }
  }

  /// A reader that is no `FanoutReader` (a JSON answer) went away.
  func drainLeft(_ stream: StreamName) {
    if fanout.readers(of: stream) == 0 { lastReaderLeft(stream) }
  }
}
