import WeirCore

/// JSON documents inside programs: the sum type
///
///     type Json = JNull | JBool(bool) | JNumber(float) | JString(string) | JArray([Json]) | JObject(Map[string, Json])
///
/// so that `match` works on them as on anything. `JNumber` holds an exact int where the text had one: floats may be read
/// from it, and writing it back loses nothing. Members keep their written order; a repeated name keeps its last value.
package enum JSONInValues {
  private enum Place { static let null = 0, bool = 1, number = 2, string = 3, array = 4, object = 5 }

  package static var null: Value { .tag(TypeTag.json[Place.null]) }
  package static func string(_ text: String) -> Value { wrap(Place.string, .string(text)) }
  package static func number(_ value: Value) -> Value { wrap(Place.number, value) }
  package static func bool(_ value: Bool) -> Value { wrap(Place.bool, .bool(value)) }
  package static func array(_ items: List) -> Value { wrap(Place.array, .list(items)) }
  package static func object(_ members: Map) -> Value { wrap(Place.object, .map(members.root)) }

  private static func wrap(_ index: Int, _ payload: Value) -> Value {
    .variant(TypeTag.json[index], Fields.of(payload))
  }

  /// A parsed document as a value. The parser bounds the depth, so recursion is safe.
  package static func value(_ json: JSONValue) -> Value {
    switch json {
    case .null: null
    case .bool(let b): bool(b)
    case .int(let i): number(.int(i))
    case .double(let d): number(.float(d))
    case .string(let s): string(s)
    case .array(let items): array(List(items.map(value)))
    case .object(let members): object(Map(members.map { (.string($0.name), value($0.value)) }))
    }
  }

  private static func payload(_ json: Value, _ index: Int) -> Value? {
    guard case .variant(let tag, let fields) = json, tag.index == index else { return nil }
    return fields[0]
  }

  package static func asString(_ json: Value) -> String? { payload(json, Place.string)?.asString }
  package static func asNumber(_ json: Value) -> Value? { payload(json, Place.number) }
  package static func asBool(_ json: Value) -> Bool? { payload(json, Place.bool)?.asBool }
  package static func asArray(_ json: Value) -> List? { payload(json, Place.array)?.asList }
  package static func asObject(_ json: Value) -> Map? { payload(json, Place.object)?.asMap }

  /// `json["key"]` and `json[0]`; a step that is not there is JNull, so that chains need no matching.
  package static func index(_ json: Value, _ step: Value) -> Value { get(json, step) ?? null }

  /// A member by name, an item by number; a number may be written as a string, as paths are.
  package static func get(_ json: Value, _ step: Value) -> Value? {
    if let members = asObject(json) { return step.asString.flatMap { members[$0] } }
    guard let items = asArray(json), let place = step.asInt ?? step.asString.flatMap({ Int($0) }) else { return nil }
    return place >= 0 && place < items.count ? items[place] : nil
  }
}

/// Values of known type ↔ JSON, for the arguments and results of what the host starts: workflows, tools, `--args-json`.
extension Value {
  /// What is wrong, and where: `items[2].price: expected a number, found a string`.
  package struct Mismatch: Failure, Equatable {
    package var path: String
    package var wanted: String
    package var found: String
    package var code: String { "WrongType" }
    package var message: String { "\(path.isEmpty ? "the value" : path): expected \(wanted), found \(found)" }
  }

  package static func decode(
    _ json: JSONValue, as shape: TypeShape, _ names: ProgramNames, path: String = ""
  ) throws(Mismatch) -> Value {
    switch (shape, json) {
    case (.json, _): return JSONInValues.value(json)
    case (.unit, .null): return .unit
    case (.bool, .bool(let b)): return .bool(b)
    case (.int, .int(let i)): return .int(i)
    case (.int, .double(let d)):
      if let whole = Int(exactly: d) { return .int(whole) }
    case (.float, .int(let i)): return .float(Double(i))
    case (.float, .double(let d)): return .float(d)
    case (.string, .string(let s)): return .string(s)
    case (.bytes, .string(let s)): if let bytes = Base64.decode(s) { return .bytes(bytes) }
    case (.list(let item), .array(let items)):
      var values: [Value] = []
      for (place, json) in items.enumerated() {
        values.append(try decode(json, as: item, names, path: "\(path)[\(place)]"))
      }
      return .list(List(values))
    case (.tuple(let shapes), .array(let items)) where shapes.count == items.count:
      var values: [Value] = []
      for (place, json) in items.enumerated() {
        values.append(try decode(json, as: shapes[place], names, path: "\(path)[\(place)]"))
      }
      return .record(0, Fields.of(values))
    case (.map(let key, let item), .object(let members)):
      var map = Map()
      for member in members {
        let name: Value
        if case .int = key, let number = Int(member.name) { name = .int(number) } else { name = .string(member.name) }
        map = map.setting(name, try decode(member.value, as: item, names, path: join(path, member.name)))
      }
      return .map(map.root)
    case (.option, .null): return .none
    case (.option(let some), _): return .some(try decode(json, as: some, names, path: path))
    case (.record(let fields), .object(let members)):
      for member in members where !fields.contains(where: { $0.name == member.name }) {
        throw Mismatch(path: join(path, member.name), wanted: "no such field", found: "one")
      }
      var values: [Value] = []
      for field in fields {
        if let value = json[field.name] {
          values.append(try decode(value, as: field.shape, names, path: join(path, field.name)))
        } else if case .option = field.shape {
          values.append(.none)
        } else {
          throw Mismatch(path: join(path, field.name), wanted: field.shape.description, found: "nothing")
        }
      }
      return .record(names.knownLayout(fields.map(\.name)), Fields.of(values))
    case (.sum(let id, let arguments), _):
      if let value = try decodeSum(json, id, arguments, names, path) { return value }
    default: break
    }
    throw Mismatch(path: path, wanted: shape.description, found: json.kindName)
  }

