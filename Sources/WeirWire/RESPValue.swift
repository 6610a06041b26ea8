import WeirCore

/// What a Redis server says: one value of its protocol, RESP2 or RESP3 (redis.io, "Redis serialization protocol").
package enum RESPValue: Equatable, Sendable {
  case simple(String)
  case error(RESPError)
  case integer(Int64)
  case bulk([UInt8])
  /// RESP2 has two (`$-1`, `*-1`), RESP3 one (`_`); they mean the same.
  case null
  case array([RESPValue])
  // RESP3
  case boolean(Bool)
  case double(Double)
  /// Decimal digits with an optional sign, beyond 64 bits.
  case bigNumber(String)
  /// Three characters say what the text is: `txt`, `mkd`.
  case verbatim(format: String, [UInt8])
  case map([Pair])
  case set([RESPValue])
  /// Nobody asked for it: what a subscription brings.
  case push([RESPValue])

  package struct Pair: Equatable, Sendable {
    package var key: RESPValue
    package var value: RESPValue
    package init(_ key: RESPValue, _ value: RESPValue) {
      self.key = key
      self.value = value
    }
  }

  /// Of a string, however it was sent; nil for everything else.
  package var bytes: [UInt8]? {
    switch self {
    case .bulk(let bytes), .verbatim(_, let bytes): bytes
    case .simple(let text): Array(text.utf8)
    default: nil
    }
  }

  /// Of a string, with U+FFFD for what is not UTF-8.
  package var text: String? { bytes.map { String(decoding: $0, as: UTF8.self) } }

  /// Elements of a list, however it was sent.
  package var elements: [RESPValue]? {
    switch self {
    case .array(let elements), .set(let elements), .push(let elements): elements
    default: nil
    }
  }
}

/// An error that the server answered. Its first word is a code by convention: `ERR`, `WRONGTYPE`, `NOSCRIPT`.
package struct RESPError: Equatable, Sendable {
  /// Empty when the first word is not in capitals.
  package var code: String
  /// Everything, with the code.
  package var message: String

  package init(_ message: String) {
    self.message = message
    let word = message.prefix { $0 != " " }
    let isCode = !word.isEmpty && word.utf8.allSatisfy { (0x41...0x5A).contains($0) || $0 == 0x5F || $0.isDigit }
    code = isCode ? String(word) : ""
  }
}

/// Bytes that are no RESP, or more than anybody agreed to hold.
package enum RESPFailure: Failure, Equatable {
  case malformed(String)
  case tooLarge(String)

  package var code: String {
    switch self {
    case .malformed: "BadRESP"
    case .tooLarge: "RESPTooLarge"
    }
  }

  package var message: String {
    switch self {
    case .malformed(let why): "this is not Redis' protocol: \(why)"
    case .tooLarge(let what): what
    }
  }

  package var hint: String? {
    switch self {
    case .malformed: "is it a Redis server that listens there, and with TLS (rediss://) or without (redis://)?"
    case .tooLarge: nil
    }
  }
}
