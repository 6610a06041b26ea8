import CWeir
import Glibc
import WeirCore

/// The `Processes` port over posix_spawn and pidfds.
///
/// A program is looked up and loaded in a thread of `threads`: the system holds up whoever loads one until it runs, and
/// that may be a disk away. What comes back to the loop are numbers: a pid, a pidfd and our ends of the pipes.
package final class SystemProcesses: Processes {
  private let loop: EventLoop
  private let threads: ThreadPool

  package init(_ loop: EventLoop, threads: ThreadPool) {
    self.loop = loop
    self.threads = threads
    // A child that closes its input must not be the end of us.
    weir_ignore_write_signals()
  }

  package func start(
    _ request: ProcessRequest, _ answer: @escaping (Result<any ChildProcess, ProcessFailure>) -> Void
  ) {
    let loop = self.loop
    let box = LoopBox(loop, answer)
    let isTaken = threads.submit {
      let result = Launch.launch(request)
      loop.post {
        box.take()?(result.map { SpawnedProcess(loop, $0) })
      }
    }
    if !isTaken {
      loop.soon { answer(.failure(.unavailable("more than \(ThreadPool.queueLimit) programs wait to be started"))) }
    }
  }
}

/// A child as numbers, on its way from the thread that started it to the loop.
struct Launch: Sendable {
  var pid: Int32
  var pidfd: Int32
  /// Our ends of the pipes to its 0, 1 and 2; -1 where there is none.
  var pipes: [Int32] = [-1, -1, -1]

  /// Blocks until the program runs, or is known not to.
  static func launch(_ request: ProcessRequest) -> Result<Launch, ProcessFailure> {
    do throws(ProcessFailure) {
      return .success(try start(request))
    } catch {
      return .failure(error)
    }
  }

  private static func start(_ request: ProcessRequest) throws(ProcessFailure) -> Launch {
    try checkTexts(request)
    let path = try HostProcess.program(request.executable, searchPath: request.searchPath)
    var launch = Launch(pid: 0, pidfd: -1)
    var theirs: [Int32] = [-1, -1, -1]
    defer { for fd in theirs where fd > 2 { closeDescriptor(fd) } }
    for (index, stream) in [request.input, request.output, request.error].enumerated() {
      switch stream {
      case .null: break
      case .inherited: theirs[index] = Int32(index)
      case .pipe:
        var ends: [Int32] = [-1, -1]
        let ours = index == 0 ? 1 : 0
        let refused = weir_child_pipe(&ends, Int32(ours))
        if refused < 0 {
          launch.closePipes()
          throw .unavailable("no descriptor left for a pipe to \(path): \(errorText(-refused))")
        }
        launch.pipes[index] = ends[ours]
        theirs[index] = ends[1 - ours]
      }
    }
    var pidfd: Int32 = -1
    let pid = withCStrings([request.name ?? request.executable] + request.arguments) { arguments in
      withCStrings(request.environment.map { "\($0.name)=\($0.value)" }) { environment in
        weir_spawn(path, arguments, environment, theirs, &pidfd)
      }
    }
    if pid < 0 {
      launch.closePipes()
      throw failure(-pid, path)
    }
    launch.pid = pid
    launch.pidfd = pidfd
    return launch
  }

  private func closePipes() {
    for fd in pipes where fd >= 0 { closeDescriptor(fd) }
  }

  /// The system's texts end at the first NUL: what has one would arrive as something else.
  private static func checkTexts(_ request: ProcessRequest) throws(ProcessFailure) {
    if request.executable.isEmpty { throw .badArgument("a program needs a name") }
    if request.executable.utf8.contains(0) { throw .badArgument("a program's name has no NUL byte in it") }
    if let index = request.arguments.firstIndex(where: { $0.utf8.contains(0) }) {
      throw .badArgument("argument \(index + 1) of \(request.executable) has a NUL byte, which ends a text there")
    }
    if let bad = request.environment.first(where: { "\($0.name)\($0.value)".utf8.contains(0) || $0.name.contains("=") })
    {
      throw .badArgument("the variable \(bad.name) cannot be passed on: a NUL byte, or = in its name")
    }
  }

  private static func failure(_ number: Int32, _ path: String) -> ProcessFailure {
    switch number {
    // It was found a moment ago: what is missing is the program that its first line names.
    case ENOENT, ENOTDIR: HostProcess.isFile(path) ? .interpreterMissing(path) : .notFound(path)
    case EACCES, EPERM: HostProcess.isFolder(path) ? .folder(path) : .denied(path)
    case ENOEXEC, ELIBBAD, EINVAL: .notExecutable(path)
    case E2BIG: .argumentsTooLarge(path)
    case EAGAIN: .unavailable("the system allows no further process (see ulimit -u)")
    case EMFILE, ENFILE: .unavailable("no descriptor left to start \(path) with (see ulimit -n)")
    case ENOMEM: .unavailable("no memory left to start \(path)")
    case ENOSYS: .unavailable("this system cannot follow a process: Linux 5.3 or newer is needed")
    default: .other(path, errorText(number))
    }
  }
}

/// Texts as C wants them: NUL-terminated, the list NULL-terminated; valid during the call.
private func withCStrings<Result>(
  _ texts: [String], _ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>) -> Result
) -> Result {
  let bytes = UnsafeMutablePointer<CChar>.allocate(capacity: max(1, texts.reduce(0) { $0 + $1.utf8.count + 1 }))
  let list = UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>.allocate(capacity: texts.count + 1)
  defer {
    bytes.deallocate()
    list.deallocate()
  }
  var end = bytes
  for (index, text) in texts.enumerated() {
    list[index] = end
    for byte in text.utf8 {
      end.pointee = CChar(bitPattern: byte)
      end += 1
    }
    end.pointee = 0
    end += 1
  }
  list[texts.count] = nil
  return body(list)
}

extension HostProcess {
  /// The file that a program's name means: itself with a slash, else the first that can be executed in the folders of a
  /// search path. Empty and relative folders are passed over, so that no working directory decides what runs.
  package static func program(_ name: String, searchPath: String) throws(ProcessFailure) -> String {
    if name.isEmpty { throw .badArgument("a program needs a name") }
    if name.contains("/") { return name }
    var denied: String?
    for folder in searchPath.split(separator: ":") where folder.hasPrefix("/") {
      let path = folder.hasSuffix("/") ? folder + name : "\(folder)/\(name)"
      guard isFile(path) else { continue }
      if access(path, X_OK) == 0 { return path }
      denied = denied ?? path
    }
    throw denied.map { .denied($0) } ?? .notFound(name)
  }
}
