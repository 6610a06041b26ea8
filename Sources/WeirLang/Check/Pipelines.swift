/// `stream e`, `e with {…}`, `step "name" {…}`, `onerror {…}`, stages of a pipeline: calls of std/pipeline.
///
/// What each runs is handed over as a function of no parameters, so the library decides when and how often; its effects
/// are the caller's. Whatever can be run at once without the library's help is not sent there.
extension BodyChecker {
  static let pipelineModule = "std/pipeline"

  func pipeline(_ name: String, _ word: String, _ span: Span) -> FunctionEntity? {
    if let function = checker.libraryModule(named: Self.pipelineModule)?.functions[name] { return function }
    report(Diagnostic("E0203", "\(word) needs the module std/pipeline, and this library has none", at: span))
    return nil
  }

  /// Effects of what the function does are charged where it is written, by checking it there.
  func thunk(_ value: Checked, _ span: Span) -> CallArgument {
    let type = Type.function(FunctionType(parameters: [], row: unifier.openRow(), result: value.type))
    return CallArgument(
      Checked(type) { lowering in
        Core(.lambda(CoreLambda(name: "job", parameters: [], body: value.core(lowering))), span)
      }, span)
  }

  // MARK: stream, with

  func streamed(_ expression: Expression, _ hint: Type?, isWanted: Bool, _ span: Span) -> Checked {
    let value = inJob("what `stream` runs") { infer(expression, hint: hint) }
    guard let function = pipeline(isWanted ? "_stream" : "_streamPrinted", "`stream`", span) else { return value }
    return callFunction(function, [thunk(value, expression.span)], span.first, span, name: "stream")
  }

  func with(_ expression: Expression, _ fields: [Field], _ hint: Type?, _ span: Span) -> Checked {
    // Only a limit: that is an argument of running at once.
    if fields.count == 1, fields[0].name.text == "limit" {
      let limit = { [self] in check(fields[0].value, .int, .field("limit")) }
      switch expression.kind {
      case .bars(let items): return bars(items, expression.span, limit: CallArgument(limit(), fields[0].value.span))
      case .together(let word, let items) where word == .parallel || word == .settle:
        return together(word, items, expression.span, limit: CallArgument(limit(), fields[0].value.span))
      default: break
      }
    }
    let value = inJob("what `with` stands behind") { infer(expression, hint: hint) }
    guard let function = pipeline("_with", "`with {…}`", span) else { return value }
    let settings = options(fields, function.parameters[0].type, span)
    return callFunction(
      function, [settings, thunk(value, expression.span)], span.first, span, name: "with")
  }

  /// `{stream: "buffer"}` is one more setting; only a bool counts otherwise.
  func options(_ fields: [Field], _ type: Type, _ span: Span) -> CallArgument {
    let fields = fields.map { field -> Field in
      guard field.name.text == "stream", case .string(let word) = field.value.kind else { return field }
      if word != "buffer" {
        report(
          Diagnostic(
            "E0301", "the field `stream` has the wrong type", at: field.value.span, label: "this is string",
            notes: ["it is true, false, or \"buffer\""]))
      }
      let yes = Expression(kind: .bool(true), span: field.value.span, id: -1, depth: 0)
      return Field(name: Name("buffer", field.name.span), value: yes)
    }
    return CallArgument(record(fields, type, span), span)
  }

  // MARK: Stages

  /// The named function that a stage calls, if it is one.
  func stageFunction(_ stage: Expression) -> FunctionEntity? {
    let callee = if case .call(let callee, _) = stage.kind { callee } else { stage }
    switch callee.kind {
    case .name(let name) where local(name) == nil: return entities(name).compactMap(\.function).last
    case .field(let owner, let name):
      return aliasedModule(owner)?.exportedValues[name.text]?.compactMap(\.function).last
    default: return nil
    }
  }

  /// A stage that takes text gets the whole text of a stream; one that takes a stream gets a text as a stream of one.
  func fit(_ value: Checked, to wanted: Type?, _ span: Span) -> Checked {
    let name: String
    switch (Self.isText(value.type), wanted.map(Self.isText)) {
    case (.stream?, .string??): name = "collect"
    case (.string?, .stream??): name = "_streamOf"
    default: return value
    }
    guard let function = pipeline(name, "this stage", span) else { return failed(span) }
    return callFunction(function, [CallArgument(value, span)], span, span, name: "|>")
  }

  private enum TextKind { case string, stream }

  private static func isText(_ type: Type) -> TextKind? {
    switch type.resolved {
    case .string: return .string
    case .named(let named, let items):
      if named.name == "Stream", case .string? = items.first?.resolved { return .stream }
      return nil
    default: return nil
    }
  }

