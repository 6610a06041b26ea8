import Glibc
import WeirCore

/// A numeric address and port in 32 bytes, and its way to and from the kernel's `sockaddr`.
///
/// Text is made only when somebody asks: a connection that nobody logs never formats its peer.
struct IPAddress: Equatable, Sendable {
  var high: UInt64
  var low: UInt64
  var scope: UInt32
  var port: UInt16
  var isV6: Bool

  var family: Int32 { isV6 ? AF_INET6 : AF_INET }

  /// "127.0.0.1", "::1", "fe80::1%2"; nil for a name.
  init?(_ text: String, port: Int) {
    guard (0...65535).contains(port) else { return nil }
    var v4 = in_addr()
    if inet_pton(AF_INET, text, &v4) == 1 {
      self.init(v4: v4.s_addr, port: UInt16(port))
      return
    }
    let parts = text.split(separator: "%", maxSplits: 1, omittingEmptySubsequences: false)
    var v6 = in6_addr()
    guard let address = parts.first, inet_pton(AF_INET6, String(address), &v6) == 1 else { return nil }
    var scope: UInt32 = 0
    if parts.count == 2 {
      scope = UInt32(parts[1]) ?? if_nametoindex(String(parts[1]))
      if scope == 0 { return nil }
    }
    self.init(v6: v6, scope: scope, port: UInt16(port))
  }

  private init(v4 address: UInt32, port: UInt16) {
    high = 0
    low = UInt64(address)
    scope = 0
    self.port = port
    isV6 = false
  }

  private init(v6 address: in6_addr, scope: UInt32, port: UInt16) {
    (high, low) = unsafeBitCast(address, to: (UInt64, UInt64).self)
    self.scope = scope
    self.port = port
    isV6 = true
  }

  /// Nil for families other than IPv4 and IPv6.
  init?(_ pointer: UnsafePointer<sockaddr>) {
    let raw = UnsafeRawPointer(pointer)
    switch Int32(pointer.pointee.sa_family) {
    case AF_INET:
      let v4 = raw.loadUnaligned(as: sockaddr_in.self)
      self.init(v4: v4.sin_addr.s_addr, port: UInt16(bigEndian: v4.sin_port))
    case AF_INET6:
      let v6 = raw.loadUnaligned(as: sockaddr_in6.self)
      self.init(v6: v6.sin6_addr, scope: v6.sin6_scope_id, port: UInt16(bigEndian: v6.sin6_port))
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
      v6.sin6_addr = unsafeBitCast((high, low), to: in6_addr.self)
      return withUnsafePointer(to: &v6) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<sockaddr_in6>.size)) }
      }
    }
    var v4 = sockaddr_in()
    v4.sin_family = sa_family_t(AF_INET)
    v4.sin_port = port.bigEndian
    v4.sin_addr.s_addr = UInt32(truncatingIfNeeded: low)
    return withUnsafePointer(to: &v4) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
    }
  }

  /// An IPv4 peer of an IPv6 listener (::ffff:192.0.2.1) is written as the IPv4 address that it is.
  var socketAddress: SocketAddress {
    var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
    let mapped = isV6 && high == 0 && UInt32(truncatingIfNeeded: low) == UInt32(0xffff).bigEndian
    if isV6 && !mapped {
      var address = unsafeBitCast((high, low), to: in6_addr.self)
      inet_ntop(AF_INET6, &address, &text, socklen_t(text.count))
    } else {
      var address = in_addr(s_addr: UInt32(truncatingIfNeeded: mapped ? low >> 32 : low))
      inet_ntop(AF_INET, &address, &text, socklen_t(text.count))
    }
    let host = text.withUnsafeBytes { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    return SocketAddress(host: scope == 0 ? host : "\(host)%\(scope)", port: Int(port))
  }
}
