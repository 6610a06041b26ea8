/// Events out as `text/event-stream` bytes: the mirror of `SSEParser`. Appends; never allocates for itself.
///
/// Whatever is given, the receiver gets exactly one event with these fields: line ends inside `data` become several
/// `data` lines (CR and CRLF arrive as LF, the format knows no other), and line ends or NUL inside `event` and `id`,
/// where they would start a new field, are left out.
///
/// The id stands first, so that `event` and `data` are neighbours, and data follows its colon at once: receivers that look for
/// `event: control` and `data:{` (the Durable Streams Protocol's own suite does) find them, and by the standard it is the same
/// event. A line that begins with a space needs one more, which the receiver takes off.
package enum SSEWriter {
  package static func append(
    data: Span<UInt8>, event: String? = nil, id: String? = nil, retry: Duration? = nil, to output: inout [UInt8]
  ) {
    if let id { appendField("id: ", id, to: &output) }
    if let retry { appendField("retry: ", String(retry.wholeMilliseconds), to: &output) }
    if let event { appendField("event: ", event, to: &output) }
    appendLines("data:", data, to: &output)
    output.append(.lineFeed)
  }

  package static func append(
    data: String, event: String? = nil, id: String? = nil, retry: Duration? = nil, to output: inout [UInt8]
  ) {
    var data = data
    data.withUTF8 { append(data: $0.span, event: event, id: id, retry: retry, to: &output) }
  }

  /// A comment is no event: it keeps a connection alive and shows nothing.
  package static func append(comment: String, to output: inout [UInt8]) {
    var comment = comment
    comment.withUTF8 { appendLines(": ", $0.span, to: &output) }
    output.append(.lineFeed)
  }

  /// Asks a reconnecting client to wait this long. No event either.
  package static func append(retry: Duration, to output: inout [UInt8]) {
    appendField("retry: ", String(retry.wholeMilliseconds), to: &output)
    output.append(.lineFeed)
  }

  private static func appendField(_ name: StaticString, _ value: String, to output: inout [UInt8]) {
    output.append(contentsOf: name.bytes)
    for byte in value.utf8 where byte != .lineFeed && byte != .carriageReturn && byte != 0 { output.append(byte) }
    output.append(.lineFeed)
  }

  private static func appendLines(_ name: StaticString, _ text: Span<UInt8>, to output: inout [UInt8]) {
    text.withUnsafeBufferPointer { text in
      var start = 0
      var nextCR = text.scan(for: .carriageReturn)
      while true {
        let nextLF = text.firstIndex(of: .lineFeed, in: start..<text.count)
        if nextCR < start { nextCR = text.firstIndex(of: .carriageReturn, in: start..<text.count) }
        let end = min(nextLF, nextCR)
        output.append(contentsOf: name.bytes)
        if start < end, text[start] == UInt8(ascii: " ") { output.append(UInt8(ascii: " ")) }
        output.append(contentsOf: text.slice(start..<end))
        output.append(.lineFeed)
        if end == text.count { return }
        start = end + (end == nextCR && end + 1 == nextLF && nextLF < text.count ? 2 : 1)
      }
    }
  }
}

extension StaticString {
  var bytes: UnsafeBufferPointer<UInt8> { UnsafeBufferPointer(start: utf8Start, count: utf8CodeUnitCount) }
}

extension Duration {
  var wholeMilliseconds: Int64 {
    let (seconds, attoseconds) = components
    return max(0, min(seconds, 1 << 40) * 1000 + attoseconds / 1_000_000_000_000_000)
  }
}
