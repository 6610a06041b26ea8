/// Cuts a file into tokens. Any bytes give tokens: what is wrong is reported and stepped over.
///
/// One pass without recursion: strings with `${…}` are flat runs of tokens, and a stack of open brackets says what a `}`
/// closes. Brackets are paired here, so the parser can skip over any part in one step and look behind a `(` in no time.
/// Whether a line break ends a statement is decided by the two tokens around it (`Token.Flags.mayBreak`); that round and
/// square brackets switch this off is left to the parser, which knows when it has given up on one.
///
/// Strings are in `LexerStrings.swift`, numbers in `LexerNumbers.swift`.
struct Lexer {
  /// Offsets are 32 bits, and a program of more than this is a mistake (a binary, a data file).
  package static let sizeLimit = 16 * 1_048_576

  let source: Source
  var at = 0
  var out = Lexed()

  struct Open {
    enum Kind { case round, square, curly, hole }
    var kind: Kind
    var token: Int
    /// For a brace or hole: what `rounds` and `squares` were outside it.
    var outside = (rounds: 0, squares: 0)
  }
  var brackets: [Open] = []
  /// How many are open inside the innermost brace or hole, so that a stray closing one costs no search.
  var rounds = 0
  var squares = 0
  /// Braces and holes that are open.
  var curlies = 0
  var strings: [OpenString] = []
  /// The string that starts here ends with its line: see `lex`.
  var cut: Int?
  /// A comment met the end of the file: so will every later one, without searching again.
  var commentIsUnclosed = false
  var codeIsUnclosed = false
  /// After an unclosed string the rest of the file is not searched for its end again (that would be quadratic).
  var stringsEndAtLine = false
  /// Where the first string of more than one line starts, and where the one that met the end of the file did.
  var firstLongString: Int?
  var unclosedString: Int?
  /// The last `exec` that is followed by a name: only behind it is `= sh {` the start of another program.
  var execToken: Int?
  var newline = false
  var space = false
  var documentation: [String] = []

  static func lex(_ source: Source) -> Lexed {
    guard source.bytes.count <= sizeLimit else {
      var lexed = Lexed()
      lexed.tokens = [Token(kind: .end, flags: [], start: 0, end: 0)]
      lexed.partner = [-1]
      let span = Span(file: source.id, start: 0, end: 0)
      lexed.diagnostics = [SyntaxError.tooLarge(limit: sizeLimit).diagnostic(at: span)]
      return lexed
    }
    var lexer = Lexer(source: source)
    lexer.run()
    // A forgotten quote turns the rest inside out, and it is the *last* string that then lacks its end. If the first
    // string that spans lines, closed with its line, makes all others fit, that is the one.
    if let unclosed = lexer.unclosedString, let first = lexer.firstLongString, first < unclosed {
      var second = Lexer(source: source)
      second.cut = first
      second.run()
      second.out.steps += lexer.out.steps
      if second.unclosedString == nil { return second.out }
    }
    return lexer.out
  }

  private init(source: Source) { self.source = source }

  // MARK: - Pieces

  func byte(_ offset: Int) -> UInt8 { offset < source.bytes.count ? source.bytes[offset] : 0 }
  var current: UInt8 { byte(at) }
  var isAtEnd: Bool { at >= source.bytes.count }
  func span(_ start: Int, _ end: Int) -> Span { Span(file: source.id, start: start, end: end) }

  mutating func report(_ error: SyntaxError, _ start: Int, _ end: Int, related: [Diagnostic.Label] = []) {
    out.diagnostics.append(error.diagnostic(at: span(start, end), related: related))
  }

