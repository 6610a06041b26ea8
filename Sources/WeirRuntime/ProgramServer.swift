import WeirCore
import WeirLang
import WeirNet
import WeirServe
import WeirStore

/// How a program's workflows are served, as the command line, the environment and defaults say together.
package struct ServerOptions: Sendable {
  package static let usualPort = 8080

  package var host = "127.0.0.1"
  /// Wins over what the program says (`--port`, `WEIR_PORT`).
  package var port: Int?
  package var tls: ServerTLS?
  /// Allows an address other than loopback with neither token nor TLS.
  package var insecure = false
  /// How long streams may go on after the request to stop.
  package var grace = Duration.seconds(5)
  /// How long a process that shares its store may be silent before others take up its runs.
  package var lease = ProcessLease.usual
  package var serve = ServeConfiguration()
  package init() {}

  package var defaultPort: Int { port ?? Self.usualPort }
}

/// `http.Server([…])`: an HTTP server with the application on top.
final class ProgramServer: Handle {
  private unowned let instance: ProgramInstance
  private let workflows: ServedWorkflows
  private var http: HTTPServer?
  private var application: ServeApplication?
  /// Called once when the server has ended.
  var onClosed: (() -> Void)?

  init(_ workflows: [Workflow], instance: ProgramInstance) throws(Trap) {
    self.instance = instance
    self.workflows = ServedWorkflows(instance.runs)
    super.init(kind: "Server")
    for workflow in workflows { try self.workflows.add(workflow) }
  }

  var isListening: Bool { http != nil }

  /// Binds now, and answers where; requests are answered from the next turn on.
  func listen(port: Int) throws(ListenFailure) -> SocketAddress {
    let options = instance.options.server
    guard options.insecure || options.tls != nil || options.serve.token != nil || Self.isLoopback(options.host) else {
      throw ListenFailure(
        message:
          "refusing to serve on \(options.host) without a token or TLS: whoever reaches it could start and stop runs",
        hint: "add --token TEXT or --tls-cert/--tls-key, or --insecure if the network is yours")
    }
    var serve = options.serve
    if Self.isLoopback(options.host), serve.token == nil { serve.hosts += ServeConfiguration.loopbackHosts }
    serve.isSecure = options.tls != nil
    do {
      let application = ServeApplication(
        serve, host: workflows, store: instance.store, loop: instance.world.loop, index: instance.index,
        subscriptions: try instance.subscriptions())
      var limits = HTTPServer.Limits()
      limits.request.bodyBytes = serve.bodyLimit
      let http = HTTPServer(world: instance.world, limits: limits) { application.handle($0, $1) }
      try http.listen(SocketAddress(host: options.host, port: options.port ?? port), tls: options.tls)
      self.http = http
      self.application = application
      let address = http.address ?? SocketAddress(host: options.host, port: options.port ?? port)
      return address
    } catch let failure as any Failure {
      throw ListenFailure(message: failure.message, hint: failure.hint)
    } catch {
      throw ListenFailure(message: "\(error)", hint: nil)
    }
  }

  /// Remembers what earlier processes have left, and takes it up or ends it. Requests are served meanwhile. A store that cannot be
  /// used is told: a server without one could keep nothing.
  func recover(_ answer: @escaping (StoreFailure?) -> Void) {
    guard let application else { return answer(nil) }
    // First: requests that have come meanwhile are answered as soon as the index is loaded.
    instance.leftRuns.begin { [self] failure in
      if let failure { return answer(failure) }
      application.load { [self] failure in
        if let failure { return answer(failure) }
        // Not before: who reads the line may send requests, and a store that cannot be used ends the process.
        if let address = http?.address { announce(address) }
        instance.leftRuns.recover { answer(nil) }
      }
    }
  }

  private func announce(_ address: SocketAddress) {
    let serve = instance.options.server.serve
    let scheme = instance.options.server.tls == nil ? "http" : "https"
    let host = address.host.contains(":") ? "[\(address.host)]" : address.host
    let count = workflows.routes.count
    var line = "serving \(count) workflow\(count == 1 ? "" : "s") on \(scheme)://\(host):\(address.port)"
    // The token itself stays out of what may be a log.
    if serve.ui { line += serve.token == nil ? "/ (chat page)" : "/ (chat page: open /?token=… once)" }
    instance.log(line)
    for route in workflows.routes { instance.log("  \(route.method) \(route.path)  \(route.name)") }
  }

  /// Stops accepting at once. Streams may finish until the grace is over; then readers are cut and resume elsewhere.
  func close(grace: Duration, _ done: @escaping () -> Void) {
    guard let http else { return instance.world.loop.soon(done) }
    application?.beginShutdown()
    let cut = instance.world.loop.after(grace) { [application] in application?.disconnectReaders() }
    http.close(grace: grace) { [self] in
      cut.cancel()
      application?.leaveSubscriptions()
      self.http = nil
      application = nil
      done()
    }
  }

  /// Whoever waits for this server goes on.
  func ended() {
    let told = onClosed
    onClosed = nil
    told?()
  }

  static func isLoopback(_ host: String) -> Bool {
    if host == "localhost" || host == "::1" { return true }
    // A name may start with 127. as well, and lead anywhere.
    let parts = host.split(separator: ".", omittingEmptySubsequences: false)
    return parts.count == 4 && parts[0] == "127" && parts.allSatisfy { UInt8($0) != nil }
  }
}

struct ListenFailure: Failure {
  var code: String { "CannotListen" }
  var message: String
  var hint: String?
}

extension ProgramInstance {
  /// One for all servers of the program: a store has one observer, and a change wakes each subscription once. Nil: there are
  /// none (`--subscriptions`).
  func subscriptions() throws -> Subscriptions? {
    guard let store = store as? ObservedStore else { return nil }
    if let shared = sharedSubscriptions, !shared.isStopped { return shared }
    let serve = options.server.serve
    guard serve.token != nil || serve.publicStreams else {
      throw ListenFailure(
        message: "subscriptions need a token or public streams: whoever may write streams may subscribe",
        hint: "add --token TEXT or --public-streams, or leave --subscriptions out")
    }
    guard store.isExclusive else {
      throw ListenFailure(
        message: "subscriptions need a store that one process writes: each of several servers would call the webhooks",
        hint: "keep streams in a folder, or leave --subscriptions out")
    }
    let random = world.random
    func secret() -> [UInt8] { (0..<4).flatMap { _ in withUnsafeBytes(of: random.next()) { Array($0) } } }
    let keys = serve.subscriptionKeys ?? SubscriptionKeys(webhooks: secret(), tokens: secret())
    let made = try Subscriptions(
      .init(keys: keys, allowsThisMachine: serve.localWebhooks, isPublic: serve.token == nil), store: store,
      world: world
    ) { [weak self] in self?.log($0) }
    sharedSubscriptions = made
    return made
  }
}
