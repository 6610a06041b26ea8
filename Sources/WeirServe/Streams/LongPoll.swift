import WeirCore
import WeirNet
import WeirStore

/// One request that waits for what comes next (Durable Streams Protocol, 5.7): answered by the first append, the end of the
/// stream, or the time limit. It sleeps on the store's watch.
final class LongPoll: LiveReader, HTTPResponseObserver {
  private let status: StreamStatus
  var stream: StreamName { status.name }
  private let start: Offset
  /// The client asked for the tail, wherever that is.
  private let isNow: Bool
  private let cursor: Int64?
  private let exchange: StreamExchange
  private var watch: (any Cancellable)?
  private var timer: (any Cancellable)?
  private var tail = StreamTail()
  private var isOver = false

  private var application: ServeApplication { exchange.application }

  init(_ status: StreamStatus, from start: Offset, isNow: Bool, cursor: Int64?, _ exchange: StreamExchange) {
    self.status = status
    self.start = start
    self.isNow = isNow
    self.cursor = cursor
    self.exchange = exchange
  }

  func begin() {
    application.enter(self)
    exchange.responder.observer = self
    // Before the first look, so that nothing comes between.
    watch = application.store.watch(status.name) { [self] in woken() }
    let timeout = application.configuration.longPollTimeout
    timer = application.loop.after(min(timeout, exchange.remaining ?? timeout)) { [self] in
      timer = nil
      timedOut()
    }
    read()
  }

  /// The server stops: the client is told that nothing has come, and asks again elsewhere.
  func stop() { timedOut() }

  func responseBecameWritable() {}
  func responseCancelled() { leave() }

  private func woken() {
    tail.woken()
    read()
  }

  private func read() {
    if isOver || !tail.wantsRead { return }
    tail.asked()
    application.collect(status, from: start) { [self] result in
      if isOver { return }
      switch result {
      case .failure(let failure):
        leave()
        exchange.send(failure)
      case .success(let batch) where !batch.items.isEmpty:
        leave()
        StreamChunk(batch, from: start, of: status).sendNews(cursor: nextCursor, isNow: isNow, exchange)
      case .success(let batch):
        tail.answered(batch)
        if batch.ending != nil { return sendNothing(batch.ending) }
        // Not at once: a store that answers inside the call would be asked by its own answer.
        if tail.wantsRead { application.loop.soon { self.read() } }
      }
    }
  }

  private func timedOut() { if !isOver { sendNothing(nil) } }

  private func sendNothing(_ ending: StreamEnding?) {
    leave()
    var headers = [
      (name: "Stream-Next-Offset", value: start.description), ("Stream-Up-To-Date", "true"),
      ("Cache-Control", "no-store"),
    ]
    if ending == nil { headers.append(("Stream-Cursor", nextCursor)) }
    exchange.send(204, headers + StreamHeaders.ending(ending))
  }

  private var nextCursor: String {
    let loop = application.loop
    return "\(StreamCursor.next(after: cursor, now: loop.wallClock, jitter: loop.now.nanoseconds / 1000))"
  }

  private func leave() {
    if isOver { return }
    isOver = true
    watch?.cancel()
    timer?.cancel()
    application.leave(self)
  }
}
