import Testing
import WeirCore

@testable import WeirLang

/// Suspending, resuming, cancelling, fairness, limits.
@Suite struct MachineFiberTests {
  /// Natives whose answers the test gives by hand.
  private final class Desk {
    var waiting: [(name: String, answer: Answer<Int>)] = []
    var cancelled: [String] = []
    var log: [String] = []

    var library: Library {
      Library([
        LibraryModule(
          name: "m", source: "",
          natives: [
            WeirLang.suspending("wait") { (answer: Answer<Int>, name: String) in
              self.waiting.append((name, answer))
              answer.onCancel { self.cancelled.append(name) }
            },
            WeirLang.suspending("now") { (answer: Answer<Int>, value: Int) in answer.resume(value) },
            WeirLang.native("log") { (text: String) in
              self.log.append(text)
              return Unit()
            },
            WeirLang.native("broken") { () -> Int in throw NetworkFailure.reset },
            raw("handle", arity: 1) { arguments, _ in
              .value(.handle(Watched(try arguments.get(0), self)))
            },
            raw("exhausting", arity: 0) { _, context in
              .value(.string(context.exhausted.map { "out of \($0.effect)" } ?? "fine"))
            }.answeringExhaustion(),
          ])
      ])
    }
    static let natives = [
      CoreNative(module: "m", name: "wait", arity: 1, effects: ["Net"]),
      CoreNative(module: "m", name: "now", arity: 1),
      CoreNative(module: "m", name: "log", arity: 1, effects: ["IO"]),
      CoreNative(module: "m", name: "broken", arity: 0),
      CoreNative(module: "m", name: "handle", arity: 1),
      CoreNative(module: "m", name: "exhausting", arity: 0, effects: ["Net"]),
    ]
  }

  private final class Watched: Handle {
    let name: String
    let desk: Desk
    init(_ name: String, _ desk: Desk) {
      self.name = name
      self.desk = desk
      super.init(kind: "Watched")
    }
    deinit { desk.log.append("closed \(name)") }
  }

  private func wait(_ name: String) -> Core { native(0, text(name)) }
  private func log(_ text: Core) -> Core { native(2, text) }

  private func run(
    _ desk: Desk, _ functions: CoreFunction..., limits: Scheduler.Limits = .init(), granted: Set<String>? = nil
  ) throws -> Running {
    try Running(
      CoreProgram(functions: functions, natives: Desk.natives), desk.library, limits: limits, granted: granted)
  }

  @Test func aFiberWaitsForItsAnswerDeepInItsCalls() throws {
    let desk = Desk()
    let running = try run(
      desk, function("inner", [0], op(.addInt, wait("a"), local(0))),
      function("outer", [], op(.mulInt, call(0, int(1)), wait("b"))))
    var result: Result<Value, Trap>?
    running.scheduler.spawn(running.program.functions[1]) { result = $0 }
    running.loop.run()
    #expect(result == nil && desk.waiting.map(\.name) == ["a"])
    desk.waiting[0].answer.resume(4)
    #expect(desk.waiting.count == 1, "resuming only queues")
    running.loop.run()
    desk.waiting[1].answer.resume(10)
    running.loop.run()
    #expect((try? result?.get())?.asInt == 50)
    #expect(running.scheduler.fiberCount == 0)
  }

  @Test func anAnswerAtOnceDoesNotPark() throws {
    let desk = Desk()
    let running = try run(
      desk,
      function(
        "f", [0, 1],
        when(
          op(.equalInt, local(0), int(0)), local(1),
          call(0, op(.subInt, local(0), int(1)), op(.addInt, local(1), native(1, int(1)))))))
    #expect(running.shown(0, [.int(1000), .int(0)]) == "1000")
    #expect(running.loop.turns == 1)
  }

