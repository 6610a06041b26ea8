/// Gives everything that is reached its number and builds the core program.
///
/// Functions are numbered when they are first mentioned and built from a work list, so that only what is used is there
/// and depth of calls is no depth of recursion. Globals come in the order of their modules.
final class Lowering {
  private let checker: Checker
  private var functions: [CoreFunction] = []
  private var functionNumbers: [ObjectIdentifier: Int] = [:]
  private var waiting: [(index: Int, function: FunctionEntity)] = []
  private var natives: [CoreNative] = []
  private var nativeNumbers: [ObjectIdentifier: Int] = [:]
  private var globalNumbers: [ObjectIdentifier: Int] = [:]
  private var toldShapes: [TypeShape] = []
  let shapes: Shapes

  init(_ checker: Checker) {
    self.checker = checker
    shapes = Shapes(checker)
  }

  /// `isTested`: what runs is the module's tests, each by itself.
  func program(entryModule: Module, entry: FunctionEntity?, isTested: Bool) -> CoreProgram {
    let globals = checker.order.flatMap(\.globals)
    for (index, global) in globals.enumerated() { globalNumbers[ObjectIdentifier(global)] = index }
    let hasScript = entry == nil && !isTested && !entryModule.script.isEmpty
    var first: [GlobalOrder.Step] = []
    var script: [(span: Span, step: GlobalOrder.Step)] = []
    for (index, global) in globals.enumerated() {
      let value = global.initialiser?(self) ?? Core(.literal(.unit), global.span)
      let step = GlobalOrder.Step(sets: index, core: value)
      let isInScript = hasScript && global.isConstant && global.module === entryModule
      if isInScript { script.append((global.span, step)) } else { first.append(step) }
    }
    if hasScript {
      for item in entryModule.script { script.append((item.span, GlobalOrder.Step(sets: nil, core: item.core(self)))) }
    }
    var program = CoreProgram(functions: [])
    program.entry = entry.map(function)
    program.exports = exports(entryModule, entry, isTested: isTested)
    var next = 0
    while next < waiting.count {
      let (index, entity) = waiting[next]
      next += 1
      functions[index].body = entity.body?(self) ?? Core(.literal(.unit), entity.span)
    }
    let written = script.enumerated().sorted { ($0.element.span, $0.offset) < ($1.element.span, $1.offset) }
    var statements = written.map(\.element.step)
    if hasScript { Self.move(&first, into: &statements, functions) }
    let order = GlobalOrder(first + statements, functions: functions)
    // The first of each step: the others are mostly the same mistake.
    var told = -1
    for read in order.earlyReads where read.step != told {
      told = read.step
      checker.report(diagnostic(read, globals[read.global]))
    }
    program.globals = globals.enumerated().map { index, global in
      let isUnit = global.scheme.type.isUnit
      return CoreGlobal(
        name: global.name, initialiser: Core(.literal(.unit), global.span),
        isWatched: order.watched.contains(index) && !isUnit)
    }
    for step in first { if let index = step.sets { program.globals[index].initialiser = step.core } }
    if hasScript { program.script = self.script(statements, entryModule.unit.span) }
    program.functions = functions
    program.natives = natives
    program.shapes = toldShapes
    program.types = shapes.types(of: checker.order)
    return program
  }

  // MARK: Numbers

  func function(_ entity: FunctionEntity) -> Int {
    if let known = functionNumbers[ObjectIdentifier(entity)] { return known }
    let index = functions.count
    functionNumbers[ObjectIdentifier(entity)] = index
    functions.append(
      CoreFunction(
        name: entity.name, parameters: entity.locals, body: Core(.literal(.unit), entity.span), span: entity.span,
        limits: entity.limits, isLibrary: entity.unit.isLibrary))
    waiting.append((index, entity))
    return index
  }

  func native(_ entity: FunctionEntity, _ span: Span) -> Int {
    if let known = nativeNumbers[ObjectIdentifier(entity)] { return known }
    let index = natives.count
    nativeNumbers[ObjectIdentifier(entity)] = index
    natives.append(
      CoreNative(
        module: entity.module.path, name: entity.name, arity: entity.parameters.count,
        effects: entity.unit.row.known.sorted, span: span))
    return index
  }

  func global(_ entity: GlobalEntity) -> Int { globalNumbers[ObjectIdentifier(entity)] ?? 0 }
  func typeID(_ type: NamedType) -> Int { shapes.id(type) }
  /// A type that only a pattern speaks of.
  func use(_ type: NamedType) { _ = shapes.id(type) }

  /// What the checker fills in for a `Shape[a]`: the place of what `a` is at this call.
  func shape(_ type: Type, of name: String, _ place: Span, _ span: Span) -> Core {
    guard let item = type.shapeArgument else { return Core(.literal(.unit), span) }
    let shape = shapes.shape(item)
    if shape.hasNoJSON {
      checker.report(noJSON(name, item, place))
    } else if shape.hasOptionOfNull {
      checker.report(
        Diagnostic(
          "E0348", "`\(name)` keeps values as JSON, and some of \(TypePrinter.text(item)) are the same there",
          at: place,
          notes: ["None is null, and so is Some of what is null itself"],
          hint: "say it with a type of your own, such as `type Found = Nothing | Value(int?)`"))
    }
    let known = toldShapes.firstIndex(of: shape)
    if known == nil { toldShapes.append(shape) }
    return Core(.literal(.int(known ?? toldShapes.count - 1)), span)
  }

