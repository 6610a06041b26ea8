/// A moment as RFC 3339 writes it, and as milliseconds since 1970. Pure.
package struct Timestamp: Equatable, Sendable, CustomStringConvertible {
  package var milliseconds: Int64

  package init(milliseconds: Int64) { self.milliseconds = milliseconds }

  /// `2026-11-28T21:30:00Z`, `2026-11-28T22:30:00.250+01:00`; nil for anything else. What is finer than a millisecond is
  /// cut off, and a leap second counts as the one after it.
  package init?(_ text: String) {
    var rest = Array(text.utf8)[...]
    func number(_ digits: Int, in range: ClosedRange<Int64>) -> Int64? {
      guard rest.count >= digits, rest.prefix(digits).allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
      let value = rest.prefix(digits).reduce(0 as Int64) { $0 * 10 + Int64($1 - 0x30) }
      rest = rest.dropFirst(digits)
      return range.contains(value) ? value : nil
    }
    func takes(_ characters: String) -> UInt8? {
      guard let byte = rest.first, characters.utf8.contains(byte) else { return nil }
      rest = rest.dropFirst()
      return byte
    }
    guard let year = number(4, in: 0...9999), takes("-") != nil, let month = number(2, in: 1...12), takes("-") != nil,
      let day = number(2, in: 1...31), day <= Self.days(in: month, of: year), takes("Tt") != nil,
      let hour = number(2, in: 0...23), takes(":") != nil, let minute = number(2, in: 0...59), takes(":") != nil,
      let second = number(2, in: 0...60)
    else { return nil }
    var fraction: Int64 = 0
    if takes(".") != nil {
      let digits = rest.prefix { (0x30...0x39).contains($0) }
      guard !digits.isEmpty, digits.count <= 9 else { return nil }
      rest = rest.dropFirst(digits.count)
      for place in 0..<3 {
        fraction = fraction * 10 + (place < digits.count ? Int64(digits[digits.startIndex + place] - 0x30) : 0)
      }
    }
    var away: Int64 = 0
    guard let zone = takes("Zz+-") else { return nil }
    if zone == UInt8(ascii: "+") || zone == UInt8(ascii: "-") {
      guard let hours = number(2, in: 0...23), takes(":") != nil, let minutes = number(2, in: 0...59) else {
        return nil
      }
      away = (hours * 60 + minutes) * (zone == UInt8(ascii: "+") ? 1 : -1)
    }
    guard rest.isEmpty else { return nil }
    let minutes = (CivilDate(year: year, month: month, day: day).daysSince1970 * 24 + hour) * 60 + minute - away
    milliseconds = (minutes * 60 + second) * 1000 + fraction
  }

  package var description: String {
    let second = 1000 as Int64
    let (whole, part) = (milliseconds.floored(by: second), milliseconds.modulo(second))
    let (days, clock) = (whole.floored(by: 86_400), whole.modulo(86_400))
    let date = CivilDate(daysSince1970: days)
    func padded(_ number: Int64, _ width: Int) -> String {
      let digits = String(number)
      return String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits
    }
    return "\(padded(date.year, 4))-\(padded(date.month, 2))-\(padded(date.day, 2))T\(padded(clock / 3600, 2)):"
      + "\(padded(clock / 60 % 60, 2)):\(padded(clock % 60, 2))" + (part == 0 ? "" : ".\(padded(part, 3))") + "Z"
  }

  private static func days(in month: Int64, of year: Int64) -> Int64 {
    switch month {
    case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
    case 4, 6, 9, 11: 30
    default: 31
    }
  }
}
