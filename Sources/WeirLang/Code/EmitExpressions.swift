/// Expressions into registers.
///
/// Rule: `emit(e, into: d)` writes R[d] once, last, so that `x = f(x)` may read x while it goes. Temporaries above `next`
/// are free again when it returns. What a kind of expression needs is in a method of its own: unoptimised, a frame has room
/// for everything its function names, and expressions nest deep.
extension FunctionEmitter {
  mutating func emit(
    _ e: Core, into d: Register, tail: Bool = false, _ emitter: inout Emitter
  ) throws(EmitFailure) {
    let mark = next
    defer { next = mark }
    switch e.node {
    case .literal(let literal): load(literal, into: d, e.span)
    case .local, .global, .function, .native, .constructor: try emitName(e, into: d, &emitter)
    case .lambda(let lambda): try emitLambda(lambda, into: d, e.span, &emitter)

    case .sequence(let items):
      guard let last = items.last else { return add(.unit(d), e.span) }
      for item in items.dropLast() { try emitEffect(item, &emitter) }
      try emit(last, into: d, tail: tail, &emitter)
    case .branch(let condition, let then, let otherwise):
      try emitBranch(if: condition, then, otherwise, into: d, tail: tail, e.span, &emitter)
    case .match(let subject, let arms): try emitMatch(subject, arms, into: d, tail: tail, e.span, &emitter)

    case .bind, .assign, .assignGlobal, .loop, .forEach, .forRange, .deferred:
      try emitEffect(e, &emitter)
      add(.unit(d), e.span)
    case .breakLoop, .continueLoop, .returned, .fail: try emitEffect(e, &emitter)

    case .attempt(let value, let success): try emitAttempt(value, success, into: d, e.span, &emitter)
    case .record, .field, .update, .variant, .list, .map, .concat: try emitData(e, into: d, &emitter)
    case .primitive(let primitive, let operands): try emitPrimitive(primitive, operands, into: d, e.span, &emitter)
    case .call, .callFunction, .callNative: try emitCall(e, into: d, tail: tail, &emitter)
    }
  }

  private mutating func emitName(_ e: Core, into d: Register, _ emitter: inout Emitter) throws(EmitFailure) {
    switch e.node {
    case .local(let local):
      switch try place(of: local, e.span) {
      case .register(let r): if r != d { add(.move(d, r), e.span) }
      case .cell(let r): add(.readCell(d, r), e.span)
      case .this: emitThis(into: d, e.span, emitter)
      }
    case .global(let index):
      let isWatched = emitter.isWatched(global: index)
      add(isWatched ? .watchedGlobal(UInt32(index), d) : .global(UInt32(index), d), e.span)
    case .function(let index): add(.constant(functionConstant(index, emitter), d), e.span)
    case .native(let index):
      add(.constant(functionConstant(try emitter.wrapper(native: index, e.span), emitter), d), e.span)
    case .constructor(let type, let index, let arity):
      if arity == 0 {
        add(.constant(constant(.tag(ConstructorTag(type: type, index: index))), d), e.span)
      } else {
        let wrapper = try emitter.wrapper(type: type, constructor: index, arity: arity, e.span)
        add(.constant(functionConstant(wrapper, emitter), d), e.span)
      }
    default: preconditionFailure("not a name")
    }
  }

  private mutating func emitBranch(
    if condition: Core, _ then: Core, _ otherwise: Core?, into d: Register, tail: Bool, _ span: Span,
    _ emitter: inout Emitter
  ) throws(EmitFailure) {
    let untrue = try emitCondition(condition, &emitter)
    try emit(then, into: d, tail: tail, &emitter)
    let end = addJump(.jump(0), span)
    try patch(untrue)
    if let otherwise { try emit(otherwise, into: d, tail: tail, &emitter) } else { add(.unit(d), span) }
    try patch(end)
  }

  private mutating func emitAttempt(
    _ value: Core, _ success: Int, into d: Register, _ span: Span, _ emitter: inout Emitter
  ) throws(EmitFailure) {
    let r = try operand(value, &emitter)
    let failed = addJump(.jumpUnlessTag(r, UInt16(success), 0), span)
    add(.field(d, r, 0), span)
    let end = addJump(.jump(0), span)
    try patch(failed)
    finishCall(r, span)
    try patch(end)
  }

