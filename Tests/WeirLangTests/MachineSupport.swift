import WeirCore

@testable import WeirLang

/// What machine tests stand on: Core by hand, and a loop that is a queue.

/// Jobs in order, run until none is left; `soon` never runs inside its caller.
final class TestLoop {
  private var jobs: [() -> Void] = []
  private(set) var turns = 0
  func soon(_ job: @escaping () -> Void) { jobs.append(job) }
  func run(turnLimit: Int = 1_000_000) {
    while !jobs.isEmpty, turns < turnLimit {
      let batch = jobs
      jobs = []
      turns += 1
      for job in batch { job() }
    }
  }
}

final class TestHost: ProgramHost {
  var output = ""
  var errors = ""
  var input: [String] = []
  var exitCode: Int?
  var arguments: [String] = []
  var variables: [String: String] = [:]
  func write(_ text: String, to stream: ProgramOutput) {
    if stream == .output { output += text } else { errors += text }
  }
  func flush() {}
  func readLine(_ answer: @escaping (String?) -> Void) { answer(input.isEmpty ? nil : input.removeFirst()) }
  func exit(_ code: Int) { exitCode = code }
  func environment(_ name: String) -> String? { variables[name] }
}

/// A program on a loop of its own.
final class Running {
  let loop = TestLoop()
  let host = TestHost()
  let program: Program
  let scheduler: Scheduler

  init(
    _ core: CoreProgram, _ library: Library = Library([]), limits: Scheduler.Limits = .init(),
    granted: Set<String>? = nil
  )
    throws
  {
    program = try Emitter.emit(core, library: library, granted: granted)
    let loop = loop
    scheduler = Scheduler(program: program, host: host, limits: limits) { loop.soon($0) }
  }

  /// Runs function `index` to its end.
  func call(_ index: Int, _ arguments: [Value] = []) -> Result<Value, Trap>? {
    var result: Result<Value, Trap>?
    scheduler.spawn(program.functions[index], arguments) { result = $0 }
    loop.run()
    return result
  }

  func initialise() -> Result<Value, Trap>? {
    var result: Result<Value, Trap>?
    scheduler.spawn(program.initialiser) { result = $0 }
    loop.run()
    return result
  }

  func shown(_ index: Int, _ arguments: [Value] = []) -> String {
    switch call(index, arguments) {
    case .success(let value)?: value.shown(program.names)
    case .failure(let trap)?: "trap \(trap.code)"
    case nil: "waiting"
    }
  }
}

// MARK: Core by hand

/// Spans are counted, so that a test can say which expression a trap points at.
func at(_ place: Int) -> Span { Span(file: 0, start: place, end: place + 1) }

func core(_ node: Core.Node, _ place: Int = 0) -> Core { Core(node, at(place)) }
func int(_ value: Int) -> Core { core(.literal(.int(value))) }
func text(_ value: String) -> Core { core(.literal(.string(value))) }
func bool(_ value: Bool) -> Core { core(.literal(.bool(value))) }
let unit = CoreLiteral.unit
func local(_ id: Int) -> Core { core(.local(Local(id, "v\(id)"))) }
func bind(_ id: Int, _ value: Core) -> Core { core(.bind(Local(id, "v\(id)"), value)) }
func assign(_ id: Int, _ value: Core) -> Core { core(.assign(Local(id, "v\(id)"), value)) }
func op(_ primitive: Primitive, _ operands: Core..., place: Int = 0) -> Core {
  core(.primitive(primitive, operands), place)
}
func block(_ items: Core...) -> Core { core(.sequence(items)) }
func when(_ condition: Core, _ then: Core, _ otherwise: Core? = nil) -> Core {
  core(.branch(if: condition, then: then, else: otherwise))
}
func call(_ function: Int, _ arguments: Core..., place: Int = 0) -> Core {
  core(.callFunction(function, arguments), place)
}
func native(_ index: Int, _ arguments: Core..., place: Int = 0) -> Core { core(.callNative(index, arguments), place) }
func apply(_ callee: Core, _ arguments: Core...) -> Core { core(.call(callee, arguments)) }
func lambda(_ parameters: [Int], _ body: Core) -> Core {
  core(.lambda(CoreLambda(parameters: parameters.map { Local($0, "v\($0)") }, body: body)))
}
func tuple(_ items: Core...) -> Core {
  core(.record(names: [], items.enumerated().map { (index: $0.offset, value: $0.element) }))
}
func list(_ items: Core...) -> Core { core(.list(items)) }
func some(_ value: Core) -> Core { core(.variant(type: TypeTag.option.id, index: 0, [value])) }
var none: Core { core(.variant(type: TypeTag.option.id, index: 1, [])) }
func match(_ subject: Core, _ arms: (CorePattern, Core)...) -> Core {
  core(.match(subject, arms.map { CoreArm($0.0, $0.1) }))
}
func function(_ name: String, _ parameters: [Int], _ body: Core, limits: [EffectLimit] = []) -> CoreFunction {
  CoreFunction(name: name, parameters: parameters.map { Local($0, "v\($0)") }, body: body, span: at(0), limits: limits)
}
func program(
  _ functions: CoreFunction..., globals: [CoreGlobal] = [], natives: [CoreNative] = [], types: [CoreType] = []
) -> CoreProgram {
  CoreProgram(functions: functions, globals: globals, natives: natives, types: types)
}
/// One function without parameters, shown.
func result(of body: Core, types: [CoreType] = []) throws -> String {
  try Running(program(function("f", [], body), types: types)).shown(0)
}
