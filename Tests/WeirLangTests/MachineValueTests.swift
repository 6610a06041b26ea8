import Glibc
import Testing
import WeirCore
import WeirTesting

@testable import WeirLang

/// Values by themselves: deep nesting, lists that grow in place, maps against a model, equality, text and JSON.
@Suite struct MachineValueTests {
  /// Runs on a thread with a stack of 512 KB, as a secondary thread of macOS has.
  private func onSmallStack(_ body: @escaping () -> Void) {
    final class Box {
      let body: () -> Void
      init(_ body: @escaping () -> Void) { self.body = body }
    }
    var attributes = pthread_attr_t()
    pthread_attr_init(&attributes)
    pthread_attr_setstacksize(&attributes, 512 * 1024)
    var thread = pthread_t()
    let box = Unmanaged.passRetained(Box(body))
    let status = pthread_create(
      &thread, &attributes,
      { raw in
        Unmanaged<Box>.fromOpaque(raw!).takeRetainedValue().body()
        return nil
      }, box.toOpaque())
    #expect(status == 0)
    pthread_join(thread, nil)
    pthread_attr_destroy(&attributes)
  }

  private enum Nesting: CaseIterable { case variants, lists, records, maps, closures, cells }

  private func nested(_ kind: Nesting, _ depth: Int) -> Value {
    var value = Value.int(0)
    let code = FunctionRef.allocate()
    for _ in 0..<depth {
      switch kind {
      case .variants: value = .some(value)
      case .lists: value = .list(List([value]))
      case .records: value = .tuple(.int(1), value)
      case .maps: value = .map(Map([(.string("k"), value)]).root)
      case .closures: value = .function(code, Fields.of(value))
      case .cells: value = .cell(Fields.of(value))
      }
    }
    code.free()
    return value
  }

  @Test func aMillionNestedValuesAreDroppedOnASmallStack() {
    onSmallStack { for kind in Nesting.allCases { _ = self.nested(kind, kind == .variants ? 1_000_000 : 100_000) } }
  }

  @Test func deeplyNestedValuesAreComparedShownAndEncodedOnASmallStack() {
    onSmallStack {
      for kind in [Nesting.variants, .lists, .records, .maps] {
        let a = self.nested(kind, 50_000)
        let b = self.nested(kind, 50_000)
        #expect(Value.areEqual(a, b))
        #expect(a.shown(ProgramNames()).utf8.count > 50_000)
        #expect((try? a.json(ProgramNames()))?.isEmpty == false)
      }
    }
  }

  @Test func sharedPartsOutliveWhatSharedThem() {
    let shared = Value.some(.some(.string("a string that does not fit inline")))
    var holder: Value? = .tuple(.some(shared), .list(List([shared])))
    _ = holder
    holder = nil
    #expect(shared.shown(ProgramNames()) == "#0(#0(\"a string that does not fit inline\"))")
  }

