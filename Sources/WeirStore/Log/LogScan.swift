import WeirCore

/// What a segment holds, found by reading it from its first byte: where its records are, and where what can be trusted ends.
///
/// Pure: bytes in, a verdict out. A bad record ends what can be trusted. It is **damage** when a good record from there on says
/// that those bytes had reached the disk (`LogRecord.synced`; more than there are before it, when some are missing), for then
/// something that was acknowledged is lost; else it is a write that a crash tore, nobody was promised it, and it may be cut off.
/// Behind a bad header any good record is proof: what they belong to is not being made.
struct LogScan: Equatable {
  enum Verdict: Equatable {
    case whole
    /// Cut at `end`.
    case torn
    case damaged
  }

  /// Where a record begins, every `SparseIndex.stride` bytes.
  var index = SparseIndex()
  /// Nil: not even the first record is good.
  var header: LogRecord.Header?
  var base: UInt64 = 0
  /// After the last good item.
  var tail: UInt64 = 0
  var ending: StreamEnding?
  var writers = StreamWriters()
  /// The last one it was given.
  var lifetime: StreamLifetime?
  /// The last use that was written down.
  var usedAt: Int64 = 0
  /// Where the last record begins, when it is one of use: the next one is written over it.
  var usePlace: Int?
  /// How the stream ended in the segment before this one.
  private(set) var before: End?
  /// Behind the last good record.
  var end = 0
  var verdict = Verdict.whole
  private var hasItems = false

  /// A stream that was being made when a crash came: nobody was told of it.
  var isUnmade: Bool {
    guard let header else { return verdict != .damaged }
    return header.hasFirstItems && !hasItems && verdict != .damaged
  }

  struct End: Equatable {
    var ending: StreamEnding
    var writers: StreamWriters
  }

  /// Of nothing: it is gone on with.
  init(behind before: End?) { self.before = before }

  init(_ bytes: [UInt8], behind before: End? = nil) {
    self.before = before
    goOn(bytes, from: 0)
  }

  /// For the segment behind this one. Nil: the stream has not ended in it.
  var asEnd: End? { ending.map { End(ending: $0, writers: writers) } }

  /// Where reading goes on when the segment has grown: the last record is looked at again if another one may be written over it.
  var resumePlace: Int { usePlace ?? end }

  /// Takes what is in the segment from `place` on, which is 0 or `resumePlace`, up to what can be trusted.
  mutating func goOn(_ bytes: [UInt8], from place: Int) {
    end = place
    usePlace = nil
    verdict = .whole
    while end < place + bytes.count {
      guard case .record(let record, let next) = LogRecord.read(bytes, at: end - place), take(record) else {
        verdict = isDamage(bytes, from: end - place, origin: place) ? .damaged : .torn
        return
      }
      end = place + next
    }
    if header == nil { verdict = .torn }
  }

  /// False: a good record in a place where it cannot be.
  private mutating func take(_ record: LogRecord) -> Bool {
    switch record.body {
    case .header(let header):
      guard end == 0 else { return false }
      self.header = header
      (base, tail) = (record.position, record.position)
      (writers, usedAt, lifetime) = (header.writers, header.usedAt, header.lifetime)
      if let before { (ending, writers) = (before.ending, before.writers) }
    case .items(let append, let time):
      guard header != nil, record.position == tail, ending == nil || append.isOnlyLifetime else { return false }
      index.add(tail, at: end)
      tail += UInt64(append.items.count)
      ending = append.ending ?? ending
      lifetime = append.lifetime ?? lifetime
      writers.took(append, at: time)
      usedAt = max(usedAt, time)
      usePlace = nil
      hasItems = true
    case .use(let time):
      guard header != nil, record.position == tail else { return false }
      usedAt = max(usedAt, time)
      usePlace = end
    }
    return true
  }

  /// `origin` is where `bytes` begin in the segment.
  private func isDamage(_ bytes: [UInt8], from bad: Int, origin: Int) -> Bool {
    // The first one may be good, and stand where it cannot be because what was before it is missing.
    let next = LogRecord.next(bytes, behind: bad - 1) { synced, _ in header == nil || synced > origin + bad }
    if case .none = next { return false }
    return true
  }
}

/// Where some of a segment's records begin: enough to find any item with one read.
struct SparseIndex: Equatable {
  static let stride = 64 << 10
  private var positions: [UInt64] = []
  private var places: [Int] = []

  mutating func add(_ position: UInt64, at place: Int) {
    if let last = places.last, place < last + Self.stride { return }
    positions.append(position)
    places.append(place)
  }

  /// Of the last record noted that begins at or before the item.
  func place(of position: UInt64) -> Int? {
    var (low, high) = (0, positions.count)
    while low < high {
      let middle = (low + high) / 2
      if positions[middle] <= position { low = middle + 1 } else { high = middle }
    }
    return low == 0 ? nil : places[low - 1]
  }
}
