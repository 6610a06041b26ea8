import WeirTesting

/// Writes programs that are well-typed by construction: types first, then expressions of a wanted type from the names
/// in scope. Knows nothing of the checker; what it may write is the language of the tour.
final class ProgramGenerator {
  indirect enum Kind: Equatable {
    case int, float, string, bool
    case list(Kind)
    case option(Kind)
    case tuple(Kind, Kind)
    case record([String: Kind])
    case shape
    case function(Kind, Kind)
    case map(Kind)
    /// `Result[K, string]`
    case result(Kind)
    /// A generic, recursive sum.
    case tree(Kind)
  }

  private let random: SeededRandom
  private var scopes: [[(name: String, kind: Kind)]] = [[]]
  private var functions: [(name: String, parameters: [Kind], result: Kind)] = []
  private var next = 0
  /// What `return` and `e?` may leave the function with.
  private var returned: Kind?

  init(_ random: SeededRandom) { self.random = random }

  private func pick<T>(_ items: [T]) -> T { items[random.int(below: items.count)] }
  private func fresh() -> String {
    next += 1
    return "v\(next)"
  }

  // MARK: Programs

  func program(statements: Int = 8) -> String {
    var text = """
      import std/list (map, filter, foldl)
      type Shape = Dot | Circle(float) | Box(int, string)
      type Tree[a] = Leaf | Node(Tree[a], a, Tree[a])
      func same[a](x: a) -> a { x }
      func apply[a, b](f: (a) -> b, x: a) -> b { f(x) }
      func apply2[a, b](x: a, f: (a) -> b) -> b { f(x) }

      """
    for _ in 0..<random.int(below: 3) { text += constant() }
    for _ in 0..<random.int(below: 4) { text += function() }
    for _ in 0..<random.int(below: 2) { text += constant() }
    scopes.append([])
    text += "func main() {\n"
    for _ in 0..<statements { text += "  " + statement() + "\n" }
    text += "  println(\(expression(.string, 2)))\n}\n"
    scopes.removeLast()
    return text
  }

  private func function() -> String {
    let name = "f\(functions.count)"
    let parameters = (0..<random.int(below: 3)).map { _ in kind(2) }
    let result = kind(2)
    scopes.append([])
    let names = parameters.map { kind -> String in
      let name = fresh()
      scopes[scopes.count - 1].append((name, kind))
      return name
    }
    let list = zip(names, parameters).map { "\($0): \(Self.text($1))" }.joined(separator: ", ")
    returned = result
    var body = ""
    if random.chance(0.3) { body += "if \(expression(.bool, 1)) { return \(expression(result, 1)) }; " }
    if random.chance(0.2) { body += "defer { let _ = \(expression(.int, 1)) }; " }
    body += expression(result, 3)
    returned = nil
    scopes.removeLast()
    functions.append((name, parameters, result))
    return "func \(name)(\(list)) -> \(Self.text(result)) { \(body) }\n"
  }

  private func constant() -> String {
    let name = fresh()
    let kind = kind(2)
    let text = "let \(name)\(random.chance(0.5) ? ": \(Self.text(kind))" : "") = \(expression(kind, 2))\n"
    scopes[scopes.count - 1].append((name, kind))
    return text
  }

