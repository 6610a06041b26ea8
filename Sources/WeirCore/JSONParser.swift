/// Reads one JSON text (RFC 8259) into a tree. Strict grammar, bounded depth, every error with its place.
///
/// `\u` escapes that are not a valid pair of surrogates become U+FFFD, as browsers do. Bytes that are not UTF-8 are an
/// error: nothing invented enters a stream. Hot paths don't build trees: see `JSONScanner`.
package struct JSONParser {
  /// Deepest nesting of arrays and objects: far above any provider's, far below what a 512 KB stack holds.
  package static let depthLimit = 512
  /// Of what Weir has written itself: records wrap what was accepted from outside in a few levels of their own.
  package static let ownDepthLimit = depthLimit + 16

  /// Whether a JSON text is nested deeper than `depthLimit`.
  package static func isTooDeep(_ text: [UInt8]) -> Bool {
    // Two brackets for each level.
    if text.count <= 2 * depthLimit { return false }
    var (depth, isInString, isEscaped) = (0, false, false)
    for byte in text {
      if isInString {
        if isEscaped {
          isEscaped = false
        } else if byte == UInt8(ascii: "\\") {
          isEscaped = true
        } else if byte == UInt8(ascii: "\"") {
          isInString = false
        }
        continue
      }
      switch byte {
      case UInt8(ascii: "\""): isInString = true
      case UInt8(ascii: "["), UInt8(ascii: "{"):
        depth += 1
        if depth > depthLimit { return true }
      case UInt8(ascii: "]"), UInt8(ascii: "}"): depth -= 1
      default: break
      }
    }
    return false
  }

  private let base: UnsafeBufferPointer<UInt8>
  private let count: Int
  private let depthLimit: Int
  private var at = 0
  private var depth = 0

  fileprivate init(_ bytes: UnsafeBufferPointer<UInt8>, from start: Int, to end: Int, depthLimit: Int) {
    base = bytes
    count = end
    at = start
    self.depthLimit = depthLimit
  }

  fileprivate mutating func document() throws(JSONFailure) -> JSONValue {
    let result = try value()
    skipSpace()
    guard at == count else { throw fail("unexpected text after the value") }
    return result
  }

  private mutating func value() throws(JSONFailure) -> JSONValue {
    skipSpace()
    guard at < count else { throw fail("unexpected end") }
    switch base[at] {
    case UInt8(ascii: "{"): return try object()
    case UInt8(ascii: "["): return try array()
    case UInt8(ascii: "\""): return .string(try string())
    case UInt8(ascii: "t"):
      try literal("true")
      return .bool(true)
    case UInt8(ascii: "f"):
      try literal("false")
      return .bool(false)
    case UInt8(ascii: "n"):
      try literal("null")
      return .null
    case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try number()
    default: throw fail("expected a value")
    }
  }

  private mutating func object() throws(JSONFailure) -> JSONValue {
    try enter()
    var members: [JSONMember] = []
    skipSpace()
    if take(UInt8(ascii: "}")) {
      depth -= 1
      return .object(members)
    }
    while true {
      skipSpace()
      guard at < count, base[at] == UInt8(ascii: "\"") else { throw fail("expected a name in quotes") }
      let name = try string()
      skipSpace()
      guard take(UInt8(ascii: ":")) else { throw fail("expected ':'") }
      members.append(JSONMember(name, try value()))
      skipSpace()
      if take(UInt8(ascii: ",")) { continue }
      guard take(UInt8(ascii: "}")) else { throw fail("expected ',' or '}'") }
      depth -= 1
      return .object(members)
    }
  }

  private mutating func array() throws(JSONFailure) -> JSONValue {
    try enter()
    var items: [JSONValue] = []
    skipSpace()
    if take(UInt8(ascii: "]")) {
      depth -= 1
      return .array(items)
    }
    while true {
      items.append(try value())
      skipSpace()
      if take(UInt8(ascii: ",")) { continue }
      guard take(UInt8(ascii: "]")) else { throw fail("expected ',' or ']'") }
      depth -= 1
      return .array(items)
    }
  }

  private mutating func enter() throws(JSONFailure) {
    depth += 1
    guard depth <= depthLimit else { throw fail("nested more than \(depthLimit) deep") }
    at += 1
  }

  fileprivate mutating func string() throws(JSONFailure) -> String {
    let open = at
    at += 1
    let start = at
    while at < count, base[at] != UInt8(ascii: "\""), base[at] != UInt8(ascii: "\\"), base[at] >= 0x20 { at += 1 }
    guard at < count else { throw fail("this string is not closed", at: open) }
    if base[at] == UInt8(ascii: "\"") {
      let bytes = UnsafeBufferPointer(rebasing: base[start..<at])
      at += 1
      guard let text = String(validating: bytes, as: UTF8.self) else { throw fail("not UTF-8", at: start) }
      return text
    }
    return try escapedString(open: open, start: start)
  }

  private mutating func escapedString(open: Int, start: Int) throws(JSONFailure) -> String {
    var out: [UInt8] = []
    out.reserveCapacity(at - start + 32)
    out.append(contentsOf: UnsafeBufferPointer(rebasing: base[start..<at]))
    while true {
      guard at < count else { throw fail("this string is not closed", at: open) }
      let byte = base[at]
      if byte == UInt8(ascii: "\"") {
        at += 1
        guard let text = String(validating: out, as: UTF8.self) else { throw fail("not UTF-8", at: start) }
        return text
      }
      if byte < 0x20 { throw fail("a control character must be escaped in a string") }
      guard byte == UInt8(ascii: "\\") else {
        out.append(byte)
        at += 1
        continue
      }
      at += 1
      guard at < count else { throw fail("this string is not closed", at: open) }
      let escape = base[at]
      at += 1
      switch escape {
      case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): out.append(escape)
      case UInt8(ascii: "b"): out.append(0x08)
      case UInt8(ascii: "f"): out.append(0x0C)
      case UInt8(ascii: "n"): out.append(0x0A)
      case UInt8(ascii: "r"): out.append(0x0D)
      case UInt8(ascii: "t"): out.append(0x09)
      case UInt8(ascii: "u"): out.append(contentsOf: Array(String(try unicodeEscape()).utf8))
      default: throw fail("unknown escape", at: at - 2)
      }
    }
  }

  /// After `\u`: four hex digits, and the low half of a pair if this is a high one.
  private mutating func unicodeEscape() throws(JSONFailure) -> Unicode.Scalar {
    let first = try hex4()
    if let scalar = Unicode.Scalar(first) { return scalar }
    if first < 0xDC00, at + 1 < count, base[at] == UInt8(ascii: "\\"), base[at + 1] == UInt8(ascii: "u") {
      let back = at
      at += 2
      let second = try hex4()
      if (0xDC00...0xDFFF).contains(second),
        let scalar = Unicode.Scalar(0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00))
      {
        return scalar
      }
      at = back
    }
    return "\u{FFFD}"
  }

  private mutating func hex4() throws(JSONFailure) -> UInt32 {
    guard at + 4 <= count else { throw fail("expected four hex digits") }
    var value: UInt32 = 0
    for _ in 0..<4 {
      let digit: UInt8
      switch base[at] {
      case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = base[at] - UInt8(ascii: "0")
      case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = base[at] - UInt8(ascii: "a") + 10
      case UInt8(ascii: "A")...UInt8(ascii: "F"): digit = base[at] - UInt8(ascii: "A") + 10
      default: throw fail("expected four hex digits")
      }
      value = value << 4 | UInt32(digit)
      at += 1
    }
    return value
  }

  private mutating func number() throws(JSONFailure) -> JSONValue {
    let start = at
    _ = take(UInt8(ascii: "-"))
    guard at < count else { throw fail("unexpected end in a number") }
    if base[at] == UInt8(ascii: "0") {
      at += 1
    } else {
      guard digits() > 0 else { throw fail("expected a digit") }
    }
    var isInteger = true
    if take(UInt8(ascii: ".")) {
      isInteger = false
      guard digits() > 0 else { throw fail("expected a digit after '.'") }
    }
    if at < count, base[at] == UInt8(ascii: "e") || base[at] == UInt8(ascii: "E") {
      isInteger = false
      at += 1
      if at < count, base[at] == UInt8(ascii: "+") || base[at] == UInt8(ascii: "-") { at += 1 }
      guard digits() > 0 else { throw fail("expected a digit in the exponent") }
    }
    let text = String(decoding: UnsafeBufferPointer(rebasing: base[start..<at]), as: UTF8.self)
    if isInteger, let value = Int(text) { return .int(value) }
    guard let value = Double(text), value.isFinite else { throw fail("this number is too large", at: start) }
    return .double(value)
  }

  private mutating func digits() -> Int {
    let start = at
    while at < count, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(base[at]) { at += 1 }
    return at - start
  }

  private mutating func literal(_ text: StaticString) throws(JSONFailure) {
    guard at + text.utf8CodeUnitCount <= count else { throw fail("unexpected end") }
    for i in 0..<text.utf8CodeUnitCount where base[at + i] != text.utf8Start[i] { throw fail("expected a value") }
    at += text.utf8CodeUnitCount
  }

  private mutating func take(_ byte: UInt8) -> Bool {
    guard at < count, base[at] == byte else { return false }
    at += 1
    return true
  }

  private mutating func skipSpace() {
    while at < count, base[at] == 0x20 || base[at] == 0x0A || base[at] == 0x0D || base[at] == 0x09 { at += 1 }
  }

  private func fail(_ message: String, at place: Int? = nil) -> JSONFailure {
    JSONFailure.at(place ?? at, in: base, message)
  }
}

