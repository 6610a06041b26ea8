import WeirCore

/// What a worker shows for one wake: that this server gave it to them for this subscription, generation and wake, until then
/// (Durable Streams Protocol, 7.3 and 12.9). `<wake>.<generation>.<expires>.<HMAC-SHA256 in hexadecimal>`. Pure.
struct WakeToken: Equatable {
  var wake: String
  var generation: UInt64
  /// Seconds since 1970.
  var expires: Int64

  /// A lease can be extended for so long; seconds.
  static let lifetime: Int64 = 24 * 3600

  func text(_ subscription: String, key: [UInt8]) -> String {
    "\(wake).\(generation).\(expires).\(signature(subscription, key))"
  }

  private func signature(_ subscription: String, _ key: [UInt8]) -> String {
    // An id has no line end, and the others are letters and digits.
    HMAC.sha256("weir-wake-1\n\(subscription)\n\(wake)\n\(generation)\n\(expires)".utf8, key: key).map { byte in
      let digits = String(byte, radix: 16)
      return digits.utf8.count == 1 ? "0" + digits : digits
    }.joined()
  }

  static func read(_ text: String?, of subscription: String, key: [UInt8], now: Int64) throws(SubscriptionFailure)
    -> WakeToken
  {
    let parts = (text ?? "").split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count == 4, parts[0].utf8.allSatisfy({ 0x61...0x7A ~= $0 || 0x30...0x39 ~= $0 }),
      let generation = UInt64(parts[1]), let expires = Int64(parts[2])
    else { throw .badToken }
    let token = WakeToken(wake: String(parts[0]), generation: generation, expires: expires)
    guard AccessPolicy.isSame(text ?? "", token.text(subscription, key: key)) else { throw .badToken }
    guard now / 1000 < expires else { throw .oldToken }
    return token
  }
}
