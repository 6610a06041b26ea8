/// Strings: `"…"`, `"""…"""`, `r"…"`, their escapes and their `${…}`.
///
/// A string without holes is one token. With holes it is `stringStart text holeStart … holeEnd text … stringEnd`; the
/// bracket stack holds its `${` and `strings` the string it belongs to, so the main loop lexes what is inside.
/// A line break in a string is always `\n`, whatever the file uses.
extension Lexer {
  struct OpenString {
    var start: Int
    /// 1 or 3.
    var quotes: Int
    /// Of its `stringStart`, once a `${` was met.
    var startToken: Int?
    var flags: (newline: Bool, space: Bool)
    var parts: [Part] = []

    struct Part {
      /// Where its text goes in `Lexed.strings`.
      var value = -1
      var bytes: [UInt8] = []
      /// Lines of the file that begin in it.
      var lines: [Line] = []
    }

    struct Line {
      var offset: Int
      var indent: Int
      var isBlank: Bool
      var isClosing: Bool
    }
  }

  mutating func string() {
    let start = at
    let isTriple = byte(at + 1) == UInt8(ascii: "\"") && byte(at + 2) == UInt8(ascii: "\"")
    at += isTriple ? 3 : 1
    var string = OpenString(start: start, quotes: isTriple ? 3 : 1, startToken: nil, flags: (newline, space))
    text(of: &string, from: start)
  }

  /// Behind the `}` of a hole.
  mutating func continueString() {
    if var string = strings.popLast() { text(of: &string, from: at) }
  }

  // The string is handed on, never copied while it grows: with its parts that would be quadratic in their number.
  private mutating func text(of string: inout OpenString, from start: Int) {
    var part = OpenString.Part()
    let isCut = cut == string.start
    while true {
      out.steps += 1
      if isAtEnd {
        abandon(strings.first ?? string)
        return
      }
      let c = current
      switch c {
      case UInt8(ascii: "\"") where string.quotes == 1 || closesTriple:
        finish(&string, part, from: start)
        return
      case UInt8(ascii: "\\"):
        escape(into: &part.bytes)
      case UInt8(ascii: "$") where byte(at + 1) == UInt8(ascii: "{") && !isCut:
        hole(in: &string, after: part, from: start)
        return
      case UInt8(ascii: "\r") where byte(at + 1) == UInt8(ascii: "\n"):
        at += 1
      case UInt8(ascii: "\n"):
        if isCut || stringsEndAtLine {
          abandon(strings.first ?? string)
          return
        }
        if firstLongString == nil, string.quotes == 1 { firstLongString = strings.first?.start ?? string.start }
        at += 1
        part.bytes.append(c)
        if string.quotes == 3 { part.lines.append(line(at: part.bytes.count)) }
      default:
        part.bytes.append(c)
        at += 1
      }
    }
  }

  private var closesTriple: Bool { byte(at + 1) == UInt8(ascii: "\"") && byte(at + 2) == UInt8(ascii: "\"") }

  private func line(at offset: Int) -> OpenString.Line {
    var end = at
    while byte(end) == UInt8(ascii: " ") || byte(end) == UInt8(ascii: "\t") { end += 1 }
    let quote = UInt8(ascii: "\"")
    return OpenString.Line(
      offset: offset, indent: end - at, isBlank: byte(end) == UInt8(ascii: "\n") || byte(end) == UInt8(ascii: "\r"),
      isClosing: byte(end) == quote && byte(end + 1) == quote && byte(end + 2) == quote)
  }

  private mutating func hole(in string: inout OpenString, after part: OpenString.Part, from start: Int) {
    if string.startToken == nil {
      let textEnd = at
      at = start + string.quotes
      string.startToken = emit(.stringStart, from: start)
      at = textEnd
    }
    append(part, to: &string, from: start)
    let start = at
    at += 2
    push(.hole, emit(.holeStart, from: start))
    strings.append(string)
  }

  private mutating func append(_ part: OpenString.Part, to string: inout OpenString, from start: Int) {
    var part = part
    part.value = out.strings.count
    emit(string: String(decoding: part.bytes, as: UTF8.self), as: .stringText, from: start)
    string.parts.append(part)
  }

  private mutating func finish(_ string: inout OpenString, _ part: OpenString.Part, from start: Int) {
    if let startToken = string.startToken {
      append(part, to: &string, from: start)
      let start = at
      at += string.quotes
      pair(startToken, emit(.stringEnd, from: start))
      if string.quotes == 3 {
        for part in Self.withoutIndentation(string.parts) {
          out.strings[part.value] = String(decoding: part.bytes, as: UTF8.self)
        }
      }
    } else {
      at += string.quotes
      let bytes = string.quotes == 3 ? Self.withoutIndentation([part])[0].bytes : part.bytes
      emit(string: String(decoding: bytes, as: UTF8.self), as: .string, from: start)
    }
  }

  /// Removes the blanks all lines start with, the line break behind the opening quotes and the one before the closing.
  /// Text on the line of the opening quotes has no say in how much.
  private static func withoutIndentation(_ parts: [OpenString.Part]) -> [OpenString.Part] {
    let common = parts.flatMap(\.lines).filter { !$0.isBlank && !$0.isClosing }.map(\.indent).min() ?? 0
    var result = parts
    for (i, part) in parts.enumerated() {
      var bytes: [UInt8] = []
      var from = 0
      var end = part.bytes.count
      if i == 0, let first = part.lines.first, part.bytes[..<(first.offset - 1)].allSatisfy({ $0 == UInt8(ascii: " ") })
      {
        from = first.offset
      }
      if i == parts.count - 1, let last = part.lines.last, last.isClosing { end = max(from, last.offset - 1) }
      for line in part.lines where line.offset <= end {
        if line.offset > from { bytes += part.bytes[from..<line.offset] }
        from = max(from, min(end, line.offset + min(common, line.indent)))
      }
      if from < end { bytes += part.bytes[from..<end] }
      result[i].bytes = bytes
    }
    return result
  }

