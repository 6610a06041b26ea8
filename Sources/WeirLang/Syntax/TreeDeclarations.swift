/// Declarations: what stands at the top level of a file. See `Tree.swift`.
package enum Item: Sendable {
  case declaration(Declaration)
  /// Runs in order when the entry file has no `main`. A top-level `let` is a `.constant` declaration.
  case statement(Statement)

  package var span: Span {
    switch self {
    case .declaration(let declaration): declaration.span
    case .statement(let statement): statement.span
    }
  }
}

/// `import std/stream (connect, Message as Msg)` · `import std/json as json` · `import "io"` · `import "./util.weir" (f)`
package struct Import: Sendable {
  /// `std/stream`, or what the quotes hold.
  package var path: Name
  package var isQuoted: Bool
  package var alias: Name?
  /// Nil without a list; empty for `()`.
  package var names: [ImportedName]?
  package var span: Span
}

package struct ImportedName: Sendable {
  package var name: Name
  package var alias: Name?
  package var local: Name { alias ?? name }
}

package struct Declaration: Sendable {
  package var kind: Kind
  package var isExported: Bool
  /// `@post("/x")`, in written order.
  package var decorators: [Decorator]
  /// The text of `///` lines above, without the slashes.
  package var documentation: String?
  package var span: Span

  package enum Kind: Sendable {
    case function(FunctionDeclaration)
    case type(TypeDeclaration)
    /// Top-level `let`.
    case constant(Binding)
    case provider(SettingsDeclaration)
    case agent(SettingsDeclaration)
    case tool(ToolDeclaration)
    case workflow(WorkflowDeclaration)
    case exec(ExecDeclaration)
    case `guard`(GuardDeclaration)
    case test(TestDeclaration)
    case error
  }

  /// The name it puts into scope, if it has one.
  package var name: Name? {
    switch kind {
    case .function(let it): it.name
    case .type(let it): it.name
    case .constant(let it): if case .name(let text) = it.pattern.kind { Name(text, it.pattern.span) } else { nil }
    case .provider(let it), .agent(let it): it.name
    case .tool(let it): it.function.name
    case .workflow(let it): it.function.name
    case .exec(let it): it.name
    case .guard, .test, .error: nil
    }
  }
}

/// `@name` or `@name(arguments)`.
package struct Decorator: Sendable {
  package var name: Name
  package var arguments: [Argument]
  package var span: Span
}

package struct FunctionDeclaration: Sendable {
  package var name: Name
  package var typeParameters: [Name]
  package var parameters: [Parameter]
  /// Not written: inferred.
  package var result: TypeExpression?
  /// Not written: inferred; `pure` gives the empty row here and sets `isPure`.
  package var effects: EffectRow?
  package var isPure: Bool
  /// `{ … }` gives a `.block`, `= e` the expression; nil for `extern func`, whose body is a native.
  package var body: Expression?
  package var isExtern: Bool { body == nil }
}

package struct Parameter: Sendable {
  package var name: Name
  /// Required of top-level functions by the checker.
  package var type: TypeExpression?
  package var defaultValue: Expression?
  package var span: Span
}

package struct TypeDeclaration: Sendable {
  package var name: Name
  package var parameters: [Name]
  package var definition: Definition

  package enum Definition: Sendable {
    /// `= Circle(float) | Rect(float, float)`
    case sum([Constructor])
    /// `= {x: int}`, `= string`; also `= Other`, a single bare name.
    case alias(TypeExpression)
    /// `extern type Connection`: only natives make it.
    case extern
  }
}

package struct Constructor: Sendable {
  package var name: Name
  package var fields: [ConstructorField]
  package var documentation: String?
  package var span: Span
}

package struct ConstructorField: Sendable {
  /// `Rect(width: float, height: float)`; mostly nil.
  package var label: Name?
  package var type: TypeExpression
}

/// `provider NAME { … }`, `agent NAME { … }`
package struct SettingsDeclaration: Sendable {
  package var name: Name
  package var settings: [Setting]
}

package struct Setting: Sendable {
  package var name: Name
  package var value: Value

  package enum Value: Sendable {
    case expression(Expression)
    /// An agent's `output: Type`.
    case type(TypeExpression)
  }
}

/// `tool name(p: T = d) -> R { """what it does""" body }`
package struct ToolDeclaration: Sendable {
  /// Its body is without the description.
  package var function: FunctionDeclaration
  package var description: String?
}

/// `workflow Name(params) -> stream { … }`; routes are the declaration's decorators.
package struct WorkflowDeclaration: Sendable {
  package var function: FunctionDeclaration
}

/// `exec name(params) = cmd { … } with { … }`
package struct ExecDeclaration: Sendable {
  package enum Language: String, Sendable, CaseIterable { case sh, bash, cmd, node, python }

  package var name: Name
  package var parameters: [Parameter]
  package var result: TypeExpression?
  /// `= stream sh { … }`
  package var isStreaming: Bool
  package var language: Language
  /// As written, common indentation and outer blank lines removed.
  package var code: String
  /// Between the braces.
  package var codeSpan: Span
  package var options: [Field]
}

/// `guard before Writer(input) { … }`, `guard during Writer(window) keep 200 { … }`, `guard before agent(..) { … }`
package struct GuardDeclaration: Sendable {
  package enum Moment: String, Sendable { case before, during, after }
  package enum Target: Sendable {
    case named(Name)
    /// `agent`, `exec` or `workflow`: all of the kind.
    case every(Name)
  }

  package var moment: Moment
  package var momentSpan: Span
  package var target: Target
  /// Nil for `(..)` and `()`.
  package var parameter: Parameter?
  package var keep: Expression?
  package var body: Block
}

/// `test "name" { … }`
package struct TestDeclaration: Sendable {
  package var name: String
  package var nameSpan: Span
  package var body: Block
}
