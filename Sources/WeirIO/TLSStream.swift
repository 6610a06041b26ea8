import COpenSSL
import WeirCore

/// TLS over another `ByteStream`, both roles: ciphertext goes through two memory buffers of OpenSSL, so the socket
/// stays the loop's.
///
/// It is handed out after its handshake. A peer that hangs up without close_notify has been cut off or attacked: that
/// is a failure, not an end. Bytes taken by `send` are encrypted at once; what the socket does not take of them (one
/// record at most) waits here and is still delivered after `close`.
final class TLSStream: ByteStream, ByteStreamHandler {
  /// A TLS record's payload at most (RFC 8446 section 5.1).
  static let recordLimit = 16_384
  /// How long `close` waits for the socket to take the last record.
  static let closeLimit = Duration.seconds(5)

  private enum State { case shakingHands, open, failing, draining, closed }

  private let loop: EventLoop
  private let inner: any ByteStream
  private let context: TLSContext
  private let ssl: OpaquePointer
  private let input: OpaquePointer
  private let output: OpaquePointer
  private var state = State.shakingHands
  private var shaken: ((NetworkFailure?) -> Void)?
  private var pending: [UInt8] = []
  private var pendingOffset = 0
  private var awaitsRoom = false
  private var hasFinished = false
  private var hasEnded = false
  private var innerHasEnded = false
  private var isPumping = false
  private var closing: (any Cancellable)?

  var handler: (any ByteStreamHandler)? {
    didSet { readingChanged() }
  }
  var isReading = true {
    didSet { if isReading != oldValue { readingChanged() } }
  }
  var peer: SocketAddress { inner.peer }

  /// Begins the handshake. `serverName` is what the server's certificate must be for; nil: we are the server.
  /// `shaken` is called once, later, unless `close` comes first.
  static func start(
    _ loop: EventLoop, over inner: any ByteStream, _ context: TLSContext, serverName: String?,
    _ shaken: @escaping (TLSStream, NetworkFailure?) -> Void
  ) throws(NetworkFailure) -> TLSStream {
    guard let stream = TLSStream(loop, inner, context) else { throw .unavailable("no memory for a TLS connection") }
    stream.shaken = { [unowned stream] in shaken(stream, $0) }
    inner.handler = stream
    if let serverName {
      try stream.expect(serverName)
      context.library.functions.SSL_set_connect_state(stream.ssl)
    } else {
      context.library.functions.SSL_set_accept_state(stream.ssl)
    }
    stream.shakeHands()
    return stream
  }

  private init?(_ loop: EventLoop, _ inner: any ByteStream, _ context: TLSContext) {
    let openssl = context.library.functions
    guard let input = openssl.BIO_new(openssl.BIO_s_mem()) else { return nil }
    guard let output = openssl.BIO_new(openssl.BIO_s_mem()) else {
      _ = openssl.BIO_free(input)
      return nil
    }
    guard let ssl = openssl.SSL_new(context.pointer) else {
      _ = openssl.BIO_free(input)
      _ = openssl.BIO_free(output)
      return nil
    }
    // From here both buffers belong to `ssl`.
    openssl.SSL_set_bio(ssl, input, output)
    self.loop = loop
    self.inner = inner
    self.context = context
    self.ssl = ssl
    self.input = input
    self.output = output
  }

  deinit { context.library.functions.SSL_free(ssl) }

  private var openssl: weir_openssl { context.library.functions }

  private func expect(_ name: String) throws(NetworkFailure) {
    if IPAddress(name, port: 0) != nil {
      guard openssl.X509_VERIFY_PARAM_set1_ip_asc(openssl.SSL_get0_param(ssl), name) == 1 else {
        throw .tls("not an address to verify: \(name)")
      }
      return
    }
    // X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS, as browsers do.
    openssl.SSL_set_hostflags(ssl, 0x4)
    guard !name.isEmpty, !name.utf8.contains(0), openssl.SSL_set1_host(ssl, name) == 1 else {
      throw .tls("not a host name to verify: \(name.debugDescription)")
    }
    weir_ssl_announce_host(context.library.table, ssl, name)
  }

  // MARK: Sending

  func send(_ bytes: Span<UInt8>) -> Int {
    let count = bytes.count
    guard state == .open, !hasFinished else { return count }
    if awaitsRoom || count == 0 { return 0 }
    var offset = 0
    while offset < count, pendingOffset == pending.count {
      let piece = bytes.extracting(offset..<min(count, offset + Self.recordLimit))
      openssl.ERR_clear_error()
      let taken = piece.withUnsafeBufferPointer { openssl.SSL_write(ssl, $0.baseAddress, Int32($0.count)) }
      if taken <= 0 {
        failLater(.tls(context.library.takeError() ?? "cannot encrypt"))
        return count
      }
      offset += Int(taken)
      flush()
    }
    if offset < count { awaitsRoom = true }
    return offset
  }

