import CWeir
import Glibc
import WeirCore

/// One outgoing TCP connection: resolve, then try the addresses, a new one whenever the last has failed or has been
/// silent for a while (RFC 8305 in small). The first that connects wins; one timeout covers it all.
final class Dial: Cancellable {
  /// RFC 8305 section 5: recommended delay before the next address is tried beside the last.
  static let attemptDelay = Duration.milliseconds(250)
  /// Addresses tried for one name at most.
  static let addressLimit = 8

  private let loop: EventLoop
  private let address: SocketAddress
  private var answer: ((Result<SocketStream, NetworkFailure>) -> Void)?
  private var waiting: [IPAddress] = []
  private var attempts: [Attempt] = []
  private var lastFailure: NetworkFailure?
  private var lookup: (any Cancellable)?
  private var timeout: (any Cancellable)?
  private var nextTry: (any Cancellable)?

  init(
    _ loop: EventLoop, _ resolver: Resolver, _ address: SocketAddress, permit: DialPermit?, timeout limit: Duration,
    _ answer: @escaping (Result<SocketStream, NetworkFailure>) -> Void
  ) {
    self.loop = loop
    self.address = address
    self.answer = answer
    timeout = loop.after(limit) { [self] in
      finish(.failure(.timedOut(what: "connecting to \(address.host):\(address.port)")))
    }
    lookup = resolver.resolve(address) { [self] result in
      lookup = nil
      switch result {
      case .failure(let failure): finish(.failure(failure))
      case .success(let addresses):
        do throws(NetworkFailure) {
          try permit?.check(addresses.map(\.address))
        } catch {
          return finish(.failure(error))
        }
        waiting = addresses.prefix(Self.addressLimit).reversed()
        tryNext()
      }
    }
  }

  func cancel() { end() }

  private func finish(_ result: Result<SocketStream, NetworkFailure>) {
    let answer = self.answer
    end()
    answer?(result)
  }

  private func end() {
    answer = nil
    lookup?.cancel()
    lookup = nil
    timeout?.cancel()
    timeout = nil
    nextTry?.cancel()
    nextTry = nil
    for attempt in attempts { attempt.abandon() }
    attempts = []
    waiting = []
  }

  private func tryNext() {
    nextTry?.cancel()
    nextTry = nil
    while answer != nil {
      guard let target = waiting.popLast() else {
        if attempts.isEmpty { finish(.failure(lastFailure ?? .nameNotFound(host: address.host))) }
        return
      }
      switch Attempt.start(loop, target, { [self] in settled($0, $1) }) {
      case .success(let attempt):
        attempts.append(attempt)
        if !waiting.isEmpty { nextTry = loop.after(Self.attemptDelay) { [self] in tryNext() } }
        return
      case .failure(let refused): note(refused.number, target)
      }
    }
  }

  private func settled(_ attempt: Attempt, _ number: Int32) {
    attempts.removeAll { $0 === attempt }
    if number == 0 {
      finish(.success(SocketStream(loop, descriptor: attempt.descriptor, peer: attempt.target)))
    } else {
      closeDescriptor(attempt.descriptor)
      note(number, attempt.target)
      tryNext()
    }
  }

  /// The first refusal is worth more than a later "no route" from an address family that the machine does not have.
  private func note(_ number: Int32, _ target: IPAddress) {
    let failure = NetworkFailure.ofDial(number, SocketAddress(host: address.host, port: address.port))
    if case .refused = lastFailure { return }
    lastFailure = failure
  }

  private struct Refused: Error { var number: Int32 }

  /// One socket on its way.
  private final class Attempt: ReadinessHandler {
    let loop: EventLoop
    let descriptor: Int32
    let target: IPAddress
    private var settled: ((Attempt, Int32) -> Void)?

    static func start(
      _ loop: EventLoop, _ target: IPAddress, _ settled: @escaping (Attempt, Int32) -> Void
    ) -> Result<Attempt, Refused> {
      let fd = weir_stream_socket(target.family)
      if fd < 0 { return .failure(Refused(number: -fd)) }
      var one: Int32 = 1
      setsockopt(fd, Int32(IPPROTO_TCP), TCP_NODELAY, &one, socklen_t(MemoryLayout<Int32>.size))
      if target.withSockaddr({ connect(fd, $0, $1) }) != 0, errno != EINPROGRESS, errno != EINTR {
        let number = errno
        closeDescriptor(fd)
        return .failure(Refused(number: number))
      }
      let attempt = Attempt(loop, fd, target, settled)
      // Connected at once is told by the same event as connected later.
      let refused = loop.watch(fd, .writable, attempt)
      if refused != 0 {
        closeDescriptor(fd)
        return .failure(Refused(number: refused))
      }
      return .success(attempt)
    }

    private init(
      _ loop: EventLoop, _ descriptor: Int32, _ target: IPAddress, _ settled: @escaping (Attempt, Int32) -> Void
    ) {
      self.loop = loop
      self.descriptor = descriptor
      self.target = target
      self.settled = settled
    }

    func becameReady(_ ready: Readiness) {
      var number: Int32 = 0
      var length = socklen_t(MemoryLayout<Int32>.size)
      getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &number, &length)
      loop.unwatch(descriptor)
      settled.take()?(self, number)
    }

    func abandon() {
      settled = nil
      loop.unwatch(descriptor)
      closeDescriptor(descriptor)
    }
  }
}
