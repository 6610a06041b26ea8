/// What a native can reach besides its arguments: one for each running copy of a program.
///
/// The language knows no socket or clock: whatever natives of other rooms need hangs on `host` and `attachment`.
package final class NativeContext {
  /// Output, arguments and environment of the program; see `ProgramHost`.
  package let host: any ProgramHost
  /// The runtime's own state.
  package var attachment: AnyObject?
  package internal(set) unowned var scheduler: Scheduler
  /// The fiber that is calling.
  package internal(set) var fiber: Fiber
  /// The limit that has run out, for a native that answers this with a value (`Native.answersExhaustion`).
  package internal(set) var exhausted: EffectLimit?

  init(host: any ProgramHost, scheduler: Scheduler, fiber: Fiber) {
    self.host = host
    self.scheduler = scheduler
    self.fiber = fiber
  }

  package var program: Program { scheduler.program }
  package var names: ProgramNames { scheduler.program.names }

  /// The type that an argument of type `Shape` stands for.
  package func shape(_ argument: Value) throws(Trap) -> TypeShape {
    guard let place = argument.asInt, program.shapes.indices.contains(place) else { throw Trap.broken("not a shape") }
    return program.shapes[place]
  }

  /// The call will answer through the suspension; the native then returns `.suspended`.
  package func suspend() -> Suspension {
    fiber.park &+= 1
    fiber.state = .suspending
    return Suspension(context: self, fiber: fiber, park: fiber.park)
  }
}

/// What std/io and std/env need from whoever runs the program.
package protocol ProgramHost: AnyObject {
  func write(_ text: String, to stream: ProgramOutput)
  func flush()
  /// The next line of standard input without its end; nil at the end of input. May answer later.
  func readLine(_ answer: @escaping (String?) -> Void)
  /// Ends the whole program. The fiber does not go on.
  func exit(_ code: Int)
  var arguments: [String] { get }
  func environment(_ name: String) -> String?
}

package enum ProgramOutput: Sendable { case output, error }