  /// Moves ciphertext to the socket; what it does not take is kept.
  private func flush() {
    while true {
      if pendingOffset < pending.count {
        let pending = pending  // another reference, so that nothing the socket does can overlap this access
        pendingOffset += inner.send(pending.span.extracting(pendingOffset..<pending.count))
        if pendingOffset < pending.count { return }
      }
      pending.removeAll(keepingCapacity: false)
      pendingOffset = 0
      let waiting = openssl.BIO_ctrl_pending(output)
      if waiting == 0 { return }
      let scratch = loop.sendBuffer
      let count = Int(openssl.BIO_read(output, scratch.baseAddress, Int32(min(waiting, scratch.count))))
      guard count > 0 else { return }
      let bytes = UnsafeRawBufferPointer(rebasing: scratch[..<count]).assumingMemoryBound(to: UInt8.self)
      let taken = inner.send(bytes.span)
      if taken < count { pending.append(contentsOf: bytes[taken...]) }
    }
  }

  func finishSending() {
    guard state == .open, !hasFinished else { return }
    hasFinished = true
    openssl.ERR_clear_error()
    _ = openssl.SSL_shutdown(ssl)
    flush()
  }

  func byteStreamBecameWritable() {
    flush()
    guard pendingOffset == pending.count else { return }
    if state == .draining { return closeInner() }
    if state == .open, awaitsRoom {
      awaitsRoom = false
      handler?.byteStreamBecameWritable()
    }
  }

  // MARK: Ending

  func close() {
    switch state {
    case .open:
      finishSending()
      handler = nil
      if pendingOffset == pending.count { return closeInner() }
      state = .draining
      inner.isReading = false
      closing = loop.after(Self.closeLimit) { [self] in closeInner() }
    case .shakingHands, .failing:
      handler = nil
      closeInner()
    case .draining, .closed: handler = nil
    }
  }

  func reset() {
    guard state != .closed else { return }
    prepareToClose()
    inner.reset()
  }

  private func closeInner() {
    guard state != .closed else { return }
    prepareToClose()
    inner.close()
  }

  private func prepareToClose() {
    state = .closed
    shaken = nil
    handler = nil
    closing?.cancel()
    closing = nil
  }

  private func failLater(_ failure: NetworkFailure) {
    state = .failing
    loop.soon { [self] in
      if state == .failing { fail(failure) }
    }
  }

  /// Tells whoever is listening: the one who waits for the handshake, or the handler.
  private func fail(_ failure: NetworkFailure) {
    guard state != .closed else { return }
    let (shaken, handler) = (self.shaken, self.handler)
    // What OpenSSL has to say to the peer (an alert) still goes out.
    flush()
    closeInner()
    shaken?(failure)
    handler?.byteStreamFailed(failure)
  }

  func byteStreamFailed(_ failure: NetworkFailure) { fail(failure) }

  func byteStreamEnded() {
    innerHasEnded = true
    if state == .shakingHands { return fail(.tls("the connection was closed during the handshake")) }
    pump()
  }

  // MARK: Receiving

  func byteStreamReceived(_ bytes: Span<UInt8>) {
    let stored = bytes.withUnsafeBufferPointer { openssl.BIO_write(input, $0.baseAddress, Int32($0.count)) }
    if Int(stored) != bytes.count { return fail(.unavailable("no memory for a TLS connection")) }
    if state == .shakingHands { shakeHands() } else { pump() }
  }

  private func shakeHands() {
    openssl.ERR_clear_error()
    let outcome = openssl.SSL_do_handshake(ssl)
    flush()
    if outcome == 1 {
      state = .open
      let shaken = self.shaken.take()
      shaken?(nil)
      readingChanged()
      return
    }
    switch openssl.SSL_get_error(ssl, outcome) {
    case SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE: return
    default:
      let verdict = openssl.SSL_get_verify_result(ssl)
      let why = context.library.takeError() ?? "the handshake failed"
      if verdict != Int(X509_V_OK), let reason = openssl.X509_verify_cert_error_string(verdict) {
        failHandshake(.tls("\(why): \(String(cString: reason))"))
      } else {
        failHandshake(.tls(why))
      }
    }
  }

  private func failHandshake(_ failure: NetworkFailure) {
    flush()
    failLater(failure)
  }

  private func readingChanged() {
    guard state == .open else { return }
    let wants = isReading && handler != nil
    inner.isReading = wants && !innerHasEnded
    // What was decrypted by halves when reading stopped, or came with the handshake: nobody will announce it again.
    if wants { loop.soon { [self] in pump() } }
  }

  /// Decrypts what there is while it is wanted.
  private func pump() {
    if isPumping { return }
    isPumping = true
    defer { isPumping = false }
    while state == .open, isReading, !hasEnded, let handler {
      let buffer = loop.receiveBuffer
      openssl.ERR_clear_error()
      let count = openssl.SSL_read(ssl, buffer.baseAddress, Int32(buffer.count))
      if count > 0 {
        let bytes = UnsafeRawBufferPointer(rebasing: buffer[..<Int(count)]).assumingMemoryBound(to: UInt8.self)
        handler.byteStreamReceived(bytes.span)
        continue
      }
      switch openssl.SSL_get_error(ssl, count) {
      case SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE:
        // Key updates and tickets are answered here.
        flush()
        if innerHasEnded { fail(.closedEarly) }
      case SSL_ERROR_ZERO_RETURN:
        hasEnded = true
        handler.byteStreamEnded()
      default: fail(.tls(context.library.takeError() ?? "cannot decrypt"))
      }
      return
    }
  }
}
