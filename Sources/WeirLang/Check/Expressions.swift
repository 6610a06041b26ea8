/// The rules for expressions: one switch, literals and names; the larger rules are in files of their own.
extension BodyChecker {
  /// `isWanted` false: in statement position, where nobody looks at the value.
  func infer(_ expression: Expression, hint: Type? = nil, isWanted: Bool = true) -> Checked {
    infer(expression, hint, nil, isWanted: isWanted)
  }

  /// A block, a branch, an arm passes on what is demanded and why, so that the misfit is shown where it stands.
  func infer(_ expression: Expression, _ hint: Type?, _ reason: Reason?, isWanted: Bool) -> Checked {
    if let hint, let reason, isWanted, !expression.passesOn {
      return coerce(inferAlone(expression, hint, nil, isWanted: true), to: hint, reason, expression.span)
    }
    return inferAlone(expression, hint, reason, isWanted: isWanted)
  }

  private func inferAlone(_ expression: Expression, _ hint: Type?, _ reason: Reason?, isWanted: Bool) -> Checked {
    let span = expression.span
    switch expression.kind {
    case .unit: return braces(hint, span)
    case .bool(let value): return literal(.bool(value), .bool, span)
    case .string(let value): return literal(.string(value), .string, span)
    case .float(let value): return literal(.float(value), .float, span)
    case .int(let value): return int(value, hint, span)
    case .interpolation(let parts): return interpolation(parts, span)
    case .nil: return construct(checker.prelude.none, [], hint, span)
    case .name(let name): return nameValue(name, hint, span)
    case .list(let items): return list(items, hint, span)
    case .tuple(let items): return tuple(items, hint, span)
    case .record(let fields): return record(fields, hint, span)
    case .update(let value, let fields): return update(value, fields, hint, span)
    case .map(let entries): return map(entries, hint, span)
    case .lambda(let function): return lambda(function, hint, span)
    case .call(let callee, let arguments): return call(callee, arguments.map(CallArgument.init), hint, span)
    case .field(let value, let name): return field(value, name, hint, span)
    case .index(let value, let index): return self.index(value, index, span)
    case .propagate(let value): return propagate(value, span)
    case .pipe(let value, let stage): return pipe(value, stage, hint, span)
    case .unary(let op, let value): return unary(op, value, hint, span)
    case .binary(let op, let left, let right): return binary(op, left, right, hint, span)
    case .bars(let items): return bars(items, span, limit: nil)
    case .range(let from, let to, let inclusive): return range(from, to, inclusive, span)
    case .block(let block): return self.block(block, hint, reason, isWanted: isWanted)
    case .letIn(let binding, let body): return letIn(binding, body, hint, reason, span)
    case .if(let condition, let then, let other):
      return choice(condition, then, other, hint, reason, isWanted: isWanted, span)
    case .match(let value, let arms): return match(value, arms, hint, reason, isWanted: isWanted, span)
    case .for(let loop): return forLoop(loop, span)
    case .while(let condition, let body): return whileLoop(condition, body, span)
    case .return(let value): return returned(value, span)
    case .break: return leaveLoop(.breakLoop, "break", span)
    case .continue: return leaveLoop(.continueLoop, "continue", span)
    case .assert(let condition, let message): return assertion(condition, message, span)
    case .stream(let value): return streamed(value, hint, isWanted: isWanted, span)
    case .together(let word, let items): return together(word, items, span, limit: nil)
    case .with(let value, let fields): return with(value, fields, hint, span)
    case .step(let step): return self.step(step, span)
    case .error: return failed(span)
    }
  }

  func literal(_ literal: CoreLiteral, _ type: Type, _ span: Span) -> Checked {
    Checked(type) { _ in Core(.literal(literal), span) }
  }

  /// A whole number is a float where one is needed.
  private func int(_ value: Int, _ hint: Type?, _ span: Span) -> Checked {
    let type: Type
    switch hint?.resolved {
    case .int?: type = .int
    case .float?: type = .float
    default:
      type = unifier.fresh(.number)
      if hasTypeParameters, literalOperand != span {
        checker.afterGroup.append { [checker] in
          guard case .variable(let variable) = type.resolved, let name = variable.rigidName else { return }
          checker.report(
            Diagnostic(
              "E0341", "this number would have to be of every type that `\(name)` stands for", at: span,
              label: "this is a number", hint: "take it as a parameter: `zero: \(name)`"))
        }
      }
    }
    return Checked(type) { _ in
      if case .float = type.resolved { return Core(.literal(.float(Double(value))), span) }
      return Core(.literal(.int(value)), span)
    }
  }

