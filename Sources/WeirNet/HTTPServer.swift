import WeirCore
import WeirWire

/// HTTP/1.1 over the network port: accepts, reads requests, lets a handler answer them, keeps every limit and deadline.
///
/// Confined to one loop. Bytes are `WeirWire`'s business, what a request means is the handler's. One timer for the
/// whole server sweeps the connections that wait for something; a streaming connection waits for nothing and costs no
/// timer. Everything that is written to a connection in one turn of the loop leaves in one `ByteStream.send`.
package final class HTTPServer {
  package struct Limits: Sendable {
    package var request = HTTPRequestParser.Limits()
    /// First byte of a request to the end of its head. Slow heads are how a server is held open for nothing.
    package var headTimeout = Duration.seconds(10)
    /// Between requests, and before the first.
    package var idleTimeout = Duration.seconds(60)
    /// Two arrivals of body bytes apart.
    package var bodyTimeout = Duration.seconds(30)
    /// End of head to end of body: bounds a body that drips.
    package var bodyDuration = Duration.seconds(300)
    /// A client that takes nothing of what is offered. A streamed answer can be resumed, so it is cut as well.
    package var stallTimeout = Duration.seconds(60)
    /// After our last byte, for the client's own end: closing at once could reset what it has not read yet.
    package var lingerTimeout = Duration.seconds(2)
    /// A client that ended its half and reads a stream on may be one that is gone: only writing tells. A stream that
    /// writes nothing for this long is cut for such a client.
    package var halfClosedTimeout = Duration.seconds(300)
    /// Connections at a time; more are told 503.
    package var connections = 16_000
    /// Bytes of further requests read while one is being answered (one read may go over it).
    package var pipelinedBytes = 64 << 10
    /// One chunk of a streamed answer, and so what is copied for a reader whose socket is full.
    package var frameBytes = 64 << 10
    /// Answers waiting for a client that pipelines without reading; above it its next request waits.
    package var outputBytes = 256 << 10
    package init() {}
  }

  package typealias Handler = (HTTPRequest, any HTTPResponder) -> Void

  let loop: any Loop
  let limits: Limits
  let handler: Handler
  private let network: any Network
  private var listener: (any Listener)?
  private var connections: [HTTPConnection] = []
  private var upgrades: [ObjectIdentifier: HTTPUpgrade] = [:]
  private var closing: (() -> Void)?
  private(set) var isClosing = false
  private var graceTimer: (any Cancellable)?

  package init(world: World, limits: Limits = Limits(), handler: @escaping Handler) {
    loop = world.loop
    network = world.network
    self.limits = limits
    self.handler = handler
  }

  package func listen(_ address: SocketAddress, tls: ServerTLS? = nil) throws(NetworkFailure) {
    listener = try network.listen(address, tls: tls) { [weak self] stream in
      if let self { accept(stream) } else { stream.close() }
    }
  }

  /// Where it listens, with the port that was taken if 0 was asked for. nil before `listen` and after `close`.
  package var address: SocketAddress? { listener?.address }
  /// Those that were upgraded among them.
  package var connectionCount: Int { connections.count + upgrades.count }

  /// Stops accepting. Idle connections are closed, upgraded ones say goodbye, answers under way may finish within
  /// `grace`; what is left then is cut and its observers are told. `done` is called once, in a later job.
  package func close(grace: Duration, done: @escaping () -> Void) {
    listener?.close()
    listener = nil
    if isClosing {
      loop.soon(done)
      return
    }
    isClosing = true
    closing = done
    for connection in connections { connection.serverCloses() }
    for upgrade in upgrades.values { upgrade.onClosing?() }
    if connectionCount == 0 {
      finishClosing()
    } else {
      graceTimer = loop.after(grace) { [self] in
        graceTimer = nil
        for connection in connections { connection.cut() }
        for upgrade in upgrades.values { upgrade.cut() }
      }
    }
  }

  private func finishClosing() {
    guard let done = closing else { return }
    closing = nil
    graceTimer?.cancel()
    graceTimer = nil
    loop.soon(done)
  }

  // MARK: Connections

  /// Refused connections that may wait for their 503 to be read; beyond them the door is shut without a word.
  private static let refusedLimit = 64

  private func accept(_ stream: any ByteStream) {
    guard !isClosing, connectionCount < limits.connections + Self.refusedLimit else { return stream.close() }
    let connection = HTTPConnection(stream, of: self)
    connection.slot = connections.count
    connections.append(connection)
    if connectionCount > limits.connections {
      connection.refuse(status: 503, ServerFailure.full(limit: limits.connections))
    } else {
      connection.start()
    }
  }

  func remove(_ connection: HTTPConnection) {
    guard connection.slot >= 0 else { return }
    connections.swapAt(connection.slot, connections.count - 1)
    connections[connection.slot].slot = connection.slot
    connections.removeLast()
    connection.slot = -1
    disarm(connection)
    if isClosing, connectionCount == 0 { finishClosing() }
  }

  /// The connection goes on as something else, and is counted until that is over.
  func upgraded(_ stream: any ByteStream, _ early: [UInt8]) -> HTTPUpgrade {
    let upgrade = HTTPUpgrade(stream, early: early) { [weak self] upgrade in
      guard let self else { return }
      upgrades[ObjectIdentifier(upgrade)] = nil
      if isClosing, connectionCount == 0 { finishClosing() }
    }
    upgrades[ObjectIdentifier(upgrade)] = upgrade
    return upgrade
  }

  // MARK: Deadlines

  /// Deadlines are kept to this much; the sweep touches waiting connections only.
  private static let sweepInterval = Duration.seconds(1)
  private var waiting: [HTTPConnection] = []
  private var isSweeping = false

  func arm(_ connection: HTTPConnection, _ delay: Duration) {
    connection.deadline = loop.now + delay
    if connection.waitingSlot < 0 {
      connection.waitingSlot = waiting.count
      waiting.append(connection)
    }
    if !isSweeping { scheduleSweep() }
  }

  func disarm(_ connection: HTTPConnection) {
    guard connection.waitingSlot >= 0 else { return }
    waiting.swapAt(connection.waitingSlot, waiting.count - 1)
    waiting[connection.waitingSlot].waitingSlot = connection.waitingSlot
    waiting.removeLast()
    connection.waitingSlot = -1
  }

  private func scheduleSweep() {
    isSweeping = true
    _ = loop.after(Self.sweepInterval) { [weak self] in self?.sweep() }
  }

  private func sweep() {
    isSweeping = false
    let now = loop.now
    for connection in waiting.filter({ $0.deadline <= now }) where connection.waitingSlot >= 0 {
      if connection.deadline <= now { connection.deadlinePassed() }
    }
    if !waiting.isEmpty { scheduleSweep() }
  }

  // MARK: Output of a turn

  private var dirty: [HTTPConnection] = []
  private var isFlushScheduled = false

  /// `connection` has output to send at the end of this turn.
  func flushLater(_ connection: HTTPConnection) {
    dirty.append(connection)
    if isFlushScheduled { return }
    isFlushScheduled = true
    loop.atEndOfTurn { [self] in flush() }
  }

  private func flush() {
    isFlushScheduled = false
    let batch = dirty
    dirty.removeAll(keepingCapacity: true)
    for connection in batch {
      // The head of a streamed answer lets the other flushes of this turn go first: their bytes take it along.
      if connection.letsBodyGoFirst() { flushLater(connection) } else { connection.flush() }
    }
  }

  // MARK: Date

  private var dateSecond = Int64.min
  private var dateBytes: [UInt8] = []

  var date: [UInt8] {
    let now = loop.wallClock
    if now / 1000 != dateSecond {
      dateSecond = now / 1000
      dateBytes = HTTPDate.bytes(now)
    }
    return dateBytes
  }
}

/// What the server itself answers with.
package enum ServerFailure: Failure, Equatable {
  case full(limit: Int)
  case headTimeout(Duration)
  case bodyTimeout(Duration)
  case unanswered

  package var code: String {
    switch self {
    case .full: "TooManyConnections"
    case .headTimeout, .bodyTimeout: "RequestTimeout"
    case .unanswered: "InternalError"
    }
  }
  package var message: String {
    switch self {
    case .full(let limit): "the server has \(limit) connections and takes no more"
    case .headTimeout(let time): "the request's head did not arrive within \(time)"
    case .bodyTimeout(let time): "the request's body did not arrive within \(time)"
    case .unanswered: "the request was not answered"
    }
  }
  package var hint: String? {
    switch self {
    case .full: "try again in a moment"
    default: nil
    }
  }
}