  private func statement() -> String {
    switch random.int(below: 13) {
    case 9:
      let name = fresh()
      let kind = kind(1)
      let made = "var \(name) = \(expression(kind, 2)); let set = (x) => { \(name) = x }; set(\(expression(kind, 1)))"
      scopes[scopes.count - 1].append((name, kind))
      return made
    case 10:
      let name = fresh()
      let from = kind(1)
      let text = "let \(name) = for parallel x in \(expression(.list(from), 1)) (limit 2) { "
      let item = kind(1)
      let body = inside([("x", from)]) { self.expression(item, 2) }
      scopes[scopes.count - 1].append((name, .list(item)))
      return text + body + " }"
    case 11:
      let name = fresh()
      let count = fresh()
      return "var \(count) = 0; while \(count) < 3 { let \(name) = \(expression(kind(1), 2)); \(count) = \(count) + 1 }"
    case 12: return "match \(expression(.tree(.int), 2)) { Leaf => (), Node(_, n, _) => println(n) }"
    case 0: return "println(\(expression(kind(2, isShown: true), 2)))"
    case 1:
      let name = fresh()
      let kind = kind(2)
      let text = "for \(name) in \(expression(.list(kind), 2)) {"
      return text + inside([(name, kind)]) { " println(\(self.expression(.string, 2))) }" }
    case 2:
      let name = fresh()
      let made = "var \(name) = \(expression(.int, 2)); for i in 0..3 { \(name) = \(name) % 100 + i }"
      scopes[scopes.count - 1].append((name, .int))
      return made
    case 3: return "if \(expression(.bool, 2)) { println(\(expression(.string, 1))) }"
    case 4:
      let a = fresh()
      let b = fresh()
      let (x, y) = (kind(1), kind(1))
      let text = "let (\(a), \(b)) = \(expression(.tuple(x, y), 2))"
      scopes[scopes.count - 1] += [(a, x), (b, y)]
      return text
    default:
      let name = fresh()
      let kind = kind(3)
      let isWritten = random.chance(0.3)
      let text = "let \(name)\(isWritten ? ": \(Self.text(kind))" : "") = \(expression(kind, 3))"
      scopes[scopes.count - 1].append((name, kind))
      return text
    }
  }

  private func inside(_ names: [(String, Kind)], _ work: () -> String) -> String {
    scopes.append(names.map { (name: $0.0, kind: $0.1) })
    defer { scopes.removeLast() }
    return work()
  }

  // MARK: Types

  func kind(_ depth: Int, isShown: Bool = false) -> Kind {
    let simple: [Kind] = [.int, .float, .string, .bool, .shape]
    if depth == 0 { return pick(simple) }
    switch random.int(below: isShown ? 13 : 14) {
    case 0...4: return pick(simple)
    case 5, 6: return .list(kind(depth - 1, isShown: true))
    case 7: return .option(kind(depth - 1, isShown: true))
    case 8: return .tuple(kind(depth - 1, isShown: true), kind(depth - 1, isShown: true))
    case 9:
      var fields: [String: Kind] = [:]
      for name in ["a", "b", "c"].prefix(1 + random.int(below: 3)) { fields[name] = kind(depth - 1, isShown: true) }
      return .record(fields)
    case 10: return .map(kind(depth - 1, isShown: true))
    case 11: return .result(kind(depth - 1, isShown: true))
    case 12: return .tree(pick([.int, .string, .shape]))
    default: return .function(kind(depth - 1, isShown: true), kind(depth - 1, isShown: true))
    }
  }

  static func text(_ kind: Kind) -> String {
    switch kind {
    case .int: "int"
    case .float: "float"
    case .string: "string"
    case .bool: "bool"
    case .shape: "Shape"
    case .list(let item): "[\(text(item))]"
    case .option(let item): "Option[\(text(item))]"
    case .tuple(let a, let b): "(\(text(a)), \(text(b)))"
    case .record(let fields):
      "{" + fields.sorted { $0.key < $1.key }.map { "\($0.key): \(text($0.value))" }.joined(separator: ", ") + "}"
    case .function(let a, let b): "(\(text(a))) -> \(text(b))"
    case .map(let item): "Map[string, \(text(item))]"
    case .result(let item): "Result[\(text(item)), string]"
    case .tree(let item): "Tree[\(text(item))]"
    }
  }

  // MARK: Expressions

