import WeirCore

extension World {
  /// The same without a network and without other programs: what a replay runs in. A recording has what connections,
  /// models, processes and input yielded; whatever else would leave the machine is refused, and says why.
  func offline() -> World {
    var world = self
    world.network = NoNetwork(loop)
    world.http = NoNetwork(loop)
    world.processes = NoProcesses(loop)
    return world
  }
}

private final class NoNetwork: Network, HTTPTransport {
  static let refusal = NetworkFailure.notAllowed(
    "a replay reaches no network: this is not in the recording", hint: "run it without --replay")
  private let loop: any Loop
  init(_ loop: any Loop) { self.loop = loop }

  func listen(
    _ address: SocketAddress, tls: ServerTLS?, accept: @escaping (any ByteStream) -> Void
  ) throws(NetworkFailure) -> any Listener { throw Self.refusal }

  func connect(
    _ address: SocketAddress, tls: ClientTLS?, permit: DialPermit?, timeout: Duration,
    _ answer: @escaping (Result<any ByteStream, NetworkFailure>) -> Void
  ) -> any Cancellable {
    loop.after(.zero) { answer(.failure(Self.refusal)) }
  }

  func secure(
    _ stream: any ByteStream, _ tls: ClientTLS, timeout: Duration,
    _ answer: @escaping (Result<any ByteStream, NetworkFailure>) -> Void
  ) -> any Cancellable {
    stream.close()
    return loop.after(.zero) { answer(.failure(Self.refusal)) }
  }

  func start(_ request: HTTPClientRequest, handler: any HTTPResponseHandler) -> any HTTPExchange {
    Exchange(loop.after(.zero) { handler.httpFinished(Self.refusal) })
  }

  private final class Exchange: HTTPExchange {
    var isReading = true
    private let refusal: any Cancellable
    init(_ refusal: any Cancellable) { self.refusal = refusal }
    func cancel() { refusal.cancel() }
  }
}

private final class NoProcesses: Processes {
  private let loop: any Loop
  init(_ loop: any Loop) { self.loop = loop }

  func start(_ request: ProcessRequest, _ answer: @escaping (Result<any ChildProcess, ProcessFailure>) -> Void) {
    loop.soon { answer(.failure(.unavailable("a replay starts no program"))) }
  }
}
