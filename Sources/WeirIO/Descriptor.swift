import CWeir
import Glibc
import WeirCore

/// Small facts about descriptors and errno that the rest of the room shares.

/// EINTR after close(2) on Linux still means closed: never retried, or another thread's new descriptor would go.
@discardableResult
func closeDescriptor(_ fd: Int32) -> Int32 { close(fd) }

func errorText(_ number: Int32) -> String { String(cString: strerror(number)) }

extension NetworkFailure {
  /// What a connected socket's errno means to whoever uses it.
  static func ofStream(_ number: Int32) -> NetworkFailure {
    switch number {
    case ECONNRESET, EPIPE, ECONNABORTED: .reset
    case ETIMEDOUT: .timedOut(what: "connection")
    default: .other(errorText(number))
    }
  }

  static func ofDial(_ number: Int32, _ address: SocketAddress) -> NetworkFailure {
    switch number {
    case ECONNREFUSED: .refused(address)
    case ETIMEDOUT: .timedOut(what: "connecting to \(address.host):\(address.port)")
    case ECONNRESET: .reset
    case EMFILE, ENFILE: .unavailable("no descriptor left for a connection (see ulimit -n)")
    case EADDRNOTAVAIL: .unavailable("no local port left for a connection to \(address.host):\(address.port)")
    default: .other("\(address.host):\(address.port): \(errorText(number))")
    }
  }

  static func ofBind(_ number: Int32, _ address: SocketAddress) -> NetworkFailure {
    switch number {
    case EADDRINUSE: .portInUse(address)
    case EACCES, EPERM: .notPermitted(address)
    case EADDRNOTAVAIL, EAFNOSUPPORT: .badAddress(address.host)
    case EMFILE, ENFILE: .unavailable("no descriptor left to listen with (see ulimit -n)")
    default: .other("\(address.host):\(address.port): \(errorText(number))")
    }
  }
}
