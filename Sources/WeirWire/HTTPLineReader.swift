/// The lines of an HTTP/1 message and the bytes between them, read strictly (RFC 9112 2.2, 5): what requests and answers
/// have in common.
///
/// Part of a parser: buffers what came, gives whole lines, keeps their limits. A line ends in CRLF and nothing else, no
/// bare CR, no control character, no folded field, no space before a colon.
struct HTTPLineReader: Sendable {
  private let lineLimit: Int
  private let headLimit: Int
  private let fieldCountLimit: Int
  private let chunkLineLimit: Int

  /// Bytes not yet read are `input[position...]`; up to `scanned` there is no LF among them.
  private(set) var input: [UInt8] = []
  private var position = 0
  private var scanned = 0
  /// Bytes of the lines of this head (or these trailers) so far.
  var headBytes = 0

  init(lineLimit: Int, headLimit: Int, fieldCountLimit: Int, chunkLineLimit: Int) {
    self.lineLimit = lineLimit
    self.headLimit = max(headLimit, lineLimit + 2)
    self.fieldCountLimit = fieldCountLimit
    self.chunkLineLimit = chunkLineLimit
  }

  var bufferedBytes: Int { input.count - position }
  var first: UInt8? { position < input.count ? input[position] : nil }

  mutating func takeBuffered() -> [UInt8] {
    defer { (input, position, scanned) = ([], 0, 0) }
    return Array(input[position...])
  }

  mutating func freeIfEmpty() {
    if position == input.count { (input, position, scanned) = ([], 0, 0) }
  }

  mutating func receive(_ bytes: Span<UInt8>) {
    if position > 0 {
      input.removeSubrange(0..<position)
      scanned = max(0, scanned - position)
      position = 0
    }
    bytes.withUnsafeBufferPointer { input.append(contentsOf: $0) }
  }

  /// Moves up to `count` bytes; tells how many there were.
  mutating func take(_ count: Int, to output: inout [UInt8]) -> Int {
    let count = min(count, input.count - position)
    output.append(contentsOf: input[position..<position + count])
    position += count
    return count
  }

  /// The CRLF behind a chunk's data; false: needs more bytes.
  mutating func takeChunkEnd() throws(HTTPFailure) -> Bool {
    guard let first else { return false }
    guard first == .carriageReturn else { throw .malformed("a chunk is longer than its size") }
    guard position + 1 < input.count else { return false }
    guard input[position + 1] == .lineFeed else { throw .malformed("a chunk is longer than its size") }
    position += 2
    return true
  }

  enum LineKind { case start, field, chunk }

  /// The next line without its CRLF, or nil. Checks lengths on what is there, contents only on whole lines, so that
  /// every cut fails at the same byte for the same reason.
  mutating func takeLine(_ kind: LineKind) throws(HTTPFailure) -> Range<Int>? {
    let limit = kind == .chunk ? chunkLineLimit : lineLimit
    let feed = input.withUnsafeBufferPointer {
      $0.firstIndex(of: .lineFeed, in: max(position, scanned)..<$0.count)
    }
    let isWhole = feed < input.count
    scanned = isWhole ? feed + 1 : feed
    let endsInCR = feed > position && input[feed - 1] == .carriageReturn
    if feed - position - (endsInCR ? 1 : 0) > limit {
      switch kind {
      case .start: throw .lineTooLong(limit: limit)
      case .field: throw .headTooLarge("a header field is longer than \(limit) bytes")
      case .chunk: throw .malformed("a chunk size line is too long")
      }
    }
    if kind != .chunk {
      if headBytes + feed - position + (isWhole ? 1 : 0) > headLimit {
        throw .headTooLarge("the header fields are larger than \(headLimit) bytes")
      }
    }
    guard isWhole else { return nil }
    guard endsInCR else { throw .malformed("a line ends in a bare LF") }
    let line = position..<feed - 1
    headBytes += feed + 1 - position
    position = feed + 1
    let control = input.withUnsafeBufferPointer { input in
      input.slice(line).first { ($0 < .space && $0 != .tab) || $0 == 0x7F }
    }
    if let control {
      throw .malformed(control == .carriageReturn ? "a bare CR in a line" : "a control character in a line")
    }
    return line
  }

  func readField(_ line: Range<Int>, after count: Int) throws(HTTPFailure) -> HTTPField {
    try input.withUnsafeBufferPointer { (input) throws(HTTPFailure) -> HTTPField in
      let line = input.slice(line)
      if line[0] == .space || line[0] == .tab { throw .malformed("a folded header field") }
      let colon = line.scan(for: .colon)
      guard 0 < colon, colon < line.count else { throw .malformed("a header field without a name") }
      let name = line.slice(0..<colon)
      guard name.allSatisfy(\.isTokenCharacter) else {
        throw .malformed("a header field's name holds a space or another character that it must not")
      }
      if count == fieldCountLimit { throw .headTooLarge("more than \(fieldCountLimit) header fields") }
      var (start, end) = (colon + 1, line.count)
      while start < end, line[start] == .space || line[start] == .tab { start += 1 }
      while start < end, line[end - 1] == .space || line[end - 1] == .tab { end -= 1 }
      return (
        name: String(decoding: name, as: UTF8.self), value: String(decoding: line.slice(start..<end), as: UTF8.self)
      )
    }
  }

  /// A size beyond what anybody can send is given as the largest number.
  func readChunkSize(_ range: Range<Int>) throws(HTTPFailure) -> (size: Int, extensionBytes: Int) {
    let line = Array(input[range])
    let digits = line.prefix { $0.hexValue != nil }
    guard !digits.isEmpty, digits.count == line.count || line[digits.count] == .semicolon else {
      throw .malformed("a chunk size is not a hexadecimal number")
    }
    var size = 0
    for digit in digits {
      guard size < 1 << 48, let value = digit.hexValue else { return (.max, 0) }
      size = size << 4 | value
    }
    return (size, line.count - digits.count)
  }
}
