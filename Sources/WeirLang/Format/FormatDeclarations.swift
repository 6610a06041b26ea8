/// Files and declarations.
extension Formatter {
  private enum Part {
    case module(Name, Span)
    /// `follows`: directly behind the one before it, wherever it was before sorting.
    case `import`(Import, follows: Bool)
    case item(Item)

    var span: Span {
      switch self {
      case .module(_, let span): span
      case .import(let it, _): it.span
      case .item(.declaration(let it)): it.span
      case .item(.statement(let it)): it.span
      }
    }

    /// Stands apart from its neighbours.
    var isLarge: Bool {
      guard case .item(.declaration(let declaration)) = self else { return false }
      switch declaration.kind {
      case .function(let it): if let body = it.body, case .block = body.kind { return true } else { return false }
      case .constant, .type, .error: return false
      default: return true
      }
    }
  }

  mutating func file(_ tree: Tree) -> Layout {
    var head: [Layout] = []
    let bytes = source.bytes
    let start = bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? 3 : 0
    if bytes.count > start + 1, bytes[start] == UInt8(ascii: "#"), bytes[start + 1] == UInt8(ascii: "!") {
      head = [.comment(source.text(start..<source.lineRange(0).upperBound)), .hardLine]
    }
    var parts: [Part] = []
    if let module = tree.module {
      let word = token(endingAt: module.span.start)
      parts.append(
        .module(module, Span(file: module.span.file, start: Int(word?.start ?? 0), end: Int(module.span.end))))
    }
    parts += tree.imports.map { .import($0, follows: false) } + tree.items.map { .item($0) }
    parts.sort { $0.span.start < $1.span.start }
    parts = sorted(parts)
    let whole = Span(file: source.id, start: 0, end: source.bytes.count + 1)
    let rows = rows(parts, in: whole, \.span) { $0.part($1) }
    return .join(head + Self.lines(Self.apart(rows, parts)))
  }

  private mutating func part(_ part: Part) -> Layout {
    switch part {
    case .module(let name, _): .text("module " + name.text)
    case .import(let it, _): self.import(it)
    case .item(.declaration(let it)): declaration(it)
    case .item(.statement(let it)): statement(it)
    }
  }

  /// Imports that stand together are sorted: standard modules first, then files.
  private func sorted(_ parts: [Part]) -> [Part] {
    var result: [Part] = []
    var group: [Import] = []
    func flush() {
      let key: (Import) -> (Int, String) = { ($0.isQuoted ? 1 : 0, $0.path.text) }
      for (i, it) in group.sorted(by: { key($0) < key($1) }).enumerated() {
        result.append(.import(it, follows: i > 0))
      }
      group = []
    }
    for part in parts {
      guard case .import(let next, _) = part else {
        flush()
        result.append(part)
        continue
      }
      if let last = group.last {
        let isApart = line(next.span.start) > line(last.span.end) + 1
        // A comment says something about its neighbour: they stay where they are.
        let hasComment =
          comments.all.contains {
            $0.range.lowerBound >= last.span.start && $0.range.lowerBound < next.span.start
              || $0.range.lowerBound >= next.span.start && $0.range.lowerBound < next.span.end
          }
          || comments.all.contains {
            $0.range.lowerBound >= next.span.end && line(UInt32($0.range.lowerBound)) == line(next.span.end)
          }
        if isApart || hasComment { flush() }
      }
      group.append(next)
    }
    flush()
    return result
  }

  /// Empty lines around large declarations; the comments above one go with it.
  private static func apart(_ rows: [Row], _ parts: [Part]) -> [Row] {
    var rows = rows
    var previous: Part?
    var first = 0
    for i in rows.indices {
      if rows[i].isWide { first = i }
      guard let element = rows[i].element else { continue }
      let part = parts[element]
      if let previous {
        var leavesHead = false
        switch (previous, part) {
        case (.module, _): leavesHead = true
        case (.import, .import(_, let follows)): if follows { rows[i].isWide = false }
        case (.import, _): leavesHead = true
        default: break
        }
        if previous.isLarge || part.isLarge || leavesHead { rows[first].isWide = true }
      }
      previous = part
      first = i + 1
    }
    return rows
  }

