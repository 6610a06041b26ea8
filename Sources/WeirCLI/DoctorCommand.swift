import Weir
import WeirCore

/// `weir doctor`: is the configuration right, are the keys there, do the providers answer, does a proxy let streams through?
/// Exit status 1 when something needs a cure.
enum DoctorCommand {
  static let usualPort = 8080

  static func run(_ command: ParsedCommand) throws(UsageFailure) -> Int {
    let port = try command.number("port", in: 1...65535) ?? usualPort
    if command.has("port"), !command.has("through") {
      throw UsageFailure("--port is for --through", command: command.name)
    }
    if let url = command["through"] { return probe(url, port: port) }
    let project: Project
    do {
      project = try Project.load(near: "doctor", explicit: command["config"])
    } catch {
      Terminal.say("✗ configuration: \(error)\n")
      return 1
    }
    Terminal.say(
      project.files.isEmpty
        ? "– configuration: there is no weir.toml here or above; built-in providers only\n"
        : "✓ configuration: \(project.files.map(Terminal.printable).joined(separator: ", "))\n")
    let check = ProviderCheck(project)
    var isWell = true
    for row in check.rows where row.isLikelyUsed || row.name == "eliza" {
      let (line, isFine) = examine(row, check, offline: command.has("offline"))
      Terminal.say(Terminal.printable(line) + "\n")
      if !isFine { isWell = false }
    }
    let others = check.rows.filter { !$0.isLikelyUsed && $0.name != "eliza" }.map(\.name)
    Terminal.say("– not looked at, no key is set: \(others.joined(separator: " "))\n")
    return isWell ? 0 : 1
  }

  private static func examine(
    _ row: ProviderCheck.Row, _ check: ProviderCheck, offline: Bool
  ) -> (line: String, isFine: Bool) {
    let place = "\(row.name) (\(row.address))"
    if let problem = row.problem { return ("✗ \(row.name): \(problem)", false) }
    if let key = row.key, key.isNeeded, !key.isSet { return ("✗ \(place): \(key.variable) is unset", false) }
    if offline { return ("✓ \(place): \(ModelsCommand.key(row))", true) }
    do {
      switch try check.ask(row.name) {
      case .models(let models, let time):
        let count = models.isEmpty ? "answers" : "\(models.count) models"
        return ("✓ \(place): \(count), \(time.milliseconds) ms", true)
      case .refused(let status, let why): return ("✗ \(place): HTTP \(status): \(why)", false)
      case .unreachable(let why): return ("✗ \(place): \(why)", false)
      case .notAsked(let why): return ("– \(place): not asked: \(why)", true)
      }
    } catch {
      return ("✗ \(place): \(error)", false)
    }
  }

  private static func probe(_ url: String, port: Int) -> Int {
    Terminal.talk("weir: a stream on 127.0.0.1:\(port), read back through \(url)\n")
    let result: ProxyProbe.Result
    do {
      result = try ProxyProbe(port: port, url: url).run()
    } catch {
      Terminal.complain(error)
      return 1
    }
    let who = result.names.isEmpty ? "" : " (\(Terminal.printable(result.names.joined(separator: ", "))))"
    if let failure = result.failure, result.delays.isEmpty {
      Terminal.say("✗ \(Terminal.printable(failure))\(who)\n")
      return 1
    }
    let delays = result.delays.sorted()
    let median = delays[delays.count / 2]
    let numbers =
      "median delay \(median.milliseconds) ms, longest \((delays.last ?? .zero).milliseconds) ms, \(result.bunched) of \(delays.count) events came with the one before"
    if result.isHeldBack || result.failure != nil {
      Terminal.say("✗ the stream is held back on the way\(who): \(result.failure.map { $0 + "; " } ?? "")\(numbers)\n")
      Terminal.talk(
        "  hint: turn buffering off there: `proxy_buffering off` (nginx), `flush_interval -1` (Caddy), no gzip for text/event-stream\n"
      )
      return 1
    }
    Terminal.say("✓ events come through as they are written\(who): \(numbers)\n")
    return 0
  }
}
