/// `exec` functions and guards become calls of std/pipeline, so that their parameters, options and verdicts have
/// ordinary types, and their effects are known.
///
///     exec f(a: string) = sh { … }            func f(a: string) -> string ! {Process} = _exec("sh", "…", {"a": …}, None, {…})
///     guard before W(input) { … }             _guard("before", "agent", "W", 0, (input) => …), at the start
struct PipelineDeclarations {
  let declarations: Declarations
  var checker: Checker { declarations.checker }
  var module: Module { declarations.module }

  init(_ declarations: Declarations) { self.declarations = declarations }

  // MARK: exec

  func declareExec(_ exec: ExecDeclaration, _ declaration: Declaration) {
    let placeholder = Expression(kind: .unit, span: exec.codeSpan, id: -1, depth: 0)
    let written = FunctionDeclaration(
      name: exec.name, typeParameters: [], parameters: exec.parameters, result: exec.result, effects: nil,
      isPure: false, body: placeholder)
    guard let function = declarations.declare(written, isExported: declaration.isExported) else { return }
    function.isExec = true
    verify(exec, function)
    // In a pipeline what comes from the left is standard input as well as the first argument.
    let piped = FunctionEntity(name: function.name, module: module, span: function.span, type: .error)
    piped.parameters = [.init(name: "stdin", type: .string, span: exec.name.span)] + function.parameters
    let types = piped.parameters.map(\.type)
    let result = function.ownType.asFunction?.result ?? .string
    piped.ownType = .function(FunctionType(parameters: types, row: checker.unifier.openRow(), result: result))
    piped.scheme = Scheme(piped.ownType)
    function.piped = piped
    let defaults = NameCollector.names(in: written)
    declarations.define(function, uses: defaults) { solve(exec, function, isPiped: false) }
    declarations.define(piped, uses: defaults.union([function.name])) {
      for (index, parameter) in function.parameters.enumerated() {
        piped.parameters[index + 1].defaultValue = parameter.defaultValue
      }
      // What is wrong with it was said of the function itself.
      let known = checker.diagnostics.count
      solve(exec, piped, isPiped: true)
      checker.diagnostics.removeSubrange(known...)
    }
    declarations.defineDefaults(function, written)
  }

  private func solve(_ exec: ExecDeclaration, _ function: FunctionEntity, isPiped: Bool) {
    let body = BodyChecker(checker, module, unit: function.unit, name: function.name)
    var locals: [Checked] = []
    for parameter in function.parameters {
      let local = body.bind(parameter.name, parameter.type, parameter.span).local
      function.locals.append(local)
      locals.append(Checked(parameter.type) { _ in Core(.local(local), parameter.span) })
    }
    let result = function.ownType.asFunction?.result ?? .string
    var isStream = false
    if case .named(let type, _) = result.resolved { isStream = type.name == "Stream" }
    guard let run = body.pipeline(isStream ? "_execStream" : "_exec", "`exec`", exec.name.span),
      let encode = checker.libraryModule(named: "std/json")?.functions["toJson"]
    else { return }
    let given = isPiped ? Array(locals.dropFirst()) : locals
    let names = function.parameters.suffix(given.count).map(\.name)
    let entries = zip(names, given).map { name, local in
      (name, body.callFunction(encode, [CallArgument(local, exec.name.span)], nil, exec.name.span, name: "toJson"))
    }
    let span = exec.codeSpan
    let json = checker.standardType("Json").flatMap {
      if case .named(let type) = $0 { Type.named(type, []) } else { nil }
    }
    let map = Checked(.map(.string, json ?? .error)) { lowering in
      Core(.map(entries.map { (Core(.literal(.string($0.0)), span), $0.1.core(lowering)) }), span)
    }
    let input = Checked(.named(checker.prelude.option, [.string])) { lowering in
      isPiped ? lowering.some(locals[0].core(lowering), span) : lowering.none(span)
    }
    var settings = exec.options
    if exec.isStreaming {
      let yes = Expression(kind: .bool(true), span: exec.name.span, id: -1, depth: 0)
      settings.append(Field(name: Name("stream", exec.name.span), value: yes))
    }
    let options = body.options(settings, run.parameters[4].type, exec.name.span)
    let arguments = [
      CallArgument(body.literal(.string(exec.language.rawValue), .string, span), span),
      CallArgument(body.literal(.string(exec.code), .string, span), span),
      CallArgument(map, span), CallArgument(input, span), options,
    ]
    let call = body.callFunction(run, arguments, exec.name.span, span, name: exec.language.rawValue)
    // A written result that cannot be was reported already.
    function.body = canCome(result) ? body.coerce(call, to: result, .result(of: function.name), span).core : call.core
  }

