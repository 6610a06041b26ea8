import WeirLang

/// How a worker of `streamForEach` waits for an item: not beyond the moment in which the others stop. What has not come by then is
/// still the source's.
extension StreamEach {
  static var taking: [Native] {
    [
      /// `None`: it was stopped.
      raw("_eachRead", arity: 2) { arguments, context in
        let each = try each(arguments)
        guard let source = arguments[1].asHandle as? PulledStream else { throw Trap.broken("not a stream") }
        if each.isStopped { return .value(.none) }
        source.prepare(context)
        let suspension = context.suspend()
        var isAnswered = false
        try source.read { result in
          isAnswered = true
          each.onStop = nil
          switch result {
          case .success(let value): suspension.resume(.some(.ok(value)))
          case .failure(let failure): suspension.resume(.some(.err(failure.value)))
          }
        }
        if isAnswered { return .suspended }
        each.onStop = {
          source.letGo()
          suspension.resume(.none)
        }
        suspension.onCancel {
          each.onStop = nil
          source.giveUp()
        }
        return .suspended
      },
      /// Functions of the program make its values: they wait in fibers of their own.
      raw("_isGenerated", arity: 1) { arguments, _ in .value(.bool(arguments[0].asHandle is GeneratedStream)) },
      /// Waits until it is stopped.
      raw("_eachStopped", arity: 1) { arguments, context in
        let each = try each(arguments)
        if each.isStopped { return .value(.unit) }
        let suspension = context.suspend()
        each.onStop = { suspension.resume(.unit) }
        suspension.onCancel { each.onStop = nil }
        return .suspended
      },
    ]
  }
}
