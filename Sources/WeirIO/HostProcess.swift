import CWeir
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
private func removePath(_ path: String) -> Int32 { remove(path) }
private func writeBytes(_ descriptor: Int32, _ from: UnsafeRawPointer, _ count: Int) -> Int {
  write(descriptor, from, count)
}

/// This process, before and after the loop: its arguments, its folder, files read whole, its end.
///
/// Everything here may block: it is for the command line's first milliseconds, never for a loop.
package enum HostProcess {
  package static var arguments: [String] { CommandLine.arguments }

  /// Which argument is not UTF-8, counted from 0. In `arguments` it stands repaired, and is no longer what was given.
  package static var unreadableArgument: Int? {
    let count = Int(CommandLine.argc)
    return (0..<count).first { index in
      guard let argument = CommandLine.unsafeArgv[index] else { return false }
      return String(validatingCString: argument) == nil
    }
  }

  /// For a process that is Weir's own. Without it, glibc gave memory back after each message of 64 KB, and the kernel
  /// cleared it anew: 16 page faults for an echo (docs/performance.md).
  package static func keepFreedMemory() { weir_keep_freed_memory() }

  /// As many as the system allows: a shell's usual 1024 are few for a server. Children start with what this process had.
  package static func raiseDescriptorLimit() { weir_raise_descriptor_limit() }
  package static var descriptorLimit: Int { weir_descriptor_limit() }

  package static func exit(_ code: Int) -> Never { endProcess(Int32(truncatingIfNeeded: code)) }

  package static func isTerminal(_ descriptor: Int32) -> Bool { isatty(descriptor) == 1 }

  package static var currentDirectory: String {
    guard let path = getcwd(nil, 0) else { return "." }
    defer { free(path) }
    return String(cString: path)
  }

  /// Makes it the current folder; tells why it cannot be.
  package static func enter(_ folder: String) -> String? {
    if !isWhole(folder) { return "a path has no zero byte" }
    return chdir(folder) == 0 ? nil : String(cString: strerror(errno))
  }

  package enum Kind { case file, folder, other, missing }

  /// What stands there, links followed.
  package static func kind(_ path: String) -> Kind {
    var status = stat()
    guard isWhole(path), stat(path, &status) == 0 else { return .missing }
    switch status.st_mode & S_IFMT {
    case S_IFREG: return .file
    case S_IFDIR: return .folder
    default: return .other
    }
  }

  package static func isFile(_ path: String) -> Bool { kind(path) == .file }
  package static func isFolder(_ path: String) -> Bool { kind(path) == .folder }

  /// What is made there belongs to whom it belongs to.
  package static func isOwn(_ path: String) -> Bool {
    var status = stat()
    return isWhole(path) && stat(path, &status) == 0 && status.st_uid == geteuid()
  }

  /// The same for every path that leads to one file or folder; nil when there is none.
  package static func identity(_ path: String) -> [UInt64]? {
    var status = stat()
    guard isWhole(path), stat(path, &status) == 0 else { return nil }
    return [UInt64(truncatingIfNeeded: status.st_dev), UInt64(truncatingIfNeeded: status.st_ino)]
  }

  /// The system would take a path only up to its first NUL: another file than was meant.
  private static func isWhole(_ path: String) -> Bool { !path.utf8.contains(0) }
  private static func check(_ path: String) throws(DiskFailure) {
    guard isWhole(path) else { throw .other(path, "a path cannot hold a NUL") }
  }

  /// A regular file, whole, of at most `limit` bytes.
  package static func read(_ path: String, limit: Int) throws(DiskFailure) -> [UInt8] {
    try check(path)
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw failure(path) }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw failure(path) }
    guard (status.st_mode & S_IFMT) != S_IFDIR else { throw .other(path, "is a folder") }
    return try readAll(descriptor, named: path, limit: limit)
  }

  /// Names in a folder, sorted; `.` and `..` are left out.
  package static func list(_ folder: String) throws(DiskFailure) -> [String] {
    try check(folder)
    guard let directory = opendir(folder) else { throw failure(folder) }
    defer { closedir(directory) }
    var names: [String] = []
    while let entry = readdir(directory) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
        pointer.withMemoryRebound(to: CChar.self, capacity: Int(NAME_MAX) + 1) { String(cString: $0) }
      }
      if name != ".", name != ".." { names.append(name) }
    }
    return names.sorted()
  }

  /// Everything from a descriptor, of at most `limit` bytes.
  package static func readAll(_ descriptor: Int32, named name: String, limit: Int) throws(DiskFailure) -> [UInt8] {
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 64 << 10)
    while true {
      let got = readBytes(descriptor, &chunk, chunk.count)
      if got < 0 {
        if errno == EINTR { continue }
        throw failure(name)
      }
      if got == 0 { return bytes }
      bytes.append(contentsOf: chunk[0..<got])
      guard bytes.count <= limit else { throw .tooLarge(name, limit: limit) }
    }
  }

  /// The whole content of a file, new or in place of an old one. The old content stays until the new one is complete: it
  /// is written beside it and renamed. A link is followed, the file's permissions are kept.
  package static func replace(_ path: String, with bytes: [UInt8]) throws(DiskFailure) {
    try check(path)
    var target = path
    if let real = realpath(path, nil) {
      target = String(cString: real)
      free(real)
    }
    var status = stat()
    let mode = stat(target, &status) == 0 ? status.st_mode & 0o777 : 0
    let beside = "\(target).weir-\(getpid())"
    let descriptor = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else { throw failure(path) }
    let isComplete = writeAll(bytes, to: descriptor) && (mode == 0 || fchmod(descriptor, mode) == 0)
    guard close(descriptor) == 0, isComplete, rename(beside, target) == 0 else {
      let problem = failure(path)
      unlink(beside)
      throw problem
    }
  }

  private static func writeAll(_ bytes: [UInt8], to descriptor: Int32) -> Bool {
    var at = 0
    while at < bytes.count {
      let sent = bytes.withUnsafeBytes { all in
        all.baseAddress.map { writeBytes(descriptor, $0 + at, all.count - at) } ?? 0
      }
      if sent < 0, errno == EINTR { continue }
      guard sent > 0 else { return false }
      at += sent
    }
    return true
  }

  /// A folder that was not there.
  package static func makeFolder(_ path: String) throws(DiskFailure) {
    try check(path)
    guard mkdir(path, 0o777) == 0 else { throw failure(path) }
  }

  /// A file that was not there.
  package static func create(_ path: String, with bytes: [UInt8]) throws(DiskFailure) {
    try check(path)
    let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else { throw failure(path) }
    let isComplete = writeAll(bytes, to: descriptor)
    guard close(descriptor) == 0, isComplete else { throw failure(path) }
  }

  /// Takes back what `makeFolder` or `create` made: a file, or a folder with nothing in it.
  package static func takeBack(_ path: String) { if isWhole(path) { _ = removePath(path) } }

  /// One line typed at a terminal, without its end; nil at the end of input.
  package static func readLine() -> String? { Swift.readLine() }

  private static func failure(_ path: String) -> DiskFailure { DiskFailure.of(errno, path) }
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