  @Test func listsAgainstArrays() {
    let random = SeededRandom(seed: 7)
    // Versions that share buffers must never see each other's growth.
    var versions: [(list: List, model: [Int])] = [(List(), [])]
    for step in 0..<4000 {
      let (list, model) = versions[Int(random.next() % UInt64(versions.count))]
      let next: (List, [Int])
      switch random.next() % 5 {
      case 0: next = (list.cons(.int(step)), [step] + model)
      case 1: next = (list.appending(List([.int(step)])), model + [step])
      case 2:
        let other = versions[Int(random.next() % UInt64(versions.count))]
        next = model.count + other.model.count > 500 ? (List(), []) : (list.appending(other.list), model + other.model)
      case 3:
        let count = Int(random.next() % UInt64(model.count + 1))
        next = (list.rest(count), Array(model.dropFirst(count)))
      default:
        let upper = Int(random.next() % UInt64(model.count + 1))
        let lower = Int(random.next() % UInt64(upper + 1))
        next = (list.slice(lower, upper), Array(model[lower..<upper]))
      }
      versions.append(next)
      if versions.count > 40 { versions.remove(at: Int(random.next() % 40)) }
      for version in versions.suffix(3) { #expect(version.list.array.map(\.asInt) == version.model.map { $0 }) }
    }
    for version in versions { #expect(version.list.array.map(\.asInt) == version.model.map { $0 }) }
  }

  @Test func growingAtTheFrontAndBackIsLinear() {
    var front = List()
    var back = List()
    for n in 0..<200_000 {
      front = front.cons(.int(n))
      back = back.appending(List([.int(n)]))
    }
    #expect(front.count == 200_000 && back.count == 200_000)
    #expect(front[0].asInt == 199_999 && back[199_999].asInt == 199_999)
  }

  @Test func mapsAgainstAModel() {
    let random = SeededRandom(seed: 11)
    var map = Map()
    var model: [(key: Int, value: Int)] = []
    var old: [(Map, [(key: Int, value: Int)])] = []
    for step in 0..<3000 {
      let key = Int(random.next() % 60)
      if random.next() % 3 == 0 {
        map = map.removing(.int(key))
        model.removeAll { $0.key == key }
      } else {
        map = map.setting(.int(key), .int(step))
        if let place = model.firstIndex(where: { $0.key == key }) {
          model[place].value = step
        } else {
          model.append((key, step))
        }
      }
      #expect(map.count == model.count)
      #expect(map.keys.map(\.asInt) == model.map(\.key))
      #expect(map[.int(key)]?.asInt == model.first { $0.key == key }?.value)
      if step % 500 == 0 { old.append((map, model)) }
    }
    for (map, model) in old { #expect(map.entries.map(\.value.asInt) == model.map(\.value)) }
  }

  @Test func mapsAreEqualInAnyOrder() {
    let entries = (0..<30).map { (key: Value.int($0), value: Value.some(.int($0))) }
    let a = Value.map(Map(entries).root)
    let b = Value.map(Map(entries.reversed()).root)
    #expect(Value.areEqual(a, b))
    #expect(!Value.areEqual(a, .map(Map(Array(entries.dropLast()) + [(.int(99), .int(1))]).root)))
  }

  @Test func order() {
    let rising: [[Value]] = [
      [.int(-1), .int(0), .int(5)],
      [.float(-1), .int(0), .float(0.5)],
      [.string(""), .string("Z"), .string("a"), .string("ab"), .string("é")],
      [.bool(false), .bool(true)],
      [.list(List()), .list(List([.int(1)])), .list(List([.int(1), .int(0)])), .list(List([.int(2)]))],
      [.tuple(.int(1), .int(2)), .tuple(.int(1), .int(3)), .tuple(.int(2), .int(0))],
      [.some(.int(1)), .some(.int(2)), .none],
      [.bytes([]), .bytes([1]), .bytes([1, 0]), .bytes([2])],
    ]
    for values in rising {
      for (i, a) in values.enumerated() {
        for (j, b) in values.enumerated() {
          let order = Value.order(a, b).map { $0.signum() }
          #expect(order == (i - j).signum())
        }
      }
    }
    #expect(Value.order(.float(.nan), .float(.nan)) == nil)
    #expect(!Value.areEqual(.float(.nan), .float(.nan)))
  }

  @Test func json() throws {
    var names = ProgramNames()
    let point = names.layout(["x", "y"])
    names.add(CoreType(id: 1024, name: "T", constructors: [CoreConstructor(name: "A"), CoreConstructor(name: "B")]))
    for tag in [TypeTag.option, .result, .json] { names.add(CoreType(tag)) }
    let a = ConstructorTag(type: 1024, index: 0)
    let b = ConstructorTag(type: 1024, index: 1)
    let cases: [(Value, String)] = [
      (.unit, "null"), (.bool(true), "true"), (.int(-5), "-5"), (.float(1.5), "1.5"), (.float(.nan), "null"),
      (.string("a\"\n"), #""a\"\n""#), (.bytes([0, 255]), #""AP8=""#),
      (.list(List([.int(1), .none, .some(.int(2))])), "[1,null,2]"),
      (.record(point, Fields.of(.int(1), .int(2))), #"{"x":1,"y":2}"#),
      (.tuple(.int(1), .string("a")), #"[1,"a"]"#),
      (.tag(a), #""A""#), (.variant(b, Fields.of(.int(1))), #"{"B":1}"#),
      (.variant(b, Fields.of(.int(1), .int(2))), #"{"B":[1,2]}"#),
      (.ok(.int(1)), #"{"Ok":1}"#),
      (.map(Map([(.string("k"), .int(1)), (.int(2), .int(3))]).root), #"{"k":1,"2":3}"#),
    ]
    for (value, expected) in cases {
      let text = try value.json(names)
      #expect(text == expected)
    }
    #expect(throws: Trap.self) { try Value.handle(Handle(kind: "X")).json(names) }
  }

  @Test func jsonDocumentsComeBackAsTheyWere() throws {
    let text = #"{"b":[1,2.5,9007199254740993,"x",null,true,{}],"a":{"b":""}}"#
    let value = JSONInValues.value(try JSONValue.parse(text))
    #expect(try value.json(ProgramNames()) == text)
    #expect(JSONInValues.asString(JSONInValues.index(JSONInValues.index(value, .string("b")), .int(3))) == "x")
    #expect(JSONInValues.asString(JSONInValues.index(JSONInValues.index(value, .string("nope")), .int(3))) == nil)
  }

  @Test func decodingByShape() throws {
    var names = ProgramNames()
    _ = names.layout(["id", "note"])
    names.add(
      CoreType(
        id: 1024, name: "T",
        constructors: [CoreConstructor(name: "A"), CoreConstructor(name: "B", payload: [.parameter(0), .string])]))
    names.add(CoreType(.option))
    let record = TypeShape.record([.init("id", .int), .init("note", .option(.string))])
    let good: [(String, TypeShape, String)] = [
      ("1", .int, "1"), ("1.0", .int, "1"), ("1", .float, "1.0"), ("null", .option(.int), "None"),
      ("[1,2]", .list(.int), "[1, 2]"), (#"[1,"a"]"#, .tuple([.int, .string]), #"(1, "a")"#),
      (#"{"id":1}"#, record, "{id: 1, note: None}"), (#"{"note":"x","id":1}"#, record, #"{id: 1, note: Some("x")}"#),
      (#""A""#, .sum(id: 1024, arguments: [.int]), "A"),
      (#"{"B":[1,"x"]}"#, .sum(id: 1024, arguments: [.int]), #"B(1, "x")"#),
      (#"{"k":1}"#, .map(.string, .int), #"{"k": 1}"#), (#"{"1":1}"#, .map(.int, .int), "{1: 1}"),
      (#""AP8=""#, .bytes, #"bytes("00ff")"#),
    ]
    for (text, shape, expected) in good {
      let value = try Value.decode(JSONValue.parse(text), as: shape, names)
      #expect(value.shown(names) == expected)
    }
    let bad: [(String, TypeShape, String)] = [
      ("1.5", .int, "the value: expected a whole number, found a number"),
      (#"{"id":"x"}"#, record, "id: expected a whole number, found a string"),
      (#"{}"#, record, "id: expected a whole number, found nothing"),
      (#"{"id":1,"ide":2}"#, record, "ide: expected no such field, found one"),
      (#"[[1],[true]]"#, .list(.list(.int)), "[1][0]: expected a whole number, found true or false"),
      (
        #""C""#, .sum(id: 1024, arguments: [.int]),
        "the value: expected a constructor's name, or an object of its name, found a string"
      ),
      (#""?""#, .bytes, "the value: expected base64 text, found a string"),
    ]
    for (text, shape, message) in bad {
      let json = try JSONValue.parse(text)
      do throws(Value.Mismatch) {
        _ = try Value.decode(json, as: shape, names)
        Issue.record("\(text) was taken")
      } catch {
        #expect(error.message == message)
      }
    }
  }

  @Test func base64() {
    for (bytes, text) in [
      ([], ""), ([0], "AA=="), ([0, 1], "AAE="), ([0, 1, 2], "AAEC"), ([255, 254, 253, 252], "//79/A=="),
    ]
      as [([UInt8], String)]
    {
      #expect(Base64.encode(bytes) == text)
      #expect(Base64.decode(text) == bytes)
    }
    for bad in ["A", "AA", "AA=", "A===", "AB==", "AAF=", "====", "AA==AA==", "A A=", "äö"] {
      #expect(Base64.decode(bad) == nil)
    }
  }
}
