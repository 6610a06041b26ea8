import WeirCore
import WeirWire

/// What is asked of a server of events, and under which limits.
package struct SSERequest: Sendable {
  package struct Reconnect: Hashable, Sendable {
    /// Over the life of the connection, whether they reach something or not.
    package var max: Int
    /// Before the first attempt in a row, unless the server said `retry`; doubled with each that reaches nothing.
    package var backoff: Duration
    package init(max: Int, backoff: Duration) {
      self.max = max
      self.backoff = backoff
    }
  }

  package var url: String
  /// The caller's win over those that server-sent events need.
  package var headers: [(name: String, value: String)]
  /// Nil: GET, else POST.
  package var body: String?
  package var reconnect: Reconnect?
  package var policy: NetworkPolicy?
  /// Of the headers, and what else must not come back in an error's text.
  package var secrets: Secrets
  package var connectTimeout = Duration.seconds(30)
  package var eventByteLimit = SSEParser.eventByteLimit
  package var queueLimit = 1_000

  package init(
    url: String, headers: [(name: String, value: String)] = [], body: String? = nil, reconnect: Reconnect? = nil,
    policy: NetworkPolicy?, environmentValues: Set<String> = []
  ) {
    self.url = url
    self.headers = headers
    self.body = body
    self.reconnect = reconnect
    self.policy = policy
    secrets = Secrets(headers: headers, environmentValues: environmentValues)
  }

  func headers(_ lastEventID: String) -> [(name: String, value: String)] {
    var all = headers
    func add(_ name: String, _ value: String) {
      if !all.contains(where: { $0.name.lowercased() == name.lowercased() }) { all.append((name, value)) }
    }
    add("Accept", "text/event-stream")
    add("Cache-Control", "no-cache")
    if body != nil { add("Content-Type", "application/json") }
    // An ID that cannot stand in a header is none.
    if !lastEventID.isEmpty, lastEventID.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7f }) {
      all.removeAll { $0.name.lowercased() == "last-event-id" }
      all.append(("Last-Event-ID", lastEventID))
    }
    return all
  }

  /// For messages: without what may be secret.
  var place: String { (try? URLParts(url))?.origin ?? "the server" }

  /// `HTTP 401 Unauthorized: …`
  func refusal(_ head: HTTPResponseHead, _ body: [UInt8]) -> String {
    let reason = "\(HTTPResponseWriter.reason(head.status))"
    var what = "HTTP \(head.status)" + (reason == "Status" ? "" : " " + reason)
    if head.status == 200 {
      let encoding = head["content-encoding"].map { ", compressed with \($0)," } ?? ""
      what += " with \(head["content-type"].map { "content type \($0)" } ?? "no content type")\(encoding)"
      what += " instead of text/event-stream"
    } else if (300..<400).contains(head.status) {
      what += ", a redirect to nowhere"
    }
    let isCut = body.count == SSEConnection.quoteLimit
    var quote = body
    if isCut {
      // A character that the limit cuts is left out, not replaced.
      while let last = quote.last, last & 0xc0 == 0x80, quote.count > body.count - 3 { quote.removeLast() }
      if let last = quote.last, last >= 0xc0 { quote.removeLast() }
    }
    let text =
      isCut ? secrets.redact(beginning: quote) : secrets.redact(String(decoding: quote, as: UTF8.self))
    return secrets.redact(what) + (text.isEmpty ? "" : ": \(text)")
  }
}

extension HTTPResponseHead {
  /// Also not compressed: it was not asked for, and an event could not be told from noise.
  var isEventStream: Bool {
    let type = (self["content-type"] ?? "").prefix { $0 != ";" && $0 != "," }
    let encoding = self["content-encoding"]?.lowercased() ?? "identity"
    return type.lowercased().split(separator: " ") == ["text/event-stream"] && encoding == "identity"
  }
}

extension StreamErrorKind {
  /// Why no connection came about.
  package init(_ failure: NetworkFailure) {
    let text = failure.message + (failure.hint.map { " (\($0))" } ?? "")
    if case .timedOut = failure { self = .timeout(text) } else { self = .connectionFailed(text) }
  }
}

extension NetworkFailure {
  /// The same attempt may fare better later.
  var mayPass: Bool {
    switch self {
    case .refused, .timedOut, .reset, .closedEarly, .nameNotFound, .unavailable, .other: true
    default: false
    }
  }
}
