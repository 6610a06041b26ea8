/// Which parts of a program the parser could not make sense of, so that one missing bracket is one error.
///
/// A top-level item with a syntax error in it is still checked, as far as it was read, but what the checker finds there
/// is not shown: it is about a program that nobody wrote. A declaration whose head could not be read becomes a name of
/// which nothing is known, and a name that only an unread part could have declared is not called unknown.
struct UnreadParts {
  /// Of the parser, for all files.
  private(set) var diagnostics: [Diagnostic] = []
  private var parts: [Span] = []
  /// Every word in those parts.
  private var words: Set<String> = []

  /// Codes that say "there is no such name".
  private static let missing: Set<String> = [
    "E0201", "E0202", "E0204", "E0206", "E0210", "E0212", "E0231", "E0232", "E0233", "E0234", "E0235", "E0244",
  ]

  mutating func add(_ parsed: Parser.Result, of source: Source) {
    diagnostics += parsed.diagnostics
    guard parsed.diagnostics.hasErrors else { return }
    let starts = parsed.tree.items.map(\.span.start)
    for diagnostic in parsed.diagnostics {
      // An unclosed bracket may have taken in all that follows, up to where it was noticed.
      let last = diagnostic.related.map(\.span.start).max() ?? diagnostic.span.start
      let start = starts.last { $0 <= diagnostic.span.start } ?? 0
      let end = starts.first { $0 > max(last, diagnostic.span.start) } ?? UInt32(clamping: source.bytes.count + 1)
      let part = Span(file: source.id, start: Int(start), end: Int(end))
      if parts.contains(part) { continue }
      parts.append(part)
      words.formUnion(Self.words(in: source.bytes[part.range.clamped(to: 0..<source.bytes.count)]))
    }
  }

  /// It would not be there, had everything been read.
  func explains(_ diagnostic: Diagnostic, _ sources: SourceMap) -> Bool {
    if parts.isEmpty { return false }
    if holds(diagnostic.span) { return true }
    guard Self.missing.contains(diagnostic.code) else { return false }
    return words.contains(sources.source(of: diagnostic.span)?.text(diagnostic.span) ?? "")
  }

  private func holds(_ span: Span) -> Bool {
    parts.contains { $0.file == span.file && $0.start <= span.start && span.start < $0.end }
  }

  /// Names of a file's declarations that say less than was written: a head with a mistake, or an inferred result of a
  /// body with one.
  func declarations(of tree: Tree) -> [String] {
    if parts.isEmpty { return [] }
    return tree.declarations.compactMap { declaration in
      guard let name = declaration.name, holds(declaration.span) else { return nil }
      if case .function(let function) = declaration.kind, function.result != nil, let body = function.body {
        let isHeadRead = !diagnostics.contains {
          $0.span.file == body.span.file && declaration.span.start <= $0.span.start && $0.span.start < body.span.start
        }
        if isHeadRead { return nil }
      }
      return name.text
    }
  }

  private static func words(in bytes: ArraySlice<UInt8>) -> [String] {
    bytes.split { byte in
      !((48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte) || byte == 95 || byte >= 128)
    }.map { String(decoding: $0, as: UTF8.self) }
  }
}
