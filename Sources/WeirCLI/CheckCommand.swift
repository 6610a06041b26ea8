import Weir
import WeirCore
import WeirLang

/// `weir check FILE…`: all problems of all files; exit 1 if any is an error.
enum CheckCommand {
  static func run(_ command: ParsedCommand) throws(UsageFailure) -> Int {
    try command.checkColor()
    var failed = false
    var found: [JSONValue] = []
    for path in command.operands {
      do throws(DiskFailure) {
        let file = try ProgramFile(path)
        failed = failed || file.result.diagnostics.hasErrors
        if command.has("json") {
          found += file.diagnosticsAsJSON
        } else {
          Terminal.talk(file.rendered(color: Terminal.usesColor(command["color"])))
        }
      } catch {
        failed = true
        if command.has("json") {
          found.append([
            "file": .string(path), "code": .string(error.code), "severity": "error", "title": .string(error.message),
          ])
        } else {
          Terminal.complain(error)
        }
      }
    }
    if command.has("json") { Terminal.say(JSONValue.object([JSONMember("diagnostics", .array(found))]).text + "\n") }
    return failed ? 1 : 0
  }
}
