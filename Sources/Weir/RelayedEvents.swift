import WeirCore
import WeirFlow
import WeirIO

/// The events of a `SourceThread` on the loop of `EventLoop.select`, asked for while there is room for them.
///
///     its loop: EventQueue ── a batch ──▶ the select's loop: EventQueue, until it is full ──▶ SelectLoop
///
/// `@unchecked Sendable` is true because `queue` and `isAsking` are touched on `loop` only: by whoever made this there and
/// in the jobs that it posts.
final class RelayedEvents: @unchecked Sendable {
  private let reader: SourceReader
  private let loop: WeirIO.EventLoop
  private unowned let queue: EventQueue
  private var isAsking = false

  /// The queue owns it, until it has ended or was cancelled, which closes the source.
  static func make(_ reader: SourceReader, loop: WeirIO.EventLoop, limit: Int) -> EventQueue {
    let queue = EventQueue(limit: limit)
    let relay = RelayedEvents(reader, loop, queue)
    queue.onRoom = { relay.ask() }
    queue.onCancel = { relay.reader.thread.close() }
    relay.ask()
    return queue
  }

  private init(_ reader: SourceReader, _ loop: WeirIO.EventLoop, _ queue: EventQueue) {
    self.reader = reader
    self.loop = loop
    self.queue = queue
  }

  private func ask() {
    if isAsking { return }
    isAsking = true
    // A loop that has stopped runs no job, and its jobs must not keep what keeps it.
    reader.next { [weak self, loop] batch in
      loop.post { [weak self] in self?.arrived(batch) }
    }
  }

  private func arrived(_ batch: [StreamEvent]) {
    isAsking = false
    if batch.isEmpty { return queue.finish() }
    for event in batch { queue.push(event) }
    if !queue.isFull { ask() }
  }
}
