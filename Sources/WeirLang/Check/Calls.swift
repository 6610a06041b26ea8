/// Calls: what is called, which argument goes where, what the call is charged with.
struct CallArgument {
  enum Value {
    case expression(Expression)
    /// The receiver of `x.m(a)`, the left side of `|>`.
    case checked(Checked)
  }
  var label: Name?
  var value: Value
  var span: Span

  init(_ argument: Argument) {
    label = argument.label
    value = .expression(argument.value)
    span = argument.value.span
  }

  init(_ checked: Checked, _ span: Span) {
    label = nil
    value = .checked(checked)
    self.span = span
  }

  /// Checked after the others, when what it works on is known.
  var isLambda: Bool {
    if case .expression(let expression) = value, case .lambda = expression.kind { true } else { false }
  }
}

extension BodyChecker {
  func check(_ argument: CallArgument, _ expected: Type? = nil, _ reason: Reason = .index) -> Checked {
    switch argument.value {
    case .expression(let expression):
      return expected.map { check(expression, $0, reason) } ?? infer(expression)
    case .checked(let checked):
      return expected.map { coerce(checked, to: $0, reason, argument.span) } ?? checked
    }
  }

  func call(_ callee: Expression, _ arguments: [CallArgument], _ hint: Type?, _ span: Span) -> Checked {
    switch callee.kind {
    case .name(let name) where local(name) == nil:
      let found = entities(name)
      if let checked = call(found, name, arguments, hint, callee.span, span) { return checked }
    case .field(let receiver, let name):
      if let owner = aliasedModule(receiver) {
        guard let found = owner.exportedValues[name.text] else {
          for argument in arguments { _ = check(argument) }
          return noMember(name, of: owner)
        }
        if let checked = call(found, name.text, arguments, hint, callee.span, span) { return checked }
      } else {
        return methodCall(receiver, name, arguments, hint, callee.span, span)
      }
    default: break
    }
    return callValue(infer(callee), arguments, callee.span, span)
  }

  /// A call of something named at top level; nil when it is none of function and constructor.
  private func call(
    _ found: [Entity], _ name: String, _ arguments: [CallArgument], _ hint: Type?, _ place: Span, _ span: Span
  ) -> Checked? {
    let constructors = found.compactMap(\.constructor)
    if !constructors.isEmpty {
      guard let constructor = choose(constructors, name, hint, place) else {
        for argument in arguments { _ = check(argument) }
        return failed(span)
      }
      return construct(constructor, arguments, hint, span)
    }
    guard let function = found.compactMap(\.function).last else { return nil }
    return callFunction(function, arguments, place, span, name: name)
  }

  // MARK: Named functions

  /// `place` is the callee's own span, where the call is blamed.
  func callFunction(
    _ function: FunctionEntity, _ arguments: [CallArgument], _ place: Span?, _ span: Span, name: String
  ) -> Checked {
    let place = place ?? span
    guard let type = instantiate(function, place).asFunction else {
      for argument in arguments { _ = check(argument) }
      return failed(span)
    }
    guard let slots = assign(arguments, to: function, name, place, span) else {
      for argument in arguments { _ = check(argument) }
      // A call with wrong arguments still has the function's result: what uses it is no further error.
      return Checked(type.result) { _ in Core(.literal(.unit), span) }
    }
    var values = [Checked?](repeating: nil, count: arguments.count)
    for isLambda in [false, true] {
      for (index, argument) in arguments.enumerated() where argument.isLambda == isLambda {
        let slot = slots[index]
        let label = argument.label == nil ? nil : function.parameters[slot].name
        values[index] = check(
          argument, type.parameters[slot], .argument(slot + 1, of: name, name: label))
      }
    }
    let checked = values.compactMap { $0 }
    charge(
      Self.withOpaque(type, slots, checked), place, name, target: function.unit,
      arguments: functionArguments(arguments, checked))
    let defaults = function.parameters.enumerated().filter { !slots.contains($0.offset) }.map {
      ($0.offset, $0.element.defaultValue)
    }
    for case (_, let thunk?) in defaults where !thunk.unit.charges.isEmpty {
      charge(thunk.unit.row, place, thunk.name, target: thunk.unit)
    }
    let isOrdered = zip(slots, slots.dropFirst()).allSatisfy { $0 < $1 }
    let count = function.parameters.count
    return Checked(type.result, name: nil) { [self] lowering in
      var cores = [Core](repeating: Core(.literal(.unit), span), count: count)
      var before: [Core] = []
      for (index, value) in checked.enumerated() {
        let core = value.core(lowering)
        if isOrdered {
          cores[slots[index]] = core
        } else {
          // Written order is evaluation order, whatever the parameters' order.
          let temporary = newLocal(function.parameters[slots[index]].name)
          before.append(Core(.bind(temporary, core), core.span))
          cores[slots[index]] = Core(.local(temporary), core.span)
        }
      }
      for case (let slot, let thunk?) in defaults {
        cores[slot] = Core(.callFunction(lowering.function(thunk), []), span)
      }
      for (slot, _) in defaults where function.parameters[slot].isShape {
        cores[slot] = lowering.shape(type.parameters[slot], of: name, place, span)
      }
      let node: Core.Node =
        function.isExtern
        ? .callNative(lowering.native(function, place), cores) : .callFunction(lowering.function(function), cores)
      let call = Core(node, span)
      return before.isEmpty ? call : Core(.sequence(before + [call]), span)
    }
  }