  @discardableResult
  mutating func emit(_ kind: Token.Kind, from start: Int, value: Int = 0) -> Int {
    var flags: Token.Flags = []
    if newline {
      flags.insert(.newlineBefore)
      if out.tokens.last?.kind.canEnd ?? false, kind.canStart { flags.insert(.mayBreak) }
    }
    if space || newline || out.tokens.isEmpty { flags.insert(.spaceBefore) }
    if !documentation.isEmpty {
      if kind != .end { out.documentation[out.tokens.count] = documentation.joined(separator: "\n") }
      documentation = []
    }
    newline = false
    space = false
    out.tokens.append(
      Token(kind: kind, flags: flags, start: UInt32(start), end: UInt32(at), value: UInt32(value)))
    out.partner.append(-1)
    return out.tokens.count - 1
  }

  mutating func emit(string text: String, as kind: Token.Kind, from start: Int) {
    out.strings.append(text)
    emit(kind, from: start, value: out.strings.count - 1)
  }

  // MARK: - The loop

  private mutating func run() {
    checkEncoding()
    if source.bytes.starts(with: [0xEF, 0xBB, 0xBF]) { at = 3 }
    // `#!/usr/bin/env weir`: a script is a program.
    if current == UInt8(ascii: "#"), byte(at + 1) == UInt8(ascii: "!") { skipLine() }
    while true {
      out.steps += 1
      if isAtEnd {
        // An open `${` at the end of the file: its string never closed.
        guard let string = strings.first else { break }
        abandon(string)
        continue
      }
      token()
    }
    emit(.end, from: at)
  }

