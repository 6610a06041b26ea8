import WeirCore
import WeirNet
import WeirStore

/// One stream in one format: read from the store once, encoded once, sent to all its readers.
///
/// The window sits at the fastest readers. A reader is *live* while its cursor is in the window; behind it, it
/// fetches from the log by itself, one batch at a time as its socket takes them, and becomes live when it arrives.
/// A reader further than the window makes the window leap to it. While no live reader has room the feed reads nothing:
/// backpressure ends at the log.
///
///     flowing    live readers whose socket has room. The feed reads ahead only while there is one.
///     tail       whether there may be something to read.
final class StreamFeed {
  let key: FeedKey
  let fanout: Fanout
  let encoder: FrameEncoder
  private(set) var readers: ContiguousArray<FanoutReader> = []
  private(set) var window: FrameWindow
  var isDirty = false
  private(set) var lastSent: Instant

  private var live = 0
  private var flowing = 0
  private var rotation = 0

  private var watch: (any Cancellable)?
  private var lastKind = FrameEncoder.ItemKind.unknown
  private var isEnded = false
  private var isDropped = false
  private var tail = StreamTail()
  /// Inside the call to the store: an answer now is the loop's in `readIfWanted`, a later one goes on by itself.
  private var isInCall = false
  private var isReadSet = false
  /// Counts leaps: what a read brings from before one is no longer wanted.
  private var generation = 0

  init(_ key: FeedKey, model: String, from offset: Offset, in fanout: Fanout) {
    self.key = key
    self.fanout = fanout
    encoder = FrameEncoder(format: key.format, run: key.run, model: model, isChunked: key.isChunked)
    window = FrameWindow(at: offset)
    lastSent = fanout.loop.now
  }

  func follow() {
    watch = fanout.store.watch(key.stream) { [self] in woken() }
  }

  /// The last reader left. Breaks the cycles with the fan-out and the store's watch.
  func drop() {
    isDropped = true
    watch?.cancel()
    watch = nil
  }

  // MARK: Readers come and go

  func add(_ reader: FanoutReader) {
    reader.index = Int32(readers.count)
    readers.append(reader)
    admit(reader)
    readIfWanted()
  }

  /// Makes the reader live if the window has its place, or can be moved there.
  private func admit(_ reader: FanoutReader) {
    if reader.isLive { return }
    if reader.item > window.next { leap(to: reader.item) }
    guard reader.item >= window.first else { return }
    reader.position = window.position(of: reader.item, skip: reader.skip)
    reader.isLive = true
    live += 1
    if !reader.isBlocked { flowing += 1 }
    fanout.wait(reader)
  }

  private func leap(to item: Offset) {
    for reader in readers where reader.isLive { evict(reader) }
    window.leap(to: item)
    lastKind = .unknown
    generation += 1
    tail = StreamTail()
  }

  /// From the window to the log. Call it while the window still has the reader's place.
  private func evict(_ reader: FanoutReader) {
    let place = window.place(at: reader.position)
    reader.item = place.item
    reader.skip = place.skip
    reader.isLive = false
    live -= 1
    if !reader.isBlocked {
      flowing -= 1
      fanout.wait(reader)
    }
  }

  func becameWritable(_ reader: FanoutReader) {
    guard reader.isBlocked else { return }
    reader.isBlocked = false
    if reader.isLive { flowing += 1 }
    fanout.wait(reader)
  }

  private func block(_ reader: FanoutReader) {
    reader.isBlocked = true
    if reader.isLive { flowing -= 1 }
  }

  func remove(_ reader: FanoutReader) {
    guard reader.feed != nil else { return }
    reader.feed = nil
    reader.responder?.observer = nil
    reader.responder = nil
    reader.end?.cancel()
    reader.end = nil
    reader.extra = []
    if reader.isLive {
      live -= 1
      if !reader.isBlocked { flowing -= 1 }
      reader.isLive = false
    }
    let index = Int(reader.index)
    let last = readers.removeLast()
    if last !== reader {
      readers[index] = last
      last.index = Int32(index)
    }
    fanout.left(self)
  }

  /// The reader has everything there will be. A format that can't say how a run ended says it with the connection:
  /// cut, so that a client never takes half an answer for a whole one (law 2).
  private func finish(_ reader: FanoutReader) {
    let responder = reader.responder
    remove(reader)
    if key.format == .text, lastKind != .end { responder?.abort() } else { responder?.finish() }
  }

