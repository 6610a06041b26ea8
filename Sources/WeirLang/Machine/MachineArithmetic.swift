/// Reading operands, and arithmetic that is longer than an instruction's line.
extension Machine {
  /// Out of line, as every trap of the compiler's own mistakes: their sentences would crowd the loop's registers.
  @inline(never)
  static func mistyped(_ wanted: String, _ slot: UnsafeMutablePointer<Value>) -> Trap {
    .broken("\(wanted) was expected, not \(slot.pointee.caseName)")
  }

  @inline(__always)
  static func int(_ regs: UnsafeMutablePointer<Value>, _ r: Register) throws(Trap) -> Int {
    guard case .int(let i) = regs[Int(r)] else { throw mistyped("an int", regs + Int(r)) }
    return i
  }

  @inline(__always)
  static func bool(_ regs: UnsafeMutablePointer<Value>, _ r: Register) throws(Trap) -> Bool {
    guard case .bool(let b) = regs[Int(r)] else { throw mistyped("a bool", regs + Int(r)) }
    return b
  }

  @inline(__always)
  static func float(_ regs: UnsafeMutablePointer<Value>, _ r: Register) throws(Trap) -> Double {
    if case .float(let d) = regs[Int(r)] { return d }
    guard let d = regs[Int(r)].asFloat else { throw mistyped("a float", regs + Int(r)) }
    return d
  }

  @inline(__always)
  static func list(_ regs: UnsafeMutablePointer<Value>, _ r: Register) throws(Trap) -> List {
    guard case .list(let list) = regs[Int(r)] else { throw mistyped("a list", regs + Int(r)) }
    return list
  }

  static func divide(_ a: Int, _ b: Int) throws(Trap) -> Int {
    if b == 0 { throw .divisionByZero }
    let (quotient, overflow) = a.dividedReportingOverflow(by: b)
    if overflow { throw .overflow }
    return quotient
  }

  static func remainder(_ a: Int, _ b: Int) throws(Trap) -> Int {
    if b == 0 { throw .divisionByZero }
    return b == -1 ? 0 : a % b
  }

  static func power(_ base: Int, _ exponent: Int) throws(Trap) -> Int {
    guard exponent >= 0 else {
      throw Trap("NegativeExponent", "an int cannot be raised to \(exponent)", hint: "use floats: 2.0 ** -1.0")
    }
    var result = 1
    var square = base
    var rest = exponent
    while rest > 0 {
      if rest & 1 == 1 {
        let (product, overflow) = result.multipliedReportingOverflow(by: square)
        if overflow { throw .overflow }
        result = product
      }
      rest >>= 1
      if rest > 0 {
        let (next, overflow) = square.multipliedReportingOverflow(by: square)
        if overflow { throw .overflow }
        square = next
      }
    }
    return result
  }

  enum Operator { case add, sub, mul, div, rem, pow }

  /// For numbers whose type only the values know.
  static func arithmetic(_ operation: Operator, _ left: Value, _ right: Value) throws(Trap) -> Value {
    if case .int(let a) = left, case .int(let b) = right {
      switch operation {
      case .add: return .int(try checked(a.addingReportingOverflow(b)))
      case .sub: return .int(try checked(a.subtractingReportingOverflow(b)))
      case .mul: return .int(try checked(a.multipliedReportingOverflow(by: b)))
      case .div: return .int(try divide(a, b))
      case .rem: return .int(try remainder(a, b))
      case .pow: return .int(try power(a, b))
      }
    }
    guard let a = left.asFloat, let b = right.asFloat else {
      throw .broken("arithmetic on \(left.caseName) and \(right.caseName)")
    }
    switch operation {
    case .add: return .float(a + b)
    case .sub: return .float(a - b)
    case .mul: return .float(a * b)
    case .div: return .float(a / b)
    case .rem: return .float(a.truncatingRemainder(dividingBy: b))
    case .pow: return .float(floatPower(a, b))
    }
  }

  private static func checked(_ result: (partialValue: Int, overflow: Bool)) throws(Trap) -> Int {
    if result.overflow { throw .overflow }
    return result.partialValue
  }

  static func isLess(_ a: Value, _ b: Value) throws(Trap) -> Bool {
    guard let order = Value.order(a, b) else { return false }
    return order < 0
  }

