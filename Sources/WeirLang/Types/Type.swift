/// The types of the language, and the variables that stand for types not yet known.
///
/// Types are values; only variables have identity. A bound variable points at its type and is followed by `resolved`.
/// Everything here belongs to one check on one thread: variables are plain classes.
indirect enum Type {
  case int, float, bool, string, bytes, unit
  /// A parameter of an `extern` function that takes anything.
  case any
  case list(Type)
  case map(Type, Type)
  case tuple([Type])
  case record(RecordType)
  case function(FunctionType)
  /// A sum, an extern type, or one of the standard generic types.
  case named(NamedType, [Type])
  case variable(TypeVariable)
  /// Stands where an error was already reported: agrees with everything, so that one cause is one error.
  case error
}

/// A closed, structural record. Fields are sorted by name, so that a field's index is known when the type is.
struct RecordType {
  struct Field {
    var name: String
    var type: Type
    /// `f?: T`: may be left out of a literal; reading it gives `Option[T]`.
    var isOptional = false
  }
  let fields: [Field]
  /// The alias under which the type was written: printing only, never compared.
  var alias: String?
  var aliasArguments: [Type] = []

  init(fields: [Field], alias: String? = nil, aliasArguments: [Type] = []) {
    self.fields = fields.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
    self.alias = alias
    self.aliasArguments = aliasArguments
  }

  func index(of name: String) -> Int? { fields.firstIndex { $0.name == name } }
  subscript(_ name: String) -> Field? { fields.first { $0.name == name } }
}

struct FunctionType {
  var parameters: [Type]
  var row: Row
  var result: Type
}

/// The identity of a nominal type. Two of one name in two modules are different types.
final class NamedType {
  let name: String
  let module: String
  let parameters: [String]
  /// Constructors in written order; empty for an extern type.
  var constructors: [SumCase] = []
  /// A standard sum that may grow: a missing case is a warning, not an error.
  var isOpen = false

  init(name: String, module: String, parameters: [String] = []) {
    self.name = name
    self.module = module
    self.parameters = parameters
  }
}

extension NamedType {
  var isJSON: Bool { name == "Json" && module == "std/json" }
  /// What a parameter's type is said with at run time.
  var isShape: Bool { name == "Shape" && module == "std/json" }

  /// A case carries a function, directly or inside something.
  var holdsFunction: Bool {
    var seen: [NamedType] = []
    return holdsFunction(&seen)
  }

  private func holdsFunction(_ seen: inout [NamedType]) -> Bool {
    if seen.contains(where: { $0 === self }) { return false }
    seen.append(self)
    return constructors.contains { $0.fields.contains { Self.holdsFunction($0, &seen) } }
  }

  private static func holdsFunction(_ type: Type, _ seen: inout [NamedType]) -> Bool {
    switch type.resolved {
    case .function: return true
    case .list(let item): return holdsFunction(item, &seen)
    case .map(let key, let value): return holdsFunction(key, &seen) || holdsFunction(value, &seen)
    case .tuple(let items): return items.contains { holdsFunction($0, &seen) }
    case .record(let record): return record.fields.contains { holdsFunction($0.type, &seen) }
    case .named(let named, let arguments):
      return named.holdsFunction(&seen) || arguments.contains { holdsFunction($0, &seen) }
    default: return false
    }
  }
}

/// One case of a sum. `fields` speak of the owner's parameters through `variables`.
final class SumCase {
  let name: String
  let index: Int
  unowned let owner: NamedType
  /// The quantified variables of the owner's parameters, replaced by fresh ones at each use.
  let variables: [TypeVariable]
  var fields: [Type] = []

  init(name: String, index: Int, owner: NamedType, variables: [TypeVariable]) {
    self.name = name
    self.index = index
    self.owner = owner
    self.variables = variables
  }
}

/// What a variable may become.
enum VariableKind {
  case any
  /// `int` or `float`; unsolved, it becomes `int`.
  case number
  /// What `++` joins: a string, a list, or bytes; unsolved, it becomes `string`.
  case joinable
  /// What `<` orders: numbers, strings; unsolved, it becomes `int`.
  case ordered
  /// What `==` compares: anything that holds no function.
  case comparable
  /// What `len` measures: strings, bytes, lists, maps, Json.
  case measured
  /// What a model is sent: JSON as text or `Json`, or a list of records with a `role` and a `content`.
  case messages

