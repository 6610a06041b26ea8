import Weir
import WeirCore

/// `weir models [PROVIDER]`: the providers that can be named, or the models that one of them offers.
enum ModelsCommand {
  static func run(_ command: ParsedCommand) throws(UsageFailure) -> Int {
    do {
      let check = ProviderCheck(try Project.load(near: "models", explicit: command["config"]))
      guard let name = command.operands.first else {
        Terminal.say(command.has("json") ? json(check.rows) : table(check.rows))
        return 0
      }
      switch try check.ask(name) {
      case .models(let models, _):
        let text = JSONValue.array(models.map { .string($0) }).text + "\n"
        Terminal.say(command.has("json") ? text : models.map { Terminal.printable($0) + "\n" }.joined())
        return 0
      case .refused(_, let why), .unreachable(let why), .notAsked(let why):
        Terminal.talk("weir: \(Terminal.printable(why))\n")
        return 1
      }
    } catch {
      Terminal.complain(error)
      return 1
    }
  }

  static func key(_ row: ProviderCheck.Row) -> String {
    guard let key = row.key else { return "no key" }
    return key.isSet ? "\(key.variable) is set" : "\(key.variable) is unset" + (key.isNeeded ? "" : ", and not needed")
  }

  private static func table(_ rows: [ProviderCheck.Row]) -> String {
    let width = rows.map(\.name.count).max() ?? 0
    return rows.map { row in
      let name = row.name + String(repeating: " ", count: width - row.name.count)
      let what = row.problem ?? "\(row.address)  \(row.shape)  \(key(row))"
      return "\(name)  \(Terminal.printable(what))\(row.isConfigured ? "  (weir.toml)" : "")\n"
    }.joined()
  }

  private static func json(_ rows: [ProviderCheck.Row]) -> String {
    let items = rows.map { row -> JSONValue in
      var members: [JSONMember] = [
        JSONMember("name", .string(row.name)), JSONMember("configured", .bool(row.isConfigured)),
      ]
      if let problem = row.problem {
        members.append(JSONMember("problem", .string(problem)))
        return .object(members)
      }
      members.append(JSONMember("request_shape", .string(row.shape)))
      members.append(JSONMember("endpoint", .string(row.address)))
      if let key = row.key {
        members.append(
          JSONMember(
            "key", ["variable": .string(key.variable), "set": .bool(key.isSet), "needed": .bool(key.isNeeded)]))
      }
      if let model = row.model { members.append(JSONMember("model", .string(model))) }
      if let allowed = row.allowed { members.append(JSONMember("allowed", .array(allowed.map { .string($0) }))) }
      return .object(members)
    }
    return JSONValue.array(items).text + "\n"
  }
}
