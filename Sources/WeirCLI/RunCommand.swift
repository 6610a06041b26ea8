import Weir
import WeirCore
import WeirLang
import WeirRuntime
import WeirStore

/// `weir run` and `weir serve`: check everything, ask for what was not granted, then run on this thread's loop.
enum RunCommand {
  /// An earlier run that is taken up, in the store in which it was found. A workflow's is all that is done then.
  struct Resumption {
    var run: RunHistory.Run
    var store: StoreOptions
    var isWorkflow: Bool { run.begun["workflow"] != nil }
  }

  static func run(_ command: ParsedCommand, taking earlier: Resumption? = nil) throws(UsageFailure) -> Int {
    let path = command.operands[0]
    var options = ProgramInstance.Options()
    try ProgramFlags.read(command, into: &options)
    options.runID = earlier?.run.id ?? command["run-id"]
    options.begun = earlier.map { begun($0.run) } ?? begun(command)
    options.arguments = command.rest
    options.server = try ServerFlags.options(command, isResumed: earlier != nil)
    try command.checkColor()

    let named = try command["caps"].map(Capabilities.named)
    let entry = command["entry"] ?? "main"
    let project: Project
    let file: ProgramFile
    let store: StoreOptions
    do {
      try StreamFlags.recording(command, into: &options)
      file = try ProgramFile(path, entry: entry)
      project = try Project.load(near: path, explicit: command["config"])
      try ProcessFlags.add(command, project, to: &options.processes)
      store = if let earlier { earlier.store } else { try StoreFlags.options(command, project) }
      options.retention = try StoreFlags.retention(command, project)
    } catch let failure as UsageFailure {
      throw failure
    } catch {
      Terminal.complain(error)
      return 1
    }
    Terminal.talk(file.rendered(color: Terminal.usesColor(command["color"]), withNotes: false))
    guard !file.result.diagnostics.hasErrors else { return 1 }
    if let line = file.unrunnable {
      Terminal.talk("weir: \(line)\n")
      return 1
    }

    if earlier == nil, let id = command["run-id"] {
      do {
        takeUp(try unfinished(id, RunHistory(store)), &options)
      } catch let failure as UsageFailure {
        throw failure
      } catch {
        Terminal.complain(error)
        return 1
      }
    }

    if let earlier, !earlier.isWorkflow { takeUp(earlier.run, &options) }

    var granted: EffectSet
    do throws(ProjectFailure) {
      granted = if let named { named } else { try Capabilities.granted(by: project) }
    } catch {
      Terminal.complain(error)
      return 1
    }
    let mode: ProgramRun.Mode =
      if let earlier, earlier.isWorkflow { .resume(earlier.run.id) } else { command.name == "serve" ? .serve : .entry }
    if mode == .entry, let nothing = file.nothingToRun {
      Terminal.complain(nothing)
      return 1
    }
    if let refusal = file.refusal(mode, granted: granted) {
      Terminal.talk("weir: \(refusal)\n")
      let mayAsk = command["caps"] == nil && project.capabilities == nil && Terminal.isInteractive
      guard mayAsk, Capabilities.ask() else { return 3 }
      granted = .all
    }

    let arguments: EntryArguments
    do throws(EntryArgumentFailure) {
      // Serving runs no entry, so whatever that needs is not asked for.
      arguments =
        mode != .entry
        ? EntryArguments() : try EntryArguments(file, json: command["args-json"], words: command.rest)
    } catch {
      Terminal.complain(error)
      return 2
    }
    let color = Terminal.usesColor(command["color"])
    do {
      if options.server.serve.linkSecret == nil {
        options.server.serve.linkSecret = try LinkSigning.secret(in: store, mayMake: mode == .serve)
      }
      if options.server.serve.subscriptions {
        // A program's `main` may serve as well; a workflow's run alone does not.
        let mayServe = if case .resume = mode { false } else { true }
        options.server.serve.subscriptionKeys = try LinkSigning.subscriptionKeys(in: store, mayMake: mayServe)
      }
      return try ProgramRun(file, project: project, options: options, store: store, color: color).run(
        mode, arguments, granted: granted)
    } catch let failure as EntryArgumentFailure {
      Terminal.complain(failure)
      return 2
    } catch {
      Terminal.complain(error)
      return 1
    }
  }
}

