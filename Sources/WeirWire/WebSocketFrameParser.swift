/// A peer's bytes in, frames out: headers checked, payloads as places in the input, still masked.
///
/// Pure, and holds nothing of the input but a header that a cut has torn (14 bytes). Which frames may follow each other
/// is `WebSocketMessageParser`'s. A header is checked byte for byte in order, so every cut fails at the same byte.
package struct WebSocketFrameParser: Sendable {
  package enum Piece: Equatable, Sendable {
    case header(WebSocketFrameHeader)
    /// Bytes of the last header's payload: `input[range]`, of which `offset` went before.
    case payload(Range<Int>, offset: Int)
    /// The frame is complete.
    case end
  }

  private let role: WebSocketRole
  private let allowsCompression: Bool

  private enum State {
    case header
    case payload(length: Int, taken: Int)
  }
  private var state = State.header
  /// A torn header's first bytes, most significant first, and how many there are.
  private var torn: UInt128 = 0
  private var tornCount = 0

  /// `role` is whose parser it is: a server's wants masked frames, a client's unmasked ones.
  package init(role: WebSocketRole, allowsCompression: Bool) {
    self.role = role
    self.allowsCompression = allowsCompression
  }

  /// Nothing of a frame is here.
  package var isBetweenFrames: Bool {
    if case .header = state { tornCount == 0 } else { false }
  }

  /// The next piece, reading from `position` on and moving it; nil: all of the input was read.
  package mutating func next(
    _ input: UnsafeBufferPointer<UInt8>, _ position: inout Int
  ) throws(WebSocketFailure) -> Piece? {
    switch state {
    case .header:
      guard let header = try readHeader(input, &position) else { return nil }
      state = .payload(length: header.length, taken: 0)
      return .header(header)
    case .payload(let length, let taken):
      if taken == length {
        state = .header
        return .end
      }
      let count = min(length - taken, input.count - position)
      if count == 0 { return nil }
      state = .payload(length: length, taken: taken + count)
      defer { position += count }
      return .payload(position..<position + count, offset: taken)
    }
  }

  private mutating func readHeader(
    _ input: UnsafeBufferPointer<UInt8>, _ position: inout Int
  ) throws(WebSocketFailure) -> WebSocketFrameHeader? {
    // Invariant: bytes already in `torn` were checked as far as they go.
    while true {
      if tornCount >= 2 {
        let size = headerSize
        if tornCount == size { return try header(size) }
      }
      guard position < input.count else { return nil }
      torn = torn << 8 | UInt128(input[position])
      tornCount += 1
      position += 1
      if tornCount == 1 { try checkFirst() }
      if tornCount == 2 { try checkSecond() }
    }
  }

  /// Byte `index` of the torn header.
  private func byte(_ index: Int) -> UInt8 { UInt8(truncatingIfNeeded: torn >> UInt128((tornCount - 1 - index) * 8)) }

  private var headerSize: Int {
    let second = byte(1)
    let extended =
      switch second & 0x7F {
      case 126: 2
      case 127: 8
      default: 0
      }
    return 2 + extended + (second & 0x80 != 0 ? 4 : 0)
  }

  private func checkFirst() throws(WebSocketFailure) {
    let first = byte(0)
    guard let opcode = WebSocketOpcode(rawValue: first & 0x0F) else {
      throw .violation("a frame with the reserved opcode \(first & 0x0F)")
    }
    if first & 0x30 != 0 { throw .violation("a frame with a reserved bit set") }
    if first & 0x40 != 0, !allowsCompression || opcode.isControl || opcode == .continuation {
      throw .violation("a frame with a reserved bit set")
    }
    if opcode.isControl, first & 0x80 == 0 { throw .violation("a fragmented control frame") }
  }

  private func checkSecond() throws(WebSocketFailure) {
    let (first, second) = (byte(0), byte(1))
    if first & 0x08 != 0, second & 0x7F > 125 { throw .violation("a control frame of more than 125 bytes") }
    switch role {
    case .server: if second & 0x80 == 0 { throw .violation("a client's frame that is not masked") }
    case .client: if second & 0x80 != 0 { throw .violation("a server's frame that is masked") }
    }
  }

  private mutating func header(_ size: Int) throws(WebSocketFailure) -> WebSocketFrameHeader {
    let (first, second) = (byte(0), byte(1))
    let isMasked = second & 0x80 != 0
    let key = isMasked ? UInt32(truncatingIfNeeded: torn) : nil
    let afterLength = isMasked ? torn >> 32 : torn
    var length = UInt64(second & 0x7F)
    if length == 126 {
      length = UInt64(UInt16(truncatingIfNeeded: afterLength))
      if length < 126 { throw .violation("a frame's length is not written in the shortest way") }
    } else if length == 127 {
      length = UInt64(truncatingIfNeeded: afterLength)
      if length >> 63 != 0 { throw .violation("a frame's length has its highest bit set") }
      if length <= 0xFFFF { throw .violation("a frame's length is not written in the shortest way") }
    }
    torn = 0
    tornCount = 0
    return WebSocketFrameHeader(
      WebSocketOpcode(rawValue: first & 0x0F) ?? .continuation, isFinal: first & 0x80 != 0,
      isCompressed: first & 0x40 != 0, maskKey: key, length: Int(length))
  }
}
