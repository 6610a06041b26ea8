import Synchronization
import WeirCore
import WeirFlow
import WeirNet

/// A WebSocket for Swift code: what the peer says is a sequence, `send` answers.
///
/// ```swift
/// let socket = try await WebSocket.connect("wss://example.com/chat")
/// try await socket.send(.text("hello"))
/// for try await message in socket { print(message) }
/// ```
///
/// Read by one task. It is closed by `close`, when a task that reads it is cancelled, or with its last reference. While
/// nobody reads, the peer is not read either: it has to wait.
public final class WebSocket: AsyncSequence, Sendable {
  public enum Message: Sendable, Hashable {
    case text(String)
    case binary([UInt8])
  }

  /// How to connect, and where that may lead.
  public struct Options: Sendable {
    public var headers: [(name: String, value: String)] = []
    /// Offered, the best first.
    public var subprotocols: [String] = []
    public var policy = ConnectionPolicy()
    /// Name, TCP, TLS and handshake together.
    public var connectTimeout = Duration.seconds(30)
    /// Without a message for so long, reading throws `Timeout`; nil: it waits.
    public var idleTimeout: Duration?
    /// Bytes of one message, in or out, not compressed; a larger one throws `MessageTooLarge`.
    public var messageByteLimit = 1 << 20

    public init() {}
  }

  private let thread: SourceThread
  let reader: SourceReader
  private let end = Mutex<(code: Int, reason: String)?>(nil)

  private init(_ thread: SourceThread) {
    self.thread = thread
    reader = SourceReader(thread)
  }

  /// Connects and answers when the handshake is done. A refusal throws `ConnectionFailed` with the status and the first
  /// KiB of the body, silence `Timeout`. Cancelling the task gives up.
  public static func connect(_ url: String, _ options: Options = Options()) async throws(WeirError) -> WebSocket {
    var request = WebSocketRequest(
      url: url, headers: options.headers, subprotocols: options.subprotocols,
      policy: try options.policy.network())
    request.connectTimeout = options.connectTimeout
    request.limits.messageBytes = Swift.max(1, options.messageByteLimit)
    let thread = SourceThread(idle: options.idleTimeout)
    try await thread.open { [request] world, answer in
      WebSocketDial.open(request, world: world) { answer($0.map { $0 }.mapError(WeirError.init)) }
    }
    return WebSocket(thread)
  }

  /// Returns when the message was taken: at once or, while the peer does not read, when there is room (for 30 s at most,
  /// then it throws `Timeout`).
  public func send(_ message: Message) async throws(WeirError) {
    let message: StreamMessage =
      switch message {
      case .text(let text): .text(text)
      case .binary(let bytes): .binary(bytes)
      }
    let isClosed = WeirError(code: "ConnectionFailed", message: "the connection is closed")
    let failure = await thread.send(isClosed: isClosed) { connection, answer in
      connection.transmit(message) { answer($0.map(WeirError.init)) }
    }
    if let failure { throw failure }
  }

  /// Says goodbye and closes; the peer has 3 s to answer. Calling it again does nothing.
  public func close() { thread.close() }

  /// The peer's code and reason, once the sequence has ended because it closed.
  public var closing: (code: Int, reason: String)? { end.withLock { $0 } }

  public func makeAsyncIterator() -> Iterator { Iterator(socket: self) }

  public struct Iterator: AsyncIteratorProtocol {
    let socket: WebSocket

    /// nil: closed by either side, or the task was cancelled. A lost connection, or a peer that breaks the protocol,
    /// throws `ProtocolError`.
    public mutating func next() async throws(WeirError) -> Message? { try await next(isolation: nil) }

    public mutating func next(isolation: isolated (any Actor)?) async throws(WeirError) -> Message? {
      while let event = await socket.reader.next(isolation: isolation) {
        switch event {
        case .message(let text): return .text(text)
        case .binary(let bytes): return .binary(bytes)
        case .error(let kind): throw WeirError(kind)
        case .closed(let code, let reason): socket.end.withLock { $0 = (code, reason) }
        default: continue
        }
      }
      return nil
    }
  }
}
