import WeirCore
import WeirIO
import WeirLang
import WeirRuntime

/// A program read from disk and checked: the front half of every command.
package struct ProgramFile {
  package let path: String
  package let result: CheckResult
  /// One line when the program would reach what this build can check but not run.
  package let unrunnable: String?

  /// Larger sources are not programs that somebody wrote.
  package static let byteLimit = 4 << 20

  package static var library: Library { Library.language + RuntimeLibrary.modules }

  /// Reads and checks; problems of the program are in `result.diagnostics`.
  package init(_ path: String, entry: String? = "main") throws(DiskFailure) {
    self.init(path, bytes: try HostProcess.read(path, limit: Self.byteLimit), entry: entry)
  }

  init(_ path: String, bytes: [UInt8], entry: String? = "main") {
    self.path = path
    let library = Self.library
    result = Checker.check(name: path, bytes: bytes, entry: entry, library: library) { other in
      try? HostProcess.read(other, limit: Self.byteLimit)
    }
    unrunnable = result.unrunnable(by: library)
  }
}

extension ProgramFile {
  private func printer(_ color: Bool) -> DiagnosticPrinter { DiagnosticPrinter(result.sources, color: color) }

  /// Diagnostics as a terminal shows them; empty when there are none. Who runs a program is not told what could be tidier.
  package func rendered(color: Bool, withNotes: Bool) -> String {
    printer(color).text(result.diagnostics.filter { withNotes || $0.severity != .note })
  }

  package var diagnosticsAsJSON: [JSONValue] { result.diagnostics.map { printer(false).json($0) } }

  /// A failure at run time, with the place and the calls that led there.
  func rendered(_ trap: Trap, color: Bool) -> String { printer(color).text(diagnostic(trap)) }
  func json(_ trap: Trap) -> JSONValue { printer(false).json(diagnostic(trap)) }

  /// What failed inside the library is shown where the program called it.
  private func diagnostic(_ trap: Trap) -> Diagnostic {
    var calls = trap.trace.filter { !isLibrary($0.span) }[...]
    let place = isLibrary(trap.span) ? calls.first?.span ?? trap.span : trap.span
    // The innermost call stands where it failed: one underline says both.
    let innermost = calls.first?.span == place ? calls.popFirst() : nil
    return Diagnostic(
      trap.code, trap.message, at: place, label: innermost.map { "in \($0.function)" } ?? "",
      related: calls.map { .init($0.span, "in \($0.function)") }, notes: trap.notes, hint: trap.hint)
  }

  private func isLibrary(_ span: Span) -> Bool {
    result.sources.source(of: span).map { Self.library[$0.name] != nil } ?? false
  }

  /// A program with neither `main` nor top-level statements does nothing when it is run: that is a mistake.
  package var nothingToRun: NothingToRun? {
    guard let core = result.program, core.entry == nil, core.script == nil else { return nil }
    let serves = core.exports.contains { $0.kind == .workflow }
    return NothingToRun(path: path, serves: serves)
  }

  /// What would be reached and was not granted: nil if nothing, else one line with effects, calls and the command.
  package func refusal(_ mode: ProgramRun.Mode, granted: EffectSet) -> String? {
    switch mode {
    case .entry: return result.effects.missing(granted: granted)
    case .serve, .resume:
      let needed = neededToServe
      let missing = needed.effects.subtracting(granted.union(.io))
      if missing.isEmpty { return nil }
      return "\(needed.why) \(missing.list), which \(missing.sorted.count == 1 ? "was" : "were") not granted; "
        + "run: weir serve --caps \(needed.effects.sorted.joined(separator: ",")) \(path)"
    }
  }

  private var neededToServe: (effects: EffectSet, why: String) {
    var effects = EffectSet("Serve") ?? .none
    if result.entry == nil { effects.formUnion(result.effects.needed) }
    var names: [String] = []
    for export in result.program?.exports ?? [] where export.kind == .workflow {
      for name in export.effects { effects.formUnion(EffectSet(name) ?? .none) }
      names.append(export.name)
    }
    let what = names.count == 1 ? "workflow \(names[0])" : "workflows \(names.joined(separator: ", "))"
    return (effects, names.isEmpty ? "serving needs" : "serving \(what) needs")
  }
}

package struct NothingToRun: Failure {
  package var code: String { "NothingToRun" }
  var path: String
  var serves: Bool
  package var message: String { "\(path) has neither a function `main` nor statements: there is nothing to run" }
  package var hint: String? {
    serves ? "to serve its workflows: weir serve \(path)" : "write `func main() { … }`, or name a function with --entry"
  }
}
