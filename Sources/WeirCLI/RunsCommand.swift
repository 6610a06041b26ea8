import Weir
import WeirCore
import WeirStore

/// `weir runs [ls]`, `weir runs show ID`, `weir runs resume ID`: what programs have done, and taking up what was cut off.
enum RunsCommand {
  private static let actions = ["ls", "show", "resume"]

  static func run(_ command: ParsedCommand) throws(UsageFailure) -> Int {
    let action = command.operands.first ?? "ls"
    guard actions.contains(action) else {
      let near = Spelling.nearest(to: action, among: actions)
      throw UsageFailure(
        "there is no `weir runs \(action)`", hint: near.map { "did you mean `weir runs \($0)`?" } ?? "ls, show, resume")
    }
    guard command.operands.count == (action == "ls" ? min(command.operands.count, 1) : 2) else {
      throw UsageFailure(
        "weir runs \(action) takes \(action == "ls" ? "no name" : "the id of one run")", command: "runs")
    }
    do {
      let project = try Project.load(near: "runs", explicit: command["config"])
      let store = try StoreFlags.options(command, project)
      let history = RunHistory(store)
      switch action {
      case "ls":
        try list(history, command)
        return 0
      case "show": return show(try history.run(command.operands[1]), command)
      default: return try resume(try history.run(command.operands[1]), in: store)
      }
    } catch let failure as UsageFailure {
      throw failure
    } catch {
      Terminal.complain(error)
      return 1
    }
  }

  // MARK: Telling

  /// For people and for sorting: `2026-11-28 22:05:09`, UTC.
  private static func started(_ run: RunHistory.Run) -> String {
    let second = Timestamp(milliseconds: max(0, run.startedAt) / 1000 * 1000)
    return second.description.dropLast().replacing(text: "T", with: " ")
  }

  private static func state(_ run: RunHistory.Run) -> String {
    if run.problem != nil { return "unreadable" }
    return switch run.ending {
    case nil: "unfinished"
    case .closed?: "completed"
    case .aborted(let reason)?: reason
    }
  }

  private static func list(_ history: RunHistory, _ command: ParsedCommand) throws {
    let isJSON = command.has("json")
    var count = 0
    if isJSON { Terminal.say("[") }
    try history.visit { run in
      count += 1
      if isJSON { return Terminal.say((count == 1 ? "" : ",") + json(run).text) }
      let steps = run.steps.count == 1 ? "1 step" : "\(run.steps.count) steps"
      var line = "\(run.id)  \(started(run))  \(run.what)  \(steps)  \(state(run))"
      if let problem = run.problem { line = "\(run.id)  \(started(run))  \(state(run)): \(problem)" }
      Terminal.say(Terminal.printable(line) + "\n")
    }
    if isJSON { return Terminal.say("]\n") }
    if count == 0 { Terminal.talk("weir: no run has kept anything here\n") }
  }

  private static func show(_ run: RunHistory.Run, _ command: ParsedCommand) -> Int {
    if command.has("json") {
      Terminal.say(json(run).text + "\n")
      return 0
    }
    var lines = ["run       \(run.id)", "program   \(run.what)"]
    if let arguments = run.begun["arguments"] { lines.append("arguments \(cut(arguments.text))") }
    lines.append("started   \(started(run))")
    lines.append("state     \(state(run))")
    if let problem = run.problem { lines.append("problem   \(problem)") }
    for step in run.steps { lines.append("step      \(step.name): \(cut(step.value.text))") }
    for each in run.progress { lines.append("items     \(each.name): \(each.done) done") }
    if let cost = run.cost { lines.append("cost      \(cost)") }
    for stream in run.streams {
      let items = stream.tail.value == 1 ? "1 item" : "\(stream.tail.value) items"
      lines.append("stream    \(stream.name.path): \(items), \(ending(stream.ending))")
    }
    Terminal.say(lines.map { Terminal.printable($0) + "\n" }.joined())
    return 0
  }

  private static func ending(_ ending: StreamEnding?) -> String {
    switch ending {
    case nil: "open"
    case .closed?: "closed"
    case .aborted(let reason)?: "aborted: \(reason)"
    }
  }

  /// Of values that may be whole documents.
  private static func cut(_ text: String) -> String { text.count <= 200 ? text : text.prefix(200) + "…" }

  private static func json(_ run: RunHistory.Run) -> JSONValue {
    var members = [
      JSONMember("id", .string(run.id)), JSONMember("started_at", .int(Int(run.startedAt))),
      JSONMember("state", .string(state(run))), JSONMember("begun", run.begun),
      JSONMember("steps", .object(run.steps.map { JSONMember($0.name, $0.value) })),
      JSONMember("items", .object(run.progress.map { JSONMember($0.name, .int($0.done)) })),
    ]
    if !run.spent.isEmpty {
      let spent = run.spent.sorted { $0.key < $1.key }
      members.append(JSONMember("spent", .object(spent.map { JSONMember($0.key, .double($0.value)) })))
    }
    if let problem = run.problem { members.append(JSONMember("problem", .string(problem))) }
    if !run.streams.isEmpty {
      members.append(
        JSONMember(
          "streams",
          .array(
            run.streams.map {
              [
                "name": .string($0.name.path), "items": .int(Int(clamping: $0.tail.value)),
                "state": .string(ending($0.ending)),
              ]
            })))
    }
    return .object(members)
  }

  // MARK: Taking up

  /// Runs the command that began it once more, as the same run and in the folder in which it was begun.
  private static func resume(_ run: RunHistory.Run, in store: StoreOptions) throws -> Int {
    guard run.ending == nil else {
      Terminal.talk("weir: run \(run.id) has ended (\(state(run))): there is nothing to take up\n")
      return 1
    }
    guard let words = run.begun["command"]?.array?.compactMap(\.string), !words.isEmpty else {
      Terminal.talk("weir: run \(run.id) did not say how it was begun\n")
      return 1
    }
    var store = store
    if case .folder(let path) = store.choice { store.choice = .folder(Path.absolute(path)) }
    if let folder = run.begun["folder"]?.string, let why = Path.enter(folder) {
      Terminal.talk(
        "weir: run \(run.id) was begun in \(Terminal.printable(folder)), which cannot be entered: \(why)\n")
      return 1
    }
    let again = try CommandLineParser.parse(words, commands: Commands.all)
    return try RunCommand.run(
      again, taking: .init(run: run, store: store))
  }
}
