import CZlib

/// Inflates the messages of one direction of a connection, piece by piece, never beyond a bound.
///
/// Pure: bytes in, bytes out; zlib is arithmetic. A class because zlib's state must stay where it is.
final class Inflater {
  private let stream: UnsafeMutablePointer<z_stream>
  private let forgets: Bool

  /// What a message's sender cut from its end (RFC 7692 7.2.1): an empty stored block.
  private static let tail: [UInt8] = [0x00, 0x00, 0xFF, 0xFF]
  /// Output grows by at least this much: what a deflated piece of a few hundred bytes becomes.
  private static let step = 1024

  /// nil: no memory.
  init?(_ direction: PermessageDeflate.Direction) {
    stream = .allocate(capacity: 1)
    stream.initialize(to: z_stream())
    forgets = direction.forgets
    // zlib cannot inflate with a window of 2^8; a larger one than the sender's understands everything.
    guard weir_inflate_start(stream, Int32(max(9, direction.windowBits))) == Z_OK else {
      stream.deallocate()
      return nil
    }
  }

  deinit {
    inflateEnd(stream)
    stream.deallocate()
  }

  /// Adds what `input` inflates to. Fails as soon as `output` would be longer than `limit`: a small message that
  /// inflates to gigabytes costs the limit and no more.
  func inflate(
    _ input: UnsafeBufferPointer<UInt8>, to output: inout [UInt8], limit: Int
  ) throws(WebSocketFailure) {
    if input.isEmpty { return }
    stream.pointee.next_in = UnsafeMutablePointer(mutating: input.baseAddress)
    stream.pointee.avail_in = UInt32(input.count)
    defer { stream.pointee.next_in = nil }
    while true {
      // One byte more than allowed tells a message that is too large from one that just fits.
      let room = min(max(Self.step, Int(stream.pointee.avail_in) * 4, output.count), limit + 1 - output.count)
      let (status, made) = stream.append(room, to: &output) { CZlib.inflate($0, Z_SYNC_FLUSH) }
      if output.count > limit { throw .messageTooLarge(size: nil, limit: limit) }
      switch status {
      case Z_STREAM_END: inflateReset(stream)  // a final block (RFC 7692 7.2.3.4): what follows starts anew
      case Z_OK, Z_BUF_ERROR: break
      default: throw .badData("compressed data that cannot be inflated")
      }
      // All read and room to spare: zlib holds nothing back.
      if stream.pointee.avail_in == 0, made < room { return }
      if status == Z_BUF_ERROR, made == 0 { return }
    }
  }

  func finishMessage(to output: inout [UInt8], limit: Int) throws(WebSocketFailure) {
    try Self.tail.withUnsafeBufferPointer { (tail) throws(WebSocketFailure) in
      try inflate(tail, to: &output, limit: limit)
    }
    if forgets { inflateReset(stream) }
  }
}

/// Deflates the messages of one direction of a connection, each to its end: 270 KB of memory, so it is made for the
/// first message that is worth it.
package final class Deflater {
  private let stream: UnsafeMutablePointer<z_stream>
  private let forgets: Bool

  /// nil: no memory.
  package init?(_ direction: PermessageDeflate.Direction) {
    stream = .allocate(capacity: 1)
    stream.initialize(to: z_stream())
    forgets = direction.forgets
    guard weir_deflate_start(stream, Int32(direction.windowBits)) == Z_OK else {
      stream.deallocate()
      return nil
    }
  }

  deinit {
    deflateEnd(stream)
    stream.deallocate()
  }

  /// The message deflated, without the four bytes that its reader adds (RFC 7692 7.2.1).
  package func deflate(_ message: Span<UInt8>) -> [UInt8] {
    // Without input zlib makes no second flush; this is an empty block's first byte (RFC 7692 7.2.3.6).
    if message.isEmpty { return [0x00] }
    return message.withUnsafeBufferPointer { message in
      var output: [UInt8] = []
      stream.pointee.next_in = UnsafeMutablePointer(mutating: message.baseAddress)
      stream.pointee.avail_in = UInt32(message.count)
      defer { stream.pointee.next_in = nil }
      while true {
        let room = max(256, Int(stream.pointee.avail_in) / 2, output.count)
        let (_, made) = stream.append(room, to: &output) { CZlib.deflate($0, Z_SYNC_FLUSH) }
        if made < room { break }
      }
      if forgets { deflateReset(stream) }
      // A sync flush ends with an empty stored block.
      output.removeLast(4)
      return output
    }
  }
}

extension UnsafeMutablePointer<z_stream> {
  /// Lets zlib write up to `room` bytes more to `output`; tells what it said and how many it wrote.
  fileprivate func append(
    _ room: Int, to output: inout [UInt8], _ run: (UnsafeMutablePointer<z_stream>) -> Int32
  ) -> (status: Int32, made: Int) {
    var status = Z_OK
    var made = 0
    let piece = [UInt8](unsafeUninitializedCapacity: room) { place, count in
      pointee.next_out = place.baseAddress
      pointee.avail_out = UInt32(room)
      status = run(self)
      made = room - Int(pointee.avail_out)
      count = made
    }
    if output.isEmpty { output = piece } else { output += piece }
    return (status, made)
  }
}
