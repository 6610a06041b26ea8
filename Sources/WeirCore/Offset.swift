/// A place between two items of a stream: the number of items before it.
///
/// Offset 0 is the beginning; the offset after item n (0-based) is n + 1, and reading from an offset gives the items
/// that come after it. On the wire it is 16 decimal digits, so that offsets sort as text (Durable Streams Protocol).
package struct Offset: Hashable, Comparable, Sendable, CustomStringConvertible {
  package var value: UInt64
  package init(_ value: UInt64) { self.value = value }
  package static let start = Offset(0)
  package static func < (a: Offset, b: Offset) -> Bool { a.value < b.value }
  package static func + (a: Offset, count: Int) -> Offset { Offset(a.value + UInt64(count)) }

  /// Highest value that the 16 digits can hold.
  package static let limit: UInt64 = 9_999_999_999_999_999

  package var description: String {
    if value > Self.limit { return String(value) }
    return String(unsafeUninitializedCapacity: 16) { digits in
      var rest = value
      for place in (0..<16).reversed() {
        digits[place] = 0x30 + UInt8(rest % 10)
        rest /= 10
      }
      return 16
    }
  }

  /// Reads 1 to 16 decimal digits, nothing else. `-1` (the protocol's "beginning") is the caller's to know.
  package init?(_ text: some StringProtocol) {
    let digits = text.utf8
    guard (1...16).contains(digits.count) else { return nil }
    var value: UInt64 = 0
    for digit in digits {
      guard (0x30...0x39).contains(digit) else { return nil }
      value = value * 10 + UInt64(digit - 0x30)
    }
    self.value = value
  }
}
