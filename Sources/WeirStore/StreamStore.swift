import WeirCore

/// The store protocol: named, append-only, durable sequences of items. Everything that must outlive a process
/// (tokens, conversation memory, checkpoints) is a stream in one store (spec/durable.md); memory, file and Redis
/// stores answer to this protocol and to one conformance suite.
///
/// Confined to a loop. Answers may come inside the call (memory) or later (disk, network), for one stream in the
/// order asked. **An answered append is as durable as the store promises.** Nothing here blocks or polls.
package protocol StreamStore: AnyObject {
  /// Makes an empty, open stream. Making one that exists with the same content type answers its status with
  /// `existed = true`; with another content type, `.conflict`.
  func create(_ name: StreamName, contentType: String, _ answer: @escaping Answer<StreamStatus>)

  /// Adds items at the tail, all or none, and optionally ends the stream in the same step.
  /// Answers the offset after the last item. Unknown stream: `.notFound`; ended one: `.ended`.
  func append(_ name: StreamName, _ items: [[UInt8]], ending: StreamEnding?, _ answer: @escaping Answer<Offset>)

  func status(_ name: StreamName, _ answer: @escaping Answer<StreamStatus>)

  /// Items from `offset` on, at least one if there is any, stopping once `byteLimit` is reached. An empty batch
  /// means: at the tail (its `ending` tells whether more can come). Beyond the tail: `.beyondTail`.
  func read(_ name: StreamName, from offset: Offset, byteLimit: Int, _ answer: @escaping Answer<StreamBatch>)

  /// Calls `wake` in a later job after every change that a reader could see (append, end, delete), coalesced: once
  /// for any number of changes since the last call. Unknown streams may be watched.
  func watch(_ name: StreamName, _ wake: @escaping () -> Void) -> any Cancellable

  func delete(_ name: StreamName, _ answer: @escaping Answer<Void>)

  /// Names that start with `prefix`, sorted, after `after` (exclusive), at most `limit`.
  func list(prefix: String, after: StreamName?, limit: Int, _ answer: @escaping Answer<[StreamStatus]>)
}

package typealias Answer<Value> = (Result<Value, StoreFailure>) -> Void

/// How a stream ended, kept with it: monotonic, durable, seen by every reader.
package enum StreamEnding: Equatable, Sendable {
  case closed
  case aborted(reason: String)
}

package struct StreamStatus: Equatable, Sendable {
  package var name: StreamName
  package var contentType: String
  /// The offset after the last item.
  package var tail: Offset
  package var ending: StreamEnding?
  /// Milliseconds since 1970.
  package var createdAt: Int64
  /// Only in the answer to `create`: it was there before.
  package var existed = false
  package init(
    name: StreamName, contentType: String, tail: Offset, ending: StreamEnding?, createdAt: Int64, existed: Bool = false
  ) {
    self.name = name
    self.contentType = contentType
    self.tail = tail
    self.ending = ending
    self.createdAt = createdAt
    self.existed = existed
  }
}

package struct StreamItem: Equatable, Sendable {
  package var bytes: [UInt8]
  /// When it was appended, milliseconds since 1970.
  package var time: Int64
  package init(bytes: [UInt8], time: Int64) {
    self.bytes = bytes
    self.time = time
  }
}

package struct StreamBatch: Equatable, Sendable {
  package var items: [StreamItem]
  /// Where to read on.
  package var next: Offset
  /// Set when `next` is the end of an ended stream.
  package var ending: StreamEnding?
  /// The store knows that nothing came after these items when it answered, which saves a reader the question. False
  /// says nothing; an empty batch says it by itself.
  package var reachedTail = false
  package init(items: [StreamItem], next: Offset, ending: StreamEnding?, reachedTail: Bool = false) {
    self.items = items
    self.next = next
    self.ending = ending
    self.reachedTail = reachedTail
  }
}

package enum StoreFailure: Failure, Equatable {
  case notFound(StreamName)
  case conflict(StreamName, String)
  case ended(StreamName, StreamEnding)
  case beyondTail(StreamName, tail: Offset)
  case full(String)
  case badName(String, String)
  case unavailable(String)

  package var code: String {
    switch self {
    case .notFound: "StreamNotFound"
    case .conflict: "StreamConflict"
    case .ended: "StreamEnded"
    case .beyondTail: "OffsetBeyondTail"
    case .full: "StoreFull"
    case .badName: "BadStreamName"
    case .unavailable: "StoreUnavailable"
    }
  }

  package var message: String {
    switch self {
    case .notFound(let name): "no stream \"\(name)\""
    case .conflict(let name, let why): "stream \"\(name)\" exists already: \(why)"
    case .ended(let name, .closed): "stream \"\(name)\" is closed"
    case .ended(let name, .aborted(let reason)): "stream \"\(name)\" was aborted: \(reason)"
    case .beyondTail(let name, let tail): "stream \"\(name)\" ends at offset \(tail)"
    case .full(let what): what
    case .badName(let name, let why): "\"\(name)\" cannot name a stream: \(why)"
    case .unavailable(let why): why
    }
  }

  package var hint: String? {
    switch self {
    case .full: "delete streams that ended, or raise the limit"
    case .badName: "1 to \(StreamName.segmentLimit) parts joined by /, without control characters, : and \\"
    default: nil
    }
  }
}
