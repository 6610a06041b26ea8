import WeirCore

package enum StoreFailure: Failure, Equatable {
  case notFound(StreamName)
  /// Deleted, and kept for its forks.
  case gone(StreamName)
  case conflict(StreamName, String)
  case ended(StreamName, StreamEnding)
  case beyondTail(StreamName, tail: Offset)
  /// Cannot branch off there.
  case badFork(StreamName, String)
  case otherContentType(StreamName, String)
  /// Another one goes by that producer's id since `epoch`.
  case staleProducer(StreamName, ProducerStamp, epoch: UInt64)
  case producerGap(StreamName, ProducerStamp, expected: UInt64)
  /// A new epoch begins with sequence 0.
  case badFirstSequence(StreamName, ProducerStamp)
  case sequenceRegression(StreamName, last: String)
  case full(String)
  /// An append of so many bytes.
  case tooLarge(Int, limit: Int)
  /// What was kept from there on is not what was written.
  case damaged(StreamName, at: Offset)
  case badName(String, String)
  /// A folder that another process writes to, of that number if it is known.
  case held(String, by: Int?)
  /// A run, which another process has taken up.
  case takenOver(String)
  /// What is no folder to keep streams in, and why.
  case folder(String, String)
  case unavailable(String)

  package var code: String {
    switch self {
    case .notFound: "StreamNotFound"
    case .gone: "StreamGone"
    case .conflict: "StreamConflict"
    case .ended: "StreamEnded"
    case .beyondTail: "OffsetBeyondTail"
    case .badFork: "BadFork"
    case .otherContentType: "OtherContentType"
    case .staleProducer: "StaleProducer"
    case .producerGap: "ProducerGap"
    case .badFirstSequence: "BadFirstSequence"
    case .sequenceRegression: "SequenceRegression"
    case .full: "StoreFull"
    case .tooLarge: "AppendTooLarge"
    case .damaged: "StreamDamaged"
    case .badName: "BadStreamName"
    case .held: "StoreHeld"
    case .takenOver: "RunTakenOver"
    case .folder, .unavailable: "StoreUnavailable"
    }
  }

  /// Whether what has this code is over when the store has room, or can be reached again.
  package static func passes(code: String) -> Bool { code == "StoreFull" || code == "StoreUnavailable" }

  package var message: String {
    switch self {
    case .notFound(let name): "no stream \"\(name)\""
    case .gone(let name): "stream \"\(name)\" was deleted"
    case .conflict(let name, let why): "stream \"\(name)\" exists already: \(why)"
    case .ended(let name, .closed): "stream \"\(name)\" is closed"
    case .ended(let name, .aborted(let reason)): "stream \"\(name)\" was aborted: \(reason)"
    case .beyondTail(let name, let tail): "stream \"\(name)\" ends at offset \(tail)"
    case .badFork(let name, let why): "stream \"\(name)\" cannot be forked there: \(why)"
    case .otherContentType(let name, let type): "stream \"\(name)\" holds \(type)"
    case .staleProducer(let name, let stamp, let epoch):
      "stream \"\(name)\" takes nothing from epoch \(stamp.epoch) of producer \"\(stamp.id)\": it is at \(epoch)"
    case .producerGap(let name, let stamp, let expected):
      "stream \"\(name)\" expects \(expected) of producer \"\(stamp.id)\", not \(stamp.sequence)"
    case .badFirstSequence(let name, let stamp):
      "stream \"\(name)\": epoch \(stamp.epoch) of producer \"\(stamp.id)\" begins with \(stamp.sequence), not 0"
    case .sequenceRegression(let name, let last): "stream \"\(name)\" is at sequence \"\(last)\" already"
    case .full(let what): what
    case .tooLarge(let size, let limit):
      "an append of \(size) bytes is more than the \(limit) that can be kept in one step"
    case .damaged(let name, let offset):
      "stream \"\(name)\" is damaged at offset \(offset.value): what was kept from there on is not what was written"
    case .badName(let name, let why): "\"\(name)\" cannot name a stream: \(why)"
    case .held(let folder, let holder):
      "another process\(holder.map { " (\($0))" } ?? "") writes to the streams in \(folder)"
    case .takenOver(let run): "another process has taken up run \"\(run)\": this one no longer writes its streams"
    case .folder(let folder, let why): "no streams can be kept in \(folder): \(why)"
    case .unavailable(let why): why
    }
  }

  package var hint: String? {
    switch self {
    case .gone: "its forks are still read; its name is free when the last of them is deleted"
    case .staleProducer: "a newer writer has taken over; to take over from it, begin a greater epoch at sequence 0"
    case .producerGap: "send what is missing first, or begin a greater epoch at sequence 0"
    case .takenOver: "let one process at a time resume a run"
    case .full: "delete streams that ended, or raise the limit"
    case .tooLarge: "split it into several"
    case .damaged: "what comes before can be read, and forked; weir streams fsck says what is wrong"
    case .folder: "name a folder that this user may write to: --store FOLDER, or WEIR_STORE"
    case .badName: "1 to \(StreamName.segmentLimit) parts joined by /, without control characters, : and \\"
    case .held: "stop that one, use its server, or keep these streams elsewhere: --store FOLDER"
    default: nil
    }
  }
}

extension StoreFailure {
  /// What went wrong with a store that is open. Clients see it, so it names no file.
  init(_ failure: DiskFailure) {
    switch failure {
    case .full: self = .full("no space left for this store")
    case .notFound: self = .unavailable("a file of this store is missing")
    case .exists: self = .unavailable("a file of this store is there already")
    case .denied: self = .unavailable("no permission for a file of this store")
    case .tooLarge(_, let limit): self = .unavailable("a file of this store is longer than \(limit) bytes")
    case .locked: self = .unavailable("another process holds a file of this store")
    case .busy: self = .unavailable("too many operations wait for the disk of this store")
    case .noDescriptor: self = .unavailable("no descriptor left for a file of this store (see ulimit -n)")
    case .removed: self = .unavailable("a file of this store was removed or replaced while it was in use")
    case .other(_, let why): self = .unavailable("the disk of this store: \(why)")
    }
  }

  /// What went wrong with opening the store in `folder`.
  package init(_ failure: DiskFailure, opening folder: String) {
    switch failure {
    case .full: self = .full("no space left for the streams in \(folder)")
    case .locked(_, let holder): self = .held(folder, by: holder)
    case .busy: self = .unavailable(failure.message)
    case .notFound: self = .folder(folder, "it is no folder, or there is none above it")
    case .denied: self = .folder(folder, "no permission")
    default: self = .folder(folder, failure.message)
    }
  }
}
