import Weir
import WeirCore

/// `weir fmt FILE…`: canonical spelling in place; `-` reads stdin and writes stdout; `--check` only says what would change.
enum FormatCommand {
  static func run(_ command: ParsedCommand) throws(UsageFailure) -> Int {
    try command.checkColor()
    let color = Terminal.usesColor(command["color"])
    var failed = false
    for operand in command.operands {
      do throws(DiskFailure) {
        for path in try ProgramFiles.named(operand) {
          let isFine = try format(path, isCheck: command.has("check"), color: color)
          failed = failed || !isFine
        }
      } catch {
        Terminal.complain(error)
        failed = true
      }
    }
    return failed ? 1 : 0
  }

  private static func format(_ path: String, isCheck: Bool, color: Bool) throws(DiskFailure) -> Bool {
    let name = path == "-" ? "<stdin>" : path
    let bytes = try FormatRun.read(path)
    switch FormatRun.format(name, bytes, color: color) {
    case .unchanged:
      if path == "-", !isCheck { Terminal.say(String(decoding: bytes, as: UTF8.self)) }
    case .changed(let text):
      if isCheck {
        Terminal.say(name + "\n")
        return false
      }
      if path == "-" { Terminal.say(text) } else { try FormatRun.write(path, text) }
    case .unreadable(let diagnostics):
      Terminal.talk(diagnostics)
      return false
    case .refused:
      Terminal.talk(
        "weir: \(name) is left as it is: formatting would have changed what it means\n  hint: please report this file\n"
      )
      return false
    }
    return true
  }
}
