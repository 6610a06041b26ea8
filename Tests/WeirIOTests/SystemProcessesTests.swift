import Glibc
import Testing
import WeirCore

@testable import WeirIO

/// Real programs through the port: what a child is given, what it says, how it ends, what is left of it.
@Suite(.serialized) struct SystemProcessesTests {
  private static let path = "/usr/local/bin:/usr/bin:/bin"
  private let threads = ThreadPool(name: "start")

  private func request(_ executable: String, _ arguments: [String] = []) -> ProcessRequest {
    ProcessRequest(
      executable: executable, searchPath: Self.path, arguments: arguments, environment: [("PATH", Self.path)])
  }

  /// Runs a program to its end; `started` may write to it or signal it.
  private func outcome(_ request: ProcessRequest, started: @escaping (Listener) -> Void = { _ in }) -> Listener {
    let listener = Listener()
    onLoop { loop, done in
      listener.onSettled = done
      listener.loop = loop
      SystemProcesses(loop, threads: threads).start(request) { result in
        switch result {
        case .success(let child):
          child.handler = listener
          listener.child = child
          listener.expected = [request.output, request.error].count { $0 == .pipe }
          started(listener)
        case .failure(let failure):
          listener.failure = failure
          done()
        }
      }
    }
    return listener
  }

  private func sh(_ script: String) -> ProcessRequest { request("sh", ["-c", script]) }

  // MARK: Ends

  @Test(arguments: [
    ("exit 0", ProcessExit.code(0)), ("exit 3", .code(3)), ("exit 255", .code(255)), ("kill -9 $$", .signal(9)),
    ("kill -15 $$", .signal(15)), ("kill -6 $$", .signal(6)), ("kill -13 $$", .signal(13)),
  ])
  func exits(_ script: String, _ exit: ProcessExit) { #expect(outcome(sh(script)).exit == exit) }

  @Test func whatItSaysArrivesOnItsStream() {
    let said = outcome(sh("echo out; echo err >&2; printf more"))
    #expect(said.text(.output) == "out\nmore")
    #expect(said.text(.error) == "err\n")
    #expect(said.ended == [.output, .error])
  }

  @Test func inputGoesInAndItsEndToo() {
    let cat = outcome(with(request("cat")) { $0.input = .pipe }) { listener in
      let line = Array("hello\n".utf8)
      #expect(listener.child?.write(line.span) == 6)
      #expect(listener.child?.write(line.span) == 6)
      listener.child?.closeInput()
      #expect(listener.child?.write(line.span) == 0)
    }
    #expect(cat.text(.output) == "hello\nhello\n")
    #expect(cat.exit == .code(0))
  }

  @Test func aFullInputSaysWhenItHasRoomAgain() {
    let total = 1 << 20
    var left = total
    let wc = outcome(with(request("wc", ["-c"])) { $0.input = .pipe }) { listener in
      func offer() {
        while left > 0 {
          let taken = listener.child?.write([UInt8](repeating: 7, count: left).span) ?? 0
          left -= taken
          if taken == 0 { return }
        }
        listener.child?.closeInput()
      }
      listener.onRoom = offer
      offer()
      #expect(left > 0, "a pipe takes a part only")
    }
    #expect(wc.text(.output) == "\(total)\n")
  }

  @Test func anInputThatTheChildClosedTakesNothing() {
    let deaf = outcome(with(sh("exec 0<&-; echo closed; sleep 0.2")) { $0.input = .pipe }) { listener in
      listener.onOutput = { _ = listener.child?.write([1, 2, 3].span) }
    }
    #expect(deaf.wasInputClosed)
    #expect(deaf.exit == .code(0))
  }

  @Test func aChildThatNobodyReadsWaits() {
    var isPaused = true
    let yes = outcome(sh("yes | head -c 1000000")) { listener in
      listener.child?.isReading = false
      _ = listener.loop?.after(.milliseconds(100)) {
        // A read was perhaps under way, no more.
        #expect((listener.bytes[.output]?.count ?? 0) <= EventLoop.receiveLimit)
        isPaused = false
        listener.child?.isReading = true
      }
    }
    #expect(!isPaused)
    #expect(yes.bytes[.output]?.count == 1_000_000)
  }

  /// A pipe whose writer has gone is told by the system turn after turn: a paused reader must not spin.
  @Test func aPausedReaderOfAPipeThatHungUpSpendsNoTime() {
    let before = threadTime()
    let done = outcome(sh("echo gone")) { listener in
      listener.child?.isReading = false
      _ = listener.loop?.after(.milliseconds(400)) { listener.child?.isReading = true }
    }
    #expect(done.text(.output) == "gone\n")
    #expect(threadTime() - before < .milliseconds(200))
  }

  @Test func aGroupOutlivesItsLeaderAndIsReached() {
    let left = outcome(sh("sleep 60 & sleep 60 & echo ready; exit 4")) { listener in
      listener.onExit = {
        #expect(listener.child?.isGroupAlive == true)
        listener.child?.signal(.terminate)
      }
    }
    #expect(left.exit == .code(4))
    #expect(left.ended == [.output, .error], "whoever held the pipes has gone")
  }

  /// A program in the background that reads from the terminal is stopped: it ends on TERM all the same.
  @Test func aStoppedProgramIsTerminated() {
    let stopped = outcome(sh("kill -STOP $$; sleep 60")) { listener in
      _ = listener.loop?.after(.milliseconds(50)) { listener.child?.signal(.terminate) }
    }
    #expect(stopped.exit == .signal(15))
  }

  // MARK: What a child is given

  @Test func itHasNoDescriptorButItsStreams() {
    // One without close-on-exec, as a library of somebody else's would open.
    let stray = fcntl(1, F_DUPFD, 60)
    defer { close(stray) }
    let seen = outcome(request("ls", ["/proc/self/fd"]))
    // 3 is the folder that it lists.
    #expect(seen.text(.output) == "0\n1\n2\n3\n")
  }

  @Test func signalsAreAtTheirDefaultsAndNoneIsBlocked() {
    signal(SIGUSR2, SIG_IGN)
    defer { signal(SIGUSR2, SIG_DFL) }
    let seen = outcome(request("grep", ["-E", "Sig(Blk|Ign)", "/proc/self/status"])).text(.output)
    // 32 and 33 belong to the C library, whose posix_spawn ignores them until a thread needs them.
    #expect(seen == "SigBlk:\t0000000000000000\nSigIgn:\t0000000180000000\n")
  }

  @Test func itLeadsAGroupOfItsOwn() {
    let fields = outcome(request("cat", ["/proc/self/stat"])).text(.output).split(separator: " ")
    #expect(fields[0] == fields[4])
    #expect(fields[4] != "\(getpgrp())")
  }

  @Test func itHasItsVariablesAndArgumentsAndNoOthers() {
    let seen = outcome(with(request("env")) { $0.environment = [("A", "1 = 2"), ("B", "")] })
    #expect(seen.text(.output) == "A=1 = 2\nB=\n")
    #expect(outcome(request("printf", ["%s|", "", "a b", "*", "$HOME", "ü"])).text(.output) == "|a b|*|$HOME|ü|")
    #expect(
      outcome(
        with(sh("echo $0")) {
          $0.name = "renamed"
          $0.arguments = ["-c", "cat /proc/$$/cmdline"]
        }
      )
      .text(.output).hasPrefix("renamed\0-c\0"))
  }

