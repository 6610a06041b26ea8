import WeirCore
import WeirNet
import WeirStore
import WeirWire

/// `/streams/<name>`: any stream as server-sent events, for plain browsers and `curl -N`; with `publicStreams` also
/// the writing half of a small publish-subscribe pair.
///
/// Event ids of a run's stream are `<offset>@<run>`, as on its workflow's path, so that a client can go on at either;
/// of any other stream they are bare offsets.
extension ServeApplication {
  func serveStream(
    _ path: String, _ request: HTTPRequest, _ responder: any HTTPResponder
  ) throws(ServeFailure) {
    let isPublic = configuration.publicStreams
    try allow(isPublic ? ["GET", "HEAD", "POST"] : ["GET", "HEAD"], request)
    let stream: StreamName
    do { stream = try StreamName(path) } catch { throw .badStreamName(error.message) }
    if request.method == "POST" { return try publish(stream, request, responder) }
    // The server's own streams hold every session's arguments: they are nobody's to read.
    guard !stream.isInternal else { throw .streamNotFound(path) }

    let query = try request.queryItems()
    let format = try query?["format"].map(Self.format)
    let type = (format ?? .weir).contentType
    let accept = request["Accept"]
    // What `EventSource` sends is the very type; only other wishes have to be weighed.
    guard accept == type || MediaType(type).map({ Accept(accept).quality(of: $0).weight }) != 0 else {
      throw .notAcceptable(accept: String((accept ?? "").prefix(100)), offered: [type])
    }
    var fromTail = false
    var offset = Offset.start
    if let id = request["Last-Event-ID"], !id.isEmpty {
      offset = try EventID(id).offset
    } else if let text = query?["offset"] {
      if text == "now" { fromTail = true } else { offset = try EventID(text).offset }
    }

    let client = WaitingClient()
    responder.observer = client
    store.status(stream) { [self] result in
      if client.isGone { return }
      switch result {
      case .success(let status):
        let start = fromTail ? status.tail : offset
        guard start <= status.tail else { return responder.send(Reply(.badOffset(start.description))) }
        let headers = Self.headers(of: status)
        if request.method == "HEAD" {
          return responder.send(Reply(status: 200, headers: [("Content-Type", type)] + headers))
        }
        if status.ending != nil, start == status.tail { return responder.send(Reply(status: 204, headers: headers)) }
        follow(stream, status.contentType, from: start, format, headers, responder)
      case .failure(.notFound):
        guard isPublic, request.method == "GET" else { return responder.send(Reply(.streamNotFound(path))) }
        store.create(stream, contentType: "text/plain") { [self] result in
          if client.isGone { return }
          switch result {
          case .success(let status):
            follow(stream, status.contentType, from: .start, format, Self.headers(of: status), responder)
          case .failure(let failure): responder.send(Reply(.storeUnavailable(failure.message)))
          }
        }
      case .failure(let failure):
        responder.send(Reply(.storeUnavailable(failure.message)))
      }
    }
  }

  private func follow(
    _ stream: StreamName, _ contentType: String, from offset: Offset, _ format: OutputFormat?,
    _ headers: [(name: String, value: String)], _ responder: any HTTPResponder
  ) {
    guard fanout.hasRoom else { return responder.send(Reply(.tooManyReaders(limit: fanout.limits.readers))) }
    let format = contentType == RunTicket.contentType ? format ?? .weir : .items
    responder.begin(status: 200, headers: Self.streamHeaders(format) + headers)
    fanout.attach(
      responder, to: stream, from: offset, format: format, run: RunTicket.run(of: stream),
      model: index.run(of: stream)?.workflow ?? "weir")
  }

  private static func headers(of status: StreamStatus) -> [(name: String, value: String)] {
    [("Stream-Id", status.name.path), ("Stream-Next-Offset", status.tail.description)]
  }

  private static func format(_ name: String) throws(ServeFailure) -> OutputFormat {
    guard let format = OutputFormat(rawValue: name) else { throw .badFormat(name) }
    return format
  }

  /// One POST is one item, answered once it is as durable as the store promises.
  private func publish(
    _ stream: StreamName, _ request: HTTPRequest, _ responder: any HTTPResponder
  ) throws(ServeFailure) {
    try access.checkOrigin(request)
    // Runs are written by their host alone.
    guard !stream.isInternal, index.run(of: stream) == nil, !stream.path.hasPrefix("runs/") else {
      throw .methodNotAllowed(method: "POST", path: request.path, allow: ["GET", "HEAD"])
    }
    let client = WaitingClient()
    responder.observer = client
    append(request.body, to: stream, mayCreate: true) { result in
      if client.isGone { return }
      switch result {
      case .success(let offset):
        responder.send(Reply(status: 204, headers: [("Stream-Next-Offset", offset.description)]))
      case .failure(let failure):
        responder.send(Reply(.storeUnavailable(failure.message)))
      }
    }
  }

  private func append(
    _ item: [UInt8], to stream: StreamName, mayCreate: Bool, _ answer: @escaping Answer<Offset>
  ) {
    store.append(stream, [item], ending: nil) { [self] result in
      guard mayCreate, case .failure(.notFound) = result else { return answer(result) }
      store.create(stream, contentType: "text/plain") { [self] result in
        switch result {
        case .success: append(item, to: stream, mayCreate: false, answer)
        case .failure(let failure): answer(.failure(failure))
        }
      }
    }
  }
}

extension StreamName {
  /// `_weir/…`: bookkeeping of the server itself.
  var isInternal: Bool { path == "_weir" || path.hasPrefix("_weir/") }
}
