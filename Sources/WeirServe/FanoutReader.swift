import WeirCore
import WeirNet

/// One connected reader: a cursor, and which of two places it reads from. `live` readers take the feed's window;
/// the others fetch from the log until they have caught up. All its work is done by its feed; it is kept small,
/// because an idle reader is nearly nothing else (goal: 1.5 KB with its connection).
final class FanoutReader: HTTPResponseObserver {
  /// nil once the answer is over.
  var responder: (any HTTPResponder)?
  var feed: StreamFeed?
  /// Live: the next byte in the feed's positions.
  var position = 0
  /// Not live: the next item, and how many bytes of its frame are sent.
  var item: Offset
  var skip = 0
  /// Bytes of its own (preamble, the rest of a heartbeat) that go before anything else.
  var extra: [UInt8] = []
  /// Cuts it off when the link by which it came is over.
  var end: (any Cancellable)?
  var index: Int32 = 0
  var isLive = false
  /// The socket is full: nothing is offered until it says otherwise.
  var isBlocked = false
  var isWaiting = false
  var isFetching = false

  init(_ responder: any HTTPResponder, _ feed: StreamFeed, from item: Offset) {
    self.responder = responder
    self.feed = feed
    self.item = item
  }

  func responseBecameWritable() {
    feed?.becameWritable(self)
  }

  func responseCancelled() {
    feed?.remove(self)
  }
}
