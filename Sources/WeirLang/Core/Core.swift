/// The small typed tree between the checker and the emitter.
///
/// Every name is resolved (to a local, a global, a function, a native), every operator is chosen by type, every record
/// field is an index in the sorted order of its type's field names. What is deliberately *not* decided here: registers,
/// which locals need a cell, what a lambda captures, how a pattern is tested. The emitter (`Code/`) finds those out,
/// so whoever builds Core only has to give every local of a top-level function its own number.
///
/// Comes from `Check/` (lowering) or a test's hands; goes to `Code/Emitter`.
package struct Core {
  package indirect enum Node {
    // Values
    case literal(CoreLiteral)
    case local(Local)
    case global(Int)
    /// A top-level function, a native or a constructor used as a value. A native's or constructor's wrapper is emitted.
    case function(Int)
    case native(Int)
    case constructor(type: Int, index: Int, arity: Int)
    case lambda(CoreLambda)

    // Names. A `bind` holds until the end of the nearest enclosing `sequence`, loop, arm or function.
    case bind(Local, Core)
    /// To a local declared by a `bind`, a parameter, or to a global. Value: unit.
    case assign(Local, Core)
    case assignGlobal(Int, Core)

    // Order and choice
    /// Value: the last one's; unit when empty.
    case sequence([Core])
    /// A missing `else` is unit.
    case branch(if: Core, then: Core, else: Core?)
    /// Arms are tried in order; none fitting is the trap `Unmatched`.
    case match(Core, [CoreArm])
    case loop(while: Core, body: Core)
    case forEach(item: CorePattern, index: Local?, in: Core, body: Core)
    /// `from` and `to` are ints; `to` is left out unless `inclusive`.
    case forRange(item: Local?, from: Core, to: Core, inclusive: Bool, body: Core)
    case breakLoop
    case continueLoop
    case returned(Core?)
    /// `e?`: the first payload when e is the constructor `success` of its type, else e is returned from the function.
    case attempt(Core, success: Int)
    /// Runs when the enclosing function ends, however it ends; last registered first.
    case deferred(Core)
    /// Stops the fiber with a trap: `assert`, a `match` that the checker left open … A message that is a list is the
    /// message and notes below it.
    case fail(code: String, message: Core)

    // Data
    /// `names` are the field names in sorted order (they stay with the value for `show` and JSON); none = a tuple.
    /// Written order is evaluation order; the number is the field's index in the sorted record (or the tuple).
    case record(names: [String], [(index: Int, value: Core)])
    case field(Core, Int)
    case update(Core, [(index: Int, value: Core)])
    /// `type` is `CoreType.id`, `index` the constructor's place in it.
    case variant(type: Int, index: Int, [Core])
    case list([Core])
    case map([(key: Core, value: Core)])
    /// `a ++ b ++ c`, and interpolation once its parts are strings (`Primitive.text`).
    case concat(Joinable, [Core])

    // Work
    case primitive(Primitive, [Core])
    case call(Core, [Core])
    case callFunction(Int, [Core])
    case callNative(Int, [Core])
  }

  package var node: Node
  package var span: Span
  package init(_ node: Node, _ span: Span) {
    self.node = node
    self.span = span
  }
}

/// A local variable: a number unique within the top-level function that holds it, lambdas inside included.
package struct Local: Hashable {
  package var id: Int
  /// As written, for traces and disassembly.
  package var name: String
  package init(_ id: Int, _ name: String = "") {
    self.id = id
    self.name = name
  }
  package static func == (a: Local, b: Local) -> Bool { a.id == b.id }
  package func hash(into hasher: inout Hasher) { hasher.combine(id) }
}

package enum CoreLiteral: Hashable, Sendable {
  case unit
  case bool(Bool)
  case int(Int)
  case float(Double)
  case string(String)
  case bytes([UInt8])
}

package enum Joinable: Equatable { case string, list, bytes, any }

/// `(x, y) => body`. What it captures is found by the emitter; captured `var`s become cells there.
package struct CoreLambda {
  package var name: String
  package var parameters: [Local]
  package var body: Core
  package init(name: String = "lambda", parameters: [Local], body: Core) {
    self.name = name
    self.parameters = parameters
    self.body = body
  }
}

package struct CoreArm {
  package var pattern: CorePattern
  package var guardCondition: Core?
  package var body: Core
  package init(_ pattern: CorePattern, if guardCondition: Core? = nil, _ body: Core) {
    self.pattern = pattern
    self.guardCondition = guardCondition
    self.body = body
  }
}

package indirect enum CorePattern {
  case any
  case bind(Local)
  /// `p as x`: the whole value under a name, and its parts.
  case named(Local, CorePattern)
  case literal(CoreLiteral)
  case constructor(index: Int, [CorePattern])
  /// A record or tuple: only the fields that are looked at.
  case record([(index: Int, pattern: CorePattern)])
  /// `[a, b]` (rest nil) or `[a, b, ...rest]`, `a :: rest`.
  case list([CorePattern], rest: CorePattern?)
  case either([CorePattern])
}

/// Operators after the checker chose them. The ones without a type name look at their values when they run: they are
/// for type variables (`\x y. x + y`) and for `==`.
package enum Primitive: Equatable {
  case addInt, subInt, mulInt, divInt, remInt, powInt, negInt
  case addFloat, subFloat, mulFloat, divFloat, remFloat, powFloat, negFloat
  case add, sub, mul, div, rem, pow, neg
  case lessInt, lessOrEqualInt, greaterInt, greaterOrEqualInt
  case lessFloat, lessOrEqualFloat, greaterFloat, greaterOrEqualFloat
  /// Ints, floats, strings (by bytes), bytes, bools; lists, tuples and records of those, item by item.
  case less, lessOrEqual, greater, greaterOrEqual
  case equalInt, equal, notEqual
  case not
  /// `x :: xs`
  case cons
  /// `xs[i]` (traps outside), `m[k]` and `json[k]` (Option / Json).
  case indexList, indexMap, indexJSON, indexBytes
  /// Any value as text: a string is itself, everything else as `show` prints it.
  case text
  case show
  case intToFloat
  /// `[from, …, to)` as a list, and with `to`.
  case range, rangeInclusive

  /// Two values in, a bool out.
  var isComparison: Bool {
    switch self {
    case .lessInt, .lessOrEqualInt, .greaterInt, .greaterOrEqualInt, .lessFloat, .lessOrEqualFloat, .greaterFloat,
      .greaterOrEqualFloat, .less, .lessOrEqual, .greater, .greaterOrEqual, .equalInt, .equal, .notEqual:
      true
    default: false
    }
  }
}
