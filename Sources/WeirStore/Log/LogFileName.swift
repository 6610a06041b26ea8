import WeirCore

/// The name of a segment's file: the stream's name, escaped, `@`, and the position of its first item in 16 digits.
///
/// Lower-case letters, digits, `-`, `_` and inner dots stand for themselves, every other byte is `%` and two hexadecimal
/// digits, so names that differ in case or in Unicode's composition are different files everywhere. What would be too long for
/// a file system begins with `=` and is a hash: the stream's own name is in the file (`LogRecord.Header`).
enum LogFileName {
  static let ending = ".log"
  /// With the rest of the name this stays below the 255 bytes that file systems take.
  private static let escapedLimit = 200

  static func stem(_ name: StreamName) -> String {
    var out = ""
    for byte in name.path.utf8 {
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"),
        UInt8(ascii: "_"):
        out.unicodeScalars.append(Unicode.Scalar(byte))
      case UInt8(ascii: ".") where !out.isEmpty: out += "."
      default: out += "%" + hex(byte)
      }
      if out.utf8.count > escapedLimit { return "=" + SHA256.hash(name.path.utf8).map(hex).joined() }
    }
    return out
  }

  static func file(_ stem: String, base: UInt64) -> String { "\(stem)@\(Offset(base))\(ending)" }

  /// Of a file in the store's folder; nil for whatever is not a segment.
  static func parse(_ file: String) -> (stem: String, base: UInt64)? {
    guard file.hasSuffix(ending), let at = file.lastIndex(of: "@") else { return nil }
    let digits = file[file.index(after: at)...].dropLast(ending.count)
    guard digits.utf8.count == 16, let base = Offset(digits) else { return nil }
    return (String(file[..<at]), base.value)
  }

  /// Nil for a hash, and for what no stream has as its stem.
  static func name(_ stem: String) -> StreamName? {
    var bytes: [UInt8] = []
    var rest = Array(stem.utf8)[...]
    while let byte = rest.popFirst() {
      guard byte == UInt8(ascii: "%") else {
        bytes.append(byte)
        continue
      }
      guard rest.count >= 2, let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16) else {
        return nil
      }
      bytes.append(value)
      rest = rest.dropFirst(2)
    }
    guard let path = String(validating: bytes, as: UTF8.self), let name = try? StreamName(path),
      self.stem(name) == stem
    else { return nil }
    return name
  }

  private static func hex(_ byte: UInt8) -> String {
    let digits = String(byte, radix: 16)
    return digits.utf8.count == 1 ? "0" + digits : digits
  }
}
