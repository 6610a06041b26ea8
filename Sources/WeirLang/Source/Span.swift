/// A half-open range of bytes in one source file: where a node, a token or a mistake stands.
///
/// Every syntax node and every instruction carries one, so it is three small numbers and no reference. Offsets are bytes
/// of UTF-8; lines and columns are worked out only when something is shown (`Source.position(of:)`).
package struct Span: Hashable, Sendable {
  /// Which file: the index `SourceMap` gave it.
  package var file: UInt32
  package var start: UInt32
  package var end: UInt32

  package init(file: UInt32, start: Int, end: Int) {
    self.file = file
    self.start = UInt32(clamping: start)
    self.end = UInt32(clamping: max(start, end))
  }

  /// For things nobody wrote: built-ins, generated code.
  package static let none = Span(file: .max, start: 0, end: 0)

  package var isNone: Bool { file == .max }
  package var range: Range<Int> { Int(start)..<Int(end) }
  package var isEmpty: Bool { start == end }

  /// From the start of this to the end of `other`; both are in one file.
  package func through(_ other: Span) -> Span {
    if isNone { return other }
    if other.isNone || other.file != file { return self }
    return Span(file: file, start: Int(min(start, other.start)), end: Int(max(end, other.end)))
  }

  /// The empty place just behind it, for "something is missing here".
  package var after: Span { Span(file: file, start: Int(end), end: Int(end)) }

  /// Its first byte only.
  package var first: Span { Span(file: file, start: Int(start), end: min(Int(start) + 1, Int(end))) }
}

extension Span: Comparable {
  package static func < (a: Span, b: Span) -> Bool {
    (a.file, a.start, a.end) < (b.file, b.start, b.end)
  }
}
