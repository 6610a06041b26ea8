/// Makes two types equal by binding variables; makes fresh ones; generalises and instantiates.
///
/// `unify` answers with the smallest difference it met, as data; words are `Mismatch.swift`'s. A failed unification may
/// leave variables bound: the expression has an error by then and its type becomes `.error`.
final class Unifier {
  private(set) var level = 0
  private var nextID = 0

  /// Nesting of types beyond this is a cycle in disguise or hostile; refused as an infinite type.
  static let depthLimit = 400
  /// Parts of types looked at by one step. A few lines of `let b = (a, a)` double a type each; nothing hand-written
  /// comes near this, and beyond it the type is refused.
  static let workLimit = 100_000
  private var work = 0
  /// Parts of types looked at in all: what a test of linearity counts instead of time.
  private(set) var steps = 0

  func enterLevel() { level += 1 }
  func leaveLevel() { level -= 1 }

  func fresh(_ kind: VariableKind = .any) -> Type { .variable(freshVariable(kind)) }

  func freshVariable(_ kind: VariableKind = .any, rigidName: String? = nil) -> TypeVariable {
    nextID += 1
    return TypeVariable(id: nextID, level: level, kind: kind, rigidName: rigidName)
  }

  func freshRow() -> RowVariable {
    nextID += 1
    return RowVariable(id: nextID, level: level)
  }

  func openRow(_ effects: EffectSet = .none) -> Row { Row(effects: effects, rest: freshRow()) }

  // MARK: Unify

  enum Difference {
    case types(Type, Type)
    case kind(VariableKind, Type)
    case infinite(Type)
    case tooLarge
    case arity(Int, Int)
    case missingField(String, of: RecordType)
    case extraField(String, of: RecordType)
    case effects(EffectSet)
    case rigid(String, Type)
  }

  /// nil: they are one type now.
  func unify(_ expected: Type, _ found: Type) -> Difference? {
    work = 0
    defer { steps += work }
    return unify(expected, found, 0)
  }

  private func unify(_ expected: Type, _ found: Type, _ depth: Int) -> Difference? {
    let a = expected.resolved
    let b = found.resolved
    if depth > Self.depthLimit { return .infinite(a) }
    work += 1
    if work > Self.workLimit { return .tooLarge }
    switch (a, b) {
    case (.error, _), (_, .error), (.any, _), (_, .any): return nil
    case (.variable(let v), .variable(let w)) where v === w: return nil
    case (.variable(let v), .variable(let w))
    where v.rigidName == nil && w.rigidName == nil && v.id < w.id && VariableKind.meet(v.kind, w.kind) != nil:
      // The younger one points at the older: a list of 100,000 literals is a star of variables, not a chain.
      return bind(w, to: a, depth)
    case (.variable(let v), _) where v.rigidName == nil: return bind(v, to: b, depth)
    case (_, .variable(let v)) where v.rigidName == nil: return bind(v, to: a, depth)
    case (.variable(let v), _): return .rigid(v.rigidName ?? "", b)
    case (_, .variable(let v)): return .rigid(v.rigidName ?? "", a)
    case (.int, .int), (.float, .float), (.bool, .bool), (.string, .string), (.bytes, .bytes), (.unit, .unit):
      return nil
    case (.list(let x), .list(let y)):
      return unify(x, y, depth + 1)
    case (.map(let k, let v), .map(let l, let w)):
      return unify(k, l, depth + 1) ?? unify(v, w, depth + 1)
    case (.tuple(let xs), .tuple(let ys)):
      if xs.count != ys.count { return .types(a, b) }
      return all(xs, ys, depth)
    case (.named(let n, let xs), .named(let m, let ys)):
      if n !== m || xs.count != ys.count { return .types(a, b) }
      return all(xs, ys, depth)
    case (.function(let f), .function(let g)):
      if f.parameters.count != g.parameters.count { return .arity(f.parameters.count, g.parameters.count) }
      // What is handed to a function goes the other way: it may use no more effects than the function foresees.
      return all(g.parameters, f.parameters, depth) ?? unify(f.result, g.result, depth + 1) ?? unify(f.row, g.row)
    case (.record(let r), .record(let s)):
      return unify(r, s, depth)
    default:
      return .types(a, b)
    }
  }

  private func all(_ xs: [Type], _ ys: [Type], _ depth: Int) -> Difference? {
    for (x, y) in zip(xs, ys) {
      if let difference = unify(x, y, depth + 1) { return difference }
    }
    return nil
  }

