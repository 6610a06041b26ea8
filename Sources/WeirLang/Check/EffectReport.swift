/// What a program can reach, before any of it runs: through functions, lambdas, imports, tools and workflow handlers.
///
/// Made from charges; words for `weir check` and for a refused `weir run` are here and nowhere else. `IO` to the
/// terminal is always granted.
package struct EffectReport: Sendable {
  package struct Need: Sendable {
    package var effect: String
    package var path: EffectPath
    /// `app.weir:18`
    package var place: String
  }
  package let entry: String
  package let file: String
  /// Sorted by effect.
  package let needs: [Need]
  /// Written in the entry's row, never used.
  package let unused: EffectSet

  package var needed: EffectSet {
    needs.reduce(into: EffectSet.none) { $0.formUnion($1.path.effect) }
  }

  /// `starts` is what is run, by that name, after every module's globals; `row` is what it declares to need.
  init(
    _ name: String, starts: [CodeUnit], row: EffectSet?, modules: [Module], file: String, sources: SourceMap
  ) {
    self.file = file
    entry = name
    let units = starts + modules.map(\.unit)
    var effects = EffectSet.none
    for unit in units { for charge in unit.charges { effects.formUnion(charge.row.known) } }
    var needs: [Need] = []
    for effect in effects.each {
      guard let path = units.lazy.compactMap({ ChargeSearch.path(to: effect, from: $0) }).first else { continue }
      var place = file
      if let source = sources.source(of: path.span) {
        place = "\(source.name):\(source.position(of: Int(path.span.start)).line)"
      }
      needs.append(Need(effect: effect.list, path: path, place: place))
    }
    self.needs = needs
    unused = row.map { $0.subtracting(effects) } ?? .none
  }

  /// nil when everything that is needed is granted, else one line: each effect, the call that needs it, the command.
  package func missing(granted: EffectSet, command: String = "weir run") -> String? {
    let refused = needs.filter { !granted.union(.io).contains($0.path.effect) }
    if refused.isEmpty { return nil }
    let list = refused.map { "\($0.effect) (`\($0.path.callee)`, \($0.place))" }.joined(separator: ", ")
    let all = granted.intersection(needed).union(needed).sorted.joined(separator: ",")
    let verb = refused.count == 1 ? "was" : "were"
    return "\(entry) needs \(list), which \(verb) not granted; run: \(command) --caps \(all) \(file)"
  }

  /// `weir check`: one line for each effect, with the way to it.
  package var summary: [String] {
    var lines = needs.map { "\($0.effect): \($0.place), \($0.path.chain.joined(separator: " -> "))" }
    for effect in unused.sorted { lines.append("\(effect): declared, never used") }
    return lines
  }
}
