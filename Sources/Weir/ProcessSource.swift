import WeirAI
import WeirCore
import WeirFlow
import WeirRuntime

/// A program that runs beside this one: what it says and how it ends is a sequence, `write` goes to its standard input.
///
/// ```swift
/// let sorter = try await ProcessSource.start("sort")
/// try await sorter.write("pear\napple\n")
/// sorter.closeInput()
/// for try await event in sorter {
///   if case .line(let line) = event { print(line) }
/// }
/// ```
///
/// No shell: arguments arrive as they are. Read by one task. It is stopped by `stop`, when a task that reads it is
/// cancelled, or with its last reference: SIGTERM to its process group, SIGKILL after 5 seconds. One that ends by itself
/// has these 5 seconds for what it leaves running in its group. While nobody reads, its pipes are not read either: it has
/// to wait.
public final class ProcessSource: AsyncSequence, Sendable {
  public enum Event: Sendable, Hashable {
    /// A line of its output, without its `\n` or `\r\n`; bytes that are not UTF-8 are U+FFFD.
    case line(String)
    /// A piece of its output.
    case bytes([UInt8])
    /// A line of its standard error.
    case errorLine(String)
    /// The last event: its exit code, or 128 and the number of the signal that ended it.
    case exit(code: Int)
  }

  public enum Output: Sendable, Hashable {
    case lines
    /// Full chunks of so many bytes, from 1 to 16 MiB; the last may be short.
    case chunks(Int)
  }

  public struct Options: Sendable {
    public var output = Output.lines
    /// Deliver what it writes to its standard error; else that is dropped.
    public var deliversErrors = true
    /// Set for it, over the environment of this process.
    public var environment: [String: String] = [:]
    /// A process inherits no variable that looks like a secret, but these. `*` is all.
    public var passedVariables: [String] = []

    public init() {}
  }

  let reader: SourceReader

  private init(_ thread: SourceThread) { reader = SourceReader(thread) }

  /// Answers when the program has been loaded. A name without a slash is looked for in the absolute folders of `PATH`.
  /// Throws `ProgramNotFound`, or another code that says why it does not run. Cancelling the task stops it.
  public static func start(
    _ command: String, _ arguments: [String] = [], _ options: Options = Options()
  ) async throws(WeirError) -> ProcessSource {
    if case .chunks(let size) = options.output, !(1...InputCutter.chunkLimit).contains(size) {
      throw WeirError(code: "BadArgument", message: "a chunk of \(size) bytes: from 1 to \(InputCutter.chunkLimit)")
    }
    let thread = SourceThread(idle: nil)
    try await thread.open { world, answer in
      ProcessConnection.start(options.request(command, arguments, world), options.events, world, answer)
      return nil
    }
    return ProcessSource(thread)
  }

  /// Returns when the bytes were taken: at once or, while the process does not read, when there is room (1 MiB waits, and
  /// a larger write when nothing does), for 30 s at most; then it throws `Timeout`. Throws `InputClosed` or
  /// `ProcessExited` when nobody will read them. A process that waits for its output to be read does not read itself.
  public func write(_ bytes: [UInt8]) async throws(WeirError) {
    let failure = await reader.thread.send(isClosed: WeirError(ProcessInputFailure.exited)) { connection, answer in
      (connection as? ProcessConnection)?.write(bytes, answer)
    }
    if let failure { throw failure }
  }

  /// The bytes of a text.
  public func write(_ text: String) async throws(WeirError) { try await write(Array(text.utf8)) }

  /// The process sees the end of its input, behind what was written.
  public func closeInput() { reader.thread.perform { ($0 as? ProcessConnection)?.closeInput() } }

  /// SIGTERM to it and all it has started, SIGKILL after 5 seconds. The sequence ends at once. Calling it again does
  /// nothing.
  public func stop() { reader.thread.close() }

  public func makeAsyncIterator() -> Iterator { Iterator(source: self) }

  public struct Iterator: AsyncIteratorProtocol {
    let source: ProcessSource

    /// nil: it has ended, or the task was cancelled.
    public mutating func next() async throws(WeirError) -> Event? { try await next(isolation: nil) }

    public mutating func next(isolation: isolated (any Actor)?) async throws(WeirError) -> Event? {
      while let event = await source.reader.next(isolation: isolation) {
        switch event {
        case .sourceText("", let line): return .line(line)
        case .sourceText(_, let line): return .errorLine(line)
        case .sourceBytes(_, let bytes): return .bytes(bytes)
        case .sourceExit(_, let code): return .exit(code: code)
        default: continue
        }
      }
      return nil
    }
  }
}

extension ProcessSource.Options {
  fileprivate func request(_ command: String, _ arguments: [String], _ world: World) -> ProcessRequest {
    let all = Overlay(environment, over: world.environment)
    let inherited = ChildEnvironment.inherited(
      all.all, keys: ProviderRegistry(environment: world.environment).keyVariables,
      asked: passedVariables + environment.keys)
    var request = ProcessRequest(
      executable: command, searchPath: all["PATH"] ?? "", arguments: arguments, environment: inherited)
    request.input = .pipe
    request.error = deliversErrors ? .pipe : .null
    return request
  }

  /// Without a name: whoever reads it through an event loop names it.
  fileprivate var events: ProcessEvents.Options {
    let cut: ProcessEvents.Cut =
      switch output {
      case .lines: .lines
      case .chunks(let size): .chunks(size)
      }
    var events = ProcessEvents.Options(name: "", cut: cut)
    events.deliversErrors = deliversErrors
    events.deliversExit = true
    return events
  }
}
