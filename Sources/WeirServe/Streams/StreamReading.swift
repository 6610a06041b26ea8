import WeirCore
import WeirNet
import WeirStore
import WeirWire

/// Reading what there is (Durable Streams Protocol, 5.5, 5.6, 8 and 10), and the way to the readers of what comes.
extension ServeApplication {
  func readStream(
    _ stream: StreamName, _ query: QueryString?, _ exchange: StreamExchange
  ) throws(ServeFailure) {
    let request = exchange.request
    var asked = try StreamQuery(query)
    if let id = request["Last-Event-ID"], !id.isEmpty { asked.place = try StreamQuery.place(id) }
    if request.method == "HEAD" {
      return withStatus(of: stream, exchange) { status, _ in
        exchange.send(
          200,
          [("Content-Type", status.contentType), ("Cache-Control", "no-store"), ("Stream-Id", status.name.path)]
            + [("Stream-Next-Offset", status.tail.description)] + StreamHeaders.lifetime(status)
            + StreamHeaders.ending(status.ending))
      }
    }
    guard asked.live == nil || query?["offset"] != nil else {
      throw .badQuery("live needs an offset: -1 for the beginning, now for what comes, or one that this server sent")
    }
    let follows =
      asked.live == nil && (asked.format != nil || request["Last-Event-ID"] != nil || Self.wantsEvents(request))
    withStatus(of: stream, exchange) { [self] status, _ in
      let place = asked.place ?? .at(.start)
      if follows { return follow(status, from: place, asked.format, exchange) }
      var start = status.tail
      if case .at(let offset) = place { start = offset }
      guard start <= status.tail else { return exchange.send(.badOffset(start.description)) }
      // Nothing will ever come: whoever waits is told why, and does not ask again and again.
      if let damage = status.damage, start == status.tail { return exchange.send(damage) }
      switch asked.live {
      case nil: catchUp(status, from: start, isNow: place == .now, exchange)
      case .longPoll?:
        guard hasRoomForReader else { return exchange.send(.tooManyReaders(limit: fanout.limits.readers)) }
        LongPoll(status, from: start, isNow: place == .now, cursor: asked.cursor, exchange).begin()
      case .events?:
        guard hasRoomForReader else { return exchange.send(.tooManyReaders(limit: fanout.limits.readers)) }
        LiveEvents(status, from: start, cursor: asked.cursor, exchange).begin()
      }
    }
  }

  /// Named, and not only by `*/*`, which every client says that does not care.
  private static func wantsEvents(_ request: HTTPRequest) -> Bool {
    guard let accept = request["Accept"], let events = MediaType("text/event-stream") else { return false }
    if accept == "text/event-stream" { return true }
    let wish = Accept(accept).quality(of: events)
    return wish.weight > 0 && wish.exactness > 1
  }

  // MARK: Catching up

  private func catchUp(_ status: StreamStatus, from start: Offset, isNow: Bool, _ exchange: StreamExchange) {
    let client = WaitingClient()
    exchange.responder.observer = client
    collect(status, from: start) { result in
      if client.isGone { return }
      switch result {
      case .failure(let failure): exchange.send(failure)
      case .success(let batch):
        let chunk = StreamChunk(batch, from: start, of: status)
        if isNow { chunk.sendTail(exchange) } else { chunk.sendPage(exchange) }
      }
    }
  }

  /// What an answer may hold of what follows `start`. A store stops where a file or a fork ends; an answer does not. If it was
  /// deleted meanwhile it is not found, whether or not another one has taken its name.
  func collect(_ status: StreamStatus, from start: Offset, _ answer: @escaping Answer<StreamBatch>) {
    let limit = configuration.chunkLimit
    var all = StreamBatch(items: [], next: start, ending: nil, createdAt: status.createdAt)
    var size = 0
    func more() {
      store.read(status.name, from: all.next, byteLimit: limit - size) { [loop] result in
        switch result {
        // What can be read is read; the next question is told why there is no more.
        case .failure where !all.items.isEmpty: answer(.success(all))
        case .failure(let failure): answer(.failure(failure))
        case .success(let batch) where batch.createdAt != status.createdAt: answer(.failure(.notFound(status.name)))
        case .success(let batch):
          all.items += batch.items
          size += batch.items.reduce(0) { $0 + $1.bytes.count }
          (all.next, all.ending, all.reachedTail) = (batch.next, batch.ending, batch.reachedTail || batch.items.isEmpty)
          if all.reachedTail || all.ending != nil || size >= limit { return answer(.success(all)) }
          loop.soon { more() }
        }
      }
    }
    more()
  }
}

