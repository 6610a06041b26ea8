/// What names stand for: modules, types, functions, globals, and the locals of a body.
///
/// Made by `Declarations.swift`, looked up by everything in this folder, lowered by `Lowering.swift`. An entity's core
/// is a closure that runs when all types of its group are known.
typealias Lower = (Lowering) -> Core

/// An expression that was checked: its type, and its core once types are solved.
struct Checked {
  var type: Type
  var core: Lower
  /// A function literal, or a name bound to one: whose charges a call of it brings.
  var unit: CodeUnit?
  /// How a message calls it: `handler`, `server.listen`.
  var name: String?

  init(_ type: Type, unit: CodeUnit? = nil, name: String? = nil, core: @escaping Lower) {
    self.type = type
    self.core = core
    self.unit = unit
    self.name = name
  }
}

/// One source: of the library, or of the program.
final class Module {
  let path: String
  let isLibrary: Bool
  let tree: Tree
  /// Own and imported values, functions and constructors. Several of one name: constructors, or a workflow's two faces.
  var values: [String: [Entity]] = [:]
  var types: [String: TypeEntity] = [:]
  /// `json` of `import std/json as json`.
  var aliases: [String: Module] = [:]
  /// Names that others may import.
  var exportedValues: [String: [Entity]] = [:]
  var exportedTypes: [String: TypeEntity] = [:]
  var imports: [Module] = []
  /// Where each imported name came from first.
  var imported: [String: (module: Module, span: Span, isTold: Bool)] = [:]
  /// Names whose import failed, or whose declaration did: already reported.
  var unknown: Set<String> = []
  /// The module's own functions by name: where methods of its types are looked up.
  var functions: [String: FunctionEntity] = [:]
  /// Globals in the order in which they are initialised.
  var globals: [GlobalEntity] = []
  /// Sum types declared here, for `show` and JSON at run time.
  var sums: [NamedType] = []
  /// Of a file of the program: where its words stand.
  var tokens: [Token] = []
  var tests: [FunctionEntity] = []
  var workflows: [Started] = []
  var tools: [Started] = []
  /// `POST /chat`, and where it was claimed.
  var routes: [String: Span] = [:]

  /// What the host starts by name, with what was said about it.
  struct Started {
    var function: FunctionEntity
    var declaration: Declaration
    var description: String?
  }

  /// The top: initialisers of globals.
  let unit: CodeUnit
  /// Statements of a script: they run only when the module is the program and has no entry.
  let scriptUnit: CodeUnit
  let locals = LocalCounter()
  /// Top-level statements, checked.
  var script: [(span: Span, core: Lower)] = []

  init(path: String, isLibrary: Bool, tree: Tree, span: Span) {
    self.path = path
    self.isLibrary = isLibrary
    self.tree = tree
    unit = CodeUnit(name: path, span: span, isLibrary: isLibrary, row: .pure)
    scriptUnit = CodeUnit(name: path, span: span, isLibrary: isLibrary, row: .pure)
  }
}

enum Entity {
  case function(FunctionEntity)
  case global(GlobalEntity)
  case constructor(SumCase)

  var function: FunctionEntity? { if case .function(let f) = self { f } else { nil } }
  var global: GlobalEntity? { if case .global(let g) = self { g } else { nil } }
  var constructor: SumCase? { if case .constructor(let c) = self { c } else { nil } }

  /// The same thing, perhaps handed on by another module.
  func isSame(as other: Entity) -> Bool {
    switch (self, other) {
    case (.function(let a), .function(let b)): a === b
    case (.global(let a), .global(let b)): a === b
    case (.constructor(let a), .constructor(let b)): a === b
    default: false
    }
  }
}

enum TypeEntity {
  case named(NamedType)
  case alias(TypeAlias)
}

/// `type Point = {x: int, y: int}`: expanded where it is used, so that arrows in it get the user's rows.
final class TypeAlias {
  let name: String
  let module: Module
  let parameters: [String]
  let definition: TypeExpression
  /// While it is being expanded: a use of itself inside is an error.
  var isExpanding = false
  init(name: String, module: Module, parameters: [String], definition: TypeExpression) {
    self.name = name
    self.module = module
    self.parameters = parameters
    self.definition = definition
  }
}

final class FunctionEntity {
  struct Parameter {
    var name: String
    var type: Type
    /// Where the parameter stands.
    var span: Span
    /// A function of no parameters that computes the default.
    var defaultValue: FunctionEntity?
    var isOptional: Bool { defaultValue != nil || isShape }
    /// Nobody writes it: the checker fills in what the type is at the call.
    var isShape: Bool { type.shapeArgument != nil }
  }

  let name: String
  let module: Module
  let span: Span
  let unit: CodeUnit
  var isExtern = false
  /// Its body is another program; `piped` is the same with standard input before its parameters.
  var isExec = false
  var piped: FunctionEntity?
  var parameters: [Parameter] = []
  /// Complete once its group is solved; before that its own monomorphic type.
  var scheme: Scheme
  /// The type as its own body sees it.
  var ownType: Type = .error
  /// What its signature names, `a` and `e` of `func f[a](g: () -> a ! e)`: they mean the same inside its body.
  var typeParameters: [String: Type] = [:]
  var rowParameters: [String: RowVariable] = [:]
  /// Its group is not solved yet.
  var isWorkInProgress = false
  /// The written row's labels; nil = inferred.
  var declaredRow: (effects: EffectSet, span: Span)?
  var resultIsWritten = false
  /// Written `pure func`.
  var isPure = false
  var limits: [EffectLimit] = []
  /// What the group's check leaves for lowering: parameters' locals and the body.
  var locals: [Local] = []
  var body: Lower?

  init(name: String, module: Module, span: Span, type: Type) {
    self.name = name
    self.module = module
    self.span = span
    self.scheme = Scheme(type)
    unit = CodeUnit(name: name, span: span, isLibrary: module.isLibrary, row: .pure)
  }
}

final class GlobalEntity {
  let name: String
  let module: Module
  let span: Span
  var scheme: Scheme
  /// A top-level `var`, or a bare `x = e`.
  var isMutable = false
  /// A top-level `let` or `var`: in a script it gets its value when its turn among the statements has come.
  var isConstant = false
  var initialiser: Lower?
  /// Set when the initialiser is a function literal: calling the global calls it.
  var unit: CodeUnit?
  /// A workflow, tool or agent: naming it reaches what this does.
  var mention: CodeUnit?

  init(name: String, module: Module, span: Span, type: Type) {
    self.name = name
    self.module = module
    self.span = span
    self.scheme = Scheme(type)
  }
}

final class LocalBinding {
  let local: Local
  var scheme: Scheme
  let isMutable: Bool
  let span: Span
  var unit: CodeUnit?
  /// Something reads it.
  var isUsed = false
  init(local: Local, scheme: Scheme, isMutable: Bool, span: Span, unit: CodeUnit? = nil) {
    self.local = local
    self.scheme = scheme
    self.isMutable = isMutable
    self.span = span
    self.unit = unit
  }
}
