import WeirCore
import WeirLang

/// `std/clock`: time as the loop knows it, so that a program under a simulated clock sees simulated time.
enum ClockModule {
  /// Milliseconds that a program may sleep at once: about 68 years, what a timer of the loop can hold.
  static let sleepLimit = Int(Int32.max) * 1_000

  static var module: LibraryModule {
    LibraryModule(
      name: "std/clock",
      source: """
        // Time: what it is, and waiting.

        /// Milliseconds since the beginning of 1970, UTC.
        export extern func now() -> int ! {Clock}
        /// Milliseconds since some moment before the program began; never goes back, for measuring.
        export extern func monotonic() -> int ! {Clock}
        /// Waits this many milliseconds; everything else goes on meanwhile.
        export extern func sleep(ms: int) -> unit ! {Clock}
        """,
      natives: [
        contextual("now") { (context: NativeContext) in
          Int(try ProgramInstance.of(context).world.loop.wallClock)
        },
        contextual("monotonic") { (context: NativeContext) in
          Int(try ProgramInstance.of(context).world.loop.now.nanoseconds / 1_000_000)
        },
        suspending("sleep") { (answer: Answer<Unit>, ms: Int) in
          guard (0...sleepLimit).contains(ms) else {
            throw Trap("BadArgument", "sleep(\(ms)): from 0 to \(sleepLimit) milliseconds")
          }
          let loop = try ProgramInstance.of(answer.context).world.loop
          let timer = loop.after(.milliseconds(ms)) { answer.resume(Unit()) }
          answer.onCancel { timer.cancel() }
        },
      ]
    )
  }
}
