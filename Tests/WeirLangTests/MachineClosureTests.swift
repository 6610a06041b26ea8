import Testing

@testable import WeirLang

/// Captures, cells, recursive lambdas, `defer`.
@Suite struct MachineClosureTests {
  @Test func aLambdaCapturesByValue() throws {
    let body = block(bind(1, int(10)), bind(2, lambda([3], op(.addInt, local(1), local(3)))), apply(local(2), int(5)))
    #expect(try result(of: body) == "15")
  }

  @Test func aCapturedVarIsSharedThroughACell() throws {
    let body = block(
      bind(1, int(0)),
      bind(2, lambda([], block(assign(1, op(.addInt, local(1), int(1))), local(1)))),
      apply(local(2)), apply(local(2)),
      assign(1, op(.mulInt, local(1), int(10))),
      tuple(apply(local(2)), local(1)))
    #expect(try result(of: body) == "(21, 21)")
  }

  @Test func everyRoundOfALoopHasItsOwnVar() throws {
    // fs = [] ; for i in 0..3 { var x = i; fs = fs ++ [() => { x = x + 1; x }] } ; [fs[0](), fs[0](), fs[2]()]
    let body = block(
      bind(1, list()),
      core(
        .forRange(
          item: Local(2), from: int(0), to: int(3), inclusive: false,
          body: block(
            bind(3, local(2)),
            assign(
              1,
              core(
                .concat(.list, [local(1), list(lambda([], block(assign(3, op(.addInt, local(3), int(1))), local(3))))]))
            )
          ))),
      list(
        apply(op(.indexList, local(1), int(0))), apply(op(.indexList, local(1), int(0))),
        apply(op(.indexList, local(1), int(2)))))
    #expect(try result(of: body) == "[1, 2, 3]")
  }

  @Test func capturesReachThroughTwoLambdas() throws {
    let body = block(
      bind(1, int(1)), bind(9, int(0)),
      bind(
        2,
        lambda(
          [3],
          lambda(
            [4],
            block(assign(9, op(.addInt, local(9), local(4))), op(.addInt, local(1), op(.addInt, local(3), local(4))))))),
      tuple(apply(apply(local(2), int(10)), int(100)), local(9)))
    #expect(try result(of: body) == "(111, 100)")
  }

  @Test func aLambdaCanCallItself() throws {
    let factorial = lambda(
      [2],
      when(
        op(.lessInt, local(2), int(2)), local(3), op(.mulInt, local(2), apply(local(1), op(.subInt, local(2), int(1)))))
    )
    #expect(try result(of: block(bind(3, int(1)), bind(1, factorial), apply(local(1), int(10)))) == "3628800")
    let plain = lambda(
      [2],
      when(
        op(.lessInt, local(2), int(2)), int(1), op(.mulInt, local(2), apply(local(1), op(.subInt, local(2), int(1))))))
    #expect(try result(of: block(bind(1, plain), apply(local(1), int(10)))) == "3628800")
  }

  @Test func aParameterCanBeACapturedVar() throws {
    let f = function(
      "f", [0, 1],
      block(
        bind(2, lambda([], assign(0, op(.addInt, local(0), local(1))))), apply(local(2)), apply(local(2)), local(0)))
    #expect(try Running(program(f)).shown(0, [.int(1), .int(5)]) == "11")
  }

  @Test func aNativeCanBeAValue() throws {
    let library = Library([
      LibraryModule(name: "m", source: "", natives: [WeirLang.native("double") { (x: Int) in x * 2 }])
    ])
    let running = try Running(
      program(
        function("f", [], apply(core(.native(0)), int(4))), natives: [CoreNative(module: "m", name: "double", arity: 1)]
      ),
      library)
    #expect(running.shown(0) == "8")
  }

  private func logging(_ body: Core, extra: CoreFunction...) throws -> (String, String) {
    var log = ""
    let library = Library([
      LibraryModule(
        name: "m", source: "",
        natives: [
          WeirLang.native("log") { (text: String) in
            log += text
            return Unit()
          }
        ])
    ])
    var core = program(function("f", [], body), natives: [CoreNative(module: "m", name: "log", arity: 1)])
    core.functions += extra
    let shown = try Running(core, library).shown(0)
    return (shown, log)
  }

  @Test func deferredWorkRunsLastFirstWhenTheFunctionEnds() throws {
    let (shown, log) = try logging(
      block(
        core(.deferred(native(0, text("a")))), core(.deferred(native(0, text("b")))), native(0, text("body ")), int(7)))
    #expect(shown == "7")
    #expect(log == "body ba")
  }

  @Test func deferredWorkRunsOnReturnAndOnTraps() throws {
    let early = try logging(
      block(
        core(.deferred(native(0, text("x")))), when(bool(true), core(.returned(int(1)))),
        core(.deferred(native(0, text("never")))), int(2)))
    #expect(early == ("1", "x"))
    let failing = try logging(
      block(core(.deferred(native(0, text("outer ")))), call(1), int(1)),
      extra: function(
        "g", [],
        block(
          core(.deferred(native(0, text("inner ")))), core(.deferred(op(.divInt, int(2), int(0)))),
          op(.divInt, int(1), int(0)))))
    #expect(failing == ("trap DivisionByZero", "inner outer "))
  }

  @Test func whatIsDeferredSeesTheVarsAsTheyAreThen() throws {
    let (_, log) = try logging(
      block(bind(1, text("early")), core(.deferred(native(0, local(1)))), assign(1, text("late")), int(0)))
    #expect(log == "late")
  }
}
