/// Messages as frames: the mirror of `WebSocketFrameParser`. One message is one frame.
package enum WebSocketFrameWriter {
  /// Header and payload to the end of `output`. A client gives a fresh random `header.maskKey` for each frame;
  /// `header.length` must be the payload's.
  package static func append(_ header: WebSocketFrameHeader, _ payload: Span<UInt8>, to output: inout [UInt8]) {
    output.append((header.isFinal ? 0x80 : 0) | (header.isCompressed ? 0x40 : 0) | header.opcode.rawValue)
    let mask: UInt8 = header.maskKey == nil ? 0 : 0x80
    switch payload.count {
    case ...125: output.append(mask | UInt8(payload.count))
    case ...0xFFFF:
      output.append(mask | 126)
      append(UInt64(payload.count), bytes: 2, to: &output)
    default:
      output.append(mask | 127)
      append(UInt64(payload.count), bytes: 8, to: &output)
    }
    if let key = header.maskKey { append(UInt64(key), bytes: 4, to: &output) }
    let start = output.count
    payload.withUnsafeBufferPointer { output.append(contentsOf: $0) }
    guard let key = header.maskKey, payload.count > 0 else { return }
    output.withUnsafeMutableBufferPointer { output in
      WebSocketMask.apply(key, phase: 0, UnsafeMutableBufferPointer(rebasing: output[start...]))
    }
  }

  /// The payload of a Close frame (RFC 6455 5.5.1); no code, no payload.
  package static func closePayload(_ close: WebSocketClose?) -> [UInt8] {
    guard let close else { return [] }
    return [UInt8(truncatingIfNeeded: close.code >> 8), UInt8(truncatingIfNeeded: close.code)]
      + Array(close.fittingReason.utf8)
  }

  private static func append(_ number: UInt64, bytes: Int, to output: inout [UInt8]) {
    for index in (0..<bytes).reversed() { output.append(UInt8(truncatingIfNeeded: number >> UInt64(index * 8))) }
  }
}
