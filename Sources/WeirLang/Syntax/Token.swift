/// The words of a program. A token is 16 bytes: what it is, where it stands, and where its value is kept.
package struct Token: Sendable {
  package var kind: Kind
  package var flags: Flags
  package var start: UInt32
  package var end: UInt32
  /// Index into `Lexed.strings` (string, stringText, code) or `Lexed.numbers` (int, float).
  package var value: UInt32 = 0

  package struct Flags: OptionSet, Sendable {
    package let rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue }
    /// A line break stands between this and the token before.
    package static let newlineBefore = Flags(rawValue: 1)
    /// That line break ends a statement, unless round or square brackets are open: the token before can end one, this
    /// one can start one.
    package static let mayBreak = Flags(rawValue: 2)
    /// White space or a comment stands before it.
    package static let spaceBefore = Flags(rawValue: 4)
  }

  /// Raw values are the spelling, for messages.
  package enum Kind: String, Sendable {
    case end = "the end of the file"
    case name = "a name"
    case int = "a number"
    case float = "a decimal number"
    /// A whole string without interpolation.
    case string = "a string"
    /// `"` of a string with interpolation, its texts, `${`, `}`, and the last `"`.
    case stringStart = "a string with `${…}`"
    case stringText = "text"
    case holeStart = "${"
    case holeEnd = "the end of `${…}`"
    case stringEnd = "the end of the string"
    /// The body of an `exec`, between its braces.
    case code = "program text"
    /// Not a token of the language; already reported.
    case bad = "an unreadable character"

    case roundOpen = "("
    case roundClose = ")"
    case squareOpen = "["
    case squareClose = "]"
    case curlyOpen = "{"
    case curlyClose = "}"
    case comma = ","
    case semicolon = ";"
    case colon = ":"
    case doubleColon = "::"
    case dot = "."
    case range = ".."
    case closedRange = "..="
    case ellipsis = "..."
    case assign = "="
    case equal = "=="
    case arrow = "=>"
    case thinArrow = "->"
    case bang = "!"
    case notEqual = "!="
    case less = "<"
    case lessEqual = "<="
    case greater = ">"
    case greaterEqual = ">="
    case plus = "+"
    case concat = "++"
    case minus = "-"
    case star = "*"
    case power = "**"
    case slash = "/"
    case percent = "%"
    case and = "&&"
    case bar = "|"
    case bars = "||"
    case pipe = "|>"
    case backslash = "\\"
    case at = "@"
    case question = "?"

    case kModule = "module"
    case kImport = "import"
    case kAs = "as"
    case kExport = "export"
    case kPub = "pub"
    case kPure = "pure"
    case kFunc = "func"
    case kFn = "fn"
    case kLet = "let"
    case kVar = "var"
    case kIn = "in"
    case kIf = "if"
    case kThen = "then"
    case kElse = "else"
    case kMatch = "match"
    case kType = "type"
    case kReturn = "return"
    case kFor = "for"
    case kWhile = "while"
    case kBreak = "break"
    case kContinue = "continue"
    case kDefer = "defer"
    case kTrue = "true"
    case kFalse = "false"
    case kNot = "not"
    case kAnd = "and"
    case kOr = "or"
    case kNil = "nil"
    case kAssert = "assert"
  }
}

extension Token.Kind {
  package static let keywords: [String: Token.Kind] = {
    let all: [Token.Kind] = [
      .kModule, .kImport, .kAs, .kExport, .kPub, .kPure, .kFunc, .kFn, .kLet, .kVar, .kIn, .kIf, .kThen, .kElse,
      .kMatch,
      .kType, .kReturn, .kFor, .kWhile, .kBreak, .kContinue, .kDefer, .kTrue, .kFalse, .kNot, .kAnd, .kOr, .kNil,
      .kAssert,
    ]
    return Dictionary(uniqueKeysWithValues: all.map { ($0.rawValue, $0) })
  }()

  package var isKeyword: Bool { Self.keywords[rawValue] != nil }

  /// May be the last token of a statement.
  package var canEnd: Bool {
    switch self {
    case .name, .int, .float, .string, .stringEnd, .roundClose, .squareClose, .curlyClose, .question, .bad, .semicolon,
      .kTrue, .kFalse, .kNil, .kReturn, .kBreak, .kContinue:
      true
    default: false
    }
  }

  /// May be the first token of a statement. `+` may not (there is no unary plus), `-` may.
  package var canStart: Bool {
    switch self {
    case .end, .kThen, .kElse, .kIn, .kAs, .kAnd, .kOr, .pipe, .concat, .plus, .star, .power, .slash, .percent, .equal,
      .notEqual, .less, .lessEqual, .greater, .greaterEqual, .and, .bar, .bars, .dot, .question, .roundClose,
      .squareClose,
      .curlyClose, .comma, .colon, .doubleColon, .assign, .arrow, .thinArrow, .range, .closedRange, .holeEnd,
      .stringEnd,
      .stringText, .holeStart:
      false
    default: true
    }
  }

  /// May be the first token of an expression.
  package var startsExpression: Bool {
    switch self {
    case .name, .int, .float, .string, .stringStart, .roundOpen, .squareOpen, .curlyOpen, .minus, .bang, .backslash,
      .kFunc,
      .kFn, .kLet, .kIf, .kMatch, .kReturn, .kFor, .kWhile, .kBreak, .kContinue, .kTrue, .kFalse, .kNot, .kNil,
      .kAssert,
      .at:
      true
    default: false
    }
  }

  /// As it is named in a message: "`=`", "a name", "the word `let`".
  package var described: String {
    switch self {
    case .end, .name, .int, .float, .string, .stringStart, .stringText, .holeEnd, .stringEnd, .code, .bad: rawValue
    default: isKeyword ? "the word `\(rawValue)`" : "`\(rawValue)`"
    }
  }
}

/// A file as tokens, with all the parser needs to know of them.
package struct Lexed: Sendable {
  /// The last one is `.end`.
  package var tokens: [Token] = []
  package var strings: [String] = []
  /// An int's magnitude, or a float's bit pattern.
  package var numbers: [UInt64] = []
  /// For an opening bracket (also `${` and a string's start) the index of its closing token and the reverse; else -1.
  package var partner: [Int32] = []
  /// Opening braces whose closing one stands further left than their line: probably the ones that were left open.
  package var suspects: [Int] = []
  /// `///` texts by the index of the token they stand before.
  package var documentation: [Int: String] = [:]
  package var diagnostics: [Diagnostic] = []
  /// Bytes looked at, for the test that lexing is linear.
  package var steps = 0
}
