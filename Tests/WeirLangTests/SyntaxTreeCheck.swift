import WeirLang

/// Walks a tree through statements, calls and operators: spans lie in the file, node ids are used once, depths are bounded.
struct SyntaxTreeCheck {
  private let length: Int
  private let nodeCount: Int
  private var ids = Set<NodeID>()
  private var found: String?

  /// Nil when all is well.
  static func fault(_ tree: Tree, length: Int) -> String? {
    var check = SyntaxTreeCheck(length: length, nodeCount: tree.nodeCount)
    for statement in tree.statements { check.visit(statement) }
    for declaration in tree.declarations {
      check.span(declaration.span, "a declaration")
      if case .function(let function) = declaration.kind { check.visit(function.body) }
    }
    return check.found
  }

  private init(length: Int, nodeCount: Int) {
    self.length = length
    self.nodeCount = nodeCount
  }

  private mutating func span(_ span: Span, _ what: String) {
    if span.start > span.end || span.end > length { found = "\(what) outside of the file: \(span)" }
  }

  private mutating func visit(_ expression: Expression?) {
    guard let e = expression else { return }
    span(e.span, "an expression")
    if e.depth > Parser.depthLimit { found = "an expression of depth \(e.depth)" }
    if e.id < 0 || e.id >= nodeCount || !ids.insert(e.id).inserted { found = "node id \(e.id) of \(nodeCount)" }
    switch e.kind {
    case .call(let callee, let arguments):
      visit(callee)
      for argument in arguments { visit(argument.value) }
    case .list(let items), .tuple(let items), .bars(let items), .together(_, let items):
      for item in items { visit(item) }
    case .binary(_, let a, let b), .pipe(let a, let b), .index(let a, let b), .range(let a, let b, _):
      visit(a)
      visit(b)
    case .unary(_, let a), .propagate(let a), .field(let a, _), .stream(let a): visit(a)
    case .record(let fields): for field in fields { visit(field.value) }
    case .lambda(let lambda): visit(lambda.body)
    case .block(let block): visit(block)
    case .if(let a, let b, let c):
      visit(a)
      visit(b)
      visit(c)
    case .match(let scrutinee, let arms):
      visit(scrutinee)
      for arm in arms {
        span(arm.span, "an arm")
        span(arm.pattern.span, "a pattern")
        visit(arm.guard)
        visit(arm.body)
      }
    case .for(let loop):
      visit(loop.sequence)
      visit(loop.body)
    default: break
    }
  }

  private mutating func visit(_ block: Block) {
    span(block.span, "a block")
    for statement in block.statements { visit(statement) }
    visit(block.result)
  }

  private mutating func visit(_ statement: Statement) {
    span(statement.span, "a statement")
    switch statement.kind {
    case .let(let binding), .var(let binding): visit(binding.value)
    case .assign(_, let e), .discard(let e), .expression(let e), .defer(let e): visit(e)
    case .onOutcome(_, _, let block): visit(block)
    case .error: break
    }
  }
}
