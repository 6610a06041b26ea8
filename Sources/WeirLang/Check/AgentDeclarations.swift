/// Providers, agents, tools and workflows become calls of the library, so that a misspelt field is an ordinary diagnostic.
///
///     provider p { model: "m" }        let p = provider("p", {model: "m"})                        std/agent
///     agent A { provider: p }          let A = agent("A", {provider: p})                          std/agent
///     tool t(x: int) -> int { … }      func t …   and a value t = tool("t", {…}, t)               std/agent
///     workflow W(m: string) { … }      func W …   and a value W = workflow("W", {…}, W)           std/http
///
/// A tool and a workflow are two things under one name: called, the function; named, the value. Naming the value
/// charges what the function does, because whoever has it can start it.
struct AgentDeclarations {
  let declarations: Declarations
  var checker: Checker { declarations.checker }
  var module: Module { declarations.module }

  init(_ declarations: Declarations) { self.declarations = declarations }

  static let routes = ["get": "GET", "post": "POST", "put": "PUT", "delete": "DELETE", "webhook": "POST"]

  // MARK: Settings

  func declareProvider(_ settings: SettingsDeclaration, _ declaration: Declaration) {
    let fields = settings.settings.map { setting -> Field in
      // By reference: the key is looked up when a request needs it, and its absence is reported by name then.
      if setting.name.text == "api_key", case .expression(let value) = setting.value,
        case .call(let callee, let arguments) = value.kind, case .name("env") = callee.kind, arguments.count == 1,
        case .string = arguments[0].value.kind
      {
        return Field(name: Name("api_key_env", setting.name.span), value: arguments[0].value)
      }
      return field(setting)
    }
    declare(settings, fields, maker: "provider", declaration)
  }

  func declareAgent(_ settings: SettingsDeclaration, _ declaration: Declaration) {
    let home = checker.libraryModule(named: "std/agent")
    let fields = settings.settings.map(field).map { field -> Field in
      // What needs more than to be written down goes through a function of the library: `tools: _tools([…])`.
      guard home?.functions["_" + field.name.text] != nil else { return field }
      let callee = expression(.name("_" + field.name.text), field.value.span)
      let call = expression(.call(callee, [Argument(label: nil, value: field.value)]), field.value.span)
      return Field(name: field.name, value: call)
    }
    declare(settings, fields, maker: "agent", declaration)
  }

  private func field(_ setting: Setting) -> Field {
    switch setting.value {
    case .expression(let value):
      // `memory: none`: a word of the library that takes nothing is a value here.
      if case .name(let word) = value.kind, module.values[word] == nil,
        let function = checker.libraryModule(named: "std/agent")?.functions[word], function.parameters.isEmpty
      {
        return Field(name: setting.name, value: expression(.call(value, []), value.span))
      }
      return Field(name: setting.name, value: value)
    case .type(let written):
      let type = TypeReader(checker, module).read(written)
      return Field(name: setting.name, value: text(Shapes(checker).schema(type), written.span))
    }
  }

  private func declare(
    _ settings: SettingsDeclaration, _ fields: [Field], maker: String, _ declaration: Declaration
  ) {
    guard declarations.claim(settings.name) else { return }
    guard let home = checker.libraryModule(named: "std/agent"), let function = home.functions[maker] else {
      report(missing: maker, "std/agent", settings.name.span)
      return
    }
    let name = settings.name
    let unit = CodeUnit(name: name.text, span: name.span, isLibrary: module.isLibrary, row: .pure)
    let global = self.global(name, declaration)
    global.mention = unit
    let record = expression(.record(fields), name.span)
    declarations.define(global, uses: NameCollector.names(in: record)) { [module, checker] in
      let body = BodyChecker(checker, module, unit: unit, name: name.text)
      body.libraryScope = home
      let arguments = [text(name.text, name.span), record].map { CallArgument(Argument(label: nil, value: $0)) }
      let checked = body.callFunction(function, arguments, name.span, name.span, name: maker)
      unit.row = BodyChecker.row(of: unit.charges, checker.unifier)
      // Making it happens at the start, whoever uses it; what it mentions counts where it is named itself.
      module.unit.charges += unit.charges.filter { !$0.isMention }
      return checked
    }
  }

