/// What a module offers, for readers: its summary, and each thing it exports with signature and documentation.
///
/// Made from the syntax tree of the module's text, so it is the text that the checker reads. The comment at the top of a
/// file is the module's own; `///` lines are of the declaration below them. Knows no terminal: see
/// `DocumentationWriter`.
package struct ModuleDocumentation: Sendable {
  package struct Entry: Sendable {
    package enum Kind: String, Sendable { case function, type, constant, provider, agent, tool, workflow, exec }
    package var kind: Kind
    package var name: String
    /// In canonical spelling, without a body.
    package var signature: String
    package var text: String
    /// Declared, so that programs can be checked, and refused before a program runs.
    package var isAbsent: Bool
    /// Constructors of a sum type.
    package var constructors: [String]
  }

  /// As imported, or the path of a file.
  package var name: String
  /// The first paragraph of the comment at the top.
  package var summary: String
  /// The others.
  package var text: String
  package var entries: [Entry]
  /// Names of other library modules that can be imported from here as well.
  package var handedOn: [(module: String, names: [String])]

  /// `inferred`: types and effects of functions that the file leaves out, from `CheckResult.signatures`.
  package init(
    _ source: Source, absent: Set<String> = [], inferred: [CheckResult.Signature] = [], isLibrary: Bool = false
  ) {
    let tree = Parser.parse(source).tree
    name = source.name
    let parts = Self.paragraphs(TopComment.text(source, tree))
    summary = parts.first ?? ""
    text = parts.dropFirst().joined(separator: "\n\n")
    let types = Dictionary(inferred.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
    let writer = SignatureWriter(source: source, inferred: types)
    let declared = tree.declarations
    let exported = declared.filter { $0.isExported || $0.isStartedByName }
    // A program that exports nothing is documented as a whole.
    entries = (exported.isEmpty && !isLibrary ? declared : exported).compactMap { declaration in
      guard let name = declaration.name?.text, let kind = declaration.entryKind else { return nil }
      return Entry(
        kind: kind, name: name, signature: writer.signature(declaration), text: declaration.writtenDocumentation,
        isAbsent: absent.contains(name), constructors: declaration.constructorNames)
    }
    handedOn =
      isLibrary
      ? tree.imports.compactMap { item in
        item.names.map { (item.path.text, $0.map(\.local.text)) }
      } : []
  }

  private static func paragraphs(_ text: String) -> [String] {
    var paragraphs: [[Substring]] = [[]]
    for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
      if line.isEmpty { paragraphs.append([]) } else { paragraphs[paragraphs.count - 1].append(line) }
    }
    return paragraphs.filter { !$0.isEmpty }.map { $0.joined(separator: " ") }
  }
}

extension LibraryModule {
  package var documentation: ModuleDocumentation {
    ModuleDocumentation(Source(name: name, text: source), absent: Set(absent.keys), isLibrary: true)
  }
}

/// The comment at the top of a file, before any declaration: `//` lines, or a `/* */`.
enum TopComment {
  static func text(_ source: Source, _ tree: Tree) -> String {
    let comments = Comments(source, Lexer.lex(source)).all
    let starts = tree.imports.map(\.span.start) + [tree.module?.span.start].compactMap(\.self)
    let first = (tree.items.map(\.span.start) + starts).min().map { Int($0) } ?? Int.max
    var lines: [String] = []
    var last: Int?
    for comment in comments {
      let line = source.lineIndex(of: comment.range.lowerBound)
      if let last, line > last + 1 { break }
      guard comment.range.lowerBound < first, comment.isLastOnLine else { break }
      // `///` is of the declaration below it.
      if comment.text.hasPrefix("///"), starts.isEmpty { break }
      lines += words(comment.text)
      last = source.lineIndex(of: max(comment.range.lowerBound, comment.range.upperBound - 1))
    }
    return lines.joined(separator: "\n")
  }

  private static func words(_ comment: String) -> [String] {
    var text = Substring(comment)
    if text.hasPrefix("/*") {
      text = text.dropFirst(2).dropLast(2)
      return text.split(separator: "\n", omittingEmptySubsequences: false).map { line in
        line.drop { $0 == "*" || $0.isWhitespace }.split(whereSeparator: \.isWhitespace).joined(separator: " ")
      }.filter { !$0.isEmpty }
    }
    text = text.drop { $0 == "/" }
    return [String(text.first == " " ? text.dropFirst() : text)]
  }
}

extension Declaration {
  /// The host or a model starts it by its name: that is what the program offers.
  fileprivate var isStartedByName: Bool {
    switch kind {
    case .workflow, .tool, .agent, .provider: true
    default: false
    }
  }

  fileprivate var entryKind: ModuleDocumentation.Entry.Kind? {
    switch kind {
    case .function: .function
    case .type: .type
    case .constant: .constant
    case .provider: .provider
    case .agent: .agent
    case .tool: .tool
    case .workflow: .workflow
    case .exec: .exec
    case .guard, .test, .error: nil
    }
  }

  /// A tool's description is what a model reads; it serves people as well.
  fileprivate var writtenDocumentation: String {
    if let documentation { return documentation.split(separator: "\n").map(String.init).joined(separator: "\n") }
    if case .tool(let tool) = kind { return tool.description ?? "" }
    return ""
  }

  fileprivate var constructorNames: [String] {
    if case .type(let type) = kind, case .sum(let cases) = type.definition { cases.map(\.name.text) } else { [] }
  }
}
