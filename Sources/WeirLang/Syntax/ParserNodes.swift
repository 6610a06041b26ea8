/// Making nodes: each gets its number, and the depth of what hangs below it is kept within the limit. A chain like
/// `a.b.c.d` or `1 + 1 + 1` makes a deep tree without any recursion here, which is why depth is counted on the nodes.
extension Parser {
  @inline(never)
  mutating func node(_ kind: Expression.Kind, _ span: Span) throws(Abort) -> Expression {
    steps += 1
    let depth = 1 + kind.depth
    if depth > Self.depthLimit { throw failTooDeep(span, limit: Self.depthLimit) }
    nodes += 1
    return Expression(kind: kind, span: span, id: nodes - 1, depth: UInt16(depth))
  }

  mutating func errorNode(_ span: Span) -> Expression {
    nodes += 1
    return Expression(kind: .error, span: span, id: nodes - 1, depth: 1)
  }

  @inline(never)
  mutating func node(_ kind: Pattern.Kind, _ span: Span) throws(Abort) -> Pattern {
    steps += 1
    let depth = 1 + kind.depth
    if depth > Self.depthLimit { throw failTooDeep(span, limit: Self.depthLimit) }
    nodes += 1
    return Pattern(kind: kind, span: span, id: nodes - 1, depth: UInt16(depth))
  }

  @inline(never)
  mutating func node(_ kind: TypeExpression.Kind, _ span: Span) throws(Abort) -> TypeExpression {
    steps += 1
    let depth = 1 + kind.depth
    if depth > Self.depthLimit { throw failTooDeep(span, limit: Self.depthLimit) }
    return TypeExpression(kind: kind, span: span, depth: UInt16(depth))
  }
}

extension Expression.Kind {
  /// Of the deepest child; 0 for a leaf.
  @inline(never)
  fileprivate var depth: Int {
    switch self {
    case .unit, .bool, .int, .float, .string, .nil, .name, .break, .continue, .error: 0
    case .interpolation(let parts):
      parts.reduce(0) { if case .expression(let e) = $1 { max($0, Int(e.depth)) } else { $0 } }
    case .list(let items), .tuple(let items), .bars(let items), .together(_, let items): deepest(items)
    case .record(let fields): deepest(fields.map(\.value))
    case .update(let base, let fields), .with(let base, let fields): max(Int(base.depth), deepest(fields.map(\.value)))
    case .map(let entries): entries.reduce(0) { max($0, Int($1.key.depth), Int($1.value.depth)) }
    case .lambda(let lambda):
      lambda.parameters.reduce(max(Int(lambda.body.depth), Int(lambda.result?.depth ?? 0))) {
        max($0, Int($1.pattern.depth), Int($1.type?.depth ?? 0))
      }
    case .call(let callee, let arguments): arguments.reduce(Int(callee.depth)) { max($0, Int($1.value.depth)) }
    case .field(let e, _), .propagate(let e), .unary(_, let e), .stream(let e): Int(e.depth)
    case .index(let a, let b), .pipe(let a, let b), .binary(_, let a, let b), .range(let a, let b, _):
      Int(max(a.depth, b.depth))
    case .block(let block): block.depth
    case .letIn(let binding, let body): max(binding.depth, Int(body.depth))
    case .if(let condition, let then, let otherwise): Int(max(condition.depth, then.depth, otherwise?.depth ?? 0))
    case .match(let scrutinee, let arms):
      arms.reduce(Int(scrutinee.depth)) { max($0, Int(max($1.pattern.depth, $1.guard?.depth ?? 0, $1.body.depth))) }
    case .for(let loop):
      max(Int(max(loop.pattern.depth, loop.sequence.depth, loop.limit?.depth ?? 0)), loop.body.depth)
    case .while(let condition, let body): max(Int(condition.depth), body.depth)
    case .return(let e): Int(e?.depth ?? 0)
    case .assert(let e, let message): Int(max(e.depth, message?.depth ?? 0))
    case .step(let step):
      step.decorators.flatMap(\.arguments).reduce(max(Int(step.name.depth), step.body.depth)) {
        max($0, Int($1.value.depth))
      }
    }
  }

  private func deepest(_ items: [Expression]) -> Int { items.reduce(0) { max($0, Int($1.depth)) } }
}

extension Block {
  fileprivate var depth: Int { statements.reduce(Int(result?.depth ?? 0)) { max($0, $1.depth) } }
}

extension Binding {
  fileprivate var depth: Int { Int(max(pattern.depth, type?.depth ?? 0, value.depth)) }
}

extension Statement {
  fileprivate var depth: Int {
    switch kind {
    case .let(let binding), .var(let binding): binding.depth
    case .assign(_, let e), .discard(let e), .expression(let e), .defer(let e): Int(e.depth)
    case .onOutcome(_, _, let block): block.depth
    case .error: 0
    }
  }
}

extension Pattern.Kind {
  @inline(never)
  fileprivate var depth: Int {
    switch self {
    case .wildcard, .name, .unit, .bool, .int, .float, .string, .nil, .error: 0
    case .constructor(_, _, let patterns): deepest(patterns ?? [])
    case .tuple(let patterns), .or(let patterns): deepest(patterns)
    case .list(let patterns, let rest): max(deepest(patterns), Int(rest?.depth ?? 0))
    case .cons(let a, let b): Int(max(a.depth, b.depth))
    case .record(let fields): deepest(fields.map(\.pattern))
    }
  }

  private func deepest(_ patterns: [Pattern]) -> Int { patterns.reduce(0) { max($0, Int($1.depth)) } }
}

extension TypeExpression.Kind {
  @inline(never)
  fileprivate var depth: Int {
    switch self {
    case .unit, .error: 0
    case .named(_, _, let types), .tuple(let types): deepest(types)
    case .list(let type), .option(let type): Int(type.depth)
    case .map(let key, let value): Int(max(key.depth, value.depth))
    case .record(let fields): deepest(fields.map(\.type))
    case .function(let parameters, let result, _): max(deepest(parameters), Int(result.depth))
    }
  }

  private func deepest(_ types: [TypeExpression]) -> Int { types.reduce(0) { max($0, Int($1.depth)) } }
}
