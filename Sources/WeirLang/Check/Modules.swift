/// Finds, parses and checks the modules that a program reaches, and puts imported names into scope.
///
/// `import "io"` is `std/io`; a quoted path that starts with a point, and a bare one that no library has, is a file next
/// to the importing one. A module is complete before anything that imports it is looked at, so a cycle is an error.
extension Checker {
  func loadPrelude() {
    guard let text = modulesOfLibrary.first(where: { $0.name == Prelude.module }) else { return }
    preludeModule = libraryModule(text)
  }

  func libraryModule(named name: String) -> Module? {
    if let module = modules[name] { return module }
    return modulesOfLibrary.first { $0.name == name }.map(libraryModule)
  }

  private func libraryModule(_ text: ModuleText) -> Module {
    if let module = modules[text.name] { return module }
    let source = sources.add(name: text.name, text: text.source)
    return module(text.name, source: source, isLibrary: true)
  }

  func module(_ path: String, source: Source, isLibrary: Bool) -> Module {
    let parsed = Parser.parse(source)
    let tree = parsed.tree
    unread.add(parsed, of: source)
    let span = Span(file: source.id, start: 0, end: min(1, source.bytes.count))
    let module = Module(path: path, isLibrary: isLibrary, tree: tree, span: span)
    if !isLibrary { module.tokens = parsed.lexed.tokens }
    modules[path] = module
    loading.append(path)
    for item in tree.imports { bind(item, in: module) }
    module.unknown.formUnion(unread.declarations(of: tree))
    // Groups of an importing module may be under way (a library module is loaded when its type is first named).
    let outer = afterGroup
    afterGroup = []
    Declarations(self, module).check()
    afterGroup = outer
    loading.removeLast()
    order.append(module)
    return module
  }

  // MARK: Imports

  private func bind(_ item: Import, in module: Module) {
    guard let imported = find(item, from: module) else { return }
    module.imports.append(imported)
    if let names = item.names {
      for name in names { bind(name, of: imported, in: module) }
      if let alias = item.alias { module.aliases[alias.text] = imported }
      return
    }
    module.aliases[item.alias?.text ?? Self.localName(of: imported.path)] = imported
  }

  private func bind(_ name: ImportedName, of imported: Module, in module: Module) {
    let text = name.name.text
    var found = false
    if let type = imported.exportedTypes[text] {
      module.types[name.local.text] = type
      if module.isLibrary { module.exportedTypes[name.local.text] = type }
      found = true
    } else if prelude.type(text) != nil, imported.isLibrary {
      found = true
    }
    if let values = imported.exportedValues[text] {
      if clashes(name, of: imported, values, in: module) {
        module.values[name.local.text] = []
        module.unknown.insert(name.local.text)
        return
      }
      module.values[name.local.text, default: []] += values
      // The library's modules hand on what they import by name (`std/ai/streaming` has `onEvent`).
      if module.isLibrary { module.exportedValues[name.local.text, default: []] += values }
      found = true
    } else if prelude.constructor(text) != nil, imported.isLibrary {
      found = true
    }
    if found { return }
    let candidates = Array(imported.exportedTypes.keys) + Array(imported.exportedValues.keys)
    let near = Suggestion.nearest(to: text, among: candidates)
    let hidden = imported.values[text]?.contains { $0.function?.module === imported } ?? false
    report(
      Diagnostic(
        hidden ? "E0234" : "E0204", "`\(imported.path)` does not export `\(text)`", at: name.name.span,
        hint: hidden
          ? "write `export` before it in \(imported.path)" : near.map { "did you mean `\($0)`?" }))
    // What could not be imported is still a name: its uses are no further errors.
    module.unknown.insert(name.local.text)
  }

  /// One name from two modules: constructors are told apart by type where they are used, nothing else is.
  private func clashes(
    _ name: ImportedName, of imported: Module, _ values: [Entity], in module: Module
  ) -> Bool {
    let local = name.local.text
    let isTold = values.allSatisfy { $0.constructor != nil }
    if let first = module.imported[local], first.module !== imported, !(isTold && first.isTold),
      !(module.values[local] ?? []).contains(where: { known in values.contains { $0.isSame(as: known) } })
    {
      report(
        Diagnostic(
          "E0246", "`\(local)` is imported from two modules", at: name.local.span,
          related: [.init(first.span, "of \(first.module.path)")],
          notes: ["`\(first.module.path)` and `\(imported.path)` both export it"],
          hint:
            "give one of them another name: `\(name.name.text) as …`, or name the module: `import \(imported.path) as …`"
        ))
      return true
    }
    module.imported[local] = (imported, name.local.span, isTold)
    return false
  }

