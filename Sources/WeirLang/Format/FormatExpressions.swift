/// Expressions and what they are made of. Operators and chains are in `FormatOperators.swift`.
extension Formatter {
  mutating func expression(_ e: Expression) -> Layout {
    let leading = before(e.span.start)
    let made = bare(e)
    return leading.isEmpty ? made : .join(leading + [made])
  }

  private mutating func bare(_ e: Expression) -> Layout {
    switch e.kind {
    // Braces stay: where a map is wanted they are the empty one.
    case .unit: return .text(source.text(e.span).first == "{" ? "{}" : "()")
    case .bool(let value): return .text("\(value)")
    case .nil: return .text("nil")
    case .name(let text): return .text(text)
    case .float, .string, .interpolation, .error: return .raw(text(e.span))
    case .int(let value):
      // The least int: between its minus and the number there may be anything.
      guard value < 0, let number = token(endingAt: e.span.end) else { return .text(text(e.span)) }
      return .text("-" + text(number))
    case .list(let items): return elements("[", items, "]", e.span)
    case .tuple(let items): return elements("(", items, ")", e.span)
    case .together(let how, let items): return .join([.text(how.rawValue + " "), elements("[", items, "]", e.span)])
    case .record(let fields): return self.fields(fields, e.span)
    case .update(let base, let fields): return update(base, fields, e.span)
    case .map(let entries):
      return list("{", entries, "}", in: e.span, \.whole) {
        .join([$0.element($1.key), .text(": "), $0.element($1.value)])
      }
    case .lambda(let it): return lambda(it, e.span)
    case .call(let callee, let arguments): return .join([operand(callee, .postfix), self.arguments(arguments, e.span)])
    case .field(let base, let name): return .join([operand(base, .postfix), .text("." + name.text)])
    case .index(let base, let index):
      return .join([operand(base, .postfix), .text("["), expression(index), .text("]")])
    case .propagate(let inner): return .join([operand(inner, .postfix), .text("?")])
    case .unary(let op, let inner): return unary(op, inner)
    case .pipe, .binary, .bars: return chain(e, isIndented: true)
    case .range(let a, let b, let inclusive):
      return .join([operand(a, .join), .text(inclusive ? "..=" : ".."), operand(b, .join)])
    case .block(let block): return self.block(block)
    case .letIn(let it, let body):
      return .group([binding("let ", it), .text(" in"), .line, expression(body)])
    case .if(let condition, let then, let otherwise): return branches(condition, then, otherwise, e.span)
    case .match(let scrutinee, let arms): return match(scrutinee, arms, e.span)
    case .for(let loop): return self.loop(loop)
    case .while(let condition, let body):
      return .join([.text("while "), head(condition), .text(" "), block(body, inLines: true)])
    case .return(let value): return value.map { .join([.text("return "), expression($0)]) } ?? .text("return")
    case .break: return .text("break")
    case .continue: return .text("continue")
    case .assert(let condition, let message):
      guard let message else { return .join([.text("assert "), head(condition)]) }
      return .join([.text("assert "), head(condition), .text(", "), expression(message)])
    case .stream(let inner): return .join([.text("stream "), expression(inner)])
    case .with(let inner, let fields):
      let isWith = if case .with = inner.kind { true } else { false }
      return .join([isWith ? expression(inner) : operand(inner, .pipe), .text(" with "), self.fields(fields, e.span)])
    case .step(let it):
      let decorators = it.decorators.flatMap { [decorator($0), .text(" ")] }
      return .join(decorators + [.text("step "), expression(it.name), .text(" "), block(it.body, inLines: true)])
    }
  }

  // MARK: - Brackets

  private mutating func elements(_ open: String, _ items: [Expression], _ close: String, _ span: Span) -> Layout {
    list(open, items, close, in: span, hugs: items.count == 1 && Self.isHuggable(items[0]), \.span) {
      $0.element($1)
    }
  }

  mutating func arguments(_ arguments: [Argument], _ span: Span) -> Layout {
    let hugs = arguments.last.map { Self.isHuggable($0.value) } ?? false
    return list("(", arguments, ")", in: span, hugs: hugs, \.whole) {
      guard let label = $1.label else { return $0.element($1.value) }
      return .join([.text(label.text + ": "), $0.element($1.value)])
    }
  }

  mutating func fields(_ fields: [Field], _ span: Span) -> Layout {
    list("{", fields, "}", in: span, \.whole) {
      .join([.text($1.name.text + ": "), $0.element($1.value)])
    }
  }

