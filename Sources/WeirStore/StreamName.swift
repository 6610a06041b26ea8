import WeirCore

/// A validated stream name: a path of 1 to 16 segments joined by `/`, at most 255 bytes of UTF-8.
///
/// Segments are not empty, not `.` or `..`, and hold no control characters, `:` or `\`, so no name can leave a
/// directory, collide with another after escaping, or break a header (spec/durable.md, Model).
package struct StreamName: Hashable, Comparable, Sendable, CustomStringConvertible {
  package let path: String
  package var description: String { path }
  package static func < (a: StreamName, b: StreamName) -> Bool { a.path < b.path }

  package static let byteLimit = 255
  package static let segmentLimit = 16

  package init(_ path: String) throws(StoreFailure) {
    guard path.utf8.count <= Self.byteLimit else {
      throw .badName(String(path.prefix(40)) + "…", "longer than \(Self.byteLimit) bytes")
    }
    let segments = path.split(separator: "/", omittingEmptySubsequences: false)
    guard segments.count <= Self.segmentLimit else { throw .badName(path, "more than \(Self.segmentLimit) parts") }
    for segment in segments {
      if segment.isEmpty { throw .badName(path, "an empty part") }
      if segment == "." || segment == ".." { throw .badName(path, "a part that is . or ..") }
      for scalar in segment.unicodeScalars where scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value) {
        throw .badName(path, "a control character")
      }
      if segment.contains(where: { $0 == ":" || $0 == "\\" }) { throw .badName(path, "a colon or backslash") }
    }
    self.path = path
  }
}