  private mutating func token() {
    let start = at
    let c = current
    switch c {
    case UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\r"):
      at += 1
      space = true
    case UInt8(ascii: "\n"):
      if stringsEndAtLine, let string = strings.first {
        abandon(string)
        return
      }
      at += 1
      newline = true
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "_"): word()
    case UInt8(ascii: "0")...UInt8(ascii: "9"): number()
    case UInt8(ascii: "\""): string()
    case UInt8(ascii: "("), UInt8(ascii: "["), UInt8(ascii: "{"): open(c)
    case UInt8(ascii: ")"), UInt8(ascii: "]"), UInt8(ascii: "}"): close(c)
    case UInt8(ascii: "-") where byte(at + 1) == c: skipLine()
    case UInt8(ascii: "/") where byte(at + 1) == c: lineComment()
    case UInt8(ascii: "/") where byte(at + 1) == UInt8(ascii: "*"): blockComment()
    case 0x80...: nonASCII()
    default:
      if let (kind, length, foreign) = Self.operators(c, byte(at + 1), byte(at + 2)) {
        at += length
        emit(kind, from: start)
        if let instead = foreign {
          report(.foreignOperator(source.text(start..<at), instead: instead), start, at)
        }
      } else {
        unexpected()
      }
    }
  }

  private mutating func skipLine() {
    while !isAtEnd, current != UInt8(ascii: "\n") { at += 1 }
    space = true
  }

  private mutating func lineComment() {
    let start = at
    skipLine()
    // Exactly three slashes document the next declaration.
    guard byte(start + 2) == UInt8(ascii: "/"), byte(start + 3) != UInt8(ascii: "/") else { return }
    var from = start + 3
    if byte(from) == UInt8(ascii: " ") { from += 1 }
    var end = at
    while end > from, source.bytes[end - 1] == UInt8(ascii: "\r") || source.bytes[end - 1] == UInt8(ascii: " ") {
      end -= 1
    }
    documentation.append(source.text(min(from, end)..<end))
  }

  private mutating func blockComment() {
    let start = at
    var depth = 0
    repeat {
      out.steps += 1
      if isAtEnd || commentIsUnclosed {
        if !commentIsUnclosed { report(.unclosedComment, start, start + 2) }
        commentIsUnclosed = true
        at = source.bytes.count
        return
      }
      if current == UInt8(ascii: "/"), byte(at + 1) == UInt8(ascii: "*") {
        depth += 1
        at += 2
      } else if current == UInt8(ascii: "*"), byte(at + 1) == UInt8(ascii: "/") {
        depth -= 1
        at += 2
      } else {
        if current == UInt8(ascii: "\n") {
          // In a `${…}` that must end with its line, so must this, or each such line would be read again.
          if stringsEndAtLine, !strings.isEmpty { return }
          // A comment over several lines separates statements as its line breaks would.
          newline = true
        }
        at += 1
      }
    } while depth > 0
    space = true
  }

  private mutating func word() {
    let start = at
    scanName()
    let text = source.text(start..<at)
    if text == "r", current == UInt8(ascii: "\"") {
      rawString(from: start)
      return
    }
    let kind = Token.Kind.keywords[text] ?? .name
    let index = emit(kind, from: start)
    if kind == .name, index > 0, previous(1, is: "exec", before: index) { execToken = index - 1 }
  }

  func previous(_ back: Int, is text: StaticString, before index: Int) -> Bool {
    guard index >= back, out.tokens[index - back].kind == .name else { return false }
    let token = out.tokens[index - back]
    guard Int(token.end - token.start) == text.utf8CodeUnitCount else { return false }
    let expected = UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
    return source.bytes[Int(token.start)..<Int(token.end)].elementsEqual(expected)
  }

  mutating func scanName() {
    while !isAtEnd {
      switch current {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "_"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "'"):
        at += 1
      case 0x80...:
        guard let (scalar, length) = scalar(at: at), scalar.properties.isAlphabetic else { return }
        at += length
      default: return
      }
    }
  }

  // MARK: - Brackets

  private mutating func open(_ c: UInt8) {
    let start = at
    at += 1
    switch c {
    case UInt8(ascii: "("):
      push(.round, emit(.roundOpen, from: start))
    case UInt8(ascii: "["):
      push(.square, emit(.squareOpen, from: start))
    default:
      let index = emit(.curlyOpen, from: start)
      if let language = codeLanguage(openedBy: index) {
        code(language, openedBy: index)
      } else {
        push(.curly, index)
      }
    }
  }

  mutating func push(_ kind: Open.Kind, _ token: Int) {
    var open = Open(kind: kind, token: token)
    switch kind {
    case .round: rounds += 1
    case .square: squares += 1
    case .curly, .hole:
      open.outside = (rounds, squares)
      rounds = 0
      squares = 0
      curlies += 1
    }
    brackets.append(open)
  }

  @discardableResult
  mutating func pop() -> Open? {
    guard let last = brackets.popLast() else { return nil }
    switch last.kind {
    case .round: rounds -= 1
    case .square: squares -= 1
    case .curly, .hole:
      (rounds, squares) = last.outside
      curlies -= 1
    }
    return last
  }

  private mutating func close(_ c: UInt8) {
    let start = at
    at += 1
    let kind: Token.Kind = c == UInt8(ascii: ")") ? .roundClose : c == UInt8(ascii: "]") ? .squareClose : .curlyClose
    // A `)` or `]` never closes over a brace or the border of a `${…}`: in `{ f(x]; y }` the `]` is stray.
    guard kind == .roundClose ? rounds > 0 : kind == .squareClose ? squares > 0 : curlies > 0 else {
      emit(kind, from: start)
      return
    }
    var closed: Open?
    while closed == nil, let open = pop() {
      out.steps += 1
      switch (open.kind, kind) {
      case (.round, .roundClose), (.square, .squareClose), (.curly, .curlyClose), (.hole, .curlyClose): closed = open
      default: break
      }
    }
    guard let open = closed else { return }
    if open.kind == .hole {
      pair(open.token, emit(.holeEnd, from: start))
      continueString()
      return
    }
    let index = emit(kind, from: start)
    pair(open.token, index)
    if kind == .curlyClose, out.tokens[index].flags.contains(.newlineBefore), indent(of: start) < indent(of: open) {
      out.suspects.append(open.token)
    }
  }

  mutating func pair(_ open: Int, _ close: Int) {
    out.partner[open] = Int32(close)
    out.partner[close] = Int32(open)
  }

  private func indent(of open: Open) -> Int { indent(of: Int(out.tokens[open.token].start)) }

  /// Of the line that holds `offset`: how many blanks it starts with.
  func indent(of offset: Int) -> Int {
    let line = source.lineStarts[source.lineIndex(of: offset)]
    var end = line
    while byte(end) == UInt8(ascii: " ") || byte(end) == UInt8(ascii: "\t") { end += 1 }
    return end - line
  }

  // MARK: - Characters that are not ours

  private mutating func unexpected() {
    let start = at
    at += 1
    if byte(start) == UInt8(ascii: "#") {
      report(.hashComment, start, at)
      skipLine()
      return
    }
    // One report for a run of them.
    while !isAtEnd, current < 0x20 || current == 0x7F, current != UInt8(ascii: "\n") { at += 1 }
    let shown =
      byte(start) >= 0x20 && byte(start) < 0x7F ? "`\(source.text(start..<at))`" : Self.codePoint(UInt32(byte(start)))
    report(.unexpectedCharacter(shown), start, at)
    emit(.bad, from: start)
  }

  private mutating func nonASCII() {
    let start = at
    guard let (scalar, length) = scalar(at: at) else {
      // Not UTF-8: said once, by `checkEncoding`.
      at += 1
      while !isAtEnd, current >= 0x80, self.scalar(at: at) == nil { at += 1 }
      emit(.bad, from: start)
      return
    }
    if scalar.properties.isAlphabetic {
      scanName()
      emit(.name, from: start)
      return
    }
    at += length
    guard let (meant, kind) = Self.lookAlikes[scalar.value] else {
      report(.unexpectedCharacter("`\(scalar)` (\(Self.codePoint(scalar.value)))"), start, at)
      emit(.bad, from: start)
      return
    }
    let shown = kind == nil && meant == " " ? Self.codePoint(scalar.value) : String(scalar)
    report(.lookAlike(shown, meant: meant), start, at)
    switch kind {
    case .string?: lookAlikeString(from: start)
    case .roundOpen?, .squareOpen?, .curlyOpen?, .roundClose?, .squareClose?, .curlyClose?, nil: space = true
    case let kind?: emit(kind, from: start)
    }
  }

  static func codePoint(_ value: UInt32) -> String {
    let hex = String(value, radix: 16, uppercase: true)
    return "U+" + String(repeating: "0", count: max(0, 4 - hex.utf8.count)) + hex
  }

  private static let lookAlikes: [UInt32: (String, Token.Kind?)] = [
    0x201C: ("\"", .string), 0x201D: ("\"", .string), 0x201E: ("\"", .string), 0xAB: ("\"", .string),
    0xBB: ("\"", .string), 0x2018: ("\"", .string), 0x2019: ("\"", .string), 0xFF02: ("\"", .string),
    0x2013: ("-", .minus), 0x2014: ("-", .minus), 0x2212: ("-", .minus), 0x2010: ("-", .minus), 0xD7: ("*", .star),
    0xF7: ("/", .slash), 0x2026: ("...", .ellipsis), 0x2264: ("<=", .lessEqual), 0x2265: (">=", .greaterEqual),
    0x2260: ("!=", .notEqual), 0x2192: ("->", .thinArrow), 0x21D2: ("=>", .arrow), 0x37E: (";", .semicolon),
    0xFF1B: (";", .semicolon), 0xFF0C: (",", .comma), 0xFF1A: (":", .colon), 0xFF1D: ("=", .assign),
    0xFF08: ("(", .roundOpen), 0xFF09: (")", .roundClose), 0xA0: (" ", nil), 0x200B: (" ", nil), 0xFEFF: (" ", nil),
    0x2028: (" ", nil), 0x3000: (" ", nil),
  ]

  /// The scalar that starts here, or nil where the bytes are not UTF-8.
  func scalar(at offset: Int) -> (Unicode.Scalar, Int)? {
    let lead = byte(offset)
    let length =
      lead < 0x80 ? 1 : lead >= 0xC2 && lead < 0xE0 ? 2 : lead >= 0xE0 && lead < 0xF0 ? 3 : lead < 0xF5 ? 4 : 0
    guard lead < 0x80 || lead >= 0xC2, length > 0, offset + length <= source.bytes.count else { return nil }
    var value = length == 1 ? UInt32(lead) : UInt32(lead) & (0x7F >> UInt32(length))
    for i in 1..<max(length, 1) {
      let next = byte(offset + i)
      guard next & 0xC0 == 0x80 else { return nil }
      value = value << 6 | UInt32(next & 0x3F)
    }
    let least: UInt32 = length == 4 ? 0x10000 : length == 3 ? 0x800 : length == 2 ? 0x80 : 0
    guard value >= least, let scalar = Unicode.Scalar(value) else { return nil }
    return (scalar, length)
  }

  private mutating func checkEncoding() {
    var offset = 0
    let bytes = source.bytes
    while offset < bytes.count {
      if bytes[offset] < 0x80 {
        offset += 1
      } else if let (_, length) = scalar(at: offset) {
        offset += length
      } else {
        report(.notUTF8, offset, offset + 1)
        return
      }
    }
  }

  // MARK: - Operators

  private static func operators(_ a: UInt8, _ b: UInt8, _ c: UInt8) -> (Token.Kind, Int, String?)? {
    let eq = UInt8(ascii: "=")
    switch a {
    case UInt8(ascii: ","): return (.comma, 1, nil)
    case UInt8(ascii: ";"): return (.semicolon, 1, nil)
    case UInt8(ascii: "\\"): return (.backslash, 1, nil)
    case UInt8(ascii: "@"): return (.at, 1, nil)
    case UInt8(ascii: "?"): return (.question, 1, nil)
    case UInt8(ascii: ":"):
      if b == a { return (.doubleColon, 2, nil) }
      return b == eq ? (.assign, 2, "declare with `let x = …` or `x = …`") : (.colon, 1, nil)
    case UInt8(ascii: "."):
      if b == a { return c == a ? (.ellipsis, 3, nil) : c == eq ? (.closedRange, 3, nil) : (.range, 2, nil) }
      return (.dot, 1, nil)
    case eq:
      if b == eq { return c == eq ? (.equal, 3, "equality is `==`") : (.equal, 2, nil) }
      return b == UInt8(ascii: ">") ? (.arrow, 2, nil) : (.assign, 1, nil)
    case UInt8(ascii: "!"):
      if b == eq { return c == eq ? (.notEqual, 3, "inequality is `!=`") : (.notEqual, 2, nil) }
      return (.bang, 1, nil)
    case UInt8(ascii: "<"):
      if b == UInt8(ascii: ">") { return (.notEqual, 2, "inequality is `!=`; joining is `++`") }
      return b == eq ? (.lessEqual, 2, nil) : (.less, 1, nil)
    case UInt8(ascii: ">"): return b == eq ? (.greaterEqual, 2, nil) : (.greater, 1, nil)
    case UInt8(ascii: "+"):
      if b == eq { return (.assign, 2, "write `x = x + …`") }
      return b == a ? (.concat, 2, nil) : (.plus, 1, nil)
    case UInt8(ascii: "-"):
      if b == eq { return (.assign, 2, "write `x = x - …`") }
      return b == UInt8(ascii: ">") ? (.thinArrow, 2, nil) : (.minus, 1, nil)
    case UInt8(ascii: "*"):
      if b == eq { return (.assign, 2, "write `x = x * …`") }
      return b == a ? (.power, 2, nil) : (.star, 1, nil)
    case UInt8(ascii: "/"): return b == eq ? (.assign, 2, "write `x = x / …`") : (.slash, 1, nil)
    case UInt8(ascii: "%"): return b == eq ? (.assign, 2, "write `x = x % …`") : (.percent, 1, nil)
    case UInt8(ascii: "&"): return b == a ? (.and, 2, nil) : (.and, 1, "logical and is `&&`")
    case UInt8(ascii: "|"):
      return b == a ? (.bars, 2, nil) : b == UInt8(ascii: ">") ? (.pipe, 2, nil) : (.bar, 1, nil)
    default: return nil
    }
  }
}