  private func interpolation(_ parts: [InterpolationPart], _ span: Span) -> Checked {
    var cores: [Lower] = []
    for part in parts {
      switch part {
      case .text(let text): cores.append { _ in Core(.literal(.string(text)), span) }
      case .expression(let expression):
        let value = infer(expression)
        cores.append { lowering in
          let core = value.core(lowering)
          if case .string = value.type.resolved { return core }
          return Core(.primitive(.text, [core]), expression.span)
        }
      }
    }
    return Checked(.string) { lowering in Core(.concat(.string, cores.map { $0(lowering) }), span) }
  }

  // MARK: Names

  func nameValue(_ name: String, _ hint: Type?, _ span: Span) -> Checked {
    if let binding = local(name) {
      let local = binding.local
      return Checked(unifier.instantiate(binding.scheme), unit: binding.unit, name: name) { _ in
        Core(.local(local), span)
      }
    }
    if name == "allow", let verdict = guardWords, module.values[name] == nil, hint?.asFunction == nil {
      return construct(verdict.constructors[0], [], hint, span)
    }
    let found = entities(name)
    if found.isEmpty {
      if module.aliases[name] != nil {
        report(
          Diagnostic(
            "E0218", "`\(name)` is a module, not a value", at: span, hint: "name what you need of it: `\(name).…`"))
        return failed(span)
      }
      return unknown(name, span)
    }
    return value(of: found, name, hint, span)
  }

  /// A name in value position. A workflow is two things: here it is the value, unless a function is expected.
  func value(of found: [Entity], _ name: String, _ hint: Type?, _ span: Span) -> Checked {
    let constructors = found.compactMap(\.constructor)
    if !constructors.isEmpty {
      guard let constructor = choose(constructors, name, hint, span) else { return failed(span) }
      return constructorValue(constructor, hint, span)
    }
    let function = found.compactMap(\.function).last
    if let global = found.compactMap(\.global).last, function == nil || hint?.asFunction == nil {
      return globalValue(global, span)
    }
    guard let function else { return failed(span) }
    return functionValue(function, span)
  }

  private func globalValue(_ global: GlobalEntity, _ span: Span) -> Checked {
    if let mention = global.mention {
      charge(mention.row, span, global.name, target: mention, isMention: true)
    }
    return Checked(unifier.instantiate(global.scheme), unit: global.unit, name: global.name) { lowering in
      Core(.global(lowering.global(global)), span)
    }
  }

  /// A function as a value: its row is opened, so that it fits where more effects are allowed.
  private func functionValue(_ function: FunctionEntity, _ span: Span) -> Checked {
    var type = instantiate(function, span)
    if var arrow = type.asFunction {
      let row = arrow.row.resolved
      if row.rest == nil { arrow.row = unifier.openRow(row.effects) }
      type = .function(arrow)
    }
    return Checked(type, unit: function.unit, name: function.name) { lowering in
      if function.isExtern { return Core(.native(lowering.native(function, span)), span) }
      return Core(.function(lowering.function(function)), span)
    }
  }

  // MARK: Constructors

  /// Which of several constructors of one name: the expected type's, else the only one there is.
  func choose(_ candidates: [SumCase], _ name: String, _ hint: Type?, _ span: Span) -> SumCase? {
    if case .named(let owner, _)? = hint?.resolved, let fitting = candidates.first(where: { $0.owner === owner }) {
      return fitting
    }
    var distinct: [SumCase] = []
    for candidate in candidates where !distinct.contains(where: { $0 === candidate }) { distinct.append(candidate) }
    if distinct.count == 1 { return distinct[0] }
    let list = distinct.map { "`\($0.owner.name)` of \($0.owner.module)" }.joined(separator: ", ")
    report(
      Diagnostic(
        "E0206", "`\(name)` could be of several types", at: span, notes: ["it is a constructor of \(list)"],
        hint: "write the type where the value goes, or import one of them under another name: `\(name) as …`"))
    return nil
  }

  private func constructorValue(_ constructor: SumCase, _ hint: Type?, _ span: Span) -> Checked {
    if constructor.fields.isEmpty { return construct(constructor, [], hint, span) }
    let (fields, owner) = unifier.instantiate(constructor)
    let type = Type.function(FunctionType(parameters: fields, row: unifier.openRow(), result: owner))
    return Checked(type, name: constructor.name) { lowering in
      let id = lowering.typeID(constructor.owner)
      return Core(.constructor(type: id, index: constructor.index, arity: constructor.fields.count), span)
    }
  }

