import WeirCore

/// A failure of a running program: it ends its fiber, with the place and the calls that led there. Expected failures are
/// `Result` values; these are the others.
///
/// A tail call leaves no frame, so the trace may skip functions that ended in one.
package struct Trap: Failure, Equatable {
  package struct Call: Equatable, Sendable {
    package var function: String
    package var span: Span
  }
  package var code: String
  package var message: String
  package var hint: String?
  /// Facts below the message: the two sides of a comparison that failed.
  package var notes: [String] = []
  /// Filled in by the machine: the instruction that failed, and the calls around it, innermost first.
  package var span: Span
  package var trace: [Call]

  package init(_ code: String, _ message: String, hint: String? = nil, span: Span = .none, trace: [Call] = []) {
    self.code = code
    self.message = message
    self.hint = hint
    self.span = span
    self.trace = trace
  }

  /// Characters of a note: a value that failed a comparison may be of any size.
  static let noteLimit = 2_000

  /// What an `assert` says: a message, or a list of it and its notes.
  init(_ code: String, saying value: Value, _ names: ProgramNames) {
    guard let parts = value.asList?.array, let message = parts.first else {
      self.init(code, value.text(names))
      return
    }
    self.init(code, message.text(names))
    notes = parts.dropFirst().map { part in
      let text = part.text(names)
      return text.count > Self.noteLimit ? text.prefix(Self.noteLimit) + "…" : text
    }
  }

  /// Any error that a native threw.
  package init(_ error: any Error) {
    switch error {
    case let trap as Trap: self = trap
    case let failure as any Failure: self.init(failure.code, failure.message, hint: failure.hint)
    default: self.init("NativeFailed", "\(error)")
    }
  }

  package static let overflow = Trap(
    "Overflow", "the result does not fit an int", hint: "ints have 64 bits; use floats for larger numbers")
  package static let divisionByZero = Trap("DivisionByZero", "division by zero")
  package static let unmatched = Trap("Unmatched", "no case of this match fits the value")
  package static func readBeforeSet(_ name: String) -> Trap {
    Trap("ReadBeforeSet", "`\(name)` is read before it is set", hint: "set it above the line that starts this")
  }
  package static let cancelled = Trap("Cancelled", "the work was cancelled")
  package static func tooDeep(_ limit: Int) -> Trap {
    Trap(
      "TooDeep", "more than \(limit) calls inside each other",
      hint: "is the recursion endless? A call in tail position costs no depth")
  }
  package static func tooLarge(_ what: String, _ limit: String) -> Trap {
    Trap("TooLarge", "\(what) of more than \(limit)")
  }
  package static func outOfBounds(_ index: Int, count: Int) -> Trap {
    Trap("OutOfBounds", "index \(index) of a list of \(count) items")
  }
  package static func limitReached(_ effect: String, limit: Int, native: String) -> Trap {
    Trap(
      "LimitReached", "`\(native)` would be use \(limit + 1) of the effect \(effect), which is limited to \(limit) here"
    )
  }
  package static func denied(_ effects: [String], native: String) -> Trap {
    Trap(
      "NotGranted", "`\(native)` needs \(effects.joined(separator: ", ")), which was not granted",
      hint: "run with --caps \(effects.joined(separator: ","))")
  }
  /// The compiler or a native broke a promise. Never the program's fault.
  package static func broken(_ what: String) -> Trap { Trap("InternalError", what) }
  package static func badArgument(_ index: Int, wanted: String, _ value: Value) -> Trap {
    .broken("argument \(index + 1) of a native should be \(wanted) and is \(value.caseName)")
  }
}

extension Value {
  /// For messages about broken promises.
  package var caseName: String {
    switch self {
    case .unit: "unit"
    case .bool: "bool"
    case .int: "int"
    case .float: "float"
    case .tag, .variant: "a variant"
    case .string: "string"
    case .bytes: "bytes"
    case .list: "a list"
    case .record: "a record"
    case .function: "a function"
    case .map: "a map"
    case .cell: "a cell"
    case .handle(let handle): "<\(handle.kind)>"
    }
  }
}
