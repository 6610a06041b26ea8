import Testing

@testable import WeirLang

/// Expressions, functions and control, from Core made by hand.
@Suite struct MachineTests {
  @Test func instructionsAreEightBytesAndValuesTwentyFour() {
    #expect(MemoryLayout<Instruction>.stride == 8)
    #expect(MemoryLayout<Value>.stride == 24)
    #expect(MemoryLayout<Value>.size == 17)
  }

  @Test func expressions() throws {
    let cases: [(Core, String)] = [
      (int(7), "7"),
      (int(1_000_000_000_000), "1000000000000"),
      (core(.literal(.float(1.5))), "1.5"),
      (text("a\"b"), "\"a\\\"b\""),
      (core(.literal(.unit)), "()"),
      (op(.addInt, int(2), int(3)), "5"),
      (op(.subInt, int(2), int(30_000)), "-29998"),
      (op(.subInt, int(2), int(Int(Int16.min))), "32770"),
      (op(.mulInt, op(.addInt, int(1), int(2)), int(4)), "12"),
      (op(.divInt, int(-7), int(2)), "-3"),
      (op(.remInt, int(-7), int(2)), "-1"),
      (op(.remInt, int(Int.min), int(-1)), "0"),
      (op(.powInt, int(3), int(4)), "81"),
      (op(.powFloat, core(.literal(.float(2))), core(.literal(.float(0.5)))), "1.4142135623730951"),
      (op(.add, core(.literal(.float(1.5))), core(.literal(.float(2)))), "3.5"),
      (op(.lessInt, int(1), int(2)), "true"),
      (op(.greaterInt, int(1), int(2)), "false"),
      (op(.greaterOrEqualInt, int(2), int(2)), "true"),
      (op(.less, text("a"), text("b")), "true"),
      (op(.equal, tuple(int(1), list(int(2))), tuple(int(1), list(int(2)))), "true"),
      (op(.notEqual, some(int(1)), none), "true"),
      (op(.equal, text("é"), text("e\u{301}")), "false"),
      (tuple(int(1), text("x")), "(1, \"x\")"),
      (core(.record(names: ["a", "b"], [(1, int(2)), (0, int(1))])), "{a: 1, b: 2}"),
      (core(.field(core(.record(names: ["a", "b"], [(1, int(2)), (0, int(1))])), 1)), "2"),
      (
        core(.update(core(.record(names: ["a", "b"], [(0, int(1)), (1, int(2))])), [(index: 0, value: int(9))])),
        "{a: 9, b: 2}"
      ),
      (list(some(int(1)), none), "[Some(1), None]"),
      (op(.cons, int(1), list(int(2))), "[1, 2]"),
      (core(.concat(.list, [list(int(1)), list(), list(int(2), int(3))])), "[1, 2, 3]"),
      (core(.concat(.string, [text("a"), op(.text, int(1)), op(.text, text("b"))])), "\"a1b\""),
      (core(.map([(text("k"), int(1)), (text("l"), int(2)), (text("k"), int(3))])), "{\"k\": 3, \"l\": 2}"),
      (op(.indexMap, core(.map([(int(1), text("x"))])), int(1)), "Some(\"x\")"),
      (op(.indexList, list(int(1), int(2)), int(1)), "2"),
      (op(.range, int(1), int(4)), "[1, 2, 3]"),
      (op(.rangeInclusive, int(1), int(1)), "[1]"),
      (when(op(.lessInt, int(1), int(2)), text("yes"), text("no")), "\"yes\""),
      (when(bool(false), core(.literal(.unit))), "()"),
      (when(when(bool(true), op(.lessInt, int(3), int(2)), bool(false)), int(1), int(2)), "2"),
      (when(when(op(.lessInt, int(3), int(2)), bool(true), op(.equalInt, int(1), int(1))), int(1), int(2)), "1"),
      (when(op(.not, bool(false)), int(1), int(2)), "1"),
      (block(bind(1, int(1)), bind(2, op(.addInt, local(1), int(1))), op(.addInt, local(1), local(2))), "3"),
      // An operand that was read stays as it was read.
      (block(bind(1, int(1)), op(.addInt, local(1), block(assign(1, int(10)), local(1)))), "11"),
      (apply(core(.constructor(type: TypeTag.option.id, index: 0, arity: 1)), int(4)), "Some(4)"),
      (core(.constructor(type: TypeTag.option.id, index: 1, arity: 0)), "None"),
    ]
    for (body, expected) in cases {
      let shown = try result(of: body)
      #expect(shown == expected)
    }
  }