  func construct(_ constructor: SumCase, _ arguments: [CallArgument], _ hint: Type?, _ span: Span) -> Checked {
    let (fields, owner) = unifier.instantiate(constructor)
    // What is expected of the whole is expected of the parts; a misfit is reported for the whole, by the caller.
    if case .named(let named, let wanted)? = hint?.resolved, named === constructor.owner,
      case .named(_, let own) = owner
    {
      for (a, b) in zip(wanted, own) { _ = unifier.unify(a, b) }
    }
    if fields.count != arguments.count {
      let wanted = fields.map { TypePrinter.text($0) }.joined(separator: ", ")
      report(
        Diagnostic(
          "E0315",
          "`\(constructor.name)` takes \(Mismatch.count(fields.count, "argument")), not \(arguments.count)", at: span,
          hint: fields.isEmpty ? "write `\(constructor.name)`" : "write `\(constructor.name)(…)` with (\(wanted))"))
      for argument in arguments { _ = check(argument) }
      return Checked(owner) { _ in Core(.literal(.unit), span) }
    }
    let values = zip(arguments, fields).enumerated().map { index, pair in
      check(pair.0, pair.1, .argument(index + 1, of: constructor.name, name: nil))
    }
    return Checked(owner) { lowering in
      let id = lowering.typeID(constructor.owner)
      return Core(.variant(type: id, index: constructor.index, values.map { $0.core(lowering) }), span)
    }
  }

  // MARK: Functions

  func lambda(_ function: Lambda, _ hint: Type?, _ span: Span) -> Checked {
    let expected = hint?.asFunction.flatMap { $0.parameters.count == function.parameters.count ? $0 : nil }
    let shown = function.parameters.first.map { self.shown($0.pattern) } ?? ""
    let inner = CodeUnit(
      name: function.parameters.isEmpty ? "() =>" : "\\\(shown)", span: span, isLibrary: module.isLibrary,
      row: unifier.openRow())
    let outer = (unit, returnType, firstPropagation, loopDepth, exits, isWorkflow, isStep)
    defer { (unit, returnType, firstPropagation, loopDepth, exits, isWorkflow, isStep) = outer }
    let reader = typeReader
    let result = function.result.map(reader.read) ?? expected?.result ?? unifier.fresh()
    unit = inner
    returnType = result
    (firstPropagation, loopDepth, exits, isWorkflow, isStep) = (nil, 0, [], false, false)
    return scoped {
      var locals: [Local] = []
      var types: [Type] = []
      var unpack: [(local: Local, pattern: CheckedPattern)] = []
      for (index, parameter) in function.parameters.enumerated() {
        let type = parameter.type.map(reader.read) ?? expected?.parameters[index] ?? unifier.fresh()
        types.append(type)
        switch parameter.pattern.kind {
        case .name(let name): locals.append(bind(name, type, parameter.pattern.span).local)
        case .wildcard: locals.append(newLocal("_"))
        default:
          let local = newLocal("argument")
          locals.append(local)
          let checked = pattern(parameter.pattern, type)
          requireIrrefutable(checked, type, parameter.pattern.span)
          unpack.append((local, checked))
        }
      }
      let body = check(function.body, result, function.result == nil ? .result(of: inner.name) : .annotation("result"))
      if function.body.span == jobBody { reportExits(from: 0, loops: 0, "a turn of `for parallel`") }
      let row = Self.row(of: inner.charges, unifier)
      if let written = function.effects {
        let declared = reader.labels(written)
        let missing = row.effects.subtracting(declared)
        for effect in missing.each {
          guard let origin = ChargeSearch.origin(of: effect, in: inner) else { continue }
          report(
            Diagnostic(
              "E0507", "this function uses the effect \(effect.list) without declaring it", at: origin.span,
              label: "`\(origin.name)` needs \(effect.list)", related: [.init(written.span, "declared here")],
              hint: "declare it: `! {\(row.effects.union(declared).list)}`, or leave the row out to have it inferred"))
        }
        inner.row = Row(effects: declared.union(row.effects), rest: row.rest ?? unifier.freshRow())
      } else {
        inner.row = Row(effects: row.effects, rest: row.rest ?? unifier.freshRow())
      }
      let type = Type.function(FunctionType(parameters: types, row: inner.row, result: result))
      return Checked(type, unit: inner, name: inner.name) { lowering in
        var core = body.core(lowering)
        for (local, pattern) in unpack.reversed() {
          core = Core(.match(Core(.local(local), span), [CoreArm(pattern.core(lowering), core)]), span)
        }
        return Core(.lambda(CoreLambda(name: inner.name, parameters: locals, body: core)), span)
      }
    }
  }

  private func shown(_ pattern: Pattern) -> String {
    switch pattern.kind {
    case .name(let name): name
    case .wildcard: "_"
    default: "…"
    }
  }
}

extension Expression {
  /// Its value is that of an expression inside it.
  fileprivate var passesOn: Bool {
    switch kind {
    case .block(let block): block.result != nil
    case .letIn, .match: true
    case .if(_, _, let other): other != nil
    default: false
    }
  }
}