  private mutating func `import`(_ it: Import) -> Layout {
    let path = it.isQuoted ? text(it.path.span) : it.path.text
    let head = "import " + path + (it.alias.map { " as " + $0.text } ?? "")
    guard let names = it.names else { return .text(head) }
    return .join([
      .text(head + " "),
      list("(", names, ")", in: it.span, fills: true, \.whole) { _, name in
        .text(name.name.text + (name.alias.map { " as " + $0.text } ?? ""))
      },
    ])
  }

  // MARK: - Declarations

  private mutating func declaration(_ it: Declaration) -> Layout {
    var parts: [Layout] = []
    for decorator in it.decorators { parts += [self.decorator(decorator), .hardLine] }
    if it.isExported { parts.append(.text("export ")) }
    return .join(parts + [declaration(it.kind, it.span)])
  }

  mutating func decorator(_ it: Decorator) -> Layout {
    let leading = before(it.span.start)
    let name = Layout.text("@" + it.name.text)
    if it.arguments.isEmpty { return .join(leading + [name]) }
    return .join(leading + [name, arguments(it.arguments, it.span)])
  }

  private mutating func declaration(_ kind: Declaration.Kind, _ span: Span) -> Layout {
    switch kind {
    case .function(let it): return function(it)
    case .type(let it): return type(it, span)
    case .constant(let it): return binding("let ", it)
    case .provider(let it): return settings("provider ", it, span)
    case .agent(let it): return settings("agent ", it, span)
    case .tool(let it): return tool(it)
    case .workflow(let it): return .join([.text("workflow "), signature(it.function), .text(" "), body(it.function)])
    case .exec(let it): return exec(it, span)
    case .guard(let it): return self.guard(it)
    case .test(let it):
      return .join([.text("test "), .raw(text(it.nameSpan)), .text(" "), block(it.body, inLines: true)])
    case .error: return .raw(text(span))
    }
  }

  private mutating func function(_ it: FunctionDeclaration) -> Layout {
    let word = it.isExtern ? "extern func " : it.isPure ? "pure func " : "func "
    let head = [.text(word), signature(it)]
    guard let body = it.body else { return .join(head) }
    if case .block = body.kind { return .join(head + [.text(" "), self.body(it)]) }
    return .join(head + [.text(" ="), assigned(body)])
  }

  private mutating func body(_ it: FunctionDeclaration) -> Layout {
    guard let body = it.body, case .block(let block) = body.kind else { return .nothing }
    return self.block(block, inLines: true)
  }

  /// From the name to the effects.
  private mutating func signature(_ it: FunctionDeclaration) -> Layout {
    var parts: [Layout] = [.text(it.name.text)]
    if !it.typeParameters.isEmpty {
      parts.append(.text("[" + it.typeParameters.map(\.text).joined(separator: ", ") + "]"))
    }
    parts.append(parameters(it.parameters, after: it.typeParameters.last?.span ?? it.name.span))
    let row = it.effects.flatMap { it.isPure && $0.effects.isEmpty && $0.variables.isEmpty ? nil : $0 }
    if let result = it.result { parts += [.text(" -> "), row == nil ? self.type(result) : enclosed(result)] }
    if let row { parts += [.text(" "), self.row(row)] }
    return .join(parts)
  }

  private mutating func parameters(_ parameters: [Parameter], after name: Span) -> Layout {
    // The list's own brackets, so that comments in it stay in it.
    var open = token(at: name.end)
    while open < lexed.tokens.count - 1, lexed.tokens[open].kind != .roundOpen { open += 1 }
    let close = lexed.partner[open] < 0 ? open : Int(lexed.partner[open])
    let span = Span(file: name.file, start: Int(lexed.tokens[open].start), end: Int(lexed.tokens[close].end))
    return list("(", parameters, ")", in: span, \.span) { $0.parameter($1) }
  }

  private mutating func parameter(_ it: Parameter) -> Layout {
    var parts: [Layout] = [.text(it.name.text)]
    if let type = it.type { parts += [.text(": "), self.type(type)] }
    if let value = it.defaultValue { parts += [.text(" = "), element(value)] }
    return .join(parts)
  }

