/// Calls, natives and unwinding: what `Machine.execute` does around a change of frame. Each leaves the fiber's frames
/// and stack as they must be when the next instruction is read; the caller reloads its locals from them.
extension Machine {
  typealias Place = (
    frame: UnsafeMutablePointer<Fiber.Frame>, regs: UnsafeMutablePointer<Value>,
    pc: UnsafeMutablePointer<Instruction>, constants: UnsafeMutablePointer<Value>
  )

  /// Pushes a frame whose window begins at the running window's R[base], where the arguments are. Answers it.
  @inline(__always)
  static func enter(
    _ fiber: Fiber, _ function: FunctionRef, result: Register, base: Register, _ depthLimit: Int
  ) throws(Trap) -> UnsafeMutablePointer<Fiber.Frame> {
    let depth = fiber.frameCount
    if depth >= depthLimit { throw .tooDeep(depthLimit) }
    if depth == fiber.frameCapacity { fiber.growFrames() }
    let frame = fiber.frames + depth
    let caller = (frame - 1).pointee.base
    let start = caller &+ Int(base)
    let needed = start &+ function.pointer.pointee.registers
    if needed > fiber.stackCapacity { fiber.grow(to: needed) }
    frame.initialize(
      to: Fiber.Frame(function: function, pc: function.pointer.pointee.code, base: start, result: caller &+ Int(result))
    )
    fiber.frameCount = depth &+ 1
    return frame
  }

  /// Code and captures of the function in a register. Not counted: the register outlives the call's beginning.
  @inline(__always)
  static func callee(
    _ slot: UnsafeMutablePointer<Value>
  ) throws(Trap) -> (FunctionRef, captures: UnsafeMutablePointer<Value>) {
    guard case .function(let function, let captures) = slot.pointee else { throw mistyped("a function", slot) }
    return (function, captures.slots)
  }

  /// Makes the running frame one of another function: the tail call. Answers its registers.
  @inline(__always)
  static func become(
    _ fiber: Fiber, _ frame: UnsafeMutablePointer<Fiber.Frame>, _ function: FunctionRef,
    _ arguments: UnsafeMutablePointer<Value>, _ count: Int
  ) -> UnsafeMutablePointer<Value> {
    let regs = fiber.stack + frame.pointee.base
    let registers = frame.pointee.function.pointer.pointee.registers
    if arguments != regs { for place in 0..<count { swap(&regs[place], &arguments[place]) } }
    // What the old frame held goes now: an event loop may stay in the new one for ever.
    for place in count..<max(count, registers) where !regs[place].isScalar { regs[place] = .unit }
    frame.pointee.function = function
    let needed = frame.pointee.base + function.pointer.pointee.registers
    if needed > fiber.stackCapacity {
      fiber.grow(to: needed)
      return fiber.stack + frame.pointee.base
    }
    return regs
  }

  @inline(__always)
  static func copyCaptures(
    _ source: UnsafeMutablePointer<Value>, to target: UnsafeMutablePointer<Value>, _ count: Int
  ) {
    for place in 0..<count { copy(target + place, from: source + place) }
  }

  static func enterDeferred(
    _ fiber: Fiber, _ function: Value, base: Register, _ depthLimit: Int
  ) throws(Trap) -> Place {
    guard case .function(let code, let captures) = function else { throw .broken("deferred \(function.caseName)") }
    // A few frames beyond the limit, so that what was deferred also runs after `TooDeep`.
    let frame = try enter(fiber, code, result: base, base: base, depthLimit + deferredDepth)
    let regs = fiber.stack + frame.pointee.base
    copyCaptures(captures.slots, to: regs + code.pointer.pointee.arity, code.pointer.pointee.captureCount)
    return (frame, regs, code.pointer.pointee.code, code.pointer.pointee.constants)
  }

  /// Frames that deferred functions may use beyond the depth limit.
  static let deferredDepth = 100

  /// The native's value, or nil when the fiber is parked now. The argument registers are let go.
  static func callNative(
    _ fiber: Fiber, _ context: NativeContext, _ index: UInt16, _ arguments: UnsafeMutablePointer<Value>, _ slot: Int
  ) throws(Trap) -> Value? {
    let native = fiber.program.nativeTable + Int(index)
    let arity = native.pointee.arity
    if let budget = fiber.budget, !native.pointee.effects.isEmpty {
      if let limit = budget.use(native.pointee.effects) {
        guard native.pointee.answersExhaustion else {
          throw .limitReached(limit.effect, limit: limit.count, native: native.pointee.name)
        }
        context.exhausted = limit
      }
    }
    let result: NativeResult
    do {
      result = try native.pointee.body(Arguments(base: arguments, count: arity), context)
    } catch {
      context.exhausted = nil
      if fiber.state == .suspending { fiber.park &+= 1 }
      fiber.state = .running
      throw Trap(error)
    }
    if context.exhausted != nil { context.exhausted = nil }
    for place in 0..<arity where !arguments[place].isScalar { arguments[place] = .unit }
    switch result {
    case .value(let value):
      if fiber.state == .suspending { fiber.park &+= 1 }
      fiber.state = .running
      // Only a native can cancel the fiber that is running.
      if fiber.delivery != nil, case .trap(let trap) = fiber.takeDelivery() { throw trap }
      return value
    case .suspended:
      if fiber.delivery != nil, let delivery = fiber.takeDelivery() {
        fiber.state = .running
        switch delivery {
        case .value(let value): return value
        case .trap(let trap): throw trap
        }
      }
      guard fiber.state == .suspending else {
        throw .broken("\(native.pointee.name) answered that it is suspended without suspending")
      }
      fiber.state = .parked
      fiber.awaitedSlot = slot
      return nil
    }
  }

  /// Takes frames off until one has deferred functions, and makes it run them; throws the trap when there is none.
  static func unwind(_ fiber: Fiber, _ trap: Trap) throws(Trap) {
    let depth = fiber.defers.last?.depth ?? 0
    while fiber.frameCount > depth {
      let frame = fiber.frames[fiber.frameCount - 1]
      let regs = fiber.stack + frame.base
      for place in 0..<frame.function.pointer.pointee.registers where !regs[place].isScalar { regs[place] = .unit }
      while let budget = fiber.budget, budget.owner == fiber.id, budget.depth >= fiber.frameCount {
        fiber.budget = budget.parent
      }
      fiber.frameCount -= 1
    }
    guard depth > 0 else { throw trap }
    let frame = fiber.frames + (depth - 1)
    guard let entry = frame.pointee.function.pointer.pointee.unwindEntry else {
      throw .broken("deferred functions without a place to run them")
    }
    // The first trap is the one that is told; one in a deferred function changes nothing.
    if fiber.unwinding == nil { fiber.unwinding = Fiber.Unwinding(trap) }
    frame.pointee.pc = frame.pointee.function.pointer.pointee.code + entry
  }
}
