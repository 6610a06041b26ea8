/// The values that must never leave in a message (law 7): keys and header values of one call. `redact` is applied to
/// everything that a provider or the transport said before it becomes part of a failure.
package struct Secrets: Equatable, Sendable, CustomStringConvertible {
  /// Shorter values would redact half of any message; no key is that short.
  package static let shortestByteCount = 4

  private var needles: [[UInt8]] = []

  package init(_ values: [String] = []) {
    for value in values { add(value) }
  }

  /// What a request's headers carry that nobody else may read: credentials by their names, and every value that holds
  /// one of the environment's.
  package init(headers: [(name: String, value: String)], environmentValues: Set<String> = []) {
    for (name, value) in headers {
      if Self.isCredential(name) {
        add(value)
        // `Bearer` is no secret, what follows is; of cookies and signatures, what stands behind each `=`.
        if let scheme = value.firstIndex(of: " ") { add(String(value[value.index(after: scheme)...])) }
        for part in value.split(whereSeparator: { $0 == ";" || $0 == "," }) {
          if let equals = part.firstIndex(of: "=") { add(part[part.index(after: equals)...].filter { $0 != "\"" }) }
        }
      }
      for known in environmentValues where value.contains(text: known) { add(known) }
    }
  }

  private static func isCredential(_ name: String) -> Bool {
    let name = name.lowercased()
    return credentialWords.contains { name.contains(text: $0) }
  }
  private static let credentialWords = [
    "auth", "cookie", "token", "secret", "key", "password", "passwd", "credential", "signature", "session",
  ]

  /// Also its percent-encoded and JSON-escaped forms: a key may come back inside a URL or a quoted body.
  package mutating func add(_ value: String) {
    for form in [value, PercentEncoding.query(value), value.replacing(text: "/", with: "\\/")] {
      let bytes = Array(form.utf8)
      if bytes.count >= Self.shortestByteCount, !needles.contains(bytes) { needles.append(bytes) }
    }
    needles.sort { $0.count > $1.count }
  }

  /// The beginning of something longer: a secret that its end cuts is left out as well.
  package func redact(beginning bytes: [UInt8]) -> String {
    redact(String(decoding: bytes[..<(bytes.count - openCount(in: bytes))], as: UTF8.self))
  }

  /// How many bytes at the end are the beginning of a secret, if more of it follows.
  package func openCount(in bytes: [UInt8]) -> Int {
    var longest = 0
    for needle in needles {
      for length in stride(from: min(needle.count - 1, bytes.count), to: longest, by: -1)
      where bytes.suffix(length).elementsEqual(needle.prefix(length)) {
        longest = length
        break
      }
    }
    return longest
  }

  /// Every byte of a secret becomes `*`: all others stay where they are.
  package func mask(_ bytes: inout [UInt8]) {
    for needle in needles where bytes.count >= needle.count {
      for start in 0...(bytes.count - needle.count)
      where bytes[start] == needle[0] && bytes[start..<(start + needle.count)].elementsEqual(needle) {
        for place in start..<(start + needle.count) { bytes[place] = UInt8(ascii: "*") }
      }
    }
  }

  package func redact(_ text: String) -> String {
    var bytes = Array(text.utf8)
    for needle in needles where bytes.count >= needle.count { bytes = Self.replace(needle, in: bytes) }
    return String(decoding: bytes, as: UTF8.self)
  }

  private static func replace(_ needle: [UInt8], in bytes: [UInt8]) -> [UInt8] {
    var out: [UInt8] = []
    out.reserveCapacity(bytes.count)
    var at = 0
    while at < bytes.count {
      if bytes[at] == needle[0], bytes.count - at >= needle.count, bytes[at..<(at + needle.count)].elementsEqual(needle)
      {
        out.append(contentsOf: "[redacted]".utf8)
        at += needle.count
      } else {
        out.append(bytes[at])
        at += 1
      }
    }
    return out
  }

  package var description: String { "Secrets(\(needles.count))" }
}

/// A value that prints as nothing, wherever it is printed or dumped.
package struct Secret: Sendable, Equatable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
  package let value: String
  package init(_ value: String) { self.value = value }
  package var description: String { "[redacted]" }
  package var debugDescription: String { description }
  package var customMirror: Mirror { Mirror(self, children: []) }
}

package enum PercentEncoding {
  /// RFC 3986 unreserved characters stay, everything else becomes `%XX`.
  package static func query(_ text: String) -> String {
    let digits = Array("0123456789ABCDEF".utf8)
    var out: [UInt8] = []
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
        UInt8(ascii: "~"):
        out.append(byte)
      default: out += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
      }
    }
    return String(decoding: out, as: UTF8.self)
  }
}
