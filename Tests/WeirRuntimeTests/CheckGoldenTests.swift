/// Golden transcripts of the checker: every file in `golden/check` is one program with what must be found in it.
///
///     # SOURCE      the program (`## FILE path` starts another file of it)
///     # TYPES       inferred signature of every top-level name
///     # EFFECTS     what the entry reaches, and how
///     # PROBLEMS    diagnostics in order: place, code, title, then label, related, notes, hint
///
/// `WEIR_UPDATE=1 swift test --filter CheckGoldenTests` rewrites what follows the source; read the diff.
import Foundation
import Testing

@testable import WeirLang

struct CheckGoldenTests {
  static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("golden/check")
  static let cases: [String] =
    ((try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []).filter { $0.hasSuffix(".txt") }.sorted()

  @Test func thereAreCases() { #expect(Self.cases.count >= 50) }

  @Test(arguments: cases)
  func transcript(_ name: String) throws {
    let file = Self.folder.appendingPathComponent(name)
    let text = try String(contentsOf: file, encoding: .utf8)
    let source = CheckTranscript.source(of: text)
    let found = CheckTranscript.write(source)
    if ProcessInfo.processInfo.environment["WEIR_UPDATE"] != nil {
      try found.write(to: file, atomically: true, encoding: .utf8)
    }
    #expect(found == text, "WEIR_UPDATE=1 swift test --filter CheckGoldenTests rewrites \(name)")
  }
}

enum CheckTranscript {
  static func source(of text: String) -> String {
    let body = text.hasPrefix("# SOURCE\n") ? String(text.dropFirst("# SOURCE\n".count)) : text
    let end = body.range(of: "\n# TYPES\n")?.lowerBound ?? body.endIndex
    return String(body[..<end])
  }

  static func write(_ source: String) -> String {
    let parts = source.components(separatedBy: "\n## FILE ")
    var files: [String: String] = [:]
    for part in parts.dropFirst() {
      let end = part.firstIndex(of: "\n") ?? part.endIndex
      files[String(part[..<end])] = String(part[end...].dropFirst())
    }
    let result = Bench.check(parts[0], files: files)
    let types = result.signatures.map { "\($0.name): \($0.type)\n" }.joined()
    let effects = result.effects.summary.map { $0 + "\n" }.joined()
    let problems = result.diagnostics.map { problem($0, result.sources) }.joined()
    return "# SOURCE\n\(source)\n# TYPES\n\(types)\n# EFFECTS\n\(effects)\n# PROBLEMS\n\(problems)"
  }

  static func problem(_ diagnostic: Diagnostic, _ sources: SourceMap) -> String {
    var lines = ["\(place(diagnostic.span, sources)) \(diagnostic.code) \(diagnostic.title)"]
    let source = sources.source(of: diagnostic.span)
    let shown = source?.text(diagnostic.span).split(separator: "\n").first.map(String.init) ?? ""
    lines.append("  ^ \(shown)\(diagnostic.primary.text.isEmpty ? "" : "   \(diagnostic.primary.text)")")
    for label in diagnostic.related { lines.append("  - \(place(label.span, sources)) \(label.text)") }
    for note in diagnostic.notes { lines.append("  = \(note)") }
    if let hint = diagnostic.hint { lines.append("  > \(hint)") }
    return lines.map { $0 + "\n" }.joined()
  }

  private static func place(_ span: Span, _ sources: SourceMap) -> String {
    guard let source = sources.source(of: span) else { return "-" }
    let position = source.position(of: Int(span.start))
    let file = source.name == "test.weir" ? "" : "\(source.name):"
    return "\(file)\(position.line):\(position.column)"
  }
}
