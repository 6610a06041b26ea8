/// Tells at the first wrong byte that a text is not UTF-8, however it is cut (RFC 3629; Unicode table 3-7).
///
/// For texts that arrive in pieces and must be refused early; a text that is there whole is checked by `String`.
package struct UTF8Validator: Sendable {
  /// Continuation bytes still to come, and the range of the next one: the first after a lead byte is narrower where
  /// longer forms, surrogates or values past U+10FFFF begin.
  private var awaited: UInt8 = 0
  private var low: UInt8 = 0x80
  private var high: UInt8 = 0xBF

  package init() {}

  /// No character is unfinished.
  package var isComplete: Bool { awaited == 0 }

  package mutating func accepts(_ bytes: Span<UInt8>) -> Bool {
    bytes.withUnsafeBufferPointer { accepts($0) }
  }

  mutating func accepts(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
    let raw = UnsafeRawBufferPointer(bytes)
    var index = 0
    while index < bytes.count {
      if awaited == 0 {
        while index &+ 8 <= bytes.count,
          raw.loadUnaligned(fromByteOffset: index, as: UInt64.self) & 0x8080_8080_8080_8080 == 0
        { index &+= 8 }
        if index == bytes.count { return true }
      }
      if !accepts(bytes[index]) { return false }
      index &+= 1
    }
    return true
  }

  @inline(__always)
  private mutating func accepts(_ byte: UInt8) -> Bool {
    if awaited > 0 {
      guard low <= byte, byte <= high else { return false }
      awaited -= 1
      (low, high) = (0x80, 0xBF)
      return true
    }
    switch byte {
    case 0x00...0x7F: return true
    case 0xC2...0xDF: awaited = 1
    case 0xE0: (awaited, low) = (2, 0xA0)
    case 0xE1...0xEC, 0xEE...0xEF: awaited = 2
    case 0xED: (awaited, high) = (2, 0x9F)
    case 0xF0: (awaited, low) = (3, 0x90)
    case 0xF1...0xF3: awaited = 3
    case 0xF4: (awaited, high) = (3, 0x8F)
    default: return false
    }
    return true
  }
}
