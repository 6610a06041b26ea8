import WeirCore
import WeirNet
import WeirWire

/// A WebSocket at a workflow's path: each text message is the parameters of one run, as the body of a POST would be, and
/// the run comes back as the data of its server-sent events, one message each. `[DONE]` is a run's last; a message that
/// starts none is answered by `{"error": …}`. Runs of one connection follow each other.
extension ServeApplication {
  func serveWebSocket(
    _ route: WorkflowRoute, _ request: HTTPRequest, _ responder: any HTTPResponder
  ) throws(ServeFailure) {
    try access.checkOrigin(request)
    guard isReady else { throw .stopping }
    guard fanout.hasRoom else { throw .tooManyReaders(limit: fanout.limits.readers) }
    var socket: WorkflowSocket?
    var upgrade = WebSocketUpgrade(loop: loop)
    upgrade.limits.messageBytes = min(upgrade.limits.messageBytes, configuration.bodyLimit)
    upgrade.onClosing = { _ in socket?.serverStops() }
    guard let connection = upgrade.accept(request, responder) else { return }
    socket = WorkflowSocket(connection, loop) { [weak self] text, answer in
      guard let self else { return answer.abort() }
      do throws(ServeFailure) {
        try startRun(route, text, answer)
      } catch {
        answer.send(Reply(error))
      }
    }
    socket?.pump()
  }

  private func startRun(_ route: WorkflowRoute, _ text: String, _ answer: WorkflowSocket) throws(ServeFailure) {
    let input = try ArgumentDecoder.Input(request: Array(text.utf8), contentType: "application/json", query: nil)
    let arguments = try ArgumentDecoder(route.parameters).arguments(input)
    guard isReady else { throw .stopping }
    start(route, arguments, session: input.text("session_id"), .stream(.weir), answer)
  }
}

/// The server's end of one such connection. For the fan-out it is the responder of an answer that is not chunked: it is
/// given the bytes of server-sent events, and sends what is in them.
final class WorkflowSocket: HTTPResponder {
  /// Messages that wait for the run before them; then no more are taken from the connection, nor read from its socket.
  static let waitingLimit = 16

  private let connection: WebSocketConnection
  private let loop: any Loop
  private let start: (String, WorkflowSocket) -> Void
  private var waiting: [String] = []
  private var isRunning = false
  private var isStopping = false
  private var parser = SSEParser()
  /// Messages that the connection has not taken yet.
  private var untaken = 0
  private var wantsRoom = false
  var observer: (any HTTPResponseObserver)?

  init(_ connection: WebSocketConnection, _ loop: any Loop, _ start: @escaping (String, WorkflowSocket) -> Void) {
    self.connection = connection
    self.loop = loop
    self.start = start
    connection.events.onReady = { self.pump() }
    let told = connection.onOver
    connection.onOver = { [self] in
      told?()
      gone()
    }
  }

  /// Takes what has come, and starts the next run if none is under way.
  func pump() {
    while waiting.count < Self.waitingLimit, let event = connection.events.next() {
      switch event {
      case .message(let text): waiting.append(text)
      case .binary: transmit(String(decoding: Reply(.badBody("a binary message")).body, as: UTF8.self))
      case .closed: gone()
      default: break
      }
    }
    if isRunning || waiting.isEmpty || connection.status != .open { return }
    isRunning = true
    parser = SSEParser()
    start(waiting.removeFirst(), self)
  }

  /// A run that is being read may end first, within the server's grace.
  func serverStops() {
    isStopping = true
    if !isRunning { connection.close(.goingAway) }
  }

  private func gone() {
    waiting = []
    connection.events.onReady = nil
    let watching = observer
    observer = nil
    watching?.responseCancelled()
  }

  private func transmit(_ text: String) {
    untaken += 1
    connection.transmit(.text(text)) { [self] failure in
      untaken -= 1
      // A message that is missing would make the rest a lie: such a client is cut, and can read the run again.
      if failure != nil { return connection.events.cancel() }
      guard untaken == 0, wantsRoom else { return }
      wantsRoom = false
      observer?.responseBecameWritable()
    }
  }

  // MARK: What an answer is to the fan-out

  var isChunked: Bool { false }

  /// The run did not start.
  func respond(status: Int, headers: [(name: String, value: String)], body: [UInt8]) {
    transmit(String(decoding: body, as: UTF8.self))
    finish()
  }

  func begin(status: Int, headers: [(name: String, value: String)]) {}

  func send(_ bytes: Span<UInt8>) -> Int { sendFramed(bytes) }

  func sendFramed(_ bytes: Span<UInt8>) -> Int {
    if untaken > 0 {
      wantsRoom = true
      return 0
    }
    var texts: [String] = []
    do throws(SSEFailure) {
      try parser.parse(bytes) { _, data in
        data.withUnsafeBufferPointer { texts.append(String(decoding: $0, as: UTF8.self)) }
      }
    } catch {
      abort()
    }
    for text in texts { transmit(text) }
    return bytes.count
  }

  func finish() {
    observer = nil
    isRunning = false
    if isStopping { return connection.close(.goingAway) }
    // Not inside the call: the next run's answer may come at once.
    loop.soon { [self] in pump() }
  }

  /// The run cannot be read to its end: never a complete answer.
  func abort() {
    observer = nil
    isRunning = false
    connection.close(isStopping ? .goingAway : WebSocketClose(1011, "the run cannot be read on"))
  }
}