  func instantiate(_ function: FunctionEntity, _ place: Span) -> Type {
    guard function.isWorkInProgress, !function.scheme.variables.isEmpty else {
      return unifier.instantiate(function.scheme)
    }
    let (type, variables) = unifier.instantiateEarly(function.scheme)
    // Twice: what one call makes of a parameter may matter to another.
    for isLast in [false, true] {
      checker.afterGroup.append { [checker, unifier] in
        for (parameter, type) in variables {
          if case .any = parameter.kind { continue }
          let wanted = unifier.fresh(parameter.kind)
          if let difference = unifier.unify(wanted, type), isLast {
            checker.report(
              Mismatch.diagnostic(
                expected: wanted, found: type, difference, .statement("what `\(function.name)` is used with"), at: place
              ))
          }
        }
      }
    }
    return type
  }

  /// A function handed over as `any` may be called by whoever gets it: its effects count at once.
  private static func withOpaque(_ type: FunctionType, _ slots: [Int], _ values: [Checked]) -> Row {
    var row = type.row
    for (slot, value) in zip(slots, values) {
      guard case .any = type.parameters[slot].resolved, let arrow = value.type.asFunction else { continue }
      row = Row(effects: row.known.union(arrow.row.known), rest: row.resolved.rest)
    }
    return row
  }

  private func functionArguments(_ arguments: [CallArgument], _ values: [Checked]) -> [Charge.Argument] {
    zip(arguments, values).compactMap { argument, value in
      guard let arrow = value.type.asFunction else { return nil }
      return Charge.Argument(
        name: value.name ?? "function", span: argument.span, row: value.unit?.row ?? arrow.row, unit: value.unit)
    }
  }

