/// Operators: typed here, resolved to one instruction each when the types are known.
extension BodyChecker {
  func binary(
    _ op: BinaryOperator, _ left: Expression, _ right: Expression, _ hint: Type?, _ span: Span
  ) -> Checked {
    switch op {
    case .add, .subtract, .multiply, .divide, .remainder, .power: return arithmetic(op, left, right, hint, span)
    case .less, .lessEqual, .greater, .greaterEqual: return ordering(op, left, right, span)
    case .equal, .notEqual: return equality(op, left, right, span)
    case .and, .or: return logic(op, left, right, span)
    case .cons: return cons(left, right, hint, span)
    case .concat: return concat(left, right, hint, span)
    }
  }

  private func arithmetic(
    _ op: BinaryOperator, _ left: Expression, _ right: Expression, _ hint: Type?, _ span: Span
  ) -> Checked {
    let number = unifier.fresh(.number)
    switch hint?.resolved {
    case .float?, .int?: if let hint { _ = unifier.unify(number, hint) }
    default: break
    }
    let (a, b) = operands(left, right, number, op.rawValue)
    if a.type.isError && b.type.isError { return failed(span) }
    return Checked(number) { lowering in
      Core(.primitive(op.instruction(of: number.resolved), [a.core(lowering), b.core(lowering)]), span)
    }
  }

  /// When the left operand does not fit, nothing is known about what the right one should be.
  private func operands(
    _ left: Expression, _ right: Expression, _ type: Type, _ op: String
  ) -> (Checked, Checked) {
    let errors = checker.diagnostics.count
    literalOperand = left.span
    let a = check(left, type, .operand(op))
    literalOperand = right.span
    if checker.diagnostics.count == errors { return (a, check(right, type, .operand(op))) }
    let b = infer(right)
    if unifier.unify(type, b.type) != nil { return (failed(left.span), failed(right.span)) }
    return (a, b)
  }

  private func ordering(_ op: BinaryOperator, _ left: Expression, _ right: Expression, _ span: Span) -> Checked {
    let type = unifier.fresh(.ordered)
    let (a, b) = operands(left, right, type, op.rawValue)
    return Checked(.bool) { lowering in
      Core(.primitive(op.comparison(of: type.resolved), [a.core(lowering), b.core(lowering)]), span)
    }
  }

  private func equality(_ op: BinaryOperator, _ left: Expression, _ right: Expression, _ span: Span) -> Checked {
    let a = infer(left)
    let b = check(right, a.type, .operand(op.rawValue))
    if case .kind? = unifier.unify(unifier.fresh(.comparable), a.type) {
      report(Mismatch.incomparable(a.type, "both sides are", at: span))
    }
    return Checked(.bool) { lowering in
      let operands = [a.core(lowering), b.core(lowering)]
      if op == .notEqual { return Core(.primitive(.notEqual, operands), span) }
      if case .int = a.type.resolved { return Core(.primitive(.equalInt, operands), span) }
      return Core(.primitive(.equal, operands), span)
    }
  }

  private func logic(_ op: BinaryOperator, _ left: Expression, _ right: Expression, _ span: Span) -> Checked {
    let word = op == .and ? "&&" : "or"
    let a = check(left, .bool, .operand(word))
    let b = check(right, .bool, .operand(word))
    return Checked(.bool) { lowering in
      let constant = Core(.literal(.bool(op == .or)), span)
      let rest = b.core(lowering)
      return op == .and
        ? Core(.branch(if: a.core(lowering), then: rest, else: constant), span)
        : Core(.branch(if: a.core(lowering), then: constant, else: rest), span)
    }
  }

  /// `a || b`: logical on bools, on anything else both at once.
  func bars(_ items: [Expression], _ span: Span, limit: CallArgument?) -> Checked {
    guard let head = items.first else { return failed(span) }
    let (exit, depth) = (exits.count, loopDepth)
    let first = infer(head)
    let isLogic: Bool
    switch first.type.resolved {
    case .bool, .error: isLogic = true
    // A number is not known to be an int yet, and no bool all the same.
    case .variable(let variable): isLogic = variable.rigidName == nil && variable.mayBeBool
    default: isLogic = false
    }
    if !isLogic {
      let what = "a branch of `||`"
      reportExits(from: exit, loops: depth, what)
      let others = items.dropFirst().map { item in inJob(what) { infer(item) } }
      return together([first] + others, items.map(\.span), span, limit: limit)
    }
    let values =
      [coerce(first, to: .bool, .operand("||"), head.span)]
      + items.dropFirst().map { check($0, .bool, .operand("||")) }
    return Checked(.bool) { lowering in Self.either(values.map { $0.core(lowering) }[...], span) }
  }

  /// The first that is true decides. Balanced, which asks in the same order, so that a long chain is no deep tree.
  private static func either(_ values: ArraySlice<Core>, _ span: Span) -> Core {
    if values.count == 1 { return values[values.startIndex] }
    let middle = values.count > 8 ? (values.startIndex + values.endIndex) / 2 : values.startIndex + 1
    let yes = Core(.literal(.bool(true)), span)
    return Core(.branch(if: either(values[..<middle], span), then: yes, else: either(values[middle...], span)), span)
  }