  @Test func tenThousandArguments() {
    let many = outcome(sh("echo $#").appending((1...10_000).map { "\($0)" }))
    #expect(many.text(.output) == "9999\n")
  }

  // MARK: What cannot be started

  @Test func refusalsSayWhatIsWrong() throws {
    let folder = try ProgramFolder()
    defer { folder.remove() }
    let cases: [(ProcessRequest, String)] = [
      (request(""), "BadArgument"), (request("a\0b"), "BadArgument"), (request("echo", ["a\0b"]), "BadArgument"),
      (with(request("env")) { $0.environment = [("A", "\0")] }, "BadArgument"),
      (request("no-such-program"), "ProgramNotFound"), (request("/no/such/file"), "ProgramNotFound"),
      (request("/tmp"), "IsFolder"), (request("/etc/passwd"), "ProgramDenied"),
      (request(folder.file("empty", "", executable: true)), "NotExecutable"),
      (request(folder.file("junk", "\u{1}\u{2}junk", executable: true)), "NotExecutable"),
      (request(folder.file("lost", "#!/no/such/shell\n", executable: true)), "InterpreterMissing"),
      (request("echo", [String(repeating: "x", count: 1 << 20)]), "ArgumentsTooLarge"),
    ]
    for (request, code) in cases { #expect(outcome(request).failure?.code == code, "\(request.executable)") }
    #expect(outcome(request("no-such-program")).failure?.hint?.contains("install no-such-program") == true)
  }

  /// What lies in the working directory is not started by a name.
  @Test func onlyAbsoluteFoldersAreSearched() throws {
    let folder = try ProgramFolder()
    defer { folder.remove() }
    let tool = folder.file("tool", "#!/bin/sh\necho found\n", executable: true)
    func search(_ path: String) -> Listener { outcome(with(request("tool")) { $0.searchPath = path }) }
    #expect(search(":.:relative").failure == .notFound("tool"))
    #expect(search("/nowhere:" + folder.path).text(.output) == "found\n")
    #expect(outcome(request(tool)).text(.output) == "found\n")
    _ = folder.file("plain", "text", executable: false)
    #expect(outcome(with(request("plain")) { $0.searchPath = folder.path }).failure?.code == "ProgramDenied")
  }

  // MARK: What is left

  @Test func manyChildrenLeaveNothing() {
    var (left, finished) = (500, 0)
    var pids: Set<Int32> = []
    onLoop { loop, done in
      let processes = SystemProcesses(loop, threads: threads)
      func next() {
        if left == 0 { return }
        left -= 1
        let listener = Listener()
        listener.onSettled = {
          finished += 1
          if finished == 500 { loop.soon(done) } else { next() }
        }
        processes.start(request("/bin/true")) { result in
          listener.child = try? result.get()
          if let child = listener.child as? SpawnedProcess { pids.insert(child.pid) }
          listener.child?.handler = listener
          listener.expected = 2
        }
      }
      for _ in 0..<4 { next() }
    }
    #expect(finished == 500 && pids.count == 500)
    #expect(Self.left(of: pids) == [])
  }

  @Test func aForgottenChildIsReapedAllTheSame() {
    onLoop { loop, done in
      SystemProcesses(loop, threads: threads).start(sh("sleep 0.05; echo unheard")) { result in
        guard let child = try? result.get() as? SpawnedProcess else { return }
        let pid = child.pid
        #expect(Self.left(of: [pid]) != [])
        child.forget()
        func look() {
          if Self.left(of: [pid]).isEmpty { return done() }
          _ = loop.after(.milliseconds(5), look)
        }
        look()
      }
    }
  }

  /// Descriptors of these processes, and those of them that nobody has reaped. Others of this process start programs too.
  private static func left(of pids: Set<Int32>) -> [String] {
    func field(_ path: String, _ find: (String) -> Substring?) -> Int32? {
      guard let bytes = try? HostProcess.read(path, limit: 4096) else { return nil }
      return find(String(decoding: bytes, as: UTF8.self)).flatMap { Int32($0) }
    }
    let descriptors = ((try? HostProcess.list("/proc/self/fdinfo")) ?? []).filter { name in
      let pid = field("/proc/self/fdinfo/\(name)") { text in
        text.split(separator: "\n").first { $0.hasPrefix("Pid:") }?.split(separator: "\t").last
      }
      return pid.map(pids.contains) ?? false
    }
    let unreaped = pids.filter { pid in
      field("/proc/\(pid)/stat") { $0.split(separator: ")").last?.split(separator: " ").dropFirst().first } == getpid()
    }
    return descriptors.map { "descriptor \($0)" } + unreaped.map { "process \($0)" }
  }
}

private func with(_ request: ProcessRequest, _ change: (inout ProcessRequest) -> Void) -> ProcessRequest {
  var copy = request
  change(&copy)
  return copy
}

extension ProcessRequest {
  fileprivate func appending(_ more: [String]) -> ProcessRequest { with(self) { $0.arguments += more } }
}

/// Files that may be programs.
private struct ProgramFolder {
  let path: String

