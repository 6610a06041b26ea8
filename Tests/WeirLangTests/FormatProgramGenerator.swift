import WeirTesting

/// Random programs that are syntactically valid, over the whole grammar: all declarations, expressions, patterns and types,
/// with both spellings of what has two, needless brackets, semicolons, odd line breaks, and comments where they may stand.
/// They mean nothing.
struct FormatProgramGenerator {
  let random: SeededRandom
  private var room: Int

  init(_ random: SeededRandom) {
    self.random = random
    room = 0
  }

  mutating func program() -> String {
    var out = chance(8) ? "module my/app\n" : ""
    for _ in 0..<random.int(below: 4) { out += noise() + importLine() + end() }
    for _ in 0...random.int(below: 5) {
      room = 40
      out += noise() + (chance(5) ? statement(2) : declaration()) + end()
    }
    return out + noise()
  }

  // MARK: - Choices

  private func chance(_ n: Int) -> Bool { random.int(below: n) == 0 }
  private func pick(_ words: [String]) -> String { words[random.int(below: words.count)] }
  private func name() -> String {
    pick([
      "a", "b", "value", "items", "n", "handler", "x'", "step", "stream", "limit", "aRatherLongNameForAThing", "keep",
    ])
  }
  private func capital() -> String { pick(["Ok", "Some", "Circle", "Point", "Message", "None"]) }
  private func string() -> String {
    pick([
      "\"\"", "\"text\"", "\"a // b\"", "\"with \\\"quotes\\\" \\n\"", "\"${n + 1} of ${items}\"", "r\"raw\\\"",
      "\"\"\"\n      one\n        two\n      \"\"\"", "\"two\nlines\"", "\"${f(\"in ${x}\")}\"",
    ])
  }
  private func plainString() -> String { pick(["\"k\"", "\"text\"", "\"a -- b\""]) }
  private func number() -> String { pick(["0", "1_000", "0xFF", "2.5", "1e-3", "42", "0b101"]) }
  private func end() -> String { pick(["\n", "\n", ";\n", "\n\n\n", " // behind\n", " ;  -- behind\n"]) }
  private func noise() -> String {
    chance(4)
      ? pick([
        "// note\n", "--note\n", "/* block */\n", "/* two\n   lines */\n", "/// doc\n", "\n\n", "//// rule\n",
        "--- x\n",
      ]) : ""
  }
  /// Where a line break means nothing: in round and square brackets.
  private func gap() -> String {
    chance(14) ? pick(["\n", " // inside\n", " /* here */ ", "\n\n", " -- dash\n"]) : pick(["", " "])
  }
  private func many(_ most: Int, _ separator: String, _ make: () -> String) -> String {
    (0..<random.int(below: most + 1)).map { _ in make() }.joined(separator: separator)
  }
  private mutating func list(_ most: Int, atLeast least: Int = 0, _ make: (inout Self) -> String) -> String {
    var parts: [String] = []
    for _ in 0..<(least + random.int(below: most + 1 - least)) { parts.append(gap() + make(&self) + gap()) }
    return parts.joined(separator: ",") + (!parts.isEmpty && chance(6) ? "," : "")
  }

  // MARK: - Declarations

  private mutating func importLine() -> String {
    let path = pick(["std/io", "std/list", "std/ai/streaming", "\"./lib.weir\"", "\"io\"", "other/thing"])
    let alias = chance(4) ? " as " + name() : ""
    return "import \(path)\(alias)"
      + (chance(2) ? " (" + list(4, atLeast: 1) { $0.chance(4) ? "A as B" : $0.name() } + ")" : "")
  }

