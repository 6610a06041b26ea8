/// Expressions and declarations as S-expressions. See `TreePrinter`.
extension TreePrinter {
  static func form(_ expression: Expression) -> Form {
    switch expression.kind {
    case .unit: .atom("()")
    case .bool(let value): .atom("\(value)")
    case .int(let value): .atom("\(value)")
    case .float(let value): .atom("\(value)")
    case .string(let text): .atom(quoted(text))
    case .interpolation(let parts):
      .of(
        "text",
        parts.map { part in
          switch part {
          case .text(let text): .atom(quoted(text))
          case .expression(let e): form(e)
          }
        })
    case .nil: .atom("nil")
    case .name(let text): .atom(text)
    case .list(let items): .of("list", items.map(form))
    case .tuple(let items): .of("tuple", items.map(form))
    case .record(let fields): .of("record", fields.map(form))
    case .update(let base, let fields): .of("update", form(base), fields.map(form))
    case .map(let entries): .of("map", entries.map { .list([form($0.key), form($0.value)]) })
    case .lambda(let it): lambda(it)
    case .call(let callee, let arguments): .of("call", form(callee), arguments.map(form))
    case .field(let base, let name): .of(".", form(base), .atom(name.text))
    case .index(let base, let index): .of("at", form(base), form(index))
    case .propagate(let e): .of("?", form(e))
    case .pipe(let a, let b): .of("|>", form(a), form(b))
    case .unary(let op, let e): .of(op == .negate ? "neg" : "not", form(e))
    case .binary(let op, let a, let b): .of(op.rawValue, form(a), form(b))
    case .bars(let items): .of("||", items.map(form))
    case .range(let a, let b, let inclusive): .of(inclusive ? "..=" : "..", form(a), form(b))
    case .block(let block): form(block)
    case .letIn(let binding, let body): .of("let-in", form(binding) + [form(body)])
    case .if(let condition, let then, let otherwise):
      .of("if", [form(condition), form(then)] + opt(otherwise) { form($0) })
    case .match(let scrutinee, let arms): .of("match", form(scrutinee), arms.map(arm))
    case .for(let loop):
      forLoop(loop)
    case .while(let condition, let body): .of("while", form(condition), form(body))
    case .return(let value): .of("return", value.map { [form($0)] } ?? [])
    case .break: .of("break")
    case .continue: .of("continue")
    case .assert(let condition, let message): .of("assert", [form(condition)] + opt(message) { form($0) })
    case .stream(let e): .of("stream", form(e))
    case .together(let how, let items): .of(how.rawValue, items.map(form))
    case .with(let e, let fields): .of("with", form(e), fields.map(form))
    case .step(let step): .of("step", step.decorators.map(form) + [form(step.name), form(step.body)])
    case .error: .of("error")
    }
  }

  private static func forLoop(_ loop: ForLoop) -> Form {
    var parts = opt(loop.index) { .of("index", .atom($0.text)) }
    parts += [form(loop.pattern), form(loop.sequence)]
    parts += opt(loop.limit) { .of("limit", form($0)) }
    parts.append(form(loop.body))
    return .of(loop.isParallel ? "for-parallel" : "for", parts)
  }

  private static func lambda(_ it: Lambda) -> Form {
    var parts = opt(it.result) { .of("->", form($0)) }
    parts += opt(it.effects) { form($0) }
    parts.append(form(it.body))
    return .of("fn", .list(it.parameters.map { typed(form($0.pattern), $0.type) }), parts)
  }

  private static func arm(_ it: MatchArm) -> Form {
    var parts = [form(it.pattern)]
    parts += opt(it.guard) { .of("when", form($0)) }
    parts.append(form(it.body))
    return .of("case", parts)
  }

  private static func form(_ field: Field) -> Form { .of(field.name.text, form(field.value)) }

  private static func form(_ argument: Argument) -> Form {
    argument.label.map { .of($0.text + ":", form(argument.value)) } ?? form(argument.value)
  }

  private static func form(_ decorator: Decorator) -> Form {
    .of("@" + decorator.name.text, decorator.arguments.map(form))
  }

  private static func typed(_ form: Form, _ type: TypeExpression?) -> Form {
    type.map { .list([form, self.form($0)]) } ?? form
  }

  // MARK: - Declarations

