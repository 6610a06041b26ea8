/// Whether the arms of a `match` cover every value, with an example of one they miss (Maranget 2007, "Warnings for
/// pattern matching"): a row of patterns is useful when some value fits it and no row above.
///
/// Patterns come typed from `Patterns.swift`; examples go to diagnostics as text.
struct Exhaustiveness {
  indirect enum Shape {
    case any
    case literal(CoreLiteral)
    case constructor(SumCase, [Shape])
    /// A tuple or record: one shape for each field.
    case product([Shape])
    /// `[p, q]`, or with `rest` at least those. Invariant: never empty with a rest; that is the rest itself.
    case list([Shape], rest: Shape?)
    case either([Shape])
    /// Where an error was reported.
    case broken
  }

  /// A match is checked in time exponential in its nesting in the worst case; beyond this many steps it is taken to be
  /// complete (the machine still traps on a value that no arm fits).
  static let stepLimit = 50_000

  private var steps = 0
  private let unifier: Unifier
  init(unifier: Unifier) { self.unifier = unifier }

  /// An example of a value that no row fits, or nil when there is none.
  static func missing(_ rows: [Shape], of type: Type, unifier: Unifier) -> String? {
    var check = Exhaustiveness(unifier: unifier)
    return check.useful(rows.map { [$0] }, [.any], [type]).flatMap { $0.first?.text }
  }

  /// Rows that nothing reaches, because those above take all they fit.
  static func unreachable(_ rows: [Shape], of type: Type, unifier: Unifier) -> [Int] {
    var check = Exhaustiveness(unifier: unifier)
    var above = Grouped()
    var result: [Int] = []
    for (index, shape) in rows.enumerated() {
      // Only rows of the same head can take what it fits, so that many arms of one match take linear time.
      let useful = check.expand([shape]).filter { row in
        let head = check.head(of: row[0], type)
        return check.useful(head.map { above.rows($0) } ?? above.all, row, [type]) != nil
      }
      // Beyond the limit nothing is known.
      if check.steps > Self.stepLimit { break }
      if useful.isEmpty { result.append(index) }
      for row in useful { above.add(row, check.head(of: row[0], type)) }
    }
    return result
  }

  // MARK: The algorithm

  /// Rows by what their first pattern asks for; those that ask for nothing stand in every group, at their place.
  private struct Grouped {
    private(set) var all: [[Shape]] = []
    private(set) var open: [[Shape]] = []
    private(set) var groups: [Head: [[Shape]]] = [:]

    mutating func add(_ row: [Shape], _ head: Head?) {
      all.append(row)
      if let head {
        groups[head, default: open].append(row)
      } else {
        open.append(row)
        for key in groups.keys { groups[key]?.append(row) }
      }
    }

    func rows(_ head: Head) -> [[Shape]] { groups[head] ?? open }
  }

  private enum Head: Hashable {
    case bool(Bool)
    case literal(CoreLiteral)
    case constructor(SumCase)
    case product(Int)
    case cons, empty

    static func == (a: Head, b: Head) -> Bool {
      switch (a, b) {
      case (.bool(let x), .bool(let y)): x == y
      case (.literal(let x), .literal(let y)): x == y
      case (.constructor(let x), .constructor(let y)): x === y
      case (.product, .product), (.cons, .cons), (.empty, .empty): true
      default: false
      }
    }

    func hash(into hasher: inout Hasher) {
      switch self {
      case .bool(let value): hasher.combine(value)
      case .literal(let literal): hasher.combine(literal)
      case .constructor(let c): hasher.combine(ObjectIdentifier(c))
      case .product, .cons, .empty: break
      }
    }

    var arity: Int {
      switch self {
      case .bool, .literal, .empty: 0
      case .constructor(let c): c.fields.count
      case .product(let n): n
      case .cons: 2
      }
    }
  }

  private indirect enum Example {
    case any
    case head(Head, [Example], Type)

    var text: String {
      switch self {
      case .any: return "_"
      case .head(let head, let parts, let type):
        switch head {
        case .bool(let value): return value ? "true" : "false"
        case .literal(let literal): return literal.text
        case .empty: return "[]"
        case .cons:
          var items = [parts[0].text]
          var rest = parts[1]
          while case .head(.cons, let more, _) = rest {
            items.append(more[0].text)
            rest = more[1]
          }
          if case .head(.empty, _, _) = rest { return "[\(items.joined(separator: ", "))]" }
          return "[\(items.joined(separator: ", ")), ..._]"
        case .constructor(let c):
          return parts.isEmpty ? c.name : "\(c.name)(\(parts.map(\.text).joined(separator: ", ")))"
        case .product:
          if case .record(let record) = type.resolved {
            let named = zip(record.fields, parts).map { "\($0.name): \($1.text)" }
            return "{\(named.joined(separator: ", "))}"
          }
          return "(\(parts.map(\.text).joined(separator: ", ")))"
        }
      }
    }
  }

