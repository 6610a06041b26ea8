/// Finds whole JSON objects in bytes that are not an event stream: lines of NDJSON, items of one JSON array, and what
/// stands raw between the events of a stream (an error body, a `{"error":…}` line, an `error: {…}` line).
///
/// Pure and linear: looks only at quotes, escapes and brackets; whether the object is JSON is for its reader to find.
struct ObjectFramer {
  /// As for one event of an event stream.
  static let objectByteLimit = 16 << 20

  enum Place {
    /// Objects begin at the start of a line (`{…`, `[…` or `error: {…`).
    case lineStart
    /// Objects begin anywhere outside of others.
    case anywhere
    /// The same, but a line that begins with an object ends what was left open in the lines before: one object a line.
    case lines
  }

  private let place: Place
  private let limit: Int
  private var object: [UInt8] = []
  private var depth = 0
  private var inString = false
  private var afterBackslash = false
  private var line = Line.start
  private var isAfterLineFeed = false
  /// Objects that were too large or broken off.
  private(set) var dropped = 0
  /// The last object stood in an `error:` line.
  private(set) var isError = false

  private enum Line {
    case start
    /// So many bytes of `error:` matched.
    case prefix(Int)
    case other
  }
  private static let prefix = Array("error:".utf8)

  init(_ place: Place, objectByteLimit: Int = ObjectFramer.objectByteLimit) {
    self.place = place
    limit = objectByteLimit
  }

  /// Reads on from `start` until an object is complete. Returns how far it read, and the object if there is one.
  mutating func advance(_ bytes: Span<UInt8>, from start: Int) -> (end: Int, object: [UInt8]?) {
    var at = start
    while at < bytes.count {
      if depth == 0 {
        at = skip(bytes, from: at)
        if at == bytes.count { break }
      }
      let byte = bytes[at]
      if isAfterLineFeed, byte == UInt8(ascii: "{"), depth > 0, case .lines = place { drop() }
      isAfterLineFeed = byte == 0x0A || byte == 0x0D
      at += 1
      object.append(byte)
      if inString {
        if afterBackslash {
          afterBackslash = false
        } else if byte == UInt8(ascii: "\\") {
          afterBackslash = true
        } else if byte == UInt8(ascii: "\"") {
          inString = false
        } else if byte == 0x0A {
          drop()  // no JSON string has a line end in it: this was not JSON
          line = .start
          continue
        }
      } else if byte == UInt8(ascii: "\"") {
        inString = true
      } else if byte == UInt8(ascii: "{") || byte == UInt8(ascii: "[") {
        depth += 1
      } else if byte == UInt8(ascii: "}") || byte == UInt8(ascii: "]") {
        depth -= 1
        if depth == 0 {
          let whole = object
          object = []
          line = .other
          return (at, whole)
        }
      }
      if object.count > limit { drop() }
    }
    return (at, nil)
  }

  private mutating func drop() {
    object = []
    depth = 0
    inString = false
    afterBackslash = false
    line = .other
    dropped += 1
  }

  /// To the next place where an object begins, or the end.
  private mutating func skip(_ bytes: Span<UInt8>, from start: Int) -> Int {
    var at = start
    if case .lineStart = place {
    } else {
      while at < bytes.count, bytes[at] != UInt8(ascii: "{") { at += 1 }
      return at
    }
    while at < bytes.count {
      let byte = bytes[at]
      switch line {
      case .other:
        at = Self.nextLineFeed(bytes, from: at)
        if at < bytes.count {
          at += 1
          line = .start
        }
      case .start:
        if byte == UInt8(ascii: "{") || byte == UInt8(ascii: "[") {
          isError = false
          return at
        }
        if byte == Self.prefix[0] {
          line = .prefix(1)
        } else if byte != 0x0A, byte != 0x0D, byte != 0x20, byte != 0x09 {
          line = .other
          continue
        }
        at += 1
      case .prefix(let matched):
        if matched == Self.prefix.count {
          if byte == UInt8(ascii: "{") {
            isError = true
            return at
          }
          if byte != 0x20 {
            line = .other
            continue
          }
        } else if byte == Self.prefix[matched] {
          line = .prefix(matched + 1)
        } else {
          line = .other
          continue
        }
        at += 1
      }
    }
    return at
  }

  /// Eight bytes at a time: every byte of every stream passes here.
  private static func nextLineFeed(_ bytes: Span<UInt8>, from start: Int) -> Int {
    bytes.withUnsafeBufferPointer { buffer in
      guard let base = buffer.baseAddress else { return 0 }
      let raw = UnsafeRawPointer(base)
      var at = start
      while at + 8 <= buffer.count {
        // A zero byte where there was a line feed; the usual test for one (Hacker's Delight, 6-1).
        let word = raw.loadUnaligned(fromByteOffset: at, as: UInt64.self) ^ 0x0A0A_0A0A_0A0A_0A0A
        if (word &- 0x0101_0101_0101_0101) & ~word & 0x8080_8080_8080_8080 != 0 { break }
        at += 8
      }
      while at < buffer.count, base[at] != 0x0A { at += 1 }
      return at
    }
  }
}
