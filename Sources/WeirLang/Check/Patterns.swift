/// Patterns: checked against the type of what they take apart, binding names into the current scope.
struct CheckedPattern {
  var shape: Exhaustiveness.Shape
  var core: (Lowering) -> CorePattern
}

extension Exhaustiveness.Shape {
  /// Part of it was an error: it says nothing about what is covered.
  var isBroken: Bool {
    switch self {
    case .broken: true
    case .any, .literal: false
    case .constructor(_, let parts), .product(let parts), .either(let parts): parts.contains(where: \.isBroken)
    case .list(let items, let rest): items.contains(where: \.isBroken) || rest?.isBroken ?? false
    }
  }
}

extension BodyChecker {
  func pattern(_ pattern: Pattern, _ type: Type) -> CheckedPattern {
    var bound: [String: LocalBinding] = [:]
    return self.pattern(pattern, type, &bound, shared: nil)
  }

  /// `shared`: the names of the first alternative of `p | q`, which the others must bind as well.
  private func pattern(
    _ pattern: Pattern, _ type: Type, _ bound: inout [String: LocalBinding], shared: [String: LocalBinding]?
  ) -> CheckedPattern {
    let span = pattern.span
    switch pattern.kind {
    case .wildcard: return CheckedPattern(shape: .any) { _ in .any }
    case .error: return broken
    case .name(let name): return bindName(name, type, span, &bound, shared)
    case .unit: return literal(.unit, .unit, type, span)
    case .bool(let value): return literal(.bool(value), .bool, type, span)
    case .string(let value): return literal(.string(value), .string, type, span)
    case .float(let value): return literal(.float(value), .float, type, span)
    case .int(let value):
      if case .float = type.resolved { return literal(.float(Double(value)), .float, type, span) }
      return literal(.int(value), .int, type, span)
    case .nil: return constructor(checker.prelude.none, [], type, span, &bound, shared)
    case .tuple(let items):
      let parts = items.map { _ in unifier.fresh() }
      guard fits(.tuple(parts), type, span) else { return bindAll(items, &bound, shared) }
      let checked = zip(items, parts).map { self.pattern($0, $1, &bound, shared: shared) }
      return CheckedPattern(shape: .product(checked.map(\.shape))) { lowering in
        .record(checked.enumerated().map { ($0.offset, $0.element.core(lowering)) })
      }
    case .list(let items, let rest):
      let item = unifier.fresh()
      guard fits(.list(item), type, span) else { return bindAll(items + (rest.map { [$0] } ?? []), &bound, shared) }
      return list(
        items.map { self.pattern($0, item, &bound, shared: shared) },
        rest.map { self.pattern($0, .list(item), &bound, shared: shared) })
    case .cons(let head, let tail):
      let item = unifier.fresh()
      guard fits(.list(item), type, span) else { return bindAll([head, tail], &bound, shared) }
      let first = self.pattern(head, item, &bound, shared: shared)
      return list([first], self.pattern(tail, .list(item), &bound, shared: shared))
    case .record(let fields): return record(fields, type, span, &bound, shared)
    case .constructor(let qualifier, let name, let arguments):
      return constructor(qualifier, name, arguments, type, span, &bound, shared)
    case .or(let options): return either(options, type, span, &bound, shared)
    }
  }

  private var broken: CheckedPattern { CheckedPattern(shape: .broken) { _ in .any } }

  /// Names of a pattern that does not fit are bound all the same, so that their uses are no errors.
  private func bindAll(
    _ patterns: [Pattern], _ bound: inout [String: LocalBinding], _ shared: [String: LocalBinding]?
  ) -> CheckedPattern {
    for pattern in patterns { _ = self.pattern(pattern, .error, &bound, shared: shared) }
    return broken
  }

  private func fits(_ own: Type, _ type: Type, _ span: Span) -> Bool {
    guard let difference = unifier.unify(type, own) else { return true }
    report(Mismatch.diagnostic(expected: type, found: own, difference, .pattern, at: span))
    return false
  }

