import WeirCore

/// Why a checked program could not be made into code.
package enum EmitFailure: Failure, Equatable {
  case missingNative(module: String, name: String)
  /// Declared for the checker; the program would reach it.
  case notInThisBuild(what: String, module: String, span: Span)
  case wrongArity(module: String, name: String, declared: Int, native: Int)
  /// More registers, functions, natives or jump distance than an instruction's 16 bits can say.
  case tooLarge(function: String, what: String, span: Span)
  /// A local that nothing binds: a bug of lowering.
  case unboundLocal(String, function: String, span: Span)
  case outsideLoop(function: String, span: Span)

  package var code: String {
    switch self {
    case .missingNative, .wrongArity: "LibraryMismatch"
    case .notInThisBuild: "NotInThisBuild"
    case .tooLarge: "FunctionTooLarge"
    case .unboundLocal, .outsideLoop: "InternalError"
    }
  }

  package var message: String {
    switch self {
    case .missingNative(let module, let name): "`\(name)` of \(module) is declared extern and has no native"
    case .notInThisBuild(let what, let module, _):
      "the program uses \(what) of \(module), which can be checked but not run by this build of Weir; nothing was run"
    case .wrongArity(let module, let name, let declared, let native):
      "`\(name)` of \(module) is declared with \(declared) parameters and its native has \(native)"
    case .tooLarge(let function, let what, _): "`\(function)` has too many \(what)"
    case .unboundLocal(let name, let function, _): "`\(name)` is not bound where `\(function)` uses it"
    case .outsideLoop(let function, _): "break or continue outside a loop in `\(function)`"
    }
  }

  package var hint: String? { if case .tooLarge = self { "split it into smaller functions" } else { nil } }

  package var span: Span {
    switch self {
    case .missingNative, .wrongArity: .none
    case .tooLarge(_, _, let span), .notInThisBuild(_, _, let span), .unboundLocal(_, _, let span),
      .outsideLoop(_, let span):
      span
    }
  }
}
