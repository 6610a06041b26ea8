import WeirCore

/// Blocks and statements, and how to go on behind one that made no sense.
extension Parser {
  mutating func block() throws(Abort) -> Block {
    try enter()
    defer { leave() }
    guard kind == .curlyOpen else { throw failExpected("`{`") }
    let opener = at
    let outside = (newlinesMatter, arrowEndsGuard, limitMayFollow)
    (newlinesMatter, arrowEndsGuard, limitMayFollow) = (true, false, false)
    defer { (newlinesMatter, arrowEndsGuard, limitMayFollow) = outside }
    advance()
    let statements = try statements(until: opener)
    return finished(statements, span(from: opener))
  }

  /// The last statement is the value, if it is an expression.
  func finished(_ statements: [Statement], _ span: Span) -> Block {
    guard case .expression(let result)? = statements.last?.kind else {
      return Block(statements: statements, result: nil, span: span)
    }
    return Block(statements: Array(statements.dropLast()), result: result, span: span)
  }

  /// Up to and including the brace that closes `opener`.
  private mutating func statements(until opener: Int) throws(Abort) -> [Statement] {
    var statements: [Statement] = []
    while true {
      if take(.semicolon) { continue }
      if kind == .curlyClose, partner(at) == opener {
        advance()
        return statements
      }
      // A brace that is never closed: the next declaration (or the end) shows it. What was read so far is kept.
      if partner(opener) == nil, kind == .end || atItemStart {
        _ = failUnclosed(opener)
        return statements
      }
      if kind == .end { return statements }
      statements.append(try recovering(inBlockFrom: opener))
    }
  }

  /// One statement and its end; after an error `.error`, at the start of the next.
  mutating func recovering(inBlockFrom opener: Int?) throws(Abort) -> Statement {
    while true {
      let start = at
      do throws(Abort) {
        if opener != nil, atItemStart {
          reportNested()
          skipStatement(startedAt: start, inBlockFrom: opener)
          return Statement(kind: .error, span: span(from: start))
        }
        let statement = try statement()
        if tokens[max(at - 1, 0)].kind == .kIn || atStatementEnd {
          if let bracket = strayBracket, opener == nil || kind != .curlyClose { throw fail(.stray(bracket)) }
          return statement
        }
        // The statement itself is whole; only what follows on its line is not.
        do throws(Abort) { try notEnded(statement, startedAt: start) } catch {
          // A name that was bound stays bound: its uses are no news.
          guard case .here = error, statement.binds else { throw error }
        }
        skipStatement(startedAt: start, inBlockFrom: opener)
        return statement
      } catch .again {
        at = start
        // At the top level the word may start a declaration.
        if opener == nil { throw .again }
      } catch .here {
        skipStatement(startedAt: start, inBlockFrom: opener)
        return Statement(kind: .error, span: span(from: start))
      } catch { throw error }
    }
  }

  @inline(never)
  private mutating func reportNested() {
    let what =
      switch kind {
      case .kFunc, .kFn, .kPure: "a function"
      case .kImport: "an import"
      case .kType: "a type"
      default: "this"
      }
    report(.nestedDeclaration(what), at: span)
  }

  /// To the end of the statement: `;`, a line break, the end of the block, a declaration.
  @inline(never)
  private mutating func skipStatement(startedAt start: Int, inBlockFrom opener: Int?) {
    let end = opener.flatMap { partner($0) } ?? tokens.count - 1
    if at == start, at < end { skipOne() }
    while at < end, kind != .end {
      if take(.semicolon) { return }
      if token.flags.contains(.newlineBefore), kind.canStart || atItemStart { return }
      skipOne()
    }
  }

  /// Something follows a whole statement on its line.
  @inline(never)
  private mutating func notEnded(_ statement: Statement, startedAt start: Int) throws(Abort) {
    if let bracket = strayBracket { throw fail(.stray(bracket)) }
    if case .expression(let e) = statement.kind, case .name(let word) = e.kind, at == start + 1, kind != .colon {
      try misspelt(word, at: start)
    }
    switch kind {
    case .comma:
      if case .assign = statement.kind { throw fail(.equalsInField("a field's value"), at: statement.span) }
      // `{x, y: 2}`
      if case .expression(let e) = statement.kind, case .name(let word) = e.kind, at == start + 1, peek(1) == .name,
        peek(2) == .colon || peek(2) == .comma || peek(2) == .curlyClose
      {
        throw fail(.shorthandField(word), at: statement.span)
      }
      throw fail(.twoOnOneLine(found: found(at)))
    case .arrow: throw failExpected("the end of the statement", hint: "a function without a name is `(x) => e`")
    case .assign:
      throw fail(.notAssignable, at: statement.span)
    case .kElse: throw fail(.elseWithoutIf)
    case .colon:
      throw failExpected(
        "the end of the statement", hint: "a name gets a type in `let x: int = 1`; a record is `{x: 1}`")
    default: throw fail(.twoOnOneLine(found: found(at)))
    }
  }

  // MARK: - Misspelt words

