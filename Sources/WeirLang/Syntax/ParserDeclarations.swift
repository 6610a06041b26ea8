import WeirCore

/// Files and what stands at their top level.
extension Parser {
  mutating func tree() -> Tree {
    var tree = Tree(
      source: source.id, module: nil, imports: [], items: [],
      span: Span(file: source.id, start: 0, end: source.bytes.count),
      nodeCount: 0)
    while kind != .end {
      if take(.semicolon) { continue }
      let start = at
      reserved = []
      do throws(Abort) {
        if kind == .kModule {
          tree.module = try module()
          try endOfItem()
        } else if kind == .kImport || atForgottenImport {
          tree.imports.append(try importDeclaration())
          try endOfItem()
        } else if atItemStart || kind == .kLet || kind == .at {
          if let item = try item() { tree.items.append(item) }
          try endOfItem()
        } else {
          tree.items.append(.statement(try recovering(inBlockFrom: nil)))
        }
      } catch .again {
        at = start
      } catch {
        skipItem(startedAt: start)
      }
    }
    tree.nodeCount = Int(nodes)
    return tree
  }

  private mutating func endOfItem() throws(Abort) {
    // Behind a block nothing is needed; `let x = e in` wants the next statement.
    if kind == .semicolon || kind == .end || atBreak || token.flags.contains(.newlineBefore) { return }
    if tokens[at - 1].kind == .kIn || tokens[at - 1].kind == .curlyClose { return }
    if let bracket = strayBracket { throw fail(.stray(bracket)) }
    throw fail(.twoOnOneLine(found: found(at)))
  }

  /// To the next line that starts a declaration, or a statement with no indentation.
  private mutating func skipItem(startedAt start: Int) {
    if at == start { skipOne() }
    while kind != .end {
      if token.flags.contains(.newlineBefore), atItemStart || (kind.canStart && column(at) == 0) { return }
      skipOne()
    }
  }

  private func column(_ index: Int) -> Int {
    let start = Int(tokens[index].start)
    return start - source.lineStarts[source.lineIndex(of: start)]
  }

  /// The current token starts a declaration other than a `let`.
  var atItemStart: Bool {
    switch kind {
    case .kImport, .kExport, .kPub, .kModule: return true
    case .kPure: return true
    case .kFunc, .kFn: return peek(1) == .name || peek(1).isKeyword
    case .kType: return peek(1) == .name
    case .name: return declarationWord != nil
    default: return false
    }
  }

  private enum DeclarationWord { case provider, agent, tool, workflow, exec, `guard`, test, extern }

  /// These words are keywords only here: before a name and its bracket, or a test's string.
  private var declarationWord: DeclarationWord? {
    let next = peek(1)
    guard next == .name || next == .kFunc || next == .kFn || next == .kType || next == .string,
      !tokens[min(at + 1, tokens.count - 1)].flags.contains(.newlineBefore)
    else { return nil }
    if isWord("extern"), next != .string, next != .name { return .extern }
    if isWord("test"), next == .string, peek(2) == .curlyOpen { return .test }
    guard next == .name else { return nil }
    let opensBrace = peek(2) == .curlyOpen
    let opensRound = peek(2) == .roundOpen || peek(2) == .squareOpen
    if isWord("provider"), opensBrace { return .provider }
    if isWord("agent"), opensBrace { return .agent }
    if isWord("tool"), opensRound { return .tool }
    if isWord("workflow"), opensRound { return .workflow }
    if isWord("exec"), opensRound { return .exec }
    if isWord("guard"), isWord("before", ahead: 1) || isWord("during", ahead: 1) || isWord("after", ahead: 1) {
      return .guard
    }
    return nil
  }

  // MARK: - Module, imports

  private mutating func module() throws(Abort) -> Name {
    advance()
    return try path()
  }

  /// `std/ai/streaming`
  private mutating func path() throws(Abort) -> Name {
    let start = at
    var parts = [try label("a module's path").text]
    while kind == .slash, !token.flags.contains(.newlineBefore) {
      advance()
      parts.append(try label("the rest of the module's path").text)
    }
    return Name(parts.joined(separator: "/"), span(from: start))
  }

