/// Durations as people write them: `30s`, `5m`, `1m30s`, `500ms`, `2h`, `30d`, `0`. Used by flags, configuration and messages.
extension Duration {
  /// Longest accepted: more is a mistake of units, and this stays far from where nanoseconds overflow.
  package static let textLimit = Duration.seconds(366 * 24 * 3600)

  /// Units `d h m s ms us ns`, each number whole or decimal, largest unit first, none twice. Nil for anything else.
  package init?(text: String) {
    if text == "0" {
      self = .zero
      return
    }
    let bytes = Array(text.utf8)
    var at = 0
    var total = 0.0
    var lastUnit = Double.infinity
    while at < bytes.count {
      let start = at
      while at < bytes.count, bytes[at] == UInt8(ascii: ".") || (0x30...0x39).contains(bytes[at]) { at += 1 }
      let digits = String(decoding: bytes[start..<at], as: UTF8.self)
      guard digits.utf8.first != UInt8(ascii: "."), digits.utf8.last != UInt8(ascii: "."),
        let number = Double(digits)
      else { return nil }
      let unitStart = at
      while at < bytes.count, (0x61...0x7A).contains(bytes[at]) { at += 1 }
      let unit: Double
      switch String(decoding: bytes[unitStart..<at], as: UTF8.self) {
      case "d": unit = 86400e9
      case "h": unit = 3600e9
      case "m": unit = 60e9
      case "s": unit = 1e9
      case "ms": unit = 1e6
      case "us": unit = 1e3
      case "ns": unit = 1
      default: return nil
      }
      guard unit < lastUnit else { return nil }
      lastUnit = unit
      total += number * unit
    }
    guard !bytes.isEmpty, total <= Double(Self.textLimit.nanoseconds) else { return nil }
    self = .nanoseconds(Int64(total.rounded()))
  }

  /// `1m0s`, `1.5s`, `500ms`, `0s`: the largest units first, a minute always with its seconds.
  package var text: String {
    let all = nanoseconds
    if all < 0 { return "-" + Duration.nanoseconds(all == .min ? .max : -all).text }
    if all < 1_000 { return all == 0 ? "0s" : "\(all)ns" }
    if all < 1_000_000 { return Self.decimal(all, 1_000) + "us" }
    if all < 1_000_000_000 { return Self.decimal(all, 1_000_000) + "ms" }
    let hours = all / 3_600_000_000_000
    let minutes = all / 60_000_000_000 % 60
    let seconds = Self.decimal(all % 60_000_000_000, 1_000_000_000) + "s"
    if hours > 0 { return "\(hours)h\(minutes)m\(seconds)" }
    return minutes > 0 ? "\(minutes)m\(seconds)" : seconds
  }

  private static func decimal(_ value: Int64, _ unit: Int64) -> String {
    let rest = value % unit
    guard rest > 0 else { return String(value / unit) }
    let width = String(unit).utf8.count - 1
    var digits = String(rest)
    digits = String(repeating: "0", count: width - digits.utf8.count) + digits
    while digits.last == "0" { digits.removeLast() }
    return "\(value / unit).\(digits)"
  }
}
