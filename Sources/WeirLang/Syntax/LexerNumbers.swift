/// Numbers: `42 1_000 0xFF 0o7 0b1 1.5 1e-3`.
extension Lexer {
  mutating func number() {
    let start = at
    if current == UInt8(ascii: "0"), let (radix, name) = radixPrefix(byte(at + 1)) {
      at += 2
      integer(from: start, digits: at, radix: radix, name: name)
      return
    }
    skipDigits()
    var isFloat = false
    // `1..5` is a range and `1.add(2)` a call: a fraction needs a digit.
    if current == UInt8(ascii: "."), isDigit(byte(at + 1)) {
      isFloat = true
      at += 1
      skipDigits()
    }
    if current | 0x20 == UInt8(ascii: "e") {
      let sign = byte(at + 1) == UInt8(ascii: "-") || byte(at + 1) == UInt8(ascii: "+") ? 1 : 0
      if isDigit(byte(at + 1 + sign)) {
        isFloat = true
        at += 1 + sign
        skipDigits()
      }
    }
    guard isFloat else {
      at = start
      integer(from: start, digits: start, radix: 10, name: "decimal")
      return
    }
    let digits = at
    scanName()
    let text = source.text(start..<at)
    guard digits == at, let plain = withoutSeparators(text), let value = Double(plain) else {
      report(
        .badNumber(text, why: at > digits ? "a name cannot follow a number directly" : Self.separatorRule), start, at)
      emitNumber(.float, 0, from: start)
      return
    }
    if value.isInfinite { report(.numberTooLarge(isInt: false), start, at) }
    emitNumber(.float, value.bitPattern, from: start)
  }

  private static let separatorRule = "`_` may only stand between two digits"

  private mutating func integer(from start: Int, digits: Int, radix: UInt64, name: String) {
    scanName()
    let text = source.text(start..<at)
    var value: UInt64 = 0
    var overflow = false
    var why: String?
    var lastWasDigit = false
    for offset in digits..<at where why == nil {
      let c = byte(offset)
      if c == UInt8(ascii: "_") {
        if !lastWasDigit { why = Self.separatorRule }
        lastWasDigit = false
        continue
      }
      guard let digit = Self.digitValue(c), digit < radix else {
        why =
          isDigit(c) || radix == 16
          ? "`\(source.text(offset..<offset + 1))` is not a \(name) digit" : "a name cannot follow a number directly"
        break
      }
      lastWasDigit = true
      let (product, over) = value.multipliedReportingOverflow(by: radix)
      let (sum, more) = product.addingReportingOverflow(digit)
      overflow = overflow || over || more
      value = sum
    }
    if why == nil, !lastWasDigit { why = digits == at ? "\(name) digits are missing" : Self.separatorRule }
    if let why {
      report(.badNumber(text, why: why), start, at)
      emitNumber(.int, 0, from: start)
      return
    }
    // 2^63 itself is let through: with a minus before it, it is the least int.
    if overflow || value > 1 << 63 {
      report(.numberTooLarge(isInt: true), start, at)
      value = 0
    }
    emitNumber(.int, value, from: start)
  }

  private mutating func emitNumber(_ kind: Token.Kind, _ value: UInt64, from start: Int) {
    out.numbers.append(value)
    emit(kind, from: start, value: out.numbers.count - 1)
  }

  private func radixPrefix(_ c: UInt8) -> (UInt64, String)? {
    switch c {
    case UInt8(ascii: "x"), UInt8(ascii: "X"): (16, "hexadecimal")
    case UInt8(ascii: "o"), UInt8(ascii: "O"): (8, "octal")
    case UInt8(ascii: "b"), UInt8(ascii: "B"): (2, "binary")
    default: nil
    }
  }

  private mutating func skipDigits() {
    while isDigit(current) || current == UInt8(ascii: "_") { at += 1 }
  }

  private func withoutSeparators(_ text: String) -> String? {
    var result: [UInt8] = []
    var last: UInt8 = 0
    for c in text.utf8 {
      if c == UInt8(ascii: "_") {
        guard isDigit(last) else { return nil }
      } else {
        if last == UInt8(ascii: "_"), !isDigit(c) { return nil }
        result.append(c)
      }
      last = c
    }
    return last == UInt8(ascii: "_") ? nil : String(decoding: result, as: UTF8.self)
  }

  func isDigit(_ c: UInt8) -> Bool { c >= UInt8(ascii: "0") && c <= UInt8(ascii: "9") }

  static func digitValue(_ c: UInt8) -> UInt64? {
    switch c {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt64(c - UInt8(ascii: "0"))
    case UInt8(ascii: "a")...UInt8(ascii: "f"): UInt64(c - UInt8(ascii: "a") + 10)
    case UInt8(ascii: "A")...UInt8(ascii: "F"): UInt64(c - UInt8(ascii: "A") + 10)
    default: nil
    }
  }
}
