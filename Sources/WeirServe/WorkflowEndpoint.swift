import WeirCore
import WeirNet
import WeirStore
import WeirWire

/// A workflow's own path: check the request, start a run, and read it; or read on in the run that the client names.
///
/// **Resuming never starts a second run.** Event ids on this path are `<offset>@<run>`, so an `EventSource` that
/// reconnects to `/chat?message=…` names its run by itself. Clients that keep the two apart may send `Stream-Id`
/// (as answered) with a bare offset in `Last-Event-ID`.
extension ServeApplication {
  /// How a request wants to read a run.
  enum Reading: Equatable {
    case stream(OutputFormat)
    case json
  }

  func serveWorkflow(
    _ candidates: [WorkflowRoute], _ request: HTTPRequest, _ responder: any HTTPResponder
  ) throws(ServeFailure) {
    if WebSocketUpgrade.isAsked(request),
      let route = candidates.first(where: { $0.kind == .stream }) ?? candidates.first
    {
      return try serveWebSocket(route, request, responder)
    }
    var allowed: [String] = []
    for route in candidates {
      for method in route.methods where !allowed.contains(method) { allowed.append(method) }
    }
    allowed.append("OPTIONS")
    guard
      let route = candidates.first(where: { $0.method == request.method })
        ?? candidates.first(where: { $0.methods.contains(request.method) })
    else {
      if request.method == "OPTIONS" {
        return responder.send(Reply(status: 204, headers: [("Allow", allowed.joined(separator: ", "))]))
      }
      throw .methodNotAllowed(method: request.method, path: request.path, allow: allowed)
    }

    let query = try request.queryItems()
    let reading = try reading(route, request, query)
    if request.method == "HEAD" {
      // HEAD is safe: it tells what a GET would look like and starts nothing.
      return responder.send(Reply(status: 200, headers: [("Content-Type", reading.contentType), ("Vary", "Accept")]))
    }
    try access.checkOrigin(request)

    if let lastEventID = request["Last-Event-ID"] ?? query?["last_event_id"], !lastEventID.isEmpty {
      let place = try EventID(lastEventID)
      return try resume(place, at: route, request, reading, responder)
    }
    let isQueryRead = route.kind == .stream || request.method == "GET" || request.method == "DELETE"
    try request.checkContentCoding()
    let input = try ArgumentDecoder.Input(
      request: request.body, contentType: request["Content-Type"], query: isQueryRead ? query : nil)
    let arguments = try ArgumentDecoder(route.parameters).arguments(input)
    guard isReady else { throw .stopping }
    guard fanout.hasRoom else { throw .tooManyReaders(limit: fanout.limits.readers) }
    start(route, arguments, session: input.text("session_id"), reading, responder)
  }

  private func reading(
    _ route: WorkflowRoute, _ request: HTTPRequest, _ query: QueryString?
  ) throws(ServeFailure) -> Reading {
    func control(_ name: String) -> String? {
      route.parameters.contains { $0.name == name } ? nil : query?[name]
    }
    if control("stream") == "false" { return .json }
    if let name = control("format") {
      if name == "json" { return .json }
      guard let format = OutputFormat(rawValue: name), !format.isOfItems else { throw .badFormat(name) }
      return .stream(format)
    }
    let accept = request["Accept"]
    // What `EventSource` sends: the first of the SSE formats, whatever else there is.
    if accept == "text/event-stream" { return .stream(.weir) }
    let offers = route.kind == .stream ? Self.streamOffers : Self.valueOffers
    guard let best = Accept(accept).preferred(among: offers.map(\.type)) else {
      var offered: [String] = []
      for offer in offers where !offered.contains(offer.type.essence) { offered.append(offer.type.essence) }
      throw .notAcceptable(accept: String((accept ?? "").prefix(100)), offered: offered)
    }
    return offers[best].reading
  }

  private typealias Offer = (type: MediaType, reading: Reading)

  private static let streamOffers = offers([.stream(.weir), .json, .stream(.text), .stream(.aiSDK), .stream(.openai)])
  private static let valueOffers = offers([.json, .stream(.weir), .stream(.text), .stream(.aiSDK), .stream(.openai)])

  /// SSE formats are told apart by a parameter: `Accept: text/event-stream; format=openai`.
  private static func offers(_ readings: [Reading]) -> [Offer] {
    readings.compactMap { reading in
      var name = reading.contentType
      if case .stream(let format) = reading {
        name = format.isSSE ? "text/event-stream; format=\(format.rawValue)" : "text/plain"
      }
      return MediaType(name).map { ($0, reading) }
    }
  }

  // MARK: Start