  func expression(_ kind: Kind, _ depth: Int) -> String {
    let known = scopes.flatMap(\.self).filter { $0.kind == kind }
    if !known.isEmpty, random.chance(0.35) { return pick(known).name }
    if depth <= 0 { return literal(kind) }
    let callable = functions.filter { $0.result == kind }
    switch random.int(below: 15) {
    case 12:
      if case .result = returned { return "(\(expression(.result(kind), depth - 1)))?" }
      return "({ let _ = \(expression(.int, 1)); \(expression(kind, depth - 1)) })"
    case 13:
      // The lambda's parameter is found out from the other argument.
      let from = self.kind(1)
      let name = fresh()
      let outer = returned
      returned = nil
      let body = inside([(name, from)]) { self.expression(kind, depth - 1) }
      returned = outer
      return "(\(expression(from, depth - 1)) |> apply2((\(name)) => \(body)))"
    case 14:
      let name = fresh()
      let own = self.kind(1)
      let body = inside([(name, own)]) { self.expression(kind, depth - 1) }
      return
        "(match ({a: \(expression(own, 1)), b: (1, \"t\")}) { {a: \(name), b: (1, _) | (2, _)} => \(body), _ => \(literal(kind)) })"
    case 0:
      return
        "(if \(expression(.bool, depth - 1)) then \(expression(kind, depth - 1)) else \(expression(kind, depth - 1)))"
    case 1: return matched(kind, depth)
    case 2 where !callable.isEmpty:
      let function = pick(callable)
      return "\(function.name)(\(function.parameters.map { expression($0, depth - 1) }.joined(separator: ", ")))"
    case 3: return "same(\(expression(kind, depth - 1)))"
    case 4:
      let from = self.kind(1)
      return "apply(\(lambda(from, kind, depth - 1)), \(expression(from, depth - 1)))"
    case 5:
      let name = fresh()
      let own = self.kind(1)
      let value = expression(own, depth - 1)
      return "({ let \(name) = \(value); " + inside([(name, own)]) { self.expression(kind, depth - 1) } + " })"
    case 6:
      let other = self.kind(1)
      return "({a: \(expression(kind, depth - 1)), b: \(expression(other, depth - 1))}).a"
    case 7: return "[\(expression(kind, depth - 1)), \(expression(kind, depth - 1))][\(pick(["0", "1"]))]"
    default: return made(kind, depth)
    }
  }

