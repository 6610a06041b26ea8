import WeirCore
import WeirFlow
import WeirWire

/// One open WebSocket, either end: bytes of its stream in, events out; messages in, frames out.
///
/// Driver between a `ByteStream`, `WebSocketMessageParser` and `WebSocketMachine`. The opening handshake is over before
/// it is made. Both ways are bounded: a full event queue stops reading from the stream, and `transmit` answers only when
/// there is room, within a deadline. Everything sent in one turn of the loop leaves in one write.
package final class WebSocketConnection: StreamConnection, ByteStreamHandler {
  package struct Limits: Sendable {
    /// A message, in or out, as the program sees it (not as it was compressed).
    package var messageBytes = WebSocketMessageParser.messageByteLimit
    /// Events that wait to be taken; then nothing more is read.
    package var queuedEvents = 1_000
    /// Bytes that wait for the stream; a message is taken while there are fewer.
    package var outputBytes = 1 << 20
    /// For a message that waits for that room: a peer that does not read is not waited for longer.
    package var sendTimeout = Duration.seconds(30)
    /// A peer that was silent for so long is pinged, and lost after as long again. nil: never.
    package var pingInterval: Duration?
    package init() {}
  }

  package let agreement: WebSocketHandshake.Agreement
  package let events: EventQueue
  /// Told once when the stream is over, after the last event was queued.
  package var onOver: (() -> Void)?

  private let loop: any Loop
  /// What a client masks its frames with; a server does not.
  private let masks: (any RandomSource)?
  private let stream: any ByteStream
  private let limits: Limits
  private var machine: WebSocketMachine
  private var parser: WebSocketMessageParser
  private var timer: (any Cancellable)?
  private var isOver = false

  // In.
  /// Read from the stream while the queue was full, and not parsed: `unread[parsed...]`.
  private var unread: [UInt8] = []
  private var parsed = 0
  private var isParsing = false
  /// The peer sends no more; told to the machine when what it had sent is parsed.
  private var hasEnded = false
  private var hasHeard = false
  private var hasPinged = false
  private var pingTimer: (any Cancellable)?

  // Out.
  /// Frames not yet taken by the stream: `output[sent...]`.
  private var output: [UInt8] = []
  private var sent = 0
  private var isBlocked = false
  private var isFlushScheduled = false
  /// The machine knows that the last frame is gone.
  private var isSentTold = false
  private var deflater: Deflater?
  private let outgoing: PermessageDeflate.Direction?
  /// The answer to the last Ping, while the stream takes nothing: older ones need none (RFC 6455 5.5.3).
  private var owedPong: [UInt8]?
  private var waiting: [Waiting] = []

  /// A message that waits for room.
  private final class Waiting {
    let message: StreamMessage
    let answer: (StreamErrorKind?) -> Void
    var timer: (any Cancellable)?
    init(_ message: StreamMessage, _ answer: @escaping (StreamErrorKind?) -> Void) {
      self.message = message
      self.answer = answer
    }
  }

  /// Takes over a stream whose handshake is done. `early` is what the peer sent right after its part of that; `masks`
  /// makes it the client's end, without them it is the server's.
  package init(
    _ stream: any ByteStream, early: [UInt8], agreement: WebSocketHandshake.Agreement, url: String, loop: any Loop,
    masks: (any RandomSource)?, limits: Limits = Limits()
  ) {
    self.stream = stream
    self.agreement = agreement
    self.limits = limits
    self.loop = loop
    self.masks = masks
    let role: WebSocketRole = masks == nil ? .server : .client
    events = EventQueue(limit: limits.queuedEvents)
    machine = WebSocketMachine(role: role)
    parser = WebSocketMessageParser(role: role, messageLimit: limits.messageBytes, deflate: agreement.deflate)
    let outgoing = role == .client ? agreement.deflate?.client : agreement.deflate?.server
    self.outgoing = outgoing.flatMap { PermessageDeflate.canDeflate($0) ? $0 : nil }
    events.push(.opened(url: url))
    events.onRoom = { [weak self] in self?.readOn() }
    events.onCancel = { [weak self] in self?.abandon() }
    stream.handler = self
    unread = early
    if !early.isEmpty { loop.soon { [self] in readOn() } }
    watchSilence()
  }

  package var status: StreamStatus {
    switch machine.phase {
    case .open: .open
    case .closing: .closing
    case .ending, .closed: .closed
    }
  }

  // MARK: Facts from the stream

  package func byteStreamReceived(_ bytes: Span<UInt8>) {
    hasHeard = true
    if !unread.isEmpty { return bytes.withUnsafeBufferPointer { unread.append(contentsOf: $0) } }
    var position = 0
    parse(bytes, &position)
    if position < bytes.count {
      bytes.extracting(position..<bytes.count).withUnsafeBufferPointer { unread = Array($0) }
    }
    updateReading()
  }

  package func byteStreamBecameWritable() {
    isBlocked = false
    flush()
  }

  package func byteStreamEnded() {
    hasEnded = true
    if unread.isEmpty { perform(machine.handle(.streamEnded)) }
  }

  package func byteStreamFailed(_ failure: NetworkFailure) {
    perform(machine.handle(.streamLost(failure.message)))
    over()
  }

  // MARK: In

  /// Parses until the bytes are read, the queue is full, or nothing more is to be heard.
  private func parse(_ bytes: Span<UInt8>, _ position: inout Int) {
    isParsing = true
    defer { isParsing = false }
    while !isOver {
      switch machine.phase {
      case .open: if events.isFull { return }
      case .closing: break
      case .ending, .closed:
        position = bytes.count
        return
      }
      do throws(WebSocketFailure) {
        guard let event = try parser.next(bytes, &position) else { return }
        perform(machine.handle(.received(event)))
      } catch {
        perform(machine.handle(.violated(error)))
      }
    }
    position = bytes.count
  }

  /// There is room, or what comes is no longer queued.
  private func readOn() {
    if isParsing || isOver { return }
    if parsed < unread.count {
      let bytes = unread  // another reference, so that nothing an event leads to can overlap this access
      var position = parsed
      parse(bytes.span, &position)
      parsed = position
    }
    if parsed == unread.count {
      let wasWaiting = hasEnded && !unread.isEmpty
      (unread, parsed) = ([], 0)
      if wasWaiting { perform(machine.handle(.streamEnded)) }
    }
    updateReading()
  }

  private func updateReading() {
    if isOver { return }
    let isReading = unread.isEmpty && (machine.phase != .open || !events.isFull)
    if stream.isReading != isReading { stream.isReading = isReading }
  }

  /// The reader gave up: the peer is told what can still be told at once.
  private func abandon() {
    if isOver { return }
    let close = WebSocketClose(1001, masks == nil ? "the server stops" : "")
    perform(machine.handle(.closeRequested(close)))
    flush()
    if isOver { return }
    stream.close()
    over()
  }

  // MARK: What the machine wants

  private func perform(_ action: consuming WebSocketMachine.Action) {
    if let payload = action.pong { sendPong(payload) }
    if let payload = action.close { sendClose(payload) }
    if action.setsTimer { setTimer() }
    let wasListening = machine.phase == .open
    for event in action.events {
      events.push(event)
      if case .closed = event { events.finish() }
    }
    if !wasListening { failWaiting() }
    if machine.phase == .ending, !isSentTold { flushLater() }
    switch action.stream {
    case .finishSending: stream.finishSending()
    case .close:
      stream.close()
      over()
    case .reset:
      stream.reset()
      over()
    case nil: break
    }
  }

  private func setTimer() {
    timer?.cancel()
    timer = loop.after(WebSocketMachine.closeTimeout) { [self] in
      timer = nil
      perform(machine.handle(.timerFired))
    }
  }

  private func over() {
    if isOver { return }
    isOver = true
    timer?.cancel()
    timer = nil
    pingTimer?.cancel()
    pingTimer = nil
    (output, sent, owedPong, unread, parsed) = ([], 0, nil, [], 0)
    deflater = nil
    failWaiting()
    events.finish()
    onOver?()
    onOver = nil
  }

  /// Half of the peers that vanish do so without a word.
  private func watchSilence() {
    guard let interval = limits.pingInterval else { return }
    pingTimer = loop.after(interval) { [weak self] in
      guard let self, !isOver, machine.phase == .open else { return }
      // While we do not read we cannot know.
      if !hasHeard, hasPinged, stream.isReading {
        perform(machine.handle(.streamLost("the peer was silent for \(interval * 2), and did not answer a Ping")))
        stream.reset()
        return over()
      }
      hasPinged = !hasHeard
      hasHeard = false
      if hasPinged { append(.ping, [UInt8]().span) }
      watchSilence()
    }
  }

  // MARK: Out

  package func transmit(_ message: StreamMessage, _ answer: @escaping (StreamErrorKind?) -> Void) {
    guard machine.phase == .open, !isOver else { return answer(Self.isClosed) }
    let size = message.size
    guard size <= limits.messageBytes else {
      return answer(.messageTooLarge("message size \(size) exceeds limit \(limits.messageBytes)"))
    }
    if waiting.isEmpty {
      // What is sent without a pause need not wait for the turn's end.
      if output.count - sent >= limits.outputBytes { flush() }
      if isOver || machine.phase != .open { return answer(Self.isClosed) }
      if output.count - sent < limits.outputBytes {
        append(message)
        return answer(nil)
      }
    }
    let waits = Waiting(message, answer)
    waiting.append(waits)
    waits.timer = loop.after(limits.sendTimeout) { [self, weak waits] in
      guard let waits else { return }
      waiting.removeAll { $0 === waits }
      waits.answer(.timeout("the peer did not read for \(limits.sendTimeout.text)"))
    }
  }

  private static let isClosed = StreamErrorKind.connectionFailed("the connection is closed")

  package func close() { close(.normal) }

  package func close(_ close: WebSocketClose) {
    if isOver { return }
    perform(machine.handle(.closeRequested(close)))
    failWaiting()
    readOn()
  }

  private func append(_ message: StreamMessage) {
    switch message {
    case .text(var text): text.withUTF8 { append(.text, $0.span) }
    case .binary(let bytes): append(.binary, bytes.span)
    }
  }

  private func append(_ opcode: WebSocketOpcode, _ payload: Span<UInt8>) {
    if let outgoing, opcode == .text || opcode == .binary, payload.count >= PermessageDeflate.worthwhileBytes {
      if deflater == nil { deflater = Deflater(outgoing) }
      if let deflater {
        let deflated = deflater.deflate(payload)
        return appendFrame(opcode, isCompressed: true, deflated.span)
      }
    }
    appendFrame(opcode, isCompressed: false, payload)
  }

  private func appendFrame(_ opcode: WebSocketOpcode, isCompressed: Bool, _ payload: Span<UInt8>) {
    // What was taken goes once it is the larger part: each byte is moved once at most.
    if sent > output.count / 2 {
      output.removeFirst(sent)
      sent = 0
    }
    let key = masks.map { UInt32(truncatingIfNeeded: $0.next()) }
    let header = WebSocketFrameHeader(opcode, isCompressed: isCompressed, maskKey: key, length: payload.count)
    WebSocketFrameWriter.append(header, payload, to: &output)
    flushLater()
  }

  private func sendPong(_ payload: [UInt8]) {
    if isBlocked { owedPong = payload } else { appendFrame(.pong, isCompressed: false, payload.span) }
  }

  private func sendClose(_ payload: [UInt8]) {
    owedPong = nil
    appendFrame(.close, isCompressed: false, payload.span)
  }

  private func flushLater() {
    if isFlushScheduled || isBlocked || isOver { return }
    isFlushScheduled = true
    loop.atEndOfTurn { [self] in
      isFlushScheduled = false
      flush()
    }
  }

  private func flush() {
    if isBlocked || isOver { return }
    if sent < output.count {
      let pending = output  // another reference, so that nothing the stream does can overlap this access
      let rest = pending.span.extracting(sent..<pending.count)
      let taken = stream.send(rest)
      sent += taken
      isBlocked = taken < rest.count
    }
    if sent == output.count {
      // A buffer that a large message made is not kept.
      output.removeAll(keepingCapacity: output.capacity <= Self.keptCapacity)
      sent = 0
      if let payload = owedPong.take() { appendFrame(.pong, isCompressed: false, payload.span) }
      if machine.phase == .ending, output.isEmpty, !isSentTold {
        isSentTold = true
        perform(machine.handle(.outputSent))
      }
    }
    while let next = waiting.first, !isOver, output.count - sent < limits.outputBytes {
      waiting.removeFirst()
      next.timer?.cancel()
      append(next.message)
      next.answer(nil)
    }
  }
  private static let keptCapacity = 64 << 10

  private func failWaiting() {
    let failed = waiting
    waiting = []
    for waits in failed {
      waits.timer?.cancel()
      waits.answer(Self.isClosed)
    }
  }
}

extension StreamMessage {
  package var size: Int {
    switch self {
    case .text(let text): text.utf8.count
    case .binary(let bytes): bytes.count
    }
  }
}
