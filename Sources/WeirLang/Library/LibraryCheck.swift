/// Compares the library's two halves: each `extern func` of a module's text with its native, and each type that natives
/// make with its declaration. One test loads the whole library; the command line does it in debug builds.
extension Library {
  /// What does not fit, as sentences; empty when all does.
  package func mismatches() -> [String] {
    var found: [String] = []
    var typeIDs: [Int: String] = [:]
    var recordIDs: [LayoutID: [String]] = [:]
    for module in modules {
      for tag in module.types {
        if let other = typeIDs[tag.id], other != tag.name {
          found.append("type id \(tag.id) is \(other)'s and \(tag.name)'s")
        }
        typeIDs[tag.id] = tag.name
      }
      for record in module.records {
        if let other = recordIDs[record.id], other != record.names {
          found.append("record id \(record.id) is \(other)'s and \(record.names)'s")
        }
        recordIDs[record.id] = record.names
      }
      found += mismatches(of: module)
    }
    return found
  }

  private func mismatches(of module: LibraryModule) -> [String] {
    let parsed = Parser.parse(Source(name: module.name, text: module.source))
    if let first = parsed.diagnostics.first { return ["\(module.name): \(first.title)"] }
    var found: [String] = []
    var externs: Set<String> = []
    for case .declaration(let declaration) in parsed.tree.items {
      switch declaration.kind {
      case .function(let function) where function.isExtern:
        externs.insert(function.name.text)
        found += mismatches(function, module)
      case .type(let type):
        guard let tag = module.types.first(where: { $0.name == type.name.text }) else { continue }
        guard case .sum(let constructors) = type.definition, constructors.map(\.name.text) == tag.constructors else {
          found.append("\(module.name): the constructors of \(tag.name) are not those that natives use")
          continue
        }
      default: break
      }
    }
    for native in module.natives where !externs.contains(native.name) {
      found.append("\(module.name): the native \(native.name) is not declared")
    }
    for name in module.absent.keys.sorted() where !externs.contains(name) {
      found.append("\(module.name): \(name) is absent from this build and not declared either")
    }
    return found
  }

  private func mismatches(_ function: FunctionDeclaration, _ module: LibraryModule) -> [String] {
    let name = "\(module.name): \(function.name.text)"
    let natives = module.natives.filter { $0.name == function.name.text }
    if module.absent[function.name.text] != nil {
      return natives.isEmpty ? [] : ["\(name) has a native and is said to be absent from this build"]
    }
    guard natives.count == 1, let native = natives.first else { return ["\(name) has \(natives.count) natives"] }
    guard native.arity == function.parameters.count else {
      return ["\(name) has \(function.parameters.count) parameters and its native \(native.arity)"]
    }
    guard let types = native.types else { return [] }
    var found: [String] = []
    for (parameter, type) in zip(function.parameters, types.parameters) {
      let declared = parameter.type.map(Self.text) ?? "nothing"
      if declared != type {
        found.append("\(name): \(parameter.name.text) is declared \(declared), its native takes \(type)")
      }
    }
    let declared = function.result.map(Self.text) ?? "unit"
    if declared != types.result {
      found.append("\(name) is declared to give \(declared), its native gives \(types.result)")
    }
    return found
  }

  /// As `Bridged.typeName` spells types.
  private static func text(_ type: TypeExpression) -> String {
    switch type.kind {
    case .unit: "unit"
    case .named(_, let name, let arguments) where name.text == "List" && arguments.count == 1:
      "[\(text(arguments[0]))]"
    case .named(_, let name, let arguments):
      arguments.isEmpty ? name.text : "\(name.text)[\(arguments.map(text).joined(separator: ", "))]"
    case .list(let item): "[\(text(item))]"
    case .map(let key, let value): "Map[\(text(key)), \(text(value))]"
    case .option(let some): "Option[\(text(some))]"
    case .tuple(let items): "(\(items.map(text).joined(separator: ", ")))"
    case .record(let fields):
      "{" + fields.map { "\($0.name.text): \(text($0.type))" }.sorted().joined(separator: ", ") + "}"
    case .function: "function"
    case .error: "?"
    }
  }
}