  func start(
    _ route: WorkflowRoute, _ arguments: [JSONMember], session: String?, _ reading: Reading,
    _ responder: any HTTPResponder
  ) {
    let client = WaitingClient()
    responder.observer = client
    var run: RunIndex.Run?
    host.start(route, arguments: arguments) { [self] ticket, done in
      let entry = RunIndex.Run(
        id: ticket.id, workflow: route.name, stream: ticket.stream, arguments: arguments, session: session,
        startedAt: loop.wallClock)
      run = entry
      index.add(entry) { failure in
        done(failure.map { RunFailure(code: $0.code, message: $0.message, retryable: true, status: 503) })
      }
    } answer: { [self] result in
      switch result {
      case .failure(let failure):
        // Usually nothing was made of it.
        if let run { index.learnEnd(of: run.id) }
        if !client.isGone { responder.send(Reply(failure)) }
      case .success(let ticket):
        guard let run else { preconditionFailure("a host has started a run that it has not registered") }
        if client.isGone {
          if route.onDisconnect == .cancel { host.stop(run: ticket.id) }
          return
        }
        read(run, from: .start, reading, responder)
      }
    }
  }

  private func read(
    _ run: RunIndex.Run, from offset: Offset, _ reading: Reading, _ responder: any HTTPResponder
  ) {
    switch reading {
    case .json: answerWhole(run, responder)
    case .stream(let format): follow(run, from: offset, format, responder)
    }
  }

  func follow(
    _ run: RunIndex.Run, from offset: Offset, _ format: OutputFormat, _ responder: any HTTPResponder
  ) {
    responder.begin(status: 200, headers: Self.streamHeaders(format) + Self.runHeaders(run))
    fanout.attach(
      responder, to: run.stream, from: offset, format: format, run: run.id, model: run.workflow)
  }

  static func streamHeaders(_ format: OutputFormat) -> [(name: String, value: String)] {
    var headers = [
      (name: "Content-Type", value: format.contentType), ("Cache-Control", "no-cache"), ("X-Accel-Buffering", "no"),
      ("X-Content-Type-Options", "nosniff"),
      ("Vary", "Accept"),
    ]
    if format == .aiSDK { headers.append(("X-Vercel-AI-UI-Message-Stream", "v1")) }
    return headers
  }

  static func runHeaders(_ run: RunIndex.Run) -> [(name: String, value: String)] {
    [("Stream-Id", run.stream.path), ("Run-Id", run.id), ("Location", "/streams/\(escapedPath(run.stream.path))")]
  }

  // MARK: Resume

  private func resume(
    _ place: EventID, at route: WorkflowRoute, _ request: HTTPRequest, _ reading: Reading,
    _ responder: any HTTPResponder
  ) throws(ServeFailure) {
    guard let id = place.run else {
      let stream = request["Stream-Id"].flatMap { try? StreamName($0) }
      let run = stream.flatMap { index.run(of: $0) ?? Self.unlisted($0, route) }
      return try resume(run, place, at: route, request["Stream-Id"] ?? "", reading, responder)
    }
    let client = WaitingClient()
    responder.observer = client
    index.find(id) { [self] result in
      if client.isGone { return }
      switch result {
      case .failure(let failure): responder.send(Reply(.storeUnavailable(failure.message)))
      case .success(let run):
        do throws(ServeFailure) {
          try resume(run ?? Self.unlisted(id, route), place, at: route, id, reading, responder)
        } catch {
          responder.send(Reply(error))
        }
      }
    }
  }

  private func resume(
    _ run: RunIndex.Run?, _ place: EventID, at route: WorkflowRoute, _ name: String, _ reading: Reading,
    _ responder: any HTTPResponder
  ) throws(ServeFailure) {
    guard let run, run.workflow == route.name else { throw .runNotFound(name) }
    resume(run, after: place.offset, reading, responder)
  }

  /// A run that left the index: its stream is found by the name that runs have.
  private static func unlisted(_ id: String, _ route: WorkflowRoute) -> RunIndex.Run? {
    guard let stream = try? RunTicket.stream(forRun: id) else { return nil }
    return RunIndex.Run(id: id, workflow: route.name, stream: stream, arguments: [], session: nil, startedAt: 0)
  }

  private static func unlisted(_ stream: StreamName, _ route: WorkflowRoute) -> RunIndex.Run? {
    guard stream.path.hasPrefix("runs/") else { return nil }
    return unlisted(String(stream.path.dropFirst("runs/".utf8.count)), route)
  }

  func resume(
    _ run: RunIndex.Run, after offset: Offset, _ reading: Reading, _ responder: any HTTPResponder
  ) {
    let client = WaitingClient()
    responder.observer = client
    store.status(run.stream) { [self] result in
      if client.isGone { return }
      switch result {
      case .failure(.notFound):
        responder.send(Reply(.runNotFound(run.id)))
      case .failure(let failure):
        responder.send(Reply(.storeUnavailable(failure.message)))
      case .success(let status):
        guard offset <= status.tail else {
          return responder.send(Reply(.badOffset(offset.description)))
        }
        if status.ending != nil, offset == status.tail, reading != .json {
          // 204 is how a server tells EventSource to stop coming back (WHATWG HTML 9.2.3).
          return responder.send(Reply(status: 204, headers: Self.runHeaders(run)))
        }
        guard fanout.hasRoom else { return responder.send(Reply(.tooManyReaders(limit: fanout.limits.readers))) }
        switch reading {
        case .json: answerWhole(run, responder)
        case .stream(let format): follow(run, from: offset, format, responder)
        }
      }
    }
  }

  // MARK: JSON

