import WeirCore
import WeirNet
import WeirStore
import WeirWire

/// Streams over HTTP below `/streams/` and wherever else the configuration says: the Durable Streams Protocol 1.0
/// (docs/durable-http.md), and plain server-sent events for browsers.
///
///     OPTIONS                        what may be asked                   here
///     PUT  POST  DELETE              create, append and close, delete    StreamWriting
///     GET  HEAD                      what there is                       StreamReading
///     GET  ?live=long-poll           what comes next, once               LongPoll
///     GET  ?live=sse                 what comes, the protocol's events   LiveEvents
///     GET  with Accept: text/event-stream, Last-Event-ID or ?format=     the fan-out (`follow`)
///
/// Runs and memories are written by their owners alone, and the server's own streams are nobody's to see.
extension ServeApplication {
  static let streamMethods = ["GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS"]
  static let readMethods = ["GET", "HEAD", "OPTIONS"]

  /// What a path names below one of the roots; nil: it is no stream's.
  func streamName(of path: String) -> String? {
    for root in configuration.streamRoots where path.utf8.starts(with: root.utf8) {
      let rest = path.utf8.dropFirst(root.utf8.count)
      if rest.first == UInt8(ascii: "/") { return String(decoding: rest.dropFirst(), as: UTF8.self) }
    }
    return nil
  }

  func serveStream(_ text: String, _ request: HTTPRequest, _ responder: any HTTPResponder) {
    let exchange = StreamExchange(self, request, responder)
    do throws(ServeFailure) {
      try serveStream(text, exchange)
    } catch {
      exchange.send(error)
    }
  }

  private func serveStream(_ text: String, _ exchange: StreamExchange) throws(ServeFailure) {
    let request = exchange.request
    // A browser asks before it sends what it was given: without a token.
    if request.method == "OPTIONS" { return exchange.sendOptions(Self.streamMethods) }
    let query = try request.queryItems()
    // Reserved for subscriptions (protocol, section 6).
    if StreamName.isReserved(text) {
      guard let subscriptions else { throw .notFound(path: request.path) }
      try request.checkContentCoding()
      return try serveSubscriptions(text, query, subscriptions, exchange)
    }
    let parsed: Result<StreamName, StoreFailure>
    do { parsed = .success(try StreamName(text)) } catch { parsed = .failure(error) }
    let caller = try access.caller(request, query, try? parsed.get(), now: loop.wallClock)
    guard case .success(let stream) = parsed else {
      if case .failure(let failure) = parsed { throw .badStreamName(failure.message) }
      return
    }
    exchange.expires = caller.expires
    let isOwned = stream.isInternal || isWrittenByOwner(stream)
    switch request.method {
    case "GET", "HEAD":
      guard caller.rights.contains(.read) else { throw .notInLink("read") }
      guard !stream.isInternal else { throw .streamNotFound(stream.path) }
      try readStream(stream, query, exchange)
    case "PUT", "POST", "DELETE":
      let right: StreamLink.Rights = request.method == "DELETE" ? .delete : .write
      guard !isOwned, caller.isLink || caller.rights.contains(right) else {
        throw .methodNotAllowed(method: request.method, path: request.path, allow: Self.readMethods)
      }
      guard caller.rights.contains(right) else { throw .notInLink(right == .delete ? "delete" : "write") }
      if !caller.isLink { try access.checkOrigin(request) }
      try request.checkContentCoding()
      switch request.method {
      case "PUT": try createStream(stream, mayFork: !caller.isLink, exchange)
      case "POST": try appendToStream(stream, exchange)
      default: deleteStream(stream, exchange)
      }
    default:
      throw .methodNotAllowed(method: request.method, path: request.path, allow: Self.streamMethods)
    }
  }

  /// A run's host writes it, an agent its memory: for everybody else they are to be read.
  func isWrittenByOwner(_ stream: StreamName) -> Bool {
    index.run(of: stream) != nil || stream.isOwned
  }

  /// Answers `status`'s failure, or goes on unless the client has gone meanwhile.
  func withStatus(
    of stream: StreamName, _ exchange: StreamExchange, _ then: @escaping (StreamStatus, WaitingClient) -> Void
  ) {
    let client = WaitingClient()
    exchange.responder.observer = client
    store.status(stream) { result in
      if client.isGone { return }
      switch result {
      case .success(let status): then(status, client)
      case .failure(let failure): exchange.send(failure)
      }
    }
  }

  // MARK: Plain server-sent events

  /// Every item is an event whose id is the offset behind it: what `EventSource` needs. Ids of a run's stream are
  /// `<offset>@<run>`, as on its workflow's path, so that a client can go on at either.
  func follow(
    _ status: StreamStatus, from place: StreamQuery.Place, _ format: OutputFormat?, _ exchange: StreamExchange
  ) {
    let start: Offset
    switch place {
    case .now: start = status.tail
    case .at(let offset): start = offset
    }
    guard start <= status.tail else { return exchange.send(.badOffset(start.description)) }
    // Another answer than 200 is how EventSource is told not to come back.
    if let damage = status.damage, start == status.tail { return exchange.send(damage) }
    var headers = [(name: "Stream-Id", value: status.name.path), ("Stream-Next-Offset", status.tail.description)]
    // 204 is how a server tells EventSource to stop coming back (WHATWG HTML 9.2.3).
    if status.ending != nil, start == status.tail {
      return exchange.send(204, headers + StreamHeaders.ending(status.ending))
    }
    guard hasRoomForReader else { return exchange.send(.tooManyReaders(limit: fanout.limits.readers)) }
    let own: OutputFormat = StreamBody.isText(status.contentType) ? .items : .base64
    let format = status.contentType == RunTicket.contentType ? format ?? .weir : own
    if format == .base64 { headers.append(("Stream-SSE-Data-Encoding", "base64")) }
    let common = Self.streamHeaders(format).filter { $0.name != "X-Content-Type-Options" && $0.name != "Vary" }
    exchange.begin(common + headers)
    let run = RunTicket.run(of: status.name)
    fanout.attach(
      exchange.responder, to: status.name, createdAt: run == nil ? status.createdAt : nil, from: start, format: format,
      run: run,
      model: index.run(of: status.name)?.workflow ?? "weir",
      until: exchange.remaining)
  }
}

extension StreamName {
  /// `_weir/…`: bookkeeping of the server itself.
  package var isInternal: Bool { path == "_weir" || path.hasPrefix("_weir/") }

  /// Written by a run's host or an agent, and by nobody else.
  package var isOwned: Bool { path.hasPrefix("runs/") || path.hasPrefix("memory/") }

  /// No stream over HTTP: subscriptions are there (protocol, section 6).
  package var isReserved: Bool { Self.isReserved(path) }
  static func isReserved(_ path: String) -> Bool {
    path == ServeApplication.reserved || path.hasPrefix(ServeApplication.reserved + "/")
  }
}
