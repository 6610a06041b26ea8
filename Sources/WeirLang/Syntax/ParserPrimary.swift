/// What a value can start with: literals, names, brackets, lambdas.
extension Parser {
  mutating func primary() throws(Abort) -> Expression {
    let start = at
    switch kind {
    case .int:
      advance()
      return try node(.int(integer(lexed.numbers[Int(tokens[start].value)], isNegative: false, at: start)), span(start))
    case .float:
      advance()
      return try node(.float(Double(bitPattern: lexed.numbers[Int(tokens[start].value)])), span(start))
    case .string:
      advance()
      return try node(.string(stringValue(start)), span(start))
    case .stringStart: return try interpolation()
    case .kTrue, .kFalse:
      advance()
      return try node(Expression.Kind.bool(tokens[start].kind == .kTrue), span(start))
    case .kNil:
      advance()
      return try node(Expression.Kind.nil, span(start))
    case .name: return try word()
    case .roundOpen: return try round()
    case .squareOpen:
      let items = try list(.squareClose, of: "the elements") { (p: inout Parser) throws(Abort) in try p.element() }
      return try node(Expression.Kind.list(items), span(from: start))
    case .curlyOpen: return try braces()
    case .backslash: return try backslashLambda()
    case .kFunc, .kFn: return try functionLambda()
    case .kLet: return try letIn()
    case .kIf: return try ifExpression()
    case .kMatch: return try matchExpression()
    case .kFor: return try forLoop()
    case .kWhile: return try whileLoop()
    case .kReturn:
      advance()
      let value = kind.startsExpression && !atBreak ? try expression() : nil
      return try node(.return(value), span(from: start))
    case .kBreak, .kContinue:
      advance()
      return try node(tokens[start].kind == .kBreak ? .break : .continue, span(start))
    case .kAssert: return try assertion()
    case .at: return try step(decorated: decorators())
    case .ellipsis: throw fail(.spreadInExpression)
    case .arrow: throw failExpected("an expression", hint: "a function without a name is `(x) => e` or `\\x. e`")
    case .kElse: throw fail(.elseWithoutIf)
    default:
      if kind.isKeyword, !token.flags.contains(.newlineBefore) {
        throw fail(.expected("an expression", found: kind.described, hint: reservedHint))
      }
      throw failExpected("an expression")
    }
  }

  private var reservedHint: String? {
    switch kind {
    case .kType, .kImport, .kExport, .kPub, .kModule: "it starts a declaration, at the top level of a file"
    default: "as a name it is reserved"
    }
  }

  private mutating func element() throws(Abort) -> Expression {
    if kind == .ellipsis { throw fail(.spreadInExpression) }
    return try expression()
  }

  /// A name, or a word that is special where it stands.
  private mutating func word() throws(Abort) -> Expression {
    let start = at
    let next = at + 1 < tokens.count ? tokens[at + 1] : token
    let nextIsOnLine = !next.flags.contains(.newlineBefore)
    if isWord("stream"), nextIsOnLine, startsStreamed(next) {
      advance()
      return try node(.stream(try expression()), span(from: start))
    }
    // `race[0]` is an index; with a blank between it is the word.
    if next.kind == .squareOpen, nextIsOnLine, next.flags.contains(.spaceBefore),
      let together = isWord("parallel") ? Together.parallel : isWord("race") ? .race : isWord("first") ? .first : nil
    {
      advance()
      let items = try list(.squareClose, of: "the elements") { (p: inout Parser) throws(Abort) in try p.element() }
      return try node(.together(together, items), span(from: start))
    }
    if isWord("step"), nextIsOnLine, next.kind == .string || next.kind == .stringStart {
      return try step(decorated: [])
    }
    advance()
    return try node(.name(text(start)), span(start))
  }

  private func startsStreamed(_ next: Token) -> Bool {
    switch next.kind {
    case .name: !(isWord("with", ahead: 1) && peek(2) == .curlyOpen)
    case .string, .stringStart: true
    default: false
    }
  }

  private mutating func interpolation() throws(Abort) -> Expression {
    let start = at
    let outside = (newlinesMatter, arrowEndsGuard, limitMayFollow)
    (newlinesMatter, arrowEndsGuard, limitMayFollow) = (false, false, false)
    defer { (newlinesMatter, arrowEndsGuard, limitMayFollow) = outside }
    advance()
    var parts: [InterpolationPart] = []
    while kind != .stringEnd, kind != .end {
      if kind == .stringText {
        let text = stringValue(at)
        if !text.isEmpty { parts.append(.text(text)) }
        advance()
        continue
      }
      let opener = at
      guard take(.holeStart), let close = partner(opener) else { throw failExpected("the end of the string") }
      do throws(Abort) {
        let value = try expression()
        if at != close { throw failExpected("`}`", hint: "one expression stands in `${…}`") }
        parts.append(.expression(value))
      } catch .here {
        parts.append(.expression(errorNode(span(from: opener))))
      } catch { throw error }
      at = close + 1
    }
    advance()
    return try node(.interpolation(parts), span(from: start))
  }

  // MARK: - Brackets

