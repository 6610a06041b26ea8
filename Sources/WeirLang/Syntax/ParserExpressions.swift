/// Expressions: operators and what is written behind a value. What a value can start with is in `ParserPrimary.swift`.
///
/// Loosest first: `with` · `|>` · `||` `or` · `&&` `and` · comparisons (no chaining) · `..` · `::` `++` · `+ -` · `* / %` ·
/// `**` · unary · calls, fields, indices, `?`.
extension Parser {
  mutating func expression() throws(Abort) -> Expression {
    try enter()
    defer { leave() }
    let start = at
    var result = try binary(Precedence.pipe)
    // `with` is a word only before a brace, and may then start a line.
    while isWord("with"), peek(1) == .curlyOpen {
      advance()
      result = try node(.with(result, try fields()), span(from: start))
    }
    return result
  }

  /// An expression where `x = e` is allowed too: a branch, an arm, a lambda's body. It becomes a block of one statement.
  mutating func clause() throws(Abort) -> Expression {
    guard kind == .name, peek(1) == .assign else { return try expression() }
    let start = at
    let statement = try assignment()
    let block = Block(statements: [statement], result: nil, span: span(from: start))
    return try node(.block(block), block.span)
  }

  private enum Precedence {
    static let pipe = 1, bars = 2, and = 3, comparison = 4, range = 5, join = 6, sum = 7, product = 8, power = 9,
      none = 0

    static func of(_ kind: Token.Kind) -> Int {
      switch kind {
      case .pipe: pipe
      case .bars, .kOr: bars
      case .and, .kAnd: and
      case .equal, .notEqual, .less, .lessEqual, .greater, .greaterEqual: comparison
      case .range, .closedRange: range
      case .doubleColon, .concat: join
      case .plus, .minus: sum
      case .star, .slash, .percent: product
      case .power: power
      default: none
      }
    }
  }

  static func isOperator(_ kind: Token.Kind) -> Bool { Precedence.of(kind) != Precedence.none || kind == .assign }

  private mutating func binary(_ least: Int) throws(Abort) -> Expression {
    var left = try unary()
    while true {
      let precedence = Precedence.of(kind)
      guard precedence != Precedence.none, precedence >= least, !atBreak else { return left }
      switch precedence {
      case Precedence.pipe:
        advance()
        let right = try binary(precedence + 1)
        left = try node(.pipe(left, right), left.span.through(right.span))
      case Precedence.bars where kind == .bars: left = try bars(after: left)
      case Precedence.comparison: left = try comparison(after: left)
      case Precedence.range:
        let inclusive = kind == .closedRange
        advance()
        let right = try binary(precedence + 1)
        left = try node(.range(left, right, inclusive: inclusive), left.span.through(right.span))
      case Precedence.join: left = try joined(after: left)
      case Precedence.power: left = try powers(after: left)
      default:
        let op = Self.operators[kind] ?? .or
        advance()
        let right = try binary(precedence + 1)
        left = try node(.binary(op, left, right), left.span.through(right.span))
      }
    }
  }

  private static let operators: [Token.Kind: BinaryOperator] = [
    .kOr: .or, .and: .and, .kAnd: .and, .equal: .equal, .notEqual: .notEqual, .less: .less, .lessEqual: .lessEqual,
    .greater: .greater, .greaterEqual: .greaterEqual, .plus: .add, .minus: .subtract, .star: .multiply, .slash: .divide,
    .percent: .remainder,
  ]

  private mutating func bars(after first: Expression) throws(Abort) -> Expression {
    var items = [first]
    while kind == .bars {
      advance()
      items.append(try binary(Precedence.and))
    }
    return try node(.bars(items), first.span.through(previousSpan))
  }

  private mutating func comparison(after left: Expression) throws(Abort) -> Expression {
    let op = Self.operators[kind] ?? .equal
    advance()
    let right = try binary(Precedence.range)
    if Precedence.of(kind) == Precedence.comparison, !atBreak {
      report(.chainedComparison, at: span)
      // The rest is read, so that the next mistake found is another one.
      while Precedence.of(kind) == Precedence.comparison, !atBreak {
        advance()
        _ = try binary(Precedence.range)
      }
    }
    return try node(.binary(op, left, right), left.span.through(right.span))
  }

  /// `x :: y :: zs` groups to the right, `a ++ b ++ c` to the left, `a ++ b :: c` is `a ++ (b :: c)`.
  private mutating func joined(after first: Expression) throws(Abort) -> Expression {
    var items = [first]
    var operators: [BinaryOperator] = []
    while Precedence.of(kind) == Precedence.join, !atBreak {
      operators.append(kind == .concat ? .concat : .cons)
      advance()
      items.append(try binary(Precedence.sum))
    }
    let lastCons = operators.lastIndex(of: .cons).map { $0 + 1 } ?? 0
    var result = try concatenated(items[lastCons...])
    for i in stride(from: lastCons - 1, through: 0, by: -1) {
      result = try node(.binary(operators[i], items[i], result), items[i].span.through(result.span))
    }
    return result
  }

