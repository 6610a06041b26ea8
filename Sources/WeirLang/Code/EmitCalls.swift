/// Calls, lambdas and operators.
extension FunctionEmitter {
  mutating func emitCall(
    _ e: Core, into d: Register, tail: Bool, _ emitter: inout Emitter
  ) throws(EmitFailure) {
    switch e.node {
    case .call(let callee, let arguments):
      switch callee.node {
      case .function(let index): try emitDirect(index, arguments, into: d, tail: tail, e.span, &emitter)
      case .native(let index): try emitNative(index, arguments, into: d, e.span, &emitter)
      case .constructor(let type, let index, _):
        try emit(Core(.variant(type: type, index: index, arguments), e.span), into: d, &emitter)
      case .local(let local) where places[local.id] == .this && this?.captureCount == 0:
        try emitDirect(this?.index ?? 0, arguments, into: d, tail: tail, e.span, &emitter)
      default:
        let f = try operand(callee, &emitter, unlessChangedBy: arguments)
        let base = try emitRun(arguments, &emitter)
        if tail, canTailCall {
          add(.tailCall(function: f, base: base, count: UInt16(arguments.count)), e.span)
        } else {
          add(.call(d, function: f, base: base), e.span)
        }
      }
    case .callFunction(let index, let arguments):
      try emitDirect(index, arguments, into: d, tail: tail, e.span, &emitter)
    case .callNative(let index, let arguments): try emitNative(index, arguments, into: d, e.span, &emitter)
    default: preconditionFailure("not a call")
    }
  }

  mutating func emitDirect(
    _ index: Int, _ arguments: [Core], into d: Register, tail: Bool, _ span: Span, _ emitter: inout Emitter
  ) throws(EmitFailure) {
    guard let function = UInt16(exactly: index) else {
      throw .tooLarge(function: name, what: "functions beside it", span: span)
    }
    let base = try emitRun(arguments, &emitter)
    if tail, canTailCall, !emitter.leavesProgram(index, from: span) {
      add(.tailCallDirect(function, base: base, count: UInt16(arguments.count)), span)
    } else {
      add(.callDirect(d, function, base: base), span)
    }
  }

  mutating func emitNative(
    _ index: Int, _ arguments: [Core], into d: Register, _ span: Span, _ emitter: inout Emitter
  ) throws(EmitFailure) {
    guard let native = UInt16(exactly: index) else {
      throw .tooLarge(function: name, what: "natives beside it", span: span)
    }
    let base = try emitRun(arguments, &emitter)
    add(.callNative(d, native, base: base), span)
  }

  mutating func functionConstant(_ index: Int, _ emitter: Emitter) -> UInt32 {
    constant(.function(emitter.ref(index), Fields.of([])))
  }

  /// The running lambda as a value.
  mutating func emitThis(into d: Register, _ span: Span, _ emitter: Emitter) {
    guard let this else { return }
    if this.captureCount == 0 {
      add(.constant(functionConstant(this.index, emitter), d), span)
    } else {
      add(.closure(d, UInt16(this.index), base: this.captures), span)
    }
  }

  /// `itself` is the local that the lambda will be bound to, when it calls itself by that name.
  mutating func emitLambda(
    _ lambda: CoreLambda, into d: Register, _ span: Span, itself: Local? = nil, _ emitter: inout Emitter
  ) throws(EmitFailure) {
    let captures = Captures.free(in: lambda).filter { $0 != itself?.id }
    let index = emitter.reserve()
    guard let function = UInt16(exactly: index) else {
      throw .tooLarge(function: name, what: "functions beside it", span: span)
    }
    var writer = FunctionEmitter(lambda.name, span)
    writer.cells = cells
    writer.assigned = assigned
    if let itself {
      writer.places[itself.id] = .this
      writer.this = This(
        index: index, captures: Register(lambda.parameters.count), captureCount: captures.count)
    }
    try writer.emitBody(lambda.parameters, captures: captures, lambda.body, &emitter)
    writer.finish(emitter.ref(index), limits: [])

    if captures.isEmpty { return add(.constant(functionConstant(index, emitter), d), span) }
    let base = try allocate(captures.count)
    for (place, id) in captures.enumerated() {
      let target = base + Register(place)
      switch try self.place(of: Local(id), span) {
      // A cell is captured as it is: both functions see its changes.
      case .register(let r), .cell(let r): add(.move(target, r), span)
      case .this: emitThis(into: target, span, emitter)
      }
    }
    add(.closure(d, function, base: base), span)
    for place in captures.indices { add(.clear(base + Register(place)), span) }
  }

