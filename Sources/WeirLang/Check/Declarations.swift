/// Declares what a module's top level names, then solves it group by group.
///
/// First every type, then every signature, so that order in the file does not matter; then bodies, in groups of
/// definitions that use each other (`CallGroups`). Providers, agents, tools and workflows become calls of the library
/// first (`AgentDeclarations.swift`).
final class Declarations {
  let checker: Checker
  let module: Module
  private var sums: [(type: NamedType, declaration: TypeDeclaration, cases: [Constructor])] = []
  private var definitions: [Definition] = []
  private var declared: [String: Span] = [:]
  private var aliasesToCheck: [TypeAlias] = []

  /// One thing to solve: it may use others, and others may use it by its names.
  final class Definition {
    let names: [String]
    let uses: Set<String>
    let function: FunctionEntity?
    let global: GlobalEntity?
    let solve: () -> Void
    init(
      names: [String], uses: Set<String>, function: FunctionEntity? = nil, global: GlobalEntity? = nil,
      solve: @escaping () -> Void
    ) {
      self.names = names
      self.uses = uses
      self.function = function
      self.global = global
      self.solve = solve
    }
  }

  init(_ checker: Checker, _ module: Module) {
    self.checker = checker
    self.module = module
  }

  func check() {
    let all = module.tree.declarations
    for declaration in all { if case .type(let type) = declaration.kind { declare(type, declaration) } }
    for (type, declaration, cases) in sums { fill(type, declaration, cases) }
    for alias in aliasesToCheck { verify(alias) }
    for item in module.tree.items {
      switch item {
      case .declaration(let declaration): declare(declaration)
      case .statement(let statement): declare(statement)
      }
    }
    for name in module.unknown { forget(name) }
    solveGroups()
    module.unit.row = BodyChecker.row(of: module.unit.charges, checker.unifier)
  }

  /// What was read only in part is a name all the same, of which nothing is known.
  private func forget(_ name: String) {
    module.values[name] = nil
    module.types[name] = nil
    module.exportedTypes[name] = nil
    module.exportedValues[name] = nil
  }

  // MARK: Types

  private func declare(_ type: TypeDeclaration, _ declaration: Declaration) {
    let name = type.name.text
    if let first = declared["type " + name] {
      duplicate(type.name, first)
      return
    }
    declared["type " + name] = type.name.span
    let parameters = type.parameters.map(\.text)
    let entity: TypeEntity
    switch type.definition {
    case .alias(let definition):
      let alias = TypeAlias(name: name, module: module, parameters: parameters, definition: definition)
      aliasesToCheck.append(alias)
      entity = .alias(alias)
    case .extern:
      if !module.isLibrary {
        checker.report(Diagnostic("E0215", "only the library can declare `extern` types", at: type.name.span))
      }
      entity = .named(NamedType(name: name, module: module.path, parameters: parameters))
    case .sum(let cases):
      let named: NamedType
      if module.isLibrary, let known = checker.prelude.type(name) {
        named = known
      } else {
        named = NamedType(name: name, module: module.path, parameters: parameters)
        named.isOpen = module.isLibrary && declaration.documentation?.contains(text: "@open") ?? false
        if name == "StreamEvent" && module.isLibrary { named.isOpen = true }
        sums.append((named, type, cases))
      }
      module.sums.append(named)
      entity = .named(named)
      if declaration.isExported { module.exportedTypes[name] = entity }
      module.types[name] = entity
      return
    }
    module.types[name] = entity
    if declaration.isExported || isExternType(type) { module.exportedTypes[name] = entity }
  }

  private func isExternType(_ type: TypeDeclaration) -> Bool {
    if case .extern = type.definition { true } else { false }
  }

