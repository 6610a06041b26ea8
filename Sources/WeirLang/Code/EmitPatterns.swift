/// `match` (into no register: as the function's result): arms in order, each a run of tests that jump to the next arm, then field loads, guard and body.
extension FunctionEmitter {
  mutating func emitMatch(
    _ subject: Core, _ arms: [CoreArm], into d: Register?, tail: Bool, _ span: Span, _ emitter: inout Emitter
  ) throws(EmitFailure) {
    let value = try stableOperand(subject, &emitter)
    let mark = next
    var ends: [Int] = []
    var isOpen = true
    for arm in arms {
      next = mark
      var misfits: [Int] = []
      try emitPattern(arm.pattern, value, &misfits, [:], &emitter)
      if let condition = arm.guardCondition { misfits += try emitCondition(condition, &emitter) }
      if let d { try emit(arm.body, into: d, tail: tail, &emitter) } else { try emitResult(arm.body, &emitter) }
      if misfits.isEmpty {
        // Fits everything: later arms are never reached.
        isOpen = false
        break
      }
      if d != nil { ends.append(addJump(.jump(0), arm.body.span)) }
      try patch(misfits)
    }
    if isOpen { add(.unmatched, span) }
    try patch(ends)
  }

  /// A register that nothing assigns while the arms look at it.
  private mutating func stableOperand(_ e: Core, _ emitter: inout Emitter) throws(EmitFailure) -> Register {
    if case .local(let local) = e.node, !assigned.contains(local.id) { return try operand(e, &emitter) }
    let r = try allocate()
    try emit(e, into: r, &emitter)
    return r
  }

  /// Tests R[value] and binds its parts; jumps taken when it does not fit go to `misfits`. `homes`: registers that locals
  /// must be put into, so that every alternative of an `|` pattern leaves them at the same place.
  mutating func emitPattern(
    _ pattern: CorePattern, _ value: Register, _ misfits: inout [Int], _ homes: [Int: Register],
    _ emitter: inout Emitter
  ) throws(EmitFailure) {
    switch pattern {
    case .any: break
    case .bind(let local): try bindPart(local, value, homes)
    case .named(let local, let inner):
      try emitPattern(inner, value, &misfits, homes, &emitter)
      try bindPart(local, value, homes)
    case .literal(let literal):
      if case .unit = literal { return }
      let mark = next
      if case .bool(let wanted) = literal {
        misfits.append(addJump(wanted ? .jumpUnless(0, value) : .jumpIf(0, value), span))
        return
      }
      if case .int(let wanted) = literal, let small = Int16(exactly: wanted) {
        misfits.append(addJump(.jumpUnlessIs(value, small, 0), span))
        return
      }
      let r = try allocate()
      load(literal, into: r, span)
      misfits.append(addJump(.jumpUnlessEqual(value, r, 0), span))
      next = mark
    case .constructor(let index, let parts):
      misfits.append(addJump(.jumpUnlessTag(value, UInt16(index), 0), span))
      for (place, part) in parts.enumerated() {
        try emitPart(part, .field(0, value, UInt16(place)), &misfits, homes, &emitter)
      }
    case .record(let fields):
      for field in fields {
        try emitPart(field.pattern, .field(0, value, UInt16(field.index)), &misfits, homes, &emitter)
      }
    case .list(let parts, let rest):
      let count = UInt16(parts.count)
      if rest == nil {
        misfits.append(addJump(.jumpUnlessCount(value, count, 0), span))
      } else if !parts.isEmpty {
        misfits.append(addJump(.jumpUnlessAtLeast(value, count, 0), span))
      }
      for (place, part) in parts.enumerated() {
        try emitPart(part, .item(0, value, UInt16(place)), &misfits, homes, &emitter)
      }
      if let rest { try emitPart(rest, .restOf(0, value, count), &misfits, homes, &emitter) }
    case .either(let alternatives):
      var homes = homes
      for local in pattern.locals where homes[local.id] == nil { homes[local.id] = try allocate() }
      var fits: [Int] = []
      for (place, alternative) in alternatives.enumerated() {
        var others: [Int] = []
        try emitPattern(alternative, value, &others, homes, &emitter)
        if place == alternatives.count - 1 {
          misfits += others
        } else {
          fits.append(addJump(.jump(0), span))
          try patch(others)
        }
      }
      try patch(fits)
    }
  }

  private mutating func bindPart(_ local: Local, _ value: Register, _ homes: [Int: Register]) throws(EmitFailure) {
    if let home = homes[local.id] {
      add(.move(home, value), span)
      bindPlace(local, home, span)
    } else if cells.contains(local.id) || assigned.contains(local.id) {
      let r = try allocate()
      add(.move(r, value), span)
      bindPlace(local, r, span)
    } else {
      // The value's register is nobody else's to change: the name is an alias.
      places[local.id] = .register(value)
    }
  }

  /// Loads a part (`load` with its target to be filled in) and looks at it, unless nobody wants it.
  private mutating func emitPart(
    _ part: CorePattern, _ load: Instruction, _ misfits: inout [Int], _ homes: [Int: Register],
    _ emitter: inout Emitter
  ) throws(EmitFailure) {
    if case .any = part { return }
    let r = try allocate()
    switch load {
    case .field(_, let from, let place): add(.field(r, from, place), span)
    case .item(_, let from, let place): add(.item(r, from, place), span)
    case .restOf(_, let from, let count): add(.restOf(r, from, count), span)
    default: preconditionFailure("part by \(load)")
    }
    try emitPattern(part, r, &misfits, homes, &emitter)
  }
}
