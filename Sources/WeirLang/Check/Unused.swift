/// Notes about names that nothing uses. Only looked for in a program without errors, and never in the library.
extension Checker {
  var unused: [Diagnostic] {
    watched.filter { !$0.isUsed }.map { binding in
      let name = binding.local.name
      return Diagnostic(
        "N0202", "nothing reads `\(name)`", at: binding.span,
        hint: "leave it out; `_ = …` only does what is on the right, and `_\(name)` says that it is meant so")
    } + modules.values.filter { !$0.isLibrary }.flatMap(unusedImports)
  }

  /// One for each import. A name counts as used wherever the word stands outside of imports, so none is blamed in vain.
  private func unusedImports(of module: Module) -> [Diagnostic] {
    let imports = module.tree.imports
    guard !imports.isEmpty else { return [] }
    let source = sources.sources[Int(module.tree.source)]
    var words: Set<String> = []
    for token in Lexer.lex(source).tokens where token.kind == .name || token.kind.isKeyword {
      if imports.contains(where: { $0.span.start <= token.start && token.start < $0.span.end }) { continue }
      words.insert(source.text(Int(token.start)..<Int(token.end)))
    }
    return imports.compactMap { item in
      guard let names = item.names else {
        let name = item.alias ?? item.path
        let local = item.alias?.text ?? Self.localName(of: item.path.text)
        return words.contains(local) ? nil : Self.unusedImport([(local, name.span)])
      }
      let free = names.map(\.local).filter { !words.contains($0.text) }
      return free.isEmpty ? nil : Self.unusedImport(free.map { ($0.text, $0.span) })
    }
  }

  private static func unusedImport(_ names: [(text: String, span: Span)]) -> Diagnostic {
    let list = names.map { "`\($0.text)`" }.joined(separator: ", ")
    return Diagnostic(
      "N0201", "nothing uses the import\(names.count == 1 ? "" : "s") \(list)", at: names[0].span,
      related: names.dropFirst().map { .init($0.span, "") }, hint: "remove \(names.count == 1 ? "it" : "them")")
  }

  /// `json` of `std/json`, `util` of `./lib/util.weir`.
  static func localName(of path: String) -> String {
    let last = path.split(separator: "/").last.map(String.init) ?? path
    return last.split(separator: ".").first.map(String.init) ?? last
  }

  /// A declaration took the place of an import of the same name.
  func noteHidden(_ name: String, by entity: Entity, in module: Module) {
    guard let first = module.imported[name], !first.isTold else { return }
    let span =
      switch entity {
      case .function(let function): function.span
      case .global(let global): global.span
      case .constructor: Span.none
      }
    if span.isNone { return }
    report(
      Diagnostic(
        "N0203", "`\(name)` hides the import of that name", at: span,
        related: [.init(first.span, "imported from \(first.module.path) here")],
        hint: "import it under another name: `\(name) as …`, or leave it out there"))
  }
}