  private func literal(_ literal: CoreLiteral, _ own: Type, _ type: Type, _ span: Span) -> CheckedPattern {
    guard fits(own, type, span) else { return broken }
    return CheckedPattern(shape: .literal(literal)) { _ in .literal(literal) }
  }

  private func bindName(
    _ name: String, _ type: Type, _ span: Span, _ bound: inout [String: LocalBinding],
    _ shared: [String: LocalBinding]?
  ) -> CheckedPattern {
    if let shared {
      guard let binding = shared[name] else {
        report(
          Diagnostic(
            "E0403", "`\(name)` is not bound by every alternative", at: span,
            hint: "bind the same names on both sides of `|`"))
        return broken
      }
      bound[name] = binding
      guard fits(binding.scheme.type, type, span) else { return broken }
      return CheckedPattern(shape: .any) { _ in .bind(binding.local) }
    }
    if let first = bound[name] {
      report(
        Diagnostic(
          "E0404", "`\(name)` is bound twice in one pattern", at: span, related: [.init(first.span, "first here")],
          hint: "bind two names and compare them: `if a == b`"))
      return broken
    }
    let binding = bind(name, type, span)
    bound[name] = binding
    return CheckedPattern(shape: .any) { _ in .bind(binding.local) }
  }

  private func list(_ items: [CheckedPattern], _ rest: CheckedPattern?) -> CheckedPattern {
    let shape: Exhaustiveness.Shape =
      items.isEmpty ? rest?.shape ?? .list([], rest: nil) : .list(items.map(\.shape), rest: rest?.shape)
    return CheckedPattern(shape: shape) { lowering in
      .list(items.map { $0.core(lowering) }, rest: rest?.core(lowering))
    }
  }

  private func record(
    _ fields: [FieldPattern], _ type: Type, _ span: Span, _ bound: inout [String: LocalBinding],
    _ shared: [String: LocalBinding]?
  ) -> CheckedPattern {
    guard let record = type.asRecord else {
      if !type.isError {
        report(
          Diagnostic(
            Reason.pattern.code, Reason.pattern.title, at: span, label: "this is a record",
            notes: ["the value is \(TypePrinter.text(type))"],
            hint: type.isUnknown ? "write the value's type where it is bound" : nil))
      }
      return bindAll(fields.map(\.pattern), &bound, shared)
    }
    var parts: [(index: Int, pattern: CheckedPattern)] = []
    for field in fields {
      guard let index = record.index(of: field.name.text) else {
        noField(field.name, type, record)
        _ = pattern(field.pattern, .error, &bound, shared: shared)
        return broken
      }
      parts.append((index, pattern(field.pattern, unifier.fieldType(record.fields[index]), &bound, shared: shared)))
    }
    var shapes = [Exhaustiveness.Shape](repeating: .any, count: record.fields.count)
    for part in parts { shapes[part.index] = part.pattern.shape }
    let all = parts
    return CheckedPattern(shape: .product(shapes)) { lowering in
      .record(all.map { ($0.index, $0.pattern.core(lowering)) })
    }
  }

  // MARK: Constructors

  private func constructor(
    _ qualifier: Name?, _ name: Name, _ arguments: [Pattern]?, _ type: Type, _ span: Span,
    _ bound: inout [String: LocalBinding], _ shared: [String: LocalBinding]?
  ) -> CheckedPattern {
    let found: [Entity]
    if let qualifier {
      guard let owner = module.aliases[qualifier.text] else {
        if !module.unknown.contains(qualifier.text) {
          let near = Suggestion.nearest(to: qualifier.text, among: module.aliases.keys)
          report(
            Diagnostic(
              "E0235", "there is no module `\(qualifier.text)` here", at: qualifier.span,
              hint: near.map { "did you mean `\($0)`?" }
                ?? "leave `\(qualifier.text).` out, or import it: `import … as \(qualifier.text)`"))
        }
        return bindAll(arguments ?? [], &bound, shared)
      }
      found = owner.exportedValues[name.text] ?? []
    } else {
      found = entities(name.text)
    }
    let candidates = found.compactMap(\.constructor)
    guard !candidates.isEmpty else {
      unknownConstructor(name, type)
      return bindAll(arguments ?? [], &bound, shared)
    }
    guard let constructor = choose(candidates, name.text, type, name.span) else {
      return bindAll(arguments ?? [], &bound, shared)
    }
    return self.constructor(constructor, arguments, type, span, &bound, shared)
  }

