import WeirCore
import WeirFlow
import WeirLang

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
  private let loop: any Loop
  /// Of what no run has opened.
  private let scope = StreamScope()
  private var connections: [ObjectIdentifier: any StreamConnection] = [:]
  private var closed: (() -> Void)?
  private var closeTimer: (any Cancellable)?

  init(world: World, limits: StreamLimits) {
    self.limits = limits
    loop = world.loop
    input = ProgramInput(world: world)
  }

  static func of(_ context: NativeContext) throws -> StreamTable { try ProgramInstance.of(context).streams }

  private func scope(_ fiber: Fiber) -> StreamScope { fiber.attachment as? StreamScope ?? scope }

  // MARK: Opening

  /// Why no further connection can be opened; nil: it can.
  var refusal: StreamErrorKind? {
    guard connections.count >= limits.connections else { return nil }
    return .connectionFailed("\(limits.connections) connections of this program are open already")
  }

  func opened(_ connection: any StreamConnection, for fiber: Fiber) -> StreamConn {
    let id = ObjectIdentifier(connection)
    connections[id] = connection
    connection.onOver = { [weak self] in self?.over(id) }
    let conn = StreamConn(connection)
    scope(fiber).add(conn)
    return conn
  }

  func opened(_ process: Subprocess, for fiber: Fiber) -> ProcessHandle {
    scope(fiber).add(process)
    return ProcessHandle(process)
  }

  func opened(_ source: StreamSource, for fiber: Fiber) -> StreamSource {
    scope(fiber).add(source)
    return source
  }

  func loop(of sources: [StreamSource], conn: StreamConn? = nil) throws -> EventLoopHandle {
    let inputs =
      conn.map { [SelectLoop.Input($0.connection.events, priority: 0)] }
      ?? sources.map { SelectLoop.Input($0.events, priority: $0.priority) }
    return EventLoopHandle(
      try SelectLoop(inputs, loop: loop, deadlines: limits.deadlines), sources: sources, conn: conn)
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

  private func finishClosing() {
    closeTimer?.cancel()
    closed.take()?()
  }
}
