/// A checked program as a whole: what the emitter turns into a `Program`, and what the host needs to know about it.
package struct CoreProgram {
  /// Library functions used, and the program's own. `Core.Node.function` and `callFunction` index this.
  package var functions: [CoreFunction]
  /// In the order in which they are initialised.
  package var globals: [CoreGlobal]
  /// Every native that is called. `Core.Node.native` and `callNative` index this.
  package var natives: [CoreNative]
  /// Sum types with their constructors' names (for `show`, JSON). Library types keep the ids their modules gave.
  package var types: [CoreType]
  /// Run first, after the globals: top-level statements in order, or nil.
  package var script: Int?
  /// The function named by `--entry`.
  package var entry: Int?
  /// What the host can call by name: exported functions, workflows, tools, tests.
  package var exports: [CoreExport]
  /// Types that library functions are told: a `Shape` is a place in this list.
  package var shapes: [TypeShape] = []

  package init(
    functions: [CoreFunction], globals: [CoreGlobal] = [], natives: [CoreNative] = [], types: [CoreType] = [],
    script: Int? = nil, entry: Int? = nil, exports: [CoreExport] = []
  ) {
    self.functions = functions
    self.globals = globals
    self.natives = natives
    self.types = types
    self.script = script
    self.entry = entry
    self.exports = exports
  }
}

package struct CoreFunction {
  package var name: String
  package var parameters: [Local]
  package var body: Core
  package var span: Span
  /// `! {AI @limit=5}`: counted anew for each call of this function.
  package var limits: [EffectLimit]
  /// A call of it from the program keeps the caller's frame, so that an error inside has a place in the program.
  package var isLibrary: Bool
  package init(
    name: String, parameters: [Local], body: Core, span: Span, limits: [EffectLimit] = [], isLibrary: Bool = false
  ) {
    self.isLibrary = isLibrary
    self.name = name
    self.parameters = parameters
    self.body = body
    self.span = span
    self.limits = limits
  }
}

package struct EffectLimit: Equatable {
  package var effect: String
  package var count: Int
  package init(effect: String, count: Int) {
    self.effect = effect
    self.count = count
  }
}

package struct CoreGlobal {
  package var name: String
  /// May call functions; sees the globals before it.
  package var initialiser: Core
  /// Something may read it before it is set, as far as the checker can tell: that is the trap `ReadBeforeSet`.
  /// Its type is not unit: unit is what a global holds that nothing has set.
  package var isWatched: Bool
  package init(name: String, initialiser: Core, isWatched: Bool = false) {
    self.name = name
    self.initialiser = initialiser
    self.isWatched = isWatched
  }
}

package struct CoreNative: Equatable {
  package var module: String
  package var name: String
  package var arity: Int
  /// Of its `extern func`'s row: counted against limits, and bound to a trap when not granted.
  package var effects: [String]
  /// Where the program first names it.
  package var span: Span
  package init(module: String, name: String, arity: Int, effects: [String] = [], span: Span = .none) {
    self.span = span
    self.module = module
    self.name = name
    self.arity = arity
    self.effects = effects
  }
}

/// A sum type. `id` is a `TypeTag`'s for types of library modules, else any free number from `CoreType.firstFree`.
package struct CoreType {
  package static let firstFree = 1024
  package var id: Int
  package var name: String
  package var constructors: [CoreConstructor]
  package init(id: Int, name: String, constructors: [CoreConstructor]) {
    self.id = id
    self.name = name
    self.constructors = constructors
  }
}

package struct CoreConstructor {
  package var name: String
  /// Parameters of the type are `TypeShape.parameter`.
  package var payload: [TypeShape]
  package init(name: String, payload: [TypeShape] = []) {
    self.name = name
    self.payload = payload
  }
}

/// A function that the host can start by name, with what it needs to know to check and decode arguments.
package struct CoreExport {
  package enum Kind: String { case function, workflow, tool, test }
  package struct Parameter {
    package var name: String
    package var shape: TypeShape
    /// A function of no parameters that computes the default; nil = required.
    package var defaultValue: Int?
    package init(name: String, shape: TypeShape, defaultValue: Int? = nil) {
      self.name = name
      self.shape = shape
      self.defaultValue = defaultValue
    }
  }
  /// `@post("/chat")`, `@webui(title: "…")`: name, and arguments as JSON-like literals.
  package struct Attribute {
    package var name: String
    package var arguments: [(name: String?, value: CoreLiteral)]
    package init(name: String, arguments: [(name: String?, value: CoreLiteral)] = []) {
      self.name = name
      self.arguments = arguments
    }
  }
  package var kind: Kind
  package var name: String
  package var function: Int
  package var parameters: [Parameter]
  package var result: TypeShape
  package var documentation: String
  package var attributes: [Attribute]
  /// What the function can reach, sorted.
  package var effects: [String]
  package init(
    kind: Kind, name: String, function: Int, parameters: [Parameter], result: TypeShape, documentation: String = "",
    attributes: [Attribute] = [], effects: [String] = []
  ) {
    self.kind = kind
    self.name = name
    self.function = function
    self.parameters = parameters
    self.result = result
    self.documentation = documentation
    self.attributes = attributes
    self.effects = effects
  }
}

/// What is left of a type at run time, where a value meets JSON: arguments and results of what the host starts.
package indirect enum TypeShape: Equatable {
  case unit, bool, int, float, string, bytes, json
  case list(TypeShape)
  case map(TypeShape, TypeShape)
  case option(TypeShape)
  case tuple([TypeShape])
  /// Sorted by name. An absent optional field is `None` (its shape is an `option`).
  case record([Field])
  case sum(id: Int, arguments: [TypeShape])
  /// Of the sum type that is being described.
  case parameter(Int)
  case stream(TypeShape)
  /// Functions, handles: no JSON.
  case opaque(String)

  package struct Field: Equatable {
    package var name: String
    package var shape: TypeShape
    package init(_ name: String, _ shape: TypeShape) {
      self.name = name
      self.shape = shape
    }
  }
}
