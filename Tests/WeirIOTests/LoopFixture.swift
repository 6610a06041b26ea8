import Glibc
import Testing
import WeirCore

@testable import WeirIO

/// Runs a loop on the test's own thread until `done` is called; a test that hangs fails with its deadline instead.
func onLoop(
  within limit: Duration = .seconds(20), _ location: SourceLocation = #_sourceLocation,
  _ body: (EventLoop, _ done: @escaping () -> Void) throws -> Void
) rethrows {
  let loop = EventLoop()
  try body(loop) { loop.stop() }
  let deadline = loop.after(limit) {
    Issue.record("not done within \(limit)", sourceLocation: location)
    loop.stop()
  }
  loop.run()
  deadline.cancel()
}

func makeNetwork(_ loop: EventLoop, report: @escaping (NetworkFailure) -> Void = { _ in }) -> SocketNetwork {
  SocketNetwork(loop, resolver: makeResolver(loop), report: report)
}

func makeResolver(_ loop: EventLoop) -> Resolver { Resolver(loop, ThreadPool(name: "names")) }

extension CurlTransport {
  convenience init(_ loop: EventLoop, proxies: ProxySettings = ProxySettings(), trustFile: String? = nil) {
    self.init(loop, resolver: makeResolver(loop), proxies: proxies, trustFile: trustFile)
  }
}

/// Processor time of this thread: what a loop that spins would burn.
func threadTime() -> Duration {
  var time = timespec()
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
  return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
}

let loopback = SocketAddress(host: "127.0.0.1", port: 0)

/// A peer made of closures, with what it has received so far.
final class Peer: ByteStreamHandler {
  let stream: any ByteStream
  var received: [UInt8] = []
  var count = 0
  var keeps = true
  var onBytes: (Peer) -> Void = { _ in }
  var onWritable: (Peer) -> Void = { _ in }
  var onEnd: (Peer) -> Void = { _ in }
  var onFailure: (Peer, NetworkFailure) -> Void = { _, _ in }

  init(_ stream: any ByteStream) {
    self.stream = stream
    stream.handler = self
  }

  func byteStreamReceived(_ bytes: Span<UInt8>) {
    count += bytes.count
    if keeps { bytes.withUnsafeBufferPointer { received.append(contentsOf: $0) } }
    onBytes(self)
  }
  func byteStreamBecameWritable() { onWritable(self) }
  func byteStreamEnded() { onEnd(self) }
  func byteStreamFailed(_ failure: NetworkFailure) { onFailure(self, failure) }

  @discardableResult
  func send(_ bytes: some Collection<UInt8>) -> Int { stream.send(Array(bytes).span) }
}

extension Network {
  /// A listener on a free loopback port and a connection to it; both ends as peers.
  func pair(_ body: @escaping (_ client: Peer, _ server: Peer, _ listener: any Listener) -> Void) throws {
    var server: Peer?
    var client: Peer?
    var listener: (any Listener)?
    func both() {
      if let client, let server, let listener { body(client, server, listener) }
    }
    listener = try listen(loopback, tls: nil) {
      server = Peer($0)
      both()
    }
    guard let address = listener?.address else { return }
    _ = connect(address, tls: nil, timeout: .seconds(5)) {
      switch $0 {
      case .success(let stream): client = Peer(stream)
      case .failure(let failure): Issue.record(failure)
      }
      both()
    }
  }
}
