/// Patterns.
extension Parser {
  /// With alternatives: `A(x) | B(x)`.
  mutating func pattern() throws(Abort) -> Pattern {
    try enter()
    defer { leave() }
    let start = at
    let first = try consPattern()
    guard kind == .bar else { return first }
    var alternatives = [first]
    while take(.bar) { alternatives.append(try consPattern()) }
    return try node(.or(alternatives), span(from: start))
  }

  private mutating func consPattern() throws(Abort) -> Pattern {
    var items = [try patternAtom()]
    while take(.doubleColon) { items.append(try patternAtom()) }
    var result = items.removeLast()
    while let item = items.popLast() { result = try node(.cons(item, result), item.span.through(result.span)) }
    return result
  }

  /// One that needs no brackets around it, as a parameter of `\x. e` does.
  mutating func patternAtom() throws(Abort) -> Pattern {
    let start = at
    switch kind {
    case .name: return try namedPattern()
    case .int, .float, .minus: return try numberPattern()
    case .string:
      advance()
      return try node(.string(stringValue(start)), span(start))
    case .kTrue, .kFalse:
      advance()
      return try node(Pattern.Kind.bool(tokens[start].kind == .kTrue), span(start))
    case .kNil:
      advance()
      return try node(Pattern.Kind.nil, span(start))
    case .roundOpen:
      let parts = try list(.roundClose, of: "the patterns") { (p: inout Parser) throws(Abort) in try p.pattern() }
      if parts.count == 1 { return parts[0] }
      return try node(parts.isEmpty ? Pattern.Kind.unit : .tuple(parts), span(from: start))
    case .squareOpen: return try listPattern()
    case .curlyOpen:
      let fields = try list(.curlyClose, of: "the fields") { (p: inout Parser) throws(Abort) in
        let name = try p.label("a field's name")
        if p.take(.colon) { return FieldPattern(name: name, pattern: try p.pattern()) }
        return FieldPattern(name: name, pattern: try p.node(.name(name.text), name.span))
      }
      return try node(Pattern.Kind.record(fields), span(from: start))
    case .stringStart:
      throw fail(.badPattern(hint: "a string in a pattern has no `${…}`; bind it and compare: `s if s == …`"))
    default:
      if kind.isKeyword, [.arrow, .assign, .comma, .roundClose, .kIn, .colon].contains(peek(1)) {
        let name = try name("a name")
        return try node(.name(name.text), name.span)
      }
      throw failExpected("a pattern")
    }
  }

  private mutating func namedPattern() throws(Abort) -> Pattern {
    let start = at
    var name = try label("a pattern")
    if name.text == "_" { return try node(Pattern.Kind.wildcard, name.span) }
    var qualifier: Name?
    if kind == .dot, peek(1) == .name, !name.isCapitalized, tokens[at + 1].start == tokens[at].end,
      source.bytes[Int(tokens[at + 1].start)] < UInt8(ascii: "a")
    {
      advance()
      qualifier = name
      name = try label("a constructor")
    }
    guard name.isCapitalized else {
      if kind == .roundOpen, !atBreak {
        throw fail(
          .badPattern(
            hint: "constructors start with a capital; to compare with a value write `x if x == \(name.text)(…)`"),
          at: name.span)
      }
      return try node(.name(name.text), name.span)
    }
    var arguments: [Pattern]?
    if kind == .roundOpen, !atBreak {
      arguments = try list(.roundClose, of: "the patterns") { (p: inout Parser) throws(Abort) in try p.pattern() }
    }
    return try node(.constructor(qualifier: qualifier, name, arguments), span(from: start))
  }

  private mutating func numberPattern() throws(Abort) -> Pattern {
    let start = at
    let isNegative = take(.minus)
    guard kind == .int || kind == .float else { throw failExpected("a number") }
    let number = at
    advance()
    let bits = lexed.numbers[Int(tokens[number].value)]
    if tokens[number].kind == .float {
      let value = Double(bitPattern: bits)
      return try node(Pattern.Kind.float(isNegative ? -value : value), span(from: start))
    }
    return try node(Pattern.Kind.int(integer(bits, isNegative: isNegative, at: number)), span(from: start))
  }

  /// Only with a minus may the magnitude be 2^63.
  mutating func integer(_ magnitude: UInt64, isNegative: Bool, at index: Int) -> Int {
    if magnitude == 1 << 63 {
      if isNegative { return .min }
      diagnostics.append(SyntaxError.numberTooLarge(isInt: true).diagnostic(at: span(index)))
      return 0
    }
    return isNegative ? -Int(magnitude) : Int(magnitude)
  }

  private mutating func listPattern() throws(Abort) -> Pattern {
    let start = at
    var rest: Pattern?
    let items = try list(.squareClose, of: "the patterns") { (p: inout Parser) throws(Abort) -> Pattern? in
      let dots = p.at
      if rest != nil { throw p.fail(.badPattern(hint: "`...rest` is the last of a list pattern")) }
      guard p.take(.ellipsis) else { return try p.pattern() }
      if p.kind == .name {
        let name = try p.label("a name")
        rest = try p.node(name.text == "_" ? Pattern.Kind.wildcard : .name(name.text), name.span)
      } else {
        rest = try p.node(Pattern.Kind.wildcard, p.span(dots))
      }
      return nil
    }
    return try node(Pattern.Kind.list(items.compactMap { $0 }, rest: rest), span(from: start))
  }
}