  init() throws {
    var template = Array("/tmp/weir-programs-XXXXXX".utf8CString)
    path = String(cString: try #require(mkdtemp(&template)))
  }

  func file(_ name: String, _ text: String, executable: Bool) -> String {
    let file = "\(path)/\(name)"
    try? HostProcess.replace(file, with: Array(text.utf8))
    chmod(file, executable ? 0o755 : 0o644)
    return file
  }

  func remove() {
    for name in (try? HostProcess.list(path)) ?? [] { unlink("\(path)/\(name)") }
    rmdir(path)
  }
}

/// Keeps everything that a child's port says, and says itself when there will be nothing more.
private final class Listener: ProcessHandler {
  var loop: EventLoop?
  var child: (any ChildProcess)?
  var failure: ProcessFailure?
  var bytes: [ConsoleStream: [UInt8]] = [:]
  var ended: Set<ConsoleStream> = []
  var exit: ProcessExit?
  var wasInputClosed = false
  /// Pipes that will end.
  var expected = 0
  var onSettled: () -> Void = {}
  var onRoom: () -> Void = {}
  var onOutput: () -> Void = {}
  var onExit: () -> Void = {}

  func text(_ stream: ConsoleStream) -> String { String(decoding: bytes[stream] ?? [], as: UTF8.self) }

  func processWrote(_ bytes: Span<UInt8>, to stream: ConsoleStream) {
    bytes.withUnsafeBufferPointer { self.bytes[stream, default: []].append(contentsOf: $0) }
    onOutput()
  }
  func processEnded(_ stream: ConsoleStream) {
    ended.insert(stream)
    settle()
  }
  func processInputHasRoom() { onRoom() }
  func processInputClosed() { wasInputClosed = true }
  func processExited(_ exit: ProcessExit) {
    self.exit = exit
    onExit()
    settle()
  }
  private func settle() { if exit != nil, ended.count == expected { onSettled() } }
}