  /// One answer made of the whole stream: the same events, so both ways of reading agree.
  private func answerWhole(_ run: RunIndex.Run, _ responder: any HTTPResponder) {
    let drain = RunDrain(store, run.stream, follows: true, limit: configuration.replyLimit)
    let client = WaitingClient { [self] in
      drain.cancel()
      drainLeft(run.stream)
    }
    responder.observer = client
    drain.start { [self] result in
      if client.isGone { return }
      switch result {
      case .failure(let failure):
        responder.send(Reply(.storeUnavailable(failure.message)))
      case .success(let outcome):
        if let end = outcome.end { index.answered(run.id, end) }
        responder.send(reply(to: run, outcome))
      }
    }
  }

  private func reply(to run: RunIndex.Run, _ outcome: RunDrain.Outcome) -> Reply {
    let end = outcome.end ?? .truncated
    var members: [JSONMember] = []
    if let session = run.session { members.append(JSONMember("session_id", .string(session))) }
    members.append(JSONMember("stream_id", .string(run.stream.path)))
    members.append(JSONMember("run_id", .string(run.id)))
    members.append(JSONMember("usage", outcome.usage?.json ?? .null))
    members.append(JSONMember("finish", .string(end.rawValue)))
    var reply: Reply
    if outcome.isCut {
      let failure = RunFailure(
        code: "ReplyTooLarge", message: "the reply is longer than \(configuration.replyLimit) bytes",
        hint: "read it as a stream: /streams/\(run.stream)")
      reply = Reply(failure, members: members)
    } else {
      switch end {
      case .completed, .length, .filtered, .toolCalls:
        if let value = outcome.value {
          reply = Reply(value)
        } else {
          let text = JSONMember("reply", .string(outcome.text))
          reply = Reply(.object([text, JSONMember("content", text.value)] + members))
        }
      case .aborted, .truncated, .error, .budget:
        let failure = outcome.failure ?? Self.failure(of: end)
        reply = Reply(failure, members: [JSONMember("reply", .string(outcome.text))] + members)
      }
    }
    reply.headers += Self.runHeaders(run) + [("Vary", "Accept")]
    return reply
  }

  private static func failure(of end: EndState) -> RunFailure {
    switch end {
    case .aborted: RunFailure(code: "RunAborted", message: "the run was stopped before it was complete")
    case .budget: RunFailure(code: "BudgetExhausted", message: "the budget was spent before the run was complete")
    case .truncated:
      RunFailure(code: "Truncated", message: "the answer broke off before it was complete", retryable: true)
    default: RunFailure(code: "Internal", message: "the run failed without saying why")
    }
  }
}

/// The id of an event: an offset, and on a workflow's path the run that it counts in.
struct EventID: Equatable {
  var offset: Offset
  var run: String?

  init(_ text: String) throws(ServeFailure) {
    let parts = text.split(separator: "@", maxSplits: 1, omittingEmptySubsequences: false)
    guard let offset = parts[0] == "-1" ? .start : Offset(parts[0]), parts.count == 1 || !parts[1].isEmpty else {
      throw .badOffset(String(text.prefix(60)))
    }
    self.offset = offset
    run = parts.count == 2 ? String(parts[1]) : nil
  }
}

/// Watches a client until its answer begins.
final class WaitingClient: HTTPResponseObserver {
  private(set) var isGone = false
  private let onGone: (() -> Void)?

  init(_ onGone: (() -> Void)? = nil) { self.onGone = onGone }

  func responseBecameWritable() {}
  func responseCancelled() {
    isGone = true
    onGone?()
  }
}

extension ServeApplication.Reading {
  var contentType: String {
    switch self {
    case .json: "application/json"
    case .stream(let format): format.contentType
    }
  }
}

extension WorkflowRoute {
  /// What its path answers: its own method, and GET for a stream, because `EventSource` cannot do anything else.
  var methods: [String] {
    var methods = [method]
    if kind == .stream, method != "GET" { methods.append("GET") }
    if methods.contains("GET") { methods.append("HEAD") }
    return methods
  }
}

extension HTTPRequest {
  /// nil without a query.
  func queryItems() throws(ServeFailure) -> QueryString? {
    if query.isEmpty { return nil }
    do { return try QueryString(query) } catch { throw .badQuery(error.message) }
  }

  /// Bodies are taken as they are: what is compressed would be kept, or read as arguments, without ever being understood.
  func checkContentCoding() throws(ServeFailure) {
    guard !body.isEmpty, let coding = self["Content-Encoding"], coding.lowercased() != "identity" else { return }
    throw .unsupportedContentCoding(coding)
  }
}

/// A stream's name in a URL.
func escapedPath(_ path: String) -> String {
  // Runs have plain names; nothing is taken apart for them.
  if path.utf8.allSatisfy({ $0 == UInt8(ascii: "/") || 0x61 <= $0 && $0 <= 0x7A || 0x30 <= $0 && $0 <= 0x39 }) {
    return path
  }
  return path.split(separator: "/", omittingEmptySubsequences: false).map { URLPath.encoded(segment: String($0)) }
    .joined(separator: "/")
}