  private func fill(_ type: NamedType, _ declaration: TypeDeclaration, _ cases: [Constructor]) {
    checker.unifier.enterLevel()
    defer { checker.unifier.leaveLevel() }
    let reader = TypeReader(checker, module)
    reader.arrows = .pure
    let variables = declaration.parameters.map { _ in checker.unifier.freshVariable() }
    for (parameter, variable) in zip(declaration.parameters, variables) {
      reader.parameters[parameter.text] = .variable(variable)
    }
    let isExported = module.exportedTypes[type.name] != nil
    var seen: [String: Span] = [:]
    for item in cases {
      if let first = seen[item.name.text] {
        checker.report(
          Diagnostic(
            "E0227", "`\(declaration.name.text)` has the constructor `\(item.name.text)` twice", at: item.name.span,
            related: [.init(first, "first here")], hint: "one type's constructors need different names"))
        continue
      }
      seen[item.name.text] = item.name.span
      let constructor = SumCase(
        name: item.name.text, index: type.constructors.count, owner: type, variables: variables)
      constructor.fields = item.fields.map { reader.read($0.type) }
      type.constructors.append(constructor)
      module.values[item.name.text, default: []].append(.constructor(constructor))
      if isExported { module.exportedValues[item.name.text, default: []].append(.constructor(constructor)) }
    }
  }

  /// An alias that nobody uses can be wrong too.
  private func verify(_ alias: TypeAlias) {
    let reader = TypeReader(checker, module)
    reader.arrows = .pure
    for parameter in alias.parameters { reader.parameters[parameter] = checker.unifier.fresh() }
    reader.definition = alias.definition
    alias.isExpanding = true
    _ = reader.read(alias.definition)
    alias.isExpanding = false
  }

  // MARK: Values

  private func declare(_ declaration: Declaration) {
    switch declaration.kind {
    case .type, .error: break
    case .function(let function):
      let entity = declare(function, isExported: declaration.isExported)
      if let entity { define(entity, function) }
    case .constant(let binding): declare(binding, declaration)
    case .provider(let settings): agents.declareProvider(settings, declaration)
    case .agent(let settings): agents.declareAgent(settings, declaration)
    case .tool(let tool): agents.declareTool(tool, declaration)
    case .workflow(let workflow): agents.declareWorkflow(workflow, declaration)
    case .test(let test): declare(test, declaration)
    case .exec(let exec): pipelines.declareExec(exec, declaration)
    case .guard(let item): pipelines.declareGuard(item)
    }
  }

  private lazy var agents = AgentDeclarations(self)
  private lazy var pipelines = PipelineDeclarations(self)

  /// False when the name is taken: already reported.
  func claim(_ name: Name) -> Bool {
    if let first = declared[name.text] {
      duplicate(name, first)
      return false
    }
    declared[name.text] = name.span
    return true
  }

  private func duplicate(_ name: Name, _ first: Span) {
    checker.report(
      Diagnostic(
        "E0205", "`\(name.text)` is declared twice", at: name.span, related: [.init(first, "first here")],
        hint: "give one of them another name"))
  }

  /// A name declared here hides an imported one.
  func bind(_ name: String, _ entity: Entity, isExported: Bool) {
    let own = (module.values[name] ?? []).filter { existing in
      switch existing {
      case .function(let f): f.module === module
      case .global(let g): g.module === module
      case .constructor(let c): c.owner.module == module.path
      }
    }
    if own.isEmpty, !module.isLibrary { checker.noteHidden(name, by: entity, in: module) }
    module.values[name] = own + [entity]
    if isExported { module.exportedValues[name, default: []].append(entity) }
  }

  func declare(_ function: FunctionDeclaration, isExported: Bool) -> FunctionEntity? {
    guard claim(function.name) else { return nil }
    let entity = signature(function)
    module.functions[function.name.text] = entity
    bind(function.name.text, .function(entity), isExported: isExported || (entity.isExtern && module.isLibrary))
    return entity
  }

