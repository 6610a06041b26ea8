import Testing
import WeirCore

@testable import Weir

/// Codable values as JSON and back, without Foundation.
@Suite struct JSONCodingTests {
  enum Shape: Codable, Equatable {
    case point
    case circle(radius: Double)
    case polygon([Int], name: String?)
  }
  struct Inner: Codable, Equatable {
    var text = "é\u{0}\"\\\n🌊"
    var shapes: [Shape] = [.point, .circle(radius: 0.1), .polygon([1, -2], name: nil), .polygon([], name: "p")]
  }
  struct Outer: Codable, Equatable {
    var inner: Inner? = Inner()
    var missing: Int?
    var list: [Int?] = [1, nil, 3]
    var nested: [[[String]]] = [[["a"], []], []]
    var byName: [String: Inner?] = ["": Inner(), "x": nil]
    var byNumber: [Int: Bool] = [-1: true]
    var byShape: [Double: String] = [0.5: "half"]
    var flag = true
    var float: Float = 0.1
  }
  class Base: Codable {
    var a = 1
  }
  final class Derived: Base {
    var b = 2
    override init() { super.init() }
    private enum Keys: CodingKey { case b }
    required init(from decoder: any Decoder) throws {
      let container = try decoder.container(keyedBy: Keys.self)
      b = try container.decode(Int.self, forKey: .b)
      try super.init(from: container.superDecoder())
    }
    override func encode(to encoder: any Encoder) throws {
      var container = encoder.container(keyedBy: Keys.self)
      try container.encode(b, forKey: .b)
      try super.encode(to: container.superEncoder())
    }
  }
  /// A list as deep as it is long.
  final class Chain: Codable {
    let next: Chain?
    init(_ length: Int) { next = length > 1 ? Chain(length - 1) : nil }
  }

  private func same<Value: Codable & Equatable>(_ value: Value, _ text: String? = nil) throws {
    let json = try JSONEncoding.value(value)
    if let text { #expect(json.text == text) }
    let parsed = try JSONValue.parse(json.encoded())
    #expect(try JSONDecoding.value(parsed, as: Value.self) == value)
  }

  @Test func whatComesBack() throws {
    try same(Outer())
    try same(Outer(inner: nil, list: []))
    try same([Shape.circle(radius: 2)], #"[{"circle":{"radius":2.0}}]"#)
    try same("text", #""text""#)
    try same(nil as Int?, "null")
    try same(5 as Int?, "5")
    try same(["b": 1], #"{"b":1}"#)
    try same([UInt8](0...3), "[0,1,2,3]")
  }

  @Test func classesWithTheirSuper() throws {
    let derived = Derived()
    (derived.a, derived.b) = (7, 8)
    let json = try JSONEncoding.value(derived)
    #expect(json.text == #"{"b":8,"super":{"a":7}}"#)
    let back = try JSONDecoding.value(json, as: Derived.self)
    #expect((back.a, back.b) == (7, 8))
  }

  @Test func numbersAtTheirLimits() throws {
    try same(Int.min)
    try same(Int.max)
    try same(Int8.min)
    try same(UInt32.max)
    try same(UInt64(Int64.max))
    try same(Double.greatestFiniteMagnitude)
    try same(Double.leastNonzeroMagnitude)
    try same(-0.0)
    try same(Float.greatestFiniteMagnitude)
    #expect(throws: EncodingError.self) { try JSONEncoding.value(Double.nan) }
    #expect(throws: EncodingError.self) { try JSONEncoding.value([Double.infinity]) }
    #expect(throws: EncodingError.self) { try JSONEncoding.value(Float.infinity) }
    #expect(throws: EncodingError.self) { try JSONEncoding.value(UInt64.max) }
    #expect(try JSONDecoding.value(3, as: Double.self) == 3)
    #expect(try JSONDecoding.value(3.0, as: Int.self) == 3)
  }

  private func problem<Value: Decodable>(_ text: String, as type: Value.Type) throws -> String {
    let json = try JSONValue.parse(text)
    do {
      return "decoded as \(try JSONDecoding.value(json, as: type))"
    } catch {
      return JSONDecoding.problem(error)
    }
  }

  @Test func whatDoesNotFit() throws {
    #expect(try problem("256", as: UInt8.self) == "expected UInt8, found 256")
    #expect(try problem("-1", as: UInt.self) == "expected UInt, found -1")
    #expect(try problem("1.5", as: Int.self) == "expected Int, found 1.5")
    #expect(try problem("1e300", as: Int.self) == "expected Int, found 1e+300")
    #expect(try problem("1e300", as: Float.self) == "expected Float, found 1e+300")
    #expect(try problem("true", as: Int.self) == "expected Int, found true")
    #expect(try problem("1", as: Bool.self) == "expected Bool, found 1")
    #expect(try problem("null", as: String.self) == "expected String, found null")
    #expect(try problem(#"[{"circle":{}}]"#, as: [Shape].self) == #"[0].circle: no member "radius""#)
    #expect(
      try problem(#"{"text":"","shapes":[{"polygon":{"_0":[1,"2"]}}]}"#, as: Inner.self)
        == ".shapes[0].polygon._0[1]: expected Int, found a string")
  }

  /// Nothing overflows the stack, neither on the way out nor on the way in.
  @Test func howDeep() throws {
    let limit = JSONParser.depthLimit
    _ = try JSONEncoding.value(Chain(limit - 1))
    #expect(throws: EncodingError.self) { try JSONEncoding.value(Chain(limit + 2)) }
    var deep = JSONValue.object([])
    for _ in 0..<limit + 2 { deep = .object([JSONMember("next", deep)]) }
    #expect(throws: DecodingError.self) { try JSONDecoding.value(deep, as: Chain.self) }
  }

  /// A member is found at once, however many there are; of two with one name the last one counts.
  @Test func manyMembers() throws {
    let members = (0..<20_000).map { JSONMember("k\($0)", .int($0)) } + [JSONMember("k7", -7)]
    let read = try JSONDecoding.value(.object(members), as: [String: Int].self)
    #expect(read.count == 20_000)
    #expect(read["k7"] == -7)
  }
}
