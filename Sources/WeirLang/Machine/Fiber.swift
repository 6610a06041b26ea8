/// One thread of a program: a stack of values, a stack of frames, and what it waits for. A heap object of about 1 KB, so
/// that suspending is leaving the machine's loop and ten thousand parked ones are no matter.
///
/// Knows nothing of the operation it waits for: whoever started that holds a `Suspension` and answers it. The park number
/// makes every answer but the first, and every answer after `cancel`, fall flat.
///
/// Invariant: every slot of the stack is initialised, and slots above the running function's window are scalar.
package final class Fiber {
  struct Frame {
    var function: FunctionRef
    /// The next instruction when this frame runs again.
    var pc: UnsafeMutablePointer<Instruction>
    private var baseSlot: UInt32
    private var resultSlot: UInt32

    init(function: FunctionRef, pc: UnsafeMutablePointer<Instruction>, base: Int, result: Int) {
      self.function = function
      self.pc = pc
      baseSlot = UInt32(truncatingIfNeeded: base)
      resultSlot = UInt32(truncatingIfNeeded: result)
    }

    // The depth limit times the registers of a window fits 32 bits.
    var base: Int { Int(baseSlot) }
    /// Slot that takes what this frame returns.
    var result: Int { Int(resultSlot) }
  }

  enum State {
    /// Queued, or about to be.
    case ready
    case running
    /// In a native that has called `suspend`.
    case suspending
    case parked
    case finished
  }

  /// What is put into the fiber when it next runs: a trap, or the answer of a native that has not returned yet.
  enum Delivery {
    case value(Value)
    // A trap is ten words and rare.
    indirect case trap(Trap)
  }

  final class Unwinding {
    let trap: Trap
    init(_ trap: Trap) { self.trap = trap }
  }

  // Room for about six calls inside each other, where most programs wait: what grows leaves holes behind in the heap.
  static let firstStack = 28
  static let firstFrames = 8

  // What parking and resuming touch comes first, in as few cache lines as it fits: with ten thousand fibers each line is
  // one from memory.
  var state = State.ready
  package var isCancelled = false
  /// Of the live fibers of its scheduler.
  var place = 0
  var park: UInt64 = 0
  var delivery: Delivery?
  /// Slot that takes the awaited value.
  var awaitedSlot = 0
  var cancelHook: (() -> Void)?
  package let program: Program
  var stack: UnsafeMutablePointer<Value>
  /// Raw, because frames are trivial and an array would check itself at each call.
  var frames: UnsafeMutablePointer<Frame>
  var frameCount = 0
  /// Innermost counters of `@limit`; shared with the fibers that this one spawns.
  var budget: Budget?
  var stackCapacity: Int
  var frameCapacity: Int
  /// The scheduler's number for it, for logs.
  package let id: Int
  var completion: ((Result<Value, Trap>) -> Void)?
  /// Told when it ends, with why unless it has come to its end. Not of one that is abandoned.
  private(set) var endHook: ((Trap?) -> Void)?
  /// Deferred functions with the number of frames below them.
  var defers: [(depth: Int, function: Value)] = []
  /// The trap that unwinds the fiber while its deferred functions run.
  var unwinding: Unwinding?
  /// For whoever spawned it: what this fiber works for (a request, a run).
  package var attachment: AnyObject?

  init(program: Program, id: Int) {
    self.program = program
    self.id = id
    stack = .allocate(capacity: Fiber.firstStack)
    stack.initialize(repeating: .unit, count: Fiber.firstStack)
    stackCapacity = Fiber.firstStack
    frames = .allocate(capacity: Fiber.firstFrames)
    frameCapacity = Fiber.firstFrames
  }

  deinit {
    stack.deinitialize(count: stackCapacity)
    stack.deallocate()
    frames.deallocate()
  }

  /// Also, if somebody else is told already.
  package func whenEnded(_ told: @escaping (Trap?) -> Void) {
    guard let others = endHook else {
      endHook = told
      return
    }
    endHook = {
      others($0)
      told($0)
    }
  }

  package var isFinished: Bool { state == .finished }

  /// At least `needed` slots. Moves the stack: addresses into it are void.
  func grow(to needed: Int) {
    if needed <= stackCapacity { return }
    // A little more than is needed: most fibers park soon, and keep what they have grown to.
    let capacity = needed + max(2, stackCapacity / 8)
    let larger = UnsafeMutablePointer<Value>.allocate(capacity: capacity)
    larger.moveInitialize(from: stack, count: stackCapacity)
    (larger + stackCapacity).initialize(repeating: .unit, count: capacity - stackCapacity)
    stack.deallocate()
    stack = larger
    stackCapacity = capacity
  }

  /// Room for half as many frames again.
  func growFrames() {
    let capacity = frameCapacity + frameCapacity / 2
    let larger = UnsafeMutablePointer<Frame>.allocate(capacity: capacity)
    larger.moveInitialize(from: frames, count: frameCount)
    frames.deallocate()
    frames = larger
    frameCapacity = capacity
  }

  /// Makes a fresh fiber stand at the beginning of a function.
  func enter(_ function: FunctionRef, _ arguments: [Value], _ captures: Fields) {
    let code = function.pointer.pointee
    guard arguments.count == code.arity else {
      delivery = .trap(.broken("\(code.name) takes \(code.arity) arguments, not \(arguments.count)"))
      return
    }
    grow(to: code.registers)
    for (place, argument) in (arguments + captures.array).enumerated() { stack[place] = argument }
    frames.initialize(to: Frame(function: function, pc: code.code, base: 0, result: 0))
    frameCount = 1
  }

  func takeDelivery() -> Delivery? {
    defer { delivery = nil }
    return delivery
  }

  /// Lets go of everything at once: values, deferred functions, what it waits for.
  func drop() {
    state = .finished
    park &+= 1
    frameCount = 0
    defers = []
    delivery = nil
    cancelHook = nil
    endHook = nil
    budget = nil
    stack.deinitialize(count: stackCapacity)
    stack.initialize(repeating: .unit, count: stackCapacity)
  }

  /// Function and place of each frame, innermost first.
  package func trace() -> [Trap.Call] {
    (0..<frameCount).suffix(Fiber.traceLimit).reversed().map { place in
      let function = frames[place].function.pointer.pointee
      return Trap.Call(function: function.name, span: function.span(before: frames[place].pc))
    }
  }

  /// Calls that a trap's trace shows: an endless recursion has thousands, all alike.
  static let traceLimit = 50
}

