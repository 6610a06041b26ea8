/// Lists, tuples, maps, records: making them, reading and updating their parts.
extension BodyChecker {
  func list(_ items: [Expression], _ hint: Type?, _ span: Span) -> Checked {
    var item = unifier.fresh()
    var reason = Reason.element
    if case .list(let wanted)? = hint?.resolved {
      item = wanted
      if !wanted.isUnknown { reason = .item }
    }
    let (values, isMixed) = mixed("E0327") { items.map { check($0, item, reason) } }
    return Checked(.list(isMixed ? .error : item)) { lowering in Core(.list(values.map { $0.core(lowering) }), span) }
  }

  /// What `work` gives, and whether it reported `code`: where the parts of a literal disagree nobody knows which of them is
  /// meant, and its uses are not held to the first.
  private func mixed<Made>(_ code: String, _ work: () -> Made) -> (Made, isMixed: Bool) {
    let before = checker.diagnostics.count
    let made = work()
    return (made, checker.diagnostics[before...].contains { $0.code == code })
  }

  func tuple(_ items: [Expression], _ hint: Type?, _ span: Span) -> Checked {
    var hints: [Type]?
    if case .tuple(let types)? = hint?.resolved, types.count == items.count { hints = types }
    let values = items.enumerated().map { index, item in
      let value = infer(item, hint: hints?[index])
      // A part that can be made to fit is; one that can't is reported for the whole.
      guard let wanted = hints?[index], wanted.asRecord != nil else { return value }
      return coerce(value, to: wanted, .element, item.span)
    }
    return Checked(.tuple(values.map(\.type))) { lowering in
      Core(.record(names: [], values.enumerated().map { ($0.offset, $0.element.core(lowering)) }), span)
    }
  }

  func map(_ entries: [MapEntry], _ hint: Type?, _ span: Span) -> Checked {
    var key = unifier.fresh()
    var value = unifier.fresh()
    if case .map(let k, let v)? = hint?.resolved { (key, value) = (k, v) }
    warnOfRepeatedKeys(entries)
    let (pairs, isMixed) = mixed("E0329") {
      entries.map { (check($0.key, key, .entry), check($0.value, value, .entry)) }
    }
    return Checked(isMixed ? .map(.error, .error) : .map(key, value)) { lowering in
      Core(.map(pairs.map { ($0.0.core(lowering), $0.1.core(lowering)) }), span)
    }
  }

  /// The later entry of a key wins, which nobody means who writes both.
  private func warnOfRepeatedKeys(_ entries: [MapEntry]) {
    var seen: [String: Span] = [:]
    for entry in entries {
      let key: String
      switch entry.key.kind {
      case .string(let text): key = "\"\(text)\""
      case .int(let number): key = String(number)
      case .bool(let value): key = String(value)
      default: continue
      }
      if let first = seen[key], !module.isLibrary {
        report(
          Diagnostic(
            "W0304", "the key `\(key)` stands twice in this map", at: entry.key.span,
            related: [.init(first, "first here")], notes: ["the later entry wins"], hint: "leave one of them out"))
      }
      seen[key] = entry.key.span
    }
  }

  /// `{}` is unit, and the empty map where a map is wanted.
  func braces(_ hint: Type?, _ span: Span) -> Checked {
    guard case .map? = hint?.resolved, checker.sources.source(of: span)?.text(span).first == "{" else {
      return literal(.unit, .unit, span)
    }
    return map([], hint, span)
  }

  // MARK: Records

  func record(_ fields: [Field], _ hint: Type?, _ span: Span) -> Checked {
    let fields = distinct(fields)
    if let wanted = hint?.asRecord { return record(fields, as: wanted, hint ?? .error, span) }
    let values = fields.map { infer($0.value) }
    let type = RecordType(fields: zip(fields, values).map { .init(name: $0.name.text, type: $1.type) })
    let names = type.fields.map(\.name)
    let indices = fields.map { type.index(of: $0.name.text) ?? 0 }
    return Checked(.record(type)) { lowering in
      Core(.record(names: names, zip(indices, values).map { ($0, $1.core(lowering)) }), span)
    }
  }