  func signature(_ function: FunctionDeclaration) -> FunctionEntity {
    let unifier = checker.unifier
    unifier.enterLevel()
    defer { unifier.leaveLevel() }
    let reader = TypeReader(checker, module)
    reader.allowsAny = function.isExtern && module.isLibrary
    var rigid: [TypeVariable] = []
    for parameter in function.typeParameters {
      let isNative = function.isExtern && module.isLibrary
      let variable = unifier.freshVariable(
        isNative ? VariableKind(parameter: parameter.text) : .any, rigidName: parameter.text)
      rigid.append(variable)
      reader.parameters[parameter.text] = .variable(variable)
    }
    let entity = FunctionEntity(name: function.name.text, module: module, span: function.name.span, type: .error)
    var seen: [String: Span] = [:]
    for parameter in function.parameters {
      if let first = seen[parameter.name.text], parameter.name.text != "_" {
        checker.report(
          Diagnostic(
            "E0228", "`\(function.name.text)` has two parameters `\(parameter.name.text)`", at: parameter.name.span,
            related: [.init(first, "first here")], hint: "give one of them another name"))
      }
      seen[parameter.name.text] = parameter.name.span
      let type: Type
      if let written = parameter.type {
        type = reader.read(written)
      } else {
        checker.report(
          Diagnostic(
            "E0208", "the parameter `\(parameter.name.text)` of `\(function.name.text)` needs a type",
            at: parameter.name.span, hint: "write `\(parameter.name.text): string`, or whatever it is"))
        type = .error
      }
      entity.parameters.append(.init(name: parameter.name.text, type: type, span: parameter.span))
    }
    reader.allowsAny = false
    let result = function.result.map(reader.read) ?? (function.isExtern ? .unit : unifier.fresh())
    entity.resultIsWritten = function.result != nil
    var row = unifier.openRow()
    entity.isPure = function.isPure
    if let written = function.effects {
      row = reader.row(written)
      entity.declaredRow = (row.effects, written.span)
      if row.rest == nil && !function.isExtern { row.rest = unifier.freshRow() }
      entity.limits = limits(written)
    } else if function.isPure {
      entity.declaredRow = (.none, function.name.span)
    }
    if function.isExtern {
      entity.isExtern = true
      if !module.isLibrary {
        checker.report(
          Diagnostic(
            "E0215", "only the library can declare `extern` functions", at: function.name.span,
            hint: "give `\(function.name.text)` a body: `{ … }`"))
      }
      if function.effects == nil { row = .pure }
      // A native that is handed a function may have it called: what the function does counts as its own.
      for parameter in entity.parameters {
        guard let arrow = parameter.type.asFunction, let rest = arrow.row.resolved.rest else { continue }
        if let known = row.resolved.rest {
          if known !== rest { rest.bound = Row(effects: .none, rest: known) }
        } else {
          row = Row(effects: row.resolved.effects, rest: rest)
        }
      }
      entity.unit.row = row
    }
    let type = Type.function(FunctionType(parameters: entity.parameters.map(\.type), row: row, result: result))
    entity.scheme =
      function.isExtern || entity.resultIsWritten ? Scheme(type, variables: rigid) : Scheme(type)
    entity.ownType = type
    entity.isWorkInProgress = !function.isExtern
    entity.typeParameters = reader.parameters
    entity.rowParameters = reader.rows
    return entity
  }

  private func limits(_ row: EffectRow) -> [EffectLimit] {
    var result: [EffectLimit] = []
    for effect in row.effects {
      guard let limit = effect.limit else { continue }
      if limit < 1 {
        checker.report(
          Diagnostic(
            "E0503", "a limit is at least 1", at: effect.span,
            hint: "leave `\(effect.name.text)` out of the row to forbid it"))
        continue
      }
      if result.contains(where: { $0.effect == effect.name.text }) {
        checker.report(Diagnostic("E0505", "`\(effect.name.text)` is limited twice", at: effect.span))
        continue
      }
      result.append(EffectLimit(effect: effect.name.text, count: limit))
    }
    return result
  }

  func define(_ entity: FunctionEntity, _ function: FunctionDeclaration) {
    defineDefaults(entity, function)
    guard let body = function.body else {
      // Signatures of natives are complete as written.
      let type = entity.ownType
      entity.scheme = checker.unifier.generalise(type)
      return
    }
    define(entity, uses: NameCollector.names(in: function)) { [checker, module] in
      BodyChecker(checker, module, unit: entity.unit, name: entity.name).solve(entity, function, body)
    }
  }

  /// A function whose body is found out by `solve` when its turn has come.
  func define(_ entity: FunctionEntity, uses: Set<String>, solve: @escaping () -> Void) {
    definitions.append(Definition(names: [entity.name], uses: uses, function: entity, solve: solve))
  }

