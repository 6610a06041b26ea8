/// The body of an `exec`: a program of another language between braces, taken as it is.
///
/// `exec name(…) = sh { echo "}" }`: braces are counted outside that language's strings and comments. Where those rules
/// find no end (an apostrophe in a here-document), braces alone decide.
extension Lexer {
  /// The word before `{`, if the tokens before it are `exec … =` or `exec … = stream`.
  func codeLanguage(openedBy index: Int) -> String? {
    guard let exec = execToken, index - exec >= 4, out.tokens[index - 1].kind == .name else { return nil }
    let isDirect = out.tokens[index - 2].kind == .assign
    let isStreaming = out.tokens[index - 3].kind == .assign && previous(2, is: "stream", before: index)
    guard isDirect || isStreaming else { return nil }
    let word = out.tokens[index - 1]
    return source.text(Int(word.start)..<Int(word.end))
  }

  mutating func code(_ language: String, openedBy open: Int) {
    execToken = nil
    let start = at
    let isConfined = stringsEndAtLine && !strings.isEmpty
    let end =
      codeIsUnclosed || isConfined
      ? nil : endOfCode(Quoting(language), from: start) ?? endOfCode(Quoting(""), from: start)
    if let end {
      at = end
    } else if isConfined {
      while !isAtEnd, current != UInt8(ascii: "\n") { at += 1 }
      emit(string: "", as: .code, from: start)
      return
    } else if codeIsUnclosed {
      at = source.bytes.count
    } else {
      report(.unclosedCode(language: language), start - 1, start)
      codeIsUnclosed = true
      // Most likely a quote is missing, and the brace that stands first on its line is the end.
      while !isAtEnd, !(current == UInt8(ascii: "\n") && byte(at + 1) == UInt8(ascii: "}")) { at += 1 }
      if !isAtEnd { at += 1 }
    }
    emit(string: Self.dedented(source.bytes[start..<at]), as: .code, from: start)
    guard !isAtEnd else { return }
    let close = at
    at += 1
    pair(open, emit(.curlyClose, from: close))
  }

  struct Quoting {
    /// `#` at the start of a word, to the end of the line.
    var hashComments = false
    /// `//` and `/* */`
    var slashComments = false
    /// Characters that quote; with `'''` and `"""` where `tripleQuotes`.
    var quotes: [UInt8] = []
    var tripleQuotes = false
    /// In `'…'` a backslash is itself.
    var singleQuotesAreRaw = false
    /// A string that is not closed on its line is no string (an apostrophe in a comment, a regular expression).
    var quotesEndAtLine = false

    init(_ language: String) {
      switch language {
      case "sh", "bash", "cmd":
        hashComments = true
        quotes = [UInt8(ascii: "'"), UInt8(ascii: "\"")]
        singleQuotesAreRaw = true
      case "python":
        hashComments = true
        quotes = [UInt8(ascii: "'"), UInt8(ascii: "\"")]
        tripleQuotes = true
        quotesEndAtLine = true
      case "node":
        slashComments = true
        quotes = [UInt8(ascii: "'"), UInt8(ascii: "\""), UInt8(ascii: "`")]
        quotesEndAtLine = true
      default: break
      }
    }
  }

  private mutating func endOfCode(_ rules: Quoting, from start: Int) -> Int? {
    var offset = start
    var depth = 0
    while offset < source.bytes.count {
      out.steps += 1
      let c = byte(offset)
      switch c {
      case UInt8(ascii: "{"): depth += 1
      case UInt8(ascii: "}"):
        if depth == 0 { return offset }
        depth -= 1
      case UInt8(ascii: "\\"): offset += 1
      case UInt8(ascii: "#") where rules.hashComments && startsWord(offset): offset = endOfLine(offset)
      case UInt8(ascii: "/") where rules.slashComments && byte(offset + 1) == c: offset = endOfLine(offset)
      case UInt8(ascii: "/") where rules.slashComments && byte(offset + 1) == UInt8(ascii: "*"):
        offset += 2
        while offset < source.bytes.count, !(byte(offset) == UInt8(ascii: "*") && byte(offset + 1) == UInt8(ascii: "/"))
        {
          offset += 1
        }
        offset += 1
      default:
        if rules.quotes.contains(c) { offset = endOfQuoted(c, rules, offset) }
      }
      offset += 1
    }
    return nil
  }

  private func startsWord(_ offset: Int) -> Bool {
    guard offset > 0 else { return true }
    let before = byte(offset - 1)
    return before <= 0x20 || before == UInt8(ascii: ";") || before == UInt8(ascii: "{")
  }

  /// Of the last character before the line break.
  private func endOfLine(_ start: Int) -> Int {
    var offset = start
    while offset + 1 < source.bytes.count, byte(offset + 1) != UInt8(ascii: "\n") { offset += 1 }
    return offset
  }

  /// Of the closing quote; the opening one's where there is none.
  private mutating func endOfQuoted(_ quote: UInt8, _ rules: Quoting, _ start: Int) -> Int {
    let isTriple = rules.tripleQuotes && byte(start + 1) == quote && byte(start + 2) == quote
    var offset = start + (isTriple ? 3 : 1)
    while offset < source.bytes.count {
      out.steps += 1
      let c = byte(offset)
      if c == quote {
        if !isTriple { return offset }
        if byte(offset + 1) == quote, byte(offset + 2) == quote { return offset + 2 }
      } else if c == UInt8(ascii: "\\"), !(rules.singleQuotesAreRaw && quote == UInt8(ascii: "'")) {
        offset += 1
      } else if c == UInt8(ascii: "\n"), rules.quotesEndAtLine, !isTriple, quote != UInt8(ascii: "`") {
        return start
      }
      offset += 1
    }
    return source.bytes.count
  }

  /// Without common indentation, blank lines around and blanks at the end: Python minds its first column.
  private static func dedented(_ bytes: ArraySlice<UInt8>) -> String {
    let isBlank: (UInt8) -> Bool = { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") || $0 == UInt8(ascii: "\r") }
    var lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
    while let first = lines.first, first.allSatisfy(isBlank), lines.count > 1 { lines.removeFirst() }
    while let last = lines.last, last.allSatisfy(isBlank), lines.count > 1 { lines.removeLast() }
    // Code that starts on the line of its brace has no indentation there.
    let startsAtBrace = lines.first?.startIndex == bytes.startIndex
    let indents = lines.dropFirst(startsAtBrace ? 1 : 0).filter { !$0.allSatisfy(isBlank) }
      .map { $0.prefix { isBlank($0) }.count }
    let common = indents.min() ?? 0
    for i in lines.indices {
      let drop = i == 0 && startsAtBrace ? lines[i].prefix { isBlank($0) }.count : common
      lines[i] = lines[i].allSatisfy(isBlank) ? [] : lines[i].dropFirst(drop)
      while let last = lines[i].last, isBlank(last) { lines[i].removeLast() }
    }
    return String(decoding: Array(lines.joined(separator: [UInt8(ascii: "\n")])), as: UTF8.self)
  }
}