  func unary(_ op: UnaryOperator, _ value: Expression, _ hint: Type?, _ span: Span) -> Checked {
    switch op {
    case .not:
      let checked = check(value, .bool, .operand("!"))
      return Checked(.bool) { lowering in Core(.primitive(.not, [checked.core(lowering)]), span) }
    case .negate:
      let number = unifier.fresh(.number)
      if case .float? = hint?.resolved { _ = unifier.unify(number, .float) }
      if literalOperand == span { literalOperand = value.span }
      let checked = check(value, number, .operand("-"))
      return Checked(number) { lowering in
        let core = checked.core(lowering)
        switch core.node {
        case .literal(.int(let n)) where n != .min: return Core(.literal(.int(-n)), span)
        case .literal(.float(let n)): return Core(.literal(.float(-n)), span)
        default: return Core(.primitive([.negInt, .negFloat, .neg][number.resolved.numberKind], [core]), span)
        }
      }
    }
  }

  private func cons(_ left: Expression, _ right: Expression, _ hint: Type?, _ span: Span) -> Checked {
    var wanted: Type?
    if case .list(let item)? = hint?.resolved { wanted = item }
    let head = infer(left, hint: wanted)
    let type = Type.list(head.type)
    let tail = check(right, type, .operand("::"))
    return Checked(type) { lowering in
      Core(.primitive(.cons, [head.core(lowering), tail.core(lowering)]), span)
    }
  }

  /// `a ++ b ++ c` is one instruction over all its parts.
  private func concat(_ left: Expression, _ right: Expression, _ hint: Type?, _ span: Span) -> Checked {
    var parts = [right]
    var rest = left
    while case .binary(.concat, let a, let b) = rest.kind {
      parts.append(b)
      rest = a
    }
    parts.append(rest)
    let type = unifier.fresh(.joinable)
    if let hint, !hint.isUnknown, !hint.isError { _ = unifier.unify(type, hint) }
    var isRefused = false
    let values = parts.reversed().map { part -> Checked in
      let errors = checker.diagnostics.count
      if isRefused {
        let value = infer(part)
        _ = unifier.unify(type, value.type)
        return value
      }
      let value = check(part, type, .operand("++"))
      isRefused = checker.diagnostics.count > errors && type.isUnknown
      return value
    }
    return Checked(type) { lowering in
      let joinable: Joinable =
        switch type.resolved {
        case .list: .list
        case .bytes: .bytes
        case .variable(let variable): variable.rigidName == nil ? .string : .any
        default: .string
        }
      var cores: [Core] = []
      for value in values {
        let core = value.core(lowering)
        // `a ++ (b ++ c)` and `a ++ "…${b}"` join in one step too.
        if case .concat(let inner, let more) = core.node, inner == joinable {
          cores += more
        } else {
          cores.append(core)
        }
      }
      return Core(.concat(joinable, cores), span)
    }
  }

  func range(_ from: Expression, _ to: Expression, _ inclusive: Bool, _ span: Span) -> Checked {
    let a = check(from, .int, .operand(".."))
    let b = check(to, .int, .operand(".."))
    return Checked(.list(.int)) { lowering in
      Core(.primitive(inclusive ? .rangeInclusive : .range, [a.core(lowering), b.core(lowering)]), span)
    }
  }
}

extension Type {
  /// 0 an int, 1 a float, 2 whatever a type parameter stands for.
  fileprivate var numberKind: Int {
    switch self {
    case .float: 1
    case .variable(let variable): variable.rigidName == nil ? 0 : 2
    default: 0
    }
  }
}

extension BinaryOperator {
  fileprivate func instruction(of type: Type) -> Primitive {
    let index = type.numberKind
    return switch self {
    case .add: [.addInt, .addFloat, .add][index]
    case .subtract: [.subInt, .subFloat, .sub][index]
    case .multiply: [.mulInt, .mulFloat, .mul][index]
    case .divide: [.divInt, .divFloat, .div][index]
    case .remainder: [.remInt, .remFloat, .rem][index]
    default: [.powInt, .powFloat, .pow][index]
    }
  }

  fileprivate func comparison(of type: Type) -> Primitive {
    let index: Int
    switch type {
    case .int: index = 1
    case .variable(let v): index = v.rigidName == nil ? 1 : 0
    case .float: index = 2
    default: index = 0
    }
    switch self {
    case .less: return [.less, .lessInt, .lessFloat][index]
    case .lessEqual: return [.lessOrEqual, .lessOrEqualInt, .lessOrEqualFloat][index]
    case .greater: return [.greater, .greaterInt, .greaterFloat][index]
    default: return [.greaterOrEqual, .greaterOrEqualInt, .greaterOrEqualFloat][index]
    }
  }
}
