import WeirCore

/// An answer's head as bytes, and HTTP dates. Framing is decided by the caller (`Framing`); fields that belong to it
/// (`Content-Length`, `Transfer-Encoding`, `Connection`, `Date`) are written here and dropped from what is given.
///
/// No field can break out: names that are not tokens are dropped, and CR, LF and NUL never leave a value.
package enum HTTPResponseWriter {
  package enum Framing: Equatable, Sendable {
    case length(Int)
    case chunked
    /// The body ends with the connection (HTTP/1.0).
    case untilClose
    /// 1xx, 204, 304: no body and no word of one.
    case none
  }

  package enum Connection: Equatable, Sendable {
    /// Nothing is said: HTTP/1.1 stays open.
    case persistent
    case close
    /// Said to HTTP/1.0 clients that asked for it.
    case keepAlive
    case upgrade
  }

  /// `date` as `HTTPDate` writes it, or empty for none.
  package static func appendHead(
    status: Int, headers: [HTTPField], framing: Framing, connection: Connection, date: [UInt8], to output: inout [UInt8]
  ) {
    output.append(contentsOf: StaticString("HTTP/1.1 ").bytes)
    appendNumber(min(max(status, 100), 999), to: &output)
    output.append(.space)
    output.append(contentsOf: reason(status).bytes)
    appendLine("", to: &output)
    for field in headers where field.name.utf8.allSatisfy(\.isTokenCharacter) && !field.name.isEmpty {
      if isOurs(field.name) { continue }
      output.append(contentsOf: field.name.utf8)
      output.append(.colon)
      output.append(.space)
      if field.value.utf8.contains(where: isForbidden) {
        for byte in field.value.utf8 where !isForbidden(byte) { output.append(byte) }
      } else {
        output.append(contentsOf: field.value.utf8)
      }
      appendLine("", to: &output)
    }
    if !date.isEmpty {
      output.append(contentsOf: StaticString("Date: ").bytes)
      output.append(contentsOf: date)
      appendLine("", to: &output)
    }
    switch framing {
    case .length(let count):
      output.append(contentsOf: StaticString("Content-Length: ").bytes)
      appendNumber(count, to: &output)
      appendLine("", to: &output)
    case .chunked: appendLine("Transfer-Encoding: chunked", to: &output)
    case .untilClose, .none: break
    }
    switch connection {
    case .persistent: break
    case .close: appendLine("Connection: close", to: &output)
    case .keepAlive: appendLine("Connection: keep-alive", to: &output)
    case .upgrade: appendLine("Connection: Upgrade", to: &output)
    }
    appendLine("", to: &output)
  }

  package static let continueHead = Array("HTTP/1.1 100 Continue\r\n\r\n".utf8)

  private static func isForbidden(_ byte: UInt8) -> Bool { byte == .carriageReturn || byte == .lineFeed || byte == 0 }

  private static func isOurs(_ name: String) -> Bool {
    switch name.utf8.count {
    case 4: name.matches("date")
    case 10: name.matches("connection") || name.matches("keep-alive")
    case 14: name.matches("content-length")
    case 17: name.matches("transfer-encoding")
    default: false
    }
  }

  private static func appendLine(_ text: StaticString, to output: inout [UInt8]) {
    output.append(contentsOf: text.bytes)
    output.append(.carriageReturn)
    output.append(.lineFeed)
  }

  private static func appendNumber(_ number: Int, to output: inout [UInt8]) {
    output.append(contentsOf: String(number).utf8)
  }

  package static func reason(_ status: Int) -> StaticString {
    switch status {
    case 100: "Continue"
    case 101: "Switching Protocols"
    case 200: "OK"
    case 201: "Created"
    case 202: "Accepted"
    case 204: "No Content"
    case 206: "Partial Content"
    case 301: "Moved Permanently"
    case 302: "Found"
    case 303: "See Other"
    case 304: "Not Modified"
    case 307: "Temporary Redirect"
    case 308: "Permanent Redirect"
    case 400: "Bad Request"
    case 401: "Unauthorized"
    case 403: "Forbidden"
    case 404: "Not Found"
    case 405: "Method Not Allowed"
    case 406: "Not Acceptable"
    case 408: "Request Timeout"
    case 409: "Conflict"
    case 410: "Gone"
    case 411: "Length Required"
    case 412: "Precondition Failed"
    case 413: "Content Too Large"
    case 414: "URI Too Long"
    case 415: "Unsupported Media Type"
    case 416: "Range Not Satisfiable"
    case 417: "Expectation Failed"
    case 422: "Unprocessable Content"
    case 426: "Upgrade Required"
    case 429: "Too Many Requests"
    case 431: "Request Header Fields Too Large"
    case 500: "Internal Server Error"
    case 501: "Not Implemented"
    case 502: "Bad Gateway"
    case 503: "Service Unavailable"
    case 504: "Gateway Timeout"
    case 505: "HTTP Version Not Supported"
    default: "Status"
    }
  }
}

/// Chunked framing (RFC 9112 7.1). Frames of several chunks put together are still a sequence of whole chunks, so they
/// can be encoded once and sent to many readers.
package enum HTTPChunk {
  /// Ends the body; no trailers.
  package static let last = Array("0\r\n\r\n".utf8)

  /// One chunk. Of no bytes it makes nothing, since an empty chunk would end the body.
  package static func appendFrame(_ bytes: Span<UInt8>, to output: inout [UInt8]) {
    guard bytes.count > 0 else { return }
    output.append(contentsOf: String(bytes.count, radix: 16).utf8)
    output.append(.carriageReturn)
    output.append(.lineFeed)
    bytes.withUnsafeBufferPointer { output.append(contentsOf: $0) }
    output.append(.carriageReturn)
    output.append(.lineFeed)
  }
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 5.6.7) from milliseconds since 1970.
package enum HTTPDate {
  package static func bytes(_ wallClock: Int64) -> [UInt8] {
    let seconds = wallClock.floored(by: 1000)
    let day = seconds.floored(by: 86_400)
    let second = Int(seconds.modulo(86_400))
    let date = CivilDate(daysSince1970: day)
    let weekday = Int((day + 4).modulo(7))

    func two(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
    let text =
      "\(weekdays[weekday]), \(two(Int(date.day))) \(months[Int(date.month) - 1]) \(date.year) "
      + "\(two(second / 3600)):\(two(second / 60 % 60)):\(two(second % 60)) GMT"
    return Array(text.utf8)
  }
  private static let weekdays = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
  private static let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
}