  /// Which parameter each argument is for; nil when they don't fit, reported.
  private func assign(
    _ arguments: [CallArgument], to function: FunctionEntity, _ name: String, _ place: Span, _ span: Span
  ) -> [Int]? {
    let parameters = function.parameters
    var slots: [Int] = []
    var next = 0
    var fits = true
    var surplus: Span?
    for argument in arguments {
      if let label = argument.label {
        guard let slot = parameters.firstIndex(where: { $0.name == label.text }) else {
          let free = parameters.indices.filter { !slots.contains($0) && !parameters[$0].isShape }
            .map { parameters[$0].name }
          let near = Suggestion.nearest(to: label.text, among: free)
          report(
            Diagnostic(
              "E0305", "`\(name)` has no parameter `\(label.text)`", at: label.span,
              notes: ["it is \(Self.shape(function))"], hint: near.map { "did you mean `\($0)`?" }))
          fits = false
          continue
        }
        if slots.contains(slot) {
          report(
            Diagnostic(
              "E0319", "`\(label.text)` is given twice", at: label.span, notes: ["it is \(Self.shape(function))"],
              hint: "leave one of them out"))
          fits = false
          continue
        }
        slots.append(slot)
        continue
      }
      while slots.contains(next) { next += 1 }
      if next >= parameters.count {
        surplus = surplus ?? argument.span
        fits = false
        continue
      }
      slots.append(next)
    }
    if let surplus {
      let written = parameters.filter { !$0.isShape }.count
      report(
        Diagnostic(
          "E0304",
          "`\(name)` takes \(Mismatch.count(written, "argument")), not \(arguments.count)", at: surplus,
          notes: ["it is \(Self.shape(function))"]))
    }
    guard fits else { return nil }
    let missing = parameters.indices.filter { !slots.contains($0) && !parameters[$0].isOptional }
    if missing.isEmpty { return slots }
    let list = missing.map { "`\(parameters[$0].name): \(TypePrinter.text(parameters[$0].type))`" }
    report(
      Diagnostic(
        "E0316", "this call of `\(name)` lacks \(list.joined(separator: ", "))", at: place,
        notes: ["it is \(Self.shape(function))"],
        hint: missing.count == 1 ? "add it, or by name: `\(parameters[missing[0]].name): …`" : nil))
    return nil
  }

  /// `greet(name: string, times: int = …)`
  static func shape(_ function: FunctionEntity) -> String {
    let parameters = function.parameters.filter { !$0.isShape }.map {
      "\($0.name): \(TypePrinter.text($0.type))\($0.isOptional ? " = …" : "")"
    }
    return "`\(function.name)(\(parameters.joined(separator: ", ")))`"
  }

  // MARK: Function values

  func callValue(_ callee: Checked, _ arguments: [CallArgument], _ place: Span, _ span: Span) -> Checked {
    let name = callee.name ?? "this function"
    // Of a function whose head could not be read nobody knows what its parameters are called.
    if case .error = callee.type.resolved {
      for argument in arguments { _ = check(argument) }
      return failed(span)
    }
    for argument in arguments {
      if let label = argument.label {
        report(
          Diagnostic(
            "E0318", "a function value has no named parameters", at: label.span, hint: "leave `\(label.text):` out"))
      }
    }
    switch callee.type.resolved {
    case .variable(let variable) where variable.rigidName == nil && variable.isPlain:
      let values = arguments.map { check($0) }
      let result = unifier.fresh()
      let row = unifier.openRow()
      let type = Type.function(FunctionType(parameters: values.map(\.type), row: row, result: result))
      if let difference = unifier.unify(callee.type, type) {
        report(
          Mismatch.diagnostic(
            expected: callee.type, found: type, difference, .statement("what is called"), at: place))
      }
      charge(row, place, name, target: callee.unit, arguments: functionArguments(arguments, values))
      return Checked(result) { lowering in
        Core(.call(callee.core(lowering), values.map { $0.core(lowering) }), span)
      }
    case .function(let type):
      if type.parameters.count != arguments.count {
        for argument in arguments { _ = check(argument) }
        report(
          Diagnostic(
            "E0317",
            "`\(name)` takes \(Mismatch.count(type.parameters.count, "argument")), not \(arguments.count)", at: span,
            notes: ["it is \(TypePrinter.text(callee.type))"]))
        return Checked(type.result) { _ in Core(.literal(.unit), span) }
      }
      var values = [Checked?](repeating: nil, count: arguments.count)
      for isLambda in [false, true] {
        for (index, argument) in arguments.enumerated() where argument.isLambda == isLambda {
          values[index] = check(argument, type.parameters[index], .argument(index + 1, of: name, name: nil))
        }
      }
      let checked = values.compactMap { $0 }
      charge(type.row, place, name, target: callee.unit, arguments: functionArguments(arguments, checked))
      return Checked(type.result) { lowering in
        Core(.call(callee.core(lowering), checked.map { $0.core(lowering) }), span)
      }
    default:
      for argument in arguments { _ = check(argument) }
      report(
        Diagnostic(
          "E0306", "this is not a function", at: place, label: "it is \(TypePrinter.noun(callee.type))",
          hint: arguments.isEmpty ? "leave `()` out" : nil))
      return failed(span)
    }
  }