  /// `std/list (map)` without its first word, at the beginning of a line. A division is spaced the other way round.
  private var atForgottenImport: Bool {
    guard isWord("std"), at == 0 || token.flags.contains(.newlineBefore) else { return false }
    var last = at
    while last + 3 < tokens.count, tokens[last + 1].kind == .slash, tokens[last + 2].kind == .name,
      tokens[last].end == tokens[last + 1].start, tokens[last + 1].end == tokens[last + 2].start
    {
      last += 2
    }
    guard last > at, !tokens[last + 1].flags.contains(.newlineBefore) else { return false }
    return tokens[last + 1].kind == .kAs
      || (tokens[last + 1].kind == .roundOpen && tokens[last + 1].start > tokens[last].end)
  }

  private mutating func importDeclaration() throws(Abort) -> Import {
    let start = at
    if !take(.kImport) {
      report(.expected("`import`", found: found(at), hint: "write `import \(text(at))/…`"), at: span)
    }
    let isQuoted = kind == .string
    let path: Name
    if isQuoted {
      path = Name(stringValue(at), span)
      advance()
    } else {
      guard kind == .name || kind.isKeyword, !token.flags.contains(.newlineBefore) else {
        throw failExpected("a module", hint: "write `import std/io (println)` or `import \"./file.weir\" (f)`")
      }
      path = try self.path()
    }
    var alias: Name?
    if take(.kAs) { alias = try name("the module's name here") }
    var names: [ImportedName]?
    if kind == .roundOpen, !token.flags.contains(.newlineBefore) {
      names = try list(.roundClose, of: "the imported names") { (p: inout Parser) throws(Abort) in
        let imported = try p.name("an imported name")
        return ImportedName(name: imported, alias: p.take(.kAs) ? try p.name("the name here") : nil)
      }
    } else if kind == .curlyOpen, !token.flags.contains(.newlineBefore) {
      throw fail(.expected("`(` and the names", found: "`{`", hint: "write `import \(path.text) (a, b)`"))
    }
    return Import(path: path, isQuoted: isQuoted, alias: alias, names: names, span: span(from: start))
  }

  // MARK: - Declarations

  mutating func item() throws(Abort) -> Item? {
    let start = at
    var documentation = lexed.documentation[at]
    let decorators = try decorators()
    documentation = documentation ?? lexed.documentation[at]
    if !decorators.isEmpty, isWord("step"), peek(1) == .string || peek(1) == .stringStart {
      let step = try step(decorated: decorators)
      return .statement(Statement(kind: .expression(step), span: span(from: start)))
    }
    var isExported = false
    let exportIndex = at
    if kind == .kExport || kind == .kPub {
      advance()
      isExported = true
    }
    let declaration = try declarationKind(isExported ? exportIndex : nil, decorators)
    return .declaration(
      Declaration(
        kind: declaration, isExported: isExported, decorators: decorators, documentation: documentation,
        span: span(from: start)))
  }

