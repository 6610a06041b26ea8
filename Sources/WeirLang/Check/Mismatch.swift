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
    switch difference {
    case .infinite:
      return Diagnostic(
        "E0307", "this would have a type that contains itself", at: span, label: "here",
        notes: ["\(reason.needs) \(wanted), and that is a part of \(actual)"],
        hint: "wrap it in a sum type of its own: `type Tree = Leaf | Node(Tree, Tree)`")
    case .tooLarge:
      return Diagnostic(
        "E0902", "the type of this is too large", at: span, label: "here",
        notes: ["written out it has more than \(Unifier.workLimit) parts"],
        hint: "give its parts names: a `type` of their own")
    case .effects(let effects):
      notes.append("\(reason.needs) \(wanted)")
      notes.append("it also uses \(effects.list)")
      hint = "a function with fewer effects fits; or add \(effects.list) to the row that is written there"
    case .arity(let n, let m):
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
      notes.append("\(reason.needs) \(wanted)")
      notes.append("`\(name)` stands for any type, so it cannot be \(TypePrinter.text(other))")
    case .kind, .types:
      notes.append("\(reason.needs) \(wanted)")
      if case .types(let a, let b) = difference {
        let (small, other) = TypePrinter.pair(a, b)
        if small != wanted && other != actual { notes.append("they differ where one has \(small), the other \(other)") }
      }
      hint = conversion(from: found, to: expected, reason)
    }
    return Diagnostic(
      "E0301", reason.title, at: span, label: "this is \(actual)", related: promised.map { [$0] } ?? [], notes: notes,
      hint: hint)
  }

  static func count(_ n: Int, _ noun: String) -> String { n == 1 ? "1 \(noun)" : "\(n) \(noun)s" }

  /// A next step that can be pasted, for the mismatches that everybody meets.
  private static func conversion(from found: Type, to expected: Type, _ reason: Reason) -> String? {
    switch (found.resolved, expected.resolved) {
    case (.int, .string), (.float, .string), (.bool, .string): return "turn it into text with `show(…)` or `\"${…}\"`"
    case (.int, .float): return "write the number with a point, or use `toFloat(…)`"
    case (.string, .bytes): return "`fromString(…)` of std/bytes makes bytes of text"
    case (.bytes, .string): return "`toString(…)` of std/bytes makes text of bytes"
    case (.named(let n, _), _) where n.name == "Option" && n.module == Prelude.module:
      return "take the value out first: `match … { Some(x) => …, None => … }`"
    case (.named(let n, _), _) where n.name == "Result" && n.module == Prelude.module:
      return "take the value out first: `match … { Ok(x) => …, Err(e) => … }`"
    case (_, .named(let n, _)) where n.name == "Option" && n.module == Prelude.module:
      return "wrap it: `Some(…)`"
    case (_, .named(let n, _)) where n.name == "Result" && n.module == Prelude.module:
      return "wrap it: `Ok(…)`"
    case (.string, .variable(let v)):
      if case .number = v.kind, case .operand("+") = reason { return "text is joined with `++`" }
      return nil
    case (.function, let other):
      switch other {
      case .function, .variable: return nil
      default: break
      }
      return "call it: add `(…)`"
    default: return nil
    }
  }
}
