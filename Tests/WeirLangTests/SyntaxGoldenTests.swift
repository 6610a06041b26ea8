import Testing
import WeirLang

import struct Foundation.Data
import class Foundation.FileManager
import class Foundation.ProcessInfo
import struct Foundation.URL

/// The program is the test: each file under `golden/syntax` holds a source, a line `=== expected`, and what comes of it.
///
/// In `errors/` that is the rendered diagnostics, in `trees/` the dump of the tree, of a program without any.
/// `WEIR_UPDATE_GOLDEN=1 swift test --filter SyntaxGolden` rewrites them; read the diff before committing it.
@Suite struct SyntaxGoldenTests {
  static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent(
    "golden/syntax")

  static func cases(_ kind: String) -> [String] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.appendingPathComponent(kind).path)) ?? []
    return names.filter { $0.hasSuffix(".weir") }.sorted().map { kind + "/" + $0 }
  }

  @Test(arguments: cases("errors")) func errors(_ name: String) throws {
    try check(name) { source, result in
      #expect(!result.diagnostics.isEmpty)
      return DiagnosticPrinter(source).text(result.diagnostics)
    }
  }

  @Test(arguments: cases("trees")) func trees(_ name: String) throws {
    try check(name) { source, result in
      #expect(result.diagnostics.isEmpty, "\(DiagnosticPrinter(source).text(result.diagnostics))")
      return TreePrinter.text(result.tree)
    }
  }

  @Test func everyCodeOfTheSyntaxHasAGolden() {
    let named = Set(Self.cases("errors").map { String($0.dropFirst(7).prefix(5)) })
    let codes =
      (1...12).map { "E00" + ($0 < 10 ? "0\($0)" : "\($0)") } + (1...23).map { "E01" + ($0 < 10 ? "0\($0)" : "\($0)") }
    #expect(codes.filter { !named.contains($0) } == [])
  }

  private func check(_ name: String, _ show: (Source, Parser.Result) -> String) throws {
    let file = Self.folder.appendingPathComponent(name)
    let bytes = [UInt8](try Data(contentsOf: file))
    let marker = Array("=== expected\n".utf8)
    let split = (0...max(0, bytes.count - marker.count)).first { at in
      (at == 0 || bytes[at - 1] == 0x0A) && bytes[at...].starts(with: marker)
    }
    let program = Array(bytes[..<(split ?? bytes.count)])
    let source = Source(name: "main.weir", bytes: program)
    let actual = show(source, Parser.parse(source))
    if ProcessInfo.processInfo.environment["WEIR_UPDATE_GOLDEN"] != nil {
      try Data(program + marker + Array(actual.utf8)).write(to: file)
      return
    }
    let expected = split.map { String(decoding: bytes[($0 + marker.count)...], as: UTF8.self) }
    #expect(actual == expected, "\(name); rewrite with WEIR_UPDATE_GOLDEN=1 swift test --filter SyntaxGolden")
  }
}