  private func global(_ name: Name, _ declaration: Declaration) -> GlobalEntity {
    checker.unifier.enterLevel()
    let type = checker.unifier.fresh()
    checker.unifier.leaveLevel()
    let global = GlobalEntity(name: name.text, module: module, span: name.span, type: type)
    declarations.bind(name.text, .global(global), isExported: declaration.isExported)
    return global
  }

  private func report(missing what: String, _ home: String, _ span: Span) {
    checker.report(
      Diagnostic("E0203", "a `\(what)` needs the module \(home), and this library has none", at: span))
  }

  // MARK: Tools and workflows

  func declareTool(_ tool: ToolDeclaration, _ declaration: Declaration) {
    guard let function = declarations.declare(tool.function, isExported: declaration.isExported) else { return }
    declarations.define(function, tool.function)
    module.tools.append(.init(function: function, declaration: declaration, description: tool.description))
    let name = tool.function.name
    wrap(function, name, declaration, maker: "tool", home: "std/agent") {
      var fields = [
        ("description", text(tool.description ?? declaration.documentation ?? "", name.span)),
        ("schema", text(Shapes(checker).schema(of: function), name.span)),
        ("returns", text(TypePrinter.text(function.ownType.asFunction?.result ?? .unit), name.span)),
      ]
      fields.append(("params", parameters(tool.function, function)))
      return fields
    }
  }

  func declareWorkflow(_ workflow: WorkflowDeclaration, _ declaration: Declaration) {
    guard let function = declarations.declare(workflow.function, isExported: declaration.isExported) else { return }
    declarations.define(function, workflow.function)
    module.workflows.append(.init(function: function, declaration: declaration, description: nil))
    let name = workflow.function.name
    let route = self.route(declaration, name)
    wrap(function, name, declaration, maker: "workflow", home: "std/http") {
      var isStream = false
      if case .named(let type, _)? = function.ownType.asFunction?.result.resolved { isStream = type.name == "Stream" }
      var fields = [
        ("method", text(route.method, name.span)), ("path", text(route.path, name.span)),
        ("params", parameters(workflow.function, function)),
        ("returns", text(isStream ? "stream" : "value", name.span)),
      ]
      if let title = route.title { fields.append(("title", title)) }
      if let words = route.description {
        fields.append(("description", words))
      } else if let words = declaration.documentation {
        fields.append(("description", text(words, name.span)))
      }
      return fields
    }
  }

  /// The value beside the function. Only fields that the library's record has are given.
  private func wrap(
    _ function: FunctionEntity, _ name: Name, _ declaration: Declaration, maker: String, home: String,
    fields: @escaping () -> [(String, Expression)]
  ) {
    guard let library = checker.libraryModule(named: home), let make = library.functions[maker] else {
      report(missing: maker, home, name.span)
      return
    }
    let global = self.global(name, declaration)
    global.mention = function.unit
    declarations.define(global, uses: [name.text]) { [module, checker] in
      let unit = CodeUnit(name: name.text, span: name.span, isLibrary: true, row: .pure)
      let body = BodyChecker(checker, module, unit: unit, name: name.text)
      body.libraryScope = checker.libraryModule(named: "std/json")
      let wanted = make.parameters.count > 1 ? make.parameters[1].type.asRecord : nil
      let record = expression(.record(filter(fields(), wanted, name.span)), name.span)
      let handler = Checked(function.ownType, unit: function.unit, name: name.text) { lowering in
        Core(.function(lowering.function(function)), name.span)
      }
      let arguments = [
        CallArgument(Argument(label: nil, value: text(name.text, name.span))),
        CallArgument(Argument(label: nil, value: record)), CallArgument(handler, name.span),
      ]
      return body.callFunction(make, arguments, name.span, name.span, name: maker)
    }
  }

  private func filter(_ fields: [(String, Expression)], _ wanted: RecordType?, _ span: Span) -> [Field] {
    fields.filter { wanted?[$0.0] != nil }.map { name, value in
      guard case .list(let items) = value.kind, case .list(let item)? = wanted?[name]?.type.resolved,
        let inner = item.asRecord
      else { return Field(name: Name(name, span), value: value) }
      let kept = items.map { item -> Expression in
        guard case .record(let fields) = item.kind else { return item }
        return expression(.record(fields.filter { inner[$0.name.text] != nil }), item.span)
      }
      return Field(name: Name(name, span), value: expression(.list(kept), value.span))
    }
  }