  /// Against a known record type every field is a diagnostic of its own: extra, missing, of the wrong type.
  private func record(_ fields: [Field], as wanted: RecordType, _ type: Type, _ span: Span) -> Checked {
    var parts: [(index: Int, core: Lower)] = []
    var given: Set<String> = []
    var misspelt: Set<String> = []
    let title = wanted.alias.map { "`\($0)` has no field" } ?? "there is no field"
    for field in fields {
      let name = field.name.text
      given.insert(name)
      guard let index = wanted.index(of: name) else {
        let missing = wanted.fields.map(\.name).filter { name in !fields.contains { $0.name.text == name } }
        let near = Suggestion.nearest(to: name, among: missing)
        if let near { misspelt.insert(near) }
        _ = infer(field.value)
        report(
          Diagnostic(
            "E0302", "\(title) `\(name)`", at: field.name.span,
            notes: [
              "its fields are \(wanted.fields.map { $0.name + ($0.isOptional ? "?" : "") }.joined(separator: ", "))"
            ],
            hint: near.map { "did you mean `\($0)`?" }))
        continue
      }
      let target = wanted.fields[index]
      parts.append((index, fieldValue(field.value, target)))
    }
    let missing = wanted.fields.filter { !$0.isOptional && !given.contains($0.name) && !misspelt.contains($0.name) }
    if !missing.isEmpty {
      let list = missing.map { "`\($0.name): \(TypePrinter.text($0.type))`" }.joined(separator: ", ")
      let what = missing.count == 1 ? "the field \(list) is missing" : "the fields \(list) are missing"
      report(
        Diagnostic(
          "E0303", what, at: span.first,
          notes: wanted.alias.map { ["`\($0)` needs \(missing.count == 1 ? "it" : "them")"] } ?? []))
    }
    for (index, field) in wanted.fields.enumerated() where field.isOptional && !given.contains(field.name) {
      parts.append((index, { lowering in lowering.none(span) }))
    }
    let names = wanted.fields.map(\.name)
    return Checked(type) { lowering in
      Core(.record(names: names, parts.map { ($0.index, $0.core(lowering)) }), span)
    }
  }

  /// An optional field takes the bare value, or an Option that is passed on.
  private func fieldValue(_ expression: Expression, _ field: RecordType.Field) -> Lower {
    guard field.isOptional else { return check(expression, field.type, .field(field.name)).core }
    let span = expression.span
    if case .nil = expression.kind { return { $0.none(span) } }
    let value = infer(expression, hint: field.type)
    if isOption(value.type), !isOption(field.type) {
      return coerce(value, to: unifier.fieldType(field), .field(field.name), span).core
    }
    let checked = coerce(value, to: field.type, .field(field.name), span)
    return { lowering in lowering.some(checked.core(lowering), span) }
  }

  private func distinct(_ fields: [Field]) -> [Field] {
    var seen: [String: Span] = [:]
    return fields.filter { field in
      if let first = seen[field.name.text] {
        report(
          Diagnostic(
            "E0226", "the field `\(field.name.text)` stands twice in this record", at: field.name.span,
            related: [.init(first, "first here")]))
        return false
      }
      seen[field.name.text] = field.name.span
      return true
    }
  }

  /// `{r | f: e}` keeps r's type.
  func update(_ expression: Expression, _ fields: [Field], _ hint: Type?, _ span: Span) -> Checked {
    let base = infer(expression, hint: hint)
    guard let record = base.type.asRecord else {
      for field in fields { _ = infer(field.value) }
      if !base.type.isError {
        report(
          Diagnostic(
            "E0314", "only a record has fields to change", at: expression.span,
            label: "this is \(TypePrinter.noun(base.type))",
            hint: base.type.isUnknown ? "write its type where it is bound" : nil))
      }
      return failed(span)
    }
    var parts: [(index: Int, core: Lower)] = []
    for field in distinct(fields) {
      guard let index = record.index(of: field.name.text) else {
        noField(field.name, base.type, record)
        _ = infer(field.value)
        continue
      }
      parts.append((index, fieldValue(field.value, record.fields[index])))
    }
    return Checked(base.type) { lowering in
      Core(.update(base.core(lowering), parts.map { ($0.index, $0.core(lowering)) }), span)
    }
  }

  func noField(_ name: Name, _ type: Type, _ record: RecordType) {
    let near = Suggestion.nearest(to: name.text, among: record.fields.map(\.name))
    report(
      Diagnostic(
        "E0302", "this record has no field `\(name.text)`", at: name.span,
        label: "it is \(TypePrinter.text(type))", hint: near.map { "did you mean `\($0)`?" }))
  }

  // MARK: Parts

  func field(_ value: Expression, _ name: Name, _ hint: Type?, _ span: Span) -> Checked {
    if let owner = aliasedModule(value) { return member(name, of: owner, hint, span) }
    let base = infer(value)
    if base.type.isError { return failed(span) }
    return read(name, of: base, span) ?? failed(span)
  }

  /// A module named before a point, unless a local or a value of that name hides it.
  func aliasedModule(_ expression: Expression) -> Module? {
    guard case .name(let name) = expression.kind, local(name) == nil, let owner = module.aliases[name] else {
      return nil
    }
    let own = module.values[name] ?? []
    return own.isEmpty ? owner : nil
  }

  private func member(_ name: Name, of owner: Module, _ hint: Type?, _ span: Span) -> Checked {
    if let found = owner.exportedValues[name.text] { return value(of: found, name.text, hint, span) }
    return noMember(name, of: owner)
  }

