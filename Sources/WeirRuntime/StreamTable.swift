import WeirCore
import WeirFlow
import WeirLang
import WeirStore

/// The streams of one running program: its limits, its standard input, what it has open, and its recording.
///
/// Whatever opens something goes through here, so that limits, recording, replay and the closing at the end are the same
/// for every kind. A connection is held until it is over, also when no value of the program names it any more: closing
/// gracefully takes time.
final class StreamTable {
  /// How long the end of a program waits for connections that close.
  static let closeLimit = Duration.seconds(5)

  let limits: StreamLimits
  let input: ProgramInput
  let loop: any Loop
  /// Of what no run has opened.
  private let scope = StreamScope()
  private var connections: [ObjectIdentifier: any StreamConnection] = [:]
  private var closed: (() -> Void)?
  private var closeTimer: (any Cancellable)?
  let recorder: StreamRecorder?
  let replay: Replay?

  init(world: World, limits: StreamLimits, recorder: StreamRecorder? = nil, replay: Replay? = nil) {
    self.limits = limits
    self.recorder = recorder
    self.replay = replay
    loop = world.loop
    input = ProgramInput(world: world)
  }

  static func of(_ context: NativeContext) throws -> StreamTable { try ProgramInstance.of(context).streams }

  func scope(_ fiber: Fiber) -> StreamScope { (fiber.attachment as? RunFrame)?.scope ?? scope }

  // MARK: Opening

  /// Why no further connection can be opened; nil: it can.
  private var refusal: StreamErrorKind? {
    guard connections.count >= limits.connections else { return nil }
    return .connectionFailed("\(limits.connections) connections of this program are open already")
  }

  /// Opens a connection by `dial`, or out of the recording that is replayed. `kind` is the native's name; what a
  /// recording says of it is the URL without query.
  func connect(
    kind: String, url: String, secrets: Secrets, for fiber: Fiber,
    dial: (@escaping (Result<any StreamConnection, StreamErrorKind>) -> Void) throws -> any Cancellable,
    _ answer: @escaping (Result<StreamConn, StreamErrorKind>) -> Void
  ) throws -> (any Cancellable)? {
    if let refusal {
      answer(.failure(refusal))
      return nil
    }
    let name = (try? URLParts(url))?.shown ?? "(not a URL)"
    if let replay {
      switch replay.open(kind: kind, name: name, url: url) {
      case .source(let events): answer(.success(opened(ReplayedConnection(events), for: fiber)))
      case .failed(let failure): answer(.failure(failure))
      case .refused, nil: answer(.failure(.connectionFailed("the recording has no further `\(kind)` of \(name)")))
      }
      return nil
    }
    recorder?.hide(secrets)
    return try dial { [self] result in
      switch result {
      case .success(let connection):
        recorder?.opened(connection.events, kind: kind, name: name)
        answer(.success(opened(connection, for: fiber)))
      case .failure(let failure):
        recorder?.failed(failure, kind: kind, name: name)
        answer(.failure(failure))
      }
    }
  }

  private func opened(_ connection: any StreamConnection, for fiber: Fiber) -> StreamConn {
    let id = ObjectIdentifier(connection)
    connections[id] = connection
    connection.onOver = { [weak self] in self?.over(id) }
    let conn = StreamConn(connection)
    scope(fiber).add(conn)
    return conn
  }

  static func notRecorded(_ kind: String, _ name: String) -> Trap {
    Trap(
      "NotRecorded", "the recording has no further `\(kind)` of the name \"\(name)\"",
      hint: "it was made by another program, or a run that went another way")
  }

  /// A source that `make` begins to feed, or one out of the recording that is replayed.
  func source(
    kind: String, name: String, priority: Int, activity: ActivityQueue? = nil, for fiber: Fiber,
    make: () throws -> EventQueue
  ) throws -> StreamSource {
    if let replay {
      guard case .source(let events) = replay.open(kind: kind, name: name) else { throw Self.notRecorded(kind, name) }
      return added(StreamSource(events, name: name, priority: priority), for: fiber)
    }
    let events = try make()
    recorder?.opened(events, kind: kind, name: name)
    return added(StreamSource(events, name: name, priority: priority, activity: activity), for: fiber)
  }

  func added(_ source: StreamSource, for fiber: Fiber) -> StreamSource {
    scope(fiber).add(source)
    return source
  }

  func loop(of sources: [StreamSource]) throws -> EventLoopHandle {
    EventLoopHandle(try reader(sources.map { ($0.events, $0.priority) }), sources: sources)
  }

  func loop(of conn: StreamConn) throws -> EventLoopHandle {
    EventLoopHandle(try reader([(conn.connection.events, 0)]), sources: [], conn: conn)
  }

  private func reader(_ inputs: [(events: EventQueue, priority: Int)]) throws -> any EventReader {
    if let replay { return try replay.reader(inputs) }
    let select = try SelectLoop(
      inputs.map { .init($0.events, priority: $0.priority) }, loop: loop, deadlines: limits.deadlines)
    return recorder?.reader(select, of: inputs.map(\.events)) ?? select
  }

  // MARK: Closing

  private func over(_ id: ObjectIdentifier) {
    connections[id] = nil
    if connections.isEmpty { finishClosing() }
  }

  /// Closes everything; calls back, perhaps at once, when all of it is over or `closeLimit` has passed.
  func close(_ done: @escaping () -> Void) {
    closed = done
    scope.close()
    for connection in Array(connections.values) { connection.close() }
    if connections.isEmpty { return finishClosing() }
    closeTimer = loop.after(Self.closeLimit) { [weak self] in self?.finishClosing() }
  }

  func flushRecording() { recorder?.flush() }

  private func finishClosing() {
    closeTimer?.cancel()
    closed.take()?()
  }
}
