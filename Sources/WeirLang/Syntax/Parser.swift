/// Makes a tree of a file's tokens. Never fails: what makes no sense is reported once, becomes an `.error` node, and
/// parsing goes on at the next element, statement or declaration.
///
/// Recursive descent, each token looked at a bounded number of times. An `Abort` unwinds to the nearest place that can go
/// on: a list (its closing bracket is known from the lexer), a match arm, a statement, a declaration.
///
/// Knows no names, types or files. Declarations, statements, expressions, patterns and types are in the files named so.
package struct Parser {
  /// How many brackets, branches and functions may stand inside each other; a block or the arms of a `match` count
  /// twice, since their frames are twice as large. The parser recurses this deep and then takes under 300 KB of stack,
  /// optimised, so that a thread of 512 KB is enough (SyntaxLimitTests). No hand-written program comes near it.
  package static let nestingLimit = 100
  /// How deep the tree may be. Chains (`a.b().c()`, `1 + 1 + 1`) nest in the tree without nesting in the text, so this
  /// is more; checker and `deinit` recurse this deep. Long `++` and `||` chains are balanced or flat and do not count.
  package static let depthLimit = 200
  /// Nobody reads more, and a binary file should not fill a terminal.
  package static let diagnosticLimit = 100

  package struct Result: Sendable {
    package var tree: Tree
    /// What it was read from.
    var lexed: Lexed
    /// Sorted by place.
    package var diagnostics: [Diagnostic]
    /// Work done, lexer included, for the test that it is linear.
    package var steps: Int
  }

  package static func parse(_ source: Source) -> Result {
    let lexed = Lexer.lex(source)
    var parser = Parser(source, lexed)
    let tree = parser.tree()
    var diagnostics = Self.withoutCascades(of: lexed.diagnostics, parser.diagnostics, in: source).sortedByPlace()
    if diagnostics.count > diagnosticLimit {
      let last = diagnostics[diagnosticLimit].span
      diagnostics.removeSubrange(diagnosticLimit...)
      diagnostics.append(SyntaxError.tooManyErrors(limit: diagnosticLimit).diagnostic(at: last))
    }
    return Result(tree: tree, lexed: lexed, diagnostics: diagnostics, steps: lexed.steps + parser.steps)
  }

  enum Abort: Error {
    /// Reported; go on at the next place that can.
    case here
    /// Reported; the whole declaration is given up, for what it nests is too deep to look for more.
    case tooDeep
    /// A misspelt word was put right in `tokens`: parse the statement again.
    case again
  }

  let source: Source
  var tokens: [Token]
  let lexed: Lexed
  var at = 0
  /// False inside round and square brackets, where a line break ends nothing.
  var newlinesMatter = true
  /// In a match guard, where `(x) => e` is the guard `x` and the arm's arrow.
  var arrowEndsGuard = false
  /// In the head of a `for parallel`, where `xs (limit 4)` is no call.
  var limitMayFollow = false
  var nodes: NodeID = 0
  var depth = 0
  var steps = 0
  var diagnostics: [Diagnostic] = []
  /// Where the last error was reported: a second one at the same token would be its echo.
  var lastErrorAt = -1
  var deepReported = false
  /// Reserved words that were declared as names in this declaration.
  var reserved: Set<Token.Kind> = []

  private init(_ source: Source, _ lexed: Lexed) {
    self.source = source
    self.lexed = lexed
    tokens = lexed.tokens
  }

  // MARK: - Tokens

  var token: Token { tokens[at] }
  var kind: Token.Kind { tokens[at].kind }

  func peek(_ ahead: Int) -> Token.Kind { tokens[min(at + ahead, tokens.count - 1)].kind }

  /// The index of the bracket that belongs to the one at `index`, or nil.
  func partner(_ index: Int) -> Int? {
    let other = lexed.partner[index]
    return other < 0 ? nil : Int(other)
  }

  mutating func advance() {
    steps += 1
    if at < tokens.count - 1 { at += 1 }
  }

  /// Consumes the token if it is of this kind.
  mutating func take(_ kind: Token.Kind) -> Bool {
    guard self.kind == kind else { return false }
    advance()
    return true
  }

  /// A line break that ends a statement stands before the current token.
  var atBreak: Bool { newlinesMatter && token.flags.contains(.mayBreak) }

  /// The current statement can end here.
  var atStatementEnd: Bool {
    switch kind {
    case .semicolon, .curlyClose, .end, .holeEnd: true
    default: atBreak
    }
  }

  func span(_ index: Int) -> Span {
    let token = tokens[min(index, tokens.count - 1)]
    return Span(file: source.id, start: Int(token.start), end: Int(token.end))
  }

  var span: Span { span(at) }
  var previousSpan: Span { at > 0 ? span(at - 1) : Span(file: source.id, start: 0, end: 0) }

  /// From the token at `start` to the last one consumed.
  func span(from start: Int) -> Span { at > start ? span(start).through(span(at - 1)) : span(start) }

  func text(_ index: Int) -> String { source.text(Int(tokens[index].start)..<Int(tokens[index].end)) }
  func stringValue(_ index: Int) -> String { lexed.strings[Int(tokens[index].value)] }

  /// The token `ahead` of here is this contextual word.
  func isWord(_ word: StaticString, ahead: Int = 0) -> Bool {
    let index = at + ahead
    guard index < tokens.count, tokens[index].kind == .name else { return false }
    let token = tokens[index]
    guard Int(token.end - token.start) == word.utf8CodeUnitCount else { return false }
    let bytes = UnsafeBufferPointer(start: word.utf8Start, count: word.utf8CodeUnitCount)
    return source.bytes[Int(token.start)..<Int(token.end)].elementsEqual(bytes)
  }

  func found(_ index: Int) -> String {
    let token = tokens[index]
    return token.kind == .name ? "`\(text(index))`" : token.kind.described
  }

  // MARK: - Errors

  @inline(never)
  mutating func report(_ error: SyntaxError, at place: Span, label: String? = nil, related: [Diagnostic.Label] = []) {
    // Unreadable characters are the lexer's news; a second report at the same token is an echo of the first.
    guard kind != .bad, lastErrorAt != at else { return }
    // So are the uses of a reserved word that was just complained about as a name.
    if reserved.contains(kind) || (at > 0 && reserved.contains(tokens[at - 1].kind)) { return }
    lastErrorAt = at
    var related = related
    if case .stray("}") = error, let early = earlyClose { related.append(early) }
    diagnostics.append(error.diagnostic(at: place, label: label, related: related))
  }

  @inline(never)
  mutating func fail(_ error: SyntaxError, at place: Span? = nil, related: [Diagnostic.Label] = []) -> Abort {
    report(error, at: place ?? span, related: related)
    return .here
  }

  @inline(never)
  mutating func failExpected(_ what: String, hint: String? = nil) -> Abort {
    if let bracket = strayBracket { return fail(.stray(bracket)) }
    let error = SyntaxError.expected(what, found: found(at), hint: hint)
    // At the end of a line the thing is missing behind the last word, not before the next.
    if kind == .end || token.flags.contains(.newlineBefore), at > 0 { return fail(error, at: previousSpan.after) }
    return fail(error)
  }

  var strayBracket: String? {
    switch kind {
    case .roundClose, .squareClose, .curlyClose: partner(at) == nil ? kind.rawValue : nil
    default: nil
    }
  }

  @inline(never)
  mutating func expect(_ kind: Token.Kind, _ what: String? = nil, hint: String? = nil) throws(Abort) {
    if self.kind != kind { throw failExpected(what ?? kind.described, hint: hint) }
    advance()
  }

  /// Behind a `}` too many: where a block of several lines was closed in the middle of a line, which looks like the mistake.
  private var earlyClose: Diagnostic.Label? {
    func line(_ index: Int) -> Int { source.lineIndex(of: Int(tokens[index].start)) }
    guard kind == .curlyClose, diagnostics.count <= Self.diagnosticLimit else { return nil }
    for index in (0..<at).reversed()
    where tokens[index].kind == .curlyClose && !tokens[index].flags.contains(.newlineBefore) {
      guard let opener = partner(index), line(opener) != line(index) else { continue }
      return Diagnostic.Label(span(index), "this closed the `{` of line \(line(opener) + 1)")
    }
    return nil
  }

  /// A bracket that is never closed. Where a brace further in stands wrongly indented, that is the likelier one.
  @inline(never)
  mutating func failUnclosed(_ opener: Int) -> Abort {
    var blamed = opener
    if tokens[opener].kind == .curlyOpen, diagnostics.count <= Self.diagnosticLimit,
      let suspect = lexed.suspects.filter({ $0 > opener }).min()
    {
      blamed = suspect
    }
    let noticed = kind == .end ? "the file ends without it" : "noticed here"
    return fail(
      .unclosed(tokens[blamed].kind.rawValue), at: span(blamed), related: [Diagnostic.Label(span.first, noticed)])
  }

  mutating func enter() throws(Abort) {
    depth += 1
    if depth > Self.nestingLimit { throw failTooDeep(span) }
  }

  mutating func leave() { depth -= 1 }

  @inline(never)
  mutating func failTooDeep(_ place: Span, limit: Int = Self.nestingLimit) -> Abort {
    if !deepReported {
      deepReported = true
      lastErrorAt = at
      diagnostics.append(SyntaxError.tooDeep(limit: limit).diagnostic(at: place))
    }
    return .tooDeep
  }

  /// What an unclosed string or comment swallowed is not the reader's next mistake.
  private static func withoutCascades(
    of lexer: [Diagnostic], _ parser: [Diagnostic], in source: Source
  ) -> [Diagnostic] {
    let unclosed = lexer.filter { ["E0002", "E0005", "E0010", "E0011"].contains($0.code) }
    guard !unclosed.isEmpty else { return lexer + parser }
    let lines = Set(unclosed.map { source.lineIndex(of: Int($0.span.start)) })
    let swallowed = unclosed.filter { $0.code == "E0005" || $0.code == "E0011" }.map(\.span.start).min() ?? .max
    func isApart(_ diagnostic: Diagnostic) -> Bool {
      !lines.contains(source.lineIndex(of: Int(diagnostic.span.start)))
    }
    // `println(${a}")`: where the first quote is missing, the text itself is full of characters without a meaning.
    return lexer.filter { $0.code != "E0001" || isApart($0) }
      + parser.filter {
        $0.span.start < swallowed && !(swallowed != .max && $0.code == "E0104") && isApart($0)
      }
  }

  // MARK: - Recovery

  /// One token, or a whole bracketed part.
  mutating func skipOne() {
    if let close = partner(at), close > at { at = close }
    advance()
  }

  /// To the next comma of the list opened at `opener`, or its end. False: the list's end is not known.
  @inline(never)
  mutating func recover(inListFrom opener: Int) -> Bool {
    guard let close = partner(opener), close >= at else { return false }
    while at < close, kind != .comma { skipOne() }
    return true
  }

  /// Elements between the bracket at `at` and its partner, separated by commas; a trailing comma is allowed.
  mutating func list<Element>(
    _ close: Token.Kind, of what: String, _ element: (inout Parser) throws(Abort) -> Element
  ) throws(Abort) -> [Element] {
    let opener = at
    let outside = (newlinesMatter, arrowEndsGuard, limitMayFollow)
    (newlinesMatter, arrowEndsGuard, limitMayFollow) = (false, false, false)
    defer { (newlinesMatter, arrowEndsGuard, limitMayFollow) = outside }
    advance()
    var elements: [Element] = []
    while true {
      if kind == close, partner(at) == opener {
        advance()
        return elements
      }
      guard partner(opener) != nil || (kind != .end && !atItemStart) else { throw failUnclosed(opener) }
      let start = at
      do throws(Abort) {
        elements.append(try element(&self))
      } catch .here {
        guard recover(inListFrom: opener) else { throw .here }
      } catch { throw error }
      if take(.comma) { continue }
      if kind == close, partner(at) == opener { continue }
      guard partner(opener) != nil else { throw failUnclosed(opener) }
      if at > start, kind.startsExpression || kind == .ellipsis {
        report(.missingComma(in: what), at: span)
      } else {
        _ = failExpected("`,` or `\(close.rawValue)`")
        _ = recover(inListFrom: opener)
        _ = take(.comma)
      }
    }
  }

  // MARK: - Names

  /// A name that is declared here; a reserved word in its place is reported and taken.
  @inline(never)
  mutating func name(_ what: String) throws(Abort) -> Name {
    if kind.isKeyword, !token.flags.contains(.newlineBefore) || !newlinesMatter {
      report(.reservedWord(kind.rawValue, as: what), at: span)
      reserved.insert(kind)
    } else if kind != .name {
      throw failExpected(what)
    }
    let name = Name(text(at), span)
    advance()
    return name
  }

  /// A name behind a dot or before a colon, where reserved words do no harm: `event.type`, `{type: "x"}`.
  @inline(never)
  mutating func label(_ what: String) throws(Abort) -> Name {
    guard kind == .name || kind.isKeyword else { throw failExpected(what) }
    let name = Name(text(at), span)
    advance()
    return name
  }

  @inline(never)
  mutating func capitalized(_ what: String) throws(Abort) -> Name {
    let name = try name(what)
    if !name.isCapitalized, name.text.utf8.first.map({ $0 < 0x80 }) ?? false {
      let fixed = name.text.prefix(1).uppercased() + name.text.dropFirst()
      diagnostics.append(
        Diagnostic(
          SyntaxError.wrongCase(name.text, what: what, capital: true).code,
          SyntaxError.wrongCase(name.text, what: what, capital: true).title, at: name.span, hint: "write `\(fixed)`"))
    }
    return name
  }
}
