/// Carries something of one loop through other threads and back, unopened.
///
/// `@unchecked Sendable` is true because `value` is read and written on the loop only: by whoever makes the box there
/// and by `take`, which asserts the loop and empties the box, so that its last release, on whatever thread, frees
/// nothing but the box.
package final class LoopBox<Value>: @unchecked Sendable {
  private let loop: EventLoop
  private var value: Value?

  package init(_ loop: EventLoop, _ value: Value) {
    self.loop = loop
    self.value = value
  }

  package func take() -> Value? {
    loop.checkIsolated()
    return value.take()
  }
}
