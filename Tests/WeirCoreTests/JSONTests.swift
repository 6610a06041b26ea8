import Testing

@testable import WeirCore

@Suite struct JSONTests {
  static let valid: [(String, JSONValue)] = [
    ("null", .null), (" true ", true), ("false", false), ("0", 0), ("-0", 0), ("42", 42), ("-7", -7),
    ("9223372036854775807", .int(.max)), ("-9223372036854775808", .int(.min)),
    ("9223372036854775808", .double(9.223372036854775808e18)),
    ("1.5", 1.5), ("1e3", .double(1000)), ("1.25E-2", .double(0.0125)), ("\"\"", ""), ("\"a\\nb\"", "a\nb"),
    ("\"\\u00e9\\ud83d\\ude00\\/\"", "é😀/"), ("\"\\ud800x\"", "\u{FFFD}x"),
    ("\"\\udc00\\ud800\\u0041\"", "\u{FFFD}\u{FFFD}A"),
    ("[]", []), ("[1, [2],{}]", [1, [2], .object([])]),
    ("{\"a\":1,\"b\":{\"c\":[true,null]}}", ["a": 1, "b": ["c": [true, .null]]]),
    ("\t\r\n[ 1 ,\n2 ]", [1, 2]),
  ]

  @Test(arguments: valid) func reads(_ text: String, _ expected: JSONValue) throws {
    #expect(try JSONValue.parse(text) == expected)
    var scanner = JSONScanner([])
    try scanner.scan(Array(text.utf8).span)
  }

  static let invalid = [
    "", " ", "nul", "truee", "01", "-", "1.", ".5", "1e", "1e+", "+1", "NaN", "\"", "\"a", "\"\\x\"", "\"\\u12g4\"",
    "\"\\u12",
    "\"a\nb\"", "[", "[1", "[1,", "[1,]", "[,]", "[1 2]", "{", "{a:1}", "{\"a\"}", "{\"a\":}", "{\"a\":1,}",
    "{\"a\":1 \"b\":2}", "{,}", "1 2",
    "]", "}", "'a'", "// c\n1", "1\u{0}",
  ]

  @Test(arguments: invalid) func refuses(_ text: String) {
    #expect(throws: JSONFailure.self) { try JSONValue.parse(text) }
    var scanner = JSONScanner([])
    #expect(throws: JSONFailure.self) { try scanner.scan(Array(text.utf8).span) }
  }

  @Test func refusesNumbersTooLargeAndBytesThatAreNotText() {
    #expect(throws: JSONFailure.self) { try JSONValue.parse("1e999") }
    #expect(throws: JSONFailure.self) { try JSONValue.parse([0x22, 0xFF, 0x22]) }
    #expect(throws: JSONFailure.self) { try JSONValue.parse([0x22, 0x5C, 0x6E, 0xC3, 0x22]) }
  }

  @Test func saysWhere() {
    #expect(throws: JSONFailure(problem: "expected ':'", line: 2, column: 6)) { try JSONValue.parse("{\n \"a\" 1}") }
  }

  @Test func nestingHasALimit() throws {
    let limit = JSONParser.depthLimit
    for (depth, ok) in [(limit, true), (limit + 1, false), (100_000, false)] {
      let text = String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
      #expect(((try? JSONValue.parse(text)) != nil) == ok, "depth \(depth)")
      var scanner = JSONScanner([])
      let scanned: Void? = try? scanner.scan(Array(text.utf8).span)
      #expect((scanned != nil) == ok, "depth \(depth)")
    }
  }

  @Test(arguments: valid) func writesWhatItReads(_ text: String, _ value: JSONValue) throws {
    #expect(try JSONValue.parse(value.encoded()) == value)
    #expect(!value.encoded().contains(0x0A))
  }

