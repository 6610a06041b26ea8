/// Loops, and what makes their rounds short: the test stands at the end and is the jump back, so a round is the body and one
/// instruction.
///
///     jump test;  body: …;  test: loopIf… body
extension FunctionEmitter {
  mutating func emitWhile(
    _ condition: Core, _ body: Core, _ span: Span, _ emitter: inout Emitter
  ) throws(EmitFailure) {
    let mark = next
    defer { next = mark }
    // `i < 1_000_000`: the number is put into a register once.
    var bound: Register?
    if let (_, number) = intComparison(condition), case .literal(let literal) = number.node {
      let r = try allocate()
      load(literal, into: r, number.span)
      bound = r
    }
    let isEndless = if case .literal(.bool(true)) = condition.node { true } else { false }
    let entry = isEndless ? nil : addJump(.jump(0), span)
    let start = code.count
    loops.append(Loop())
    let inner = next
    try emitEffect(body, &emitter)
    next = inner
    let loop = loops.removeLast()
    try patch(loop.continues)
    if let entry { try patch(entry) }
    try emitTest(condition, bound: bound, backTo: start, span, &emitter)
    try patch(loop.breaks)
  }

  /// Jumps back when the condition is true.
  private mutating func emitTest(
    _ condition: Core, bound: Register?, backTo start: Int, _ span: Span, _ emitter: inout Emitter
  ) throws(EmitFailure) {
    if case .primitive(let primitive, let operands) = condition.node, intComparison(condition) != nil {
      let a = try operand(operands[0], &emitter, unlessChangedBy: [operands[1]])
      var b = bound
      if b == nil { b = try operand(operands[1], &emitter) }
      // A body that is too far away for this one is left to `loop`.
      if let b, let back = Int16(exactly: start - code.count - 1) {
        let jump: Instruction =
          switch primitive {
          case .lessInt: .loopIfLessInt(a, b, back)
          case .lessOrEqualInt: .loopIfLessOrEqualInt(a, b, back)
          case .greaterInt: .loopIfLessInt(b, a, back)
          default: .loopIfLessOrEqualInt(b, a, back)
          }
        return add(jump, condition.span)
      }
    }
    let exits = try emitCondition(condition, &emitter)
    add(.loop(Int32(clamping: start - code.count - 1)), span)
    try patch(exits)
  }

  private func intComparison(_ e: Core) -> (Core, Core)? {
    guard case .primitive(let primitive, let operands) = e.node, operands.count == 2 else { return nil }
    switch primitive {
    case .lessInt, .lessOrEqualInt, .greaterInt, .greaterOrEqualInt: return (operands[0], operands[1])
    default: return nil
    }
  }

  mutating func emitForEach(
    _ item: CorePattern, _ index: Local?, _ list: Core, _ body: Core, _ span: Span, _ emitter: inout Emitter
  ) throws(EmitFailure) {
    let mark = next
    defer { next = mark }
    let base = try allocate(2)
    try emit(list, into: base, &emitter)
    add(.int(base + 1, 0), span)
    let value = try allocate()
    let entry = addJump(.jump(0), span)
    let start = code.count
    loops.append(Loop())
    if let index {
      let r = try allocate()
      add(.addSmall(r, base + 1, -1), span)
      bindPlace(index, r, span)
    }
    var misfits: [Int] = []
    try emitPattern(item, value, &misfits, [:], &emitter)
    try emitEffect(body, &emitter)
    let loop = loops.removeLast()
    try patch(loop.continues)
    try patch(entry)
    add(.nextItem(value, base: base, try near(start, span)), span)
    if !misfits.isEmpty {
      let end = addJump(.jump(0), span)
      try patch(misfits)
      add(.unmatched, span)
      try patch(end)
    }
    try patch(loop.breaks)
    // A long function must not hold on to a list that it went through.
    add(.clear(base), span)
    add(.clear(value), span)
  }

  mutating func emitForRange(
    _ item: Local?, _ from: Core, _ to: Core, _ inclusive: Bool, _ body: Core, _ span: Span, _ emitter: inout Emitter
  ) throws(EmitFailure) {
    let mark = next
    defer { next = mark }
    let base = try allocate(2)
    try emit(from, into: base, &emitter)
    try emit(to, into: base + 1, &emitter)
    if inclusive { add(.addSmall(base + 1, base + 1, 1), span) }
    let value = try allocate()
    let entry = addJump(.jump(0), span)
    let start = code.count
    loops.append(Loop())
    if let item { bindPlace(item, value, span) }
    try emitEffect(body, &emitter)
    let loop = loops.removeLast()
    try patch(loop.continues)
    try patch(entry)
    add(.nextInRange(value, base: base, try near(start, span)), span)
    try patch(loop.breaks)
  }

  /// How far back `start` is from behind the next instruction.
  private func near(_ start: Int, _ span: Span) throws(EmitFailure) -> Int16 {
    guard let distance = Int16(exactly: start - code.count - 1) else {
      throw .tooLarge(function: name, what: "steps in one loop", span: span)
    }
    return distance
  }

  /// `text = text ++ more`: the old text is taken out of its register last, so that nobody else holds it and it grows where
  /// it is. False when the value is anything else.
  mutating func emitAppend(
    _ value: Core, to r: Register, _ emitter: inout Emitter
  ) throws(EmitFailure) -> Bool {
    guard case .concat(let kind, let parts) = value.node, kind != .list, let first = parts.first,
      case .local(let local) = first.node, try place(of: local, first.span) == .register(r),
      parts.dropFirst().allSatisfy({ !$0.mentions(local) })
    else { return false }
    let mark = next
    defer { next = mark }
    let base = try allocate(parts.count)
    for (place, part) in parts.enumerated().dropFirst() { try emit(part, into: base + Register(place), &emitter) }
    add(.take(base, r), first.span)
    addConcat(kind, into: r, base, parts.count, value.span)
    return true
  }
}

extension Core {
  fileprivate func mentions(_ local: Local) -> Bool {
    switch node {
    case .local(local), .assign(local, _): true
    default: children.contains { $0.mentions(local) }
    }
  }
}
