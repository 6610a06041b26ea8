import Testing
import WeirCore
import WeirLang

@testable import Weir

/// What `weir doc` says: of the library, which must say something of everything, and of a user's file.
@Suite struct DocumentationTests {
  static let catalogue = DocumentationCatalogue(ProgramFile.library)

  @Test(arguments: catalogue.modules.map(\.name)) func everythingIsDocumented(_ name: String) throws {
    let module = try #require(Self.catalogue.modules.first { $0.name == name })
    #expect(
      module.summary.count > 15 && module.summary.count <= 120 && module.summary.hasSuffix("."),
      "\(name): begin its text with `// One sentence.` and an empty line, or an import, below")
    for entry in module.entries {
      #expect(entry.text.count > 8, "\(name).\(entry.name): say in a `///` line above it what it does")
      #expect(!entry.text.hasPrefix("The same"), "\(name).\(entry.name) is also shown without its neighbours")
      #expect(!entry.signature.isEmpty && entry.signature.split(separator: "\n").allSatisfy { $0.count <= 120 })
    }
  }

  static let wanted: [(query: String, found: String)] = [
    ("std/list", "std/list"), ("list", "std/list"), ("ai/streaming", "std/ai/streaming"),
    ("std/list.sortBy", "std/list: sortBy"), ("list.sortBy", "std/list: sortBy"), ("sortBy", "std/list: sortBy"),
    ("isEmpty", "std/list: isEmpty, std/map: isEmpty, std/string: isEmpty"), ("JNull", "std/json: Json"),
    ("sortby", "near sortBy"), ("std/lst", "near std/list"), ("list.srotBy", "near std/list.sortBy"),
    ("zzzz", "near -"),
    ("", "near -"), ("std/", "near std/ai"), ("list.", "near -"), (".", "near -"), ("a\0b", "near -"),
    (String(repeating: "x", count: 100_000), "near -"),
  ]

  @Test func whatIsFound() {
    for (query, expected) in Self.wanted {
      let found =
        switch Self.catalogue.find(query) {
        case .module(let module): module.name
        case .entries(let modules):
          modules.map { "\($0.name): \($0.entries.map(\.name).joined(separator: " "))" }.joined(separator: ", ")
        case .nothing(let nearest): "near \(nearest ?? "-")"
        }
      #expect(found == expected, "\(query.prefix(40))")
    }
  }

  static let files: [(text: String, shown: String)] = [
    (
      "// A file.\n// Two lines.\n//\n// More.\n\nexport func f(n: int = 2) { n + 1 }\nfunc g() { }",
      "x.weir: A file. Two lines.\n\nMore.\n\nfunc f(n: int = 2) -> int\n"
    ),
    ("/// Of f.\nfunc f() = env(\"X\")\n", "x.weir\n\nfunc f() -> string ! {Env}\n    Of f.\n"),
    (
      "/* All\n   of it */\nimport std/io\nexport pure func f(a: [int]) -> int = a[0]",
      "x.weir: All of it\n\npure func f(a: [int]) -> int\n"
    ),
    (
      "/// Kinds.\nexport type T[a] =\n  | A(a) // first\n  | B\nexport let n: int = 3\nexport let m = [1.5]\n",
      "x.weir\n\ntype T[a] =\n  | A(a) // first\n  | B\n    Kinds.\n\nlet n: int\n\nlet m: [float]\n"
    ),
    ("#!/usr/bin/weir\n// Top.\nmodule a/b\nlet x = 1", "x.weir: Top.\n\nlet x: int\n"),
    ("", "x.weir\n"),
    (
      "export func f(first: {name: string, value: [int]}, second: (int) -> string ! e, third: Option[int]) -> Result[string, int] { Ok(\"\") }",
      "x.weir\n\nfunc f(\n  first: {name: string, value: [int]},\n  second: (int) -> string ! e,\n  third: Option[int],\n) -> Result[string, int]\n"
    ),
  ]

  @Test func aUsersFile() {
    for (text, shown) in Self.files {
      let file = ProgramFile("x.weir", bytes: Array(text.utf8))
      #expect(file.rendered(color: false, withNotes: false) == "", "\(text)")
      #expect(DocumentationWriter.text(file.documentation) == shown, "\(text)")
    }
  }

  @Test func pathsAndNames() {
    for path in ["a.weir", "./a", "../x", "/etc/passwd", "."] { #expect(ProgramFile.isPath(path), "\(path)") }
    for name in ["list", "std/list", "sortBy", "", "a\0.b"] { #expect(!ProgramFile.isPath(name), "\(name)") }
  }
}