  @Test func aLongListLiteralIsBuiltInRuns() throws {
    let items = (0..<1000).map { int($0) }
    let running = try Running(program(function("f", [], core(.list(items)))))
    guard case .success(.list(let list))? = running.call(0) else {
      Issue.record("no list")
      return
    }
    #expect(list.count == 1000)
    #expect((0..<1000).allSatisfy { list[$0].asInt == $0 })
  }

  @Test func recursion() throws {
    let fib = function(
      "fib", [0],
      when(
        op(.lessInt, local(0), int(2)), local(0),
        op(.addInt, call(0, op(.subInt, local(0), int(1))), call(0, op(.subInt, local(0), int(2))))))
    #expect(try Running(program(fib)).shown(0, [.int(20)]) == "6765")
  }

  @Test func aMillionTailCallsNeedOneFrame() throws {
    let count = function(
      "count", [0, 1],
      when(
        op(.equalInt, local(0), int(0)), local(1),
        call(0, op(.subInt, local(0), int(1)), op(.addInt, local(1), int(1)))))
    #expect(try Running(program(count)).shown(0, [.int(1_000_000), .int(0)]) == "1000000")
  }

  @Test func tailCallsThroughFunctionValuesNeedOneFrame() throws {
    // f(n, g) = if n == 0 then 0 else g(n - 1, g)
    let step = function(
      "f", [0, 1],
      when(op(.equalInt, local(0), int(0)), int(0), apply(local(1), op(.subInt, local(0), int(1)), local(1))))
    let start = function("start", [], call(0, int(100_000), core(.function(0))))
    #expect(try Running(program(step, start)).shown(1) == "0")
  }

  @Test func endlessRecursionIsATrapWithItsPlace() throws {
    let deep = function("deep", [0], op(.addInt, call(0, op(.addInt, local(0), int(1)), place: 5), int(1)))
    let running = try Running(program(deep))
    guard case .failure(let trap)? = running.call(0, [.int(0)]) else {
      Issue.record("no trap")
      return
    }
    #expect(trap.code == "TooDeep")
    #expect(trap.span == at(5))
    #expect(trap.trace.count == Fiber.traceLimit)
    #expect(trap.trace.first?.function == "deep")
  }

  @Test func trapsNameTheirPlaceAndTheCallsAround() throws {
    let inner = function("inner", [0], op(.divInt, int(1), local(0), place: 3))
    let outer = function("outer", [], op(.addInt, call(0, int(0), place: 8), int(1)))
    let running = try Running(program(inner, outer))
    guard case .failure(let trap)? = running.call(1) else {
      Issue.record("no trap")
      return
    }
    #expect(trap.code == "DivisionByZero")
    #expect(trap.span == at(3))
    #expect(trap.trace == [.init(function: "inner", span: at(3)), .init(function: "outer", span: at(8))])
  }