  func defineDefaults(_ entity: FunctionEntity, _ function: FunctionDeclaration) {
    for (index, parameter) in function.parameters.enumerated() where index < entity.parameters.count {
      guard let value = parameter.defaultValue else { continue }
      let thunk = FunctionEntity(
        name: "\(entity.name).\(parameter.name.text)", module: module, span: value.span,
        type: .function(FunctionType(parameters: [], row: .pure, result: entity.parameters[index].type)))
      entity.parameters[index].defaultValue = thunk
      let type = entity.parameters[index].type
      definitions.append(
        Definition(names: [], uses: NameCollector.names(in: value)) { [checker, module] in
          let body = BodyChecker(checker, module, unit: thunk.unit, name: thunk.name)
          let checked = body.check(value, type, .annotation(parameter.name.text))
          thunk.body = checked.core
          thunk.unit.row = BodyChecker.row(of: thunk.unit.charges, checker.unifier)
        })
    }
  }

  private func declare(_ binding: Binding, _ declaration: Declaration) {
    guard case .name(let text) = binding.pattern.kind else {
      unpack(binding, declaration)
      return
    }
    constant(Name(text, binding.pattern.span), binding, isExported: declaration.isExported, isMutable: false)
  }

  private func constant(_ name: Name, _ binding: Binding, isExported: Bool, isMutable: Bool) {
    guard claim(name) else { return }
    let text = name.text
    checker.unifier.enterLevel()
    let reader = TypeReader(checker, module)
    let type = binding.type.map(reader.read) ?? checker.unifier.fresh()
    checker.unifier.leaveLevel()
    let global = GlobalEntity(name: text, module: module, span: name.span, type: type)
    bind(text, .global(global), isExported: isExported)
    global.isConstant = true
    global.isMutable = isMutable
    define(global, value: binding.value, type: binding.type == nil ? nil : type)
  }

  private func define(_ global: GlobalEntity, value: Expression, type: Type?) {
    define(global, uses: NameCollector.names(in: value)) { [checker, module] in
      let body = BodyChecker(checker, module, unit: module.unit, name: global.name, locals: module.locals)
      return type.map { body.check(value, $0, .annotation(global.name)) } ?? body.infer(value)
    }
  }

  /// A global, and how its initialiser is checked when its turn has come.
  func define(_ global: GlobalEntity, uses: Set<String>, make: @escaping () -> Checked) {
    definitions.append(
      Definition(names: [global.name], uses: uses, global: global) { [checker] in
        let checked = make()
        // A recursive use may have found out something else about it.
        if let difference = checker.unifier.unify(global.scheme.type, checked.type) {
          checker.report(
            Mismatch.diagnostic(
              expected: global.scheme.type, found: checked.type, difference, .annotation(global.name), at: global.span))
        }
        global.initialiser = checked.core
        global.unit = checked.unit
      })
  }

  /// `let (a, b) = e` at top level: a hidden global holds what the pattern binds, and each name is a part of it.
  private func unpack(_ binding: Binding, _ declaration: Declaration) {
    let names = binding.pattern.boundNames
    for name in names where !claim(name) { return }
    let whole = GlobalEntity(
      name: "let@\(binding.pattern.span.start)", module: module, span: binding.pattern.span, type: .error)
    whole.isConstant = true
    checker.unifier.enterLevel()
    let types = names.map { _ in checker.unifier.fresh() }
    checker.unifier.leaveLevel()
    whole.scheme = Scheme(.tuple(types))
    define(whole, uses: NameCollector.names(in: binding.value)) { [checker, module] in
      let body = BodyChecker(checker, module, unit: module.unit, name: whole.name, locals: module.locals)
      let written = binding.type.map { TypeReader(checker, module).read($0) }
      let value = written.map { body.check(binding.value, $0, .annotation("let")) } ?? body.infer(binding.value)
      return body.parts(of: value, binding.pattern, names)
    }
    for (index, name) in names.enumerated() {
      let part = GlobalEntity(name: name.text, module: module, span: name.span, type: types[index])
      part.isConstant = true
      bind(name.text, .global(part), isExported: declaration.isExported)
      define(part, uses: [whole.name]) {
        Checked(types[index]) { lowering in
          Core(.field(Core(.global(lowering.global(whole)), name.span), index), name.span)
        }
      }
    }
  }

