/// Finds globals that could be read before they are set, while a program's globals and top-level statements run.
///
/// Takes the steps of that start in order. What a step is certain to evaluate, calls of functions included, must find set
/// what it reads: anything else is an `EarlyRead`, which refuses the program. A lambda or a function that is only mentioned may
/// run at once or later, nobody knows (`let f = (n) => f(n - 1)` is fine): what it reads too early *if* it runs at once is in
/// `watched`, and reads of those are checked when they happen.
///
/// Every function and global is looked at once, at the first step that reaches it: a later step finds more globals set, so it
/// can add nothing. Linear in the size of the program, and a list instead of recursion, for Core nests deeply.
struct GlobalOrder {
  struct Step {
    /// The global that is set when the step is over.
    var sets: Int?
    var core: Core
  }

  /// `global` is read by a step that runs before it is set.
  struct EarlyRead {
    var global: Int
    var span: Span
    /// The step's own call that led there, and the functions on the way; nil when the step itself reads.
    var call: (span: Span, path: [String])?
    /// By what sets it.
    var isOfItself: Bool
    var step: Int
  }

  private(set) var earlyReads: [EarlyRead] = []
  private(set) var watched: Set<Int> = []

  private let functions: [CoreFunction]
  /// The step that sets a global; what none sets is set before the first.
  private var setBy: [Int: Int] = [:]
  /// Bodies of globals that are function literals: calling the global runs them.
  private var literals: [Int: Core] = [:]
  private var reached: Set<Target> = []
  private var told: Set<Int> = []

  private struct Target: Hashable {
    enum Kind { case function, literal }
    var kind: Kind
    var index: Int
    var runs: Bool
  }

  private struct Visit {
    var core: Core
    /// It is evaluated by this step, not only mentioned.
    var runs: Bool
    var call: (span: Span, path: [String])?
  }

  /// `lookingAt`: how many of the steps are gone through; the others only say what they set.
  init(_ steps: [Step], functions: [CoreFunction], lookingAt count: Int = .max) {
    self.functions = functions
    for (place, step) in steps.enumerated() {
      guard let global = step.sets else { continue }
      setBy[global] = place
      if case .lambda(let lambda) = step.core.node { literals[global] = lambda.body }
    }
    for (place, step) in steps.prefix(count).enumerated() { look(step.core, at: place) }
  }

  /// The last of `steps` that sets something which evaluating `core` reads.
  static func lastNeeded(by core: Core, _ steps: [Step], functions: [CoreFunction]) -> Int? {
    let order = GlobalOrder([Step(sets: nil, core: core)] + steps, functions: functions, lookingAt: 1)
    return order.earlyReads.compactMap { order.setBy[$0.global] }.max().map { $0 - 1 }
  }

  private mutating func look(_ core: Core, at step: Int) {
    var pending = [Visit(core: core, runs: true)]
    while let visit = pending.popLast() {
      let core = visit.core
      var parts = core.children
      switch core.node {
      case .global(let global): read(global, core.span, visit, at: step)
      case .lambda(let lambda):
        pending.append(Visit(core: lambda.body, runs: false))
        continue
      case .function(let index): enter(.function, index, functions[index].body, &pending)
      case .callFunction(let index, _):
        enter(.function, index, functions[index].body, &pending, visit, calls: functions[index].name, at: core.span)
      case .call(let callee, _):
        switch callee.node {
        case .lambda(let lambda):
          pending.append(Visit(core: lambda.body, runs: visit.runs, call: visit.call))
          parts.removeFirst()
        case .global(let global):
          if let body = literals[global] { enter(.literal, global, body, &pending, visit, calls: nil, at: core.span) }
        default: break
        }
      default: break
      }
      // Parts come off the list in written order: the first early read is the one that is told.
      for part in parts.reversed() { pending.append(Visit(core: part, runs: visit.runs, call: visit.call)) }
    }
  }

  /// Of a call when `visit` is given, else of a mention.
  private mutating func enter(
    _ kind: Target.Kind, _ index: Int, _ body: Core, _ pending: inout [Visit], _ visit: Visit? = nil,
    calls name: String? = nil, at span: Span = .none
  ) {
    let runs = visit?.runs ?? false
    guard reached.insert(Target(kind: kind, index: index, runs: runs)).inserted else { return }
    let path = (visit?.call?.path ?? []) + (name.map { [$0] } ?? [])
    pending.append(Visit(core: body, runs: runs, call: (visit?.call?.span ?? span, path)))
  }

  private mutating func read(_ global: Int, _ span: Span, _ visit: Visit, at step: Int) {
    guard let place = setBy[global], place >= step else { return }
    if !visit.runs {
      watched.insert(global)
    } else if told.insert(global).inserted {
      earlyReads.append(EarlyRead(global: global, span: span, call: visit.call, isOfItself: place == step, step: step))
    }
  }
}