  private func unify(_ expected: RecordType, _ found: RecordType, _ depth: Int) -> Difference? {
    for field in expected.fields where found.index(of: field.name) == nil {
      return .missingField(field.name, of: found)
    }
    for field in found.fields where expected.index(of: field.name) == nil {
      return .extraField(field.name, of: expected)
    }
    for (x, y) in zip(expected.fields, found.fields) {
      if x.isOptional != y.isOptional { return .types(.record(expected), .record(found)) }
      if let difference = unify(x.type, y.type, depth + 1) { return difference }
    }
    return nil
  }

  func unify(_ expected: Row, _ found: Row) -> Difference? {
    let a = expected.resolved
    let b = found.resolved
    let onlyA = a.effects.subtracting(b.effects)
    let onlyB = b.effects.subtracting(a.effects)
    if let x = a.rest, let y = b.rest {
      if x === y {
        if onlyA.isEmpty && onlyB.isEmpty { return nil }
        let rest = freshRow()
        rest.level = min(rest.level, x.level)
        x.bound = Row(effects: onlyA.union(onlyB), rest: rest)
        return nil
      }
      if onlyA.isEmpty && onlyB.isEmpty {
        y.level = min(x.level, y.level)
        x.bound = Row(effects: .none, rest: y)
        return nil
      }
      let rest = freshRow()
      rest.level = min(x.level, y.level)
      x.bound = Row(effects: onlyB, rest: rest)
      y.bound = Row(effects: onlyA, rest: rest)
      return nil
    }
    // A closed row that was expected is an upper bound: fewer effects are fine, and an open rest is closed.
    if let y = b.rest {
      if !onlyB.isEmpty { return .effects(onlyB) }
      y.bound = Row(effects: onlyA)
      return nil
    }
    if let x = a.rest {
      x.bound = Row(effects: onlyB)
      return nil
    }
    return onlyB.isEmpty ? nil : .effects(onlyB)
  }

  private func bind(_ variable: TypeVariable, to type: Type, _ depth: Int) -> Difference? {
    if case .variable(let other) = type {
      if other.rigidName != nil {
        // `<` works on values of any type that `==` compares, by the order that all of them have. The other operators
        // make the parameter one that stands for what they take: callers are held to that.
        var wanted = variable.kind
        if case .ordered = wanted { wanted = .comparable }
        guard let kind = VariableKind.meet(wanted, other.kind) else { return .kind(variable.kind, type) }
        other.kind = kind
        if !variable.wantedFields.isEmpty { return .rigid(other.rigidName ?? "", type) }
        variable.bound = type
        // A rigid variable stays at its level: one that escapes shows as a mismatch where it is used.
        return nil
      }
      guard let kind = VariableKind.meet(variable.kind, other.kind) else { return .kind(variable.kind, type) }
      other.kind = kind
      other.level = min(other.level, variable.level)
      variable.bound = type
      for wanted in variable.wantedFields {
        if let known = other.wantedFields.first(where: { $0.name == wanted.name }) {
          if let difference = unify(known.type, wanted.type, depth + 1) { return difference }
        } else {
          other.wantedFields.append(wanted)
        }
      }
      return nil
    }
    if !admits(variable.kind, type, depth) { return .kind(variable.kind, type) }
    if !adjust(type, to: variable, 0) { return work > Self.workLimit ? .tooLarge : .infinite(type) }
    variable.bound = type
    if variable.wantedFields.isEmpty { return nil }
    guard case .record(let record) = type else { return .types(.variable(wanting(variable)), type) }
    for wanted in variable.wantedFields {
      guard let field = record[wanted.name] else { return .extraField(wanted.name, of: record) }
      if let difference = unify(wanted.type, fieldType(field), depth + 1) { return difference }
    }
    return nil
  }

  /// Set by the checker: the `Option` of the prelude.
  var option: NamedType?

  /// What reading a field gives: an optional field is an Option.
  func fieldType(_ field: RecordType.Field) -> Type {
    guard field.isOptional, let option else { return field.type }
    return .named(option, [field.type])
  }

  /// A variable that prints as the fields asked of it, for messages.
  private func wanting(_ variable: TypeVariable) -> TypeVariable {
    let shown = freshVariable()
    shown.wantedFields = variable.wantedFields
    return shown
  }