  private mutating func round() throws(Abort) -> Expression {
    let start = at
    if !arrowEndsGuard, let close = partner(at), tokens[close + 1].kind == .arrow { return try arrowLambda() }
    let items = try list(.roundClose, of: "the values in `( )`") { (p: inout Parser) throws(Abort) in try p.expression()
    }
    switch items.count {
    case 0: return try node(Expression.Kind.unit, span(from: start))
    case 1: return items[0]
    default: return try node(Expression.Kind.tuple(items), span(from: start))
    }
  }

  /// `{}`, a record, a map, an update, else a block.
  mutating func braces() throws(Abort) -> Expression {
    let start = at
    switch bracesMeaning {
    case .unit:
      advance()
      advance()
      return try node(Expression.Kind.unit, span(from: start))
    case .record: return try node(Expression.Kind.record(try fields()), span(from: start))
    case .map:
      let entries = try list(.curlyClose, of: "the entries") { (p: inout Parser) throws(Abort) in
        let key = try p.expression()
        try p.expectColon("a map's value")
        return MapEntry(key: key, value: try p.expression())
      }
      return try node(Expression.Kind.map(entries), span(from: start))
    case .update: return try update()
    case .block:
      let block = try block()
      return try node(.block(block), block.span)
    }
  }

  private enum BracesMeaning { case unit, record, map, update, block }

  private var bracesMeaning: BracesMeaning {
    let first = peek(1)
    if first == .curlyClose { return .unit }
    if first == .name || first.isKeyword, peek(2) == .colon { return .record }
    if first == .ellipsis, peek(2) == .name { return .record }
    if first == .string || first == .int, peek(2) == .colon { return .map }
    if first == .stringStart, let end = partner(at + 1), tokens[end + 1].kind == .colon { return .map }
    guard first == .name else { return .block }
    // `{r.inner | …}`, `{make(x) | …}`: over fields, calls and indices to a possible bar.
    var index = at + 2
    while true {
      switch tokens[index].kind {
      case .dot where index + 2 < tokens.count: index += 2
      case .roundOpen, .squareOpen:
        guard !tokens[index].flags.contains(.mayBreak), let close = partner(index), close > index else { return .block }
        index = close + 1
      case .bar: return .update
      default: return .block
      }
    }
  }

  private mutating func update() throws(Abort) -> Expression {
    let start = at
    var base: Expression?
    let fields = try list(.curlyClose, of: "the fields") { (p: inout Parser) throws(Abort) in
      if base == nil {
        base = try p.expression()
        try p.expect(.bar)
      }
      return try p.field()
    }
    guard let base else { throw .here }
    return try node(.update(base, fields), span(from: start))
  }

  // MARK: - Functions without a name

  /// `\x y. e`, `\x -> e`, `\(x: int). e`
  private mutating func backslashLambda() throws(Abort) -> Expression {
    let start = at
    advance()
    var parameters: [LambdaParameter] = []
    while kind != .dot, kind != .thinArrow {
      if kind == .roundOpen, peek(1) == .name, peek(2) == .colon {
        parameters += try list(.roundClose, of: "the parameters") { (p: inout Parser) throws(Abort) in
          try p.lambdaParameter()
        }
      } else if kind == .comma, !parameters.isEmpty {
        throw fail(
          .expected("`.` or another parameter", found: "`,`", hint: "parameters stand side by side: `\\x y. e`"))
      } else if kind == .arrow {
        throw fail(.expected("`.`", found: "`=>`", hint: "write `\\x. e` or `(x) => e`"))
      } else {
        parameters.append(LambdaParameter(pattern: try patternAtom(), type: nil))
      }
    }
    if parameters.isEmpty { throw failExpected("a parameter", hint: "a function without parameters is `() => e`") }
    advance()
    let body = try clause()
    return try node(.lambda(Lambda(parameters: parameters, result: nil, effects: nil, body: body)), span(from: start))
  }

  /// `(x, y: int) => e`
  private mutating func arrowLambda() throws(Abort) -> Expression {
    let start = at
    let parameters = try lambdaParameters()
    try expect(.arrow)
    let body = try clause()
    return try node(.lambda(Lambda(parameters: parameters, result: nil, effects: nil, body: body)), span(from: start))
  }

  /// `func(x: T) -> U ! {E} { … }`
  private mutating func functionLambda() throws(Abort) -> Expression {
    let start = at
    advance()
    if kind == .name { throw fail(.nestedDeclaration("a function")) }
    guard kind == .roundOpen else { throw failExpected("`(`") }
    let parameters = try lambdaParameters()
    let result = take(.thinArrow) ? try type() : nil
    let effects = try effectRow()
    let body: Expression
    if kind == .curlyOpen {
      body = try braces()
    } else if take(.assign) || take(.arrow) {
      body = try clause()
    } else {
      throw failExpected("the function's body", hint: "write `func(x) { … }`")
    }
    return try node(
      .lambda(Lambda(parameters: parameters, result: result, effects: effects, body: body)), span(from: start))
  }

  private mutating func lambdaParameters() throws(Abort) -> [LambdaParameter] {
    try list(.roundClose, of: "the parameters") { (p: inout Parser) throws(Abort) in try p.lambdaParameter() }
  }

  private mutating func lambdaParameter() throws(Abort) -> LambdaParameter {
    let pattern = try pattern()
    return LambdaParameter(pattern: pattern, type: take(.colon) ? try type() : nil)
  }
}
