/// Writes that wait for a process to read them: bounded in number and in bytes, told apart from what the pipe has taken.
///
/// A write that finds nothing waiting is taken whatever its size: it would never fit otherwise, and it is in memory
/// already.
package struct WriteQueue {
  package struct Limits: Sendable {
    /// Writes that wait.
    package var writes = 256
    /// Bytes that wait.
    package var bytes = 1 << 20
    package init() {}
  }

  private let limits: Limits
  private var waiting: [[UInt8]] = []
  private var first = 0
  /// Of the first one, what has been taken.
  private var taken = 0
  package private(set) var byteCount = 0

  package init(limits: Limits = Limits()) { self.limits = limits }

  package var isEmpty: Bool { first == waiting.count }
  package var count: Int { waiting.count - first }

  /// False: it is full, and nothing was added.
  package mutating func append(_ bytes: [UInt8]) -> Bool {
    if bytes.isEmpty { return true }
    guard isEmpty || (count < limits.writes && byteCount + bytes.count <= limits.bytes) else { return false }
    waiting.append(bytes)
    byteCount += bytes.count
    return true
  }

  /// Offers what waits, oldest first, until it is all taken or `take` takes less than it is offered.
  package mutating func drain(_ take: (Span<UInt8>) -> Int) {
    while first < waiting.count {
      let bytes = waiting[first]
      let offered = bytes.count - taken
      let count = take(bytes.span.extracting(taken...))
      taken += count
      byteCount -= count
      if count < offered { return }
      waiting[first] = []
      first += 1
      taken = 0
      if first == waiting.count || first > limits.writes {
        waiting.removeFirst(first)
        first = 0
      }
    }
  }

  package mutating func removeAll() { self = WriteQueue(limits: limits) }
}
