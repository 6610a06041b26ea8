/// Which locals a function's lambdas capture, and which of those need a cell because they are also assigned.
///
/// Captures are copies, so a local that changes and is seen from two functions lives in a cell; all others stay in
/// registers. Locals are numbered uniquely within a top-level function, so scopes need no tracking: what a lambda uses
/// and does not bind is captured.
struct Captures {
  var assigned: Set<Int> = []
  var captured: Set<Int> = []
  var cells: Set<Int> { assigned.intersection(captured) }

  init(of function: CoreFunction) { _ = uses(of: function.body) }

  /// Used and not bound in a lambda, in order of number.
  static func free(in lambda: CoreLambda) -> [Int] {
    var captures = Captures()
    return captures.free(lambda).sorted()
  }

  /// A `defer` that belongs to this function, not to a lambda in it.
  static func hasDefer(_ core: Core) -> Bool {
    switch core.node {
    case .deferred: true
    case .lambda: false
    default: core.children.contains(where: hasDefer)
    }
  }

  private init() {}

  private mutating func free(_ lambda: CoreLambda) -> Set<Int> {
    let (used, bound) = uses(of: lambda.body)
    let free = used.subtracting(bound).subtracting(lambda.parameters.map(\.id))
    captured.formUnion(free)
    return free
  }

  /// What is named inside, and what is bound there. A list of what is still to be looked at, for Core nests several times
  /// as deep as its text: recursion is one call for each lambda.
  private mutating func uses(of core: Core) -> (used: Set<Int>, bound: Set<Int>) {
    var (used, bound): (Set<Int>, Set<Int>) = ([], [])
    var pending = [core]
    while let core = pending.popLast() {
      switch core.node {
      case .local(let local): used.insert(local.id)
      case .assign(let local, _):
        used.insert(local.id)
        assigned.insert(local.id)
      case .bind(let local, _): bound.insert(local.id)
      case .match(_, let arms): for arm in arms { bound.formUnion(arm.pattern.locals.map(\.id)) }
      case .forEach(let item, let index, _, _):
        bound.formUnion(item.locals.map(\.id))
        if let index { bound.insert(index.id) }
      case .forRange(let item, _, _, _, _): if let item { bound.insert(item.id) }
      case .lambda(let lambda):
        used.formUnion(free(lambda))
        continue
      case .deferred(let body):
        used.formUnion(free(CoreLambda(parameters: [], body: body)))
        continue
      default: break
      }
      pending += core.children
    }
    return (used, bound)
  }
}

extension Core {
  /// Direct parts, lambdas' bodies included.
  package var children: [Core] {
    switch node {
    case .literal, .local, .global, .function, .native, .constructor, .breakLoop, .continueLoop: []
    case .lambda(let lambda): [lambda.body]
    case .bind(_, let value), .assign(_, let value), .assignGlobal(_, let value): [value]
    case .sequence(let items), .list(let items), .concat(_, let items), .primitive(_, let items): items
    case .variant(_, _, let items), .callFunction(_, let items), .callNative(_, let items): items
    case .branch(let condition, let then, let otherwise): [condition, then] + (otherwise.map { [$0] } ?? [])
    case .match(let subject, let arms): [subject] + arms.flatMap { ($0.guardCondition.map { [$0] } ?? []) + [$0.body] }
    case .loop(let condition, let body): [condition, body]
    case .forEach(_, _, let list, let body): [list, body]
    case .forRange(_, let from, let to, _, let body): [from, to, body]
    case .returned(let value): value.map { [$0] } ?? []
    case .attempt(let value, _), .deferred(let value), .fail(_, let value), .field(let value, _): [value]
    case .record(_, let fields): fields.map(\.value)
    case .update(let record, let fields): [record] + fields.map(\.value)
    case .map(let entries): entries.flatMap { [$0.key, $0.value] }
    case .call(let callee, let arguments): [callee] + arguments
    }
  }
}

extension CorePattern {
  /// Every local it binds.
  package var locals: [Local] {
    switch self {
    case .any, .literal: []
    case .bind(let local): [local]
    case .named(let local, let pattern): [local] + pattern.locals
    case .constructor(_, let parts): parts.flatMap(\.locals)
    case .record(let fields): fields.flatMap(\.pattern.locals)
    case .list(let parts, let rest): parts.flatMap(\.locals) + (rest?.locals ?? [])
    // All alternatives bind the same ones.
    case .either(let alternatives): alternatives.first?.locals ?? []
    }
  }
}