  /// Up to this many `++` group to the left, so that text can grow in place; longer chains (pages of text) are balanced,
  /// which is the same value in the same order of evaluation and keeps the tree flat.
  private static let leftConcatLimit = 32

  private mutating func concatenated(_ items: ArraySlice<Expression>) throws(Abort) -> Expression {
    guard items.count <= Self.leftConcatLimit else {
      let middle = (items.startIndex + items.endIndex) / 2
      let left = try concatenated(items[..<middle])
      let right = try concatenated(items[middle...])
      return try node(.binary(.concat, left, right), left.span.through(right.span))
    }
    var result = items[items.startIndex]
    for item in items.dropFirst() {
      result = try node(.binary(.concat, result, item), result.span.through(item.span))
    }
    return result
  }

  private mutating func powers(after first: Expression) throws(Abort) -> Expression {
    var items = [first]
    while kind == .power {
      advance()
      items.append(try unary())
    }
    var result = items.removeLast()
    while let item = items.popLast() {
      result = try node(.binary(.power, item, result), item.span.through(result.span))
    }
    return result
  }

  private mutating func unary() throws(Abort) -> Expression {
    var prefixes: [Int] = []
    while kind == .minus || kind == .bang || kind == .kNot {
      prefixes.append(at)
      advance()
    }
    var result: Expression
    if kind == .int, let last = prefixes.last, tokens[last].kind == .minus,
      lexed.numbers[Int(token.value)] == 1 << 63
    {
      // The least int has no positive twin, so its minus belongs to the number.
      advance()
      prefixes.removeLast()
      result = try node(.int(.min), span(from: last))
    } else {
      result = try postfix(primary())
    }
    while let prefix = prefixes.popLast() {
      let op: UnaryOperator = tokens[prefix].kind == .minus ? .negate : .not
      result = try node(.unary(op, result), span(prefix).through(result.span))
    }
    return result
  }

  // MARK: - Behind a value

  private mutating func postfix(_ base: Expression) throws(Abort) -> Expression {
    var result = base
    while true {
      switch kind {
      case .roundOpen where !atBreak && !(limitMayFollow && startsLimit):
        let arguments = try arguments()
        result = try node(.call(result, arguments), result.span.through(previousSpan))
      case .squareOpen where !atBreak:
        result = try index(of: result)
      case .dot:
        advance()
        if kind == .int || kind == .float {
          for place in tuplePlaces() { result = try node(.field(result, place), result.span.through(place.span)) }
          advance()
          continue
        }
        let field = try label("a field's name")
        result = try node(.field(result, field), result.span.through(field.span))
      case .question:
        advance()
        result = try node(.propagate(result), result.span.through(previousSpan))
      default: return result
      }
    }
  }

  /// `0` of `pair.0`; the lexer reads what follows in `nested.0.1` as one number.
  private func tuplePlaces() -> [Name] {
    var start = Int(token.start)
    return text(at).split(separator: ".", omittingEmptySubsequences: false).map { part in
      defer { start += part.utf8.count + 1 }
      return Name(String(part), Span(file: source.id, start: start, end: start + part.utf8.count))
    }
  }

  /// `(limit 4)`, behind the sequence of a `for parallel`.
  private var startsLimit: Bool {
    guard isWord("limit", ahead: 1) else { return false }
    switch peek(2) {
    case .roundClose, .comma, .dot, .roundOpen, .squareOpen, .end: return false
    default: return true
    }
  }

  mutating func arguments() throws(Abort) -> [Argument] {
    try list(.roundClose, of: "the arguments") { (p: inout Parser) throws(Abort) in
      guard p.kind == .name || p.kind.isKeyword, p.peek(1) == .colon || (p.kind == .name && p.peek(1) == .assign) else {
        return Argument(label: nil, value: try p.expression())
      }
      let label = try p.label("an argument's name")
      try p.expectColon("a named argument")
      return Argument(label: label, value: try p.expression())
    }
  }

  private mutating func index(of base: Expression) throws(Abort) -> Expression {
    let opener = at
    let parts = try list(.squareClose, of: "the indices") { (p: inout Parser) throws(Abort) in try p.expression() }
    guard let index = parts.first, parts.count == 1 else {
      if diagnostics.last.map({ $0.span.start >= tokens[opener].start }) ?? false { throw .here }
      throw fail(
        .expected("one index", found: parts.isEmpty ? "none" : "\(parts.count)"), at: span(from: opener))
    }
    return try node(.index(base, index), base.span.through(previousSpan))
  }

  /// `{name: value, …}`, at its brace: of a record, an update, or behind `with`.
  mutating func fields() throws(Abort) -> [Field] {
    try list(.curlyClose, of: "the fields") { (p: inout Parser) throws(Abort) in try p.field() }
  }

  mutating func field() throws(Abort) -> Field {
    if kind == .ellipsis {
      throw fail(.expected("a field", found: "`...`", hint: "copy and change a record: `{r | name: value}`"))
    }
    let name = try label("a field's name")
    if kind == .comma || kind == .curlyClose {
      report(.shorthandField(name.text), at: name.span)
      return Field(name: name, value: try node(.name(name.text), name.span))
    }
    try expectColon("a field's value")
    return Field(name: name, value: try expression())
  }
}
