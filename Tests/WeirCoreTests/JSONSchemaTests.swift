import Testing

@testable import WeirCore

/// The keywords that are checked, each with what passes and what does not.
struct JSONSchemaTests {
  static let rows: [(schema: String, good: [String], bad: [(text: String, says: String)])] = [
    ("true", ["1", "{}"], []), ("{}", ["null"], []), ("false", [], [("1", "$: nothing is allowed here")]),
    (
      #"{"type":"integer"}"#, ["1", "2.0", "-3"],
      [("1.5", "expected integer, found number"), ("\"1\"", "found string")]
    ),
    (#"{"type":["string","null"]}"#, ["\"a\"", "null"], [("1", "expected string or null")]),
    (
      #"{"type":"number","minimum":0,"maximum":1}"#, ["0", "0.5", "1"], [("-1", "less than 0"), ("1.1", "more than 1")]
    ),
    (
      #"{"type":"string","minLength":1,"maxLength":2}"#, ["\"é\""],
      [("\"\"", "fewer than 1"), ("\"abc\"", "more than 2")]
    ),
    (#"{"enum":["a",1]}"#, ["\"a\"", "1.0"], [("\"b\"", "is not one of")]),
    (#"{"const":{"a":1,"b":2}}"#, [#"{"b":2,"a":1}"#], [("{}", "expected")]),
    (
      #"{"type":"array","items":{"type":"object","required":["x"],"properties":{"x":{"type":"boolean"}}},"maxItems":2}"#,
      [#"[{"x":true}]"#, "[]"],
      [
        (#"[{"x":true},{}]"#, "$[1]: \"x\" is missing"), (#"[{"x":1}]"#, "$[0].x: expected boolean"),
        ("[{},{},{}]", "more than 2"),
      ]
    ),
    (
      #"{"properties":{"a":{}},"additionalProperties":false}"#, [#"{"a":1}"#, "{}", "7"],
      [(#"{"b":1}"#, "$.b: there is no such property")]
    ),
    (#"{"additionalProperties":{"type":"string"}}"#, [#"{"b":"c"}"#], [(#"{"b":1}"#, "$.b: expected string")]),
    (#"{"anyOf":[{"type":"string"},{"minimum":5}]}"#, ["\"a\"", "6"], [("1", "none of the 2 alternatives")]),
    (#"{"oneOf":[{"type":"integer"},{"minimum":5}]}"#, ["1", "5.5"], [("6", "2 of the 2 alternatives")]),
    (#"{"allOf":[{"type":"integer"},{"minimum":5}]}"#, ["6"], [("1", "less than 5")]),
  ]

  @Test func keywords() throws {
    for row in Self.rows {
      let schema = try JSONSchema(JSONValue.parse(row.schema))
      for text in row.good { #expect(schema.mismatch(try JSONValue.parse(text)) == nil, "\(row.schema): \(text)") }
      for (text, says) in row.bad {
        let found = schema.mismatch(try JSONValue.parse(text))
        #expect(found?.message.contains(says) == true, "\(row.schema): \(text): \(String(describing: found))")
      }
    }
  }

  @Test func aKeywordThatIsNotCheckedIsNoSchema() throws {
    let rows = [
      (#"{"pattern":"a"}"#, "$.pattern"), (##"{"properties":{"a":{"$ref":"#/x"}}}"##, "$.properties.a.$ref"),
      (#"{"items":[1]}"#, "$.items"), (#"{"anyOf":[{"not":{}}]}"#, "$.anyOf[0].not"), ("1", "$: expected a schema"),
    ]
    for (text, says) in rows {
      let failure = #expect(throws: JSONSchemaFailure.self) { try JSONSchema(JSONValue.parse(text)) }
      #expect(failure?.message.contains(says) == true, "\(text): \(String(describing: failure))")
    }
    let deep = String(repeating: #"{"items":"#, count: 100) + "{}" + String(repeating: "}", count: 100)
    #expect(throws: JSONSchemaFailure.self) { try JSONSchema(JSONValue.parse(deep)) }
  }
}
