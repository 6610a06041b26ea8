/// A function of the library whose body is Swift. Natives are leaves: they never call script code, so whatever takes a
/// callback is written in the language over natives, and every point of a script can suspend.
///
/// Three ways to write one; all are called on the program's loop:
///
///     native("clamp") { (x: Int, low: Int, high: Int) in min(max(x, low), high) }
///     suspending("readLine") { (answer: Answer<String?>, prompt: String) in … answer.resume(line) … }
///     raw("length", arity: 1) { arguments, context in .value(.int(arguments[0].asList!.count)) }
///
/// `native` and `suspending` derive the declared types from the closure's; `raw` is for what is polymorphic.
package struct Native {
  package typealias Body = (_ arguments: Arguments, _ context: NativeContext) throws -> NativeResult

  package var name: String
  package var arity: Int
  /// Written as types of the language are: `["int", "[string]"]`; nil for `raw` ones.
  package var types: (parameters: [String], result: String)?
  /// Called although a limit of one of its effects ran out: it asks `context.exhausted` and answers with a value.
  package var answersExhaustion: Bool
  package var body: Body

  package init(
    name: String, arity: Int, types: (parameters: [String], result: String)? = nil, answersExhaustion: Bool = false,
    body: @escaping Body
  ) {
    self.name = name
    self.arity = arity
    self.types = types
    self.answersExhaustion = answersExhaustion
    self.body = body
  }

  package func answeringExhaustion() -> Native {
    var copy = self
    copy.answersExhaustion = true
    return copy
  }
}

package enum NativeResult {
  case value(Value)
  /// `context.suspend()` was called; its `Suspension` resumes the fiber (perhaps it already has).
  case suspended
}

/// The arguments of a call, in the caller's registers: valid during the call only.
package struct Arguments {
  let base: UnsafeMutablePointer<Value>
  package let count: Int
  @inline(__always)
  package subscript(_ index: Int) -> Value {
    precondition(index >= 0 && index < count, "argument index")
    return base[index]
  }
  /// Bridged, or a trap that names the argument.
  package func get<T: Bridged>(_ index: Int, as type: T.Type = T.self) throws(Trap) -> T {
    guard let value = T.bridge(self[index]) else { throw Trap.badArgument(index, wanted: T.typeName, self[index]) }
    return value
  }
}

/// Called with values, answers a value.
package func native<each A: Bridged, R: Bridged>(
  _ name: String, _ body: @escaping (repeat each A) throws -> R
) -> Native {
  var parameters: [String] = []
  repeat parameters.append((each A).typeName)
  return Native(name: name, arity: parameters.count, types: (parameters, R.typeName)) { arguments, _ in
    var index = 0
    return .value(try body(repeat try arguments.next(&index, as: (each A).self)).bridged)
  }
}

/// The same for natives that need the host: the context comes first.
package func contextual<each A: Bridged, R: Bridged>(
  _ name: String, _ body: @escaping (NativeContext, repeat each A) throws -> R
) -> Native {
  var parameters: [String] = []
  repeat parameters.append((each A).typeName)
  return Native(name: name, arity: parameters.count, types: (parameters, R.typeName)) { arguments, context in
    var index = 0
    return .value(try body(context, repeat try arguments.next(&index, as: (each A).self)).bridged)
  }
}

/// Answers when it can: at once or later, on the same loop. The answer comes first (a pack of parameters must be last). Throwing is answering with a trap.
package func suspending<each A: Bridged, R: Bridged>(
  _ name: String, _ body: @escaping (Answer<R>, repeat each A) throws -> Void
) -> Native {
  var parameters: [String] = []
  repeat parameters.append((each A).typeName)
  return Native(name: name, arity: parameters.count, types: (parameters, R.typeName)) { arguments, context in
    let answer = Answer<R>(context.suspend())
    var index = 0
    try body(answer, repeat try arguments.next(&index, as: (each A).self))
    return .suspended
  }
}

/// Over bare values, for what is polymorphic.
package func raw(_ name: String, arity: Int, _ body: @escaping Native.Body) -> Native {
  Native(name: name, arity: arity, body: body)
}

extension Arguments {
  @inline(__always)
  fileprivate func next<T: Bridged>(_ index: inout Int, as type: T.Type) throws(Trap) -> T {
    defer { index += 1 }
    return try get(index, as: type)
  }
}

/// A suspended call's typed answer. The first `resume` or `fail` counts; answers to a fiber that was cancelled, or has
/// been resumed, do nothing.
package struct Answer<R: Bridged> {
  package let suspension: Suspension
  init(_ suspension: Suspension) { self.suspension = suspension }
  package var context: NativeContext { suspension.context }
  package func resume(_ value: R) { suspension.resume(value.bridged) }
  package func fail(_ trap: Trap) { suspension.fail(trap) }
  /// Called once if the fiber is cancelled before the answer: give up what is under way.
  package func onCancel(_ hook: @escaping () -> Void) { suspension.onCancel(hook) }
}
