import WeirCore

/// The store protocol: named, append-only, durable sequences of items. Everything that must outlive a process
/// (tokens, conversation memory, checkpoints) is a stream in one store (spec/durable.md); memory, file and Redis
/// stores answer to this protocol and to one conformance suite.
///
/// Confined to a loop. Answers may come inside the call (memory) or later (disk, network), for one stream in the
/// order asked. **An answered append is as durable as the store promises.** Nothing here blocks or polls.
///
/// A stream whose lifetime is over is not found, for everybody, and is removed: when it is asked for, or by itself.
/// A stream that has forks is not removed but **gone**: everything asked of it is refused with `.gone` (listing leaves
/// it out), its name is taken, its forks go on reading, and it is removed with the last of them.
package protocol StreamStore: AnyObject {
  /// Makes a stream with everything in `creation`, in one step. One that exists with the same configuration answers its
  /// status with `existed = true` and nothing is written; another configuration is a `.conflict`.
  func create(_ name: StreamName, _ creation: StreamCreation, _ answer: @escaping Answer<StreamStatus>)

  /// Adds items at the tail, all or none, and optionally ends the stream in the same step, with what is known of the
  /// writer. What is wrong is told in this order: `.notFound`, `.gone`, `.staleProducer`, `.ended` (unless this very
  /// append ended it, or gives it a lifetime and nothing else), `.otherContentType`, a repeat (no failure), `.producerGap`, `.badFirstSequence`, `.sequenceRegression`.
  func append(_ name: StreamName, _ append: StreamAppend, _ answer: @escaping Answer<StreamAppended>)

  /// Looking is no use: the lifetime of an idle stream goes on.
  func status(_ name: StreamName, _ answer: @escaping Answer<StreamStatus>)

  /// Items from `offset` on, at least one if there is any, stopping once `byteLimit` is reached. An empty batch
  /// means: at the tail (its `ending` tells whether more can come). Beyond the tail: `.beyondTail`.
  func read(_ name: StreamName, from offset: Offset, byteLimit: Int, _ answer: @escaping Answer<StreamBatch>)

  /// Calls `wake` in a later job after every change that a reader could see (append, end, delete), coalesced: once
  /// for any number of changes since the last call. Unknown streams may be watched. A stream that somebody watches is
  /// in use: it does not become idle.
  func watch(_ name: StreamName, _ wake: @escaping () -> Void) -> any Cancellable

  func delete(_ name: StreamName, _ answer: @escaping Answer<Void>)

  /// Names that start with `prefix`, sorted, after `after` (exclusive): `limit` of them, or all that are left. Streams that are
  /// over take no room in a page.
  func list(prefix: String, after: StreamName?, limit: Int, _ answer: @escaping Answer<[StreamStatus]>)

  /// Answers when everything that was acknowledged is as durable as this store can make it: before the process ends.
  func synchronize(_ answer: @escaping (StoreFailure?) -> Void)

  /// Lets go of what other processes wait for. Nothing is asked of the store afterwards.
  func close()

  /// No other process writes to it: a run that is open here and not under way in this process has died with another.
  var isExclusive: Bool { get }

  /// What it holds is there for the next process.
  var outlivesProcess: Bool { get }
}

extension StreamStore {
  package func synchronize(_ answer: @escaping (StoreFailure?) -> Void) { answer(nil) }
  package func close() {}
  package var isExclusive: Bool { true }
  package var outlivesProcess: Bool { true }

  /// An empty, open stream that stays. Finding one with the same content type is enough, whatever became of it.
  package func create(_ name: StreamName, contentType: String, _ answer: @escaping Answer<StreamStatus>) {
    create(name, StreamCreation(contentType: contentType, finds: .sameContentType), answer)
  }

  /// Answers the offset after the last item.
  package func append(
    _ name: StreamName, _ items: [[UInt8]], ending: StreamEnding?, _ answer: @escaping Answer<Offset>
  ) {
    append(name, StreamAppend(items: items, ending: ending)) { answer($0.map(\.tail)) }
  }
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
  /// Milliseconds since 1970. No two streams of one name have the same: by it another stream is told from the one that was
  /// known.
  package var createdAt: Int64
  /// Nil: it stays until it is deleted.
  package var lifetime: StreamLifetime?
  /// When it is over as things stand, milliseconds since 1970. Use moves it (`StreamLease`).
  package var expiresAt: Int64?
  /// Where it was forked from; `offset` is never nil here.
  package var fork: StreamFork?
  /// What is wrong with it: its items can be read up to `tail`, whatever came behind is lost, and it takes no more. Nil: nothing
  /// that is known.
  package var damage: StoreFailure?
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

  /// What comes before it is its source's.
  package var inheritedEnd: Offset {
    guard let fork, let offset = fork.offset else { return .start }
    if fork.subOffset == 0 { return offset }
    // Of bytes it is a piece of one item, or all of it.
    return Offset(offset.value + (StreamContentType.holdsJSON(contentType) ? fork.subOffset : 1))
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
  /// Of the stream that was read: another one of its name has another.
  package var createdAt: Int64
  /// The store knows that nothing came after these items when it answered, which saves a reader the question. False
  /// says nothing; an empty batch says it by itself.
  package var reachedTail = false
  package init(
    items: [StreamItem], next: Offset, ending: StreamEnding?, createdAt: Int64, reachedTail: Bool = false
  ) {
    self.items = items
    self.next = next
    self.ending = ending
    self.createdAt = createdAt
    self.reachedTail = reachedTail
  }
}