  private mutating func update(_ base: Expression, _ fields: [Field], _ span: Span) -> Layout {
    let shown = updated(base)
    let parts = list("", fields, "", in: span, \.whole) {
      .join([.text($1.name.text + ": "), $0.element($1.value)])
    }
    return .group([.text("{"), shown, .text(" | "), parts, .text("}")])
  }

  /// What an update may start with bare is a name with what follows it, or a record; everything else stands in brackets.
  private mutating func updated(_ base: Expression) -> Layout {
    var first = base
    while let next = first.leftmost { first = next }
    switch (first.kind, base.kind) {
    case (.name, _), (_, .record), (_, .update): return operand(base, .postfix)
    default: return .join(before(base.span.start) + [.text("("), expression(base), .text(")")])
    }
  }

  /// Where a comma may follow: an assertion would take a string behind it for its message.
  mutating func element(_ e: Expression) -> Layout {
    if Self.endsInAssertion(e) { return .join([.text("("), expression(e), .text(")")]) }
    return expression(e)
  }

  static func endsInAssertion(_ e: Expression) -> Bool {
    switch e.kind {
    case .assert: true
    case .lambda(let it): endsInAssertion(it.body)
    case .letIn(_, let body): endsInAssertion(body)
    case .if(_, let then, let otherwise): endsInAssertion(otherwise ?? then)
    case .return(let value): value.map(endsInAssertion) ?? false
    default: false
    }
  }

  /// As the last argument, it may open on the call's line and close with the call.
  private static func isHuggable(_ e: Expression) -> Bool {
    switch e.kind {
    case .record, .list, .map, .match, .block: true
    case .lambda(let it): isHuggable(it.body) || it.body.isCallOrName
    default: false
    }
  }

  // MARK: - Functions

  private mutating func lambda(_ it: Lambda, _ span: Span) -> Layout {
    let hasTypes = it.result != nil || it.effects != nil
    var parts: [Layout] = hasTypes ? [.text("func")] : []
    let place: (LambdaParameter) -> Span = { $0.pattern.span.through($0.type?.span ?? $0.pattern.span) }
    let end = it.parameters.last.map { place($0).end } ?? span.start
    let around = Span(file: span.file, start: Int(span.start), end: Int(end) + 1)
    parts.append(
      list("(", it.parameters, ")", in: around, place) { formatter, parameter in
        let pattern = formatter.pattern(parameter.pattern)
        guard let type = parameter.type else { return pattern }
        return .join([pattern, .text(": "), formatter.type(type)])
      })
    if let result = it.result { parts += [.text(" -> "), it.effects == nil ? type(result) : enclosed(result)] }
    if let effects = it.effects { parts += [.text(" "), row(effects)] }
    if hasTypes {
      if case .block = it.body.kind { return .join(parts + [.text(" "), expression(it.body)]) }
      return .join(parts + [.text(" ="), assigned(it.body)])
    }
    return .join(parts + [.text(" =>"), assigned(it.body)])
  }

  // MARK: - Control

  /// Between a word and `{`: what would start with a brace, or not end, stands in brackets.
  mutating func head(_ e: Expression) -> Layout {
    var first = e
    while let next = first.leftmost { first = next }
    switch first.kind {
    case .record, .map, .update, .block: return .join([.text("("), expression(e), .text(")")])
    default: return operand(e, .pipe)
    }
  }

  /// `if c then a else b` where that fits on a line and both are plain values, else with braces.
  private mutating func branches(
    _ condition: Expression, _ then: Expression, _ otherwise: Expression?, _ span: Span
  ) -> Layout {
    let first = comments.upcoming
    let shown = head(condition)
    if let otherwise, let a = Self.plain(then), let b = Self.plain(otherwise) {
      let hasComments = first.map { $0.range.lowerBound < Int(otherwise.span.end) } ?? false
      if !hasComments {
        let (yes, no) = (expression(a), expression(b))
        let flat = Layout.join([.text("if "), shown, .text(" then "), yes, .text(" else "), no])
        let broken = Layout.join([
          .text("if "), shown, .text(" "), Self.braced([Row(layout: yes.ended(by: ";"), isWide: false)]),
          .text(" else "),
          Self.braced([Row(layout: no.ended(by: ";"), isWide: false)]),
        ])
        return flat.breaks ? broken : Layout(.choice([flat, broken]))
      }
    }
    var parts: [Layout] = [.text("if "), shown, .text(" ")]
    guard let otherwise else {
      if Self.statement(of: then) { return .join(parts + [shortBranch(then)]) }
      return .join(parts + [branch(then)])
    }
    parts += [branch(then), .text(" else ")]
    if case .if = otherwise.kind {
      parts.append(expression(otherwise, isChained: true))
    } else {
      parts.append(branch(otherwise))
    }
    return .join(parts)
  }

