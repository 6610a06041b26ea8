/// Blocks, choices and the ways out of a function.
extension BodyChecker {
  // MARK: Blocks

  func block(_ block: Block, _ hint: Type?, _ reason: Reason? = nil, isWanted: Bool) -> Checked {
    scoped {
      var steps = block.statements.flatMap(statement)
      warnOfUnreachable(block)
      guard let result = block.result else {
        // Where the last statement could not be read, nobody knows what the block would give.
        let last = block.statements.last
        var type = endsInJump(last) ? unifier.fresh() : Type.unit
        if case .error? = last?.kind { type = .error }
        // What is thrown away is not what the block gives.
        if case .discard? = last?.kind { steps.append { _ in Core(.literal(.unit), block.span) } }
        return Checked(type) { lowering in
          Self.sequence(steps, block.span, lowering)
        }
      }
      let value = infer(result, hint, reason, isWanted: isWanted)
      steps.append(value.core)
      let all = steps
      return Checked(value.type, unit: value.unit, name: value.name) { lowering in
        Self.sequence(all, block.span, lowering)
      }
    }
  }

  private func warnOfUnreachable(_ block: Block) {
    guard !module.isLibrary, let jump = block.statements.firstIndex(where: { endsInJump($0) }) else { return }
    let next = jump + 1 < block.statements.count ? block.statements[jump + 1].span : block.result?.span
    guard let next else { return }
    report(
      Diagnostic(
        "W0303", "this is never reached", at: next,
        related: [.init(block.statements[jump].span, "the block is left here")], hint: "remove it, or leave later"))
  }

  private func endsInJump(_ statement: Statement?) -> Bool {
    guard case .expression(let expression)? = statement?.kind else { return false }
    switch expression.kind {
    case .return, .break, .continue: return true
    default: return false
    }
  }

  private static func sequence(_ steps: [Lower], _ span: Span, _ lowering: Lowering) -> Core {
    let cores = steps.map { $0(lowering) }
    return cores.count == 1 ? cores[0] : Core(.sequence(cores), span)
  }

  func statement(_ statement: Statement) -> [Lower] {
    let span = statement.span
    switch statement.kind {
    case .let(let binding): return self.let(binding, span)
    case .var(let binding): return [variable(binding, span)]
    case .assign(let name, let value): return [assign(name, value, span)]
    case .discard(let value):
      return [infer(value, isWanted: false).core]
    case .expression(let value):
      let checked = infer(value, isWanted: false)
      warnIfDiscarded(checked, value)
      return [checked.core]
    case .defer(let value):
      let checked = infer(value, isWanted: false)
      return [{ lowering in Core(.deferred(checked.core(lowering)), span) }]
    case .onOutcome(let outcome, let binding, let block): return onOutcome(outcome, binding, block, span)
    case .error: return []
    }
  }

  /// What to do about a statement that only computes a value; nil for one that may do something.
  private static func unusedHint(_ expression: Expression) -> String? {
    switch expression.kind {
    case .binary(.equal, _, _): "to give a `var` another value, write `=`"
    case .unary(.negate, _): "if it belongs to the line before, end that line with the `-`"
    case .binary(let op, _, _) where op != .and && op != .or: "leave it out, or give it a name: `let x = …`"
    case .int, .float, .bool, .string, .list, .tuple, .lambda, .record:
      "leave it out, or give it a name: `let x = …`"
    default: nil
    }
  }

  private func warnIfDiscarded(_ value: Checked, _ expression: Expression) {
    guard !module.isLibrary else { return }
    switch expression.kind {
    case .if, .match, .block: return
    default: break
    }
    checker.afterGroup.append { [checker] in
      guard case .named(let type, _) = value.type.resolved, type === checker.prelude.result else {
        if let hint = Self.unusedHint(expression), !value.type.isError {
          checker.report(
            Diagnostic(
              "W0302", "nothing is done with this value", at: expression.span,
              label: "this is \(TypePrinter.noun(value.type))", hint: hint))
        }
        return
      }
      checker.report(
        Diagnostic(
          "W0301", "this may fail, and nobody looks at the result", at: expression.span,
          label: "this is \(TypePrinter.text(value.type))", hint: "handle it with `match`, or write `_ = …`"))
    }
  }

