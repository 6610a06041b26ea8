import Weir
import WeirCore
import WeirRuntime
import WeirStore

/// The flags that say where streams are kept: `--store`, else `WEIR_STORE`, else `store` of weir.toml, else `.weir/streams`.
enum StoreFlags {
  static func options(_ command: ParsedCommand, _ project: Project) throws(UsageFailure) -> StoreOptions {
    var options = StoreOptions()
    let variable = Terminal.environment(StoreChoice.variable).flatMap { $0.isEmpty ? nil : $0 }
    do throws(StoreChoice.BadChoice) {
      options.choice = try StoreChoice(command["store"] ?? variable ?? project.store ?? StoreChoice.usualFolder)
    } catch {
      throw UsageFailure(error.message, hint: error.hint)
    }
    if let text = command["store-sync"] ?? project.storeSync, text != "always" {
      guard let time = Duration(text: text), (1...syncLimit).contains(time.milliseconds) else {
        throw UsageFailure(
          "--store-sync needs \"always\" or a time from 1ms to 1m, not \"\(text)\"", command: command.name)
      }
      options.synchronization = .everyMilliseconds(Int(time.milliseconds))
    }
    return options
  }

  /// `--keep`, else `WEIR_KEEP`, else `keep` of weir.toml, else what is usual.
  static func retention(_ command: ParsedCommand, _ project: Project) throws(UsageFailure) -> RunRetention {
    let variable = Terminal.environment(RunRetention.variable).flatMap { $0.isEmpty ? nil : $0 }
    let said: [(what: String, text: String?)] = [
      ("--keep", command["keep"]), (RunRetention.variable, variable), ("keep of weir.toml", project.keep),
    ]
    guard let (what, text) = said.first(where: { $0.text != nil }), let text else { return .usual }
    guard let retention = RunRetention(text: text) else {
      throw UsageFailure(
        "\(what) needs a time from 1s to 366d, or \"\(RunRetention.forever)\", not \"\(text)\"",
        hint: text == "0"
          ? "to keep nothing behind the process: --store memory" : "30d and 12h are times", command: command.name)
    }
    return retention
  }

  private static let syncLimit: Int64 = 60_000
}
