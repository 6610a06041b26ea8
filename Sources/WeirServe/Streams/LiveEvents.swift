import WeirCore
import WeirNet
import WeirStore
import WeirWire

/// One reader of the protocol's server-sent events (Durable Streams Protocol, 5.8): each batch of items is a `data` event,
/// and behind it a `control` event says where to go on.
///
/// A slow reader costs one batch: nothing is read while its socket is full, the log waits. The connection is closed at a
/// `control` event after a minute, so that clients spread over caches and servers; they come back to where they were.
final class LiveEvents: LiveReader, HTTPResponseObserver {
  /// Read at once.
  private static let batchLimit = 64 << 10
  /// How long the beginning of a character waits for the rest before it is sent as it is: it may never come.
  private static let cutPatience = Duration.seconds(1)

  private let status: StreamStatus
  var stream: StreamName { status.name }
  /// What `streamCursor` is at least: what the client had, and more.
  private let cursor: Int64
  private let exchange: StreamExchange
  private let isJSON: Bool
  private let isText: Bool
  private var next: Offset
  /// Read, and kept until the rest of their last character is there: the items behind `next`.
  private var held: [StreamItem] = []
  private var watch: (any Cancellable)?
  private var endTimer: (any Cancellable)?
  private var linkTimer: (any Cancellable)?
  private var heartbeat: (any Cancellable)?
  private var cutTimer: (any Cancellable)?
  /// What the socket has not taken: `output[sent...]`.
  private var output: [UInt8] = []
  private var sent = 0
  private var isBlocked = false
  private var isFlushSet = false
  private var tail = StreamTail()
  /// The client knows that it has everything.
  private var isToldUpToDate = false
  /// A character that is cut at the tail is sent as it is.
  private var isOutOfPatience = false
  private var isEnding = false
  private var isOver = false

  /// Read and not yet taken by the socket.
  var bytesHeld: Int { output.count - sent }
  private var application: ServeApplication { exchange.application }
  private var loop: any Loop { application.loop }

  init(_ status: StreamStatus, from start: Offset, cursor: Int64?, _ exchange: StreamExchange) {
    self.status = status
    next = start
    self.exchange = exchange
    let loop = exchange.application.loop
    self.cursor = StreamCursor.next(after: cursor, now: loop.wallClock, jitter: loop.now.nanoseconds / 1000)
    isJSON = StreamContentType.holdsJSON(status.contentType)
    isText = StreamBody.isText(status.contentType)
  }

  func begin() {
    application.enter(self)
    var headers = [
      (name: "Content-Type", value: "text/event-stream"), ("Cache-Control", "no-cache"), ("X-Accel-Buffering", "no"),
      ("Stream-Id", status.name.path),
    ]
    if !isText { headers.append(("Stream-SSE-Data-Encoding", "base64")) }
    exchange.begin(headers)
    exchange.responder.observer = self
    watch = application.store.watch(status.name) { [self] in woken() }
    endTimer = loop.after(application.configuration.eventsDuration) { [self] in
      isEnding = true
      flushLater()
    }
    linkTimer = exchange.remaining.map { loop.after($0) { [self] in stop() } }
    beat()
    read()
  }

  func stop() {
    isEnding = true
    flush()
    // What is half sent must not look complete.
    if !isOver {
      let responder = exchange.responder
      leave()
      responder.abort()
    }
  }

  func responseBecameWritable() {
    isBlocked = false
    flush()
    read()
  }

  func responseCancelled() { leave() }

  // MARK: Reading

  private func woken() {
    tail.woken()
    read()
  }

  private func read() {
    if isOver || isBlocked || isEnding || !output.isEmpty || !tail.wantsRead { return }
    tail.asked()
    application.store.read(status.name, from: next + held.count, byteLimit: Self.batchLimit) { [self] result in
      if isOver { return }
      guard case .success(let batch) = result, batch.createdAt == status.createdAt else {
        // Deleted, perhaps with another one in its place, or the store is gone: no end. The client comes back and is told.
        let responder = exchange.responder
        leave()
        return responder.abort()
      }
      tail.answered(batch)
      take(batch)
      flushLater()
    }
  }

