/// What a value can start with: literals, names, brackets, lambdas.
extension Parser {
  /// Only sends on: this frame is on the stack once for each level of nesting, and what it would hold is held then.
  mutating func primary() throws(Abort) -> Expression {
    switch kind {
    case .int, .float, .string, .kTrue, .kFalse, .kNil: try leaf()
    case .name: try word()
    case .roundOpen: try round()
    case .squareOpen: try square()
    case .curlyOpen: try braces()
    case .stringStart: try interpolation()
    case .backslash: try backslashLambda()
    case .kFunc, .kFn: try functionLambda()
    case .kIf: try ifExpression()
    case .kMatch: try matchExpression()
    case .at: try step(decorated: decorators())
    default: try control()
    }
  }

  @inline(never)
  private mutating func leaf() throws(Abort) -> Expression {
    let start = at
    advance()
    let value = Int(tokens[start].value)
    switch tokens[start].kind {
    case .int: return try node(.int(integer(lexed.numbers[value], isNegative: false, at: start)), span(start))
    case .float: return try node(.float(Double(bitPattern: lexed.numbers[value])), span(start))
    case .string: return try node(.string(lexed.strings[value]), span(start))
    case .kNil: return try node(Expression.Kind.nil, span(start))
    default: return try node(Expression.Kind.bool(tokens[start].kind == .kTrue), span(start))
    }
  }

  private mutating func control() throws(Abort) -> Expression {
    if startsNextStatement { throw failExpected("an expression") }
    switch kind {
    case .kLet: return try letIn()
    case .kFor: return try forLoop()
    case .kWhile: return try whileLoop()
    case .kAssert: return try assertion()
    case .kReturn, .kBreak, .kContinue: return try jump()
    default: throw failPrimary()
    }
  }

  private mutating func jump() throws(Abort) -> Expression {
    let start = at
    advance()
    switch tokens[start].kind {
    case .kBreak: return try node(.break, span(start))
    case .kContinue: return try node(.continue, span(start))
    default:
      let value = kind.startsExpression && !atBreak ? try expression() : nil
      return try node(.return(value), span(from: start))
    }
  }

  @inline(never)
  private mutating func failPrimary() -> Abort {
    switch kind {
    case .ellipsis: return fail(.spreadInExpression)
    case .kElse: return fail(.elseWithoutIf)
    case .arrow: return failExpected("an expression", hint: "a function without a name is `(x) => e` or `\\x. e`")
    default: break
    }
    if kind.isKeyword, !token.flags.contains(.newlineBefore) {
      return fail(.expected("an expression", found: kind.described, hint: reservedHint))
    }
    return failExpected("an expression")
  }

  private mutating func square() throws(Abort) -> Expression {
    let start = at
    let items = try list(.squareClose, of: "the elements") { (p: inout Parser) throws(Abort) in try p.element() }
    return try node(Expression.Kind.list(items), span(from: start))
  }

  /// `x +` and on the next line `let y = …`: the operand is missing, not the `in`.
  private var startsNextStatement: Bool {
    guard newlinesMatter, token.flags.contains(.newlineBefore), at > 0 else { return false }
    switch kind {
    case .kLet, .kReturn, .kFor, .kWhile, .kBreak, .kContinue, .kAssert: return Self.isOperator(tokens[at - 1].kind)
    default: return false
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
    let next = at + 1 < tokens.count ? tokens[at + 1] : token
    if !next.flags.contains(.newlineBefore) {
      if isWord("stream"), startsStreamed(next) { return try streamed() }
      // `race[0]` is an index; with a blank between it is the word.
      if next.kind == .squareOpen, next.flags.contains(.spaceBefore) {
        if let how = Together(rawValue: text(at)) { return try together(how) }
      }
      if isWord("step"), next.kind == .string || next.kind == .stringStart { return try step(decorated: []) }
    }
    return try plainName()
  }

  @inline(never)
  private mutating func plainName() throws(Abort) -> Expression {
    let start = at
    advance()
    return try node(.name(text(start)), span(start))
  }

  @inline(never)
  private mutating func streamed() throws(Abort) -> Expression {
    let start = at
    advance()
    let value = try expression()
    return try node(.stream(value), span(from: start))
  }

  @inline(never)
  private mutating func together(_ how: Together) throws(Abort) -> Expression {
    let start = at
    advance()
    let items = try list(.squareClose, of: "the elements") { (p: inout Parser) throws(Abort) in try p.element() }
    return try node(.together(how, items), span(from: start))
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
    switch bracesMeaning {
    case .unit: try emptyBraces()
    case .record: try record()
    case .map: try map()
    case .update: try update()
    case .block: try blockExpression()
    }
  }

  private mutating func emptyBraces() throws(Abort) -> Expression {
    let start = at
    advance()
    advance()
    return try node(Expression.Kind.unit, span(from: start))
  }

  private mutating func record() throws(Abort) -> Expression {
    let start = at
    let fields = try fields()
    return try node(Expression.Kind.record(fields), span(from: start))
  }

  private mutating func map() throws(Abort) -> Expression {
    let start = at
    let entries = try list(.curlyClose, of: "the entries") { (p: inout Parser) throws(Abort) in
      let key = try p.expression()
      try p.expectColon("a map's value")
      return MapEntry(key: key, value: try p.expression())
    }
    return try node(Expression.Kind.map(entries), span(from: start))
  }

  private mutating func blockExpression() throws(Abort) -> Expression {
    let block = try block()
    return try node(.block(block), block.span)
  }

  private enum BracesMeaning { case unit, record, map, update, block }

  private var bracesMeaning: BracesMeaning {
    let first = peek(1)
    if first == .curlyClose { return .unit }
    if first == .name || first.isKeyword, peek(2) == .colon { return .record }
    if first == .ellipsis, peek(2) == .name { return .record }
    if first == .string || first == .int, peek(2) == .colon { return .map }
    if first == .stringStart, let end = partner(at + 1), tokens[end + 1].kind == .colon { return .map }
    // `{r.inner | …}`, `{make(x) | …}`, `{(e) | …}`, `{{a: 1} | …}`: over fields, calls and indices to a possible bar.
    var index = at + 2
    if first == .roundOpen || first == .curlyOpen {
      guard let close = partner(at + 1), close > at else { return .block }
      index = close + 1
    } else if first != .name {
      return .block
    }
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
