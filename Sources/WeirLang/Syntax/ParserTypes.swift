/// Types and effect rows.
extension Parser {
  mutating func type() throws(Abort) -> TypeExpression {
    try enter()
    defer { leave() }
    let start = at
    if kind == .roundOpen {
      let parts = try list(.roundClose, of: "the types") { (p: inout Parser) throws(Abort) in
        // A name in a function type is documentation: `(text: string) -> bool`.
        if p.kind == .name, p.peek(1) == .colon {
          p.advance()
          p.advance()
        }
        return try p.type()
      }
      if kind == .thinArrow { return try functionType(parts, from: start) }
      let inner =
        switch parts.count {
        case 0: try node(TypeExpression.Kind.unit, span(from: start))
        case 1: parts[0]
        default: try node(TypeExpression.Kind.tuple(parts), span(from: start))
        }
      return try suffixes(of: inner, from: start)
    }
    let type = try suffixes(of: typeAtom(), from: start)
    return kind == .thinArrow && !atBreak ? try functionType([type], from: start) : type
  }

  private mutating func functionType(_ parameters: [TypeExpression], from start: Int) throws(Abort) -> TypeExpression {
    advance()
    let result = try type()
    let effects = try effectRow()
    return try node(.function(parameters, result: result, effects: effects), span(from: start))
  }

  private mutating func suffixes(of type: TypeExpression, from start: Int) throws(Abort) -> TypeExpression {
    var type = type
    // `f?: T` is an optional field, not an optional type.
    while kind == .question, peek(1) != .colon {
      advance()
      type = try node(TypeExpression.Kind.option(type), span(from: start))
    }
    return type
  }

  private mutating func typeAtom() throws(Abort) -> TypeExpression {
    let start = at
    switch kind {
    case .name:
      var qualifier: Name?
      var name = try label("a type")
      if kind == .dot, peek(1) == .name {
        advance()
        qualifier = name
        name = try label("a type")
      }
      var arguments: [TypeExpression] = []
      if kind == .squareOpen, !atBreak {
        arguments = try list(.squareClose, of: "the types") { (p: inout Parser) throws(Abort) in try p.type() }
      } else if kind == .less, !atBreak, peek(1) == .name {
        throw fail(.expected("the type's arguments", found: "`<`", hint: "type arguments stand in `[ ]`: `List[int]`"))
      }
      return try node(.named(qualifier: qualifier, name, arguments), span(from: start))
    case .squareOpen:
      var value: TypeExpression?
      let parts = try list(.squareClose, of: "the types") { (p: inout Parser) throws(Abort) in
        let type = try p.type()
        if p.take(.colon) { value = try p.type() }
        return type
      }
      guard let first = parts.first, parts.count == 1 else {
        at = start
        throw fail(
          .expected(
            "one type", found: "\(parts.count)", hint: "a list type is `[T]`, a map type `[K: V]`, a tuple `(A, B)`"))
      }
      if let value { return try node(TypeExpression.Kind.map(first, value), span(from: start)) }
      return try node(TypeExpression.Kind.list(first), span(from: start))
    case .curlyOpen:
      let fields = try list(.curlyClose, of: "the fields") { (p: inout Parser) throws(Abort) in
        let name = try p.label("a field's name")
        let isOptional = p.take(.question)
        if p.atForgottenColon {
          p.report(.expected("`:` and a field's type", found: p.found(p.at), hint: nil), at: p.span)
        } else {
          try p.expectColon("a field's type")
        }
        return FieldType(name: name, isOptional: isOptional, type: try p.type())
      }
      return try node(TypeExpression.Kind.record(fields), span(from: start))
    default:
      throw failExpected("a type")
    }
  }

  /// A type stands where its `:` should: `h int`. Not `int h`, which is another language's order.
  var atForgottenColon: Bool {
    guard kind == .name, !token.flags.contains(.newlineBefore) else { return false }
    let word = text(at)
    return word.first?.isUppercase == true || Self.plainTypes.contains(word)
  }

  private static let plainTypes: Set = ["int", "float", "string", "bool", "bytes", "unit", "any"]

  /// `:`; an `=` in its place is reported and taken.
  mutating func expectColon(_ what: String) throws(Abort) {
    if kind == .assign {
      report(.equalsInField(what), at: span)
      advance()
    } else {
      try expect(.colon, "`:` and \(what)")
    }
  }

  /// `! {A, B @limit=3, e}`, `! {A | e}`, `! e`; nil if there is none. The `!` may start a line.
  mutating func effectRow() throws(Abort) -> EffectRow? {
    guard kind == .bang else { return nil }
    let start = at
    advance()
    var row = EffectRow(effects: [], variables: [], span: span(start))
    if kind == .name {
      try effect(into: &row)
    } else if kind == .curlyOpen {
      let opener = at
      let outside = newlinesMatter
      newlinesMatter = false
      defer { newlinesMatter = outside }
      advance()
      while !(kind == .curlyClose && partner(at) == opener) {
        guard kind == .name else {
          throw partner(opener) == nil
            ? failUnclosed(opener) : failExpected("an effect", hint: "for example `! {IO, Net}`")
        }
        try effect(into: &row)
        if kind == .comma || kind == .bar {
          advance()
        } else if kind == .name {
          report(.missingComma(in: "the effects"), at: span)
        }
      }
      advance()
    } else {
      throw failExpected("the effects", hint: "for example `! {IO, Net}`")
    }
    row.span = span(from: start)
    return row
  }

  private mutating func effect(into row: inout EffectRow) throws(Abort) {
    let start = at
    let name = try label("an effect")
    guard name.isCapitalized else {
      row.variables.append(name)
      return
    }
    var limit: Int?
    if take(.at) {
      guard isWord("limit") else { throw failExpected("`limit`", hint: "write `\(name.text) @limit=5`") }
      advance()
      try expect(.assign)
      guard kind == .int else { throw failExpected("a number", hint: "write `\(name.text) @limit=5`") }
      limit = Int(clamping: lexed.numbers[Int(token.value)])
      advance()
    }
    row.effects.append(Effect(name: name, limit: limit, span: span(from: start)))
  }
}