  private func `let`(_ binding: Binding, _ span: Span) -> [Lower] {
    let written = binding.type.map { typeReader.read($0) }
    if case .name(let name) = binding.pattern.kind {
      if case .lambda = binding.value.kind, declared(name) == nil, entities(name).isEmpty,
        NameCollector.names(in: binding.value).contains(name)
      {
        return recursive(name, binding, written, span)
      }
      let (value, scheme) = initialiser(binding.value, written, name)
      let bound = bind(name, scheme, binding.pattern.span, unit: value.unit)
      let local = bound.local
      watch(bound)
      return [{ lowering in Core(.bind(local, value.core(lowering)), span) }]
    }
    let value = written.map { check(binding.value, $0, .annotation("let")) } ?? infer(binding.value)
    return unpack(value, binding.pattern, span)
  }

  /// `let f = (n) => … f(n - 1)`: inside, a name that meant nothing before means the function itself, of one type there.
  private func recursive(_ name: String, _ binding: Binding, _ written: Type?, _ span: Span) -> [Lower] {
    unifier.enterLevel()
    let own = bind(name, written ?? unifier.fresh(), binding.pattern.span)
    let value = written.map { check(binding.value, $0, .annotation(name)) } ?? infer(binding.value)
    if let difference = unifier.unify(own.scheme.type, value.type) {
      report(
        Mismatch.diagnostic(
          expected: own.scheme.type, found: value.type, difference, .annotation(name), at: binding.pattern.span))
    }
    unifier.leaveLevel()
    own.scheme = written == nil ? unifier.generalise(value.type, defaulting: false) : own.scheme
    own.unit = value.unit
    own.isUsed = false
    watch(own)
    return [{ lowering in Core(.bind(own.local, value.core(lowering)), span) }]
  }

  /// `let (a, b) = e`: one match gives the tuple of what the pattern binds, then each name is bound. Nothing nests, so
  /// a thousand of them in a block are no deep tree.
  private func unpack(_ value: Checked, _ pattern: Pattern, _ span: Span) -> [Lower] {
    let (checked, bound) = take(value, pattern, span)
    let parts = newLocal("parts")
    var steps: [Lower] = [{ lowering in Core(.bind(parts, checked.core(lowering)), span) }]
    for (index, item) in bound.enumerated() {
      let again = bind(item.name, item.binding.scheme, item.binding.span)
      let local = again.local
      watch(again)
      steps.append { _ in Core(.bind(local, Core(.field(Core(.local(parts), span), index), span)), span) }
    }
    return steps
  }

  /// The tuple of what `names` are bound to.
  func parts(of value: Checked, _ pattern: Pattern, _ names: [Name]) -> Checked {
    let (checked, bound) = take(value, pattern, pattern.span)
    let order = names.map { name in bound.firstIndex { $0.name == name.text } }
    let types = order.map { $0.map { bound[$0].binding.scheme.type } ?? .error }
    let whole = newLocal("parts")
    return Checked(.tuple(types)) { lowering in
      let fields = order.enumerated().map { place, index in
        (index: place, value: Core(.field(Core(.local(whole), pattern.span), index ?? 0), pattern.span))
      }
      return Core(
        .sequence([
          Core(.bind(whole, checked.core(lowering)), pattern.span), Core(.record(names: [], fields), pattern.span),
        ]), pattern.span)
    }
  }

  private func take(
    _ value: Checked, _ pattern: Pattern, _ span: Span
  ) -> (tuple: Checked, bound: [(name: String, binding: LocalBinding)]) {
    scopes.append([:])
    let checked = self.pattern(pattern, value.type)
    let bound = scopes.removeLast().map { (name: $0.key, binding: $0.value) }
      .sorted { $0.binding.local.id < $1.binding.local.id }
    requireIrrefutable(checked, value.type, pattern.span)
    let tuple = Checked(.tuple(bound.map(\.binding.scheme.type))) { lowering in
      let parts = bound.enumerated().map { (index: $0.offset, value: Core(.local($0.element.binding.local), span)) }
      let body = parts.isEmpty ? Core(.literal(.unit), span) : Core(.record(names: [], parts), span)
      return Core(.match(value.core(lowering), [CoreArm(checked.core(lowering), body)]), span)
    }
    return (tuple, bound)
  }

  /// Function literals generalise; other values keep the one type they have.
  private func initialiser(_ value: Expression, _ written: Type?, _ name: String) -> (Checked, Scheme) {
    guard written == nil, case .lambda = value.kind else {
      let checked = written.map { check(value, $0, .annotation(name)) } ?? infer(value)
      return (checked, Scheme(checked.type))
    }
    unifier.enterLevel()
    let checked = infer(value)
    unifier.leaveLevel()
    return (checked, unifier.generalise(checked.type, defaulting: false))
  }

