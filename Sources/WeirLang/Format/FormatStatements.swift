/// Blocks and statements.
extension Formatter {
  /// Statements of a block, its value as the last of them.
  static func statements(_ block: Block) -> [Statement] {
    block.statements + (block.result.map { [Statement(kind: .expression($0), span: $0.span)] } ?? [])
  }

  /// `{ … }`, one statement to a line; a lone short one may stay on the line of the brace unless `inLines`.
  mutating func block(_ block: Block, inLines: Bool = false) -> Layout {
    let statements = Self.statements(block)
    // An assignment as a branch or a body has no braces of its own.
    let hasBraces = source.bytes[Int(block.span.start)] == UInt8(ascii: "{")
    let span =
      hasBraces ? block.span : Span(file: block.span.file, start: Int(block.span.start), end: Int(block.span.end) + 1)
    let rows = rows(statements, in: span, \.span) { $0.statement($1) }
    if rows.isEmpty { return .text("{}") }
    guard !inLines, rows.count == 1 else { return Self.braced(rows) }
    return .group([.text("{"), .indent([.line, rows[0].layout]), .line, .text("}")])
  }

  mutating func statement(_ statement: Statement) -> Layout {
    bare(statement).ended(by: ";")
  }

  private mutating func bare(_ statement: Statement) -> Layout {
    switch statement.kind {
    case .let(let binding): return self.binding("let ", binding)
    case .var(let binding): return self.binding("var ", binding)
    case .assign(let name, let value): return .join([.text(name.text + " ="), assigned(value)])
    case .discard(let value): return .join([.text("_ ="), assigned(value)])
    case .expression(let value):
      // Without brackets it would be a binding for the rest of the block.
      if case .letIn = value.kind { return .join([.text("("), expression(value), .text(")")]) }
      return expression(value)
    case .defer(let value): return .join([.text("defer "), expression(value)])
    case .onOutcome(let outcome, let binding, let block):
      return .join([
        .text("on\(outcome.rawValue) " + (binding.map { $0.text + " " } ?? "")), self.block(block, inLines: true),
      ])
    case .error: return .raw(text(statement.span))
    }
  }

  mutating func binding(_ word: String, _ binding: Binding) -> Layout {
    var parts: [Layout] = [.text(word), pattern(binding.pattern)]
    if let type = binding.type { parts += [.text(": "), self.type(type)] }
    return .join(parts + [.text(" ="), assigned(binding.value)])
  }

  /// Behind `=` or `=>`: on the same line, chains on the next ones where they are long.
  mutating func assigned(_ value: Expression) -> Layout {
    if Self.isChain(value) { return .group([.indent([.line, chain(value, isIndented: false)])]) }
    return .join([.text(" "), expression(value)])
  }
}
