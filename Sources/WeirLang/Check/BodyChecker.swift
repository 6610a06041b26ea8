/// Checks one body: expected types are pushed inwards, types found are made equal to them, calls are charged.
///
/// `infer` finds an expression's type, with a hint when the place knows what it would like; `check` demands a type and
/// says why. Each rule gives the type now and a closure that makes the core once all types are known. The rules are in
/// the extensions: Expressions, Operators, Control, Calls, Methods, Data, Patterns.
final class BodyChecker {
  let checker: Checker
  let module: Module
  let unifier: Unifier
  /// Whose charges calls are now: the body's, or those of the lambda being checked.
  var unit: CodeUnit
  let name: String
  /// Inside a provider or agent block: names of the library module that declares it are in scope.
  var libraryScope: Module?
  var scopes: [[String: LocalBinding]] = [[:]]
  private let locals: LocalCounter
  /// What `return` and `?` give back; nil where there is no function around.
  var returnType: Type?
  /// The first `?` that decided what the function gives back, because nothing is written about that.
  var firstPropagation: Span?
  var loopDepth = 0
  /// Every `return`, `?`, `break` and `continue` met in the function that is being checked; the depth is that of the loop
  /// that `break` leaves.
  var exits: [(span: Span, word: String, loops: Int?)] = []
  /// In a workflow's own body, in a step's, in a guard's (then the type of verdicts).
  var isWorkflow = false
  var isStep = false
  /// How many scopes are around the innermost step; 0 outside of one.
  var scopesAroundStep = 0
  var guardWords: NamedType?
  /// Of the function's signature. With type parameters, a number alone cannot be of their types, beside an operator it can.
  private var typeParameters: [String: Type] = [:]
  private var rowParameters: [String: RowVariable] = [:]
  var hasTypeParameters: Bool { !typeParameters.isEmpty }
  var literalOperand: Span?
  /// The body of the `for parallel` that is being checked.
  var jobBody: Span?
  private var reportedNames: Set<String> = []

  init(
    _ checker: Checker, _ module: Module, unit: CodeUnit, name: String, locals: LocalCounter = LocalCounter()
  ) {
    self.locals = locals
    self.checker = checker
    self.module = module
    self.unit = unit
    self.name = name
    unifier = checker.unifier
  }

  func report(_ diagnostic: Diagnostic) { checker.report(diagnostic) }

  /// Where an error was reported. Never lowered: a program with errors has no core.
  func failed(_ span: Span) -> Checked { Checked(.error) { _ in Core(.literal(.unit), span) } }

  // MARK: A function

  func solve(_ entity: FunctionEntity, _ function: FunctionDeclaration, _ body: Expression) {
    guard let type = entity.ownType.asFunction else { return }
    returnType = type.result
    typeParameters = entity.typeParameters
    rowParameters = entity.rowParameters
    isWorkflow = module.workflows.contains { $0.function === entity }
    for parameter in entity.parameters {
      let binding = bind(parameter.name, parameter.type, parameter.span)
      entity.locals.append(binding.local)
    }
    entity.body = check(body, type.result, .result(of: entity.name)).core
  }

  /// For a type that is written inside the body.
  var typeReader: TypeReader {
    let reader = TypeReader(checker, module)
    reader.parameters = typeParameters
    reader.rows = rowParameters
    return reader
  }

  // MARK: Scopes

  func scoped<Result>(_ work: () -> Result) -> Result {
    scopes.append([:])
    defer { scopes.removeLast() }
    return work()
  }

  func newLocal(_ name: String) -> Local {
    locals.next += 1
    return Local(locals.next - 1, name)
  }

  @discardableResult
  func bind(
    _ name: String, _ type: Type, _ span: Span, isMutable: Bool = false, unit: CodeUnit? = nil
  ) -> LocalBinding {
    bind(name, Scheme(type), span, isMutable: isMutable, unit: unit)
  }

  @discardableResult
  func bind(
    _ name: String, _ scheme: Scheme, _ span: Span, isMutable: Bool = false, unit: CodeUnit? = nil
  ) -> LocalBinding {
    let binding = LocalBinding(
      local: newLocal(name), scheme: scheme, isMutable: isMutable, span: span, unit: unit)
    scopes[scopes.count - 1][name] = binding
    return binding
  }

  /// Whoever asks is about to use it.
  func local(_ name: String) -> LocalBinding? {
    let binding = declared(name)
    binding?.isUsed = true
    return binding
  }

  /// Nobody uses a name that is only assigned to.
  func watch(_ binding: LocalBinding) {
    if !module.isLibrary, !binding.local.name.hasPrefix("_") { checker.watched.append(binding) }
  }

  func declared(_ name: String) -> LocalBinding? {
    for scope in scopes.reversed() { if let binding = scope[name] { return binding } }
    return nil
  }

  /// What a name that is no local stands for; empty when it is unknown.
  func entities(_ name: String) -> [Entity] {
    if let own = module.values[name] { return own }
    if guardWords != nil, name == "retry", let again = libraryScope?.functions["again"] { return [.function(again)] }
    if let scope = libraryScope?.exportedValues[name] { return scope }
    if let value = checker.preludeModule?.exportedValues[name] { return value }
    return checker.prelude.constructor(name).map { [.constructor($0)] } ?? []
  }

