import WeirCore
import WeirFlow
import WeirLang

/// Event loops: the natives under `selectEvents`, `foldEvents` and `runEventLoop`.
extension StreamModule {
  static var loops: [Native] {
    [
      contextual("_loopOf") { (context: NativeContext, sources: [StreamSource]) in
        try StreamTable.of(context).loop(of: sources)
      },
      contextual("_loopOfConn") { (context: NativeContext, conn: StreamConn) in
        guard conn.handler != nil else {
          throw Trap(
            "NoHandler", "`runEventLoop` has nobody to give events to",
            hint: "register a handler first: onEvent(conn, \\event. …)")
        }
        return try StreamTable.of(context).loop(of: conn)
      },
      next("_nextEvent") { event, _ in event },
      next("_nextOf") { event, source in .tuple(.string(source ?? ""), event) },
      native("_closeLoop") { (loop: EventLoopHandle) in
        loop.close()
        return Unit()
      },
      raw("_handlerOf", arity: 1) { arguments, context in
        let conn: StreamConn = try arguments.get(0)
        // Gone only if the connection was closed from outside while its handler ran.
        guard let handler = conn.handler else { throw Trap.cancelled }
        return .value(handler)
      },
    ]
  }

  /// The loop's next event as `shape` has it, and `None` at its end.
  private static func next(_ name: String, _ shape: @escaping (Value, String?) -> Value) -> Native {
    raw(name, arity: 1) { arguments, context in
      let loop: EventLoopHandle = try arguments.get(0)
      for queue in loop.activities { try ProgramInstance.of(context).listens(context.fiber, to: queue) }
      if let value = loop.take(shape) { return .value(value) }
      let suspension = context.suspend()
      loop.wait(shape) { suspension.resume($0) }
      suspension.onCancel { loop.close() }
      return .suspended
    }
  }
}