  /// A statement at top level: part of the script, and what it declares is seen by functions too.
  private func declare(_ statement: Statement) {
    if module.isLibrary || checker.loading.first(where: { checker.modules[$0]?.isLibrary == false }) != module.path {
      if declared["statements"] == nil {
        checker.report(
          Diagnostic(
            "E0213", "an imported file only declares things", at: statement.span,
            hint: "put these statements into a function, or run this file by itself"))
      }
      declared["statements"] = statement.span
      return
    }
    switch statement.kind {
    case .var(let binding):
      if case .name(let text) = binding.pattern.kind {
        constant(Name(text, binding.pattern.span), binding, isExported: false, isMutable: true)
        return
      }
    case .assign(let name, let value):
      if declared[name.text] == nil {
        let pattern = Pattern(kind: .name(name.text), span: name.span, id: -1, depth: 0)
        constant(name, Binding(pattern: pattern, type: nil, value: value), isExported: false, isMutable: true)
        return
      }
    default: break
    }
    definitions.append(
      Definition(names: [], uses: NameCollector.names(in: statement)) { [checker, module] in
        let body = BodyChecker(checker, module, unit: module.scriptUnit, name: "script", locals: module.locals)
        for core in body.statement(statement) { module.script.append((statement.span, core)) }
      })
  }

  private func declare(_ test: TestDeclaration, _ declaration: Declaration) {
    let entity = FunctionEntity(
      name: test.name, module: module, span: test.nameSpan,
      type: .function(FunctionType(parameters: [], row: .pure, result: .unit)))
    module.tests.append(entity)
    let body = Expression(kind: .block(test.body), span: test.body.span, id: -1, depth: 0)
    definitions.append(
      Definition(names: [], uses: NameCollector.names(in: body)) { [checker, module] in
        let checked = BodyChecker(checker, module, unit: entity.unit, name: "test").infer(body)
        entity.body = checked.core
        entity.unit.row = BodyChecker.row(of: entity.unit.charges, checker.unifier)
      })
  }

  // MARK: Solving

  private func solveGroups() {
    var byName: [String: [Int]] = [:]
    for (index, definition) in definitions.enumerated() {
      for name in definition.names { byName[name, default: []].append(index) }
    }
    let uses = definitions.map { definition in definition.uses.flatMap { byName[$0] ?? [] }.sorted() }
    for group in CallGroups.order(uses) { solve(group.map { definitions[$0] }) }
  }

  private func solve(_ group: [Definition]) {
    let unifier = checker.unifier
    unifier.enterLevel()
    for definition in group { definition.solve() }
    // Rows of functions that call each other are equations over each other: the second round closes them.
    for definition in group { if let function = definition.function { BodyChecker.settleRow(function, checker) } }
    BodyChecker.closeRows(group.compactMap(\.function))
    unifier.leaveLevel()
    for definition in group {
      if let function = definition.function {
        function.scheme = unifier.generalise(function.ownType)
        function.isWorkInProgress = false
      }
      if let global = definition.global {
        let scheme = unifier.generalise(global.scheme.type)
        global.scheme = global.unit == nil ? Scheme(scheme.type) : scheme
        module.globals.append(global)
      }
    }
    for definition in group { if let function = definition.function { BodyChecker.compareRow(function, checker) } }
    let work = checker.afterGroup
    checker.afterGroup = []
    for item in work { item() }
  }
}

extension Pattern {
  /// Names it binds, in written order.
  fileprivate var boundNames: [Name] {
    switch kind {
    case .name(let text): [Name(text, span)]
    case .constructor(_, _, let parts): (parts ?? []).flatMap(\.boundNames)
    case .tuple(let parts): parts.flatMap(\.boundNames)
    case .list(let parts, let rest): parts.flatMap(\.boundNames) + (rest?.boundNames ?? [])
    case .cons(let head, let tail): head.boundNames + tail.boundNames
    case .record(let fields): fields.flatMap(\.pattern.boundNames)
    case .or(let options): options.first?.boundNames ?? []
    default: []
    }
  }
}
