import WeirCore

/// std/json: documents as the sum type `Json` (see `JSONInValues`), paths into them, and any value as JSON text.
extension LibraryModule {
  static var json: LibraryModule {
    LibraryModule(
      name: "std/json",
      source: #"""
        // JSON documents: reading, writing, finding one's way in them. `j["a"][0]` works as well.

        /// A document: null, true or false, a number, a string, an array or an object.
        export type Json = JNull | JBool(bool) | JNumber(float) | JString(string) | JArray([Json]) | JObject(Map[string, Json])

        /// How values of a type stand in JSON. Nobody writes it: an argument of this type is what the checker knows at the call.
        export extern type Shape[a]
        /// Reads one JSON text as a value of the type that is wanted: `let user: User = decodeAs(text)?`. The error says what
        /// does not fit, and where.
        export extern func decodeAs[a](text: string, shape: Shape[a]) -> Result[a, string]
        /// Reads one JSON text; the error says what is wrong and where.
        export extern func decode(text: string) -> Result[Json, string]
        /// Any value as compact JSON: records are objects, None is null, Some(x) is x; NaN and infinities are null.
        export extern func encode[a](value: a) -> string
        /// Any value as a document.
        export extern func toJson[a](value: a) -> Json
        /// A member of an object; None when there is none, or when it is no object.
        export extern func get(json: Json, key: string) -> Option[Json]
        /// An item of an array.
        export extern func getIndex(json: Json, index: int) -> Option[Json]
        /// Follows member names and, for arrays, places written as numbers: `["choices", "0", "delta", "content"]`.
        export extern func getPath(json: Json, path: [string]) -> Option[Json]
        /// The text of a string; None of anything else.
        export extern func asString(json: Json) -> Option[string]
        /// A number; None of anything else.
        export extern func asNumber(json: Json) -> Option[float]
        /// A number without a fraction.
        export extern func asInt(json: Json) -> Option[int]
        /// True or false; None of anything else.
        export extern func asBool(json: Json) -> Option[bool]
        /// The items of an array; None of anything else.
        export extern func asArray(json: Json) -> Option[[Json]]
        /// The members of an object, in written order; None of anything else.
        export extern func asObject(json: Json) -> Option[Map[string, Json]]
        /// Whether it is null.
        export func isNull(json: Json) -> bool { match json { JNull => true, _ => false } }
        /// Member names in written order; [] of anything but an object.
        export extern func keys(json: Json) -> [string]
        /// The object with this member set.
        export extern func put(json: Json, key: string, value: Json) -> Json

        /// A member that is a string.
        export func getString(json: Json, key: string) -> Option[string] {
          match get(json, key) { Some(value) => asString(value), None => None }
        }
        /// A member that is a number.
        export func getNumber(json: Json, key: string) -> Option[float] {
          match get(json, key) { Some(value) => asNumber(value), None => None }
        }
        /// A member that is a number without a fraction.
        export func getInt(json: Json, key: string) -> Option[int] {
          match get(json, key) { Some(value) => asInt(value), None => None }
        }
        /// A member that is true or false.
        export func getBool(json: Json, key: string) -> Option[bool] {
          match get(json, key) { Some(value) => asBool(value), None => None }
        }
        /// A member that is an array.
        export func getArray(json: Json, key: string) -> Option[[Json]] {
          match get(json, key) { Some(value) => asArray(value), None => None }
        }
        /// A member that is an object.
        export func getObject(json: Json, key: string) -> Option[Map[string, Json]] {
          match get(json, key) { Some(value) => asObject(value), None => None }
        }
        /// The string at the end of a path.
        export func getPathString(json: Json, path: [string]) -> Option[string] {
          match getPath(json, path) { Some(value) => asString(value), None => None }
        }
        """#,
      natives: jsonNatives, types: [.json])
  }

  private static var jsonNatives: [Native] {
    [
      raw("decode", arity: 1) { arguments, _ in
        let text: String = try arguments.get(0)
        do throws(JSONFailure) {
          return .value(.ok(JSONInValues.value(try JSONValue.parse(text))))
        } catch {
          return .value(.err(.string(error.message)))
        }
      },
      raw("encode", arity: 1) { arguments, context in .value(.string(try arguments[0].json(context.names))) },
      raw("toJson", arity: 1) { arguments, context in
        .value(JSONInValues.value(try arguments[0].jsonValue(context.names, .lenient)))
      },
      raw("decodeAs", arity: 2) { arguments, context in
        let text = try arguments.get(0, as: String.self)
        do {
          let json = try JSONValue.parse(Array(text.utf8))
          return .value(.ok(try Value.decode(json, as: try context.shape(arguments[1]), context.names)))
        } catch let failure as any Failure where !(failure is Trap) {
          return .value(.err(.string(failure.message)))
        }
      },
      raw("get", arity: 2) { arguments, _ in
        option(JSONInValues.asObject(arguments[0])?[arguments[1]])
      },
      raw("getIndex", arity: 2) { arguments, _ in
        option(JSONInValues.asArray(arguments[0]) == nil ? nil : JSONInValues.get(arguments[0], arguments[1]))
      },
      raw("getPath", arity: 2) { arguments, _ in
        var found: Value? = arguments[0]
        for step in arguments[1].asList?.array ?? [] { found = found.flatMap { JSONInValues.get($0, step) } }
        return option(found)
      },
      raw("asString", arity: 1) { arguments, _ in option(JSONInValues.asString(arguments[0]).map { .string($0) }) },
      raw("asNumber", arity: 1) { arguments, _ in
        option(JSONInValues.asNumber(arguments[0])?.asFloat.map { .float($0) })
      },
      raw("asInt", arity: 1) { arguments, _ in
        switch JSONInValues.asNumber(arguments[0]) {
        case .int(let i)?: option(.int(i))
        case .float(let d)?: option(Int(exactly: d).map { .int($0) })
        default: option(nil)
        }
      },
      raw("asBool", arity: 1) { arguments, _ in option(JSONInValues.asBool(arguments[0]).map { .bool($0) }) },
      raw("asArray", arity: 1) { arguments, _ in option(JSONInValues.asArray(arguments[0]).map { .list($0) }) },
      raw("asObject", arity: 1) { arguments, _ in option(JSONInValues.asObject(arguments[0]).map { .map($0.root) }) },
      raw("keys", arity: 1) { arguments, _ in
        .value(.list(List(JSONInValues.asObject(arguments[0])?.keys ?? [])))
      },
      raw("put", arity: 3) { arguments, _ in
        let members = JSONInValues.asObject(arguments[0]) ?? Map()
        return .value(JSONInValues.object(members.setting(arguments[1], arguments[2])))
      },
    ]
  }

  private static func option(_ value: Value?) -> NativeResult { .value(value.map { Value.some($0) } ?? Value.none) }
}