  private func unknownConstructor(_ name: Name, _ type: Type) {
    if module.unknown.contains(name.text) { return }
    guard case .named(let owner, _) = type.resolved, !owner.constructors.isEmpty else {
      _ = unknown(name.text, name.span)
      return
    }
    if owner.constructors.contains(where: { $0.name == name.text }) {
      report(
        Diagnostic(
          "E0231", "the constructor `\(name.text)` is not imported", at: name.span,
          hint: "add `import \(owner.module.hasPrefix("std/") ? owner.module : "\"./\(owner.module)\"") (\(name.text))`"
        ))
      return
    }
    let names = owner.constructors.map(\.name)
    let near = Suggestion.nearest(to: name.text, among: names)
    report(
      Diagnostic(
        "E0232", "`\(owner.name)` has no constructor `\(name.text)`", at: name.span,
        notes: ["it has \(names.prefix(12).map { "`\($0)`" }.joined(separator: ", "))"],
        hint: near.map { "did you mean `\($0)`?" }))
  }

  private func constructor(
    _ constructor: SumCase, _ arguments: [Pattern]?, _ type: Type, _ span: Span,
    _ bound: inout [String: LocalBinding], _ shared: [String: LocalBinding]?
  ) -> CheckedPattern {
    let (fields, owner) = unifier.instantiate(constructor)
    guard fits(owner, type, span) else { return bindAll(arguments ?? [], &bound, shared) }
    let arguments = arguments ?? []
    if arguments.count != fields.count {
      let shown =
        fields.isEmpty ? constructor.name : "\(constructor.name)(\(fields.map { _ in "_" }.joined(separator: ", ")))"
      report(
        Diagnostic(
          "E0402", "`\(constructor.name)` has \(Mismatch.count(fields.count, "part")), not \(arguments.count)",
          at: span,
          hint: "write `\(shown)`"))
      return bindAll(arguments, &bound, shared)
    }
    let parts = zip(arguments, fields).map { pattern($0, $1, &bound, shared: shared) }
    return CheckedPattern(shape: .constructor(constructor, parts.map(\.shape))) { lowering in
      lowering.use(constructor.owner)
      return .constructor(index: constructor.index, parts.map { $0.core(lowering) })
    }
  }

  private func either(
    _ options: [Pattern], _ type: Type, _ span: Span, _ bound: inout [String: LocalBinding],
    _ shared: [String: LocalBinding]?
  ) -> CheckedPattern {
    guard let head = options.first else { return broken }
    var names: [String: LocalBinding] = [:]
    var checked = [pattern(head, type, &names, shared: shared)]
    for option in options.dropFirst() {
      var own: [String: LocalBinding] = [:]
      let errors = checker.diagnostics.count
      checked.append(pattern(option, type, &own, shared: names))
      let isReported = checker.diagnostics.count > errors
      for (name, binding) in names.sorted(by: { $0.key < $1.key }) where own[name] == nil && !isReported {
        report(
          Diagnostic(
            "E0403", "`\(name)` is not bound by every alternative", at: option.span,
            related: [.init(binding.span, "bound here")], hint: "bind the same names on both sides of `|`"))
      }
    }
    bound.merge(names) { first, _ in first }
    return CheckedPattern(shape: .either(checked.map(\.shape))) { lowering in
      .either(checked.map { $0.core(lowering) })
    }
  }
}
