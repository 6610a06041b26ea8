import Weir
import WeirCore
import WeirLang
import WeirRuntime

/// The flags that say how a program runs, wherever it is run: `run`, `serve`, `test`.
enum ProgramFlags {
  static func read(_ command: ParsedCommand, into options: inout ProgramInstance.Options) throws(UsageFailure) {
    options.provider = command["ai"]
    options.model = command["model"]
    options.maxCost = try maxCost(command)
    options.effects = try effects(command)
    options.trace = command["trace"]
    options.tracesContent = command.has("trace-content")
    options.version = WeirVersion.text
    options.reportsBudget = command.has("budget-report")
    options.streams = try StreamFlags.limits(command)
    options.network = try NetworkFlags.policy(command)
    options.processes = try ProcessFlags.policy(command)
    if let time = try command.duration("net-timeout") {
      guard time > .zero else { throw UsageFailure("--net-timeout needs more than no time", command: command.name) }
      options.net.timeout = time
    }
    if let bytes = try command.number("net-max-response", in: 1...(1 << 30)) { options.net.response = bytes }
    if let count = try command.number("net-redirects", in: 0...50) { options.net.redirects = count }
  }

  static func maxCost(_ command: ParsedCommand) throws(UsageFailure) -> Double? {
    guard let text = command["max-cost"] else { return nil }
    guard let usd = Double(text), usd.isFinite, usd >= 0 else {
      throw UsageFailure("--max-cost needs an amount of USD such as 0.50, not \"\(text)\"", command: command.name)
    }
    return usd
  }

  /// `AI=20,Stream=100`
  private static func effects(_ command: ParsedCommand) throws(UsageFailure) -> [EffectLimit] {
    var limits: [EffectLimit] = []
    for part in (command["budget"] ?? "").split(separator: ",") {
      let pieces = part.split(separator: "=", maxSplits: 1).map { String($0).trimmed }
      guard pieces.count == 2, let count = Int(pieces[1]), count >= 0 else {
        throw UsageFailure(
          "--budget needs effects and numbers such as AI=20,Stream=100, not \"\(part)\"", command: command.name)
      }
      guard EffectSet(pieces[0]) != nil else {
        let near = Spelling.nearest(to: pieces[0], among: EffectSet.names)
        throw UsageFailure(
          "there is no effect \"\(pieces[0])\"",
          hint: near.map { "did you mean \($0)?" } ?? "there are \(EffectSet.names.joined(separator: ", "))")
      }
      limits.append(EffectLimit(effect: pieces[0], count: count))
    }
    return limits
  }
}
