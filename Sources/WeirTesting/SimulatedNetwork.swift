import WeirCore

/// The `Network` port inside one process: whoever listens can be dialled, and the bytes between them are late, cut
/// anywhere, taken in part, stalled or lost with the connection, as `faults` and the seed say; never changed or
/// reordered, since TCP doesn't. TLS is a label here: both sides must agree about it, no byte is encrypted.
package final class SimulatedNetwork: Network {
  /// May be changed at any time; holds for what happens from then on.
  package var faults: SimulatedFaults
  /// Hosts that resolve besides addresses, `localhost` and the names that something listens on.
  package var knownHosts: Set<String> = []
  /// What a name resolves to, for a dial with a permit; a name that is not here is somewhere in the world.
  package var addresses: [String: [NetworkAddress]] = ["localhost": [NetworkAddress(v4: 0x7f00_0001)]]

  let loop: SimulatedLoop
  let random: SeededRandom
  let trace: SimulationTrace
  private var listeners: [SimulatedListener] = []
  private var open: [ObjectIdentifier: SimulatedByteStream] = [:]
  private var streamCount = 0
  private var nextPort = 49_152

  package init(loop: SimulatedLoop, random: SeededRandom, faults: SimulatedFaults, trace: SimulationTrace) {
    self.loop = loop
    self.random = random
    self.faults = faults
    self.trace = trace
  }

  /// Ends of connections that are neither closed nor failed: 0 when a test is over, or something leaks sockets.
  package var openStreamCount: Int { open.count }
  package var listenerCount: Int { listeners.count }

  package func listen(
    _ address: SocketAddress, tls: ServerTLS?, accept: @escaping (any ByteStream) -> Void
  ) throws(NetworkFailure) -> any Listener {
    var address = address
    if address.port == 0 {
      while listeners.contains(where: { $0.address.port == nextPort }) { nextPort += 1 }
      address.port = nextPort
      nextPort += 1
    } else if listeners.contains(where: { $0.address.port == address.port && $0.hears(address.host) }) {
      throw .portInUse(address)
    }
    let listener = SimulatedListener(address: address, isTLS: tls != nil, network: self, accept: accept)
    listeners.append(listener)
    return listener
  }

  package func connect(
    _ address: SocketAddress, tls: ClientTLS?, permit: DialPermit?, timeout: Duration,
    _ answer: @escaping (Result<any ByteStream, NetworkFailure>) -> Void
  ) -> any Cancellable {
    let lost = random.chance(faults.connectLost)
    let refused = random.chance(faults.connectRefused)
    let delay = random.duration(faults.latency)
    if lost || delay > timeout {
      return loop.after(timeout) { [trace] in
        trace.note("connect \(address.host):\(address.port) timed out")
        answer(.failure(.timedOut(what: "connecting to \(address.host):\(address.port)")))
      }
    }
    return loop.after(delay) { [self] in
      guard resolves(address.host) else { return answer(.failure(.nameNotFound(host: address.host))) }
      do throws(NetworkFailure) {
        try permit?.check(
          NetworkAddress(address.host).map { [$0] } ?? addresses[address.host] ?? [NetworkAddress(v4: 0x0808_0808)])
      } catch {
        return answer(.failure(error))
      }
      guard !refused, let listener = listeners.first(where: { $0.hears(address) }) else {
        trace.note("connect \(address.host):\(address.port) refused")
        return answer(.failure(.refused(address)))
      }
      guard listener.isTLS || tls == nil else { return answer(.failure(.tls("the other side doesn't speak TLS"))) }
      guard !listener.isTLS || tls != nil else { return answer(.failure(.reset)) }
      let (client, server) = pair(to: address)
      trace.note("connect \(address.host):\(address.port) is \(client.label), \(server.label)")
      loop.soon { listener.take(server) }
      answer(.success(client))
    }
  }

  /// As with `connect`, nothing is encrypted here.
  package func secure(
    _ stream: any ByteStream, _ tls: ClientTLS, timeout: Duration,
    _ answer: @escaping (Result<any ByteStream, NetworkFailure>) -> Void
  ) -> any Cancellable {
    loop.after(.zero) { answer(.success(stream)) }
  }

  /// Two connected ends without listening or dialling, for tests of what runs over a stream.
  package func pair(to address: SocketAddress = SocketAddress(host: "127.0.0.1", port: 80)) -> (
    client: SimulatedByteStream, server: SimulatedByteStream
  ) {
    streamCount += 1
    let from = SocketAddress(host: "127.0.0.1", port: 32_768 + streamCount % 16_384)
    let up = SimulatedPipe()
    let down = SimulatedPipe()
    let client = SimulatedByteStream(label: "c\(streamCount)", peer: address, sends: up, receives: down, network: self)
    let server = SimulatedByteStream(label: "s\(streamCount)", peer: from, sends: down, receives: up, network: self)
    client.other = server
    server.other = client
    open[ObjectIdentifier(client)] = client
    open[ObjectIdentifier(server)] = server
    return (client, server)
  }

  func closed(_ stream: SimulatedByteStream) { open[ObjectIdentifier(stream)] = nil }

  func closed(_ listener: SimulatedListener) { listeners.removeAll { $0 === listener } }

  private func resolves(_ host: String) -> Bool {
    host == "localhost" || host.contains(":") || host.utf8.allSatisfy { $0 == 0x2E || (0x30...0x39).contains($0) }
      || knownHosts.contains(host) || addresses[host] != nil || listeners.contains { $0.address.host == host }
  }
}

package final class SimulatedListener: Listener {
  package let address: SocketAddress
  let isTLS: Bool
  private weak var network: SimulatedNetwork?
  private var accept: ((any ByteStream) -> Void)?

  init(address: SocketAddress, isTLS: Bool, network: SimulatedNetwork, accept: @escaping (any ByteStream) -> Void) {
    self.address = address
    self.isTLS = isTLS
    self.network = network
    self.accept = accept
  }

  package func close() {
    accept = nil
    network?.closed(self)
  }

  func hears(_ target: SocketAddress) -> Bool { target.port == address.port && hears(target.host) }

  func hears(_ host: String) -> Bool {
    let loopback: Set = ["127.0.0.1", "localhost", "::1"]
    let any: Set = ["0.0.0.0", "::"]
    return address.host == host || any.contains(address.host) || any.contains(host)
      || (loopback.contains(host) && loopback.contains(address.host))
  }

  /// A connection that was made before the listener closed, but not yet accepted, is reset, as a kernel does.
  func take(_ stream: SimulatedByteStream) {
    if let accept { accept(stream) } else { stream.reset() }
  }
}
