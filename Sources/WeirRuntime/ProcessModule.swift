import WeirLang

/// `std/process` (spec/streams.md): programs started without a shell. Declared, so that programs that use it can be
/// checked; this build does not start processes yet.
enum ProcessModule {
  static var module: LibraryModule {
    LibraryModule(
      name: "std/process",
      source: """
        /// A running program whose standard input can be written.
        export extern type ProcessHandle
        /// Why a program could not be run to its end. `NotAllowed` names the command and the flag that would allow it.
        export type ProcessError = NotFound(string) | NotAllowed(string) | Timeout(string) | Failed(string)
        export type ProcessOutput = {stdout: bytes, stderr: bytes, exitCode: int, truncated: bool}

        /// Runs a program to its end. An exit code other than 0 is no error here.
        export extern func exec(cmd: string, args: [string]) -> Result[ProcessOutput, ProcessError] ! {Process}
        /// Starts a program; what it writes goes to the terminal.
        export extern func spawnProcess(cmd: string, args: [string]) -> ProcessHandle ! {Process}
        export extern func writeProcessStdin(handle: ProcessHandle, data: bytes) -> Result[(), string] ! {Process}
        /// The program sees the end of its input.
        export extern func closeProcessStdin(handle: ProcessHandle) -> () ! {Process}
        """,
      natives: [],
      absent: absent("exec", "spawnProcess", "writeProcessStdin", "closeProcessStdin")
    )
  }
}
