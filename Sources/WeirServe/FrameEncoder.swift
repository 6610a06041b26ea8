import WeirCore
import WeirStore

/// One item of a stream as the bytes that readers of one format get, framed as an HTTP chunk where the connection
/// is chunked. Pure, and a function of the item and its offset alone: the same item gives the same bytes to the feed
/// that encodes it once for everybody and to the slow reader that fetches it from the log.
struct FrameEncoder {
  /// What the last item was, as far as endings go.
  enum ItemKind: UInt8 {
    case unknown
    case other
    /// `.end`: the run has said how it ended.
    case end
    /// `.end` with a state that a format without end states must not pass off as success.
    case badEnd
  }

  let format: OutputFormat
  /// Set on workflow routes: event ids become `<offset>@<run>`, so that `EventSource` comes back to its own run.
  let run: String?
  /// The name that formats with a `model` member show.
  let model: String
  let isChunked: Bool
  private let idSuffix: [UInt8]

  init(format: OutputFormat, run: String?, model: String, isChunked: Bool) {
    self.format = format
    self.run = run
    self.model = model
    self.isChunked = isChunked
    idSuffix = run.map { Array("@\($0)".utf8) } ?? []
  }

  /// Sent to an SSE reader while nothing else is: proxies and clients see that the connection lives.
  func heartbeat(to out: inout [UInt8]) {
    frame(to: &out) { _, out in JSONWriter.append(raw: ":\n\n", to: &out) }
  }

  /// Sent first to each reader. An SSE event that has an id and no data is not dispatched, but the client keeps the
  /// id (WHATWG HTML 9.2.6): a connection lost before the first token comes back to this run, never to a second.
  func preamble(from offset: Offset, to out: inout [UInt8]) {
    frame(to: &out) { encoder, out in
      switch encoder.format {
      case .weir, .items, .base64:
        encoder.id(offset, to: &out)
        out.append(0x0A)
      case .aiSDK:
        encoder.id(offset, to: &out)
        JSONWriter.append(raw: "data: {\"type\":\"start\",\"messageId\":", to: &out)
        JSONWriter.append(string: "msg_\(encoder.run ?? "0")", to: &out)
        JSONWriter.append(raw: "}\n\ndata: {\"type\":\"text-start\",\"id\":\"0\"}\n\n", to: &out)
      case .openai, .text:
        break
      }
    }
  }

  /// The frame of one item; `offset` is the one after it.
  func item(_ item: StreamItem, after offset: Offset, to out: inout [UInt8]) -> ItemKind {
    if format.isOfItems {
      frame(to: &out) { encoder, out in
        encoder.id(offset, to: &out)
        encoder.lines(encoder.format == .base64 ? Array(Base64.encode(item.bytes).utf8) : item.bytes, to: &out)
      }
      return .other
    }
    if format == .weir, let text = RunEventCodec.plainTextRange(item.bytes.span) {
      frame(to: &out) { encoder, out in encoder.weir(escapedText: item.bytes[text], offset, to: &out) }
      return .other
    }
    let event: RunEvent
    do {
      // nil: a kind of event from a newer version, which readers skip.
      guard let known = try RunEventCodec.decode(item.bytes) else { return .other }
      event = known
    } catch {
      // Not ours to hide: the reader learns that one item could not be read, and the run goes on.
      event = .error(RunFailure(code: "Internal", message: "an item of this stream is not a run event"))
    }
    frame(to: &out) { encoder, out in
      switch encoder.format {
      case .weir: encoder.weir(event, offset, to: &out)
      case .openai: encoder.openAI(event, offset, time: item.time, to: &out)
      case .aiSDK: encoder.aiSDK(event, offset, to: &out)
      case .text: encoder.text(event, to: &out)
      case .items, .base64: break
      }
    }
    guard case .end(let state) = event else { return .other }
    switch state {
    case .completed, .length, .filtered, .toolCalls: return .end
    case .aborted, .truncated, .error, .budget: return .badEnd
    }
  }

