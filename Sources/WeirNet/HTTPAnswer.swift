import WeirCore
import WeirWire

/// What a handler holds of one request: speaks to the connection while that request's turn lasts, then is deaf.
///
/// Letting go of it without an answer is answered for the handler: 500, or a cut connection if a stream had begun.
final class HTTPAnswer: HTTPResponder {
  private let connection: HTTPConnection
  private let turn: UInt32

  init(_ connection: HTTPConnection, turn: UInt32) {
    self.connection = connection
    self.turn = turn
  }

  deinit { if isLive { connection.dropped() } }

  private var isLive: Bool { connection.turn == turn && connection.phase == .answering }

  var observer: (any HTTPResponseObserver)? {
    get { isLive ? connection.observer : nil }
    set { if isLive { connection.observer = newValue } }
  }

  var isChunked: Bool { connection.isChunked }

  func respond(status: Int, headers: [(name: String, value: String)], body: [UInt8]) {
    if isLive { connection.respond(status: status, headers: headers, body: body) }
  }

  func begin(status: Int, headers: [(name: String, value: String)]) {
    if isLive { connection.begin(status: status, headers: headers) }
  }

  // A dead answer takes everything, so that nobody waits for room that will never come.
  func send(_ bytes: Span<UInt8>) -> Int { isLive ? connection.send(bytes) : bytes.count }
  func sendFramed(_ bytes: Span<UInt8>) -> Int { isLive ? connection.sendFramed(bytes) : bytes.count }

  func finish() { if isLive { connection.finish() } }
  func abort() { if isLive { connection.abort() } }

  func upgrade(headers: [(name: String, value: String)]) -> HTTPUpgrade? {
    isLive ? connection.upgrade(headers: headers) : nil
  }
}

/// `{"error": {"code", "message", "hint"}}`: how every error looks over HTTP.
package enum ErrorBody {
  package static func json(_ failure: any Failure) -> [UInt8] {
    let error: JSONValue = [
      "code": .string(failure.code), "message": .string(failure.message),
      "hint": failure.hint.map { .string($0) } ?? .null,
    ]
    return JSONValue.object([JSONMember("error", error)]).encoded()
  }
}
