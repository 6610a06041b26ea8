/// `for` over lists, maps, ranges and streams, `while`, and the ways out of a loop.
extension BodyChecker {
  func forLoop(_ loop: ForLoop, _ span: Span) -> Checked {
    if loop.isParallel { return parallelLoop(loop, span) }
    if case .range(let from, let to, let inclusive) = loop.sequence.kind, loop.index == nil {
      return countingLoop(loop, from, to, inclusive, span)
    }
    let sequence = infer(loop.sequence)
    switch sequence.type.resolved {
    case .named(let type, _): return pullingLoop(loop, sequence, type, span)
    case .map(let key, let value): return mapLoop(loop, sequence, key, value, span)
    default: break
    }
    let item = unifier.fresh()
    guard unifier.unify(.list(item), sequence.type) == nil else { return notASequence(sequence, loop, span) }
    let list = sequence
    return scoped {
      let index = loop.index.map { bind($0.text, .int, $0.span).local }
      let checked = pattern(loop.pattern, item)
      requireIrrefutable(checked, item, loop.pattern.span)
      let body = loopBody(loop.body)
      return Checked(.unit) { lowering in
        Core(
          .forEach(
            item: checked.core(lowering), index: index, in: list.core(lowering), body: body.core(lowering)), span)
      }
    }
  }

  private func notASequence(_ sequence: Checked, _ loop: ForLoop, _ span: Span) -> Checked {
    let text = checker.sources.source(of: loop.sequence.span)?.text(loop.sequence.span) ?? "n"
    var hint: String?
    switch sequence.type.resolved {
    case .int: hint = "to count, write `0..\(text)`"
    case .string: hint = "its characters are `chars(\(text))` of std/string, its lines `lines(\(text))`"
    default: if sequence.type.isAnyNumber { hint = "to count, write `0..\(text)`" }
    }
    report(
      Diagnostic(
        "E0344", "`for` cannot go through this", at: loop.sequence.span,
        label: "this is \(TypePrinter.noun(sequence.type))",
        notes: ["`for` goes through lists, maps, ranges and streams"], hint: hint))
    // The body is looked at all the same; what it says of the loop's names is not known.
    scoped {
      if let index = loop.index { bind(index.text, .error, index.span) }
      _ = pattern(loop.pattern, .error)
      _ = loopBody(loop.body)
    }
    return failed(span)
  }

  private func loopBody(_ body: Block) -> Checked {
    loopDepth += 1
    defer { loopDepth -= 1 }
    return block(body, nil, isWanted: false)
  }

  private func countingLoop(
    _ loop: ForLoop, _ from: Expression, _ to: Expression, _ inclusive: Bool, _ span: Span
  ) -> Checked {
    let a = check(from, .int, .operand(".."))
    let b = check(to, .int, .operand(".."))
    return scoped {
      var item: Local?
      switch loop.pattern.kind {
      case .name(let name): item = bind(name, .int, loop.pattern.span).local
      case .wildcard: break
      default:
        report(
          Diagnostic("E0406", "a range gives whole numbers: name them", at: loop.pattern.span, hint: "`for i in 0..5`"))
      }
      let body = loopBody(loop.body)
      return Checked(.unit) { lowering in
        Core(
          .forRange(
            item: item, from: a.core(lowering), to: b.core(lowering), inclusive: inclusive,
            body: body.core(lowering)), span)
      }
    }
  }

  /// Whatever has a method `next` that gives an Option can be gone through: streams, readers.
  private func pullingLoop(_ loop: ForLoop, _ sequence: Checked, _ type: NamedType, _ span: Span) -> Checked {
    guard let next = method("next", of: sequence.type), next.parameters.count == 1 else {
      return notASequence(sequence, loop, span)
    }
    let source = newLocal("source")
    let counter = newLocal("index")
    let item = unifier.fresh()
    let argument = CallArgument(
      Checked(sequence.type) { _ in Core(.local(source), loop.sequence.span) }, loop.sequence.span)
    let pulled = callFunction(next, [argument], nil, loop.sequence.span, name: "next")
    let option = Type.named(checker.prelude.option, [item])
    let value = coerce(pulled, to: option, .statement("what `for` goes through"), loop.sequence.span)
    return scoped {
      let index = loop.index.map { bind($0.text, .int, $0.span).local }
      let checked = pattern(loop.pattern, item)
      requireIrrefutable(checked, item, loop.pattern.span)
      let body = loopBody(loop.body)
      return Checked(.unit) { lowering in
        func core(_ node: Core.Node) -> Core { Core(node, span) }
        var inner = [body.core(lowering)]
        if let index {
          let step = core(.primitive(.addInt, [core(.local(counter)), core(.literal(.int(1)))]))
          inner = [core(.bind(index, core(.local(counter)))), core(.assign(counter, step))] + inner
        }
        let some = CoreArm(.constructor(index: 0, [checked.core(lowering)]), core(.sequence(inner)))
        let none = CoreArm(.any, core(.breakLoop))
        let turn = core(.match(value.core(lowering), [some, none]))
        return core(
          .sequence([
            core(.bind(source, sequence.core(lowering))), core(.bind(counter, core(.literal(.int(0))))),
            core(.loop(while: core(.literal(.bool(true))), body: turn)), core(.literal(.unit)),
          ]))
      }
    }
  }

  /// `for k, v in map`, and `for pair in map`.
  private func mapLoop(_ loop: ForLoop, _ map: Checked, _ key: Type, _ value: Type, _ span: Span) -> Checked {
    guard let entries = method("entries", of: map.type) ?? method("toList", of: map.type) else {
      report(
        Diagnostic(
          "E0203", "`for` over a map needs the module std/map, and this library has none", at: loop.sequence.span))
      return failed(span)
    }
    let list = callFunction(entries, [CallArgument(map, loop.sequence.span)], nil, loop.sequence.span, name: "entries")
    return scoped {
      var checked: CheckedPattern
      if let name = loop.index {
        let first = bind(name.text, key, name.span).local
        let second = pattern(loop.pattern, value)
        requireIrrefutable(second, value, loop.pattern.span)
        checked = CheckedPattern(shape: .any) { lowering in
          .record([(0, .bind(first)), (1, second.core(lowering))])
        }
      } else {
        checked = pattern(loop.pattern, .tuple([key, value]))
        requireIrrefutable(checked, .tuple([key, value]), loop.pattern.span)
      }
      let item = checked
      let body = loopBody(loop.body)
      return Checked(.unit) { lowering in
        Core(
          .forEach(item: item.core(lowering), index: nil, in: list.core(lowering), body: body.core(lowering)), span)
      }
    }
  }

  func whileLoop(_ condition: Expression, _ body: Block, _ span: Span) -> Checked {
    let test = check(condition, .bool, .condition("`while`"))
    let checked = loopBody(body)
    return Checked(.unit) { lowering in
      Core(.loop(while: test.core(lowering), body: checked.core(lowering)), span)
    }
  }

  func leaveLoop(_ node: Core.Node, _ word: String, _ span: Span) -> Checked {
    if loopDepth == 0 {
      report(
        Diagnostic("E0219", "`\(word)` stands outside of a loop", at: span, hint: "leave a function with `return`"))
    } else {
      exits.append((span, word, loopDepth))
    }
    return Checked(unifier.fresh()) { _ in Core(node, span) }
  }
}