  func abortAll() {
    while let reader = readers.last { cut(reader) }
  }

  /// There is more, and this reader does not get it: no end that could be taken for the stream's.
  func cut(_ reader: FanoutReader) {
    let responder = reader.responder
    remove(reader)
    responder?.abort()
  }

  // MARK: Sending

  /// Everything of this turn to everyone who lacks it. The hot loop: no allocation, look-up or closure in it.
  /// The start moves on each time, so that no reader is always the last of the sweep.
  func sendToAll() {
    let count = readers.count
    if count == 0 { return }
    lastSent = fanout.loop.now
    rotation = (rotation + count * 5 / 8 + 1) % count
    for index in rotation..<count { sendIfFlowing(readers[index]) }
    for index in 0..<rotation { sendIfFlowing(readers[index]) }
    if isEnded {
      finishReaders()
    } else {
      // Whoever is not at the head now has a full socket; if nobody is, nobody needs the window.
      if flowing == live { window.clear() } else { trim() }
      readLater()
    }
  }

  @inline(__always)
  private func sendIfFlowing(_ reader: FanoutReader) {
    guard reader.isLive, !reader.isBlocked else { return }
    if !reader.extra.isEmpty, !sendExtra(reader) { return }
    sendWindow(reader)
  }

  /// Offers what the window has beyond the cursor; a socket that takes less is blocked.
  private func sendWindow(_ reader: FanoutReader) {
    guard let responder = reader.responder else { return }
    while reader.position < window.head {
      let index = window.segment(at: reader.position)
      let start = reader.position - window.segments[index].base
      let bytes = window.segments[index].bytes
      let taken = responder.sendFramed(bytes.span.extracting(start..<bytes.count))
      reader.position += taken
      if taken < bytes.count - start { return block(reader) }
    }
  }

  private func sendExtra(_ reader: FanoutReader) -> Bool {
    guard let responder = reader.responder else { return false }
    let extra = reader.extra  // another reference, so that nothing the connection does can overlap this access
    let taken = responder.sendFramed(extra.span)
    if taken == extra.count {
      reader.extra = []
      return true
    }
    reader.extra.removeFirst(taken)
    block(reader)
    return false
  }

  private func finishReaders() {
    for index in readers.indices.reversed() where index < readers.count {
      let reader = readers[index]
      if reader.isLive, !reader.isBlocked, reader.extra.isEmpty, reader.position == window.head { finish(reader) }
    }
  }

  func sendHeartbeat() {
    lastSent = fanout.loop.now
    window.shrink()
    guard key.format.isSSE else { return }
    var comment: [UInt8] = []
    encoder.heartbeat(to: &comment)
    for reader in readers where reader.isLive && !reader.isBlocked && reader.position == window.head {
      guard reader.extra.isEmpty, let responder = reader.responder else { continue }
      let taken = responder.sendFramed(comment.span)
      if taken < comment.count {
        reader.extra = Array(comment[taken...])
        block(reader)
      }
    }
  }

  /// One reader on its own, at the end of a turn: new, writable again, or on its way through the log.
  func pump(_ reader: FanoutReader) {
    if reader.isBlocked { return }
    if !reader.extra.isEmpty, !sendExtra(reader) { return }
    guard reader.isLive else { return fetch(reader) }
    sendWindow(reader)
    if reader.isBlocked { return }
    if isEnded { finish(reader) } else { readIfWanted() }
  }

  // MARK: Reading the log for everybody

  private func woken() {
    tail.woken()
    readIfWanted()
  }

  /// On with a long history in the next turn, so that one stream never keeps the loop for itself.
  private func readLater() {
    guard tail.wantsRead, !isReadSet, flowing > 0 else { return }
    isReadSet = true
    fanout.loop.soon { [self] in
      isReadSet = false
      readIfWanted()
    }
  }

