import WeirAI
import WeirCore
import WeirFlow
import WeirLang
import WeirStore

/// `StreamConn`: an open connection and the handler that its program registered. Dropped with the last value that names
/// it, and then closed.
final class StreamConn: Handle, BridgedHandle {
  static var typeName: String { "StreamConn" }

  let connection: any StreamConnection
  /// A handler that names its connection keeps it alive: `StreamScope` breaks that circle when the run is over.
  var handler: Value?
  /// Whose answer it is, if a model's.
  var provider: ProviderConfig?

  init(_ connection: any StreamConnection) {
    self.connection = connection
    super.init(kind: "StreamConn")
  }

  deinit { connection.close() }

  func close() {
    handler = nil
    connection.close()
  }
}

/// `StreamSource`: what `selectEvents` reads, by name and priority.
final class StreamSource: Handle, BridgedHandle {
  static var typeName: String { "StreamSource" }

  let name: String
  let priority: Int
  let events: EventQueue
  /// The process that it reads, to write to.
  let process: ProcessHandle?
  /// What it hears of streams through (`streamEventSource`).
  let activity: ActivityQueue?
  /// The connection that it reads, which is not the source's to close when it is dropped.
  private let conn: StreamConn?

  init(
    _ events: EventQueue, name: String, priority: Int, process: ProcessHandle? = nil, activity: ActivityQueue? = nil
  ) {
    self.name = name
    self.priority = priority
    self.events = events
    self.process = process
    self.activity = activity
    conn = nil
    super.init(kind: "StreamSource")
  }

  init(_ conn: StreamConn, name: String, priority: Int) {
    self.name = name
    self.priority = priority
    self.conn = conn
    events = conn.connection.events
    process = nil
    activity = nil
    super.init(kind: "StreamSource")
  }

  deinit { if conn == nil { events.cancel() } }

  /// The program gave it up: a connection closes as `disconnect` would, and none of its events is delivered any more.
  func cancel() {
    conn?.close()
    process?.giveUp()
    events.cancel()
  }
}

/// One call of an event loop: the sources it has borrowed, and what it is given of them.
final class EventLoopHandle: Handle, BridgedHandle {
  static var typeName: String { "EventLoop" }

  private let reader: any EventReader
  /// Held for as long as the loop runs. Empty for the loop of one connection.
  private let sources: [StreamSource]
  private let conn: StreamConn?
  /// Of its sources that tell what happens to streams: whoever takes events here has heard of it.
  let activities: [ActivityQueue]

  init(_ reader: any EventReader, sources: [StreamSource], conn: StreamConn? = nil) {
    self.reader = reader
    self.sources = sources
    self.conn = conn
    activities = sources.compactMap(\.activity)
    super.init(kind: "EventLoop")
  }

  deinit { reader.close() }

  func close() { reader.close() }

  /// `Some` of the event, as `shape` makes it of that and its source's name; `None` when the loop is over; nil: not yet.
  func take(_ shape: (Value, String?) -> Value) -> Value? {
    switch reader.next() {
    case .event(let event, let place):
      let source = place.flatMap { sources.isEmpty ? nil : sources[$0].name }
      return Value.some(shape(StreamValue.of(event, source: source), source))
    case .end: return Value.none
    case .wait: return nil
    }
  }

  func next() -> SelectLoop.Step { reader.next() }
  func wait(_ wake: @escaping () -> Void) { reader.wait(wake) }

  func wait(_ shape: @escaping (Value, String?) -> Value, _ answer: @escaping (Value) -> Void) {
    reader.wait { [weak self] in
      guard let self else { return }
      if let value = take(shape) { answer(value) } else { wait(shape, answer) }
    }
  }
}

/// What a run has opened and not closed when it is over: closed then, whatever still names it.
final class StreamScope {
  private struct Opened {
    weak var conn: StreamConn?
    weak var source: StreamSource?
    weak var process: Subprocess?
    weak var activity: ActivityQueue?
    var isGone: Bool { conn == nil && source == nil && process == nil && activity == nil }
  }

  private var opened: [Opened] = []
  private var sweepAt = 64

  func add(_ conn: StreamConn) { add(Opened(conn: conn)) }
  func add(_ source: StreamSource) { add(Opened(source: source)) }
  func add(_ process: Subprocess) { add(Opened(process: process)) }
  func add(_ activity: ActivityQueue) { add(Opened(activity: activity)) }

  private func add(_ entry: Opened) {
    if opened.count == sweepAt {
      opened.removeAll(where: \.isGone)
      sweepAt = max(64, 2 * opened.count)
    }
    opened.append(entry)
  }

  func close() {
    let all = opened
    opened = []
    for entry in all {
      entry.source?.events.cancel()
      entry.conn?.close()
      entry.process?.ownerEnded()
      entry.activity?.close()
    }
  }
}
