import WeirCore
import WeirIO

/// The command's own talk with whoever typed it. Programs write through their world's console, not through this.
package enum Terminal {
  package static var arguments: [String] { HostProcess.arguments }
  package static var unreadableArgument: Int? { HostProcess.unreadableArgument }
  package static func environment(_ name: String) -> String? { ProcessEnvironment()[name] }
  /// Once, before anything else: this process is the command's alone.
  package static func begin() {
    HostProcess.keepFreedMemory()
    HostProcess.raiseDescriptorLimit()
  }
  package static func exit(_ code: Int) -> Never { HostProcess.exit(code) }
  package static func readLine() -> String? { HostProcess.readLine() }

  /// Data: stdout. What cannot be written whole (a full disk, a closed descriptor) is a failed command, not a short answer.
  package static func say(_ text: String) {
    guard let lost = HostProcess.write(text, to: 1) else { return }
    talk("weir: cannot write to standard output: \(lost)\n")
    exit(1)
  }
  /// Talk: stderr.
  package static func talk(_ text: String) {
    if !text.isEmpty { HostProcess.write(text, to: 2) }
  }

  /// Names from a program or a folder, without what would command a terminal.
  package static func printable(_ text: String) -> String {
    String(
      String.UnicodeScalarView(
        text.unicodeScalars.map { $0.value < 0x20 || (0x7F..<0xA0).contains($0.value) ? "\u{FFFD}" : $0 }))
  }

  package static func complain(_ error: any Error) {
    guard let failure = error as? any Failure else { return talk("weir: \(error)\n") }
    talk("weir: \(failure.message)\n" + (failure.hint.map { "  hint: \($0)\n" } ?? ""))
  }

  /// Somebody can be asked: both ends of the conversation are a terminal.
  package static var isInteractive: Bool { HostProcess.isTerminal(0) && HostProcess.isTerminal(2) }

  /// `--color auto|always|never`; auto is a terminal without NO_COLOR.
  package static func usesColor(_ choice: String?) -> Bool {
    switch choice {
    case "always": true
    case "never": false
    default: HostProcess.isTerminal(2) && environment("NO_COLOR") == nil
    }
  }
}

package enum WeirVersion {
  package static let text = "0.1.0-dev"
}
