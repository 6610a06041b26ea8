import WeirCore
import WeirNet
import WeirStore

/// Many readers of many streams: one feed for each stream and format tails the store once, encodes each item once,
/// and at the end of a turn every reader that lacks bytes gets them in one send.
///
/// It knows no request and no route: it is handed a responder whose head has been sent, and takes it to its end.
/// Confined to one loop. Input: the store's wake-ups. Output: `HTTPResponder.sendFramed`.
///
/// Memory: a reader that keeps up costs one small object; one that falls behind is left to the log (law 4).
package final class Fanout {
  package struct Limits: Sendable {
    /// Encoded bytes that a feed holds for readers a little behind. More is the log's business: at 60 bytes a token
    /// this is over 4 000 tokens, longer than any hiccup that should not cost a read of the log.
    package var window = 256 << 10
    /// Asked from the store at once, by a feed or by a reader that catches up.
    package var readBatch = 64 << 10
    /// Silence after which an SSE reader gets a comment: under the usual 30 to 60 s after which proxies give up.
    package var heartbeat = Duration.seconds(15)
    /// Heartbeats are swept for all feeds at once, never more often than this.
    package var sweep = Duration.seconds(1)
    /// Readers connected at once: below the usual 20 000 open files, leaving room for everything else.
    package var readers = 16_000
    package init() {}
  }

  let loop: any Loop
  let store: any StreamStore
  package let limits: Limits
  /// The last reader of a stream is gone, for whatever reason. Called in the turn in which it left.
  package var onLastReaderGone: ((StreamName) -> Void)?

  private var feeds: [FeedKey: StreamFeed] = [:]
  private var readersOfStream: [StreamName: Int] = [:]
  package private(set) var readerCount = 0
  package var feedCount: Int { feeds.count }
  /// Encoded bytes held for readers that are a little behind.
  package var bytesHeld: Int { feeds.values.reduce(0) { $0 + $1.window.byteCount } }

  private var dirtyFeeds: ContiguousArray<StreamFeed> = []
  private var waiting: ContiguousArray<FanoutReader> = []
  private var isFlushSet = false
  private var sweepTimer: (any Cancellable)?

  package init(loop: any Loop, store: any StreamStore, limits: Limits = Limits()) {
    self.loop = loop
    self.store = store
    self.limits = limits
  }

  package var hasRoom: Bool { readerCount < limits.readers }

  package func readers(of stream: StreamName) -> Int { readersOfStream[stream] ?? 0 }

  /// Serves the stream from `offset` on to a responder whose head was begun, until the stream ends or the client
  /// goes. `run` makes event ids carry it. `createdAt`: of the stream; another one of its name is not followed. Nil: its name is
  /// given once. `until`: the reader is cut off after that.
  package func attach(
    _ responder: any HTTPResponder, to stream: StreamName, createdAt: Int64? = nil, from offset: Offset,
    format: OutputFormat, run: String?, model: String, until limit: Duration? = nil
  ) {
    let key = FeedKey(
      stream: stream, createdAt: createdAt, format: format, run: run, isChunked: responder.isChunked)
    let feed: StreamFeed
    if let known = feeds[key] {
      feed = known
    } else {
      feed = StreamFeed(key, model: model, from: offset, in: self)
      feeds[key] = feed
      feed.follow()
    }
    let reader = FanoutReader(responder, feed, from: offset)
    feed.encoder.preamble(from: offset, to: &reader.extra)
    responder.observer = reader
    readerCount += 1
    readersOfStream[stream, default: 0] += 1
    reader.end = limit.map { loop.after($0) { reader.feed?.cut(reader) } }
    feed.add(reader)
    wait(reader)
    setSweep()
  }

  /// Cuts every reader off: the server stops. Their streams go on, and they come back with `Last-Event-ID`.
  package func stop() {
    sweepTimer?.cancel()
    sweepTimer = nil
    for feed in feeds.values { feed.abortAll() }
  }

  /// Cuts off who reads a stream that is none of these.
  func stop(except stays: (StreamName) -> Bool) {
    for feed in feeds.values where !stays(feed.key.stream) { feed.abortAll() }
  }

  // MARK: The end of a turn

  func markDirty(_ feed: StreamFeed) {
    if feed.isDirty { return }
    feed.isDirty = true
    dirtyFeeds.append(feed)
    setFlush()
  }

  /// The reader is looked at on its own at the end of this turn: it is new, or its socket has room again.
  func wait(_ reader: FanoutReader) {
    if reader.isWaiting { return }
    reader.isWaiting = true
    waiting.append(reader)
    setFlush()
  }

  private func setFlush() {
    if isFlushSet { return }
    isFlushSet = true
    loop.atEndOfTurn { [self] in flush() }
  }

  private func flush() {
    isFlushSet = false
    let feeds = dirtyFeeds
    dirtyFeeds.removeAll(keepingCapacity: true)
    for feed in feeds {
      feed.isDirty = false
      feed.sendToAll()
    }
    if waiting.isEmpty { return }
    let readers = waiting
    waiting.removeAll(keepingCapacity: readers.count < 64)
    for reader in readers {
      reader.isWaiting = false
      reader.feed?.pump(reader)
    }
  }

  // MARK: Bookkeeping

  func left(_ feed: StreamFeed) {
    readerCount -= 1
    let stream = feed.key.stream
    let rest = (readersOfStream[stream] ?? 1) - 1
    readersOfStream[stream] = rest == 0 ? nil : rest
    if feed.readers.isEmpty {
      feed.drop()
      feeds[feed.key] = nil
    }
    if rest == 0 { onLastReaderGone?(stream) }
  }

  private func setSweep() {
    guard sweepTimer == nil, !feeds.isEmpty else { return }
    sweepTimer = loop.after(limits.heartbeat) { [weak self] in self?.sweep() }
  }

  /// One timer for all feeds: it asks each for its silence, and sleeps until the first can be due.
  private func sweep() {
    sweepTimer = nil
    let now = loop.now
    var first: Duration?
    for feed in feeds.values {
      var silence = now - feed.lastSent
      if silence >= limits.heartbeat {
        feed.sendHeartbeat()
        silence = .zero
      }
      let due = limits.heartbeat - silence
      if due < first ?? .seconds(1 << 30) { first = due }
    }
    guard let first else { return }
    sweepTimer = loop.after(max(first, limits.sweep)) { [weak self] in self?.sweep() }
  }
}

struct FeedKey: Hashable {
  var stream: StreamName
  var createdAt: Int64?
  var format: OutputFormat
  var run: String?
  var isChunked: Bool
}
