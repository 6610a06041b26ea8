import WeirCore

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
    let minutes = (Self.daysSince1970(year, month, day) * 24 + hour) * 60 + minute - away
    milliseconds = (minutes * 60 + second) * 1000 + fraction
  }

  package var description: String {
    let second = 1000 as Int64
    let (whole, part) = (milliseconds.floored(by: second), milliseconds.modulo(second))
    let (days, clock) = (whole.floored(by: 86_400), whole.modulo(86_400))
    let (year, month, day) = Self.date(days)
    func padded(_ number: Int64, _ width: Int) -> String {
      let digits = String(number)
      return String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits
    }
    return "\(padded(year, 4))-\(padded(month, 2))-\(padded(day, 2))T\(padded(clock / 3600, 2)):"
      + "\(padded(clock / 60 % 60, 2)):\(padded(clock % 60, 2))" + (part == 0 ? "" : ".\(padded(part, 3))") + "Z"
  }

  private static func days(in month: Int64, of year: Int64) -> Int64 {
    switch month {
    case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
    case 4, 6, 9, 11: 30
    default: 31
    }
  }

  // Years are counted from March, so that the leap day comes last, and in eras of 400, which are all alike.

  private static func daysSince1970(_ year: Int64, _ month: Int64, _ day: Int64) -> Int64 {
    let year = month <= 2 ? year - 1 : year
    let era = year.floored(by: 400)
    let yearOfEra = year - era * 400
    let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
    return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
  }

  private static func date(_ days: Int64) -> (year: Int64, month: Int64, day: Int64) {
    let shifted = days + 719_468
    let era = shifted.floored(by: 146_097)
    let dayOfEra = shifted - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let shiftedMonth = (5 * dayOfYear + 2) / 153
    let month = shiftedMonth + (shiftedMonth < 10 ? 3 : -9)
    return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * shiftedMonth + 2) / 5 + 1)
  }
}

extension Int64 {
  fileprivate func floored(by divisor: Int64) -> Int64 { (self - modulo(divisor)) / divisor }
  fileprivate func modulo(_ divisor: Int64) -> Int64 { (self % divisor + divisor) % divisor }
}