  private mutating func declaration() -> String {
    var out = ""
    if chance(6) { out += "/// documents it\n" }
    if chance(6) { out += "@post(\"/x\", title: 1)" + pick(["\n", " "]) }
    switch random.int(below: 12) {
    case 0:
      return out + pick(["", "export ", "pub "]) + "let " + pattern(2) + (chance(3) ? ": " + type(2) : "") + " = "
        + expression(4) + (chance(6) ? " in" : "")
    case 1: return out + pick(["", "export "]) + typeDeclaration()
    case 2: return out + "provider \(name()) {\n" + settings() + "}"
    case 3: return out + "agent \(name()) {\n" + settings() + "output: " + type(1) + "\n}"
    case 4:
      return out + "tool \(name())(" + list(2) { $0.parameter() } + ") -> " + type(1) + " {\n\"\"\"What it does\"\"\"\n"
        + statements(3) + "}"
    case 5: return out + "workflow \(name())(" + list(3) { $0.parameter() } + ") " + block(3)
    case 6:
      return out + "exec \(name())(" + list(2) { $0.parameter() } + ") = "
        + pick([
          "sh { echo \"}\" }", "stream bash {\n    for i in 1 2; do\n      echo $i\n    done\n}",
          "python {\n  if x:\n    print({\"n\": 1})\n}", "cmd {claude -p $prompt}", "node { }",
        ])
        + (chance(3) ? " with {format: \"json\"}" : "")
    case 7:
      return "guard "
        + pick(
          ["before Writer(input)", "during agent(window) keep 20", "after (..)", "before exec(..)"].filter {
            !$0.hasPrefix("after (")
          }) + " " + block(2)
    case 8: return "test " + plainString() + " " + block(3)
    case 9:
      return out + pick(["", "export "]) + "extern func \(name())(" + list(2) { $0.parameter() } + ") -> " + type(2)
        + row()
    default: break
    }
    let isPure = chance(8)
    let head =
      out + pick(["", "export ", "pub "]) + (isPure ? "pure " : "") + pick(["func ", "fn "]) + name()
      + (chance(6) ? "[a, b]" : "") + "(" + list(4) { $0.parameter() } + ")" + (chance(2) ? " -> " + type(2) : "")
      + row()
    switch random.int(below: 4) {
    case 0: return head + " = " + expression(5)
    case 1: return head + "\n" + block(5)
    default: return head + " " + block(5)
    }
  }

  private mutating func settings() -> String {
    var out = ""
    for _ in 0..<random.int(below: 4) {
      out += noise() + name() + ": " + expression(2) + pick(["\n", ",\n", "\n\n", " // set\n"])
    }
    return out
  }

  private mutating func parameter() -> String {
    name() + ": " + type(2) + (chance(6) ? " = " + expression(1) : "")
  }

  private mutating func row() -> String {
    chance(3) ? pick([" ! {IO}", " ! {}", " ! {Net, AI @limit=5, IO}", " ! {Stream, e}", " ! e", "\n! {IO | e}"]) : ""
  }

  private mutating func typeDeclaration() -> String {
    let head = "type " + capital() + (chance(4) ? "[a]" : "") + " = "
    if chance(2) { return head + type(3) }
    var parts: [String] = []
    for _ in 0...random.int(below: 4) {
      let fields =
        chance(2) ? "(" + list(3, atLeast: 1) { ($0.chance(3) ? $0.name() + ": " : "") + $0.type(1) } + ")" : ""
      parts.append(capital() + fields)
    }
    return head + (chance(2) ? "\n | " : "") + parts.joined(separator: pick([" | ", "\n  | ", " // case\n  | "]))
      + (parts.count == 1 ? " | Other" : "")
  }

  mutating func type(_ depth: Int) -> String {
    guard depth > 0 else { return pick(["int", "string", "Json", "()", "stream", "a"]) }
    switch random.int(below: 9) {
    case 0: return "[" + type(depth - 1) + "]"
    case 1: return "(" + type(depth - 1) + ")?"
    case 2: return "{" + list(3) { $0.name() + ($0.chance(4) ? "?: " : ": ") + $0.type(depth - 1) } + "}"
    case 3: return "(" + list(3, atLeast: 2) { $0.type(depth - 1) } + ")"
    case 4:
      return "(" + list(3) { ($0.chance(3) ? $0.name() + ": " : "") + $0.type(depth - 1) } + ") -> " + type(depth - 1)
        + row().replacing("\n", with: " ")
    case 5: return "json.Result[" + list(2, atLeast: 1) { $0.type(depth - 1) } + "]"
    case 6: return "[string: " + type(depth - 1) + "]"
    default: return type(0)
    }
  }