  private mutating func type(_ it: TypeDeclaration, _ span: Span) -> Layout {
    var head = it.name.text
    if !it.parameters.isEmpty { head += "[" + it.parameters.map(\.text).joined(separator: ", ") + "]" }
    switch it.definition {
    case .extern: return .text("extern type " + head)
    case .alias(let type):
      return .join([.text("type " + head + " = "), self.type(type, inLines: opensLine(type.span))])
    case .sum(let constructors):
      var parts: [Layout] = []
      let isBare = constructors.count == 1 && constructors[0].fields.isEmpty
      for (i, it) in constructors.enumerated() {
        let leading = before(it.span.start)
        let bar: Layout = i > 0 || isBare ? .text("| ") : .whenBroken("| ")
        let limit = i + 1 < constructors.count ? constructors[i + 1].span.start : it.span.end
        parts += [.line] + leading + [bar, constructor(it)] + trailing(it.span.end, before: limit)
      }
      return .group([.text("type " + head + " ="), .indent(parts)])
    }
  }

  private mutating func constructor(_ it: Constructor) -> Layout {
    guard !it.fields.isEmpty else { return .text(it.name.text) }
    let place: (ConstructorField) -> Span = { ($0.label?.span ?? $0.type.span).through($0.type.span) }
    return .join([
      .text(it.name.text),
      list("(", it.fields, ")", in: it.span, place) { formatter, field in
        .join([.text(field.label.map { $0.text + ": " } ?? ""), formatter.type(field.type)])
      },
    ])
  }

  // MARK: - Blocks of settings

  private mutating func settings(_ word: String, _ it: SettingsDeclaration, _ span: Span) -> Layout {
    let place: (Setting) -> Span = { setting in
      switch setting.value {
      case .expression(let e): setting.name.span.through(e.span)
      case .type(let type): setting.name.span.through(type.span)
      }
    }
    let rows = rows(it.settings, in: span, place) { formatter, setting in
      switch setting.value {
      case .expression(let e): return .join([.text(setting.name.text + ": "), formatter.element(e).ended(by: ",")])
      case .type(let type): return .join([.text(setting.name.text + ": "), formatter.type(type)])
      }
    }
    return .join([.text(word + it.name.text + " "), rows.isEmpty ? .text("{}") : Self.braced(rows)])
  }

  /// The description is no part of the body's tree; it is the first token of its text.
  private mutating func tool(_ it: ToolDeclaration) -> Layout {
    let head: [Layout] = [.text("tool "), signature(it.function), .text(" ")]
    guard it.description != nil, let body = it.function.body, case .block(let block) = body.kind else {
      return .join(head + [self.body(it.function)])
    }
    let description = lexed.tokens[token(at: block.span.start) + 1]
    let statements = Self.statements(block)
    let span = Span(file: block.span.file, start: Int(description.start), end: Int(description.end))
    let all = [Statement(kind: .error, span: span)] + statements
    return .join(head + [Self.braced(rows(all, in: block.span, \.span) { $0.statement($1) })])
  }

  private mutating func exec(_ it: ExecDeclaration, _ span: Span) -> Layout {
    var parts: [Layout] = [.text("exec " + it.name.text), parameters(it.parameters, after: it.name.span)]
    if let result = it.result { parts += [.text(" -> "), type(result)] }
    parts.append(.text(" = " + (it.isStreaming ? "stream " : "") + it.language.rawValue + " {"))
    let written = text(it.codeSpan)
    if written.utf8.contains(UInt8(ascii: "\n")) {
      // Its own indentation is no part of it.
      let lines = it.code.split(separator: "\n", omittingEmptySubsequences: false)
      parts.append(.indent(lines.flatMap { [.hardLine, .raw(String($0))] }))
      parts += [.hardLine, .text("}")]
    } else {
      parts.append(.raw(it.code.isEmpty ? " " : " " + it.code + " "))
      parts.append(.text("}"))
    }
    if !it.options.isEmpty { parts += [.text(" with "), fields(it.options, span)] }
    return .join(parts)
  }

  private mutating func `guard`(_ it: GuardDeclaration) -> Layout {
    let target =
      switch it.target {
      case .named(let name), .every(let name): name
      }
    var parts: [Layout] = [.text("guard \(it.moment.rawValue) \(target.text)")]
    parts.append(it.parameter.map { parameters([$0], after: target.span) } ?? .text("(..)"))
    if let keep = it.keep { parts += [.text(" keep "), head(keep)] }
    return .join(parts + [.text(" "), block(it.body, inLines: true)])
  }
}
