/// A peer's bytes in, whole messages out: RFC 6455 frames put together, unmasked, inflated (RFC 7692) and checked.
///
/// Pure: no socket, no clock, no answer; what a Ping or a Close is answered with is `WebSocketMachine`'s. It copies
/// nothing but payloads, each byte once. Any cut of the same bytes gives the same events and the same failure.
///
///     var position = 0
///     while let event = try parser.next(bytes, &position) { … }      // nil: all of `bytes` was read
///
/// Stop calling it and keep the rest of the bytes to make the peer wait.
package struct WebSocketMessageParser: ~Copyable {
  /// One message, in or out: what a chat turn with a picture needs, and what a stranger may make us hold.
  package static let messageByteLimit = 1 << 20

  package enum Event: Hashable, Sendable {
    case text(String)
    case binary([UInt8])
    case ping([UInt8])
    case pong([UInt8])
    /// nil: the peer gave no code.
    case close(WebSocketClose?)
  }

  private let messageLimit: Int
  private var frames: WebSocketFrameParser
  private var frame = WebSocketFrameHeader(.continuation, length: 0)
  private var inflater: Inflater?
  private let deflate: PermessageDeflate.Direction?

  // The message under way: frames of it have arrived, and the last one not yet.
  private var isInMessage = false
  private var isText = false
  private var isCompressed = false
  private var message: [UInt8] = []
  private var text = UTF8Validator()
  /// The payload of a control frame, which may come between the frames of a message.
  private var control: [UInt8] = []
  /// A piece of compressed payload, unmasked.
  private var unmasked: [UInt8] = []
  private var failure: WebSocketFailure?

  /// `role` is whose parser it is.
  package init(
    role: WebSocketRole, messageLimit: Int = Self.messageByteLimit, deflate: PermessageDeflate? = nil
  ) {
    self.messageLimit = messageLimit
    frames = WebSocketFrameParser(role: role, allowsCompression: deflate != nil)
    switch role {
    case .client: self.deflate = deflate?.server
    case .server: self.deflate = deflate?.client
    }
  }

  /// Neither a frame nor a message is unfinished.
  package var isBetweenMessages: Bool { !isInMessage && frames.isBetweenFrames }

  /// The next event, reading from `position` on and moving it; nil: all of the input was read.
  package mutating func next(_ input: Span<UInt8>, _ position: inout Int) throws(WebSocketFailure) -> Event? {
    if let failure { throw failure }
    do throws(WebSocketFailure) {
      return try input.withUnsafeBufferPointer { (input) throws(WebSocketFailure) in
        try advance(input, &position)
      }
    } catch {
      failure = error
      (message, control, unmasked) = ([], [], [])
      throw error
    }
  }

  private mutating func advance(
    _ input: UnsafeBufferPointer<UInt8>, _ position: inout Int
  ) throws(WebSocketFailure) -> Event? {
    while let piece = try frames.next(input, &position) {
      switch piece {
      case .header(let header): try begin(header)
      case .payload(let place, let offset): try take(UnsafeBufferPointer(rebasing: input[place]), offset)
      case .end: if let event = try end() { return event }
      }
    }
    return nil
  }

  private mutating func begin(_ header: WebSocketFrameHeader) throws(WebSocketFailure) {
    frame = header
    switch header.opcode {
    case .text, .binary:
      if isInMessage { throw .violation("a new message within a fragmented one") }
      isInMessage = true
      isText = header.opcode == .text
      isCompressed = header.isCompressed
      text = UTF8Validator()
      if isCompressed, inflater == nil, let deflate {
        guard let made = Inflater(deflate) else { throw .badData("no memory to inflate a message") }
        inflater = made
      }
    case .continuation:
      if !isInMessage { throw .violation("a continuation of no message") }
    case .close, .ping, .pong: return
    }
    // Refused before it is read. What a compressed one becomes is known only piece by piece.
    if !isCompressed, header.length > messageLimit - message.count {
      throw .messageTooLarge(size: header.isFinal ? message.count + header.length : nil, limit: messageLimit)
    }
  }

  private mutating func take(_ payload: UnsafeBufferPointer<UInt8>, _ offset: Int) throws(WebSocketFailure) {
    if frame.opcode.isControl {
      Self.append(payload, offset, of: frame, to: &control)
    } else if isCompressed, let inflater {
      unmasked.removeAll(keepingCapacity: true)
      Self.append(payload, offset, of: frame, to: &unmasked)
      let before = message.count
      let pieces = unmasked  // another reference, so that reading it and writing the message don't overlap
      try pieces.withUnsafeBufferPointer { (pieces) throws(WebSocketFailure) in
        try inflater.inflate(pieces, to: &message, limit: messageLimit)
      }
      try check(from: before)
    } else {
      let before = message.count
      if before == 0 { message.reserveCapacity(min(frame.length, Self.reserveLimit)) }
      Self.append(payload, offset, of: frame, to: &message)
      // A text that is here whole is checked once, when it becomes a `String`.
      if !isWhole(payload) { try check(from: before) }
    }
  }
  /// A header alone must not make us hold much.
  private static let reserveLimit = 64 << 10

  /// The one piece of a message in one frame.
  private func isWhole(_ payload: UnsafeBufferPointer<UInt8>) -> Bool {
    frame.isFinal && frame.opcode == .text && payload.count == frame.length
  }

  private static func append(
    _ payload: UnsafeBufferPointer<UInt8>, _ offset: Int, of frame: WebSocketFrameHeader, to bytes: inout [UInt8]
  ) {
    let start = bytes.count
    bytes.append(contentsOf: payload)
    guard let key = frame.maskKey else { return }
    bytes.withUnsafeMutableBufferPointer { bytes in
      WebSocketMask.apply(key, phase: offset, UnsafeMutableBufferPointer(rebasing: bytes[start...]))
    }
  }

  private mutating func check(from start: Int) throws(WebSocketFailure) {
    guard isText, start < message.count else { return }
    let message = message
    if !text.accepts(message.span.extracting(start..<message.count)) { throw Self.notUTF8 }
  }
  private static let notUTF8 = WebSocketFailure.badData("a text message that is not UTF-8")

  /// The frame is complete; gives an event if that completes one.
  private mutating func end() throws(WebSocketFailure) -> Event? {
    if frame.opcode.isControl {
      let payload = control
      control = []
      switch frame.opcode {
      case .ping: return .ping(payload)
      case .pong: return .pong(payload)
      default: return .close(try Self.close(payload))
      }
    }
    guard frame.isFinal else { return nil }
    if isCompressed, let inflater {
      let before = message.count
      try inflater.finishMessage(to: &message, limit: messageLimit)
      try check(from: before)
    }
    let payload = message
    message = []
    isInMessage = false
    guard isText else { return .binary(payload) }
    guard text.isComplete, let string = String(validating: payload, as: UTF8.self) else { throw Self.notUTF8 }
    return .text(string)
  }

  private static func close(_ payload: [UInt8]) throws(WebSocketFailure) -> WebSocketClose? {
    if payload.isEmpty { return nil }
    guard payload.count >= 2 else { throw .violation("a Close frame with half a code") }
    let code = Int(payload[0]) << 8 | Int(payload[1])
    guard WebSocketClose.isSendable(code) else { throw .violation("a Close frame with the code \(code)") }
    guard let reason = String(validating: payload[2...], as: UTF8.self) else {
      throw .badData("a Close frame whose reason is not UTF-8")
    }
    return WebSocketClose(code, reason)
  }
}