  mutating func emitPrimitive(
    _ primitive: Primitive, _ operands: [Core], into d: Register, _ span: Span, _ emitter: inout Emitter
  ) throws(EmitFailure) {
    if operands.count == 2, primitive == .addInt || primitive == .subInt,
      case .literal(.int(let literal)) = operands[1].node,
      let small = Int16(exactly: literal), small > .min
    {
      let a = try operand(operands[0], &emitter)
      return add(.addSmall(d, a, primitive == .addInt ? small : -small), span)
    }
    let a = try operand(operands[0], &emitter, unlessChangedBy: Array(operands.dropFirst()))
    let b = operands.count > 1 ? try operand(operands[1], &emitter) : a
    let instruction: Instruction =
      switch primitive {
      case .addInt: .addInt(d, a, b)
      case .subInt: .subInt(d, a, b)
      case .mulInt: .mulInt(d, a, b)
      case .divInt: .divInt(d, a, b)
      case .remInt: .remInt(d, a, b)
      case .powInt: .powInt(d, a, b)
      case .negInt: .negInt(d, a)
      case .addFloat: .addFloat(d, a, b)
      case .subFloat: .subFloat(d, a, b)
      case .mulFloat: .mulFloat(d, a, b)
      case .divFloat: .divFloat(d, a, b)
      case .remFloat: .remFloat(d, a, b)
      case .powFloat: .powFloat(d, a, b)
      case .negFloat: .negFloat(d, a)
      case .add: .add(d, a, b)
      case .sub: .sub(d, a, b)
      case .mul: .mul(d, a, b)
      case .div: .div(d, a, b)
      case .rem: .rem(d, a, b)
      case .pow: .pow(d, a, b)
      case .neg: .neg(d, a)
      case .lessInt: .lessInt(d, a, b)
      case .lessOrEqualInt: .lessOrEqualInt(d, a, b)
      case .greaterInt: .lessInt(d, b, a)
      case .greaterOrEqualInt: .lessOrEqualInt(d, b, a)
      case .lessFloat: .lessFloat(d, a, b)
      case .lessOrEqualFloat: .lessOrEqualFloat(d, a, b)
      case .greaterFloat: .lessFloat(d, b, a)
      case .greaterOrEqualFloat: .lessOrEqualFloat(d, b, a)
      case .less: .less(d, a, b)
      case .lessOrEqual: .lessOrEqual(d, a, b)
      case .greater: .less(d, b, a)
      case .greaterOrEqual: .lessOrEqual(d, b, a)
      case .equalInt: .equalInt(d, a, b)
      case .equal: .equal(d, a, b)
      case .notEqual: .notEqual(d, a, b)
      case .not: .not(d, a)
      case .cons: .cons(d, a, b)
      case .indexList: .indexList(d, a, b)
      case .indexMap: .indexMap(d, a, b)
      case .indexJSON: .indexJSON(d, a, b)
      case .indexBytes: .indexBytes(d, a, b)
      case .text: .text(d, a)
      case .show: .show(d, a)
      case .intToFloat: .intToFloat(d, a)
      case .range: .range(d, a, b)
      case .rangeInclusive: .rangeInclusive(d, a, b)
      }
    add(instruction, span)
  }
}