  /// Reports an unknown name once for a body.
  func unknown(_ name: String, _ span: Span) -> Checked {
    if module.unknown.contains(name) || !reportedNames.insert(name).inserted { return failed(span) }
    if name == "_" {
      report(
        Diagnostic(
          "E0237", "`_` has no value", at: span, notes: ["it stands where a value is not wanted"],
          hint: "name it: `let x = …`, or `(x) => …`"))
      return failed(span)
    }
    var candidates = scopes.flatMap(\.keys) + Array(module.values.keys) + Array(module.aliases.keys)
    if let prelude = checker.preludeModule { candidates += Array(prelude.exportedValues.keys) }
    if let scope = libraryScope { candidates += Array(scope.exportedValues.keys) }
    candidates += ["Some", "None", "Ok", "Err"]
    let homes = checker.modulesExporting(value: name)
    var hint = homes.first.map { "add `import \($0) (\(name))`" }
    if hint == nil { hint = Suggestion.nearest(to: name, among: candidates).map { "did you mean `\($0)`?" } }
    report(Diagnostic("E0201", "there is no `\(name)` here", at: span, hint: hint))
    return failed(span)
  }

  // MARK: Check and coerce

  func check(_ expression: Expression, _ expected: Type, _ reason: Reason) -> Checked {
    let errors = checker.diagnostics.count
    let found = infer(expression, expected, reason, isWanted: true)
    // Where a part of it was refused already, the whole is no second error.
    if checker.diagnostics.count > errors, unifier.unify(expected, found.type) != nil {
      return Checked(expected.isUnknown ? .error : expected, unit: found.unit, name: found.name, core: found.core)
    }
    return coerce(found, to: expected, reason, expression.span)
  }

  /// Demands that what was found is what is expected. A record without optional fields becomes one with them.
  func coerce(_ found: Checked, to expected: Type, _ reason: Reason, _ span: Span) -> Checked {
    if let wanted = expected.asRecord, let given = found.type.asRecord, needsWidening(given, to: wanted) {
      return widen(found, given, wanted, expected, reason, span)
    }
    if let difference = unifier.unify(expected, found.type) {
      if case .result(let name) = reason, let place = firstPropagation {
        report(Mismatch.propagation(from: place, in: name, gives: expected, end: found.type, at: span))
        return Checked(expected, core: found.core)
      }
      report(Mismatch.diagnostic(expected: expected, found: found.type, difference, reason, at: span))
      return Checked(expected.isUnknown ? .error : expected, unit: found.unit, name: found.name, core: found.core)
    }
    return found
  }

  private func needsWidening(_ given: RecordType, to wanted: RecordType) -> Bool {
    wanted.fields.contains { field in field.isOptional && given[field.name].map { !$0.isOptional } ?? true }
  }

  private func widen(
    _ found: Checked, _ given: RecordType, _ wanted: RecordType, _ expected: Type, _ reason: Reason, _ span: Span
  ) -> Checked {
    func refuse(_ difference: Unifier.Difference) -> Checked {
      report(Mismatch.diagnostic(expected: expected, found: found.type, difference, reason, at: span))
      return Checked(expected, core: found.core)
    }
    for field in given.fields where wanted[field.name] == nil { return refuse(.extraField(field.name, of: wanted)) }
    var parts: [(index: Int, make: (Lowering, Core) -> Core)] = []
    for (index, field) in wanted.fields.enumerated() {
      guard let source = given.index(of: field.name) else {
        if !field.isOptional { return refuse(.missingField(field.name, of: given)) }
        parts.append((index, { lowering, _ in lowering.none(span) }))
        continue
      }
      let own = given.fields[source]
      let read: (Lowering, Core) -> Core = { _, record in Core(.field(record, source), span) }
      if own.isOptional && !field.isOptional {
        return refuse(.types(field.type, unifier.fieldType(own)))
      }
      if field.isOptional, !own.isOptional, !isOption(own.type) {
        if let difference = unifier.unify(field.type, own.type) { return refuse(difference) }
        parts.append((index, { lowering, record in lowering.some(read(lowering, record), span) }))
      } else {
        let ownType = own.isOptional ? own.type : unifier.fieldType(own)
        let target = field.isOptional && !own.isOptional ? unifier.fieldType(field) : field.type
        if let difference = unifier.unify(target, ownType) { return refuse(difference) }
        parts.append((index, read))
      }
    }
    let temporary = newLocal("record")
    let names = wanted.fields.map(\.name)
    return Checked(expected) { lowering in
      let value = Core(.local(temporary), span)
      let record = Core(.record(names: names, parts.map { ($0.index, $0.make(lowering, value)) }), span)
      return Core(.sequence([Core(.bind(temporary, found.core(lowering)), span), record]), span)
    }
  }

  func isOption(_ type: Type) -> Bool {
    if case .named(let named, _) = type.resolved { named === checker.prelude.option } else { false }
  }

  // MARK: Charges

