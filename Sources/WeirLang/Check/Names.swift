/// Which names an expression mentions: what a definition depends on, before anything is known about them.
///
/// Too many is harmless (a local of the same name merely joins two groups), too few is not.
struct NameCollector {
  private(set) var names: Set<String> = []

  static func names(in function: FunctionDeclaration) -> Set<String> {
    var collector = NameCollector()
    for parameter in function.parameters { if let value = parameter.defaultValue { collector.visit(value) } }
    if let body = function.body { collector.visit(body) }
    return collector.names
  }

  static func names(in expression: Expression) -> Set<String> {
    var collector = NameCollector()
    collector.visit(expression)
    return collector.names
  }

  static func names(in statement: Statement) -> Set<String> {
    var collector = NameCollector()
    collector.visit(statement)
    return collector.names
  }

  private mutating func visit(_ block: Block) {
    for statement in block.statements { visit(statement) }
    if let result = block.result { visit(result) }
  }

  private mutating func visit(_ statement: Statement) {
    switch statement.kind {
    case .let(let binding), .var(let binding): visit(binding.value)
    case .assign(let name, let value):
      names.insert(name.text)
      visit(value)
    case .discard(let value), .expression(let value), .defer(let value): visit(value)
    case .onOutcome(_, _, let block): visit(block)
    case .error: break
    }
  }

  private mutating func visit(_ fields: [Field]) { for field in fields { visit(field.value) } }

  mutating func visit(_ expression: Expression) {
    switch expression.kind {
    case .unit, .bool, .int, .float, .string, .nil, .break, .continue, .error: break
    case .interpolation(let parts):
      for case .expression(let part) in parts { visit(part) }
    case .name(let name): names.insert(name)
    case .list(let items), .tuple(let items), .bars(let items), .together(_, let items):
      for item in items { visit(item) }
    case .record(let fields): visit(fields)
    case .update(let value, let fields), .with(let value, let fields):
      visit(value)
      visit(fields)
    case .map(let entries):
      for entry in entries {
        visit(entry.key)
        visit(entry.value)
      }
    case .lambda(let lambda): visit(lambda.body)
    case .call(let callee, let arguments):
      visit(callee)
      for argument in arguments { visit(argument.value) }
    case .field(let value, let name):
      names.insert(name.text)
      visit(value)
    case .index(let a, let b), .pipe(let a, let b), .binary(_, let a, let b), .range(let a, let b, _):
      visit(a)
      visit(b)
    case .propagate(let value), .unary(_, let value), .stream(let value): visit(value)
    case .block(let block): visit(block)
    case .letIn(let binding, let body):
      visit(binding.value)
      visit(body)
    case .if(let condition, let then, let other):
      visit(condition)
      visit(then)
      if let other { visit(other) }
    case .match(let value, let arms):
      visit(value)
      for arm in arms {
        if let guardCondition = arm.guard { visit(guardCondition) }
        visit(arm.body)
      }
    case .for(let loop):
      visit(loop.sequence)
      if let limit = loop.limit { visit(limit) }
      visit(loop.body)
    case .while(let condition, let body):
      visit(condition)
      visit(body)
    case .return(let value): if let value { visit(value) }
    case .assert(let value, let message):
      visit(value)
      if let message { visit(message) }
    case .step(let step):
      for decorator in step.decorators { for argument in decorator.arguments { visit(argument.value) } }
      visit(step.name)
      visit(step.body)
    }
  }
}
