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
    let names = imports.map(Self.names)
    let used = words(of: module, among: Set(names.flatMap { $0.map(\.text) }))
    return zip(imports, names).compactMap { item, names in
      let free = names.filter { !used.contains($0.text) }
      return free.isEmpty ? nil : Self.unusedImport(free)
    }
  }

  /// What an import brings, by the names it has here.
  private static func names(of item: Import) -> [(text: String, span: Span)] {
    if let names = item.names { return names.map { ($0.local.text, $0.local.span) } }
    let name = item.alias ?? item.path
    return [(item.alias?.text ?? localName(of: item.path.text), name.span)]
  }

  /// Which of these stand outside the module's imports. A program has far more words than imports: most are told apart by
  /// their length alone.
  private func words(of module: Module, among wanted: Set<String>) -> Set<String> {
    let source = sources.sources[Int(module.tree.source)]
    let lengths = Set(wanted.map(\.utf8.count))
    var isLength = [Bool](repeating: false, count: (lengths.max() ?? 0) + 1)
    for length in lengths { isLength[length] = true }
    var found: Set<String> = []
    for token in module.tokens where token.kind == .name || token.kind.isKeyword {
      let length = Int(token.end - token.start)
      guard length < isLength.count, isLength[length] else { continue }
      let isImport = module.tree.imports.contains { $0.span.start <= token.start && token.start < $0.span.end }
      if isImport { continue }
      let text = source.text(Int(token.start)..<Int(token.end))
      if wanted.contains(text) { found.insert(text) }
    }
    return found
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
