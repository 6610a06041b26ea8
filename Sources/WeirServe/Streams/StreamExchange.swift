import WeirCore
import WeirNet
import WeirStore
import WeirWire

/// One request for a stream, and the answer owed to it: with the headers that every answer here has, refusals too.
final class StreamExchange {
  let application: ServeApplication
  let request: HTTPRequest
  let responder: any HTTPResponder
  /// Of the root and the stream, as the request names them.
  let path: String
  /// When the link by which this was asked is over, in seconds since 1970. Nil: it was not asked by a link.
  var expires: Int64?
  private let common: [(name: String, value: String)]

  /// What a page of a named origin may send, and read of an answer.
  private static let sentHeaders =
    "Authorization, Content-Type, If-None-Match, Last-Event-ID, Producer-Id, Producer-Epoch, Producer-Seq, Stream-Closed, "
    + "Stream-Expires-At, Stream-Fork-Offset, Stream-Fork-Sub-Offset, Stream-Forked-From, Stream-Seq, Stream-TTL"
  private static let readHeaders =
    "ETag, Location, Producer-Epoch, Producer-Expected-Seq, Producer-Received-Seq, Producer-Seq, Stream-Closed, Stream-Cursor, "
    + "Stream-End, Stream-Expires-At, Stream-Id, Stream-Next-Offset, Stream-SSE-Data-Encoding, Stream-TTL, Stream-Up-To-Date"

  init(_ application: ServeApplication, _ request: HTTPRequest, _ responder: any HTTPResponder) {
    self.application = application
    self.request = request
    self.responder = responder
    path = request.path
    // What a stream holds was written by whoever may write: a browser must not run it as a page of this server.
    var headers = [
      (name: "X-Content-Type-Options", value: "nosniff"),
      ("Content-Security-Policy", "sandbox; default-src 'none'"),
    ]
    let access = application.access
    headers.append(("Cross-Origin-Resource-Policy", access.origins.isEmpty ? "same-origin" : "cross-origin"))
    // Who wants events gets other bytes at the same address.
    headers.append(("Vary", access.origins.isEmpty ? "Accept" : "Accept, Origin"))
    if !access.origins.isEmpty {
      if let origin = request["Origin"], access.origins.contains(origin.lowercased()) {
        headers.append(("Access-Control-Allow-Origin", origin))
        headers.append(("Access-Control-Expose-Headers", Self.readHeaders))
      }
    }
    common = headers
  }

  /// How long the link has still to go: nobody who came by it gets anything of what comes later. No connection lasts a year.
  var remaining: Duration? {
    guard let expires else { return nil }
    let now = application.loop.wallClock
    return .milliseconds(max(0, min(expires, now / 1000 + 366 * 86_400) * 1000 - now))
  }

  func send(_ status: Int, _ headers: [(name: String, value: String)] = [], _ body: [UInt8] = []) {
    responder.respond(status: status, headers: headers + common, body: body)
  }

  func begin(_ headers: [(name: String, value: String)]) { responder.begin(status: 200, headers: headers + common) }

  func send(_ failure: ServeFailure, _ headers: [(name: String, value: String)] = []) {
    let reply = Reply(failure)
    send(reply.status, reply.headers + headers, reply.body)
  }

  func send(_ failure: StoreFailure, _ headers: [(name: String, value: String)] = []) {
    send(.store(failure), headers)
  }

  /// What may be asked, and by a page of which origin.
  func sendOptions(_ methods: [String]) {
    let allow = methods.joined(separator: ", ")
    var headers = [(name: "Allow", value: allow), ("Cache-Control", "no-store")]
    if request["Access-Control-Request-Method"] != nil, !application.access.origins.isEmpty {
      headers.append(("Access-Control-Allow-Methods", allow))
      headers.append(("Access-Control-Allow-Headers", Self.sentHeaders))
      headers.append(("Access-Control-Max-Age", "600"))
    }
    send(204, headers)
  }
}

/// What an answer says of a stream.
enum StreamHeaders {
  /// How it ended; the protocol's sign, and Weir's own word for why.
  static func ending(_ ending: StreamEnding?) -> [(name: String, value: String)] {
    switch ending {
    case nil: []
    case .closed?: [("Stream-Closed", "true"), ("Stream-End", "closed")]
    case .aborted(let reason)?: [("Stream-Closed", "true"), ("Stream-End", "aborted; reason=\(text(reason))")]
    }
  }

  /// Of a stream that takes nothing more: where it stands.
  static func end(_ ending: StreamEnding, at tail: Offset) -> [(name: String, value: String)] {
    [("Stream-Next-Offset", tail.description)] + self.ending(ending)
  }

  /// Percent-encoded, and no longer than a header may be.
  private static func text(_ reason: String) -> String {
    PercentCoding.encode(String(decoding: reason.utf8.prefix(500), as: UTF8.self))
  }

  static func lifetime(_ status: StreamStatus) -> [(name: String, value: String)] {
    switch status.lifetime {
    case nil: []
    case .idle(let seconds)?: [("Stream-TTL", "\(seconds)")]
    case .until(let moment)?: [("Stream-Expires-At", Timestamp(milliseconds: moment).description)]
    }
  }
}
