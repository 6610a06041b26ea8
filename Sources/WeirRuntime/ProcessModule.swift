import WeirCore
import WeirFlow
import WeirLang

/// `std/process` (spec/streams.md): programs started without a shell, within the program's `ProcessPolicy`.
enum ProcessModule {
  static var module: LibraryModule {
    LibraryModule(
      name: "std/process",
      source: """
        // Other programs: run to their end, or started and written to.

        /// A running program whose standard input can be written.
        export extern type ProcessHandle
        /// Why a program could not be run to its end. `NotAllowed` names the command and the flag that would allow it.
        export type ProcessError = NotFound(string) | NotAllowed(string) | Timeout(string) | Failed(string)
        /// What a program has said and how it ended: its exit code, or 128 and the number of the signal that ended it.
        /// `truncated`: it said more than is kept.
        export type ProcessOutput = {stdout: bytes, stderr: bytes, exitCode: int, truncated: bool}

        /// Runs a program to its end, with nothing to read. An exit code other than 0 is no error here.
        export extern func exec(cmd: string, args: [string]) -> Result[ProcessOutput, ProcessError] ! {Process}
        /// Starts a program; what it writes goes to the terminal. One that can't be started ends the program.
        export extern func spawnProcess(cmd: string, args: [string]) -> ProcessHandle ! {Process}
        /// Queues bytes for the program's standard input; never waits for it to read them.
        export extern func writeProcessStdin(handle: ProcessHandle, data: bytes) -> Result[(), string] ! {Process}
        /// The program sees the end of its input, behind what was written.
        export extern func closeProcessStdin(handle: ProcessHandle) -> () ! {Process}
        """,
      natives: [
        suspending("exec") { (answer: Answer<ProcessResult>, command: String, arguments: [String]) in
          let instance = try ProgramInstance.of(answer.context)
          let run = ProcessRun(command, arguments, in: instance.processes, loop: instance.world.loop) { outcome in
            answer.resume(ProcessResult(outcome, command))
          }
          answer.onCancel { run.cancel() }
        },
        suspending("spawnProcess") { (answer: Answer<ProcessHandle>, command: String, arguments: [String]) in
          let instance = try ProgramInstance.of(answer.context)
          let (streams, fiber) = (instance.streams, answer.context.fiber)
          let start = try instance.processes.start(
            command, arguments, streams: { $0.connect(.pipe, .inherited, .inherited) }
          ) {
            switch $0 {
            case .success(let process): answer.resume(streams.opened(process, for: fiber))
            case .failure(let failure): answer.fail(Trap(failure))
            }
          }
          answer.onCancel { start.cancel() }
        },
        native("writeProcessStdin") { (handle: ProcessHandle, data: Bytes) -> Outcome<Unit, String> in
          handle.write(data.array).map { .err($0.message) } ?? .ok(Unit())
        },
        native("closeProcessStdin") { (handle: ProcessHandle) in
          handle.process?.closeInput()
          return Unit()
        },
      ],
      types: [ProcessResult.error], records: [ProcessResult.output]
    )
  }
}

extension ProcessRequest {
  mutating func connect(_ input: Stream, _ output: Stream, _ error: Stream) {
    self.input = input
    self.output = output
    self.error = error
  }
}

/// `ProcessHandle`: a process that its program can write to. Dropping it changes nothing: the process belongs to the
/// program, whose end is its end.
final class ProcessHandle: Handle, BridgedHandle {
  static var typeName: String { "ProcessHandle" }

  /// nil: it was given up.
  private(set) var process: Subprocess?

  init(_ process: Subprocess?) {
    self.process = process
    super.init(kind: "ProcessHandle")
  }

  func write(_ bytes: [UInt8]) -> ProcessInputFailure? {
    guard let process else { return .notFound }
    return process.write(bytes)
  }

  func giveUp() { process = nil }
}

/// `Result[ProcessOutput, ProcessError]`.
struct ProcessResult: Bridged {
  static let error = TypeTag(24, "ProcessError", ["NotFound", "NotAllowed", "Timeout", "Failed"])
  static let output = RecordTag(16, ["stdout", "stderr", "exitCode", "truncated"])
  static var typeName: String { "Result[ProcessOutput, ProcessError]" }
  static func bridge(_ value: Value) -> ProcessResult? { ProcessResult(bridged: value) }

  let bridged: Value
}

extension ProcessResult {
  init(_ outcome: ProcessRun.Outcome, _ command: String) {
    switch outcome {
    case .ended(let exit, let output, let error, let isTruncated):
      bridged = Value.ok(
        Self.output.value([
          "stdout": .bytes(output), "stderr": .bytes(error), "exitCode": .int(exit.shellCode),
          "truncated": .bool(isTruncated),
        ]))
    case .timedOut(let time):
      bridged = Self.failure(
        "Timeout", "\(command) did not end within \(time.text) (--process-timeout); it was stopped")
    case .failed(let failure):
      let text = failure.message + (failure.hint.map { "; \($0)" } ?? "")
      switch failure {
      case .notFound: bridged = Self.failure("NotFound", text)
      case .notAllowed: bridged = Self.failure("NotAllowed", text)
      default: bridged = Self.failure("Failed", text)
      }
    }
  }

  private static func failure(_ name: String, _ text: String) -> Value {
    guard let tag = error[name] else { return .unit }
    return Value.err(.constructor(tag, [.string(text)]))
  }
}