  @Test func writesNumbersAndControlCharacters() {
    #expect(
      JSONValue.array([.int(.min), .int(.max), 10, 0, -5, .double(.nan), .double(0.1)]).text
        == "[-9223372036854775808,9223372036854775807,10,0,-5,null,0.1]")
    #expect(JSONValue.string("\u{1}\u{1F}\"\\\u{7F}\r\n\t").text == "\"\\u0001\\u001f\\\"\\\\\u{7F}\\r\\n\\t\"")
  }

  /// Random trees, written and read again, whole and through the scanner.
  @Test(arguments: 0..<20) func roundTrips(_ seed: UInt64) throws {
    var random = SplitMix(seed: seed)
    for _ in 0..<200 {
      let value = Self.randomValue(&random, depth: 4)
      let bytes = value.encoded()
      #expect(try JSONValue.parse(bytes) == value, "seed \(seed)")
      var scanner = JSONScanner([JSONPath([])])
      try scanner.scan(bytes.span)
      #expect(scanner.value(0, in: bytes.span) == value, "seed \(seed)")
    }
  }

  /// Damaged texts never crash, and parser and scanner agree on what is JSON (but for UTF-8 and number range, which
  /// only the parser decides).
  @Test(arguments: 0..<20) func survivesDamage(_ seed: UInt64) {
    var random = SplitMix(seed: seed)
    for _ in 0..<300 {
      var bytes = Self.randomValue(&random, depth: 3).encoded()
      for _ in 0..<(1 + random.below(3)) where !bytes.isEmpty {
        let place = random.below(bytes.count)
        switch random.below(3) {
        case 0: bytes[place] = UInt8(truncatingIfNeeded: random.next()) & 0x7F
        case 1: bytes.remove(at: place)
        default: bytes.insert(Array("{}[]\",:\\0e-".utf8)[random.below(11)], at: place)
        }
      }
      let parsed = try? JSONValue.parse(bytes)
      var scanner = JSONScanner([])
      let scanned: Void? = try? scanner.scan(bytes.span)
      if parsed != nil { #expect(scanned != nil, "seed \(seed): \(String(decoding: bytes, as: UTF8.self))") }
    }
  }

  static func randomValue(_ random: inout SplitMix, depth: Int) -> JSONValue {
    switch random.below(depth > 0 ? 8 : 6) {
    case 0: return .null
    case 1: return .bool(random.below(2) == 0)
    case 2: return .int(Int(truncatingIfNeeded: random.next()) >> random.below(64))
    case 3: return .double(Double(Int(truncatingIfNeeded: random.next()) >> 20) / 1024 + 0.5)
    case 4, 5:
      let scalars: [Unicode.Scalar] = ["a", "\"", "\\", "\n", "é", "😀", "\u{0}", "\u{2028}", " "]
      var text = ""
      for _ in 0..<random.below(12) { text.unicodeScalars.append(scalars[random.below(scalars.count)]) }
      return .string(text)
    case 6: return .array((0..<random.below(4)).map { _ in randomValue(&random, depth: depth - 1) })
    default:
      return .object((0..<random.below(4)).map { JSONMember("k\($0)", randomValue(&random, depth: depth - 1)) })
    }
  }
}

@Suite struct JSONScannerTests {
  static let chunk =
    #"{"id":"x","choices":[{"index":0,"delta":{"role":"assistant","content":"He\"llo"},"finish_reason":null}],"usage":{"a":[1,2,3]}}"#

  static let cases: [(String, String?)] = [
    ("$.choices[0].delta.content", "\"He\\\"llo\""), ("choices[0].finish_reason", "null"), ("$.choices[1]", nil),
    ("$[\"id\"]", "\"x\""), ("$.usage.a[-1]", "3"), ("$.usage.a[*]", "1"), ("$.choices[*].delta.role", "\"assistant\""),
    ("$.usage", "{\"a\":[1,2,3]}"), ("$.id.x", nil), ("$.choices.delta", nil), ("$", chunk),
  ]

  @Test(arguments: cases) func finds(_ path: String, _ expected: String?) throws {
    let bytes = Array(Self.chunk.utf8)
    var scanner = JSONScanner([try JSONPath(path), try JSONPath("$.choices[0].delta")])
    try scanner.scan(bytes.span)
    let slice = scanner[0]
    #expect(slice.map { String(decoding: bytes[$0.start..<$0.end], as: UTF8.self) } == expected)
    #expect(scanner[1]?.kind == .object)
  }

  @Test func decodesStringsAndForgetsTheLastText() throws {
    let bytes = Array(Self.chunk.utf8)
    var scanner = JSONScanner([try JSONPath("$.choices[0].delta.content"), try JSONPath("$.usage.a[1]")])
    try scanner.scan(bytes.span)
    #expect(scanner.string(0, in: bytes.span) == "He\"llo")
    #expect(scanner.int(1, in: bytes.span) == 2)
    #expect(throws: JSONFailure.self) { try scanner.scan(Array(Self.chunk.utf8.dropLast()).span) }
    #expect(scanner[0] == nil)
  }

  @Test func theLastItemOwesNothingToEarlierOnes() throws {
    let bytes = Array(#"{"a":[{"x":1},{"y":2}]}"#.utf8)
    var scanner = JSONScanner([try JSONPath("$.a[-1].x"), try JSONPath("$.a[-1].y"), try JSONPath("$.a[*].x")])
    try scanner.scan(bytes.span)
    #expect(scanner[0] == nil)
    #expect(scanner.int(1, in: bytes.span) == 2)
    #expect(scanner.int(2, in: bytes.span) == 1)
  }

  @Test(arguments: ["$x", "$.", "$..a", "a[", "a[x]", "a[-2]", "a[\"b]", "a.b[0", String(repeating: ".a", count: 33)])
  func refusesPaths(_ text: String) {
    #expect(throws: JSONPathFailure.self) { try JSONPath(text) }
  }
}

/// A small seeded generator, so that a failing case is a number.
struct SplitMix: RandomNumberGenerator {
  var state: UInt64
  init(seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 &+ 1 }
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
  mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(bound)) }
}
