/// What every error of Weir can say: whose fault, what happened, what to do.
///
/// Each room has its own small enum; at a face (HTTP body, terminal, log) all of them become code + message + hint.
package protocol Failure: Error, Sendable, CustomStringConvertible {
  /// Stable, machine-readable, `UpperCamelCase`: `PortInUse`, `BadJSON`.
  var code: String { get }
  /// One sentence for a person, without secrets.
  var message: String { get }
  /// What to try next, or nil.
  var hint: String? { get }
}

extension Failure {
  package var hint: String? { nil }
  package var description: String { hint.map { "\(code): \(message) (\($0))" } ?? "\(code): \(message)" }
}

package enum NetworkFailure: Failure, Equatable {
  case portInUse(SocketAddress)
  case notPermitted(SocketAddress)
  case badAddress(String)
  case nameNotFound(host: String)
  case refused(SocketAddress)
  case timedOut(what: String)
  case reset
  case closedEarly
  case tls(String)
  case badURL(String)
  case tooManyRedirects(Int)
  case protocolViolation(String)
  case unavailable(String)
  case other(String)

  package var code: String {
    switch self {
    case .portInUse: "PortInUse"
    case .notPermitted: "NotPermitted"
    case .badAddress: "BadAddress"
    case .nameNotFound: "NameNotFound"
    case .refused: "ConnectionRefused"
    case .timedOut: "Timeout"
    case .reset: "ConnectionReset"
    case .closedEarly: "ConnectionClosed"
    case .tls: "TLSError"
    case .badURL: "BadURL"
    case .tooManyRedirects: "TooManyRedirects"
    case .protocolViolation: "ProtocolError"
    case .unavailable: "Unavailable"
    case .other: "NetworkError"
    }
  }

  package var message: String {
    switch self {
    case .portInUse(let a): "port \(a.port) on \(a.host) is already in use"
    case .notPermitted(let a): "not permitted to bind \(a.host):\(a.port)"
    case .badAddress(let text): "\"\(text)\" is not an address of this machine"
    case .nameNotFound(let host): "host \"\(host)\" was not found"
    case .refused(let a): "connection to \(a.host):\(a.port) was refused"
    case .timedOut(let what): "\(what) timed out"
    case .reset: "the connection was reset by the other side"
    case .closedEarly: "the connection was closed before the answer was complete"
    case .tls(let why): "TLS: \(why)"
    case .badURL(let url): "not a usable URL: \(url)"
    case .tooManyRedirects(let n): "more than \(n) redirects"
    case .protocolViolation(let why): why
    case .unavailable(let what): what
    case .other(let why): why
    }
  }

  package var hint: String? {
    switch self {
    case .portInUse(let a): "stop what uses it, or choose another: --port \(a.port < 65535 ? a.port + 1 : a.port - 1)"
    case .notPermitted: "ports below 1024 need privileges"
    case .nameNotFound: "check the spelling and the machine's DNS"
    case .refused: "is the server running there?"
    default: nil
    }
  }
}

package enum DiskFailure: Failure, Equatable {
  case notFound(String)
  case exists(String)
  case denied(String)
  case full(String)
  case tooLarge(String, limit: Int)
  case other(String, String)

  package var code: String {
    switch self {
    case .notFound: "FileNotFound"
    case .exists: "FileExists"
    case .denied: "FileAccessDenied"
    case .full: "DiskFull"
    case .tooLarge: "FileTooLarge"
    case .other: "DiskError"
    }
  }

  package var message: String {
    switch self {
    case .notFound(let path): "no such file: \(path)"
    case .exists(let path): "already exists: \(path)"
    case .denied(let path): "no permission: \(path)"
    case .full(let path): "no space left for \(path)"
    case .tooLarge(let path, let limit): "\(path) is larger than \(limit) bytes"
    case .other(let path, let why): "\(path): \(why)"
    }
  }
}
