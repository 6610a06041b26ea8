/// Several expressions at once: `a || b`, `parallel [..]`, `settle [..]`, `race [..]`, `first [..]`, `for parallel`.
///
/// Each becomes a job, a function of no parameters, for `std/task`. What a job does is charged where it is written.
extension BodyChecker {
  /// Jobs that run at the same time when nothing else is said.
  static let parallelLimit = 4

  private func task(_ name: String, _ span: Span) -> FunctionEntity? {
    if let function = checker.libraryModule(named: "std/task")?.functions[name] { return function }
    report(
      Diagnostic("E0203", "running several at once needs the module std/task, and this library has none", at: span))
    return nil
  }

  private func job(_ value: Checked, _ span: Span) -> Checked {
    let type = Type.function(FunctionType(parameters: [], row: unifier.openRow(), result: value.type))
    return Checked(type) { lowering in
      Core(.lambda(CoreLambda(name: "job", parameters: [], body: value.core(lowering))), span)
    }
  }

  private func jobs(_ values: [Checked], _ spans: [Span], _ item: Type, _ span: Span) -> CallArgument {
    let jobs = zip(values, spans).map { job($0, $1) }
    let type = Type.list(.function(FunctionType(parameters: [], row: unifier.openRow(), result: item)))
    return CallArgument(
      Checked(type) { lowering in Core(.list(jobs.map { $0.core(lowering) }), span) }, span)
  }

  private func limit(_ span: Span) -> CallArgument { CallArgument(literal(.int(Self.parallelLimit), .int, span), span) }

  /// Results in written order: a list, or a tuple when the types differ. With `settle` each is a `Result`, and a failed
  /// job stops no other; without, the first failure is the caller's.
  func together(
    _ values: [Checked], _ spans: [Span], _ span: Span, limit: CallArgument?, isSettled: Bool = false
  ) -> Checked {
    guard let all = task(isSettled ? "settle" : "all", span) else { return failed(span) }
    let item = values.first?.type ?? unifier.fresh()
    let isUniform = values.dropFirst().allSatisfy { unifier.unify(item, $0.type) == nil }
    let type = isUniform ? item : unifier.fresh()
    let list = callFunction(all, [jobs(values, spans, type, span), limit ?? self.limit(span)], span, span, name: "||")
    if isUniform { return list }
    let results = newLocal("results")
    var types = values.map(\.type)
    if isSettled, case .list(let slot) = list.type.resolved, case .named(let result, let arguments) = slot.resolved {
      types = types.map { .named(result, [$0] + arguments.dropFirst()) }
    }
    return Checked(.tuple(types)) { lowering in
      let parts = values.indices.map { index in
        let place = [Core(.local(results), span), Core(.literal(.int(index)), span)]
        return (index: index, value: Core(.primitive(.indexList, place), span))
      }
      return Core(
        .sequence([Core(.bind(results, list.core(lowering)), span), Core(.record(names: [], parts), span)]), span)
    }
  }

  func together(_ word: Together, _ items: [Expression], _ span: Span, limit: CallArgument?) -> Checked {
    if items.isEmpty {
      report(
        Diagnostic(
          "E0345", "`\(word.rawValue)` needs something to run", at: span, hint: "write `\(word.rawValue) [a(), b()]`"))
      return failed(span)
    }
    let spans = items.map(\.span)
    let what = "a branch of `\(word.rawValue)`"
    if word == .parallel || word == .settle {
      let values = items.map { item in inJob(what) { infer(item) } }
      return together(values, spans, span, limit: limit, isSettled: word == .settle)
    }
    guard let function = task(word.rawValue, span) else { return failed(span) }
    let item = unifier.fresh()
    let values = items.map { part in inJob(what) { check(part, item, .operand(word.rawValue)) } }
    return callFunction(function, [jobs(values, spans, item, span)], span, span, name: word.rawValue)
  }

  /// `for parallel x in xs (limit n) { … }`: the list of what the bodies give, in the order of xs.
  func parallelLoop(_ loop: ForLoop, _ span: Span) -> Checked {
    if let index = loop.index {
      report(
        Diagnostic(
          "E0245", "`for parallel` counts nothing", at: index.span,
          hint: "go through pairs: `for parallel (i, x) in enumerate(xs) { … }`"))
      return failed(span)
    }
    let outer = jobBody
    jobBody = loop.body.span
    defer { jobBody = outer }
    guard let all = task("all", loop.sequence.span),
      let map = checker.libraryModule(named: "std/list")?.functions["map"]
    else { return failed(span) }
    func function(_ parameters: [LambdaParameter], _ body: Expression) -> Expression {
      let lambda = Lambda(parameters: parameters, result: nil, effects: nil, body: body)
      return Expression(kind: .lambda(lambda), span: loop.body.span, id: -1, depth: 0)
    }
    let body = Expression(kind: .block(loop.body), span: loop.body.span, id: -1, depth: 0)
    let start = function([LambdaParameter(pattern: loop.pattern, type: nil)], function([], body))
    let sequence = Argument(label: nil, value: loop.sequence)
    let jobs = callFunction(
      map, [CallArgument(sequence), CallArgument(Argument(label: nil, value: start))], loop.sequence.span, span,
      name: "for parallel")
    let bound = loop.limit.map { check($0, .int, .statement("the limit")) }
    let many = bound.map { CallArgument($0, loop.limit?.span ?? span) } ?? limit(span)
    return callFunction(all, [CallArgument(jobs, span), many], loop.sequence.span, span, name: "for parallel")
  }
}
