import WeirCore

/// Streams that live as long as the process: what tests, one-shot runs and `weir run` use, and the model that every
/// other store is compared with.
///
/// Appending and reading at an offset cost the same whatever the stream's length; answers come inside the call. Items
/// are copied in and out by value (arrays share their storage until somebody changes one). What happens when it is full
/// is its owner's choice (`Retention`). It knows nothing of what the bytes mean.
package final class MemoryStreamStore: StreamStore {
  package enum Retention: Sendable {
    /// Only `delete` frees: a reader can't lose what it was promised, and a full store refuses.
    case keepAll
    /// What was promised is as much history as fits: the streams that ended first go first, then open ones that
    /// nobody has written to for `idleLimit`. One that is being written is never touched.
    case dropOldest
  }

  package struct Limits: Sendable {
    package var retention = Retention.keepAll
    /// A run of ten tokens a second for a day is 864 000 items; beyond it something loops.
    package var itemsPerStreamLimit = 1_000_000
    /// Of all items, each with `itemOverhead`: a quarter of a small machine's memory.
    package var bytesLimit = 256 << 20
    /// Each costs about 300 bytes even when it is empty.
    package var streamsLimit = 100_000
    /// An open stream (a conversation) that was left alone so long may go when the store is full.
    package var idleLimit = Duration.seconds(600)
    package init() {}
  }

  /// What an item takes besides its bytes: its entry, the array's header, the allocator's share.
  package static let itemOverhead = 64

  package var outlivesProcess: Bool { false }

  package let limits: Limits
  /// Of all items, with their overhead.
  package private(set) var bytesUsed = 0
  package var streamCount: Int { streams.count }
  /// Names that are remembered for what streams have ended, and for when streams may be over: no more than there are streams, or so.
  var keptNames: Int { endedFirst.count + schedule.count }
  /// Watches that are not cancelled: 0 when all readers are gone, or something leaks.
  package var watcherCount: Int { watchers.values.reduce(0) { $0 + $1.liveCount } }

  private let loop: any Loop
  private var streams: [StreamName: Stream] = [:]
  /// Of streams that exist and of names that don't yet.
  private var watchers: [StreamName: WatcherList] = [:]
  private var index = StreamNameIndex()
  private var creations = CreationClock()
  /// In the order in which they ended; what is not what ended then is passed over, and cleared away when it is the most.
  private var endedFirst: ArraySlice<(name: StreamName, number: UInt64)> = []
  private var endedCount: UInt64 = 0
  private lazy var schedule = ExpirySchedule(loop: loop) { [weak self] name in self?.expire(name) }

  private final class Stream {
    let contentType: String
    let createdAt: Int64
    var lastAppend: Instant
    var lease: StreamLease
    /// Its own items, from position `base` on. What is before them is its source's.
    var items: [StreamItem] = []
    let base: Int
    let fork: StreamFork?
    let source: Stream?
    /// How many sources it has, one behind the other.
    let depth: Int
    /// How many streams have this one as their source.
    var forks = 0
    /// Deleted, and kept for its forks.
    var isGone = false
    var bytes = 0
    var ending: StreamEnding?
    /// How many streams had ended before it.
    var endNumber: UInt64?
    var writers = StreamWriters()
    /// The entry of `watchers` for this name, so that an append needs one look-up.
    var watchers: WatcherList?

    init(_ origin: Origin, createdAt: Int64, mark: Int64, now: Instant) {
      contentType = origin.contentType
      self.createdAt = createdAt
      lastAppend = now
      lease = StreamLease(origin.lifetime, mark: mark)
      (base, fork, source) = (origin.base, origin.fork, origin.source)
      depth = origin.source.map { $0.depth + 1 } ?? 0
    }

    var end: Int { base + items.count }
    var tail: Offset { Offset(UInt64(end)) }
    /// Nothing but its bytes costs time.
    var isForEver: Bool { lease.lifetime == nil }

    func status(_ name: StreamName, existed: Bool = false) -> StreamStatus {
      var status = StreamStatus(
        name: name, contentType: contentType, tail: tail, ending: ending, createdAt: createdAt, existed: existed)
      (status.lifetime, status.expiresAt, status.fork) = (lease.lifetime, lease.expiresAt, fork)
      return status
    }

    /// Items from `start` on and before `limit`, its source's first.
    func items(from start: Int, before limit: Int, byteLimit: Int) -> [StreamItem] {
      guard start >= base else {
        return source?.items(from: start, before: min(base, limit), byteLimit: byteLimit) ?? []
      }
      let limit = min(limit, end) - base
      let start = start - base
      var end = start
      var size = 0
      while end < limit, end == start || size < byteLimit {
        size += items[end].bytes.count
        end += 1
      }
      // A reader at the tail takes one item at a time: that case is worth its line.
      return end - start == 1 ? [items[start]] : Array(items[start..<end])
    }
  }

  /// What a new stream is made of.
  private struct Origin {
    var contentType: String
    var lifetime: StreamLifetime?
    var base = 0
    var fork: StreamFork?
    var source: Stream?
    /// The beginning of an item of the source that is cut by the fork.
    var piece: [UInt8]?
  }

  package init(loop: any Loop, limits: Limits = Limits()) {
    self.loop = loop
    self.limits = limits
  }

  // MARK: Making

  package func create(_ name: StreamName, _ creation: StreamCreation, _ answer: @escaping Answer<StreamStatus>) {
    if let stream = living(name) {
      if stream.isGone { return answer(.failure(.gone(name))) }
      let status = stream.status(name, existed: true)
      return answer(creation.conflict(with: status).map { .failure($0) } ?? .success(status))
    }
    let origin: Origin
    switch self.origin(name, creation) {
    case .failure(let failure): return answer(.failure(failure))
    case .success(let found): origin = found
    }
    let items = (origin.piece.map { [$0] } ?? []) + creation.items
    let size = Self.size(items)
    guard items.count <= limits.itemsPerStreamLimit else { return answer(.failure(tooMany(name))) }
    guard hasRoom(size, streams: 1) || makeRoom(for: size, streams: 1, sparing: name) else {
      if streams.count >= limits.streamsLimit {
        return answer(.failure(.full("the store holds \(limits.streamsLimit) streams, its limit (streamsLimit)")))
      }
      return answer(.failure(.full("the store reached \(limits.bytesLimit) bytes (bytesLimit)")))
    }
    let now = loop.wallClock
    let stream = Stream(origin, createdAt: creations.moment(for: name, now: now), mark: now, now: loop.now)
    origin.source?.forks += 1
    put(items, size, in: stream)
    end(stream, name, creation.ending)
    stream.watchers = watchers[name]
    streams[name] = stream
    index.insert(name)
    if let moment = stream.lease.expiresAt { schedule.note(name, at: moment) }
    stream.watchers?.changed(on: loop)
    answer(.success(stream.status(name)))
  }

  private func origin(_ name: StreamName, _ creation: StreamCreation) -> Result<Origin, StoreFailure> {
    guard var fork = creation.fork else {
      return .success(Origin(contentType: creation.contentType ?? StreamContentType.bytes, lifetime: creation.lifetime))
    }
    guard let source = living(fork.source) else { return .failure(.notFound(fork.source)) }
    if source.isGone { return .failure(.gone(fork.source)) }
    let offset = fork.offset ?? source.tail
    fork.offset = offset
    let next =
      offset < source.tail
      ? source.items(from: Int(offset.value), before: Int(offset.value) + 1, byteLimit: 0).first?.bytes : nil
    switch ForkPoint.of(creation, at: fork, source.status(fork.source), next: next, depth: source.depth) {
    case .failure(let failure): return .failure(failure)
    case .success(let point):
      _ = source.lease.use(at: loop.wallClock)
      return .success(
        Origin(
          contentType: point.contentType, lifetime: point.lifetime, base: Int(point.base), fork: fork, source: source,
          piece: point.piece))
    }
  }

  // MARK: Appending

  package func append(_ name: StreamName, _ append: StreamAppend, _ answer: @escaping Answer<StreamAppended>) {
    guard let stream = living(name) else { return answer(.failure(.notFound(name))) }
    if stream.isGone { return answer(.failure(.gone(name))) }
    if append.isPlain {
      if let ending = stream.ending { return answer(.failure(.ended(name, ending))) }
    } else {
      switch stream.writers.judge(
        append, of: name, contentType: stream.contentType, ending: stream.ending, tail: stream.tail, now: loop.wallClock
      )
      {
      case .refused(let failure): return answer(.failure(failure))
      case .isRepeat(let known): return answer(.success(known))
      case .new: break
      }
    }
    if append.isNothing { return answer(.success(StreamAppended(tail: stream.tail))) }
    if !append.items.isEmpty {
      guard append.items.count <= limits.itemsPerStreamLimit - stream.items.count else {
        return answer(.failure(tooMany(name)))
      }
      let size = Self.size(append.items)
      guard hasRoom(size, streams: 0) || makeRoom(for: size, streams: 0, sparing: name) else {
        return answer(.failure(.full("the store reached \(limits.bytesLimit) bytes (bytesLimit)")))
      }
      put(append.items, size, in: stream)
    }
    end(stream, name, append.ending)
    if !append.isPlain { stream.writers.took(append, at: loop.wallClock) }
    if let lifetime = append.lifetime {
      stream.lease = StreamLease(lifetime, mark: loop.wallClock)
      if let moment = stream.lease.expiresAt { schedule.note(name, at: moment) }
    }
    if append.isVisible { stream.watchers?.changed(on: loop) }
    answer(.success(StreamAppended(tail: stream.tail, sequence: append.producer?.sequence, ending: append.ending)))
  }

  private static func size(_ items: [[UInt8]]) -> Int {
    var size = 0
    for item in items { size += item.count + itemOverhead }
    return size
  }

  private func tooMany(_ name: StreamName) -> StoreFailure {
    .full("stream \"\(name)\" reached \(limits.itemsPerStreamLimit) items (itemsPerStreamLimit)")
  }

  private func put(_ items: [[UInt8]], _ size: Int, in stream: Stream) {
    let time = loop.wallClock
    for item in items { stream.items.append(StreamItem(bytes: item, time: time)) }
    stream.bytes += size
    bytesUsed += size
    stream.lastAppend = loop.now
    if !stream.isForEver { _ = stream.lease.use(at: time) }
  }

  private func end(_ stream: Stream, _ name: StreamName, _ ending: StreamEnding?) {
    guard let ending else { return }
    stream.ending = ending
    if limits.retention == .dropOldest {
      stream.endNumber = endedCount
      endedFirst.append((name, endedCount))
      endedCount += 1
      // A name that was deleted, and perhaps made again since, is not what ended then.
      if endedFirst.count > 64, endedFirst.count > 2 * streams.count {
        endedFirst = ArraySlice(
          endedFirst.filter { streams[$0.name]?.endNumber == $0.number || $0.number == stream.endNumber })
      }
    }
    if !stream.isForEver { _ = stream.lease.use(at: loop.wallClock) }
  }

  // MARK: Room

  private func hasRoom(_ size: Int, streams count: Int) -> Bool {
    size <= limits.bytesLimit - bytesUsed && streams.count + count <= limits.streamsLimit
  }

  /// Frees a sixteenth of the store beyond what is needed, so that the search for what may go is not made for every
  /// append. False: nothing more may go.
  private func makeRoom(for size: Int, streams count: Int, sparing spared: StreamName) -> Bool {
    guard limits.retention == .dropOldest, size <= limits.bytesLimit else { return false }
    func isRoomy() -> Bool { hasRoom(size + limits.bytesLimit / 16, streams: count + limits.streamsLimit / 16) }
    while !isRoomy(), let oldest = endedFirst.popFirst() {
      if streams[oldest.name]?.endNumber == oldest.number { delete(oldest.name) { _ in } }
    }
    if !hasRoom(size, streams: count) {
      let idle = streams.filter { name, stream in
        stream.ending == nil && name != spared && loop.now - stream.lastAppend >= limits.idleLimit
      }
      for (name, _) in idle.sorted(by: { $0.value.lastAppend < $1.value.lastAppend }) {
        if isRoomy() { break }
        delete(name) { _ in }
      }
    }
    return hasRoom(size, streams: count)
  }

  // MARK: Looking

  package func status(_ name: StreamName, _ answer: @escaping Answer<StreamStatus>) {
    guard let stream = living(name) else { return answer(.failure(.notFound(name))) }
    if stream.isGone { return answer(.failure(.gone(name))) }
    answer(.success(stream.status(name)))
  }

  package func read(
    _ name: StreamName, from offset: Offset, byteLimit: Int, _ answer: @escaping Answer<StreamBatch>
  ) {
    guard let stream = living(name) else { return answer(.failure(.notFound(name))) }
    if stream.isGone { return answer(.failure(.gone(name))) }
    guard offset <= stream.tail else { return answer(.failure(.beyondTail(name, tail: stream.tail))) }
    if !stream.isForEver { _ = stream.lease.use(at: loop.wallClock) }
    let start = Int(offset.value)
    let taken = stream.items(from: start, before: stream.end, byteLimit: byteLimit)
    let end = start + taken.count
    answer(
      .success(
        StreamBatch(
          items: taken, next: Offset(UInt64(end)), ending: end == stream.end ? stream.ending : nil,
          createdAt: stream.createdAt, reachedTail: end == stream.end && !taken.isEmpty)))
  }

  package func watch(_ name: StreamName, _ wake: @escaping () -> Void) -> any Cancellable {
    let list: WatcherList
    if let known = watchers[name] {
      list = known
    } else {
      list = WatcherList { [weak self] in
        self?.watchers[name] = nil
        self?.streams[name]?.watchers = nil
      }
      watchers[name] = list
      streams[name]?.watchers = list
    }
    return list.add(wake)
  }

  package func list(prefix: String, after: StreamName?, limit: Int, _ answer: @escaping Answer<[StreamStatus]>) {
    var found: [StreamStatus] = []
    var last = after
    while found.count < limit {
      let wanted = limit - found.count
      let names = index.names(prefix: prefix, after: last, limit: wanted)
      for name in names {
        if let stream = living(name), !stream.isGone { found.append(stream.status(name)) }
      }
      guard names.count == wanted else { break }
      last = names.last
    }
    answer(.success(found))
  }

  // MARK: Going

  package func delete(_ name: StreamName, _ answer: @escaping Answer<Void>) {
    guard let stream = living(name) else { return answer(.failure(.notFound(name))) }
    if stream.isGone { return answer(.failure(.gone(name))) }
    remove(stream, name)
    answer(.success(()))
  }

  private func remove(_ stream: Stream, _ name: StreamName) {
    index.remove(name)
    schedule.forget(name)
    stream.watchers?.changed(on: loop)
    if stream.forks > 0 {
      stream.isGone = true
      return
    }
    var (last, name) = (stream, name)
    // With its last fork a stream that is gone goes, and so on up the chain.
    while true {
      streams[name] = nil
      creations.deleted(name, createdAt: last.createdAt, now: loop.wallClock)
      bytesUsed -= last.bytes
      guard let source = last.source, let fork = last.fork else { return }
      source.forks -= 1
      guard source.isGone, source.forks == 0 else { return }
      (last, name) = (source, fork.source)
    }
  }

  /// The stream of that name, unless its lifetime is over: then it goes now.
  private func living(_ name: StreamName) -> Stream? {
    guard let stream = streams[name] else { return nil }
    if stream.isForEver || stream.isGone || !isOver(stream) { return stream }
    remove(stream, name)
    return streams[name]
  }

  private func isOver(_ stream: Stream) -> Bool {
    let now = loop.wallClock
    guard stream.lease.isOver(at: now) else { return false }
    guard let watchers = stream.watchers, watchers.liveCount > 0 else { return true }
    _ = stream.lease.use(at: now)
    return stream.lease.isOver(at: now)
  }

  private func expire(_ name: StreamName) {
    guard let stream = living(name), !stream.isGone, let moment = stream.lease.expiresAt else { return }
    schedule.note(name, at: moment)
  }
}
