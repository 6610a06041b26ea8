import Weir
import WeirCore

/// `weir chat [MODEL]`: talk to a model.
enum ChatCommand {
  /// Works without network and key, and says what it is.
  static let usualModel = "eliza"

  static func run(_ command: ParsedCommand) throws(UsageFailure) -> Int {
    var options = ChatRun.Options(model: command.operands.first ?? usualModel)
    options.system = command["system"]
    options.record = command["record"]
    options.maxCost = try ProgramFlags.maxCost(command)
    do {
      let project = try Project.load(near: "chat", explicit: command["config"])
      return try ChatRun(options, project: project, store: StoreFlags.options(command, project)).run()
    } catch let failure as UsageFailure {
      throw failure
    } catch {
      Terminal.complain(error)
      return 1
    }
  }
}