  // MARK: Methods and pipes

  private func methodCall(
    _ receiver: Expression, _ name: Name, _ arguments: [CallArgument], _ hint: Type?, _ place: Span, _ span: Span
  ) -> Checked {
    let base = infer(receiver)
    if base.type.isError {
      for argument in arguments { _ = check(argument) }
      return failed(span)
    }
    let shown = base.name.map { "\($0).\(name.text)" } ?? name.text
    if let record = base.type.asRecord, record.index(of: name.text) != nil,
      let value = read(name, of: base, place)
    {
      return callValue(value, arguments, place, span)
    }
    let all = [CallArgument(base, receiver.span)] + arguments
    if let method = method(name.text, of: base.type) {
      return callFunction(method, all, place, span, name: shown)
    }
    if let binding = local(name.text), binding.scheme.type.asFunction != nil {
      return callValue(nameValue(name.text, nil, name.span), all, place, span)
    }
    let found = entities(name.text)
    if let function = found.compactMap(\.function).last {
      return callFunction(function, all, place, span, name: name.text)
    }
    if case .variable(let variable) = base.type.resolved, variable.rigidName == nil,
      let value = read(name, of: base, place)
    {
      return callValue(value, arguments, place, span)
    }
    for argument in arguments { _ = check(argument) }
    noMethod(name, of: base)
    return failed(span)
  }

  private func noMethod(_ name: Name, of base: Checked) {
    let type = TypePrinter.text(base.type)
    var candidates = methods(of: base.type).map(\.name)
    if let record = base.type.asRecord { candidates += record.fields.map(\.name) }
    let near = Suggestion.nearest(to: name.text, among: candidates)
    let list = candidates.sorted().prefix(12).map { "`\($0)`" }.joined(separator: ", ")
    report(
      Diagnostic(
        "E0210", "\(base.name.map { "`\($0)`" } ?? "this") has no method `\(name.text)`", at: name.span,
        label: "it is \(type)", notes: list.isEmpty ? [] : ["it has \(list)"],
        hint: near.map { "did you mean `\($0)`?" }))
  }

  /// The function of the module that declares the type, whose first parameter is of that type.
  func method(_ name: String, of type: Type) -> FunctionEntity? {
    guard let home = home(of: type), let function = home.functions[name], let first = function.parameters.first,
      Self.sameHead(first.type, type)
    else { return nil }
    return function
  }

  private func methods(of type: Type) -> [FunctionEntity] {
    guard let home = home(of: type) else { return [] }
    return home.functions.values.filter { $0.parameters.first.map { Self.sameHead($0.type, type) } ?? false }
  }

  private func home(of type: Type) -> Module? {
    switch type.resolved {
    case .named(let named, _):
      if named === checker.prelude.option { return checker.libraryModule(named: "std/option") }
      if named === checker.prelude.result { return checker.libraryModule(named: "std/result") }
      return checker.modules[named.module]
    case .string: return checker.libraryModule(named: "std/string")
    case .list: return checker.libraryModule(named: "std/list")
    case .map: return checker.libraryModule(named: "std/map")
    case .bytes: return checker.libraryModule(named: "std/bytes")
    default: return nil
    }
  }

  private static func sameHead(_ a: Type, _ b: Type) -> Bool {
    switch (a.resolved, b.resolved) {
    case (.named(let n, _), .named(let m, _)): n === m
    case (.string, .string), (.bytes, .bytes), (.list, .list), (.map, .map): true
    default: false
    }
  }

  /// `a |> f(b)` is `f(a, b)`, `a |> f` is `f(a)`.
  func pipe(_ value: Expression, _ stage: Expression, _ hint: Type?, _ span: Span) -> Checked {
    let source = infer(value)
    let function = stageFunction(stage)
    if let function, let piped = function.piped { return pipe(source, value.span, into: function, piped, stage, span) }
    let first = CallArgument(fit(source, to: function?.parameters.first?.type, value.span), value.span)
    if case .call(let callee, let arguments) = stage.kind {
      return call(callee, [first] + arguments.map(CallArgument.init), hint, span)
    }
    return call(stage, [first], hint, span)
  }
}
