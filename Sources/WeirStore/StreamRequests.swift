import WeirCore

/// All that a stream can be made with (Durable Streams Protocol, 5.1 and 4.2).
package struct StreamCreation: Equatable, Sendable {
  /// What a stream that exists must have in common with this one to be taken for it.
  package enum Finding: Sendable {
    /// Content type, lifetime, source and place of the fork, and whether it has ended. What a fork leaves to its source
    /// (its content type, lifetime and offset, when nil) is not compared.
    case sameConfiguration
    case sameContentType
  }

  /// Nil: the source's; of a stream without one, `StreamContentType.bytes`.
  package var contentType: String?
  /// Nil: the source's; without one, for ever.
  package var lifetime: StreamLifetime?
  package var fork: StreamFork?
  /// Its first items, behind what it has from its source.
  package var items: [[UInt8]]
  package var ending: StreamEnding?
  package var finds: Finding
  /// It will be given a lifetime when it ends. Not needed for that; a store then does now what would cost more later.
  package var expectsLifetime: Bool

  package init(
    contentType: String? = nil, lifetime: StreamLifetime? = nil, fork: StreamFork? = nil, items: [[UInt8]] = [],
    ending: StreamEnding? = nil, finds: Finding = .sameConfiguration, expectsLifetime: Bool = false
  ) {
    self.expectsLifetime = expectsLifetime
    self.contentType = contentType
    self.lifetime = lifetime
    self.fork = fork
    self.items = items
    self.ending = ending
    self.finds = finds
  }

  /// The failure of making a stream that is there with `status`; nil: it is what was asked for.
  package func conflict(with status: StreamStatus) -> StoreFailure? {
    func no(_ why: String) -> StoreFailure { .conflict(status.name, why) }
    let wanted = contentType ?? (fork == nil ? StreamContentType.bytes : nil)
    if let wanted, !StreamContentType.isSame(wanted, status.contentType) {
      return no("its content type is \(status.contentType), not \(wanted)")
    }
    if finds == .sameContentType { return nil }
    if (ending == nil) != (status.ending == nil) {
      return no(ending == nil ? "it has ended" : "it has not ended")
    }
    if lifetime != status.lifetime, fork == nil || lifetime != nil { return no("its lifetime is another one") }
    switch (fork, status.fork) {
    case (nil, nil): return nil
    case (nil, _?): return no("it is a fork")
    case (_?, nil): return no("it is no fork")
    case (let asked?, let found?):
      guard asked.source == found.source else { return no("it is a fork of \"\(found.source)\"") }
      guard asked.offset == nil || asked.offset == found.offset, asked.subOffset == found.subOffset else {
        return no("it was forked at another offset")
      }
      return nil
    }
  }
}

/// Where a stream branches off another one.
package struct StreamFork: Equatable, Sendable {
  package var source: StreamName
  /// It inherits what comes before. Nil: all there is.
  package var offset: Offset?
  /// How much it inherits behind that: items of a JSON stream; bytes of the next item of any other one.
  package var subOffset: UInt64
  package init(source: StreamName, offset: Offset? = nil, subOffset: UInt64 = 0) {
    self.source = source
    self.offset = offset
    self.subOffset = subOffset
  }
}

