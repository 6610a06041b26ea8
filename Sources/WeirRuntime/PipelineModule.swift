import WeirCore
import WeirLang
import WeirStore

/// `std/pipeline` (spec/pipelines.md, spec/serve.md): what `exec`, `guard`, `step`, `stream e`, `e with {…}` and a
/// workflow's `onerror` mean. The checker turns each into a call of a function of this module, so their parts have
/// ordinary types and effects. `step` runs; the others are declared, so that such programs can be checked.
enum PipelineModule {
  static var module: LibraryModule {
    LibraryModule(
      name: "std/pipeline",
      source: """
        // Stages, guards, steps and other programs' output: what `exec`, `guard`, `step` and `with` mean.
        import std/stream (Stream, next)
        import std/json (Json, Shape)
        import std/task (attempt as tried)

        /// What a guard decides about a text.
        export type Verdict = Allowed | Changed(string) | Denied(string) | Again(string)
        /// Lets the text pass. In a guard `allow` alone lets it pass as it is.
        export func allow(changed: string) -> Verdict { Changed(changed) }
        /// Stops it; the reason is told to whoever asked.
        export func deny(why: string) -> Verdict { Denied(why) }
        /// In a guard: the guarded call is made once more with this hint.
        export func again(hint: string) -> Verdict { Again(hint) }

        /// In a stage: runs the stage before it once more, with a hint (at most 10 times for a stage, 20 in all).
        export extern func retry[a](hint: string) -> a
        /// Which run of this stage it is, from 1.
        export extern func attempt() -> int
        /// What `retry` said; "" at the first run.
        export extern func hint() -> string

        /// Behind `with`. `stream: "buffer"` validates the whole first and streams then.
        export type PipelineOptions = {stream?: bool, buffer?: bool, limit?: int, pace?: int, format?: string}
        /// The arguments of `@retry`: tries in all, `delay` in milliseconds between them, multiplied by `backoff` each time.
        export type RetryOptions = {max?: int, delay?: int, backoff?: float}
        /// Why a workflow ended early.
        export type RunError = {code: string, message: string}

        /// Everything that a stream of text gives, as one text.
        export func collect(stream: Stream[string]) -> string ! {Stream} {
          var text = ""
          for piece in stream { text = text ++ piece }
          text
        }
        extern func _streamOf(text: string) -> Stream[string]
        extern func _exec(
          language: string, code: string, arguments: Map[string, Json], input: Option[string], options: PipelineOptions
        ) -> string ! {Process}
        extern func _execStream(
          language: string, code: string, arguments: Map[string, Json], input: Option[string], options: PipelineOptions
        ) -> Stream[string] ! {Process}
        extern func _guard(moment: string, kind: string, name: string, keep: int, decide: any) -> unit
        func _step[a](name: string, retry: RetryOptions, body: () -> a, shape: Shape[a]) -> a {
          match _stepBegin(name, shape) {
            Some(value) => value,
            None => {
              defer _stepLeave()
              let value = _stepTried(retry, body)
              _stepEnd(value)
              value
            }
          }
        }
        func _stepTried[a](retry: RetryOptions, body: () -> a) -> a {
          var left = match retry.max { Some(max) => max, None => 1 }
          var delay = match retry.delay { Some(ms) => ms, None => 0 }
          let backoff = match retry.backoff { Some(factor) => factor, None => 1.0 }
          _checkRetry(left, delay, backoff)
          while left > 1 {
            match tried(body) {
              Ok(value) => if !_isFailure(value) { return value },
              Err(_) => ()
            }
            _stepFailed()
            left = left - 1
            delay = _pause(delay, backoff)
          }
          body()
        }
        /// What an earlier life of the run has kept; `None`: the step begins.
        extern func _stepBegin[a](name: string, shape: Shape[a]) -> Option[a]
        /// Keeps the step's value, unless that is a failure.
        extern func _stepEnd[a](value: a) -> unit
        /// A try has failed, and there is another one.
        extern func _stepFailed() -> unit
        extern func _stepLeave() -> unit
        extern func _isFailure[a](value: a) -> bool
        extern func _checkRetry(max: int, delay: int, backoff: float) -> unit
        /// Waits, and gives the next delay.
        extern func _pause(delay: int, backoff: float) -> int
        extern func _stream[a](job: () -> a ! e) -> a ! e
        extern func _streamPrinted[a](job: () -> a ! e) -> a ! {IO, e}
        extern func _with[a](options: PipelineOptions, job: () -> a ! e) -> a ! e
        extern func _onError(handler: (RunError) -> unit ! e) -> unit ! e
        extern func _onSuccess(handler: () -> unit ! e) -> unit ! e
        extern func _onCancel(handler: () -> unit ! e) -> unit ! e
        """,
      natives: steps,
      absent: absent("retry", "attempt", "hint").merging([
        "_streamOf": "text handed to a stage that takes a stream", "_exec": "`exec` functions",
        "_execStream": "`exec` functions", "_guard": "`guard`",
        "_stream": "`stream` before an expression", "_streamPrinted": "`stream` before an expression",
        "_with": "`with {…}`", "_onError": "`onerror`", "_onSuccess": "`onsuccess`", "_onCancel": "`oncancel`",
      ]) { first, _ in first }
    )
  }