  static func form(_ it: Import) -> Form {
    var parts: [Form] = [.atom(it.isQuoted ? quoted(it.path.text) : it.path.text)]
    if let alias = it.alias { parts.append(.of("as", .atom(alias.text))) }
    if let names = it.names {
      parts.append(
        .list(
          names.map { name in
            name.alias.map { .of("as", .atom(name.name.text), .atom($0.text)) } ?? .atom(name.name.text)
          }))
    }
    return .of("import", parts)
  }

  static func form(_ declaration: Declaration) -> Form {
    var form = form(declaration.kind)
    if declaration.isExported { form = .of("export", form) }
    if !declaration.decorators.isEmpty { form = .of("decorated", declaration.decorators.map(self.form) + [form]) }
    if let text = declaration.documentation { form = .of("doc", .atom(quoted(text)), form) }
    return form
  }

  private static func form(_ kind: Declaration.Kind) -> Form {
    switch kind {
    case .function(let it): .of(it.isExtern ? "extern-func" : it.isPure ? "pure-func" : "func", parts(it))
    case .type(let it): form(it)
    case .constant(let it): .of("constant", form(it))
    case .provider(let it): .of("provider", .atom(it.name.text), it.settings.map(form))
    case .agent(let it): .of("agent", .atom(it.name.text), it.settings.map(form))
    case .tool(let it):
      .of("tool", parts(it.function) + (it.description.map { [.of("description", .atom(quoted($0)))] } ?? []))
    case .workflow(let it): .of("workflow", parts(it.function))
    case .exec(let it): form(it)
    case .guard(let it): form(it)
    case .test(let it): .of("test", .atom(quoted(it.name)), form(it.body))
    case .error: .of("error")
    }
  }

  private static func parts(_ it: FunctionDeclaration) -> [Form] {
    var parts: [Form] = [.atom(it.name.text)]
    if !it.typeParameters.isEmpty { parts.append(.of("types", it.typeParameters.map { .atom($0.text) })) }
    parts.append(.list(it.parameters.map(form)))
    parts += opt(it.result) { .of("->", form($0)) }
    parts += opt(it.effects) { form($0) }
    parts += opt(it.body) { form($0) }
    return parts
  }

  private static func form(_ it: ExecDeclaration) -> Form {
    var parts: [Form] = [.atom(it.name.text), .list(it.parameters.map(form))]
    parts += opt(it.result) { .of("->", form($0)) }
    parts.append(.of((it.isStreaming ? "stream-" : "") + it.language.rawValue, .atom(quoted(it.code))))
    if !it.options.isEmpty { parts.append(.of("with", it.options.map(form))) }
    return .of("exec", parts)
  }

  private static func form(_ it: Parameter) -> Form {
    guard it.type != nil || it.defaultValue != nil else { return .atom(it.name.text) }
    var parts: [Form] = [.atom(it.name.text)]
    parts += opt(it.type) { form($0) }
    parts += opt(it.defaultValue) { .of("=", form($0)) }
    return .list(parts)
  }

  private static func form(_ it: TypeDeclaration) -> Form {
    let head: [Form] =
      [.atom(it.name.text)] + (it.parameters.isEmpty ? [] : [.of("types", it.parameters.map { .atom($0.text) })])
    switch it.definition {
    case .sum(let constructors):
      return .of(
        "sum",
        head
          + constructors.map { constructor in
            .of(
              constructor.name.text,
              constructor.fields.map { field in
                field.label.map { .of($0.text + ":", form(field.type)) } ?? form(field.type)
              })
          })
    case .alias(let type): return .of("alias", head + [form(type)])
    case .extern: return .of("extern-type", head)
    }
  }

  private static func form(_ it: Setting) -> Form {
    switch it.value {
    case .expression(let e): .of(it.name.text, form(e))
    case .type(let type): .of(it.name.text, .of("type", form(type)))
    }
  }

  private static func form(_ it: GuardDeclaration) -> Form {
    let target: Form =
      switch it.target {
      case .named(let name): .atom(name.text)
      case .every(let name): .of("every", .atom(name.text))
      }
    var parts: [Form] = [.atom(it.moment.rawValue), target]
    parts += opt(it.parameter) { .list([form($0)]) }
    parts += opt(it.keep) { .of("keep", form($0)) }
    parts.append(form(it.body))
    return .of("guard", parts)
  }
}
