import WeirCore
import WeirFlow
import WeirIO
import WeirRuntime

/// One loop over several sources for Swift code, in the order of `selectEvents`.
///
/// ```swift
/// let sources: [EventLoop.Source] = [.lines(name: "typed", priority: 10), .timer(name: "tick", every: .seconds(1))]
/// for try await event in EventLoop.select(sources) {
///   if case .text("typed", let line) = event { print("you said \(line)") }
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
    batchLimit: Int = 64
  ) -> Events {
    Events(sources: sources, deadlines: .init(idle: idleTimeout, duration: maxDuration), batchLimit: max(1, batchLimit))
  }

  /// What an event loop reads: how to open it, by name and priority.
  public struct Source: Sendable {
    let priority: Int
    let open: @Sendable (World, ProgramInput) throws -> EventQueue

    /// Lines of standard input as `.text`, without their ends. The process has one input: one source reads it.
    public static func lines(name: String, priority: Int = 0) -> Source {
      Source(priority: priority) { _, input in try input.lines(name: name, limit: StreamLimits().sourceQueue) }
    }

    /// Standard input as `.bytes`: full chunks, the last may be short.
    public static func bytes(name: String, priority: Int = 0, chunkSize: Int = 4096) -> Source {
      Source(priority: priority) { _, input in
        guard (1...InputCutter.chunkLimit).contains(chunkSize) else {
          throw WeirError(
            code: "BadArgument", message: "a chunk of \(chunkSize) bytes: from 1 to \(InputCutter.chunkLimit)")
        }
        return try input.chunks(of: chunkSize, name: name, limit: StreamLimits().sourceQueue)
      }
    }

    /// `.text(name, "")` at multiples of a time; a tick that nobody took is not repeated.
    public static func timer(name: String, every: Duration, priority: Int = 0) -> Source {
      Source(priority: priority) { world, _ in
        guard every >= .milliseconds(1) else {
          throw WeirError(code: "BadArgument", message: "a timer of \(every.text): at least 1ms")
        }
        return TimerEvents.make(name: name, every: every, loop: world.loop)
      }
    }
  }

  public enum Event: Sendable, Hashable {
    case opened(url: String)
    case message(String)
    case binary([UInt8])
    case ping([UInt8])
    case sse(type: String, data: String)
    case closed(code: Int, reason: String)
    /// `code` is that of a `StreamErrorKind` of the language: `Timeout`, `ProtocolError` …
    case failed(_ code: String, _ message: String)
    case text(_ source: String, String)
    case bytes(_ source: String, [UInt8])
    case exit(_ source: String, code: Int)

    init(_ event: StreamEvent) {
      self =
        switch event {
        case .opened(let url): .opened(url: url)
        case .message(let text): .message(text)
        case .binary(let bytes): .binary(bytes)
        case .ping(let bytes): .ping(bytes)
        case .sse(let type, let data): .sse(type: type, data: data)
        case .closed(let code, let reason): .closed(code: code, reason: reason)
        case .error(let kind): .failed(kind.code, kind.message)
        case .sourceText(let name, let text): .text(name, text)
        case .sourceBytes(let name, let bytes): .bytes(name, bytes)
        case .sourceExit(let name, let code): .exit(name, code: code)
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
      private var batch: [StreamEvent] = []
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
        return Event(batch[taken - 1])
      }
    }
  }
}
