import WeirCore

/// Finds what somebody wants to read about: a module, or a name in one or several modules.
package struct DocumentationCatalogue: Sendable {
  package enum Found: Sendable {
    case module(ModuleDocumentation)
    /// One for each module that has the name; that module holds nothing else then.
    case entries([ModuleDocumentation])
    case nothing(nearest: String?)
  }

  package let modules: [ModuleDocumentation]

  package init(_ library: Library) { modules = library.modules.map(\.documentation).sorted { $0.name < $1.name } }

  /// `std/stream`, `stream`, `std/stream.connect`, `stream.connect`, `connect`, a constructor.
  package func find(_ wanted: String) -> Found {
    if let module = module(wanted) { return .module(module) }
    if let dot = wanted.lastIndex(of: "."), let module = module(String(wanted[..<dot])) {
      let name = String(wanted[wanted.index(after: dot)...])
      if let found = module.only(name) { return .entries([found]) }
      let near = Spelling.nearest(to: name, among: module.names)
      return .nothing(nearest: near.map { "\(module.name).\($0)" })
    }
    let found = modules.compactMap { $0.only(wanted) }
    if !found.isEmpty { return .entries(found) }
    let names = modules.flatMap { [$0.name, Self.short($0.name)] + $0.names }
    return .nothing(nearest: Spelling.nearest(to: wanted, among: names))
  }

  private func module(_ name: String) -> ModuleDocumentation? {
    modules.first { $0.name == name } ?? modules.first { Self.short($0.name) == name }
  }

  private static func short(_ name: String) -> String { name.hasPrefix("std/") ? String(name.dropFirst(4)) : name }
}

extension ModuleDocumentation {
  fileprivate var names: [String] { entries.flatMap { [$0.name] + $0.constructors } }

  /// The module with nothing but this name, or the type that this constructor is of.
  package func only(_ name: String) -> ModuleDocumentation? {
    let found = entries.filter { $0.name == name || $0.constructors.contains(name) }
    if found.isEmpty { return nil }
    var copy = self
    copy.entries = found
    copy.handedOn = []
    return copy
  }
}