  private mutating func declarationKind(
    _ export: Int?, _ decorators: [Decorator]
  ) throws(Abort) -> Declaration.Kind {
    switch kind {
    case .kPure:
      let pure = span
      advance()
      guard kind == .kFunc || kind == .kFn else { throw failExpected("`func`") }
      return .function(try function(pure: pure, isExtern: false))
    case .kFunc, .kFn: return .function(try function(pure: nil, isExtern: false))
    case .kType: return .type(try typeDeclaration(isExtern: false))
    case .kLet:
      advance()
      let binding = try binding(isVariable: false)
      _ = take(.kIn)
      return .constant(binding)
    case .kVar where export != nil: throw fail(.notExportable("a variable"))
    case .kImport where export != nil: throw fail(.notExportable("an import"))
    default: break
    }
    switch declarationWord {
    case .provider?: return .provider(try settings(isAgent: false))
    case .agent?: return .agent(try settings(isAgent: true))
    case .tool?: return .tool(try tool())
    case .workflow?: return .workflow(WorkflowDeclaration(function: try callable("the workflow's name")))
    case .exec?: return .exec(try exec())
    case .guard?:
      if let export { report(.notExportable("a guard"), at: span(export)) }
      return .guard(try guardDeclaration())
    case .test?:
      if let export { report(.notExportable("a test"), at: span(export)) }
      advance()
      let name = at
      advance()
      return .test(TestDeclaration(name: stringValue(name), nameSpan: span(name), body: try block()))
    case .extern?:
      advance()
      if kind == .kType { return .type(try typeDeclaration(isExtern: true)) }
      return .function(try function(pure: nil, isExtern: true))
    case nil: break
    }
    if export == nil, let last = decorators.last { throw fail(.loneDecorator, at: last.span) }
    if kind == .name {
      // `export fucn f()`: try the word as a statement would.
      let start = at
      let word = text(at)
      advance()
      if let meant = Spelling.nearest(to: word, among: Token.Kind.keywords.keys.sorted()),
        let keyword = Token.Kind.keywords[meant], [.kFunc, .kType, .kLet, .kPure].contains(keyword)
      {
        at = start
        report(.misspelt(word, meant: meant), at: span(start))
        tokens[start].kind = keyword
        throw .again
      }
      at = start
    }
    throw failExpected(
      "a declaration", hint: "`func`, `type`, `let`, `agent`, `tool`, `workflow`, `exec` or `provider`")
  }

  mutating func decorators() throws(Abort) -> [Decorator] {
    var decorators: [Decorator] = []
    while kind == .at {
      let start = at
      advance()
      let name = try label("a decorator's name")
      let arguments = kind == .roundOpen && !token.flags.contains(.newlineBefore) ? try arguments() : []
      decorators.append(Decorator(name: name, arguments: arguments, span: span(from: start)))
    }
    return decorators
  }

  // MARK: - Functions

  private mutating func function(pure: Span?, isExtern: Bool) throws(Abort) -> FunctionDeclaration {
    advance()
    let name = try name("the function's name")
    var function = try signature(name)
    if let pure {
      function.isPure = true
      if function.effects == nil { function.effects = EffectRow(effects: [], variables: [], span: pure) }
    }
    if isExtern { return function }
    function.body = try functionBody(of: name)
    return function
  }

  private mutating func functionBody(of name: Name) throws(Abort) -> Expression {
    // The brace may stand on the next line.
    if kind == .curlyOpen {
      if peek(1) == .curlyClose {
        let block = try block()
        return try node(.block(block), block.span)
      }
      return try braces()
    }
    if take(.assign) { return try clause() }
    if kind == .arrow {
      report(.expected("`=` or `{`", found: "`=>`", hint: "write `func \(name.text)(…) = expression`"), at: span)
      advance()
      return try clause()
    }
    if kind == .end || token.flags.contains(.newlineBefore) { throw fail(.missingBody(name.text), at: name.span) }
    throw failExpected("the function's body", hint: "`{ … }`, or `= expression`")
  }

  /// From the name on: type parameters, parameters, result, effects.
  private mutating func signature(_ name: Name) throws(Abort) -> FunctionDeclaration {
    let typeParameters = try typeParameters()
    guard kind == .roundOpen else { throw failExpected("`(` and the parameters") }
    let parameters = try parameters()
    var result: TypeExpression?
    if kind == .thinArrow, peek(1) == .curlyOpen, !recordTypeFollows {
      advance()
      report(.expected("the result's type", found: "`{`"), at: previousSpan.after)
    } else if take(.thinArrow) {
      result = try type()
    } else if kind == .colon {
      report(.expected("`->`", found: "`:`", hint: "the result's type stands behind `->`"), at: span)
      advance()
      result = try type()
    }
    let effects = try effectRow()
    return FunctionDeclaration(
      name: name, typeParameters: typeParameters, parameters: parameters, result: result, effects: effects,
      isPure: false,
      body: nil)
  }

