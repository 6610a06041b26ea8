import CWeir
import Glibc
import WeirCore

/// A connected TCP socket as a `ByteStream`.
///
/// It knows the loop and one descriptor, nothing of what the bytes mean. Bytes arrive in the loop's one receive buffer
/// and go straight to the handler; `send` is one system call and allocates nothing (it is the fan-out's inner loop).
/// Reading stops lazily: the kernel's registration changes only when an event comes that nobody wants, so a reader that
/// pauses and resumes within a turn costs no system call.
package final class SocketStream: ByteStream, ReadinessHandler {
  private enum State { case open, failing, closed }

  private let loop: EventLoop
  private let descriptor: Int32
  private let remote: IPAddress
  private var state = State.open
  private var interest: Readiness = []
  private var isWatched = false
  private var awaitsRoom = false
  private var hasEnded = false
  private var hasFinished = false

  package var handler: (any ByteStreamHandler)? {
    didSet { if handler != nil { wantsReading() } }
  }
  package var isReading = true {
    didSet { if isReading { wantsReading() } }
  }
  package var peer: SocketAddress { remote.socketAddress }

  /// Takes over a connected, non-blocking descriptor.
  init(_ loop: EventLoop, descriptor: Int32, peer: IPAddress) {
    self.loop = loop
    self.descriptor = descriptor
    remote = peer
  }

  deinit {
    if state == .open { closeDescriptor(descriptor) }
  }

  // MARK: Sending

  package func send(_ bytes: Span<UInt8>) -> Int {
    let count = bytes.count
    guard state == .open, !hasFinished else { return count }
    if awaitsRoom || count == 0 { return 0 }
    let taken = bytes.withUnsafeBufferPointer {
      Glibc.send(descriptor, $0.baseAddress, count, Int32(MSG_NOSIGNAL))
    }
    if taken == count { return count }
    if taken < 0 {
      let number = errno
      guard number == EAGAIN || number == EINTR else {
        failLater(.ofStream(number))
        return count
      }
    }
    awaitsRoom = true
    setInterest(interest.union(.writable))
    return max(0, taken)
  }

  package func finishSending() {
    guard state == .open, !hasFinished else { return }
    hasFinished = true
    shutdown(descriptor, Int32(SHUT_WR))
  }

  // MARK: Ending

  /// A close with bytes unread makes the kernel send a reset, which may overtake what we sent last: such a socket
  /// lingers until the peer has seen our end.
  package func close() {
    guard state == .open else {
      handler = nil
      return
    }
    let lingers = !hasEnded && weir_unread(descriptor) > 0
    release()
    if lingers { LingeringClose.begin(loop, descriptor) } else { closeDescriptor(descriptor) }
  }

  package func reset() {
    guard state == .open else {
      handler = nil
      return
    }
    var now = linger(l_onoff: 1, l_linger: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &now, socklen_t(MemoryLayout<linger>.size))
    release()
    closeDescriptor(descriptor)
  }

  private func release() {
    if isWatched { loop.unwatch(descriptor) }
    isWatched = false
    state = .closed
    handler = nil
  }

  private func failLater(_ failure: NetworkFailure) {
    state = .failing
    if isWatched { loop.unwatch(descriptor) }
    isWatched = false
    loop.soon { [self] in
      guard state == .failing, let handler else { return }
      fail(handler, failure)
    }
    closeDescriptor(descriptor)
  }

  private func fail(_ handler: any ByteStreamHandler, _ failure: NetworkFailure) {
    let wasOpen = state == .open
    release()
    if wasOpen { closeDescriptor(descriptor) }
    handler.byteStreamFailed(failure)
  }

  // MARK: Readiness

  package func becameReady(_ ready: Readiness) {
    if ready.contains(.writable), awaitsRoom {
      awaitsRoom = false
      setInterest(interest.subtracting(.writable))
      handler?.byteStreamBecameWritable()
      if state != .open { return }
    }
    guard let handler, isReading, !hasEnded else {
      if ready.contains(.broken) { brokeWhilePaused() } else { setInterest(interest.subtracting(.readable)) }
      return
    }
    if !ready.isDisjoint(with: [.readable, .broken]) { receive(handler) }
  }

  private func receive(_ handler: any ByteStreamHandler) {
    let buffer = loop.receiveBuffer
    let count = recv(descriptor, buffer.baseAddress, buffer.count, 0)
    if count > 0 {
      let bytes = UnsafeRawBufferPointer(rebasing: buffer[..<count]).assumingMemoryBound(to: UInt8.self)
      handler.byteStreamReceived(bytes.span)
    } else if count == 0 {
      hasEnded = true
      setInterest(interest.subtracting(.readable))
      handler.byteStreamEnded()
    } else {
      let number = errno
      if number == EAGAIN || number == EINTR { return }
      fail(handler, .ofStream(number))
    }
  }

  /// The kernel tells of errors and hang-ups whether asked or not, turn after turn: an error ends the stream, a mere
  /// hang-up (both sides have finished) is no news until somebody reads again.
  private func brokeWhilePaused() {
    var number: Int32 = 0
    var length = socklen_t(MemoryLayout<Int32>.size)
    getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &number, &length)
    if number == 0 {
      loop.unwatch(descriptor)
      isWatched = false
      interest = []
    } else if let handler {
      fail(handler, .ofStream(number))
    } else {
      failLater(.ofStream(number))
    }
  }

  private func wantsReading() {
    if state == .open, handler != nil, isReading, !hasEnded { setInterest(interest.union(.readable)) }
  }

  private func setInterest(_ wanted: Readiness) {
    if wanted == interest, isWatched { return }
    interest = wanted
    if isWatched {
      loop.rewatch(descriptor, wanted)
    } else if !wanted.isEmpty {
      let refused = loop.watch(descriptor, wanted, self)
      if refused == 0 { isWatched = true } else { failLater(.ofStream(refused)) }
    }
  }
}

/// Gives the peer a moment to read our last bytes before the socket goes, discarding what it still sends.
private final class LingeringClose: ReadinessHandler {
  /// Long enough for a round trip around the world, short enough that a flood of closes holds few descriptors.
  static let timeLimit = Duration.seconds(1)
  /// Bytes discarded at most; a peer that sends on is cut off.
  static let discardLimit = 1 << 20

  private let loop: EventLoop
  private let descriptor: Int32
  private var discarded = 0
  private var timer: (any Cancellable)?
  private var isDone = false

  static func begin(_ loop: EventLoop, _ descriptor: Int32) {
    let close = LingeringClose(loop, descriptor)
    shutdown(descriptor, Int32(SHUT_WR))
    guard loop.watch(descriptor, .readable, close) == 0 else {
      closeDescriptor(descriptor)
      return
    }
    close.timer = loop.after(timeLimit) { close.finish() }
  }

  private init(_ loop: EventLoop, _ descriptor: Int32) {
    self.loop = loop
    self.descriptor = descriptor
  }

  func becameReady(_ ready: Readiness) {
    let count = recv(descriptor, loop.receiveBuffer.baseAddress, loop.receiveBuffer.count, 0)
    if count < 0, errno == EAGAIN || errno == EINTR { return }
    discarded += max(0, count)
    if count <= 0 || discarded > Self.discardLimit { finish() }
  }

  private func finish() {
    if isDone { return }
    isDone = true
    timer?.cancel()
    timer = nil
    loop.unwatch(descriptor)
    closeDescriptor(descriptor)
  }
}
