/// The library as the checker and the emitter see it: modules of `.weir` text and the Swift bodies of their `extern func`s.
///
/// Signatures and effects are written once, in the text, where users read them and the checker parses them like any
/// other declaration; Swift supplies bodies only. `Library.check` (see LibraryCheck.swift) compares the two at load.
/// The language's own modules are `Library.language`; the rooms above add theirs the same way:
///
///     let library = Library.language + [LibraryModule(name: "std/clock", source: text, natives: […])]
package struct LibraryModule {
  /// As imported: `std/io`.
  package var name: String
  /// `.weir` text: types, `extern func` signatures with effects, and whatever is written in the language itself.
  package var source: String
  package var natives: [Native]
  /// Sum types of this module that natives make or take apart. Their names and constructors must be in `source`.
  package var types: [TypeTag]
  /// Records that natives make.
  package var records: [RecordTag]
  /// `extern func`s of `source` that this build has no native for, and what each is called in a sentence: programs that
  /// use one are checked like all others, and refused before anything of them runs.
  package var absent: [String: String]

  package init(
    name: String, source: String, natives: [Native], types: [TypeTag] = [], records: [RecordTag] = [],
    absent: [String: String] = [:]
  ) {
    self.absent = absent
    self.name = name
    self.source = source
    self.natives = natives
    self.types = types
    self.records = records
  }
}

package struct Library {
  package private(set) var modules: [LibraryModule]
  private var byName: [String: Int] = [:]
  private var nativeByName: [String: Native] = [:]

  /// A module of a name that is already there replaces it (tests give a native another body this way).
  package init(_ modules: [LibraryModule]) {
    self.modules = []
    for module in modules { add(module) }
  }

  package static func + (library: Library, modules: [LibraryModule]) -> Library {
    var sum = library
    for module in modules { sum.add(module) }
    return sum
  }

  private mutating func add(_ module: LibraryModule) {
    if let place = byName[module.name] {
      for native in modules[place].natives { nativeByName[module.name + "." + native.name] = nil }
      modules[place] = module
    } else {
      byName[module.name] = modules.count
      modules.append(module)
    }
    for native in module.natives { nativeByName[module.name + "." + native.name] = native }
  }

  package subscript(_ module: String) -> LibraryModule? { byName[module].map { modules[$0] } }
  package func native(_ name: String, in module: String) -> Native? { nativeByName[module + "." + name] }
  /// How to call a function that is declared and not in this build; nil for every other.
  package func absent(_ name: String, in module: String) -> String? { self[module]?.absent[name] }
  /// The tag of a library's sum type, if natives know it.
  package func typeTag(_ type: String, in module: String) -> TypeTag? {
    self[module]?.types.first { $0.name == type }
  }
}

/// A sum type whose values natives make or read. The id is written down by hand so that natives need no look-up:
/// 1–15 the language, 16–63 streams and processes, 64–127 AI, 128–191 serving, others from 192; program's own types
/// start at `CoreType.firstFree`.
package struct TypeTag: Sendable {
  package let id: Int
  package let name: String
  /// In the order of the declaration.
  package let constructors: [String]
  package init(_ id: Int, _ name: String, _ constructors: [String]) {
    self.id = id
    self.name = name
    self.constructors = constructors
  }
  package subscript(_ index: Int) -> ConstructorTag { ConstructorTag(type: id, index: index) }
  /// By name; nil when there is none.
  package subscript(_ name: String) -> ConstructorTag? {
    constructors.firstIndex(of: name).map { ConstructorTag(type: id, index: $0) }
  }

  package static let option = TypeTag(1, "Option", ["Some", "None"])
  package static let result = TypeTag(2, "Result", ["Ok", "Err"])
  /// `JObject` holds a `Map[string, Json]` in written order; `JNumber` keeps exact integers.
  package static let json = TypeTag(3, "Json", ["JNull", "JBool", "JNumber", "JString", "JArray", "JObject"])
}

/// A record that natives make: its field names, sorted, under an id in the same ranges as `TypeTag` (0 is the tuple).
package struct RecordTag: Sendable {
  package static let firstFree = 1024
  package let id: LayoutID
  package let names: [String]
  package init(_ id: Int, _ names: [String]) {
    self.id = LayoutID(id)
    self.names = names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
  }
  /// Values by name, in any order. A name that is not a field, or a missing one, is a mistake of the native's author.
  package func value(_ fields: KeyValuePairs<String, Value>) -> Value {
    precondition(fields.count == names.count, "record with fields \(names)")
    return .record(
      id,
      Fields.of(
        names.map { name in
          guard let field = fields.first(where: { $0.key == name }) else { preconditionFailure("no field \(name)") }
          return field.value
        }))
  }
}
