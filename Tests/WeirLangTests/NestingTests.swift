import Testing
import WeirCore

@testable import WeirLang

/// Every way in which the grammar nests, at the deepest the parser takes and far beyond, through the whole language:
/// lexer, parser, checker, lowering, emitter, machine, formatter. On a small stack: crashing is the failure.
@Suite struct NestingTests {
  /// `before` + `open` × n + `middle` + `close` × n + `after`, a program without an error for small n.
  struct Shape: CustomTestStringConvertible, Sendable {
    var open: String
    var middle: String
    var close: String
    var before = "func main() { let x = "
    var after = "\n}"
    var testDescription: String { "\(before)\(open)\(middle)\(close)\(after)".replacing("\n", with: " ") }

    init(_ open: String, _ middle: String, _ close: String, _ before: String? = nil, _ after: String? = nil) {
      (self.open, self.middle, self.close) = (open, middle, close)
      if let before { self.before = before }
      if let after { self.after = after }
    }

    func program(_ levels: Int) -> String {
      NestingTests.prelude + before + String(repeating: open, count: levels) + middle
        + String(repeating: close, count: levels) + after + "\n"
    }
  }

  static let prelude = """
    type Box[a] = Full(a) | Empty
    type Chain = Link(int, Chain) | End
    type Node = {n: int}
    func same[a](x: a) -> a { x }
    func fn2(a: int, b: int) -> int { a + b }

    """
  private static let body = "func main() { "

