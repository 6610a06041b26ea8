import WeirCore
import WeirStore
import WeirWire

/// How the items of a stream stand in the body of a request and of an answer, by its content type (Durable Streams
/// Protocol, 9): JSON keeps its messages apart, anything else is bytes, one after the other. Pure.
enum StreamBody {
  /// Messages of one request: a megabyte of them is fewer.
  static let itemCountLimit = 100_000

  /// Whether its items can stand in an event as they are.
  static func isText(_ contentType: String) -> Bool {
    StreamContentType.holdsJSON(contentType) || StreamContentType.isText(contentType)
  }

  // MARK: In

  /// The items of a body. An array of JSON is so many messages as it has elements.
  static func items(_ body: [UInt8], _ contentType: String) throws(ServeFailure) -> [[UInt8]] {
    if body.isEmpty { return [] }
    guard StreamContentType.holdsJSON(contentType) else { return [body] }
    var scanner = JSONScanner([])
    do { try scanner.scan(body.span) } catch { throw .badStreamBody(error.message) }
    var text = UTF8Validator()
    guard text.accepts(body.span), text.isComplete else { throw .badStreamBody("it is not UTF-8") }
    let whole = trimmed(body[...])
    guard whole.first == UInt8(ascii: "[") else { return [Array(whole)] }
    var items: [[UInt8]] = []
    var start = whole.startIndex + 1
    var depth = 0
    var isInString = false
    var at = start
    // It is valid JSON: only brackets, strings and commas have to be told apart.
    while at < whole.endIndex {
      let byte = whole[at]
      if isInString {
        if byte == UInt8(ascii: "\\") { at += 1 }
        if byte == UInt8(ascii: "\"") { isInString = false }
      } else {
        switch byte {
        case UInt8(ascii: "\""): isInString = true
        case UInt8(ascii: "["), UInt8(ascii: "{"): depth += 1
        case UInt8(ascii: "}"): depth -= 1
        case UInt8(ascii: "]") where depth > 0: depth -= 1
        case UInt8(ascii: ","), UInt8(ascii: "]"):
          guard depth == 0 else { break }
          let item = trimmed(whole[start..<at])
          if !item.isEmpty { items.append(Array(item)) }
          guard items.count <= itemCountLimit else { throw .badStreamBody("more than \(itemCountLimit) messages") }
          start = at + 1
        default: break
        }
      }
      at += 1
    }
    return items
  }

  private static func trimmed(_ bytes: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
    func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 }
    var rest = bytes.drop(while: isSpace)
    while let last = rest.last, isSpace(last) { rest = rest.dropLast() }
    return rest
  }

  // MARK: Out

  static func joined(_ items: [StreamItem], _ contentType: String) -> [UInt8] {
    let isJSON = StreamContentType.holdsJSON(contentType)
    var out: [UInt8] = []
    out.reserveCapacity(items.reduce(2) { $0 + $1.bytes.count + 1 })
    if isJSON { out.append(UInt8(ascii: "[")) }
    for (index, item) in items.enumerated() {
      if isJSON, index > 0 { out.append(UInt8(ascii: ",")) }
      out += item.bytes
    }
    if isJSON { out.append(UInt8(ascii: "]")) }
    return out
  }

  /// How many of the items can be shown as text without cutting a character at their end: what is cut goes with the item
  /// that has the rest of it. If that would keep back more than one item and more than `byteLimit`, all of them are shown: text may be
  /// cut at every item, or be none.
  static func wholeCharacters(_ items: [StreamItem], byteLimit: Int) -> Int {
    var count = items.count
    // Behind the items that are shown, as far as one character goes.
    var next: [UInt8] = []
    var size = 0
    while count > 0 {
      // A character has four bytes at most, and items may have fewer.
      var tail: [UInt8] = []
      var index = count - 1
      while index >= 0, tail.count < 4 {
        tail = items[index].bytes.suffix(4 - tail.count) + tail
        index -= 1
      }
      guard let cut = cutLength(tail), next.prefix(cut).allSatisfy({ $0 & 0xC0 == 0x80 }) else { return count }
      count -= 1
      next = Array(items[count].bytes.prefix(3) + next.prefix(3))
      size += items[count].bytes.count
      if size > byteLimit, items.count - count > 1 { return items.count }
    }
    return 0
  }

  /// How many bytes the last character of text that ends so lacks; nil: it is whole, or none.
  private static func cutLength(_ tail: [UInt8]) -> Int? {
    for (back, byte) in tail.reversed().enumerated() where byte & 0xC0 != 0x80 {
      let length = byte >= 0xF8 ? 1 : byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : byte >= 0xC0 ? 2 : 1
      return length > back + 1 ? length - back - 1 : nil
    }
    return nil
  }
}
