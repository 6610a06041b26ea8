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
          Terminal.talk(file.rendered(color: Terminal.usesColor(command["color"]), withNotes: true))
        }
      } catch {
        failed = true
        if command.has("json") {
          found.append(.diagnostic(error, file: path))
        } else {
          Terminal.complain(error)
        }
      }
    }
    if command.has("json") { Terminal.say(JSONValue.object([JSONMember("diagnostics", .array(found))]).text + "\n") }
    return failed ? 1 : 0
  }
}

extension JSONValue {
  /// What is wrong with a file as a whole, in the form of a diagnostic without a place.
  static func diagnostic(_ failure: any Failure, file: String) -> JSONValue {
    let whole = Diagnostic(failure.code, failure.message, at: Span(file: 0, start: 0, end: 0), hint: failure.hint)
    return DiagnosticPrinter(Source(name: file, bytes: [])).json(whole)
  }
}