  static func isLessOrEqual(_ a: Value, _ b: Value) throws(Trap) -> Bool {
    guard let order = Value.order(a, b) else { return false }
    return order <= 0
  }

  /// Items that `a..b` may have as a list. A `for` over a range makes no list.
  static let rangeLimit = 10_000_000

  static func range(_ from: Int, _ to: Int) throws(Trap) -> Value {
    guard from < to else { return .list(List()) }
    let (count, overflow) = to.subtractingReportingOverflow(from)
    guard !overflow, count <= rangeLimit else {
      throw Trap("RangeTooLarge", "a list of more than \(rangeLimit) numbers", hint: "loop over the range instead")
    }
    return .list(List((from..<to).map { .int($0) }))
  }

  /// Bytes of one string or `bytes`, and items of one list, that joining may make: a value that doubles itself in a loop
  /// is a trap before it is the end of the process.
  static let textLimit = 256 * 1024 * 1024
  static let listLimit = 20_000_000

  /// `a ++ b ++ …` of strings in the slots from `base`, which are let go. A long first part that nobody else holds grows in
  /// place, so that a text built by `text = text ++ more` is linear; otherwise all parts go into one allocation.
  static func joinStrings(_ base: UnsafeMutablePointer<Value>, _ count: Int) throws(Trap) -> String {
    var length = 0
    for place in 0..<count { length &+= try textLength(base + place) }
    if length > textLimit { throw .tooLarge("a string", "\(textLimit) bytes") }
    if try textLength(base) >= growingText, case .string(var text) = base.move() {
      base.initialize(to: .unit)
      for place in 1..<count {
        if case .string(let part) = base[place] { text.append(part) }
        clear(base + place)
      }
      return text
    }
    let text = String(unsafeUninitializedCapacity: length) { target in
      var end = 0
      for place in 0..<count {
        if case .string(let part) = base[place] { end += part.copyBytes(to: target, at: end) }
      }
      return end
    }
    for place in 0..<count { clear(base + place) }
    return text
  }

  /// Bytes of a string from which it grows in place.
  static let growingText = 256

  private static func textLength(_ slot: UnsafeMutablePointer<Value>) throws(Trap) -> Int {
    guard case .string(let part) = slot.pointee else { throw mistyped("a string", slot) }
    return part.utf8.count
  }

  static func join(_ base: UnsafeMutablePointer<Value>, _ count: Int) throws(Trap) -> Value {
    defer { for place in 0..<count { clear(base + place) } }
    guard count > 0 else { return .unit }
    if case .string = base[0] { return .string(try joinStrings(base, count)) }
    // Taken out, so that bytes that nobody else holds grow in place.
    let first = base.move()
    base.initialize(to: .unit)
    switch consume first {
    case .list(var sum):
      for place in 1..<count {
        guard case .list(let part) = base[place] else { throw mistyped("a list", base + place) }
        if sum.count + part.count > listLimit { throw .tooLarge("a list", "\(listLimit) items") }
        sum = sum.appending(part)
      }
      return .list(sum)
    case .bytes(var sum):
      for place in 1..<count {
        guard case .bytes(let part) = base[place] else { throw mistyped("bytes", base + place) }
        if sum.count + part.count > textLimit { throw .tooLarge("bytes", "\(textLimit) of them") }
        sum += part
      }
      return .bytes(sum)
    case let other: throw .broken("`++` of \(other.caseName)")
    }
  }
}

extension Fields {
  func replacing(_ index: Int, _ value: Value) -> Fields {
    let copy = Fields.copying(slots, count)
    precondition(index < copy.count, "field index")
    copy.slots[index] = value
    return copy
  }
}

extension String {
  /// Its UTF-8 from `start` on. Answers how many bytes that is.
  @inline(__always)
  fileprivate func copyBytes(to target: UnsafeMutableBufferPointer<UInt8>, at start: Int) -> Int {
    let room = UnsafeMutableBufferPointer(rebasing: target[start...])
    let direct = utf8.withContiguousStorageIfAvailable { source in
      if let from = source.baseAddress { room.baseAddress?.update(from: from, count: source.count) }
      return source.count
    }
    return direct ?? room.update(fromContentsOf: utf8)
  }
}