  private func variable(_ binding: Binding, _ span: Span) -> Lower {
    guard case .name(let name) = binding.pattern.kind else {
      report(
        Diagnostic(
          "E0216", "`var` declares one name", at: binding.pattern.span,
          hint: "take it apart with `let`, then `var name = …` for what changes"))
      // The names exist all the same: their uses are no news.
      let value = infer(binding.value)
      _ = pattern(binding.pattern, value.type)
      return failed(span).core
    }
    let written = binding.type.map { typeReader.read($0) }
    let value = written.map { check(binding.value, $0, .annotation(name)) } ?? infer(binding.value)
    let bound = bind(name, value.type, binding.pattern.span, isMutable: true)
    let local = bound.local
    watch(bound)
    return { lowering in Core(.bind(local, value.core(lowering)), span) }
  }

  /// `x = e`: a `var` in scope gets another value, a new name is declared.
  private func assign(_ name: Name, _ expression: Expression, _ span: Span) -> Lower {
    guard let binding = declared(name.text) else {
      if let global = entities(name.text).compactMap(\.global).last, global.isMutable, global.module === module {
        warnOfChangeInStep(name, declared: global.span)
        let value = check(expression, global.scheme.type, .assignment(name.text))
        return { lowering in Core(.assignGlobal(lowering.global(global), value.core(lowering)), span) }
      }
      let value = infer(expression)
      let bound = bind(name.text, value.type, name.span, isMutable: true, unit: value.unit)
      let local = bound.local
      watch(bound)
      return { lowering in Core(.bind(local, value.core(lowering)), span) }
    }
    if !binding.isMutable {
      report(
        Diagnostic(
          "E0217", "`\(name.text)` cannot be changed", at: name.span,
          related: [.init(binding.span, "bound here, without `var`")],
          hint: "declare it with `var \(name.text) = …`, or bind a new name with `let`"))
    } else if scopes.prefix(scopesAroundStep).contains(where: { $0[name.text] === binding }) {
      warnOfChangeInStep(name, declared: binding.span)
    }
    let value = check(expression, binding.scheme.type, .assignment(name.text))
    let local = binding.local
    return { lowering in Core(.assign(local, value.core(lowering)), span) }
  }

  func letIn(
    _ binding: Binding, _ body: Expression, _ hint: Type?, _ reason: Reason?, _ span: Span
  ) -> Checked {
    scoped {
      let steps = self.let(binding, span)
      let value = infer(body, hint, reason, isWanted: true)
      return Checked(value.type, unit: value.unit, name: value.name) { lowering in
        Self.sequence(steps + [value.core], span, lowering)
      }
    }
  }

  // MARK: Choices

  func choice(
    _ condition: Expression, _ then: Expression, _ other: Expression?, _ hint: Type?, _ reason: Reason?,
    isWanted: Bool, _ span: Span
  ) -> Checked {
    let test = check(condition, .bool, .condition("`if`"))
    guard let other else {
      let value = infer(then, isWanted: false)
      if isWanted, unifier.unify(.unit, value.type) != nil {
        report(
          Diagnostic(
            "E0309", "this `if` has a value only when its condition holds", at: span.first,
            related: [.init(then.span, "this is \(TypePrinter.text(value.type))")], hint: "add an `else`"))
      }
      return Checked(.unit) { lowering in
        let body = Core(.sequence([value.core(lowering), Core(.literal(.unit), span)]), then.span)
        return Core(.branch(if: test.core(lowering), then: body, else: nil), span)
      }
    }
    let first: Checked
    let second: Checked
    if !isWanted {
      first = infer(then, isWanted: false)
      second = infer(other, isWanted: false)
    } else if let hint, !hint.isUnknown {
      first = check(then, hint, reason ?? .branch)
      second = check(other, hint, reason ?? .branch)
    } else {
      first = infer(then)
      second = check(other, first.type, .branch)
    }
    let type = isWanted ? (first.type.isUnknown ? second.type : first.type) : Type.unit
    return Checked(type) { lowering in
      Core(
        .branch(if: test.core(lowering), then: first.core(lowering), else: second.core(lowering)), span)
    }
  }