  /// The function's result: every branch returns by itself, without a jump to a common end.
  mutating func emitResult(_ e: Core, _ emitter: inout Emitter) throws(EmitFailure) {
    let mark = next
    defer { next = mark }
    switch e.node {
    case .sequence(let items) where !items.isEmpty:
      for item in items.dropLast() { try emitEffect(item, &emitter) }
      try emitResult(items[items.count - 1], &emitter)
    case .branch(let condition, let then, let otherwise):
      let untrue = try emitCondition(condition, &emitter)
      try emitResult(then, &emitter)
      try patch(untrue)
      try emitResult(otherwise ?? Core(.literal(.unit), e.span), &emitter)
    case .match(let subject, let arms): try emitMatch(subject, arms, into: nil, tail: true, e.span, &emitter)
    case .returned, .fail, .breakLoop, .continueLoop: try emitEffect(e, &emitter)
    case .local:
      let r = try operand(e, &emitter)
      finishCall(r, e.span)
    default:
      let r = try allocate()
      let before = code.count
      try emit(e, into: r, tail: canTailCall, &emitter)
      // A tail call does not come back.
      if code.count > before {
        switch code[code.count - 1] {
        case .tailCall, .tailCallDirect: return
        default: break
        }
      }
      finishCall(r, e.span)
    }
  }

  /// Items of a list literal that are built in registers at once; longer ones are joined from such runs.
  static let literalRun = 200

  /// For what it does; its value is not wanted.
  mutating func emitEffect(_ e: Core, _ emitter: inout Emitter) throws(EmitFailure) {
    switch e.node {
    case .bind(let local, let value): try emitBind(local, value, e.span, &emitter)
    case .assign(let local, let value):
      switch try place(of: local, e.span) {
      case .register(let r):
        if try emitAppend(value, to: r, &emitter) { return }
        try emit(value, into: r, &emitter)
      case .cell(let cell):
        let mark = next
        let r = try operand(value, &emitter)
        add(.writeCell(cell, r), e.span)
        next = mark
      case .this: throw .unboundLocal(local.name, function: name, span: e.span)
      }
    case .assignGlobal(let index, let value):
      let mark = next
      let r = try operand(value, &emitter)
      add(.setGlobal(UInt32(index), r), e.span)
      next = mark
    case .literal, .local, .global: break
    case .sequence(let items):
      let mark = next
      for item in items { try emitEffect(item, &emitter) }
      next = mark
    case .branch(let condition, let then, let otherwise):
      let untrue = try emitCondition(condition, &emitter)
      try emitScoped(then, &emitter)
      if let otherwise {
        let end = addJump(.jump(0), e.span)
        try patch(untrue)
        try emitScoped(otherwise, &emitter)
        try patch(end)
      } else {
        try patch(untrue)
      }
    case .loop(let condition, let body): try emitWhile(condition, body, e.span, &emitter)
    case .forEach(let item, let index, let list, let body):
      try emitForEach(item, index, list, body, e.span, &emitter)
    case .forRange(let item, let from, let to, let inclusive, let body):
      try emitForRange(item, from, to, inclusive, body, e.span, &emitter)
    case .breakLoop:
      guard !loops.isEmpty else { throw .outsideLoop(function: name, span: e.span) }
      loops[loops.count - 1].breaks.append(addJump(.jump(0), e.span))
    case .continueLoop:
      guard !loops.isEmpty else { throw .outsideLoop(function: name, span: e.span) }
      loops[loops.count - 1].continues.append(addJump(.jump(0), e.span))
    case .returned(let value):
      try emitResult(value ?? Core(.literal(.unit), e.span), &emitter)
    case .deferred(let body):
      let mark = next
      let r = try allocate()
      try emitLambda(CoreLambda(name: "defer", parameters: [], body: body), into: r, e.span, &emitter)
      add(.pushDefer(r), e.span)
      next = mark
    case .fail(let code, let message):
      let mark = next
      let r = try operand(message, &emitter)
      add(.fail(constant(CoreLiteral.string(code)), r), e.span)
      next = mark
    default:
      let mark = next
      let r = try allocate()
      try emit(e, into: r, &emitter)
      next = mark
    }
  }

  private mutating func emitScoped(_ e: Core, _ emitter: inout Emitter) throws(EmitFailure) {
    let mark = next
    try emitEffect(e, &emitter)
    next = mark
  }

  /// The value in some register: a local's own where that is safe, else a new one.
  mutating func operand(
    _ e: Core, _ emitter: inout Emitter, unlessChangedBy later: [Core] = []
  ) throws(EmitFailure) -> Register {
    if case .local(let local) = e.node, case .register(let r) = try place(of: local, e.span) {
      // `x + (x = 5)`: what is assigned later must not change an operand that was read.
      if !assigned.contains(local.id) || later.allSatisfy(\.isQuiet) { return r }
    }
    let r = try allocate()
    try emit(e, into: r, &emitter)
    return r
  }

