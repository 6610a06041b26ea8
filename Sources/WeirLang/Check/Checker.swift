/// Checks a whole program before any of it runs: names, types, patterns, effects; then lowers it to `Core`.
///
///     let result = Checker.check(name: "app.weir", bytes: bytes, library: library) { path in readFile(path) }
///     result.diagnostics · result.program · result.effects.missing(granted: caps)
///
/// Reads no disk: the closure is asked for the files that relative imports name. Every module that is reached is parsed
/// once, declared, and solved group by group (`CallGroups`). Nothing is kept between two checks.
package struct CheckResult {
  package var sources: SourceMap
  /// Sorted by place; errors and warnings of the program's own files.
  package var diagnostics: [Diagnostic]
  /// nil when there are errors.
  package var program: CoreProgram?
  /// The function to be run; nil for a script and when there is none of that name.
  package var entry: EntrySignature?
  package var effects: EffectReport
  /// Every top-level function and constant of the entry file with its inferred type, in written order.
  package var signatures: [Signature]
  /// Work done by inference, for the test that it is linear.
  package var steps: Int
}

extension CheckResult {
  package struct Signature: Equatable, Sendable {
    package var name: String
    package var type: String
    /// Of a function.
    package var result: String?
    package var effects: [String]
  }

  /// Names what the program would reach and the library only declares, and where; nil when it can be run.
  package func unrunnable(by library: Library) -> String? {
    let uses = (program?.natives ?? []).compactMap { native -> String? in
      guard let what = library.absent(native.name, in: native.module) else { return nil }
      guard let source = sources.source(of: native.span) else { return "\(what) of \(native.module)" }
      let line = source.position(of: Int(native.span.start)).line
      return "\(what) of \(native.module) (\(source.name):\(line))"
    }
    if uses.isEmpty { return nil }
    let more = uses.count > 3 ? " and \(uses.count - 3) more" : ""
    let list = uses.prefix(3).joined(separator: ", ") + more
    return "this program uses \(list), which this build of Weir can check but not run yet; nothing was run"
  }
}

package struct EntrySignature {
  package struct Parameter {
    package var name: String
    package var type: String
    package var shape: TypeShape
    package var isOptional: Bool
  }
  package var name: String
  package var parameters: [Parameter]
  package var result: String
  package var resultShape: TypeShape
}

/// A library module as far as the checker looks at it.
struct ModuleText {
  var name: String
  var source: String
  /// Ids of the sum types that natives make, by name.
  var typeIDs: [String: Int]
  init(name: String, source: String, typeIDs: [String: Int] = [:]) {
    self.name = name
    self.source = source
    self.typeIDs = typeIDs
  }
}

