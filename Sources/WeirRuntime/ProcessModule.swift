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
          let run = try instance.streams.run(command, arguments, in: instance.processes) {
            answer.resume(ProcessResult($0))
          }
          answer.onCancel { run.cancel() }
        },
        suspending("spawnProcess") { (answer: Answer<ProcessHandle>, command: String, arguments: [String]) in
          let instance = try ProgramInstance.of(answer.context)
          let start = try instance.streams.spawn(
            command, arguments, in: instance.processes, for: answer.context.fiber
          ) {
            switch $0 {
            case .success(let handle): answer.resume(handle)
            case .failure(let trap): answer.fail(trap)
            }
          }
          answer.onCancel { start.cancel() }
        },
        native("writeProcessStdin") { (handle: ProcessHandle, data: Bytes) -> Outcome<Unit, String> in
          handle.write(data.array).map { .err($0.message) } ?? .ok(Unit())
        },
        native("closeProcessStdin") { (handle: ProcessHandle) in
          handle.closeInput()
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

  private enum Target {
    case running(Subprocess)
    case replayed(ReplayedInput)
    /// It was given up.
    case gone
  }

  private var target: Target
  private let onRefused: ((_ write: Int, ProcessInputFailure) -> Void)?
  private var writes = 0

  /// `onRefused` is told which write was not taken.
  init(_ process: Subprocess, onRefused: ((_ write: Int, ProcessInputFailure) -> Void)? = nil) {
    target = .running(process)
    self.onRefused = onRefused
    super.init(kind: "ProcessHandle")
  }

  init(_ input: ReplayedInput) {
    target = .replayed(input)
    onRefused = nil
    super.init(kind: "ProcessHandle")
  }

  func write(_ bytes: [UInt8]) -> ProcessInputFailure? {
    switch target {
    case .gone: return .notFound
    case .replayed(let input): return input.write()
    case .running(let process):
      defer { writes += 1 }
      let failure = process.write(bytes)
      if let failure { onRefused?(writes, failure) }
      return failure
    }
  }

  func closeInput() {
    switch target {
    case .gone: break
    case .replayed(let input): input.close()
    case .running(let process): process.closeInput()
    }
  }

  func giveUp() { target = .gone }
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
  init(_ outcome: Recording.Outcome) {
    switch outcome {
    case .output(let output, let error, let code, let isTruncated):
      bridged = Value.ok(
        Self.output.value([
          "stdout": .bytes(output), "stderr": .bytes(error), "exitCode": .int(code), "truncated": .bool(isTruncated),
        ]))
    case .failed(let failed): bridged = Self.failure(failed.code, failed.message)
    case .cancelled: bridged = Self.failure("Failed", "it was cancelled")
    }
  }

  private static func failure(_ name: String, _ text: String) -> Value {
    // The name may come out of a recording that somebody changed.
    guard let tag = error[name] ?? error["Failed"] else { preconditionFailure("ProcessError has no Failed") }
    return Value.err(.constructor(tag, [.string(text)]))
  }
}

extension ProcessRun.Outcome {
  /// As a recording has it: failures are constructors of `ProcessError`.
  func recorded(_ command: String) -> Recording.Outcome {
    switch self {
    case .ended(let exit, let output, let error, let isTruncated):
      return .output(output, error: error, code: exit.shellCode, isTruncated: isTruncated)
    case .timedOut(let time):
      let message = "\(command) did not end within \(time.text) (--process-timeout); it was stopped"
      return .failed(.init(code: "Timeout", message: message))
    case .failed(let failure):
      let code =
        switch failure {
        case .notFound: "NotFound"
        case .notAllowed: "NotAllowed"
        default: "Failed"
        }
      return .failed(.init(code: code, message: failure.message + (failure.hint.map { "; \($0)" } ?? "")))
    }
  }
}
