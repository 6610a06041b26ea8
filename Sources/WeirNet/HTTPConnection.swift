import WeirCore
import WeirWire

/// One connection of a server: reads requests one after another, owes each an answer, writes answers in order.
///
/// Driver between a `ByteStream` and `HTTPRequestParser`; belongs to one `HTTPServer`. Its other face, the answer a
/// handler holds, is `HTTPAnswer`, which speaks for one request and is deaf once that is over.
///
///     idle → head → body → answering → idle …                  keep-alive
///                              └────→ closing → lingering → closed
///
/// While an answer streams there is no parser and no output buffer: an idle reader is this object and its answer.
final class HTTPConnection: ByteStreamHandler {
  enum Phase {
    /// Between requests.
    case idle
    case head, body
    /// A handler owes the answer, or streams it.
    case answering
    /// The last answer is complete but not yet sent.
    case closing
    /// All is sent; waits for the client's end so that nothing sent is lost to a reset.
    case lingering
    case closed
  }

  private let server: HTTPServer
  private let stream: any ByteStream
  private(set) var phase = Phase.idle

  // The server's bookkeeping.
  var slot = -1
  var waitingSlot = -1
  var deadline = Instant(nanoseconds: 0)

  /// What reading needs; nil while nothing of a request is there.
  private var reader: RequestReader?
  private final class RequestReader {
    var parser: HTTPRequestParser
    var head = HTTPRequestHead()
    var bodyDeadline = Instant(nanoseconds: 0)
    init(_ limits: HTTPRequestParser.Limits) { parser = HTTPRequestParser(limits: limits) }
  }

  /// Accepted for sending, not yet taken by the socket: `output[sent...]`.
  private var output: [UInt8] = []
  private var sent = 0
  private var isFlushScheduled = false
  private var hasLetBodyGoFirst = false
  /// The socket is full; `byteStreamBecameWritable` will come.
  private var isBlocked = false
  private var isPumping = false
  private var isPaused = false
  private var peerEnded = false

  // The answer under way.
  /// Number of the request being answered; an answer with another number is over.
  private(set) var turn: UInt32 = 0
  var observer: (any HTTPResponseObserver)?
  private var isHead = false
  private var minorVersion = 1
  private var isPersistent = true
  private var isStreaming = false
  private var hasBody = false
  private var wantsRoom = false
  private var hasWritten = false

  init(_ stream: any ByteStream, of server: HTTPServer) {
    self.stream = stream
    self.server = server
  }

  func start() {
    stream.handler = self
    arm()
  }

  // MARK: Facts from the stream

  func byteStreamReceived(_ bytes: Span<UInt8>) {
    switch phase {
    case .lingering, .closing, .closed: return
    case .idle, .head, .body, .answering: break
    }
    let reader = self.reader ?? RequestReader(server.limits.request)
    self.reader = reader
    reader.parser.receive(bytes)
    if phase == .answering {
      if reader.parser.bufferedBytes >= server.limits.pipelinedBytes { pause(true) }
    } else {
      pump()
    }
  }

  func byteStreamEnded() {
    peerEnded = true
    switch phase {
    case .lingering: close()
    case .idle, .head, .body: if reader == nil { closeWhenSent() } else { pump() }
    case .answering: arm()  // a client may end its half and still wait for the answer
    case .closing, .closed: break
    }
  }

  func byteStreamFailed(_ failure: NetworkFailure) { tearDown() }

  func byteStreamBecameWritable() {
    isBlocked = false
    flush()
    if isBlocked || phase == .closed { return }
    arm()
    if wantsRoom {
      wantsRoom = false
      observer?.responseBecameWritable()
    } else {
      pump()
    }
  }

  // MARK: Requests

  /// Reads requests until one has to be answered or bytes are missing.
  private func pump() {
    if isPumping { return }
    isPumping = true
    defer { isPumping = false }
    while let reader, phase == .idle || phase == .head || phase == .body {
      if isBlocked, output.count - sent > server.limits.outputBytes { return pause(true) }
      pause(false)
      do throws(HTTPFailure) {
        switch try reader.parser.next() {
        case nil: return wait(reader)
        case .head(let head):
          reader.head = head
          reader.bodyDeadline = server.loop.now + server.limits.bodyDuration
          phase = .body
          if head.expectsContinue, reader.parser.bufferedBytes == 0 {
            output.append(contentsOf: HTTPResponseWriter.continueHead)
            flushLater()
          }
        case .end(let body, _):
          answer(reader, body)
        }
      } catch {
        refuse(status: error.status, error)
      }
    }
  }

