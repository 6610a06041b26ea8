import Weir
import WeirCore

/// `weir new NAME [--template …]`: a folder with a program that runs, its tests, and what to do next.
enum NewCommand {
  static func run(_ command: ParsedCommand) throws(UsageFailure) -> Int {
    let word = command["template"] ?? ProjectTemplate.chat.rawValue
    guard let template = ProjectTemplate(rawValue: word) else {
      let all = ProjectTemplate.allCases.map(\.rawValue)
      let near = Spelling.nearest(to: word, among: all).map { "did you mean --template \($0)?" }
      throw UsageFailure(
        "there is no template \"\(word)\"", hint: near ?? "there are \(all.joined(separator: " and "))")
    }
    do throws(NewProjectFailure) {
      let project = try NewProject(command.operands[0], template)
      for path in try project.make() { Terminal.say(Terminal.printable(path) + "\n") }
      Terminal.talk("\nnow:  cd \(Terminal.printable(project.folder)) && \(template.firstCommand)\n")
      return 0
    } catch {
      Terminal.complain(error)
      return 1
    }
  }
}
