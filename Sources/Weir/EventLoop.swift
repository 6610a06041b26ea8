import WeirCore
import WeirFlow
import WeirIO
import WeirRuntime

/// One loop over several sources for Swift code, in the order of `selectEvents`.
///
/// ```swift
/// let socket = try await WebSocket.connect("wss://example.com/chat")
/// let sources: [EventLoop.Source] = [.lines(name: "typed", priority: 10), .webSocket(socket, name: "chat")]
/// for try await event in EventLoop.select(sources) {
///   switch event {
///   case .text("typed", let line): try await socket.send(.text(line))
///   case .message("chat", let text): print(text)
///   default: break
///   }
/// }
/// ```
public enum EventLoop {
  /// Starts with the first `next`, on a thread of its own, and is over when all sources have ended, a deadline has
  /// passed, its task is cancelled or nobody holds the iterator any more: then every source is closed.
  ///
  /// Of several sources that have an event the one of the highest priority goes first; those of equal priority take
  /// turns. Events that are ready together are handed over together, `batchLimit` at most, so what comes meanwhile
  /// waits for them; 1 decides anew for each event and costs a change of threads each time. While nobody asks, sources
  /// are read until their queues are full.
  ///
  /// - Parameters:
  ///   - idleTimeout: Without an event for so long, `.failed("Timeout", …)` is the last one; nil: it waits.
  ///   - maxDuration: The same for all of it.
  public static func select(
    _ sources: [Source], idleTimeout: Duration? = .seconds(60), maxDuration: Duration? = .seconds(300),
    batchLimit: Int = 256
  ) -> Events {
    Events(sources: sources, deadlines: .init(idle: idleTimeout, duration: maxDuration), batchLimit: max(1, batchLimit))
  }

  /// What an event loop reads, by name and priority. Connections and processes are open already; they are
  /// read by one loop and closed with it.
  public struct Source: Sendable {
    typealias Open = @Sendable (World, WeirIO.EventLoop, ProgramInput) throws -> EventQueue
    let name: String
    let priority: Int
    let open: Open
    /// Of what is open already.
    private(set) var reader: SourceReader?

    init(name: String, priority: Int, open: @escaping Open) {
      self.name = name
      self.priority = priority
      self.open = open
    }

    private init(_ reader: SourceReader, _ name: String, _ priority: Int, limit: Int) {
      self.init(name: name, priority: priority) { _, loop, _ in
        guard reader.thread.select() else { throw SelectFailure.sourceBusy }
        return RelayedEvents.make(reader, loop: loop, limit: limit)
      }
      self.reader = reader
    }

    /// The events of a WebSocket: `.message`, `.bytes`, `.ping`, and at the end `.closed`.
    public static func webSocket(_ socket: WebSocket, name: String, priority: Int = 0) -> Source {
      Source(socket.reader, name, priority, limit: StreamLimits().connectionQueue)
    }

    /// Server-sent events as `.sse`, and at the end `.closed`.
    public static func sse(_ events: SSE.Events, name: String, priority: Int = 0) -> Source {
      Source(events.reader, name, priority, limit: StreamLimits().connectionQueue)
    }

    /// A process: its output as `.text` or `.bytes`, the lines of its standard error as `.text` of this name with
    /// `:stderr` behind it, and at the end `.exit`.
    public static func process(_ process: ProcessSource, name: String, priority: Int = 0) -> Source {
      Source(process.reader, name, priority, limit: StreamLimits().sourceQueue)
    }

    /// Lines of standard input as `.text`, without their ends. The process has one input: one source reads it.
    public static func lines(name: String, priority: Int = 0) -> Source {
      Source(name: name, priority: priority) { _, _, input in
        try input.lines(name: name, limit: StreamLimits().sourceQueue)
      }
    }

    /// Standard input as `.bytes`: full chunks, the last may be short.
    public static func bytes(name: String, priority: Int = 0, chunkSize: Int = 4096) -> Source {
      Source(name: name, priority: priority) { _, _, input in
        guard (1...InputCutter.chunkLimit).contains(chunkSize) else {
          throw WeirError(
            code: "BadArgument", message: "a chunk of \(chunkSize) bytes: from 1 to \(InputCutter.chunkLimit)")
        }
        return try input.chunks(of: chunkSize, name: name, limit: StreamLimits().sourceQueue)
      }
    }

    /// `.text(name, "")` at multiples of a time; a tick that nobody took is not repeated.
    public static func timer(name: String, every: Duration, priority: Int = 0) -> Source {
      Source(name: name, priority: priority) { world, _, _ in
        guard every >= .milliseconds(1) else {
          throw WeirError(code: "BadArgument", message: "a timer of \(every.text): at least 1ms")
        }
        return TimerEvents.make(name: name, every: every, loop: world.loop)
      }
    }
  }

  /// What a source yields, with the source's name.
  public enum Event: Sendable, Hashable {
    /// A line, or the tick of a timer, which is empty.
    case text(_ source: String, String)
    /// A chunk, or a binary message.
    case bytes(_ source: String, [UInt8])
    case exit(_ source: String, code: Int)
    case opened(_ source: String, url: String)
    /// A text message of a WebSocket.
    case message(_ source: String, String)
    /// Was answered already.
    case ping(_ source: String, [UInt8])
    case sse(_ source: String, type: String, data: String)
    /// The last event of a connection.
    case closed(_ source: String, code: Int, reason: String)
    /// A connection's, followed by `closed`; or of no source: a deadline, which ends the loop. `code` is that of a
    /// `StreamErrorKind` of the language: `Timeout`, `ProtocolError` …
    case failed(_ source: String?, code: String, message: String)

    init(_ event: StreamEvent, of source: String?) {
      let name = source ?? ""
      self =
        switch event {
        case .opened(let url): .opened(name, url: url)
        case .message(let text): .message(name, text)
        case .binary(let bytes): .bytes(name, bytes)
        case .ping(let bytes): .ping(name, bytes)
        case .sse(let type, let data): .sse(name, type: type, data: data)
        case .closed(let code, let reason): .closed(name, code: code, reason: reason)
        case .error(let kind): .failed(source, code: kind.code, message: kind.message)
        // Processes do not know what they are called here.
        case .sourceText(":stderr", let text): .text(name + ":stderr", text)
        case .sourceText(_, let text): .text(name, text)
        case .sourceBytes(_, let bytes): .bytes(name, bytes)
        case .sourceExit(_, let code): .exit(name, code: code)
        }
    }
  }

  /// A loop that has not begun; each iterator begins one of its own.
  public struct Events: AsyncSequence, Sendable {
    public typealias Element = Event
    public typealias Failure = WeirError
    let sources: [Source]
    let deadlines: SelectLoop.Deadlines
    let batchLimit: Int

    public func makeAsyncIterator() -> Iterator {
      Iterator(thread: SelectThread(sources, deadlines, batchLimit: batchLimit))
    }

    public struct Iterator: AsyncIteratorProtocol {
      private let thread: SelectThread
      private var batch: [SelectThread.Taken] = []
      private var taken = 0

      init(thread: SelectThread) { self.thread = thread }

      /// nil: it is over, or the task was cancelled. Throws before the first event if a source cannot be read.
      public mutating func next() async throws(WeirError) -> Event? { try await next(isolation: nil) }

      public mutating func next(isolation: isolated (any Actor)?) async throws(WeirError) -> Event? {
        if taken == batch.count {
          taken = 0
          batch = Task.isCancelled ? [] : try await thread.next(isolation: isolation)
          if batch.isEmpty { return nil }
        }
        taken += 1
        return thread.event(batch[taken - 1])
      }
    }
  }
}