  mutating func pattern(_ depth: Int) -> String {
    guard depth > 0 else { return pick(["_", "a", "n", "1", "- 2", "\"s\"", "true", "nil", "()", "None", "2.5"]) }
    switch random.int(below: 8) {
    case 0: return capital() + "(" + list(3) { $0.pattern(depth - 1) } + ")"
    case 1: return "(" + list(3, atLeast: 2) { $0.pattern(depth - 1) } + ")"
    case 2: return "[" + list(2) { $0.pattern(depth - 1) } + "]"
    case 3: return "[" + pattern(depth - 1) + ", ..." + pick(["", "rest", "_"]) + "]"
    case 4: return "(" + pattern(0) + ") :: " + pattern(0)
    case 5: return "{" + list(2) { $0.name() + ($0.chance(2) ? ": " + $0.pattern(depth - 1) : "") } + "}"
    case 6: return "(" + pattern(depth - 1) + " | " + pattern(depth - 1) + ")"
    default: return pattern(0)
    }
  }

  // MARK: - Statements

  private mutating func block(_ depth: Int) -> String { "{" + pick(["\n", " "]) + statements(depth) + "}" }

  private mutating func statements(_ depth: Int) -> String {
    var out = ""
    for _ in 0..<random.int(below: 4) { out += noise() + statement(depth) + end() }
    return out
  }

  private mutating func statement(_ depth: Int) -> String {
    switch random.int(below: 9) {
    case 0: return "let " + pattern(2) + " = " + expression(depth) + (chance(4) ? " in" : "")
    case 1: return "var " + name() + ": " + type(1) + " = " + expression(depth)
    case 2: return name() + " = " + expression(depth)
    case 3: return "_ = " + expression(depth)
    case 4: return "defer " + expression(depth - 1)
    case 5: return pick(["onerror e ", "onsuccess ", "oncancel "]) + block(depth - 1)
    case 6 where depth > 0: return control(depth - 1)
    default: return expression(depth)
    }
  }

  private mutating func control(_ depth: Int) -> String {
    switch random.int(below: 9) {
    case 0: return "if " + head(depth) + " " + block(depth) + (chance(2) ? " else " + block(depth) : "")
    case 1: return "if " + head(depth) + " then " + expression(depth) + " else " + expression(depth)
    case 2: return "for " + (chance(3) ? "i, " : "") + pattern(1) + " in " + head(depth) + " " + block(depth)
    case 3: return "for parallel " + name() + " in " + head(0) + (chance(2) ? " (limit 4)" : "") + " " + block(depth)
    case 4: return "while " + head(depth) + " " + block(depth)
    case 5: return "assert " + head(depth) + (chance(2) ? ", \"why\"" : "")
    case 6: return "return" + (chance(3) ? "" : " " + expression(depth))
    case 7: return (chance(2) ? "@retry(max: 3) " : "") + "step " + string() + " " + block(depth)
    default:
      return "if " + head(depth) + " { return } else if " + head(depth) + " " + block(depth)
        + (chance(2) ? " else {}" : "")
    }
  }

  private mutating func head(_ depth: Int) -> String {
    chance(6) ? "(" + expression(depth) + ")" : name() + " == " + atom(0)
  }

  // MARK: - Expressions

