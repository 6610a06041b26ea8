extension Library {
  /// The modules that need nothing from outside but a `ProgramHost`. Made for each caller: natives are closures that
  /// must not be shared between loops.
  package static var language: Library {
    Library([
      .prelude, .io, .environment, .option, .result, .string, .bytes, .list, .map, .json, .math, .task,
    ])
  }
}
