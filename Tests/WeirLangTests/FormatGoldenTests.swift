import Foundation
import Testing
import WeirLang

/// Before and after: each file under `golden/format` holds a program, a line `=== expected`, and its canonical spelling.
///
/// `WEIR_UPDATE_GOLDEN=1 swift test --filter FormatGolden` rewrites them; read the diff before committing it.
@Suite struct FormatGoldenTests {
  static let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "golden/format")
  static let names = ((try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []).sorted()
  static let marker = "=== expected\n"

  @Test(arguments: names) func golden(_ name: String) throws {
    let file = Self.folder.appending(path: name)
    let parts = try String(contentsOf: file, encoding: .utf8).components(separatedBy: Self.marker)
    guard case .formatted(let text) = Formatter.format(Source(name: name, text: parts[0])) else {
      Issue.record("\(name) was not formatted")
      return
    }
    if ProcessInfo.processInfo.environment["WEIR_UPDATE_GOLDEN"] != nil {
      try (parts[0] + Self.marker + text).write(to: file, atomically: true, encoding: .utf8)
      return
    }
    #expect(parts.count == 2 && text == parts[1])
    let longest = text.split(separator: "\n").map(\.unicodeScalars.count).max() ?? 0
    #expect(longest <= Formatter.width)
  }

  @Test func mistakesAreLeftAlone() {
    guard case .unreadable(let diagnostics) = Formatter.format(Source(name: "p", text: "func f( {\n")) else {
      Issue.record("it should not be readable")
      return
    }
    #expect(diagnostics.hasErrors)
  }

  @Test(arguments: [
    "", "\n\n", "   ", "// only this", "/* a\n b */", "\u{FEFF}#!/usr/bin/env weir\nlet a = 1", "a;;;b",
  ])
  func oddFiles(_ text: String) { #expect(FormatPropertyTests.fault(text) == nil) }
}