  /// What another program can be handed, and what `cmd` speaks of.
  private func verify(_ exec: ExecDeclaration, _ function: FunctionEntity) {
    for parameter in function.parameters where cannotLeave(parameter.type) {
      checker.report(
        Diagnostic(
          "E0241", "`\(parameter.name)` cannot be handed to another program", at: parameter.span,
          notes: ["it is \(TypePrinter.text(parameter.type))"], hint: "hand over text, numbers, or a record of those"))
    }
    if let result = exec.result, let type = function.ownType.asFunction?.result, !canCome(type) {
      checker.report(
        Diagnostic(
          "E0241", "what a program writes is text", at: result.span, label: "this is \(TypePrinter.text(type))",
          hint: "write `-> string`, or `-> stream` for its pieces"))
    }
    if exec.language == .cmd { verifyWords(exec, function) }
  }

  /// `$name` in a command is a parameter, or nothing that Weir could put there.
  private func verifyWords(_ exec: ExecDeclaration, _ function: FunctionEntity) {
    let names = function.parameters.map(\.name)
    let text = Array(exec.code.utf8)
    var isQuoted = false
    var index = 0
    var reported: Set<String> = []
    while index < text.count {
      defer { index += 1 }
      if text[index] == UInt8(ascii: "\\"), !isQuoted {
        index += 1
      } else if text[index] == UInt8(ascii: "'") {
        isQuoted.toggle()
      }
      guard index < text.count, text[index] == UInt8(ascii: "$"), !isQuoted else { continue }
      let word = text[(index + 1)...].prefix {
        $0 == UInt8(ascii: "_") || (97...122).contains($0) || (65...90).contains($0) || (48...57).contains($0)
      }
      guard let first = word.first, !(48...57).contains(first) else { continue }
      let name = String(decoding: word, as: UTF8.self)
      if names.contains(name) || !reported.insert(name).inserted { continue }
      let near = Suggestion.nearest(to: name, among: names)
      checker.report(
        Diagnostic(
          "E0242", "`\(exec.name.text)` has no parameter `\(name)`", at: exec.codeSpan,
          label: "`$\(name)` stands here",
          hint: near.map { "did you mean `$\($0)`?" } ?? "`\\$\(name)` is the text itself; `sh { … }` reads variables"))
    }
  }

  private func canCome(_ type: Type) -> Bool {
    switch type.resolved {
    case .string, .error, .variable: return true
    case .named(let named, let items):
      if named.name == "Stream", case .string? = items.first?.resolved { return true }
      return false
    default: return false
    }
  }

  private func cannotLeave(_ type: Type) -> Bool {
    switch type.resolved {
    case .function: true
    case .list(let item): cannotLeave(item)
    case .map(_, let item): cannotLeave(item)
    case .tuple(let items): items.contains(where: cannotLeave)
    case .record(let record): record.fields.contains { cannotLeave($0.type) }
    case .named(let named, let items):
      (named.constructors.isEmpty && named.name != "Json") || items.contains(where: cannotLeave)
    default: false
    }
  }

  // MARK: guard

