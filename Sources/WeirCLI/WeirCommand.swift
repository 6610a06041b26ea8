import Weir
import WeirCore

/// The `weir` command: reads the command line and hands over to the command named. stdout is data, stderr is talk.
///
/// Exit status: 0 done · 1 failed · 2 usage · 3 a capability was not granted · 130 interrupted.
@main enum WeirCommand {
  static func main() {
    Terminal.begin()
    Terminal.exit(run(Array(Terminal.arguments.dropFirst())))
  }

  static func run(_ arguments: [String]) -> Int {
    do throws(UsageFailure) {
      if let index = Terminal.unreadableArgument {
        throw UsageFailure(
          "argument \(index) is not UTF-8: \"\(Terminal.arguments[index])\"",
          hint: "give bytes by standard input or in a file")
      }
      return try dispatch(arguments)
    } catch {
      Terminal.complain(error)
      return 2
    }
  }

  private static func dispatch(_ arguments: [String]) throws(UsageFailure) -> Int {
    switch arguments.first {
    case "--help", "-h":
      Terminal.say(CommandLineParser.overview(Commands.all))
      return 0
    case "--version":
      Terminal.say("weir \(WeirVersion.text)\n")
      return 0
    case nil:
      Terminal.talk(CommandLineParser.overview(Commands.all))
      return 2
    default: break
    }
    let command = try CommandLineParser.parse(arguments, commands: Commands.all)
    if command.name == "help" || command.has("help") { return try help(command) }
    switch command.name {
    case "check": return try CheckCommand.run(command)
    case "explain": return try ExplainCommand.run(command)
    case "fmt": return try FormatCommand.run(command)
    case "doc": return try DocCommand.run(command)
    case "new": return try NewCommand.run(command)
    case "test": return try TestCommand.run(command)
    case "run", "serve": return try RunCommand.run(command)
    case "runs": return try RunsCommand.run(command)
    case "chat": return try ChatCommand.run(command)
    case "models": return try ModelsCommand.run(command)
    case "streams": return try StreamsCommand.run(command)
    case "doctor": return try DoctorCommand.run(command)
    case "webui": return try WebUICommand.run(command)
    case "version": Terminal.say("weir \(WeirVersion.text)\n")
    default: throw UsageFailure("there is no command \"\(command.name)\"")
    }
    return 0
  }

  private static func help(_ command: ParsedCommand) throws(UsageFailure) -> Int {
    guard let topic = command.name == "help" ? command.operands.first : command.name else {
      Terminal.say(CommandLineParser.overview(Commands.all))
      return 0
    }
    guard let spec = Commands.all.first(where: { $0.name == topic }) else {
      throw UsageFailure("there is no command \"\(topic)\"")
    }
    Terminal.say(CommandLineParser.help(spec))
    return 0
  }
}