  /// The parser needs more bytes.
  private func wait(_ reader: RequestReader) {
    if peerEnded { return closeWhenSent() }  // half a request will never be whole
    if phase == .body { return arm() }
    if reader.parser.isBetweenRequests {
      phase = .idle
      self.reader = nil
    } else if phase == .idle {
      phase = .head
    } else {
      return  // the head's deadline runs from its first byte
    }
    arm()
  }

  private func answer(_ reader: RequestReader, _ body: [UInt8]) {
    let head = reader.head
    reader.head = HTTPRequestHead()
    if reader.parser.bufferedBytes == 0 { self.reader = nil }
    phase = .answering
    isHead = head.method == "HEAD"
    minorVersion = head.minorVersion
    isPersistent = head.isPersistent
    isStreaming = false
    wantsRoom = false
    arm()
    let answer = HTTPAnswer(self, turn: turn)
    if head.path == "*" { return answer.respond(status: 204, headers: [], body: []) }
    let request = HTTPRequest(
      method: head.method, path: head.path, query: head.query, headers: head.headers, body: body, peer: stream.peer)
    server.handler(request, answer)
  }

  /// Answers what is no request, or one that cannot be served, and closes.
  func refuse(status: Int, _ failure: any Failure) {
    if stream.handler == nil { stream.handler = self }
    reader = nil
    let body = ErrorBody.json(failure)
    let headers = [(name: "Content-Type", value: "application/json")]
    HTTPResponseWriter.appendHead(
      status: status, headers: headers, framing: .length(body.count), connection: .close, date: server.date, to: &output
    )
    output.append(contentsOf: body)
    closeWhenSent()
  }

  // MARK: The answer (called by HTTPAnswer while its turn lasts)

  var isChunked: Bool { minorVersion == 1 }

  func respond(status: Int, headers: [HTTPField], body: [UInt8]) {
    if isStreaming { return abort() }  // two answers to one request: never a complete one
    let isBodyless = Self.isBodyless(status)
    // Whoever answers HEAD without the body of GET does not know its length.
    appendHead(status, headers, isBodyless || isHead && body.isEmpty ? .none : .length(body.count))
    if !isHead, !isBodyless { output.append(contentsOf: body) }
    answered()
  }

  func begin(status: Int, headers: [HTTPField]) {
    if isStreaming { return abort() }
    isStreaming = true
    hasBody = !isHead && !Self.isBodyless(status)
    if !isChunked, hasBody { isPersistent = false }
    appendHead(status, headers, Self.isBodyless(status) ? .none : isChunked ? .chunked : .untilClose)
    hasLetBodyGoFirst = false
    flushLater()
    if peerEnded { arm() }
  }

  private func appendHead(_ status: Int, _ headers: [HTTPField], _ framing: HTTPResponseWriter.Framing) {
    if server.isClosing { isPersistent = false }
    HTTPResponseWriter.appendHead(
      status: status, headers: headers, framing: framing,
      connection: !isPersistent ? .close : minorVersion == 0 ? .keepAlive : .persistent, date: server.date, to: &output)
  }

  private static func isBodyless(_ status: Int) -> Bool { status < 200 || status == 204 || status == 304 }

  func send(_ bytes: Span<UInt8>) -> Int {
    if !isStreaming || !hasBody { return bytes.count }
    if !isChunked { return sendFramed(bytes) }
    var taken = 0
    while taken < bytes.count {
      if isBlocked {
        wantsRoom = true
        return taken
      }
      let end = min(bytes.count, taken + server.limits.frameBytes)
      HTTPChunk.appendFrame(bytes.extracting(taken..<end), to: &output)
      taken = end
      flush()
    }
    return taken
  }

  func sendFramed(_ bytes: Span<UInt8>) -> Int {
    if !isStreaming || !hasBody { return bytes.count }
    var taken = 0
    if !isBlocked, !output.isEmpty {
      // The head, or another answer's end, goes first, in one write with as much of this as a frame holds.
      taken = min(bytes.count, server.limits.frameBytes)
      bytes.extracting(0..<taken).withUnsafeBufferPointer { output.append(contentsOf: $0) }
      flush()
    }
    if !isBlocked, taken < bytes.count {
      let rest = bytes.extracting(taken..<bytes.count)
      let count = stream.send(rest)
      taken += count
      hasWritten = true
      if count < rest.count { block() }
    }
    if taken < bytes.count { wantsRoom = true }
    return taken
  }

  func finish() {
    if !isStreaming { return dropped() }
    if hasBody, isChunked { output.append(contentsOf: HTTPChunk.last) }
    answered()
  }

  func abort() {
    stream.reset()
    tearDown(tellObserver: false)
  }

