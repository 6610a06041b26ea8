import Testing

@testable import WeirLang

@Suite struct MachinePatternTests {
  private let shape = CoreType(
    id: CoreType.firstFree, name: "Shape",
    constructors: [CoreConstructor(name: "Circle"), CoreConstructor(name: "Rect"), CoreConstructor(name: "Dot")])

  private func shapeOf(_ index: Int, _ payload: Core...) -> Core {
    core(.variant(type: CoreType.firstFree, index: index, payload))
  }

  @Test func patterns() throws {
    let x = Local(50, "x")
    let y = Local(51, "y")
    let cases: [(Core, [(CorePattern, Core)], String)] = [
      (int(3), [(.literal(.int(3)), text("three")), (.any, text("other"))], "\"three\""),
      (int(4), [(.literal(.int(3)), text("three")), (.any, text("other"))], "\"other\""),
      (text("a"), [(.literal(.string("a")), int(1)), (.any, int(2))], "1"),
      (bool(false), [(.literal(.bool(true)), int(1)), (.literal(.bool(false)), int(2))], "2"),
      (core(.literal(.unit)), [(.literal(.unit), int(1))], "1"),
      (int(5), [(.bind(x), op(.addInt, local(50), int(1)))], "6"),
      (some(int(5)), [(.constructor(index: 1, []), int(0)), (.constructor(index: 0, [.bind(x)]), local(50))], "5"),
      (none, [(.constructor(index: 0, [.bind(x)]), local(50)), (.constructor(index: 1, []), int(0))], "0"),
      (
        shapeOf(1, int(2), some(int(3))),
        [
          (.constructor(index: 0, [.any]), int(0)),
          (.constructor(index: 1, [.bind(x), .constructor(index: 0, [.bind(y)])]), op(.mulInt, local(50), local(51))),
        ], "6"
      ),
      (tuple(int(1), int(2)), [(.record([(index: 1, pattern: .bind(x))]), local(50))], "2"),
      (list(), [(.list([], rest: nil), int(0)), (.any, int(1))], "0"),
      (
        list(int(1), int(2)), [(.list([.bind(x)], rest: nil), int(0)), (.list([.bind(x)], rest: .bind(y)), local(51))],
        "[2]"
      ),
      (list(int(1)), [(.list([.any, .any], rest: .any), int(0)), (.any, int(1))], "1"),
      (some(int(5)), [(.named(y, .constructor(index: 0, [.any])), local(51)), (.any, none)], "Some(5)"),
      (
        tuple(int(2), int(9)),
        [
          (
            .either([
              .record([(index: 0, pattern: .literal(.int(1))), (index: 1, pattern: .bind(x))]),
              .record([(index: 0, pattern: .literal(.int(2))), (index: 1, pattern: .bind(x))]),
            ]), local(50)
          ), (.any, int(0)),
        ], "9"
      ),
    ]
    for (subject, arms, expected) in cases {
      let body = core(.match(subject, arms.map { CoreArm($0.0, $0.1) }))
      #expect(try result(of: body, types: [shape]) == expected)
    }
  }

  @Test func aGuardThatFailsGoesOn() throws {
    let body = { (n: Int) in
      core(
        .match(
          int(n),
          [
            CoreArm(.bind(Local(1)), if: op(.greaterInt, local(1), int(10)), text("big")),
            CoreArm(.bind(Local(2)), if: op(.greaterInt, local(2), int(5)), op(.text, local(2))),
            CoreArm(.any, text("small")),
          ]))
    }
    #expect(try result(of: body(11)) == "\"big\"")
    #expect(try result(of: body(7)) == "\"7\"")
    #expect(try result(of: body(1)) == "\"small\"")
  }

  @Test func anAssignedPatternVariableDoesNotChangeTheSubject() throws {
    let body = block(
      bind(1, int(5)),
      match(local(1), (.bind(Local(2)), block(assign(2, int(9)), op(.addInt, local(1), local(2))))))
    #expect(try result(of: body) == "14")
  }

  @Test func matchIsInTailPosition() throws {
    let walk = function(
      "walk", [0, 1],
      match(
        local(0), (.list([], rest: nil), local(1)),
        (.list([.bind(Local(2))], rest: .bind(Local(3))), call(0, local(3), op(.addInt, local(1), local(2))))))
    let items = Value.list(List((0..<100_000).map { .int($0) }))
    #expect(try Running(program(walk)).shown(0, [items, .int(0)]) == "4999950000")
  }
}
