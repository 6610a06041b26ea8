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

  package let limits: Limits
  /// Of all items, with their overhead.
  package private(set) var bytesUsed = 0
  package var streamCount: Int { streams.count }
  /// Watches that are not cancelled: 0 when all readers are gone, or something leaks.
  package var watcherCount: Int { watchers.values.reduce(0) { $0 + $1.liveCount } }

  private let loop: any Loop
  private var streams: [StreamName: Stream] = [:]
  /// Of streams that exist and of names that don't yet.
  private var watchers: [StreamName: WatcherList] = [:]
  private var index = StreamNameIndex()
  /// In the order in which they ended; names that were deleted since are passed over.
  private var endedFirst: ArraySlice<StreamName> = []

  private final class Stream {
    let contentType: String
    let createdAt: Int64
    var lastAppend: Instant
    var items: [StreamItem] = []
    var bytes = 0
    var ending: StreamEnding?
    /// The entry of `watchers` for this name, so that an append needs one look-up.
    var watchers: WatcherList?

    init(contentType: String, createdAt: Int64, now: Instant) {
      self.contentType = contentType
      self.createdAt = createdAt
      lastAppend = now
    }

    var tail: Offset { Offset(UInt64(items.count)) }

    func status(_ name: StreamName, existed: Bool = false) -> StreamStatus {
      StreamStatus(
        name: name, contentType: contentType, tail: tail, ending: ending, createdAt: createdAt, existed: existed)
    }
  }

  package init(loop: any Loop, limits: Limits = Limits()) {
    self.loop = loop
    self.limits = limits
  }

  package func create(_ name: StreamName, contentType: String, _ answer: @escaping Answer<StreamStatus>) {
    if let stream = streams[name] {
      guard stream.contentType == contentType else {
        return answer(.failure(.conflict(name, "its content type is \(stream.contentType), not \(contentType)")))
      }
      return answer(.success(stream.status(name, existed: true)))
    }
    guard streams.count < limits.streamsLimit || makeRoom(for: 0, sparing: name) else {
      return answer(.failure(.full("the store holds \(limits.streamsLimit) streams, its limit (streamsLimit)")))
    }
    let stream = Stream(contentType: contentType, createdAt: loop.wallClock, now: loop.now)
    stream.watchers = watchers[name]
    streams[name] = stream
    index.insert(name)
    stream.watchers?.changed(on: loop)
    answer(.success(stream.status(name)))
  }

  package func append(
    _ name: StreamName, _ items: [[UInt8]], ending: StreamEnding?, _ answer: @escaping Answer<Offset>
  ) {
    guard let stream = streams[name] else { return answer(.failure(.notFound(name))) }
    if let ending = stream.ending { return answer(.failure(.ended(name, ending))) }
    if !items.isEmpty {
      guard items.count <= limits.itemsPerStreamLimit - stream.items.count else {
        return answer(
          .failure(.full("stream \"\(name)\" reached \(limits.itemsPerStreamLimit) items (itemsPerStreamLimit)")))
      }
      var size = 0
      for item in items { size += item.count + Self.itemOverhead }
      guard size <= limits.bytesLimit - bytesUsed || makeRoom(for: size, sparing: name) else {
        return answer(.failure(.full("the store reached \(limits.bytesLimit) bytes (bytesLimit)")))
      }
      let time = loop.wallClock
      for item in items { stream.items.append(StreamItem(bytes: item, time: time)) }
      stream.bytes += size
      bytesUsed += size
      stream.lastAppend = loop.now
    }
    if let ending {
      stream.ending = ending
      if limits.retention == .dropOldest { endedFirst.append(name) }
    }
    if !items.isEmpty || ending != nil { stream.watchers?.changed(on: loop) }
    answer(.success(stream.tail))
  }

  /// Frees a sixteenth of the store beyond what is needed, so that the search for what may go is not made for every
  /// append. False: nothing more may go.
  private func makeRoom(for size: Int, sparing spared: StreamName) -> Bool {
    guard limits.retention == .dropOldest, size <= limits.bytesLimit else { return false }
    let slackBytes = limits.bytesLimit / 16
    let slackStreams = limits.streamsLimit / 16
    func isRoomy(_ bytes: Int, _ streams: Int) -> Bool {
      size + bytes <= limits.bytesLimit - bytesUsed && self.streams.count + streams < limits.streamsLimit
    }
    while !isRoomy(slackBytes, slackStreams), let oldest = endedFirst.popFirst() {
      // A name that was deleted, and perhaps made again since, is not what ended then.
      if streams[oldest]?.ending != nil { delete(oldest) { _ in } }
    }
    if !isRoomy(0, 0) {
      let idle = streams.filter { name, stream in
        stream.ending == nil && name != spared && loop.now - stream.lastAppend >= limits.idleLimit
      }
      for (name, _) in idle.sorted(by: { $0.value.lastAppend < $1.value.lastAppend }) {
        if isRoomy(slackBytes, slackStreams) { break }
        delete(name) { _ in }
      }
    }
    return isRoomy(0, 0)
  }

  package func status(_ name: StreamName, _ answer: @escaping Answer<StreamStatus>) {
    guard let stream = streams[name] else { return answer(.failure(.notFound(name))) }
    answer(.success(stream.status(name)))
  }

  package func read(
    _ name: StreamName, from offset: Offset, byteLimit: Int, _ answer: @escaping Answer<StreamBatch>
  ) {
    guard let stream = streams[name] else { return answer(.failure(.notFound(name))) }
    guard offset <= stream.tail else { return answer(.failure(.beyondTail(name, tail: stream.tail))) }
    let items = stream.items
    let start = Int(offset.value)
    var end = start
    var size = 0
    while end < items.count, end == start || size < byteLimit {
      size += items[end].bytes.count
      end += 1
    }
    // A reader at the tail takes one item at a time: that case is worth its line.
    let taken = end - start == 1 ? [items[start]] : Array(items[start..<end])
    answer(
      .success(
        StreamBatch(
          items: taken, next: Offset(UInt64(end)), ending: end == items.count ? stream.ending : nil,
          reachedTail: end == items.count && end > start)))
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

  package func delete(_ name: StreamName, _ answer: @escaping Answer<Void>) {
    guard let stream = streams.removeValue(forKey: name) else { return answer(.failure(.notFound(name))) }
    bytesUsed -= stream.bytes
    index.remove(name)
    stream.watchers?.changed(on: loop)
    answer(.success(()))
  }

  package func list(prefix: String, after: StreamName?, limit: Int, _ answer: @escaping Answer<[StreamStatus]>) {
    let names = index.names(prefix: prefix, after: after, limit: limit)
    answer(.success(names.compactMap { name in streams[name]?.status(name) }))
  }
}
