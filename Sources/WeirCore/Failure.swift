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
  /// What is wrong with it, or the URL without what may be secret in it.
  case badURL(String)
  /// By the network policy.
  case notAllowed(String, hint: String)
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
    case .notAllowed: "NotAllowed"
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
    case .badURL(let why): "not a usable URL: \(why)"
    case .notAllowed(let what, _): what
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
    case .notAllowed(_, let hint): hint
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
  /// Another process has it (`DiskMode.lock`), of that number if it is known.
  case locked(String, by: Int?)
  /// Too much waits for the disk: nothing was tried.
  case busy(String)
  /// The process has no descriptor left: nothing was tried.
  case noDescriptor(String)
  /// The file, or what holds it, was removed or replaced by somebody else while it was in use.
  case removed(String)
  case other(String, String)

  package var code: String {
    switch self {
    case .notFound: "FileNotFound"
    case .exists: "FileExists"
    case .denied: "FileAccessDenied"
    case .full: "DiskFull"
    case .tooLarge: "FileTooLarge"
    case .locked: "FileLocked"
    case .busy: "DiskBusy"
    case .noDescriptor: "NoDescriptor"
    case .removed: "FileRemoved"
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
    case .locked(let path, let holder):
      "\(path): another process\(holder.map { " (\($0))" } ?? "") holds this lock"
    case .busy(let path): "\(path): too many operations are waiting for the disk"
    case .noDescriptor(let path): "\(path): no descriptor left to open it with (see ulimit -n)"
    case .removed(let path): "\(path) was removed or replaced while it was in use"
    case .other(let path, let why): "\(path): \(why)"
    }
  }
}

package enum ProcessFailure: Failure, Equatable {
  case notFound(String)
  /// The file is there, but what its first line names to run it is not.
  case interpreterMissing(String)
  case folder(String)
  case denied(String)
  case notExecutable(String)
  /// The list of what may be started does not have it.
  case notAllowed(String, list: String)
  case argumentsTooLarge(String)
  case badArgument(String)
  case unavailable(String)
  case other(String, String)

  package var code: String {
    switch self {
    case .notFound: "ProgramNotFound"
    case .interpreterMissing: "InterpreterMissing"
    case .folder: "IsFolder"
    case .denied: "ProgramDenied"
    case .notExecutable: "NotExecutable"
    case .notAllowed: "NotAllowed"
    case .argumentsTooLarge: "ArgumentsTooLarge"
    case .badArgument: "BadArgument"
    case .unavailable: "Unavailable"
    case .other: "ProcessError"
    }
  }

  package var message: String {
    switch self {
    case .notFound(let name): "there is no program \"\(name)\""
    case .interpreterMissing(let path): "what runs \(path) is missing"
    case .folder(let path): "\(path) is a folder, not a program"
    case .denied(let path): "no permission to run \(path)"
    case .notExecutable(let path): "\(path) is not a program that this machine can run"
    case .notAllowed(let command, let list): "\"\(command)\" is not allowed by --process-allowlist \"\(list)\""
    case .argumentsTooLarge(let path): "the arguments and variables for \(path) are more than the system passes on"
    case .badArgument(let why): why
    case .unavailable(let what): what
    case .other(let path, let why): "\(path): \(why)"
    }
  }

  package var hint: String? {
    switch self {
    case .notFound(let name) where name.contains("/"): "check the path; without a slash a name is looked up in PATH"
    case .notFound(let name): "install \(name), or give its full path; it is in no folder of PATH"
    case .interpreterMissing: "look at the interpreter after `#!` in its first line"
    case .folder: "name the file in it"
    case .denied: "make it executable: chmod +x"
    case .notExecutable: "a script needs a first line such as #!/bin/sh; a binary must be of this machine's kind"
    case .notAllowed: "add it there, or to process_allowlist in weir.toml"
    case .argumentsTooLarge: "one argument has at most 128 KiB on Linux: hand long texts over by standard input"
    default: nil
    }
  }
}