  /// Behind `->`: the brace starts a type, not the body.
  private var recordTypeFollows: Bool {
    let first = peek(2)
    return first == .curlyClose || ((first == .name || first.isKeyword) && (peek(3) == .colon || peek(3) == .question))
  }

  private mutating func typeParameters() throws(Abort) -> [Name] {
    guard kind == .squareOpen else { return [] }
    return try list(.squareClose, of: "the type parameters") { (p: inout Parser) throws(Abort) in
      try p.name("a type parameter")
    }
  }

  private mutating func parameters() throws(Abort) -> [Parameter] {
    try list(.roundClose, of: "the parameters") { (p: inout Parser) throws(Abort) in try p.parameter() }
  }

  private mutating func parameter() throws(Abort) -> Parameter {
    let start = at
    let name = try name("a parameter's name")
    let isForgotten = atForgottenColon
    if kind == .name {
      let failure = fail(.expected("`:` and a type", found: found(at), hint: "write `\(name.text): int`"))
      if !isForgotten { throw failure }
    }
    let type = isForgotten || take(.colon) ? try type() : nil
    let value = take(.assign) ? try expression() : nil
    return Parameter(name: name, type: type, defaultValue: value, span: span(from: start))
  }

  /// `tool` or `workflow`: a signature and a block.
  private mutating func callable(_ what: String) throws(Abort) -> FunctionDeclaration {
    advance()
    let name = try name(what)
    var function = try signature(name)
    guard kind == .curlyOpen else { throw fail(.missingBody(name.text), at: name.span) }
    let block = try block()
    function.body = try node(.block(block), block.span)
    return function
  }

  private mutating func tool() throws(Abort) -> ToolDeclaration {
    var function = try callable("the tool's name")
    guard let body = function.body, case .block(var block) = body.kind else {
      return ToolDeclaration(function: function, description: nil)
    }
    // A string that something follows is the description; so is a lone one in three quotes.
    if case .expression(let first)? = block.statements.first?.kind, case .string(let text) = first.kind {
      block.statements.removeFirst()
      function.body = try node(.block(block), block.span)
      return ToolDeclaration(function: function, description: text)
    }
    if block.statements.isEmpty, let only = block.result, case .string(let text) = only.kind,
      source.bytes[only.span.range].starts(with: [0x22, 0x22, 0x22])
    {
      block.result = nil
      function.body = try node(.block(block), block.span)
      return ToolDeclaration(function: function, description: text)
    }
    return ToolDeclaration(function: function, description: nil)
  }

  // MARK: - Types

  private mutating func typeDeclaration(isExtern: Bool) throws(Abort) -> TypeDeclaration {
    advance()
    let name = try capitalized("the type")
    let parameters = try typeParameters()
    if isExtern { return TypeDeclaration(name: name, parameters: parameters, definition: .extern) }
    try expect(.assign, hint: "write `type \(name.text) = {x: int}` or `= A(int) | B`")
    let startsWithBar = take(.bar)
    // `Name(` or `Name |` makes a sum; a bare name alone is an alias.
    let isSum =
      startsWithBar
      || (kind == .name
        && (peek(1) == .bar || (peek(1) == .roundOpen && !tokens[at + 1].flags.contains(.mayBreak))))
    guard isSum else { return TypeDeclaration(name: name, parameters: parameters, definition: .alias(try type())) }
    var constructors = [try constructor()]
    while take(.bar) { constructors.append(try constructor()) }
    return TypeDeclaration(name: name, parameters: parameters, definition: .sum(constructors))
  }

  private mutating func constructor() throws(Abort) -> Constructor {
    let start = at
    let documentation = lexed.documentation[at] ?? (at > 0 ? lexed.documentation[at - 1] : nil)
    let name = try capitalized("the constructor")
    var fields: [ConstructorField] = []
    if kind == .roundOpen, !atBreak {
      fields = try list(.roundClose, of: "the fields") { (p: inout Parser) throws(Abort) in
        var label: Name?
        if p.kind == .name, p.peek(1) == .colon {
          label = try p.label("a field's name")
          p.advance()
        }
        return ConstructorField(label: label, type: try p.type())
      }
    }
    return Constructor(name: name, fields: fields, documentation: documentation, span: span(from: start))
  }

