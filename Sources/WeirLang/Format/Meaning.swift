/// What two spellings of one program have in common: the tree's dump without what the formatter may choose.
///
/// A branch and its braces (`then a`, `{ a }`) are one; effects and imports have no order. Everything else must be equal.
extension TreePrinter {
  package static func meaning(_ tree: Tree) -> String {
    var forms: [Form] = []
    if let module = tree.module { forms.append(.of("module", .atom(module.text))) }
    let imports = tree.imports.map { flattened(form($0)) }.sorted()
    for item in tree.items {
      switch item {
      case .declaration(let declaration): forms.append(form(declaration))
      case .statement(let statement): forms.append(form(statement))
      }
    }
    return (imports + forms.map { flattened($0) }).map { $0 + "\n" }.joined()
  }

  private static func flattened(_ form: Form) -> String {
    var out = ""
    write(form, to: &out)
    return out
  }

  private static func write(_ form: Form, to out: inout String) {
    switch form {
    case .atom(let text): out += text
    case .list(let parts):
      out += "("
      var parts = parts
      if case .atom("if")? = parts.first, parts.count > 2 {
        for i in 2..<parts.count { parts[i] = withoutBraces(parts[i]) }
      } else if case .atom("!")? = parts.first {
        parts = [parts[0]] + parts.dropFirst().sorted { flattened($0) < flattened($1) }
      }
      for (i, part) in parts.enumerated() {
        if i > 0 { out += " " }
        write(part, to: &out)
      }
      out += ")"
    }
  }

  private static func withoutBraces(_ form: Form) -> Form {
    guard case .list(let parts) = form, parts.count == 2, case .atom("block") = parts[0],
      case .list(let value) = parts[1], value.count == 2, case .atom("=>") = value[0]
    else { return form }
    return withoutBraces(value[1])
  }
}
