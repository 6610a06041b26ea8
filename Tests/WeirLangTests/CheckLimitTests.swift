/// Hostile and large input: the checker answers in time, with a diagnostic, and never crashes.
import Testing

@testable import WeirLang

struct CheckLimitTests {
  private func check(_ text: String) -> CheckResult {
    Checker.check(name: "test.weir", bytes: Array(text.utf8), library: .language)
  }

  /// A program of `count` functions that call each other, match, concatenate and build records.
  private func program(_ count: Int) -> String {
    var text = "type Shape = Circle(float) | Rect(float, float)\n"
    for i in 0..<count {
      text += """
        func f\(i)(x: int, name: string) -> string {
          let r = {id: x + \(i), label: name ++ "\(i)"}
          let area = match Circle(1.5) { Circle(a) => a, Rect(w, h) => w * h }
          if r.id > 3 then "${r.label} ${area}" else \(i == 0 ? "name" : "f\(i - 1)(r.id, r.label)")
        }

        """
    }
    return text
  }

  @Test func workIsLinearInTheProgram() {
    let small = check(program(200))
    let large = check(program(1_000))
    #expect(program(1_000).utf8.filter { $0 == 10 }.count > 5_000)
    #expect(small.diagnostics.isEmpty && large.diagnostics.isEmpty)
    // Five times the program is five times the work, the library's own share aside.
    #expect(large.steps < small.steps * 6, "\(small.steps) \(large.steps)")
  }

  /// A quadratic way through any of these would take minutes.
  @Test func widePartsAreLinear() {
    let items = "func main() { let xs = [" + (0..<20_000).map(String.init).joined(separator: ", ") + "] }"
    #expect(check(items).program != nil)
    let wrong = "func main() { let xs = [" + (0..<20_000).map(String.init).joined(separator: ", ") + ", no] }"
    #expect(check(wrong).diagnostics.map(\.code) == ["E0201"])
    let arms = (0..<5_000).map { "\($0) => \($0)\n" }.joined()
    #expect(check("func f(x: int) -> int { match x {\n\(arms)_ => 0 } }").diagnostics.isEmpty)
    let cases = (0..<2_000).map { "C\($0)(int)" }.joined(separator: " | ")
    let all = (0..<2_000).map { "C\($0)(a) => a\n" }.joined()
    #expect(check("type T = \(cases)\nfunc f(x: T) -> int { match x {\n\(all)} }").diagnostics.isEmpty)
    let but = (1..<2_000).map { "C\($0)(a) => a\n" }.joined()
    let missing = check("type T = \(cases)\nfunc f(x: T) -> int { match x {\nC1999(1) => 1\n\(but)} }")
    #expect(missing.diagnostics.map(\.code) == ["E0401"])
  }

  @Test func doublingTypesAreRefused() {
    var text = "func main() {\n  let a0 = (1, \"x\")\n"
    for i in 1...60 { text += "  let a\(i) = (a\(i - 1), a\(i - 1))\n" }
    text += "  let same = [a60, a60]\n  let pick = \\x. [x, a60]\n}\n"
    #expect(check(text).steps < 200 * Unifier.workLimit)
  }

  @Test func doublingAliasesAreRefused() {
    var text = "type A0 = {x: int}\n"
    for i in 1...40 { text += "type A\(i) = (A\(i - 1), A\(i - 1))\n" }
    let result = check(text)
    #expect(result.diagnostics.contains { $0.code == "E0904" })
  }

  @Test func doublingFunctionsEnd() {
    var text = "func main() {\n  let f0 = \\x. (x, x)\n"
    for i in 1...12 { text += "  let f\(i) = \\x. f\(i - 1)(f\(i - 1)(x))\n" }
    text += "  f12(1)\n}\n"
    #expect(check(text).steps < 200 * Unifier.workLimit)
  }

  @Test func longChainsAreNoDeepRecursion() {
    var calls = "func g0(n: int) -> int { n }\n"
    for i in 1...4_000 { calls += "func g\(i)(n: int) { g\(i - 1)(n) }\n" }
    calls += "func main() { println(show(g4000(1))) }\n"
    #expect(check(calls).program != nil)

    var lets = "func main() {\n"
    for i in 0..<3_000 { lets += "  let (a\(i), _) = (\(i), 1)\n" }
    lets += "  println(show(a2999))\n}\n"
    #expect(check(lets).program != nil)

    let joined = "func main() { println(" + (0..<3_000).map { "\"\($0)\"" }.joined(separator: " ++ ") + ") }"
    #expect(check(joined).program != nil)
  }

  @Test func deepNestingIsADiagnostic() {
    for (open, close) in [("(", ")"), ("[", "]"), ("{ x: ", "}"), ("Some(", ")"), ("\\x. ", ""), ("!", "")] {
      for depth in [150, 100_000] {
        let text =
          "func main() { " + String(repeating: open, count: depth) + "1" + String(repeating: close, count: depth) + " }"
        let result = check(text)
        #expect(result.program != nil || result.diagnostics.hasErrors, "\(open) \(depth)")
      }
    }
  }

  @Test func widePatternsEnd() {
    let columns = (0..<12).map { _ in "bool" }.joined(separator: ", ")
    var text = "func main(p: (\(columns))) { match p {\n"
    for i in 0..<12 {
      let row = (0..<12).map { $0 == i ? "true" : "_" }.joined(separator: ", ")
      text += "  (\(row)) => \(i)\n"
    }
    text += "} }"
    let result = check(text)
    #expect(result.diagnostics.contains { $0.code == "E0401" })
  }

  @Test func manyErrorsAreCounted() {
    let text = (0..<1_000).map { "func f\($0)() -> int { \"x\" }" }.joined(separator: "\n")
    let result = check(text)
    #expect(result.diagnostics.count == Checker.diagnosticLimit + 1)
    #expect(result.diagnostics.last?.title == "800 more are not shown")
  }

  @Test func anyBytesEnd() {
    var seed: UInt64 = 0x9E37_79B9_7F4A_7C15
    let words = [
      "func", "main", "(", ")", "{", "}", "let", "x", "=", "1", "\"a\"", "match", "=>", ",", "if", "then", "else", "\\",
      ".",
      "++", "type", "A", "|", "[", "]", ":", "->", "!", "IO", "for", "in", "return", "\n", "agent", "workflow",
      "provider",
      "Some", "None", "?", "||", "import", "std/io", "var", "while", "+", "tool", "@post", "::", "...",
    ]
    for _ in 0..<400 {
      var text = ""
      for _ in 0..<60 {
        seed = seed &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        text += words[Int(seed >> 33) % words.count] + " "
      }
      let result = check(text)
      #expect(result.program != nil || result.diagnostics.hasErrors, "\(text)")
    }
  }
}