  // MARK: - Providers, agents

  private mutating func settings(isAgent: Bool) throws(Abort) -> SettingsDeclaration {
    advance()
    let name = try name("a name")
    let opener = at
    let outside = newlinesMatter
    newlinesMatter = true
    defer { newlinesMatter = outside }
    advance()
    var settings: [Setting] = []
    while !(kind == .curlyClose && partner(at) == opener) {
      guard partner(opener) != nil || (kind != .end && !atItemStart) else { throw failUnclosed(opener) }
      if take(.comma) || take(.semicolon) { continue }
      let start = at
      do throws(Abort) {
        settings.append(try setting(isAgent: isAgent))
        if kind == .comma || atBreak || kind == .curlyClose || kind == .semicolon { continue }
        report(.missingComma(in: "the settings"), at: span)
        if kind != .name { throw Abort.here }
      } catch .here {
        guard let close = partner(opener) else { throw .here }
        if at == start { skipOne() }
        while at < close, kind != .comma, !token.flags.contains(.newlineBefore) || !kind.canStart { skipOne() }
      } catch { throw error }
    }
    advance()
    return SettingsDeclaration(name: name, settings: settings)
  }

  private mutating func setting(isAgent: Bool) throws(Abort) -> Setting {
    let name = try label("a setting's name")
    try expectColon("a setting's value")
    if isAgent, name.text == "output" { return Setting(name: name, value: .type(try type())) }
    return Setting(name: name, value: .expression(try expression()))
  }

  // MARK: - Exec, guards

  private mutating func exec() throws(Abort) -> ExecDeclaration {
    advance()
    let name = try name("the function's name")
    let parameters = try parameters()
    let result = take(.thinArrow) ? try type() : nil
    try expect(.assign, hint: "write `exec \(name.text)(…) = sh { … }`")
    var isStreaming = false
    if isWord("stream"), peek(1) == .name {
      advance()
      isStreaming = true
    }
    guard kind == .name else { throw failExpected("`sh`, `bash`, `cmd`, `node` or `python`") }
    let word = text(at)
    let language = ExecDeclaration.Language(rawValue: word)
    if language == nil { report(.unknownLanguage(word), at: span) }
    advance()
    guard kind == .curlyOpen, peek(1) == .code else { throw failExpected("`{` and the program") }
    advance()
    let code = at
    advance()
    if kind == .curlyClose { advance() }
    var options: [Field] = []
    if isWord("with"), peek(1) == .curlyOpen {
      advance()
      options = try fields()
    }
    return ExecDeclaration(
      name: name, parameters: parameters, result: result, isStreaming: isStreaming, language: language ?? .sh,
      code: stringValue(code), codeSpan: span(code), options: options)
  }

  private mutating func guardDeclaration() throws(Abort) -> GuardDeclaration {
    advance()
    let momentSpan = span
    let moment = GuardDeclaration.Moment(rawValue: text(at)) ?? .before
    advance()
    let isKind = isWord("agent") || isWord("exec") || isWord("workflow")
    let name = try name("what is guarded")
    var parameter: Parameter?
    if kind == .roundOpen, peek(1) == .range || peek(1) == .ellipsis, peek(2) == .roundClose {
      advance()
      advance()
      advance()
    } else {
      guard kind == .roundOpen else {
        throw failExpected(
          "`(` and a name for the text", hint: "write `guard \(moment.rawValue) \(name.text)(input) { … }`")
      }
      parameter = try parameters().first
    }
    var keep: Expression?
    if isWord("keep") {
      advance()
      keep = try expression()
    }
    let body = try block()
    return GuardDeclaration(
      moment: moment, momentSpan: momentSpan, target: isKind ? .every(name) : .named(name), parameter: parameter,
      keep: keep,
      body: body)
  }
}