  mutating func expression(_ depth: Int) -> String {
    room -= 1
    guard depth > 0, room > 0 else { return atom(0) }
    let less = depth - 1
    switch random.int(below: 24) {
    case 0: return operand(less) + pick([" + ", " - ", " * ", " / ", " % ", " ** ", "-", " -\n"]) + operand(less)
    case 1: return operand(less) + pick([" == ", " < ", ">=", " != "]) + operand(less)
    case 2: return operand(less) + pick([" && ", " and ", " || ", " or ", "\n|| ", "\n  && "]) + operand(less)
    case 3:
      var out = operand(less)
      for _ in 0...random.int(below: chance(12) ? 40 : 5) {
        out += pick([" ++ ", "\n  ++ ", " ++\n", " // bit\n ++ "]) + operand(0)
      }
      return out
    case 4: return operand(less) + " :: " + operand(less) + " :: " + operand(0)
    case 5:
      return operand(less) + pick([" |> ", "\n |> "]) + operand(less) + pick([" |> ", "\n |> ", " // then\n |> "])
        + name()
    case 6: return pick(["-", "!", "not ", "- -", "!-"]) + operand(less)
    case 7: return "\\" + pick(["x", "x y", "(a, b) _", "(n: int)"]) + pick([". ", " -> "]) + expression(less)
    case 8:
      return "(" + list(3) { $0.pattern(1) + ($0.chance(4) ? ": " + $0.type(1) : "") } + ") => "
        + (chance(2) ? block(less) : expression(less))
    case 9:
      return "func(x: int)" + (chance(2) ? " -> " + type(1) : "") + row().replacing("\n", with: " ") + " " + block(less)
    case 10: return "(let " + pattern(1) + " = " + expression(less) + " in " + expression(less) + ")"
    case 11: return "match " + head(less) + " {" + arms(less) + "}"
    case 12: return "if " + head(less) + " then " + operand(less) + " else " + operand(less)
    case 13: return "(" + control(less) + ")"
    case 14: return operand(less) + pick(["..", "..=", " .. "]) + operand(less)
    case 15: return pick(["parallel ", "settle ", "race ", "first "]) + "[" + list(3) { $0.expression(less) } + "]"
    case 16: return "stream " + name() + ".ask(" + list(2) { $0.expression(less) } + ")"
    case 17: return operand(less) + " with {" + list(2, atLeast: 1) { $0.name() + ": " + $0.expression(less) } + "}"
    case 18: return block(less)
    default: return operand(less)
    }
  }

  private mutating func arms(_ depth: Int) -> String {
    let isInline = chance(3)
    var out = isInline ? " " : "\n"
    for i in 0...random.int(below: 3) {
      if isInline, i > 0 { out += ", " }
      if !isInline { out += noise() }
      out +=
        pattern(2) + (chance(4) ? " | " + pattern(1) : "") + (chance(4) ? " if " + head(1) : "") + " => "
        + operand(depth)
      if !isInline { out += pick(["\n", ",\n", " // arm\n", ", // arm\n"]) }
    }
    return out + (isInline ? " " : "")
  }

  private mutating func operand(_ depth: Int) -> String {
    room -= 1
    guard depth > 0, room > 0 else { return atom(0) }
    if chance(4) { return "(" + gap() + expression(depth) + gap() + ")" }
    return atom(depth)
  }

  private mutating func atom(_ depth: Int) -> String {
    guard depth > 0 else {
      return pick([name(), name(), number(), string(), "true", "nil", "()", "{}", "[]", "(-9223372036854775808)"])
    }
    let less = depth - 1
    switch random.int(below: 12) {
    case 0: return name() + "(" + list(4) { ($0.chance(4) ? $0.name() + ": " : "") + $0.expression(less) } + ")"
    case 1:
      return base(less) + "." + pick(["field", "type", "in", "read"]) + "(" + list(2) { $0.expression(less) } + ")"
    case 2: return base(less) + "[" + gap() + expression(less) + gap() + "]"
    case 3: return base(less) + "?"
    case 4: return "[" + list(4) { $0.expression(less) } + "]"
    case 5: return "({" + list(3, atLeast: 1) { $0.name() + ": " + $0.expression(less) } + "})"
    case 6:
      return "({" + plainString() + ": " + expression(less) + ", "
        + list(2, atLeast: 1) { $0.operand(0) + ": " + $0.expression(less) } + "})"
    case 7:
      return "({" + pick([name() + ".inner", "(" + expression(less) + ")"]) + " | "
        + list(2, atLeast: 1) { $0.name() + ": " + $0.expression(less) } + "})"
    case 8: return "(" + list(3, atLeast: 2) { $0.expression(less) } + ")"
    case 9: return base(less) + ".type"
    default: return atom(0)
    }
  }

  private mutating func base(_ depth: Int) -> String {
    chance(3) ? "(" + expression(depth) + ")" : pick(["a", "items", "f(1)", "json", "reader.next()"])
  }
}
