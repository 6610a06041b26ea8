/// Writes JSON compactly, straight into a caller's buffer: no intermediate tree, no white space, never a raw newline
/// (so any JSON text is one SSE data line).
package enum JSONWriter {
  package static func append(_ value: JSONValue, to out: inout [UInt8]) {
    switch value {
    case .null: append(raw: "null", to: &out)
    case .bool(let flag): append(raw: flag ? "true" : "false", to: &out)
    case .int(let number): append(number, to: &out)
    case .double(let number): append(number, to: &out)
    case .string(let text): append(string: text, to: &out)
    case .array(let items):
      out.append(UInt8(ascii: "["))
      for (i, item) in items.enumerated() {
        if i > 0 { out.append(UInt8(ascii: ",")) }
        append(item, to: &out)
      }
      out.append(UInt8(ascii: "]"))
    case .object(let members):
      out.append(UInt8(ascii: "{"))
      for (i, member) in members.enumerated() {
        if i > 0 { out.append(UInt8(ascii: ",")) }
        append(string: member.name, to: &out)
        out.append(UInt8(ascii: ":"))
        append(member.value, to: &out)
      }
      out.append(UInt8(ascii: "}"))
    }
  }

  /// Literal text of the format itself (`{"type":"text","delta":`), copied as it is.
  package static func append(raw text: StaticString, to out: inout [UInt8]) {
    out.append(contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
  }

  /// A string in quotes, escaped only where RFC 8259 demands it.
  package static func append(string text: String, to out: inout [UInt8]) {
    var text = text
    out.append(UInt8(ascii: "\""))
    text.withUTF8 { appendEscaped($0, to: &out) }
    out.append(UInt8(ascii: "\""))
  }

  private static func appendEscaped(_ bytes: UnsafeBufferPointer<UInt8>, to out: inout [UInt8]) {
    var start = 0
    var at = 0
    while at < bytes.count {
      let byte = bytes[at]
      if byte >= 0x20, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\") {
        at += 1
        continue
      }
      out.append(contentsOf: UnsafeBufferPointer(rebasing: bytes[start..<at]))
      out.append(UInt8(ascii: "\\"))
      switch byte {
      case UInt8(ascii: "\""), UInt8(ascii: "\\"): out.append(byte)
      case 0x0A: out.append(UInt8(ascii: "n"))
      case 0x0D: out.append(UInt8(ascii: "r"))
      case 0x09: out.append(UInt8(ascii: "t"))
      default:
        append(raw: "u00", to: &out)
        out.append(hexDigit(byte >> 4))
        out.append(hexDigit(byte & 15))
      }
      at += 1
      start = at
    }
    out.append(contentsOf: UnsafeBufferPointer(rebasing: bytes[start...]))
  }

  private static func hexDigit(_ value: UInt8) -> UInt8 {
    value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") + value - 10
  }

  package static func append(_ number: Int, to out: inout [UInt8]) {
    var magnitude = number.magnitude
    if magnitude < 10, number >= 0 {
      out.append(UInt8(ascii: "0") + UInt8(magnitude))
      return
    }
    if number < 0 { out.append(UInt8(ascii: "-")) }
    let start = out.count
    repeat {
      out.append(UInt8(ascii: "0") + UInt8(magnitude % 10))
      magnitude /= 10
    } while magnitude > 0
    out[start...].reverse()
  }

  /// The shortest text that reads back as the same number; JSON has no infinities or NaN, they become null.
  package static func append(_ number: Double, to out: inout [UInt8]) {
    if number.isFinite {
      out.append(contentsOf: Array(number.description.utf8))
    } else {
      append(raw: "null", to: &out)
    }
  }
}

extension JSONValue {
  package func encoded() -> [UInt8] {
    var out: [UInt8] = []
    JSONWriter.append(self, to: &out)
    return out
  }

  package var text: String { String(decoding: encoded(), as: UTF8.self) }
}