package final class Checker {
  let unifier = Unifier()
  let prelude: Prelude
  let modulesOfLibrary: [ModuleText]
  let load: (String) -> [UInt8]?
  var sources = SourceMap()
  var diagnostics: [Diagnostic] = []
  /// By path; a module that is being loaded is in `loading` as well.
  var modules: [String: Module] = [:]
  var loading: [String] = []
  /// Loaded modules, each after those it imports.
  var order: [Module] = []
  /// Types of the library that were named without import.
  var standardTypes: [String: TypeEntity] = [:]
  var preludeModule: Module?
  /// Run when the types of the current group are known: exhaustiveness, discarded results, what could not be inferred.
  var afterGroup: [() -> Void] = []

  /// Bindings of the program's functions that something should read.
  var watched: [LocalBinding] = []
  /// Parts of the program that could not be read: whatever seems wrong in or because of them is no second mistake.
  var unread = UnreadParts()

  /// More errors than this help nobody; the rest is counted in one line.
  package static let diagnosticLimit = 200

  init(library: [ModuleText], load: @escaping (String) -> [UInt8]?) {
    prelude = Prelude(unifier)
    modulesOfLibrary = library
    self.load = load
  }

  /// `entry`: nil when only the tests are to be started; then neither an entry nor top-level statements run.
  /// `load` gets paths of relative imports, normalised against the importing file's; nil means there is no such file.
  package static func check(
    name: String, bytes: [UInt8], entry: String? = "main", library: Library,
    load: @escaping (String) -> [UInt8]? = { _ in nil }
  ) -> CheckResult {
    let modules = library.modules.map { module in
      let ids = module.types.map { ($0.name, $0.id) }
      return ModuleText(
        name: module.name, source: module.source, typeIDs: Dictionary(ids, uniquingKeysWith: { first, _ in first }))
    }
    return check(name: name, bytes: bytes, entry: entry, modules: modules, load: load)
  }

  static func check(
    name: String, bytes: [UInt8], entry: String? = "main", modules: [ModuleText],
    load: @escaping (String) -> [UInt8]? = { _ in nil }
  ) -> CheckResult {
    let checker = Checker(library: modules, load: load)
    let source = checker.sources.add(name: name, bytes: bytes)
    checker.loadPrelude()
    let module = checker.module(name, source: source, isLibrary: false)
    return checker.finish(module, entry: entry)
  }

  func report(_ diagnostic: Diagnostic) { diagnostics.append(diagnostic) }

  // MARK: The end of a check

  private func finish(_ module: Module, entry name: String?) -> CheckResult {
    let entry = name.flatMap { module.values[$0]?.compactMap(\.function).first { $0.module === module } }
    if let name, entry != nil, let first = module.script.first {
      report(
        Diagnostic(
          "W0221", "this statement does not run: the program starts at `\(name)`", at: first.span,
          hint: "move it into `\(name)`"))
    }
    if let name, entry == nil, name != "main", !diagnostics.hasErrors, unread.diagnostics.isEmpty {
      report(
        Diagnostic(
          "E0212", "there is no function `\(name)` to start", at: module.unit.span.first,
          hint: hint(toStart: name, in: module)))
    }
    let starts = name == nil ? module.tests.map(\.unit) : entry.map { [$0.unit] } ?? order.map(\.scriptUnit)
    let report = EffectReport(
      name == nil ? "a test" : entry?.name ?? "the script", starts: starts, row: entry?.declaredRow?.effects,
      modules: order, file: module.path, sources: sources)
    var program: CoreProgram?
    if !diagnostics.hasErrors, !unread.diagnostics.hasErrors {
      program = Lowering(self).program(entryModule: module, entry: entry, isTested: name == nil)
    }
    let shown = shownDiagnostics()
    if shown.hasErrors { program = nil }
    let signature = entry.map { self.signature($0) }
    return CheckResult(
      sources: sources, diagnostics: shown, program: program, entry: signature, effects: report,
      signatures: signatures(of: module), steps: unifier.steps)
  }

  private func shownDiagnostics() -> [Diagnostic] {
    var shown = unread.diagnostics + diagnostics.filter { !unread.explains($0, sources) }
    if !shown.hasErrors { shown += unused }
    shown = shown.sortedByPlace()
    if shown.count > Self.diagnosticLimit {
      let hidden = shown.count - Self.diagnosticLimit
      shown = Array(shown.prefix(Self.diagnosticLimit))
      let severity = shown.hasErrors ? Diagnostic.Severity.error : .note
      shown.append(
        Diagnostic("E0903", "\(hidden) more are not shown", at: shown[shown.count - 1].span, severity: severity))
    }
    return shown
  }

  /// What `--entry` may have meant.
  private func hint(toStart name: String, in module: Module) -> String? {
    if name.isEmpty { return "without `--entry` it is `main`" }
    if module.tests.contains(where: { $0.name == name }) { return "it is a test: `weir test` runs it" }
    if module.globals.contains(where: { $0.name == name }) { return "it is a value: only functions are started" }
    return Suggestion.nearest(to: name, among: module.functions.keys).map { "did you mean `--entry \($0)`?" }
  }

  private func signature(_ entry: FunctionEntity) -> EntrySignature {
    let result = entry.scheme.type.asFunction?.result ?? .unit
    let shapes = Shapes(self)
    return EntrySignature(
      name: entry.name,
      parameters: entry.parameters.map {
        .init(
          name: $0.name, type: TypePrinter.text($0.type), shape: shapes.shape($0.type), isOptional: $0.isOptional)
      },
      result: TypePrinter.text(result), resultShape: shapes.shape(result))
  }

  private func signatures(of module: Module) -> [CheckResult.Signature] {
    var found: [(span: Span, signature: CheckResult.Signature)] = []
    func add(_ name: String, _ type: Type, _ span: Span, effects: [String]) {
      let result = type.asFunction.map { TypePrinter.text($0.result) }
      found.append((span, .init(name: name, type: TypePrinter.text(type), result: result, effects: effects)))
    }
    for function in module.functions.values {
      add(function.name, function.scheme.type, function.span, effects: function.unit.row.known.sorted)
    }
    for global in module.globals where !global.name.contains("@") {
      add(global.name, global.scheme.type, global.span, effects: [])
    }
    return found.sorted { $0.span < $1.span }.map(\.signature)
  }
}
