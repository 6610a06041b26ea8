import WeirCore

/// Dials, then shakes hands, within one timeout; or shakes hands over a stream that is there.
final class TLSDial: Cancellable {
  private let loop: EventLoop
  private var answer: ((Result<any ByteStream, NetworkFailure>) -> Void)?
  private var dial: (any Cancellable)?
  private var stream: TLSStream?
  private var timeout: (any Cancellable)?

  init(
    _ loop: EventLoop, _ resolver: Resolver, _ address: SocketAddress, _ context: TLSContext, serverName: String,
    permit: DialPermit?, timeout limit: Duration,
    _ answer: @escaping (Result<any ByteStream, NetworkFailure>) -> Void
  ) {
    self.loop = loop
    self.answer = answer
    timeout = loop.after(limit) { [self] in
      finish(.failure(.timedOut(what: "connecting to \(address.host):\(address.port)")))
    }
    dial = Dial(loop, resolver, address, permit: permit, timeout: limit) { [self] result in
      dial = nil
      switch result {
      case .failure(let failure): finish(.failure(failure))
      case .success(let socket): shakeHands(socket, context, serverName)
      }
    }
  }

  init(
    _ loop: EventLoop, over stream: any ByteStream, _ context: TLSContext, serverName: String, timeout limit: Duration,
    _ answer: @escaping (Result<any ByteStream, NetworkFailure>) -> Void
  ) {
    self.loop = loop
    self.answer = answer
    timeout = loop.after(limit) { [self] in finish(.failure(.timedOut(what: "the TLS handshake with \(serverName)"))) }
    // The answer comes in a later job, whatever happens.
    loop.soon { [self] in
      if self.answer == nil { stream.close() } else { shakeHands(stream, context, serverName) }
    }
  }

  private func shakeHands(_ socket: any ByteStream, _ context: TLSContext, _ serverName: String) {
    do throws(NetworkFailure) {
      stream = try TLSStream.start(loop, over: socket, context, serverName: serverName) { [self] stream, failure in
        finish(failure.map { .failure($0) } ?? .success(stream))
      }
    } catch {
      socket.close()
      finish(.failure(error))
    }
  }

  private func finish(_ result: Result<any ByteStream, NetworkFailure>) {
    let answer = self.answer
    if case .success = result { stream = nil }
    cancel()
    answer?(result)
  }

  func cancel() {
    answer = nil
    timeout?.cancel()
    timeout = nil
    dial?.cancel()
    dial = nil
    stream?.close()
    stream = nil
  }
}

/// A listener whose connections are handed over after their handshake.
final class TLSListener: Listener {
  /// A client that has not shaken hands by then is dropped.
  static let handshakeLimit = Duration.seconds(10)

  private let sockets: SocketListener
  private let state: State
  var address: SocketAddress { sockets.address }

  private final class State {
    var accept: ((any ByteStream) -> Void)?
    init(_ accept: @escaping (any ByteStream) -> Void) { self.accept = accept }
  }

  init(
    _ loop: EventLoop, _ wanted: SocketAddress, _ numeric: IPAddress, _ context: TLSContext,
    report: @escaping (NetworkFailure) -> Void, accept: @escaping (any ByteStream) -> Void
  ) throws(NetworkFailure) {
    let state = State(accept)
    self.state = state
    sockets = try SocketListener(loop, wanted, numeric, report: report) { socket in
      Self.shakeHands(loop, socket, context, state)
    }
  }

  func close() {
    state.accept = nil
    sockets.close()
  }

  /// A client that fails the handshake is nobody's failure but its own: it is told by an alert and forgotten.
  private static func shakeHands(_ loop: EventLoop, _ socket: SocketStream, _ context: TLSContext, _ state: State) {
    var timeout: (any Cancellable)?
    let stream = try? TLSStream.start(loop, over: socket, context, serverName: nil) { stream, failure in
      timeout?.cancel()
      timeout = nil
      guard failure == nil else { return }
      if let accept = state.accept { accept(stream) } else { stream.close() }
    }
    guard let stream else { return socket.close() }
    timeout = loop.after(handshakeLimit) { stream.close() }
  }
}
