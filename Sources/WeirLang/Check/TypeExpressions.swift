/// Written types become types.
///
/// An arrow without a row means "whatever effects" in a parameter (its own row variable), and "none" inside a declared
/// type, where nobody could say whose effects they are.
final class TypeReader {
  enum ArrowRule { case open, pure }

  let checker: Checker
  let module: Module
  /// The declaration's own parameters: `a` of `func f[a]`.
  var parameters: [String: Type] = [:]
  /// `e` of `! {Stream, e}`, made at first sight.
  var rows: [String: RowVariable] = [:]
  var arrows = ArrowRule.open
  /// `any` as "anything": parameters of `extern func` only.
  var allowsAny = false
  /// The right side of the alias that is being verified.
  var definition: TypeExpression?
  private var expanded = 0

  /// A type may unfold to this many nodes; aliases that double each other grow without bound.
  static let expansionLimit = 10_000

  init(_ checker: Checker, _ module: Module) {
    self.checker = checker
    self.module = module
  }

  func read(_ expression: TypeExpression) -> Type {
    expanded += 1
    if expanded > Self.expansionLimit {
      if expanded == Self.expansionLimit + 1 {
        checker.report(
          Diagnostic(
            "E0904", "this type is too large", at: expression.span,
            notes: ["written out it has more than \(Self.expansionLimit) parts"]))
      }
      return .error
    }
    switch expression.kind {
    case .unit: return .unit
    case .error: return .error
    case .list(let item): return .list(read(item))
    case .map(let key, let value): return .map(read(key), read(value))
    case .option(let item): return .named(checker.prelude.option, [read(item)])
    case .tuple(let items): return .tuple(items.map(read))
    case .record(let fields): return record(fields)
    case .function(let parameters, let result, let effects):
      let types = parameters.map(read)
      let row = effects.map(self.row) ?? (arrows == .open ? checker.unifier.openRow() : .pure)
      return .function(FunctionType(parameters: types, row: row, result: read(result)))
    case .named(let qualifier, let name, let arguments):
      return named(qualifier, name, arguments.map(read), expression.span)
    }
  }

  private func record(_ fields: [FieldType]) -> Type {
    var seen: [String: Span] = [:]
    var result: [RecordType.Field] = []
    for field in fields {
      if let first = seen[field.name.text] {
        checker.report(
          Diagnostic(
            "E0226", "the field `\(field.name.text)` stands twice in this record", at: field.name.span,
            related: [.init(first, "first here")]))
        continue
      }
      seen[field.name.text] = field.name.span
      result.append(.init(name: field.name.text, type: read(field.type), isOptional: field.isOptional))
    }
    return .record(RecordType(fields: result))
  }

  func row(_ written: EffectRow) -> Row {
    let effects = labels(written)
    var rest: RowVariable?
    for name in written.variables {
      let variable = rows[name.text] ?? checker.unifier.freshRow()
      rows[name.text] = variable
      // Two variables of one row are one from here on.
      if let known = rest, known !== variable, variable.bound == nil {
        variable.bound = Row(effects: .none, rest: known)
      }
      rest = rest ?? variable
    }
    return Row(effects: effects, rest: rest)
  }

  func labels(_ written: EffectRow) -> EffectSet {
    var effects = EffectSet.none
    for effect in written.effects {
      if let label = EffectSet(effect.name.text) {
        effects.formUnion(label)
        continue
      }
      let near = Suggestion.nearest(to: effect.name.text, among: EffectSet.names)
      checker.report(
        Diagnostic(
          "E0502", "there is no effect `\(effect.name.text)`", at: effect.name.span,
          notes: ["effects are \(EffectSet.names.joined(separator: ", "))"], hint: near.map { "did you mean `\($0)`?" })
      )
    }
    return effects
  }

  // MARK: Names

  private func named(_ qualifier: Name?, _ name: Name, _ arguments: [Type], _ span: Span) -> Type {
    let text = name.text
    if let qualifier {
      guard let owner = module.aliases[qualifier.text] else {
        if !module.unknown.contains(qualifier.text) {
          unknown(qualifier.text, "module", qualifier.span, Array(module.aliases.keys))
        }
        return .error
      }
      guard let entity = owner.exportedTypes[text] ?? checker.prelude.type(text).map(TypeEntity.named) else {
        unknown(text, "type", name.span, Array(owner.exportedTypes.keys))
        return .error
      }
      return apply(entity, arguments, name, span)
    }
    if let parameter = parameters[text] {
      expect(0, arguments, name, span)
      return parameter
    }
    if let builtin = builtin(text, arguments, name, span) { return builtin }
    if let entity = module.types[text] { return apply(entity, arguments, name, span) }
    if module.unknown.contains(text) { return .error }
    if let entity = checker.standardType(text) {
      module.types[text] = entity
      return apply(entity, arguments, name, span)
    }
    unknown(text, "type", name.span, candidates)
    return .error
  }