  func match(
    _ scrutinee: Expression, _ arms: [MatchArm], _ hint: Type?, _ reason: Reason?, isWanted: Bool, _ span: Span
  ) -> Checked {
    let value = infer(scrutinee)
    var type: Type? = hint.flatMap { $0.isUnknown ? nil : $0 }
    let armReason = type == nil ? Reason.arm : reason ?? .arm
    var cores: [(pattern: CheckedPattern, guardCore: Lower?, body: Lower)] = []
    var shapes: [(shape: Exhaustiveness.Shape, isGuarded: Bool, span: Span)] = []
    for arm in arms {
      scoped {
        let checked = pattern(arm.pattern, value.type)
        let condition = arm.guard.map { check($0, .bool, .condition("this arm")) }
        let body: Checked
        if !isWanted {
          body = infer(arm.body, isWanted: false)
        } else if let known = type {
          body = check(arm.body, known, armReason)
        } else {
          body = infer(arm.body)
          type = body.type
        }
        if let known = type, known.isUnknown { type = body.type }
        cores.append((checked, condition?.core, body.core))
        shapes.append((checked.shape, arm.guard != nil, arm.pattern.span))
      }
    }
    checker.afterGroup.append { [self] in verify(shapes, value.type, span, scrutinee.span) }
    return Checked(isWanted ? type ?? unifier.fresh() : .unit) { lowering in
      let arms = cores.map { CoreArm($0.pattern.core(lowering), if: $0.guardCore?(lowering), $0.body(lowering)) }
      return Core(.match(value.core(lowering), arms), span)
    }
  }

  private func verify(
    _ arms: [(shape: Exhaustiveness.Shape, isGuarded: Bool, span: Span)], _ type: Type, _ span: Span, _ place: Span
  ) {
    if type.isError || arms.contains(where: { $0.shape.isBroken }) { return }
    let covering = arms.filter { !$0.isGuarded }
    if let example = Exhaustiveness.missing(covering.map(\.shape), of: type, unifier: unifier) {
      var isOpen = false
      if case .named(let named, _) = type.resolved { isOpen = named.isOpen }
      if isOpen {
        report(
          Diagnostic(
            "W0402", "this `match` has no arm for `\(example)`", at: place,
            notes: ["a value that no arm fits stops the program"], hint: "add `_ => …`"))
      } else {
        report(
          Diagnostic(
            "E0401", "this `match` does not cover every value", at: place, label: "nothing handles `\(example)`",
            hint: example == "_" ? "add `_ => …`" : "add `\(example) => …`, or `_ => …` for all the rest"))
      }
    }
    for index in Exhaustiveness.unreachable(covering.map(\.shape), of: type, unifier: unifier) {
      report(
        Diagnostic(
          "W0401", "this arm is never reached", at: covering[index].span,
          notes: ["the arms before it fit every such value"]))
    }
  }

  /// A pattern of a `let` or a parameter fits every value, or it is no pattern for that place.
  func requireIrrefutable(_ pattern: CheckedPattern, _ type: Type, _ span: Span) {
    checker.afterGroup.append { [self] in
      if pattern.shape.isBroken || type.isError { return }
      guard let example = Exhaustiveness.missing([pattern.shape], of: type, unifier: unifier) else { return }
      report(
        Diagnostic(
          "E0405", "this pattern does not fit every value", at: span, label: "`\(example)` would not fit",
          hint: "use `match`, with an arm for it"))
    }
  }

  // MARK: Ways out

  func returned(_ value: Expression?, _ span: Span) -> Checked {
    guard let type = returnType else {
      report(
        Diagnostic(
          "E0229", "`return` stands outside of a function", at: span,
          hint: "put this into a function, or end the program with `exit(0)` of std/io"))
      if let value { _ = infer(value) }
      return failed(span)
    }
    exits.append((span.first, "return", nil))
    guard let value else {
      if let difference = unifier.unify(type, .unit) {
        report(Mismatch.diagnostic(expected: type, found: .unit, difference, .returned(name), at: span))
      }
      return Checked(unifier.fresh()) { _ in Core(.returned(nil), span) }
    }
    let checked = check(value, type, .returned(name))
    return Checked(unifier.fresh()) { lowering in Core(.returned(checked.core(lowering)), span) }
  }

