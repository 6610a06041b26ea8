/// Who brings which effect: every call in a piece of code is a charge, and a piece's effects are the union of them.
///
/// A `CodeUnit` is one body: a function, a lambda, the statements at the top of a module. Charges keep the call's place
/// and its function-valued arguments, so that an error can name who brought an effect instead of where it surfaced.
final class CodeUnit {
  let name: String
  let span: Span
  /// Part of the library: chains end at its functions, its insides are not the program's business.
  let isLibrary: Bool
  var charges: [Charge] = []
  /// The effects of the whole, once known; for an `extern` what its row says.
  var row: Row

  init(name: String, span: Span, isLibrary: Bool, row: Row) {
    self.name = name
    self.span = span
    self.isLibrary = isLibrary
    self.row = row
  }
}

struct Charge {
  var row: Row
  var span: Span
  /// As written: `println`, `server.listen`.
  var callee: String
  var target: CodeUnit?
  var arguments: [Argument] = []
  /// Nothing is called here, but what is named can be called from now on: a workflow, an agent.
  var isMention = false

  /// A function handed to the callee: its effects may be what the call is charged with.
  struct Argument {
    var name: String
    var span: Span
    var row: Row
    var unit: CodeUnit?
  }
}

/// One effect, and the way it is reached.
package struct EffectPath: Sendable {
  package let effect: EffectSet
  /// `main`, `handler`, `log`, `println`.
  package let chain: [String]
  /// The last call of the chain that stands in the program's own text.
  package let span: Span
  /// What is called there.
  package var callee: String { chain.last ?? "" }
}

enum ChargeSearch {
  /// The shortest way from `unit` to a call that has the effect by itself; nil when no charge has it.
  static func path(to effect: EffectSet, from unit: CodeUnit) -> EffectPath? {
    var seen: Set<ObjectIdentifier> = [ObjectIdentifier(unit)]
    var queue: [(unit: CodeUnit, chain: [String], span: Span)] = [(unit, [unit.name], unit.span)]
    var next = 0
    while next < queue.count {
      let (unit, chain, _) = queue[next]
      next += 1
      for charge in unit.charges where charge.row.known.contains(effect) {
        let own = charge.target.map { $0.row.known.contains(effect) } ?? charge.arguments.isEmpty
        if own {
          guard let target = charge.target, !target.isLibrary, !target.charges.isEmpty else {
            return EffectPath(effect: effect, chain: chain + [charge.callee], span: charge.span)
          }
          if seen.insert(ObjectIdentifier(target)).inserted {
            queue.append((target, chain + [charge.callee], charge.span))
          }
          continue
        }
        guard let bringer = charge.arguments.first(where: { $0.row.known.contains(effect) }) else {
          return EffectPath(effect: effect, chain: chain + [charge.callee], span: charge.span)
        }
        guard let inner = bringer.unit, !inner.isLibrary, !inner.charges.isEmpty else {
          return EffectPath(effect: effect, chain: chain + [bringer.name], span: bringer.span)
        }
        if seen.insert(ObjectIdentifier(inner)).inserted {
          queue.append((inner, chain + [bringer.name], bringer.span))
        }
      }
    }
    // Only a cycle of functions that charge each other is left: its first call is the best there is to show.
    return queue.count > 1 ? EffectPath(effect: effect, chain: queue[1].chain, span: queue[1].span) : nil
  }

  /// The charge in `unit` itself through which the effect comes, and what it is charged for: the argument if the
  /// callee only has the effect because of it.
  static func origin(of effect: EffectSet, in unit: CodeUnit) -> (span: Span, name: String)? {
    for charge in unit.charges where charge.row.known.contains(effect) {
      let own = charge.target.map { $0.row.known.contains(effect) } ?? charge.arguments.isEmpty
      if !own, let bringer = charge.arguments.first(where: { $0.row.known.contains(effect) }) {
        return (bringer.span, bringer.name)
      }
      return (charge.span, charge.callee)
    }
    return nil
  }
}
