/// What the emitter must not lose: the instructions that make loops, calls and texts cheap. Everything else about code is
/// tested by what programs do.
import Testing

@testable import WeirLang

struct MachineCodeTests {
  private func code(_ body: Core) throws -> [String] {
    let program = try Emitter.emit(program(function("f", [], body)))
    let lines = program.functions[0].disassembly().split(separator: "\n").dropFirst()
    return lines.map { line in String(line.drop { " 0123456789".contains($0) }.prefix { $0 != "(" }) }
  }

  @Test func aRoundOfACountingLoopIsItsBodyAndOneInstruction() throws {
    let sum = assign(0, op(.addInt, local(0), local(1)))
    let loop = core(
      .loop(while: op(.lessInt, local(1), int(10_000_000)), body: block(sum, assign(1, op(.addInt, local(1), int(1))))))
    let found = try code(block(bind(0, int(0)), bind(1, int(0)), loop, local(0)))
    #expect(found == ["int", "int", "constant", "jump", "addInt", "addSmall", "loopIfLessInt", "ret"])
  }

  @Test func aRoundThroughARangeIsItsBodyAndOneInstruction() throws {
    let sum = assign(0, op(.addInt, local(0), local(1)))
    let loop = core(
      .forRange(item: Local(1), from: int(0), to: int(9), inclusive: false, body: sum))
    let found = try code(block(bind(0, int(0)), loop, local(0)))
    #expect(found == ["int", "int", "int", "jump", "addInt", "nextInRange", "ret"])
  }

  @Test func aTextThatGrowsIsTakenNotCopied() throws {
    let grow = assign(0, core(.concat(.string, [local(0), text("more")])))
    #expect(
      try code(block(bind(0, text("")), grow, local(0))) == ["constant", "constant", "take", "concatStrings", "ret"])
    let twice = assign(0, core(.concat(.string, [local(0), local(0)])))
    #expect(
      try code(block(bind(0, text("")), twice, local(0))) == ["constant", "move", "move", "concatStrings", "ret"])
  }
}
