/// `if`, `match`, `for`, `while`, `let … in`, `assert`, `step`: all are expressions.
extension Parser {
  /// What stands between a word and `{` or `then`. A bare brace there is confusing, and `=` is never meant.
  private mutating func condition(_ place: String) throws(Abort) -> Expression {
    let start = at
    let value = try expression()
    if tokens[start].kind == .curlyOpen, kind == .curlyOpen {
      report(.bareRecord(before: place), at: value.span)
    }
    if kind == .assign {
      report(.assignInCondition, at: span)
      advance()
      let right = try expression()
      return try node(.binary(.equal, value, right), value.span.through(right.span))
    }
    return value
  }

  mutating func ifExpression() throws(Abort) -> Expression {
    let start = at
    advance()
    let condition = try condition("as a condition")
    let then: Expression
    if take(.kThen) {
      then = try clause()
    } else if kind == .curlyOpen {
      then = try braces()
    } else {
      throw failExpected("`then` or `{`", hint: "write `if c then a else b` or `if c { a } else { b }`")
    }
    var otherwise: Expression?
    if take(.kElse) { otherwise = try clause() }
    return try node(.if(condition, then: then, else: otherwise), span(from: start))
  }

  mutating func matchExpression() throws(Abort) -> Expression {
    let start = at
    advance()
    let scrutinee = try condition("to match")
    let arms = try matchArms()
    return try node(.match(scrutinee, arms), span(from: start))
  }

  private mutating func matchArms() throws(Abort) -> [MatchArm] {
    try enter()
    defer { leave() }
    guard kind == .curlyOpen else {
      throw failExpected("`{` and the arms", hint: "write `match e { pattern => result }`")
    }
    let opener = at
    let outside = (newlinesMatter, arrowEndsGuard, limitMayFollow)
    (newlinesMatter, arrowEndsGuard, limitMayFollow) = (true, false, false)
    defer { (newlinesMatter, arrowEndsGuard, limitMayFollow) = outside }
    advance()
    var arms: [MatchArm] = []
    while true {
      if kind == .curlyClose, partner(at) == opener {
        advance()
        return arms
      }
      guard partner(opener) != nil || (kind != .end && !atItemStart) else { throw failUnclosed(opener) }
      let start = at
      do throws(Abort) {
        arms.append(try matchArm())
        // A `|` can only be the next arm's own, at the start of its line.
        if take(.comma) || atBreak || kind == .curlyClose || kind == .bar { continue }
        if partner(opener) == nil, kind == .end { continue }
        if kind == .semicolon {
          report(.expected("`,`", found: "`;`", hint: "arms are separated by commas or line breaks"), at: span)
          advance()
        } else if let bracket = strayBracket {
          throw fail(.stray(bracket))
        } else {
          report(.missingComma(in: "the arms"), at: span)
          if !kind.startsExpression { throw Abort.here }
        }
      } catch .here {
        guard partner(opener) != nil else { throw .here }
        skipArm(startedAt: start, to: opener)
      } catch { throw error }
    }
  }

  private mutating func skipArm(startedAt start: Int, to opener: Int) {
    guard let close = partner(opener) else { return }
    if at == start, at < close { skipOne() }
    while at < close {
      if kind == .comma {
        advance()
        return
      }
      if token.flags.contains(.mayBreak) { return }
      skipOne()
    }
  }

  private mutating func matchArm() throws(Abort) -> MatchArm {
    _ = take(.bar)
    let start = at
    let pattern = try pattern()
    var condition: Expression?
    if take(.kIf) {
      let outside = arrowEndsGuard
      arrowEndsGuard = true
      defer { arrowEndsGuard = outside }
      condition = try expression()
    }
    if kind == .thinArrow || kind == .colon {
      report(.expected("`=>`", found: found(at), hint: "an arm is `pattern => result`"), at: span)
      advance()
    } else if kind == .assign {
      throw fail(.expected("`=>`", found: "`=`", hint: "an arm is `pattern => result`"))
    } else {
      try expect(.arrow, hint: "an arm is `pattern => result`, with a condition `pattern if condition => result`")
    }
    let outside = arrowEndsGuard
    arrowEndsGuard = false
    defer { arrowEndsGuard = outside }
    let body = try clause()
    return MatchArm(pattern: pattern, guard: condition, body: body, span: span(from: start))
  }

  mutating func forLoop() throws(Abort) -> Expression {
    let start = at
    advance()
    var isParallel = false
    if isWord("parallel"), peek(1) != .kIn, peek(1) != .comma {
      advance()
      isParallel = true
    }
    var index: Name?
    var pattern = try pattern()
    if kind == .comma {
      guard case .name(let text) = pattern.kind else {
        throw fail(.badPattern(hint: "the index is a name: `for i, x in xs`"), at: pattern.span)
      }
      index = Name(text, pattern.span)
      advance()
      pattern = try self.pattern()
    }
    try expect(.kIn, hint: "write `for x in xs { … }`")
    let outside = limitMayFollow
    limitMayFollow = isParallel
    defer { limitMayFollow = outside }
    let sequence = try expression()
    limitMayFollow = outside
    var limit: Expression?
    if isParallel, kind == .roundOpen {
      let parts = try list(.roundClose, of: "the limits") { (p: inout Parser) throws(Abort) in
        guard p.isWord("limit") else { throw p.failExpected("`limit`", hint: "write `(limit 4)`") }
        p.advance()
        return try p.expression()
      }
      limit = parts.first
    }
    let body = try block()
    return try node(
      .for(
        ForLoop(index: index, pattern: pattern, sequence: sequence, body: body, isParallel: isParallel, limit: limit)),
      span(from: start))
  }

  mutating func whileLoop() throws(Abort) -> Expression {
    let start = at
    advance()
    let condition = try condition("as a condition")
    return try node(.while(condition, try block()), span(from: start))
  }

  /// Where an expression stands; in a block `let` is a statement.
  mutating func letIn() throws(Abort) -> Expression {
    let start = at
    advance()
    let binding = try binding(isVariable: false)
    try expect(.kIn, "`in` and the expression that uses it", hint: "`let x = a in b`, or a block: `{ let x = a; b }`")
    let body = try clause()
    return try node(.letIn(binding, body), span(from: start))
  }

  mutating func assertion() throws(Abort) -> Expression {
    let start = at
    advance()
    let condition = try condition("to assert")
    var message: Expression?
    // In a list of arms the comma ends this one, so the message is recognised by being a string.
    if kind == .comma, peek(1) == .string || peek(1) == .stringStart {
      advance()
      message = try expression()
    }
    return try node(.assert(condition, message: message), span(from: start))
  }

  mutating func step(decorated decorators: [Decorator]) throws(Abort) -> Expression {
    let start = at
    guard isWord("step"), peek(1) == .string || peek(1) == .stringStart else {
      if let last = decorators.last { throw fail(.loneDecorator, at: last.span) }
      throw failExpected("a step")
    }
    advance()
    let name = try primary()
    let body = try block()
    return try node(
      .step(Step(decorators: decorators, name: name, body: body)),
      (decorators.first?.span ?? span(start)).through(previousSpan))
  }
}
