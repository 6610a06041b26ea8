import WeirCore
import WeirIO

/// One question to the real world, for commands that do nothing else meanwhile: blocks this thread, which runs a loop of its own
/// until the question is answered.
enum Awaited {
  static func value<Value>(_ ask: @escaping (World, @escaping (Value) -> Void) -> Void) -> Value {
    let loop = WeirIO.EventLoop()
    let world = RealWorld.make(loop: loop)
    var value: Value?
    loop.soon {
      ask(world) {
        value = $0
        // After whatever was put aside meanwhile.
        loop.soon { loop.stop() }
      }
    }
    loop.run()
    // Only `stop` ends a loop, and only an answer stops this one.
    guard let value else { preconditionFailure("a loop ended without the answer that ends it") }
    return value
  }
}
