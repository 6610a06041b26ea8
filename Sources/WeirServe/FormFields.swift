import WeirCore

/// `a=1&b=two+words` as names and values: a query string or an `application/x-www-form-urlencoded` body
/// (WHATWG URL, section 5.1). Pure. Unlike a browser it refuses what it can't read (a bad escape, bytes that are not
/// UTF-8), because what it reads becomes arguments.
package struct FormFields: Equatable, Sendable {
  /// Fields in one query or form: far above any workflow's parameters, low enough that reading them costs nothing.
  package static let fieldLimit = 256

  package private(set) var fields: [Field] = []

  package struct Field: Equatable, Sendable {
    package var name: String
    package var value: String
  }

  package init(_ text: some Sequence<UInt8>) throws(ServeFailure) {
    for pair in Array(text).split(separator: UInt8(ascii: "&")) {
      guard fields.count < Self.fieldLimit else { throw .tooManyArguments(limit: Self.fieldLimit) }
      let equals = pair.firstIndex(of: UInt8(ascii: "="))
      let name = try Self.decode(pair[..<(equals ?? pair.endIndex)])
      let value = try Self.decode(equals.map { pair[($0 + 1)...] } ?? [])
      fields.append(Field(name: name, value: value))
    }
  }

  /// The last value given for a name: the same rule as for a repeated JSON member.
  package subscript(_ name: String) -> String? { fields.last { $0.name == name }?.value }

  /// Every value given for a name, in order: how a list is written (`tag=a&tag=b`).
  package func all(_ name: String) -> [String] {
    fields.compactMap { $0.name == name ? $0.value : nil }
  }

  private static func decode(_ bytes: ArraySlice<UInt8>) throws(ServeFailure) -> String {
    var plain: [UInt8] = []
    plain.reserveCapacity(bytes.count)
    var index = bytes.startIndex
    while index < bytes.endIndex {
      switch bytes[index] {
      case UInt8(ascii: "+"):
        plain.append(0x20)
      case UInt8(ascii: "%"):
        guard index + 2 < bytes.endIndex, let high = hexDigit(bytes[index + 1]), let low = hexDigit(bytes[index + 2])
        else { throw .badQuery("a % without two hexadecimal digits") }
        plain.append(high << 4 | low)
        index += 2
      case let byte:
        plain.append(byte)
      }
      index += 1
    }
    guard let text = String(validating: plain, as: UTF8.self) else { throw .badQuery("text that is not UTF-8") }
    return text
  }

  private static func hexDigit(_ byte: UInt8) -> UInt8? {
    switch byte {
    case 0x30...0x39: byte - 0x30
    case 0x41...0x46: byte - 0x41 + 10
    case 0x61...0x66: byte - 0x61 + 10
    default: nil
    }
  }
}
