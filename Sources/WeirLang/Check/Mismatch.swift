/// Why a type was expected somewhere, and the words for when it is not there.
///
/// The title leads with the reason in the reader's words; the primary place says what is, notes say what was wanted and
/// the smallest part that differs. No variable numbers, no "unify".
enum Reason {
  case argument(Int, of: String, name: String?)
  case result(of: String)
  case branch
  case arm
  case condition(String)
  case operand(String)
  case element
  /// Of a list whose type is known from outside.
  case item
  case entry
  case annotation(String)
  case pattern
  case field(String)
  case assignment(String)
  case returned(String)
  case propagated(String)
  case index
  case statement(String)

  var title: String {
    switch self {
    case .argument(let i, let f, nil): "argument \(i) of `\(f)` has the wrong type"
    case .argument(_, let f, let name?): "`\(name)` of `\(f)` has the wrong type"
    case .result(let f): "the result of `\(f)` has the wrong type"
    case .branch: "the branches of this `if` have different types"
    case .arm: "the arms of this `match` have different types"
    case .condition(let what): "the condition of \(what) is not a bool"
    case .operand(let op): "`\(op)` cannot take this"
    case .element: "the elements of this list have different types"
    case .item: "an element of this list has the wrong type"
    case .entry: "the entries of this map have different types"
    case .annotation(let name): "`\(name)` does not have the type written for it"
    case .pattern: "this pattern does not fit the value"
    case .field(let name): "the field `\(name)` has the wrong type"
    case .assignment(let name): "`\(name)` cannot hold this"
    case .returned(let f): "this `return` does not fit the result of `\(f)`"
    case .propagated(let f): "`?` hands back what `\(f)` does not return"
    case .index: "the index has the wrong type"
    case .statement(let what): "\(what) has the wrong type"
    }
  }

  /// Each reason has a code of its own, so that `weir explain` can speak of that place alone.
  var code: String {
    switch self {
    case .argument: "E0301"
    case .result: "E0320"
    case .returned: "E0321"
    case .propagated: "E0322"
    case .branch: "E0323"
    case .arm: "E0324"
    case .condition: "E0325"
    case .operand: "E0326"
    case .element: "E0327"
    case .item: "E0328"
    case .entry: "E0329"
    case .annotation: "E0330"
    case .field: "E0331"
    case .index: "E0332"
    case .assignment: "E0333"
    case .statement: "E0334"
    case .pattern: "E0335"
    }
  }

  /// What needs it, as the subject of "… needs T".
  var needs: String {
    switch self {
    case .argument(_, let f, _): "`\(f)` needs"
    case .result(let f), .returned(let f), .propagated(let f): "`\(f)` promises"
    case .branch: "the branch before is"
    case .arm: "the arms before are"
    case .condition: "needed:"
    case .operand(let op): "`\(op)` needs"
    case .element: "the elements before are"
    case .item: "the list holds"
    case .entry: "the entries before are"
    case .annotation, .assignment: "it is declared as"
    case .pattern: "the value is"
    case .field(let name): "`\(name)` is declared as"
    case .index: "needed:"
    case .statement: "needed:"
    }
  }
}

enum Mismatch {
  static func diagnostic(
    expected: Type, found: Type, _ difference: Unifier.Difference, _ reason: Reason, at span: Span,
    promised: Diagnostic.Label? = nil
  ) -> Diagnostic {
    let (wanted, actual) = TypePrinter.pair(expected, found)
    var notes: [String] = []
    var hint: String?
    var code = reason.code
    switch difference {
    case .infinite:
      return Diagnostic(
        "E0307", "this would have a type that contains itself", at: span, label: "here",
        notes: ["\(reason.needs) \(wanted), and that is a part of \(actual)"],
        hint: "wrap it in a sum type of its own: `type Tree = Leaf | Node(Tree, Tree)`")
    case .tooLarge:
      return Diagnostic(
        "E0904", "the type of this is too large", at: span, label: "here",
        notes: ["written out it has more than \(Unifier.workLimit) parts"],
        hint: "give its parts names: a `type` of their own")
    case .kind(.comparable, _):
      // Where it is compared with is no second mistake.
      if case .variable(let variable) = expected.resolved, variable.rigidName == nil { variable.bound = .error }
      return incomparable(found, "\(reason.needs) something that can be compared, and this is", at: span)
    case .effects(let effects):
      code = "E0504"
      notes.append("\(reason.needs) \(wanted)")
      notes.append("it also uses \(effects.list)")
      hint = "a function with fewer effects fits; or add \(effects.list) to the row that is written there"
    case .arity(let n, let m):
      code = "E0340"
      notes.append("\(reason.needs) \(wanted)")
      notes.append("that takes \(count(n, "argument")), this takes \(m)")
    case .missingField(let name, let record):
      notes.append("\(reason.needs) \(wanted)")
      notes.append("the field `\(name)` is missing")
      let near = Suggestion.nearest(to: name, among: record.fields.map(\.name))
      if let near { hint = "did you mean `\(name)` where it says `\(near)`?" }
    case .extraField(let name, let record):
      notes.append("\(reason.needs) \(wanted)")
      notes.append("it has no field `\(name)`")
      if let near = Suggestion.nearest(to: name, among: record.fields.map(\.name)) {
        hint = "did you mean `\(near)`?"
      }
    case .rigid(let name, let other):
      code = "E0341"
      notes.append("\(reason.needs) \(wanted)")
      notes.append("`\(name)` stands for any type, so it cannot be \(TypePrinter.text(other))")
    case .kind, .types:
      notes.append("\(reason.needs) \(wanted)")
      if case .types(let a, let b) = difference {
        let (small, other) = TypePrinter.pair(a, b)
        if small != wanted && other != actual { notes.append("they differ where one has \(small), the other \(other)") }
      }
      if case .variable(let variable) = expected.resolved, let name = variable.rigidName {
        code = "E0341"
        notes.append("`\(name)` stands for any type, so it cannot be \(actual)")
      } else if let (own, step) = conversion(from: found, to: expected, reason) {
        code = own ?? code
        hint = step
      }
    }
    return Diagnostic(
      code, reason.title, at: span, label: "this is \(actual)", related: promised.map { [$0] } ?? [], notes: notes,
      hint: hint)
  }

