import Testing
import WeirCore
import WeirLang

/// The faces of a diagnostic: text with several places and files, colour, JSON.
@Suite struct SyntaxPrinterTests {
  @Test func severalPlacesAndFiles() {
    var sources = SourceMap()
    let main = sources.add(name: "main.weir", text: "import \"./lib.weir\" (f)\n\n\nlet a = 1\nlet b = f(\"x\")\n")
    let lib = sources.add(name: "lib.weir", text: "export func f(x: int) -> int = x\n")
    let diagnostic = Diagnostic(
      "E0301", "argument 1 of `f` has the wrong type", at: span(main, "\"x\""), label: "this is a string",
      related: [
        Diagnostic.Label(span(main, "import"), "imported here"),
        Diagnostic.Label(span(lib, "x: int"), "declared as int"),
      ], notes: ["expected int, found string"], hint: "convert it: `toInt(\"x\")`")
    let expected = """
      error[E0301]: argument 1 of `f` has the wrong type
       --> main.weir:5:11
        |
      1 | import "./lib.weir" (f)
        | ------ imported here
      ...
      5 | let b = f("x")
        |           ^^^ this is a string
       ::: lib.weir:1:15
        |
      1 | export func f(x: int) -> int = x
        |               ------ declared as int
        |
        = expected int, found string
        = hint: convert it: `toInt("x")`

      """
    #expect(DiagnosticPrinter(sources).text(diagnostic) == expected)
  }

  @Test func columnsOfTabsWideAndHiddenCharacters() {
    let source = Source(name: "t", text: "\tlet 名 = \u{202E}x oops\n")
    let shown = DiagnosticPrinter(source).text(Diagnostic("W0101", "odd", at: span(source, "oops")))
    #expect(
      shown == "warning[W0101]: odd\n --> t:1:13\n  |\n1 |     let 名 = \u{FFFD}x oops\n  |                 ^^^^\n")
  }

  @Test func longLinesAreAWindow() {
    let source = Source(name: "t", text: String(repeating: "a", count: 500) + "!" + String(repeating: "b", count: 500))
    let lines = DiagnosticPrinter(source).text(Diagnostic("E0001", "x", at: span(source, "!"))).split(separator: "\n")
    #expect(lines[3].unicodeScalars.count <= DiagnosticPrinter.lineWidthLimit + 10)
    let mark = lines[4].unicodeScalars.firstIndex(of: "^").map {
      lines[4].unicodeScalars.distance(from: lines[4].startIndex, to: $0)
    }
    let bang = lines[3].unicodeScalars.firstIndex(of: "!").map {
      lines[3].unicodeScalars.distance(from: lines[3].startIndex, to: $0)
    }
    #expect(mark != nil && mark == bang)
  }

  @Test func colourOnlyWhenAsked() {
    let source = Source(name: "t", text: "let x = )")
    let found = Parser.parse(source).diagnostics
    #expect(!DiagnosticPrinter(source).text(found).contains("\u{1B}"))
    let colored = DiagnosticPrinter(source, color: true).text(found)
    #expect(colored.contains("\u{1B}[1;31merror[E0105]\u{1B}[0m"))
  }

  @Test func json() throws {
    let source = Source(name: "a \"b\".weir", text: "let é = \"\\q\"")
    let text = DiagnosticPrinter(source).json(Parser.parse(source).diagnostics)
    let value = try JSONValue.parse(text)
    let first = try #require(value[0])
    #expect(first["code"] == "E0003" && first["severity"] == "error" && first["file"] == "a \"b\".weir")
    #expect(first["line"] == 1 && first["column"] == 10 && first["endLine"] == 1 && first["endColumn"] == 12)
    #expect(first["related"] == [] && first["hint"]?.string?.isEmpty == false)
  }

  @Test func nothingWrittenBelongsNowhere() {
    let shown = DiagnosticPrinter(SourceMap()).text(Diagnostic("E0201", "no such file", at: .none, hint: "look again"))
    #expect(shown == "error[E0201]: no such file\n  = hint: look again\n")
  }

  @Test func spelling() {
    #expect(Spelling.nearest(to: "retrun", among: ["let", "return", "ret"]) == "return")
    #expect(Spelling.nearest(to: "x", among: ["y"]) == nil)
    #expect(Spelling.nearest(to: "headrs", among: ["header", "headers"]) == "headers")
    #expect(Spelling.nearest(to: "", among: ["a"]) == nil)
  }

  @Test func positions() {
    let source = Source(name: "t", text: "ab\r\né€x\n")
    #expect(source.position(of: 0) == Source.Position(line: 1, column: 1))
    #expect(source.position(of: 4) == Source.Position(line: 2, column: 1))
    #expect(source.position(of: 9) == Source.Position(line: 2, column: 3))
    #expect(source.position(of: 999) == Source.Position(line: 3, column: 1))
    #expect(source.text(source.lineRange(0)) == "ab")
  }

  private func span(_ source: Source, _ text: String) -> Span {
    let wanted = Array(text.utf8)
    let start = source.bytes.indices.first { source.bytes[$0...].starts(with: wanted) } ?? 0
    return Span(file: source.id, start: start, end: start + wanted.count)
  }
}
