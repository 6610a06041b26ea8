/// std/string. Places and lengths count Unicode scalars; comparison and search are by bytes, without normalising.
extension LibraryModule {
  static var string: LibraryModule {
    LibraryModule(
      name: "std/string",
      source: #"""
        // Text. Places and lengths count characters (Unicode scalars); comparison and search go by bytes.

        /// How many characters (Unicode scalars) there are.
        export extern func length(text: string) -> int
        /// Bytes of its UTF-8.
        export extern func byteLength(text: string) -> int
        /// Whether there is no character in it.
        export func isEmpty(text: string) -> bool { text == "" }
        /// The parts between separators; an empty separator gives the characters.
        export extern func split(text: string, separator: string) -> [string]
        /// The parts one behind the other, with the separator between two.
        export extern func join(parts: [string], separator: string) -> string
        /// Lines without their ends (\n or \r\n); a last newline does not begin another line.
        export extern func lines(text: string) -> [string]
        /// Parts between runs of white space.
        export extern func words(text: string) -> [string]
        /// Without white space at both ends.
        export extern func trim(text: string) -> string
        /// Without white space at the beginning.
        export extern func trimStart(text: string) -> string
        /// Without white space at the end.
        export extern func trimEnd(text: string) -> string
        /// Whether the part occurs anywhere.
        export extern func contains(text: string, part: string) -> bool
        /// Whether the text begins with the part.
        export extern func startsWith(text: string, part: string) -> bool
        /// Whether the text ends with the part.
        export extern func endsWith(text: string, part: string) -> bool
        /// The place of the first occurrence.
        export extern func find(text: string, part: string) -> Option[int]
        /// Every occurrence replaced.
        export extern func replace(text: string, part: string, by: string) -> string
        /// In capital letters.
        export extern func toUpper(text: string) -> string
        /// In small letters.
        export extern func toLower(text: string) -> string
        /// Characters `from` up to, not including, `to`; places outside are left out.
        export extern func substring(text: string, from: int, to: int) -> string
        /// The text `count` times over; "" for less than one. At most 64 MiB.
        export extern func repeat(text: string, count: int) -> string
        /// Its characters, each as a string.
        export extern func chars(text: string) -> [string]
        /// The character at a place, counted from 0.
        export extern func charAt(text: string, index: int) -> Option[string]
        /// The numbers of its characters (Unicode scalars).
        export extern func codePoints(text: string) -> [int]
        /// The text of these scalars; what is no scalar becomes U+FFFD.
        export extern func fromCodePoints(codes: [int]) -> string
        /// Filled up on the left to a number of characters.
        export extern func padStart(text: string, width: int, with: string) -> string
        /// Filled up on the right to a number of characters.
        export extern func padEnd(text: string, width: int, with: string) -> string
        /// A whole number in decimal.
        export extern func toInt(text: string) -> Option[int]
        /// A number as it is written in decimal; no `inf`, no `nan`.
        export extern func toFloat(text: string) -> Option[float]
        /// A whole number in decimal.
        export extern func fromInt(number: int) -> string
        /// A number in the fewest digits that read back as the same one.
        export extern func fromFloat(number: float) -> string
        """#,
      natives: stringNatives)
  }

  /// Bytes that `repeat` and padding may make.
  static let textLimit = 64 * 1024 * 1024

  private static var stringNatives: [Native] {
    [
      native("length") { (text: String) in text.scalarCount },
      native("byteLength") { (text: String) in text.utf8.count },
      native("split") { (text: String, separator: String) in
        separator.isEmpty ? characters(text) : pieces(text, separator)
      },
      native("join") { (parts: [String], separator: String) in parts.joined(separator: separator) },
      native("lines") { (text: String) in lines(text) },
      native("words") { (text: String) in
        text.unicodeScalars.split { $0.properties.isWhitespace }.map { String($0) }
      },
      native("trim") { (text: String) in trimmed(text, start: true, end: true) },
      native("trimStart") { (text: String) in trimmed(text, start: true, end: false) },
      native("trimEnd") { (text: String) in trimmed(text, start: false, end: true) },
      native("contains") { (text: String, part: String) in
        place(of: Array(part.utf8), in: Array(text.utf8), from: 0) != nil
      },
      native("startsWith") { (text: String, part: String) in text.utf8.starts(with: part.utf8) },
      native("endsWith") { (text: String, part: String) in
        text.utf8.count >= part.utf8.count && text.utf8.suffix(part.utf8.count).elementsEqual(part.utf8)
      },
      native("find") { (text: String, part: String) -> Int? in
        let bytes = Array(text.utf8)
        return place(of: Array(part.utf8), in: bytes, from: 0).map { place in
          bytes[..<place].count { $0 & 0xC0 != 0x80 }
        }
      },
      native("replace") { (text: String, part: String, by: String) in
        part.isEmpty ? text : pieces(text, part).joined(separator: by)
      },
      native("toUpper") { (text: String) in text.uppercased() },
      native("toLower") { (text: String) in text.lowercased() },
      native("substring") { (text: String, from: Int, to: Int) in
        let scalars = text.unicodeScalars
        let from = max(0, from)
        guard to > from else { return "" }
        return String(scalars.dropFirst(from).prefix(to - from))
      },
      native("repeat") { (text: String, count: Int) in try repeated(text, count) },
      native("chars") { (text: String) in characters(text) },
      native("charAt") { (text: String, index: Int) -> String? in
        index < 0 ? nil : text.unicodeScalars.dropFirst(index).first.map { String($0) }
      },
      native("codePoints") { (text: String) in text.unicodeScalars.map { Int($0.value) } },
      native("fromCodePoints") { (codes: [Int]) in
        var text = String.UnicodeScalarView()
        for code in codes { text.append(UInt32(exactly: code).flatMap(Unicode.Scalar.init) ?? "\u{FFFD}") }
        return String(text)
      },
      native("padStart") { (text: String, width: Int, with: String) in try padding(text, width, with) + text },
      native("padEnd") { (text: String, width: Int, with: String) in text + (try padding(text, width, with)) },
      native("toInt") { (text: String) in Int(text) },
      native("toFloat") { (text: String) -> Double? in
        // Swift's reader also takes hexadecimal, `inf` and `nan`.
        guard text.utf8.allSatisfy({ "0123456789+-.eE".utf8.contains($0) }) else { return nil }
        return Double(text)
      },
      native("fromInt") { (number: Int) in String(number) },
      native("fromFloat") { (number: Double) in number.description },
    ]
  }

  private static func characters(_ text: String) -> [String] { text.unicodeScalars.map { String($0) } }

  private static func place(of part: [UInt8], in bytes: [UInt8], from start: Int) -> Int? {
    if part.isEmpty { return start }
    guard bytes.count - start >= part.count else { return nil }
    return (start...(bytes.count - part.count)).first { place in
      bytes[place] == part[0] && bytes[place..<place + part.count].elementsEqual(part)
    }
  }

  private static func pieces(_ text: String, _ separator: String) -> [String] {
    let bytes = Array(text.utf8)
    let part = Array(separator.utf8)
    var pieces: [String] = []
    var start = 0
    while let found = place(of: part, in: bytes, from: start) {
      pieces.append(String(decoding: bytes[start..<found], as: UTF8.self))
      start = found + part.count
    }
    pieces.append(String(decoding: bytes[start...], as: UTF8.self))
    return pieces
  }

  private static func lines(_ text: String) -> [String] {
    var lines = text.utf8.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).map { line in
      String(decoding: line.last == UInt8(ascii: "\r") ? line.dropLast() : line, as: UTF8.self)
    }
    if lines.last == "" { lines.removeLast() }
    return lines
  }

  private static func trimmed(_ text: String, start: Bool, end: Bool) -> String {
    var scalars = text.unicodeScalars[...]
    if start { scalars = scalars.drop { $0.properties.isWhitespace } }
    if end { while let last = scalars.last, last.properties.isWhitespace { scalars.removeLast() } }
    return String(scalars)
  }

  private static func repeated(_ text: String, _ count: Int) throws -> String {
    let (size, overflow) = text.utf8.count.multipliedReportingOverflow(by: max(0, count))
    guard !overflow, size <= textLimit else { throw Trap("TooLarge", "a string of more than \(textLimit) bytes") }
    return String(repeating: text, count: max(0, count))
  }

  private static func padding(_ text: String, _ width: Int, _ filler: String) throws -> String {
    let missing = width - text.unicodeScalars.count
    let unit = filler.unicodeScalars.count
    guard missing > 0, unit > 0 else { return "" }
    return String(try repeated(filler, missing / unit + 1).unicodeScalars.prefix(missing))
  }
}

extension String {
  /// Its Unicode scalars: the bytes that do not continue one.
  var scalarCount: Int {
    let direct = utf8.withContiguousStorageIfAvailable { bytes in
      bytes.reduce(0) { $0 &+ ($1 & 0xC0 == 0x80 ? 0 : 1) }
    }
    return direct ?? unicodeScalars.count
  }
}
