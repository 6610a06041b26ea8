import WeirCore

/// A server's bytes in, its answer's head out, and the beginning of its body: for a handshake that leaves HTTP when it
/// is accepted, and says why when it is not. Requests proper are libcurl's.
///
/// Pure and strict as `HTTPRequestParser` is; any cut of the same bytes gives the same head, prefix and failure.
package struct HTTPResponseParser: Sendable {
  package static let lineByteLimit = 8 << 10
  package static let headByteLimit = 64 << 10
  package static let fieldCountLimit = 100
  private static let chunkLineLimit = 256
  /// Heads with 1xx that may come before the answer.
  private static let interimLimit = 16

  private enum State {
    case statusLine, fields
    case length(Int)
    case chunkSize
    case chunkData(Int)
    case chunkEnd, untilEnd, over
  }

  private var state = State.statusLine
  private var lines = HTTPLineReader(
    lineLimit: lineByteLimit, headLimit: headByteLimit, fieldCountLimit: fieldCountLimit,
    chunkLineLimit: chunkLineLimit)
  private var head = HTTPResponseHead(status: 0, headers: [])
  private var interimCount = 0
  private var body: [UInt8] = []

  package init() {}

  package mutating func receive(_ bytes: Span<UInt8>) { lines.receive(bytes) }

  /// What followed the head of an answer that switched protocols.
  package mutating func takeBuffered() -> [UInt8] { lines.takeBuffered() }

  /// The head of the final answer, once; nil: needs more bytes. 1xx heads before it are skipped, but for 101.
  package mutating func nextHead() throws(HTTPFailure) -> HTTPResponseHead? {
    while true {
      switch state {
      case .statusLine:
        guard let line = try lines.takeLine(.start) else { return nil }
        head = HTTPResponseHead(status: try readStatus(line), headers: [])
        state = .fields
      case .fields:
        guard let line = try lines.takeLine(.field) else { return nil }
        if !line.isEmpty {
          head.headers.append(try lines.readField(line, after: head.headers.count))
          continue
        }
        lines.headBytes = 0
        if head.status < 200, head.status != 101 {
          interimCount += 1
          if interimCount > Self.interimLimit { throw .malformed("too many interim answers") }
          state = .statusLine
          continue
        }
        state = bodyState
        return head
      default: return nil
      }
    }
  }

  /// The first `limit` bytes of the body, or all of it; nil: more may come. A body whose framing breaks ends there.
  package mutating func bodyPrefix(limit: Int) -> [UInt8]? {
    while body.count < limit {
      switch state {
      case .statusLine, .fields, .over: return body
      case .untilEnd: return lines.take(limit - body.count, to: &body) == 0 ? nil : body.count < limit ? nil : body
      case .length(let rest):
        if rest == 0 { return body }
        let count = lines.take(min(rest, limit - body.count), to: &body)
        if count == 0 { return nil }
        state = .length(rest - count)
      case .chunkSize:
        do throws(HTTPFailure) {
          guard let line = try lines.takeLine(.chunk) else { return nil }
          let size = try lines.readChunkSize(line).size
          state = size == 0 ? .over : .chunkData(size)
        } catch { state = .over }
      case .chunkData(let rest):
        let count = lines.take(min(rest, limit - body.count), to: &body)
        if count == 0 { return nil }
        state = rest == count ? .chunkEnd : .chunkData(rest - count)
      case .chunkEnd:
        do throws(HTTPFailure) {
          guard try lines.takeChunkEnd() else { return nil }
          state = .chunkSize
        } catch { state = .over }
      }
    }
    return body
  }

  /// What there is of the body when no more will come.
  package var bodySoFar: [UInt8] { body }

  private func readStatus(_ line: Range<Int>) throws(HTTPFailure) -> Int {
    let line = Array(lines.input[line])
    return try line.withUnsafeBufferPointer { (line) throws(HTTPFailure) in
      guard line.count >= 12, line.slice(0..<7).equals("HTTP/1."), line[7].isDigit, line[8] == .space,
        line.slice(9..<12).allSatisfy(\.isDigit), line.count == 12 || line[12] == .space
      else { throw .malformed("the answer does not begin with an HTTP/1 status line") }
      let status = line.slice(9..<12).reduce(0) { $0 * 10 + Int($1 - 0x30) }
      guard (100...599).contains(status) else { throw .malformed("\(status) is not an HTTP status") }
      return status
    }
  }

  private var bodyState: State {
    if head.status == 101 || head.status == 204 || head.status == 304 { return .over }
    if let coding = head["Transfer-Encoding"] { return coding.matches("chunked") ? .chunkSize : .untilEnd }
    if let length = head["Content-Length"], let count = Int(length), count >= 0 { return .length(count) }
    return .untilEnd
  }
}