  private func noJSON(_ name: String, _ type: Type, _ place: Span) -> Diagnostic {
    let text = TypePrinter.text(type)
    guard case .variable(let variable) = type.resolved else {
      return Diagnostic(
        "E0348", "`\(name)` keeps values as JSON, and \(text) has no such form", at: place,
        hint: "numbers, texts, bools, lists, maps, records and types of your own made of these have one")
    }
    let why = "values are kept as JSON, and reading them back takes their type"
    if variable.rigidName != nil {
      return Diagnostic(
        "E0348", "`\(name)` must know here what `\(text)` is", at: place, notes: [why],
        hint: "call it where the type is known, and hand over what it gives")
    }
    return Diagnostic(
      "E0348", "`\(name)` must know of what type its values are", at: place, notes: [why],
      hint: "write the types of the function around it")
  }

  func none(_ span: Span) -> Core { Core(.variant(type: Prelude.optionID, index: 1, []), span) }
  func some(_ core: Core, _ span: Span) -> Core { Core(.variant(type: Prelude.optionID, index: 0, [core]), span) }

  // MARK: Parts

  /// What is declared rather than computed (agents, providers, guards) is there before the first statement; where it reads
  /// constants of the script, right after the last of them.
  private static func move(
    _ first: inout [GlobalOrder.Step], into statements: inout [GlobalOrder.Step], _ functions: [CoreFunction]
  ) {
    var kept: [GlobalOrder.Step] = []
    for step in first {
      if let last = GlobalOrder.lastNeeded(by: step.core, statements, functions: functions) {
        statements.insert(step, at: last + 1)
      } else {
        kept.append(step)
      }
    }
    first = kept
  }

  private func script(_ statements: [GlobalOrder.Step], _ span: Span) -> Int {
    let parts = statements.map { step in
      step.sets.map { Core(.assignGlobal($0, step.core), step.core.span) } ?? step.core
    }
    let body = Core(.sequence(parts + [Core(.literal(.unit), span)]), span)
    functions.append(CoreFunction(name: "script", parameters: [], body: body, span: span))
    return functions.count - 1
  }

  private func diagnostic(_ read: GlobalOrder.EarlyRead, _ global: GlobalEntity) -> Diagnostic {
    var related = [Diagnostic.Label(global.span, "set here")]
    guard let call = read.call else {
      if read.isOfItself {
        return Diagnostic(
          "E0247", "`\(global.name)` is read before it is set", at: read.span, related: related,
          hint: "give the new value a name of its own, or make `\(global.name)` a `var` and assign to it")
      }
      return Diagnostic(
        "E0247", "`\(global.name)` is read before it is set", at: read.span, related: related,
        hint: "move this below the line that sets it")
    }
    if read.span.file == call.span.file { related.append(.init(read.span, "read here")) }
    let path = (call.path + [global.name]).joined(separator: " -> ")
    return Diagnostic(
      "E0247", "`\(global.name)` is read before it is set", at: call.span, label: "this call reads it",
      related: related,
      notes: call.path.count > 1 ? ["how: \(path)"] : [],
      hint: "move the call below the line that sets it")
  }

  private func exports(_ module: Module, _ entry: FunctionEntity?, isTested: Bool) -> [CoreExport] {
    var result: [CoreExport] = []
    var seen: Set<ObjectIdentifier> = []
    // What an imported file declares is there as well: its globals speak of its workflows and tools by name.
    for module in [module] + checker.order.filter({ $0 !== module }) {
      for item in module.workflows where seen.insert(ObjectIdentifier(item.function)).inserted {
        result.append(export(.workflow, item))
      }
      for item in module.tools where seen.insert(ObjectIdentifier(item.function)).inserted {
        result.append(export(.tool, item))
      }
    }
    var plain = entry.map { [$0] } ?? []
    if !isTested {
      plain += module.exportedValues.values.flatMap { $0 }.compactMap(\.function).sorted { $0.span < $1.span }
    }
    for function in plain where function.module === module && !function.isExtern {
      if seen.insert(ObjectIdentifier(function)).inserted { result.append(export(.function, function)) }
    }
    for test in module.tests { result.append(export(.test, test)) }
    return result
  }

  private func export(_ kind: CoreExport.Kind, _ item: Module.Started) -> CoreExport {
    var export = self.export(kind, item.function)
    export.documentation = item.description ?? item.declaration.documentation ?? ""
    export.attributes = item.declaration.decorators.map { decorator in
      CoreExport.Attribute(
        name: decorator.name.text,
        arguments: decorator.arguments.compactMap { argument in
          argument.value.literal.map { (argument.label?.text, $0) }
        })
    }
    return export
  }

  private func export(_ kind: CoreExport.Kind, _ function: FunctionEntity) -> CoreExport {
    let result = function.scheme.type.asFunction?.result ?? .unit
    return CoreExport(
      kind: kind, name: function.name, function: self.function(function),
      parameters: function.parameters.map {
        .init(name: $0.name, shape: shapes.shape($0.type), defaultValue: $0.defaultValue.map(self.function))
      },
      result: shapes.shape(result), effects: function.unit.row.known.sorted)
  }
}

extension Expression {
  /// The value of a literal.
  fileprivate var literal: CoreLiteral? {
    switch kind {
    case .unit: .unit
    case .bool(let value): .bool(value)
    case .int(let value): .int(value)
    case .float(let value): .float(value)
    case .string(let value): .string(value)
    default: nil
    }
  }
}
