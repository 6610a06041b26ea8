/// What is left of types at run time: shapes for values that meet JSON, ids of sums, and JSON schemas for tools.
final class Shapes {
  private let checker: Checker
  private var ids: [ObjectIdentifier: Int] = [:]
  private var named: [NamedType] = []
  private var nextID = CoreType.firstFree

  init(_ checker: Checker) {
    self.checker = checker
    ids[ObjectIdentifier(checker.prelude.option)] = Prelude.optionID
    ids[ObjectIdentifier(checker.prelude.result)] = Prelude.resultID
    named = [checker.prelude.option, checker.prelude.result]
  }

  func id(_ type: NamedType) -> Int {
    if let known = ids[ObjectIdentifier(type)] { return known }
    let given = checker.modulesOfLibrary.first { $0.name == type.module }?.typeIDs[type.name]
    let id = given ?? nextID
    if given == nil { nextID += 1 }
    ids[ObjectIdentifier(type)] = id
    named.append(type)
    return id
  }

  /// Every sum of these modules and those mentioned: `show` needs names also for what natives make.
  func types(of modules: [Module]) -> [CoreType] {
    for module in modules { for type in module.sums { _ = id(type) } }
    var result: [CoreType] = []
    var next = 0
    while next < named.count {
      let type = named[next]
      next += 1
      let variables = type.constructors.first?.variables ?? []
      result.append(
        CoreType(
          id: id(type), name: type.name,
          constructors: type.constructors.map { constructor in
            CoreConstructor(name: constructor.name, payload: constructor.fields.map { shape($0, variables) })
          }))
    }
    return result
  }

  func shape(_ type: Type, _ parameters: [TypeVariable] = []) -> TypeShape {
    switch type.resolved {
    case .unit, .error: return .unit
    case .bool: return .bool
    case .int: return .int
    case .float: return .float
    case .string: return .string
    case .bytes: return .bytes
    case .any: return .json
    case .list(let x): return .list(shape(x, parameters))
    case .map(let k, let v): return .map(shape(k, parameters), shape(v, parameters))
    case .tuple(let xs): return .tuple(xs.map { shape($0, parameters) })
    case .record(let r):
      return .record(r.fields.map { .init($0.name, shape(checker.unifier.fieldType($0), parameters)) })
    case .function: return .opaque("function")
    case .variable(let v):
      if let index = parameters.firstIndex(where: { $0 === v }) { return .parameter(index) }
      if v.rigidName != nil || v.isQuantified || !v.wantedFields.isEmpty { return .opaque(TypePrinter.text(type)) }
      // Nothing asks what it is.
      switch v.kind {
      case .number, .ordered: return .int
      case .joinable: return .string
      default: return .json
      }
    case .named(let named, let arguments):
      if named === checker.prelude.option { return .option(shape(arguments[0], parameters)) }
      let isStandard = named.module.hasPrefix("std/")
      if isStandard && named.name == "Json" { return .json }
      if isStandard && named.name == "Stream", let item = arguments.first { return .stream(shape(item, parameters)) }
      if named.constructors.isEmpty { return .opaque(named.name) }
      return .sum(id: id(named), arguments: arguments.map { shape($0, parameters) })
    }
  }

  // MARK: JSON schema (draft 2020-12, the subset that every provider takes)

  /// Of a tool's parameters, as text.
  func schema(of function: FunctionEntity) -> String {
    let fields = function.parameters.map { ($0.name, $0.type, $0.isOptional) }
    return object(fields.map { ($0.0, schema($0.1), $0.2) })
  }

  func schema(_ type: Type) -> String {
    switch type.resolved {
    case .bool: return #"{"type":"boolean"}"#
    case .int: return #"{"type":"integer"}"#
    case .float: return #"{"type":"number"}"#
    case .string, .bytes: return #"{"type":"string"}"#
    case .unit: return #"{"type":"null"}"#
    case .list(let x): return #"{"type":"array","items":\#(schema(x))}"#
    case .map(_, let v): return #"{"type":"object","additionalProperties":\#(schema(v))}"#
    case .tuple(let xs):
      let items = xs.map { schema($0) }.joined(separator: ",")
      return #"{"type":"array","prefixItems":[\#(items)],"minItems":\#(xs.count),"maxItems":\#(xs.count)}"#
    case .record(let r): return object(r.fields.map { ($0.name, schema($0.type), $0.isOptional) })
    case .named(let named, let arguments):
      if named === checker.prelude.option { return #"{"anyOf":[\#(schema(arguments[0])),{"type":"null"}]}"# }
      if !named.constructors.isEmpty, named.constructors.allSatisfy(\.fields.isEmpty) {
        let names = named.constructors.map { quoted($0.name) }.joined(separator: ",")
        return #"{"type":"string","enum":[\#(names)]}"#
      }
      return "{}"
    case .function, .variable, .any, .error: return "{}"
    }
  }

  private func object(_ fields: [(name: String, schema: String, isOptional: Bool)]) -> String {
    let properties = fields.map { "\(quoted($0.name)):\($0.schema)" }.joined(separator: ",")
    let required = fields.filter { !$0.isOptional }.map { quoted($0.name) }.joined(separator: ",")
    return #"{"type":"object","properties":{\#(properties)},"required":[\#(required)],"additionalProperties":false}"#
  }

  /// Names hold letters, digits, `_` and `'` only, so nothing is to be escaped.
  private func quoted(_ name: String) -> String { "\"\(name)\"" }
}
