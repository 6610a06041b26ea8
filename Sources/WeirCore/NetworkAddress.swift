/// An IPv4 or IPv6 address as a number, and which kind of place it is: what a network policy decides by.
///
/// Pure: names are resolved elsewhere. The text form is the strict one (four decimal numbers; RFC 4291 without zone):
/// the C library also reads `127.1`, `0x7f.1` and `0177.0.0.1`, and two readers of one text are how filters are passed.
package struct NetworkAddress: Hashable, Sendable, CustomStringConvertible {
  /// Most significant byte first; IPv4 in the low 32 bits.
  package let bits: UInt128
  package let isV6: Bool

  package init(v4: UInt32) {
    bits = UInt128(v4)
    isV6 = false
  }

  package init(v6: UInt128) {
    bits = v6
    isV6 = true
  }

  package init?(_ text: some StringProtocol) {
    if let v4 = Self.v4(text) {
      self.init(v4: v4)
    } else if let v6 = Self.v6(text) {
      self.init(v6: v6)
    } else {
      return nil
    }
  }

  /// RFC 5952; an IPv4-mapped address is written as the IPv4 address that it is.
  package var description: String { mapped.map { Self.dotted($0) } ?? literal }

  /// RFC 5952, of the family that it is.
  package var literal: String {
    if !isV6 { return description }
    let groups = (0..<8).map { UInt16(truncatingIfNeeded: bits >> (112 - 16 * $0)) }
    func text(_ range: Range<Int>) -> String { groups[range].map { String($0, radix: 16) }.joined(separator: ":") }
    var longest = 0..<0
    var start = 0
    for i in 0...8 where i == 8 || groups[i] != 0 {
      if i - start > max(1, longest.count) { longest = start..<i }
      start = i + 1
    }
    if longest.isEmpty { return text(0..<8) }
    return text(0..<longest.lowerBound) + "::" + text(longest.upperBound..<8)
  }

  // MARK: Kinds

  package enum Kind: String, Hashable, Sendable, CaseIterable {
    case loopback, `private`, linkLocal, unspecified, multicast, reserved, global
  }

  /// The IANA special-purpose registries (RFC 6890). What carries an IPv4 address inside is what that one is.
  package var kind: Kind {
    if let v4 = mapped { return Self.kind(v4: v4) }
    switch bits {
    case 0: return .unspecified
    case 1: return .loopback
    default: break
    }
    if let embedded {
      // Behind a translator there is another machine's loopback at best: never the one that a user named.
      let kind = Self.kind(v4: embedded)
      return kind == .loopback ? .private : kind
    }
    if isIn(0xff00, 8) { return .multicast }
    if isIn(0xfe80, 10) { return .linkLocal }
    // ULA, the old site-local, and a network's own NAT64 (RFC 8215), which may hide its IPv4 address in several places
    if isIn(0xfc00, 7) || isIn(0xfec0, 10) || bits >> 80 == 0x0064_ff9b_0001 { return .private }
    // The one block that is given out to the world, less what was carved from it: protocol assignments with Teredo and
    // ORCHID (2001::/23), documentation (2001:db8::/32, 3fff::/20).
    guard isIn(0x2000, 3) else { return .reserved }
    if bits >> 105 == 0x2001_0000 >> 9 || bits >> 96 == 0x2001_0db8 || bits >> 108 == 0x3fff_0 { return .reserved }
    return .global
  }

  private static func kind(v4 address: UInt32) -> Kind {
    func isIn(_ network: UInt32, _ length: UInt32) -> Bool { address >> (32 - length) == network >> (32 - length) }
    if isIn(0x0000_0000, 8) { return .unspecified }
    if isIn(0x7f00_0000, 8) { return .loopback }
    if isIn(0xa9fe_0000, 16) { return .linkLocal }
    // 10/8, 172.16/12, 192.168/16, and what providers share among their customers, 100.64/10
    if isIn(0x0a00_0000, 8) || isIn(0xac10_0000, 12) || isIn(0xc0a8_0000, 16) || isIn(0x6440_0000, 10) {
      return .private
    }
    if isIn(0xe000_0000, 4) || address == .max { return .multicast }
    // protocol assignments, documentation (three), 6to4 relays, benchmarks, 240/4
    for (network, length): (UInt32, UInt32) in [
      (0xc000_0000, 24), (0xc000_0200, 24), (0xc633_6400, 24), (0xcb00_7100, 24), (0xc058_6300, 24), (0xc612_0000, 15),
      (0xf000_0000, 4),
    ] where isIn(network, length) { return .reserved }
    return .global
  }

  /// The first `length` bits are those of `network`, an address's first group.
  private func isIn(_ network: UInt128, _ length: UInt128) -> Bool {
    bits >> (128 - length) == (network << 112) >> (128 - length)
  }

  /// An IPv4 address, also one written as ::ffff:192.0.2.1, which the kernel dials as IPv4.
  private var mapped: UInt32? {
    !isV6 || bits >> 32 == 0xffff ? UInt32(truncatingIfNeeded: bits) : nil
  }

  /// IPv4-compatible ::/96, NAT64 64:ff9b::/96, 6to4 2002::/16.
  private var embedded: UInt32? {
    if bits >> 32 == 0 || bits >> 32 == 0x0064_ff9b << 64 { return UInt32(truncatingIfNeeded: bits) }
    return isIn(0x2002, 16) ? UInt32(truncatingIfNeeded: bits >> 80) : nil
  }

  // MARK: Text

  private static func dotted(_ v4: UInt32) -> String {
    [24, 16, 8, 0].map { String(v4 >> $0 & 255) }.joined(separator: ".")
  }

  private static func v4(_ text: some StringProtocol) -> UInt32? {
    let parts = text.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
    guard parts.count == 4 else { return nil }
    var value: UInt32 = 0
    for part in parts {
      // A leading zero means octal to some readers.
      guard (1...3).contains(part.count), part.count == 1 || part.first != UInt8(ascii: "0"),
        part.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }),
        let number = UInt8(String(decoding: part, as: UTF8.self))
      else { return nil }
      value = value << 8 | UInt32(number)
    }
    return value
  }

  private static func v6(_ text: some StringProtocol) -> UInt128? {
    guard text.utf8.count <= 45, text.utf8.contains(UInt8(ascii: ":")) else { return nil }
    guard let gap = text.range(ofText: "::") else {
      guard let groups = groups(text), groups.count == 8 else { return nil }
      return joined(groups)
    }
    guard let head = groups(text[..<gap.lowerBound]), let tail = groups(text[gap.upperBound...]),
      head.count + tail.count <= 7, !text[..<gap.lowerBound].utf8.contains(UInt8(ascii: "."))
    else { return nil }
    return joined(head + [UInt16](repeating: 0, count: 8 - head.count - tail.count) + tail)
  }

  private static func joined(_ groups: [UInt16]) -> UInt128 { groups.reduce(0) { $0 << 16 | UInt128($1) } }

  /// Groups of up to four hexadecimal digits; the last may be an IPv4 address, which is two.
  private static func groups(_ text: some StringProtocol) -> [UInt16]? {
    if text.isEmpty { return [] }
    var groups: [UInt16] = []
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    for (index, part) in parts.enumerated() {
      if index == parts.count - 1, part.contains("."), let v4 = v4(part) {
        groups += [UInt16(v4 >> 16), UInt16(truncatingIfNeeded: v4)]
      } else if (1...4).contains(part.utf8.count), let group = UInt16(part, radix: 16), part.first != "+" {
        groups.append(group)
      } else {
        return nil
      }
    }
    return groups
  }
}