  // MARK: Steps

  private static var steps: [Native] {
    [
      raw("_stepBegin", arity: 2) { arguments, context in
        let name = try arguments.get(0, as: String.self)
        let shape = try context.shape(arguments[1])
        let fiber = context.fiber
        let outer = try ProgramInstance.of(context).run(of: fiber)
        let names = context.names
        let suspension = context.suspend()
        outer.run.begin(step: name, in: outer.frame) { result in
          switch result {
          case .failure(let failure): suspension.fail(Trap(failure))
          case .success(.begins(let step)):
            // Whoever gave up the wait has left it already.
            if !suspension.isOver { fiber.attachment = RunFrame(step, inside: outer) }
            suspension.resume(.none)
          case .success(.passed(let value)):
            do throws(Value.Mismatch) {
              suspension.resume(.some(try Value.decode(value, as: shape, names)))
            } catch {
              suspension.fail(.changed("step \"\(name)\"", error))
            }
          }
        }
        return .suspended
      },
      raw("_stepEnd", arity: 1) { arguments, context in
        let step = try ProgramInstance.of(context).run(of: context.fiber)
        let value = isFailure(arguments[0]) ? nil : try arguments[0].jsonValue(context.names, .kept)
        let suspension = context.suspend()
        if let value {
          step.run.finish(step.frame, value, suspension.kept)
        } else {
          step.run.fail(step.frame, suspension.kept)
        }
        return .suspended
      },
      raw("_stepFailed", arity: 0) { _, context in
        let step = try ProgramInstance.of(context).run(of: context.fiber)
        let suspension = context.suspend()
        step.run.fail(step.frame, isTriedAgain: true, suspension.kept)
        return .suspended
      },
      raw("_stepLeave", arity: 0) { _, context in
        if let step = context.fiber.attachment as? RunFrame, let outer = step.left {
          step.run.leave(step.frame)
          context.fiber.attachment = outer
        }
        return .value(.unit)
      },
      raw("_isFailure", arity: 1) { arguments, _ in .value(.bool(isFailure(arguments[0]))) },
      raw("_checkRetry", arity: 3) { arguments, context in
        let tries = try arguments.get(0, as: Int.self)
        let delay = try arguments.get(1, as: Int.self)
        let backoff = try arguments.get(2, as: Double.self)
        guard (1...1_000_000).contains(tries) else {
          throw Trap("BadArgument", "@retry: max: \(tries): from 1 to 1000000 tries")
        }
        guard (0...ClockModule.sleepLimit).contains(delay), backoff.isFinite, backoff >= 0 else {
          throw Trap("BadArgument", "@retry: a delay of \(delay) ms, times \(backoff)")
        }
        try ProgramInstance.of(context).run(of: context.fiber).frame.isTried = tries > 1
        return .value(.unit)
      },
      raw("_pause", arity: 2) { arguments, context in
        let delay = try arguments.get(0, as: Int.self)
        let next = Double(delay) * (try arguments.get(1, as: Double.self))
        let bounded = next < Double(ClockModule.sleepLimit) ? Int(next) : ClockModule.sleepLimit
        let loop = try ProgramInstance.of(context).world.loop
        let suspension = context.suspend()
        let timer = loop.after(.milliseconds(delay)) { suspension.resume(.int(bounded)) }
        suspension.onCancel { timer.cancel() }
        return .suspended
      },
    ]
  }

  private static func isFailure(_ value: Value) -> Bool {
    if case .variant(let tag, _) = value { tag == TypeTag.result[1] } else { false }
  }
}

extension Suspension {
  /// Goes on when something is written down, and traps when it is not.
  func kept(_ result: Result<Void, StoreFailure>) {
    switch result {
    case .success: resume(.unit)
    case .failure(let failure): fail(Trap(failure))
    }
  }
}

extension Trap {
  init(_ failure: StoreFailure) { self.init(failure.code, failure.message, hint: failure.hint) }
}
