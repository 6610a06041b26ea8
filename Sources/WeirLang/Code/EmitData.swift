/// Values with parts: their parts are built in registers side by side, and one instruction makes the value of them.
extension FunctionEmitter {
  mutating func emitData(_ e: Core, into d: Register, _ emitter: inout Emitter) throws(EmitFailure) {
    switch e.node {
    case .record(let fieldNames, let fields):
      let base = try allocate(fields.count)
      for field in fields { try emit(field.value, into: base + Register(field.index), &emitter) }
      add(.record(d, base: base, count: UInt16(fields.count)), e.span)
      add(.layout(emitter.layout(fieldNames), d), e.span)
    case .field(let value, let index):
      let r = try operand(value, &emitter)
      add(.field(d, r, UInt16(index)), e.span)
    case .update(let record, let fields):
      let copy = try allocate()
      try emit(record, into: copy, &emitter)
      for field in fields {
        let inner = next
        let r = try operand(field.value, &emitter)
        add(.setField(copy, r, UInt16(field.index)), e.span)
        next = inner
      }
      add(.move(d, copy), e.span)
      add(.clear(copy), e.span)
    case .variant(let type, let index, let payload):
      let tag = ConstructorTag(type: type, index: index)
      if payload.isEmpty { return add(.constant(constant(.tag(tag)), d), e.span) }
      let base = try emitRun(payload, &emitter)
      add(.variant(d, base: base, count: UInt16(payload.count)), e.span)
      add(.layout(tag.bits, d), e.span)
    case .list(let items):
      if items.count > FunctionEmitter.literalRun {
        let parts = stride(from: 0, to: items.count, by: FunctionEmitter.literalRun).map { start in
          Core(.list(Array(items[start..<min(start + FunctionEmitter.literalRun, items.count)])), e.span)
        }
        return try emit(Core(.concat(.list, parts), e.span), into: d, &emitter)
      }
      let base = try emitRun(items, &emitter)
      add(.list(d, base: base, count: UInt16(items.count)), e.span)
    case .map(let entries):
      let base = try emitRun(entries.flatMap { [$0.key, $0.value] }, &emitter)
      add(.map(d, base: base, count: UInt16(entries.count * 2)), e.span)
    case .concat(let kind, let parts):
      let base = try emitRun(parts, &emitter)
      addConcat(kind, into: d, base, parts.count, e.span)
    default: preconditionFailure("not a value with parts")
    }
  }
}
