import WeirCore

/// The `HTTPTransport` port against scripted servers: a closure gets each request whose URL starts with its prefix
/// and plays the server with an `SimulatedHTTPExchange`, in virtual time. Bodies arrive late and cut anywhere, and
/// break off, as `faults` and the seed say. It keeps every exchange, so a test can ask what was sent and whether a
/// cancel arrived. No connection, pool or header syntax is simulated: that is the real transport's.
///
///     simulation.http.serve("https://api.openai.com/") { exchange in
///       exchange.head(200, [("content-type", "text/event-stream")])
///       exchange.body(Array("data: …\n\n".utf8), after: .milliseconds(20))
///       exchange.finish()
///     }
package final class SimulatedHTTP: HTTPTransport {
  package var faults: SimulatedFaults
  /// Every exchange so far, in the order they were started.
  package private(set) var exchanges: [SimulatedHTTPExchange] = []

  let loop: SimulatedLoop
  let random: SeededRandom
  let trace: SimulationTrace
  private var servers: [(prefix: String, serve: (SimulatedHTTPExchange) -> Void)] = []

  package init(loop: SimulatedLoop, random: SeededRandom, faults: SimulatedFaults, trace: SimulationTrace) {
    self.loop = loop
    self.random = random
    self.faults = faults
    self.trace = trace
  }

  /// The longest prefix wins; a prefix served again replaces its server.
  package func serve(_ prefix: String, _ serve: @escaping (SimulatedHTTPExchange) -> Void) {
    servers.removeAll { $0.prefix == prefix }
    servers.append((prefix, serve))
    servers.sort { $0.prefix.utf8.count > $1.prefix.utf8.count }
  }

  /// One whole response, the same for each request.
  package func reply(_ prefix: String, status: Int = 200, headers: [(name: String, value: String)] = [], body: String) {
    serve(prefix) { exchange in
      exchange.head(status, headers)
      exchange.body(Array(body.utf8))
      exchange.finish()
    }
  }

  package var requests: [HTTPClientRequest] { exchanges.map(\.request) }

  /// Exchanges neither finished nor cancelled: 0 when a test is over, or something leaks requests.
  package var openExchangeCount: Int { exchanges.count { $0.isOpen } }

  package func start(_ request: HTTPClientRequest, handler: any HTTPResponseHandler) -> any HTTPExchange {
    let exchange = SimulatedHTTPExchange(request: request, number: exchanges.count, handler: handler, http: self)
    exchanges.append(exchange)
    trace.note("\(exchange.label) \(request.method) \(request.url)")
    if random.chance(faults.httpRefused) {
      exchange.fail(.refused(SocketAddress(host: request.url, port: 0)))
    } else if let server = servers.first(where: { request.url.hasPrefix($0.prefix) }) {
      _ = loop.after(random.duration(faults.latency)) {
        if exchange.isOpen { server.serve(exchange) }
      }
    } else {
      exchange.fail(.nameNotFound(host: request.url))
    }
    return exchange
  }
}

/// One request and its response: the client's handle (`cancel`, `isReading`) and the scripted server's verbs, which
/// may be called at once with delays, or later from timers of the simulation.
package final class SimulatedHTTPExchange: HTTPExchange {
  package let request: HTTPClientRequest
  package let label: String
  /// The server's wish to know: called when the client cancels.
  package var onCancel: (() -> Void)?
  package private(set) var isCancelled = false
  package private(set) var isFinished = false
  package private(set) var bytesDelivered = 0
  package var isReading = true { didSet { if isReading, !oldValue { deliverSoon() } } }

  private enum Part {
    case head(HTTPResponseHead)
    case body([UInt8])
    case finish(NetworkFailure?)
  }

  private weak var http: SimulatedHTTP?
  private var handler: (any HTTPResponseHandler)?
  /// Written by the server and not yet handed over, oldest first, each with its earliest time.
  private var parts: [(at: Instant, part: Part)] = []
  private var lastArrival = Instant(nanoseconds: 0)
  private var isDelivering = false
  private var isBroken = false

  init(request: HTTPClientRequest, number: Int, handler: any HTTPResponseHandler, http: SimulatedHTTP) {
    self.request = request
    self.handler = handler
    self.http = http
    label = "h\(number + 1)"
  }

  package var isOpen: Bool { !isCancelled && !isFinished }

  package var text: String { String(decoding: request.body ?? [], as: UTF8.self) }

  // MARK: The server

  /// Each verb waits `after` more than the one before it, and at least the network's latency.
  package func head(_ status: Int, _ headers: [(name: String, value: String)] = [], after delay: Duration = .zero) {
    put(.head(HTTPResponseHead(status: status, headers: headers)), after: delay)
  }

  package func body(_ bytes: [UInt8], after delay: Duration = .zero) {
    guard let http else { return }
    for (i, piece) in http.random.cut(bytes, pieceLimit: http.faults.pieceLimit).enumerated() {
      if http.random.chance(http.faults.httpReset) {
        put(.finish(.reset), after: delay)
        isBroken = true
      }
      put(.body(piece), after: i == 0 ? delay : .zero)
    }
  }

  package func body(_ text: String, after delay: Duration = .zero) { body(Array(text.utf8), after: delay) }

  package func finish(after delay: Duration = .zero) { put(.finish(nil), after: delay) }

  package func fail(_ failure: NetworkFailure, after delay: Duration = .zero) { put(.finish(failure), after: delay) }

  private func put(_ part: Part, after delay: Duration) {
    guard isOpen, !isBroken, let http else { return }
    let earliest = http.loop.now + http.random.duration(http.faults.latency)
    lastArrival = max(earliest, lastArrival) + delay
    parts.append((lastArrival, part))
    if case .finish = part { isBroken = true }
    deliverSoon()
  }

  // MARK: The client

  /// Hands over one part a turn, no earlier than its time.
  private func deliverSoon() {
    guard !isDelivering, isOpen, isReading || isEndNext, let next = parts.first, let http else { return }
    isDelivering = true
    _ = http.loop.after(next.at - http.loop.now) { [self] in
      isDelivering = false
      deliver()
    }
  }

  /// A failure is told even to a reader that paused: there is nothing more to wait for.
  private var isEndNext: Bool {
    if case .finish(.some)? = parts.first?.part { true } else { false }
  }

  private func deliver() {
    guard isOpen, isReading || isEndNext, !parts.isEmpty, let handler, let http else { return }
    switch parts.removeFirst().part {
    case .head(let head):
      http.trace.note("\(label) head \(head.status)")
      handler.httpReceived(head: head)
    case .body(let bytes):
      bytesDelivered += bytes.count
      http.trace.note("\(label) body \(bytes.count)")
      handler.httpReceived(body: bytes.span)
    case .finish(let failure):
      http.trace.note("\(label) finished \(failure?.code ?? "complete")")
      isFinished = true
      end()
      handler.httpFinished(failure)
      return
    }
    deliverSoon()
  }

  package func cancel() {
    guard isOpen else { return }
    http?.trace.note("\(label) cancelled")
    isCancelled = true
    let told = onCancel
    end()
    if let told { http?.loop.soon(told) }
  }

  private func end() {
    handler = nil
    onCancel = nil
    parts = []
  }
}