  private func find(_ item: Import, from module: Module) -> Module? {
    let path = item.path.text
    if !path.hasPrefix(".") && !path.hasPrefix("/") {
      for candidate in [path, "std/" + path] {
        if loading.contains(candidate) && modules[candidate]?.isLibrary == true {
          cycle(candidate, item)
          return nil
        }
        if let found = libraryModule(named: candidate) { return found }
      }
    }
    if !module.isLibrary {
      for candidate in Self.filePaths(path, from: module.path) {
        if loading.contains(candidate) {
          cycle(candidate, item)
          markUnknown(item, module)
          return nil
        }
        if let found = modules[candidate] { return found }
        if let bytes = load(candidate) {
          let source = sources.add(name: candidate, bytes: bytes)
          return self.module(candidate, source: source, isLibrary: false)
        }
      }
    }
    let names = modulesOfLibrary.map(\.name)
    let near =
      Suggestion.nearest(to: path, among: names)
      ?? Suggestion.nearest(to: "std/" + path, among: names)
    report(
      Diagnostic(
        "E0203", "there is no module `\(path)`", at: item.path.span,
        hint: near.map { "did you mean `\($0)`?" } ?? (item.isQuoted ? "paths are relative to the importing file" : nil)
      ))
    markUnknown(item, module)
    return nil
  }

  /// Names of an import that failed: using them is no further error.
  private func markUnknown(_ item: Import, _ module: Module) {
    for name in item.names ?? [] { module.unknown.insert(name.local.text) }
    if item.names == nil {
      module.unknown.insert(item.alias?.text ?? Self.localName(of: item.path.text))
    }
  }

  private func cycle(_ path: String, _ item: Import) {
    let start = loading.firstIndex(of: path) ?? 0
    let chain = (loading[start...] + [path]).joined(separator: " -> ")
    report(
      Diagnostic(
        "E0207", "these modules import each other", at: item.path.span, notes: [chain],
        hint: "move what both need into a third module"))
  }

  /// Where a file import may be: beside the importing file, with the ending left out or not.
  static func filePaths(_ path: String, from importer: String) -> [String] {
    let base = importer.split(separator: "/", omittingEmptySubsequences: false).dropLast()
    var parts = path.hasPrefix("/") ? [] : base.map(String.init)
    for part in path.split(separator: "/", omittingEmptySubsequences: false) {
      switch part {
      case ".": continue
      case "..":
        if let last = parts.last, last != ".." { parts.removeLast() } else { parts.append("..") }
      default: parts.append(String(part))
      }
    }
    let joined = parts.joined(separator: "/")
    let hasEnding = path.split(separator: "/").last?.contains(".") ?? false
    return hasEnding ? [joined] : [joined + ".weir", joined]
  }

  // MARK: Standard names without import

  /// A type that some library module exports under this name, loading that module.
  func standardType(_ name: String) -> TypeEntity? {
    if let type = prelude.type(name) { return .named(type) }
    if let known = standardTypes[name] { return known }
    for text in modulesOfLibrary where text.declares(type: name) {
      if loading.contains(text.name) { continue }
      if let type = libraryModule(text).exportedTypes[name] {
        standardTypes[name] = type
        return type
      }
    }
    return nil
  }

  /// Library modules that export a value of this name: for hints.
  func modulesExporting(value name: String) -> [String] {
    modulesOfLibrary.filter { text in
      text.mentions(name) && !loading.contains(text.name) && libraryModule(text).exportedValues[name] != nil
    }.map(\.name)
  }

  /// Every standard type's name, for suggestions. Only asked for when there is an error to explain.
  var standardTypeNames: [String] {
    modulesOfLibrary.flatMap { $0.declaredNames(after: "type ") } + ["Option", "Result"]
  }
}

extension ModuleText {
  func declares(type name: String) -> Bool { declaredNames(after: "type ").contains(name) }
  /// Whether a function or a constructor of this name may be declared here.
  func mentions(_ name: String) -> Bool {
    ["func ", "| ", "= "].contains { declaredNames(after: $0).contains(name) }
  }

  /// Names that follow a keyword. Only a hint where to look: the module is parsed before anything is believed.
  func declaredNames(after keyword: String) -> [String] {
    let text = Array(source.utf8)
    let wanted = Array(keyword.utf8)
    var names: [String] = []
    var index = 0
    while index + wanted.count <= text.count {
      guard text[index] == wanted[0], text[index..<index + wanted.count].elementsEqual(wanted) else {
        index += 1
        continue
      }
      index += wanted.count
      let start = index
      while index < text.count, Self.isNameByte(text[index]) { index += 1 }
      names.append(String(decoding: text[start..<index], as: UTF8.self))
    }
    return names
  }

  private static func isNameByte(_ byte: UInt8) -> Bool {
    (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte) || byte == 95 || byte >= 128
  }
}
