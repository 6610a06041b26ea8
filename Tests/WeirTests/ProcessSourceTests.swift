import Synchronization
import Testing
import Weir
import WeirIO

/// `ProcessSource` with real programs.
@Suite(.timeLimit(.minutes(1))) struct ProcessSourceTests {
  private func all(_ process: ProcessSource) async throws -> [ProcessSource.Event] {
    var events: [ProcessSource.Event] = []
    for try await event in process { events.append(event) }
    return events
  }

  @Test func catBothWays() async throws {
    let cat = try await ProcessSource.start("cat")
    var iterator = cat.makeAsyncIterator()
    try await cat.write("one\r\n")
    #expect(try await iterator.next() == .line("one"))
    try await cat.write("žluť\nlast")
    cat.closeInput()
    #expect(try await iterator.next() == .line("žluť"))
    #expect(try await iterator.next() == .line("last"))
    #expect(try await iterator.next() == .exit(code: 0))
    #expect(try await iterator.next() == nil)
    await #expect { try await cat.write("late") } throws: { ($0 as? WeirError)?.code == "ProcessExited" }
  }

  @Test func errorsExitCodesAndSignals() async throws {
    let both = try await ProcessSource.start("sh", ["-c", "echo bad >&2; exit 3"])
    #expect(try await all(both) == [.errorLine("bad"), .exit(code: 3)])
    var options = ProcessSource.Options()
    options.deliversErrors = false
    let one = try await ProcessSource.start("sh", ["-c", "echo bad >&2; kill -KILL $$"], options)
    #expect(try await all(one) == [.exit(code: 137)])
  }

  @Test func chunksAreFull() async throws {
    var options = ProcessSource.Options()
    options.output = .chunks(1000)
    let zeros = try await ProcessSource.start("head", ["-c", "2500", "/dev/zero"], options)
    #expect(
      try await all(zeros)
        == [1000, 1000, 500].map { .bytes(Array(repeating: 0, count: $0)) } + [.exit(code: 0)])
  }

  @Test func whatCannotBeStarted() async throws {
    var options = ProcessSource.Options()
    options.output = .chunks(0)
    for (command, options, code) in [
      ("no-such-program-4711", ProcessSource.Options(), "ProgramNotFound"), ("cat", options, "BadArgument"),
    ] {
      await #expect { _ = try await ProcessSource.start(command, [], options) } throws: {
        ($0 as? WeirError)?.code == code
      }
    }
  }

  @Test func theEnvironmentHasNoSecrets() async throws {
    var options = ProcessSource.Options()
    options.environment = ["MINE_TOKEN": "asked for", "PLAIN": "1"]
    let env = try await ProcessSource.start("env", [], options)
    let seen = try await all(env)
    #expect(seen.contains(.line("MINE_TOKEN=asked for")) && seen.contains(.line("PLAIN=1")))
    let secrets = seen.filter { if case .line(let line) = $0 { line.contains("API_KEY=") } else { false } }
    #expect(secrets.isEmpty)
  }

  /// A shell that says when it is told to end, and what it started.
  private static let stubborn = """
    trap 'echo told >&2; exit 9' TERM; echo $$; while true; do sleep 0.01; done
    """

  /// Returns when the system knows no process of its group any more.
  private func untilGone(_ pid: String) async throws {
    let wait = try await ProcessSource.start("sh", ["-c", "while kill -0 -\(pid) 2>/dev/null; do sleep 0.01; done"])
    _ = try await all(wait)
  }

  @Test func cancellingTheReaderStopsIt() async throws {
    let pid = Mutex("")
    let task = Task {
      let process = try await ProcessSource.start("sh", ["-c", Self.stubborn])
      for try await event in process {
        if case .line(let line) = event { pid.withLock { $0 = line } }
      }
      return true
    }
    while pid.withLock(\.isEmpty) { await Task.yield() }
    task.cancel()
    #expect(try await task.value)
    try await untilGone(pid.withLock { $0 })
  }

  @Test func stoppingAndDroppingStopIt() async throws {
    for isDropped in [false, true] {
      var process: ProcessSource? = try await ProcessSource.start("sh", ["-c", Self.stubborn])
      var pid = ""
      do {
        var iterator = process?.makeAsyncIterator()
        if case .line(let line)? = try await iterator?.next() { pid = line }
        if !isDropped {
          process?.stop()
          #expect(try await iterator?.next() == nil)
        }
      }
      if isDropped { process = nil }
      try await untilGone(pid)
    }
  }

  @Test func cancellingTheStart() async throws {
    for _ in 0..<20 {
      let task = Task { try await all(ProcessSource.start("sleep", ["1000"])) }
      task.cancel()
      do { #expect(try await task.value == []) } catch let error as WeirError { #expect(error.code == "Cancelled") }
    }
  }

  /// SIGTERM is ignored: after 5 seconds SIGKILL.
  @Test func whoDoesNotListenIsKilled() async throws {
    let deaf = try await ProcessSource.start("sh", ["-c", "trap '' TERM; echo $$; while true; do sleep 0.1; done"])
    var iterator = deaf.makeAsyncIterator()
    guard case .line(let pid)? = try await iterator.next() else { return #expect(Bool(false)) }
    deaf.stop()
    try await untilGone(pid)
  }

  /// A full pipe and a full queue: the write waits, and is taken once the process reads on.
  @Test func aWriteWaitsForRoom() async throws {
    let cat = try await ProcessSource.start("cat", [], Self.big)
    let piece = Array(repeating: UInt8(7), count: 1 << 20)
    let written = Mutex(0)
    let writer = Task {
      for _ in 0..<16 {
        try await cat.write(piece)
        written.withLock { $0 += 1 }
      }
      cat.closeInput()
    }
    var count = 0
    for try await event in cat {
      if count == 0 { #expect(written.withLock { $0 } < 16, "what nobody reads is not taken without end") }
      if case .bytes(let bytes) = event { count += bytes.count }
    }
    try await writer.value
    #expect(count == 16 << 20)
  }

  private static var big: ProcessSource.Options {
    var options = ProcessSource.Options()
    options.output = .chunks(65_536)
    return options
  }
}