  @Test func traps() throws {
    let cases: [(Core, String)] = [
      (op(.addInt, int(Int.max), op(.addInt, int(0), int(1))), "Overflow"),
      (op(.addInt, int(Int.max), int(1)), "Overflow"),
      (op(.subInt, int(Int.min), int(1)), "Overflow"),
      (op(.mulInt, int(Int.max), int(2)), "Overflow"),
      (op(.divInt, int(Int.min), int(-1)), "Overflow"),
      (op(.negInt, int(Int.min)), "Overflow"),
      (op(.powInt, int(10), int(19)), "Overflow"),
      (op(.powInt, int(2), int(-1)), "NegativeExponent"),
      (op(.divInt, int(1), int(0)), "DivisionByZero"),
      (op(.remInt, int(1), int(0)), "DivisionByZero"),
      (op(.rem, int(1), int(0)), "DivisionByZero"),
      (op(.indexList, list(int(1)), int(1)), "OutOfBounds"),
      (op(.indexList, list(int(1)), int(-1)), "OutOfBounds"),
      (op(.range, int(0), int(Int.max)), "RangeTooLarge"),
      (op(.range, int(Int.min), int(Int.max)), "RangeTooLarge"),
      (match(int(1), (.literal(.int(2)), int(0))), "Unmatched"),
      (core(.fail(code: "AssertionFailed", message: text("no"))), "AssertionFailed"),
      // What the checker would never let through is a trap too, not a crash.
      (op(.addInt, text("a"), int(1)), "InternalError"),
      (apply(int(1)), "InternalError"),
      (core(.field(int(1), 0)), "InternalError"),
    ]
    for (body, code) in cases { #expect(try result(of: body) == "trap \(code)") }
  }

  @Test func loops() throws {
    let sum = block(
      bind(1, int(0)), bind(2, int(0)),
      core(
        .loop(
          while: op(.lessInt, local(2), int(10)),
          body: block(assign(2, op(.addInt, local(2), int(1))), assign(1, op(.addInt, local(1), local(2)))))),
      local(1))
    #expect(try result(of: sum) == "55")

    let skipping = block(
      bind(1, int(0)),
      core(
        .forRange(
          item: Local(2), from: int(0), to: int(10), inclusive: true,
          body: block(
            when(op(.equalInt, op(.remInt, local(2), int(2)), int(1)), core(.continueLoop)),
            when(op(.equalInt, local(2), int(8)), core(.breakLoop)),
            assign(1, op(.addInt, local(1), local(2)))))),
      local(1))
    #expect(try result(of: skipping) == "12")

    let each = block(
      bind(1, int(0)),
      core(
        .forEach(
          item: .record([(index: 1, pattern: .bind(Local(2)))]), index: Local(3),
          in: list(tuple(int(1), int(10)), tuple(int(2), int(20))),
          body: assign(1, op(.addInt, local(1), op(.addInt, local(2), local(3)))))),
      local(1))
    #expect(try result(of: each) == "31")
  }

  @Test func returnLeavesFromInside() throws {
    let find = function(
      "find", [0],
      block(
        core(
          .forEach(
            item: .bind(Local(1)), index: nil, in: local(0),
            body: when(op(.greaterInt, local(1), int(2)), core(.returned(some(local(1))))))),
        none))
    let running = try Running(program(find))
    #expect(running.shown(0, [.list(List([.int(1), .int(5), .int(7)]))]) == "Some(5)")
    #expect(running.shown(0, [.list(List([.int(1)]))]) == "None")
  }

  @Test func attemptReturnsTheFailure() throws {
    let body = function("f", [0], some(op(.addInt, core(.attempt(local(0), success: 0)), int(1))))
    let running = try Running(program(body))
    #expect(running.shown(0, [.some(.int(1))]) == "Some(2)")
    #expect(running.shown(0, [.none]) == "None")
  }

  @Test func globalsAreSetInOrderBeforeTheScript() throws {
    var core = program(
      function("read", [], op(.addInt, WeirLangTests.core(.global(0)), WeirLangTests.core(.global(1)))),
      function("script", [], WeirLangTests.core(.assignGlobal(0, int(100)))),
      globals: [
        CoreGlobal(name: "a", initialiser: int(1)),
        CoreGlobal(name: "b", initialiser: op(.addInt, WeirLangTests.core(.global(0)), int(1))),
      ])
    core.script = 1
    let running = try Running(core)
    #expect(running.shown(0) == "trap InternalError")
    _ = running.initialise()
    #expect(running.shown(0) == "102")
  }
}