  private func readIfWanted() {
    var budget = fanout.limits.readBatch
    // A loop, not recursion: a memory store answers inside the call.
    while tail.wantsRead, !isEnded, !isDropped, flowing > 0 {
      if budget <= 0 { return readLater() }
      let before = window.head
      tail.asked()
      isInCall = true
      let generation = generation
      fanout.store.read(key.stream, from: window.next, byteLimit: budget) { [self] result in
        guard generation == self.generation, !isDropped else { return }
        received(result)
        if !isInCall { readIfWanted() }
      }
      isInCall = false
      budget -= max(1, window.head - before)
    }
  }

  private func received(_ result: Result<StreamBatch, StoreFailure>) {
    // Deleted, or the store is gone: readers must not take that for an end. They reconnect and are told.
    guard case .success(let batch) = result, isOwn(batch) else { return abortAll() }
    tail.answered(batch)
    if !batch.items.isEmpty {
      for item in batch.items {
        let after = window.next + 1
        window.append { lastKind = encoder.item(item, after: after, to: &$0) }
      }
      fanout.markDirty(self)
    }
    if let ending = batch.ending { learnLastKind { [self] in end(ending) } }
  }

  /// Not of another stream that has taken the name.
  private func isOwn(_ batch: StreamBatch) -> Bool { key.createdAt == nil || key.createdAt == batch.createdAt }

  /// A feed that began at the very end has not seen the last item, and asks for it.
  private func learnLastKind(_ then: @escaping () -> Void) {
    guard lastKind == .unknown, window.next > .start, !key.format.isOfItems else { return then() }
    tail.asked()
    let generation = generation
    let last = Offset(window.next.value - 1)
    fanout.store.read(key.stream, from: last, byteLimit: 1) { [self] result in
      guard generation == self.generation, !isDropped else { return }
      tail.answered(reachedTail: true)
      guard case .success(let batch) = result, isOwn(batch), let item = batch.items.last else { return abortAll() }
      var unused: [UInt8] = []
      lastKind = encoder.item(item, after: window.next, to: &unused)
      then()
    }
  }

  private func end(_ ending: StreamEnding) {
    switch lastKind {
    case .end, .badEnd: break
    case .unknown, .other:
      // Invariant: the tail is the frame of the item that would come next, so a reader part-way through it has a
      // place like any other.
      let offset = window.next
      window.append { encoder.ending(ending, at: offset, to: &$0) }
    }
    isEnded = true
    fanout.markDirty(self)
  }

  /// Drops what only stalled readers still need; those go on from the log once their sockets have room.
  private func trim() {
    while window.byteCount > fanout.limits.window, window.segments.count > 1 {
      let start = window.segments[1].base
      for reader in readers where reader.isLive && reader.position < start { evict(reader) }
      window.dropOldest()
    }
  }

  // MARK: Reading the log for one reader

  /// One batch from the reader's own place. Nothing is kept for it: what its socket does not take is read again.
  private func fetch(_ reader: FanoutReader) {
    if reader.isFetching { return }
    admit(reader)
    if reader.isLive { return }
    reader.isFetching = true
    fanout.store.read(key.stream, from: reader.item, byteLimit: fanout.limits.readBatch) { [self] result in
      reader.isFetching = false
      guard reader.feed === self else { return }
      guard case .success(let batch) = result, isOwn(batch) else { return cut(reader) }
      deliver(batch, to: reader)
    }
  }

  private func deliver(_ batch: StreamBatch, to reader: FanoutReader) {
    guard let responder = reader.responder else { return }
    var bytes: [UInt8] = []
    var ends: [Int] = []
    ends.reserveCapacity(batch.items.count)
    for (count, item) in batch.items.enumerated() {
      _ = encoder.item(item, after: reader.item + (count + 1), to: &bytes)
      ends.append(bytes.count)
    }
    if reader.skip < bytes.count {
      let sent = reader.skip + responder.sendFramed(bytes.span.extracting(reader.skip..<bytes.count))
      guard sent == bytes.count else {
        let whole = ends.firstIndex { $0 > sent } ?? 0
        reader.skip = whole == 0 ? sent : sent - ends[whole - 1]
        reader.item = reader.item + whole
        return block(reader)
      }
    }
    if !batch.items.isEmpty {
      reader.item = batch.next
      reader.skip = 0
    }
    // Perhaps that was the way to the window; if not, on in the next turn: other readers have their turns too.
    admit(reader)
    if !reader.isLive { fanout.loop.soon { [fanout] in fanout.wait(reader) } }
  }
}
