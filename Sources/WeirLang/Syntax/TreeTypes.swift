/// Patterns, types and effect rows as written. See `Tree.swift`.
package struct Pattern: Sendable {
  package var kind: Kind
  package var span: Span
  package var id: NodeID
  package var depth: UInt16

  package indirect enum Kind: Sendable {
    case wildcard
    /// Binds; never capitalized.
    case name(String)
    /// `C`, `C(p, q)`, `module.C(p)`. Nil arguments: written without parentheses.
    case constructor(qualifier: Name?, Name, [Pattern]?)
    case unit
    case bool(Bool)
    case int(Int)
    case float(Double)
    case string(String)
    case `nil`
    case tuple([Pattern])
    /// `[p, q]`, `[p, ...rest]`, `[p, ...]`: rest is then `.wildcard`.
    case list([Pattern], rest: Pattern?)
    /// `p :: q`
    case cons(Pattern, Pattern)
    /// `{f, g: p}`: `f` alone is `f: f`.
    case record([FieldPattern])
    /// `p | q`, flat, two or more.
    case or([Pattern])
    case error
  }
}

package struct FieldPattern: Sendable {
  package var name: Name
  package var pattern: Pattern
}

package struct TypeExpression: Sendable {
  package var kind: Kind
  package var span: Span
  package var depth: UInt16

  package indirect enum Kind: Sendable {
    /// `int`, `a`, `Result[T, E]`, `json.Json`; also the bare word `stream`.
    case named(qualifier: Name?, Name, [TypeExpression])
    case unit
    /// `[T]`
    case list(TypeExpression)
    /// `[K: V]`
    case map(TypeExpression, TypeExpression)
    /// `T?`
    case option(TypeExpression)
    /// Two or more.
    case tuple([TypeExpression])
    case record([FieldType])
    case function([TypeExpression], result: TypeExpression, effects: EffectRow?)
    case error
  }
}

package struct FieldType: Sendable {
  package var name: Name
  /// `f?: T`
  package var isOptional: Bool
  package var type: TypeExpression
}

/// `! {AI @limit=5, Net}`, `! {Stream, e}`, `! {Stream | e}`, `! e`, `! {}`
package struct EffectRow: Sendable {
  package var effects: [Effect]
  /// Lower-case names: row variables.
  package var variables: [Name]
  package var span: Span
}

package struct Effect: Sendable {
  package var name: Name
  package var limit: Int?
  package var span: Span
}