  func noMember(_ name: Name, of owner: Module) -> Checked {
    let near = Suggestion.nearest(to: name.text, among: owner.exportedValues.keys)
    report(
      Diagnostic(
        "E0233", "`\(owner.path)` does not export `\(name.text)`", at: name.span,
        hint: near.map { "did you mean `\($0)`?" }))
    return failed(name.span)
  }

  /// A field of a record, or a part of a tuple (`pair.0`). nil: there is none, and it was reported.
  func read(_ name: Name, of base: Checked, _ span: Span) -> Checked? {
    switch base.type.resolved {
    case .record(let record):
      guard let index = record.index(of: name.text) else {
        noField(name, base.type, record)
        return nil
      }
      return Checked(unifier.fieldType(record.fields[index]), name: name.text) { lowering in
        Core(.field(base.core(lowering), index), span)
      }
    case .tuple(let items):
      if let index = Int(name.text), items.indices.contains(index) {
        return Checked(items[index]) { lowering in Core(.field(base.core(lowering), index), span) }
      }
      report(
        Diagnostic(
          "E0346", "this has no part `\(name.text)`", at: name.span, label: "it is \(TypePrinter.noun(base.type))",
          hint: "its parts are `.0` to `.\(items.count - 1)`, or take it apart: `let (a, b) = pair`"))
      return nil
    case .variable(let variable) where variable.rigidName == nil && !base.type.isAnyNumber:
      return wanted(name, of: base, variable, span)
    default: break
    }
    if let method = method(name.text, of: base.type) {
      report(
        Diagnostic(
          "E0312", "`\(name.text)` is a function of \(TypePrinter.text(base.type)), so it is called", at: name.span,
          hint: "write `.\(name.text)(\(method.parameters.dropFirst().map { _ in "…" }.joined(separator: ", ")))`"))
      return nil
    }
    report(
      Diagnostic(
        "E0346", "this has no field `\(name.text)`", at: name.span, label: "it is \(TypePrinter.noun(base.type))"))
    return nil
  }

  /// A field of something whose type is not known yet: remembered, and checked when it is.
  private func wanted(_ name: Name, of base: Checked, _ variable: TypeVariable, _ span: Span) -> Checked {
    let type: Type
    if let known = variable.wantedFields.first(where: { $0.name == name.text }) {
      type = known.type
    } else {
      type = unifier.fresh()
      variable.wantedFields.append((name.text, type))
    }
    checker.afterGroup.append { [checker] in
      if case .variable = base.type.resolved {
        checker.report(
          Diagnostic(
            "E0313", "the type of this is not known where its field `\(name.text)` is read", at: name.span,
            hint: "write its type where it is bound: `(x: T) => …`"))
      }
    }
    return Checked(type, name: name.text) { lowering in
      let index = base.type.asRecord?.index(of: name.text) ?? 0
      return Core(.field(base.core(lowering), index), span)
    }
  }

  func index(_ value: Expression, _ index: Expression, _ span: Span) -> Checked {
    let base = infer(value)
    switch base.type.resolved {
    case .error:
      _ = infer(index)
      return failed(span)
    case .map(let key, let item):
      let place = check(index, key, .index)
      return Checked(.named(checker.prelude.option, [item])) { lowering in
        Core(.primitive(.indexMap, [base.core(lowering), place.core(lowering)]), span)
      }
    case .bytes:
      let place = check(index, .int, .index)
      return Checked(.int) { lowering in
        Core(.primitive(.indexBytes, [base.core(lowering), place.core(lowering)]), span)
      }
    case .named(let named, _) where named.isJSON:
      let place = infer(index)
      if case .string = place.type.resolved {} else { _ = coerce(place, to: .int, .index, index.span) }
      return Checked(base.type) { lowering in
        Core(.primitive(.indexJSON, [base.core(lowering), place.core(lowering)]), span)
      }
    case .list, .variable:
      if base.type.isAnyNumber { return noParts(base, index, value.span, span) }
      let item = unifier.fresh()
      let list = coerce(base, to: .list(item), .statement("what is indexed"), value.span)
      let place = check(index, .int, .index)
      return Checked(item) { lowering in
        Core(.primitive(.indexList, [list.core(lowering), place.core(lowering)]), span)
      }
    default:
      return noParts(base, index, value.span, span)
    }
  }

  private func noParts(_ base: Checked, _ index: Expression, _ place: Span, _ span: Span) -> Checked {
    _ = infer(index)
    var hint: String?
    if case .string = base.type.resolved { hint = "a character of a string is `charAt(text, index)` of std/string" }
    report(
      Diagnostic(
        "E0311", "this has no parts to index", at: place, label: "it is \(TypePrinter.noun(base.type))",
        notes: ["lists, maps, bytes and Json do"], hint: hint))
    return failed(span)
  }
}
