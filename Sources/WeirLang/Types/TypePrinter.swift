/// Types as the program would write them: aliases by name, unknowns as `a`, `b`, … in order of appearance.
struct TypePrinter {
  private var names: [Int: String] = [:]
  private var rowNames: [Int: String] = [:]
  /// How often each rest of a row appears: one that appears once says nothing and is not shown.
  private var rowCounts: [Int: Int] = [:]
  /// Deeper than this a type is shown as `…`.
  static let depthLimit = 12

  static func text(_ type: Type) -> String {
    var printer = TypePrinter()
    printer.count(type, 0)
    return printer.print(type)
  }

  /// As the object of "needs" or "is": `a number`, `[string]`.
  static func noun(_ type: Type) -> String { article(type) ?? text(type) }

  private static func article(_ type: Type) -> String? {
    guard case .variable(let v) = type.resolved, v.rigidName == nil, v.wantedFields.isEmpty else { return nil }
    switch v.kind {
    case .number: return "a number"
    case .joinable: return "a string or a list"
    case .ordered: return "a number or a string"
    case .comparable: return "something that can be compared"
    case .measured: return "a string, bytes, a list, a map or Json"
    case .messages: return "messages (a list of {role, content}, or JSON)"
    case .any: return nil
    }
  }

  /// Two types with one set of names, so that `a` is the same in both.
  static func pair(_ a: Type, _ b: Type) -> (String, String) {
    var printer = TypePrinter()
    printer.count(a, 0)
    printer.count(b, 0)
    return (article(a) ?? printer.print(a), article(b) ?? printer.print(b))
  }

  mutating func print(_ type: Type) -> String { print(type, 0) }

  private mutating func print(_ type: Type, _ depth: Int) -> String {
    if depth > Self.depthLimit { return "…" }
    switch type.resolved {
    case .int: return "int"
    case .float: return "float"
    case .bool: return "bool"
    case .string: return "string"
    case .bytes: return "bytes"
    case .unit: return "unit"
    case .any: return "any"
    case .error: return "?"
    case .list(let x): return "[\(print(x, depth + 1))]"
    case .map(let k, let v): return "Map[\(print(k, depth + 1)), \(print(v, depth + 1))]"
    case .tuple(let xs): return "(\(list(xs, depth)))"
    case .named(let n, let xs): return xs.isEmpty ? n.name : "\(n.name)[\(list(xs, depth))]"
    case .record(let r):
      if let alias = r.alias {
        return r.aliasArguments.isEmpty ? alias : "\(alias)[\(list(r.aliasArguments, depth))]"
      }
      let fields = r.fields.map { "\($0.name)\($0.isOptional ? "?" : ""): \(print($0.type, depth + 1))" }
      return "{\(fields.joined(separator: ", "))}"
    case .function(let f):
      return "(\(list(f.parameters, depth))) -> \(print(f.result, depth + 1))\(print(f.row))"
    case .variable(let v):
      if let name = v.rigidName { return name }
      if !v.wantedFields.isEmpty {
        let fields = v.wantedFields.map { "\($0.name): \(print($0.type, depth + 1))" }
        return "{\(fields.joined(separator: ", ")), …}"
      }
      switch v.kind {
      case .number: return "number"
      case .joinable: return "string or list"
      case .ordered: return "number or string"
      case .measured: return "string, list or map"
      case .messages: return "messages"
      case .any, .comparable: break
      }
      if let name = names[v.id] { return name }
      let name = Self.letter(names.count)
      names[v.id] = name
      return name
    }
  }

  private mutating func count(_ type: Type, _ depth: Int) {
    if depth > Self.depthLimit { return }
    switch type.resolved {
    case .list(let x): count(x, depth + 1)
    case .map(let k, let v):
      count(k, depth + 1)
      count(v, depth + 1)
    case .tuple(let xs), .named(_, let xs): for x in xs { count(x, depth + 1) }
    case .record(let r):
      for field in r.fields { count(field.type, depth + 1) }
    case .function(let f):
      for type in f.parameters { count(type, depth + 1) }
      count(f.result, depth + 1)
      if let rest = f.row.resolved.rest { rowCounts[rest.id, default: 0] += 1 }
    default: break
    }
  }

  private mutating func list(_ types: [Type], _ depth: Int) -> String {
    types.map { print($0, depth + 1) }.joined(separator: ", ")
  }

  /// ` ! {IO, e}`, or nothing for a pure row.
  mutating func print(_ row: Row) -> String {
    let row = row.resolved
    var parts = row.effects.sorted
    if let rest = row.rest, rowCounts[rest.id, default: 0] > 1 {
      let name = rowNames[rest.id] ?? (rowNames.isEmpty ? "e" : "e\(rowNames.count + 1)")
      rowNames[rest.id] = name
      parts.append(name)
    }
    return parts.isEmpty ? "" : " ! {\(parts.joined(separator: ", "))}"
  }

  private static func letter(_ n: Int) -> String {
    let scalar = Unicode.Scalar(UInt8(97 + n % 26))
    return n < 26 ? String(scalar) : "\(scalar)\(n / 26)"
  }
}
