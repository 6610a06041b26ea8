/// A declaration without its body, in the formatter's spelling; what the program left to inference is filled in.
struct SignatureWriter {
  let source: Source
  let inferred: [String: CheckResult.Signature]

  func signature(_ declaration: Declaration) -> String {
    switch declaration.kind {
    case .function(let it): return function(it, declaration, word: it.isPure ? "pure func" : "func")
    case .workflow(let it): return function(it.function, declaration, word: "workflow")
    case .tool(let it): return function(it.function, declaration, word: "tool")
    case .type(let it):
      if case .extern = it.definition { return "type " + text(it.name.span.start, declaration.span.end) }
      // With its lines: there may be comments between the constructors.
      return formatted("type " + source.text(Int(it.name.span.start)..<Int(declaration.span.end)))
    case .constant(let binding):
      guard case .name(let name) = binding.pattern.kind else { return "" }
      let type = binding.type.map { text($0.span.start, $0.span.end) } ?? inferred[name]?.type
      return "let \(name)" + (type.map { ": " + $0 } ?? "")
    case .provider(let it): return "provider " + it.name.text
    case .agent(let it): return "agent " + it.name.text
    case .exec(let it):
      let parameters = it.parameters.map { text($0.span.start, $0.span.end) }.joined(separator: ", ")
      return "exec \(it.name.text)(\(parameters))"
        + (it.result.map { " -> " + text($0.span.start, $0.span.end) } ?? "")
    case .guard, .test, .error: return ""
    }
  }

  private func function(_ it: FunctionDeclaration, _ declaration: Declaration, word: String) -> String {
    let known = inferred[it.name.text]
    var name = it.name.text
    if !it.typeParameters.isEmpty { name += "[" + it.typeParameters.map(\.text).joined(separator: ", ") + "]" }
    var tail = ""
    if let result = it.result {
      tail = " -> " + text(result.span.start, result.span.end)
    } else if let result = known?.result, it.body != nil {
      tail = " -> " + result
    }
    if let row = it.effects, !it.isPure {
      tail += " " + text(row.span.start, row.span.end)
    } else if let effects = known?.effects, !effects.isEmpty {
      tail += " ! {\(effects.joined(separator: ", "))}"
    }
    // Nobody writes a `Shape`: the checker fills it in.
    let parameters = it.parameters.map { text($0.span.start, $0.span.end) }.filter { !$0.hasPrefix("shape: Shape[") }
    let line =
      word + " "
      + formatted("extern func \(name)(\(parameters.joined(separator: ", ")))\(tail)")
      .dropFirst("extern func ".count)
    if !line.contains("\n") { return line }
    return "\(word) \(name)(\n" + parameters.map { "  \($0),\n" }.joined() + ")\(tail)"
  }

  private func formatted(_ text: String) -> String {
    guard case .formatted(let form) = Formatter.format(Source(name: source.name, text: text)) else { return text }
    return String(form.last == "\n" ? form.dropLast() : form[...])
  }

  private func text(_ from: UInt32, _ to: UInt32) -> String {
    source.text(Int(from)..<Int(to)).split(whereSeparator: \.isWhitespace).joined(separator: " ")
  }
}