  private func admits(_ kind: VariableKind, _ type: Type, _ depth: Int) -> Bool {
    switch (kind, type) {
    case (.any, _): true
    case (.comparable, _): makeComparable(type, depth)
    case (.measured, .string), (.measured, .bytes), (.measured, .list), (.measured, .map): true
    case (.measured, .named(let named, _)): named.isJSON
    case (.messages, .string): true
    case (.messages, .named(let named, _)): named.isJSON
    case (.messages, .list(let item)): isMessage(item)
    case (.number, .int), (.number, .float): true
    case (.joinable, .string), (.joinable, .bytes), (.joinable, .list): true
    case (.ordered, .int), (.ordered, .float), (.ordered, .string), (.ordered, .bytes): true
    case (.ordered, .list), (.ordered, .tuple): true
    default: false
    }
  }

  private func isMessage(_ type: Type) -> Bool {
    switch type.resolved {
    case .record(let record): record["role"] != nil && record["content"] != nil
    case .named(let named, _): named.isJSON
    case .variable, .any: true
    default: false
    }
  }

  /// Whatever is not known of the type yet is held to it. False: it holds a function.
  private func makeComparable(_ type: Type, _ depth: Int) -> Bool {
    work += 1
    if depth > Self.depthLimit || work > Self.workLimit { return true }
    switch type.resolved {
    case .function: return false
    case .variable(let variable):
      if let kind = VariableKind.meet(.comparable, variable.kind) { variable.kind = kind }
      return variable.wantedFields.allSatisfy { makeComparable($0.type, depth + 1) }
    case .list(let item): return makeComparable(item, depth + 1)
    case .map(let key, let value): return makeComparable(key, depth + 1) && makeComparable(value, depth + 1)
    case .tuple(let items): return items.allSatisfy { makeComparable($0, depth + 1) }
    case .named(let named, let arguments):
      return !named.holdsFunction && arguments.allSatisfy { makeComparable($0, depth + 1) }
    case .record(let record): return record.fields.allSatisfy { makeComparable($0.type, depth + 1) }
    default: return true
    }
  }

  /// Occurs check and level adjustment in one walk. False: the variable is inside the type, or it is absurdly deep.
  private func adjust(_ type: Type, to variable: TypeVariable, _ depth: Int) -> Bool {
    work += 1
    if depth > Self.depthLimit || work > Self.workLimit { return false }
    switch type.resolved {
    case .variable(let other):
      if other === variable { return false }
      if other.rigidName == nil { other.level = min(other.level, variable.level) }
      for wanted in other.wantedFields where !adjust(wanted.type, to: variable, depth + 1) { return false }
      return true
    case .list(let x): return adjust(x, to: variable, depth + 1)
    case .map(let k, let v): return adjust(k, to: variable, depth + 1) && adjust(v, to: variable, depth + 1)
    case .tuple(let xs), .named(_, let xs): return xs.allSatisfy { adjust($0, to: variable, depth + 1) }
    case .record(let r): return r.fields.allSatisfy { adjust($0.type, to: variable, depth + 1) }
    case .function(let f):
      if let rest = f.row.resolved.rest { rest.level = min(rest.level, variable.level) }
      return f.parameters.allSatisfy { adjust($0, to: variable, depth + 1) }
        && adjust(f.result, to: variable, depth + 1)
    default: return true
    }
  }

  // MARK: Generalise and instantiate

  /// Quantifies what belongs to a deeper level than the current one. Kinds other than `any` are defaulted, not
  /// quantified: operators are resolved to typed instructions, so a function adds ints or floats, never "numbers".
  /// Without `defaulting` those stay open for the enclosing body to decide.
  func generalise(_ type: Type, defaulting: Bool = true) -> Scheme {
    var variables: [TypeVariable] = []
    var rows: [RowVariable] = []
    work = 0
    defer { steps += work }
    collect(type, &variables, &rows, defaulting)
    return Scheme(type, variables: variables, rows: rows)
  }