  func charge(
    _ row: Row, _ span: Span, _ callee: String, target: CodeUnit? = nil, arguments: [Charge.Argument] = [],
    isMention: Bool = false
  ) {
    unit.charges.append(
      Charge(row: row, span: span, callee: callee, target: target, arguments: arguments, isMention: isMention))
  }

  /// The union of what calls bring. Distinct rest variables become one.
  static func row(of charges: [Charge], _ unifier: Unifier) -> Row {
    var effects = EffectSet.none
    var rest: RowVariable?
    for charge in charges {
      let row = charge.row.resolved
      effects.formUnion(row.effects)
      guard let variable = row.rest else { continue }
      if let known = rest {
        if known !== variable {
          known.level = min(known.level, variable.level)
          variable.bound = Row(effects: .none, rest: known)
        }
      } else {
        rest = variable
      }
    }
    // Merging may have bound a rest whose row came earlier.
    return Row(effects: effects, rest: rest).resolved
  }

  /// Equates a function's row with what its body is charged with.
  static func settleRow(_ function: FunctionEntity, _ checker: Checker) {
    guard let type = function.ownType.asFunction else { return }
    let inferred = row(of: function.unit.charges, checker.unifier)
    if function.declaredRow == nil {
      _ = checker.unifier.unify(type.row, inferred)
    } else if let rest = inferred.rest, let own = type.row.resolved.rest, rest !== own {
      rest.bound = Row(effects: .none, rest: own)
    }
    function.unit.row = type.row
  }

  /// Drops a rest variable that no parameter or result of the group mentions: nothing can ever be bound to it.
  static func closeRows(_ functions: [FunctionEntity]) {
    var mentioned: Set<Int> = []
    for function in functions {
      guard let type = function.ownType.asFunction else { continue }
      for parameter in type.parameters { collectRests(parameter, &mentioned) }
      collectRests(type.result, &mentioned)
    }
    for function in functions {
      guard let rest = function.ownType.asFunction?.row.resolved.rest, !mentioned.contains(rest.id) else { continue }
      rest.bound = .pure
    }
  }

  private static func collectRests(_ type: Type, _ rests: inout Set<Int>) {
    switch type.resolved {
    case .list(let x): collectRests(x, &rests)
    case .map(let k, let v):
      collectRests(k, &rests)
      collectRests(v, &rests)
    case .tuple(let xs), .named(_, let xs): for x in xs { collectRests(x, &rests) }
    case .record(let r): for field in r.fields { collectRests(field.type, &rests) }
    case .function(let f):
      if let rest = f.row.resolved.rest { rests.insert(rest.id) }
      for parameter in f.parameters { collectRests(parameter, &rests) }
      collectRests(f.result, &rests)
    default: break
    }
  }

  /// Compares the written row with what the body does.
  static func compareRow(_ function: FunctionEntity, _ checker: Checker) {
    guard let declared = function.declaredRow else { return }
    let inferred = function.unit.charges.reduce(into: EffectSet.none) { $0.formUnion($1.row.known) }
    let missing = inferred.subtracting(declared.effects)
    if missing.isEmpty {
      let unused = declared.effects.subtracting(inferred)
      if function.name == "main" && !function.module.isLibrary && !unused.isEmpty {
        checker.report(
          Diagnostic(
            "W0501", "`main` declares \(unused.list) but never uses \(unused.sorted.count == 1 ? "it" : "them")",
            at: declared.span))
      }
      return
    }
    // What comes the same way is one mistake: one call of an agent brings AI, Net and Stream.
    var ways: [(origin: (span: Span, name: String), chain: [String], effects: EffectSet)] = []
    for effect in missing.each {
      guard let origin = ChargeSearch.origin(of: effect, in: function.unit) else { continue }
      let chain = ChargeSearch.path(to: effect, from: function.unit)?.chain ?? []
      if let known = ways.firstIndex(where: { $0.origin.span == origin.span && $0.chain == chain }) {
        ways[known].effects.formUnion(effect)
      } else {
        ways.append((origin, chain, effect))
      }
    }
    let promise =
      function.isPure
      ? "declared `pure`"
      : declared.effects.isEmpty ? "no effect is declared" : "only \(declared.effects.list) is declared"
    for way in ways {
      let isOne = way.effects.sorted.count == 1
      let what = "the effect\(isOne ? "" : "s") \(way.effects.list)"
      checker.report(
        Diagnostic(
          function.isPure ? "E0506" : "E0501",
          function.isPure
            ? "`\(function.name)` is pure but uses \(what)"
            : "`\(function.name)` uses \(what) without declaring \(isOne ? "it" : "them")",
          at: way.origin.span, label: "`\(way.origin.name)` needs \(way.effects.list)",
          related: [.init(declared.span, promise)],
          notes: way.chain.count > 2 ? ["how: \(way.chain.joined(separator: " -> "))"] : [],
          hint: "declare \(isOne ? "it" : "them"): `! {\(declared.effects.union(inferred).list)}`, "
            + "or leave the row out to have it inferred"))
    }
  }
}

/// Numbers of locals, unique within a top-level function. The statements and constants of a script share one: they
/// become one function.
final class LocalCounter {
  var next = 0
}