  static let shapes: [Shape] = [
    // values
    .init("(", "1", ")"), .init("[", "1", "]"), .init("{ ", "1", " }"), .init("{a: ", "1", "}"),
    .init("{\"k\": ", "1", "}"), .init("(1, ", "1", ")"), .init("Full(", "1", ")"), .init("Some(", "1", ")"),
    .init("{r | n: ", "1", "}.n", "func main() { let r = {n: 1}\n let x = "),
    .init("\"${", "1", "}\""), .init("\"\"\"${", "1", "}\"\"\""),
    .init("/* ", "1", " */", "func main() { let x = 1 "),
    // calls
    .init("same(", "1", ")"), .init("same(x: ", "1", ")"), .init("fn2(1, ", "1", ")"), .init("", "same", "(same)"),
    .init("", "1", ".same()"), .init("", "1", " |> same"), .init("", "1", " |> fn2(1)"),
    .init("Some(", "1", ")?", "func f() -> int? { Some(", ") }\nfunc main() { f() }"),
    .init("xs[", "0", "]", "func main() { let xs = [0]\n let x = "),
    .init(
      "", "r", ".n.same()", "func f(r: {n: Node}) -> int { r.n.n } func main() { let r = {n: 1}\n let x = {n: ", "}.n }"
    ),
    // operators
    .init("- ", "1", ""), .init("!", "true", ""), .init("not ", "true", ""),
    .init("1 + ", "1", ""), .init("1 + (", "1", ")"), .init("", "1", " + 1"), .init("1 * ", "1", ""),
    .init("1 :: ", "[]", ""), .init("(1 :: ", "[]", ")"), .init("1 ** ", "1", ""), .init("true && ", "true", ""),
    .init("true || ", "true", ""), .init("(true || ", "true", ")"), .init("(1 || ", "1", ")"),
    .init("(\"a\" ++ ", "\"a\"", ")"), .init("", "\"a\"", " ++ \"a\""), .init("(1 < 2) == (", "true", ")"),
    // functions
    .init("\\x. ", "1", ""), .init("(x) => ", "1", ""), .init("(x) => { ", "1", " }"),
    .init("(x: int) => (", "1", ")"), .init("func(x: int) { ", "1", " }"), .init("same((x) => ", "1", ")"),
    .init("let f = (x) => { ", "1", " }\n", body, "}"), .init("((x) => ", "1", ")(1)"),
    .init("func() -> int { ", "1", " }()"),
    // control
    .init("if true then 1 else ", "1", ""), .init("if true then ", "1", " else 1"),
    .init("if true { 1 } else ", "{ 1 }", ""),
    .init("if true { ", "1", " } else { 1 }"), .init("if (", "true", ") then true else false"),
    .init("if true { ", "()", " }", body), .init("match 1 { _ => ", "1", " }"), .init("match ", "1", " { y => y }"),
    .init("match 1 { 0 => 1, _ => ", "1", " }"), .init("match 1 { y if ", "true", " => true, _ => false }"),
    .init("let y = 1 in ", "1", "", "func main() { let x = (", ") }"),
    .init("let y = { ", "1", " }", body), .init("let y = 1 in { ", "1", " }", body),
    .init("for y in [1] { ", "()", " }", body), .init("while false { ", "()", " }", body),
    .init("for parallel y in [1] { ", "1", " }"), .init("for parallel y in [1] { for z in [1] { ", "()", " } }", body),
    .init("parallel [", "1", "]"), .init("race [", "1", "]"), .init("defer { ", "()", " }", body),
    .init("return ", "1", "", "func f() -> int { ", " }\nfunc main() { f() }"), .init("assert (", "true", ")", body),
    .init("_ = { ", "1", " }", body),
    .init("fn2(1, { let y = ", "1", "\n y })"), .init("fn2(1, match 1 { y => ", "1", " })"),
    .init("[if true { match 1 { y => ", "1", " } } else { 1 }][0]"), .init("for y in [{ ", "1", " }] { () }", body),
    .init("if match 1 { _ => ", "true", " } { true } else { false }"),
    .init("same([{a: (\\x. ", "1", ")}])"), .init("(for parallel y in [1] { ", "1", " })[0]"),
    // types
    .init("[", "int", "]", "type X = ", "\nfunc f(x: X) { () }\nfunc main() { () }"),
    .init("[", "int", "]", "func f(x: ", ") -> int { 1 }\nfunc main() { () }"),
    .init("int -> ", "int", "", "func f(x: ", ") -> int { 1 }\nfunc main() { () }"),
    .init("(int) -> ", "int", " ! {IO}", "func f(x: ", ") -> int { 1 }\nfunc main() { () }"),
    .init("(", "int", ") -> int", "func f(x: ", ") -> int { 1 }\nfunc main() { () }"),
    .init("(", "int", ", int)", "func f(x: ", ") -> int { 1 }\nfunc main() { () }"),
    .init("{a: ", "int", "}", "func f(x: ", ") -> int { 1 }\nfunc main() { () }"),
    .init("{a?: ", "int", "}", "func f(x: ", ") -> int { 1 }\nfunc main() { f({}) }"),
    .init("", "int", "?", "func f(x: ", ") -> int { 1 }\nfunc main() { () }"),
    .init("Box[", "int", "]", "func main(x: ", ") -> int { 1 }\n"),
    .init("Map[string, ", "int", "]", "func f(x: ", ") -> int { 1 }\nfunc main() { () }"),
    .init("[string: ", "int", "]", "func f(x: ", ") -> int { 1 }\nfunc main() { () }"),
    .init("Stream[", "int", "]", "func f(x: ", ") -> int { 1 }\nfunc main() { () }"),
    .init("[", "int", "]", "func main() { let x: ", " = [] }"),
    // patterns
    .init("Some(", "y", ")", "func f(x: int?) -> int { match x { Some(", ") => 1, _ => 2 } }\nfunc main() { () }"),
    .init("Link(1, ", "y", ")", "func f(x: Chain) -> int { match x { ", " => 1, _ => 2 } }\nfunc main() { () }"),
    .init("y :: ", "_", "", "func f(x: [int]) -> int { match x { ", " => 1, _ => 2 } }\nfunc main() { () }"),
    .init("(", "y", ")", "func f(x: int) -> int { match x { ", " => 1 } }\nfunc main() { () }"),
    .init("{a: ", "y", "}", "func main() { let ", " = 1 }"),
    .init("[", "y", "]", "func f[a](x: a) { match x { ", " => 1, _ => 2 } }\nfunc main() { () }"),
    .init("(", "1", " | 2)", "func f(x: int) -> int { match x { ", " => 1, _ => 2 } }\nfunc main() { () }"),
    // declarations
    .init("[", "1", "][0]", "let limit = ", "\nfunc main() { println(show(limit)) }"),
    .init("[", "1", "][0]", "func f(n: int = ", ") -> int { n }\nfunc main() { println(show(f())) }"),
    .init(
      "(", "1", ")", "provider p { model: \"m\" }\nagent A { provider: p\n temperature: ", " }\nfunc main() { () }"),
    .init(
      "(", "a", ")", "agent A { provider: \"p\" }\nfunc f() { for t in ", ".stream(\"x\") { () } }\nfunc main() { () }"),
    .init("stream ", "a", "", "func f(a: string) { let x = ", " }\nfunc main() { () }"),
    .init("", "a", " with {b: 1}", "func f(a: string) { let x = ", " }\nfunc main() { () }"),
  ]

