/// Whether a document is what a schema says: the part of JSON Schema (draft 2020-12) that model services take.
///
/// Checked are `type enum const properties required additionalProperties items minItems maxItems minLength maxLength minimum
/// maximum anyOf oneOf allOf`; annotations (`title description default examples format $schema $id $comment`) say nothing.
/// A keyword that would have to be checked and is not known (`pattern`, `$ref`, …) is an error of the schema: a check that
/// leaves something out must not pass for one.
package struct JSONSchema: Sendable {
  private let root: JSONValue

  /// The deepest nesting that is followed.
  static let depthLimit = 64

  package init(_ schema: JSONValue) throws(JSONSchemaFailure) {
    try Self.check(schema, at: "$", 0)
    root = schema
  }

  private static let checked: Set<String> = [
    "type", "enum", "const", "properties", "required", "additionalProperties", "items", "minItems", "maxItems",
    "minLength",
    "maxLength", "minimum", "maximum", "anyOf", "oneOf", "allOf",
  ]
  private static let annotations: Set<String> = [
    "title", "description", "default", "examples", "format", "$schema", "$id", "$comment", "deprecated", "readOnly",
    "writeOnly", "strict", "name",
  ]

  private static func check(_ schema: JSONValue, at path: String, _ depth: Int) throws(JSONSchemaFailure) {
    if schema.bool != nil { return }
    guard depth < depthLimit, let members = schema.members else {
      throw JSONSchemaFailure(path: path, problem: "expected a schema: an object")
    }
    for member in members {
      let place = "\(path).\(member.name)"
      switch member.name {
      case "properties":
        for property in member.value.members ?? [] {
          try check(property.value, at: "\(place).\(property.name)", depth + 1)
        }
      case "items", "additionalProperties": try check(member.value, at: place, depth + 1)
      case "anyOf", "oneOf", "allOf":
        for (index, item) in (member.value.array ?? []).enumerated() {
          try check(item, at: "\(place)[\(index)]", depth + 1)
        }
      case _ where checked.contains(member.name) || annotations.contains(member.name): break
      default: throw JSONSchemaFailure(path: place, problem: "the keyword \"\(member.name)\" is not supported")
      }
    }
  }

  /// Nil: the document is as the schema says.
  package func mismatch(_ value: JSONValue) -> JSONSchemaFailure? { Self.mismatch(value, root, "$") }

  private static func mismatch(_ value: JSONValue, _ schema: JSONValue, _ path: String) -> JSONSchemaFailure? {
    func wrong(_ problem: String) -> JSONSchemaFailure { JSONSchemaFailure(path: path, problem: problem) }
    if let flag = schema.bool { return flag ? nil : wrong("nothing is allowed here") }
    if let type = schema["type"] {
      let names = type.string.map { [$0] } ?? (type.array ?? []).compactMap(\.string)
      guard names.contains(where: { Self.value(value, is: $0) }) else {
        return wrong("expected \(names.joined(separator: " or ")), found \(kind(value))")
      }
    }
    if let choices = schema["enum"]?.array, !choices.contains(where: { same($0, value) }) {
      return wrong("\(shown(value)) is not one of \(shown(.array(choices)))")
    }
    if let only = schema["const"], !same(only, value) { return wrong("expected \(shown(only)), found \(shown(value))") }
    switch value {
    case .string(let text):
      if let found = length(text.unicodeScalars.count, schema, "Length", "characters", wrong) { return found }
    case .array(let items):
      if let found = length(items.count, schema, "Items", "items", wrong) { return found }
      if let item = schema["items"] {
        for (index, value) in items.enumerated() {
          if let found = mismatch(value, item, "\(path)[\(index)]") { return found }
        }
      }
    case .object(let members): if let found = object(value, members, schema, path) { return found }
    case .int, .double:
      let number = number(value)
      if let least = schema["minimum"], number < Self.number(least) {
        return wrong("\(shown(value)) is less than \(shown(least))")
      }
      if let most = schema["maximum"], number > Self.number(most) {
        return wrong("\(shown(value)) is more than \(shown(most))")
      }
    case .null, .bool: break
    }
    for part in schema["allOf"]?.array ?? [] { if let found = mismatch(value, part, path) { return found } }
    if let any = schema["anyOf"]?.array, !any.contains(where: { mismatch(value, $0, path) == nil }) {
      return wrong("it is none of the \(any.count) alternatives")
    }
    if let one = schema["oneOf"]?.array {
      let count = one.count { mismatch(value, $0, path) == nil }
      if count != 1 { return wrong("it is \(count) of the \(one.count) alternatives instead of one") }
    }
    return nil
  }

  private static func object(
    _ value: JSONValue, _ members: [JSONMember], _ schema: JSONValue, _ path: String
  ) -> JSONSchemaFailure? {
    for name in (schema["required"]?.array ?? []).compactMap(\.string) where value[name] == nil {
      return JSONSchemaFailure(path: path, problem: "\"\(name)\" is missing")
    }
    let properties = schema["properties"]
    for member in members {
      let place = "\(path).\(member.name)"
      if let property = properties?[member.name] {
        if let found = mismatch(member.value, property, place) { return found }
      } else if let others = schema["additionalProperties"] {
        if others == .bool(false) { return JSONSchemaFailure(path: place, problem: "there is no such property") }
        if let found = mismatch(member.value, others, place) { return found }
      }
    }
    return nil
  }

  private static func length(
    _ count: Int, _ schema: JSONValue, _ keyword: String, _ unit: String, _ wrong: (String) -> JSONSchemaFailure
  ) -> JSONSchemaFailure? {
    if let least = schema["min\(keyword)"]?.int, count < least {
      return wrong("\(count) \(unit) are fewer than \(least)")
    }
    if let most = schema["max\(keyword)"]?.int, count > most { return wrong("\(count) \(unit) are more than \(most)") }
    return nil
  }

  private static func value(_ value: JSONValue, is type: String) -> Bool {
    switch (type, value) {
    case ("null", .null), ("boolean", .bool), ("string", .string), ("array", .array), ("object", .object),
      ("number", .int), ("number", .double), ("integer", .int):
      true
    case ("integer", .double(let number)): number == number.rounded()
    default: false
    }
  }

  private static func kind(_ value: JSONValue) -> String {
    switch value {
    case .null: "null"
    case .bool: "boolean"
    case .string: "string"
    case .array: "array"
    case .object: "object"
    case .int, .double: "number"
    }
  }

  private static func number(_ value: JSONValue) -> Double {
    switch value {
    case .int(let number): Double(number)
    case .double(let number): number
    default: .nan
    }
  }

  /// 1 and 1.0 are the same, and so are objects whatever the order of their members.
  private static func same(_ a: JSONValue, _ b: JSONValue) -> Bool {
    switch (a, b) {
    case (.int, .double), (.double, .int): number(a) == number(b)
    case (.array(let x), .array(let y)): x.count == y.count && zip(x, y).allSatisfy(same)
    case (.object(let x), .object(let y)):
      x.count == y.count && x.allSatisfy { member in b[member.name].map { same(member.value, $0) } ?? false }
    default: a == b
    }
  }

  private static func shown(_ value: JSONValue) -> String {
    let text = value.text
    return text.utf8.count <= 80 ? text : String(text.prefix(80)) + "…"
  }
}

/// What is not as the schema says, or wrong with the schema itself, and where: `$.items[2].price`.
package struct JSONSchemaFailure: Failure, Equatable {
  package var path: String
  package var problem: String
  package var code: String { "SchemaMismatch" }
  package var message: String { "\(path): \(problem)" }
}