extension RunCommand {
  private static func takeUp(_ run: RunHistory.Run?, _ options: inout ProgramInstance.Options) {
    guard let run else { return }
    (options.takesUp, options.spentBefore) = (true, run.spent)
  }

  /// The run of this id, if it was begun. One that has ended is refused before anything of the program runs: it would come to its
  /// first stream or step, and fail there.
  private static func unfinished(_ id: String, _ history: RunHistory) throws -> RunHistory.Run? {
    do {
      let run = try history.find(id)
      guard run?.ending != nil else { return run }
      throw UsageFailure(
        "run \"\(id)\" has ended: an id stands for one run",
        hint: "give another id, or none; `weir runs show \(id)` tells what it did")
    } catch StoreFailure.badName(_, let why) {
      throw UsageFailure("\"\(id)\" cannot be the id of a run: \(why)", hint: "a word such as answer-1")
    }
  }

  /// What a run's journal says of how to start the same again, from any folder, without what is secret.
  private static func begun(_ command: ParsedCommand) -> JSONValue {
    [
      "program": .string(Path.absolute(command.operands[0])),
      "command": .array(repeated(command, Terminal.arguments).map { .string($0) }),
      "folder": .string(Path.absolute(".")),
    ]
  }

  /// The same of a run that is taken up: what it begins is begun as it was.
  private static func begun(_ run: RunHistory.Run) -> JSONValue {
    .object(["program", "command", "folder"].compactMap { name in run.begun[name].map { JSONMember(name, $0) } })
  }

  static func repeated(_ command: ParsedCommand, _ arguments: [String]) -> [String] {
    // Whoever takes it up says where it is kept; a store's URL may hold a password.
    let dropped: Set<String> = ["run-id", "token", "store"]
    let options = Commands.all.first { $0.name == command.name }?.options ?? []
    var words: [String] = []
    // The program's own words are not Weir's flags.
    var given = arguments.dropFirst().dropLast(command.rest.count)
    while let word = given.popFirst() {
      let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
      let name = parts[0].dropFirst(2)
      guard word.hasPrefix("--"), let option = options.first(where: { $0.name == name }) else {
        words.append(word == command.operands[0] ? Path.absolute(word) : word)
        continue
      }
      let value = option.value == nil ? nil : parts.count == 2 ? parts[1] : given.popFirst()
      if dropped.contains(option.name) { continue }
      words.append("--" + option.name)
      if let value { words.append(option.value == "FILE" ? Path.absolute(value) : value) }
    }
    return words + command.rest
  }
}

/// What a program may reach: `--caps`, else the project's `caps`, else nothing but the terminal.
enum Capabilities {
  static func named(_ flag: String) throws(UsageFailure) -> EffectSet {
    try resolve(flag.split(separator: ",").map { String($0).trimmed }) { UsageFailure($0, hint: $1) }
  }

  static func granted(by project: Project) throws(ProjectFailure) -> EffectSet {
    try resolve(project.capabilities ?? []) {
      ProjectFailure(project.files.first ?? Project.fileName, $0, hint: $1)
    }
  }

  private static func resolve<F: Error>(_ names: [String], _ failure: (String, String?) -> F) throws(F) -> EffectSet {
    var granted = EffectSet.io
    for name in names where !name.isEmpty {
      if name == "all" { return .all }
      guard let effect = EffectSet(name) else {
        let near = Spelling.nearest(to: name, among: EffectSet.names)
        throw failure(
          "there is no capability \"\(name)\"",
          near.map { "did you mean \($0)?" } ?? "there are \(EffectSet.names.joined(separator: ", ")), and all")
      }
      granted.formUnion(effect)
    }
    return granted
  }

  static func ask() -> Bool {
    Terminal.talk("Grant that for this run? [y/N] ")
    return ["y", "yes"].contains((Terminal.readLine() ?? "").trimmed.lowercased())
  }
}
