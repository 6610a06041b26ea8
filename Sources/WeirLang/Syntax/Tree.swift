/// The syntax tree of one file: everything the grammar of Weir can say, each node with its span.
///
/// Made by `Parser`, read by the checker; nothing here knows types, scopes or text. Both spellings of a thing give the
/// same node (`fn`/`func`, `\x. e`/`(x) => e`, `if then else`/braces). Parentheses leave no node.
/// Parsing never fails: where the text made no sense an `.error` node stands, and a diagnostic tells why.
///
/// Declarations are in `TreeDeclarations.swift`, patterns and types in `TreeTypes.swift`.
/// Invariant: no path from the root passes more than `Parser.depthLimit` expression, pattern or type nodes, so walking
/// (and freeing) a tree by recursion is safe on a small stack.
package struct Tree: Sendable {
  package var source: UInt32
  /// `module my/echo_client`, if written.
  package var module: Name?
  package var imports: [Import]
  /// Declarations and top-level statements, in written order.
  package var items: [Item]
  /// Covers the whole file.
  package var span: Span
  /// Node ids are `0..<nodeCount`, unique within this tree: an array of this size can hold a fact for each node.
  package var nodeCount: Int

  package var declarations: [Declaration] {
    items.compactMap { if case .declaration(let declaration) = $0 { declaration } else { nil } }
  }
  package var statements: [Statement] {
    items.compactMap { if case .statement(let statement) = $0 { statement } else { nil } }
  }
}

/// A name as written, and where.
package struct Name: Hashable, Sendable {
  package var text: String
  package var span: Span

  package init(_ text: String, _ span: Span) {
    self.text = text
    self.span = span
  }

  /// Types and constructors start with a capital.
  package var isCapitalized: Bool { text.utf8.first.map { (65...90).contains($0) } ?? false }
}

/// Index of a node in its tree; see `Tree.nodeCount`.
package typealias NodeID = Int32

// MARK: - Statements

package struct Block: Sendable {
  /// All but the result.
  package var statements: [Statement]
  /// The last expression: the block's value. Nil when the block is empty or ends in something that is no expression: unit.
  package var result: Expression?
  package var span: Span
}

package struct Statement: Sendable {
  package var kind: Kind
  package var span: Span

  package enum Kind: Sendable {
    /// `let p = e`, `let p: T = e`, `let p = e in` (whose scope is the rest of the block all the same).
    case `let`(Binding)
    /// `var x = e`: the pattern should be a name; the checker refuses any other.
    case `var`(Binding)
    /// `x = e`: assigns the `var` in scope, else declares `x`.
    case assign(Name, Expression)
    /// `_ = e`: the value is not wanted.
    case discard(Expression)
    case expression(Expression)
    /// `defer e`: runs when the function is left.
    case `defer`(Expression)
    /// `onerror e { }`, `onsuccess { }`, `oncancel { }` of a workflow's body.
    case onOutcome(Outcome, binding: Name?, Block)
    case error
  }

  package enum Outcome: String, Sendable { case error, success, cancel }
}

package struct Binding: Sendable {
  package var pattern: Pattern
  package var type: TypeExpression?
  package var value: Expression
}

// MARK: - Expressions

package struct Expression: Sendable {
  package var kind: Kind
  package var span: Span
  package var id: NodeID
  /// Of the subtree below and including this node; kept so that the parser can bound it.
  package var depth: UInt16

  package indirect enum Kind: Sendable {
    // Literals
    case unit
    case bool(Bool)
    case int(Int)
    case float(Double)
    case string(String)
    /// `"a ${e} b"`: text and expressions in order.
    case interpolation([InterpolationPart])
    /// `nil`, that is `None`.
    case `nil`

    // Names and data
    /// A variable, function, constructor (capitalized) or module alias.
    case name(String)
    case list([Expression])
    /// Two or more.
    case tuple([Expression])
    case record([Field])
    /// `{r | f: e}`
    case update(Expression, [Field])
    /// `{"k": v}`
    case map([MapEntry])

    // Functions
    case lambda(Lambda)
    case call(Expression, [Argument])
    /// `x.f`; `x.m(a)` is a call of it. Also `module.name`.
    case field(Expression, Name)
    case index(Expression, Expression)
    /// `e?`
    case propagate(Expression)
    /// `a |> f(b)`, `a |> f`
    case pipe(Expression, Expression)

    // Operators
    case unary(UnaryOperator, Expression)
    case binary(BinaryOperator, Expression, Expression)
    /// `a || b || c`, flat, two or more: logical or on bools, else all at once.
    case bars([Expression])
    /// `a..b`, `a..=b`
    case range(Expression, Expression, inclusive: Bool)

    // Control
    case block(Block)
    /// `let p = e in body` where an expression stands; in a block it is a statement.
    case letIn(Binding, Expression)
    case `if`(Expression, then: Expression, else: Expression?)
    case match(Expression, [MatchArm])
    case `for`(ForLoop)
    case `while`(Expression, Block)
    case `return`(Expression?)
    case `break`
    case `continue`
    case assert(Expression, message: Expression?)

    // Streams and workflows
    /// `stream e`
    case stream(Expression)
    /// `parallel [a, b]`, `race [a, b]`, `first [a, b]`
    case together(Together, [Expression])
    /// `e with { stream: true }`
    case with(Expression, [Field])
    /// `step "name" { … }`, maybe decorated with `@retry(…)`
    case step(Step)

    /// Could not be read; already reported.
    case error
  }
}

package enum InterpolationPart: Sendable {
  case text(String)
  case expression(Expression)
}

/// `name: value` in a record, an update or behind `with`.
package struct Field: Sendable {
  package var name: Name
  package var value: Expression
}

package struct MapEntry: Sendable {
  package var key: Expression
  package var value: Expression
}

/// `e`, or `name: e`.
package struct Argument: Sendable {
  package var label: Name?
  package var value: Expression
}

package struct Lambda: Sendable {
  package var parameters: [LambdaParameter]
  /// Only `func(x: T) -> U { … }` can say these.
  package var result: TypeExpression?
  package var effects: EffectRow?
  package var body: Expression
}

package struct LambdaParameter: Sendable {
  /// Mostly a name or `_`.
  package var pattern: Pattern
  package var type: TypeExpression?
}

package struct MatchArm: Sendable {
  /// `A(x) | B(x)` is one `.or` pattern.
  package var pattern: Pattern
  package var `guard`: Expression?
  package var body: Expression
  package var span: Span
}

package struct ForLoop: Sendable {
  /// `for i, x in xs`
  package var index: Name?
  package var pattern: Pattern
  package var sequence: Expression
  package var body: Block
  package var isParallel: Bool
  /// `(limit 4)` of `for parallel`.
  package var limit: Expression?
}

package enum Together: String, Sendable { case parallel, settle, race, first }

package struct Step: Sendable {
  package var decorators: [Decorator]
  /// A string, maybe interpolated.
  package var name: Expression
  package var body: Block
}

package enum UnaryOperator: String, Sendable {
  case negate = "-"
  case not = "!"
}

package enum BinaryOperator: String, Sendable, CaseIterable {
  /// Only the word `or`; for `||` see `Expression.Kind.bars`.
  case or
  /// `&&` and `and`.
  case and = "&&"
  case equal = "=="
  case notEqual = "!="
  case less = "<"
  case lessEqual = "<="
  case greater = ">"
  case greaterEqual = ">="
  case cons = "::"
  case concat = "++"
  case add = "+"
  case subtract = "-"
  case multiply = "*"
  case divide = "/"
  case remainder = "%"
  case power = "**"
}
