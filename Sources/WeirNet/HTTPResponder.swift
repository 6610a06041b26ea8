import WeirCore

// What a handler of `HTTPServer` sees: a request, the answer it owes, and what may happen to that answer meanwhile.
// Knows no socket and no framing; everything here stays on the server's loop.

/// One request, complete but for a body that is still arriving (the server collects it up to `bodyLimit`).
package struct HTTPRequest: Sendable {
  package var method: String
  /// Path, percent-decoded once and normalised; always starts with `/`.
  package var path: String
  /// Raw query without `?`, or "".
  package var query: String
  package var headers: [(name: String, value: String)]
  package var body: [UInt8]
  package var peer: SocketAddress
  package init(
    method: String, path: String, query: String, headers: [(name: String, value: String)], body: [UInt8],
    peer: SocketAddress
  ) {
    self.method = method
    self.path = path
    self.query = query
    self.headers = headers
    self.body = body
    self.peer = peer
  }
  /// All values of the header joined by ", " (RFC 9110 5.3), by case-insensitive name.
  package subscript(_ name: String) -> String? {
    var found: String?
    for header in headers where Self.isSame(header.name, name) {
      found = found.map { "\($0), \(header.value)" } ?? header.value
    }
    return found
  }

  /// Field names are ASCII; nothing is allocated to compare two.
  private static func isSame(_ a: String, _ b: String) -> Bool {
    let (a, b) = (a.utf8, b.utf8)
    guard a.count == b.count else { return false }
    func lower(_ byte: UInt8) -> UInt8 { 0x41 <= byte && byte <= 0x5A ? byte | 0x20 : byte }
    return zip(a, b).allSatisfy { lower($0) == lower($1) }
  }
}

/// The answer to one request. Exactly one of `respond` or (`begin`, then `finish`) is called, once.
///
/// HEAD, 204 and 304 send no body whatever is given. Content-Length or chunked framing, Date and Connection are the
/// server's. Nothing is called on a responder's `observer` after `finish`.
package protocol HTTPResponder: AnyObject {
  /// Watches a streamed answer: room to write again, or the client gone.
  var observer: (any HTTPResponseObserver)? { get set }
  func respond(status: Int, headers: [(name: String, value: String)], body: [UInt8])
  /// True if a streamed answer will use chunked framing (HTTP/1.1); else the body ends with the connection (1.0).
  var isChunked: Bool { get }
  /// Begins a streamed answer. Its head leaves with the first bytes that are sent in this turn or at its end, or
  /// without any right after.
  func begin(status: Int, headers: [(name: String, value: String)])
  /// Offers body bytes; returns how many were taken (0 ... count). Fewer: the socket is full, and
  /// `responseBecameWritable` is called once there is room. Call it from `Loop.atEndOfTurn` so that everything of
  /// one turn leaves in one write. The bytes need live during the call only.
  func send(_ bytes: Span<UInt8>) -> Int
  /// Like `send`, for bytes that the caller has framed already: any slice of a sequence of whole chunks
  /// (`HTTPChunk`) if `isChunked`, plain body bytes otherwise. This is the fan-out's path: frames are encoded once
  /// and the same bytes go to every reader without a copy. Never mix it with `send` in one answer.
  func sendFramed(_ bytes: Span<UInt8>) -> Int
  func finish()
  /// Gives up: the client sees a cut connection, never a complete answer.
  func abort()
  /// Leaves HTTP, instead of an answer: sends `101` with the given fields (`Upgrade` among them; `Connection` is the
  /// server's) and hands over the connection. The taker sets the stream's handler at once. nil if the connection is
  /// gone, speaks HTTP/1.0 or still has earlier answers to send.
  func upgrade(headers: [(name: String, value: String)]) -> HTTPUpgrade?
}

/// A connection that left HTTP. The server counts it among its connections until `ended` is called, and tells it when
/// to go.
package final class HTTPUpgrade {
  package let stream: any ByteStream
  /// What the client sent after its request.
  package let early: [UInt8]
  /// The server stops: say goodbye. Whoever has not ended when its patience is over is cut off.
  package var onClosing: (() -> Void)?
  private var onEnd: ((HTTPUpgrade) -> Void)?

  package init(_ stream: any ByteStream, early: [UInt8], onEnd: @escaping (HTTPUpgrade) -> Void) {
    self.stream = stream
    self.early = early
    self.onEnd = onEnd
  }

  /// The stream is over. Calling it again does nothing.
  package func ended() {
    onClosing = nil
    onEnd.take()?(self)
  }

  func cut() {
    stream.reset()
    ended()
  }
}

extension HTTPResponder {
  /// What stands in for a server's answer, in a test or a proxy, need not know other protocols.
  package func upgrade(headers: [(name: String, value: String)]) -> HTTPUpgrade? { nil }
}

package protocol HTTPResponseObserver: AnyObject {
  func responseBecameWritable()
  /// The client closed or reset its connection, or the server stops. The responder is dead.
  func responseCancelled()
}
