/// A tree as S-expressions: for golden tests, `--debug`, and to look at what the parser understood.
///
/// Shows structure only (no spans), one line where it fits, else one part to a line. Two sources with the same dump mean
/// the same program.
package struct TreePrinter {
  package static let lineWidth = 100

  indirect enum Form {
    case atom(String)
    case list([Form])

    static func of(_ head: String, _ rest: Form...) -> Form { .list([.atom(head)] + rest) }
    static func of(_ head: String, _ rest: [Form]) -> Form { .list([.atom(head)] + rest) }

    var isEmpty: Bool { if case .list(let parts) = self { parts.isEmpty } else { false } }
  }

  package static func text(_ tree: Tree) -> String {
    var forms: [Form] = []
    if let module = tree.module { forms.append(.of("module", .atom(module.text))) }
    forms += tree.imports.map(form)
    for item in tree.items {
      switch item {
      case .declaration(let declaration): forms.append(form(declaration))
      case .statement(let statement): forms.append(form(statement))
      }
    }
    return forms.map { render($0) + "\n" }.joined()
  }

  package static func text(_ expression: Expression) -> String { render(form(expression)) }
  package static func text(_ type: TypeExpression) -> String { render(form(type)) }
  package static func text(_ pattern: Pattern) -> String { render(form(pattern)) }

  // MARK: - Layout

  private static func render(_ form: Form) -> String {
    var out = ""
    write(form, indent: 0, to: &out)
    return out
  }

  private static func flat(_ form: Form) -> String {
    switch form {
    case .atom(let text): text
    case .list(let parts): "(" + parts.map(flat).joined(separator: " ") + ")"
    }
  }

  /// At most `room` characters of the flat form are made, so that layout stays linear in the depth.
  private static func fits(_ form: Form, _ room: inout Int) -> Bool {
    switch form {
    case .atom(let text):
      room -= text.utf8.count
    case .list(let parts):
      room -= 2 + max(0, parts.count - 1)
      for part in parts where room >= 0 { _ = fits(part, &room) }
    }
    return room >= 0
  }

  private static func write(_ form: Form, indent: Int, to out: inout String) {
    var room = lineWidth - indent
    guard case .list(let parts) = form, let head = parts.first, !fits(form, &room) else {
      out += flat(form)
      return
    }
    out += "("
    write(head, indent: indent + 1, to: &out)
    // The first atoms stay with the head: `(func main (params) …`.
    var onHeadLine = true
    for part in parts.dropFirst() {
      if case .atom(let text) = part, onHeadLine {
        out += " " + text
      } else {
        onHeadLine = false
        out += "\n" + String(repeating: " ", count: indent + 2)
        write(part, indent: indent + 2, to: &out)
      }
    }
    out += ")"
  }

  // MARK: - Statements, patterns, types

  static func form(_ block: Block) -> Form {
    .of("block", block.statements.map(form) + opt(block.result) { .of("=>", form($0)) })
  }

  static func form(_ statement: Statement) -> Form {
    switch statement.kind {
    case .let(let binding): .of("let", form(binding))
    case .var(let binding): .of("var", form(binding))
    case .assign(let name, let value): .of("assign", .atom(name.text), form(value))
    case .discard(let value): .of("discard", form(value))
    case .expression(let value): form(value)
    case .defer(let value): .of("defer", form(value))
    case .onOutcome(let outcome, let binding, let block):
      .of("on-\(outcome.rawValue)", (binding.map { [.atom($0.text)] } ?? []) + [form(block)])
    case .error: .of("error")
    }
  }

  static func form(_ binding: Binding) -> [Form] {
    [form(binding.pattern)] + opt(binding.type) { .of(":", form($0)) } + [form(binding.value)]
  }

  static func form(_ pattern: Pattern) -> Form {
    switch pattern.kind {
    case .wildcard: .atom("_")
    case .name(let text): .atom(text)
    case .constructor(let qualifier, let name, let arguments):
      arguments.map { .of(dotted(qualifier, name), $0.map(form)) } ?? .atom(dotted(qualifier, name))
    case .unit: .atom("()")
    case .bool(let value): .atom("\(value)")
    case .int(let value): .atom("\(value)")
    case .float(let value): .atom("\(value)")
    case .string(let text): .atom(quoted(text))
    case .nil: .atom("nil")
    case .tuple(let parts): .of("tuple", parts.map(form))
    case .list(let parts, let rest): .of("list", parts.map(form) + opt(rest) { .of("...", form($0)) })
    case .cons(let a, let b): .of("::", form(a), form(b))
    case .record(let fields): .of("record", fields.map { .of($0.name.text, form($0.pattern)) })
    case .or(let parts): .of("|", parts.map(form))
    case .error: .of("error")
    }
  }

  static func form(_ type: TypeExpression) -> Form {
    switch type.kind {
    case .named(let qualifier, let name, let arguments):
      arguments.isEmpty ? .atom(dotted(qualifier, name)) : .of(dotted(qualifier, name), arguments.map(form))
    case .unit: .atom("()")
    case .list(let element): .of("list", form(element))
    case .map(let key, let value): .of("map", form(key), form(value))
    case .option(let type): .of("?", form(type))
    case .tuple(let parts): .of("tuple", parts.map(form))
    case .record(let fields):
      .of("record", fields.map { .of($0.name.text + ($0.isOptional ? "?" : ""), form($0.type)) })
    case .function(let parameters, let result, let effects):
      .of("->", [.list(parameters.map(form)), form(result)] + opt(effects) { form($0) })
    case .error: .of("error")
    }
  }

  static func form(_ row: EffectRow) -> Form {
    .of(
      "!",
      row.effects.map { effect in .atom(effect.name.text + (effect.limit.map { "@\($0)" } ?? "")) }
        + row.variables.map { .atom($0.text) })
  }

  static func opt<Part>(_ part: Part?, _ make: (Part) -> Form) -> [Form] {
    guard let part else { return [] }
    return [make(part)]
  }

  static func dotted(_ qualifier: Name?, _ name: Name) -> String { (qualifier.map { $0.text + "." } ?? "") + name.text }

  static func quoted(_ text: String) -> String {
    var out = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": out += "\\\""
      case "\\": out += "\\\\"
      case "\n": out += "\\n"
      case "\t": out += "\\t"
      case _ where scalar.value < 0x20: out += "\\u{\(String(scalar.value, radix: 16))}"
      default: out.unicodeScalars.append(scalar)
      }
    }
    return out + "\""
  }
}

extension TreePrinter.Form {
  static func of(_ head: String, _ first: TreePrinter.Form, _ rest: [TreePrinter.Form]) -> TreePrinter.Form {
    .list([.atom(head), first] + rest)
  }
}
