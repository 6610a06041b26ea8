import WeirCore

/// The fast way to read a delta: most events of a stream differ from the one before in one string alone.
///
/// When an event was scanned and said nothing but a piece of text, what stands before and after that string is kept.
/// The next event with the same bytes around another plain string is the same JSON but for that string, so nothing
/// needs to be scanned to know what it says: 0.1 µs instead of 1 µs. Anything else (an escape, another field, another
/// order) is not recognised and takes the usual way, with the same result.
struct DeltaTemplate {
  /// A provider that changes something in every event (an ID, padding) would pay for learning and never use it.
  static let missLimit = 16
  /// Longer events are rare, and not where the time goes.
  static let byteLimit = 4_096

  /// Up to the string's opening quote, and from its closing quote on; both included.
  private var before: [UInt8] = []
  private var after: [UInt8] = []
  private var misses = 0

  /// The piece of text, if this event is like the one learnt.
  mutating func text(of data: Span<UInt8>) -> String? {
    guard !before.isEmpty else { return nil }
    let text = data.withUnsafeBufferPointer { match($0) }
    misses = text == nil ? misses + 1 : 0
    return text
  }

  private func match(_ data: UnsafeBufferPointer<UInt8>) -> String? {
    let end = data.count - after.count
    guard end >= before.count, data.count <= Self.byteLimit,
      Self.isEqual(data, at: 0, before), Self.isEqual(data, at: end, after)
    else { return nil }
    for byte in data[before.count..<end]
    where byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") || byte < 0x20 { return nil }
    return String(decoding: UnsafeBufferPointer(rebasing: data[before.count..<end]), as: UTF8.self)
  }

  private static func isEqual(_ data: UnsafeBufferPointer<UInt8>, at start: Int, _ part: [UInt8]) -> Bool {
    part.withUnsafeBytes { part in
      let data = UnsafeRawBufferPointer(data)
      var at = 0
      while at + 8 <= part.count {
        if data.loadUnaligned(fromByteOffset: start + at, as: UInt64.self)
          != part.loadUnaligned(fromByteOffset: at, as: UInt64.self)
        {
          return false
        }
        at += 8
      }
      while at < part.count {
        if data[start + at] != part[at] { return false }
        at += 1
      }
      return true
    }
  }

  /// `text`: where the string is, quotes included.
  mutating func learn(_ data: Span<UInt8>, text: JSONSlice) {
    guard misses < Self.missLimit, data.count <= Self.byteLimit else {
      before = []
      return
    }
    data.withUnsafeBufferPointer { data in
      before = Array(data[...text.start])
      after = Array(data[(text.end - 1)...])
    }
  }
}
