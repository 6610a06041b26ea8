import WeirCore

/// An `Accept` header as what it asks for (RFC 9110 section 12.5.1): media ranges with their weights.
///
/// Pure: header in, choice out. Malformed ranges are left out, as the RFC lets a server do; it is never an error.
package struct MediaPreference: Equatable, Sendable {
  struct Range: Equatable, Sendable {
    var type: String
    var subtype: String
    /// Thousandths, 0 ... 1000, so that comparing is exact.
    var weight: Int
    /// `format=…` of the range, the one parameter that this server gives a meaning.
    var format: String?
  }

  /// Ranges read from one header at most: a header of thousands costs nothing to send and must cost little to read.
  package static let rangeLimit = 32

  private(set) var ranges: [Range] = []

  /// nil or an empty header accepts anything.
  package init(_ header: String?) {
    for part in (header ?? "").split(separator: ",").prefix(Self.rangeLimit) {
      let pieces = part.split(separator: ";", omittingEmptySubsequences: false).map { trim($0) }
      let names = pieces[0].split(separator: "/", omittingEmptySubsequences: false)
      guard names.count == 2, !names[0].isEmpty, !names[1].isEmpty else { continue }
      var range = Range(type: names[0].lowercased(), subtype: names[1].lowercased(), weight: 1000, format: nil)
      if range.type == "*", range.subtype != "*" { continue }
      var wellFormed = true
      for piece in pieces.dropFirst() {
        guard let equals = piece.firstIndex(of: "=") else { continue }
        let name = piece[..<equals].lowercased()
        let value = piece[piece.index(after: equals)...]
        if name == "q" {
          guard let weight = Self.weight(value) else {
            wellFormed = false
            break
          }
          range.weight = weight
        } else if name == "format" {
          range.format = value.trimmingQuotes()
        }
      }
      if wellFormed { ranges.append(range) }
    }
  }

  /// The weight of one media type: that of the most specific range which covers it (0 = not acceptable).
  package func weight(of type: String) -> Int {
    if ranges.isEmpty { return 1000 }
    let names = type.split(separator: "/")
    var best: (specificity: Int, weight: Int) = (-1, 0)
    for range in ranges {
      let specificity: Int
      if range.type == "*" {
        specificity = 0
      } else if range.type == names[0] {
        if range.subtype == "*" {
          specificity = 1
        } else if range.subtype == names[1] {
          specificity = 2
        } else {
          continue
        }
      } else {
        continue
      }
      if specificity > best.specificity || (specificity == best.specificity && range.weight > best.weight) {
        best = (specificity, range.weight)
      }
    }
    return best.weight
  }

  /// The best of `offered`; equal weights go to the earlier one. nil: none is acceptable.
  package func best(of offered: [String]) -> String? {
    var best: (type: String, weight: Int)?
    for type in offered {
      let weight = weight(of: type)
      if weight > (best?.weight ?? 0) { best = (type, weight) }
    }
    return best?.type
  }

  /// `format=` given with a range for this type.
  package func format(for type: String) -> String? {
    ranges.first { $0.weight > 0 && "\($0.type)/\($0.subtype)" == type && $0.format != nil }?.format
  }

  /// `0`, `1`, `0.5`, `0.333`, `1.000`: at most three decimals, never more than 1.
  private static func weight(_ text: Substring) -> Int? {
    let bytes = Array(text.utf8)
    guard let first = bytes.first, first == 0x30 || first == 0x31 else { return nil }
    if bytes.count == 1 { return first == 0x31 ? 1000 : 0 }
    guard bytes[1] == 0x2E, bytes.count <= 5 else { return nil }
    var value = 0
    for place in 2..<5 {
      let digit = place < bytes.count ? bytes[place] : 0x30
      guard (0x30...0x39).contains(digit) else { return nil }
      value = value * 10 + Int(digit - 0x30)
    }
    if first == 0x31 { return value == 0 ? 1000 : nil }
    return value
  }
}

/// Without the optional whitespace of header fields (RFC 9110 section 5.6.3: space and tab).
func trim(_ text: Substring) -> Substring {
  var text = text
  while let first = text.utf8.first, first == 0x20 || first == 0x09 { text = text.dropFirst() }
  while let last = text.utf8.last, last == 0x20 || last == 0x09 { text = text.dropLast() }
  return text
}

extension Substring {
  fileprivate func trimmingQuotes() -> String {
    guard utf8.count >= 2, first == "\"", last == "\"" else { return String(self) }
    return String(dropFirst().dropLast())
  }
}
