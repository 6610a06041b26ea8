/// The comments of a file in order, with where they stand: the lexer leaves them out, so they are read again from what lies
/// between its tokens.
///
/// A cursor: whoever prints a node first takes the comments that stand before it, so none is lost and their order is kept.
struct Comments {
  struct Comment {
    /// As it is written out: `--` has become `//`.
    var text: String
    var range: Range<Int>
    var isToLineEnd: Bool
    /// Nothing but a line break follows.
    var isLastOnLine: Bool
  }

  let all: [Comment]
  private var next = 0

  init(_ source: Source, _ lexed: Lexed) {
    var found: [Comment] = []
    // Comments in `${…}` belong to their string, which is kept as it is.
    var strings = 0
    var end = 0
    if source.bytes.starts(with: [0xEF, 0xBB, 0xBF]) { end = 3 }
    if end + 1 < source.bytes.count, source.bytes[end] == UInt8(ascii: "#"), source.bytes[end + 1] == UInt8(ascii: "!")
    {
      end = source.lineRange(0).upperBound
    }
    for token in lexed.tokens {
      if strings == 0, Int(token.start) > end { Self.scan(source, end..<Int(token.start), into: &found) }
      if token.kind == .stringStart { strings += 1 }
      if token.kind == .stringEnd { strings -= 1 }
      end = max(end, Int(token.end))
    }
    all = found
  }

  /// Those before `offset` that were not taken yet.
  mutating func take(before offset: Int) -> ArraySlice<Comment> {
    let from = next
    while next < all.count, all[next].range.lowerBound < offset { next += 1 }
    return all[from..<next]
  }

  /// What stands behind `end` on its line and ends it, before `limit`.
  mutating func takeTrailing(after end: Int, before limit: Int, in source: Source) -> ArraySlice<Comment> {
    let line = source.lineIndex(of: end)
    let from = next
    var last = next
    while last < all.count, all[last].range.lowerBound >= end, all[last].range.lowerBound < limit,
      source.lineIndex(of: all[last].range.lowerBound) == line
    {
      last += 1
    }
    guard last > from, all[last - 1].isLastOnLine else { return [] }
    // Something between them on the line: they are that thing's.
    for comment in all[from..<(last - 1)] where comment.isToLineEnd { return [] }
    next = last
    return all[from..<last]
  }

  func peek(before offset: Int) -> Bool { next < all.count && all[next].range.lowerBound < offset }
  var upcoming: Comment? { next < all.count ? all[next] : nil }

  private static func scan(_ source: Source, _ gap: Range<Int>, into found: inout [Comment]) {
    let bytes = source.bytes
    var at = gap.lowerBound
    let slash = UInt8(ascii: "/")
    let star = UInt8(ascii: "*")
    let dash = UInt8(ascii: "-")
    while at + 1 < gap.upperBound {
      let start = at
      let isLine = (bytes[at] == slash || bytes[at] == dash) && bytes[at + 1] == bytes[at]
      if isLine {
        while at < gap.upperBound, bytes[at] != UInt8(ascii: "\n") { at += 1 }
        let text = line(source.text((start + 2)..<at), wasDash: bytes[start] == dash)
        found.append(Comment(text: text, range: start..<at, isToLineEnd: true, isLastOnLine: true))
      } else if bytes[at] == slash, bytes[at + 1] == star {
        var depth = 0
        repeat {
          if bytes[at] == slash, at + 1 < gap.upperBound, bytes[at + 1] == star {
            depth += 1
            at += 2
          } else if bytes[at] == star, at + 1 < gap.upperBound, bytes[at + 1] == slash {
            depth -= 1
            at += 2
          } else {
            at += 1
          }
        } while depth > 0 && at < gap.upperBound
        var rest = at
        while rest < bytes.count, bytes[rest] == 0x20 || bytes[rest] == 0x09 || bytes[rest] == 0x0D { rest += 1 }
        let isLast = rest >= bytes.count || bytes[rest] == 0x0A
        found.append(
          Comment(text: source.text(start..<at), range: start..<at, isToLineEnd: false, isLastOnLine: isLast))
      } else {
        at += 1
      }
    }
  }

  /// `--x`, `//x` and `///x` get a blank; what a comment says is never changed.
  private static func line(_ text: String, wasDash: Bool) -> String {
    var rest = Substring(text)
    while let last = rest.unicodeScalars.last, last == " " || last == "\t" || last == "\r" {
      rest = Substring(rest.unicodeScalars.dropLast())
    }
    // `--/ x` must not become the `///` of documentation.
    if wasDash, rest.utf8.first == UInt8(ascii: "/") { return "// " + rest }
    var marks = "//"
    if rest.utf8.first == UInt8(ascii: "/"), rest.utf8.dropFirst().first != UInt8(ascii: "/") {
      marks = "///"
      rest = rest.dropFirst()
    }
    if let first = rest.unicodeScalars.first, first.properties.isAlphabetic || (48...57).contains(first.value) {
      return marks + " " + rest
    }
    return marks + rest
  }
}