  /// Behind `else`, where another `if` has braces too.
  private mutating func expression(_ e: Expression, isChained: Bool) -> Layout {
    guard case .if(let condition, let then, let otherwise) = e.kind else { return expression(e) }
    let leading = before(e.span.start)
    var parts: [Layout] = leading + [.text("if "), head(condition), .text(" "), branch(then)]
    if let otherwise {
      parts.append(.text(" else "))
      if case .if = otherwise.kind {
        parts.append(expression(otherwise, isChained: true))
      } else {
        parts.append(branch(otherwise))
      }
    }
    return .join(parts)
  }

  /// A branch in braces, in lines.
  private mutating func branch(_ e: Expression) -> Layout {
    switch e.kind {
    case .unit: return .text("{}")
    case .block(let block): return self.block(block, inLines: true)
    default:
      let block = Block(statements: [], result: e, span: e.span)
      return self.block(block, inLines: true)
    }
  }

  private mutating func shortBranch(_ e: Expression) -> Layout {
    switch e.kind {
    case .unit: return .text("{}")
    case .block(let block): return self.block(block)
    default: return block(Block(statements: [], result: e, span: e.span))
    }
  }

  /// One short statement that may stay on the line of its `if`.
  private static func statement(of e: Expression) -> Bool {
    let only: Expression
    switch e.kind {
    case .block(let block):
      guard statements(block).count == 1 else { return false }
      switch statements(block)[0].kind {
      case .assign(_, let value), .discard(let value), .expression(let value): only = value
      default: return false
      }
    default: only = e
    }
    switch only.kind {
    case .return(let value): return value.map { plain($0) != nil } ?? true
    case .break, .continue: return true
    default: return plain(only) != nil
    }
  }

  /// The value of a branch that is no more than a value.
  private static func plain(_ e: Expression) -> Expression? {
    switch e.kind {
    case .block(let block): return block.statements.isEmpty ? block.result.flatMap(plain) : nil
    case .lambda, .letIn, .if, .match, .for, .while, .return, .break, .continue, .assert, .stream, .with, .step, .error:
      return nil
    default: return e
    }
  }

  private mutating func match(_ scrutinee: Expression, _ arms: [MatchArm], _ span: Span) -> Layout {
    let shown = head(scrutinee)
    // The brace of the arms closes with the match.
    let brace = Int(lexed.partner[token(at: span.end - 1)])
    let open = lexed.tokens[max(brace, 0)]
    let inner = Span(file: span.file, start: Int(open.start), end: Int(span.end))
    let rows = rows(arms, in: inner, \.span) { $0.arm($1).ended(by: ",") }
    return .join([.text("match "), shown, .text(" "), rows.isEmpty ? .text("{}") : Self.braced(rows)])
  }

  private mutating func arm(_ it: MatchArm) -> Layout {
    var parts: [Layout] = [pattern(it.pattern)]
    if let condition = it.guard { parts += [.text(" if "), operand(condition, .pipe)] }
    return .join(parts + [.text(" =>"), assigned(it.body)])
  }

  private mutating func loop(_ it: ForLoop) -> Layout {
    var parts: [Layout] = [.text(it.isParallel ? "for parallel " : "for ")]
    if let index = it.index { parts += before(index.span.start) + [.text(index.text + ", ")] }
    parts += [pattern(it.pattern), .text(" in "), head(it.sequence)]
    if let limit = it.limit { parts += [.text(" (limit "), expression(limit), .text(")")] }
    return .join(parts + [.text(" "), block(it.body, inLines: true)])
  }
}

extension Expression {
  /// What it starts with, where that is an expression.
  fileprivate var leftmost: Expression? {
    switch kind {
    case .call(let e, _), .field(let e, _), .index(let e, _), .propagate(let e), .pipe(let e, _), .binary(_, let e, _),
      .range(let e, _, _), .with(let e, _):
      e
    case .bars(let items): items.first
    default: nil
    }
  }

  fileprivate var isCallOrName: Bool {
    switch kind {
    case .call, .name: true
    default: false
    }
  }
}