  mutating func addConcat(_ kind: Joinable, into d: Register, _ base: Register, _ count: Int, _ span: Span) {
    let count = UInt16(count)
    add(kind == .string ? .concatStrings(d, base: base, count: count) : .concat(d, base: base, count: count), span)
  }

  /// Values in registers one after the other, as arguments and fields are.
  mutating func emitRun(_ items: [Core], _ emitter: inout Emitter) throws(EmitFailure) -> Register {
    let base = try allocate(items.count)
    for (place, item) in items.enumerated() { try emit(item, into: base + Register(place), &emitter) }
    return base
  }

  /// Code that goes on when the condition is true; the jumps taken when it is not.
  mutating func emitCondition(_ e: Core, _ emitter: inout Emitter) throws(EmitFailure) -> [Int] {
    let mark = next
    defer { next = mark }
    switch e.node {
    case .literal(.bool(true)): return []
    case .primitive(.not, let operands) where operands.count == 1:
      let r = try operand(operands[0], &emitter)
      return [addJump(.jumpIf(0, r), e.span)]
    case .primitive(let primitive, let operands) where operands.count == 2:
      if let jump = try smallComparison(primitive, operands, &emitter) { return [addJump(jump, e.span)] }
      switch primitive {
      case .lessInt, .lessOrEqualInt, .greaterInt, .greaterOrEqualInt, .equalInt, .equal:
        let a = try operand(operands[0], &emitter, unlessChangedBy: [operands[1]])
        let b = try operand(operands[1], &emitter)
        let jump: Instruction =
          switch primitive {
          case .lessInt: .jumpUnlessLessInt(a, b, 0)
          case .lessOrEqualInt: .jumpUnlessLessOrEqualInt(a, b, 0)
          case .greaterInt: .jumpUnlessLessInt(b, a, 0)
          case .greaterOrEqualInt: .jumpUnlessLessOrEqualInt(b, a, 0)
          default: .jumpUnlessEqual(a, b, 0)
          }
        return [addJump(jump, e.span)]
      default: break
      }
    case .branch(let first, let second, let otherwise):
      // `a && b`, `a || b`
      if case .literal(.bool(false)) = otherwise?.node {
        return try emitCondition(first, &emitter) + emitCondition(second, &emitter)
      }
      if case .literal(.bool(true)) = second.node, let otherwise {
        let untrue = try emitCondition(first, &emitter)
        let isTrue = addJump(.jump(0), e.span)
        try patch(untrue)
        let neither = try emitCondition(otherwise, &emitter)
        try patch(isTrue)
        return neither
      }
    default: break
    }
    let r = try operand(e, &emitter)
    return [addJump(.jumpUnless(0, r), e.span)]
  }

  /// `x < 2`, `n == 0` and their like: the constant is in the instruction.
  private mutating func smallComparison(
    _ primitive: Primitive, _ operands: [Core], _ emitter: inout Emitter
  ) throws(EmitFailure) -> Instruction? {
    // One less and one more must fit as well.
    guard case .literal(.int(let literal)) = operands[1].node, (-32_000...32_000).contains(literal) else { return nil }
    let small = Int16(literal)
    switch primitive {
    case .lessInt: return .jumpUnlessLessSmall(try operand(operands[0], &emitter), small, 0)
    case .lessOrEqualInt: return .jumpUnlessLessSmall(try operand(operands[0], &emitter), small + 1, 0)
    case .greaterInt: return .jumpUnlessGreaterSmall(try operand(operands[0], &emitter), small, 0)
    case .greaterOrEqualInt: return .jumpUnlessGreaterSmall(try operand(operands[0], &emitter), small - 1, 0)
    case .equalInt: return .jumpUnlessIs(try operand(operands[0], &emitter), small, 0)
    default: return nil
    }
  }

  private mutating func emitBind(
    _ local: Local, _ value: Core, _ span: Span, _ emitter: inout Emitter
  ) throws(EmitFailure) {
    let r = try allocate()
    if case .lambda(let lambda) = value.node, Captures.free(in: lambda).contains(local.id) {
      if cells.contains(local.id) {
        // A `var` that its own function sees: the cell must be there first.
        add(.unit(r), span)
        bindPlace(local, r, span)
        let mark = next
        let function = try operand(value, &emitter)
        add(.writeCell(r, function), span)
        next = mark
        return
      }
      try emitLambda(lambda, into: r, span, itself: local, &emitter)
    } else {
      try emit(value, into: r, &emitter)
    }
    bindPlace(local, r, span)
  }
}

extension Core {
  /// Evaluating it assigns nothing.
  fileprivate var isQuiet: Bool {
    switch node {
    case .literal, .local, .global, .function, .native, .constructor, .lambda: true
    case .assign: false
    default: children.allSatisfy(\.isQuiet)
    }
  }
}
