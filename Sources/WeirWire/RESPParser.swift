/// A Redis server's bytes in, values out: RESP2 and RESP3, cut anywhere.
///
///     parser.receive(bytes); while let value = try parser.next() { … }
///
/// Pure: knows no connection and which answer belongs to which command. What is begun waits on a stack of open lists, not
/// on the call stack, so that depth is a limit and not a crash. Every limit holds as soon as a length is read: what a
/// server announces costs nothing until it is there. Attributes (`|`) are read and dropped. Streamed strings and lists (`$?`, `*?`)
/// are in no server's RESP3 and are refused.
package struct RESPParser: Sendable {
  package struct Limits: Sendable {
    /// Lists in lists. Redis' own deepest answers (`COMMAND DOCS`) have about ten levels.
    package var depthLimit = 32
    /// Of one string: what Redis itself allows by default (`proto-max-bulk-len`).
    package var stringLimit = 512 << 20
    /// Of all strings of one value.
    package var valueLimit = 1 << 30
    /// Of one value, at any depth.
    package var elementsLimit = 4 << 20
    /// Of a line: lengths, numbers, errors.
    package var lineLimit = 64 << 10
    package init() {}
  }

  private enum Kind { case array, map, set, push, attribute }

  /// A list that has begun and not ended.
  private struct Open {
    var kind: Kind
    var left: Int
    var elements: [RESPValue] = []
  }

  private enum StringKind { case bulk, error, verbatim }

  private let limits: Limits
  /// Consumed up to `position`; no LF between that and `scanned`.
  private var input: [UInt8] = []
  private var position = 0
  private var scanned = 0
  private var open: [Open] = []
  /// A string whose length is known and whose bytes are not all here.
  private var string: (kind: StringKind, length: Int)?
  // Of the value that is being read.
  private var elementCount = 0
  private var stringBytes = 0
  private var failure: RESPFailure?

  package init(limits: Limits = Limits()) { self.limits = limits }

  /// Nothing of a value is here.
  package var isBetweenValues: Bool { position == input.count && open.isEmpty && string == nil }

  package mutating func receive(_ bytes: Span<UInt8>) {
    guard failure == nil else { return }
    if position > 0 {
      if position == input.count {
        // One huge answer must not keep its memory for the life of the connection.
        input.removeAll(keepingCapacity: input.capacity <= Self.keptCapacity)
      } else {
        input.removeSubrange(0..<position)
      }
      scanned = max(0, scanned - position)
      position = 0
    }
    bytes.withUnsafeBufferPointer { input.append(contentsOf: $0) }
  }
  private static let keptCapacity = 256 << 10

  /// The next whole value, or nil: needs more bytes. A failed parser stays failed.
  package mutating func next() throws(RESPFailure) -> RESPValue? {
    if let failure { throw failure }
    do throws(RESPFailure) {
      while let value = try piece() {
        guard let whole = close(value) else { continue }
        elementCount = 0
        stringBytes = 0
        return whole
      }
      return nil
    } catch {
      failure = error
      (input, position, open, string) = ([], 0, [], nil)
      throw error
    }
  }

  // MARK: Lists

  /// Puts a value where it belongs and gives the outermost one if that was its last.
  private mutating func close(_ value: RESPValue) -> RESPValue? {
    var value = value
    while var list = open.popLast() {
      list.elements.append(value)
      list.left -= 1
      if list.left > 0 {
        open.append(list)
        return nil
      }
      switch list.kind {
      case .array: value = .array(list.elements)
      case .set: value = .set(list.elements)
      case .push: value = .push(list.elements)
      case .map:
        value = .map(
          stride(from: 0, to: list.elements.count - 1, by: 2).map {
            RESPValue.Pair(list.elements[$0], list.elements[$0 + 1])
          })
      case .attribute: return nil  // about the value that follows, in whose place it stood
      }
    }
    return value
  }

  private mutating func begin(_ kind: Kind, _ line: Range<Int>) throws(RESPFailure) -> RESPValue? {
    if kind == .array, isMinusOne(line) { return .null }
    let count = try length(line, "a list's length")
    let isPaired = kind == .map || kind == .attribute
    guard count <= (limits.elementsLimit - elementCount) / (isPaired ? 2 : 1) else {
      throw .tooLarge("an answer of more than \(limits.elementsLimit) elements")
    }
    elementCount += isPaired ? count * 2 : count
    if count == 0 {
      switch kind {
      case .array: return .array([])
      case .set: return .set([])
      case .push: return .push([])
      case .map: return .map([])
      case .attribute: return nil
      }
    }
    guard open.count < limits.depthLimit else {
      throw .malformed("lists are nested deeper than \(limits.depthLimit) levels")
    }
    open.append(Open(kind: kind, left: isPaired ? count * 2 : count))
    return nil
  }

  // MARK: Pieces

  /// Reads on to the next value without parts, or empty list. Nil: needs more bytes.
  private mutating func piece() throws(RESPFailure) -> RESPValue? {
    while true {
      if let (kind, length) = string {
        guard input.count - position >= length + 2 else { return nil }
        let end = position + length
        guard input[end] == .carriageReturn, input[end + 1] == .lineFeed else {
          throw .malformed("a string is longer than its length")
        }
        let bytes = Array(input[position..<end])
        position = end + 2
        string = nil
        return try Self.value(kind, bytes)
      }
      guard position < input.count else { return nil }
      let type = input[position]
      // Told by the first byte, so that a peer that never ends a line is told too.
      guard Self.types.contains(type) else { throw .malformed("an answer begins with \(Self.shown(type))") }
      guard let line = try line() else { return nil }
      if let value = try value(type, line) { return value }
    }
  }

  /// What a line says; nil: it was the beginning of something.
  private mutating func value(_ type: UInt8, _ line: Range<Int>) throws(RESPFailure) -> RESPValue? {
    switch type {
    case UInt8(ascii: "+"): return .simple(text(line))
    case UInt8(ascii: "-"): return .error(RESPError(text(line)))
    case UInt8(ascii: ":"): return .integer(try integer(line))
    case UInt8(ascii: "$"):
      if isMinusOne(line) { return .null }
      try beginString(.bulk, line)
      return nil
    case UInt8(ascii: "!"):
      try beginString(.error, line)
      return nil
    case UInt8(ascii: "="):
      try beginString(.verbatim, line)
      return nil
    case UInt8(ascii: "_"):
      guard line.isEmpty else { throw .malformed("a null with something in it") }
      return .null
    case UInt8(ascii: "#"):
      guard line.count == 1, input[line.lowerBound] == UInt8(ascii: "t") || input[line.lowerBound] == UInt8(ascii: "f")
      else { throw .malformed("a boolean that is neither t nor f") }
      return .boolean(input[line.lowerBound] == UInt8(ascii: "t"))
    case UInt8(ascii: ","): return .double(try double(line))
    case UInt8(ascii: "("):
      let digits = signed(line) ? line.dropFirst() : line
      guard !digits.isEmpty, input[digits].allSatisfy(\.isDigit) else {
        throw .malformed("a big number that is no number")
      }
      return .bigNumber(text(line))
    case UInt8(ascii: "*"): return try begin(.array, line)
    case UInt8(ascii: "~"): return try begin(.set, line)
    case UInt8(ascii: "%"): return try begin(.map, line)
    case UInt8(ascii: ">"): return try begin(.push, line)
    default: return try begin(.attribute, line)
    }
  }
  private static let types = Array("+-:$!=_#,(*~%>|".utf8)

  private mutating func beginString(_ kind: StringKind, _ line: Range<Int>) throws(RESPFailure) {
    let length = try length(line, "a string's length")
    guard length <= limits.stringLimit, length <= limits.valueLimit - stringBytes else {
      throw .tooLarge("an answer of more than \(min(limits.stringLimit, limits.valueLimit)) bytes")
    }
    stringBytes += length
    string = (kind, length)
  }

  private static func value(_ kind: StringKind, _ bytes: [UInt8]) throws(RESPFailure) -> RESPValue {
    switch kind {
    case .bulk: return .bulk(bytes)
    case .error: return .error(RESPError(String(decoding: bytes, as: UTF8.self)))
    case .verbatim:
      guard bytes.count >= 4, bytes[3] == .colon else { throw .malformed("a verbatim string without its format") }
      return .verbatim(format: String(decoding: bytes[..<3], as: UTF8.self), Array(bytes[4...]))
    }
  }

  // MARK: Lines

  /// The rest of the line after its type, without CRLF. Nil: its end is not here.
  private mutating func line() throws(RESPFailure) -> Range<Int>? {
    let from = max(scanned, position)
    let end = input.withUnsafeBufferPointer { $0.firstIndex(of: .lineFeed, in: from..<input.count) }
    scanned = end
    // Up to the LF there are two bytes more than the limit counts: the type and the CR.
    guard end - position <= limits.lineLimit + 2 else {
      throw .malformed("a line of more than \(limits.lineLimit) bytes")
    }
    if end == input.count { return nil }
    guard input[end - 1] == .carriageReturn else {
      throw .malformed("a line that does not end in CR LF")
    }
    let line = (position + 1)..<(end - 1)
    guard input.withUnsafeBufferPointer({ $0.firstIndex(of: .carriageReturn, in: line) }) == line.upperBound else {
      throw .malformed("a CR inside a line")
    }
    position = end + 1
    return line
  }

  private func text(_ line: Range<Int>) -> String { String(decoding: input[line], as: UTF8.self) }

  private func isMinusOne(_ line: Range<Int>) -> Bool {
    line.count == 2 && input[line.lowerBound] == UInt8(ascii: "-") && input[line.lowerBound + 1] == UInt8(ascii: "1")
  }

  private func signed(_ line: Range<Int>) -> Bool {
    guard let first = input[line].first else { return false }
    return first == UInt8(ascii: "-") || first == UInt8(ascii: "+")
  }

  private func integer(_ line: Range<Int>) throws(RESPFailure) -> Int64 {
    // `Int64` reads a sign and digits, nothing else, and tells when they are too many.
    guard line.count <= 20, let number = Int64(text(line)) else { throw .malformed("an integer that is no number") }
    return number
  }

  private func length(_ line: Range<Int>, _ what: String) throws(RESPFailure) -> Int {
    guard !line.isEmpty, line.count <= 19, input[line].allSatisfy(\.isDigit), let number = Int(text(line)) else {
      throw .malformed("\(what) is no number")
    }
    return number
  }

  private func double(_ line: Range<Int>) throws(RESPFailure) -> Double {
    let text = text(line)
    switch text {
    case "inf", "+inf": return .infinity
    case "-inf": return -.infinity
    case "nan", "-nan": return .nan
    default: break
    }
    guard line.count <= 64, input[line].allSatisfy({ $0.isDigit || Self.numberMarks.contains($0) }),
      let number = Double(text)
    else { throw .malformed("a double that is no number") }
    return number
  }
  private static let numberMarks = Array("+-.eE".utf8)

  private static func shown(_ byte: UInt8) -> String {
    (0x21...0x7E).contains(byte) ? "\"\(Character(Unicode.Scalar(byte)))\"" : "byte \(byte)"
  }
}
