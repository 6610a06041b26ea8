import WeirCore

/// When a stream is over by itself.
package enum StreamLifetime: Hashable, Sendable {
  /// After nobody has read or written it for so many seconds.
  case idle(seconds: Int64)
  /// At this moment, milliseconds since 1970.
  case until(Int64)

  /// So that no sum overflows: more than three hundred years.
  package static let secondsLimit: Int64 = 10_000_000_000
  /// The same for moments, in milliseconds from 1970, either way: more than a hundred thousand years.
  package static let momentLimit: Int64 = 1 << 52
}

/// A stream's lifetime as it runs: what use does to it, and when it is over.
///
/// A store that outlives its process must remember use, and does not write for every read: `grain` is how long uses
/// go unwritten after one that was written. The stream lives so much longer, so **it is never over while it was used
/// within its lifetime, is over at most `grain` late, and at the same moment whether the process was restarted or not**.
package struct StreamLease: Equatable, Sendable {
  package let lifetime: StreamLifetime?
  /// The use that counts, milliseconds since 1970.
  package private(set) var mark: Int64
  private let grain: Int64

  /// `grainDivisor`: the grain as a part of the idle time; nil is none.
  package init(_ lifetime: StreamLifetime?, mark: Int64, grainDivisor: Int64? = nil) {
    self.lifetime = lifetime.map(Self.bounded)
    self.mark = max(-StreamLifetime.momentLimit, min(mark, StreamLifetime.momentLimit))
    if case .idle(let seconds)? = self.lifetime, let grainDivisor {
      grain = seconds * 1000 / grainDivisor
    } else {
      grain = 0
    }
  }

  /// Whoever wrote more wants sums to overflow.
  private static func bounded(_ lifetime: StreamLifetime) -> StreamLifetime {
    switch lifetime {
    case .idle(let seconds): .idle(seconds: max(0, min(seconds, StreamLifetime.secondsLimit)))
    case .until(let moment): .until(max(-StreamLifetime.momentLimit, min(moment, StreamLifetime.momentLimit)))
    }
  }

  package var expiresAt: Int64? {
    switch lifetime {
    case nil: nil
    case .idle(let seconds)?: mark + seconds * 1000 + grain
    case .until(let moment)?: moment
    }
  }

  package func isOver(at now: Int64) -> Bool { expiresAt.map { $0 <= now } ?? false }

  /// True: this use must be written down, for the lifetime counts from it now.
  package mutating func use(at now: Int64) -> Bool {
    guard case .idle? = lifetime, now > mark, now - mark >= grain else { return false }
    mark = now
    return true
  }

  /// A use that is written down anyway.
  package mutating func written(at now: Int64) { mark = max(mark, now) }
}

/// The moments at which streams may be over, and one timer for the next of them. A stream that was used since is
/// looked at then and noted again, so use costs nothing here; without lifetimes there is no timer at all.
package final class ExpirySchedule {
  private let loop: any Loop
  private let due: (StreamName) -> Void
  /// A binary heap by moment.
  private var heap: [(moment: Int64, name: StreamName)] = []
  /// The entry of each name that counts; others are passed over.
  private var noted: [StreamName: Int64] = [:]
  private var timer: (moment: Int64, timer: any Cancellable)?
  /// A wall clock may be set: it is looked at again after so long.
  private static let longestSleep: Int64 = 3_600_000

  /// `due` is told each name when its moment has come, once for each `note`.
  package init(loop: any Loop, due: @escaping (StreamName) -> Void) {
    self.loop = loop
    self.due = due
  }

  /// Moments that it remembers, whether they count or not.
  var count: Int { heap.count }

  package func note(_ name: StreamName, at moment: Int64) {
    let moment = max(-StreamLifetime.momentLimit, min(moment, StreamLifetime.momentLimit))
    if let known = noted[name], known <= moment { return }
    noted[name] = moment
    heap.append((moment, name))
    var child = heap.count - 1
    while child > 0, heap[child].moment < heap[(child - 1) / 2].moment {
      heap.swapAt(child, (child - 1) / 2)
      child = (child - 1) / 2
    }
    setTimer()
  }

  /// The stream has gone.
  package func forget(_ name: StreamName) {
    guard noted.removeValue(forKey: name) != nil else { return }
    // Entries that count for nothing go when they are the most: a stream that lives long must not be kept by one that did not.
    guard heap.count > 64, heap.count > 2 * noted.count else { return }
    heap = noted.map { (moment: $0.value, name: $0.key) }.sorted { $0.moment < $1.moment }
  }

  private func setTimer() {
    guard let next = heap.first?.moment else { return }
    if let timer, timer.moment <= next { return }
    timer?.timer.cancel()
    let wait = min(max(0, next - loop.wallClock), Self.longestSleep)
    timer = (next, loop.after(.milliseconds(wait)) { [weak self] in self?.fire() })
  }

  private func fire() {
    timer = nil
    let now = loop.wallClock
    var names: [StreamName] = []
    while let first = heap.first, first.moment <= now {
      pop()
      guard noted[first.name] == first.moment else { continue }
      noted[first.name] = nil
      names.append(first.name)
    }
    for name in names { due(name) }
    setTimer()
  }

  private func pop() {
    let last = heap.removeLast()
    if heap.isEmpty { return }
    heap[0] = last
    var parent = 0
    while true {
      var least = parent
      for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count && heap[child].moment < heap[least].moment
      {
        least = child
      }
      if least == parent { return }
      heap.swapAt(parent, least)
      parent = least
    }
  }
}
