import WeirCore

/// The name of a segment's file: the stream's name, escaped, `@`, and the position of its first item in 16 digits.
///
/// What a store must know of every stream before it is asked for any is in the names: the first segment of a stream that is a
/// fork or was made with a lifetime ends in `.origin`, that of one which is given a lifetime later in `.kept`, and
/// `<stream>.gone` says that the stream was deleted and is kept for its forks.
///
/// Lower-case letters, digits, `-`, `_` and inner dots stand for themselves, every other byte is `%` and two hexadecimal
/// digits, so names that differ in case or in Unicode's composition are different files everywhere. What would be too long for
/// a file system begins with `=` and is a hash: the stream's own name is in the file (`LogRecord.Header`).
enum LogFileName {
  enum Kind: String, CaseIterable {
    case log = ".log"
    case origin = ".origin"
    case kept = ".kept"
    case gone = ".gone"

    /// Whether the segments of a stream whose first one is of this kind begin with headers of that one: a lifetime that was given
    /// later is in the headers of the segments behind it.
    func holds(_ header: Kind) -> Bool { self == header || self == .kept }
  }

  /// With the rest of the name this stays below the 255 bytes that file systems take.
  private static let escapedLimit = 200

  static func stem(_ name: StreamName) -> String { stem(ofPath: name.path) }

  static func stem(ofPath path: String) -> String {
    var out = ""
    for byte in path.utf8 {
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"),
        UInt8(ascii: "_"):
        out.unicodeScalars.append(Unicode.Scalar(byte))
      case UInt8(ascii: ".") where !out.isEmpty: out += "."
      default: out += "%" + hex(byte)
      }
      if out.utf8.count > escapedLimit { return "=" + SHA256.hash(path.utf8).map(hex).joined() }
    }
    return out
  }

  static func segment(_ stem: String, base: UInt64, _ kind: Kind) -> String {
    "\(stem)@\(Offset(base))\(kind.rawValue)"
  }

  static func gone(_ stem: String) -> String { stem + Kind.gone.rawValue }

  /// Of a file in the store's folder; nil for whatever is not the store's.
  static func parse(_ file: String) -> (stem: String, base: UInt64, kind: Kind)? {
    guard let kind = Kind.allCases.first(where: { file.hasSuffix($0.rawValue) }) else { return nil }
    let rest = file.dropLast(kind.rawValue.utf8.count)
    if kind == .gone { return rest.isEmpty ? nil : (String(rest), 0, kind) }
    guard let at = rest.lastIndex(of: "@") else { return nil }
    let digits = rest[rest.index(after: at)...]
    guard digits.utf8.count == 16, let base = Offset(digits) else { return nil }
    return (String(rest[..<at]), base.value, kind)
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