  /// Words of other languages, and ours for them.
  private static let foreignWords: [String: (instead: String, kind: Token.Kind?)] = [
    "function": ("functions start with `func`", .kFunc), "def": ("functions start with `func`", .kFunc),
    "fun": ("functions start with `func`", .kFunc), "proc": ("functions start with `func`", .kFunc),
    "const": ("write `let`", .kLet), "val": ("write `let`", .kLet), "final": ("write `let`", .kLet),
    "elif": ("write `else if`", nil), "elsif": ("write `else if`", nil), "elseif": ("write `else if`", nil),
    "switch": ("write `match value { pattern => result }`", .kMatch), "case": ("an arm is `pattern => result`", nil),
    "struct": ("write `type Name = {field: int}`", nil), "class": ("write `type Name = {field: int}`", nil),
    "record": ("write `type Name = {field: int}`", nil), "interface": ("write `type Name = {field: int}`", nil),
    "enum": ("write `type Name = A | B(int)`", nil), "data": ("write `type Name = A | B(int)`", nil),
    "use": ("write `import std/name (f)`", nil), "require": ("write `import std/name (f)`", nil),
    "include": ("write `import std/name (f)`", nil), "from": ("write `import std/name (f)`", nil),
    "async": ("any function may wait; `async` is not needed", nil),
    "await": ("a call waits by itself; leave `await` out", nil),
    "loop": ("write `while true { … }`", nil), "until": ("write `while !condition { … }`", nil),
    "public": ("write `export`", .kExport), "private": ("what is not exported is private; leave it out", nil),
    "throw": ("return `Err(…)`", nil), "raise": ("return `Err(…)`", nil),
    "try": ("write `e?` to pass a failure on", nil),
    "unless": ("write `if !condition { … }`", nil), "mut": ("write `var`", .kVar),
  ]

  private static let declarationWords = [
    "provider", "agent", "tool", "workflow", "exec", "guard", "test", "extern", "step",
  ]

  /// `fucn main() {`: the first word of the statement is no statement, and nearly one of ours.
  @inline(never)
  private mutating func misspelt(_ word: String, at start: Int) throws(Abort) {
    if let foreign = Self.foreignWords[word] {
      report(.foreignWord(word, instead: foreign.instead), at: span(start))
      guard let kind = foreign.kind else { throw .here }
      tokens[start].kind = kind
      throw .again
    }
    let candidates = Token.Kind.keywords.keys.sorted() + Self.declarationWords
    guard kind.startsExpression, let meant = Spelling.nearest(to: word, among: candidates), meant.utf8.count > 2 else {
      return
    }
    report(.misspelt(word, meant: meant), at: span(start))
    guard let kind = Token.Kind.keywords[meant] else { throw .here }
    tokens[start].kind = kind
    throw .again
  }

  // MARK: - Statements

  private mutating func statement() throws(Abort) -> Statement {
    let start = at
    switch kind {
    case .kLet, .kVar:
      let isVariable = kind == .kVar
      advance()
      let binding = try binding(isVariable: isVariable)
      let end = span(from: start)
      // `let x = e in`: its scope is the rest of the block, as without `in`.
      if !isVariable { _ = take(.kIn) }
      return Statement(kind: isVariable ? .var(binding) : .let(binding), span: end)
    case .kDefer:
      advance()
      return Statement(kind: .defer(try clause()), span: span(from: start))
    case .name where peek(1) == .assign: return try assignment()
    case .name:
      if let outcome = outcome { return try onOutcome(outcome) }
    default: break
    }
    let value = try expression()
    return Statement(kind: .expression(value), span: span(from: start))
  }

  @inline(never)
  mutating func assignment() throws(Abort) -> Statement {
    let start = at
    let name = try label("a name")
    try expect(.assign)
    let value = try valueOrError()
    return Statement(kind: name.text == "_" ? .discard(value) : .assign(name, value), span: span(from: start))
  }

  /// Behind `let` or `var`.
  mutating func binding(isVariable: Bool) throws(Abort) -> Binding {
    let pattern = isVariable ? try variable() : try pattern()
    let type = take(.colon) ? try type() : nil
    if kind == .equal {
      report(.expected("`=`", found: "`==`", hint: "`==` compares"), at: span)
      advance()
    } else {
      try expect(.assign, hint: "a name needs its value: `let x = …`")
    }
    return Binding(pattern: pattern, type: type, value: try valueOrError())
  }

  private mutating func variable() throws(Abort) -> Pattern {
    if kind == .roundOpen || kind == .curlyOpen || kind == .squareOpen { return try pattern() }
    let name = try name("a variable's name")
    return try node(.name(name.text), name.span)
  }

  /// A value that makes no sense leaves its name declared, so that its uses are no news.
  private mutating func valueOrError() throws(Abort) -> Expression {
    let start = at
    do throws(Abort) { return try expression() } catch .here {
      // In brackets the list around goes on; in a block, the next line.
      guard newlinesMatter else { throw .here }
      while kind != .end, kind != .semicolon, !(token.flags.contains(.newlineBefore) && kind.canStart) || at == start {
        if strayBracket == nil, kind == .roundClose || kind == .squareClose || kind == .curlyClose { break }
        if kind == .comma || kind == .kIn || kind == .holeEnd || atItemStart { break }
        skipOne()
      }
      return errorNode(span(from: start))
    } catch { throw error }
  }

  private var outcome: Statement.Outcome? {
    guard
      let outcome: Statement.Outcome = isWord("onerror")
        ? .error
        : isWord("onsuccess")
          ? .success
          : isWord("oncancel") ? .cancel : nil
    else { return nil }
    return peek(1) == .curlyOpen || (peek(1) == .name && peek(2) == .curlyOpen) ? outcome : nil
  }

  @inline(never)
  private mutating func onOutcome(_ outcome: Statement.Outcome) throws(Abort) -> Statement {
    let start = at
    advance()
    let binding = kind == .name ? try name("a name") : nil
    let block = try block()
    return Statement(kind: .onOutcome(outcome, binding: binding, block), span: span(from: start))
  }
}

extension Statement {
  /// Whether it gives a name to something.
  fileprivate var binds: Bool {
    switch kind {
    case .let, .var, .assign: true
    default: false
    }
  }
}
