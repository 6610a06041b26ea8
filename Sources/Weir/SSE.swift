import WeirCore
import WeirNet

/// Server-sent events for Swift code.
///
/// ```swift
/// for try await event in try await SSE.connect("https://example.com/events") {
///   print(event.type, event.data)
/// }
/// ```
public enum SSE {
  /// Connects and answers when the server has: a 200 of type `text/event-stream`. Anything else throws
  /// `ConnectionFailed` with the status and the first KiB of the body, silence `Timeout`. Cancelling the task gives up.
  public static func connect(_ url: String, _ options: Options = Options()) async throws(WeirError) -> Events {
    let request = try options.request(url)
    let thread = SourceThread(idle: options.idleTimeout)
    try await thread.open { world, answer in
      SSEConnection.open(request, world: world) { answer($0.map { $0 }.mapError(WeirError.init)) }
    }
    return Events(reader: SourceReader(thread))
  }

  /// How to ask, where that is allowed, and how long to wait.
  public struct Options: Sendable {
    /// They win over `Accept: text/event-stream` and `Cache-Control: no-cache`.
    public var headers: [(name: String, value: String)] = []
    /// nil: a GET, else a POST.
    public var body: String?
    /// New requests with `Last-Event-ID` when the body ends or breaks: at most `max`, each after `backoff` or what the
    /// server asked for, doubled with each in a row that reaches nothing.
    public var reconnect: (max: Int, backoff: Duration)?
    /// Where it may lead, and be redirected to.
    public var policy = ConnectionPolicy()
    /// Name, TCP, TLS and the head of the answer together.
    public var connectTimeout = Duration.seconds(30)
    /// Without an event for so long, reading throws `Timeout`; nil: it waits.
    public var idleTimeout: Duration? = .seconds(60)
    /// Bytes of one event; a larger one throws `MessageTooLarge`.
    public var eventByteLimit = 16 << 20

    public init() {}

    func request(_ url: String) throws(WeirError) -> SSERequest {
      var request = try SSERequest(
        url: url, headers: headers, body: body,
        reconnect: reconnect.map { .init(max: max(0, $0.max), backoff: $0.backoff) },
        policy: policy.network())
      request.connectTimeout = connectTimeout
      request.eventByteLimit = max(1, eventByteLimit)
      return request
    }
  }

  public struct Event: Sendable, Hashable {
    /// `message` when the server named none.
    public let type: String
    public let data: String
  }

  /// The events of one connection, read by one task. It is closed when its task is cancelled, when nobody holds this
  /// any more, or with its end; while nobody reads, the server is not read either.
  public struct Events: AsyncSequence, Sendable {
    public typealias Element = Event
    public typealias Failure = WeirError
    let reader: SourceReader

    public func makeAsyncIterator() -> Iterator { Iterator(reader: reader) }

    public struct Iterator: AsyncIteratorProtocol {
      let reader: SourceReader

      /// nil: the body ended, or the task was cancelled. A lost connection throws `ProtocolError`.
      public mutating func next() async throws(WeirError) -> Event? {
        try await next(isolation: nil)
      }

      public mutating func next(isolation: isolated (any Actor)?) async throws(WeirError) -> Event? {
        while let event = await reader.next(isolation: isolation) {
          switch event {
          case .sse(let type, let data): return Event(type: type, data: data)
          case .error(let kind): throw WeirError(kind)
          default: continue
          }
        }
        return nil
      }
    }
  }
}