/// What is added to a stream in one step (Durable Streams Protocol, 5.2).
package struct StreamAppend: Equatable, Sendable {
  package var items: [[UInt8]]
  package var ending: StreamEnding?
  /// What the writer takes the stream's content for. Nil: unchecked.
  package var contentType: String?
  package var producer: ProducerStamp?
  /// `Stream-Seq`, of all writers of this stream: each must be greater than the last, byte by byte.
  package var sequence: String?
  /// What the stream's lifetime is from now on, counted from now. Nil: it stays what it was.
  package var lifetime: StreamLifetime?

  package init(
    items: [[UInt8]], ending: StreamEnding? = nil, contentType: String? = nil, producer: ProducerStamp? = nil,
    sequence: String? = nil, lifetime: StreamLifetime? = nil
  ) {
    self.items = items
    self.ending = ending
    self.contentType = contentType
    self.producer = producer
    self.sequence = sequence
    self.lifetime = lifetime
  }

  package var isNothing: Bool { items.isEmpty && ending == nil && lifetime == nil }
  /// A reader has something to see.
  package var isVisible: Bool { !items.isEmpty || ending != nil }
  /// Nothing but a lifetime, and nobody's: the one thing that a stream which has ended takes.
  package var isOnlyLifetime: Bool { !isVisible && lifetime != nil && producer == nil && sequence == nil }
  /// Nothing has to be judged but whether the stream has ended.
  package var isPlain: Bool { producer == nil && sequence == nil && contentType == nil && lifetime == nil }
}

/// Who appends, and the how-manieth append it is: what makes a repeat do nothing (Durable Streams Protocol, 5.2.1).
package struct ProducerStamp: Hashable, Sendable {
  package var id: ProducerID
  /// Grows when the producer starts anew; an older one is refused from then on.
  package var epoch: UInt64
  /// From 0 in each epoch, one more for each append.
  package var sequence: UInt64
  package init(id: String, epoch: UInt64, sequence: UInt64) {
    self.id = ProducerID(id)
    self.epoch = epoch
    self.sequence = sequence
  }
}

/// Of a producer: bytes, as the names of streams are. As `String`s, `é` written in one scalar and in two would be one producer here
/// and two in a Redis.
package struct ProducerID: Hashable, Comparable, Sendable, ExpressibleByStringLiteral, CustomStringConvertible {
  package let text: String
  package var description: String { text }
  package init(_ text: String) { self.text = text }
  package init(stringLiteral text: String) { self.text = text }

  package static func == (a: ProducerID, b: ProducerID) -> Bool { a.text.utf8.elementsEqual(b.text.utf8) }
  package static func < (a: ProducerID, b: ProducerID) -> Bool { a.text.utf8.lexicographicallyPrecedes(b.text.utf8) }
  package func hash(into hasher: inout Hasher) {
    var text = text
    text.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
  }
}

package struct StreamAppended: Equatable, Sendable {
  /// The offset after the last item.
  package var tail: Offset
  /// It was there already: nothing was added.
  package var isRepeat = false
  /// The highest sequence taken from its producer.
  package var sequence: UInt64?
  /// How the stream ended, by this append or the one it repeats.
  package var ending: StreamEnding?
  package init(tail: Offset, isRepeat: Bool = false, sequence: UInt64? = nil, ending: StreamEnding? = nil) {
    self.tail = tail
    self.isRepeat = isRepeat
    self.sequence = sequence
    self.ending = ending
  }
}

/// The few things a store must know of content types.
package enum StreamContentType {
  /// Of a stream made without one.
  package static let bytes = "application/octet-stream"
  package static let json = "application/json"

  /// Whether both name the same media type, whatever the case and the parameters.
  package static func isSame(_ a: String, _ b: String) -> Bool {
    a == b || essence(a).elementsEqual(essence(b))
  }

  /// Each item is a JSON text, whatever it says besides (`+json`: RFC 6839, 3.1).
  package static func holdsJSON(_ type: String) -> Bool {
    isSame(type, json) || essence(type).suffix(5).elementsEqual("+json".utf8)
  }

  package static func isText(_ type: String) -> Bool { essence(type).starts(with: "text/".utf8) }

  private static func essence(_ type: String) -> [UInt8] {
    let space = UInt8(ascii: " ")
    let bytes = type.utf8.prefix { $0 != UInt8(ascii: ";") }.drop { $0 == space }
    let end = bytes.lastIndex { $0 != space && $0 != 9 }.map { bytes.index(after: $0) } ?? bytes.startIndex
    return bytes[..<end].map { (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains($0) ? $0 | 0x20 : $0 }
  }
}
