import Testing
import WeirCore
import WeirLang
import WeirTesting

@testable import Weir

/// The entry's arguments from words and from `--args-json`, checked against its parameters before anything runs.
@Suite struct EntryArgumentsTests {
  static let point = "type Point = {x: int, y?: int}\ntype Color = Red | Blue\n"

  /// The values as the language shows them; a failure's message and hint.
  private func read(_ parameters: String, json: String? = nil, _ words: [String] = []) throws -> String {
    let text = Self.point + "func main(\(parameters)) { println(\"\") }"
    let result = Checker.check(name: "t.weir", bytes: Array(text.utf8), library: ProgramFile.library)
    guard let core = result.program else { return "not a program: \(result.diagnostics.map(\.title))" }
    let names = try Emitter.emit(core, library: ProgramFile.library).names
    do throws(EntryArgumentFailure) {
      let values = try EntryArguments(result.entry, json: json, words: words).values(names)
      return values.map { $0?.shown(names) ?? "default" }.joined(separator: " ")
    } catch {
      return "\(error.message); \(error.hint ?? "-")"
    }
  }

  static let words: [(parameters: String, words: [String], shown: String)] = [
    ("", [], ""),
    ("", ["a", "b"], ""),
    ("a: string", ["12"], "\"12\""),
    ("a: string", ["null"], "\"null\""),
    ("a: int", ["12"], "12"),
    ("a: int", ["-3"], "-3"),
    ("a: int", ["1.5"], "a: expected a whole number, found a number; -"),
    ("a: int", ["x"], "a: expected a whole number, found a string; -"),
    ("a: float", ["2"], "2.0"),
    ("a: bool", ["true"], "true"),
    ("a: bool", ["yes"], "a: expected true or false, found a string; -"),
    ("a: [int]", ["[1,2]"], "[1, 2]"),
    ("a: Color", ["Blue"], "Blue"),
    ("a: Point", ["{\"x\":1}"], "{x: 1, y: None}"),
    ("a: int?", [], "None"),
    ("a: int?", ["5"], "Some(5)"),
    ("a: string?", ["5"], "Some(\"5\")"),
    ("a: int, b: int = 2", ["1"], "1 default"),
    ("a: int, b: int = 2", ["1", "3"], "1 3"),
    ("a: int, b: string", ["1"], "main needs an argument \"b\"; main(a: int, b: string)"),
    ("a: int", ["1", "2"], "main takes 1 arguments, not 2; main(a: int)"),
  ]

  @Test func fromWords() throws {
    for (parameters, words, shown) in Self.words {
      #expect(try read(parameters, words) == shown, "\(parameters) \(words)")
    }
  }

  static let documents: [(parameters: String, json: String, shown: String)] = [
    ("a: int, b: string", #"{"b":"x","a":1}"#, "1 \"x\""),
    ("a: Point", #"{"a":{"x":1,"y":2}}"#, "{x: 1, y: Some(2)}"),
    ("a: Point", #"{"a":{"x":"1"}}"#, "a.x: expected a whole number, found a string; -"),
    ("a: int = 3", "{}", "default"),
    ("a: int", "{}", "main needs an argument \"a\"; main(a: int)"),
    ("a: int", #"{"a":1,"c":2}"#, "main has no parameter \"c\"; main(a: int)"),
    // A null that is no value of the type is an argument left out.
    ("a: int = 3", #"{"a":null}"#, "default"),
    ("a: [int] = []", #"{"a":null}"#, "default"),
    ("a: int", #"{"a":null}"#, "main needs an argument \"a\"; main(a: int)"),
    ("a: int?, b: Option[int]", #"{"a":null,"b":null}"#, "None None"),
    ("a: int? = Some(1)", #"{"a":null}"#, "None"),
    ("a: int? = Some(1)", "{}", "default"),
    ("a: ()", #"{"a":null}"#, "()"),
    ("a: int", #"{"b\u001B[31m":1}"#, #"main has no parameter "b\u001b[31m"; main(a: int)"#),
    ("a: int", "null", "--args-json is not an object; -"),
    ("a: int", "[1]", "--args-json is not an object; -"),
    ("", #"{"a":1}"#, "main has no parameter \"a\"; main has no parameters"),
  ]

  @Test func fromADocument() throws {
    for (parameters, json, shown) in Self.documents {
      #expect(try read(parameters, json: json) == shown, "\(parameters) \(json)")
    }
    #expect(try read("a: int", json: "{").hasPrefix("--args-json: "))
  }

  static let starts: [(entry: String, hint: String?)] = [
    ("", "without `--entry` it is `main`"), (" ", nil), ("a\nb\u{1B}[31m", nil), ("日本", nil), ("Blue", nil),
    ("Point", nil), ("println", nil), ("two words", "it is a test: `weir test` runs it"),
    ("maim", "did you mean `--entry main`?"),
    ("limit", "it is a value: only functions are started"),
    (String(repeating: "a", count: 100_000), nil),
  ]

  @Test func onlyFunctionsAreStarted() {
    let text = Self.point + "let limit = 3\nfunc main() { println(\"\") }\ntest \"two words\" { assert true }\n"
    for (entry, hint) in Self.starts {
      let result = Checker.check(
        name: "t.weir", bytes: Array(text.utf8), entry: entry, library: ProgramFile.library)
      #expect(result.diagnostics.map(\.code) == ["E0212"], "\(entry.prefix(20))")
      #expect(result.diagnostics.first?.hint == hint, "\(entry.prefix(20))")
    }
  }

  @Test func aScriptHasNoParameters() {
    #expect(throws: EntryArgumentFailure.self) { try EntryArguments(nil, json: "{}", words: []) }
    #expect(throws: Never.self) { try EntryArguments(nil, json: nil, words: ["a"]) }
  }
}