/// What one answer brings of a stream: its headers, its body, and whether the client has it already.
struct StreamChunk {
  let batch: StreamBatch
  let start: Offset
  let status: StreamStatus
  private let isAtTail: Bool

  init(_ batch: StreamBatch, from start: Offset, of status: StreamStatus) {
    self.batch = batch
    self.start = start
    self.status = status
    isAtTail = batch.items.isEmpty || batch.reachedTail || batch.ending != nil || batch.next == status.tail
  }

  /// Another stream of the same name has another time, and what ends has another tag than what goes on.
  private var tag: String {
    "\"\(status.createdAt):\(start.value):\(batch.next.value)\(batch.ending == nil ? "" : ":c")\""
  }

  /// The answer to `offset=now`: the tail and nothing else, even if something came while it was looked for (8).
  func sendTail(_ exchange: StreamExchange) {
    let tail = StreamBatch(items: [], next: batch.next, ending: batch.ending, createdAt: batch.createdAt)
    let headers = StreamChunk(tail, from: tail.next, of: status).headers
    exchange.send(200, headers + [("Cache-Control", "no-store")], StreamBody.joined([], status.contentType))
  }

  func sendPage(_ exchange: StreamExchange) {
    // A chunk with more behind it never changes. At the tail only asking again tells whether it still is.
    let isForGood = !isAtTail || batch.ending != nil
    send(
      [("Cache-Control", isForGood ? "private, max-age=60, stale-while-revalidate=300" : "private, no-cache")], exchange
    )
  }

  /// What a long-poll waited for. Its address has a cursor, and nobody asks there again.
  func sendNews(cursor: String, isNow: Bool, _ exchange: StreamExchange) {
    var own = [(name: "Cache-Control", value: "no-store")]
    if batch.ending == nil { own.append(("Stream-Cursor", cursor)) }
    if isNow { return exchange.send(200, headers + own, StreamBody.joined(batch.items, status.contentType)) }
    send(own, exchange)
  }

  /// With a tag, or 304 to who has it already (10.1).
  private func send(_ own: [(name: String, value: String)], _ exchange: StreamExchange) {
    let headers = self.headers + own + [("ETag", tag)]
    if Self.matches(exchange.request["If-None-Match"], tag) { return exchange.send(304, headers) }
    exchange.send(200, headers, StreamBody.joined(batch.items, status.contentType))
  }

  private var headers: [(name: String, value: String)] {
    var headers = [
      (name: "Content-Type", value: status.contentType), ("Stream-Next-Offset", batch.next.description),
      ("Stream-Id", status.name.path),
    ]
    if isAtTail { headers.append(("Stream-Up-To-Date", "true")) }
    return headers + StreamHeaders.ending(batch.ending)
  }

  /// RFC 9110 13.1.2: any of a list, weak or not.
  private static func matches(_ header: String?, _ tag: String) -> Bool {
    guard let header else { return false }
    return header.split(separator: ",").contains { part in
      let part = trimmed(part)
      return part == "*" || part == tag || part.dropFirst(2) == tag && part.hasPrefix("W/")
    }
  }
}

/// Without the optional white space of RFC 9110, 5.6.3.
private func trimmed(_ text: Substring) -> Substring {
  func isSpace(_ character: Character) -> Bool { character == " " || character == "\t" }
  var rest = text.drop(while: isSpace)
  while let last = rest.last, isSpace(last) { rest = rest.dropLast() }
  return rest
}

/// The protocol's cursor (10.1): it makes the address of the next request another one, so that a cache between cannot
/// give the same empty answer for ever.
enum StreamCursor {
  /// 2024-10-09T00:00:00Z, and how long a cursor stands.
  private static let epoch: Int64 = 1_728_432_000_000
  private static let interval: Int64 = 20_000

  /// At least the interval that `now` lies in, and more than the client has.
  static func next(after client: Int64?, now: Int64, jitter: Int64) -> Int64 {
    let current = max(0, (now - epoch) / interval)
    guard let client, client >= current else { return current }
    // Up to an hour ahead. What a client makes up may be greater than any moment: it does not go back either.
    let (next, isOver) = client.addingReportingOverflow(1 + abs(jitter) % 179)
    return isOver ? .max : next
  }
}
