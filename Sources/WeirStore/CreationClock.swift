/// When streams are made, so that no two streams of one name were made at the same moment, however quickly one followed the
/// other: what `StreamStatus.createdAt` promises. Pure.
///
/// Only a clock that was set back by more than a stream's life can make it wrong.
struct CreationClock {
  /// Of streams that were deleted before the clock had left the moment at which they were made.
  private var taken: [StreamName: Int64] = [:]
  private var last = Int64.min

  func moment(for name: StreamName, now: Int64) -> Int64 { max(now, taken[name].map { $0 + 1 } ?? now) }

  mutating func deleted(_ name: StreamName, createdAt: Int64, now: Int64) {
    if last < now { taken = [:] }
    guard createdAt >= now else { return }
    taken[name] = createdAt
    last = max(last, createdAt)
  }
}