  /// `e?`
  func propagate(_ expression: Expression, _ span: Span) -> Checked {
    let value = infer(expression)
    if isStep { return stepPropagates(value, expression, span) }
    exits.append((span, "?", nil))
    guard let returnType else {
      report(
        Diagnostic(
          "E0230", "`?` hands a failure to the enclosing function, and there is none", at: span, hint: "use `match`"))
      return failed(span)
    }
    switch value.type.resolved {
    case .variable where !value.type.isAnyNumber: break
    case .named(let type, _) where type === checker.prelude.option || type === checker.prelude.result: break
    case .error: return failed(span)
    default:
      report(
        Diagnostic(
          "E0347", "`?` needs something that may fail", at: expression.span,
          label: "this is \(TypePrinter.noun(value.type))", notes: ["it takes the value out of an Option or a Result"],
          hint: "leave the `?` out"))
      return failed(span)
    }
    let good = unifier.fresh()
    let wanted: Type
    let given: Type
    if isOption(value.type) {
      wanted = .named(checker.prelude.option, [good])
      given = .named(checker.prelude.option, [unifier.fresh()])
    } else {
      let failure = unifier.fresh()
      wanted = .named(checker.prelude.result, [good, failure])
      given = .named(checker.prelude.result, [unifier.fresh(), failure])
    }
    let checked = coerce(value, to: wanted, .operand("?"), expression.span)
    if returnType.isUnknown, firstPropagation == nil { firstPropagation = span }
    if !checked.type.isError, let difference = unifier.unify(returnType, given) {
      report(Mismatch.diagnostic(expected: returnType, found: given, difference, .propagated(name), at: span))
    }
    return Checked(good) { lowering in Core(.attempt(checked.core(lowering), success: 0), span) }
  }

  /// In a step `e?` ends the step: its failure is what `@retry` and `onerror` are about.
  private func stepPropagates(_ value: Checked, _ expression: Expression, _ span: Span) -> Checked {
    let good = unifier.fresh()
    let isOption = isOption(value.type)
    let wanted: Type =
      isOption
      ? .named(checker.prelude.option, [good]) : .named(checker.prelude.result, [good, unifier.fresh()])
    let checked = coerce(value, to: wanted, .operand("?"), expression.span)
    let found = newLocal("value")
    let failure = newLocal("failure")
    return Checked(good) { lowering in
      let message = Core(.primitive(.text, [Core(.local(failure), span)]), span)
      let missing = Core(.literal(.string("there is no value")), span)
      let arms = [
        CoreArm(.constructor(index: 0, [.bind(found)]), Core(.local(found), span)),
        CoreArm(
          .constructor(index: 1, isOption ? [] : [.bind(failure)]),
          Core(.fail(code: "StepFailed", message: isOption ? missing : message), span)),
      ]
      return Core(.match(checked.core(lowering), arms), span)
    }
  }

  func assertion(_ condition: Expression, _ message: Expression?, _ span: Span) -> Checked {
    let test = check(condition, .bool, .condition("`assert`"))
    let text = message.map { check($0, .string, .statement("the message of `assert`")) }
    let written = checker.sources.source(of: condition.span)?.text(condition.span) ?? "the condition"
    return Checked(.unit) { lowering in
      let words = text?.core(lowering) ?? Core(.literal(.string("assertion failed: \(written)")), span)
      return self.assertion(test.core(lowering), words, span)
    }
  }

  /// Of a comparison both sides are kept, so that a failure can show them.
  private func assertion(_ test: Core, _ words: Core, _ span: Span) -> Core {
    let fine = Core(.literal(.unit), span)
    guard case .primitive(let comparison, let sides) = test.node, comparison.isComparison, sides.count == 2 else {
      return Core(.branch(if: test, then: fine, else: Core(.fail(code: "AssertionFailed", message: words), span)), span)
    }
    let locals = [newLocal("left"), newLocal("right")]
    let values = locals.map { Core(.local($0), span) }
    let notes = zip(["left:  ", "right: "], values).map { label, value in
      Core(.concat(.string, [Core(.literal(.string(label)), span), Core(.primitive(.show, [value]), span)]), span)
    }
    let failure = Core(.fail(code: "AssertionFailed", message: Core(.list([words] + notes), span)), span)
    let binds = zip(locals, sides).map { Core(.bind($0, $1), $1.span) }
    let again = Core(.primitive(comparison, values), test.span)
    return Core(.sequence(binds + [Core(.branch(if: again, then: fine, else: failure), span)]), span)
  }
}
