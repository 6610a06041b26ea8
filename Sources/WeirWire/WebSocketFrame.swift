import WeirCore

/// Which end of a connection somebody is: clients mask what they send, servers must not (RFC 6455 5.1).
package enum WebSocketRole: Sendable {
  case client, server
}

/// RFC 6455 5.2. Codes of control frames have the high bit of the four.
package enum WebSocketOpcode: UInt8, Sendable {
  case continuation = 0x0
  case text = 0x1
  case binary = 0x2
  case close = 0x8
  case ping = 0x9
  case pong = 0xA

  var isControl: Bool { rawValue & 0x8 != 0 }
}

/// What stands before a frame's payload.
///
///      0               1               2        …        2, 8       …
///     +-+-+-+-+-------+-+-------------+-----------------+-----------+---------
///     |F|R|R|R| opcode|M| length 7    | 16 or 64 bits   | key       | payload
///     |I|S|S|S|       |A|             | if 126, 127     | 4, if M   |
///     |N|V|V|V|       |S|             |                 |           |
///     |!|1|2|3|       |K|             |                 |           |
///     +-+-+-+-+-------+-+-------------+-----------------+-----------+---------
package struct WebSocketFrameHeader: Hashable, Sendable {
  package var isFinal: Bool
  /// RSV1: the message is compressed (RFC 7692 6); on its first frame only.
  package var isCompressed: Bool
  package var opcode: WebSocketOpcode
  package var maskKey: UInt32?
  package var length: Int

  package init(
    _ opcode: WebSocketOpcode, isFinal: Bool = true, isCompressed: Bool = false, maskKey: UInt32? = nil, length: Int
  ) {
    self.opcode = opcode
    self.isFinal = isFinal
    self.isCompressed = isCompressed
    self.maskKey = maskKey
    self.length = length
  }
}

/// Why a connection was closed, as a Close frame says it (RFC 6455 7.4).
package struct WebSocketClose: Hashable, Sendable {
  package var code: Int
  package var reason: String

  package init(_ code: Int, _ reason: String = "") {
    self.code = code
    self.reason = reason
  }

  package static let normal = WebSocketClose(1000)
  package static let goingAway = WebSocketClose(1001, "the server stops")
  /// Never on the wire: the peer's Close gave no code; the connection was lost without one.
  package static let noCode = 1005
  package static let lost = 1006

  /// Codes that a Close frame may carry: those of the standard and its registry, and the two open ranges.
  package static func isSendable(_ code: Int) -> Bool {
    switch code {
    case 1000...1003, 1007...1014, 3000...4999: true
    default: false
    }
  }

  /// The frame has room for 125 bytes, two of them the code.
  package static let reasonByteLimit = 123

  /// The reason cut to what fits, between characters.
  package var fittingReason: String {
    var reason = reason
    while reason.utf8.count > Self.reasonByteLimit { reason.removeLast() }
    return reason
  }
}

/// What a peer did that ends its connection. `code` is what our Close frame then says.
package enum WebSocketFailure: Failure, Equatable {
  /// 1002: not WebSocket as RFC 6455 has it.
  case violation(String)
  /// 1007: a text message, or a reason, that is not UTF-8; compressed data that cannot be inflated.
  case badData(String)
  /// 1009. `size` is nil where it is not known how large the message would have become.
  case messageTooLarge(size: Int?, limit: Int)

  package var closeCode: Int {
    switch self {
    case .violation: 1002
    case .badData: 1007
    case .messageTooLarge: 1009
    }
  }

  package var code: String {
    switch self {
    case .violation, .badData: "ProtocolError"
    case .messageTooLarge: "MessageTooLarge"
    }
  }

  package var message: String {
    switch self {
    case .violation(let what), .badData(let what): what
    case .messageTooLarge(let size?, let limit): "message size \(size) exceeds limit \(limit)"
    case .messageTooLarge(nil, let limit): "message size exceeds limit \(limit)"
    }
  }

  package var hint: String? {
    switch self {
    case .messageTooLarge: "a larger limit can be set with --stream-max-message"
    default: nil
    }
  }
}

/// XOR with the four bytes of a key, over and over (RFC 6455 5.3). Its own inverse.
enum WebSocketMask {
  /// `phase` is the number of payload bytes that went before.
  static func apply(_ key: UInt32, phase: Int, _ bytes: UnsafeMutableBufferPointer<UInt8>) {
    guard let base = bytes.baseAddress else { return }
    // The key as it lies in memory, turned to where this piece begins: byte i is XORed with byte i & 3 of it.
    let turned = key.bigEndian
    let shift = UInt32(phase & 3) * 8
    let start = UInt32(littleEndian: turned)
    let word32 = shift == 0 ? start : start >> shift | start << (32 - shift)
    let word = UInt64(word32) << 32 | UInt64(word32)
    let raw = UnsafeMutableRawPointer(base)
    let wide = SIMD4<UInt64>(repeating: word.littleEndian)
    var index = 0
    while index &+ 32 <= bytes.count {
      let old = raw.loadUnaligned(fromByteOffset: index, as: SIMD4<UInt64>.self)
      raw.storeBytes(of: old ^ wide, toByteOffset: index, as: SIMD4<UInt64>.self)
      index &+= 32
    }
    while index < bytes.count {
      base[index] ^= UInt8(truncatingIfNeeded: word32 >> UInt32((index & 3) * 8))
      index &+= 1
    }
  }
}