  /// Everything that reads a program; what it said. The formatter writes braces and brackets of its own, so at the very
  /// limit of nesting it may decline, with a reason.
  @Sendable static func through(_ text: String) -> [String] {
    let result = Checker.check(name: "deep.weir", bytes: Array(text.utf8), library: .language)
    var codes = result.diagnostics.filter(\.isError).map(\.code)
    _ = DiagnosticPrinter(result.sources).text(result.diagnostics)
    if case .refused = Formatter.format(Source(name: "deep.weir", text: text)) {
      codes.append("not formatted")
    }
    if let core = result.program {
      guard let running = try? Running(core, .language) else { return codes + ["not emitted"] }
      if let start = running.program.entry, start.arity == 0 { running.scheduler.spawn(start) }
      running.loop.run(turnLimit: 40)
    }
    return codes
  }

  static func parsed(_ text: String) -> [String] {
    Parser.parse(Source(name: "deep.weir", text: text)).diagnostics.map(\.code)
  }

  /// The deepest that parses goes through everything; one level more is the diagnostic, and nothing else is.
  @Test(arguments: shapes) func atTheLimit(_ shape: Shape) throws {
    let (levels, codes, beyond) = try onSmallStack { () -> (Int, [String], [String]) in
      var (fine, deep) = (1, 401)
      while deep - fine > 1 {
        let middle = (fine + deep) / 2
        if Self.parsed(shape.program(middle)).isEmpty { fine = middle } else { deep = middle }
      }
      return (
        fine, Self.through(shape.program(fine / 3)) + Self.through(shape.program(fine)),
        Self.parsed(shape.program(fine + 1))
      )
    }
    #expect(levels >= Parser.nestingLimit / 6)
    // What is said of such a program is about its types.
    #expect(
      codes.allSatisfy { $0.hasPrefix("E02") || $0.hasPrefix("E03") || $0.hasPrefix("E04") }, "\(levels): \(codes)")
    #expect(levels == 400 || beyond.contains("E0901"), "\(levels): \(beyond)")
  }

  /// Chains that do not nest may be as long as a file. `parts` is what stays below two seconds in a debug build.
  @Test(arguments: [
    ("\"a\"", " ++ \"b\"", "", 5_000), ("[1]", " ++ [2]", "", 2_000), ("false", " || true", "", 5_000),
    ("1", " || 2", "", 2_000), ("[1", ", 2", "]", 10_000), ("\"", "text", "\"", 50_000),
    ("1 /*", " /* */", " */", 4_000), ("\"", "${1}", "\"", 10_000),
  ])
  func longChains(_ first: String, _ next: String, _ end: String, _ parts: Int) throws {
    let text = "func main() { let x = \(first)" + String(repeating: next, count: parts) + end + "\n}"
    #expect(try onSmallStack { Self.through(text) } == [])
  }

  /// What a function's registers cannot hold is refused when it is emitted, with what to do.
  @Test func aChainBeyondTheRegisters() throws {
    let parts = FunctionEmitter.registerLimit + 1
    let text = "func main() { let x = \"a\"" + String(repeating: " ++ \"b\"", count: parts) + "\n}"
    let said = try onSmallStack { () -> String in
      let result = Checker.check(name: "long.weir", bytes: Array(text.utf8), library: .language)
      guard let core = result.program else { return "\(result.diagnostics.map(\.code))" }
      do {
        _ = try Emitter.emit(core, library: .language)
        return "emitted"
      } catch {
        return (error as? any Failure)?.message ?? "\(error)"
      }
    }
    #expect(said == "`main` has too many values at once")
  }
}