  private func collect(
    _ type: Type, _ variables: inout [TypeVariable], _ rows: inout [RowVariable], _ defaulting: Bool
  ) {
    work += 1
    if work > Self.workLimit { return }
    switch type.resolved {
    case .variable(let v):
      guard v.level > level, !variables.contains(where: { $0 === v }) else { return }
      if v.rigidName == nil {
        let isGeneral =
          switch v.kind {
          case .any, .comparable, .measured: v.wantedFields.isEmpty
          default: false
          }
        if !isGeneral {
          guard defaulting else {
            v.level = level
            return
          }
          switch v.kind {
          case .any, .comparable, .measured: break
          case .number, .ordered: v.bound = .int
          case .joinable, .messages: v.bound = .string
          }
          return
        }
      }
      v.isQuantified = true
      variables.append(v)
    case .list(let x): collect(x, &variables, &rows, defaulting)
    case .map(let k, let v):
      collect(k, &variables, &rows, defaulting)
      collect(v, &variables, &rows, defaulting)
    case .tuple(let xs), .named(_, let xs): for x in xs { collect(x, &variables, &rows, defaulting) }
    case .record(let r): for field in r.fields { collect(field.type, &variables, &rows, defaulting) }
    case .function(let f):
      for parameter in f.parameters { collect(parameter, &variables, &rows, defaulting) }
      collect(f.result, &variables, &rows, defaulting)
      if let rest = f.row.resolved.rest, rest.level > level, !rows.contains(where: { $0 === rest }) {
        rows.append(rest)
      }
    default: return
    }
  }

  func instantiate(_ scheme: Scheme) -> Type {
    if scheme.variables.isEmpty && scheme.rows.isEmpty { return scheme.type }
    var substitution = Substitution()
    for v in scheme.variables { substitution.types[v.id] = fresh(v.kind) }
    for r in scheme.rows { substitution.rows[r.id] = freshRow() }
    return substitution.apply(scheme.type)
  }

  /// The same while the scheme's own body is being checked: what its parameters stand for is known later.
  func instantiateEarly(_ scheme: Scheme) -> (type: Type, variables: [(parameter: TypeVariable, type: Type)]) {
    var substitution = Substitution()
    var variables: [(parameter: TypeVariable, type: Type)] = []
    for v in scheme.variables {
      let type = fresh(v.kind)
      substitution.types[v.id] = type
      variables.append((v, type))
    }
    for r in scheme.rows { substitution.rows[r.id] = freshRow() }
    return (substitution.apply(scheme.type), variables)
  }

  /// The fields and the owner of a constructor with fresh arguments.
  func instantiate(_ constructor: SumCase) -> (fields: [Type], owner: Type) {
    var substitution = Substitution()
    var arguments: [Type] = []
    for v in constructor.variables {
      let type = fresh()
      substitution.types[v.id] = type
      arguments.append(type)
    }
    return (substitution.apply(constructor.fields), .named(constructor.owner, arguments))
  }

  /// A constructor's fields when the owner's arguments are known.
  static func fields(of constructor: SumCase, _ arguments: [Type]) -> [Type] {
    if constructor.variables.isEmpty { return constructor.fields }
    var substitution = Substitution()
    for (v, type) in zip(constructor.variables, arguments) { substitution.types[v.id] = type }
    return substitution.apply(constructor.fields)
  }
}

/// Replaces quantified variables by types.
struct Substitution {
  var types: [Int: Type] = [:]
  var rows: [Int: RowVariable] = [:]
  private var work = 0
  /// Parts of types looked at in all: what a test of linearity counts instead of time.
  private(set) var steps = 0

  mutating func apply(_ type: Type) -> Type {
    work += 1
    if work > Unifier.workLimit { return .error }
    let type = type.resolved
    switch type {
    case .variable(let v): return types[v.id] ?? type
    case .list(let x): return .list(apply(x))
    case .map(let k, let v): return .map(apply(k), apply(v))
    case .tuple(let xs): return .tuple(apply(xs))
    case .named(let n, let xs): return xs.isEmpty ? type : .named(n, apply(xs))
    case .record(let r):
      var fields = r.fields
      for index in fields.indices { fields[index].type = apply(fields[index].type) }
      return .record(RecordType(fields: fields, alias: r.alias, aliasArguments: apply(r.aliasArguments)))
    case .function(let f):
      return .function(
        FunctionType(parameters: apply(f.parameters), row: apply(f.row), result: apply(f.result)))
    default: return type
    }
  }

  mutating func apply(_ types: [Type]) -> [Type] {
    var result: [Type] = []
    for type in types { result.append(apply(type)) }
    return result
  }

  func apply(_ row: Row) -> Row {
    let row = row.resolved
    guard let rest = row.rest, let replacement = rows[rest.id] else { return row }
    return Row(effects: row.effects, rest: replacement)
  }
}
