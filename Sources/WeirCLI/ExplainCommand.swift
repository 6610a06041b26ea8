import Weir
import WeirCore
import WeirLang

/// `weir explain E0101`: the page of a code; without one, all codes with their titles.
enum ExplainCommand {
  static func run(_ command: ParsedCommand) throws(UsageFailure) -> Int {
    try command.checkColor()
    let library = ProgramFile.library
    guard let wanted = command.operands.first else {
      Terminal.say(command.has("json") ? list.text + "\n" : ErrorPage.list)
      return 0
    }
    guard let page = ErrorPage.page(wanted) else { throw unknown(wanted) }
    if command.has("json") {
      Terminal.say(page.json(library: library).text + "\n")
    } else {
      Terminal.say(page.text(library: library, color: command["color"] == "always"))
    }
    return 0
  }

  private static var list: JSONValue {
    .array(ErrorPage.all.map { ["code": .string($0.code), "title": .string($0.title)] })
  }

  private static func unknown(_ text: String) -> UsageFailure {
    let near = Spelling.nearest(to: text.lowercased(), among: ErrorPage.all.map { $0.code.lowercased() })
      .flatMap(ErrorPage.page)
    let meant = near.map { "did you mean `weir explain \($0.code)` (\($0.title))? " } ?? ""
    return UsageFailure("there is no code \"\(text)\"", hint: meant + "`weir explain` lists all")
  }
}