  private mutating func useful(_ rows: [[Shape]], _ row: [Shape], _ types: [Type]) -> [Example]? {
    steps += 1
    if steps > Self.stepLimit { return nil }
    guard let first = row.first, let type = types.first else { return rows.isEmpty ? [] : nil }
    let rows = rows.flatMap(expand)
    if case .either(let options) = first {
      for option in options {
        if let found = useful(rows, [option] + row.dropFirst(), types) { return found }
      }
      return nil
    }
    if let head = head(of: first, type) {
      return useful(head, rows, row, types)
    }
    var grouped = Grouped()
    for row in rows { grouped.add(row, head(of: row[0], type)) }
    let used = grouped.groups
    let all = heads(of: type)
    if let all, !used.isEmpty, all.allSatisfy({ used[$0] != nil }) {
      for head in all {
        if let found = useful(head, grouped.rows(head), row, types) { return found }
      }
      return nil
    }
    let others = grouped.open.map { Array($0.dropFirst()) }
    guard let found = useful(others, Array(row.dropFirst()), Array(types.dropFirst())) else { return nil }
    if let missing = all?.first(where: { used[$0] == nil }), !used.isEmpty {
      return [.head(missing, Array(repeating: .any, count: missing.arity), type)] + found
    }
    return [.any] + found
  }

  private mutating func useful(
    _ head: Head, _ rows: [[Shape]], _ row: [Shape], _ types: [Type]
  ) -> [Example]? {
    let type = types[0]
    let inner = fieldTypes(head, type)
    let below = rows.compactMap { specialise($0, head, type) }
    guard let special = specialise(row, head, type),
      let found = useful(below, special, inner + types.dropFirst())
    else { return nil }
    return [.head(head, Array(found.prefix(head.arity)), type)] + found.dropFirst(head.arity)
  }

  private func expand(_ row: [Shape]) -> [[Shape]] {
    guard case .either(let options)? = row.first else { return [row] }
    return options.flatMap { expand([$0] + row.dropFirst()) }
  }

  /// nil: any value fits.
  private func head(of shape: Shape, _ type: Type) -> Head? {
    switch shape {
    case .any, .either, .broken: nil
    case .literal(.bool(let value)): .bool(value)
    case .literal(.unit): .product(0)
    case .literal(let literal): .literal(literal)
    case .constructor(let c, _): .constructor(c)
    case .product(let parts): .product(parts.count)
    case .list(let items, let rest): items.isEmpty ? (rest == nil ? .empty : nil) : .cons
    }
  }

  /// Every head a value of the type can have; nil when they can't be listed.
  private func heads(of type: Type) -> [Head]? {
    switch type.resolved {
    case .bool: [.bool(true), .bool(false)]
    case .unit: [.product(0)]
    case .list: [.empty, .cons]
    case .tuple(let xs): [.product(xs.count)]
    case .record(let r): [.product(r.fields.count)]
    case .named(let n, _): n.constructors.isEmpty ? nil : n.constructors.map { .constructor($0) }
    default: nil
    }
  }

  private func fieldTypes(_ head: Head, _ type: Type) -> [Type] {
    switch (head, type.resolved) {
    case (.cons, .list(let x)): [x, type]
    case (.product, .tuple(let xs)): xs
    case (.product, .record(let r)): r.fields.map { unifier.fieldType($0) }
    case (.constructor(let c), .named(_, let arguments)): Unifier.fields(of: c, arguments)
    default: Array(repeating: .error, count: head.arity)
    }
  }

  /// The row below `head`, or nil when its first pattern can't be that head.
  private func specialise(_ row: [Shape], _ head: Head, _ type: Type) -> [Shape]? {
    let rest = row.dropFirst()
    guard let own = self.head(of: row[0], type) else {
      return Array(repeating: .any, count: head.arity) + rest
    }
    guard own == head else { return nil }
    switch row[0] {
    case .constructor(_, let parts), .product(let parts): return parts + rest
    case .list(let items, let tail):
      guard let first = items.first else { return Array(rest) }
      let remaining: Shape =
        items.count == 1 ? tail ?? .list([], rest: nil) : .list(Array(items.dropFirst()), rest: tail)
      return [first, remaining] + rest
    default: return Array(rest)
    }
  }
}

extension CoreLiteral {
  /// As it stands in a program.
  var text: String {
    switch self {
    case .unit: "()"
    case .bool(let value): value ? "true" : "false"
    case .int(let value): String(value)
    case .float(let value): String(value)
    case .string(let value): "\"\(value)\""
    case .bytes: "bytes"
    }
  }
}
