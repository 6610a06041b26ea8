/// Types, effect rows and patterns.
extension Formatter {
  /// `inLines`: a record type has a line for each field.
  mutating func type(_ type: TypeExpression, inLines: Bool = false) -> Layout {
    let leading = before(type.span.start)
    let made = bare(type, inLines)
    return leading.isEmpty ? made : .join(leading + [made])
  }

  private mutating func bare(_ type: TypeExpression, _ inLines: Bool) -> Layout {
    switch type.kind {
    case .unit, .error: return .text("()")
    case .named(let qualifier, let name, let arguments):
      let text = (qualifier.map { $0.text + "." } ?? "") + name.text
      if arguments.isEmpty { return .text(text) }
      return .join([.text(text), types("[", arguments, "]", type.span)])
    case .list(let element): return .join([.text("["), self.type(element), .text("]")])
    case .map(let key, let value):
      // `?:` is an optional field's.
      let isOption = if case .option = key.kind { true } else { false }
      let shown = self.type(key)
      return .join(
        [
          .text("["), isOption ? .join([.text("("), shown, .text(")")]) : shown, .text(": "), self.type(value),
          .text("]"),
        ])
    case .option(let inner): return .join([enclosed(inner), .text("?")])
    case .tuple(let parts): return types("(", parts, ")", type.span)
    case .record(let fields):
      return list("{", fields, "}", in: type.span, breaks: inLines, \.whole) {
        .join([.text($1.name.text + ($1.isOptional ? "?: " : ": ")), $0.type($1.type)])
      }
    case .function(let parameters, let result, let effects):
      var parts = [functionParameters(parameters, of: type)]
      parts += [.text(" -> "), effects == nil ? self.type(result) : enclosed(result)]
      if let effects { parts += [.text(" "), row(effects)] }
      return .join(parts)
    }
  }

  private mutating func types(_ open: String, _ types: [TypeExpression], _ close: String, _ span: Span) -> Layout {
    list(open, types, close, in: span, \.span) { $0.type($1) }
  }

  /// In brackets where a function type would take what follows for its own.
  mutating func enclosed(_ type: TypeExpression) -> Layout {
    if case .function = type.kind { return .join([.text("("), self.type(type), .text(")")]) }
    return self.type(type)
  }

  private mutating func functionParameters(_ parameters: [TypeExpression], of type: TypeExpression) -> Layout {
    let open = token(at: type.span.start)
    var isBracketed = false
    var span = Span(file: type.span.file, start: Int(type.span.start), end: Int(type.span.start))
    if lexed.tokens[open].kind == .roundOpen, lexed.partner[open] >= 0 {
      let close = Int(lexed.partner[open])
      isBracketed = lexed.tokens[close + 1].kind == .thinArrow
      if isBracketed { span.end = lexed.tokens[close].end }
    }
    return list("(", parameters, ")", in: span, \.span) { formatter, parameter in
      let made = formatter.type(parameter)
      guard isBracketed, let name = formatter.parameterName(parameter, open) else { return made }
      return .join([.text(name + ": "), made])
    }
  }

  /// Names in function types are documentation, so the tree has none: `(text: string) -> bool`.
  private func parameterName(_ type: TypeExpression, _ open: Int) -> String? {
    var index = token(at: type.span.start) - 1
    while index > open, lexed.tokens[index].kind == .roundOpen { index -= 1 }
    guard index - 2 >= open, lexed.tokens[index].kind == .colon, lexed.tokens[index - 1].kind == .name,
      [.roundOpen, .comma].contains(lexed.tokens[index - 2].kind)
    else { return nil }
    return text(lexed.tokens[index - 1])
  }

  mutating func row(_ row: EffectRow) -> Layout {
    let effects = row.effects.sorted { $0.name.text < $1.name.text }
      .map { $0.name.text + ($0.limit.map { " @limit=\($0)" } ?? "") }
    return .text("! {" + (effects + row.variables.map(\.text)).joined(separator: ", ") + "}")
  }

  // MARK: - Patterns

  mutating func pattern(_ pattern: Pattern, isAtom: Bool = false) -> Layout {
    var leading = before(pattern.span.start)
    let made = bare(pattern)
    var needsBrackets = false
    if isAtom {
      switch pattern.kind {
      case .or, .cons: needsBrackets = true
      default: break
      }
    }
    leading += needsBrackets ? [.text("("), made, .text(")")] : [made]
    return leading.count == 1 ? leading[0] : .join(leading)
  }

  private mutating func bare(_ pattern: Pattern) -> Layout {
    switch pattern.kind {
    case .wildcard, .error: return .text("_")
    case .name(let text): return .text(text)
    case .unit: return .text("()")
    case .bool(let value): return .text("\(value)")
    case .nil: return .text("nil")
    case .string: return .raw(text(pattern.span))
    case .int, .float:
      // Between the minus and the number there may be anything.
      guard let number = token(endingAt: pattern.span.end) else { return .raw(text(pattern.span)) }
      return .text((number.start > pattern.span.start ? "-" : "") + text(number))
    case .constructor(let qualifier, let name, let arguments):
      let text = (qualifier.map { $0.text + "." } ?? "") + name.text
      guard let arguments else { return .text(text) }
      return .join([.text(text), patterns("(", arguments, ")", pattern.span)])
    case .tuple(let parts): return patterns("(", parts, ")", pattern.span)
    case .list(let parts, let rest):
      return list("[", parts + (rest.map { [$0] } ?? []), "]", in: pattern.span, \.span) { formatter, part in
        guard let rest, part.id == rest.id else { return formatter.pattern(part) }
        if case .name(let name) = rest.kind { return .text("..." + name) }
        return .text("...")
      }
    case .cons(let head, let tail):
      var parts = [self.pattern(head, isAtom: true), Layout.text(" :: ")]
      if case .cons = tail.kind {
        parts.append(self.pattern(tail))
      } else {
        parts.append(self.pattern(tail, isAtom: true))
      }
      return .join(parts)
    case .record(let fields):
      return list("{", fields, "}", in: pattern.span, \.whole) { formatter, field in
        if case .name(let text) = field.pattern.kind, text == field.name.text { return .text(text) }
        return .join([.text(field.name.text + ": "), formatter.pattern(field.pattern)])
      }
    case .or(let parts):
      var made: [Layout] = []
      for (i, part) in parts.enumerated() {
        let nested = if case .or = part.kind { true } else { false }
        made += (i == 0 ? [] : [.line, .text("| ")]) + [self.pattern(part, isAtom: nested)]
      }
      return .group(made)
    }
  }

  private mutating func patterns(_ open: String, _ patterns: [Pattern], _ close: String, _ span: Span) -> Layout {
    list(open, patterns, close, in: span, \.span) { $0.pattern($1) }
  }
}
