import Testing
import WeirLang

/// Each limit of lexer and parser: what reaches it gives its diagnostic, on a small stack, with linear work.
@Suite struct SyntaxLimitTests {
  /// One level of nesting, in every way the grammar has: what stands before, in the middle, behind, and around all.
  static let nestings: [(open: String, middle: String, close: String, before: String, after: String)] = [
    ("(", "1", ")", "let x = ", ""), ("[", "", "]", "let x = ", ""), ("{ ", "1", " }", "func f() ", ""),
    ("{a: ", "1", "}", "let x = ", ""), ("f(", "1", ")", "let x = ", ""), ("{r | a: ", "1", "}", "let x = ", ""),
    ("- ", "1", "", "let x = ", ""), ("1 + ", "1", "", "let x = ", ""), ("1 :: ", "xs", "", "let x = ", ""),
    ("2 ** ", "1", "", "let x = ", ""), ("a |> ", "b", "", "let x = ", ""), ("", "a", ".b", "let x = ", ""),
    ("", "a", "()", "let x = ", ""), ("", "a", "?", "let x = ", ""), ("\\x. ", "1", "", "let x = ", ""),
    ("(x) => ", "1", "", "let x = ", ""), ("if a then 1 else ", "1", "", "let x = ", ""),
    ("if a { 1 } else ", "{ 1 }", "", "let x = ", ""), ("match a { _ => ", "1", " }", "let x = ", ""),
    ("let y = 1 in ", "1", "", "let x = (", ")"), ("\"${", "1", "}\"", "let x = ", ""),
    ("for x in xs { ", "1", " }", "func f() { ", " }"), ("while a { ", "1", " }", "func f() { ", " }"),
    ("return ", "1", "", "func f() { ", " }"), ("stream ", "a", "", "let x = ", ""),
    ("", "a ", "with {b: 1} ", "let x = ", ""),
    ("[", "int", "]", "type X = ", ""), ("int -> ", "int", "", "type X = ", ""), ("", "int", "?", "type X = ", ""),
    ("A(", "y", ")", "func f() { match x { ", " => 1 } }"), ("y :: ", "y", "", "func f() { match x { ", " => 1 } }"),
    ("f([{a: (\\x. ", "1", ")}])", "let x = ", ""),
  ]

  static func program(_ i: Int, levels: Int) -> String {
    let it = nestings[i]
    return it.before + String(repeating: it.open, count: levels) + it.middle
      + String(repeating: it.close, count: levels)
      + it.after
  }

  @Test(arguments: nestings.indices) func tooDeepIsADiagnostic(_ i: Int) throws {
    let steps = try onSmallStack { () -> Int in
      let result = Parser.parse(Source(name: "deep", text: Self.program(i, levels: 10_000) + "\nfunc after() = 1 +"))
      #expect(result.diagnostics.map(\.code) == ["E0901", "E0101"], "\(Self.program(i, levels: 3))")
      return result.steps
    }
    let half = try onSmallStack {
      Parser.parse(Source(name: "deep", text: Self.program(i, levels: 5_000) + "\nfunc after() = 1 +")).steps
    }
    #expect(steps <= half * 21 / 10, "\(half) steps became \(steps)")
  }

  @Test(arguments: nestings.indices) func justBelowIsFine(_ i: Int) throws {
    // The widest nesting takes six levels of the limit at once.
    let levels = Parser.nestingLimit / 6
    let codes = try onSmallStack {
      Parser.parse(Source(name: "deep", text: Self.program(i, levels: levels))).diagnostics.map(\.code)
    }
    #expect(codes == [])
  }

  @Test(arguments: [
    "(", "[", "{", "{a: ", "f(", "\"${", "match a { _ => ", "(\\x. ", "A(", "/*", "\"", "if ", "let x = ", "///\n",
  ])
  func unclosedTenThousandTimes(_ open: String) throws {
    for before in ["let x = ", "func f() { ", "type X = ", ""] {
      let text = before + String(repeating: open, count: 10_000)
      let steps = try onSmallStack { () -> Int in
        let result = Parser.parse(Source(name: "deep", text: text))
        #expect(result.diagnostics.count <= Parser.diagnosticLimit + 1)
        #expect(!result.diagnostics.isEmpty || open.hasPrefix("//"))
        return result.steps
      }
      let half = try onSmallStack {
        Parser.parse(Source(name: "deep", text: before + String(repeating: open, count: 5_000))).steps
      }
      #expect(steps <= half * 21 / 10 + 100, "\(open): \(half) steps became \(steps)")
    }
  }

  /// Lines that once made a lexer read the rest of the file for each of them.
  @Test(arguments: [
    "\\\"\n", "\"${/*\n", "\"${exec a() = sh {\n", "exec a() = sh { '\n", "/// x\n\"${\n", "r\"\n", "\"\"\"${\"\n",
    "“\n",
  ])
  func unclosedOnEveryLine(_ line: String) {
    let once = Parser.parse(Source(name: "lines", text: String(repeating: line, count: 2_000))).steps
    let twice = Parser.parse(Source(name: "lines", text: String(repeating: line, count: 4_000))).steps
    #expect(twice <= once * 21 / 10 + 100)
  }

  @Test func longChainsThatDoNotNest() throws {
    for text in [
      "let x = \"a\"" + String(repeating: " ++ \"b\"", count: 10_000),
      "let x = a" + String(repeating: " || b", count: 10_000),
      "func f() {\n" + String(repeating: "let a = 1 in\n", count: 10_000) + "a }",
      "let x = [" + String(repeating: "1, ", count: 10_000) + "]",
    ] {
      let result = try onSmallStack { Parser.parse(Source(name: "long", text: text)).diagnostics.map(\.code) }
      #expect(result == [])
    }
  }

  @Test func longConcatenationKeepsItsOrder() {
    let names = (0..<100).map { "a\($0)" }
    let result = Parser.parse(Source(name: "long", text: names.joined(separator: " ++ ")))
    let dump = TreePrinter.text(result.tree)
    #expect(dump.split(whereSeparator: { "()+ \n".contains($0) }).map(String.init) == names)
  }

  @Test func tooManyErrors() {
    let text = String(repeating: "let x = )\n", count: Parser.diagnosticLimit * 3)
    let codes = Parser.parse(Source(name: "wrong", text: text)).diagnostics.map(\.code)
    #expect(codes.count == Parser.diagnosticLimit + 1)
    #expect(codes.last == "E0903")
  }

  @Test func tooLarge() {
    let bytes = [UInt8](repeating: 0x20, count: 16 * 1_048_576 + 1)
    let codes = Parser.parse(Source(name: "large", bytes: bytes)).diagnostics.map(\.code)
    #expect(codes == ["E0902"])
  }
}