  private func builtin(_ text: String, _ arguments: [Type], _ name: Name, _ span: Span) -> Type? {
    switch text {
    case "int", "float", "bool", "string", "bytes", "unit":
      expect(0, arguments, name, span)
      switch text {
      case "int": return .int
      case "float": return .float
      case "bool": return .bool
      case "string": return .string
      case "bytes": return .bytes
      default: return .unit
      }
    case "List":
      return expect(1, arguments, name, span) ? .list(arguments[0]) : .error
    case "Map":
      return expect(2, arguments, name, span) ? .map(arguments[0], arguments[1]) : .error
    case "stream":
      expect(0, arguments, name, span)
      guard case .named(let type)? = checker.standardType("Stream") else { return .error }
      return .named(type, [.string])
    case "any":
      expect(0, arguments, name, span)
      if allowsAny { return .any }
      guard case .named(let type)? = checker.standardType("Json") else { return .error }
      return .named(type, [])
    default: return nil
    }
  }

  private func apply(_ entity: TypeEntity, _ arguments: [Type], _ name: Name, _ span: Span) -> Type {
    switch entity {
    case .named(let type):
      return expect(type.parameters.count, arguments, name, span) ? .named(type, arguments) : .error
    case .alias(let alias):
      return expect(alias.parameters.count, arguments, name, span) ? expand(alias, arguments, span) : .error
    }
  }

  private func expand(_ alias: TypeAlias, _ arguments: [Type], _ span: Span) -> Type {
    if alias.isExpanding {
      checker.report(
        Diagnostic(
          "E0209", "the type `\(alias.name)` is defined by itself", at: span,
          hint: "wrap it in a sum type: `type \(alias.name) = \(alias.name)(…)`"))
      return .error
    }
    alias.isExpanding = true
    defer { alias.isExpanding = false }
    let reader = alias.module === module ? self : TypeReader(checker, alias.module)
    let outer = (reader.parameters, reader.rows)
    reader.parameters = Dictionary(zip(alias.parameters, arguments), uniquingKeysWith: { first, _ in first })
    if reader !== self {
      reader.arrows = arrows
      reader.expanded = expanded
    }
    let type = reader.read(alias.definition)
    expanded = reader.expanded
    (reader.parameters, reader.rows) = outer
    guard case .record(let record) = type, record.alias == nil else { return type }
    return .record(RecordType(fields: record.fields, alias: alias.name, aliasArguments: arguments))
  }

  @discardableResult
  private func expect(_ count: Int, _ arguments: [Type], _ name: Name, _ span: Span) -> Bool {
    if arguments.count == count { return true }
    checker.report(
      Diagnostic(
        "E0308", "`\(name.text)` takes \(Mismatch.count(count, "type argument")), not \(arguments.count)", at: span,
        hint: count == 0
          ? "write `\(name.text)`"
          : "write `\(name.text)[\((0..<count).map { String(UnicodeScalar(UInt8(97 + $0 % 26))) }.joined(separator: ", "))]`"
      ))
    return false
  }

  private var candidates: [String] {
    Array(parameters.keys) + Array(module.types.keys) + checker.standardTypeNames
      + ["int", "float", "bool", "string", "bytes", "unit", "List", "Map"]
  }

  private func unknown(_ text: String, _ what: String, _ span: Span, _ candidates: [String]) {
    let usual = [
      "String": "string", "str": "string", "Int": "int", "integer": "int", "boolean": "bool", "Bool": "bool",
      "void": "unit", "Void": "unit", "number": "int", "double": "float", "Float": "float",
    ]
    let near = usual[text] ?? Suggestion.nearest(to: text, among: candidates)
    var hint = near.map { "did you mean `\($0)`?" }
    if case .named(nil, let only, let arguments)? = definition?.kind, only.text == text, arguments.isEmpty {
      // Whoever wrote it meant a constructor: what is made of it is no further mistake.
      if near == nil { hint = "a type of one case is written `type … = | \(text)`" }
      module.unknown.insert(text)
    }
    checker.report(Diagnostic("E0202", "there is no \(what) `\(text)`", at: span, hint: hint))
  }
}
