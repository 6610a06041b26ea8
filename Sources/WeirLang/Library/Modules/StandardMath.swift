/// std/math: what operators do not say.
extension LibraryModule {
  static var math: LibraryModule {
    LibraryModule(
      name: "std/math",
      source: #"""
        // Numbers: rounding, roots, limits.

        /// The number as a float.
        export extern func toFloat(number: int) -> float
        /// Towards zero; None when it fits no int.
        export extern func toInt(number: float) -> Option[int]
        /// The largest whole number that is not above it.
        export extern func floor(number: float) -> float
        /// The smallest whole number that is not below it.
        export extern func ceil(number: float) -> float
        /// Halves away from zero.
        export extern func round(number: float) -> float
        /// The square root; of a negative number `nan`.
        export extern func sqrt(number: float) -> float
        /// Without its sign; of the smallest int an error.
        export extern func abs(number: int) -> int
        /// Without its sign.
        export extern func absFloat(number: float) -> float
        /// The smaller of two values, by the language's `<`.
        export extern func min[comparable](x: comparable, y: comparable) -> comparable
        /// The larger of two values, by the language's `<`.
        export extern func max[comparable](x: comparable, y: comparable) -> comparable
        /// The value, or the bound that it is beyond.
        export func clamp[a](x: a, low: a, high: a) -> a { min(max(x, low), high) }
        """#,
      natives: [
        native("toFloat") { (number: Int) in Double(number) },
        native("toInt") { (number: Double) in Int(exactly: number.rounded(.towardZero)) },
        native("floor") { (number: Double) in number.rounded(.down) },
        native("ceil") { (number: Double) in number.rounded(.up) },
        native("round") { (number: Double) in number.rounded(.toNearestOrAwayFromZero) },
        native("sqrt") { (number: Double) in number.squareRoot() },
        native("abs") { (number: Int) in
          guard number > .min else { throw Trap.overflow }
          return abs(number)
        },
        raw("min", arity: 2) { arguments, _ in
          .value((Value.order(arguments[1], arguments[0]) ?? 0) < 0 ? arguments[1] : arguments[0])
        },
        raw("max", arity: 2) { arguments, _ in
          .value((Value.order(arguments[0], arguments[1]) ?? 0) < 0 ? arguments[1] : arguments[0])
        },
        native("absFloat") { (number: Double) in abs(number) },
      ])
  }
}
