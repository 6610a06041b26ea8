import WeirCore

/// Something that yields events on one loop: a connection, standard input, a process, a timer, a recording.
///
/// Pull-based and bounded: whoever reads takes one event at a time, and a source that is not read stops its producer.
/// Borrowed, not owned, by a loop that reads it: `onReady` is set for as long as that takes, and a later loop may read on
/// where it stopped. `EventQueue` is the one implementation that producers need.
package protocol EventSource: AnyObject {
  /// `next` would give an event.
  var isReady: Bool { get }
  /// Nothing is queued and nothing will ever come.
  var isEnded: Bool { get }
  /// Takes the oldest event; nil: there is none now.
  func next() -> StreamEvent?
  /// Called on the loop when `isReady` or `isEnded` becomes true. One observer at a time: non-nil means borrowed.
  var onReady: (() -> Void)? { get set }
  /// Gives it up: closes its socket, kills its process group, removes its timer; queued events are gone and it has
  /// ended. Idempotent.
  func cancel()
}

/// An open connection: a source of events, and a way to answer. WebSocket and server-sent events implement it.
package protocol StreamConnection: AnyObject {
  /// `opened` first, `closed` last, both exactly once.
  var events: EventQueue { get }
  /// True at all times: a close by the other side shows at once, also while its events wait to be read.
  var status: StreamStatus { get }
  /// Answers nil when the message was taken, at once or, while the other side is slow, when there is room again.
  func transmit(_ message: StreamMessage, _ answer: @escaping (StreamErrorKind?) -> Void)
  /// Closes gracefully, within a bound; idempotent. The source ends with its `closed`.
  func close()
  /// Told once when nothing of it is left (its socket is closed), after the last event was queued: what the end of a
  /// program waits for.
  var onOver: (() -> Void)? { get set }
}

package enum StreamStatus: Hashable, Sendable { case connecting, open, closing, closed }

package enum StreamMessage: Hashable, Sendable {
  case text(String)
  case binary([UInt8])
}
