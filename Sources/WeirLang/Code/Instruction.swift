/// What the machine does, one line of register transfer each. R[x] is a register of the running function's window,
/// K[x] a constant of it, F[x] a function, N[x] a native, G[x] a global of the program.
///
/// Payloads hold at most 6 bytes (a wider one comes first), so the enum is 8 bytes and decodes in two loads: one case of
/// 7 bytes slows every instruction by a tenth. Jumps are relative to the next instruction. "fuel" marks where a unit is
/// taken: at calls and at jumps backward, so that no script runs forever without passing one.
package typealias Register = UInt16

package enum Instruction {
  // Moves
  /// R[d] := K[k]
  case constant(UInt32, Register)
  /// R[d] := R[s]
  case move(Register, Register)
  /// R[d] := R[s]; R[s] := unit
  case take(Register, Register)
  /// R[d] := unit / bool / small int
  case unit(Register)
  case bool(Register, Bool)
  case int(Register, Int16)
  /// R[d] := G[g];  G[g] := R[s]
  case global(UInt32, Register)
  /// R[d] := G[g], and a trap while nothing has set it
  case watchedGlobal(UInt32, Register)
  case setGlobal(UInt32, Register)
  /// R[d] := cell(R[s]);  R[d] := R[c]^;  R[c]^ := R[s]
  case newCell(Register, Register)
  case readCell(Register, Register)
  case writeCell(Register, Register)

  // Arithmetic: R[d] := R[a] op R[b]; ints trap on overflow and division by zero
  case addInt(Register, Register, Register)
  case addSmall(Register, Register, Int16)
  case subInt(Register, Register, Register)
  case mulInt(Register, Register, Register)
  case divInt(Register, Register, Register)
  case remInt(Register, Register, Register)
  case powInt(Register, Register, Register)
  case negInt(Register, Register)
  case addFloat(Register, Register, Register)
  case subFloat(Register, Register, Register)
  case mulFloat(Register, Register, Register)
  case divFloat(Register, Register, Register)
  case remFloat(Register, Register, Register)
  case powFloat(Register, Register, Register)
  case negFloat(Register, Register)
  /// The same by what the values are.
  case add(Register, Register, Register)
  case sub(Register, Register, Register)
  case mul(Register, Register, Register)
  case div(Register, Register, Register)
  case rem(Register, Register, Register)
  case pow(Register, Register, Register)
  case neg(Register, Register)
  case intToFloat(Register, Register)

  // Comparison: R[d] := bool
  case lessInt(Register, Register, Register)
  case lessOrEqualInt(Register, Register, Register)
  case equalInt(Register, Register, Register)
  case lessFloat(Register, Register, Register)
  case lessOrEqualFloat(Register, Register, Register)
  case less(Register, Register, Register)
  case lessOrEqual(Register, Register, Register)
  case equal(Register, Register, Register)
  case notEqual(Register, Register, Register)
  case not(Register, Register)

  // Control
  case jump(Int32)
  /// jump backward; fuel
  case loop(Int32)
  /// jump backward if R[a] < R[b] / R[a] <= R[b]; fuel
  case loopIfLessInt(Register, Register, Int16)
  case loopIfLessOrEqualInt(Register, Register, Int16)
  case jumpIf(Int32, Register)
  case jumpUnless(Int32, Register)
  /// jump unless R[r] is constructor i / equals R[b] / R[a] < R[b] / R[a] <= R[b]
  case jumpUnlessTag(Register, UInt16, Int16)
  case jumpUnlessEqual(Register, Register, Int16)
  case jumpUnlessLessInt(Register, Register, Int16)
  case jumpUnlessLessOrEqualInt(Register, Register, Int16)
  /// jump unless R[r] < i / R[r] > i / R[r] is the int i
  case jumpUnlessLessSmall(Register, Int16, Int16)
  case jumpUnlessGreaterSmall(Register, Int16, Int16)
  case jumpUnlessIs(Register, Int16, Int16)
  /// jump unless the list R[r] has exactly / at least n items
  case jumpUnlessCount(Register, UInt16, Int16)
  case jumpUnlessAtLeast(Register, UInt16, Int16)
  /// R[b] list, R[b+1] position: R[d] := next item and jump backward, unless there is none; fuel
  case nextItem(Register, base: Register, Int16)
  /// R[b] current, R[b+1] end: R[d] := current, R[b] := current + 1 and jump backward, unless at the end; fuel
  case nextInRange(Register, base: Register, Int16)
  /// R[r], if it owns anything, is let go
  case clear(Register)

  // Data; the n registers from b are moved out
  /// R[d] := record of layout R.. (the layout's id is K[k] when it needs more than 16 bits)
  case record(Register, base: Register, count: UInt16)
  /// R[d] := R[d] with the layout l
  case layout(UInt32, Register)
  case field(Register, Register, UInt16)
  /// R[d] := R[d] with field i = R[s] (of a copy)
  case setField(Register, Register, UInt16)
  /// R[d] := variant of R[b...], n payloads; its tag follows as `layout`
  case variant(Register, base: Register, count: UInt16)
  case list(Register, base: Register, count: UInt16)
  /// R[b], R[b+1]: key, value …
  case map(Register, base: Register, count: UInt16)
  case item(Register, Register, UInt16)
  case restOf(Register, Register, UInt16)
  case cons(Register, Register, Register)
  case concatStrings(Register, base: Register, count: UInt16)
  case concat(Register, base: Register, count: UInt16)
  case indexList(Register, Register, Register)
  case indexMap(Register, Register, Register)
  case indexJSON(Register, Register, Register)
  case indexBytes(Register, Register, Register)
  case text(Register, Register)
  case show(Register, Register)
  case range(Register, Register, Register)
  case rangeInclusive(Register, Register, Register)

  // Calls; arguments stand at R[b...], which become the callee's R[0...]. fuel
  case call(Register, function: Register, base: Register)
  case callDirect(Register, UInt16, base: Register)
  /// R[d] := N[n](R[b...]); may suspend
  case callNative(Register, UInt16, base: Register)
  case tailCall(function: Register, base: Register, count: UInt16)
  case tailCallDirect(UInt16, base: Register, count: UInt16)
  case ret(Register)
  /// R[d] := function F[f] with the captures at R[b...]
  case closure(Register, UInt16, base: Register)

  // Ends
  /// this frame's deferred functions += R[s]
  case pushDefer(Register)
  /// calls the last deferred function at base b, and comes back here until there is none
  case runDefers(base: Register)
  /// the same while a trap is under way; then the trap goes on
  case unwind(base: Register)
  /// counters of F's limits begin / end
  case enterLimits
  case leaveLimits
  /// trap with code K[k], message R[m]
  case fail(UInt32, Register)
  case unmatched
}

extension Instruction {
  /// The machine's fetch: one load of eight bytes. Left to itself the compiler reads payload and case apart, in three.
  @inline(__always)
  static func load(_ pc: UnsafeMutablePointer<Instruction>) -> Instruction {
    unsafeBitCast(UnsafeRawPointer(pc).load(as: UInt64.self), to: Word.self).instruction
  }

  private struct Word {
    var instruction: Instruction
    var padding: UInt8
  }
}