  /// `[{name: "message", type: "string", optional: false}]`
  private func parameters(_ declaration: FunctionDeclaration, _ function: FunctionEntity) -> Expression {
    let items = zip(declaration.parameters, function.parameters).map { written, parameter -> Expression in
      let span = written.span
      var fields = [
        ("name", text(parameter.name, span)), ("type", text(TypePrinter.text(parameter.type), span)),
        ("optional", expression(.bool(parameter.isOptional || isOption(parameter.type)), span)),
      ]
      if let value = written.defaultValue, let json = json(value) { fields.append(("default", json)) }
      return expression(.record(fields.map { Field(name: Name($0.0, span), value: $0.1) }), span)
    }
    return expression(.list(items), declaration.name.span)
  }

  private func isOption(_ type: Type) -> Bool {
    if case .named(let named, _) = type.resolved { named === checker.prelude.option } else { false }
  }

  /// A default that can be told without running anything.
  private func json(_ value: Expression) -> Expression? {
    let constructor: String
    switch value.kind {
    case .string: constructor = "JString"
    case .bool: constructor = "JBool"
    case .int, .float: constructor = "JNumber"
    default: return nil
    }
    let callee = expression(.name(constructor), value.span)
    return expression(.call(callee, [Argument(label: nil, value: value)]), value.span)
  }

  private func expression(_ kind: Expression.Kind, _ span: Span) -> Expression {
    Expression(kind: kind, span: span, id: -1, depth: 0)
  }

  private func text(_ text: String, _ span: Span) -> Expression { expression(.string(text), span) }

  // MARK: Routes

  private struct Route {
    var method = ""
    var path = ""
    var title: Expression?
    var description: Expression?
  }

  private func route(_ declaration: Declaration, _ name: Name) -> Route {
    var route = Route()
    for decorator in declaration.decorators {
      let word = decorator.name.text
      if word == "webui" {
        for argument in decorator.arguments {
          switch argument.label?.text {
          case "title": route.title = argument.value
          case "description": route.description = argument.value
          default:
            let near = argument.label.flatMap { Suggestion.nearest(to: $0.text, among: ["title", "description"]) }
            checker.report(
              Diagnostic(
                "E0236", "`@webui` takes `title:` and `description:`", at: argument.label?.span ?? argument.value.span,
                hint: near.map { "did you mean `\($0)`?" }))
          }
        }
        continue
      }
      guard let method = Self.routes[word] else {
        let near = Suggestion.nearest(to: word, among: Array(Self.routes.keys) + ["webui"])
        checker.report(
          Diagnostic(
            "E0222", "a workflow has no decorator `@\(word)`", at: decorator.name.span,
            notes: ["there are @post @get @put @delete @webhook @webui"], hint: near.map { "did you mean `@\($0)`?" }))
        continue
      }
      guard let first = decorator.arguments.first, first.label == nil, case .string(let path) = first.value.kind,
        path.hasPrefix("/")
      else {
        checker.report(
          Diagnostic(
            "E0223", "`@\(word)` needs the path of the route", at: decorator.span, hint: "write `@\(word)(\"/chat\")`"))
        continue
      }
      for argument in decorator.arguments.dropFirst() { checkRouteOption(argument, of: word) }
      let key = "\(method) \(path)"
      if let first = module.routes[key] {
        checker.report(
          Diagnostic(
            "E0224", "two workflows have the route \(key)", at: decorator.span, related: [.init(first, "first here")],
            hint: "give `\(name.text)` another path"))
      }
      module.routes[key] = decorator.span
      route.method = method
      route.path = path
    }
    return route
  }

  /// `@post("/chat", on_disconnect: "cancel")`: what becomes of a run whose last reader left.
  private func checkRouteOption(_ argument: Argument, of word: String) {
    let policies = ["continue", "cancel"]
    if argument.label?.text == "on_disconnect", case .string(let policy) = argument.value.kind,
      policies.contains(policy)
    {
      return
    }
    let near = argument.label.flatMap { Suggestion.nearest(to: $0.text, among: ["on_disconnect"]) }
    checker.report(
      Diagnostic(
        "E0305", "`@\(word)` takes a path and `on_disconnect:` \"continue\" or \"cancel\"",
        at: argument.label?.span ?? argument.value.span,
        hint: near == argument.label?.text ? nil : near.map { "did you mean `\($0)`?" }))
  }
}
