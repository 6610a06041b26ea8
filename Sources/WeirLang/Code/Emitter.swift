/// Core → `Program`: registers, captures, cells, jumps. Cannot fail on what the checker lets through, except for the size
/// limits of an instruction's fields and natives that the library does not have.
///
/// `Emitter` lays out the program; `FunctionEmitter` (and its extensions) writes one function's code.
package struct Emitter {
  private let core: CoreProgram
  private let library: Library
  private let granted: Set<String>?
  private var refs: [FunctionRef]
  private var names: ProgramNames
  private var natives: [BoundNative] = []
  private var wrappers: [Wrapper: Int] = [:]

  private enum Wrapper: Hashable {
    case native(Int)
    case constructor(UInt32)
  }

  /// `granted`: effects whose natives may run; nil = all. A native that needs another traps when it is called, so that
  /// capabilities hold even if the check before had a hole.
  package static func emit(
    _ core: CoreProgram, library: Library = Library([]), granted: Set<String>? = nil
  ) throws(EmitFailure) -> Program {
    var emitter = Emitter(core: core, library: library, granted: granted)
    return try emitter.program()
  }

  private init(core: CoreProgram, library: Library, granted: Set<String>?) {
    self.core = core
    self.library = library
    self.granted = granted
    refs = core.functions.map { _ in FunctionRef.allocate() }
    names = ProgramNames()
  }

  private mutating func program() throws(EmitFailure) -> Program {
    let exact = core.types
    for module in library.modules {
      for record in module.records { names.add(record) }
      for tag in module.types where !exact.contains(where: { $0.id == tag.id }) { names.add(CoreType(tag)) }
    }
    for tag in [TypeTag.option, .result, .json] { names.add(CoreType(tag)) }
    for type in exact {
      names.add(type)
      for constructor in type.constructors { for shape in constructor.payload { addLayouts(shape) } }
    }
    for export in core.exports {
      for parameter in export.parameters { addLayouts(parameter.shape) }
    }
    for shape in core.shapes { addLayouts(shape) }
    do {
      return try emitAll()
    } catch {
      for ref in refs { ref.free() }
      throw error
    }
  }

  private mutating func emitAll() throws(EmitFailure) -> Program {
    for native in core.natives { natives.append(try bind(native)) }
    for (place, function) in core.functions.enumerated() {
      var writer = FunctionEmitter(function.name, function.span)
      try writer.emit(function, &self)
      writer.finish(refs[place], limits: function.limits)
    }
    let initialiser = try emitInitialiser()
    return Program(
      functions: refs, natives: natives, globalNames: core.globals.map(\.name), names: names, initialiser: initialiser,
      entry: core.entry.map { refs[$0] }, exports: core.exports, shapes: core.shapes)
  }

  private mutating func emitInitialiser() throws(EmitFailure) -> FunctionRef {
    let ref = FunctionRef.allocate()
    refs.append(ref)
    var body: [Core] = core.globals.enumerated().map { place, global in
      Core(.assignGlobal(place, global.initialiser), global.initialiser.span)
    }
    if let script = core.script { body.append(Core(.callFunction(script, []), core.functions[script].span)) }
    let span = body.first?.span ?? .none
    var writer = FunctionEmitter("(start)", span)
    try writer.emit(CoreFunction(name: "(start)", parameters: [], body: Core(.sequence(body), span), span: span), &self)
    writer.finish(ref, limits: [])
    return ref
  }

  func isWatched(global index: Int) -> Bool { core.globals[index].isWatched }

  private func bind(_ native: CoreNative) throws(EmitFailure) -> BoundNative {
    guard let found = library.native(native.name, in: native.module) else {
      if let what = library.absent(native.name, in: native.module) {
        throw .notInThisBuild(what: what, module: native.module, span: native.span)
      }
      throw .missingNative(module: native.module, name: native.name)
    }
    guard found.arity == native.arity else {
      throw .wrongArity(module: native.module, name: native.name, declared: native.arity, native: found.arity)
    }
    var body = found.body
    if let granted {
      let missing = native.effects.filter { !granted.contains($0) }
      if !missing.isEmpty { body = { _, _ in throw Trap.denied(missing, native: native.name) } }
    }
    return BoundNative(
      module: native.module, name: native.name, arity: native.arity, effects: native.effects,
      answersExhaustion: found.answersExhaustion, body: body)
  }

  private mutating func addLayouts(_ shape: TypeShape) {
    switch shape {
    case .record(let fields):
      _ = names.layout(fields.map(\.name))
      for field in fields { addLayouts(field.shape) }
    case .list(let item), .option(let item), .stream(let item): addLayouts(item)
    case .map(let key, let item):
      addLayouts(key)
      addLayouts(item)
    case .tuple(let items), .sum(_, let items): for item in items { addLayouts(item) }
    default: break
    }
  }

  // MARK: What function emitters ask for

  mutating func layout(_ fieldNames: [String]) -> LayoutID { names.layout(fieldNames) }

  func arity(ofNative index: Int) -> Int { core.natives[index].arity }

  /// A call at `span` of a function of the library from outside its module.
  func leavesProgram(_ index: Int, from span: Span) -> Bool {
    guard core.functions.indices.contains(index), core.functions[index].isLibrary else { return false }
    return core.functions[index].span.file != span.file
  }

  /// A place for a function that is about to be written.
  mutating func reserve() -> Int {
    refs.append(FunctionRef.allocate())
    return refs.count - 1
  }

  func ref(_ index: Int) -> FunctionRef { refs[index] }

  /// A function that calls a native with its parameters.
  mutating func wrapper(native index: Int, _ span: Span) throws(EmitFailure) -> Int {
    if let known = wrappers[.native(index)] { return known }
    let parameters = (0..<arity(ofNative: index)).map { Local($0) }
    let call = Core(.callNative(index, parameters.map { Core(.local($0), span) }), span)
    let place = try addWrapper(core.natives[index].name, parameters, call)
    wrappers[.native(index)] = place
    return place
  }

  mutating func wrapper(
    type: Int, constructor index: Int, arity: Int, _ span: Span
  ) throws(EmitFailure) -> Int {
    let key = Wrapper.constructor(ConstructorTag(type: type, index: index).bits)
    if let known = wrappers[key] { return known }
    let parameters = (0..<arity).map { Local($0) }
    let body = Core(.variant(type: type, index: index, parameters.map { Core(.local($0), span) }), span)
    let place = try addWrapper(names.types[type]?.constructors[index].name ?? "constructor", parameters, body)
    wrappers[key] = place
    return place
  }

  private mutating func addWrapper(_ name: String, _ parameters: [Local], _ body: Core) throws(EmitFailure) -> Int {
    let place = reserve()
    var writer = FunctionEmitter(name, body.span)
    try writer.emit(CoreFunction(name: name, parameters: parameters, body: body, span: body.span), &self)
    writer.finish(refs[place], limits: [])
    return place
  }
}

extension CoreType {
  init(_ tag: TypeTag) {
    self.init(id: tag.id, name: tag.name, constructors: tag.constructors.map { CoreConstructor(name: $0) })
  }
}
