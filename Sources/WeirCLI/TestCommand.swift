import Weir
import WeirCore
import WeirLang
import WeirRuntime

/// `weir test [FILE|DIR…]`: checks every file, asks for what was not granted, then runs test after test. Results go to stdout;
/// what failed and why, and what the programs print, to stderr.
enum TestCommand {
  static func run(_ command: ParsedCommand) throws(UsageFailure) -> Int {
    try command.checkColor()
    let limit = try command.duration("time-limit") ?? TestRun.timeLimit
    guard limit > .zero else { throw UsageFailure("--time-limit needs more than no time", command: command.name) }
    let named = try command["caps"].map(Capabilities.named)
    var report = TestReport(isJSON: command.has("json"), color: Terminal.usesColor(command["color"]))
    let files = files(command, &report)
    if !files.isEmpty, files.allSatisfy(\.tests.isEmpty), let filter = command["filter"] {
      report.add(
        TestFailure.noneNamed(filter: filter, nearest: Spelling.nearest(to: filter, among: files.flatMap(\.names))))
    }
    guard let granted = grant(named, files, &report, mayAsk: command["caps"] == nil) else { return report.finish(3) }
    var options = ProgramInstance.Options()
    try ProgramFlags.read(command, into: &options)
    do {
      let run = TestRun(limit: limit, color: report.color)
      try run.endOnSignals()
      for (file, granted) in zip(files, granted) {
        var options = options
        try ProcessFlags.add(command, file.project, to: &options.processes)
        for test in file.tests {
          if command.has("fail-fast"), report.failed > 0 {
            report.notRun += 1
          } else if let outcome = run.run(test, of: file, options, granted: granted) {
            report.add(test, file.path, outcome)
          } else {
            return report.finish(run.interrupted ?? 1)
          }
        }
      }
    } catch {
      report.add(error as? any Failure ?? TestReport.Unknown(message: "\(error)"))
    }
    return report.finish()
  }

  /// What can be run of what was named; everything else is reported.
  private static func files(_ command: ParsedCommand, _ report: inout TestReport) -> [TestFile] {
    var files: [TestFile] = []
    var seen: Set<[UInt64]> = []
    for operand in command.operands.isEmpty ? ["."] : command.operands {
      do throws(TestFailure) {
        // Once, by whatever names and links it is meant.
        for path in try TestFile.paths(operand) where TestFile.identity(path).map({ seen.insert($0).inserted }) ?? true
        {
          if let file = file(path, command, &report) { files.append(file) }
        }
      } catch {
        report.add(error, of: operand)
      }
    }
    return files
  }

  private static func file(_ path: String, _ command: ParsedCommand, _ report: inout TestReport) -> TestFile? {
    do {
      let file = try TestFile(path, filter: command["filter"], config: command["config"])
      report.add(file.file)
      if file.file.result.diagnostics.hasErrors { return nil }
      if file.names.isEmpty { throw TestFailure.noTests(path) }
      if let line = file.file.unrunnable { throw TestReport.Unknown(message: line) }
      return file
    } catch {
      report.add(error as? any Failure ?? TestReport.Unknown(message: "\(error)"), of: path)
      return nil
    }
  }

  /// What each file's tests may reach, or nil: refused, and said so.
  private static func grant(
    _ named: EffectSet?, _ files: [TestFile], _ report: inout TestReport, mayAsk: Bool
  ) -> [EffectSet]? {
    var granted: [EffectSet] = []
    var refusals: [String] = []
    for file in files {
      do throws(ProjectFailure) {
        let own = if let named { named } else { try Capabilities.granted(by: file.project) }
        granted.append(own)
      } catch {
        report.add(error)
        return nil
      }
      if let refusal = file.refusal(granted: granted[granted.count - 1]) { refusals.append(refusal) }
    }
    if refusals.isEmpty { return granted }
    for refusal in refusals { report.add(TestReport.Unknown(code: "NotGranted", message: refusal)) }
    let isOpen = mayAsk && files.allSatisfy { $0.project.capabilities == nil } && Terminal.isInteractive
    guard isOpen, Capabilities.ask() else { return nil }
    return files.map { _ in .all }
  }
}

/// What came of each test, as lines or as one JSON document.
struct TestReport {
  let isJSON: Bool
  let color: Bool
  private(set) var passed = 0
  private(set) var failed = 0
  var notRun = 0
  private var hasProblem = false
  private var tests: [JSONValue] = []
  private var diagnostics: [JSONValue] = []

  init(isJSON: Bool, color: Bool) {
    self.isJSON = isJSON
    self.color = color
  }

  struct Unknown: Failure {
    var code = "CannotTest"
    var message: String
  }

  mutating func add(_ failure: any Failure, of file: String = "") {
    hasProblem = true
    if isJSON { diagnostics.append(.diagnostic(failure, file: file)) } else { Terminal.complain(failure) }
  }

  mutating func add(_ file: ProgramFile) {
    if file.result.diagnostics.hasErrors { hasProblem = true }
    if isJSON {
      diagnostics += file.diagnosticsAsJSON
    } else {
      Terminal.talk(file.rendered(color: color, withNotes: false))
    }
  }

  mutating func add(_ test: TestFile.Test, _ path: String, _ outcome: TestRun.Outcome) {
    if outcome.failure == nil { passed += 1 } else { failed += 1 }
    let word = outcome.failure == nil ? "passed" : "failed"
    if isJSON {
      tests.append([
        "file": .string(path), "line": .int(test.line), "name": .string(test.name), "state": .string(word),
        "milliseconds": .int(outcome.milliseconds), "failure": outcome.failure?.json ?? .null,
      ])
    } else {
      Terminal.talk(outcome.failure?.text ?? "")
      Terminal.say("\(word)  \(Terminal.printable("\(path):\(test.line)  \(test.name)"))\n")
    }
  }

  /// The exit status.
  func finish(_ status: Int? = nil) -> Int {
    if isJSON {
      let all: JSONValue = [
        "passed": .int(passed), "failed": .int(failed), "not_run": .int(notRun), "tests": .array(tests),
        "diagnostics": .array(diagnostics),
      ]
      Terminal.say(all.text + "\n")
    } else if status == nil, passed + failed > 0 {
      Terminal.say("\(passed) passed, \(failed) failed\(notRun > 0 ? ", \(notRun) not run" : "")\n")
    }
    return status ?? (failed > 0 || hasProblem ? 1 : 0)
  }
}
