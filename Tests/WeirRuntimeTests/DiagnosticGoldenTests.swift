/// Every diagnostic as its reader sees it: a file of `golden/diagnostics` holds a program, a line `=== expected`, and
/// what `weir check` prints for it. The name of a file starts with the code it shows.
///
/// `## FILE path` starts another file of the program. The codes of lexer and parser have theirs in
/// `WeirLangTests/golden/syntax/errors`.
/// `WEIR_UPDATE_GOLDEN=1 swift test --filter DiagnosticGolden` rewrites them; read the diff as the user who gets it.
import Foundation
import Testing
import _StringProcessing

@testable import WeirLang

@Suite struct DiagnosticGoldenTests {
  static let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
  static let folder = tests.appendingPathComponent("golden/diagnostics")
  static let cases = files(folder).filter { $0.hasSuffix(".weir") }

  /// Codes that a golden of a readable size cannot show, and the test that makes them.
  static let elsewhere = [
    "E0902": "SyntaxLimitTests: a file of more than 16 MiB",
    "E0903": "SyntaxLimitTests, CheckLimitTests: hundreds of mistakes",
  ]

  static func files(_ folder: URL) -> [String] {
    ((try? FileManager.default.subpathsOfDirectory(atPath: folder.path)) ?? []).sorted()
  }

  @Test(arguments: cases) func rendering(_ name: String) throws {
    let file = Self.folder.appendingPathComponent(name)
    let text = try String(contentsOf: file, encoding: .utf8)
    let marker = try #require(text.range(of: "=== expected\n"))
    let program = String(text[..<marker.lowerBound])
    let code = String((name.split(separator: "/").last ?? "").prefix(5))
    let result = Self.check(program, entry: code == "E0212" ? "start" : "main")
    #expect(result.diagnostics.contains { $0.code == code }, "\(name) does not show \(code)")
    let shown = DiagnosticPrinter(result.sources).text(result.diagnostics)
    if ProcessInfo.processInfo.environment["WEIR_UPDATE_GOLDEN"] != nil {
      try (program + "=== expected\n" + shown).write(to: file, atomically: true, encoding: .utf8)
      return
    }
    #expect(
      shown == String(text[marker.upperBound...]),
      "\(name); rewrite with WEIR_UPDATE_GOLDEN=1 swift test --filter DiagnosticGolden")
  }

  private static func check(_ text: String, entry: String) -> CheckResult {
    let parts = text.components(separatedBy: "## FILE ")
    var files: [String: String] = [:]
    for part in parts.dropFirst() {
      let lines = part.split(separator: "\n", maxSplits: 1, omittingEmptySubsequences: false)
      files[String(lines[0])] = lines.count > 1 ? String(lines[1]) : ""
    }
    return Bench.check(parts[0], name: "main.weir", entry: entry, files: files)
  }

  /// The sources are searched for codes: one that nobody has seen rendered is not finished.
  @Test func everyCodeHasAGolden() throws {
    let sources = Self.tests.appendingPathComponent("../../Sources")
    var codes: Set<String> = []
    let pattern = try Regex("\"([EWN][0-9]{4})\"")
    for name in Self.files(sources) where name.hasSuffix(".swift") {
      let text = try String(contentsOf: sources.appendingPathComponent(name), encoding: .utf8)
      for match in text.matches(of: pattern) { if let code = match[1].substring { codes.insert(String(code)) } }
    }
    #expect(codes.count >= 120, "\(codes.count)")
    let syntax = Self.files(Self.tests.appendingPathComponent("../WeirLangTests/golden/syntax/errors"))
    let shown = Set((Self.cases + syntax).map { String(($0.split(separator: "/").last ?? "").prefix(5)) })
    #expect(codes.subtracting(shown).subtracting(Self.elsewhere.keys).sorted() == [])
    #expect(shown.filter { "EWN".contains($0.prefix(1)) }.subtracting(codes).sorted() == [], "no such code")
  }
}