extension Function {
  /// Of the instruction before `pc`: the call a frame waits in, or the one that failed.
  func span(before pc: UnsafeMutablePointer<Instruction>) -> Span {
    let place = pc - code - 1
    return spans.indices.contains(place) ? spans[place] : span
  }
}

/// Counters of one call of a function with `@limit`s, and of the calls around it.
final class Budget {
  let parent: Budget?
  /// Frames below the function.
  let depth: Int
  /// `Fiber.id` of the fiber whose frames `depth` counts.
  let owner: Int
  private let limits: [EffectLimit]
  private var used: [Int]

  init(parent: Budget?, depth: Int, owner: Int, limits: [EffectLimit]) {
    self.parent = parent
    self.depth = depth
    self.owner = owner
    self.limits = limits
    used = Array(repeating: 0, count: limits.count)
  }

  /// Counts one use of each effect, here and in all calls around. Answers the limit that has run out; then none is counted.
  func use(_ effects: [String]) -> EffectLimit? {
    var level: Budget? = self
    while let budget = level {
      for (place, limit) in budget.limits.enumerated()
      where effects.contains(limit.effect) && budget.used[place] >= limit.count {
        return limit
      }
      level = budget.parent
    }
    level = self
    while let budget = level {
      for (place, limit) in budget.limits.enumerated() where effects.contains(limit.effect) { budget.used[place] += 1 }
      level = budget.parent
    }
    return nil
  }
}

/// A call that waits for its answer. May be kept anywhere on the loop; holding it keeps the fiber's memory alive, nothing
/// more.
package struct Suspension {
  package let context: NativeContext
  package let fiber: Fiber
  let park: UInt64

  /// Nobody waits any more: it was answered, or cancelled.
  package var isOver: Bool { fiber.park != park }
  package func resume(_ value: consuming Value) {
    if !isOver { context.scheduler.deliver(.value(value), to: fiber) }
  }
  package func fail(_ trap: Trap) { if !isOver { context.scheduler.deliver(.trap(trap), to: fiber) } }
  /// Called once if the fiber is cancelled before the answer. The last one set counts.
  package func onCancel(_ hook: @escaping () -> Void) {
    if !isOver { fiber.cancelHook = hook }
  }
}
