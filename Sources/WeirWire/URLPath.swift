/// The path of a request target: decoded once, then normalised, so that a route sees one spelling of each path.
///
/// Refuses what cannot be meant well: a broken escape, bytes that are not UTF-8, control characters, a path that climbs
/// above the root.
package enum URLPath {
  /// `/a/./b/../c%20d` → `/a/c d`; a doubled slash counts once. The result always starts with `/`.
  package static func normalised(_ written: String) throws(HTTPFailure) -> String {
    if isNormal(written) { return written }
    guard let bytes = PercentCoding.decode(written.utf8, plusIsSpace: false) else {
      throw .malformed("the path holds a % that is not followed by two hexadecimal digits")
    }
    guard let text = String(validating: bytes, as: UTF8.self) else { throw .malformed("the path is not UTF-8") }
    guard bytes.first == .slash else { throw .malformed("the path does not start with /") }
    guard bytes.allSatisfy({ $0 >= .space && $0 != 0x7F && $0 != .backslash }) else {
      throw .malformed("the path holds a control character or a backslash")
    }
    var segments: [Substring] = []
    let written = text.split(separator: "/")
    for segment in written where segment != "." {
      if segment != ".." {
        segments.append(segment)
      } else if segments.popLast() == nil {
        throw .malformed("the path leads above the root")
      }
    }
    let isFolder = text.hasSuffix("/") || written.last == "." || written.last == ".."
    return "/" + segments.joined(separator: "/") + (isFolder && !segments.isEmpty ? "/" : "")
  }

  /// Nothing to decode, nothing to remove: nearly every path. May say no to one that is.
  private static func isNormal(_ path: String) -> Bool {
    guard path.utf8.first == .slash else { return false }
    var last = UInt8(0)
    for byte in path.utf8 {
      switch byte {
      case .slash, 0x2E: if last == .slash { return false }
      case .percent, .backslash, 0...0x20, 0x7F...0xFF: return false
      default: break
      }
      last = byte
    }
    return true
  }

  /// A segment as it is written in a path: everything but unreserved characters escaped.
  package static func encoded(segment: String) -> String { PercentCoding.encode(segment) }
}

/// RFC 3986 2.1, both ways.
package enum PercentCoding {
  /// nil for a broken escape.
  package static func decode(_ text: some Sequence<UInt8>, plusIsSpace: Bool) -> [UInt8]? {
    var output: [UInt8] = []
    var rest = text.makeIterator()
    while let byte = rest.next() {
      switch byte {
      case .percent:
        guard let high = rest.next()?.hexValue, let low = rest.next()?.hexValue else { return nil }
        output.append(UInt8(high << 4 | low))
      case 0x2B where plusIsSpace: output.append(.space)
      default: output.append(byte)
      }
    }
    return output
  }

  package static func encode(_ text: String) -> String {
    var output: [UInt8] = []
    for byte in text.utf8 {
      switch byte {
      case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F, 0x7E: output.append(byte)
      default:
        output.append(.percent)
        output.append(hexDigits[Int(byte >> 4)])
        output.append(hexDigits[Int(byte & 15)])
      }
    }
    return String(decoding: output, as: UTF8.self)
  }
  private static let hexDigits = Array("0123456789ABCDEF".utf8)
}