  /// `text |> f(b)` where f is another program: its standard input, and its first argument if that is still free.
  func pipe(
    _ source: Checked, _ place: Span, into function: FunctionEntity, _ piped: FunctionEntity, _ stage: Expression,
    _ span: Span
  ) -> Checked {
    let text = coerce(fit(source, to: .string, place), to: .string, .argument(1, of: function.name, name: nil), place)
    let input = newLocal("input")
    let name = CallArgument(Checked(.string) { _ in Core(.local(input), place) }, place)
    var arguments = [name]
    var given: [CallArgument] = []
    if case .call(_, let written) = stage.kind { given = written.map(CallArgument.init) }
    if given.count < function.parameters.count, let first = function.parameters.first,
      !given.contains(where: { $0.label?.text == first.name })
    {
      arguments.append(name)
    }
    let call = callFunction(piped, arguments + given, stage.span, span, name: function.name)
    return Checked(call.type) { lowering in
      Core(.sequence([Core(.bind(input, text.core(lowering)), place), call.core(lowering)]), span)
    }
  }

  // MARK: Workflows

  func step(_ step: Step, _ span: Span) -> Checked {
    guard let function = pipeline("_step", "`step`", step.name.span) else { return failed(span) }
    var retry: [Field] = []
    for decorator in step.decorators {
      guard decorator.name.text == "retry" else {
        report(
          Diagnostic(
            "E0222", "a step has no decorator `@\(decorator.name.text)`", at: decorator.name.span,
            hint: "there is `@retry(max: 3, delay: 500)`"))
        continue
      }
      for argument in decorator.arguments {
        guard let label = argument.label else {
          report(
            Diagnostic(
              "E0305", "`@retry` takes `max:`, `delay:` and `backoff:`", at: argument.value.span,
              hint: "write `@retry(max: …)`"))
          continue
        }
        retry.append(Field(name: label, value: argument.value))
      }
    }
    let settings = record(retry, function.parameters[1].type, step.name.span)
    let name = check(step.name, .string, .statement("the name of a step"))
    let outer = (isStep, scopesAroundStep)
    (isStep, scopesAroundStep) = (true, scopes.count)
    let value = inJob("a step") { block(step.body, nil, isWanted: true) }
    (isStep, scopesAroundStep) = outer
    let arguments = [
      CallArgument(name, step.name.span), CallArgument(settings, step.name.span), thunk(value, step.body.span),
    ]
    return callFunction(function, arguments, step.name.span, span, name: "step")
  }

  /// What a step gave is kept, what it did to a variable outside is not: a run that is taken up does not do the step again.
  func warnOfChangeInStep(_ name: Name, declared: Span) {
    guard scopesAroundStep > 0 else { return }
    report(
      Diagnostic(
        "W0305", "a run that is taken up again does not know what this step did to `\(name.text)`", at: name.span,
        related: [.init(declared, "declared outside of the step")], notes: ["only the value of a step is kept"],
        hint: "let it be the step's value: `\(name.text) = step \"…\" { … }`"))
  }

  func onOutcome(_ outcome: Statement.Outcome, _ binding: Name?, _ block: Block, _ span: Span) -> [Lower] {
    let word = "on\(outcome.rawValue)"
    let name =
      switch outcome {
      case .error: "_onError"
      case .success: "_onSuccess"
      case .cancel: "_onCancel"
      }
    if !isWorkflow {
      report(
        Diagnostic(
          "E0225", "`\(word)` stands in the body of a workflow", at: span.first,
          hint: "use `defer`, or look at the result with `match`"))
    }
    if let binding, outcome != .error {
      report(Diagnostic("E0225", "`\(word)` is given nothing", at: binding.span, hint: "leave `\(binding.text)` out"))
    }
    guard let function = pipeline(name, "`\(word)`", span.first) else { return [] }
    var parameters: [LambdaParameter] = []
    if outcome == .error {
      let place = binding?.span ?? span.first
      let pattern = Pattern(kind: binding.map { .name($0.text) } ?? .wildcard, span: place, id: -1, depth: 0)
      parameters.append(LambdaParameter(pattern: pattern, type: nil))
    }
    // Nobody looks at the value of its last expression.
    var statements = block.statements
    if let result = block.result { statements.append(Statement(kind: .expression(result), span: result.span)) }
    let body = Block(statements: statements, result: nil, span: block.span)
    let handler = Lambda(
      parameters: parameters, result: nil, effects: nil,
      body: Expression(kind: .block(body), span: block.span, id: -1, depth: 0))
    let argument = Expression(kind: .lambda(handler), span: block.span, id: -1, depth: 0)
    let call = callFunction(
      function, [CallArgument(Argument(label: nil, value: argument))], span.first, span, name: word)
    return [call.core]
  }

  // MARK: Ways out of a job

  /// Runs on its own: nothing in it can leave the function around it, or a loop.
  func inJob(_ what: String, _ work: () -> Checked) -> Checked {
    let (first, depth) = (exits.count, loopDepth)
    let value = work()
    reportExits(from: first, loops: depth, what)
    return value
  }

  func reportExits(from first: Int, loops: Int, _ what: String) {
    for exit in exits[first...] where exit.loops.map({ $0 <= loops }) ?? true {
      report(
        Diagnostic(
          "E0240", "`\(exit.word)` cannot leave \(what)", at: exit.span, notes: ["it runs on its own"],
          hint: exit.word == "?" ? "look at the result outside, or use `match`" : "let its last expression be its value"
        ))
    }
    exits.removeSubrange(first...)
  }
}
