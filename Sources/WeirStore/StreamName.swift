import WeirCore

/// A validated stream name: a path of 1 to 16 segments joined by `/`, at most 255 bytes of UTF-8.
///
/// Segments are not empty, not `.` or `..`, and hold no control characters, `:` or `\`, so no name can leave a
/// directory, collide with another after escaping, or break a header (spec/durable.md, Model).
///
/// Names are bytes here, not text: they are checked, compared, hashed and sorted by their UTF-8. As `String`s, `é`
/// written in one scalar and in two would be the same stream in memory and two on disk, and a `/` or `:` with a
/// combining mark behind it would be another character and pass the checks.
package struct StreamName: Hashable, Comparable, Sendable, CustomStringConvertible {
  package let path: String
  /// Of the bytes, taken once: a store looks a name up at every append and read.
  private let pathHash: Int
  package var description: String { path }

  package static let byteLimit = 255
  package static let segmentLimit = 16

  package init(_ path: String) throws(StoreFailure) {
    guard path.utf8.count <= Self.byteLimit else {
      throw .badName(String(path.prefix(40)) + "…", "longer than \(Self.byteLimit) bytes")
    }
    var segments = 1
    var length = 0
    var dots = 0
    for scalar in path.unicodeScalars {
      switch scalar {
      case "/":
        if let why = Self.problem(length: length, dots: dots) { throw .badName(path, why) }
        segments += 1
        length = 0
        dots = 0
        continue
      case ":", "\\": throw .badName(path, "a colon or backslash")
      case "\u{0}"..."\u{1F}", "\u{7F}"..."\u{9F}": throw .badName(path, "a control character")
      case ".": dots += 1
      default: break
      }
      length += 1
    }
    if let why = Self.problem(length: length, dots: dots) { throw .badName(path, why) }
    guard segments <= Self.segmentLimit else { throw .badName(path, "more than \(Self.segmentLimit) parts") }
    self.path = path
    var hasher = Hasher()
    var path = path
    path.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
    pathHash = hasher.finalize()
  }

  private static func problem(length: Int, dots: Int) -> String? {
    if length == 0 { return "an empty part" }
    return length == dots && dots <= 2 ? "a part that is . or .." : nil
  }

  package static func == (a: StreamName, b: StreamName) -> Bool {
    if a.pathHash != b.pathHash { return false }
    let isEqual = a.path.utf8.withContiguousStorageIfAvailable { left in
      b.path.utf8.withContiguousStorageIfAvailable { right in
        guard left.count == right.count else { return false }
        return Self.isEqual(UnsafeRawBufferPointer(left), UnsafeRawBufferPointer(right))
      }
    }
    return (isEqual ?? nil) ?? a.path.utf8.elementsEqual(b.path.utf8)
  }

  /// Eight bytes at a time: every append and read looks a name up. Both have the same length.
  private static func isEqual(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Bool {
    var at = 0
    while at + 8 <= left.count {
      let a = left.loadUnaligned(fromByteOffset: at, as: UInt64.self)
      if a != right.loadUnaligned(fromByteOffset: at, as: UInt64.self) { return false }
      at += 8
    }
    while at < left.count {
      if left[at] != right[at] { return false }
      at += 1
    }
    return true
  }

  package static func < (a: StreamName, b: StreamName) -> Bool { a.path.utf8.lexicographicallyPrecedes(b.path.utf8) }

  package func hash(into hasher: inout Hasher) { hasher.combine(pathHash) }

  package func starts(with prefix: String) -> Bool { path.utf8.starts(with: prefix.utf8) }
}