  /// What a type parameter of an `extern func` promises by its name: `len[measured](value: measured)`. Functions written
  /// in the language need no such word, their bodies tell.
  init(parameter name: String) {
    switch name {
    case "comparable": self = .comparable
    case "measured": self = .measured
    case "messages": self = .messages
    default: self = .any
    }
  }

  /// Both kinds at once, or nil when nothing is of both.
  static func meet(_ a: VariableKind, _ b: VariableKind) -> VariableKind? {
    switch (a, b) {
    case (.any, let other), (let other, .any): other
    case (.comparable, let other), (let other, .comparable): other
    case (.messages, .number), (.number, .messages): nil
    // Both texts and lists can be all the rest.
    case (.messages, _), (_, .messages): .messages
    case (.measured, .measured): .measured
    case (.measured, .joinable), (.joinable, .measured): .joinable
    // Text, bytes and lists have both a length and an order.
    case (.measured, .ordered), (.ordered, .measured): .joinable
    case (.measured, .number), (.number, .measured): nil
    case (.number, .number), (.number, .ordered), (.ordered, .number): .number
    case (.ordered, .ordered): .ordered
    case (.joinable, .joinable): .joinable
    case (.joinable, .ordered), (.ordered, .joinable): .joinable
    case (.number, .joinable), (.joinable, .number): nil
    }
  }
}

final class TypeVariable {
  let id: Int
  /// How deep the binding is whose generalisation may quantify it (levels instead of scanning environments).
  var level: Int
  var kind: VariableKind
  var bound: Type?
  /// The name by which the program wrote it (`a` of `func f[a]`), for printing. Rigid: only equal to itself.
  var rigidName: String?
  /// A generalised name has it: it is another type at each use.
  var isQuantified = false
  /// Fields asked of it before its type was known, with the type each must have.
  var wantedFields: [(name: String, type: Type)] = []

  /// Could still become a function.
  var isPlain: Bool { if case .any = kind { wantedFields.isEmpty } else { false } }
  /// Could still become a bool.
  var mayBeBool: Bool {
    switch kind {
    case .any, .comparable: wantedFields.isEmpty
    default: false
    }
  }

  init(id: Int, level: Int, kind: VariableKind = .any, rigidName: String? = nil) {
    self.id = id
    self.level = level
    self.kind = kind
    self.rigidName = rigidName
  }
}

extension Type {
  /// The type with bound variables at its top followed. The path is shortened for each of them: the numbers of a long list
  /// are one long path, and each is asked for its type again.
  var resolved: Type {
    guard case .variable(let first) = self, let start = first.bound else { return self }
    guard case .variable(let second) = start, var type = second.bound else { return start }
    while case .variable(let next) = type, let bound = next.bound { type = bound }
    var path = first
    while case .variable(let next)? = path.bound, next.bound != nil {
      path.bound = type
      path = next
    }
    return type
  }

  var isError: Bool { if case .error = resolved { true } else { false } }
  /// `a` of `Shape[a]`.
  var shapeArgument: Type? {
    if case .named(let named, let arguments) = resolved, named.isShape { arguments.first } else { nil }
  }
  var isUnit: Bool { if case .unit = resolved { true } else { false } }
  var isUnknown: Bool { if case .variable(let v) = resolved { v.rigidName == nil } else { false } }
  /// The type of a number literal that nothing has made an int or a float yet.
  var isAnyNumber: Bool {
    if case .variable(let v) = resolved, v.rigidName == nil, case .number = v.kind { true } else { false }
  }
  var asFunction: FunctionType? { if case .function(let f) = resolved { f } else { nil } }
  var asRecord: RecordType? { if case .record(let r) = resolved { r } else { nil } }
}

/// A type with quantified variables: what a generalised name has.
struct Scheme {
  var variables: [TypeVariable] = []
  var rows: [RowVariable] = []
  var type: Type

  init(_ type: Type, variables: [TypeVariable] = [], rows: [RowVariable] = []) {
    self.type = type
    self.variables = variables
    self.rows = rows
  }
}
