import WeirCore

/// The bounded queue that sources are made of. Nothing is dropped and nothing grows: a producer stops while `isFull` and
/// goes on when `onRoom` is called, so what is queued stays below the limit and one read's worth.
///
///     socket → parser → push … push (isFull: stop reading) ⟶ [ e e e e ] ⟶ next
///                        onRoom: read on  ◁─────────────── half of it was taken
///
/// A producer holds its queue; the queue holds what was put in `onRoom` and `onCancel` until it has ended or was
/// cancelled, so these name their producer weakly unless the queue shall keep it alive.
package final class EventQueue: EventSource {
  /// Bytes queued at most, one event more: 1 000 messages of 1 MiB would be no bound.
  package static let byteLimit = 4 << 20

  package let limit: Int
  package let byteLimit: Int
  package var onReady: (() -> Void)?
  /// Called once after the queue was full, when half of it has been taken.
  package var onRoom: (() -> Void)?
  /// Called once if the source is given up before it ended.
  package var onCancel: (() -> Void)?
  /// Its number in a recording that is made or played; 0: none.
  package var recorded = 0
  /// Told of every event as it arrives, and of the end as nil; of what is queued already when it is set.
  package var onArrival: ((StreamEvent?) -> Void)? {
    didSet {
      guard let onArrival else { return }
      for case let event? in events[first...] { onArrival(event) }
      if isFinished { onArrival(nil) }
    }
  }

  private var events: [StreamEvent?] = []
  private var first = 0
  private var bytes = 0
  private var isFinished = false
  private var wasFull = false

  package init(limit: Int, byteLimit: Int = EventQueue.byteLimit) {
    precondition(limit > 0 && byteLimit > 0, "a queue has room for something")
    self.limit = limit
    self.byteLimit = byteLimit
  }

  package var count: Int { events.count - first }
  package var isReady: Bool { first < events.count }
  package var isEnded: Bool { isFinished && !isReady }
  /// The producer has to stop. What it has read already may still be pushed.
  package var isFull: Bool { count >= limit || bytes >= byteLimit }

  /// After `finish` or `cancel` nothing is taken any more.
  package func push(_ event: StreamEvent) {
    if isFinished { return }
    onArrival?(event)
    let wasEmpty = !isReady
    events.append(event)
    bytes += event.size
    if isFull { wasFull = true }
    if wasEmpty { onReady?() }
  }

  /// Nothing more will come; what is queued can still be taken.
  package func finish() {
    if isFinished { return }
    end()
    if !isReady { onReady?() }
  }

  package func next() -> StreamEvent? {
    guard isReady else { return nil }
    let event = events[first].take()
    first += 1
    bytes -= event?.size ?? 0
    if first == events.count {
      events.removeAll(keepingCapacity: true)
      first = 0
    } else if first >= limit {
      // A queue that is never empty must not keep what was taken.
      events.removeFirst(first)
      first = 0
    }
    if wasFull, count <= limit / 2, bytes <= byteLimit / 2 {
      wasFull = false
      onRoom?()
    }
    return event
  }

  package func cancel() {
    guard !isEnded else { return }
    let told = onCancel
    events = []
    first = 0
    bytes = 0
    end()
    told?()
    onReady?()
  }

  private func end() {
    if !isFinished { onArrival?(nil) }
    isFinished = true
    onRoom = nil
    onCancel = nil
    onArrival = nil
  }
}
