import Glibc
import WeirCore

/// A numeric address and port, and its way to and from the kernel's `sockaddr`.
///
/// Text is made only when somebody asks: a connection that nobody logs never formats its peer.
struct IPAddress: Equatable, Sendable {
  var address: NetworkAddress
  var scope: UInt32 = 0
  var port: UInt16

  var isV6: Bool { address.isV6 }
  var family: Int32 { isV6 ? AF_INET6 : AF_INET }

  /// "127.0.0.1", "::1", "fe80::1%2"; nil for a name.
  init?(_ text: String, port: Int) {
    let parts = text.split(separator: "%", maxSplits: 1, omittingEmptySubsequences: false)
    guard let first = parts.first, let address = NetworkAddress(first), let port = UInt16(exactly: port) else {
      return nil
    }
    self.address = address
    self.port = port
    if parts.count == 2 {
      scope = UInt32(parts[1]) ?? if_nametoindex(String(parts[1]))
      if scope == 0 || !isV6 { return nil }
    }
  }

  /// Nil for families other than IPv4 and IPv6.
  init?(_ pointer: UnsafePointer<sockaddr>) {
    let raw = UnsafeRawPointer(pointer)
    switch Int32(pointer.pointee.sa_family) {
    case AF_INET:
      let v4 = raw.loadUnaligned(as: sockaddr_in.self)
      address = NetworkAddress(v4: UInt32(bigEndian: v4.sin_addr.s_addr))
      port = UInt16(bigEndian: v4.sin_port)
    case AF_INET6:
      let v6 = raw.loadUnaligned(as: sockaddr_in6.self)
      address = NetworkAddress(v6: UInt128(bigEndian: unsafeBitCast(v6.sin6_addr, to: UInt128.self)))
      scope = v6.sin6_scope_id
      port = UInt16(bigEndian: v6.sin6_port)
    default: return nil
    }
  }

  /// Asks the kernel for a socket's own (`getsockname`) or its peer's (`getpeername`) address.
  init?(
    of fd: Int32,
    asking ask: (Int32, UnsafeMutablePointer<sockaddr>, UnsafeMutablePointer<socklen_t>) -> Int32
  ) {
    var storage = sockaddr_storage()
    var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    let found = withUnsafeMutablePointer(to: &storage) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer -> IPAddress? in
        ask(fd, pointer, &length) == 0 ? IPAddress(pointer) : nil
      }
    }
    guard let found else { return nil }
    self = found
  }

  func withSockaddr<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
    if isV6 {
      var v6 = sockaddr_in6()
      v6.sin6_family = sa_family_t(AF_INET6)
      v6.sin6_port = port.bigEndian
      v6.sin6_scope_id = scope
      v6.sin6_addr = unsafeBitCast(address.bits.bigEndian, to: in6_addr.self)
      return withUnsafePointer(to: &v6) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<sockaddr_in6>.size)) }
      }
    }
    var v4 = sockaddr_in()
    v4.sin_family = sa_family_t(AF_INET)
    v4.sin_port = port.bigEndian
    v4.sin_addr.s_addr = UInt32(truncatingIfNeeded: address.bits).bigEndian
    return withUnsafePointer(to: &v4) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
    }
  }

  /// An IPv4 peer of an IPv6 listener (::ffff:192.0.2.1) is written as the IPv4 address that it is.
  var socketAddress: SocketAddress {
    SocketAddress(host: scope == 0 ? "\(address)" : "\(address)%\(scope)", port: Int(port))
  }
}
