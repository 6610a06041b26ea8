import CWeir
import Glibc
import WeirCore

/// A listening TCP socket: accepts in batches and hands each connection over.
///
/// When the process has no descriptor left it stops accepting for a while instead of spinning on a queue that it
/// cannot empty, and says so; connections wait in the kernel's backlog meanwhile.
package final class SocketListener: Listener, ReadinessHandler {
  /// Connections waiting in the kernel; more are turned away by it. The kernel's own limit (somaxconn) may be lower.
  static let backlogLimit: Int32 = 4096
  /// Accepted in one turn at most, so that a connection storm cannot starve the connected.
  static let acceptsPerTurnLimit = 64
  /// Wait before accepting again after the process ran out of descriptors.
  static let pause = Duration.milliseconds(100)

  package let address: SocketAddress
  private let loop: EventLoop
  private let descriptor: Int32
  private let report: (NetworkFailure) -> Void
  private var accept: ((SocketStream) -> Void)?
  private var pausing: (any Cancellable)?
  private var isOutOfDescriptors = false

  init(
    _ loop: EventLoop, _ wanted: SocketAddress, _ numeric: IPAddress, report: @escaping (NetworkFailure) -> Void,
    accept: @escaping (SocketStream) -> Void
  ) throws(NetworkFailure) {
    self.loop = loop
    self.report = report
    self.accept = accept
    let fd = weir_stream_socket(numeric.family)
    if fd < 0 { throw .ofBind(-fd, wanted) }
    func set(_ level: Int32, _ option: Int32, _ value: Int32) {
      var value = value
      setsockopt(fd, level, option, &value, socklen_t(MemoryLayout<Int32>.size))
    }
    set(SOL_SOCKET, SO_REUSEADDR, 1)
    // Accepted sockets inherit it: no system call for each connection.
    set(Int32(IPPROTO_TCP), TCP_NODELAY, 1)
    if numeric.isV6 { set(Int32(IPPROTO_IPV6), IPV6_V6ONLY, 0) }
    func refuse() -> NetworkFailure {
      let number = errno
      closeDescriptor(fd)
      return .ofBind(number, wanted)
    }
    if numeric.withSockaddr({ bind(fd, $0, $1) }) != 0 { throw refuse() }
    if Glibc.listen(fd, Self.backlogLimit) != 0 { throw refuse() }
    descriptor = fd
    address = IPAddress(of: fd, asking: getsockname)?.socketAddress ?? wanted
    let refused = loop.watch(fd, .readable, self)
    if refused != 0 {
      closeDescriptor(fd)
      self.accept = nil
      throw .ofBind(refused, wanted)
    }
  }

  package func close() {
    guard accept != nil else { return }
    accept = nil
    pausing?.cancel()
    pausing = nil
    loop.unwatch(descriptor)
    closeDescriptor(descriptor)
  }

  package func becameReady(_ ready: Readiness) {
    for _ in 0..<Self.acceptsPerTurnLimit {
      guard let accept else { return }
      var storage = sockaddr_storage()
      var length = UInt32(MemoryLayout<sockaddr_storage>.size)
      let fd = weir_accept(descriptor, &storage, &length)
      if fd < 0 {
        if !stopsAccepting(-fd) { return }
        continue
      }
      isOutOfDescriptors = false
      let peer = withUnsafePointer(to: &storage) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { IPAddress($0) }
      }
      guard let peer else {
        closeDescriptor(fd)
        continue
      }
      accept(SocketStream(loop, descriptor: fd, peer: peer))
    }
  }

  /// True: the failure was that of one connection, the next may do.
  private func stopsAccepting(_ number: Int32) -> Bool {
    switch number {
    case EAGAIN: return false
    case EMFILE, ENFILE, ENOBUFS, ENOMEM:
      if !isOutOfDescriptors {
        isOutOfDescriptors = true
        report(
          .unavailable(
            "no descriptor or memory left for new connections on \(address.host):\(address.port); "
              + "they wait until others close (see ulimit -n): \(errorText(number))"))
      }
      loop.rewatch(descriptor, [])
      pausing = loop.after(Self.pause) { [self] in
        if accept != nil { loop.rewatch(descriptor, .readable) }
      }
      return false
    // accept(2): errors of the new connection itself, to be treated like none having come.
    default: return true
    }
  }
}
