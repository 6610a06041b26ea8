/// The text of one file, as bytes, and its lines.
///
/// Knows nothing of the language and reads no disk: whoever has the bytes makes one. Bytes need not be valid UTF-8 (the
/// lexer says where they are not); what is shown of them is repaired with U+FFFD.
package struct Source: Sendable {
  /// As the user named it: `app.weir`, `std/stream`.
  package let name: String
  /// What `Span.file` holds for this source.
  package let id: UInt32
  package let bytes: [UInt8]
  /// Offset of each line's first byte; never empty.
  package let lineStarts: [Int]

  package init(name: String, bytes: [UInt8], id: UInt32 = 0) {
    self.name = name
    self.id = id
    self.bytes = bytes
    var starts = [0]
    for (offset, byte) in bytes.enumerated() where byte == UInt8(ascii: "\n") { starts.append(offset + 1) }
    lineStarts = starts
  }

  package init(name: String, text: String, id: UInt32 = 0) {
    self.init(name: name, bytes: Array(text.utf8), id: id)
  }

  package struct Position: Equatable, Sendable {
    /// From 1.
    package var line: Int
    /// From 1, in Unicode scalars.
    package var column: Int

    package init(line: Int, column: Int) {
      self.line = line
      self.column = column
    }
  }

  package func position(of offset: Int) -> Position {
    let offset = min(max(offset, 0), bytes.count)
    let line = lineIndex(of: offset)
    var column = 1
    for byte in bytes[lineStarts[line]..<offset] where byte & 0xC0 != 0x80 { column += 1 }
    return Position(line: line + 1, column: column)
  }

  /// Index from 0 of the line that holds `offset`.
  package func lineIndex(of offset: Int) -> Int {
    var low = 0
    var high = lineStarts.count
    while high - low > 1 {
      let middle = (low + high) / 2
      if lineStarts[middle] <= offset { low = middle } else { high = middle }
    }
    return low
  }

  /// The bytes of a line without its line break.
  package func lineRange(_ index: Int) -> Range<Int> {
    let start = lineStarts[index]
    var end = index + 1 < lineStarts.count ? lineStarts[index + 1] - 1 : bytes.count
    if end > start, bytes[end - 1] == UInt8(ascii: "\r") { end -= 1 }
    return start..<max(start, end)
  }

  package func text(_ range: Range<Int>) -> String {
    let clamped = range.clamped(to: 0..<bytes.count)
    return String(decoding: bytes[clamped], as: UTF8.self)
  }

  package func text(_ span: Span) -> String { text(span.range) }
}

/// All files of one program; a span's `file` is an index here.
package struct SourceMap: Sendable {
  package private(set) var sources: [Source] = []

  package init() {}

  @discardableResult
  package mutating func add(name: String, bytes: [UInt8]) -> Source {
    let source = Source(name: name, bytes: bytes, id: UInt32(sources.count))
    sources.append(source)
    return source
  }

  @discardableResult
  package mutating func add(name: String, text: String) -> Source { add(name: name, bytes: Array(text.utf8)) }

  package func source(of span: Span) -> Source? {
    span.isNone || Int(span.file) >= sources.count ? nil : sources[Int(span.file)]
  }
}