  private func matched(_ kind: Kind, _ depth: Int) -> String {
    let name = fresh()
    let rest = fresh()
    switch random.int(below: 8) {
    case 4:
      let item = self.kind(1)
      let good = inside([(name, item)]) { self.expression(kind, depth - 1) }
      let bad = inside([(name, .string)]) { self.expression(kind, depth - 1) }
      return "(match \(expression(.result(item), depth - 1)) { Ok(\(name)) => \(good), Err(\(name)) => \(bad) })"
    case 5:
      let item = pick([Kind.int, .string, .shape])
      let node = inside([(name, item), (rest, .tree(item))]) { self.expression(kind, depth - 1) }
      return
        "(match \(expression(.tree(item), depth - 1)) { Leaf => \(literal(kind)), Node(\(rest), \(name), _) => \(node) })"
    case 6:
      let item = self.kind(1)
      let some = inside([(name, item)]) { self.expression(kind, depth - 1) }
      return
        "(match (\(expression(.map(item), depth - 1)))[\(pick(["\"k\"", "\"no\""]))] { Some(\(name)) => \(some), None => \(literal(kind)) })"
    case 7:
      let item = self.kind(1)
      let many = inside([(name, item), (rest, .list(item))]) { self.expression(kind, depth - 1) }
      return
        "(match \(expression(.list(item), depth - 1)) { [\(name), _, ...\(rest)] => \(many), [_] | [] => \(literal(kind)) })"
    case 0:
      let item = self.kind(1)
      let some = inside([(name, item)]) { self.expression(kind, depth - 1) }
      return
        "(match \(expression(.option(item), depth - 1)) { Some(\(name)) => \(some), None => \(expression(kind, depth - 1)) })"
    case 1:
      let item = self.kind(1)
      let some = inside([(name, item), (rest, .list(item))]) { self.expression(kind, depth - 1) }
      return
        "(match \(expression(.list(item), depth - 1)) { [] => \(expression(kind, depth - 1)), \(name) :: \(rest) => \(some) })"
    case 2:
      let circle = inside([(name, .float)]) { self.expression(kind, depth - 1) }
      let box = inside([(name, .int), (rest, .string)]) { self.expression(kind, depth - 1) }
      return
        "(match \(expression(.shape, depth - 1)) { Dot => \(literal(kind)), Circle(\(name)) => \(circle), Box(\(name), \(rest)) => \(box) })"
    default:
      let small = inside([(name, .int)]) { self.expression(kind, depth - 1) }
      return
        "(match \(expression(.int, depth - 1)) { 0 => \(literal(kind)), \(name) if \(name) > 3 => \(small), _ => \(literal(kind)) })"
    }
  }

  private func lambda(_ from: Kind, _ to: Kind, _ depth: Int) -> String {
    let name = fresh()
    // `e?` would leave the lambda.
    let outer = returned
    returned = nil
    defer { returned = outer }
    return inside([(name, from)]) {
      let body = self.expression(to, depth)
      switch self.random.int(below: 3) {
      case 0: return "((\(name): \(Self.text(from))) => (\(body)))"
      case 1: return "func(\(name): \(Self.text(from))) -> \(Self.text(to)) { \(body) }"
      default: return "((\(name): \(Self.text(from))) => { \(body) })"
      }
    }
  }

  private func made(_ kind: Kind, _ depth: Int) -> String {
    func part(_ kind: Kind) -> String { expression(kind, depth - 1) }
    switch kind {
    case .int:
      return pick(["(\(part(.int)) % 50 + \(part(.int)) % 50)", "(\(part(.int)) % 20 * 3)", "len(\(part(.string)))"])
    case .float: return "(\(part(.float)) \(pick(["+", "-", "*"])) \(part(.float)))"
    case .string:
      return pick([
        "(\(part(.string)) ++ \(part(.string)))", "show(\(part(self.kind(1, isShown: true))))",
        "\"<${\(part(.int))}>\"",
      ])
    case .bool:
      let own = self.kind(1, isShown: true)
      return pick([
        "(\(part(.int)) < \(part(.int)))", "(\(part(own)) == \(part(own)))", "(\(part(.bool)) && \(part(.bool)))",
        "!(\(part(.bool)))",
      ])
    case .list(let item):
      let from = self.kind(1, isShown: true)
      return pick([
        "(\(part(.list(item))) ++ \(part(.list(item))))", "(\(part(item)) :: \(part(.list(item))))",
        "map(\(part(.list(from))), \(lambda(from, item, depth - 1)))",
        "filter(\(part(.list(item))), \(lambda(item, .bool, depth - 1)))",
        "map(\(part(.list(from))), (_) => \(part(item)))", "parallel [\(part(item)), \(part(item))]",
      ])
    case .record(let fields):
      guard let name = fields.keys.sorted().first, let field = fields[name] else { return literal(kind, depth) }
      return "{(\(part(kind))) | \(name): \(part(field))}"
    case .tree(let item): return "Node(\(part(kind)), \(part(item)), Leaf)"
    case .map, .function, .option, .tuple, .shape, .result: return literal(kind, depth)
    }
  }

  private func literal(_ kind: Kind, _ depth: Int = 0) -> String {
    func part(_ kind: Kind) -> String { expression(kind, depth - 1) }
    switch kind {
    case .int: return pick(["0", "1", "7", "-3", "42"])
    case .float: return pick(["0.5", "2.0", "-1.25"])
    case .string: return pick(["\"\"", "\"a\"", "\"two words\"", "\"é\""])
    case .bool: return pick(["true", "false"])
    case .list(let item): return "[" + (0...random.int(below: 2)).map { _ in part(item) }.joined(separator: ", ") + "]"
    case .option(let item): return "Some(\(part(item)))"
    case .tuple(let a, let b): return "(\(part(a)), \(part(b)))"
    case .record(let fields):
      return "{" + fields.sorted { $0.key < $1.key }.map { "\($0.key): \(part($0.value))" }.joined(separator: ", ")
        + "}"
    case .shape: return pick(["Dot", "Circle(\(part(.float)))", "Box(\(part(.int)), \(part(.string)))"])
    case .function(let a, let b): return lambda(a, b, max(0, depth - 1))
    case .map(let item): return "{\"k\": \(part(item)), \"l\": \(part(item))}"
    case .result(let item): return pick(["Ok(\(part(item)))", "Err(\"e\")"])
    case .tree(let item): return pick(["Leaf", "Node(Leaf, \(part(item)), Leaf)"])
    }
  }
}