  // MARK: - Unclosed

  /// A string (the outermost one that is open) met the end of the file, or of its line where it may not go further.
  /// It becomes a string that ends with its first line, and lexing goes on behind that line.
  mutating func abandon(_ string: OpenString) {
    let isCut = cut == string.start
    let isReported = isCut || unclosedString == nil
    if !isCut {
      unclosedString = unclosedString ?? string.start
      stringsEndAtLine = true
    }
    let hole = isReported ? brackets.first { $0.kind == .hole }.map { out.tokens[$0.token] } : nil
    if let token = string.startToken {
      while let last = brackets.last, last.token >= token { pop() }
      let removed = out.tokens.count
      out.tokens.removeSubrange(token...)
      out.partner.removeSubrange(token...)
      while let last = out.suspects.last, last >= token { out.suspects.removeLast() }
      for key in token..<removed { out.documentation[key] = nil }
      if let exec = execToken, exec >= token { execToken = nil }
    }
    strings = []
    while let last = out.diagnostics.last, Int(last.span.start) > string.start { out.diagnostics.removeLast() }
    if isReported {
      let quote = span(string.start, string.start + string.quotes)
      if let hole {
        report(
          .unclosedHole, Int(hole.start), Int(hole.end),
          related: [Diagnostic.Label(quote, "in the string that starts here")])
      } else {
        out.diagnostics.append(SyntaxError.unclosedString(isTriple: string.quotes == 3).diagnostic(at: quote))
      }
    }
    at = string.start + string.quotes
    let start = at
    while !isAtEnd, current != UInt8(ascii: "\n") { at += 1 }
    (newline, space) = string.flags
    documentation = []
    emit(string: source.text(start..<at), as: .string, from: string.start)
  }

  mutating func rawString(from start: Int) {
    at += 1
    let textStart = at
    while !isAtEnd, current != UInt8(ascii: "\""), !(stringsEndAtLine && current == UInt8(ascii: "\n")) { at += 1 }
    out.steps += at - textStart
    if current == UInt8(ascii: "\"") {
      let text = source.text(textStart..<at)
      if firstLongString == nil, text.utf8.contains(UInt8(ascii: "\n")) { firstLongString = start }
      at += 1
      emit(string: text, as: .string, from: start)
      return
    }
    abandon(strings.first ?? OpenString(start: start, quotes: 2, startToken: nil, flags: (newline, space)))
  }

  /// `“…”`: already reported, read as if it were right.
  mutating func lookAlikeString(from start: Int) {
    let textStart = at
    while !isAtEnd, current != UInt8(ascii: "\n") {
      if current == UInt8(ascii: "\"") { break }
      if let (scalar, length) = scalar(at: at), length > 1,
        [0x201C, 0x201D, 0x2018, 0x2019, 0xBB, 0xFF02].contains(scalar.value)
      {
        let textEnd = at
        at += length
        emit(string: source.text(textStart..<textEnd), as: .string, from: start)
        return
      }
      at += 1
    }
    let textEnd = at
    if !isAtEnd, current == UInt8(ascii: "\"") { at += 1 }
    emit(string: source.text(textStart..<textEnd), as: .string, from: start)
  }

  // MARK: - Escapes

  private mutating func escape(into bytes: inout [UInt8]) {
    let start = at
    at += 1
    let c = current
    at += isAtEnd ? 0 : 1
    switch c {
    case UInt8(ascii: "n"): bytes.append(0x0A)
    case UInt8(ascii: "t"): bytes.append(0x09)
    case UInt8(ascii: "r"): bytes.append(0x0D)
    case UInt8(ascii: "0"): bytes.append(0)
    case UInt8(ascii: "e"): bytes.append(0x1B)
    case UInt8(ascii: "\\"), UInt8(ascii: "\""), UInt8(ascii: "$"): bytes.append(c)
    case UInt8(ascii: "x"): hexEscape(from: start, into: &bytes)
    case UInt8(ascii: "u"): unicodeEscape(from: start, into: &bytes)
    default:
      // A backslash at the very end of the line or file: the string goes on, or is found to be unclosed.
      if c == UInt8(ascii: "\n") || c == 0 { at = start + 1 }
      while !isAtEnd, current & 0xC0 == 0x80, at > start + 1 { at += 1 }
      report(.unknownEscape(source.text(start..<at)), start, at)
      bytes += source.bytes[start..<at]
    }
  }

  private mutating func hexEscape(from start: Int, into bytes: inout [UInt8]) {
    guard let high = Self.digitValue(current), let low = Self.digitValue(byte(at + 1)) else {
      report(.badEscape(source.text(start..<at), needs: "two hexadecimal digits must follow"), start, at)
      return
    }
    at += 2
    bytes += Array(String(Unicode.Scalar(UInt8(high * 16 + low))).utf8)
  }

  private mutating func unicodeEscape(from start: Int, into bytes: inout [UInt8]) {
    var value: UInt64 = 0
    var digits = 0
    if current == UInt8(ascii: "{") {
      at += 1
      while let digit = Self.digitValue(current), digits < 8 {
        value = value * 16 + digit
        digits += 1
        at += 1
      }
      if digits > 0, current == UInt8(ascii: "}"), let scalar = Unicode.Scalar(UInt32(value)) {
        at += 1
        bytes += Array(String(scalar).utf8)
        return
      }
      if current == UInt8(ascii: "}") { at += 1 }
    }
    report(.badEscape(source.text(start..<at), needs: #"the form is \u{1F600}, a Unicode code point"#), start, at)
  }
}
