/// One thing to say about a program: what is wrong, where, what was promised elsewhere, what to do.
///
/// Plain data, made by lexer, parser and checker, shown by `DiagnosticPrinter`. The primary span says what *is*; related
/// spans say what was expected and where that comes from. Codes: E00xx lexer, E01xx parser, E02xx names and imports,
/// E03xx types, E04xx patterns, E05xx effects and capabilities, E09xx limits; W… for warnings and N… for notes, same ranges.
/// A room's words stand in one place: the lexer's and parser's in `SyntaxError`.
package struct Diagnostic: Equatable, Sendable {
  /// A note says what could be tidier: `weir check` shows it, a run doesn't.
  package enum Severity: String, Sendable { case error, warning, note }

  package struct Label: Equatable, Sendable {
    package var span: Span
    package var text: String

    package init(_ span: Span, _ text: String) {
      self.span = span
      self.text = text
    }
  }

  package var code: String
  package var severity: Severity
  /// The category in the reader's words, one line, no full stop: "this string is never closed".
  package var title: String
  /// The place, underlined with `^`; its label may be empty.
  package var primary: Label
  /// Other places, underlined with `-`.
  package var related: [Label]
  /// Expected, found, how it came about.
  package var notes: [String]
  /// The next step; text between backquotes can be pasted.
  package var hint: String?

  package init(
    _ code: String, _ title: String, at span: Span, label: String = "", related: [Label] = [], notes: [String] = [],
    hint: String? = nil, severity: Severity? = nil
  ) {
    self.code = code
    self.severity = severity ?? Self.severity(code)
    self.title = title
    self.primary = Label(span, label)
    self.related = related
    self.notes = notes
    self.hint = hint
  }

  /// Failures at run time have words for codes, whatever they begin with.
  private static func severity(_ code: String) -> Severity {
    guard code.dropFirst().allSatisfy(\.isNumber) else { return .error }
    return code.hasPrefix("W") ? .warning : code.hasPrefix("N") ? .note : .error
  }

  package var span: Span { primary.span }
  package var isError: Bool { severity == .error }
}

extension [Diagnostic] {
  package var hasErrors: Bool { contains { $0.isError } }

  /// In order of place, the order they are shown in; equal places keep their order.
  package func sortedByPlace() -> [Diagnostic] {
    enumerated().sorted { a, b in
      a.element.span == b.element.span ? a.offset < b.offset : a.element.span < b.element.span
    }
    .map(\.element)
  }
}
