/// Everything lexer and parser can complain about, and its words: title, label, hint, code. Nothing else in this room
/// writes a sentence to the user.
///
/// Titles lead with the category in the reader's words; the hint is one concrete next step that can be pasted.
package enum SyntaxError: Equatable {
  // Lexer
  case unexpectedCharacter(String)
  case hashComment
  case unclosedString(isTriple: Bool)
  case unknownEscape(String)
  case badEscape(String, needs: String)
  case unclosedComment
  case badNumber(String, why: String)
  case numberTooLarge(isInt: Bool)
  case lookAlike(String, meant: String)
  case notUTF8
  case unclosedHole
  case unclosedCode(language: String)
  case foreignOperator(String, instead: String)
  // Parser
  case expected(String, found: String, hint: String? = nil)
  case missingComma(in: String)
  case assignInCondition
  case unclosed(String)
  case stray(String)
  case reservedWord(String, as: String)
  case misspelt(String, meant: String)
  case chainedComparison
  case bareRecord(before: String)
  case twoOnOneLine(found: String)
  case nestedDeclaration(String)
  case notAssignable
  case wrongCase(String, what: String, capital: Bool)
  case loneDecorator
  case equalsInField(String)
  case unknownLanguage(String)
  case missingBody(String)
  case spreadInExpression
  case notExportable(String)
  case badPattern(hint: String)
  case foreignWord(String, instead: String)
  case shorthandField(String)
  case elseWithoutIf
  // Limits
  case tooDeep(limit: Int)
  case tooLarge(limit: Int)
  case tooManyErrors(limit: Int)

  package var code: String {
    switch self {
    case .unexpectedCharacter, .hashComment: "E0001"
    case .unclosedString: "E0002"
    case .unknownEscape: "E0003"
    case .badEscape: "E0004"
    case .unclosedComment: "E0005"
    case .badNumber: "E0006"
    case .numberTooLarge: "E0007"
    case .lookAlike: "E0008"
    case .notUTF8: "E0009"
    case .unclosedHole: "E0010"
    case .unclosedCode: "E0011"
    case .foreignOperator: "E0012"
    case .expected: "E0101"
    case .missingComma: "E0102"
    case .assignInCondition: "E0103"
    case .unclosed: "E0104"
    case .stray: "E0105"
    case .reservedWord: "E0106"
    case .misspelt: "E0107"
    case .chainedComparison: "E0108"
    case .bareRecord: "E0109"
    case .twoOnOneLine: "E0110"
    case .nestedDeclaration: "E0111"
    case .notAssignable: "E0112"
    case .wrongCase: "E0113"
    case .loneDecorator: "E0114"
    case .equalsInField: "E0115"
    case .unknownLanguage: "E0116"
    case .missingBody: "E0117"
    case .spreadInExpression: "E0118"
    case .notExportable: "E0119"
    case .badPattern: "E0120"
    case .foreignWord: "E0121"
    case .shorthandField: "E0122"
    case .elseWithoutIf: "E0123"
    case .tooDeep: "E0901"
    case .tooLarge: "E0902"
    case .tooManyErrors: "E0903"
    }
  }

  package var title: String {
    switch self {
    case .unexpectedCharacter(let text): "the character \(text) has no meaning here"
    case .hashComment: "`#` does not start a comment"
    case .unclosedString: "this string is never closed"
    case .unknownEscape(let text): "unknown escape `\(text)` in a string"
    case .badEscape(let text, _): "the escape `\(text)` is not complete"
    case .unclosedComment: "this comment is never closed"
    case .badNumber(let text, _): "`\(text)` is not a number"
    case .numberTooLarge(let isInt): isInt ? "this number does not fit an int" : "this number does not fit a float"
    case .lookAlike(let text, let meant): "`\(text)` looks like `\(meant)` but is another character"
    case .notUTF8: "this file is not valid UTF-8"
    case .unclosedHole: "this `${` is never closed"
    case .unclosedCode(let language): "the \(language) program of this exec is never closed"
    case .foreignOperator(let text, _): "Weir has no operator `\(text)`"
    case .expected(let what, let found, _): "expected \(what), found \(found)"
    case .missingComma(let place): "a comma is missing between \(place)"
    case .assignInCondition: "`=` assigns; it does not compare"
    case .unclosed(let bracket): "this `\(bracket)` is never closed"
    case .stray(let bracket): "this `\(bracket)` closes nothing"
    case .reservedWord(let word, let what): "`\(word)` is a word of the language and cannot be \(what)"
    case .misspelt(let word, _): "unknown word `\(word)`"
    case .chainedComparison: "comparisons cannot be chained"
    case .bareRecord(let place): "a record or block \(place) needs parentheses"
    case .twoOnOneLine(let found): "the statement should end here, but \(found) follows"
    case .nestedDeclaration(let what): "\(what) cannot be declared inside a block"
    case .notAssignable: "only a name can be assigned to"
    case .wrongCase(let name, let what, let capital):
      "\(what) `\(name)` must start with a \(capital ? "capital" : "small") letter"
    case .loneDecorator: "nothing follows this decorator"
    case .equalsInField(let what): "\(what) is written with `:`"
    case .unknownLanguage(let name): "an exec cannot be written in `\(name)`"
    case .missingBody(let name): "`\(name)` has no body"
    case .spreadInExpression: "`...` is only for patterns"
    case .notExportable(let what): "\(what) cannot be exported"
    case .badPattern: "this is not a pattern"
    case .foreignWord(let word, _): "`\(word)` is not a word of Weir"
    case .shorthandField: "a record's field needs its value"
    case .elseWithoutIf: "this `else` belongs to no `if`"
    case .tooDeep(let limit): "this is nested more than \(limit) levels deep"
    case .tooLarge(let limit): "this file is larger than \(limit / 1_048_576) MiB"
    case .tooManyErrors(let limit): "more than \(limit) mistakes; the rest is not shown"
    }
  }

  package var label: String {
    switch self {
    case .unclosedString: "opened here"
    case .unclosedHole, .unclosedComment, .unclosedCode, .unclosed: "opened here"
    case .badEscape(_, let needs): needs
    case .badNumber(_, let why): why
    case .numberTooLarge(let isInt):
      isInt ? "int goes from -9223372036854775808 to 9223372036854775807" : "the largest float is about 1.8e308"
    case .missingComma: "expected `,` before this"
    case .wrongCase(_, _, let capital): capital ? "starts with a small letter" : "starts with a capital"
    default: ""
    }
  }

  package var hint: String? {
    switch self {
    case .unexpectedCharacter: nil
    case .hashComment: "comments start with `//` or `--`"
    case .unclosedString(isTriple: true): "close it with `\"\"\"`"
    case .unclosedString: "close it with `\"`; a text of many lines is best written as `\"\"\"…\"\"\"`"
    case .unknownEscape:
      #"the escapes are \n \t \r \\ \" \0 \e \xHH \u{…} \${; a raw string r"…" has none"#
    case .badEscape: nil
    case .unclosedComment: "close it with `*/`; comments nest, so each `/*` needs one"
    case .badNumber: nil
    case .numberTooLarge(let isInt): isInt ? "write it as a float, `1e19`, or keep it as a string" : nil
    case .lookAlike(_, let meant): "replace it by `\(meant)`"
    case .notUTF8: "save it as UTF-8"
    case .unclosedHole: #"close it with `}`, or write `\${` for the two characters themselves"#
    case .unclosedCode: "its braces are counted outside its quotes and comments: is one `}` or quote missing?"
    case .foreignOperator(_, let instead): instead
    case .expected(_, _, let hint): hint
    case .missingComma: nil
    case .assignInCondition: "compare with `==`"
    case .unclosed(let bracket): "close it with `\(Self.closing(bracket))`"
    case .stray: "remove it, or add what it should close"
    case .reservedWord(let word, _): "another name, such as `\(word)_`, will do"
    case .misspelt(_, let meant): "did you mean `\(meant)`?"
    case .chainedComparison: "write `a < b && b < c`"
    case .bareRecord: "write `({ … })`"
    case .twoOnOneLine: "put it on its own line, or a `;` between"
    case .nestedDeclaration(let what):
      what == "a function"
        ? "bind it: `let name = func(x: int) -> int { … }`, or move it to the top level" : "move it to the top level"
    case .notAssignable: "values do not change; make a new one: `r = {r | field: value}`"
    case .wrongCase: nil
    case .loneDecorator: "it belongs before a workflow, agent, function, type or step"
    case .equalsInField: "write `name: value`"
    case .unknownLanguage: "the languages are sh, bash, cmd, node and python"
    case .missingBody(let name): "add `{ … }`, or `= expression`; a native is `extern func \(name)`"
    case .spreadInExpression: "write `x :: xs` or `[x] ++ xs`"
    case .notExportable: nil
    case .badPattern(let hint): hint
    case .foreignWord(_, let instead): instead
    case .shorthandField(let name): "write `\(name): \(name)`"
    case .elseWithoutIf: "an `else` stands on the line of the `}` before it, or opens the next"
    case .tooDeep: "give the inner parts names"
    case .tooLarge: "split it into modules"
    case .tooManyErrors: nil
    }
  }

  package static func closing(_ bracket: String) -> String {
    switch bracket {
    case "(": ")"
    case "[": "]"
    default: "}"
    }
  }

  package func diagnostic(at span: Span, label: String? = nil, related: [Diagnostic.Label] = []) -> Diagnostic {
    Diagnostic(code, title, at: span, label: label ?? self.label, related: related, hint: hint)
  }
}
