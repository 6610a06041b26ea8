/// Writes one function's code: one walk over its Core, each expression told which register its value goes to.
///
/// Registers are a stack: parameters, captures, then locals and temporaries as they come and go. Arguments are built
/// where the callee's window will begin, so calls copy nothing. Expressions are in EmitExpressions.swift, patterns in
/// EmitPatterns.swift; here is what both stand on.
struct FunctionEmitter {
  enum Place: Equatable {
    case register(Register)
    /// The register holds the cell of a captured `var`.
    case cell(Register)
    /// The running lambda itself: made anew from its own captures, so that recursion makes no cycle.
    case this
  }

  /// Jumps out of the loop that is being written, and to the test at its end.
  struct Loop {
    var breaks: [Int] = []
    var continues: [Int] = []
  }

  /// The lambda that is being written: its index, and where its captures begin.
  struct This {
    var index: Int
    var captures: Register
    var captureCount: Int
  }

  /// Registers a function may have: its window's addresses are 16 bits.
  static let registerLimit = 60_000

  let name: String
  let span: Span
  var arity = 0
  var captureCount = 0
  var code: [Instruction] = []
  var spans: [Span] = []
  var constants: [Value] = []
  /// Strings by their bytes: Swift's `==` takes canonically equivalent ones for the same.
  var stringPlaces: [[UInt8]: UInt32] = [:]
  var next = 0
  var registers = 0
  var places: [Int: Place] = [:]
  var cells: Set<Int> = []
  var assigned: Set<Int> = []
  var loops: [Loop] = []
  var hasDefers = false
  var hasLimits = false
  var unwindEntry: Int?
  var this: This?

  init(_ name: String, _ span: Span) {
    self.name = name
    self.span = span
  }

  /// A top-level function, whole.
  mutating func emit(_ function: CoreFunction, _ emitter: inout Emitter) throws(EmitFailure) {
    let captures = Captures(of: function)
    cells = captures.cells
    assigned = captures.assigned
    hasLimits = !function.limits.isEmpty
    try emitBody(function.parameters, captures: [], function.body, &emitter)
  }

  /// Parameters and captures are in R[0...] when the code begins.
  mutating func emitBody(
    _ parameters: [Local], captures: [Int], _ body: Core, _ emitter: inout Emitter
  ) throws(EmitFailure) {
    arity = parameters.count
    captureCount = captures.count
    hasDefers = Captures.hasDefer(body)
    if hasLimits { add(.enterLimits, span) }
    for parameter in parameters {
      let register = try allocate()
      bindPlace(parameter, register, span)
    }
    for id in captures {
      let register = try allocate()
      places[id] = cells.contains(id) ? .cell(register) : .register(register)
    }
    try emitResult(body, &emitter)
    if hasDefers {
      unwindEntry = code.count
      add(.unwind(base: Register(registers)), span)
      registers += 1
    }
  }

  /// Tail calls leave nothing to come back to.
  var canTailCall: Bool { !hasDefers && !hasLimits }

  /// Deferred functions, limits, and `ret`.
  mutating func finishCall(_ result: Register, _ span: Span) {
    if hasDefers {
      registers = max(registers, next + 1)
      add(.runDefers(base: Register(next)), span)
    }
    if hasLimits { add(.leaveLimits, span) }
    add(.ret(result), span)
  }

  func finish(_ ref: FunctionRef, limits: [EffectLimit]) {
    ref.initialise(
      name: name, span: span, arity: arity, captureCount: captureCount, registers: registers + 1, code: code,
      spans: spans, constants: constants, unwindEntry: unwindEntry, limits: limits)
  }

  // MARK: Registers and places

  mutating func allocate(_ count: Int = 1) throws(EmitFailure) -> Register {
    let first = next
    next += count
    if next > FunctionEmitter.registerLimit {
      throw .tooLarge(function: name, what: "values at once", span: span)
    }
    registers = max(registers, next)
    return Register(first)
  }

