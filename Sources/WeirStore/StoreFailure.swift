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
  case badName(String, String)
  /// A folder that another process writes to, of that number if it is known.
  case held(String, by: Int?)
  /// A run, which another process has taken up.
  case takenOver(String)
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
    case .badName: "BadStreamName"
    case .held: "StoreHeld"
    case .takenOver: "RunTakenOver"
    case .unavailable: "StoreUnavailable"
    }
  }

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
    case .badName(let name, let why): "\"\(name)\" cannot name a stream: \(why)"
    case .held(let folder, let holder):
      "another process\(holder.map { " (\($0))" } ?? "") writes to the streams in \(folder)"
    case .takenOver(let run): "another process has taken up run \"\(run)\": this one no longer writes its streams"
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
    case .badName: "1 to \(StreamName.segmentLimit) parts joined by /, without control characters, : and \\"
    case .held: "stop that one, use its server, or keep these streams elsewhere: --store FOLDER"
    default: nil
    }
  }
}

extension StoreFailure {
  init(_ failure: DiskFailure) {
    switch failure {
    case .full(let path): self = .full("no space left for \(path)")
    default: self = .unavailable(failure.message)
    }
  }
}
