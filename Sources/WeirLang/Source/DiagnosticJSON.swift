import WeirCore

/// The form for tools: `weir check --json`. `docs/errors.md` promises its members and their units.
extension DiagnosticPrinter {
  /// One JSON array on one line.
  package func json(_ diagnostics: [Diagnostic]) -> String {
    var bytes: [UInt8] = []
    JSONWriter.append(.array(diagnostics.map { json($0) }), to: &bytes)
    return String(decoding: bytes, as: UTF8.self)
  }

  package func json(_ diagnostic: Diagnostic) -> JSONValue {
    var members = [
      JSONMember("code", .string(diagnostic.code)),
      JSONMember("severity", .string(diagnostic.severity.rawValue)),
      JSONMember("title", .string(diagnostic.title)),
    ]
    members += place(diagnostic.primary)
    members += [
      JSONMember("related", .array(diagnostic.related.map { .object(place($0)) })),
      JSONMember("notes", .array(diagnostic.notes.map { .string($0) })),
      JSONMember("hint", diagnostic.hint.map { .string($0) } ?? .null),
    ]
    return .object(members)
  }

  private func place(_ label: Diagnostic.Label) -> [JSONMember] {
    guard let source = sources.source(of: label.span) else { return [JSONMember("label", .string(label.text))] }
    let start = source.position(of: Int(label.span.start))
    let end = source.position(of: Int(label.span.end))
    return [
      JSONMember("file", .string(source.name)), JSONMember("line", .int(start.line)),
      JSONMember("column", .int(start.column)), JSONMember("endLine", .int(end.line)),
      JSONMember("endColumn", .int(end.column)), JSONMember("label", .string(label.text)),
    ]
  }
}