  private func take(_ batch: StreamBatch) {
    var items = held + batch.items
    held = []
    if isText, !isJSON, batch.ending == nil, !isOutOfPatience {
      let whole = StreamBody.wholeCharacters(items, byteLimit: Self.batchLimit)
      held = Array(items[whole...])
      items.removeLast(held.count)
    }
    isOutOfPatience = false
    if held.isEmpty || !items.isEmpty {
      cutTimer?.cancel()
      cutTimer = nil
    }
    if !held.isEmpty, tail.isReached { waitForTheRest() }
    next = next + items.count
    if !items.isEmpty { append(items) }
    let isUpToDate = held.isEmpty && tail.isReached
    if batch.ending != nil {
      control(isUpToDate: true, ending: batch.ending)
      isEnding = true
    } else if !items.isEmpty || isUpToDate && !isToldUpToDate {
      control(isUpToDate: isUpToDate, ending: nil)
      isToldUpToDate = isUpToDate
    }
  }

  private func waitForTheRest() {
    guard cutTimer == nil else { return }
    cutTimer = loop.after(Self.cutPatience) { [self] in
      cutTimer = nil
      isOutOfPatience = true
      tail.reopen()
      read()
    }
  }

  // MARK: Events

  private func append(_ items: [StreamItem]) {
    let bytes = StreamBody.joined(items, status.contentType)
    if isText {
      SSEWriter.append(data: bytes.span, event: "data", to: &output)
    } else {
      SSEWriter.append(data: Base64.encode(bytes), event: "data", to: &output)
    }
  }

  /// Its id makes a browser come back to where it was: `Last-Event-ID` goes before `offset`.
  private func control(isUpToDate: Bool, ending: StreamEnding?) {
    var members = [JSONMember("streamNextOffset", .string(next.description))]
    if ending == nil {
      let now = StreamCursor.next(after: nil, now: loop.wallClock, jitter: 0)
      members.append(JSONMember("streamCursor", .string("\(max(cursor, now))")))
    }
    if isUpToDate { members.append(JSONMember("upToDate", .bool(true))) }
    switch ending {
    case nil: break
    case .closed?:
      members.append(JSONMember("streamClosed", .bool(true)))
      members.append(JSONMember("streamEnd", ["state": "closed"]))
    case .aborted(let reason)?:
      members.append(JSONMember("streamClosed", .bool(true)))
      members.append(JSONMember("streamEnd", ["state": "aborted", "reason": .string(reason)]))
    }
    SSEWriter.append(
      data: JSONValue.object(members).encoded().span, event: "control", id: next.description, to: &output)
  }

  private func beat() {
    heartbeat?.cancel()
    heartbeat = loop.after(application.fanout.limits.heartbeat) { [self] in
      if output.isEmpty, !isBlocked { SSEWriter.append(comment: "", to: &output) }
      flushLater()
      beat()
    }
  }

  // MARK: Sending

  private func flushLater() {
    if isFlushSet || isOver { return }
    isFlushSet = true
    loop.atEndOfTurn { [self] in
      isFlushSet = false
      flush()
      // On with a long history in the next turn: others have theirs too.
      if !isOver, !isBlocked, !tail.isReached { loop.soon { self.read() } }
    }
  }

  private func flush() {
    if isOver || isBlocked { return }
    if !output.isEmpty {
      // Another reference, so that nothing the connection does can overlap this access.
      let bytes = output
      sent += exchange.responder.send(bytes.span.extracting(sent..<bytes.count))
      if isOver { return }
      if sent < output.count {
        isBlocked = true
        return
      }
      output = []
      sent = 0
    }
    guard isEnding else { return }
    let responder = exchange.responder
    leave()
    responder.finish()
  }

  private func leave() {
    if isOver { return }
    isOver = true
    for waiting in [watch, endTimer, linkTimer, heartbeat, cutTimer] { waiting?.cancel() }
    application.leave(self)
  }
}
