/// What a call can do to the outside, as sets and as rows.
///
/// An effect set is eleven bits. A row is a set and maybe a rest variable: `! {IO | e}` is "IO and whatever e stands
/// for". Rows are open while a function is inferred and are compared with the written row afterwards, so a missing
/// effect is one error at the call that brought it, never a failed unification (rule 3 of the checker's design).
package struct EffectSet: OptionSet, Hashable, Sendable {
  package let rawValue: UInt16
  package init(rawValue: UInt16) { self.rawValue = rawValue }

  package static let none: EffectSet = []

  /// Every effect of the language, in the order in which they are printed.
  package static let names = [
    "AI", "Clock", "Env", "FS", "IO", "Net", "Process", "Rand", "Serve", "Store", "Stream",
  ]
  package static let all = EffectSet(rawValue: UInt16(1 << names.count) - 1)
  package static let io = EffectSet("IO") ?? .none

  /// The effect of that name, or nil. `init(_: "IO")`.
  package init?(_ name: String) {
    guard let index = Self.names.firstIndex(of: name) else { return nil }
    self.init(rawValue: 1 << UInt16(index))
  }

  /// Names in printing order.
  package var sorted: [String] {
    Self.names.enumerated().filter { rawValue & (1 << UInt16($0.offset)) != 0 }.map(\.element)
  }

  /// One set for each effect in this one, in printing order.
  package var each: [EffectSet] {
    (0..<Self.names.count).map { EffectSet(rawValue: 1 << UInt16($0)) }.filter { contains($0) }
  }

  /// `AI, IO`: as it stands between the braces of a row and after `--caps`.
  package var list: String { sorted.joined(separator: ", ") }
}

/// The rest of a row. Bound variables point at the row they stand for.
final class RowVariable {
  let id: Int
  var level: Int
  var bound: Row?
  init(id: Int, level: Int) {
    self.id = id
    self.level = level
  }
}

struct Row {
  var effects: EffectSet
  var rest: RowVariable?

  static var pure: Row { Row(effects: .none, rest: nil) }

  init(effects: EffectSet, rest: RowVariable? = nil) {
    self.effects = effects
    self.rest = rest
  }

  /// The row with every bound rest followed: what is left in `rest` is unbound.
  var resolved: Row {
    guard var variable = rest, var row = variable.bound else { return self }
    var all = effects
    while true {
      all.formUnion(row.effects)
      guard let next = row.rest else { return Row(effects: all) }
      variable = next
      guard let bound = variable.bound else { return Row(effects: all, rest: variable) }
      row = bound
    }
  }

  /// The effects known so far.
  var known: EffectSet { resolved.effects }
}
