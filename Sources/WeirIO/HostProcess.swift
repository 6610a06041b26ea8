import WeirCore

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

// The same functions under names that members of the enum below don't hide, on either system.
private func endProcess(_ code: Int32) -> Never { exit(code) }
private func readBytes(_ descriptor: Int32, _ into: UnsafeMutableRawPointer, _ count: Int) -> Int {
  read(descriptor, into, count)
}
private func writeBytes(_ descriptor: Int32, _ from: UnsafeRawPointer, _ count: Int) -> Int {
  write(descriptor, from, count)
}

/// This process, before and after the loop: its arguments, its folder, files read whole, its end.
///
/// Everything here may block: it is for the command line's first milliseconds, never for a loop.
package enum HostProcess {
  package static var arguments: [String] { CommandLine.arguments }

  package static func exit(_ code: Int) -> Never { endProcess(Int32(truncatingIfNeeded: code)) }

  package static func isTerminal(_ descriptor: Int32) -> Bool { isatty(descriptor) == 1 }

  package static var currentDirectory: String {
    guard let path = getcwd(nil, 0) else { return "." }
    defer { free(path) }
    return String(cString: path)
  }

  package static func isFile(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && (status.st_mode & S_IFMT) == S_IFREG
  }

  /// A regular file, whole, of at most `limit` bytes.
  package static func read(_ path: String, limit: Int) throws(DiskFailure) -> [UInt8] {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw failure(path) }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw failure(path) }
    guard (status.st_mode & S_IFMT) != S_IFDIR else { throw .other(path, "is a folder") }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 64 << 10)
    while true {
      let got = readBytes(descriptor, &chunk, chunk.count)
      if got < 0 {
        if errno == EINTR { continue }
        throw failure(path)
      }
      if got == 0 { return bytes }
      bytes.append(contentsOf: chunk[0..<got])
      guard bytes.count <= limit else { throw .tooLarge(path, limit: limit) }
    }
  }

  /// One line typed at a terminal, without its end; nil at the end of input.
  package static func readLine() -> String? { Swift.readLine() }

  private static func failure(_ path: String) -> DiskFailure {
    switch errno {
    case ENOENT, ENOTDIR: .notFound(path)
    case EACCES, EPERM: .denied(path)
    default: .other(path, String(cString: strerror(errno)))
    }
  }
}

extension HostProcess {
  /// All of it, or as much as a reader that went away has taken. The answer is why the rest is lost (a full disk, a closed
  /// descriptor); a reader that has seen enough is no failure.
  @discardableResult
  package static func write(_ text: String, to descriptor: Int32) -> String? {
    var text = text
    return text.withUTF8 { bytes in
      var at = 0
      while at < bytes.count {
        let rest = UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(bytes)[at...])
        let sent = writeBytes(descriptor, rest.baseAddress.unsafelyUnwrapped, rest.count)
        if sent > 0 {
          at += sent
        } else if errno != EINTR && errno != EAGAIN {
          return errno == EPIPE ? nil : String(cString: strerror(errno))
        }
      }
      return nil
    }
  }
}
