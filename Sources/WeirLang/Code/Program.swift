/// A program as the machine runs it: functions at fixed addresses, natives, globals, and the names of types and fields.
///
/// One for each loop: reference counts shared between cores cost 2.4 times, and emitting again costs milliseconds.
/// Invariant: constants that are functions hold addresses of this same program, never counted.
/// Invariant: it outlives its fibers and the values they made (a fiber and a scheduler hold it), so functions are plain
/// addresses that no call retains.
package final class Program {
  package let functions: [FunctionRef]
  package let natives: [BoundNative]
  /// The same by address, for the machine.
  let functionTable: UnsafeMutablePointer<FunctionRef>
  let nativeTable: UnsafeMutablePointer<BoundNative>
  let globals: UnsafeMutablePointer<Value>
  let globalCount: Int
  let globalNames: [String]
  package let names: ProgramNames
  /// Sets the globals, then runs the top-level statements. Takes no arguments.
  package let initialiser: FunctionRef
  package let entry: FunctionRef?
  package let exports: [CoreExport]
  /// What a `Shape` of std/json stands for.
  let shapes: [TypeShape]

  init(
    functions: [FunctionRef], natives: [BoundNative], globalNames: [String], names: ProgramNames,
    initialiser: FunctionRef,
    entry: FunctionRef?, exports: [CoreExport], shapes: [TypeShape] = []
  ) {
    self.functions = functions
    self.natives = natives
    functionTable = .allocate(capacity: max(1, functions.count))
    functionTable.initialize(from: functions, count: functions.count)
    nativeTable = .allocate(capacity: max(1, natives.count))
    nativeTable.initialize(from: natives, count: natives.count)
    self.globalNames = globalNames
    globalCount = globalNames.count
    globals = .allocate(capacity: max(1, globalCount))
    globals.initialize(repeating: .unit, count: globalCount)
    self.names = names
    self.initialiser = initialiser
    self.entry = entry
    self.exports = exports
    self.shapes = shapes
  }

  deinit {
    globals.deinitialize(count: globalCount)
    globals.deallocate()
    nativeTable.deinitialize(count: natives.count)
    nativeTable.deallocate()
    functionTable.deallocate()
    for function in functions { function.free() }
  }

  package func export(_ name: String) -> CoreExport? { exports.first { $0.name == name } }
  package func function(of export: CoreExport) -> FunctionRef { functions[export.function] }
  /// Tests and the debugger look at globals by place.
  package func global(_ index: Int) -> Value { globals[index] }
}

package struct BoundNative {
  package var module: String
  package var name: String
  var arity: Int
  var effects: [String]
  var answersExhaustion: Bool
  var body: Native.Body
}

/// What `show` and JSON need to know: constructors by type, field names by layout.
package struct ProgramNames {
  package private(set) var types: [Int: CoreType] = [:]
  package private(set) var layouts: [LayoutID: [String]] = [:]
  private var layoutIDs: [[String]: LayoutID] = [:]
  private var nextLayout = LayoutID(RecordTag.firstFree)

  package init() {}

  package mutating func add(_ type: CoreType) { types[type.id] = type }
  package mutating func add(_ record: RecordTag) {
    layouts[record.id] = record.names
    layoutIDs[record.names] = record.id
  }
  /// The id of these sorted field names, new when not seen before. None: 0, the tuple.
  package mutating func layout(_ names: [String]) -> LayoutID {
    if names.isEmpty { return 0 }
    if let id = layoutIDs[names] { return id }
    let id = nextLayout
    nextLayout += 1
    layouts[id] = names
    layoutIDs[names] = id
    return id
  }
  package func knownLayout(_ names: [String]) -> LayoutID { layoutIDs[names] ?? 0 }
  package func constructor(_ tag: ConstructorTag) -> CoreConstructor? {
    guard let type = types[tag.type], type.constructors.indices.contains(tag.index) else { return nil }
    return type.constructors[tag.index]
  }
}

/// A function's code. Reached through `FunctionRef`, so that neither calls nor closures count references.
struct Function {
  var name: String
  /// Where it was declared.
  var span: Span
  var arity: Int
  var captureCount: Int
  /// Registers of its window: parameters, captures, locals, temporaries.
  var registers: Int
  var code: UnsafeMutablePointer<Instruction>
  var codeCount: Int
  /// `spans[i]` belongs to `code[i]`.
  var spans: [Span]
  var constants: UnsafeMutablePointer<Value>
  var constantCount: Int
  /// Where unwinding enters; nil without `defer`.
  var unwindEntry: Int?
  var limits: [EffectLimit]
}

package struct FunctionRef: Equatable {
  let pointer: UnsafeMutablePointer<Function>

  /// Empty, so that functions can name each other before they have code.
  static func allocate() -> FunctionRef {
    let ref = FunctionRef(pointer: .allocate(capacity: 1))
    ref.pointer.initialize(
      to: Function(
        name: "", span: .none, arity: 0, captureCount: 0, registers: 0, code: .allocate(capacity: 1), codeCount: 0,
        spans: [], constants: .allocate(capacity: 1), constantCount: 0, unwindEntry: nil, limits: []))
    return ref
  }

  /// Gives it its code, once.
  func initialise(
    name: String, span: Span, arity: Int, captureCount: Int, registers: Int, code: [Instruction], spans: [Span],
    constants: [Value], unwindEntry: Int?, limits: [EffectLimit]
  ) {
    pointer.pointee.code.deallocate()
    pointer.pointee.constants.deallocate()
    let codes = UnsafeMutablePointer<Instruction>.allocate(capacity: max(1, code.count))
    codes.initialize(from: code, count: code.count)
    let values = UnsafeMutablePointer<Value>.allocate(capacity: max(1, constants.count))
    values.initialize(from: constants, count: constants.count)
    pointer.pointee = Function(
      name: name, span: span, arity: arity, captureCount: captureCount, registers: registers, code: codes,
      codeCount: code.count, spans: spans, constants: values, constantCount: constants.count,
      unwindEntry: unwindEntry, limits: limits)
  }

  func free() {
    pointer.pointee.code.deallocate()
    pointer.pointee.constants.deinitialize(count: pointer.pointee.constantCount)
    pointer.pointee.constants.deallocate()
    pointer.deinitialize(count: 1)
    pointer.deallocate()
  }

  package var name: String { pointer.pointee.name }
  package var arity: Int { pointer.pointee.arity }
  package var span: Span { pointer.pointee.span }
}
