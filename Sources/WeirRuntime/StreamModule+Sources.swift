import WeirCore
import WeirFlow
import WeirLang

/// Sources that are neither connections nor processes: standard input and timers.
extension StreamModule {
  /// Longest time between two ticks: what a timer of the loop holds.
  static var tickLimit: Int { ClockModule.sleepLimit }

  static var sources: [Native] {
    [
      contextual("asyncReadStdinLines") { (context: NativeContext, name: String, priority: Int) in
        let streams = try StreamTable.of(context)
        return try streams.source(kind: "stdin", name: name, priority: priority, for: context.fiber) {
          try streams.input.lines(name: name, limit: streams.limits.sourceQueue)
        }
      },
      contextual("sourceOfStdinBytes") { (context: NativeContext, name: String, priority: Int, size: Int) in
        let streams = try StreamTable.of(context)
        try checkChunkSize(size)
        return try streams.source(kind: "stdinBytes", name: name, priority: priority, for: context.fiber) {
          try streams.input.chunks(of: size, name: name, limit: streams.limits.sourceQueue)
        }
      },
      contextual("timerSource") { (context: NativeContext, name: String, every: Int, priority: Int) in
        guard (1...tickLimit).contains(every) else {
          throw Trap("BadArgument", "timerSource: every \(every) ms: from 1 to \(tickLimit) milliseconds")
        }
        let loop = try ProgramInstance.of(context).world.loop
        return try StreamTable.of(context).source(kind: "timer", name: name, priority: priority, for: context.fiber) {
          TimerEvents.make(name: name, every: .milliseconds(every), loop: loop)
        }
      },
      native("cancel") { (source: StreamSource) in
        source.cancel()
        return Unit()
      },
    ]
  }

  static func checkChunkSize(_ size: Int) throws(Trap) {
    guard (1...InputCutter.chunkLimit).contains(size) else {
      throw Trap("BadArgument", "a chunk of \(size) bytes: from 1 to \(InputCutter.chunkLimit)")
    }
  }
}