/// Where and why a text is not JSON. Line and column count from 1, the column in bytes.
package struct JSONFailure: Failure, Equatable {
  package var code: String { "BadJSON" }
  package var problem: String
  package var line: Int
  package var column: Int
  package var message: String { "not valid JSON at line \(line), column \(column): \(problem)" }

  static func at(_ place: Int, in bytes: UnsafeBufferPointer<UInt8>, _ problem: String) -> JSONFailure {
    var line = 1
    var column = 1
    for byte in bytes.prefix(place) {
      if byte == 0x0A {
        line += 1
        column = 1
      } else {
        column += 1
      }
    }
    return JSONFailure(problem: problem, line: line, column: column)
  }
}

extension JSONValue {
  /// One JSON text, with nothing but white space around it.
  package static func parse(_ bytes: Span<UInt8>) throws(JSONFailure) -> JSONValue {
    try parse(bytes, from: 0, to: bytes.count)
  }

  package static func parse(
    _ bytes: Span<UInt8>, from start: Int, to end: Int, depthLimit: Int = JSONParser.depthLimit
  ) throws(JSONFailure) -> JSONValue {
    let result: Result<JSONValue, JSONFailure> = bytes.withUnsafeBufferPointer { buffer in
      var parser = JSONParser(buffer, from: start, to: end, depthLimit: depthLimit)
      do throws(JSONFailure) { return .success(try parser.document()) } catch { return .failure(error) }
    }
    return try result.get()
  }

  package static func parse(_ bytes: [UInt8]) throws(JSONFailure) -> JSONValue { try parse(bytes.span) }
  /// A record that Weir has written itself.
  package static func parse(own bytes: [UInt8]) throws(JSONFailure) -> JSONValue { try parse(own: bytes.span) }
  package static func parse(own bytes: Span<UInt8>) throws(JSONFailure) -> JSONValue {
    try parse(bytes, from: 0, to: bytes.count, depthLimit: JSONParser.ownDepthLimit)
  }
  package static func parse(_ text: String) throws(JSONFailure) -> JSONValue { try parse(Array(text.utf8).span) }
}
