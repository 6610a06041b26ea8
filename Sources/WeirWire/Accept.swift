/// Media types (RFC 9110 8.3.1), what a client accepts (12.5.1), and bearer credentials (RFC 6750).
///
/// Reading is forgiving, as the standard asks of negotiation: an element that cannot be read is left out, and a header
/// of nothing readable is as good as none.
package struct Accept: Sendable {
  package private(set) var ranges: [MediaRange] = []
  /// Elements read; more than any client sends.
  package static let rangeCountLimit = 64

  /// nil and "" accept everything.
  package init(_ header: String?) {
    for element in HTTPList.split(header ?? "", at: .comma).prefix(Self.rangeCountLimit) {
      if let range = MediaRange(element) { ranges.append(range) }
    }
  }

  /// Weight of an offer in thousandths (0 = refused), and how exactly the deciding range names it.
  package func quality(of type: MediaType) -> (weight: Int, exactness: Int) {
    if ranges.isEmpty { return (1000, 0) }
    var best: MediaRange?
    for range in ranges where range.matches(type) && range.exactness > best?.exactness ?? -1 { best = range }
    return best.map { ($0.weight, $0.exactness) } ?? (0, 0)
  }

  /// Index of the offer that the client likes best, or nil if it accepts none. Equal weights: what is named more
  /// exactly wins (`application/json, */*` prefers JSON), then the server's own order.
  package func preferred(among offers: [MediaType]) -> Int? {
    var best: (index: Int, weight: Int, exactness: Int)?
    for (index, offer) in offers.enumerated() {
      let (weight, exactness) = quality(of: offer)
      guard weight > 0 else { continue }
      if let best, (best.weight, best.exactness) >= (weight, exactness) { continue }
      best = (index, weight, exactness)
    }
    return best?.index
  }
}

/// `type/subtype; name=value`: names in lower case, values as they are.
package struct MediaType: Equatable, Sendable {
  package var type: String
  package var subtype: String
  package var parameters: [Parameter]

  package struct Parameter: Equatable, Sendable {
    package var name: String
    package var value: String
  }

  /// Type and subtype: `application/json`.
  package var essence: String { "\(type)/\(subtype)" }
  package subscript(_ parameter: String) -> String? { parameters.first { $0.name == parameter }?.value }

  package init?(_ text: String) {
    let pieces = HTTPList.split(text, at: .semicolon)
    guard let name = pieces.first, let slash = name.utf8.firstIndex(of: .slash) else { return nil }
    let (type, subtype) = (name[..<slash], name[name.utf8.index(after: slash)...])
    guard HTTPList.isToken(type), HTTPList.isToken(subtype) else { return nil }
    self.type = type.lowercased()
    self.subtype = subtype.lowercased()
    parameters = []
    for piece in pieces.dropFirst() where !piece.isEmpty {
      guard let equals = piece.utf8.firstIndex(of: .equalsSign) else { return nil }
      let name = Substring(piece[..<equals]).trimmed
      guard HTTPList.isToken(name),
        let value = HTTPList.value(Substring(piece[piece.utf8.index(after: equals)...]).trimmed)
      else { return nil }
      parameters.append(Parameter(name: name.lowercased(), value: value))
    }
  }
}

/// One element of `Accept`: a media type, `type/*` or `*/*`, with a weight.
package struct MediaRange: Equatable, Sendable {
  package var media: MediaType
  /// `q` in thousandths.
  package var weight = 1000

  package init?(_ text: String) {
    // `*` alone is an old spelling of everything.
    guard var media = MediaType(text.utf8.first == 0x2A && !text.utf8.contains(.slash) ? "*/" + text : text) else {
      return nil
    }
    if media.type == "*", media.subtype != "*" { return nil }
    if let q = media.parameters.firstIndex(where: { $0.name == "q" }) {
      guard let weight = Self.weight(media.parameters[q].value) else { return nil }
      self.weight = weight
      media.parameters.removeSubrange(q...)  // what follows q belongs to no media type
    }
    // Every text here is UTF-8: saying so narrows nothing.
    media.parameters.removeAll { $0.name == "charset" && $0.value.lowercased() == "utf-8" }
    self.media = media
  }

  /// 0 = everything, 1 = a type, 2 = a subtype, 3 and more = with parameters.
  package var exactness: Int {
    if media.type == "*" { return 0 }
    if media.subtype == "*" { return 1 }
    return 2 + media.parameters.count
  }

  package func matches(_ offer: MediaType) -> Bool {
    (media.type == "*" || media.type == offer.type)
      && (media.subtype == "*" || media.subtype == offer.subtype)
      && media.parameters.allSatisfy { offer[$0.name] == $0.value }
  }

  /// `0`, `1`, `0.5`, `1.000`: at most three decimals.
  private static func weight(_ text: String) -> Int? {
    let digits = Array(text.utf8)
    guard let first = digits.first, first == 0x30 || first == 0x31, digits.count <= 5 else { return nil }
    if digits.count > 1, digits[1] != 0x2E { return nil }
    var weight = Int(first - 0x30) * 1000
    var unit = 100
    for digit in digits.dropFirst(2) {
      guard digit.isDigit else { return nil }
      weight += Int(digit - 0x30) * unit
      unit /= 10
    }
    return weight <= 1000 ? weight : nil
  }
}

/// `Authorization: Bearer …`.
package enum BearerToken {
  /// The token, or nil if the header is of another scheme or holds anything but one token (RFC 6750 2.1).
  package static func read(_ authorization: String?) -> String? {
    guard let authorization else { return nil }
    let parts = authorization.split(separator: " ", omittingEmptySubsequences: true)
    guard parts.count == 2, parts[0].matches("bearer") else { return nil }
    let body = parts[1].utf8.reversed().drop { $0 == .equalsSign }
    let isToken68 = body.allSatisfy { byte in
      switch byte {
      case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F, 0x7E, 0x2B, 0x2F: true
      default: false
      }
    }
    return isToken68 && !body.isEmpty ? String(parts[1]) : nil
  }
}

/// Lists and values in which quoted strings may hold the separator (RFC 9110 5.6).
enum HTTPList {
  static func split(_ text: String, at separator: UInt8) -> [String] {
    var pieces: [String] = []
    var piece: [UInt8] = []
    var isQuoted = false
    var isEscaped = false
    func flush() { pieces.append(String(Substring(decoding: piece, as: UTF8.self).trimmed)) }
    for byte in text.utf8 {
      if isEscaped {
        isEscaped = false
      } else if isQuoted, byte == .backslash {
        isEscaped = true
      } else if byte == .quote {
        isQuoted.toggle()
      } else if !isQuoted, byte == separator {
        flush()
        piece.removeAll(keepingCapacity: true)
        continue
      }
      piece.append(byte)
    }
    flush()
    return pieces
  }

  static func isToken(_ text: some StringProtocol) -> Bool { !text.isEmpty && text.utf8.allSatisfy(\.isTokenCharacter) }

  /// A token as it is, a quoted string without its quotes and escapes; nil if it is neither.
  static func value(_ text: Substring) -> String? {
    guard text.utf8.first == .quote else { return isToken(text) ? String(text) : nil }
    guard text.utf8.count >= 2, text.utf8.last == .quote else { return nil }
    var output: [UInt8] = []
    var isEscaped = false
    for byte in text.utf8.dropFirst().dropLast() {
      if !isEscaped, byte == .backslash {
        isEscaped = true
      } else {
        if !isEscaped, byte == .quote { return nil }
        output.append(byte)
        isEscaped = false
      }
    }
    return isEscaped ? nil : String(decoding: output, as: UTF8.self)
  }
}
