import Testing
import WeirCore
import WeirLang
import WeirRuntime

@testable import Weir

/// Tests of programs, run for real: one fresh program for each, limits, what a failure says.
@Suite struct TestRunTests {
  private struct Result: Equatable {
    var name: String
    var failure: String?
  }

  private func run(
    _ text: String, filter: String? = nil, limit: Duration = .seconds(20), granted: EffectSet = .all,
    files: [String: String] = [:]
  ) throws -> [Result] {
    try TemporaryFolder.with(files.merging(["t.weir": text]) { first, _ in first }) { folder in
      let file = try TestFile(folder + "/t.weir", filter: filter, config: nil)
      #expect(file.file.rendered(color: false, withNotes: false) == "")
      let run = TestRun(limit: limit, color: false)
      return try file.tests.map { test in
        let outcome = try #require(run.run(test, of: file, ProgramInstance.Options(), granted: granted))
        return Result(name: test.name, failure: outcome.failure?.text)
      }
    }
  }

  @Test func eachTestHasAProgramOfItsOwn() throws {
    let results = try run(
      """
      var seen = 0
      let ten = 10
      func note() -> int { seen = seen + 1; seen }
      test "first" { assert note() == 1; assert note() == 2 }
      test "second" { assert note() == 1 && ten == 10 }
      println("statements of a script do not run")
      exit(4)
      """.split(separator: "\n").filter { !$0.hasPrefix("exit") }.joined(separator: "\n"))
    #expect(results == [Result(name: "first"), Result(name: "second")])
  }

  static let failures: [(body: String, says: [String])] = [
    (
      "assert 1 + 1 == 3",
      ["error[AssertionFailed]: assertion failed: 1 + 1 == 3", "t.weir:1:16", "left:  2", "right: 3"]
    ),
    ("assert [1, 2] == [], \"empty\"", ["]: empty", "left:  [1, 2]", "right: []"]),
    ("let s = \"a\"; assert s != \"a\"", ["left:  \"a\"", "right: \"a\""]),
    ("assert 2 < 1", ["left:  2", "right: 1"]), ("assert 1.5 >= 2.5", ["left:  1.5"]),
    ("assert false", ["assertion failed: false"]), ("assert false && 1 == 1", ["assertion failed"]),
    ("let x = [1]; let y = x[4]; assert y == 1", ["error[OutOfBounds]", "t.weir:1"]),
    ("_ = f(0)", ["error[DivisionByZero]", "t.weir:2", "in f"]),
    ("while true { }", ["error[TimeLimit]: the test did not end within 200ms", "--time-limit"]),
    ("defer { while true { } }", ["error[TimeLimit]"]), ("sleep(100000)", ["error[TimeLimit]", "t.weir:1"]),
    ("exit(0)", ["error[ProgramExited]", "exit(0)"]),
    ("assert repeat(\"x\", 9000) == \"\"", ["xxx…"]),
  ]

  @Test func whatAFailureSays() throws {
    for (body, says) in Self.failures {
      let imports = "import std/io (exit)\nimport std/clock (sleep)\nimport std/string (repeat)"
      let text = "test \"fails\" { \(body) }\nfunc f(n: int) -> int { 1 / n }\n\(imports)\n"
      let result = try #require(try run(text, limit: .milliseconds(200)).first)
      for part in says { #expect(result.failure?.contains(part) == true, "\(body): \(result.failure ?? "passed")") }
      #expect((result.failure?.utf8.count ?? 0) < 9_000, "\(body)")
    }
  }

  @Test func aBrokenStartFailsEveryTest() throws {
    let results = try run("let x = 1 / (2 - 2)\ntest \"a\" { }\ntest \"b\" { assert x == 1 }\n")
    #expect(results.count == 2 && results.allSatisfy { $0.failure?.contains("DivisionByZero") == true })
  }

  @Test func filterAndCapabilities() throws {
    let text = """
      import std/fs (exists)
      import "./lib.weir" (home)
      test "reads" { assert exists("/") }
      test "asks" { assert home() != "" }
      func main() { println("IO is not of the tests") }
      """
    let files = ["lib.weir": "export func home() -> string { env(\"HOME\") }\n", "t.weir": text]
    try TemporaryFolder.with(files) { folder in
      let file = try TestFile(folder + "/t.weir", filter: "read", config: nil)
      #expect(file.tests.map(\.name) == ["reads"] && file.tests.map(\.line) == [3])
      #expect(file.names == ["reads", "asks"])
      let line = try #require(file.refusal(granted: .io))
      #expect(line.contains("a test needs Env (`env`") && line.contains("FS (`exists`, "))
      #expect(line.contains("weir test --caps Env,FS "))
      #expect(file.refusal(granted: .all) == nil)
    }
  }

  @Test func workflowsOfAnImportedFileDoNotGetInTheWay() throws {
    let chat = LibraryTests.chat + "\nexport func twice(n: int) -> int { 2 * n }\n"
    let text = "import \"./chat.weir\" (twice)\ntest \"t\" { assert twice(2) == 4 }\n"
    #expect(try run(text, files: ["chat.weir": chat]) == [Result(name: "t")])
  }

  @Test func whichFilesHaveTests() throws {
    let files = ["a.weir": "test \"t\" { }", "d/b.weir": "func f() { }", "d/c.weir": "test \"u\" { ", "e/x.txt": ""]
    try TemporaryFolder.with(files) { folder in
      let found = try TestFile.paths(folder).map { $0.dropFirst(folder.count + 1) }
      #expect(found == ["a.weir", "d/c.weir"])
      let named = try TestFile.paths(folder + "/d/b.weir")
      #expect(named.count == 1, "what is named is looked at")
      #expect { try TestFile.paths(folder + "/e") } throws: { ($0 as? TestFailure)?.code == "NoTests" }
    }
  }
}
