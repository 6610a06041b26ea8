/// Names and values of a URL's query or of an `application/x-www-form-urlencoded` body, in order, repeated names kept.
///
/// Both are read as browsers write them: `&` between pairs, `+` for a space, percent escapes of UTF-8. Broken escapes
/// are an error, not a guess.
package struct QueryString: Sendable {
  package private(set) var items: [HTTPField] = []

  /// Pairs of one query or form; a page that needs more sends JSON.
  package static let itemCountLimit = 1000

  package init(_ query: String) throws(HTTPFailure) { try self.init(utf8: Array(query.utf8), what: "query") }
  package init(form: [UInt8]) throws(HTTPFailure) { try self.init(utf8: form, what: "form") }

  private init(utf8 bytes: [UInt8], what: String) throws(HTTPFailure) {
    for pair in bytes.split(separator: 0x26) {  // &
      if items.count == Self.itemCountLimit {
        throw .malformed("the \(what) holds more than \(Self.itemCountLimit) parameters")
      }
      let cut = pair.firstIndex(of: .equalsSign) ?? pair.endIndex
      items.append(
        (
          name: try Self.text(pair[..<cut], what), value: try Self.text(pair[cut...].dropFirst(), what)
        ))
    }
  }

  private static func text(_ written: ArraySlice<UInt8>, _ what: String) throws(HTTPFailure) -> String {
    guard let bytes = PercentCoding.decode(written, plusIsSpace: true) else {
      throw .malformed("the \(what) holds a % that is not followed by two hexadecimal digits")
    }
    guard let text = String(validating: bytes, as: UTF8.self) else { throw .malformed("the \(what) is not UTF-8") }
    return text
  }

  /// First value of a name.
  package subscript(_ name: String) -> String? { items.first { $0.name == name }?.value }
  package func all(_ name: String) -> [String] { items.filter { $0.name == name }.map(\.value) }
}