  @Test func answersAfterTheSchedulerIsGoneDoNothing() throws {
    let desk = Desk()
    var running: Running? = try run(desk, function("f", [], tuple(native(4, text("x")), wait("a"))))
    running?.scheduler.spawn(try #require(running).program.functions[0])
    running?.loop.run()
    running = nil
    #expect(desk.log == ["closed x"])
    #expect(desk.cancelled == ["a"])
    desk.waiting[0].answer.resume(1)
    #expect(desk.waiting[0].answer.suspension.isOver)
  }

  @Test func onlyTheFirstAnswerCounts() throws {
    let desk = Desk()
    let running = try run(desk, function("f", [], tuple(wait("a"), wait("b"))))
    var result: Result<Value, Trap>?
    running.scheduler.spawn(running.program.functions[0]) { result = $0 }
    running.loop.run()
    desk.waiting[0].answer.resume(1)
    desk.waiting[0].answer.resume(2)
    desk.waiting[0].answer.fail(.cancelled)
    running.loop.run()
    #expect(desk.waiting.count == 2)
    desk.waiting[0].answer.resume(3)
    running.loop.run()
    #expect(result == nil, "an old answer does not end another wait")
    desk.waiting[1].answer.resume(4)
    running.loop.run()
    #expect((try? result?.get())?.shown(ProgramNames()) == "(1, 4)")
  }

  @Test func anAnswerCanBeATrap() throws {
    let desk = Desk()
    let running = try run(desk, function("f", [], op(.addInt, native(0, text("a"), place: 9), int(1))))
    var result: Result<Value, Trap>?
    running.scheduler.spawn(running.program.functions[0]) { result = $0 }
    running.loop.run()
    desk.waiting[0].answer.fail(Trap("Lost", "gone"))
    running.loop.run()
    guard case .failure(let trap)? = result else {
      Issue.record("no trap")
      return
    }
    #expect(trap.code == "Lost")
    #expect(trap.span == at(9))
  }

  @Test func aFailureOfANativeIsATrapOfItsCode() throws {
    let running = try run(Desk(), function("f", [], native(3)))
    #expect(running.shown(0) == "trap ConnectionReset")
  }

  @Test func cancellingAParkedFiberLetsItsHandlesGoAtOnce() throws {
    let desk = Desk()
    let running = try run(
      desk, function("f", [], block(bind(1, some(native(4, text("socket")))), wait("a"), local(1))))
    var result: Result<Value, Trap>?
    let fiber = running.scheduler.spawn(running.program.functions[0]) { result = $0 }
    running.loop.run()
    #expect(desk.log == [])
    running.scheduler.cancel(fiber)
    #expect(desk.log == ["closed socket"])
    #expect(desk.cancelled == ["a"])
    #expect(result == .failure(.cancelled))
    desk.waiting[0].answer.resume(1)
    running.loop.run()
    running.scheduler.cancel(fiber)
    #expect(desk.cancelled == ["a"])
    #expect(running.scheduler.fiberCount == 0)
  }

  @Test func aCancelledFiberRunsItsDeferredWork() throws {
    let desk = Desk()
    let running = try run(
      desk,
      function("f", [], block(core(.deferred(log(text("deferred")))), wait("a"), log(text("never")), int(1))))
    var result: Result<Value, Trap>?
    let fiber = running.scheduler.spawn(running.program.functions[0]) { result = $0 }
    running.loop.run()
    running.scheduler.cancel(fiber)
    running.loop.run()
    #expect(desk.log == ["deferred"])
    guard case .failure(let trap)? = result else {
      Issue.record("no trap")
      return
    }
    #expect(trap.code == "Cancelled")
  }

  @Test func aFiberCancelledBeforeItRanNeverRuns() throws {
    let desk = Desk()
    let running = try run(desk, function("f", [], log(text("ran"))))
    let fiber = running.scheduler.spawn(running.program.functions[0])
    running.scheduler.cancel(fiber)
    running.loop.run()
    #expect(desk.log == [])
  }

  @Test func whatAFinishedFunctionHeldIsLetGo() throws {
    let desk = Desk()
    let running = try run(
      desk, function("open", [], block(bind(1, native(4, text("x"))), int(1))),
      function("f", [], block(call(0), log(text("after")), wait("a"))))
    running.scheduler.spawn(running.program.functions[1])
    running.loop.run()
    #expect(desk.log == ["closed x", "after"])
  }

  @Test func aTailCallLetsGoOfWhatItsFunctionHeld() throws {
    let desk = Desk()
    let running = try run(
      desk, function("next", [], wait("a")),
      function("f", [], block(bind(1, native(4, text("x"))), call(0))))
    running.scheduler.spawn(running.program.functions[1])
    running.loop.run()
    #expect(desk.log == ["closed x"])
  }

  @Test func anEndlessLoopDoesNotStarveOthers() throws {
    let desk = Desk()
    let running = try run(
      desk, function("spin", [], core(.loop(while: bool(true), body: core(.literal(.unit))))),
      function("recur", [], call(1)),
      function(
        "count", [0], when(op(.equalInt, local(0), int(0)), log(text("done")), call(2, op(.subInt, local(0), int(1))))))
    let spinning = [0, 1].map { running.scheduler.spawn(running.program.functions[$0]) }
    running.scheduler.spawn(running.program.functions[2], [.int(50_000)])
    running.loop.run(turnLimit: 20)
    #expect(desk.log == ["done"])
    for fiber in spinning { running.scheduler.cancel(fiber) }
    running.loop.run(turnLimit: 40)
    #expect(running.scheduler.fiberCount == 0)
  }

  @Test func theStackOfAFiberGrows() throws {
    let depth = function(
      "depth", [0],
      when(op(.equalInt, local(0), int(0)), wait("bottom"), op(.addInt, call(0, op(.subInt, local(0), int(1))), int(1)))
    )
    let desk = Desk()
    let running = try run(desk, depth)
    var result: Result<Value, Trap>?
    running.scheduler.spawn(running.program.functions[0], [.int(9_000)]) { result = $0 }
    running.loop.run()
    desk.waiting[0].answer.resume(1)
    running.loop.run()
    #expect((try? result?.get())?.asInt == 9001)
  }

  @Test func limitsCountForEachCallAndForTheCallsInside() throws {
    let limited = function(
      "limited", [0],
      core(
        .forRange(item: nil, from: int(0), to: local(0), inclusive: false, body: call(1))),
      limits: [EffectLimit(effect: "IO", count: 3)])
    let say = function("say", [], log(text("x")))
    let desk = Desk()
    let running = try run(desk, limited, say)
    #expect(running.shown(0, [.int(3)]) == "()")
    #expect(running.shown(0, [.int(3)]) == "()", "anew for each call")
    #expect(running.shown(1) == "()", "none outside")
    #expect(running.shown(0, [.int(4)]) == "trap LimitReached")
    #expect(desk.log.count == 10)
  }

  @Test func aNativeMayAnswerThatItsLimitRanOut() throws {
    let body = function("f", [], tuple(native(5), native(5)), limits: [EffectLimit(effect: "Net", count: 1)])
    #expect(try run(Desk(), body).shown(0) == "(\"fine\", \"out of Net\")")
  }

  @Test func whatWasNotGrantedIsATrap() throws {
    let desk = Desk()
    let running = try run(
      desk, function("f", [], log(text("x"))), function("g", [], native(1, int(1))), granted: ["Net"])
    #expect(running.shown(0) == "trap NotGranted")
    #expect(running.shown(1) == "1")
    #expect(desk.log == [])
  }

  @Test func tenThousandParkedFibersAreAnsweredInOrder() throws {
    let desk = Desk()
    let running = try run(desk, function("f", [0], op(.addInt, wait("x"), local(0))))
    var sum = 0
    for n in 0..<10_000 {
      running.scheduler.spawn(running.program.functions[0], [.int(n)]) { sum += (try? $0.get())?.asInt ?? 0 }
    }
    running.loop.run()
    #expect(running.scheduler.fiberCount == 10_000)
    for (_, answer) in desk.waiting { answer.resume(1) }
    running.loop.run()
    #expect(sum == 10_000 + (0..<10_000).reduce(0, +))
  }

  // MARK: std/task

  private func tasks(_ desk: Desk, _ name: String, _ jobs: [Core], limit: Int? = nil) throws -> (Running, () -> String)
  {
    var natives = Desk.natives
    natives.append(CoreNative(module: "std/task", name: name, arity: limit == nil ? 1 : 2))
    let arguments = [core(.list(jobs.map { lambda([], $0) }))] + (limit.map { [int($0)] } ?? [])
    let body = function("f", [], core(.callNative(natives.count - 1, arguments)))
    let running = try Running(CoreProgram(functions: [body], natives: natives), desk.library + [.task])
    var result: Result<Value, Trap>?
    running.scheduler.spawn(running.program.functions[0]) { result = $0 }
    running.loop.run()
    return (
      running,
      {
        running.loop.run()
        return switch result {
        case .success(let value)?: value.shown(running.program.names)
        case .failure(let trap)?: "trap \(trap.code)"
        case nil: "waiting"
        }
      }
    )
  }

  @Test func jobsRunAtOnceAndAnswerInOrder() throws {
    let desk = Desk()
    let (_, shown) = try tasks(desk, "all", [wait("a"), wait("b"), wait("c")], limit: 2)
    #expect(desk.waiting.map(\.name) == ["a", "b"])
    desk.waiting[1].answer.resume(2)
    #expect(shown() == "waiting")
    #expect(desk.waiting.map(\.name) == ["a", "b", "c"])
    desk.waiting[2].answer.resume(3)
    desk.waiting[0].answer.resume(1)
    #expect(shown() == "[1, 2, 3]")
  }

  @Test func oneFailureEndsAllAndCancelsTheOthers() throws {
    let desk = Desk()
    let (running, shown) = try tasks(desk, "all", [wait("a"), op(.divInt, wait("b"), int(0))], limit: 0)
    desk.waiting[1].answer.resume(2)
    #expect(shown() == "trap DivisionByZero")
    #expect(desk.cancelled == ["a"])
    #expect(running.scheduler.fiberCount == 0)
  }

  @Test func settledJobsKeepTheirFailures() throws {
    let desk = Desk()
    let (_, shown) = try tasks(desk, "settle", [op(.divInt, int(1), int(0)), int(2)], limit: 0)
    #expect(shown() == "[Err({code: \"DivisionByZero\", index: 0, message: \"division by zero\"}), Ok(2)]")
  }

  @Test func theFirstOfARaceCancelsTheOthers() throws {
    let desk = Desk()
    let (_, shown) = try tasks(desk, "race", [wait("a"), wait("b")])
    desk.waiting[1].answer.resume(7)
    #expect(shown() == "7")
    #expect(desk.cancelled == ["a"])
  }

  @Test func firstGoesOnAfterFailures() throws {
    let desk = Desk()
    let (_, shown) = try tasks(desk, "first", [op(.divInt, int(1), int(0)), wait("b")])
    desk.waiting[0].answer.resume(7)
    #expect(shown() == "Ok(7)")
  }

  @Test func cancellingWhoWaitsCancelsTheJobs() throws {
    let desk = Desk()
    let (running, shown) = try tasks(desk, "all", [wait("a"), wait("b")], limit: 0)
    running.scheduler.cancelAll()
    #expect(shown() == "trap Cancelled")
    #expect(desk.cancelled == ["a", "b"])
    #expect(running.scheduler.fiberCount == 0)
  }

  @Test func aProgramThatIsDroppedTakesItsTasksWithIt() throws {
    let text = """
      import std/task (all)
      func main() { all([() => { while true { () }; 1 }, () => { while true { () }; 2 }], 2) }
      """
    let core = try #require(Checker.check(name: "t.weir", bytes: Array(text.utf8), library: .language).program)
    var running: Running? = try Running(core, .language)
    let entry = try #require(running?.program.entry)
    running?.scheduler.spawn(entry)
    running?.loop.run(turnLimit: 10)
    #expect(running?.scheduler.fiberCount == 3)
    running = nil
  }
}

extension Result<Value, Trap> {
  fileprivate static func == (a: Self?, b: Self) -> Bool {
    guard case .failure(let x)? = a, case .failure(let y) = b else { return false }
    return x == y
  }
}