  /// `?` in a function whose result nobody wrote, and whose end is no Option or Result.
  static func propagation(
    from place: Span, in name: String, gives: Type, end: Type, at span: Span
  ) -> Diagnostic {
    let isOption = if case .named(let type, _) = gives.resolved { type.name == "Option" } else { false }
    let (what, wrapped) = isOption ? ("an Option", "Some(…)") : ("a Result", "Ok(…)")
    let ending = if case .unit = end.resolved { "`\(isOption ? "Some(())" : "Ok(())")`" } else { "`\(wrapped)`" }
    return Diagnostic(
      Reason.propagated(name).code, Reason.propagated(name).title, at: place,
      label: "this makes the result \(what)",
      related: [.init(span, "but the function ends in \(TypePrinter.noun(end))")],
      hint: "look at the value with `match`, or let the function end in \(ending)")
  }

  /// A function, or something that holds one, where values are compared.
  static func incomparable(_ type: Type, _ who: String, at span: Span) -> Diagnostic {
    Diagnostic(
      "E0310", "functions cannot be compared", at: span, notes: ["\(who) \(TypePrinter.text(type))"],
      hint: "compare what they return, or names for them")
  }

  static func count(_ n: Int, _ noun: String) -> String { n == 1 ? "1 \(noun)" : "\(n) \(noun)s" }

  /// A next step that can be pasted, for the mismatches that everybody meets; those that are the same mistake wherever
  /// they stand have a code of their own.
  private static func conversion(from found: Type, to expected: Type, _ reason: Reason) -> (String?, String)? {
    switch reason {
    case .pattern, .propagated, .operand("?"): return nil
    default: break
    }
    if found.isAnyNumber, case .string = expected.resolved { return conversion(from: .int, to: expected, reason) }
    if expected.isAnyNumber, case .operand("+") = reason, case .string = found.resolved {
      return ("E0337", "text is joined with `++`")
    }
    switch (found.resolved, expected.resolved) {
    case (.string, .int): return (nil, "`toInt(…)` of std/string reads a number; it gives an Option")
    case (.string, .float): return (nil, "`toFloat(…)` of std/string reads a number; it gives an Option")
    case (.int, .string), (.float, .string), (.bool, .string):
      return (nil, "turn it into text with `show(…)` or `\"${…}\"`")
    case (.int, .float): return ("E0336", "write the number with a point, or use `toFloat(…)` of std/math")
    case (.float, .int): return ("E0336", "`toInt(…)` of std/math gives the whole part")
    case (.string, .bytes): return (nil, "`fromString(…)` of std/bytes makes bytes of text")
    case (.bytes, .string): return (nil, "`toString(…)` of std/bytes makes text of bytes")
    case (.named(let n, _), _) where n.name == "Option" && n.module == Prelude.module:
      return ("E0338", "take the value out first: `match … { Some(x) => …, None => … }`")
    case (.named(let n, _), _) where n.name == "Result" && n.module == Prelude.module:
      return ("E0339", "take the value out first: `match … { Ok(x) => …, Err(e) => … }`")
    case (_, .named(let n, _)) where n.name == "Option" && n.module == Prelude.module:
      return ("E0343", "wrap it: `Some(…)`")
    case (_, .named(let n, _)) where n.name == "Result" && n.module == Prelude.module:
      return ("E0343", "wrap it: `Ok(…)`")
    case (.function, let other):
      switch other {
      case .function, .variable: return nil
      default: break
      }
      return ("E0342", "call it: add `(…)`")
    default: return nil
    }
  }
}