  /// What follows the last item of a stream that ended without its `.end`: its writer died, or it is no run.
  func ending(_ ending: StreamEnding, at offset: Offset, to out: inout [UInt8]) {
    if format.isOfItems {
      return frame(to: &out) { encoder, out in
        encoder.id(offset, to: &out)
        switch ending {
        case .closed: JSONWriter.append(raw: "event: end\ndata: {\"state\":\"closed\"}\n\n", to: &out)
        case .aborted(let reason):
          JSONWriter.append(raw: "event: end\ndata: {\"state\":\"aborted\",\"reason\":", to: &out)
          JSONWriter.append(string: reason, to: &out)
          JSONWriter.append(raw: "}\n\n", to: &out)
        }
      }
    }
    let (state, failure) = ending.ofRun
    let events = (failure.map { [.error($0)] } ?? []) + [RunEvent.end(state)]
    frame(to: &out) { encoder, out in
      for event in events {
        switch encoder.format {
        case .weir: encoder.weir(event, offset, to: &out)
        case .openai: encoder.openAI(event, offset, time: 0, to: &out)
        case .aiSDK: encoder.aiSDK(event, offset, to: &out)
        case .text, .items, .base64: break
        }
      }
    }
  }

  // MARK: Framing

  /// One frame is one HTTP chunk (RFC 9112 section 7.1), or nothing at all: an empty chunk would end the body.
  private func frame(to out: inout [UInt8], _ encode: (borrowing FrameEncoder, inout [UInt8]) -> Void) {
    guard isChunked else { return encode(self, &out) }
    // The size comes first but is known last: room for the two digits of the usual frame is left, and the body moved
    // only where that was a wrong guess.
    let start = out.count
    JSONWriter.append(raw: "00\r\n", to: &out)
    let body = out.count
    encode(self, &out)
    var size = out.count - body
    guard size > 0 else {
      out.removeSubrange(start...)
      return
    }
    JSONWriter.append(raw: "\r\n", to: &out)
    var digits = 0
    var rest = size
    repeat {
      digits += 1
      rest >>= 4
    } while rest > 0
    if digits < 2 { out.remove(at: start) }
    if digits > 2 { out.insert(contentsOf: repeatElement(0x30, count: digits - 2), at: start) }
    for place in (start..<(start + digits)).reversed() {
      let digit = UInt8(size & 15)
      out[place] = digit < 10 ? 0x30 + digit : 0x61 + digit - 10
      size >>= 4
    }
  }

  func id(_ offset: Offset, to out: inout [UInt8]) {
    JSONWriter.append(raw: "id: ", to: &out)
    // 16 digits (Offset.description) without making a string for each token.
    var value = offset.value
    let start = out.count
    JSONWriter.append(raw: "0000000000000000", to: &out)
    var place = start + 15
    while value > 0, place >= start {
      out[place] = 0x30 + UInt8(value % 10)
      value /= 10
      place -= 1
    }
    out.append(contentsOf: idSuffix)
    out.append(0x0A)
  }

  /// `data:` for each line; the three line ends of SSE all split, so no item can forge a field.
  private func lines(_ bytes: [UInt8], to out: inout [UInt8]) {
    var start = 0
    var index = 0
    while index < bytes.count {
      let byte = bytes[index]
      if byte == 0x0A || byte == 0x0D {
        JSONWriter.append(raw: "data: ", to: &out)
        out.append(contentsOf: bytes[start..<index])
        out.append(0x0A)
        if byte == 0x0D, index + 1 < bytes.count, bytes[index + 1] == 0x0A { index += 1 }
        start = index + 1
      }
      index += 1
    }
    JSONWriter.append(raw: "data: ", to: &out)
    out.append(contentsOf: bytes[start...])
    JSONWriter.append(raw: "\n\n", to: &out)
  }
}
