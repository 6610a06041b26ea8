import WeirCore

/// How long a provider asks to wait: `Retry-After` in seconds or as a date (RFC 9110, 10.2.3), or the more exact
/// `retry-after-ms` that some services add.
enum RetryAfter {
  /// Nobody waits longer; also keeps a nonsense date from overflowing.
  static let limit = Duration.seconds(24 * 3600)

  /// Milliseconds from now; nil when nothing usable was said. `wallClock`: milliseconds since 1970.
  static func milliseconds(_ head: HTTPResponseHead, wallClock: Int64) -> Int? {
    if let text = head["retry-after-ms"], let value = Double(trim(text)), value.isFinite, value >= 0 {
      return clamp(value)
    }
    guard let text = head["retry-after"].map(trim) else { return nil }
    if let first = text.utf8.first, (0x30...0x39).contains(first), let seconds = Double(text), seconds.isFinite {
      return clamp(seconds * 1_000)
    }
    return date(text).map { clamp(Double($0 * 1_000 - wallClock)) }
  }

  private static func trim(_ text: String) -> String { String(text.filter { $0 != "\t" }.drop { $0 == " " }) }

  private static func clamp(_ value: Double) -> Int {
    Int(min(max(value.rounded(.up), 0), Double(limit.milliseconds)))
  }

  /// Seconds since 1970 of the three forms of an HTTP date:
  /// `Sun, 06 Nov 1994 08:49:37 GMT`, `Sunday, 06-Nov-94 08:49:37 GMT`, `Sun Nov  6 08:49:37 1994`.
  static func date(_ text: String) -> Int64? {
    let words = text.split { $0 == " " || $0 == "," || $0 == "-" }.map(String.init)
    let day: String
    let month: String
    let year: String
    let time: String
    if words.count == 6, words[5] == "GMT" {
      (day, month, year, time) = (words[1], words[2], words[3], words[4])
    } else if words.count == 5 {
      (day, month, year, time) = (words[2], words[1], words[4], words[3])
    } else {
      return nil
    }
    let clock = time.split(separator: ":").compactMap { Int64($0) }
    guard let day = Int64(day), (1...31).contains(day), var year = Int64(year), clock.count == 3,
      let month = months.firstIndex(of: month).map({ Int64($0) + 1 }),
      (0...23).contains(clock[0]), (0...59).contains(clock[1]), (0...60).contains(clock[2])
    else { return nil }
    if year < 100 { year += year < 70 ? 2_000 : 1_900 }
    guard (1970...9999).contains(year) else { return nil }
    let days = CivilDate(year: year, month: month, day: day).daysSince1970
    return days * 86_400 + clock[0] * 3_600 + clock[1] * 60 + clock[2]
  }

  private static let months = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
  ]
}