  /// The local lives in this register from now on, boxed if it must be.
  mutating func bindPlace(_ local: Local, _ register: Register, _ span: Span) {
    if cells.contains(local.id) {
      add(.newCell(register, register), span)
      places[local.id] = .cell(register)
    } else {
      places[local.id] = .register(register)
    }
  }

  func place(of local: Local, _ span: Span) throws(EmitFailure) -> Place {
    guard let place = places[local.id] else { throw .unboundLocal(local.name, function: name, span: span) }
    return place
  }

  // MARK: Code and constants

  mutating func add(_ instruction: Instruction, _ span: Span) {
    code.append(instruction)
    spans.append(span)
  }

  /// The place of a jump whose target comes later.
  mutating func addJump(_ instruction: Instruction, _ span: Span) -> Int {
    add(instruction, span)
    return code.count - 1
  }

  mutating func constant(_ literal: CoreLiteral) -> UInt32 {
    guard case .string(let text) = literal else { return constant(Value(literal)) }
    let bytes = Array(text.utf8)
    if let known = stringPlaces[bytes] { return known }
    let place = constant(Value.string(text))
    stringPlaces[bytes] = place
    return place
  }

  mutating func constant(_ value: Value) -> UInt32 {
    constants.append(value)
    return UInt32(constants.count - 1)
  }

  mutating func load(_ literal: CoreLiteral, into d: Register, _ span: Span) {
    switch literal {
    case .unit: add(.unit(d), span)
    case .bool(let b): add(.bool(d, b), span)
    case .int(let i):
      if let small = Int16(exactly: i) { add(.int(d, small), span) } else { add(.constant(constant(literal), d), span) }
    default: add(.constant(constant(literal), d), span)
    }
  }

  /// Makes a jump go to the next instruction.
  mutating func patch(_ place: Int) throws(EmitFailure) {
    let distance = code.count - place - 1
    let far = Int32(clamping: distance)
    guard let near = Int16(exactly: distance) else {
      switch code[place] {
      case .jump: code[place] = .jump(far)
      case .jumpIf(_, let r): code[place] = .jumpIf(far, r)
      case .jumpUnless(_, let r): code[place] = .jumpUnless(far, r)
      default: throw .tooLarge(function: name, what: "steps in one branch", span: spans[place])
      }
      return
    }
    switch code[place] {
    case .jump: code[place] = .jump(far)
    case .jumpIf(_, let r): code[place] = .jumpIf(far, r)
    case .jumpUnless(_, let r): code[place] = .jumpUnless(far, r)
    case .jumpUnlessTag(let r, let index, _): code[place] = .jumpUnlessTag(r, index, near)
    case .jumpUnlessEqual(let a, let b, _): code[place] = .jumpUnlessEqual(a, b, near)
    case .jumpUnlessLessInt(let a, let b, _): code[place] = .jumpUnlessLessInt(a, b, near)
    case .jumpUnlessLessOrEqualInt(let a, let b, _): code[place] = .jumpUnlessLessOrEqualInt(a, b, near)
    case .jumpUnlessLessSmall(let r, let i, _): code[place] = .jumpUnlessLessSmall(r, i, near)
    case .jumpUnlessGreaterSmall(let r, let i, _): code[place] = .jumpUnlessGreaterSmall(r, i, near)
    case .jumpUnlessIs(let r, let i, _): code[place] = .jumpUnlessIs(r, i, near)
    case .jumpUnlessCount(let r, let n, _): code[place] = .jumpUnlessCount(r, n, near)
    case .jumpUnlessAtLeast(let r, let n, _): code[place] = .jumpUnlessAtLeast(r, n, near)
    default: preconditionFailure("patch of \(code[place])")
    }
  }

  mutating func patch(_ places: [Int]) throws(EmitFailure) {
    for place in places { try patch(place) }
  }

}

extension Value {
  init(_ literal: CoreLiteral) {
    self =
      switch literal {
      case .unit: .unit
      case .bool(let b): .bool(b)
      case .int(let i): .int(i)
      case .float(let d): .float(d)
      case .string(let s): .string(s)
      case .bytes(let b): .bytes(b)
      }
  }
}
