import WeirCore

/// What a stream knows of those who write to it, and what it makes of an append: pure, the same for every store, and
/// kept where the items are kept.
package struct StreamWriters: Equatable, Sendable {
  package struct Producer: Equatable, Sendable {
    package var epoch: UInt64
    package var sequence: UInt64
    /// Of its last append, milliseconds since 1970.
    package var time: Int64
    package init(epoch: UInt64, sequence: UInt64, time: Int64) {
      self.epoch = epoch
      self.sequence = sequence
      self.time = time
    }
  }

  package enum Verdict: Equatable {
    case new
    case isRepeat(StreamAppended)
    case refused(StoreFailure)
  }

  /// Producers remembered of one stream: each costs about 100 bytes, here and in every new file of the stream.
  package static let producersLimit = 1000
  /// When there are more, those who have been silent so long are forgotten (Durable Streams Protocol, 5.2.1).
  package static let silenceLimit: Int64 = 7 * 24 * 3_600_000
  /// Bytes of a producer's id, and of a `Stream-Seq`.
  package static let textLimit = 256

  package private(set) var producers: [ProducerID: Producer] = [:]
  package private(set) var sequence: String?
  /// Whose append ended the stream.
  package private(set) var closer: ProducerStamp?

  package init() {}

  package init(producers: [ProducerID: Producer], sequence: String?) {
    self.producers = producers
    self.sequence = sequence
  }

  package var isEmpty: Bool { producers.isEmpty && sequence == nil }

  package func judge(
    _ append: StreamAppend, of name: StreamName, contentType: @autoclosure () -> String, ending: StreamEnding?,
    tail: @autoclosure () -> Offset, now: @autoclosure () -> Int64
  ) -> Verdict {
    let known = append.producer.flatMap { producers[$0.id] }
    if let stamp = append.producer, let known, stamp.epoch < known.epoch {
      return .refused(.staleProducer(name, stamp, epoch: known.epoch))
    }
    if let ending {
      if append.isOnlyLifetime { return .new }
      guard let stamp = append.producer, stamp == closer else { return .refused(.ended(name, ending)) }
      return .isRepeat(StreamAppended(tail: tail(), isRepeat: true, sequence: known?.sequence, ending: ending))
    }
    if let type = append.contentType {
      let own = contentType()
      guard StreamContentType.isSame(type, own) else { return .refused(.otherContentType(name, own)) }
    }
    if let stamp = append.producer {
      switch known {
      case let known? where known.epoch == stamp.epoch:
        if stamp.sequence <= known.sequence {
          return .isRepeat(StreamAppended(tail: tail(), isRepeat: true, sequence: known.sequence))
        }
        if stamp.sequence - known.sequence > 1 {
          return .refused(.producerGap(name, stamp, expected: known.sequence + 1))
        }
      case _?:
        if stamp.sequence != 0 { return .refused(.badFirstSequence(name, stamp)) }
      case nil:
        if stamp.sequence != 0 { return .refused(.producerGap(name, stamp, expected: 0)) }
        let now = now()
        if producers.count >= Self.producersLimit,
          !producers.values.contains(where: { now - $0.time >= Self.silenceLimit })
        {
          return .refused(.full("stream \"\(name)\" has \(Self.producersLimit) producers, its limit (producersLimit)"))
        }
      }
    }
    if let text = append.sequence, let last = sequence, !last.utf8.lexicographicallyPrecedes(text.utf8) {
      return .refused(.sequenceRegression(name, last: last))
    }
    return .new
  }

  /// An append that was judged to be new is in the stream.
  package mutating func took(_ append: StreamAppend, at time: Int64) {
    if let sequence = append.sequence { self.sequence = sequence }
    guard let stamp = append.producer else { return }
    if producers.count >= Self.producersLimit, producers[stamp.id] == nil {
      producers = producers.filter { time - $0.value.time < Self.silenceLimit }
    }
    producers[stamp.id] = Producer(epoch: stamp.epoch, sequence: stamp.sequence, time: time)
    if append.ending != nil { closer = stamp }
  }
}