  private static func decodeSum(
    _ json: JSONValue, _ id: Int, _ arguments: [TypeShape], _ names: ProgramNames, _ path: String
  ) throws(Mismatch) -> Value? {
    guard let type = names.types[id] else { return nil }
    switch json {
    case .string(let name):
      guard let index = type.constructors.firstIndex(where: { $0.name == name && $0.payload.isEmpty }) else {
        return nil
      }
      return .tag(ConstructorTag(type: id, index: index))
    case .object(let members) where members.count == 1:
      guard let index = type.constructors.firstIndex(where: { $0.name == members[0].name }) else { return nil }
      let shapes = type.constructors[index].payload.map { $0.filling(arguments) }
      let inner = join(path, members[0].name)
      if shapes.count == 1 {
        return .constructor(
          ConstructorTag(type: id, index: index), [try decode(members[0].value, as: shapes[0], names, path: inner)])
      }
      guard case .record(_, let fields) = try decode(members[0].value, as: .tuple(shapes), names, path: inner) else {
        return nil
      }
      return .constructor(ConstructorTag(type: id, index: index), fields.array)
    default: return nil
    }
  }

  private static func join(_ path: String, _ name: String) -> String { path.isEmpty ? name : "\(path).\(name)" }

  /// As a JSON tree; nesting deeper than a parser would take back is a trap.
  package func jsonValue(_ names: ProgramNames, _ care: JSONCare = .finite) throws(Trap) -> JSONValue {
    let text = try jsonBytes(names, care)
    do throws(JSONFailure) {
      return try JSONValue.parse(text)
    } catch {
      throw Trap("NotJSON", "the value is \(error.message)")
    }
  }
}

extension TypeShape {
  /// With the type's parameters replaced.
  func filling(_ arguments: [TypeShape]) -> TypeShape {
    switch self {
    case .parameter(let place): arguments.indices.contains(place) ? arguments[place] : .json
    case .list(let item): .list(item.filling(arguments))
    case .map(let key, let item): .map(key.filling(arguments), item.filling(arguments))
    case .option(let some): .option(some.filling(arguments))
    case .tuple(let items): .tuple(items.map { $0.filling(arguments) })
    case .record(let fields): .record(fields.map { Field($0.name, $0.shape.filling(arguments)) })
    case .sum(let id, let inner): .sum(id: id, arguments: inner.map { $0.filling(arguments) })
    case .stream(let item): .stream(item.filling(arguments))
    default: self
    }
  }

  /// Somewhere in it is what JSON cannot say: a function, a handle, a type that is not known.
  var hasNoJSON: Bool {
    switch self {
    case .stream, .opaque, .parameter: true
    case .list(let item), .option(let item): item.hasNoJSON
    case .map(let key, let item):
      switch key {
      case .string, .int: item.hasNoJSON
      default: true
      }
    case .tuple(let items), .sum(_, let items): items.contains(where: \.hasNoJSON)
    case .record(let fields): fields.contains { $0.shape.hasNoJSON }
    case .unit, .bool, .int, .float, .string, .bytes, .json: false
    }
  }

  /// Somewhere in it is an option of what is null itself: `Some(None)` and `None` are the same in JSON.
  var hasOptionOfNull: Bool {
    switch self {
    case .option(.unit), .option(.option): true
    case .list(let item), .option(let item), .map(_, let item): item.hasOptionOfNull
    case .tuple(let items), .sum(_, let items): items.contains(where: \.hasOptionOfNull)
    case .record(let fields): fields.contains { $0.shape.hasOptionOfNull }
    case .unit, .bool, .int, .float, .string, .bytes, .json, .stream, .opaque, .parameter: false
    }
  }

  /// For people: `a list of numbers`.
  package var description: String {
    switch self {
    case .unit: "null"
    case .bool: "true or false"
    case .int: "a whole number"
    case .float: "a number"
    case .string: "a string"
    case .bytes: "base64 text"
    case .json, .parameter: "any JSON"
    case .list(let item): "a list of \(item.description)"
    case .map: "an object"
    case .option(let some): "\(some.description) or null"
    case .tuple(let items): "a list of \(items.count) items"
    case .record(let fields): "an object with \(fields.map(\.name).joined(separator: ", "))"
    case .sum: "a constructor's name, or an object of its name"
    case .stream: "a stream"
    case .opaque(let name): name
    }
  }
}

extension JSONValue {
  fileprivate var kindName: String {
    switch self {
    case .null: "null"
    case .bool: "true or false"
    case .int, .double: "a number"
    case .string: "a string"
    case .array: "a list"
    case .object: "an object"
    }
  }
}
