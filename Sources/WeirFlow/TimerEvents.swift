import WeirCore

/// A source that ticks: `sourceText(name, "")` at every multiple of a time after its start, so that it does not drift.
///
/// A tick is a fact about now, not data: while one waits to be taken, further ones are left out, and a slow handler sees
/// the next at the next multiple.
package final class TimerEvents {
  private let name: String
  private let every: Duration
  private let loop: any Loop
  private unowned let queue: EventQueue
  private var next: Instant
  private var timer: (any Cancellable)?

  /// The queue owns the timer, until it is cancelled.
  package static func make(name: String, every: Duration, loop: any Loop) -> EventQueue {
    let queue = EventQueue(limit: 1)
    let timer = TimerEvents(name, every, loop, queue)
    queue.onCancel = { timer.timer?.cancel() }
    return queue
  }

  private init(_ name: String, _ every: Duration, _ loop: any Loop, _ queue: EventQueue) {
    self.name = name
    self.every = every
    self.loop = loop
    self.queue = queue
    next = loop.now
    set()
  }

  private func set() {
    next = next + every
    // As many multiples as the loop was late.
    if next <= loop.now {
      let late = (loop.now - next).nanoseconds / every.nanoseconds + 1
      next = next + .nanoseconds(late * every.nanoseconds)
    }
    timer = loop.after(next - loop.now) { [weak self] in self?.tick() }
  }

  private func tick() {
    if !queue.isFull { queue.push(.sourceText(source: name, "")) }
    set()
  }
}