  func declareGuard(_ item: GuardDeclaration) {
    let span = item.momentSpan
    let name =
      switch item.target {
      case .named(let name), .every(let name): name
      }
    let global = GlobalEntity(name: "guard@\(span.start)", module: module, span: span, type: .unit)
    var uses: Set<String> = [name.text]
    uses.formUnion(NameCollector.names(in: Expression(kind: .block(item.body), span: item.body.span, id: -1, depth: 0)))
    if let keep = item.keep { uses.formUnion(NameCollector.names(in: keep)) }
    declarations.define(global, uses: uses) { [checker, module] in
      let body = BodyChecker(checker, module, unit: module.unit, name: "guard")
      guard let home = checker.libraryModule(named: BodyChecker.pipelineModule),
        let function = body.pipeline("_guard", "`guard`", span)
      else { return body.failed(span) }
      let kind = kind(of: item.target, body)
      let keep = item.keep.map { body.check($0, .int, .statement("what `keep` says")) }
      if let keep = item.keep, item.moment != .during {
        checker.report(
          Diagnostic(
            "E0243", "only a `during` guard holds text back", at: keep.span,
            notes: ["a `\(item.moment.rawValue)` guard sees the whole text"], hint: "leave `keep` out"))
      }
      let decide = self.decide(item, home, body)
      let arguments = [
        CallArgument(body.literal(.string(item.moment.rawValue), .string, span), span),
        CallArgument(body.literal(.string(kind), .string, span), span),
        CallArgument(body.literal(.string(name.text), .string, span), span),
        CallArgument(keep ?? body.literal(.int(0), .int, span), span), CallArgument(decide, item.body.span),
      ]
      return body.callFunction(function, arguments, span, span, name: "guard")
    }
  }

  /// `(input) => Verdict`, with `allow`, `deny` and `retry` in scope.
  private func decide(_ item: GuardDeclaration, _ home: Module, _ body: BodyChecker) -> Checked {
    var parameters: [LambdaParameter] = []
    if let parameter = item.parameter {
      let pattern = Pattern(kind: .name(parameter.name.text), span: parameter.name.span, id: -1, depth: 0)
      parameters.append(LambdaParameter(pattern: pattern, type: parameter.type))
    } else {
      parameters.append(
        LambdaParameter(pattern: Pattern(kind: .wildcard, span: item.momentSpan, id: -1, depth: 0), type: nil))
    }
    guard case .named(let verdict)? = home.exportedTypes["Verdict"] else { return body.failed(item.momentSpan) }
    let expected = FunctionType(
      parameters: [.string], row: checker.unifier.openRow(), result: .named(verdict, []))
    let block = Expression(kind: .block(item.body), span: item.body.span, id: -1, depth: 0)
    let lambda = Lambda(parameters: parameters, result: nil, effects: nil, body: block)
    body.guardWords = verdict
    body.libraryScope = home
    let checked = body.lambda(lambda, .function(expected), item.body.span)
    body.guardWords = nil
    body.libraryScope = nil
    if let type = checked.type.asFunction?.parameters.first, let parameter = item.parameter,
      checker.unifier.unify(.string, type) != nil
    {
      checker.report(
        Diagnostic(
          "E0243", "a guard is given text", at: parameter.span, label: "this is \(TypePrinter.text(type))",
          hint: "write `\(parameter.name.text)`, or `\(parameter.name.text): string`"))
    }
    return checked
  }

  private func kind(of target: GuardDeclaration.Target, _ body: BodyChecker) -> String {
    switch target {
    case .every(let kind): return kind.text
    case .named(let name):
      let found = body.entities(name.text)
      if found.contains(where: { $0.function?.isExec ?? false }) { return "exec" }
      for global in found.compactMap(\.global) {
        if case .named(let type, _) = global.scheme.type.resolved, type.module.hasPrefix("std/") {
          if type.name == "Agent" { return "agent" }
          if type.name == "Workflow" { return "workflow" }
        }
      }
      if module.unknown.contains(name.text) { return "" }
      let near = Suggestion.nearest(to: name.text, among: guarded)
      checker.report(
        Diagnostic(
          "E0244", "`\(name.text)` is no agent, `exec` function or workflow", at: name.span,
          notes: guarded.isEmpty ? [] : ["there are \(guarded.sorted().map { "`\($0)`" }.joined(separator: ", "))"],
          hint: near.map { "did you mean `\($0)`?" } ?? "`agent(..)` guards every agent"))
      return ""
    }
  }

  /// What can be guarded in this file.
  private var guarded: [String] {
    module.tree.declarations.compactMap { declaration in
      switch declaration.kind {
      case .agent, .exec, .workflow: declaration.name?.text
      default: nil
      }
    }
  }
}