  func upgrade(headers: [HTTPField]) -> HTTPUpgrade? {
    if isStreaming || minorVersion == 0 || isBlocked || isHead || server.isClosing { return nil }
    HTTPResponseWriter.appendHead(
      status: 101, headers: headers, framing: .none, connection: .upgrade, date: server.date, to: &output)
    flush()
    if isBlocked {  // not even 101 fits: the client does not read
      abort()
      return nil
    }
    let early = reader?.parser.takeBuffered() ?? []
    pause(false)
    stream.handler = nil
    let upgrade = server.upgraded(stream, early)
    tearDown(tellObserver: false)
    return upgrade
  }

  /// The handler let go of its answer, or ended it, without giving one.
  func dropped() {
    if isStreaming { return abort() }
    isPersistent = false
    respond(
      status: 500, headers: [(name: "Content-Type", value: "application/json")],
      body: ErrorBody.json(ServerFailure.unanswered))
  }

  private func answered() {
    turn &+= 1
    observer = nil
    wantsRoom = false
    isStreaming = false
    if !isPersistent || server.isClosing { return closeWhenSent() }
    phase = .idle
    flushLater()
    if let reader, reader.parser.bufferedBytes > 0 {
      if !isPumping { server.loop.soon { [self] in pump() } }
    } else if peerEnded {
      closeWhenSent()
    } else {
      pause(false)
      arm()
    }
  }

  // MARK: Output

  private func flushLater() {
    if isFlushScheduled || phase == .closed { return }
    isFlushScheduled = true
    server.flushLater(self)
  }

  /// True once for each streamed answer whose head is still all there is to send.
  func letsBodyGoFirst() -> Bool {
    if !isStreaming || !hasBody || hasLetBodyGoFirst || output.isEmpty { return false }
    hasLetBodyGoFirst = true
    return true
  }

  func flush() {
    isFlushScheduled = false
    if isBlocked || phase == .closed { return }
    if !output.isEmpty {
      let pending = output  // another reference, so that nothing the stream does can overlap this access
      sent += stream.send(pending.span.extracting(sent..<pending.count))
      hasWritten = true
      if sent < pending.count { return block() }
      output = []
      sent = 0
    }
    if phase == .closing { linger() }
  }

  private func block() {
    isBlocked = true
    arm()
  }

  // MARK: The end

  private func closeWhenSent() {
    guard phase != .closed else { return }
    turn &+= 1
    phase = .closing
    reader = nil
    arm()
    flushLater()
  }

  private func linger() {
    if peerEnded { return close() }
    phase = .lingering
    stream.finishSending()
    pause(false)
    arm()
  }

  private func close() {
    stream.close()
    tearDown()
  }

  /// The server stops: what waits for a request is closed, what is owed an answer gets it.
  func serverCloses() {
    if phase == .idle { closeIdle() }
  }

  /// Nothing of a request is here, so nobody loses anything; a client that asks now sees a closed connection and asks
  /// again on another.
  private func closeIdle() {
    if reader == nil, output.isEmpty { close() } else { closeWhenSent() }
  }

  /// The server's patience is over. An answer that only the connection's end delimits must not look complete.
  func cut() {
    if phase == .closing { flush() }
    if phase == .answering, isStreaming, !isChunked { stream.reset() } else { stream.close() }
    tearDown()
  }

  private func tearDown(tellObserver: Bool = true) {
    guard phase != .closed else { return }
    phase = .closed
    turn &+= 1
    let watching = observer
    observer = nil
    reader = nil
    output = []
    server.remove(self)
    if tellObserver { watching?.responseCancelled() }
  }

  private func pause(_ paused: Bool) {
    if paused == isPaused || phase == .closed { return }
    isPaused = paused
    stream.isReading = !paused
  }

  // MARK: Deadlines

  private func arm() {
    let limits = server.limits
    if isBlocked { return server.arm(self, limits.stallTimeout) }
    switch phase {
    case .idle: server.arm(self, limits.idleTimeout)
    case .head: server.arm(self, limits.headTimeout)
    case .body:
      let rest = (reader?.bodyDeadline ?? server.loop.now) - server.loop.now
      server.arm(self, min(limits.bodyTimeout, rest))
    case .lingering: server.arm(self, limits.lingerTimeout)
    case .answering where peerEnded && isStreaming:
      hasWritten = false
      server.arm(self, limits.halfClosedTimeout)
    case .answering, .closing, .closed: server.disarm(self)
    }
  }

  func deadlinePassed() {
    if isBlocked {
      stream.reset()
      return tearDown()
    }
    switch phase {
    case .idle: closeIdle()
    case .head: refuse(status: 408, ServerFailure.headTimeout(server.limits.headTimeout))
    case .body: refuse(status: 408, ServerFailure.bodyTimeout(server.limits.bodyTimeout))
    case .lingering: close()
    case .answering: if hasWritten { arm() } else { cut() }
    case .closing, .closed: server.disarm(self)
    }
  }
}
