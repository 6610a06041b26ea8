import WeirCore
import WeirIO
import WeirLang
import WeirRuntime

/// Runs tests in the real world, one after the other, each on a fresh copy of its program: no test sees what another did to
/// a global, an agent's memory or a server.
///
/// What a program prints goes to stderr: stdout is for the results.
package final class TestRun {
  /// One test's; an endless one is stopped by it.
  package static let timeLimit = Duration.seconds(60)

  package struct Outcome {
    package let milliseconds: Int
    /// Rendered, and as JSON; nil when the test passed.
    package let failure: (text: String, json: JSONValue)?
  }

  private let loop = WeirIO.EventLoop()
  private let world: World
  private let limit: Duration
  private let color: Bool
  private var signals: Signals?
  /// The exit status of a signal that came.
  package private(set) var interrupted: Int?

  package init(limit: Duration, color: Bool) {
    self.limit = limit
    self.color = color
    var world = RealWorld.make(loop: loop)
    world.console = HandlerConsole(input: world.console) { text, _ in Terminal.talk(text) }
    self.world = world
  }

  /// From now on an interrupt ends the test that runs. One run of a process can ask for this.
  package func endOnSignals() throws {
    signals = try Signals(loop, [.interrupt, .terminate]) { [unowned self] signal in
      interrupted = signal == .interrupt ? 130 : 143
      loop.stop()
    }
  }

  deinit { signals?.cancel() }

  /// Blocks this thread until the test is over; nil when a signal ended it.
  package func run(
    _ test: TestFile.Test, of file: TestFile, _ options: ProgramInstance.Options, granted: EffectSet
  ) -> Outcome? {
    var outcome: Outcome?
    var instance: ProgramInstance?
    loop.soon { [loop, world] in
      let begun = loop.now
      func end(_ trap: Trap?) {
        guard outcome == nil else { return }
        let milliseconds = Int((loop.now - begun).milliseconds)
        outcome = Outcome(
          milliseconds: milliseconds,
          failure: trap.map { (file.file.rendered($0, color: self.color), file.file.json($0)) })
        loop.stop()
      }
      do {
        let made = try ProgramRun(file.file, project: file.project, options: options, color: self.color)
          .instance(on: loop, world: world, granted: granted)
        instance = made
        let function = made.program.function(of: made.program.exports[test.export])
        let timer = loop.after(self.limit) { end(self.overtime(made.performing, function)) }
        made.onExit = { code in
          end(Trap("ProgramExited", "the test ended the whole program, with exit(\(code))", span: function.span))
        }
        made.perform(function) { result in
          timer.cancel()
          // `onExit` says so.
          if made.isLeaving { return }
          guard case .failure(var trap) = result else { return end(nil) }
          if trap.span.isNone { trap.span = function.span }
          end(trap)
        }
      } catch {
        end(Trap(error))
      }
    }
    loop.run()
    // What is given up now is no result.
    let result = outcome
    instance?.abandon()
    return result
  }

  /// With the place where the test was when its time had come.
  private func overtime(_ fiber: Fiber?, _ function: FunctionRef) -> Trap {
    let trace = fiber?.trace() ?? []
    return Trap(
      "TimeLimit", "the test did not end within \(limit.text)", hint: "--time-limit gives it longer",
      span: trace.first?.span ?? function.span, trace: trace)
  }
}
