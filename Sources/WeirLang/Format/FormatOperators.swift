/// Operators: brackets only where the tree needs them, and long chains one operand to a line.
extension Formatter {
  /// How tightly an expression holds together, as the parser reads it.
  enum Tightness: Int, Comparable {
    /// Goes on as far as it can: functions, `if`, `match`, `return`.
    case open, pipe, bars, and, comparison, range, join, sum, product, power, unary, postfix
    static func < (a: Tightness, b: Tightness) -> Bool { a.rawValue < b.rawValue }

    var tighter: Tightness { Tightness(rawValue: rawValue + 1) ?? .postfix }
  }

  static func tightness(_ e: Expression) -> Tightness {
    switch e.kind {
    case .lambda, .letIn, .if, .match, .for, .while, .return, .break, .continue, .assert, .stream, .with, .step, .block,
      .error:
      .open
    case .pipe: .pipe
    case .bars: .bars
    case .range: .range
    case .unary: .unary
    case .int(let value) where value < 0: .unary
    case .binary(let op, _, _): tightness(op)
    default: .postfix
    }
  }

  static func tightness(_ op: BinaryOperator) -> Tightness {
    switch op {
    case .or: .bars
    case .and: .and
    case .equal, .notEqual, .less, .lessEqual, .greater, .greaterEqual: .comparison
    case .cons, .concat: .join
    case .add, .subtract: .sum
    case .multiply, .divide, .remainder: .product
    case .power: .power
    }
  }

  mutating func operand(_ e: Expression, _ least: Tightness) -> Layout {
    guard Self.tightness(e) < least else { return expression(e) }
    let leading = before(e.span.start)
    return .join(leading + [.text("("), expression(e), .text(")")])
  }

  mutating func unary(_ op: UnaryOperator, _ inner: Expression) -> Layout {
    let startsWithMinus: Bool =
      switch inner.kind {
      case .unary(let inner, _): inner == .negate
      case .int(let value): value < 0
      default: false
      }
    // `--` starts a comment.
    return .join([.text(op == .negate && startsWithMinus ? "- " : op.rawValue), operand(inner, .unary)])
  }

  // MARK: - Chains

  static func isChain(_ e: Expression) -> Bool {
    switch e.kind {
    case .pipe, .binary, .bars: true
    default: false
    }
  }

  private struct Link {
    /// Before the operand; "" for the first.
    var op: String
    var value: Expression
    var least: Tightness
    /// The operator cannot start a line.
    var staysBehind = false
  }

  /// Operands and operators of one precedence. `isIndented`: lines after the first stand further right.
  mutating func chain(_ e: Expression, isIndented: Bool) -> Layout {
    let links = links(e)
    var parts: [Layout] = []
    for (i, link) in links.enumerated() {
      if i > 0 { parts += link.staysBehind ? [.text(" " + link.op), .line] : [.line, .text(link.op + " ")] }
      let limit = i + 1 < links.count ? links[i + 1].value.span.start : link.value.span.end
      parts += [operand(link.value, link.least)] + trailing(link.value.span.end, before: limit)
    }
    guard isIndented, let first = parts.first else { return .group(parts) }
    return .group([first, .indent(Array(parts.dropFirst()))])
  }

  private func links(_ e: Expression) -> [Link] {
    switch e.kind {
    case .pipe:
      return left(e, .pipe) { if case .pipe(let a, let b) = $0.kind { (a, "|>", b) } else { nil } }
    case .bars(let items):
      return items.enumerated().map { Link(op: $0 == 0 ? "" : "||", value: $1, least: .and) }
    case .binary(let op, let a, let b):
      switch op {
      case .or, .and: return left(e, Self.tightness(op)) { self.operands($0) { $0 == op } }
      case .concat: return concatenation(e)
      case .cons: return right(e)
      case .power: return right(e)
      case .equal, .notEqual, .less, .lessEqual, .greater, .greaterEqual:
        return [Link(op: "", value: a, least: .range), Link(op: op.rawValue, value: b, least: .range)]
      case .add, .subtract, .multiply, .divide, .remainder:
        let level = Self.tightness(op)
        return left(e, level) { self.operands($0) { Self.tightness($0) == level } }
      }
    default: return [Link(op: "", value: e, least: .open)]
    }
  }

  private func operands(
    _ e: Expression, _ belongs: (BinaryOperator) -> Bool
  ) -> (Expression, String, Expression)? {
    guard case .binary(let op, let a, let b) = e.kind, belongs(op) else { return nil }
    return (a, op.rawValue, b)
  }

  /// `a - b + c` groups to the left.
  private func left(
    _ e: Expression, _ level: Tightness, _ split: (Expression) -> (Expression, String, Expression)?
  ) -> [Link] {
    var links: [Link] = []
    var rest = e
    while let (a, op, b) = split(rest) {
      // A minus may start a statement.
      links.append(Link(op: op, value: b, least: level.tighter, staysBehind: op == "-"))
      rest = a
    }
    links.append(Link(op: "", value: rest, least: level.tighter))
    return links.reversed()
  }

  /// `x :: y :: rest` and `a ** b ** c` group to the right.
  private func right(_ e: Expression) -> [Link] {
    var links: [Link] = []
    var rest = e
    var op = ""
    guard case .binary(let kind, _, _) = e.kind else { return [] }
    let level = Self.tightness(kind)
    while case .binary(let next, let a, let b) = rest.kind, next == kind {
      links.append(Link(op: op, value: a, least: level.tighter))
      op = kind.rawValue
      rest = b
    }
    links.append(Link(op: op, value: rest, least: level.tighter))
    return links
  }

  /// A long `a ++ b ++ …` is a balanced tree; brackets of the text's own stay.
  private func concatenation(_ e: Expression) -> [Link] {
    var items: [Expression] = []
    var pending = [e]
    while let next = pending.popLast() {
      let isWhole = next.id == e.id || !isInBrackets(next)
      if case .binary(.concat, let a, let b) = next.kind, isWhole {
        pending += [b, a]
      } else {
        items.append(next)
      }
    }
    return items.enumerated().map { Link(op: $0 == 0 ? "" : "++", value: $1, least: .sum) }
  }

  /// Round brackets stand directly around it.
  private func isInBrackets(_ e: Expression) -> Bool {
    var closers: Set<Int> = []
    var index = token(at: e.span.end)
    while lexed.tokens[index].kind == .roundClose {
      closers.insert(index)
      index += 1
    }
    index = token(at: e.span.start) - 1
    while index >= 0, lexed.tokens[index].kind == .roundOpen {
      if closers.contains(Int(lexed.partner[index])) { return true }
      index -= 1
    }
    return false
  }
}
