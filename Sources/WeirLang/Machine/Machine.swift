/// Runs a fiber until it has finished, waits for a native, or is out of fuel.
///
/// `execute` is one flat switch over instructions; everything longer than a line or two is a function beside it
/// (Arithmetic, Structures, Unwinding). It touches values only through a few accessors and lets the checker's promises
/// fail into a trap, never into undefined behaviour.
package enum Machine {
  package enum Outcome {
    case finished(Value)
    case suspended
    case outOfFuel
  }

  static func run(
    _ fiber: Fiber, context: NativeContext, fuel: inout Int, depthLimit: Int
  ) throws(Trap) -> Outcome {
    while true {
      var trap: Trap
      do throws(Trap) {
        if fiber.delivery != nil, case .trap(let trap) = fiber.takeDelivery() { throw trap }
        return try execute(fiber, context: context, fuel: &fuel, depthLimit: depthLimit)
      } catch {
        trap = error
      }
      if trap.span.isNone, trap.trace.isEmpty {
        trap.trace = fiber.trace()
        trap.span = trap.trace.first?.span ?? .none
      }
      try unwind(fiber, trap)
    }
  }

  @inline(__always)
  static func put(_ slot: UnsafeMutablePointer<Value>, _ value: consuming Value) {
    // A scalar needs no release: the outlined destroy would cost more than the instruction.
    if slot.pointee.isScalar { slot.initialize(to: value) } else { slot.pointee = value }
  }

  /// A scalar is copied as bits: the outlined retain would look at its case once more.
  @inline(__always)
  static func copy(_ slot: UnsafeMutablePointer<Value>, from source: UnsafeMutablePointer<Value>) {
    if source.pointee.isScalar {
      clear(slot)
      UnsafeMutableRawPointer(slot).copyMemory(from: source, byteCount: MemoryLayout<Value>.stride)
    } else {
      put(slot, source.pointee)
    }
  }

  @inline(__always)
  static func clear(_ slot: UnsafeMutablePointer<Value>) {
    if !slot.pointee.isScalar { slot.pointee = .unit }
  }

  private static func execute(
    _ fiber: Fiber, context: NativeContext, fuel fuelLeft: inout Int, depthLimit: Int
  ) throws(Trap) -> Outcome {
    let program = fiber.program
    var fuel = fuelLeft
    defer { fuelLeft = fuel }
    // The running frame in locals; its `pc` in the fiber is brought up to date where it can be looked at.
    var frame = fiber.frames + (fiber.frameCount - 1)
    var pc = frame.pointee.pc
    var regs = fiber.stack + frame.pointee.base
    var constants = frame.pointee.function.pointer.pointee.constants
    do throws(Trap) {
      running: while true {
        let instruction = Instruction.load(pc)
        pc += 1
        switch instruction {
        // Moves
        case .constant(let k, let d): copy(regs + Int(d), from: constants + Int(k))
        case .move(let d, let s): copy(regs + Int(d), from: regs + Int(s))
        case .take(let d, let s):
          clear(regs + Int(d))
          (regs + Int(d)).moveInitialize(from: regs + Int(s), count: 1)
          (regs + Int(s)).initialize(to: .unit)
        case .unit(let d): put(regs + Int(d), .unit)
        case .bool(let d, let b): put(regs + Int(d), .bool(b))
        case .int(let d, let i): put(regs + Int(d), .int(Int(i)))
        case .global(let g, let d): copy(regs + Int(d), from: program.globals + Int(g))
        case .watchedGlobal(let g, let d):
          if case .unit = program.globals[Int(g)] { throw .readBeforeSet(program.globalNames[Int(g)]) }
          copy(regs + Int(d), from: program.globals + Int(g))
        case .setGlobal(let g, let s): program.globals[Int(g)] = regs[Int(s)]
        case .newCell(let d, let s): put(regs + Int(d), .cell(Fields.of(regs[Int(s)])))
        case .readCell(let d, let c):
          guard case .cell(let box) = regs[Int(c)] else { throw mistyped("a cell", regs + Int(c)) }
          copy(regs + Int(d), from: box.slots)
        case .writeCell(let c, let s):
          guard case .cell(let box) = regs[Int(c)] else { throw mistyped("a cell", regs + Int(c)) }
          put(box.slots, regs[Int(s)])

        // Arithmetic
        case .addInt(let d, let a, let b):
          let (sum, overflow) = try int(regs, a).addingReportingOverflow(int(regs, b))
          if overflow { throw .overflow }
          put(regs + Int(d), .int(sum))
        case .addSmall(let d, let a, let i):
          let (sum, overflow) = try int(regs, a).addingReportingOverflow(Int(i))
          if overflow { throw .overflow }
          put(regs + Int(d), .int(sum))
        case .subInt(let d, let a, let b):
          let (difference, overflow) = try int(regs, a).subtractingReportingOverflow(int(regs, b))
          if overflow { throw .overflow }
          put(regs + Int(d), .int(difference))
        case .mulInt(let d, let a, let b):
          let (product, overflow) = try int(regs, a).multipliedReportingOverflow(by: int(regs, b))
          if overflow { throw .overflow }
          put(regs + Int(d), .int(product))
        case .divInt(let d, let a, let b): put(regs + Int(d), .int(try divide(int(regs, a), int(regs, b))))
        case .remInt(let d, let a, let b): put(regs + Int(d), .int(try remainder(int(regs, a), int(regs, b))))
        case .powInt(let d, let a, let b): put(regs + Int(d), .int(try power(int(regs, a), int(regs, b))))
        case .negInt(let d, let a):
          let value = try int(regs, a)
          if value == .min { throw .overflow }
          put(regs + Int(d), .int(-value))
        case .addFloat(let d, let a, let b): put(regs + Int(d), .float(try float(regs, a) + float(regs, b)))
        case .subFloat(let d, let a, let b): put(regs + Int(d), .float(try float(regs, a) - float(regs, b)))
        case .mulFloat(let d, let a, let b): put(regs + Int(d), .float(try float(regs, a) * float(regs, b)))
        case .divFloat(let d, let a, let b): put(regs + Int(d), .float(try float(regs, a) / float(regs, b)))
        case .remFloat(let d, let a, let b):
          put(regs + Int(d), .float(try float(regs, a).truncatingRemainder(dividingBy: float(regs, b))))
        case .powFloat(let d, let a, let b):
          put(regs + Int(d), .float(floatPower(try float(regs, a), try float(regs, b))))
        case .negFloat(let d, let a): put(regs + Int(d), .float(-(try float(regs, a))))
        case .add(let d, let a, let b): put(regs + Int(d), try arithmetic(.add, regs[Int(a)], regs[Int(b)]))
        case .sub(let d, let a, let b): put(regs + Int(d), try arithmetic(.sub, regs[Int(a)], regs[Int(b)]))
        case .mul(let d, let a, let b): put(regs + Int(d), try arithmetic(.mul, regs[Int(a)], regs[Int(b)]))
        case .div(let d, let a, let b): put(regs + Int(d), try arithmetic(.div, regs[Int(a)], regs[Int(b)]))
        case .rem(let d, let a, let b): put(regs + Int(d), try arithmetic(.rem, regs[Int(a)], regs[Int(b)]))
        case .pow(let d, let a, let b): put(regs + Int(d), try arithmetic(.pow, regs[Int(a)], regs[Int(b)]))
        case .neg(let d, let a): put(regs + Int(d), try arithmetic(.sub, .int(0), regs[Int(a)]))
        case .intToFloat(let d, let a): put(regs + Int(d), .float(Double(try int(regs, a))))

        // Comparison
        case .lessInt(let d, let a, let b): put(regs + Int(d), .bool(try int(regs, a) < int(regs, b)))
        case .lessOrEqualInt(let d, let a, let b): put(regs + Int(d), .bool(try int(regs, a) <= int(regs, b)))
        case .equalInt(let d, let a, let b): put(regs + Int(d), .bool(try int(regs, a) == int(regs, b)))
        case .lessFloat(let d, let a, let b): put(regs + Int(d), .bool(try float(regs, a) < float(regs, b)))
        case .lessOrEqualFloat(let d, let a, let b): put(regs + Int(d), .bool(try float(regs, a) <= float(regs, b)))
        case .less(let d, let a, let b): put(regs + Int(d), .bool(try isLess(regs[Int(a)], regs[Int(b)])))
        case .lessOrEqual(let d, let a, let b): put(regs + Int(d), .bool(try isLessOrEqual(regs[Int(a)], regs[Int(b)])))
        case .equal(let d, let a, let b): put(regs + Int(d), .bool(Value.areEqual(regs[Int(a)], regs[Int(b)])))
        case .notEqual(let d, let a, let b): put(regs + Int(d), .bool(!Value.areEqual(regs[Int(a)], regs[Int(b)])))
        case .not(let d, let a): put(regs + Int(d), .bool(!(try bool(regs, a))))

        // Control
        case .jump(let offset): pc += Int(offset)
        case .loop(let offset):
          fuel &-= 1
          if fuel <= 0 { break running }
          pc += Int(offset)
        case .loopIfLessInt(let a, let b, let offset):
          fuel &-= 1
          if fuel <= 0 { break running }
          if try int(regs, a) < int(regs, b) { pc += Int(offset) }
        case .loopIfLessOrEqualInt(let a, let b, let offset):
          fuel &-= 1
          if fuel <= 0 { break running }
          if try int(regs, a) <= int(regs, b) { pc += Int(offset) }
        case .jumpIf(let offset, let r): if try bool(regs, r) { pc += Int(offset) }
        case .jumpUnless(let offset, let r): if !(try bool(regs, r)) { pc += Int(offset) }
        case .jumpUnlessTag(let r, let index, let offset):
          let tag: ConstructorTag
          switch regs[Int(r)] {
          case .variant(let t, _): tag = t
          case .tag(let t): tag = t
          default: throw mistyped("a variant", regs + Int(r))
          }
          if tag.index != Int(index) { pc += Int(offset) }
        case .jumpUnlessEqual(let a, let b, let offset):
          if !Value.areEqual(regs[Int(a)], regs[Int(b)]) { pc += Int(offset) }
        case .jumpUnlessLessInt(let a, let b, let offset):
          if try int(regs, a) >= int(regs, b) { pc += Int(offset) }
        case .jumpUnlessLessOrEqualInt(let a, let b, let offset):
          if try int(regs, a) > int(regs, b) { pc += Int(offset) }
        case .jumpUnlessLessSmall(let r, let i, let offset): if try int(regs, r) >= Int(i) { pc += Int(offset) }
        case .jumpUnlessGreaterSmall(let r, let i, let offset): if try int(regs, r) <= Int(i) { pc += Int(offset) }
        case .jumpUnlessIs(let r, let i, let offset):
          if case .int(let value) = regs[Int(r)], value == Int(i) {} else { pc += Int(offset) }
        case .jumpUnlessCount(let r, let n, let offset): if try list(regs, r).count != Int(n) { pc += Int(offset) }
        case .jumpUnlessAtLeast(let r, let n, let offset): if try list(regs, r).count < Int(n) { pc += Int(offset) }
        case .nextItem(let d, let b, let offset):
          fuel &-= 1
          if fuel <= 0 { break running }
          guard case .list(let list) = regs[Int(b)], case .int(let place) = regs[Int(b) + 1] else {
            throw mistyped("a list to go through", regs + Int(b))
          }
          if place < list.count {
            copy(regs + Int(d), from: list.buffer.slots + Int(list.from) + place)
            (regs + Int(b) + 1).initialize(to: .int(place + 1))
            pc += Int(offset)
          }
        case .nextInRange(let d, let b, let offset):
          fuel &-= 1
          if fuel <= 0 { break running }
          let current = try int(regs, b)
          if try current < int(regs, b + 1) {
            put(regs + Int(d), .int(current))
            (regs + Int(b)).initialize(to: .int(current + 1))
            pc += Int(offset)
          }
        case .clear(let r): clear(regs + Int(r))

        // Data
        case .record(let d, let b, let count):
          guard case .layout(let id, _) = pc.pointee else { throw .broken("record without layout") }
          pc += 1
          let fields = Fields.moving(regs + Int(b), Int(count))
          (regs + Int(b)).initialize(repeating: .unit, count: Int(count))
          put(regs + Int(d), .record(id, fields))
        case .layout: throw .broken("layout on its own")
        case .field(let d, let r, let i):
          switch regs[Int(r)] {
          case .record(_, let fields), .variant(_, let fields): copy(regs + Int(d), from: fields.address(Int(i)))
          default: throw mistyped("something with fields", regs + Int(r))
          }
        case .setField(let d, let s, let i):
          guard case .record(let id, let fields) = regs[Int(d)] else {
            throw mistyped("a record", regs + Int(d))
          }
          put(regs + Int(d), .record(id, fields.replacing(Int(i), regs[Int(s)])))
        case .variant(let d, let b, let count):
          guard case .layout(let bits, _) = pc.pointee else { throw .broken("variant without tag") }
          pc += 1
          let fields = Fields.moving(regs + Int(b), Int(count))
          (regs + Int(b)).initialize(repeating: .unit, count: Int(count))
          put(regs + Int(d), .variant(ConstructorTag(bits: bits), fields))
        case .list(let d, let b, let count):
          let fields = Fields.moving(regs + Int(b), Int(count))
          (regs + Int(b)).initialize(repeating: .unit, count: Int(count))
          put(regs + Int(d), .list(List(buffer: fields, from: 0, to: Int(count))))
        case .map(let d, let b, let count):
          var map = Map()
          for place in stride(from: Int(b), to: Int(b) + Int(count), by: 2) {
            map = map.setting(regs[place], regs[place + 1])
          }
          for place in Int(b)..<Int(b) + Int(count) { clear(regs + place) }
          put(regs + Int(d), .map(map.root))
        case .item(let d, let r, let i): put(regs + Int(d), try list(regs, r)[Int(i)])
        case .restOf(let d, let r, let n): put(regs + Int(d), .list(try list(regs, r).rest(Int(n))))
        case .cons(let d, let a, let b): put(regs + Int(d), .list(try list(regs, b).cons(regs[Int(a)])))
        case .concatStrings(let d, let b, let count):
          put(regs + Int(d), .string(try joinStrings(regs + Int(b), Int(count))))
        case .concat(let d, let b, let count): put(regs + Int(d), try join(regs + Int(b), Int(count)))
        case .indexList(let d, let a, let i):
          let list = try list(regs, a)
          let place = try int(regs, i)
          guard place >= 0, place < list.count else { throw .outOfBounds(place, count: list.count) }
          put(regs + Int(d), list[place])
        case .indexMap(let d, let a, let k):
          guard case .map(let root) = regs[Int(a)] else { throw mistyped("a map", regs + Int(a)) }
          put(regs + Int(d), Map(root: root)[regs[Int(k)]].map { Value.some($0) } ?? Value.none)
        case .indexJSON(let d, let a, let k): put(regs + Int(d), JSONInValues.index(regs[Int(a)], regs[Int(k)]))
        case .indexBytes(let d, let a, let i):
          guard case .bytes(let bytes) = regs[Int(a)] else { throw mistyped("bytes", regs + Int(a)) }
          let place = try int(regs, i)
          guard bytes.indices.contains(place) else { throw .outOfBounds(place, count: bytes.count) }
          put(regs + Int(d), .int(Int(bytes[place])))
        case .text(let d, let a):
          if case .string = regs[Int(a)] {
            put(regs + Int(d), regs[Int(a)])
          } else {
            put(regs + Int(d), .string(regs[Int(a)].shown(program.names)))
          }
        case .show(let d, let a): put(regs + Int(d), .string(regs[Int(a)].shown(program.names)))
        case .range(let d, let a, let b): put(regs + Int(d), try range(int(regs, a), int(regs, b)))
        case .rangeInclusive(let d, let a, let b):
          let (end, overflow) = try int(regs, b).addingReportingOverflow(1)
          if overflow { throw .overflow }
          put(regs + Int(d), try range(int(regs, a), end))

        // Calls
        case .callDirect(let d, let f, let b):
          fuel &-= 1
          if fuel <= 0 { break running }
          frame.pointee.pc = pc
          let function = program.functionTable[Int(f)]
          frame = try enter(fiber, function, result: d, base: b, depthLimit)
          regs = fiber.stack + frame.pointee.base
          pc = function.pointer.pointee.code
          constants = function.pointer.pointee.constants
        case .call(let d, let f, let b):
          fuel &-= 1
          if fuel <= 0 { break running }
          let (function, captures) = try callee(regs + Int(f))
          frame.pointee.pc = pc
          frame = try enter(fiber, function, result: d, base: b, depthLimit)
          regs = fiber.stack + frame.pointee.base
          copyCaptures(captures, to: regs + function.pointer.pointee.arity, function.pointer.pointee.captureCount)
          pc = function.pointer.pointee.code
          constants = function.pointer.pointee.constants
        case .callNative(let d, let n, let b):
          fuel &-= 1
          frame.pointee.pc = pc
          let slot = frame.pointee.base + Int(d)
          guard let value = try callNative(fiber, context, n, regs + Int(b), slot) else {
            return .suspended
          }
          put(regs + Int(d), value)
        case .tailCallDirect(let f, let b, let count):
          fuel &-= 1
          if fuel <= 0 { break running }
          let function = program.functionTable[Int(f)]
          regs = become(fiber, frame, function, regs + Int(b), Int(count))
          pc = function.pointer.pointee.code
          constants = function.pointer.pointee.constants
        case .tailCall(let f, let b, let count):
          fuel &-= 1
          if fuel <= 0 { break running }
          // Kept: the registers that hold it go.
          guard case .function(let function, let captures) = regs[Int(f)] else {
            throw mistyped("a function", regs + Int(f))
          }
          regs = become(fiber, frame, function, regs + Int(b), Int(count))
          copyCaptures(captures.slots, to: regs + function.pointer.pointee.arity, function.pointer.pointee.captureCount)
          pc = function.pointer.pointee.code
          constants = function.pointer.pointee.constants
        case .ret(let r):
          let value = (regs + Int(r)).move()
          (regs + Int(r)).initialize(to: .unit)
          for place in 0..<frame.pointee.function.pointer.pointee.registers { clear(regs + place) }
          let slot = frame.pointee.result
          fiber.frameCount -= 1
          if fiber.frameCount == 0 { return .finished(value) }
          frame -= 1
          pc = frame.pointee.pc
          regs = fiber.stack + frame.pointee.base
          constants = frame.pointee.function.pointer.pointee.constants
          put(fiber.stack + slot, value)
        case .closure(let d, let f, let b):
          let function = program.functionTable[Int(f)]
          let captures = Fields.copying(regs + Int(b), function.pointer.pointee.captureCount)
          put(regs + Int(d), .function(function, captures))

        // Ends
        case .pushDefer(let s): fiber.defers.append((fiber.frameCount, regs[Int(s)]))
        case .runDefers(let b):
          if let last = fiber.defers.last, last.depth == fiber.frameCount {
            fiber.defers.removeLast()
            // Back to this instruction, until none is left.
            frame.pointee.pc = pc - 1
            (frame, regs, pc, constants) = try enterDeferred(fiber, last.function, base: b, depthLimit)
          }
        case .unwind(let b):
          if let last = fiber.defers.last, last.depth == fiber.frameCount {
            fiber.defers.removeLast()
            frame.pointee.pc = pc - 1
            (frame, regs, pc, constants) = try enterDeferred(fiber, last.function, base: b, depthLimit)
          } else {
            guard let trap = fiber.unwinding?.trap else { throw .broken("nothing to unwind") }
            fiber.unwinding = nil
            throw trap
          }
        case .enterLimits:
          fiber.budget = Budget(
            parent: fiber.budget, depth: fiber.frameCount, owner: fiber.id,
            limits: frame.pointee.function.pointer.pointee.limits)
        case .leaveLimits: fiber.budget = fiber.budget?.parent
        case .fail(let k, let m):
          throw Trap(constants[Int(k)].asString ?? "Failed", saying: regs[Int(m)], program.names)
        case .unmatched: throw .unmatched
        }
      }
      // Out of fuel: the same instruction again when there is more.
      frame.pointee.pc = pc - 1
      return .outOfFuel
    } catch {
      (fiber.frames + (fiber.frameCount - 1)).pointee.pc = pc
      throw error
    }
  }
}
